//! Whether a message that the branch has changed comes from the host: it only makes the gateway look, and look sooner.

use std::path::Path;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};

/// A shorter secret can be guessed.
const MIN_SECRET_BYTES: usize = 16;

/// What a message shows.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// GitHub's `X-Hub-Signature-256`: `sha256=` and the HMAC of the body. Gitea and Forgejo send it too.
    Signature(&'a str),
    /// GitLab's `X-Gitlab-Token`: the secret itself.
    Token(&'a str),
}

/// The secret that the host and the gateway share.
#[derive(Debug, Clone)]
pub struct WebhookSecret(SecretString);

impl WebhookSecret {
    /// Reads the first line of a file.
    ///
    /// # Errors
    /// When it cannot be read, or is short enough to be guessed.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read the webhook's secret `{}`: {error}", path.display()))?;
        let secret = text.lines().next().unwrap_or_default().trim();
        if secret.len() < MIN_SECRET_BYTES {
            return Err(format!(
                "the webhook's secret in `{}` has fewer than {MIN_SECRET_BYTES} characters: make a longer one, \
                 `openssl rand -hex 32` does",
                path.display()
            ));
        }
        Ok(Self(secret.into()))
    }

    /// Whether a message may be found to be sent by somebody who knows the secret, once its body is there.
    #[must_use]
    pub fn may_accept(&self, proof: Proof<'_>) -> bool {
        match proof {
            Proof::Signature(text) => signature(text).is_some(),
            // What else is in the message does not matter.
            Proof::Token(_) => self.accepts(proof, &[]),
        }
    }

    /// Whether a message with this body was sent by somebody who knows the secret. In constant time.
    #[must_use]
    pub fn accepts(&self, proof: Proof<'_>, body: &[u8]) -> bool {
        let secret = self.0.expose_secret().as_bytes();
        match proof {
            Proof::Signature(text) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                signature(text).is_some_and(|given| hmac::verify(&key, body, &given).is_ok())
            }
            // Of digests, so that not even the length shows.
            Proof::Token(text) => {
                let of = |text: &[u8]| digest::digest(&digest::SHA256, text);
                verify_slices_are_equal(of(text.as_bytes()).as_ref(), of(secret).as_ref()).is_ok()
            }
        }
    }
}

fn signature(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("sha256=")?;
    let given = hex::decode(digits).ok()?;
    (given.len() == digest::SHA256_OUTPUT_LEN).then_some(given)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn secret(text: &str) -> Result<WebhookSecret, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, text).unwrap();
        WebhookSecret::read(&path)
    }

    #[test]
    fn a_signature_is_of_the_body_and_the_secret() {
        // The example of GitHub's documentation.
        let secret = secret("It's a Secret to Everybody\n").unwrap();
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(secret.accepts(Proof::Signature(good), b"Hello, World!"));
        assert!(secret.may_accept(Proof::Signature(good)));
        for never in ["", "sha256=", "sha256=75", good.trim_start_matches("sha256=")] {
            assert!(!secret.may_accept(Proof::Signature(never)), "{never}");
        }
        assert!(!secret.accepts(Proof::Signature(good), b"Hello, World"));
        for bad in [
            "",
            "sha256=",
            "sha1=757107ea",
            good.trim_start_matches("sha256="),
            good.trim_end_matches('7'),
            &good.replace('7', "8"),
        ] {
            assert!(!secret.accepts(Proof::Signature(bad), b"Hello, World!"), "{bad}");
        }
    }

    #[test]
    fn a_token_is_the_secret() {
        let secret = secret("0123456789abcdef\nmore\n").unwrap();
        assert!(secret.accepts(Proof::Token("0123456789abcdef"), b""));
        assert!(secret.may_accept(Proof::Token("0123456789abcdef")));
        assert!(!secret.may_accept(Proof::Token("0123456789abcde0")));
        for bad in ["", "0123456789abcde", "0123456789abcdefg", "0123456789abcdef\nmore"] {
            assert!(!secret.accepts(Proof::Token(bad), b""), "{bad}");
        }
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_refused() {
        assert!(secret("short\n").is_err() && secret("").is_err());
        assert!(!format!("{:?}", secret("0123456789abcdef").unwrap()).contains("0123"));
    }
}
