//! What a message of the peer's means, by its number, and whether it may come now.

use bytes::{BufMut, BytesMut};

use super::{State, Step, Transport};
use crate::error::TransportError;
use crate::keys::SignatureAlgorithm;
use crate::message;
use crate::negotiate::Side;
use crate::wire::{self, Reader};

/// The most messages without a meaning (ignore, debug, unknown ones, key exchanges again) before the login.
pub(super) const IGNORED_MAX: u32 = 64;
/// The most extensions that a peer may tell of at once.
const EXTENSIONS_MAX: u32 = 64;

/// Whose a message is, and what to do with it.
pub(super) enum Received {
    Callers,
    Own,
    Step(Step),
}

impl Transport {
    /// One message, by its number: RFC 4250 section 4.1.2 has the ranges.
    pub(super) fn receive(
        &mut self,
        payload: &[u8],
        sequence: u32,
        out: &mut BytesMut,
    ) -> Result<Received, TransportError> {
        let number = payload.first().copied().ok_or(TransportError::Packet)?;
        self.check_strict(number)?;
        match number {
            // Whoever carries a connection has negotiated it already.
            7..=49 if self.carried => Err(TransportError::Unexpected(number)),
            message::DISCONNECT => self.receive_disconnect(payload),
            message::IGNORE | message::UNIMPLEMENTED | message::DEBUG => self.ignore(),
            message::SERVICE_REQUEST | message::SERVICE_ACCEPT | 50..=255 => {
                if self.may_come() {
                    Ok(Received::Callers)
                } else {
                    Err(TransportError::Unexpected(number))
                }
            }
            message::EXT_INFO => self.receive_extensions(payload),
            message::KEXINIT => self.receive_init(payload, out),
            message::NEWKEYS => self.receive_new_keys(payload),
            30..=49 => self.receive_method(payload, out),
            8..=19 | 22..=29 => {
                let mut answer = Vec::with_capacity(5);
                answer.put_u8(message::UNIMPLEMENTED);
                wire::put_u32(&mut answer, sequence);
                self.sealer.seal(&[&answer], out)?;
                self.ignore()
            }
            0 => Err(TransportError::Unexpected(number)),
        }
    }

    /// In the first key exchange of peers that keep to strict key exchange only its own messages come, and the end
    /// of the connection (OpenSSH's PROTOCOL section 1.9).
    fn check_strict(&self, number: u8) -> Result<(), TransportError> {
        let strict = !self.ready
            && match &self.state {
                State::Method(expect) => expect.strict,
                State::NewKeys(expect) => expect.strict,
                State::Identification(_) | State::Init(_) | State::Open | State::Closed => false,
            };
        match number {
            message::DISCONNECT | message::KEXINIT | message::NEWKEYS | 30..=49 => Ok(()),
            0 | 2..=19 | 22..=29 | 50..=255 => {
                if strict {
                    Err(TransportError::Strict(number))
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Whether a message of the caller's may come: not before the first key exchange, and not between the peer's
    /// KEXINIT and its NEWKEYS (RFC 4253 section 7.1).
    fn may_come(&self) -> bool {
        match self.state {
            State::Open => true,
            State::Init(_) => self.ready,
            State::Identification(_) | State::Method(_) | State::NewKeys(_) | State::Closed => false,
        }
    }

    fn receive_disconnect(&mut self, payload: &[u8]) -> Result<Received, TransportError> {
        self.close();
        let mut reader = Reader::new(payload.get(1..).unwrap_or_default());
        // Whatever it says, the peer is gone: what cannot be read is left empty.
        let reason = reader.u32().unwrap_or(0);
        let text = reader.string().map(String::from_utf8_lossy).unwrap_or_default();
        let text = text
            .chars()
            .filter(|character| !character.is_control())
            .take(1024)
            .collect();
        Ok(Received::Step(Step::Disconnected { reason, text }))
    }

    fn receive_extensions(&mut self, payload: &[u8]) -> Result<Received, TransportError> {
        if !self.may_come() {
            return Err(TransportError::Unexpected(message::EXT_INFO));
        }
        let known = server_algorithms(payload).map_err(TransportError::malformed(message::EXT_INFO))?;
        match (self.role.side(), known) {
            (Side::Client, Some(known)) => self.peer_algorithms = Some(known),
            // What a client says of itself matters to nothing here.
            (Side::Client, None) | (Side::Server, _) => {}
        }
        self.ignore()
    }

    /// Passes a message over; before the login only so many, because they cost the peer nothing.
    pub(super) fn ignore(&mut self) -> Result<Received, TransportError> {
        if !self.authenticated {
            self.ignored += 1;
            if self.ignored > IGNORED_MAX {
                return Err(TransportError::TooManyIgnored);
            }
        }
        Ok(Received::Own)
    }
}

/// The `server-sig-algs` of an EXT_INFO (RFC 8308), as far as they are known here.
pub(super) fn server_algorithms(payload: &[u8]) -> Result<Option<Vec<SignatureAlgorithm>>, wire::WireError> {
    let mut reader = Reader::new(payload);
    reader.u8()?;
    let count = reader.u32()?;
    if count > EXTENSIONS_MAX {
        return Err(wire::WireError::NameList);
    }
    let mut known = None;
    for _ in 0..count {
        let name = reader.string()?;
        let mut value = reader.clone();
        reader.string()?;
        if name == b"server-sig-algs" {
            known = Some(
                value
                    .name_list()?
                    .iter()
                    .filter_map(SignatureAlgorithm::from_name)
                    .collect(),
            );
        }
    }
    reader.finish()?;
    Ok(known)
}
