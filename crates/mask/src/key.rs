//! The key of stable replacements.

use std::fmt;

use aws_lc_rs::{digest, hmac};
use secrecy::{ExposeSecret, SecretSlice};

/// The secret with which `hash`, `email` and `card` choose replacements: the same value gives the same
/// replacement under the same key, so joins still work, and without the key nobody can enumerate values.
#[derive(Clone)]
pub struct MaskKey(hmac::Key);

impl MaskKey {
    /// Takes the secret bytes of the key; 32 random bytes are right.
    pub fn new(secret: &SecretSlice<u8>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret()))
    }

    /// HMAC-SHA-256 over a label and the value: equal values of different labels are unrelated.
    pub(crate) fn tag(&self, label: &str, value: &[u8]) -> [u8; digest::SHA256_OUTPUT_LEN] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(label.as_bytes());
        context.update(&[0]);
        context.update(value);
        let mut tag = [0; digest::SHA256_OUTPUT_LEN];
        for (to, from) in tag.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        tag
    }

    /// The bytes of another key, for whoever `label` names: it says nothing of this one.
    pub fn derive(&self, label: &str) -> Vec<u8> {
        self.tag("derived key", label.as_bytes()).to_vec()
    }

    /// The bytes of the key for the agents of a name, which mask in place of whoever has this one.
    pub fn for_agents(&self, name: &str) -> Vec<u8> {
        self.derive(&format!("agent {name}"))
    }

    /// A stable number for `value`, for replacements of types that are not text.
    pub fn number(&self, label: &str, value: &[u8]) -> u64 {
        self.tag(label, value)
            .iter()
            .take(8)
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Sixteen stable bytes for `value`.
    pub fn bytes16(&self, label: &str, value: &[u8]) -> [u8; 16] {
        let mut out = [0; 16];
        for (to, from) in out.iter_mut().zip(self.tag(label, value)) {
            *to = from;
        }
        out
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey(…)")
    }
}
