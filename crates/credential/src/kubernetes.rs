//! [Secrets of Kubernetes](https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/secret-v1/), read
//! with the token of a service account.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    CredentialError, Environment, Leased, Need, SecretKind,
    http::{Answer, LONG, Service, bearer},
    leased,
    names::{self, Checked, escape},
    place::Place,
    text::{fit, utf8},
};

/// What every pod gets.
const POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A cluster and a service account there.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct KubernetesStore {
    /// What sources call it.
    pub name: String,
    /// `https://host:6443`; that of the cluster in which this runs when absent.
    pub address: Option<String>,
    /// Authorities to trust, PEM; those of the pod when absent.
    pub ca_file: Option<PathBuf>,
    /// A file with the token; the pod's own when absent, which goes with no `address`.
    pub token_file: Option<PathBuf>,
}

impl KubernetesStore {
    pub(crate) fn check(&self) -> Checked {
        names::plain("name", &self.name)?;
        if let Some(address) = &self.address {
            names::address("address", address)?;
            if self.token_file.is_none() {
                return Err("`address` needs `token_file`: the pod's own token is for its own cluster".to_owned());
            }
        }
        Ok(())
    }

    /// The files that it names.
    pub(crate) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [self.ca_file.as_mut(), self.token_file.as_mut()].into_iter().flatten()
    }
}

/// A key of a secret.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct KubernetesSecretSource {
    /// The name of a `[[kubernetes]]`.
    pub store: String,
    /// The secret's namespace.
    pub namespace: String,
    /// The secret's name.
    pub secret: String,
    /// The key with the secret; `password` when absent.
    pub key: Option<String>,
    /// The key with the user to log in as; the target's `user` when absent.
    pub user_key: Option<String>,
}

impl KubernetesSecretSource {
    pub(crate) fn check(&self) -> Checked {
        names::plain("namespace", &self.namespace)?;
        names::plain("secret", &self.secret)?;
        for (option, key) in [("key", &self.key), ("user_key", &self.user_key)] {
            if let Some(key) = key {
                names::printable(option, key)?;
            }
        }
        Ok(())
    }
}

/// One cluster.
pub(crate) struct Kubernetes {
    store: String,
    service: Service,
    token_file: PathBuf,
    environment: Environment,
    within: Duration,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    data: BTreeMap<String, SecretString>,
}

impl Kubernetes {
    pub(crate) fn new(store: &KubernetesStore, environment: &Environment, within: Duration) -> Checked<Self> {
        store.check()?;
        let inside = || {
            let host = environment.get("KUBERNETES_SERVICE_HOST")?;
            let port = environment.get("KUBERNETES_SERVICE_PORT")?;
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            Some(format!("https://{host}:{port}"))
        };
        let address = store.address.clone().or_else(inside);
        let address = address.ok_or_else(|| "`address` must be given: this runs in no cluster".to_owned())?;
        let url = names::address("address", &address)?;
        let pod = |name: &str| Path::new(POD).join(name);
        // A cluster has an authority of its own; the pod's file is for its own cluster only.
        let ca = match (&store.ca_file, &store.address) {
            (Some(file), _) => Some(file.clone()),
            (None, None) => Some(pod("ca.crt")),
            (None, Some(_)) => None,
        };
        let what = format!("Kubernetes `{}`", store.name);
        Ok(Self {
            service: Service::new(&what, &url, ca.as_deref(), within),
            store: what,
            token_file: store.token_file.clone().unwrap_or_else(|| pod("token")),
            environment: environment.clone(),
            within,
        })
    }

    pub(crate) async fn secret(&self, source: &KubernetesSecretSource, need: &Need) -> Result<Leased, CredentialError> {
        let path = format!(
            "/api/v1/namespaces/{}/secrets/{}",
            escape(&source.namespace),
            escape(&source.secret)
        );
        // Tokens of pods are replaced every hour or so: the file is read each time.
        let token = Place::File(&self.token_file)
            .read(&self.store, &self.environment, self.within)
            .await?;
        let header = bearer(&token).map_err(|_| CredentialError::Login {
            store: self.store.clone(),
            why: "the token is none".to_owned(),
        })?;
        let request = self
            .service
            .request(Method::GET, &path)?
            .header("Authorization", header);
        let request = request.header("Accept", "application/json");
        let answer = self.service.send("the secret", request, LONG).await?.good(advice)?;
        let found = answer.json::<Found>()?;
        let text = |key: &str, kind: SecretKind| self.value(&answer, &found, source, key, kind);
        let secret = text(source.key.as_deref().unwrap_or("password"), need.kind)?;
        let user = source
            .user_key
            .as_deref()
            .map(|key| text(key, SecretKind::Password))
            .transpose()?;
        Ok(Leased::fixed(user.map(leased::user), secret, None))
    }

    fn value(
        &self,
        answer: &Answer,
        found: &Found,
        source: &KubernetesSecretSource,
        key: &str,
        kind: SecretKind,
    ) -> Result<SecretString, CredentialError> {
        let place = || {
            format!(
                "the key `{key}` of `{}/{}` in {}",
                source.namespace, source.secret, self.store
            )
        };
        let unfit = |why| CredentialError::Unfit {
            kind,
            place: place(),
            why,
        };
        let text = found.data.get(key).ok_or_else(|| unfit("the secret has no such key"))?;
        let bytes = STANDARD
            .decode(text.expose_secret())
            .map_err(|_| answer.odd("the secret is not base64"))?;
        let text = utf8(bytes).ok_or_else(|| unfit("it is not text"))?;
        fit(kind, &text, place)
    }
}

fn advice(status: u16) -> &'static str {
    match status {
        401 => "it does not take the service account's token",
        403 => "the service account needs a role with `get` on this secret, in its namespace",
        404 => "there is no such secret in this namespace",
        429 => "it limits how often it is asked",
        _ => "see the API server's log",
    }
}
