//! Microsoft Azure: a virtual machine's attested document
//! ([Azure Instance Metadata Service](https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service)).

use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sallyport_store::agents::Once;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;
use smol_str::SmolStr;
use time::{Date, Month, OffsetDateTime, Time};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::aws::decode;
use super::pkcs7::Signed;
use super::{Fact, Shown, any, lists, read_certificates, some, unreadable};
use crate::agents::errors::ProofFault;
use crate::messages::Sealed;
use crate::oidc::token::{MAX_LIFE_S, SKEW_S};
use crate::secret::sha256;

/// Lets virtual machines of some subscriptions join.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AzureRule {
    /// As whom they join.
    pub agent: SmolStr,
    /// The authorities above the certificate that documents are signed with (PEM): roots, and intermediates, since
    /// documents do not always bring them.
    pub authorities: PathBuf,
    /// The name in that certificate, or what it ends with: `metadata.azure.com`, but in other clouds than the public one.
    #[serde(default = "public_cloud")]
    pub host: String,
    /// Ids of the subscriptions that may.
    pub subscriptions: Vec<String>,
    /// Ids of the machines, if not all.
    #[serde(default)]
    pub vms: Vec<String>,
}

fn public_cloud() -> String {
    "metadata.azure.com".to_owned()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    nonce: String,
    subscription_id: String,
    vm_id: String,
    time_stamp: Stamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stamp {
    created_on: String,
    expires_on: String,
}

/// The ten digits for which the agent with this key asks. They bind the document to the key as far as ten digits can.
pub(in crate::agents) fn nonce(key: [u8; 32]) -> String {
    let number = key.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    (1_000_000_000 + number % 9_000_000_000).to_string()
}

impl AzureRule {
    pub(super) fn check(&self) -> Result<(), String> {
        some("subscriptions", &self.subscriptions)?;
        any("vms", &self.vms)?;
        if !matches!(ServerName::try_from(self.host.as_str()), Ok(ServerName::DnsName(_))) {
            return Err("`host` is not the name of a host".to_owned());
        }
        self.roots().map(drop)
    }

    pub(super) fn prove(&self, document: &Sealed, shown: &Shown<'_>) -> Result<Fact, ProofFault> {
        let signed = decode(document.0.expose_secret()).ok_or(ProofFault::Malformed)?;
        let content = self.verified(&signed, shown.now)?;
        let document: Document = serde_json::from_slice(content).map_err(|_| ProofFault::Malformed)?;
        if document.nonce != nonce(shown.key) {
            return Err(ProofFault::OtherKey);
        }
        let now = shown.now.unix_timestamp();
        let created = time_of(&document.time_stamp.created_on).ok_or(ProofFault::Malformed)?;
        let expires = time_of(&document.time_stamp.expires_on).ok_or(ProofFault::Malformed)?;
        if expires.unix_timestamp() <= now - SKEW_S {
            return Err(ProofFault::Said("has expired"));
        }
        if created.unix_timestamp() > now + SKEW_S || (expires - created).whole_seconds() > MAX_LIFE_S {
            return Err(ProofFault::Said("is from the future, or lives for more than a day"));
        }
        // Ids are said in either case.
        let (subscription, vm) = (document.subscription_id.to_lowercase(), document.vm_id.to_lowercase());
        let lower = |ids: &[String]| ids.iter().map(|id| id.to_lowercase()).collect::<Vec<_>>();
        if !lists(&lower(&self.subscriptions), &subscription) {
            return Err(ProofFault::NotListed("subscription"));
        }
        if !lists(&lower(&self.vms), &vm) {
            return Err(ProofFault::NotListed("machine"));
        }
        let once = vec![format!("agent-azure:{}", hex::encode(sha256(content)))];
        Ok(Fact {
            method: "azure",
            said: json!({ "subscription": subscription, "vm": vm }),
            once: Once::Values(once, expires + time::Duration::seconds(2 * SKEW_S)),
        })
    }

    /// What was signed, if the signer's certificate leads to the authorities and is that of the metadata service.
    fn verified<'a>(&self, signed: &'a Signed, now: OffsetDateTime) -> Result<&'a [u8], ProofFault> {
        let certificates = signed.certificates();
        let leaf = certificates.iter().find(|certificate| signed.names(certificate));
        let leaf = leaf.ok_or(ProofFault::Signature)?;
        let name = self.name_in(leaf).ok_or(ProofFault::Signature)?;
        let name = ServerName::try_from(name).map_err(|_| ProofFault::Signature)?;
        let others: Vec<_> = certificates
            .iter()
            .filter(|certificate| *certificate != leaf)
            .map(|certificate| CertificateDer::from(certificate.as_slice()))
            .collect();
        let now = u64::try_from(now.unix_timestamp()).map_err(|_| ProofFault::Signature)?;
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let roots = self.roots().map_err(|why| unreadable(&why))?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build();
        let verifier = verifier.map_err(|e| unreadable(&e.to_string()))?;
        let leaf_der = CertificateDer::from(leaf.as_slice());
        let valid = verifier.verify_server_cert(&leaf_der, &others, &name, &[], now);
        valid.map_err(|_| ProofFault::Signature)?;
        signed.by(leaf).ok_or(ProofFault::Signature)
    }

    /// A name in the certificate that is the host's, or of the hosts below it.
    fn name_in(&self, certificate: &[u8]) -> Option<String> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let names = parsed.subject_alternative_name().ok().flatten()?.value;
        names.general_names.iter().find_map(|name| {
            let GeneralName::DNSName(name) = name else {
                return None;
            };
            let concrete = match name.strip_prefix("*.") {
                Some(rest) => format!("any.{rest}"),
                None => (*name).to_owned(),
            };
            let below = concrete.strip_suffix(self.host.as_str());
            below
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                .then_some(concrete)
        })
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        for certificate in read_certificates(&self.authorities)? {
            roots.add(certificate).map_err(|e| e.to_string())?;
        }
        Ok(roots)
    }
}

/// Reads `11/28/18 00:16:17 -0000`.
fn time_of(text: &str) -> Option<OffsetDateTime> {
    let mut words = text.split(' ');
    let (date, time, zone) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !["-0000", "+0000"].contains(&zone) {
        return None;
    }
    let [month, day, year] = numbers(date, '/')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let date = Date::from_calendar_date(2000 + i32::from(year), Month::try_from(month).ok()?, day).ok()?;
    Some(date.with_time(Time::from_hms(hour, minute, second).ok()?).assume_utc())
}

/// Three numbers of two digits each.
fn numbers(text: &str, between: char) -> Option<[u8; 3]> {
    let number = |part: &str| match part.as_bytes() {
        [a, b] if a.is_ascii_digit() && b.is_ascii_digit() => part.parse().ok(),
        _ => None,
    };
    let found: Option<Vec<u8>> = text.split(between).map(number).collect();
    found?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn times_have_one_form() {
        let read = time_of("11/28/18 00:16:17 -0000").unwrap();
        assert_eq!(read.unix_timestamp(), 1_543_364_177);
        for bad in [
            "",
            "11/28/18 00:16:17",
            "11/28/18 00:16:17 +0100",
            "28/11/18 00:16:17 -0000",
            "1/28/18 00:16:17 -0000",
            "11/28/2018 00:16:17 -0000",
            "11/28/18 24:16:17 -0000",
            "11/28/18 00:16:17 -0000 x",
            "+1/28/18 00:16:17 -0000",
        ] {
            assert_eq!(time_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_nonce_has_ten_digits() {
        for key in [[0; 32], [255; 32], [7; 32]] {
            let nonce = nonce(key);
            assert!(
                nonce.len() == 10 && nonce.bytes().all(|b| b.is_ascii_digit()),
                "{nonce}"
            );
        }
        assert_ne!(nonce([1; 32]), nonce([2; 32]));
    }
}
