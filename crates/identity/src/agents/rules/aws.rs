//! Amazon EC2: an instance's identity document, signed with RSA-2048 and SHA-256
//! ([Instance identity documents](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-identity-documents.html)).

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sallyport_store::agents::Once;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;
use smol_str::SmolStr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::pkcs7::Signed;
use super::{Fact, Shown, any, lists, read_certificates, some, unreadable};
use crate::agents::errors::ProofFault;
use crate::messages::Sealed;
use crate::oidc::token::SKEW_S;

/// The longest document in base64, in bytes.
const MAX_TEXT_BYTES: usize = 64 << 10;
/// The longest id of an instance, in bytes.
const MAX_ID_BYTES: usize = 64;

/// Lets instances of some accounts join. The document is the same as long as the instance lives, and anybody on it can
/// read it; so each instance joins once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsRule {
    /// As whom they join.
    pub agent: SmolStr,
    /// Amazon's public certificates for RSA-2048 signatures, of the regions that are used (PEM).
    pub certificates: PathBuf,
    /// Ids of the accounts that may.
    pub accounts: Vec<String>,
    /// The regions, if not all.
    #[serde(default)]
    pub regions: Vec<String>,
    /// How long after it was launched an instance may join, in seconds.
    #[serde(default)]
    pub max_age_s: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    account_id: String,
    region: String,
    availability_zone: Option<String>,
    instance_id: String,
    image_id: Option<String>,
    pending_time: String,
}

impl AwsRule {
    pub(super) fn check(&self) -> Result<(), String> {
        some("accounts", &self.accounts)?;
        any("regions", &self.regions)?;
        read_certificates(&self.certificates).map(drop)
    }

    pub(super) fn prove(&self, document: &Sealed, shown: &Shown<'_>) -> Result<Fact, ProofFault> {
        let signed = decode(document.0.expose_secret()).ok_or(ProofFault::Malformed)?;
        let certificates = read_certificates(&self.certificates).map_err(|why| unreadable(&why))?;
        let content = certificates
            .iter()
            .filter(|certificate| is_current(certificate, shown.now))
            .find_map(|certificate| signed.by(certificate));
        let content = content.ok_or(ProofFault::Signature)?;
        let document: Document = serde_json::from_slice(content).map_err(|_| ProofFault::Malformed)?;
        let id = &document.instance_id;
        if id.len() > MAX_ID_BYTES
            || !id.starts_with("i-")
            || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            return Err(ProofFault::Malformed);
        }
        if !lists(&self.accounts, &document.account_id) {
            return Err(ProofFault::NotListed("account"));
        }
        if !lists(&self.regions, &document.region) {
            return Err(ProofFault::NotListed("region"));
        }
        self.check_age(&document.pending_time, shown.now)?;
        let machine = format!("aws/{}/{id}", document.account_id);
        Ok(Fact {
            method: "aws",
            said: json!({
                "machine": machine, "account": document.account_id, "region": document.region, "instance_id": id,
                "zone": document.availability_zone, "image": document.image_id, "launched": document.pending_time,
            }),
            once: Once::Machine(machine),
        })
    }

    fn check_age(&self, pending: &str, now: OffsetDateTime) -> Result<(), ProofFault> {
        let pending = OffsetDateTime::parse(pending, &Rfc3339).map_err(|_| ProofFault::Malformed)?;
        let age_s = (now - pending).whole_seconds();
        if age_s < -SKEW_S {
            return Err(ProofFault::Said("is of an instance from the future"));
        }
        match self.max_age_s.map(i64::try_from) {
            Some(Ok(most)) if age_s > most.saturating_add(SKEW_S) => {
                Err(ProofFault::Said("is of an instance that was launched too long ago"))
            }
            Some(Ok(_) | Err(_)) | None => Ok(()),
        }
    }
}

/// A signed document in base64, perhaps in lines.
pub(super) fn decode(text: &str) -> Option<Signed> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    Signed::parse(&STANDARD.decode(text).ok()?).ok()
}

fn is_current(certificate: &[u8], now: OffsetDateTime) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, parsed)| {
        let (from, until) = (parsed.validity().not_before, parsed.validity().not_after);
        (from.timestamp()..=until.timestamp()).contains(&now.unix_timestamp())
    })
}
