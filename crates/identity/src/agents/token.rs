//! Join tokens: one text that lets one agent join once, and tells it whom it joins.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::pin::Pin;
use crate::secret::{NoRandom, TokenHash, sha256};

/// What a join token begins with, so that scanners for leaked secrets can find it.
pub const JOIN_PREFIX: &str = "spj_";

const ID_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
const PIN_BYTES: usize = 32;
const BYTES: usize = ID_BYTES + SECRET_BYTES + PIN_BYTES;
/// The length of the whole text: four of prefix, 107 of base64.
const CHARS: usize = 111;

/// A join token: its id, its secret, and the digest of the authority's root.
#[derive(Clone, Debug)]
pub struct JoinToken {
    text: SecretString,
    id: Uuid,
    pin: Pin,
}

impl JoinToken {
    /// A new one, for the authority with this pin.
    pub(super) fn generate(pin: Pin) -> Result<Self, NoRandom> {
        let id = Uuid::now_v7();
        let mut secret = [0_u8; SECRET_BYTES];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| NoRandom)?;
        let bytes = [id.as_bytes().as_slice(), &secret, pin.as_bytes()].concat();
        let text = format!("{JOIN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)).into();
        Ok(Self { text, id, pin })
    }

    /// Reads a token's text. `None` when it has not the form of one.
    #[must_use]
    pub fn parse(text: &SecretString) -> Option<Self> {
        let encoded = text.expose_secret().strip_prefix(JOIN_PREFIX)?;
        if text.expose_secret().len() != CHARS {
            return None;
        }
        let bytes: [u8; BYTES] = URL_SAFE_NO_PAD.decode(encoded).ok()?.try_into().ok()?;
        let (id, rest) = bytes.split_first_chunk::<ID_BYTES>()?;
        let (_, pin) = rest.split_last_chunk::<PIN_BYTES>()?;
        Some(Self {
            text: text.clone(),
            id: Uuid::from_bytes(*id),
            pin: Pin::from_bytes(*pin),
        })
    }

    /// Its name, fit for logs and lists.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.simple().to_string()
    }

    /// The digest of the authority's root that the gateway must show.
    #[must_use]
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &SecretString {
        &self.text
    }

    pub(super) fn hash(&self) -> TokenHash {
        sha256(self.text.expose_secret().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn it_reads_back_and_nothing_else_does() {
        let pin = Pin::from_bytes([7; 32]);
        let token = JoinToken::generate(pin).unwrap();
        let text = token.text().expose_secret().to_owned();
        let read = JoinToken::parse(token.text()).unwrap();
        assert_eq!((read.id(), read.pin(), read.hash()), (token.id(), pin, token.hash()));
        assert!(!format!("{token:?}").contains(text.get(30..60).unwrap()));
        for bad in [
            String::new(),
            "spj_".to_owned(),
            text.replacen("spj_", "spt_", 1),
            format!("{text}A"),
            text.get(..110).unwrap().to_owned(),
            format!("{}=", text.get(..110).unwrap()),
            format!("{}+", text.get(..110).unwrap()),
        ] {
            assert!(JoinToken::parse(&bad.into()).is_none());
        }
    }
}
