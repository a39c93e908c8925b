//! What agents are called, and how a certificate says it.

use rustls_pki_types::{CertificateDer, UnixTime};
use smol_str::SmolStr;
use time::OffsetDateTime;
use uuid::Uuid;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::errors::IdentifyError;
use crate::principal::NameError;

/// The longest name of an agent, in bytes.
const MAX_NAME_BYTES: usize = 63;
/// What stands in the place of names in addresses of the API.
const RESERVED: [&str; 3] = ["authority", "machines", "tokens"];
/// What the URI of an agent begins with.
const SCHEME: &str = "sallyport://agent/";

/// One instance of an agent, as its certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentIdentity {
    /// The agent's name, which policy assigns targets to.
    pub name: SmolStr,
    /// Which of the instances with this name.
    pub instance: Uuid,
    /// When its certificate ends.
    pub expires: OffsetDateTime,
}

/// Checks an agent's name: 1 to 63 letters, digits, `-`, `_` and `.`, the first one a letter or a digit; not a UUID, which
/// is an instance, and none of the words that the API has beside names.
///
/// # Errors
/// When it is something else.
pub fn check_agent_name(name: &str) -> Result<(), NameError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let good = name.len() <= MAX_NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(allowed)
        && Uuid::try_parse(name).is_err()
        && !RESERVED.contains(&name);
    if good {
        Ok(())
    } else {
        Err(NameError::Agent(crate::principal::shown(name)))
    }
}

/// The URI that names an instance in its certificate.
pub(super) fn uri(name: &str, instance: Uuid) -> String {
    format!("{SCHEME}{name}/{instance}")
}

/// Reads what [`uri`] makes, in exactly this form.
pub(super) fn parse_uri(text: &str) -> Option<(SmolStr, Uuid)> {
    let (name, instance) = text.strip_prefix(SCHEME)?.split_once('/')?;
    check_agent_name(name).ok()?;
    let instance = Uuid::try_parse(instance).ok()?;
    (text == uri(name, instance)).then(|| (name.into(), instance))
}

/// Whom a certificate of the authority names. Its chain has been verified; what the handshake does not look at is
/// looked at here: that it is nothing but an agent's, and current.
pub(super) fn named(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<AgentIdentity, IdentifyError> {
    let strange = IdentifyError::NotAnAgent;
    let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|_| strange("it cannot be read"))?;
    if !rest.is_empty() {
        return Err(strange("there is something after it"));
    }
    if parsed.is_ca() {
        return Err(strange("it is an authority's"));
    }
    let usage = parsed.extended_key_usage().ok().flatten();
    let usage = usage.ok_or_else(|| strange("it does not say what it is for"))?.value;
    let other = usage.any
        || usage.server_auth
        || usage.code_signing
        || usage.email_protection
        || usage.time_stamping
        || usage.ocsp_signing
        || !usage.other.is_empty();
    if !usage.client_auth || other {
        return Err(strange("it is for something else than clients"));
    }
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.ok_or_else(|| strange("it has no name"))?.value;
    let [GeneralName::URI(uri)] = names.general_names.as_slice() else {
        return Err(strange("it has not exactly one name"));
    };
    let (name, instance) = parse_uri(uri).ok_or_else(|| strange("its name is not an agent's"))?;
    let now = i64::try_from(now.as_secs()).map_err(|_| IdentifyError::Expired)?;
    let validity = parsed.validity();
    if now < validity.not_before.timestamp() {
        return Err(strange("it is not valid yet"));
    }
    let expires = validity.not_after.timestamp();
    if now >= expires {
        return Err(IdentifyError::Expired);
    }
    let expires = OffsetDateTime::from_unix_timestamp(expires).map_err(|_| strange("it has no end"))?;
    Ok(AgentIdentity {
        name,
        instance,
        expires,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn names_are_plain_and_uris_have_one_form() {
        for good in ["a", "eu-west", "EU_west.1", "9", &"x".repeat(63)] {
            assert!(check_agent_name(good).is_ok(), "{good}");
            let instance = Uuid::now_v7();
            assert_eq!(parse_uri(&uri(good, instance)), Some((good.into(), instance)));
        }
        for bad in ["", "-a", ".a", "a/b", "a b", "ä", "a%2f", "a\n", &"x".repeat(64)] {
            assert!(check_agent_name(bad).is_err(), "{bad}");
            assert_eq!(parse_uri(&uri(bad, Uuid::now_v7())), None, "{bad}");
        }
        for bad in [
            "tokens",
            "0190c5d1-7f0b-7cc3-9a52-2b3f9e0f4c11",
            "0190C5D17F0B7CC39A522B3F9E0F4C11",
        ] {
            assert!(check_agent_name(bad).is_err(), "{bad}");
        }
        let instance = Uuid::now_v7();
        for bad in [
            format!("sallyport://agent/a/{}", instance.simple()),
            format!("sallyport://agent/a/{}", instance.to_string().to_uppercase()),
            format!("sallyport://agent/a/{instance}/"),
            format!("sallyport://agent/a/b/{instance}"),
            format!("Sallyport://agent/a/{instance}"),
            format!("spiffe://agent/a/{instance}"),
            format!("sallyport://agent/{instance}"),
        ] {
            assert_eq!(parse_uri(&bad), None, "{bad}");
        }
    }
}
