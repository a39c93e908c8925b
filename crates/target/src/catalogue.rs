//! All targets, read from `targets.toml`.

use std::{
    collections::HashMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sallyport_credential::Credentials;
use smol_str::SmolStr;
use toml::Spanned;

use crate::{
    Address, Administrator, Broker, Lease, LeaseError, Postgres, Ssh,
    file::{Entry, File, Place},
};

mod postgres;
mod ssh;
mod stores;

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_TIMEOUT_S: u64 = 600;
const MAX_NAME_LEN: usize = 128;

/// One thing that can be reached.
#[derive(Clone, Debug)]
pub struct Target {
    /// The name that clients connect to.
    pub name: SmolStr,
    /// The environment that rules speak of.
    pub environment: Option<SmolStr>,
    /// Tags that rules speak of.
    pub tags: Vec<SmolStr>,
    /// What its protocol needs.
    pub access: Access,
    /// What fetches its credential, from the stores of the file that it is in.
    credentials: Arc<Credentials>,
}

/// Who logs in to a target.
#[derive(Clone, Debug)]
pub enum Way<L> {
    /// Whoever reads this: how is known.
    Here(L),
    /// An agent that joined under this name, and knows how.
    Agent(SmolStr),
}

impl<L> Way<L> {
    fn here(&self, target: &SmolStr) -> Result<&L, LeaseError> {
        match self {
            Self::Here(login) => Ok(login),
            Self::Agent(agent) => Err(LeaseError::Elsewhere {
                target: target.clone(),
                agent: agent.clone(),
            }),
        }
    }

    fn agent(&self) -> Option<&SmolStr> {
        match self {
            Self::Here(_) => None,
            Self::Agent(agent) => Some(agent),
        }
    }
}

/// How long whoever logs in waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long reaching the target may take, over all its addresses.
    pub connect: Duration,
    /// How long TLS, or the first key exchange, and the login may take after that.
    pub login: Duration,
}

/// Whose `targets.toml` it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Gateway,
    Agent,
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

    /// The name of the agents that log in to it, unless it is whoever reads this.
    pub fn agent(&self) -> Option<&SmolStr> {
        match &self.access {
            Access::Postgres(postgres) => postgres.login.agent(),
            Access::Ssh(ssh) => ssh.login.agent(),
        }
    }

    /// Where it listens, if that is known here.
    pub fn address(&self) -> Option<&Address> {
        match &self.access {
            Access::Postgres(Postgres {
                login: Way::Here(login),
                ..
            }) => Some(&login.address),
            Access::Ssh(Ssh {
                login: Way::Here(login),
                ..
            }) => Some(&login.address),
            Access::Postgres(_) | Access::Ssh(_) => None,
        }
    }

    /// Fetches the credential and gives what one session needs, which is to be at `place` within the target.
    ///
    /// # Errors
    /// When the credential cannot be had, nobody can be at that place, or somebody else logs in.
    ///
    /// # Cancel safety
    /// A credential that was made for a caller that is gone is ended again.
    pub async fn lease(&self, place: &str) -> Result<Lease, LeaseError> {
        match &self.access {
            Access::Postgres(postgres) => {
                let login = postgres.login.here(&self.name)?;
                let lease = login.lease(&self.name, place, &self.credentials).await?;
                Ok(Lease::Postgres(lease))
            }
            Access::Ssh(ssh) if !ssh.has_login(place) => Err(LeaseError::Login {
                target: self.name.clone(),
                login: place.to_owned(),
            }),
            Access::Ssh(ssh) => {
                let login = ssh.login.here(&self.name)?;
                let lease = login.lease(&self.name, place, &self.credentials).await?;
                Ok(Lease::Ssh(lease))
            }
        }
    }

    /// Who makes the roles of sessions there, if they have roles of their own and whoever reads this logs in.
    pub fn administrator(&self) -> Option<Administrator> {
        match &self.access {
            Access::Postgres(Postgres {
                login: Way::Here(login),
                ..
            }) => login.administrator(&self.name, &self.credentials),
            Access::Postgres(_) | Access::Ssh(_) => None,
        }
    }

    /// A lease without a credential, for what is done beside sessions and needs no login.
    ///
    /// # Errors
    /// When nothing is, or somebody else logs in.
    pub fn route(&self, place: &str) -> Result<Lease, LeaseError> {
        match &self.access {
            Access::Postgres(postgres) => {
                let login = postgres.login.here(&self.name)?;
                Ok(Lease::Postgres(login.route(&self.name, place)))
            }
            Access::Ssh(_) => Err(LeaseError::NothingBeside {
                target: self.name.clone(),
            }),
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
    /// errors call it. Certificate files are read now, credentials when a session needs them, by `broker`.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(text: &str, file: &str, base: &Path, broker: &Broker) -> Result<Self, CatalogueError> {
        Reader {
            text,
            file,
            base,
            side: Side::Gateway,
        }
        .catalogue(broker)
    }

    /// The same for an agent's own file: it says how targets are logged in to, and nothing of what may be done there.
    ///
    /// # Errors
    /// As [`Catalogue::parse`].
    pub fn parse_for_agent(text: &str, file: &str, base: &Path, broker: &Broker) -> Result<Self, CatalogueError> {
        Reader {
            text,
            file,
            base,
            side: Side::Agent,
        }
        .catalogue(broker)
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
    side: Side,
}

impl Reader<'_> {
    fn catalogue(&self, broker: &Broker) -> Result<Catalogue, CatalogueError> {
        let parsed: File = toml::from_str(self.text)
            .map_err(|error| self.error(error.span().unwrap_or(0..0), error.message().to_owned()))?;
        let credentials = self.stores(&parsed, broker)?;
        let mut targets = Vec::with_capacity(parsed.target.len());
        let mut by_name = HashMap::new();
        for entry in &parsed.target {
            // Before any of them is read.
            self.check_own(entry.get_ref(), broker)?;
            let target = Arc::new(self.target(entry, &credentials)?);
            if by_name.insert(target.name.clone(), target.clone()).is_some() {
                let message = format!("there is already a target `{}`", target.name);
                return Err(self.error(entry.get_ref().name.span(), message));
            }
            targets.push(target);
        }
        Ok(Catalogue {
            targets: targets.into(),
            by_name: Arc::new(by_name),
        })
    }

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

    fn target(&self, spanned: &Spanned<Entry>, credentials: &Arc<Credentials>) -> Result<Target, CatalogueError> {
        let entry = spanned.get_ref();
        let access = match entry.protocol.get_ref().as_str() {
            "postgres" => {
                self.misplaced("postgres", &entry.of_ssh())?;
                self.check_side(entry)?;
                Access::Postgres(self.postgres(spanned)?)
            }
            "ssh" => {
                self.misplaced("ssh", &entry.of_postgres())?;
                self.check_side(entry)?;
                Access::Ssh(self.ssh(spanned)?)
            }
            other => {
                let message = format!("`{other}` is no protocol; there are `postgres` and `ssh`");
                return self.at(&entry.protocol, message);
            }
        };
        self.check_sources(entry, credentials)?;
        let tags = entry.tags.as_ref().map(|tags| tags.get_ref().as_slice());
        Ok(Target {
            name: self.name(&entry.name)?,
            environment: entry.environment.as_ref().map(|name| name.get_ref().into()),
            tags: tags.unwrap_or_default().iter().map(SmolStr::from).collect(),
            access,
            credentials: Arc::clone(credentials),
        })
    }

    /// Each side writes down what it alone decides. What stands in the other's file would do nothing.
    fn check_side(&self, entry: &Entry) -> Result<(), CatalogueError> {
        let found = |places: Vec<Place>| places.into_iter().find_map(|(option, span)| Some((option, span?)));
        match (self.side, &entry.agent) {
            (Side::Gateway, None) => Ok(()),
            (Side::Gateway, Some(agent)) => match found(entry.of_login()) {
                None => Ok(()),
                Some((option, span)) => {
                    let agent = agent.get_ref();
                    let message = format!("`{option}` belongs in the targets.toml of the agents `{agent}`, who log in");
                    Err(self.error(span, message))
                }
            },
            (Side::Agent, _) => match found(entry.of_judging()) {
                None => Ok(()),
                Some((option, span)) => {
                    let message = format!("`{option}` belongs in the gateway's targets.toml: an agent only logs in");
                    Err(self.error(span, message))
                }
            },
        }
    }

    /// How to log in, which `read` knows, unless an agent does.
    fn way<L>(
        &self,
        entry: &Entry,
        read: impl FnOnce() -> Result<L, CatalogueError>,
    ) -> Result<Way<L>, CatalogueError> {
        match &entry.agent {
            None => read().map(Way::Here),
            Some(agent) => Ok(Way::Agent(self.agent(agent)?)),
        }
    }

    /// A name that agents can join under.
    fn agent(&self, agent: &Spanned<String>) -> Result<SmolStr, CatalogueError> {
        let text = agent.get_ref();
        if !text.is_ascii() || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            let message = format!(
                "`{}` is no agent's name: letters, digits, `-`, `_`, `.`, a letter or a digit first",
                text.escape_debug()
            );
            return self.at(agent, message);
        }
        self.name(agent)
    }

    fn address(&self, spanned: &Spanned<Entry>) -> Result<Address, CatalogueError> {
        let entry = spanned.get_ref();
        let Some(address) = &entry.address else {
            let message = format!("`{}` needs an `address`, or an `agent`", entry.name.get_ref());
            return self.at(spanned, message);
        };
        match address.get_ref().parse() {
            Ok(parsed) => Ok(parsed),
            Err(error) => self.at(address, format!("{error}")),
        }
    }

    fn patience(&self, entry: &Entry) -> Result<Patience, CatalogueError> {
        Ok(Patience {
            connect: self.seconds(&entry.connect_timeout_s, DEFAULT_CONNECT_TIMEOUT)?,
            login: self.seconds(&entry.login_timeout_s, DEFAULT_LOGIN_TIMEOUT)?,
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

    /// The account to log in to.
    fn some_user<'e>(&self, spanned: &'e Spanned<Entry>) -> Result<&'e Spanned<String>, CatalogueError> {
        let entry = spanned.get_ref();
        match &entry.user {
            Some(user) => Ok(user),
            None => self.at(spanned, format!("`{}` needs a `user`", entry.name.get_ref())),
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
