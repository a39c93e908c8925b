//! What stands in the place of a value that was found.

use super::spans::{Found, Span};
use super::{Scanner, email, ip};
use crate::{Detector, Strategy, apply, words};

impl Scanner {
    /// Appends what replaces `value`.
    pub(super) fn replace(&self, value: &[u8], span: &Span, out: &mut Vec<u8>) {
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
            let at = memchr::memrchr(b'@', value).unwrap_or(value.len());
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
    let start = out.len();
    out.extend_from_slice(value);
    let (mut digits, mut high) = (0, 0);
    for byte in out.get_mut(start..).unwrap_or_default().iter_mut().rev() {
        high |= *byte;
        let digit = byte.is_ascii_digit();
        // Without branches: where digits stand is as good as chance.
        *byte = if digit & (digits >= shown) { b'*' } else { *byte };
        digits += usize::from(digit);
    }
    if high < 0x80 {
        return;
    }
    out.truncate(start);
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
