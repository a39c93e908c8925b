//! What a recording holds, and how one event is laid out.

use crate::damage::Damage;

/// Largest event that a recording takes, in bytes. The data of [`Event::Input`] and [`Event::Response`] is
/// split before it gets there, though not below [`WHOLE_PIECE_BYTES`](crate::WHOLE_PIECE_BYTES), so only texts and
/// details meet the limit.
pub const MAX_EVENT_BYTES: u64 = 256 << 20;

/// One thing that happened in a session. `seq` is the number of the command that it belongs to; `detail` is
/// JSON that the writer chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A command arrived: its exact text, and what else is known of it (parameters, facts).
    Command {
        /// The command's number in this session.
        seq: u64,
        /// The command's exact bytes.
        text: &'a [u8],
        /// JSON.
        detail: &'a [u8],
    },
    /// Policy decided.
    Decision {
        /// The command's number.
        seq: u64,
        /// JSON: outcome, rules, bundle.
        detail: &'a [u8],
    },
    /// Data that the client sends within a command (rows of a COPY, keystrokes).
    Input {
        /// The command's number.
        seq: u64,
        /// Protocol-native bytes.
        bytes: &'a [u8],
    },
    /// What the client saw, so masked.
    Response {
        /// The command's number.
        seq: u64,
        /// Protocol-native bytes.
        bytes: &'a [u8],
    },
    /// A command waits for people.
    Hold {
        /// The command's number.
        seq: u64,
        /// JSON: request, reviewers.
        detail: &'a [u8],
    },
    /// A hold ended: approved, denied, expired or withdrawn.
    Review {
        /// The command's number.
        seq: u64,
        /// JSON: the outcome and who gave it.
        detail: &'a [u8],
    },
    /// Something the gateway did or saw outside any command (login to the target, policy reload …).
    Notice {
        /// JSON.
        detail: &'a [u8],
    },
    /// A command is over.
    Ended {
        /// The command's number.
        seq: u64,
        /// JSON: how it ended.
        detail: &'a [u8],
    },
    /// The session is over; the last event before the seal.
    Closed {
        /// JSON: why.
        detail: &'a [u8],
    },
}

/// The byte that says which event a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Command = 1,
    Decision = 2,
    Input = 3,
    Response = 4,
    Hold = 5,
    Review = 6,
    Notice = 7,
    Ended = 8,
    Closed = 9,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Command,
            2 => Self::Decision,
            3 => Self::Input,
            4 => Self::Response,
            5 => Self::Hold,
            6 => Self::Review,
            7 => Self::Notice,
            8 => Self::Ended,
            9 => Self::Closed,
            _ => return None,
        })
    }
}

/// Bytes that the fields before an event's payload take at most: three or four variable-length numbers and
/// the kind.
pub(crate) const MAX_PREFIX_BYTES: usize = 4 * 10 + 1;

impl<'a> Event<'a> {
    /// The command that the event belongs to, if any.
    #[must_use]
    pub fn seq(&self) -> Option<u64> {
        match *self {
            Self::Command { seq, .. }
            | Self::Decision { seq, .. }
            | Self::Input { seq, .. }
            | Self::Response { seq, .. }
            | Self::Hold { seq, .. }
            | Self::Review { seq, .. }
            | Self::Ended { seq, .. } => Some(seq),
            Self::Notice { .. } | Self::Closed { .. } => None,
        }
    }

    /// Kind, the command's number or 0, and the payload in up to two parts, of which the first carries
    /// its length.
    pub(crate) fn parts(&self) -> (Kind, u64, Option<&'a [u8]>, &'a [u8]) {
        match *self {
            Self::Command { seq, text, detail } => (Kind::Command, seq, Some(text), detail),
            Self::Decision { seq, detail } => (Kind::Decision, seq, None, detail),
            Self::Input { seq, bytes } => (Kind::Input, seq, None, bytes),
            Self::Response { seq, bytes } => (Kind::Response, seq, None, bytes),
            Self::Hold { seq, detail } => (Kind::Hold, seq, None, detail),
            Self::Review { seq, detail } => (Kind::Review, seq, None, detail),
            Self::Notice { detail } => (Kind::Notice, 0, None, detail),
            Self::Ended { seq, detail } => (Kind::Ended, seq, None, detail),
            Self::Closed { detail } => (Kind::Closed, 0, None, detail),
        }
    }
}

/// An event read back, with its time. It owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Microseconds since the recording was opened.
    pub at_micros: u64,
    kind: Kind,
    seq: u64,
    /// Where `detail` starts in `payload`; the command's text is before it.
    split: usize,
    payload: Vec<u8>,
}

impl RecordedEvent {
    /// The event.
    #[must_use]
    pub fn event(&self) -> Event<'_> {
        let (text, detail) = self.payload.split_at_checked(self.split).unwrap_or_default();
        let seq = self.seq;
        match self.kind {
            Kind::Command => Event::Command { seq, text, detail },
            Kind::Decision => Event::Decision { seq, detail },
            Kind::Input => Event::Input { seq, bytes: detail },
            Kind::Response => Event::Response { seq, bytes: detail },
            Kind::Hold => Event::Hold { seq, detail },
            Kind::Review => Event::Review { seq, detail },
            Kind::Notice => Event::Notice { detail },
            Kind::Ended => Event::Ended { seq, detail },
            Kind::Closed => Event::Closed { detail },
        }
    }

    /// Reads the body of one record, the bytes after its length. `frame` is named in errors.
    pub(crate) fn decode(body: &[u8], frame: u64) -> Result<Self, Damage> {
        let unreadable = || Damage::Content {
            frame,
            what: "an event".to_owned(),
        };
        let (&byte, rest) = body.split_first().ok_or_else(unreadable)?;
        let kind = Kind::from_byte(byte).ok_or_else(|| Damage::Content {
            frame,
            what: format!("an event of kind {byte}"),
        })?;
        let (at_micros, rest) = read_number(rest).ok_or_else(unreadable)?;
        let (seq, rest) = read_number(rest).ok_or_else(unreadable)?;
        let (split, payload) = if kind == Kind::Command {
            read_number(rest).ok_or_else(unreadable)?
        } else {
            (0, rest)
        };
        let split = usize::try_from(split)
            .ok()
            .filter(|split| *split <= payload.len())
            .ok_or_else(unreadable)?;
        Ok(Self {
            at_micros,
            kind,
            seq,
            split,
            payload: payload.to_vec(),
        })
    }
}

/// The bytes of a record before its payload: length of all that follows, kind, time, command, and for two
/// parts the length of the first.
pub(crate) struct Prefix {
    bytes: [u8; MAX_PREFIX_BYTES],
    len: usize,
}

impl Prefix {
    /// For `event` at `at_micros`.
    pub(crate) fn of(event: &Event<'_>, at_micros: u64) -> Self {
        let (kind, seq, first, second) = event.parts();
        let first_len = first.map(<[u8]>::len);
        let payload = first_len.map_or(0, |len| len + number_len(len as u64)) + second.len();
        let body = 1 + number_len(at_micros) + number_len(seq) + payload;
        let mut prefix = Self {
            bytes: [0; MAX_PREFIX_BYTES],
            len: 0,
        };
        prefix.number(body as u64);
        prefix.byte(kind as u8);
        prefix.number(at_micros);
        prefix.number(seq);
        if let Some(len) = first_len {
            prefix.number(len as u64);
        }
        prefix
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn byte(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }

    /// Little-endian base 128, the top bit saying that more follows.
    #[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }
}

/// How many bytes [`Prefix::number`] takes for `value`.
fn number_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Reads a number as [`Prefix::number`] wrote it; `None` if `bytes` ends within it or it does not fit.
pub(crate) fn read_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (position, byte) in bytes.iter().enumerate().take(10) {
        let part = u64::from(byte & 0x7f);
        let shift = 7 * u32::try_from(position).ok()?;
        if shift == 63 && part > 1 {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(position + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn numbers_of_every_length_read_back() {
        for shift in 0..64 {
            for value in [(1_u64 << shift) - 1, 1 << shift, u64::MAX >> shift] {
                let mut prefix = Prefix {
                    bytes: [0; MAX_PREFIX_BYTES],
                    len: 0,
                };
                prefix.number(value);
                assert_eq!(prefix.len, number_len(value), "{value}");
                assert_eq!(read_number(prefix.as_bytes()), Some((value, &[][..])));
            }
        }
        assert_eq!(read_number(&[0xff; 10]), None);
        assert_eq!(read_number(&[0x80]), None);
    }

    #[test]
    fn a_command_reads_back_and_a_wrong_split_does_not() {
        let event = Event::Command {
            seq: 7,
            text: b"SELECT 1",
            detail: b"{}",
        };
        let mut record = Prefix::of(&event, 1_000_000).as_bytes().to_vec();
        record.extend_from_slice(b"SELECT 1{}");
        let (len, body) = read_number(&record).unwrap();
        assert_eq!(len, body.len() as u64);
        let read = RecordedEvent::decode(body, 0).unwrap();
        assert_eq!((read.at_micros, read.event()), (1_000_000, event));

        assert!(RecordedEvent::decode(&[Kind::Command as u8, 0, 0, 5, b'x'], 3).is_err());
        assert!(RecordedEvent::decode(&[Kind::Closed as u8 + 1, 0, 0], 3).is_err());
        assert!(RecordedEvent::decode(&[], 3).is_err());
    }
}
