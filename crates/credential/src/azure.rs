//! [Azure Key Vault](https://learn.microsoft.com/en-us/rest/api/keyvault/secrets/get-secret/get-secret), and the ways to a
//! token for it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::{
    CredentialError, Environment, Leased, Need,
    bearer::{Bearer, given},
    http::{Answer, LONG, SHORT, Service, bearer},
    login::Cached,
    names::{self, Checked, escape},
    pick::Pick,
    place::Place,
};

const API: &str = "7.4";
/// The metadata service of a machine.
const MACHINE: &str = "http://169.254.169.254";
const METADATA: Duration = Duration::from_secs(5);
/// Where key vaults are, in the clouds that there are. A token for one cloud's is sent nowhere else.
const VAULTS: &[&str] = &["vault.azure.net", "vault.azure.cn", "vault.usgovcloudapi.net"];
/// Who gives tokens.
const AUTHORITIES: &[&str] = &["microsoftonline.com", "microsoftonline.us", "chinacloudapi.cn"];
const AUTHORITY: &str = "https://login.microsoftonline.com";

/// A key vault and how to log in there.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct AzureStore {
    /// What sources call it.
    pub name: String,
    /// `https://NAME.vault.azure.net`.
    pub vault: String,
    /// How to log in.
    pub login: AzureLogin,
    /// Who gives tokens; `AZURE_AUTHORITY_HOST`, or the public cloud's when absent.
    pub authority: Option<String>,
    /// The metadata service's address. For tests: on loopback only.
    pub metadata_endpoint: Option<String>,
    /// Authorities to trust, PEM; the operating system's when absent.
    pub ca_file: Option<PathBuf>,
}

/// How to log in at Entra.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AzureLogin {
    /// The identity of the machine, or one of several.
    ManagedIdentity {
        /// Which one.
        client_id: Option<String>,
    },
    /// A token of somebody else's, such as a pod's.
    WorkloadIdentity {
        /// The tenant; `AZURE_TENANT_ID` when absent.
        tenant: Option<String>,
        /// The application; `AZURE_CLIENT_ID` when absent.
        client_id: Option<String>,
        /// A file with the token; the one that `AZURE_FEDERATED_TOKEN_FILE` names when absent.
        token_file: Option<PathBuf>,
    },
    /// An application's secret.
    ClientSecret {
        /// The tenant.
        tenant: String,
        /// The application.
        client_id: String,
        /// A file with the secret.
        client_secret_file: Option<PathBuf>,
        /// A variable with the secret.
        client_secret_env: Option<String>,
    },
}

impl AzureStore {
    pub(crate) fn check(&self) -> Checked {
        names::plain("name", &self.name)?;
        names::address_within("vault", &self.vault, VAULTS)?;
        if let Some(authority) = &self.authority {
            names::address_within("authority", authority, AUTHORITIES)?;
        }
        if let Some(endpoint) = &self.metadata_endpoint {
            names::local_address("metadata_endpoint", endpoint)?;
        }
        match &self.login {
            AzureLogin::ManagedIdentity { client_id } => check("client_id", client_id.as_deref()),
            AzureLogin::WorkloadIdentity { tenant, client_id, .. } => {
                check("tenant", tenant.as_deref())?;
                check("client_id", client_id.as_deref())
            }
            AzureLogin::ClientSecret {
                tenant,
                client_id,
                client_secret_file,
                client_secret_env,
            } => {
                names::plain("tenant", tenant)?;
                names::plain("client_id", client_id)?;
                Place::of(
                    "client_secret",
                    client_secret_file.as_deref(),
                    client_secret_env.as_deref(),
                )
                .map(drop)
            }
        }
    }

    /// The files that it names.
    pub(crate) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let file = match &mut self.login {
            AzureLogin::ManagedIdentity { .. } => None,
            AzureLogin::WorkloadIdentity { token_file, .. } => token_file.as_mut(),
            AzureLogin::ClientSecret { client_secret_file, .. } => client_secret_file.as_mut(),
        };
        [file, self.ca_file.as_mut()].into_iter().flatten()
    }
}

fn check(option: &str, text: Option<&str>) -> Checked {
    text.map_or(Ok(()), |text| names::plain(option, text))
}

/// A secret in a key vault.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct AzureSecretSource {
    /// The name of an `[[azure]]`.
    pub store: String,
    /// The secret's name.
    pub secret: String,
    /// Its version; the newest when absent.
    pub version: Option<String>,
    /// The field with the secret, if it is a JSON object.
    pub field: Option<String>,
    /// The field with the user to log in as; the target's `user` when absent.
    pub user_field: Option<String>,
}

impl AzureSecretSource {
    pub(crate) fn check(&self) -> Checked {
        names::plain("secret", &self.secret)?;
        check("version", self.version.as_deref())?;
        self.pick().check()
    }

    fn pick(&self) -> Pick<'_> {
        Pick {
            field: self.field.as_deref(),
            user_field: self.user_field.as_deref(),
        }
    }
}

/// One key vault.
pub(crate) struct Azure {
    store: String,
    vault: Service,
    resource: String,
    authority: Service,
    metadata: Service,
    login: AzureLogin,
    environment: Environment,
    within: Duration,
    cached: Cached<Bearer>,
}

#[derive(Deserialize)]
struct Found {
    value: SecretString,
}

impl Azure {
    pub(crate) fn new(store: &AzureStore, environment: &Environment, within: Duration) -> Checked<Self> {
        store.check()?;
        let ca = store.ca_file.as_deref();
        let vault = names::address_within("vault", &store.vault, VAULTS)?;
        let told = environment.get("AZURE_AUTHORITY_HOST");
        let authority = store.authority.as_deref().or(told.as_deref()).unwrap_or(AUTHORITY);
        let authority = names::address_within("authority", authority, AUTHORITIES)?;
        let metadata = store.metadata_endpoint.as_deref().unwrap_or(MACHINE);
        let metadata = Url::parse(metadata).map_err(|_| "`metadata_endpoint` is not a URL".to_owned())?;
        let what = format!("Azure Key Vault `{}`", store.name);
        let shown = format!("the metadata service of {what}");
        Ok(Self {
            resource: resource(&vault),
            vault: Service::new(&what, &vault, ca, within),
            authority: Service::new(&format!("Entra for {what}"), &authority, ca, within),
            metadata: Service::new(&shown, &metadata, None, within.min(METADATA)),
            store: what,
            login: store.login.clone(),
            environment: environment.clone(),
            within,
            cached: Cached::new(),
        })
    }

    pub(crate) async fn secret(&self, source: &AzureSecretSource, need: &Need) -> Result<Leased, CredentialError> {
        let token = self.cached.get(None, self.log_in()).await?;
        let answer = match self.ask(&token, source).await {
            Err(error) if error.status() == Some(401) => {
                let token = self.cached.get(Some(&token), self.log_in()).await?;
                self.ask(&token, source).await?
            }
            answer => answer?,
        };
        let found = answer.json::<Found>()?;
        let place = || format!("`{}` in {}", source.secret, self.store);
        source.pick().lease(need, &found.value, place)
    }

    async fn ask(&self, token: &Arc<Bearer>, source: &AzureSecretSource) -> Result<Answer, CredentialError> {
        let version = source.version.as_deref().map(|version| format!("/{}", escape(version)));
        let path = format!(
            "/secrets/{}{}?api-version={API}",
            escape(&source.secret),
            version.unwrap_or_default()
        );
        let header = bearer(&token.token).map_err(|_| self.away("the token is none"))?;
        let request = self.vault.request(Method::GET, &path)?.header("Authorization", header);
        self.vault.send("the secret", request, LONG).await?.good(advice)
    }

    async fn log_in(&self) -> Result<Bearer, CredentialError> {
        match &self.login {
            AzureLogin::ManagedIdentity { client_id } => self.by_machine(client_id.as_deref()).await,
            AzureLogin::WorkloadIdentity {
                tenant,
                client_id,
                token_file,
            } => {
                let named = |text: &Option<String>, variable: &str| {
                    let text = text.clone().or_else(|| self.environment.get(variable));
                    text.ok_or_else(|| self.away(&format!("`{variable}` is not set")))
                };
                let tenant = named(tenant, "AZURE_TENANT_ID")?;
                let client = named(client_id, "AZURE_CLIENT_ID")?;
                let file = match token_file {
                    Some(file) => file.clone(),
                    None => named(&None, "AZURE_FEDERATED_TOKEN_FILE")?.into(),
                };
                let token = Place::File(&file)
                    .read(&self.store, &self.environment, self.within)
                    .await?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                let proof = [
                    ("client_assertion_type", kind),
                    ("client_assertion", token.expose_secret()),
                ];
                self.by_entra(&tenant, &client, &proof).await
            }
            AzureLogin::ClientSecret {
                tenant,
                client_id,
                client_secret_file,
                client_secret_env,
            } => {
                let place = Place::of(
                    "client_secret",
                    client_secret_file.as_deref(),
                    client_secret_env.as_deref(),
                );
                let place = place.map_err(CredentialError::Setting)?;
                let secret = place.read(&self.store, &self.environment, self.within).await?;
                self.by_entra(tenant, client_id, &[("client_secret", secret.expose_secret())])
                    .await
            }
        }
    }

    /// [Managed identities](https://learn.microsoft.com/en-us/entra/identity/managed-identities-azure-resources/how-to-use-vm-token).
    async fn by_machine(&self, client_id: Option<&str>) -> Result<Bearer, CredentialError> {
        let client = client_id
            .map(|id| format!("&client_id={}", escape(id)))
            .unwrap_or_default();
        let resource = escape(&self.resource);
        let path = format!("/metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource}{client}");
        let request = self.metadata.request(Method::GET, &path)?.header("Metadata", "true");
        given(
            &self
                .metadata
                .send("a token", request, SHORT)
                .await?
                .good(metadata_advice)?,
        )
    }

    /// The [client credentials](https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow) grant.
    async fn by_entra(&self, tenant: &str, client: &str, proof: &[(&str, &str)]) -> Result<Bearer, CredentialError> {
        names::plain("tenant", tenant).map_err(CredentialError::Setting)?;
        let scope = format!("{}/.default", self.resource);
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("scope", &scope),
        ];
        form.extend_from_slice(proof);
        let path = format!("/{}/oauth2/v2.0/token", escape(tenant));
        let request = self.authority.request(Method::POST, &path)?.form(&form);
        given(
            &self
                .authority
                .send("a token", request, SHORT)
                .await?
                .good(entra_advice)?,
        )
    }

    fn away(&self, why: &str) -> CredentialError {
        CredentialError::Login {
            store: self.store.clone(),
            why: why.to_owned(),
        }
    }
}

/// What tokens for a key vault are for: the cloud that it is in.
fn resource(vault: &Url) -> String {
    let host = vault.host_str().unwrap_or_default();
    let cloud = VAULTS.iter().find(|domain| host.ends_with(*domain));
    format!("https://{}", cloud.unwrap_or(&"vault.azure.net"))
}

fn advice(status: u16) -> &'static str {
    match status {
        401 => "it does not take the token: check that the vault is in the login's tenant",
        403 => {
            "the identity needs to get secrets (role `Key Vault Secrets User`), the vault's firewall must let this machine in, and the secret must be enabled"
        }
        404 => "there is no such secret, or no such version",
        429 => "it limits how often it is asked",
        _ => "see the vault's own log",
    }
}

fn metadata_advice(status: u16) -> &'static str {
    match status {
        400 | 404 => "this machine has no such managed identity",
        410 | 429 => "it is busy or being updated",
        _ => "see what the metadata service of this machine says",
    }
}

fn entra_advice(status: u16) -> &'static str {
    match status {
        400 | 401 => {
            "tenant, application, its secret or the federated token is wrong or expired: see the sign-in log of Entra"
        }
        _ => "see the sign-in log of Entra",
    }
}
