//! A reader of BER ([X.690](https://www.itu.int/rec/T-REC-X.690)), as far as signed documents of clouds need it: tags of one
//! byte, lengths of either form. DER would not do, since some of them have lengths that are indefinite.

/// How deep elements of indefinite length may be nested.
const MAX_DEPTH: u32 = 12;
/// The most pieces of a text in pieces.
const MAX_PIECES: usize = 64;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
const OCTETS_IN_PIECES: u8 = 0x24;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

const CONSTRUCTED: u8 = 0x20;
const LONG_TAG: u8 = 0x1f;

/// It is not BER, or not as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    /// What is inside.
    pub(super) content: &'a [u8],
    /// With tag and length.
    pub(super) whole: &'a [u8],
    /// Whether its length was said in front.
    pub(super) definite: bool,
}

impl<'a> Element<'a> {
    pub(super) fn inside(&self) -> Reader<'a> {
        Reader(self.content)
    }

    /// An octet string, whole or in pieces.
    pub(super) fn octets(&self) -> Result<Vec<u8>, Malformed> {
        match self.tag {
            OCTETS => Ok(self.content.to_vec()),
            OCTETS_IN_PIECES => {
                let (mut pieces, mut all) = (self.inside(), Vec::new());
                for _ in 0..MAX_PIECES {
                    if pieces.is_empty() {
                        return Ok(all);
                    }
                    all.extend_from_slice(pieces.expect(OCTETS)?.content);
                }
                Err(Malformed)
            }
            _ => Err(Malformed),
        }
    }
}

/// Reads elements one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element.
    pub(super) fn next(&mut self) -> Result<Element<'a>, Malformed> {
        self.next_at(0)
    }

    /// The next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Result<Element<'a>, Malformed> {
        self.next()
            .and_then(|e| if e.tag == tag { Ok(e) } else { Err(Malformed) })
    }

    /// The next element, if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, Malformed> {
        if self.0.first() == Some(&tag) {
            self.next().map(Some)
        } else {
            Ok(None)
        }
    }

    /// That there is nothing more.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    fn next_at(&mut self, depth: u32) -> Result<Element<'a>, Malformed> {
        let start = self.0;
        let (&tag, rest) = start.split_first().ok_or(Malformed)?;
        if tag & LONG_TAG == LONG_TAG {
            return Err(Malformed);
        }
        let (&first, rest) = rest.split_first().ok_or(Malformed)?;
        let (content, rest, definite) = match first {
            0..0x80 => {
                let (content, rest) = rest.split_at_checked(usize::from(first)).ok_or(Malformed)?;
                (content, rest, true)
            }
            0x80 if tag & CONSTRUCTED != 0 && depth < MAX_DEPTH => {
                let (content, rest) = until_end(rest, depth)?;
                (content, rest, false)
            }
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f)).ok_or(Malformed)?;
                let length = digits.iter().fold(0_u64, |sum, digit| sum << 8 | u64::from(*digit));
                let length = usize::try_from(length).map_err(|_| Malformed)?;
                let (content, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
                (content, rest, true)
            }
            0x80 | 0x85..=0xff => return Err(Malformed),
        };
        let whole = start.split_at_checked(start.len() - rest.len()).ok_or(Malformed)?.0;
        self.0 = rest;
        Ok(Element {
            tag,
            content,
            whole,
            definite,
        })
    }
}

/// Content of indefinite length, and what follows its end.
fn until_end(bytes: &[u8], depth: u32) -> Result<(&[u8], &[u8]), Malformed> {
    let mut inner = Reader(bytes);
    loop {
        if let Some(rest) = inner.0.strip_prefix(&[0, 0]) {
            let length = bytes.len() - inner.0.len();
            return Ok((bytes.split_at_checked(length).ok_or(Malformed)?.0, rest));
        }
        inner.next_at(depth + 1)?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    #[test]
    fn both_forms_of_lengths_come_to_the_same() {
        let definite = [0x30, 6, 0x24, 4, 4, 2, 7, 8];
        let indefinite = [0x30, 0x80, 0x24, 0x80, 4, 1, 7, 4, 1, 8, 0, 0, 0, 0];
        for bytes in [definite.as_slice(), &indefinite] {
            let mut reader = Reader(bytes);
            let outer = reader.expect(SEQUENCE).unwrap();
            reader.finish().unwrap();
            assert_eq!(outer.whole, bytes);
            let mut inside = outer.inside();
            assert_eq!(inside.next().unwrap().octets().unwrap(), [7, 8]);
            inside.finish().unwrap();
            for cut in 0..bytes.len() {
                assert_eq!(Reader(&bytes[..cut]).next(), Err(Malformed), "{cut}");
            }
        }
        let long = [&[4, 0x82, 0, 3][..], &[1, 2, 3]].concat();
        assert_eq!(Reader(&long).next().unwrap().content, [1, 2, 3]);
    }

    #[test]
    fn nesting_and_strange_forms_are_refused() {
        let deep = [[0x30, 0x80].repeat(64), [0, 0].repeat(64)].concat();
        for bad in [
            deep.as_slice(),
            &[0x04, 0x80, 0, 0],
            &[0x1f, 0x01, 0x00],
            &[0x30, 0x85, 0, 0, 0, 0, 0],
            &[0x30, 0xff],
        ] {
            assert_eq!(Reader(bad).next(), Err(Malformed));
        }
    }
}
