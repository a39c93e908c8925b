//! SSH certificates for the gateway. Each is a token in the store, known by the hash of the certificate: it is listed,
//! revoked and ended as tokens are, and one that the gateway did not enter there opens nothing, whoever signed it.

use std::net::IpAddr;
use std::time::Duration;

use sallyport_ssh_transport::keys::{Certificate, PublicKey};
use sallyport_store::tokens::Scope;
use time::OffsetDateTime;
use tracing::info;

use crate::errors::{IssueError, Refusal, SshCertificateError};
use crate::identities::{Credential, Identities};
use crate::messages::SshCertificateReply;
use crate::secret::{TokenId, sha256};
use crate::ssh::SshAuthorities;
use crate::tokens::Wanted;

impl Identities {
    /// The authorities for SSH certificates, if the gateway has SSH.
    #[must_use]
    pub fn ssh(&self) -> Option<&SshAuthorities> {
        self.ssh.as_ref()
    }

    /// A certificate for the gateway, asked for by a login (its credential comes from [`Identities::by_api_token`]). It
    /// ends with the login at the latest, and with the login's revocation.
    ///
    /// # Errors
    /// When the gateway has no SSH, the key cannot be used, or the login has ended.
    pub async fn issue_ssh_certificate(
        &self,
        by: &Credential,
        public_key: &str,
        now: OffsetDateTime,
    ) -> Result<SshCertificateReply, SshCertificateError> {
        let authorities = self.ssh().ok_or(SshCertificateError::NoSsh)?;
        let key: PublicKey = public_key.trim().parse()?;
        let expires = now + Duration::from_secs(self.config.ssh_certificate_ttl_s);
        let expires = by.expires.map_or(expires, |end| end.min(expires));
        if expires <= now {
            return Err(IssueError::Ended.into());
        }
        let (user, id) = (by.principal.id.clone(), TokenId::new());
        let name = format!("SSH certificate {}", key.fingerprint());
        let certificate = authorities.for_gateway(key, &user, &id, (now, expires))?;
        let wanted = Wanted {
            scope: Scope::Target,
            target: None,
            name: Some(&name),
            parent: by.token.as_ref(),
            expires,
        };
        let entry = (id.clone(), sha256(certificate.blob()));
        self.enter(&by.principal, &wanted, entry, now).await?;
        info!(%user, token = %id, "an SSH certificate was issued");
        Ok(SshCertificateReply {
            certificate: certificate.to_string(),
            id,
            user,
            expires,
        })
    }

    /// Who connects as the user `claimed` with this certificate, to reach `target`. The client must have shown that it
    /// has the certificate's key.
    ///
    /// # Errors
    /// The reason, fit to be shown to the client.
    pub async fn by_ssh_certificate(
        &self,
        certificate: &Certificate,
        claimed: &str,
        target: &str,
        source: IpAddr,
        now: OffsetDateTime,
    ) -> Result<Credential, Refusal> {
        let authorities = self.ssh().ok_or(Refusal::UnknownSshCertificate)?;
        if !authorities.is_for_gateway(certificate, claimed, now) {
            // Whoever has one of ours that only ended is told so; about others nothing is said.
            let began = OffsetDateTime::from_unix_timestamp(certificate.valid_after().try_into().unwrap_or(0));
            let ours = began.is_ok_and(|began| authorities.is_for_gateway(certificate, claimed, began));
            info!(%claimed, %source, ended = ours, "an SSH certificate was refused");
            return Err(if ours {
                Refusal::SshCertificateExpired
            } else {
                Refusal::UnknownSshCertificate
            });
        }
        let found = self.by_hash(sha256(certificate.blob()), claimed, target).await;
        found.map_err(|refusal| match refusal {
            Refusal::Expired => Refusal::SshCertificateExpired,
            Refusal::Revoked => Refusal::SshCertificateRevoked,
            Refusal::WrongTarget => Refusal::WrongTarget,
            Refusal::Unavailable(error) => Refusal::Unavailable(error),
            Refusal::UnknownToken
            | Refusal::WrongUser
            | Refusal::UnknownCertificate
            | Refusal::WrongCertificate
            | Refusal::UnknownSshCertificate
            | Refusal::SshCertificateExpired
            | Refusal::SshCertificateRevoked
            | Refusal::UnknownSshKey
            | Refusal::TooMany { .. } => Refusal::UnknownSshCertificate,
        })
    }
}
