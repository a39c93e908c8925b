//! The client of SCRAM-SHA-256. Pure, but for random bytes.
//!
//! Each state is consumed by its transition: [`First`] waits for the server's challenge, [`Final`] for the
//! server's own proof, without which the login does not count.
//!
//! Source: RFC 5802, RFC 7677, <https://www.postgresql.org/docs/current/sasl-authentication.html>.

use std::num::NonZeroU32;

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
    hmac, pbkdf2, rand,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::zeroize::{Zeroize, Zeroizing};

/// The mechanism's name.
pub(crate) const PLAIN: &str = "SCRAM-SHA-256";
/// The name of the mechanism with channel binding.
pub(crate) const PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Fewer iterations than RFC 7677 asks for would make the password cheap to guess from what we answer.
const MIN_ITERATIONS: u32 = 4096;
/// More would make the gateway work for whoever asks.
const MAX_ITERATIONS: u32 = 600_000;
const MAX_SALT: usize = 1024;
const MAX_NONCE: usize = 1024;

/// The server did not do its part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// There are no random bytes.
    #[error("no random bytes")]
    NoRandomness,
    /// A message is not of the form that the RFC gives it.
    #[error("a SCRAM message is malformed")]
    Malformed,
    /// The nonce is not made from ours: an old exchange may be played back.
    #[error("the nonce does not begin with the one that was sent")]
    Nonce,
    /// The number of iterations is out of bounds.
    #[error("{0} iterations are not between {MIN_ITERATIONS} and {MAX_ITERATIONS}")]
    Iterations(u32),
    /// The server says that it failed.
    #[error("the server says `{0}`")]
    Server(String),
    /// The server does not know the password.
    #[error("the server did not prove that it knows the password")]
    Signature,
}

/// What the exchange is bound to.
#[derive(Clone, Debug)]
pub(crate) enum Binding {
    /// We cannot bind: no TLS, or switched off.
    Unsupported,
    /// We could, but the server did not offer it. A server that did will notice that somebody took it out.
    Unoffered,
    /// The hash of the server's certificate (RFC 5929, `tls-server-end-point`).
    EndPoint(Vec<u8>),
}

impl Binding {
    fn header(&self) -> &'static str {
        match self {
            Self::Unsupported => "n,,",
            Self::Unoffered => "y,,",
            Self::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    /// The mechanism to name.
    pub(crate) fn mechanism(&self) -> &'static str {
        match self {
            Self::Unsupported | Self::Unoffered => PLAIN,
            Self::EndPoint(_) => PLUS,
        }
    }

    fn input(&self) -> String {
        let mut input = self.header().as_bytes().to_vec();
        match self {
            Self::Unsupported | Self::Unoffered => {}
            Self::EndPoint(hash) => input.extend(hash),
        }
        BASE64_STANDARD.encode(input)
    }
}

/// What is derived from the password, a salt and a number of iterations: as good as the password towards
/// this server.
#[derive(Clone)]
pub(crate) struct Keys {
    client: Zeroizing<[u8; 32]>,
    server: Zeroizing<[u8; 32]>,
}

impl Keys {
    /// Derives the keys: some milliseconds of work.
    pub(crate) fn derive(password: &str, salt: &Salt) -> Self {
        let prepared = stringprep::saslprep(password);
        // As servers do, what cannot be prepared is taken as it is.
        let text = prepared.as_deref().unwrap_or(password);
        let mut salted = [0; 32];
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, salt.iterations, &salt.bytes, text.as_bytes(), &mut salted);
        let keys = Self {
            client: Zeroizing::new(mac(&salted, b"Client Key")),
            server: Zeroizing::new(mac(&salted, b"Server Key")),
        };
        salted.zeroize();
        keys
    }

    /// What a server keeps to know the password by, which does not tell it:
    /// <https://www.postgresql.org/docs/current/catalog-pg-authid.html>.
    pub(crate) fn verifier(&self, salt: &Salt) -> String {
        let stored = digest(&SHA256, &*self.client);
        let text = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        format!(
            "{PLAIN}${}:{}${}:{}",
            salt.iterations,
            text(&salt.bytes),
            text(stored.as_ref()),
            text(&*self.server)
        )
    }
}

/// What a server mixes into a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Salt {
    bytes: Vec<u8>,
    iterations: NonZeroU32,
}

impl Salt {
    /// A new one.
    pub(crate) fn random() -> Result<Self, ScramError> {
        let mut bytes = vec![0; 16];
        rand::fill(&mut bytes).map_err(|_unspecified| ScramError::NoRandomness)?;
        let iterations = NonZeroU32::new(MIN_ITERATIONS).unwrap_or(NonZeroU32::MIN);
        Ok(Self { bytes, iterations })
    }
}

/// The exchange has begun.
pub(crate) struct First {
    binding: Binding,
    nonce: String,
}

/// The server has sent its challenge.
pub(crate) struct Challenge {
    binding: Binding,
    first_bare: String,
    server_first: String,
    server_nonce: String,
    /// To derive the keys with.
    pub(crate) salt: Salt,
}

/// The proof has been sent; the server's is awaited.
pub(crate) struct Final {
    signature: [u8; 32],
}

impl First {
    pub(crate) fn new(binding: Binding) -> Result<Self, ScramError> {
        let mut nonce = [0; 24];
        rand::fill(&mut nonce).map_err(|_unspecified| ScramError::NoRandomness)?;
        Ok(Self::with_nonce(binding, BASE64_STANDARD.encode(nonce)))
    }

    fn with_nonce(binding: Binding, nonce: String) -> Self {
        Self { binding, nonce }
    }

    fn bare(&self) -> String {
        // The user name is the startup packet's; servers ignore this one.
        format!("n=,r={}", self.nonce)
    }

    /// The first message.
    pub(crate) fn message(&self) -> String {
        format!("{}{}", self.binding.header(), self.bare())
    }

    /// Reads the server's challenge.
    pub(crate) fn challenge(self, server_first: &[u8]) -> Result<Challenge, ScramError> {
        let text = std::str::from_utf8(server_first).map_err(|_| ScramError::Malformed)?;
        let mut parts = text.split(',');
        let mut part = |key: &str| {
            parts
                .next()
                .and_then(|part| part.strip_prefix(key))
                .ok_or(ScramError::Malformed)
        };
        let (nonce, salt, iterations) = (part("r=")?, part("s=")?, part("i=")?);
        let printable = nonce.bytes().all(|byte| byte.is_ascii_graphic());
        if nonce.len() > MAX_NONCE || !printable {
            return Err(ScramError::Malformed);
        }
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError::Nonce);
        }
        let salt = BASE64_STANDARD.decode(salt).map_err(|_| ScramError::Malformed)?;
        if salt.is_empty() || salt.len() > MAX_SALT {
            return Err(ScramError::Malformed);
        }
        let count: u32 = iterations.parse().map_err(|_| ScramError::Malformed)?;
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&count) {
            return Err(ScramError::Iterations(count));
        }
        let iterations = NonZeroU32::new(count).ok_or(ScramError::Iterations(count))?;
        Ok(Challenge {
            first_bare: self.bare(),
            binding: self.binding,
            server_first: text.to_owned(),
            server_nonce: nonce.to_owned(),
            salt: Salt {
                bytes: salt,
                iterations,
            },
        })
    }
}

impl Challenge {
    /// The message with the proof, and what to expect for it.
    pub(crate) fn answer(self, keys: &Keys) -> (String, Final) {
        let without_proof = format!("c={},r={}", self.binding.input(), self.server_nonce);
        let exchange = format!("{},{},{without_proof}", self.first_bare, self.server_first);
        let stored = digest(&SHA256, keys.client.as_slice());
        let mut proof = mac(stored.as_ref(), exchange.as_bytes());
        for (byte, key) in proof.iter_mut().zip(keys.client.iter()) {
            *byte ^= key;
        }
        let signature = mac(keys.server.as_slice(), exchange.as_bytes());
        (
            format!("{without_proof},p={}", BASE64_STANDARD.encode(proof)),
            Final { signature },
        )
    }
}

impl Final {
    /// Checks the server's proof.
    pub(crate) fn verify(self, server_final: &[u8]) -> Result<(), ScramError> {
        let text = std::str::from_utf8(server_final).map_err(|_| ScramError::Malformed)?;
        let first = text.split(',').next().unwrap_or_default();
        if let Some(error) = first.strip_prefix("e=") {
            return Err(ScramError::Server(error.chars().take(64).collect()));
        }
        let encoded = first.strip_prefix("v=").ok_or(ScramError::Malformed)?;
        let signature = BASE64_STANDARD.decode(encoded).map_err(|_| ScramError::Malformed)?;
        verify_slices_are_equal(&signature, &self.signature).map_err(|_| ScramError::Signature)
    }
}

fn mac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
    let mut out = [0; 32];
    out.iter_mut().zip(tag.as_ref()).for_each(|(slot, byte)| *slot = *byte);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{Binding, First, Keys, ScramError};

    /// The exchange of RFC 7677, section 3 (there with a user name, which PostgreSQL leaves empty; so the
    /// proofs are those of this exchange, computed with Python's hashlib).
    const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn challenge(server_first: &str) -> Result<super::Challenge, ScramError> {
        First::with_nonce(Binding::Unsupported, CLIENT_NONCE.into()).challenge(server_first.as_bytes())
    }

    #[test]
    fn a_known_exchange() {
        let first = First::with_nonce(Binding::Unsupported, CLIENT_NONCE.into());
        assert_eq!(first.message(), "n,,n=,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = first.challenge(SERVER_FIRST.as_bytes()).unwrap();
        let keys = Keys::derive("pencil", &challenge.salt);
        let (message, last) = challenge.answer(&keys);
        assert_eq!(
            message,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=qvT2SWdEH5Q06albL+hjSYuUhCG7VndFyzIb7CK4n9k="
        );
        assert_eq!(last.verify(b"v=3HO6Qt1M4MKJrmlKaoOqLAI0/0TV0HZe7J9H3MBtSOg="), Ok(()));
    }

    #[test]
    fn a_wrong_or_missing_proof_of_the_server_is_refused() {
        let last = || {
            let challenge = challenge(SERVER_FIRST).unwrap();
            let keys = Keys::derive("pencil", &challenge.salt);
            challenge.answer(&keys).1
        };
        let wrong = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(last().verify(wrong), Err(ScramError::Signature));
        assert_eq!(last().verify(b"v="), Err(ScramError::Signature));
        assert_eq!(last().verify(b""), Err(ScramError::Malformed));
        assert_eq!(last().verify(b"e=no"), Err(ScramError::Server("no".into())));
    }

    /// pa-014.
    #[test]
    fn challenges_out_of_bounds_are_refused() {
        let refused = |from: &str, to: &str| challenge(&SERVER_FIRST.replace(from, to)).err().unwrap();
        assert_eq!(refused("i=4096", "i=1"), ScramError::Iterations(1));
        assert_eq!(refused("i=4096", "i=4095"), ScramError::Iterations(4095));
        assert_eq!(refused("i=4096", "i=600001"), ScramError::Iterations(600_001));
        assert_eq!(refused("i=4096", "i=2147483648"), ScramError::Iterations(1 << 31));
        assert_eq!(refused("i=4096", "i=99999999999"), ScramError::Malformed);
        assert_eq!(refused("r=rOpr", "r=XOpr"), ScramError::Nonce);
        assert_eq!(refused("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", ""), ScramError::Nonce);
        assert_eq!(refused("s=W22ZaJ0SNY7soEsUEjb6gQ==", "s="), ScramError::Malformed);
        assert_eq!(refused("r=", "m=x,r="), ScramError::Malformed);
        assert_eq!(refused(",i=4096", ""), ScramError::Malformed);
    }

    #[test]
    fn the_binding_is_in_the_message() {
        let bound = First::with_nonce(Binding::EndPoint(vec![1, 2, 3]), CLIENT_NONCE.into());
        assert!(bound.message().starts_with("p=tls-server-end-point,,n=,r="));
        let challenge = bound.challenge(SERVER_FIRST.as_bytes()).unwrap();
        let keys = Keys::derive("pencil", &challenge.salt);
        assert!(
            challenge
                .answer(&keys)
                .0
                .starts_with("c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAQID,r=")
        );
        let unoffered = First::with_nonce(Binding::Unoffered, CLIENT_NONCE.into());
        assert!(unoffered.message().starts_with("y,,"));
    }
}
