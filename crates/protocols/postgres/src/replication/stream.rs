//! What a recording holds of a stream of opaque bytes: how much went, from where to where, and its digest.

use serde::Serialize;

/// So many bytes are told of at once.
const STRETCH: u64 = 16 * 1024 * 1024;
/// Microseconds of the server's clock after which a stretch is told of although it is short.
const STRETCH_TIME: i64 = 10_000_000;

/// The messages of a stream since it was last told of.
#[derive(Debug)]
pub(crate) struct Tally {
    /// The command that the stream answers.
    seq: u64,
    /// Bytes before this stretch.
    before: u64,
    messages: u64,
    bytes: u64,
    digest: blake3::Hasher,
    first: Option<u64>,
    last: Option<u64>,
    replies: u64,
    flushed: Option<u64>,
    /// The server's clock when the stretch began.
    since: Option<i64>,
}

/// What is told of a stretch.
#[derive(Serialize)]
struct Told {
    #[serde(rename = "replicated_by")]
    seq: u64,
    /// Bytes of the stream before this stretch.
    before: u64,
    messages: u64,
    bytes: u64,
    blake3: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    replies: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    flushed: Option<String>,
}

impl Tally {
    /// Of the stream that answers command `seq`.
    pub(crate) fn new(seq: u64) -> Self {
        Self {
            seq,
            before: 0,
            messages: 0,
            bytes: 0,
            digest: blake3::Hasher::new(),
            first: None,
            last: None,
            replies: 0,
            flushed: None,
            since: None,
        }
    }

    /// A message of the target. Returns what to tell, when it is time.
    pub(crate) fn sent(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        self.messages += 1;
        self.bytes += u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.digest.update(data);
        // `w`: start, end, clock, and a part of the log; `k`: end, clock. Of a backup's messages neither is.
        let clock = match data.split_first() {
            Some((b'w', rest)) => {
                let start = number(rest, 0);
                self.first = self.first.or(start);
                let len = u64::try_from(rest.len().saturating_sub(24)).unwrap_or(0);
                self.last = start.map(|start| start.saturating_add(len)).or(self.last);
                number(rest, 16)
            }
            Some((b'k', rest)) => number(rest, 8),
            Some(_) | None => None,
        };
        let clock = clock.map(u64::cast_signed);
        let long = match (clock, self.since) {
            (Some(now), Some(since)) => now.saturating_sub(since) >= STRETCH_TIME,
            (Some(now), None) => {
                self.since = Some(now);
                false
            }
            (None, _) => false,
        };
        (long || self.bytes >= STRETCH).then(|| self.tell(clock)).flatten()
    }

    /// A message of the client. True when it is one that says how far the client is, which the tally tells of.
    pub(crate) fn replied(&mut self, data: &[u8]) -> bool {
        let known = match data.split_first() {
            Some((b'r', rest)) if rest.len() == 33 => {
                self.flushed = number(rest, 8);
                true
            }
            Some((b'h', rest)) => matches!(rest.len(), 16 | 24),
            Some(_) | None => false,
        };
        self.replies += u64::from(known);
        known
    }

    /// What is still to be told.
    pub(crate) fn rest(&mut self) -> Option<Vec<u8>> {
        self.tell(None)
    }

    fn tell(&mut self, now: Option<i64>) -> Option<Vec<u8>> {
        if self.messages == 0 && self.replies == 0 {
            return None;
        }
        let told = Told {
            seq: self.seq,
            before: self.before,
            messages: self.messages,
            bytes: self.bytes,
            blake3: self.digest.finalize().to_hex().to_string(),
            from: self.first.map(position),
            to: self.last.map(position),
            replies: self.replies,
            flushed: self.flushed.map(position),
        };
        *self = Self {
            before: self.before + self.bytes,
            since: now,
            ..Self::new(self.seq)
        };
        // Numbers and hexadecimal digits: there is nothing in them that JSON cannot say.
        serde_json::to_vec(&told).ok()
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_be_bytes(*bytes))
}

/// A position of the log, as the server writes it.
fn position(at: u64) -> String {
    format!("{:X}/{:X}", at >> 32, at & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use serde_json::Value;

    use super::*;

    fn part(start: u64, clock: i64, len: usize) -> Vec<u8> {
        let mut bytes = vec![b'w'];
        bytes.extend([start.to_be_bytes(), (start + 9).to_be_bytes(), clock.to_be_bytes()].concat());
        bytes.extend(vec![7; len]);
        bytes
    }

    fn told(bytes: Option<Vec<u8>>) -> Value {
        serde_json::from_slice(&bytes.unwrap()).unwrap()
    }

    #[test]
    fn stretches_follow_each_other_without_a_gap() {
        let mut tally = Tally::new(7);
        assert_eq!(tally.rest(), None);
        assert_eq!(tally.sent(&part(0x1_0000_0010, 0, 100)), None);
        assert!(tally.replied(&[&b"r"[..], &[0; 33]].concat()));
        assert!(!tally.replied(b"anything"));
        let first = told(tally.sent(&part(0x1_0000_0074, STRETCH_TIME, 50)));
        assert_eq!(first["replicated_by"], 7);
        assert_eq!(
            (first["from"].as_str(), first["to"].as_str()),
            (Some("1/10"), Some("1/A6"))
        );
        assert_eq!(
            (first["messages"].as_u64(), first["replies"].as_u64()),
            (Some(2), Some(1))
        );
        let digest = blake3::hash(&[part(0x1_0000_0010, 0, 100), part(0x1_0000_0074, STRETCH_TIME, 50)].concat());
        assert_eq!(first["blake3"], digest.to_hex().as_str());
        let many = usize::try_from(STRETCH).unwrap();
        let second = told(tally.sent(&vec![b'd'; many]));
        assert_eq!(second["before"], first["bytes"]);
        assert_eq!(second["bytes"], STRETCH);
        assert_eq!(tally.rest(), None);
    }
}
