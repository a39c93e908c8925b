//! JSON Web Tokens: three base64url parts (five if encrypted), the first a JSON object that names an algorithm.

use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::words::{base64, token_run, word_before, word_or_dash_at};

/// A header longer than this is none.
const HEADER_LIMIT: usize = 16 * 1024;

#[derive(Deserialize)]
struct Header {
    #[expect(dead_code, reason = "only its presence counts")]
    alg: IgnoredAny,
    enc: Option<IgnoredAny>,
}

/// The header that was decoded last: most tokens of a text have the same.
#[derive(Debug, Default)]
pub(super) struct Headers {
    encoded: Vec<u8>,
    encrypted: bool,
}

/// The token whose `eyJ` has its `J` at `at`.
pub(super) fn find(text: &[u8], at: usize, headers: &mut Headers) -> Option<Range<usize>> {
    let start = at.checked_sub(2)?;
    if !text.get(start..)?.starts_with(b"eyJ") || word_before(text, start, b".-") {
        return None;
    }
    let header_end = part(text, start)?;
    let payload_end = part(text, header_end + 1)?;
    if header_end - start < 9 || payload_end - header_end < 5 {
        return None;
    }
    let encrypted = headers.encrypted(text.get(start..header_end)?)?;
    let mut end = token_run(text, payload_end + 1);
    if encrypted {
        for _ in 0..2 {
            if text.get(end) == Some(&b'.') {
                end = token_run(text, end + 1);
            }
        }
    }
    (!word_or_dash_at(text, end)).then_some(start..end)
}

/// Where the part that starts at `from` ends, if a dot follows.
fn part(text: &[u8], from: usize) -> Option<usize> {
    let end = token_run(text, from);
    (text.get(end) == Some(&b'.')).then_some(end)
}

impl Headers {
    /// Whether a token with this header is an encrypted one; `None` if it is no header.
    fn encrypted(&mut self, encoded: &[u8]) -> Option<bool> {
        if self.encoded != encoded {
            let header = header(encoded)?;
            self.encoded.clear();
            self.encoded.extend_from_slice(encoded);
            self.encrypted = header.enc.is_some();
        }
        Some(self.encrypted)
    }
}

fn header(encoded: &[u8]) -> Option<Header> {
    if encoded.len() > HEADER_LIMIT {
        return None;
    }
    let base64url = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !encoded.iter().all(base64url) {
        return None;
    }
    serde_json::from_slice(&base64(encoded)).ok()
}

#[cfg(test)]
mod tests {
    use super::{Headers, find};

    #[test]
    fn a_header_without_an_algorithm_is_no_token() {
        // {"typ":"JWT"}
        let mut headers = Headers::default();
        assert_eq!(find(b"eyJ0eXAiOiJKV1QifQ.eyJzdWIiOiIxIn0.abc", 2, &mut headers), None);
        // {"alg":"none"}
        assert_eq!(
            find(b"eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", 2, &mut headers),
            Some(0..36)
        );
    }
}
