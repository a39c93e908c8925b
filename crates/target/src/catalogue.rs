//! All targets, read from `targets.toml`.

use std::{
    collections::HashMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use smol_str::SmolStr;
use toml::Spanned;

use crate::{
    Address, Lease, LeaseError, Postgres, PostgresLease, SecretSource, Ssh, SshLease,
    file::{Entry, File, Place},
};

mod postgres;
mod ssh;

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_TIMEOUT_S: u64 = 600;
const MAX_NAME_LEN: usize = 128;

/// One thing that can be reached.
#[derive(Clone, Debug)]
pub struct Target {
    /// The name that clients connect to.
    pub name: SmolStr,
    /// Where it listens.
    pub address: Address,
    /// The environment that rules speak of.
    pub environment: Option<SmolStr>,
    /// Tags that rules speak of.
    pub tags: Vec<SmolStr>,
    /// What its protocol needs.
    pub access: Access,
    /// How long reaching the target may take.
    pub connect_timeout: Duration,
    /// How long the login may take after that.
    pub login_timeout: Duration,
}

/// How a target is logged in to, by the protocol that it speaks.
#[derive(Clone, Debug)]
pub enum Access {
    /// `protocol = "postgres"`
    Postgres(Postgres),
    /// `protocol = "ssh"`
    Ssh(Ssh),
}

impl Target {
    /// The name of the protocol that it speaks, as in `targets.toml`.
    pub fn protocol(&self) -> &'static str {
        match &self.access {
            Access::Postgres(_) => "postgres",
            Access::Ssh(_) => "ssh",
        }
    }

    /// Where within the target a client is that names no place: the database, or the account at an SSH host.
    pub fn place(&self) -> &str {
        match &self.access {
            Access::Postgres(postgres) => &postgres.database,
            Access::Ssh(ssh) => &ssh.user,
        }
    }

    /// Fetches the credential and gives what one session needs, which is to be at `place` within the target.
    ///
    /// # Errors
    /// When the credential is not where it should be, or nobody can be at that place.
    pub fn lease(&self, place: &str) -> Result<Lease, LeaseError> {
        match &self.access {
            Access::Postgres(postgres) => Ok(Lease::Postgres(PostgresLease {
                target: self.name.clone(),
                address: self.address.clone(),
                tls: postgres.tls.clone(),
                user: postgres.user.clone(),
                secret: postgres.secret()?,
                auth: postgres.auth.clone(),
                channel_binding: postgres.channel_binding,
                database: Some(place.to_owned()),
                startup_settings: postgres.startup_settings.clone(),
                connect_timeout: self.connect_timeout,
                login_timeout: self.login_timeout,
            })),
            Access::Ssh(ssh) if !ssh.has_login(place) => Err(LeaseError::Login {
                target: self.name.clone(),
                login: place.to_owned(),
            }),
            Access::Ssh(ssh) => Ok(Lease::Ssh(SshLease {
                target: self.name.clone(),
                address: self.address.clone(),
                user: place.to_owned(),
                secret: ssh.credential.fetch()?,
                trust: ssh.trust.clone(),
                accept_env: ssh.accept_env.clone(),
                shell: ssh.shell,
                files: ssh.files,
                login_shell: ssh.login_shell,
                connect_timeout: self.connect_timeout,
                login_timeout: self.login_timeout,
            })),
        }
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
        let address: Address = match entry.address.get_ref().parse() {
            Ok(address) => address,
            Err(error) => return self.at(&entry.address, format!("{error}")),
        };
        let access = match entry.protocol.get_ref().as_str() {
            "postgres" => {
                self.misplaced("postgres", &entry.of_ssh())?;
                Access::Postgres(self.postgres(spanned, &address)?)
            }
            "ssh" => {
                self.misplaced("ssh", &entry.of_postgres())?;
                Access::Ssh(self.ssh(spanned, &address)?)
            }
            other => {
                let message = format!("`{other}` is no protocol; there are `postgres` and `ssh`");
                return self.at(&entry.protocol, message);
            }
        };
        Ok(Target {
            name: self.name(&entry.name)?,
            environment: entry.environment.as_deref().map(SmolStr::from),
            tags: entry.tags.iter().map(SmolStr::from).collect(),
            connect_timeout: self.seconds(&entry.connect_timeout_s, DEFAULT_CONNECT_TIMEOUT)?,
            login_timeout: self.seconds(&entry.login_timeout_s, DEFAULT_LOGIN_TIMEOUT)?,
            address,
            access,
        })
    }

    /// An option of another protocol is a mistake: whoever wrote it believes that it does something.
    fn misplaced(&self, protocol: &str, others: &[Place]) -> Result<(), CatalogueError> {
        for (option, span) in others {
            if let Some(span) = span {
                let message = format!("a target with `protocol = \"{protocol}\"` has no `{option}`");
                return Err(self.error(span.clone(), message));
            }
        }
        Ok(())
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

    /// Where the password is, if there is one.
    fn password(&self, spanned: &Spanned<Entry>) -> Result<Option<SecretSource>, CatalogueError> {
        let entry = spanned.get_ref();
        match (&entry.password_file, &entry.password_env) {
            (Some(path), None) => Ok(Some(SecretSource::File(self.path(path)))),
            (None, Some(variable)) => Ok(Some(SecretSource::Environment(variable.clone()))),
            (None, None) => Ok(None),
            (Some(_), Some(_)) => {
                let name = entry.name.get_ref();
                self.at(spanned, format!("`{name}` has both `password_file` and `password_env`"))
            }
        }
    }

    /// One of a few words.
    fn word<T>(&self, word: &Spanned<String>, what: &str, known: &[(&str, T)]) -> Result<T, CatalogueError>
    where
        T: Copy,
    {
        match known.iter().find(|(name, _)| name == word.get_ref()) {
            Some((_, meaning)) => Ok(*meaning),
            None => {
                let names: Vec<String> = known.iter().map(|(name, _)| format!("`{name}`")).collect();
                self.at(
                    word,
                    format!("`{}` is no {what}; there are {}", word.get_ref(), names.join(", ")),
                )
            }
        }
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

#[cfg(test)]
mod tests;
