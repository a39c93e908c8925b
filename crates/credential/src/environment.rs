//! Environment variables, given as a value: the process's own are shared by every thread.

use std::{collections::BTreeMap, env, fmt, sync::Arc};

use secrecy::SecretString;

/// What the names of variables begin with that are for the process itself, and for nobody who is logged in to.
const OWN: &str = "SALLYPORT_";

/// Where environment variables are looked up.
#[derive(Clone, Default)]
pub enum Environment {
    /// Those of this process, but what it is told itself by them.
    #[default]
    Process,
    /// These, and no others.
    Given(Arc<BTreeMap<String, String>>),
}

impl Environment {
    /// These variables, and no others.
    pub fn given<N: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let pairs = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self::Given(Arc::new(pairs.collect()))
    }

    /// A variable that is set, is text, and is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let value = match self {
            Self::Process if name.starts_with(OWN) => None,
            Self::Process => env::var(name).ok(),
            Self::Given(variables) => variables.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }

    /// The same, when the value is a secret.
    pub(crate) fn secret(&self, name: &str) -> Option<SecretString> {
        self.get(name).map(SecretString::from)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "Environment::Process",
            Self::Given(_) => "Environment::Given(…)",
        })
    }
}
