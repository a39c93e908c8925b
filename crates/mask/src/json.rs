//! Masks inside JSON documents: strings (as what they mean, not as they are escaped), numbers, keys, and JSON
//! within strings. What holds nothing keeps its bytes, white space included.

use crate::{Hit, Scanner, Scratch, Strategy, fpe};

/// JSON in a string in a JSON document, so many times; deeper ones are looked at as text.
const DEPTH_LIMIT: usize = 8;
/// A number with fewer digits than the shortest value found in numbers needs no look.
const NUMBER_MIN: usize = 13;
/// The longest number whose exponent is worked out.
const NUMBER_MAX: usize = 64;
/// The key whose value is a secret although it looks like nothing.
const SECRET_KEY: &[u8] = b"aws_secret_access_key";

/// Appends the document with everything found in it replaced to `out` and says true; or says false, and `out` is
/// as it was.
///
/// A number that holds a value becomes `null`, or another number where the strategy has one. The text need not be
/// valid JSON: what is neither string nor number is copied.
pub fn mask(scanner: &Scanner, text: &[u8], scratch: &mut Scratch, out: &mut Vec<u8>) -> bool {
    Document {
        scanner,
        scratch,
        text,
        done: 0,
        out,
        changed: false,
        secret_follows: false,
    }
    .run(0)
}

/// Appends `text` as a JSON string, escaped as PostgreSQL does: only what must be.
pub fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, out);
    out.push(b'"');
}

struct Document<'a> {
    scanner: &'a Scanner,
    scratch: &'a mut Scratch,
    text: &'a [u8],
    done: usize,
    out: &'a mut Vec<u8>,
    changed: bool,
    secret_follows: bool,
}

impl Document<'_> {
    fn run(mut self, depth: usize) -> bool {
        let mut at = 0;
        while let Some(byte) = self.text.get(at) {
            at = match byte {
                b'"' => self.string(at, depth),
                b'0'..=b'9' | b'-' => self.number(at),
                b':' | b' ' | b'\t' | b'\r' | b'\n' => at + 1,
                _ => {
                    self.secret_follows = false;
                    at + 1
                }
            };
        }
        if self.changed {
            self.out
                .extend_from_slice(self.text.get(self.done..).unwrap_or_default());
        }
        self.changed
    }

    /// Copies what stands before `start` and goes on after `end`.
    fn cut(&mut self, start: usize, end: usize) {
        self.out
            .extend_from_slice(self.text.get(self.done..start).unwrap_or_default());
        self.done = end;
        self.changed = true;
    }

    /// The string whose opening quote is at `open`; the position behind it.
    fn string(&mut self, open: usize, depth: usize) -> usize {
        let start = open + 1;
        let (end, escaped) = closing_quote(self.text, start);
        let raw = self.text.get(start..end).unwrap_or_default();
        let unescaped;
        let meaning = if escaped {
            unescaped = unescape(raw);
            unescaped.as_slice()
        } else {
            raw
        };
        let mut masked = Vec::new();
        if self.string_value(meaning, depth, &mut masked) {
            self.cut(start, end);
            escape(&masked, self.out);
        }
        self.secret_follows = meaning
            .len()
            .checked_sub(SECRET_KEY.len())
            .and_then(|from| meaning.get(from..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(SECRET_KEY));
        (end + 1).min(self.text.len())
    }

    fn string_value(&mut self, meaning: &[u8], depth: usize, masked: &mut Vec<u8>) -> bool {
        if self.secret_follows && self.secret(meaning, masked) {
            return true;
        }
        if depth < DEPTH_LIMIT && is_document(meaning) {
            let inner = Document {
                scanner: self.scanner,
                scratch: self.scratch,
                text: meaning,
                done: 0,
                out: masked,
                changed: false,
                secret_follows: false,
            };
            return inner.run(depth + 1);
        }
        self.scanner.scan_with(meaning, self.scratch, masked)
    }

    /// A value behind the key of a secret: looked at together with the key.
    fn secret(&mut self, meaning: &[u8], masked: &mut Vec<u8>) -> bool {
        let mut pair = SECRET_KEY.to_vec();
        pair.push(b'=');
        let skipped = pair.len();
        pair.extend_from_slice(meaning);
        let mut both = Vec::new();
        if !self.scanner.scan_with(&pair, self.scratch, &mut both) {
            return false;
        }
        masked.extend_from_slice(both.get(skipped..).unwrap_or_default());
        true
    }

    /// The number that starts at `start`; the position behind it.
    fn number(&mut self, start: usize) -> usize {
        self.secret_follows = false;
        let rest = self.text.get(start..).unwrap_or_default();
        let part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().take_while(|byte| part(byte)).count().max(1);
        let token = rest.get(..length).unwrap_or_default();
        if let Some(hit) = self.scanner.first_in_number(token, self.scratch) {
            let strategy = hit.strategy;
            self.cut(start, start + length);
            replace_number(self.scanner, strategy, token, self.out);
        }
        start + length
    }
}

impl Scanner {
    /// The first thing found in a decimal number: in its text, or in the integer that it is equal to.
    pub fn first_in_number(&self, token: &[u8], scratch: &mut Scratch) -> Option<Hit<'_>> {
        let digits = token.iter().filter(|byte| byte.is_ascii_digit()).count();
        let exponent = token.iter().any(|byte| matches!(byte, b'e' | b'E'));
        if digits < NUMBER_MIN && !exponent && !self.has_custom() {
            return None;
        }
        // Twice, because the borrow checker cannot see that a hit ends the first search.
        if self.first(token, scratch).is_some() {
            return self.first(token, scratch);
        }
        let integer = integral(token)?;
        self.first(&integer, scratch)
    }
}

/// Another number where the strategy has one, `null` elsewhere.
fn replace_number(scanner: &Scanner, strategy: Strategy, token: &[u8], out: &mut Vec<u8>) {
    let replaced = match strategy {
        Strategy::Card => fpe::card(scanner.key(), token, out),
        Strategy::Zero => {
            out.push(b'0');
            true
        }
        Strategy::Redact
        | Strategy::KeepLast(_)
        | Strategy::Hash
        | Strategy::Null
        | Strategy::Year
        | Strategy::Email
        | Strategy::Partial => false,
    };
    if !replaced {
        out.extend_from_slice(b"null");
    }
}

/// The digits of the integer that `token` (with a fraction or an exponent) is equal to.
fn integral(token: &[u8]) -> Option<Vec<u8>> {
    if token.len() > NUMBER_MAX {
        return None;
    }
    let text = std::str::from_utf8(token).ok()?;
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let point = usize::try_from(point).ok().filter(|point| *point <= NUMBER_MAX)?;
    let mut digits = [whole, fraction].concat().into_bytes();
    while digits.len() < point {
        digits.push(b'0');
    }
    let rest = digits.split_off(point);
    rest.iter().all(|byte| *byte == b'0').then_some(digits)
}

/// Where the string that starts at `from` ends, and whether it holds escapes.
fn closing_quote(text: &[u8], from: usize) -> (usize, bool) {
    let mut at = from;
    let mut escaped = false;
    while let Some(next) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += next;
        if text.get(at) == Some(&b'"') {
            return (at, escaped);
        }
        escaped = true;
        at += 2;
    }
    (text.len(), escaped)
}

/// Whether a string holds a JSON document of its own rather than a word or a number.
fn is_document(text: &[u8]) -> bool {
    let start = text.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(start, Some(b'{' | b'[' | b'"')) && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

/// What an escaped string means; escapes that mean nothing stay.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, tail) = rest.split_at_checked(at).unwrap_or_default();
        out.extend_from_slice(plain);
        let used = match tail.get(1) {
            Some(b'n') => escape_of(b'\n', &mut out),
            Some(b't') => escape_of(b'\t', &mut out),
            Some(b'r') => escape_of(b'\r', &mut out),
            Some(b'b') => escape_of(8, &mut out),
            Some(b'f') => escape_of(12, &mut out),
            Some(b'u') => unicode(tail, &mut out),
            Some(byte) => escape_of(*byte, &mut out),
            None => {
                out.push(b'\\');
                1
            }
        };
        rest = tail.get(used..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

fn escape_of(byte: u8, out: &mut Vec<u8>) -> usize {
    out.push(byte);
    2
}

/// `\uXXXX`, or two of them that are one character.
fn unicode(tail: &[u8], out: &mut Vec<u8>) -> usize {
    let unit = |from: usize| {
        let digits = std::str::from_utf8(tail.get(from..from + 4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(2) else {
        out.push(b'\\');
        return 1;
    };
    let second = (tail.get(6..8) == Some(b"\\u"))
        .then(|| unit(8))
        .flatten()
        .filter(|_| first >> 10 == 0x36);
    let (code, used) = match second {
        Some(second) if second >> 10 == 0x37 => (0x10000 + ((first & 0x3FF) << 10) + (second & 0x3FF), 12),
        Some(_) | None => (first, 6),
    };
    let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    used
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use secrecy::SecretSlice;

    use super::mask;
    use crate::{Detector, MaskKey, Scanner, Scratch, Strategy};

    fn masked(text: &str) -> String {
        let key = MaskKey::new(&SecretSlice::from(vec![7; 32]));
        let rules = Detector::ALL.map(|detector| (detector, Strategy::Partial));
        let scanner = Scanner::new(&rules, &key);
        let mut out = Vec::new();
        if mask(&scanner, text.as_bytes(), &mut Scratch::default(), &mut out) {
            String::from_utf8(out).unwrap()
        } else {
            assert!(out.is_empty());
            text.to_owned()
        }
    }

    #[test]
    fn strings_are_looked_at_as_what_they_mean() {
        assert_eq!(
            masked(r#"{"a":"\u0035\u0033\u0032-71-9001"}"#),
            r#"{"a":"***-**-****"}"#
        );
        assert_eq!(masked(r#"["tab\tada@example.com"]"#), r#"["tab\ta***@example.com"]"#);
        assert_eq!(masked(r#""\ud83d\ude00 \"532-71-9001\"""#), r#""😀 \"***-**-****\"""#);
    }

    #[test]
    fn numbers_become_null_and_keys_are_looked_at() {
        assert_eq!(
            masked(r#"{"card": 4111111111111111, "n": 42}"#),
            r#"{"card": null, "n": 42}"#
        );
        assert_eq!(masked("[4.111111111111111e15]"), "[null]");
        assert_eq!(masked(r#"{"532-71-9001" : 1}"#), r#"{"***-**-****" : 1}"#);
    }

    #[test]
    fn documents_in_strings_stay_documents() {
        assert_eq!(
            masked(r#""{\"m\":\"ada@example.com\",\"c\":4111111111111111}""#),
            r#""{\"m\":\"a***@example.com\",\"c\":null}""#
        );
    }

    #[test]
    fn a_secret_is_known_by_its_key() {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        assert_eq!(
            masked(&format!(r#"{{"AWS_SECRET_ACCESS_KEY": "{secret}"}}"#)),
            r#"{"AWS_SECRET_ACCESS_KEY": "[REDACTED:aws_secret_key]"}"#
        );
    }

    #[test]
    fn what_holds_nothing_is_left_alone() {
        for text in [r#"{"a": [1, 2.5e3, true, null, "x\n"]}"#, "", "nonsense", r#""open \"#] {
            assert_eq!(masked(text), text);
        }
    }
}
