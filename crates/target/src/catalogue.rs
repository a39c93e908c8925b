//! All targets, read from `targets.toml`.

use std::{
    collections::HashMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sallyport_listen::{ClientIdentity, ClientTls, Roots, Verification};
use smol_str::SmolStr;
use toml::Spanned;

use crate::{
    Address, AuthMethod, ChannelBinding, Credential, CredentialError, Lease, Tls,
    file::{Entry, File},
};

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_TIMEOUT_S: u64 = 600;
const MAX_NAME_LEN: usize = 128;

/// One thing that can be reached.
#[derive(Clone, Debug)]
pub struct Target {
    /// The name that clients connect to.
    pub name: SmolStr,
    /// The protocol it speaks.
    pub protocol: SmolStr,
    /// Where it listens.
    pub address: Address,
    /// The environment that rules speak of.
    pub environment: Option<SmolStr>,
    /// Tags that rules speak of.
    pub tags: Vec<SmolStr>,
    /// The database at the target.
    pub database: String,
    /// Whom to log in as.
    pub user: String,
    /// Where the password is.
    pub credential: Credential,
    /// Whether and how TLS is spoken.
    pub tls: Tls,
    /// The ways to log in that are good enough.
    pub auth: Vec<AuthMethod>,
    /// Whether the login must be bound to the TLS channel.
    pub channel_binding: ChannelBinding,
    /// Settings that clients may give at connect besides those that are always allowed; lower case.
    pub startup_settings: Vec<SmolStr>,
    /// How long reaching the target may take.
    pub connect_timeout: Duration,
    /// How long TLS and login may take after that.
    pub login_timeout: Duration,
}

impl Target {
    /// Fetches the credential and gives what one session needs.
    ///
    /// # Errors
    /// When the credential is not where it should be.
    pub fn lease(&self) -> Result<Lease, CredentialError> {
        Ok(Lease {
            target: self.name.clone(),
            address: self.address.clone(),
            tls: self.tls.clone(),
            user: self.user.clone(),
            secret: self.credential.fetch()?,
            auth: self.auth.clone(),
            channel_binding: self.channel_binding,
            database: Some(self.database.clone()),
            startup_settings: self.startup_settings.clone(),
            connect_timeout: self.connect_timeout,
            login_timeout: self.login_timeout,
        })
    }
}

/// `targets.toml` cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct CatalogueError {
    /// The file's name as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The bytes of the file that are meant.
    pub span: Range<usize>,
    /// What is wrong there.
    pub message: String,
}

/// All targets, immutable. Clones share.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    targets: Arc<[Arc<Target>]>,
    by_name: Arc<HashMap<SmolStr, Arc<Target>>>,
}

impl Catalogue {
    /// Reads the text of a `targets.toml`. Relative paths in it are meant from `base`; `file` is what
    /// errors call it. Certificate files are read now, passwords when a session needs them.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(text: &str, file: &str, base: &Path) -> Result<Self, CatalogueError> {
        let reader = Reader { text, file, base };
        let parsed: File = toml::from_str(text)
            .map_err(|error| reader.error(error.span().unwrap_or(0..0), error.message().to_owned()))?;
        let mut targets = Vec::with_capacity(parsed.target.len());
        let mut by_name = HashMap::new();
        for entry in &parsed.target {
            let target = Arc::new(reader.target(entry)?);
            if by_name.insert(target.name.clone(), target.clone()).is_some() {
                let message = format!("there is already a target `{}`", target.name);
                return Err(reader.error(entry.get_ref().name.span(), message));
            }
            targets.push(target);
        }
        Ok(Self {
            targets: targets.into(),
            by_name: Arc::new(by_name),
        })
    }

    /// All targets, in the file's order.
    pub fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    /// The target of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<Target>> {
        self.by_name.get(name)
    }
}

struct Reader<'a> {
    text: &'a str,
    file: &'a str,
    base: &'a Path,
}

impl Reader<'_> {
    fn error(&self, span: Range<usize>, message: String) -> CatalogueError {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
        CatalogueError {
            file: self.file.to_owned(),
            line,
            span,
            message,
        }
    }

    fn at<T, S>(&self, place: &Spanned<S>, message: impl Into<String>) -> Result<T, CatalogueError> {
        Err(self.error(place.span(), message.into()))
    }

    fn path(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }

    fn target(&self, spanned: &Spanned<Entry>) -> Result<Target, CatalogueError> {
        let entry = spanned.get_ref();
        let name = self.name(&entry.name)?;
        let address: Address = match entry.address.get_ref().parse() {
            Ok(address) => address,
            Err(error) => return self.at(&entry.address, format!("{error}")),
        };
        let (tls, verification) = self.tls(spanned, &address)?;
        let auth = self.auth(entry)?;
        let credential = self.credential(spanned, &auth)?;
        self.check_cleartext(entry, &address, verification, &auth)?;
        Ok(Target {
            protocol: self.name(&entry.protocol)?,
            environment: entry.environment.as_deref().map(SmolStr::from),
            tags: entry.tags.iter().map(SmolStr::from).collect(),
            database: entry.database.clone().unwrap_or_else(|| name.to_string()),
            user: self.user(&entry.user)?,
            channel_binding: self.channel_binding(entry, &tls)?,
            startup_settings: self.startup_settings(entry)?,
            connect_timeout: self.seconds(&entry.connect_timeout_s, DEFAULT_CONNECT_TIMEOUT)?,
            login_timeout: self.seconds(&entry.login_timeout_s, DEFAULT_LOGIN_TIMEOUT)?,
            name,
            address,
            credential,
            tls,
            auth,
        })
    }

    fn name(&self, name: &Spanned<String>) -> Result<SmolStr, CatalogueError> {
        let text = name.get_ref();
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        if text.is_empty() || text.len() > MAX_NAME_LEN || !text.chars().all(plain) {
            return self.at(name, format!("`{text}` is not a name: letters, digits, `.`, `-`, `_`"));
        }
        Ok(text.into())
    }

    fn user(&self, user: &Spanned<String>) -> Result<String, CatalogueError> {
        match user.get_ref().as_str() {
            "" => self.at(user, "the user's name is empty"),
            name if name.contains('\0') => self.at(user, "the user's name has a zero byte"),
            name => Ok(name.to_owned()),
        }
    }

    fn tls(&self, spanned: &Spanned<Entry>, address: &Address) -> Result<(Tls, Verification), CatalogueError> {
        let entry = spanned.get_ref();
        let verification = match &entry.tls {
            None => Verification::Full,
            Some(mode) => match mode.get_ref().as_str() {
                "disable" => return Ok((Tls::Disable, Verification::None)),
                "require" => Verification::None,
                "verify-ca" => Verification::Authority,
                "verify-full" => Verification::Full,
                other => {
                    let known = "`disable`, `require`, `verify-ca` and `verify-full`";
                    return self.at(mode, format!("`{other}` is no TLS mode; there are {known}"));
                }
            },
        };
        let roots = match &entry.ca_file {
            Some(path) => Roots::File(self.path(path)),
            None => Roots::System,
        };
        let identity = match (&entry.client_certificate, &entry.client_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(ClientIdentity {
                certificate: self.path(certificate),
                key: self.path(key),
            }),
            _ => {
                return self.at(spanned, "`client_certificate` and `client_key` belong together");
            }
        };
        let name = entry
            .server_name
            .as_ref()
            .map_or(address.host.as_str(), |name| name.get_ref());
        match ClientTls::new(verification, &roots, name, identity.as_ref(), &[]) {
            Ok(tls) => Ok((Tls::Require(tls), verification)),
            Err(error) => self.at(spanned, format!("TLS of `{}`: {error}", entry.name.get_ref())),
        }
    }

    fn auth(&self, entry: &Entry) -> Result<Vec<AuthMethod>, CatalogueError> {
        let Some(list) = &entry.auth else {
            return Ok(vec![AuthMethod::ScramSha256]);
        };
        if list.get_ref().is_empty() {
            return self.at(list, "`auth` is empty: name at least one way to log in");
        }
        let mut methods = Vec::new();
        for name in list.get_ref() {
            match AuthMethod::parse(name.get_ref()) {
                Some(method) => methods.push(method),
                None => {
                    let known = "`scram-sha-256`, `md5`, `password` and `trust`";
                    let message = format!("`{}` is no way to log in; there are {known}", name.get_ref());
                    return self.at(name, message);
                }
            }
        }
        Ok(methods)
    }

    fn credential(&self, spanned: &Spanned<Entry>, auth: &[AuthMethod]) -> Result<Credential, CatalogueError> {
        let entry = spanned.get_ref();
        let name = entry.name.get_ref();
        match (&entry.password_file, &entry.password_env) {
            (Some(path), None) => Ok(Credential::File(self.path(path))),
            (None, Some(variable)) => Ok(Credential::Environment(variable.clone())),
            (None, None) if auth == [AuthMethod::Trust] => Ok(Credential::None),
            (None, None) => self.at(
                spanned,
                format!("`{name}` needs `password_file` or `password_env`, or `auth = [\"trust\"]`"),
            ),
            (Some(_), Some(_)) => self.at(spanned, format!("`{name}` has both `password_file` and `password_env`")),
        }
    }

    /// A password in clear must not go to whoever answers.
    fn check_cleartext(
        &self,
        entry: &Entry,
        address: &Address,
        verification: Verification,
        auth: &[AuthMethod],
    ) -> Result<(), CatalogueError> {
        let Some(list) = &entry.auth else {
            return Ok(());
        };
        let verified = verification != Verification::None || address.is_loopback();
        if auth.contains(&AuthMethod::Password) && !verified {
            let message = "`password` sends the password in clear, so `tls` must be `verify-ca` or \
                           `verify-full`";
            return self.at(list, message);
        }
        Ok(())
    }

    fn channel_binding(&self, entry: &Entry, tls: &Tls) -> Result<ChannelBinding, CatalogueError> {
        let Some(mode) = &entry.channel_binding else {
            return Ok(ChannelBinding::default());
        };
        match (mode.get_ref().as_str(), tls) {
            ("prefer", _) => Ok(ChannelBinding::Prefer),
            ("disable", _) => Ok(ChannelBinding::Disable),
            ("require", Tls::Require(_)) => Ok(ChannelBinding::Require),
            ("require", Tls::Disable) => self.at(mode, "there is no channel to bind to without TLS"),
            (other, _) => {
                let known = "`prefer`, `require` and `disable`";
                self.at(mode, format!("`{other}` is not known; there are {known}"))
            }
        }
    }

    fn startup_settings(&self, entry: &Entry) -> Result<Vec<SmolStr>, CatalogueError> {
        let mut settings = Vec::new();
        for name in &entry.startup_settings {
            let lower = name.get_ref().to_ascii_lowercase();
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
            if lower.is_empty() || !lower.chars().all(plain) {
                return self.at(name, format!("`{}` is no setting's name", name.get_ref()));
            }
            if IDENTITY_SETTINGS.contains(&lower.as_str()) {
                let message = format!("`{lower}` would change who the session is or what it loads");
                return self.at(name, message);
            }
            settings.push(lower.into());
        }
        Ok(settings)
    }

    fn seconds(&self, value: &Option<Spanned<u64>>, default: Duration) -> Result<Duration, CatalogueError> {
        match value {
            None => Ok(default),
            Some(seconds) if (1..=MAX_TIMEOUT_S).contains(seconds.get_ref()) => {
                Ok(Duration::from_secs(*seconds.get_ref()))
            }
            Some(seconds) => self.at(seconds, format!("not between 1 and {MAX_TIMEOUT_S} seconds")),
        }
    }
}

/// Settings that no client may ever give at connect: they change identity, code or parsing.
const IDENTITY_SETTINGS: &[&str] = &[
    "role",
    "session_authorization",
    "session_preload_libraries",
    "local_preload_libraries",
    "shared_preload_libraries",
    "dynamic_library_path",
    "user",
    "database",
    "replication",
    "options",
    "standard_conforming_strings",
    "backslash_quote",
    "session_replication_role",
    "row_security",
];

#[cfg(test)]
mod tests;
