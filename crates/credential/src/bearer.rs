//! Access tokens of OAuth 2.0, which Azure and Google take.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{
    Deserialize,
    de::{Deserializer, Error as _},
};

use crate::{
    CredentialError,
    http::Answer,
    login::{Ends, Expiry},
};

/// An access token.
pub(crate) struct Bearer {
    pub(crate) token: SecretString,
    expiry: Expiry,
}

impl Bearer {
    pub(crate) fn new(token: SecretString, life: Duration) -> Self {
        let expiry = Expiry::after(life);
        Self { token, expiry }
    }
}

impl Ends for Bearer {
    fn fresh(&self) -> bool {
        self.expiry.fresh()
    }
}

/// What [token endpoints](https://www.rfc-editor.org/rfc/rfc6749#section-5.1) say.
#[derive(Deserialize)]
struct Given {
    access_token: SecretString,
    #[serde(deserialize_with = "seconds")]
    expires_in: u64,
}

/// Azure's metadata service writes numbers as texts.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Number(u64),
        Text(String),
    }
    match Number::deserialize(deserializer)? {
        Number::Number(number) => Ok(number),
        Number::Text(text) => text.parse().map_err(D::Error::custom),
    }
}

/// The token in a token endpoint's answer.
pub(crate) fn given(answer: &Answer) -> Result<Bearer, CredentialError> {
    let given = answer.json::<Given>()?;
    let token = given.access_token.expose_secret();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(answer.odd("there is no token in it"));
    }
    Ok(Bearer::new(given.access_token, Duration::from_secs(given.expires_in)))
}
