//! Replacements that keep the format: other e-mail addresses, other card numbers.

use crate::scanner::card::{check_digit, issuer_prefix};
use crate::{MaskKey, words};

/// Pseudo-random choices that only the key and the value determine.
struct Choices<'a> {
    key: &'a MaskKey,
    label: &'static str,
    value: &'a [u8],
    block: [u8; 16],
    used: usize,
    round: u32,
}

impl<'a> Choices<'a> {
    fn new(key: &'a MaskKey, label: &'static str, value: &'a [u8]) -> Self {
        Self {
            key,
            label,
            value,
            block: key.bytes16(label, value),
            used: 0,
            round: 0,
        }
    }

    /// A number below `limit` (at most 36). The bias of the remainder does not matter here: the
    /// replacement is no secret, and the value cannot be computed from it.
    fn below(&mut self, limit: u8) -> u8 {
        if self.used == self.block.len() {
            self.round += 1;
            let mut next = self.value.to_vec();
            next.extend_from_slice(&self.round.to_be_bytes());
            self.block = self.key.bytes16(self.label, &next);
            self.used = 0;
        }
        let byte = self.block.get(self.used).copied().unwrap_or_default();
        self.used += 1;
        byte % limit
    }
}

/// Appends another e-mail address of the same shape and says so; appends nothing if `value` is none.
/// The last label becomes `example` (RFC 2606), so that nobody ever receives mail for it.
pub(crate) fn email(key: &MaskKey, value: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(at) = memchr::memrchr(b'@', value) else {
        return false;
    };
    let (local, domain) = (value.get(..at), value.get(at + 1..));
    let (Some(local), Some(domain)) = (local, domain) else {
        return false;
    };
    let Some(dot) = memchr::memrchr(b'.', domain) else {
        return false;
    };
    if local.is_empty() || dot == 0 {
        return false;
    }
    shape(&mut Choices::new(key, "email-local", value), local, b"._-+", out);
    out.push(b'@');
    let labels = domain.get(..dot).unwrap_or_default();
    shape(&mut Choices::new(key, "email-domain", domain), labels, b".-", out);
    out.extend_from_slice(b".example");
    true
}

/// A letter for a letter, a digit for a digit; of the rest only what is in `kept` stays as it is.
fn shape(choices: &mut Choices<'_>, text: &[u8], kept: &[u8], out: &mut Vec<u8>) {
    for c in words::characters(text) {
        match c.char {
            Some(mark) if words::is_mark(mark) => {}
            Some(digit) if digit.is_ascii_digit() => out.push(b'0' + choices.below(10)),
            Some(upper) if upper.is_uppercase() => out.push(b'A' + choices.below(26)),
            Some(other) if other.is_ascii() && c.bytes.iter().all(|b| kept.contains(b)) => {
                out.extend_from_slice(c.bytes);
            }
            Some(_) | None => out.push(b'a' + choices.below(26)),
        }
    }
}

/// Appends another card number with the same separators, length and issuer and a right check digit, and
/// says so; appends nothing if `value` has not 12 to 19 digits and separators only.
pub(crate) fn card(key: &MaskKey, value: &[u8], out: &mut Vec<u8>) -> bool {
    let digits: Vec<u8> = value.iter().filter(|b| b.is_ascii_digit()).map(|b| b - b'0').collect();
    let plain = value.iter().all(|b| b.is_ascii_digit() || matches!(b, b' ' | b'-'));
    if !plain || !(12..=19).contains(&digits.len()) {
        return false;
    }
    let kept = issuer_prefix(&digits).unwrap_or(1);
    let mut choices = Choices::new(key, "card", &digits);
    let last = digits.len() - 1;
    let mut masked: Vec<u8> = digits
        .iter()
        .take(last)
        .enumerate()
        .map(|(at, digit)| if at < kept { *digit } else { choices.below(10) })
        .collect();
    masked.push(check_digit(&masked));
    let mut next = masked.into_iter();
    for byte in value {
        if byte.is_ascii_digit() {
            out.push(b'0' + next.next().unwrap_or_default());
        } else {
            out.push(*byte);
        }
    }
    true
}
