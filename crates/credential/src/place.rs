//! Where the secret of a login at a store is.

use std::{path::Path, time::Duration};

use secrecy::SecretString;

use crate::{CredentialError, Environment, SecretKind, file, names::Checked};

/// A file or a variable.
pub(crate) enum Place<'a> {
    File(&'a Path),
    Variable(&'a str),
}

impl<'a> Place<'a> {
    /// The one of two options that is given; `option` is what both begin with.
    pub(crate) fn of(option: &str, file: Option<&'a Path>, variable: Option<&'a str>) -> Checked<Self> {
        match (file, variable) {
            (Some(file), None) => Ok(Self::File(file)),
            (None, Some("")) => Err(format!("`{option}_env` is empty")),
            (None, Some(variable)) => Ok(Self::Variable(variable)),
            (None, None) => Err(format!("`{option}_file` or `{option}_env` must be given")),
            (Some(_), Some(_)) => Err(format!("`{option}_file` and `{option}_env` exclude each other")),
        }
    }

    /// What is there now.
    pub(crate) async fn read(
        &self,
        store: &str,
        environment: &Environment,
        within: Duration,
    ) -> Result<SecretString, CredentialError> {
        let away = |why| CredentialError::Login {
            store: store.to_owned(),
            why,
        };
        match self {
            Self::File(path) => {
                let read = file::secret(SecretKind::Password, path, within).await;
                // The error speaks of a password; what is missing here is a login.
                read.map_err(|error| match error {
                    CredentialError::File { path, source, .. } => {
                        away(format!("cannot read `{}`: {source}", path.display()))
                    }
                    CredentialError::Content { .. }
                    | CredentialError::Environment { .. }
                    | CredentialError::Command { .. }
                    | CredentialError::Service { .. }
                    | CredentialError::Unfit { .. }
                    | CredentialError::Login { .. }
                    | CredentialError::Setting(_) => {
                        away(format!("`{}` has nothing in its first line", path.display()))
                    }
                })
            }
            Self::Variable(name) => {
                let value = environment.secret(name);
                value.ok_or_else(|| away(format!("the environment variable `{name}` is not set")))
            }
        }
    }
}
