//! The two authorities of the gateway.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sallyport_ssh_transport::keys::{
    Certificate, CertificateKind, CertificateRequest, KeyError, PrivateKey, PublicKey,
};
use time::OffsetDateTime;

use crate::secret::TokenId;

/// How long a certificate for a host is good: it is shown at once.
const HOST_LOGIN: Duration = Duration::from_secs(5 * 60);
/// How far the clock of a host may be behind.
const SKEW: Duration = Duration::from_secs(60);
/// What a host would run for somebody who shows it a certificate that is for the gateway, if it was made to trust the
/// wrong authority.
const ONLY_AT_THE_GATEWAY: &str = "echo 'sallyport: this certificate is good at the gateway only' >&2; exit 1";

/// The gateway's authorities for SSH certificates: one for people, whose certificates are good at the gateway only, and
/// one that hosts trust, whose certificates nobody but the gateway ever has. If they were one, people could go to the
/// hosts past the gateway.
pub struct SshAuthorities {
    people: PrivateKey,
    hosts: Arc<HostLogins>,
}

/// An authority that hosts trust: it signs for the logins of whoever stands before them, the gateway or an agent.
pub struct HostLogins(PrivateKey);

impl fmt::Debug for SshAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshAuthorities")
            .field("people", self.people.public_key())
            .field("hosts", self.hosts.public_key())
            .finish()
    }
}

impl SshAuthorities {
    /// With their keys. `None` when they are one key.
    #[must_use]
    pub fn new(people: PrivateKey, hosts: PrivateKey) -> Option<Self> {
        (people.public_key() != hosts.public_key()).then(|| Self {
            people,
            hosts: Arc::new(HostLogins::new(hosts)),
        })
    }

    /// The key that signs for people. Hosts must not trust it.
    #[must_use]
    pub fn people(&self) -> &PublicKey {
        self.people.public_key()
    }

    /// The key that signs for the gateway's own logins: for `TrustedUserCAKeys` of hosts.
    #[must_use]
    pub fn hosts(&self) -> &Arc<HostLogins> {
        &self.hosts
    }

    /// A certificate with which somebody logs in to the gateway. Its name is in it, with that of its token, and it
    /// permits nothing beyond a bare command, which is one that says where it belongs.
    pub(crate) fn for_gateway(
        &self,
        key: PublicKey,
        principal: &str,
        id: &TokenId,
        (now, expires): (OffsetDateTime, OffsetDateTime),
    ) -> Result<Certificate, KeyError> {
        let request = CertificateRequest {
            key,
            kind: CertificateKind::User,
            serial: serial(id),
            key_id: format!("{principal} {id}"),
            principals: vec![principal.to_owned()],
            valid_after: seconds(now - SKEW),
            valid_before: seconds(expires),
            force_command: Some(ONLY_AT_THE_GATEWAY.to_owned()),
            source_addresses: Vec::new(),
            extensions: BTreeMap::new(),
        };
        Certificate::issue(&request, &self.people)
    }

    /// Whether a certificate is one of [`Self::for_gateway`] and good for `principal`, apart from whether it was
    /// revoked.
    pub(crate) fn is_for_gateway(&self, certificate: &Certificate, principal: &str, now: OffsetDateTime) -> bool {
        let authorities = std::slice::from_ref(self.people());
        certificate
            .check(authorities, CertificateKind::User, principal, seconds(now), None)
            .is_ok_and(|verified| verified.force_command() == Some(ONLY_AT_THE_GATEWAY))
    }
}

impl fmt::Debug for HostLogins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostLogins").field(self.public_key()).finish()
    }
}

impl HostLogins {
    /// With its key.
    #[must_use]
    pub fn new(key: PrivateKey) -> Self {
        Self(key)
    }

    /// The key to be trusted: for `TrustedUserCAKeys` of hosts.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    /// A certificate to log in to a host for one session: for the account `login`, for minutes.
    /// `session` is what the host writes into its log, such as who it is for and the session's id.
    ///
    /// # Errors
    /// When the names cannot be used.
    pub fn for_host(
        &self,
        key: PublicKey,
        login: &str,
        session: &str,
        now: OffsetDateTime,
    ) -> Result<Certificate, KeyError> {
        // No X11, which the gateway refuses, and nothing of the account's own `~/.ssh/rc`.
        let extensions = ["permit-agent-forwarding", "permit-port-forwarding", "permit-pty"];
        let request = CertificateRequest {
            key,
            kind: CertificateKind::User,
            serial: serial(&TokenId::new()),
            key_id: session.to_owned(),
            principals: vec![login.to_owned()],
            valid_after: seconds(now - SKEW),
            valid_before: seconds(now + HOST_LOGIN),
            force_command: None,
            source_addresses: Vec::new(),
            extensions: extensions.map(|name| (name.to_owned(), String::new())).into(),
        };
        Certificate::issue(&request, &self.0)
    }
}

/// The random half of an id.
fn serial(id: &TokenId) -> u64 {
    let low = id.0.get(16..).and_then(|hex| u64::from_str_radix(hex, 16).ok());
    low.unwrap_or_default()
}

/// Seconds since 1970; the start of it for what was before.
fn seconds(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp()).unwrap_or_default()
}
