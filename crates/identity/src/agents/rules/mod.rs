//! Rules: who proves what may join as whom. Everything is verified here and now, with keys from files: nobody is asked.

mod aws;
mod azure;
mod ber;
mod gcp;
mod jwt;
mod kubernetes;
mod pkcs7;
mod spiffe;

use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sallyport_store::agents::Once;
use serde::Deserialize;
use smol_str::SmolStr;
use time::OffsetDateTime;
use tracing::info;

use super::errors::{AuthorityError, ProofFault};
use super::messages::JoinProof;
use super::names::check_agent_name;
use super::pin::Pin;
use super::registry::Proven;

pub use aws::AwsRule;
pub use azure::AzureRule;
pub use gcp::GcpRule;
pub use kubernetes::KubernetesRule;
pub use spiffe::SpiffeRule;

pub(super) use azure::nonce as azure_nonce;
pub(super) use gcp::bound_audience;
pub(super) use spiffe::signed_message;

/// The most rules.
const MAX_RULES: usize = 256;
/// The most values in one list of a rule.
const MAX_VALUES: usize = 1024;
/// The largest file of keys, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// One `[[agents.join]]` of the gateway's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
pub enum JoinRule {
    /// Pods of a Kubernetes cluster.
    Kubernetes(KubernetesRule),
    /// Instances of Amazon EC2.
    Aws(AwsRule),
    /// Instances of Google Compute Engine.
    Gcp(GcpRule),
    /// Virtual machines of Microsoft Azure.
    Azure(AzureRule),
    /// Workloads of a SPIFFE trust domain.
    Spiffe(SpiffeRule),
}

impl JoinRule {
    /// As whom it lets somebody join.
    #[must_use]
    pub fn agent(&self) -> &SmolStr {
        match self {
            Self::Kubernetes(rule) => &rule.agent,
            Self::Aws(rule) => &rule.agent,
            Self::Gcp(rule) => &rule.agent,
            Self::Azure(rule) => &rule.agent,
            Self::Spiffe(rule) => &rule.agent,
        }
    }

    /// The file with its keys. It is read for each join, so that a new one counts at once.
    pub fn file_mut(&mut self) -> &mut PathBuf {
        match self {
            Self::Kubernetes(rule) => &mut rule.keys,
            Self::Aws(rule) => &mut rule.certificates,
            Self::Gcp(rule) => &mut rule.keys,
            Self::Azure(rule) => &mut rule.authorities,
            Self::Spiffe(rule) => &mut rule.bundle,
        }
    }

    fn check(&self) -> Result<(), String> {
        check_agent_name(self.agent()).map_err(|e| e.to_string())?;
        match self {
            Self::Kubernetes(rule) => rule.check(),
            Self::Aws(rule) => rule.check(),
            Self::Gcp(rule) => rule.check(),
            Self::Azure(rule) => rule.check(),
            Self::Spiffe(rule) => rule.check(),
        }
    }

    /// What the proof comes to under this rule; `None` when it is of another method.
    fn prove(&self, proof: &JoinProof, shown: &Shown<'_>) -> Option<Result<Fact, ProofFault>> {
        match (self, proof) {
            (Self::Kubernetes(rule), JoinProof::Kubernetes { token }) => Some(rule.prove(token, shown)),
            (Self::Aws(rule), JoinProof::Aws { document }) => Some(rule.prove(document, shown)),
            (Self::Gcp(rule), JoinProof::Gcp { token }) => Some(rule.prove(token, shown)),
            (Self::Azure(rule), JoinProof::Azure { document }) => Some(rule.prove(document, shown)),
            (Self::Spiffe(rule), JoinProof::SpiffeX509(svid)) => Some(rule.prove_x509(svid, shown)),
            (Self::Spiffe(rule), JoinProof::SpiffeJwt { token }) => Some(rule.prove_jwt(token, shown)),
            (
                Self::Kubernetes(_) | Self::Aws(_) | Self::Gcp(_) | Self::Azure(_) | Self::Spiffe(_),
                JoinProof::Token { .. }
                | JoinProof::Kubernetes { .. }
                | JoinProof::Aws { .. }
                | JoinProof::Gcp { .. }
                | JoinProof::Azure { .. }
                | JoinProof::SpiffeX509(_)
                | JoinProof::SpiffeJwt { .. },
            ) => None,
        }
    }
}

/// What is shown with a proof, and to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    /// SHA-256 of the agent's key.
    pub(super) key: [u8; 32],
    /// The request for a certificate.
    pub(super) csr: &'a [u8],
    /// The gateway's authority.
    pub(super) pin: Pin,
    pub(super) now: OffsetDateTime,
}

/// What a proof proves.
#[derive(Debug)]
struct Fact {
    method: &'static str,
    said: serde_json::Value,
    once: Once,
}

/// Checks rules, and that their keys can be read.
pub(super) fn check(rules: &[JoinRule]) -> Result<(), AuthorityError> {
    let wrong = |why| AuthorityError::Config { key: "join", why };
    if rules.len() > MAX_RULES {
        return Err(wrong(format!("there are more than {MAX_RULES} rules")));
    }
    for rule in rules {
        let named = |why| wrong(format!("the rule for `{}`: {why}", rule.agent()));
        rule.check().map_err(named)?;
    }
    Ok(())
}

/// As whom a proof lets somebody join: as `wanted`, or as the one that the rules name. It reads files.
pub(super) fn prove(
    rules: &[JoinRule],
    proof: &JoinProof,
    wanted: Option<&SmolStr>,
    shown: &Shown<'_>,
) -> Result<Proven, ProofFault> {
    let (mut proven, mut faults): (Option<Proven>, Vec<ProofFault>) = (None, Vec::new());
    for rule in rules
        .iter()
        .filter(|rule| wanted.is_none_or(|name| name == rule.agent()))
    {
        match rule.prove(proof, shown) {
            None => {}
            Some(Err(fault)) => {
                info!(agent = %rule.agent(), %fault, "a rule does not let a proof join");
                faults.push(fault);
            }
            Some(Ok(_)) if proven.as_ref().is_some_and(|p| p.agent == *rule.agent()) => {}
            Some(Ok(_)) if proven.is_some() => return Err(ProofFault::Ambiguous),
            Some(Ok(fact)) => {
                proven = Some(Proven {
                    agent: rule.agent().clone(),
                    method: fact.method,
                    said: fact.said,
                    once: fact.once,
                });
            }
        }
    }
    // With one rule it is worth saying why; with several nobody knows which one was meant.
    match (proven, faults.len()) {
        (Some(proven), _) => Ok(proven),
        (None, 1) => Err(faults.pop().unwrap_or(ProofFault::NoRule)),
        (None, _) => Err(ProofFault::NoRule),
    }
}

/// A file of keys.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let named = |why: String| format!("`{}`: {why}", path.display());
    let size = std::fs::metadata(path).map_err(|e| named(e.to_string()))?.len();
    if size > MAX_FILE_BYTES {
        return Err(named("it is too large".to_owned()));
    }
    std::fs::read(path).map_err(|e| named(e.to_string()))
}

/// A file of certificates, in PEM.
fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("`{}`: there is no certificate in it", path.display())),
        Err(error) => Err(format!("`{}`: {error}", path.display())),
    }
}

/// Keys that could be read when the gateway was started and cannot be now: nobody joins by them.
fn unreadable(why: &str) -> ProofFault {
    tracing::error!(%why, "the keys of a rule cannot be read");
    ProofFault::Keys
}

/// A list that must not be empty, since it would let anybody in.
fn some(name: &str, values: &[String]) -> Result<(), String> {
    if values.is_empty() {
        return Err(format!("`{name}` must name at least one"));
    }
    any(name, values)
}

/// A list that may be empty.
fn any(name: &str, values: &[String]) -> Result<(), String> {
    if values.len() > MAX_VALUES || values.iter().any(String::is_empty) {
        return Err(format!("`{name}` has an empty value, or too many"));
    }
    Ok(())
}

/// Whether a list names this, or everything by being empty.
fn lists(values: &[String], value: &str) -> bool {
    values.is_empty() || values.iter().any(|listed| listed == value)
}

/// What a signed document says, if this certificate signed it.
#[cfg(feature = "testing")]
pub(super) fn signed_content(bytes: &[u8], certificate: &[u8]) -> Option<Vec<u8>> {
    let signed = pkcs7::Signed::parse(bytes).ok()?;
    signed.by(certificate).map(<[u8]>::to_vec)
}
