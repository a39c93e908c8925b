//! The lines that both sides introduce themselves with (RFC 4253 section 4.2).

use bytes::{Buf, BytesMut};

use crate::error::TransportError;
use crate::negotiate::Side;

/// The longest identification, with its line end (RFC 4253 section 4.2).
const LINE_MAX: usize = 255;
/// The most bytes that a server may say before it introduces itself.
const BEFORE_MAX: usize = 8 * 1024;
/// The longest name of a software.
const SOFTWARE_MAX: usize = 64;

/// This side's identification, without its line end. What may not stand in a name is left out of `software`.
pub(super) fn own(software: &str) -> Vec<u8> {
    let allowed = |character: &char| character.is_ascii_graphic() && *character != '-';
    let mut line = String::from("SSH-2.0-");
    line.extend(software.chars().filter(allowed).take(SOFTWARE_MAX));
    line.into_bytes()
}

/// Waits for the peer's identification.
pub(super) struct ExpectIdentification {
    peer: Side,
    /// How many bytes of other lines went before.
    before: usize,
    /// This side's KEXINIT, if it was sent already.
    pub(super) init: Option<Vec<u8>>,
}

impl ExpectIdentification {
    pub(super) fn new(peer: Side, init: Option<Vec<u8>>) -> Self {
        Self { peer, before: 0, init }
    }

    /// Takes the peer's identification off `input`, without its line end, if all of it is there. A server may say
    /// other lines before, which are not shown to anybody; a client may not.
    pub(super) fn take(&mut self, input: &mut BytesMut) -> Result<Option<Vec<u8>>, TransportError> {
        const REFUSED: fn(&'static str) -> TransportError = TransportError::Identification;
        loop {
            let end = input.iter().position(|byte| *byte == b'\n');
            let is_identification = starts_like(input, b"SSH-");
            let most = match (self.peer, is_identification) {
                (_, true) => LINE_MAX,
                (Side::Server, false) => BEFORE_MAX.saturating_sub(self.before),
                (Side::Client, false) => return Err(REFUSED("its first line is something else")),
            };
            if end.map_or(input.len(), |end| end + 1) > most {
                return Err(REFUSED("its lines are too long"));
            }
            let Some(end) = end else { return Ok(None) };
            let line = input.split_to(end);
            input.advance(1);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if is_identification {
                return check(line).map(Some);
            }
            self.before += end + 1;
        }
    }
}

/// Whether `bytes` start with `prefix`, or with as much of it as is there.
fn starts_like(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.iter().zip(prefix).all(|(byte, wanted)| byte == wanted)
}

fn check(line: &[u8]) -> Result<Vec<u8>, TransportError> {
    let version = [b"SSH-2.0-".as_slice(), b"SSH-1.99-"]
        .iter()
        .find_map(|prefix| line.strip_prefix(*prefix));
    if version.is_none() {
        return Err(TransportError::Identification("it speaks another version"));
    }
    // What is not printable could deceive whoever reads it in a log.
    if !line.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return Err(TransportError::Identification(
            "its name has characters that are not printable",
        ));
    }
    Ok(line.to_vec())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn take(peer: Side, bytes: &[u8]) -> Result<Option<Vec<u8>>, TransportError> {
        ExpectIdentification::new(peer, None).take(&mut BytesMut::from(bytes))
    }

    #[test]
    fn an_identification_is_a_line() {
        for line in ["SSH-2.0-x\r\n", "SSH-2.0-x\n", "SSH-1.99-x y z\r\n"] {
            let mut input = BytesMut::from(format!("{line}rest").as_bytes());
            let mut expect = ExpectIdentification::new(Side::Client, None);
            assert_eq!(expect.take(&mut input).unwrap().unwrap(), line.trim_end().as_bytes());
            assert_eq!(input, "rest");
        }
        assert_eq!(take(Side::Client, b"SSH-2.0-x\r"), Ok(None));
        assert_eq!(take(Side::Client, b"SS"), Ok(None));
        assert_eq!(take(Side::Client, b""), Ok(None));
    }

    #[test]
    fn what_is_not_ssh_2_is_refused_at_once() {
        for bytes in [
            &b"G"[..],
            b"GET / HTTP/1.1\r\n",
            b"SSH-1.5-x\r\n",
            b"SSH-2.0-\x1b[2J\r\n",
            b"SSH-2.0-a\0b\r\n",
        ] {
            assert!(take(Side::Client, bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_server_may_speak_before_within_bounds() {
        let greeted = b"Welcome\r\nto the host\r\nSSH-2.0-x\r\n";
        assert_eq!(take(Side::Server, greeted).unwrap().unwrap(), b"SSH-2.0-x");
        assert!(take(Side::Client, greeted).is_err());
        let mut expect = ExpectIdentification::new(Side::Server, None);
        let mut lines = BytesMut::from(&b"Welcome!\n".repeat(910)[..]);
        assert_eq!(expect.take(&mut lines), Ok(None));
        lines.extend_from_slice(b"Welcome!\nSSH-2.0-x\r\n");
        assert!(expect.take(&mut lines).is_err());
        assert!(take(Side::Server, &[b'x'; 8193]).is_err(), "a line without an end");
        assert!(take(Side::Client, &[b"SSH-2.0-".as_slice(), &[b'x'; 255]].concat()).is_err());
    }

    #[test]
    fn a_name_of_ours_is_one_word() {
        assert_eq!(own("Sallyport_0.1"), b"SSH-2.0-Sallyport_0.1");
        assert_eq!(own("a b-c\r\nd"), b"SSH-2.0-abcd");
        assert!(own(&"x".repeat(300)).len() < LINE_MAX);
    }
}
