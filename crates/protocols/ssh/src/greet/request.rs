//! A request to be let in (RFC 4252, sections 5, 7 and 8).

use bytes::BytesMut;
use sallyport_ssh_transport::keys::{Certificate, PublicKey, SignatureAlgorithm};
use sallyport_ssh_transport::message;
use sallyport_ssh_transport::wire::{self, Reader, WireError};
use secrecy::SecretString;

/// The longest token or password.
const MAX_PASSWORD: usize = 4096;

/// Why a message is no request.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("a malformed request to log in: {0}")]
    Wire(#[from] WireError),
    #[error("a message that is no request to log in")]
    Other,
}

/// Who wants in, and how that is to be shown.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) user: String,
    pub(super) method: Method,
}

/// How it is shown.
#[derive(Debug)]
pub(super) enum Method {
    /// Nothing: the client asks what there is.
    None,
    /// A key, without proof: the client asks whether it would do.
    Offer {
        algorithm: String,
        blob: Vec<u8>,
        shown: Option<Shown>,
    },
    /// A key of which the client has the private half: its signature was right.
    Key(Shown),
    Password(SecretString),
    Interactive,
    /// A method that is not known, a key that is not understood, a signature that is wrong.
    Unknown,
}

/// What was shown.
#[derive(Debug)]
pub(super) enum Shown {
    Key(PublicKey),
    Certificate(Box<Certificate>),
}

impl Method {
    /// Whether its failure is an attempt.
    pub(super) fn counts(&self) -> bool {
        !matches!(self, Self::None)
    }
}

impl Request {
    /// Reads a payload. `session` is the session's identifier, over which a key signs.
    pub(super) fn read(payload: &[u8], session: &[u8]) -> Result<Self, RequestError> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != message::USERAUTH_REQUEST {
            return Err(RequestError::Other);
        }
        let user = reader.utf8()?.to_owned();
        if reader.string()? != b"ssh-connection" {
            return Err(RequestError::Other);
        }
        let method = match reader.string()? {
            b"none" => Method::None,
            b"publickey" => Method::key(&mut reader, payload, session)?,
            b"password" => Method::password(&mut reader)?,
            b"keyboard-interactive" => {
                let (_language, _methods) = (reader.string()?, reader.string()?);
                Method::Interactive
            }
            _ => {
                let _ = reader.rest();
                Method::Unknown
            }
        };
        reader.finish()?;
        Ok(Self { user, method })
    }
}

impl Method {
    fn key(reader: &mut Reader<'_>, payload: &[u8], session: &[u8]) -> Result<Self, WireError> {
        let signed = reader.bool()?;
        let (name, blob) = (reader.utf8()?, reader.string()?);
        let shown = Shown::read(name, blob);
        if !signed {
            return Ok(Self::Offer {
                algorithm: name.to_owned(),
                blob: blob.to_vec(),
                shown: shown.map(|(shown, _)| shown),
            });
        }
        // Everything before the signature is what is signed (section 7).
        let covered = payload.len() - reader.remaining();
        let signature = reader.string()?;
        let Some((shown, algorithm)) = shown else {
            return Ok(Self::Unknown);
        };
        let mut message = BytesMut::new();
        wire::put_string(&mut message, session);
        message.extend_from_slice(payload.get(..covered).unwrap_or_default());
        Ok(match shown.key().verify(algorithm, &message, signature) {
            Ok(()) => Self::Key(shown),
            Err(_) => Self::Unknown,
        })
    }

    fn password(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let changes = reader.bool()?;
        let password = reader.utf8()?;
        if changes {
            let _new = reader.string()?;
            return Ok(Self::Unknown);
        }
        if password.len() > MAX_PASSWORD {
            return Ok(Self::Unknown);
        }
        Ok(Self::Password(password.to_owned().into()))
    }
}

impl Shown {
    /// A key or certificate whose algorithm is the one that is named, with how it signs.
    fn read(name: &str, blob: &[u8]) -> Option<(Self, SignatureAlgorithm)> {
        let (shown, algorithm) = if let Some(algorithm) = SignatureAlgorithm::from_name(name) {
            (Self::Key(PublicKey::from_blob(blob).ok()?), algorithm)
        } else {
            let algorithm = SignatureAlgorithm::from_certificate_name(name)?;
            (
                Self::Certificate(Box::new(Certificate::from_blob(blob).ok()?)),
                algorithm,
            )
        };
        (shown.key().key_type() == algorithm.key_type()).then_some((shown, algorithm))
    }

    fn key(&self) -> &PublicKey {
        match self {
            Self::Key(key) => key,
            Self::Certificate(certificate) => certificate.key(),
        }
    }
}

/// The answer to a question without prompts (RFC 4256, section 3.4).
pub(super) fn no_response(payload: &[u8]) -> Result<(), RequestError> {
    let mut reader = Reader::new(payload);
    if reader.u8()? != message::USERAUTH_INFO_RESPONSE || reader.u32()? != 0 {
        return Err(RequestError::Other);
    }
    Ok(reader.finish()?)
}

/// The one answer to a question of one prompt (RFC 4256, section 3.4).
pub(super) fn single_response(payload: &[u8]) -> Result<SecretString, RequestError> {
    let mut reader = Reader::new(payload);
    if reader.u8()? != message::USERAUTH_INFO_RESPONSE || reader.u32()? != 1 {
        return Err(RequestError::Other);
    }
    let answer = reader.utf8()?.to_owned();
    reader.finish()?;
    Ok(answer.into())
}
