//! Certificates for SSH: the [SSH engine](https://developer.hashicorp.com/vault/api-docs/secret/ssh#sign-ssh-key) signs the
//! public key of one session.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::{Asked, Reply, Vault};
use crate::{
    CredentialError, Leased, Need,
    names::{self, Checked, escape_path},
    text::fit,
};

/// How long a certificate is good, in seconds, if nothing is said.
const STANDARD_LIFE_S: u64 = 300;
const MAX_LIFE_S: u64 = 24 * 3600;

/// A certificate for the public key of a session.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SshSource {
    /// The name of a `[[vault]]`.
    pub store: String,
    /// Where the engine is mounted; `ssh` when absent.
    pub mount: Option<String>,
    /// The role that signs.
    pub role: String,
    /// For whom it is good; whom the session logs in as when empty.
    #[serde(default)]
    pub principals: Vec<String>,
    /// How long it is good, in seconds; 300 when absent.
    pub ttl_s: Option<u64>,
}

impl SshSource {
    pub(crate) fn check(&self) -> Checked {
        names::segment("role", &self.role)?;
        if let Some(mount) = &self.mount {
            names::path("mount", mount)?;
        }
        if self.ttl_s.is_some_and(|ttl| ttl == 0 || ttl > MAX_LIFE_S) {
            return Err(format!("`ttl_s` must be from 1 to {MAX_LIFE_S}"));
        }
        self.principals
            .iter()
            .try_for_each(|name| principal("principals", name))
    }

    fn valid_for(&self, need: &Need) -> Checked<String> {
        if !self.principals.is_empty() {
            return Ok(self.principals.join(","));
        }
        let Some(user) = &need.user else {
            return Err("a certificate needs `principals`, or a user to log in as".to_owned());
        };
        principal("user", user)?;
        Ok(user.clone())
    }
}

/// A comma would make two principals of one; `*` is everybody at some servers.
fn principal(option: &str, name: &str) -> Checked {
    if name.contains([',', '*']) {
        return Err(format!("`{option}`: a principal has neither commas nor stars"));
    }
    names::printable(option, name)
}

impl Vault {
    pub(crate) async fn sign_ssh(&self, source: &SshSource, need: &Need) -> Result<Leased, CredentialError> {
        let Some(public_key) = &need.public_key else {
            let message = format!("`vault-ssh` gives certificates for public keys, and no {}", need.kind);
            return Err(CredentialError::Setting(message));
        };
        let life = source.ttl_s.unwrap_or(STANDARD_LIFE_S);
        let principals = source.valid_for(need).map_err(CredentialError::Setting)?;
        let mount = source.mount.as_deref().unwrap_or("ssh");
        let asked = Asked {
            method: Method::POST,
            path: escape_path(&[mount, "sign", &source.role]),
            body: Some(json!({
                "public_key": public_key,
                "valid_principals": principals,
                "cert_type": "user",
                "ttl": format!("{life}s"),
            })),
            doing: "a certificate",
            advice,
            leases: false,
        };
        let (_, answer) = self.ask(&asked).await?;
        let data = answer.json::<Reply>()?.data;
        let data = data.ok_or_else(|| answer.odd("there is no certificate in it"))?;
        let signed = data.text("signed_key").map_err(|why| answer.odd(why))?;
        let certificate = fit(need.kind, signed, || self.store.clone())?;
        if !is_certificate(certificate.expose_secret()) {
            return Err(answer.odd("what it signed is no certificate in OpenSSH's form"));
        }
        let expires = Instant::now() + Duration::from_secs(life);
        Ok(Leased::fixed(None, certificate, Some(expires)))
    }
}

/// Algorithm, base64, and perhaps a comment. Who logs in with it reads what is inside.
fn is_certificate(line: &str) -> bool {
    let mut words = line.split(' ');
    let algorithm = words.next().is_some_and(|word| word.ends_with("-cert-v01@openssh.com"));
    algorithm
        && words
            .next()
            .is_some_and(|word| STANDARD.decode(word).is_ok_and(|bytes| !bytes.is_empty()))
}

fn advice(status: u16) -> &'static str {
    match status {
        400 => "the role does not sign this: check its allowed users, key types and longest time to live",
        403 => "the login's policies need `update` on the role's path below `sign/`",
        other => super::advice(other),
    }
}
