//! Changes to the people file that leave the rest of it, comments included, as it is.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, value};

use super::{PasswordError, PeopleError, hash_password, read};
use crate::principal::{Kind, check_id, checked_groups};

/// Why the people file cannot be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The file as it is cannot be used, or would not be usable after the change.
    #[error(transparent)]
    File(#[from] PeopleError),
    /// The password cannot be used.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The person is there.
    #[error("`{0}` is in the people file already")]
    Exists(String),
    /// The person is not there.
    #[error("`{0}` is not in the people file")]
    Unknown(String),
    /// The file cannot be written.
    #[error("the people file `{}` cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Somebody in the people file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub id: String,
    /// User or machine.
    pub kind: Kind,
    /// The groups.
    pub groups: Vec<String>,
    /// Whether there is a password.
    pub has_password: bool,
}

/// The people file, open for changes. Nothing is written before [`PeopleEditor::save`].
#[derive(Debug)]
pub struct PeopleEditor {
    path: PathBuf,
    document: DocumentMut,
}

impl PeopleEditor {
    /// Reads the file; a new one is begun when there is none.
    ///
    /// # Errors
    /// When the file cannot be read or is not TOML.
    pub fn open(path: &Path) -> Result<Self, EditError> {
        let text = read(path)?.unwrap_or_default();
        let document = text.parse().map_err(|e: toml_edit::TomlError| PeopleError::Syntax {
            path: path.to_owned(),
            message: e.message().to_owned(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            document,
        })
    }

    /// Adds a person or a machine, with a password if one is given.
    ///
    /// # Errors
    /// When the name is taken, or name, groups or password cannot be used.
    pub fn add(
        &mut self,
        id: &str,
        kind: Kind,
        groups: &[String],
        password: Option<&SecretString>,
        now: OffsetDateTime,
    ) -> Result<(), EditError> {
        check_id(id).map_err(PeopleError::from)?;
        if self.find(id).is_some() {
            return Err(EditError::Exists(id.to_owned()));
        }
        let mut person = Table::new();
        person.insert("id", value(id));
        if kind == Kind::Machine {
            person.insert("kind", value("machine"));
        }
        person.insert("groups", groups_value(groups)?);
        if let Some(password) = password {
            person.insert("password", value(hash_password(password)?.expose_secret()));
        }
        person.insert("since", value(moment(now)));
        let persons = self
            .document
            .entry("person")
            .or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        match persons.as_array_of_tables_mut() {
            Some(persons) => persons.push(person),
            None => {
                return Err(self.syntax("`person` is not a list of `[[person]]` tables").into());
            }
        }
        Ok(())
    }

    /// Sets a new password. Tokens and logins from before end.
    ///
    /// # Errors
    /// When there is no such person or the password cannot be used.
    pub fn set_password(&mut self, id: &str, password: &SecretString, now: OffsetDateTime) -> Result<(), EditError> {
        let hash = hash_password(password)?;
        let person = self.find_mut(id)?;
        person.insert("password", value(hash.expose_secret()));
        person.insert("since", value(moment(now)));
        Ok(())
    }

    /// Sets the groups.
    ///
    /// # Errors
    /// When there is no such person or a group's name cannot be used.
    pub fn set_groups(&mut self, id: &str, groups: &[String]) -> Result<(), EditError> {
        let groups = groups_value(groups)?;
        self.find_mut(id)?.insert("groups", groups);
        Ok(())
    }

    /// Sets the e-mail address: a provider's user with this verified address is the same person.
    ///
    /// # Errors
    /// When there is no such person.
    pub fn set_email(&mut self, id: &str, email: &str) -> Result<(), EditError> {
        self.find_mut(id)?.insert("email", value(email));
        Ok(())
    }

    /// Lets a client certificate in, by its [`super::fingerprint`].
    ///
    /// # Errors
    /// When there is no such person.
    pub fn add_certificate(&mut self, id: &str, fingerprint: [u8; 32]) -> Result<(), EditError> {
        let mut entry = InlineTable::new();
        entry.insert("sha256", hex::encode(fingerprint).into());
        let wrong = self.syntax("`certificates` is not a list");
        let list = self.find_mut(id)?.entry("certificates").or_insert(value(Array::new()));
        list.as_array_mut().ok_or(wrong)?.push(entry);
        Ok(())
    }

    /// Lets an SSH key in, given as in `authorized_keys`.
    ///
    /// # Errors
    /// When there is no such person. Whether the key can be used, [`PeopleEditor::save`] says.
    pub fn add_ssh_key(&mut self, id: &str, line: &str) -> Result<(), EditError> {
        let wrong = self.syntax("`ssh_keys` is not a list");
        let list = self.find_mut(id)?.entry("ssh_keys").or_insert(value(Array::new()));
        list.as_array_mut().ok_or(wrong)?.push(line.trim());
        Ok(())
    }

    /// Removes a person. Tokens and logins end.
    ///
    /// # Errors
    /// When there is no such person.
    pub fn remove(&mut self, id: &str) -> Result<(), EditError> {
        let at = self.find(id).ok_or_else(|| EditError::Unknown(id.to_owned()))?;
        if let Some(persons) = self.persons_mut() {
            persons.remove(at);
        }
        Ok(())
    }

    /// Everybody in the file, by name.
    ///
    /// # Errors
    /// When the file does not make sense.
    pub fn list(&self) -> Result<Vec<Listed>, EditError> {
        let people = self.checked()?;
        let listed = |person: &super::Person| Listed {
            id: person.id.to_string(),
            kind: person.kind,
            groups: person.groups.iter().map(ToString::to_string).collect(),
            has_password: person.password.is_some(),
        };
        let mut list: Vec<_> = people.iter().map(listed).collect();
        list.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(list)
    }

    /// Writes the file, with mode 0600, all or nothing.
    ///
    /// # Errors
    /// When the result would not be a people file, or cannot be written.
    pub fn save(&self) -> Result<(), EditError> {
        self.checked()?;
        crate::files::write_private(&self.path, self.document.to_string().as_bytes()).map_err(|source| {
            EditError::Write {
                path: self.path.clone(),
                source,
            }
        })
    }

    fn checked(&self) -> Result<super::People, PeopleError> {
        let file = toml::from_str(&self.document.to_string()).map_err(|e| self.syntax(e.message()))?;
        super::People::checked(file, self.path.parent().unwrap_or(Path::new(".")))
    }

    fn syntax(&self, message: &str) -> PeopleError {
        PeopleError::Syntax {
            path: self.path.clone(),
            message: message.to_owned(),
        }
    }

    fn persons_mut(&mut self) -> Option<&mut ArrayOfTables> {
        self.document.get_mut("person")?.as_array_of_tables_mut()
    }

    fn find(&self, id: &str) -> Option<usize> {
        let persons = self.document.get("person")?.as_array_of_tables()?;
        persons
            .iter()
            .position(|p| p.get("id").and_then(Item::as_str) == Some(id))
    }

    fn find_mut(&mut self, id: &str) -> Result<&mut Table, EditError> {
        let at = self.find(id);
        at.and_then(|at| self.persons_mut()?.get_mut(at))
            .ok_or_else(|| EditError::Unknown(id.to_owned()))
    }
}

fn groups_value(groups: &[String]) -> Result<Item, PeopleError> {
    Ok(value(
        checked_groups(groups)?
            .iter()
            .map(ToString::to_string)
            .collect::<Array>(),
    ))
}

fn moment(now: OffsetDateTime) -> String {
    now.format(&Rfc3339).unwrap_or_default()
}
