//! The people file: principals for machines without an identity provider, and those of client certificates.
//!
//! ```toml
//! [[person]]
//! id = "alice"
//! groups = ["developers"]
//! password = "$argon2id$…"                 # `sallyport people add alice --group developers`
//! email = "alice@example.com"              # the same person as the provider's user with this verified address
//! certificates = [{ sha256 = "…" }, { name = "alice", authority = "corp" }]
//! ssh_keys = ["ssh-ed25519 AAAA… laptop"]
//!
//! [[authority]]
//! name = "corp"
//! file = "corp-ca.pem"                     # beside this file
//! ```

mod certificates;
mod edit;
mod password;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls_pki_types::{CertificateDer, UnixTime};
use sallyport_ssh_transport::keys::{KeyError, PublicKey};
use secrecy::SecretString;
use serde::Deserialize;
use smol_str::SmolStr;
use time::OffsetDateTime;

pub use certificates::fingerprint;
pub use edit::{EditError, Listed, PeopleEditor};
pub use password::{PasswordError, hash_password};
pub(crate) use password::{Verifier, check_hash};

use crate::principal::{Kind, NameError, check_id, checked_groups};
use certificates::{Authorities, parse_fingerprint};

/// The largest people file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Why the people file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeopleError {
    /// It cannot be read.
    #[error("the people file `{}` cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Others than its owner may change it.
    #[error("the people file `{}` can be written by others than its owner (chmod 600)", .0.display())]
    Exposed(PathBuf),
    /// It is longer than any is meant to be.
    #[error("the people file `{}` is longer than {} MiB", .0.display(), MAX_FILE_BYTES >> 20)]
    TooLong(PathBuf),
    /// It was there, and is no more.
    #[error("the people file `{}` is gone", .0.display())]
    Gone(PathBuf),
    /// Reading it was broken off.
    #[error("reading the people file was broken off: {0}")]
    Stopped(String),
    /// It is not the TOML that is expected.
    #[error("the people file `{}` is not understood: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why, with the line.
        message: String,
    },
    /// A name is not one.
    #[error("the people file: {0}")]
    Name(#[from] NameError),
    /// Two persons have the same name.
    #[error("the people file has two entries called `{0}`")]
    Twice(SmolStr),
    /// A password hash is not one, or too weak or too costly.
    #[error("the password of `{id}` in the people file: {source}")]
    Password {
        /// Whose.
        id: SmolStr,
        /// What is wrong.
        source: PasswordError,
    },
    /// A certificate entry or an authority cannot be used.
    #[error("the people file: {0}")]
    Certificate(String),
    /// An SSH key cannot be used.
    #[error("an SSH key of `{id}` in the people file: {source}")]
    SshKey {
        /// Whose.
        id: SmolStr,
        /// What is wrong.
        source: KeyError,
    },
    /// Two persons have the same SSH key, so that nobody could tell who used it.
    #[error("the people file: `{0}` and `{1}` have the same SSH key")]
    SharedSshKey(SmolStr, SmolStr),
}

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    person: Vec<Entry>,
    #[serde(default)]
    authority: Vec<AuthorityEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    groups: Vec<String>,
    password: Option<SecretString>,
    email: Option<String>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    since: Option<OffsetDateTime>,
    #[serde(default)]
    certificates: Vec<CertificateEntry>,
    #[serde(default)]
    ssh_keys: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateEntry {
    sha256: Option<String>,
    name: Option<String>,
    authority: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorityEntry {
    name: String,
    file: PathBuf,
}

/// What the fuzzers read of a people file: each name, and how many groups it has. Authorities are looked for where none
/// are.
///
/// # Errors
/// The first mistake.
#[cfg(feature = "testing")]
pub fn parsed(text: &str) -> Result<Vec<(SmolStr, usize)>, PeopleError> {
    let people = People::parse(text, Path::new("/nonexistent/people.toml"))?;
    let persons = people.iter();
    Ok(persons.map(|person| (person.id.clone(), person.groups.len())).collect())
}

/// One person or machine of the file.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: SmolStr,
    pub(crate) kind: Kind,
    pub(crate) groups: Arc<[SmolStr]>,
    /// An argon2id hash that was checked.
    pub(crate) password: Option<SecretString>,
    /// In lower case.
    pub(crate) email: Option<SmolStr>,
    /// Tokens that are older belong to somebody who had the name before, or to the password before.
    pub(crate) since: Option<OffsetDateTime>,
}

/// The people file, read and checked.
#[derive(Debug, Default)]
pub(crate) struct People {
    persons: HashMap<SmolStr, Person>,
    pinned: HashMap<[u8; 32], SmolStr>,
    named: HashMap<(SmolStr, SmolStr), SmolStr>,
    authorities: Authorities,
    ssh_keys: HashMap<PublicKey, SmolStr>,
}

impl People {
    /// Reads the file. One that does not exist yet holds nobody.
    pub(crate) fn load(path: &Path) -> Result<Self, PeopleError> {
        match read(path)? {
            Some(text) => Self::parse(&text, path),
            None => Ok(Self::default()),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, PeopleError> {
        let file: File = toml::from_str(text).map_err(|e| PeopleError::Syntax {
            path: path.to_owned(),
            message: e.message().to_owned(),
        })?;
        Self::checked(file, path.parent().unwrap_or(Path::new(".")))
    }

    fn checked(file: File, beside: &Path) -> Result<Self, PeopleError> {
        let mut people = Self::default();
        for authority in &file.authority {
            people.authorities.add(&authority.name, &beside.join(&authority.file))?;
        }
        for entry in file.person {
            check_id(&entry.id)?;
            let id = SmolStr::new(&entry.id);
            for certificate in &entry.certificates {
                people.add_certificate(&id, certificate)?;
            }
            for line in &entry.ssh_keys {
                people.add_ssh_key(&id, line)?;
            }
            let person = Person::checked(id.clone(), entry)?;
            if people.persons.insert(id.clone(), person).is_some() {
                return Err(PeopleError::Twice(id));
            }
        }
        Ok(people)
    }

    fn add_certificate(&mut self, id: &SmolStr, entry: &CertificateEntry) -> Result<(), PeopleError> {
        let taken = match (&entry.sha256, &entry.name, &entry.authority) {
            (Some(hex), None, None) => self.pinned.insert(parse_fingerprint(hex)?, id.clone()),
            (None, Some(name), Some(authority)) => {
                if !self.authorities.knows(authority) {
                    return Err(PeopleError::Certificate(format!(
                        "no authority is called `{authority}`"
                    )));
                }
                self.named.insert((authority.into(), name.into()), id.clone())
            }
            _ => {
                return Err(PeopleError::Certificate(format!(
                    "a certificate of `{id}` needs `sha256`, or `name` and `authority`"
                )));
            }
        };
        match taken {
            None => Ok(()),
            Some(other) => Err(PeopleError::Certificate(format!(
                "`{other}` and `{id}` have the same certificate"
            ))),
        }
    }

    fn add_ssh_key(&mut self, id: &SmolStr, line: &str) -> Result<(), PeopleError> {
        let key: PublicKey = line
            .parse()
            .map_err(|source| PeopleError::SshKey { id: id.clone(), source })?;
        match self.ssh_keys.insert(key, id.clone()) {
            Some(other) if other != *id => Err(PeopleError::SharedSshKey(other, id.clone())),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the entry called `id` has this key.
    pub(crate) fn has_ssh_key(&self, id: &str, key: &PublicKey) -> bool {
        self.ssh_keys.get(key).is_some_and(|owner| owner == id)
    }

    /// The keys of the entry called `id`.
    pub(crate) fn ssh_keys_of(&self, id: &str) -> impl Iterator<Item = &PublicKey> {
        let owned = move |(_, owner): &(&PublicKey, &SmolStr)| *owner == id;
        self.ssh_keys.iter().filter(owned).map(|(key, _)| key)
    }

    /// The keys that are gone, with whose they were, when `self` replaces `old`.
    pub(crate) fn ssh_keys_gone_since<'a>(
        &'a self,
        old: &'a Self,
    ) -> impl Iterator<Item = (&'a PublicKey, &'a SmolStr)> {
        old.ssh_keys.iter().filter(|(key, owner)| !self.has_ssh_key(owner, key))
    }

    /// The entry called `id`.
    pub(crate) fn get(&self, id: &str) -> Option<&Person> {
        self.persons.get(id)
    }

    /// Everybody.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Person> {
        self.persons.values()
    }

    /// Whether anybody can log in with a password.
    pub(crate) fn has_passwords(&self) -> bool {
        self.persons.values().any(|p| p.password.is_some())
    }

    /// Whose certificate `chain` (the leaf first) is, with its validity and, unless it is pinned, its path to the
    /// authority checked.
    pub(crate) fn by_certificate(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Option<&Person> {
        let (leaf, rest) = chain.split_first()?;
        let id = match self.pinned.get(&fingerprint(leaf)) {
            Some(id) if certificates::is_current(leaf, now) => id,
            Some(_) => return None,
            None => {
                let name = certificates::common_name(leaf)?;
                let authority = self.authorities.that_signed(leaf, rest, now, |authority| {
                    self.named.contains_key(&(authority.clone(), name.clone()))
                })?;
                self.named.get(&(authority, name))?
            }
        };
        self.persons.get(id)
    }

    /// The names whose tokens must end when `self` replaces `old`: gone, or with another password.
    pub(crate) fn ended_since(&self, old: &Self) -> Vec<SmolStr> {
        let ended = |person: &&Person| match self.get(&person.id) {
            None => true,
            Some(new) => {
                let (new_hash, old_hash) = (exposed(new.password.as_ref()), exposed(person.password.as_ref()));
                (old_hash.is_some() && new_hash != old_hash) || (new.since != person.since && new.since.is_some())
            }
        };
        old.iter().filter(ended).map(|p| p.id.clone()).collect()
    }

    /// The names whose sessions must end because they are somebody else to policy now, though their tokens stay.
    pub(crate) fn changed_since(&self, old: &Self) -> HashSet<SmolStr> {
        let changed = |person: &&Person| {
            self.get(&person.id)
                .is_some_and(|new| new.kind != person.kind || new.groups != person.groups || new.email != person.email)
        };
        old.iter().filter(changed).map(|p| p.id.clone()).collect()
    }

    /// Whether the certificates of anybody changed.
    pub(crate) fn same_certificates(&self, old: &Self) -> bool {
        self.pinned == old.pinned && self.named == old.named && self.authorities == old.authorities
    }
}

fn exposed(secret: Option<&SecretString>) -> Option<&str> {
    use secrecy::ExposeSecret;
    secret.map(ExposeSecret::expose_secret)
}

impl Person {
    fn checked(id: SmolStr, entry: Entry) -> Result<Self, PeopleError> {
        if let Some(hash) = &entry.password {
            check_hash(hash).map_err(|source| PeopleError::Password { id: id.clone(), source })?;
        }
        Ok(Self {
            id,
            kind: entry.kind,
            groups: checked_groups(&entry.groups)?,
            password: entry.password,
            email: entry.email.map(|e| e.to_lowercase().into()),
            since: entry.since,
        })
    }
}

/// What tells whether the file changed, without reading it: time, size and inode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp(Option<(SystemTime, u64, u64)>);

impl Stamp {
    pub(crate) fn of(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        let of = |m: std::fs::Metadata| m.modified().ok().map(|at| (at, m.len(), m.ino()));
        Self(std::fs::metadata(path).ok().and_then(of))
    }

    pub(crate) fn is_missing(self) -> bool {
        self.0.is_none()
    }
}

fn read(path: &Path) -> Result<Option<String>, PeopleError> {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    let failed = |source| PeopleError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    if file.metadata().map_err(failed)?.permissions().mode() & 0o022 != 0 {
        return Err(PeopleError::Exposed(path.to_owned()));
    }
    let mut text = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).map_err(failed)?;
    // A part of it would be read as a file without the persons of the rest.
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(PeopleError::TooLong(path.to_owned()));
    }
    let not_text = |e| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, e));
    String::from_utf8(text).map(Some).map_err(not_text)
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod book_tests;
