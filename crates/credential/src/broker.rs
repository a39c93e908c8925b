//! Who fetches credentials.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;

use crate::{
    AwsStore, AzureStore, Background, CredentialError, Environment, GoogleStore, KubernetesStore, Leased, Need, Source,
    VaultStore, aws::Aws, azure::Azure, file, google::Google, kubernetes::Kubernetes, names, source::StoreKind,
    vault::Vault,
};

/// How long one request, one command or one file may take, if nothing else is said.
const WITHIN: Duration = Duration::from_secs(10);

/// The stores that sources speak of, as a file says them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Stores {
    /// Vaults.
    #[serde(default)]
    pub vault: Vec<VaultStore>,
    /// Accounts of AWS.
    #[serde(default)]
    pub aws: Vec<AwsStore>,
    /// Key vaults of Azure.
    #[serde(default)]
    pub azure: Vec<AzureStore>,
    /// Identities at Google.
    #[serde(default)]
    pub google: Vec<GoogleStore>,
    /// Clusters.
    #[serde(default)]
    pub kubernetes: Vec<KubernetesStore>,
}

impl Stores {
    /// Relative paths are relative to `base`, the directory of the file that this was written in.
    pub fn anchor(&mut self, base: &Path) {
        self.files_mut().for_each(|file| names::anchor(file, base));
    }

    /// All files that they name: secrets of logins, and authorities.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.clone().files_mut().map(std::mem::take).collect()
    }

    fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let vault = self.vault.iter_mut();
        let vault = vault.flat_map(|store| store.login.file_mut().into_iter().chain(store.ca_file.as_mut()));
        let aws = self.aws.iter_mut();
        let aws = aws.flat_map(|store| store.login.file_mut().into_iter().chain(store.ca_file.as_mut()));
        let azure = self.azure.iter_mut().flat_map(AzureStore::files_mut);
        let google = self.google.iter_mut().flat_map(GoogleStore::files_mut);
        let kubernetes = self.kubernetes.iter_mut().flat_map(KubernetesStore::files_mut);
        vault.chain(aws).chain(azure).chain(google).chain(kubernetes)
    }
}

/// What a process decides about credentials, whatever its files say.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether sources may run commands. Who writes a source chooses the command, so this is for files that are nobody else's.
    pub commands: bool,
    /// How long one request, one command or one file may take.
    pub within: Duration,
    /// Where variables are looked up.
    pub environment: Environment,
    /// What keeps leases and ends them.
    pub background: Background,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            commands: false,
            within: WITHIN,
            environment: Environment::default(),
            background: Background::default(),
        }
    }
}

/// Fetches credentials. Logins at stores are shared by all who use this, and are kept no longer than they are good;
/// secrets are not kept at all.
pub struct Credentials {
    options: Options,
    vault: BTreeMap<String, Arc<Vault>>,
    aws: BTreeMap<String, Aws>,
    azure: BTreeMap<String, Azure>,
    google: BTreeMap<String, Google>,
    kubernetes: BTreeMap<String, Kubernetes>,
}

impl Credentials {
    /// Makes ready what is known of the stores. Nothing is asked of them yet.
    ///
    /// # Errors
    /// What is wrong with which store.
    pub fn new(stores: &Stores, options: Options) -> Result<Self, String> {
        let (environment, within) = (&options.environment, options.within);
        let vault = |store: &VaultStore| Vault::new(store, environment, &options.background, within).map(Arc::new);
        Ok(Self {
            vault: named(StoreKind::Vault, &stores.vault, |store| &store.name, vault)?,
            aws: named(
                StoreKind::Aws,
                &stores.aws,
                |store| &store.name,
                |store| Aws::new(store, environment, within),
            )?,
            azure: named(
                StoreKind::Azure,
                &stores.azure,
                |store| &store.name,
                |store| Azure::new(store, environment, within),
            )?,
            google: named(
                StoreKind::Google,
                &stores.google,
                |store| &store.name,
                |store| Google::new(store, within),
            )?,
            kubernetes: named(
                StoreKind::Kubernetes,
                &stores.kubernetes,
                |store| &store.name,
                |store| Kubernetes::new(store, environment, within),
            )?,
            options,
        })
    }

    /// Whether a source can be used: that its options make sense, that its store is there, and that commands may be
    /// run if it is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, source: &Source) -> Result<(), String> {
        self.understands(source)?;
        if let Source::Command(_) = source
            && !self.options.commands
        {
            return Err("sources that run commands are not permitted here".to_owned());
        }
        Ok(())
    }

    /// The same as far as whoever writes the file that the source is in can know: not whether commands may be run.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn understands(&self, source: &Source) -> Result<(), String> {
        source.check()?;
        let Some((kind, name)) = source.store() else {
            return Ok(());
        };
        let there = match kind {
            StoreKind::Vault => self.vault.contains_key(name),
            StoreKind::Aws => self.aws.contains_key(name),
            StoreKind::Azure => self.azure.contains_key(name),
            StoreKind::Google => self.google.contains_key(name),
            StoreKind::Kubernetes => self.kubernetes.contains_key(name),
        };
        if there { Ok(()) } else { Err(absent(kind, name)) }
    }

    /// Fetches a credential, from where it is, now.
    ///
    /// # Errors
    /// When it cannot be had. An older one is never given instead.
    ///
    /// # Cancel safety
    /// What had been made for a caller that is gone is ended again.
    pub async fn lease(&self, source: &Source, need: &Need) -> Result<Leased, CredentialError> {
        self.check(source).map_err(CredentialError::Setting)?;
        let Options {
            within, environment, ..
        } = &self.options;
        let fixed = |secret| Leased::fixed(None, secret, None);
        match source {
            Source::File(source) => file::secret(need.kind, &source.path, *within).await.map(fixed),
            Source::Environment(source) => {
                let absent = || CredentialError::Environment {
                    kind: need.kind,
                    name: source.variable.clone(),
                };
                environment.secret(&source.variable).map(fixed).ok_or_else(absent)
            }
            Source::Command(source) => source.run(need.kind, environment, *within).await.map(fixed),
            Source::VaultKv(source) => of(StoreKind::Vault, &self.vault, &source.store)?.kv(source, need).await,
            Source::VaultDatabase(source) => {
                of(StoreKind::Vault, &self.vault, &source.store)?
                    .database(source, need)
                    .await
            }
            Source::VaultSsh(source) => {
                of(StoreKind::Vault, &self.vault, &source.store)?
                    .sign_ssh(source, need)
                    .await
            }
            Source::AwsSecret(source) => of(StoreKind::Aws, &self.aws, &source.store)?.secret(source, need).await,
            Source::AwsRdsToken(source) => {
                of(StoreKind::Aws, &self.aws, &source.store)?
                    .rds_token(source, need)
                    .await
            }
            Source::AzureSecret(source) => {
                of(StoreKind::Azure, &self.azure, &source.store)?
                    .secret(source, need)
                    .await
            }
            Source::GoogleSecret(source) => {
                of(StoreKind::Google, &self.google, &source.store)?
                    .secret(source, need)
                    .await
            }
            Source::KubernetesSecret(source) => {
                of(StoreKind::Kubernetes, &self.kubernetes, &source.store)?
                    .secret(source, need)
                    .await
            }
        }
    }

    /// What keeps leases and ends them.
    pub fn background(&self) -> &Background {
        &self.options.background
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

fn of<'a, T>(kind: StoreKind, stores: &'a BTreeMap<String, T>, name: &str) -> Result<&'a T, CredentialError> {
    stores
        .get(name)
        .ok_or_else(|| CredentialError::Setting(absent(kind, name)))
}

fn absent(kind: StoreKind, name: &str) -> String {
    format!("there is no `[[{}]]` called `{name}`", kind.table())
}

/// Stores by their names.
fn named<S, T>(
    kind: StoreKind,
    stores: &[S],
    name: impl Fn(&S) -> &str,
    make: impl Fn(&S) -> Result<T, String>,
) -> Result<BTreeMap<String, T>, String> {
    let mut made = BTreeMap::new();
    for store in stores {
        let name = name(store);
        let table = kind.table();
        let one = make(store).map_err(|why| format!("`[[{table}]]` `{name}`: {why}"))?;
        if made.insert(name.to_owned(), one).is_some() {
            return Err(format!("two `[[{table}]]` are called `{name}`"));
        }
    }
    Ok(made)
}
