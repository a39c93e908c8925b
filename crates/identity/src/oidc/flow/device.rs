//! Logging in on another device (RFC 8628): for machines without a browser.

use std::time::Duration;

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::{Answer, Flow, FlowError, failure, plain};
use crate::http::checked_url;

/// The longest time to wait for somebody to log in.
const MAX_WAIT_S: u64 = 30 * 60;
/// The pause between two questions when the provider names none, in seconds (RFC 8628, section 3.2).
const DEFAULT_INTERVAL_S: u64 = 5;
/// The longest pause between two questions.
const MAX_INTERVAL_S: u64 = 60;

/// What to show to who logs in.
#[derive(Clone, Debug)]
pub struct DeviceCode {
    /// Where to go.
    pub page: Url,
    /// The same with the code in it.
    pub page_with_code: Option<Url>,
    /// What to type there.
    pub code: String,
    /// How long there is time.
    pub expires_in: Duration,
}

/// A device login that somebody has yet to complete.
#[derive(Debug)]
pub(crate) struct Pending {
    /// What to show.
    pub(crate) code: DeviceCode,
    device_code: SecretString,
    interval_s: u64,
    end: Instant,
}

#[derive(Deserialize)]
struct Started {
    device_code: SecretString,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

impl Flow {
    /// Gets a code, hands it to `show`, and waits until somebody logged in with it.
    ///
    /// # Errors
    /// When the flow is not offered, the provider refuses, or nobody logs in in time.
    pub async fn device(&self, show: impl FnOnce(&DeviceCode)) -> Result<SecretString, FlowError> {
        let pending = self.begin_device().await?;
        show(&pending.code);
        self.finish_device(pending).await
    }

    /// Gets a code.
    pub(crate) async fn begin_device(&self) -> Result<Pending, FlowError> {
        let endpoint = self.metadata.device_authorization_endpoint.as_ref();
        let endpoint = endpoint.filter(|_| self.provider.device).ok_or(FlowError::NoDevice)?;
        let (status, body) = self.ask(endpoint, &self.parameters()).await?;
        if status != StatusCode::OK {
            return Err(FlowError::Refused(failure(status, &body)));
        }
        let started: Started =
            serde_json::from_slice(&body).map_err(|_| FlowError::Refused("its answer is not understood".to_owned()))?;
        let expires_in = Duration::from_secs(started.expires_in.min(MAX_WAIT_S));
        let page_with_code = started.verification_uri_complete.as_deref();
        Ok(Pending {
            code: DeviceCode {
                page: checked_url(&started.verification_uri)?,
                page_with_code: page_with_code.map(checked_url).transpose()?,
                code: plain(&started.user_code),
                expires_in,
            },
            device_code: started.device_code,
            interval_s: started.interval.unwrap_or(DEFAULT_INTERVAL_S).clamp(1, MAX_INTERVAL_S),
            end: Instant::now() + expires_in,
        })
    }

    /// Waits until somebody logged in with the code.
    pub(crate) async fn finish_device(&self, pending: Pending) -> Result<SecretString, FlowError> {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code".to_owned()),
            ("device_code", pending.device_code.expose_secret().to_owned()),
            ("client_id", self.provider.client_id.clone()),
        ];
        let mut interval_s = pending.interval_s;
        loop {
            let next = Instant::now() + Duration::from_secs(interval_s);
            if next > pending.end {
                return Err(FlowError::TooLate);
            }
            tokio::time::sleep_until(next).await;
            let error = match self.ask_for_token(&form).await? {
                Answer::IdToken(token) => return Ok(token),
                Answer::Failed(error) => error,
            };
            match error.as_str() {
                "authorization_pending" => {}
                "slow_down" => interval_s = (interval_s + 5).min(MAX_INTERVAL_S),
                "expired_token" => return Err(FlowError::TooLate),
                _ => return Err(FlowError::Refused(error)),
            }
        }
    }
}
