//! Numbers, times and addresses: replaced by another value of the type, or by NULL.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sallyport_mask::Strategy;

use super::masker::{Masker, Outcome};
use super::{Format, Scalar, dates, numeric};

impl Masker {
    /// A scalar of a classified column.
    pub(super) fn scalar(
        &mut self,
        strategy: Strategy,
        kind: Scalar,
        format: Format,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Outcome {
        let written = match kind {
            Scalar::Int(width) => self.int(strategy, width, format, value, out),
            Scalar::Float(width) => self.float(strategy, width, format, value, out),
            Scalar::Numeric => self.numeric(strategy, format, value, out),
            Scalar::Money => money(strategy, format, value, out),
            Scalar::Bool => boolean(strategy, format, out),
            Scalar::Uuid => self.uuid(strategy, format, value, out),
            Scalar::Inet | Scalar::Cidr => self.address(strategy, kind, format, value, out),
            Scalar::Date | Scalar::Timestamp | Scalar::Timestamptz => self.time(strategy, kind, format, value, out),
        };
        if written.is_some() {
            Outcome::Changed
        } else {
            Outcome::Null
        }
    }

    /// A scalar in which a detector may find something.
    pub(super) fn detected_scalar(&mut self, kind: Scalar, format: Format, value: &[u8], out: &mut Vec<u8>) -> Outcome {
        let text = match format {
            Format::Text => None,
            Format::Binary => match shown(kind, value) {
                Some(text) => Some(text),
                // Infinity, or bytes that are no value of the type: nothing to find, nothing to trust.
                None => return self.null_if_found(value),
            },
        };
        let text = text.as_deref().map_or(value, str::as_bytes);
        let hit = match kind {
            Scalar::Int(_) | Scalar::Numeric | Scalar::Float(_) => {
                self.scanner.first_in_number(text, &mut self.scratch)
            }
            Scalar::Money
            | Scalar::Bool
            | Scalar::Uuid
            | Scalar::Inet
            | Scalar::Cidr
            | Scalar::Date
            | Scalar::Timestamp
            | Scalar::Timestamptz => self.scanner.first(text, &mut self.scratch),
        };
        match hit.map(|hit| hit.strategy) {
            None => Outcome::Same,
            Some(strategy) => self.scalar(strategy, kind, format, value, out),
        }
    }

    fn int(&self, strategy: Strategy, width: u8, format: Format, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let text = as_text(Scalar::Int(width), format, value)?;
        let limit: u64 = match width {
            2 => 0x7FFF,
            4 => 0x7FFF_FFFF,
            _ => 0x7FFF_FFFF_FFFF_FFFF,
        };
        let new = match strategy {
            Strategy::Zero => 0,
            Strategy::Hash => self.key.number("hash", text.as_bytes()) & limit,
            Strategy::Card => {
                let mut card = Vec::new();
                sallyport_mask::apply(strategy, &self.key, text.as_bytes(), &mut card);
                std::str::from_utf8(&card)
                    .ok()?
                    .parse()
                    .ok()
                    .filter(|new| *new <= limit)?
            }
            Strategy::Redact
            | Strategy::KeepLast(_)
            | Strategy::Null
            | Strategy::Year
            | Strategy::Email
            | Strategy::Partial => return None,
        };
        match format {
            Format::Text => out.extend_from_slice(new.to_string().as_bytes()),
            Format::Binary => {
                let bytes = new.to_be_bytes();
                out.extend_from_slice(bytes.get(8 - usize::from(width)..)?);
            }
        }
        Some(())
    }

    fn float(&self, strategy: Strategy, width: u8, format: Format, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let new = match strategy {
            Strategy::Zero => 0,
            // So many bits as both widths hold exactly.
            Strategy::Hash => self.key.number("hash", &float_bits(width, format, value)?) >> 40,
            Strategy::Redact
            | Strategy::KeepLast(_)
            | Strategy::Null
            | Strategy::Year
            | Strategy::Email
            | Strategy::Card
            | Strategy::Partial => return None,
        };
        match (format, width) {
            (Format::Text, _) => out.extend_from_slice(float_text(width, new).as_bytes()),
            (Format::Binary, 4) => out.extend_from_slice(&(new as f32).to_be_bytes()),
            (Format::Binary, _) => out.extend_from_slice(&(new as f64).to_be_bytes()),
        }
        Some(())
    }

    fn numeric(&self, strategy: Strategy, format: Format, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let text = as_text(Scalar::Numeric, format, value)?;
        let digits = match strategy {
            Strategy::Zero => "0".to_owned(),
            Strategy::Hash => (self.key.number("hash", text.as_bytes()) >> 4).to_string(),
            Strategy::Card => {
                let whole = text.split('.').next().unwrap_or_default();
                let mut card = Vec::new();
                sallyport_mask::apply(strategy, &self.key, whole.as_bytes(), &mut card);
                let card = String::from_utf8(card).ok()?;
                card.bytes().all(|byte| byte.is_ascii_digit()).then_some(card)?
            }
            Strategy::Redact
            | Strategy::KeepLast(_)
            | Strategy::Null
            | Strategy::Year
            | Strategy::Email
            | Strategy::Partial => return None,
        };
        match format {
            Format::Text => {
                out.extend_from_slice(digits.as_bytes());
                if let Some((_, fraction)) = text.split_once('.') {
                    out.push(b'.');
                    out.extend(std::iter::repeat_n(b'0', fraction.len()));
                }
            }
            Format::Binary => numeric::from_digits(&digits, numeric::scale(value), out),
        }
        Some(())
    }

    fn uuid(&self, strategy: Strategy, format: Format, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let text = as_text(Scalar::Uuid, format, value)?;
        let mut bytes = match strategy {
            Strategy::Zero => [0; 16],
            Strategy::Hash => self.key.bytes16("hash", text.as_bytes()),
            Strategy::Redact
            | Strategy::KeepLast(_)
            | Strategy::Null
            | Strategy::Year
            | Strategy::Email
            | Strategy::Card
            | Strategy::Partial => return None,
        };
        if strategy == Strategy::Hash {
            // RFC 9562: version 8, custom.
            let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
            *version = *version & 0x0F | 0x80;
            *variant = *variant & 0x3F | 0x80;
        }
        match format {
            Format::Text => out.extend_from_slice(uuid_text(bytes).as_bytes()),
            Format::Binary => out.extend_from_slice(&bytes),
        }
        Some(())
    }

    fn address(&self, strategy: Strategy, kind: Scalar, format: Format, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        // The address alone, in one spelling: so it is the same in both formats.
        let text = as_text(kind, format, value)?;
        let address: IpAddr = text.split('/').next()?.parse().ok()?;
        let (text, v6) = (address.to_string(), address.is_ipv6());
        let new: IpAddr = match (strategy, v6) {
            (Strategy::Zero, false) => Ipv4Addr::UNSPECIFIED.into(),
            (Strategy::Zero, true) => Ipv6Addr::UNSPECIFIED.into(),
            // Addresses that nobody routes: 240.0.0.0/4 (RFC 1112), fd00::/8 (RFC 4193).
            (Strategy::Hash, false) => {
                let number = self.key.number("hash", text.as_bytes()) as u32;
                Ipv4Addr::from_bits(number | 0xF000_0000).into()
            }
            (Strategy::Hash, true) => {
                let number = u128::from_be_bytes(self.key.bytes16("hash", text.as_bytes()));
                Ipv6Addr::from_bits(number >> 8 | 0xFD << 120).into()
            }
            (
                Strategy::Redact
                | Strategy::KeepLast(_)
                | Strategy::Null
                | Strategy::Year
                | Strategy::Email
                | Strategy::Card
                | Strategy::Partial,
                _,
            ) => return None,
        };
        let cidr = kind == Scalar::Cidr;
        let bits = if v6 { 128 } else { 32 };
        match format {
            Format::Text => {
                out.extend_from_slice(new.to_string().as_bytes());
                if cidr {
                    out.extend_from_slice(format!("/{bits}").as_bytes());
                }
            }
            Format::Binary => match new {
                IpAddr::V4(new) => {
                    out.extend_from_slice(&[2, bits, u8::from(cidr), 4]);
                    out.extend_from_slice(&new.octets());
                }
                IpAddr::V6(new) => {
                    out.extend_from_slice(&[3, bits, u8::from(cidr), 16]);
                    out.extend_from_slice(&new.octets());
                }
            },
        }
        Some(())
    }

    fn time(&self, strategy: Strategy, kind: Scalar, format: Format, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        // Infinity is no moment, and becomes NULL.
        let moment = moment(kind, format, value)?;
        let days = match strategy {
            Strategy::Year => None,
            Strategy::Zero => Some(dates::some_day(0)),
            Strategy::Hash => Some(dates::some_day(self.key.number("hash", moment.to_string().as_bytes()))),
            Strategy::Redact
            | Strategy::KeepLast(_)
            | Strategy::Null
            | Strategy::Email
            | Strategy::Card
            | Strategy::Partial => return None,
        };
        match format {
            Format::Binary if kind == Scalar::Date => {
                let old = i32::from_be_bytes(*exact(value)?);
                let new = days.or_else(|| dates::year_start(old))?;
                out.extend_from_slice(&new.to_be_bytes());
            }
            Format::Binary => {
                let old = i64::from_be_bytes(*exact(value)?);
                let new = days
                    .and_then(dates::midnight)
                    .or_else(|| dates::year_start_micros(old))?;
                out.extend_from_slice(&new.to_be_bytes());
            }
            Format::Text => {
                let parts = dates::iso_parts(std::str::from_utf8(value).ok()?)?;
                let date = match days {
                    Some(days) => dates::iso(days),
                    None => format!("{}-01-01", parts.year),
                };
                out.extend_from_slice(date.as_bytes());
                if parts.time {
                    out.extend_from_slice(b" 00:00:00");
                    let zone = if days.is_some() && !parts.zone.is_empty() {
                        "+00"
                    } else {
                        parts.zone
                    };
                    out.extend_from_slice(zone.as_bytes());
                }
                if days.is_none() {
                    out.extend_from_slice(parts.era.as_bytes());
                }
            }
        }
        Some(())
    }
}

/// The moment that a date or time means, in microseconds: the same in both formats and every time zone.
fn moment(kind: Scalar, format: Format, value: &[u8]) -> Option<i64> {
    match format {
        Format::Text => dates::iso_micros(std::str::from_utf8(value).ok()?),
        Format::Binary if kind == Scalar::Date => {
            let days = i32::from_be_bytes(*exact(value)?);
            (days != i32::MAX && days != i32::MIN)
                .then(|| dates::midnight(days))
                .flatten()
        }
        Format::Binary => {
            let micros = i64::from_be_bytes(*exact(value)?);
            (micros != i64::MAX && micros != i64::MIN).then_some(micros)
        }
    }
}

/// The bits of the number as a double, the same in both formats and widths; equal numbers have equal bits.
fn float_bits(width: u8, format: Format, value: &[u8]) -> Option<[u8; 8]> {
    let number = match (format, width) {
        (Format::Text, 4) => f64::from(std::str::from_utf8(value).ok()?.parse::<f32>().ok()?),
        (Format::Text, _) => std::str::from_utf8(value).ok()?.parse().ok()?,
        (Format::Binary, 4) => f64::from(f32::from_be_bytes(*exact(value)?)),
        (Format::Binary, _) => f64::from_be_bytes(*exact(value)?),
    };
    let number = if number.is_nan() { f64::NAN } else { number + 0.0 };
    Some(number.to_be_bytes())
}

/// A whole number of at most eight digits as the server writes a float.
fn float_text(width: u8, number: u64) -> String {
    let text = number.to_string();
    let (Some(first), true) = (text.get(..1), width == 4 && text.len() > 6) else {
        return text;
    };
    let rest = text.get(1..).unwrap_or_default().trim_end_matches('0');
    let point = if rest.is_empty() { "" } else { "." };
    format!("{first}{point}{rest}e+{:02}", text.len() - 1)
}

/// `$1,234.56` becomes `$0.00`: what stands before the first digit, and two decimals if there are two.
fn money(strategy: Strategy, format: Format, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if strategy != Strategy::Zero {
        return None;
    }
    if format == Format::Binary {
        out.extend_from_slice(&[0; 8]);
        return Some(());
    }
    let first = value.iter().position(u8::is_ascii_digit)?;
    let last = value.iter().rposition(u8::is_ascii_digit)?;
    let sign = value.get(..first)?.iter().filter(|byte| !matches!(byte, b'-' | b'('));
    out.extend(sign);
    out.push(b'0');
    if let Some([.., point, a, b]) = value.get(first..=last)
        && !point.is_ascii_digit()
        && a.is_ascii_digit()
        && b.is_ascii_digit()
    {
        out.extend_from_slice(&[*point, b'0', b'0']);
    }
    out.extend(value.get(last + 1..)?.iter().filter(|byte| **byte != b')'));
    Some(())
}

fn boolean(strategy: Strategy, format: Format, out: &mut Vec<u8>) -> Option<()> {
    if strategy != Strategy::Zero {
        return None;
    }
    out.push(match format {
        Format::Text => b'f',
        Format::Binary => 0,
    });
    Some(())
}

fn exact<const N: usize>(value: &[u8]) -> Option<&[u8; N]> {
    value.try_into().ok()
}

/// The text of a value in either format.
fn as_text(kind: Scalar, format: Format, value: &[u8]) -> Option<String> {
    match format {
        Format::Text => std::str::from_utf8(value).ok().map(str::to_owned),
        Format::Binary => shown(kind, value),
    }
}

/// The text of a binary value; `None` if it has none that matters.
fn shown(kind: Scalar, value: &[u8]) -> Option<String> {
    Some(match kind {
        Scalar::Int(2) => i16::from_be_bytes(*exact(value)?).to_string(),
        Scalar::Int(4) => i32::from_be_bytes(*exact(value)?).to_string(),
        Scalar::Int(_) => i64::from_be_bytes(*exact(value)?).to_string(),
        Scalar::Float(4) => f32::from_be_bytes(*exact(value)?).to_string(),
        Scalar::Float(_) => f64::from_be_bytes(*exact(value)?).to_string(),
        Scalar::Numeric => numeric::to_text(value)?,
        Scalar::Money => i64::from_be_bytes(*exact(value)?).to_string(),
        Scalar::Bool => (if value == [1] { "t" } else { "f" }).to_owned(),
        Scalar::Uuid => uuid_text(*exact(value)?),
        Scalar::Inet | Scalar::Cidr => match value {
            [2, _, _, 4, rest @ ..] => Ipv4Addr::from(*exact::<4>(rest)?).to_string(),
            [3, _, _, 16, rest @ ..] => Ipv6Addr::from(*exact::<16>(rest)?).to_string(),
            _ => return None,
        },
        Scalar::Date => dates::iso(i32::from_be_bytes(*exact(value)?)),
        Scalar::Timestamp | Scalar::Timestamptz => {
            let days = i64::from_be_bytes(*exact(value)?).div_euclid(86_400_000_000);
            dates::iso(i32::try_from(days).ok()?)
        }
    })
}

fn uuid_text(bytes: [u8; 16]) -> String {
    let mut text = format!("{:032x}", u128::from_be_bytes(bytes));
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    text
}
