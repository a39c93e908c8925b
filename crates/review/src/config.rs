//! What the operator decides about reviews.

use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::clock::Clock;

/// Bounds and addresses. Each value has a default that is safe.
#[derive(Clone, Debug)]
pub struct ReviewConfig {
    /// How long a client waits for reviewers, unless the rule says otherwise.
    pub hold_timeout: Duration,
    /// How long a request can be decided, unless the rule says otherwise. Never shorter than the wait.
    pub request_ttl: Duration,
    /// How long an unused grant lasts.
    pub grant_ttl: Duration,
    /// The most open requests of one principal.
    pub max_open_per_principal: u32,
    /// The most open requests.
    pub max_open: u32,
    /// How long requests that are over can still be listed. The journal keeps them longer.
    pub retention: Duration,
    /// Whom to tell.
    pub webhooks: Vec<Webhook>,
    /// The address of the console or the API that messages point to, if there is one.
    pub public_url: Option<Url>,
    /// The time of day.
    pub clock: Clock,
}

impl Default for ReviewConfig {
    fn default() -> Self {
        Self {
            hold_timeout: Duration::from_secs(10 * 60),
            request_ttl: Duration::from_secs(24 * 60 * 60),
            grant_ttl: Duration::from_secs(60 * 60),
            max_open_per_principal: 20,
            max_open: 1000,
            retention: Duration::from_secs(90 * 24 * 60 * 60),
            webhooks: Vec::new(),
            public_url: None,
            clock: Clock::system(),
        }
    }
}

/// An address that is told of requests.
///
/// Each event is one POST with a JSON body. `Sallyport-Event` names it (`request.opened`, `.approved`, `.granted`,
/// `.denied`, `.withdrawn`, `.expired`); `Sallyport-Delivery` is the same for each try of one event;
/// `Sallyport-Signature` is `t=TIME,v1=HEX`, where HEX is the HMAC-SHA-256 of `TIME.BODY` under the secret and TIME is
/// in seconds since 1970: refuse what is older than a few minutes. Any 2xx is success; 408, 429, 5xx and broken
/// connections are tried again, five times in all.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Where to post.
    pub url: Url,
    /// The key of the signature; without one, nothing is signed.
    pub secret: Option<SecretString>,
    /// What to post.
    pub format: WebhookFormat,
    /// Whether the statement's text is sent. Parameters and impact never are.
    pub include_statement: bool,
}

/// The shape of a webhook's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookFormat {
    /// The event as JSON.
    #[default]
    Json,
    /// `{"text": …}`, which Slack, Mattermost and their like take.
    Slack,
}
