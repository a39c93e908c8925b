use std::net::IpAddr;

use thiserror::Error;

use super::{Certificate, CertificateKind, PublicKey};
use crate::wire::Reader;

pub(super) const FORCE_COMMAND: &str = "force-command";
pub(super) const SOURCE_ADDRESS: &str = "source-address";

/// Why a certificate is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// The key that signed it is not an authority here.
    #[error("the certificate is signed by {0}, which is not an authority here")]
    Authority(String),
    /// It is for a host where one for a user belongs, or the other way round.
    #[error("the certificate is for the other kind of peer")]
    Kind,
    /// The signature is not the authority's.
    #[error("the certificate's signature is wrong")]
    Signature,
    /// It is not valid yet.
    #[error("the certificate is valid only from {0} seconds since 1970 on")]
    NotYetValid(u64),
    /// It is no longer valid.
    #[error("the certificate expired at {0} seconds since 1970")]
    Expired(u64),
    /// It names nobody. Some take this for everybody.
    #[error("the certificate names nobody whom it is for")]
    NoPrincipals,
    /// It is for other names.
    #[error("the certificate is not for `{0}`")]
    Principal(String),
    /// It has a condition that is not understood here.
    #[error("the certificate has the critical option `{0}`, which is not understood here")]
    CriticalOption(String),
    /// A condition is not well formed.
    #[error("the certificate's option `{0}` is malformed")]
    MalformedOption(&'static str),
    /// The holder is at an address that it is not for.
    #[error("the certificate is not for this address")]
    SourceAddress,
}

/// A certificate that was found good, for one name at one time: what [`Certificate::check`] gives out.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a> {
    certificate: &'a Certificate,
    force_command: Option<&'a str>,
}

impl<'a> Verified<'a> {
    /// The certificate.
    pub fn certificate(&self) -> &'a Certificate {
        self.certificate
    }

    /// The key that the peer must prove to hold.
    pub fn key(&self) -> &'a PublicKey {
        self.certificate.key()
    }

    /// The one command that may run, whatever the peer asks for. Who ignores it gives away more than the
    /// authority did.
    pub fn force_command(&self) -> Option<&'a str> {
        self.force_command
    }
}

impl Certificate {
    /// Whether the certificate is good: signed by one of `authorities`, of the right kind, for `name`, at
    /// `now_unix` (seconds since 1970), and shown by a peer at `source`.
    ///
    /// The names in a host's certificate may have the wildcards `*` and `?`, as with OpenSSH; those for users
    /// are compared as they are. A condition on the address is not met by a peer whose address is not known.
    pub fn check(
        &self,
        authorities: &[PublicKey],
        kind: CertificateKind,
        name: &str,
        now_unix: u64,
        source: Option<IpAddr>,
    ) -> Result<Verified<'_>, CertificateError> {
        if !authorities.contains(&self.authority) {
            return Err(CertificateError::Authority(self.authority.fingerprint()));
        }
        let signed = self.blob.get(..self.signed).unwrap_or_default();
        if self.authority.verify(self.algorithm, signed, &self.signature).is_err() {
            return Err(CertificateError::Signature);
        }
        if self.kind != kind {
            return Err(CertificateError::Kind);
        }
        if now_unix < self.valid_after {
            return Err(CertificateError::NotYetValid(self.valid_after));
        }
        if now_unix >= self.valid_before {
            return Err(CertificateError::Expired(self.valid_before));
        }
        if self.principals.is_empty() {
            return Err(CertificateError::NoPrincipals);
        }
        if !self.principals.iter().any(|principal| names(kind, principal, name)) {
            return Err(CertificateError::Principal(name.to_owned()));
        }
        let force_command = self.check_options(source)?;
        Ok(Verified {
            certificate: self,
            force_command,
        })
    }

    fn check_options(&self, source: Option<IpAddr>) -> Result<Option<&str>, CertificateError> {
        let mut force_command = None;
        for (name, data) in &self.critical_options {
            match (self.kind, name.as_str()) {
                (CertificateKind::User, FORCE_COMMAND) => {
                    force_command = Some(value(data, FORCE_COMMAND)?);
                }
                (CertificateKind::User, SOURCE_ADDRESS) => check_source(value(data, SOURCE_ADDRESS)?, source)?,
                _ => return Err(CertificateError::CriticalOption(name.clone())),
            }
        }
        Ok(force_command)
    }
}

/// The text of an option; an empty one or one with a zero byte in it would be cut short somewhere else.
fn value<'a>(data: &'a [u8], name: &'static str) -> Result<&'a str, CertificateError> {
    let mut reader = Reader::new(data);
    match reader.utf8() {
        Ok(text) if reader.is_empty() && !text.is_empty() && !text.contains('\0') => Ok(text),
        _ => Err(CertificateError::MalformedOption(name)),
    }
}

fn check_source(networks: &str, source: Option<IpAddr>) -> Result<(), CertificateError> {
    let mut found = false;
    // Every one is read, also after the right one: a list that is understood in part is not understood.
    for network in networks.split(',') {
        let network = Network::parse(network).ok_or(CertificateError::MalformedOption(SOURCE_ADDRESS))?;
        found |= source.is_some_and(|source| network.contains(source.to_canonical()));
    }
    if found {
        Ok(())
    } else {
        Err(CertificateError::SourceAddress)
    }
}

struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address, Some(bits.parse::<u32>().ok()?))
            }
            Some(_) => return None,
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        let network = Self { address, bits };
        // `10.0.0.1/8` is a slip of somebody's hand, and who knows which way.
        (bits <= width && network.has_no_host()).then_some(network)
    }

    fn has_no_host(&self) -> bool {
        match self.address {
            IpAddr::V4(address) => address.to_bits().checked_shl(self.bits).unwrap_or(0) == 0,
            IpAddr::V6(address) => address.to_bits().checked_shl(self.bits).unwrap_or(0) == 0,
        }
    }

    fn contains(&self, source: IpAddr) -> bool {
        match (self.address, source) {
            (IpAddr::V4(network), IpAddr::V4(source)) => {
                let differ = network.to_bits() ^ source.to_bits();
                differ.checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(source)) => {
                let differ = network.to_bits() ^ source.to_bits();
                differ.checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

fn names(kind: CertificateKind, principal: &str, name: &str) -> bool {
    match kind {
        CertificateKind::User => principal == name,
        CertificateKind::Host => matches(
            principal.to_ascii_lowercase().as_bytes(),
            name.to_ascii_lowercase().as_bytes(),
        ),
    }
}

/// Whether `name` is like `pattern`, where `*` stands for any characters and `?` for one.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    // Where to go on if what follows the last star does not fit: one more character belongs to the star.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern, name) {
            ([], []) => return true,
            ([b'*', after @ ..], _) => {
                retry = Some((after, name));
                pattern = after;
                continue;
            }
            ([b'?', after @ ..], [_, left @ ..]) => {
                (pattern, name) = (after, left);
                continue;
            }
            ([wanted, after @ ..], [found, left @ ..]) if wanted == found => {
                (pattern, name) = (after, left);
                continue;
            }
            _ => {}
        }
        let Some((after, [_, left @ ..])) = retry else {
            return false;
        };
        retry = Some((after, left));
        (pattern, name) = (after, left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_characters_of_a_name() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "a"),
            ("*.example.com", "a.b.example.com"),
            ("a?c*d", "abcddd"),
            ("**a", "bba"),
        ] {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "a"),
            ("?", ""),
            ("*.example.com", "example.com"),
            ("a?c*d", "abce"),
            ("*a*b", "ab-a"),
        ] {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }

    #[test]
    fn networks_hold_their_addresses_only() {
        let holds = |network: &str, source: &str| check_source(network, source.parse().ok()) == Ok(());
        assert!(holds("10.0.0.0/8", "10.255.0.1"));
        assert!(holds("192.0.2.7", "192.0.2.7"));
        assert!(
            holds("192.0.2.7,10.0.0.0/8", "::ffff:10.0.0.1"),
            "an IPv4 address in IPv6's clothes"
        );
        assert!(holds("0.0.0.0/0", "203.0.113.1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(!holds("2001:db8::/32", "2001:db9::1"));
        for network in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "10.0.0.1/8",
            "host",
            "10.0.0.1, 10.0.0.2",
        ] {
            let both = format!("203.0.113.1,{network}");
            assert_eq!(
                check_source(&both, "203.0.113.1".parse().ok()),
                Err(CertificateError::MalformedOption(SOURCE_ADDRESS)),
                "{network}"
            );
        }
        assert_eq!(check_source("0.0.0.0/0", None), Err(CertificateError::SourceAddress));
    }
}
