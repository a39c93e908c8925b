//! What stands in the place of a value that was found.

use fearless_simd::{Level, Select, Simd, SimdBase, SimdFrom, SimdMask, dispatch, u8x16};

use super::spans::{Found, Span};
use super::{Scanner, email, ip};
use crate::{Detector, Strategy, apply, words};

impl Scanner {
    /// Appends what replaces `value`.
    pub(crate) fn replace(&self, value: &[u8], span: &Span, out: &mut Vec<u8>) {
        match (span.strategy, span.found) {
            (Strategy::Partial, Found::Builtin(detector)) => partial(detector, value, out),
            (Strategy::Partial, Found::Custom(number)) => {
                let name = self.customs.get(number).map_or("", |custom| custom.name.as_str());
                out.extend_from_slice(b"[REDACTED:");
                out.extend_from_slice(name.as_bytes());
                out.push(b']');
            }
            (strategy, Found::Builtin(_) | Found::Custom(_) | Found::Rest) => {
                apply(strategy, &self.key, value, out);
            }
        }
    }
}

/// The form that people know the kind of value by, without what is private in it.
fn partial(detector: Detector, value: &[u8], out: &mut Vec<u8>) {
    match detector {
        Detector::CreditCard => star_digits(value, 4, out),
        Detector::Phone => star_digits(value, 2, out),
        Detector::Ssn => star_digits(value, 0, out),
        Detector::Email => {
            let at = value.iter().position(|byte| *byte == b'@').unwrap_or(value.len());
            let (local, domain) = value.split_at_checked(at).unwrap_or_default();
            out.extend_from_slice(local.get(..email::shown(local)).unwrap_or_default());
            out.extend_from_slice(b"***");
            out.extend_from_slice(domain);
        }
        Detector::Iban => {
            let total = value.iter().filter(|byte| **byte != b' ').count();
            let mut seen = 0;
            for byte in value {
                seen += usize::from(*byte != b' ');
                let shown = *byte == b' ' || seen <= 4 || seen + 4 > total;
                out.push(if shown { *byte } else { b'*' });
            }
        }
        Detector::Ip if value.contains(&b':') => ip::show_v6(value, out),
        Detector::Ip => ip::show_v4(value, out),
        Detector::PrivateKey
        | Detector::Jwt
        | Detector::AwsAccessKey
        | Detector::AwsSecretKey
        | Detector::GcpApiKey
        | Detector::GithubToken
        | Detector::GitlabToken
        | Detector::NpmToken
        | Detector::SlackToken
        | Detector::SlackWebhook
        | Detector::StripeKey
        | Detector::OpenaiKey
        | Detector::AnthropicKey
        | Detector::SendgridKey
        | Detector::TwilioKey
        | Detector::PypiToken
        | Detector::AzureKey
        | Detector::DigitaloceanToken
        | Detector::ShopifyToken
        | Detector::VaultToken
        | Detector::TerraformToken
        | Detector::DatabricksToken
        | Detector::HuggingfaceToken
        | Detector::DockerToken
        | Detector::GoogleOauth
        | Detector::UrlPassword => out.extend_from_slice(detector.redacted().as_bytes()),
    }
}

/// A star for every digit but the last `shown`; separators stay.
fn star_digits(value: &[u8], shown: usize, out: &mut Vec<u8>) {
    if star_digits_of_ascii(value, shown, out) {
        return;
    }
    let digit = |c: Option<char>| c.is_some_and(char::is_numeric);
    let total = words::characters(value).filter(|c| digit(c.char)).count();
    let mut seen = 0;
    for c in words::characters(value) {
        if !digit(c.char) {
            out.extend_from_slice(c.bytes);
            continue;
        }
        seen += 1;
        if seen + shown > total {
            out.extend_from_slice(c.bytes);
        } else {
            out.push(b'*');
        }
    }
}

/// The same, if there is nothing but ASCII; else appends nothing and says false.
fn star_digits_of_ascii(value: &[u8], shown: usize, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let mut ascii = true;
    let (blocks, rest) = value.as_chunks::<BLOCK>();
    for block in blocks {
        let (starred, plain) = dispatch!(Level::baseline(), simd => star(simd, block));
        out.extend_from_slice(&starred);
        ascii &= plain;
    }
    if !rest.is_empty() {
        let mut block = [0; BLOCK];
        for (slot, byte) in block.iter_mut().zip(rest) {
            *slot = *byte;
        }
        let (starred, plain) = dispatch!(Level::baseline(), simd => star(simd, &block));
        out.extend_from_slice(&starred);
        ascii &= plain;
    }
    if !ascii {
        out.truncate(start);
        return false;
    }
    out.truncate(start + value.len());
    let starred = out.get_mut(start..).unwrap_or_default().iter_mut().zip(value);
    let digits = starred.rev().filter(|(_, byte)| byte.is_ascii_digit());
    for (starred, byte) in digits.take(shown) {
        *starred = *byte;
    }
    true
}

/// As many bytes as are starred at once.
const BLOCK: usize = 16;

/// Stars for ASCII digits, and whether all is ASCII.
#[inline(always)]
fn star<S: Simd>(simd: S, block: &[u8; BLOCK]) -> ([u8; BLOCK], bool) {
    let v = u8x16::simd_from(simd, *block);
    let splat = |byte: u8| u8x16::splat(simd, byte);
    let digits = (v - splat(b'0')).simd_lt(splat(10));
    let starred = digits.select(splat(b'*'), v).into();
    (starred, !v.simd_ge(splat(0x80)).any_true())
}

#[cfg(test)]
mod tests {
    use super::star_digits_of_ascii;

    #[test]
    fn so_many_digits_are_left_at_any_length() {
        for length in 0..50_usize {
            for shown in [0, 2, 4, 60] {
                let value: Vec<u8> = b"12-3 /9:(0"
                    .iter()
                    .cycle()
                    .skip(length)
                    .take(length)
                    .copied()
                    .collect();
                let total = value.iter().filter(|byte| byte.is_ascii_digit()).count();
                let mut seen = 0;
                let mut star = |byte: &u8| {
                    seen += usize::from(byte.is_ascii_digit());
                    if byte.is_ascii_digit() && seen + shown <= total {
                        b'*'
                    } else {
                        *byte
                    }
                };
                let want: Vec<u8> = b"kept".iter().copied().chain(value.iter().map(&mut star)).collect();
                let mut out = b"kept".to_vec();
                assert!(star_digits_of_ascii(&value, shown, &mut out));
                assert_eq!(out, want, "{shown} of {value:?}");
                let high = [&value[..], "\u{661}".as_bytes()].concat();
                assert!(!star_digits_of_ascii(&high, shown, &mut out));
                assert_eq!(out, want);
            }
        }
    }
}
