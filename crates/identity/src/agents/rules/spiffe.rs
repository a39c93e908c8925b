//! SPIFFE: a workload's X.509-SVID or JWT-SVID
//! ([standards](https://github.com/spiffe/spiffe/tree/main/standards)).

use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use sallyport_store::agents::Once;
use serde::Deserialize;
use serde_json::json;
use smol_str::SmolStr;
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{Fact, Shown, any, jwt, read, read_certificates, unreadable};
use crate::agents::errors::ProofFault;
use crate::agents::messages::SpiffeX509;
use crate::agents::pin::Pin;
use crate::messages::Sealed;
use crate::oidc::token::SKEW_S;
use crate::secret::sha256;

/// The longest SPIFFE ID, in bytes (SPIFFE-ID, section 2.4).
const MAX_ID_BYTES: usize = 2048;
/// The most certificates that are shown.
const MAX_CHAIN: usize = 8;
/// How old a signature may be, in seconds.
const MAX_AGE_S: i64 = 5 * 60;
/// What sets a signature for joining apart from every other one.
const CONTEXT: &[u8] = b"sallyport agent joins with an X.509-SVID, 1\0";

/// Lets workloads of a trust domain join.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpiffeRule {
    /// As whom they join.
    pub agent: SmolStr,
    /// The trust domain, such as `example.org`.
    pub trust_domain: String,
    /// Its bundle: certificates (PEM), or a JWKS as a SPIFFE endpoint serves it.
    pub bundle: PathBuf,
    /// SPIFFE IDs that may.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Paths under which every SPIFFE ID may: each begins and ends with `/`.
    #[serde(default)]
    pub path_prefixes: Vec<String>,
    /// The audience of JWT-SVIDs, and nobody else's: let it name this gateway. Without there are none.
    #[serde(default)]
    pub audience: Option<String>,
}

#[derive(Deserialize)]
struct Bundle {
    keys: Vec<BundleKey>,
}

#[derive(Deserialize)]
struct BundleKey {
    #[serde(rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    x5c: Vec<String>,
}

/// What a workload signs with its SVID's key: that this key joins this gateway, at this time.
pub(in crate::agents) fn signed_message(pin: Pin, at: i64, csr: &[u8]) -> Vec<u8> {
    [CONTEXT, pin.as_bytes(), &at.to_be_bytes(), &sha256(csr)].concat()
}

impl SpiffeRule {
    pub(super) fn check(&self) -> Result<(), String> {
        any("ids", &self.ids)?;
        any("path_prefixes", &self.path_prefixes)?;
        if self.ids.is_empty() && self.path_prefixes.is_empty() {
            return Err("`ids` or `path_prefixes` must name at least one".to_owned());
        }
        if !is_trust_domain(&self.trust_domain) {
            return Err("`trust_domain` is not the name of one".to_owned());
        }
        if let Some(bad) = self.ids.iter().find(|id| self.path_of(id).is_none()) {
            return Err(format!("`{bad}` is not a SPIFFE ID of `{}`", self.trust_domain));
        }
        let whole = |prefix: &&String| !prefix.starts_with('/') || !prefix.ends_with('/');
        if let Some(bad) = self.path_prefixes.iter().find(whole) {
            return Err(format!("`{bad}` does not begin and end with `/`"));
        }
        match &self.audience {
            Some(audience) if audience.is_empty() => Err("`audience` is empty".to_owned()),
            Some(_) => jwt::key_set(&self.bundle, "jwt-svid").map(drop),
            None => self.roots().map(drop),
        }
    }

    pub(super) fn prove_x509(&self, svid: &SpiffeX509, shown: &Shown<'_>) -> Result<Fact, ProofFault> {
        let now = shown.now.unix_timestamp();
        if now.saturating_sub(svid.at).unsigned_abs() > MAX_AGE_S.unsigned_abs() {
            return Err(ProofFault::Said("was signed too long ago, or the clocks differ"));
        }
        let leaf = self.verified(svid, shown.now)?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| ProofFault::Malformed)?;
        let id = id_in(&parsed)?;
        let path = self
            .path_of(&id)
            .ok_or(ProofFault::Said("is of another trust domain"))?;
        if !self.permits(&id, path) {
            return Err(ProofFault::NotListed("SPIFFE ID"));
        }
        let message = signed_message(shown.pin, svid.at, shown.csr);
        let algorithm = algorithm_of(parsed.public_key()).ok_or(ProofFault::Signature)?;
        UnparsedPublicKey::new(algorithm, &parsed.public_key().subject_public_key.data)
            .verify(&message, &svid.signature.0)
            .map_err(|_| ProofFault::Signature)?;
        // A signature may have several forms; what was signed has one.
        let once = vec![format!("agent-svid:{}", hex::encode(sha256(&message)))];
        let until = shown.now + time::Duration::seconds(2 * MAX_AGE_S + SKEW_S);
        Ok(Fact {
            method: "spiffe-x509",
            said: json!({ "spiffe_id": id }),
            once: Once::Values(once, until),
        })
    }

    pub(super) fn prove_jwt(&self, token: &Sealed, shown: &Shown<'_>) -> Result<Fact, ProofFault> {
        let audience = self.audience.as_deref().ok_or(ProofFault::NoRule)?;
        let keys = (self.bundle.as_path(), "jwt-svid");
        let good: jwt::Good<serde_json::Value> = jwt::check(token, keys, (None, audience), shown.now)?;
        let path = self
            .path_of(&good.subject)
            .ok_or(ProofFault::Said("is of another trust domain"))?;
        if !self.permits(&good.subject, path) {
            return Err(ProofFault::NotListed("SPIFFE ID"));
        }
        Ok(Fact {
            method: "spiffe-jwt",
            said: json!({ "spiffe_id": good.subject }),
            once: good.once,
        })
    }

    fn permits(&self, id: &str, path: &str) -> bool {
        self.ids.iter().any(|listed| listed == id) || self.path_prefixes.iter().any(|p| path.starts_with(p))
    }

    /// The leaf, if it leads to the bundle.
    fn verified<'a>(&self, svid: &'a SpiffeX509, now: OffsetDateTime) -> Result<&'a [u8], ProofFault> {
        if svid.chain.len() > MAX_CHAIN {
            return Err(ProofFault::Malformed);
        }
        let (leaf, others) = svid.chain.split_first().ok_or(ProofFault::Malformed)?;
        let others: Vec<_> = others
            .iter()
            .map(|der| CertificateDer::from(der.0.as_slice()))
            .collect();
        let now = u64::try_from(now.unix_timestamp()).map_err(|_| ProofFault::Signature)?;
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let roots = self.roots().map_err(|why| unreadable(&why))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
        verifier
            .map_err(|e| unreadable(&e.to_string()))?
            .verify_client_cert(&CertificateDer::from(leaf.0.as_slice()), &others, now)
            .map_err(|_| ProofFault::Signature)?;
        Ok(&leaf.0)
    }

    /// The path of a SPIFFE ID of this trust domain.
    fn path_of<'a>(&self, id: &'a str) -> Option<&'a str> {
        if id.len() > MAX_ID_BYTES {
            return None;
        }
        let path = id.strip_prefix("spiffe://")?.strip_prefix(self.trust_domain.as_str())?;
        let mut segments = path.strip_prefix('/')?.split('/');
        let good = |segment: &str| {
            !["", ".", ".."].contains(&segment)
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        segments.all(good).then_some(path)
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let named = |why: String| format!("`{}`: {why}", self.bundle.display());
        let bytes = read(&self.bundle)?;
        let is_json = bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
        let certificates = if is_json {
            let bundle: Bundle = serde_json::from_slice(&bytes).map_err(|e| named(e.to_string()))?;
            let of_x509 = bundle
                .keys
                .iter()
                .filter(|key| key.usage.as_deref() == Some("x509-svid"));
            let decode = |key: &BundleKey| match key.x5c.as_slice() {
                [one] => STANDARD
                    .decode(one)
                    .map(CertificateDer::from)
                    .map_err(|e| named(e.to_string())),
                _ => Err(named("a key has not exactly one certificate".to_owned())),
            };
            of_x509.map(decode).collect::<Result<Vec<_>, _>>()?
        } else {
            read_certificates(&self.bundle)?
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate).map_err(|e| named(e.to_string()))?;
        }
        if roots.is_empty() {
            return Err(named("there is no certificate in it".to_owned()));
        }
        Ok(roots)
    }
}

fn is_trust_domain(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    (1..=255).contains(&name.len()) && name.bytes().all(allowed)
}

/// The one SPIFFE ID of a leaf (X509-SVID, sections 2 and 4).
fn id_in(certificate: &X509Certificate<'_>) -> Result<String, ProofFault> {
    let usage = certificate.key_usage().ok().flatten();
    let signs = usage.is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign());
    if certificate.is_ca() || signs {
        return Err(ProofFault::Said("is an authority's"));
    }
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names
        .map(|names| names.value.general_names.as_slice())
        .unwrap_or_default();
    let mut uris = names.iter().filter_map(|name| {
        let GeneralName::URI(uri) = name else { return None };
        Some(*uri)
    });
    match (uris.next(), uris.next()) {
        (Some(one), None) => Ok(one.to_owned()),
        _ => Err(ProofFault::Said("has not exactly one SPIFFE ID")),
    }
}

/// How signatures with this key are made.
fn algorithm_of(key: &SubjectPublicKeyInfo<'_>) -> Option<&'static dyn VerificationAlgorithm> {
    let algorithm = &key.algorithm.algorithm;
    if *algorithm == OID_PKCS1_RSAENCRYPTION {
        return Some(&RSA_PSS_2048_8192_SHA256);
    }
    if *algorithm == OID_SIG_ED25519 {
        return Some(&ED25519);
    }
    let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
    match *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        true if curve == OID_EC_P256 => Some(&ECDSA_P256_SHA256_ASN1),
        true if curve == OID_NIST_EC_P384 => Some(&ECDSA_P384_SHA384_ASN1),
        true | false => None,
    }
}
