//! Logging in with the browser of this machine: authorization code with PKCE, answered on loopback (RFC 8252).

use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use tokio::net::TcpListener;
use url::Url;

use super::callback::{PATH, wait_for};
use super::{Answer, Flow, FlowError, plain};
use crate::secret::{random_text, sha256};

/// How long to wait for the browser.
const WAIT: Duration = Duration::from_secs(10 * 60);

impl Flow {
    /// Hands the address to open in a browser to `show`, waits for the browser to come back, and gets the ID token.
    ///
    /// # Errors
    /// When the provider refuses, or nobody logs in in time.
    pub async fn browser(&self, show: impl FnOnce(&Url)) -> Result<SecretString, FlowError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let redirect = format!("http://127.0.0.1:{port}{PATH}");
        // The verifier never leaves this process before the code is redeemed, so that a code that another program of
        // this machine catches is of no use to it.
        let verifier = random_text::<32>()?;
        let state = random_text::<32>()?;
        show(&self.address(&redirect, &state, &verifier));
        let answer = tokio::time::timeout(WAIT, wait_for(listener, port, state)).await;
        let answer = answer.map_err(|_| FlowError::TooLate)??;
        // RFC 9207: an answer of another provider must not be redeemed at this one.
        match &answer.issuer {
            Some(issuer) if *issuer != self.provider.issuer => {
                return Err(FlowError::Foreign("it is of another issuer"));
            }
            None if self.metadata.names_issuer => {
                return Err(FlowError::Foreign("it does not name its issuer"));
            }
            Some(_) | None => {}
        }
        let code = answer.code.map_err(|error| FlowError::Refused(plain(&error)))?;
        let form = [
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("redirect_uri", redirect),
            ("client_id", self.provider.client_id.clone()),
            ("code_verifier", verifier),
        ];
        match self.ask_for_token(&form).await? {
            Answer::IdToken(token) => Ok(token),
            Answer::Failed(error) => Err(FlowError::Refused(error)),
        }
    }

    fn address(&self, redirect: &str, state: &str, verifier: &str) -> Url {
        let mut address = self.metadata.authorization_endpoint.clone();
        let challenge = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
        address
            .query_pairs_mut()
            .extend_pairs(self.parameters())
            .append_pair("response_type", "code")
            .append_pair("redirect_uri", redirect)
            .append_pair("state", state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        address
    }
}
