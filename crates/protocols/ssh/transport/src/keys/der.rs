//! The little of DER (X.690) that private keys in the older formats need.

use zeroize::Zeroizing;

use super::KeyError;

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// A cursor over DER values.
#[derive(Clone)]
pub(super) struct Der<'a> {
    left: &'a [u8],
}

impl<'a> Der<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// A SEQUENCE, as a cursor over what is in it.
    pub(super) fn sequence(&mut self) -> Result<Self, KeyError> {
        self.value(SEQUENCE).map(Self::new)
    }

    /// An OBJECT IDENTIFIER, encoded.
    pub(super) fn oid(&mut self) -> Result<&'a [u8], KeyError> {
        self.value(OBJECT_IDENTIFIER)
    }

    /// An OCTET STRING.
    pub(super) fn octets(&mut self) -> Result<&'a [u8], KeyError> {
        self.value(OCTET_STRING)
    }

    /// An INTEGER that is not negative, without zeros in front.
    pub(super) fn integer(&mut self) -> Result<&'a [u8], KeyError> {
        let bytes = self.value(INTEGER)?;
        match bytes {
            [first, ..] if first & 0x80 != 0 => Err(KeyError::Invalid),
            [] => Err(KeyError::Invalid),
            [0, rest @ ..] => Ok(rest),
            _ => Ok(bytes),
        }
    }

    fn value(&mut self, tag: u8) -> Result<&'a [u8], KeyError> {
        let [found, length, rest @ ..] = self.left else {
            return Err(KeyError::Invalid);
        };
        let (length, rest) = match *length {
            short @ 0..=0x7f => (usize::from(short), rest),
            0x81 => rest
                .split_first()
                .map(|(a, rest)| (usize::from(*a), rest))
                .ok_or(KeyError::Invalid)?,
            0x82 => rest
                .split_first_chunk()
                .map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))
                .ok_or(KeyError::Invalid)?,
            _ => return Err(KeyError::Invalid),
        };
        let (value, rest) = rest.split_at_checked(length).ok_or(KeyError::Invalid)?;
        if *found != tag {
            return Err(KeyError::Invalid);
        }
        self.left = rest;
        Ok(value)
    }
}

/// A SEQUENCE of INTEGERs, each given big-endian and not negative.
pub(super) fn integers(numbers: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    // Room for all of it from the start: a vector that grows leaves a copy of the secret behind.
    let room = numbers.iter().map(|number| number.len() + 5).sum::<usize>() + 8;
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    for number in numbers {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let shortest = number.get(zeros..).unwrap_or_default();
        let sign = shortest.first().is_none_or(|first| first & 0x80 != 0);
        put_header(&mut body, INTEGER, shortest.len() + usize::from(sign));
        if sign {
            body.push(0);
        }
        body.extend_from_slice(shortest);
    }
    let mut out = Zeroizing::new(Vec::with_capacity(room));
    put_header(&mut out, SEQUENCE, body.len());
    out.extend_from_slice(&body);
    out
}

fn put_header(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    match (high, low) {
        (0, 0..=0x7f) => out.push(low),
        (0, _) => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
}
