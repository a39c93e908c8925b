//! The `[identity]` part of the gateway's configuration.

use std::path::PathBuf;

use serde::Deserialize;

use crate::errors::IdentityError;
use crate::oidc::OidcConfig;

/// How principals are known. Every part has a default; with none, only tokens issued before are good.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityConfig {
    /// The people file. It is read again when it changes.
    pub people: Option<PathBuf>,
    /// How long a target token lives when nobody says, in seconds.
    pub token_ttl_s: u64,
    /// How long a target token may live at most, in seconds; 12 hours is the most that can be set.
    pub token_ttl_max_s: u64,
    /// How long a login lasts, in seconds; 24 hours is the most that can be set.
    pub session_ttl_s: u64,
    /// How long an SSH certificate is good, in seconds; 12 hours is the most that can be set.
    pub ssh_certificate_ttl_s: u64,
    /// How long after its owner's last login a registered SSH key is good, in seconds; 30 days is the most that can
    /// be set. Nobody asks the provider when a key is shown, so this is how long somebody who left may go on.
    pub ssh_key_ttl_s: u64,
    /// Members of these groups may see and revoke everybody's tokens.
    pub admin_groups: Vec<String>,
    /// OpenID providers.
    pub oidc: Vec<OidcConfig>,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        Self {
            people: None,
            token_ttl_s: 3600,
            token_ttl_max_s: 12 * 3600,
            session_ttl_s: 8 * 3600,
            ssh_certificate_ttl_s: 15 * 60,
            ssh_key_ttl_s: 24 * 3600,
            admin_groups: vec!["admins".to_owned()],
            oidc: Vec::new(),
        }
    }
}

impl IdentityConfig {
    /// Checks what can be checked without asking anybody.
    pub(crate) fn check(&self) -> Result<(), IdentityError> {
        let within = |key, value: u64, most: u64| {
            if (1..=most).contains(&value) {
                Ok(())
            } else {
                let why = format!("{value} seconds is not from 1 to {most}");
                Err(IdentityError::Config { key, why })
            }
        };
        within("token_ttl_max_s", self.token_ttl_max_s, 12 * 3600)?;
        within("token_ttl_s", self.token_ttl_s, self.token_ttl_max_s)?;
        within("session_ttl_s", self.session_ttl_s, 24 * 3600)?;
        within("ssh_certificate_ttl_s", self.ssh_certificate_ttl_s, 12 * 3600)?;
        within("ssh_key_ttl_s", self.ssh_key_ttl_s, 30 * 24 * 3600)?;
        for (at, one) in self.oidc.iter().enumerate() {
            let same = |other: &OidcConfig| other.name == one.name || other.issuer == one.issuer;
            if self.oidc.iter().skip(at + 1).any(same) {
                let why = format!("two providers have the name or the issuer of `{}`", one.name);
                return Err(IdentityError::Config { key: "oidc", why });
            }
        }
        Ok(())
    }
}
