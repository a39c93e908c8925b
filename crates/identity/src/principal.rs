//! Who somebody is, once it has been shown.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// The longest name of a principal, in bytes.
const MAX_ID_BYTES: usize = 128;
/// The longest name of a group, in bytes.
const MAX_GROUP_BYTES: usize = 256;
/// The most groups that one principal may be in.
pub const MAX_GROUPS: usize = 256;
/// The issuer of principals from the people file.
pub const LOCAL_ISSUER: &str = "local";

/// Whether a person or a program acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A person.
    #[default]
    User,
    /// A program: a CI job, an automation, an agent.
    Machine,
}

/// A user or a machine, with groups. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Principal {
    /// The name that rules and records use.
    pub id: SmolStr,
    /// User or machine.
    pub kind: Kind,
    /// Its groups, sorted, each once.
    pub groups: Arc<[SmolStr]>,
    /// Equal for two principals that are the same person. Compare with [`crate::Identities::same_person`] when one
    /// side comes from an earlier time.
    pub person: SmolStr,
    /// Who vouches: [`LOCAL_ISSUER`] or the URL of an OpenID provider.
    pub issuer: SmolStr,
}

impl Principal {
    /// Whether it is in `group`.
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }
}

/// Why a name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Not a principal's name.
    #[error(
        "`{0}` cannot be a principal's name: 1 to 128 ASCII letters, digits or `.` `_` `-` `@` `+` `:` `|` `=`, beginning with a letter or digit"
    )]
    Principal(String),
    /// Not an agent's name.
    #[error(
        "`{0}` cannot be an agent's name: 1 to 63 letters, digits, `-`, `_` and `.`, beginning with a letter or a digit, and \
         neither a UUID nor `authority`, `machines` or `tokens`"
    )]
    Agent(String),
    /// Not a group's name.
    #[error("`{0}` cannot be a group's name: 1 to 256 bytes without control characters")]
    Group(String),
    /// More groups than anybody may have.
    #[error("{0} groups are more than the {MAX_GROUPS} that one principal may be in")]
    TooManyGroups(usize),
}

/// Checks a principal's name.
///
/// # Errors
/// When it is empty, too long or has characters that could be mistaken.
pub fn check_id(id: &str) -> Result<(), NameError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-@+:|=".contains(c);
    let good =
        id.len() <= MAX_ID_BYTES && id.starts_with(|c: char| c.is_ascii_alphanumeric()) && id.chars().all(allowed);
    if good {
        Ok(())
    } else {
        Err(NameError::Principal(shown(id)))
    }
}

/// Checks, sorts and deduplicates groups.
///
/// # Errors
/// When there are too many, or one has a name that cannot be used.
pub fn checked_groups<S: AsRef<str>>(groups: &[S]) -> Result<Arc<[SmolStr]>, NameError> {
    if groups.len() > MAX_GROUPS {
        return Err(NameError::TooManyGroups(groups.len()));
    }
    let mut checked = Vec::with_capacity(groups.len());
    for group in groups {
        let group = group.as_ref();
        if group.is_empty() || group.len() > MAX_GROUP_BYTES || group.chars().any(char::is_control) {
            return Err(NameError::Group(shown(group)));
        }
        checked.push(SmolStr::new(group));
    }
    checked.sort_unstable();
    checked.dedup();
    Ok(checked.into())
}

/// At most forty characters of input, fit for a message.
pub(crate) fn shown(input: &str) -> String {
    input.chars().take(40).flat_map(char::escape_debug).collect()
}
