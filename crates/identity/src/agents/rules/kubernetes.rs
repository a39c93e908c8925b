//! Pods: a service account's token, projected into a pod
//! ([KEP-1205](https://github.com/kubernetes/enhancements/tree/master/keps/sig-auth/1205-bound-service-account-tokens)).

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;
use smol_str::SmolStr;

use super::{Fact, Shown, jwt, some};
use crate::agents::errors::ProofFault;
use crate::messages::Sealed;

/// Lets pods with some service accounts join.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubernetesRule {
    /// As whom they join.
    pub agent: SmolStr,
    /// The cluster's issuer, exactly as its tokens say it.
    pub issuer: String,
    /// The audience that the token is projected for, and nobody else: let it name this gateway.
    pub audience: String,
    /// The cluster's keys, a JWKS: what `kubectl get --raw /openid/v1/jwks` prints.
    pub keys: PathBuf,
    /// `namespace/serviceaccount` of each that may.
    pub service_accounts: Vec<String>,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "kubernetes.io")]
    kubernetes: Bound,
}

/// What the token is bound to.
#[derive(Deserialize)]
struct Bound {
    namespace: String,
    serviceaccount: Object,
    pod: Option<Object>,
    node: Option<Object>,
}

#[derive(Deserialize)]
struct Object {
    name: String,
    uid: Option<String>,
}

impl KubernetesRule {
    pub(super) fn check(&self) -> Result<(), String> {
        some("service_accounts", &self.service_accounts)?;
        let pair = |account: &&String| account.split('/').filter(|part| !part.is_empty()).count() != 2;
        if let Some(bad) = self.service_accounts.iter().find(pair) {
            return Err(format!("`{bad}` is not `namespace/serviceaccount`"));
        }
        if self.issuer.is_empty() || self.audience.is_empty() {
            return Err("`issuer` and `audience` must not be empty".to_owned());
        }
        jwt::key_set(&self.keys, "sig").map(drop)
    }

    pub(super) fn prove(&self, token: &Sealed, shown: &Shown<'_>) -> Result<Fact, ProofFault> {
        let parties = (Some(self.issuer.as_str()), self.audience.as_str());
        let good: jwt::Good<Claims> = jwt::check(token, (&self.keys, "sig"), parties, shown.now)?;
        let bound = good.claims.kubernetes;
        // One that is bound to no pod lives on when the pod is gone, and may be anybody's.
        let pod = bound.pod.ok_or(ProofFault::Said("is bound to no pod"))?;
        let (namespace, account) = (&bound.namespace, &bound.serviceaccount.name);
        if good.subject != format!("system:serviceaccount:{namespace}:{account}") {
            return Err(ProofFault::Said("has a subject that is not its service account"));
        }
        let name = format!("{namespace}/{account}");
        if !self.service_accounts.contains(&name) {
            return Err(ProofFault::NotListed("service account"));
        }
        Ok(Fact {
            method: "kubernetes",
            said: json!({
                "issuer": self.issuer, "service_account": name, "pod": pod.name, "pod_uid": pod.uid,
                "node": bound.node.map(|node| node.name),
            }),
            once: good.once,
        })
    }
}
