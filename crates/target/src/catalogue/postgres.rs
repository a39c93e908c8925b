//! Targets that speak PostgreSQL.

use sallyport_credential::{Gives, Source};
use sallyport_listen::{ClientIdentity, ClientTls, Roots, Verification};
use smol_str::SmolStr;
use toml::Spanned;

use super::{CatalogueError, Reader};
use crate::{Address, AuthMethod, ChannelBinding, Ephemeral, MaskAt, Postgres, PostgresLogin, Tls, file::Entry};

/// What the names of sessions' roles begin with.
const DEFAULT_PREFIX: &str = "sp";
const MAX_PREFIX: usize = 16;
/// The longest name of a role, in bytes: a server would cut a longer one.
const MAX_ROLE: usize = 63;

impl Reader<'_> {
    pub(super) fn postgres(&self, spanned: &Spanned<Entry>) -> Result<Postgres, CatalogueError> {
        let entry = spanned.get_ref();
        let database = entry.database.as_ref().unwrap_or(&entry.name);
        Ok(Postgres {
            database: database.get_ref().clone(),
            startup_settings: self.startup_settings(entry)?,
            mask_at: self.mask_at(entry)?,
            login: self.way(entry, || self.postgres_login(spanned))?,
        })
    }

    pub(super) fn mask_at(&self, entry: &Entry) -> Result<MaskAt, CatalogueError> {
        let Some(word) = &entry.mask_at else {
            return Ok(MaskAt::default());
        };
        let known = [("gateway", MaskAt::Gateway), ("agent", MaskAt::Agent)];
        match self.word(word, "place to mask at", &known)? {
            MaskAt::Agent if entry.agent.is_none() => self.at(word, "there is no `agent` that could mask"),
            place @ (MaskAt::Gateway | MaskAt::Agent) => Ok(place),
        }
    }

    fn postgres_login(&self, spanned: &Spanned<Entry>) -> Result<PostgresLogin, CatalogueError> {
        let entry = spanned.get_ref();
        let address = self.address(spanned)?;
        let (tls, verification) = self.tls(spanned, &address)?;
        let auth = self.auth(entry)?;
        let credential = self.credential_or_trust(spanned, &auth)?;
        self.check_cleartext(entry, &address, verification, &auth)?;
        Ok(PostgresLogin {
            user: self.user(spanned, credential.as_ref())?,
            channel_binding: self.channel_binding(entry, &tls)?,
            patience: self.patience(entry)?,
            address,
            ephemeral: self.ephemeral(spanned, credential.as_ref(), &auth)?,
            credential,
            tls,
            auth,
        })
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
            Some(path) => Roots::File(self.path(path.get_ref())),
            None => Roots::System,
        };
        let identity = match (&entry.client_certificate, &entry.client_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(ClientIdentity {
                certificate: self.path(certificate.get_ref()),
                key: self.path(key.get_ref()),
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

    fn credential_or_trust(
        &self,
        spanned: &Spanned<Entry>,
        auth: &[AuthMethod],
    ) -> Result<Option<Source>, CatalogueError> {
        let credential = self.credential(spanned)?;
        let entry = spanned.get_ref();
        match (&credential, &entry.credential) {
            (None, _) if auth != [AuthMethod::Trust] => {
                let name = entry.name.get_ref();
                let message =
                    format!("`{name}` needs `password_file`, `password_env` or `credential`, or `auth = [\"trust\"]`");
                self.at(spanned, message)
            }
            (Some(source), Some(place)) if source.gives() == Gives::Certificate => self.at(
                place,
                "this source gives certificates, and servers of PostgreSQL want passwords",
            ),
            _ => Ok(credential),
        }
    }

    /// Whom to log in as. A credential that says it counts more, so it need not be written then.
    fn user(&self, spanned: &Spanned<Entry>, credential: Option<&Source>) -> Result<Option<String>, CatalogueError> {
        let entry = spanned.get_ref();
        let Some(user) = &entry.user else {
            if credential.is_some_and(Source::names_user) {
                return Ok(None);
            }
            return self.at(spanned, format!("`{}` needs a `user`", entry.name.get_ref()));
        };
        match user.get_ref().as_str() {
            "" => self.at(user, "the user's name is empty"),
            name if name.contains('\0') => self.at(user, "the user's name has a zero byte"),
            name => Ok(Some(name.to_owned())),
        }
    }

    fn ephemeral(
        &self,
        spanned: &Spanned<Entry>,
        credential: Option<&Source>,
        auth: &[AuthMethod],
    ) -> Result<Option<Ephemeral>, CatalogueError> {
        let Some(entry) = &spanned.get_ref().ephemeral else {
            return Ok(None);
        };
        if credential.is_some_and(Source::names_user) {
            return self.at(
                entry,
                "roles are made by one `user`, so the credential cannot say another each time",
            );
        }
        if !auth.contains(&AuthMethod::ScramSha256) {
            return self.at(
                entry,
                "roles of sessions log in by `scram-sha-256`, which `auth` does not list",
            );
        }
        let options = entry.get_ref();
        let prefix = match &options.prefix {
            None => DEFAULT_PREFIX,
            Some(prefix) => {
                let text = prefix.get_ref().as_str();
                let plain = text.starts_with(|c: char| c.is_ascii_lowercase())
                    && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
                if !plain || text.len() > MAX_PREFIX || text == "pg" {
                    let message = format!("a prefix is 1 to {MAX_PREFIX} lower-case letters and digits, and not `pg`");
                    return self.at(prefix, message);
                }
                text
            }
        };
        if options.grantable.get_ref().is_empty() {
            return self.at(
                &options.grantable,
                "`grantable` is empty: no session could be granted anything",
            );
        }
        let grantable = options.grantable.get_ref().iter().map(|role| self.role(role));
        Ok(Some(Ephemeral {
            grantable: grantable.collect::<Result<_, _>>()?,
            owner: options.owner.as_ref().map(|owner| self.role(owner)).transpose()?,
            prefix: prefix.into(),
        }))
    }

    fn role(&self, role: &Spanned<String>) -> Result<SmolStr, CatalogueError> {
        let text = role.get_ref();
        if text.is_empty() || text.len() > MAX_ROLE || text.chars().any(char::is_control) {
            return self.at(role, format!("`{}` is no role's name", text.escape_debug()));
        }
        Ok(text.into())
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
        for name in entry.startup_settings.iter().flat_map(Spanned::get_ref) {
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
