//! IP addresses in text.

use std::net::Ipv6Addr;
use std::ops::Range;

use crate::words::{word_before, word_or_dash_at};

/// The IPv4 address whose first dot is at `dot`. An address that is the whole text but for `/32` is what
/// PostgreSQL prints for `inet::text`; the suffix belongs to it.
pub(super) fn v4(text: &[u8], dot: usize) -> Option<Range<usize>> {
    let digit = |back: usize| {
        dot.checked_sub(back)
            .and_then(|at| text.get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    let start = match (digit(1), digit(2), digit(3)) {
        (false, ..) => return None,
        (true, false, _) => dot - 1,
        (true, true, false) => dot - 2,
        (true, true, true) => dot - 3,
    };
    if word_before(text, start, b".-") {
        return None;
    }
    let mut at = start;
    for part in 0..4 {
        let length = octet(text.get(at..)?)?;
        at += length;
        if part < 3 {
            if text.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
    }
    let decimals = matches!(text.get(at..), Some([b'.', digit, ..]) if digit.is_ascii_digit());
    if decimals || word_or_dash_at(text, at) {
        return None;
    }
    if start == 0 && text.get(at..) == Some(b"/32") {
        at += 3;
    }
    Some(start..at)
}

/// The length of the number below 256, without leading zeros, that `text` starts with.
#[inline]
fn octet(text: &[u8]) -> Option<usize> {
    let digit = |at: usize| text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|d| *d < 10);
    let first = u32::from(digit(0)?);
    let Some(second) = digit(1) else {
        return Some(1);
    };
    let two = first * 10 + u32::from(second);
    match digit(2) {
        _ if first == 0 => None,
        None => Some(2),
        Some(third) if two * 10 + u32::from(third) < 256 && digit(3).is_none() => Some(3),
        Some(_) => None,
    }
}

/// Appends the address with its last two numbers starred.
pub(super) fn show_v4(address: &[u8], out: &mut Vec<u8>) {
    let dot = |from: usize| {
        let rest = address.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|byte| **byte != b'.').count()
    };
    out.extend_from_slice(address.get(..dot(dot(0) + 1)).unwrap_or_default());
    out.extend_from_slice(b".*.*");
}

/// The longest spelling: eight groups, or six and an IPv4 address.
const V6_LIMIT: usize = 45;

/// The IPv6 address around the colon at `colon`.
pub(super) fn v6(text: &[u8], colon: usize) -> Option<Range<usize>> {
    let run = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b':';
    let before = text.get(colon.saturating_sub(V6_LIMIT + 1)..colon)?;
    let mut start = colon - before.iter().rev().take_while(|byte| run(byte)).count();
    let after = text.get(colon..)?;
    let mut end = colon + after.iter().take(V6_LIMIT + 1).take_while(|byte| run(byte)).count();
    // A colon alone at either end is punctuation: `from: …`, `…: refused`.
    if matches!(text.get(start..end), Some([b':', next, ..]) if *next != b':') {
        start += 1;
    } else if word_before(text, start, b".") {
        return None;
    }
    if matches!(text.get(start..end), Some([.., last, b':']) if *last != b':') {
        end -= 1;
    } else if let Some(embedded) = embedded_v4(text, start, end) {
        end = embedded;
    } else if crate::words::word_at(text, end) {
        return None;
    }
    let address = std::str::from_utf8(text.get(start..end)?).ok()?;
    let parsed: Ipv6Addr = address.parse().ok()?;
    if parsed.is_unspecified() {
        return None;
    }
    if start == 0 && text.get(end..) == Some(b"/128") {
        end += 4;
    }
    Some(start..end)
}

/// Where the address ends if its last 32 bits are written as IPv4, as in `::ffff:10.0.0.1`.
fn embedded_v4(text: &[u8], start: usize, end: usize) -> Option<usize> {
    if text.get(end) != Some(&b'.') {
        return None;
    }
    let last = start + memchr::memrchr(b':', text.get(start..end)?)? + 1;
    let rest = text.get(last..)?;
    let length = rest
        .iter()
        .take(16)
        .take_while(|b| b.is_ascii_digit() || **b == b'.')
        .count();
    let quad = rest.get(..length)?;
    let quad = quad.strip_suffix(b".").unwrap_or(quad);
    let parsed: Result<std::net::Ipv4Addr, _> = std::str::from_utf8(quad).ok()?.parse();
    parsed.is_ok().then_some(last + quad.len())
}

/// Appends the first two groups and a star.
pub(super) fn show_v6(address: &[u8], out: &mut Vec<u8>) {
    let text = std::str::from_utf8(address).unwrap_or_default();
    let bare = text.split('/').next().unwrap_or_default();
    let parsed: Ipv6Addr = bare.parse().unwrap_or(Ipv6Addr::UNSPECIFIED);
    let [first, second, ..] = parsed.segments();
    out.extend_from_slice(format!("{first:x}:{second:x}:*").as_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{v4, v6};

    fn found4(text: &str) -> Option<&str> {
        v4(text.as_bytes(), text.find('.').unwrap()).and_then(|range| text.get(range))
    }

    fn found6(text: &str) -> Option<&str> {
        let colon = text.find("::").or_else(|| text.find(':')).unwrap();
        v6(text.as_bytes(), colon).and_then(|range| text.get(range))
    }

    #[test]
    fn four_numbers_below_256() {
        assert_eq!(found4("a=192.168.0.1,"), Some("192.168.0.1"));
        assert_eq!(found4("10.1.2.3:443"), Some("10.1.2.3"));
        assert_eq!(found4("203.0.113.7/32"), Some("203.0.113.7/32"));
        for text in [
            "256.1.1.1",
            "1.2.3.4.5",
            "01.02.03.04",
            "v1.2.3.4",
            "1.2.3.4-beta",
            "1.2.3",
        ] {
            assert_eq!(found4(text), None, "{text}");
        }
    }

    #[test]
    fn groups_of_hexadecimal_digits() {
        assert_eq!(found6("fe80::1%eth0"), Some("fe80::1"));
        assert_eq!(found6("::ffff:10.0.0.1."), Some("::ffff:10.0.0.1"));
        assert_eq!(found6("from 2001:db8::1: refused"), Some("2001:db8::1"));
        assert_eq!(found6("2001:db8:0:0:0:0:0:1"), Some("2001:db8:0:0:0:0:0:1"));
        for text in ["12:34:56", "aa:bb:cc:dd:ee:ff", "std::dec", "' ::text", "x::date", "::"] {
            assert_eq!(found6(text), None, "{text}");
        }
    }
}
