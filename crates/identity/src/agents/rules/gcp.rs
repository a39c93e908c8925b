//! Google Compute Engine: an instance's identity token
//! ([Verifying the identity of instances](https://cloud.google.com/compute/docs/instances/verifying-instance-identity)).

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;
use smol_str::SmolStr;

use super::{Fact, Shown, any, jwt, lists, some};
use crate::agents::errors::ProofFault;
use crate::messages::Sealed;

/// Lets instances of some projects join.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GcpRule {
    /// As whom they join.
    pub agent: SmolStr,
    /// Who makes the tokens.
    #[serde(default = "google")]
    pub issuer: String,
    /// What the agent asks a token for: `audience`, `/`, and the digest of its key.
    pub audience: String,
    /// Google's keys, a JWKS.
    pub keys: PathBuf,
    /// Ids of the projects that may.
    pub projects: Vec<String>,
    /// The zones, if not all.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Addresses of the service accounts, if not all.
    #[serde(default)]
    pub service_accounts: Vec<String>,
}

fn google() -> String {
    "https://accounts.google.com".to_owned()
}

#[derive(Deserialize)]
struct Claims {
    email: Option<String>,
    email_verified: Option<bool>,
    google: Option<Google>,
}

#[derive(Deserialize)]
struct Google {
    compute_engine: Option<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    project_id: String,
    zone: String,
    instance_id: String,
    instance_name: String,
}

/// The audience for which the agent with this key asks, so that nobody else can join with its token.
pub(in crate::agents) fn bound_audience(audience: &str, key: [u8; 32]) -> String {
    format!("{audience}/{}", hex::encode(key))
}

impl GcpRule {
    pub(super) fn check(&self) -> Result<(), String> {
        some("projects", &self.projects)?;
        any("zones", &self.zones)?;
        any("service_accounts", &self.service_accounts)?;
        if self.issuer.is_empty() || self.audience.is_empty() {
            return Err("`issuer` and `audience` must not be empty".to_owned());
        }
        jwt::key_set(&self.keys, "sig").map(drop)
    }

    pub(super) fn prove(&self, token: &Sealed, shown: &Shown<'_>) -> Result<Fact, ProofFault> {
        let audience = bound_audience(&self.audience, shown.key);
        let parties = (Some(self.issuer.as_str()), audience.as_str());
        let good: jwt::Good<Claims> = jwt::check(token, (&self.keys, "sig"), parties, shown.now)?;
        let claims = good.claims;
        let instance = claims.google.and_then(|google| google.compute_engine);
        let instance = instance.ok_or(ProofFault::Said("says nothing of an instance"))?;
        let email = claims.email.filter(|_| claims.email_verified == Some(true));
        let email = email.ok_or(ProofFault::Said("has no service account that was verified"))?;
        if !lists(&self.projects, &instance.project_id) {
            return Err(ProofFault::NotListed("project"));
        }
        if !lists(&self.zones, &instance.zone) {
            return Err(ProofFault::NotListed("zone"));
        }
        if !lists(&self.service_accounts, &email) {
            return Err(ProofFault::NotListed("service account"));
        }
        Ok(Fact {
            method: "gcp",
            said: json!({
                "project": instance.project_id, "zone": instance.zone, "instance_id": instance.instance_id,
                "instance_name": instance.instance_name, "service_account": email,
            }),
            once: good.once,
        })
    }
}
