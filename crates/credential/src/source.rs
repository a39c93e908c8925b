//! Where a credential is, as `targets.toml` says it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{
    aws::{AwsSecretSource, RdsSource},
    azure::AzureSecretSource,
    command::CommandSource,
    google::GoogleSecretSource,
    kubernetes::KubernetesSecretSource,
    names::{self, Checked},
    vault::{DatabaseSource, KvSource, SshSource},
};

/// Where a credential is. It is fetched anew for each session, so a changed one is used at once.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "source", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Source {
    /// The first line of a file, or all of it for a private key.
    File(FileSource),
    /// An environment variable.
    Environment(VariableSource),
    /// What a program prints.
    Command(CommandSource),
    /// A secret in a KV engine of a Vault.
    VaultKv(KvSource),
    /// A user that a database engine of a Vault makes.
    VaultDatabase(DatabaseSource),
    /// A certificate that an SSH engine of a Vault makes.
    VaultSsh(SshSource),
    /// A secret in AWS Secrets Manager.
    AwsSecret(AwsSecretSource),
    /// A token for a database of RDS.
    AwsRdsToken(RdsSource),
    /// A secret in an Azure key vault.
    AzureSecret(AzureSecretSource),
    /// A secret in Google Secret Manager.
    GoogleSecret(GoogleSecretSource),
    /// A secret of Kubernetes.
    KubernetesSecret(KubernetesSecretSource),
}

/// A file.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    /// Where it is.
    pub path: PathBuf,
}

/// An environment variable.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct VariableSource {
    /// Its name.
    pub variable: String,
}

/// What a source gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// What somebody wrote there: a password, or a private key.
    Secret,
    /// A login at a database.
    DatabaseLogin,
    /// A certificate for a public key.
    Certificate,
}

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Vault,
    Aws,
    Azure,
    Google,
    Kubernetes,
}

impl StoreKind {
    /// What its table is called.
    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Vault => "vault",
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Google => "google",
            Self::Kubernetes => "kubernetes",
        }
    }
}

impl Source {
    /// The first line of a file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(FileSource { path: path.into() })
    }

    /// An environment variable.
    pub fn environment(variable: impl Into<String>) -> Self {
        let variable = variable.into();
        Self::Environment(VariableSource { variable })
    }

    /// Relative paths are relative to `base`, the directory of the file that this was written in.
    pub fn anchor(&mut self, base: &Path) {
        match self {
            Self::File(source) => names::anchor(&mut source.path, base),
            Self::Environment(_)
            | Self::Command(_)
            | Self::VaultKv(_)
            | Self::VaultDatabase(_)
            | Self::VaultSsh(_)
            | Self::AwsSecret(_)
            | Self::AwsRdsToken(_)
            | Self::AzureSecret(_)
            | Self::GoogleSecret(_)
            | Self::KubernetesSecret(_) => {}
        }
    }

    /// Whether it can be used at all, as far as it says itself. [`crate::Credentials::check`] also looks for its store.
    ///
    /// # Errors
    /// What is wrong with which option.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::File(source) if source.path.as_os_str().is_empty() => Err("`path` is empty".to_owned()),
            Self::File(_) => Ok(()),
            Self::Environment(source) => variable(&source.variable),
            Self::Command(source) => source.check(),
            Self::VaultKv(source) => source.check(),
            Self::VaultDatabase(source) => source.check(),
            Self::VaultSsh(source) => source.check(),
            Self::AwsSecret(source) => source.check(),
            Self::AwsRdsToken(source) => source.check(),
            Self::AzureSecret(source) => source.check(),
            Self::GoogleSecret(source) => source.check(),
            Self::KubernetesSecret(source) => source.check(),
        }
    }

    /// What it gives.
    pub fn gives(&self) -> Gives {
        match self {
            Self::VaultDatabase(_) | Self::AwsRdsToken(_) => Gives::DatabaseLogin,
            Self::VaultSsh(_) => Gives::Certificate,
            Self::File(_)
            | Self::Environment(_)
            | Self::Command(_)
            | Self::VaultKv(_)
            | Self::AwsSecret(_)
            | Self::AzureSecret(_)
            | Self::GoogleSecret(_)
            | Self::KubernetesSecret(_) => Gives::Secret,
        }
    }

    /// Whether it says whom to log in as.
    pub fn names_user(&self) -> bool {
        match self {
            Self::VaultDatabase(_) => true,
            Self::VaultKv(source) => source.user_field.is_some(),
            Self::AwsSecret(source) => source.user_field.is_some(),
            Self::AzureSecret(source) => source.user_field.is_some(),
            Self::GoogleSecret(source) => source.user_field.is_some(),
            Self::KubernetesSecret(source) => source.user_key.is_some(),
            Self::File(_) | Self::Environment(_) | Self::Command(_) | Self::VaultSsh(_) | Self::AwsRdsToken(_) => false,
        }
    }

    /// The store that it is in.
    pub(crate) fn store(&self) -> Option<(StoreKind, &str)> {
        match self {
            Self::File(_) | Self::Environment(_) | Self::Command(_) => None,
            Self::VaultKv(source) => Some((StoreKind::Vault, &source.store)),
            Self::VaultDatabase(source) => Some((StoreKind::Vault, &source.store)),
            Self::VaultSsh(source) => Some((StoreKind::Vault, &source.store)),
            Self::AwsSecret(source) => Some((StoreKind::Aws, &source.store)),
            Self::AwsRdsToken(source) => Some((StoreKind::Aws, &source.store)),
            Self::AzureSecret(source) => Some((StoreKind::Azure, &source.store)),
            Self::GoogleSecret(source) => Some((StoreKind::Google, &source.store)),
            Self::KubernetesSecret(source) => Some((StoreKind::Kubernetes, &source.store)),
        }
    }
}

fn variable(name: &str) -> Checked {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err("`variable` is no name of a variable".to_owned());
    }
    Ok(())
}
