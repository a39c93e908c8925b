//! The values that must not leave, in the forms in which they could.

use super::wire::{Message, cells};

const NATIONAL_IDS: &[&str] = &[
    "532-71-9001",
    "219-09-9932",
    "457-55-5462",
    "321-54-7788",
    "612-34-8801",
    "408-22-6713",
    "771-02-4455",
];
const CARDS: &[&str] = &[
    "4111111111111111",
    "5500005555555559",
    "340000000000009",
    "6011000000000004",
    "4012888888881881",
    "3530111333300000",
    "4222222222222",
    "5105105105105100",
];

/// Everything that the clients of a case received.
pub(crate) struct Received {
    /// Every message, one after the other.
    raw: Vec<u8>,
    /// The cells of all rows and the data of all copies joined, since a value may come in pieces.
    joined: Vec<u8>,
}

impl Received {
    pub(crate) fn new<'a>(messages: impl Iterator<Item = &'a Message>) -> Received {
        let mut received = Received {
            raw: Vec::new(),
            joined: Vec::new(),
        };
        for message in messages {
            received.raw.extend(&message.body);
            received.raw.push(b'\n');
            match message.kind {
                b'D' => received
                    .joined
                    .extend(cells(&message.body).into_iter().flatten().flatten()),
                b'd' => received.joined.extend(&message.body),
                _ => {}
            }
        }
        received
    }

    /// Whether these bytes came.
    pub(crate) fn contains(&self, needle: &[u8]) -> bool {
        has(&self.raw, needle) || has(&self.joined, needle)
    }

    /// The protected values that came in any form.
    pub(crate) fn leaks(&self) -> Vec<&'static str> {
        let values = NATIONAL_IDS.iter().chain(CARDS).copied();
        values
            .filter(|value| forms(value).iter().any(|form| self.contains(form.as_bytes())))
            .collect()
    }
}

/// As it is, without dashes, backwards, in hexadecimal, in base 64.
fn forms(value: &str) -> [String; 5] {
    let hex = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    [
        value.to_owned(),
        value.replace('-', ""),
        value.chars().rev().collect(),
        hex,
        base64(value.as_bytes()),
    ]
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_usize, |sum, &byte| (sum << 8) | usize::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS.get((group >> (18 - 6 * place)) & 63).copied().unwrap_or(b'=');
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn has(haystack: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_in_every_form_and_across_cells() {
        for form in [
            "532-71-9001",
            "532719001",
            "1009-17-235",
            "3533322d37312d39303031",
            "NTMyLTcxLTkwMDE=",
        ] {
            let body = [b"x ", form.as_bytes()].concat();
            let received = Received::new([Message { kind: b'E', body }].iter());
            assert_eq!(received.leaks(), ["532-71-9001"], "{form}");
        }
        let row = |cell: &[u8]| {
            let mut body = vec![0, 1];
            body.extend(u32::try_from(cell.len()).unwrap_or_default().to_be_bytes());
            body.extend(cell);
            Message { kind: b'D', body }
        };
        let received = Received::new([row(b"532-71"), row(b"-9001")].iter());
        assert_eq!(received.leaks(), ["532-71-9001"]);
        assert!(Received::new([row(b"532-71-")].iter()).leaks().is_empty());
    }
}
