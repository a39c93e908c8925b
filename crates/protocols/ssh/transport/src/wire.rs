//! The data types of SSH (RFC 4251 section 5): a bounded cursor that reads them and functions that write them.
//!
//! Nothing here copies or allocates by a length that a peer claims: a [`Reader`] lends parts of what really
//! arrived, and refuses what goes beyond.

use bytes::BufMut;
use thiserror::Error;

/// The most bits that a number read from a peer may have; the largest RSA modulus in use fits twice.
const MPINT_MAX_BYTES: usize = 2048;

/// What is wrong with the bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// A field goes beyond the end of what contains it.
    #[error("a field is longer than the message")]
    Truncated,
    /// Bytes follow the last field.
    #[error("bytes follow the last field of the message")]
    Trailing,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// A name-list has an empty, an overlong or a non-printable name (RFC 4251 section 6).
    #[error("a name list is malformed")]
    NameList,
    /// A number is negative, not in its shortest form, or beyond any in use.
    #[error("a number is malformed")]
    Number,
}

/// A cursor over the fields of one message.
///
/// Every method takes one field off the front, or fails and leaves the cursor where it was. Call
/// [`finish`](Reader::finish) after the last field: a message with something behind it is not understood.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// Exactly `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (head, left) = self.left.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.left = left;
        Ok(head)
    }

    /// Exactly `N` bytes, as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, left) = self.left.split_first_chunk().ok_or(WireError::Truncated)?;
        self.left = left;
        Ok(*head)
    }

    /// `byte`.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// `boolean`: whatever is not zero is true.
    pub fn bool(&mut self) -> Result<bool, WireError> {
        self.u8().map(|byte| byte != 0)
    }

    /// `uint32`.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// `uint64`.
    pub fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_be_bytes)
    }

    /// `string`, as the bytes it holds.
    pub fn string(&mut self) -> Result<&'a [u8], WireError> {
        let mut ahead = self.clone();
        let length = usize::try_from(ahead.u32()?).map_err(|_| WireError::Truncated)?;
        let bytes = ahead.bytes(length)?;
        *self = ahead;
        Ok(bytes)
    }

    /// `string` that is a text in UTF-8.
    pub fn utf8(&mut self) -> Result<&'a str, WireError> {
        let mut ahead = self.clone();
        let text = std::str::from_utf8(ahead.string()?).map_err(|_| WireError::NotUtf8)?;
        *self = ahead;
        Ok(text)
    }

    /// `name-list`: names of 1 to 64 printable ASCII characters, kept in the peer's order of preference.
    pub fn name_list(&mut self) -> Result<NameList<'a>, WireError> {
        let mut ahead = self.clone();
        let text = std::str::from_utf8(ahead.string()?).map_err(|_| WireError::NameList)?;
        let list = NameList::new(text)?;
        *self = ahead;
        Ok(list)
    }

    /// `mpint` that is not negative, as its big-endian bytes without the zero that marks the sign. Zero is
    /// empty. A number that is not in its shortest form is refused: two spellings of one key are a hole.
    pub fn mpint(&mut self) -> Result<&'a [u8], WireError> {
        let mut ahead = self.clone();
        let bytes = ahead.string()?;
        let magnitude = match bytes {
            [] => bytes,
            [0, rest @ ..] => match rest.first() {
                Some(first) if first & 0x80 != 0 => rest,
                _ => return Err(WireError::Number),
            },
            [first, ..] if first & 0x80 != 0 => return Err(WireError::Number),
            _ => bytes,
        };
        if magnitude.len() > MPINT_MAX_BYTES {
            return Err(WireError::Number);
        }
        *self = ahead;
        Ok(magnitude)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.left)
    }

    /// The number of bytes that are left.
    pub fn remaining(&self) -> usize {
        self.left.len()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Ends the message: fails if anything is left.
    pub fn finish(self) -> Result<(), WireError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(WireError::Trailing)
        }
    }
}

/// The names of a `name-list`, borrowed from its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameList<'a>(&'a str);

impl<'a> NameList<'a> {
    /// The most characters of one name (RFC 4251 section 6).
    pub const NAME_MAX: usize = 64;

    /// A list from its text: names with commas between them.
    pub fn new(text: &'a str) -> Result<Self, WireError> {
        let good =
            |name: &str| (1..=Self::NAME_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
        if text.is_empty() || text.split(',').all(good) {
            Ok(Self(text))
        } else {
            Err(WireError::NameList)
        }
    }

    /// The names, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.split(',').filter(|name| !name.is_empty())
    }

    /// The list as it came: names with commas between them.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Whether `name` is one of them.
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|listed| listed == name)
    }

    /// The first name: what the peer likes best.
    pub fn first(&self) -> Option<&'a str> {
        self.iter().next()
    }
}

/// Appends a `byte`.
pub fn put_u8(out: &mut impl BufMut, value: u8) {
    out.put_u8(value);
}

/// Appends a `boolean`.
pub fn put_bool(out: &mut impl BufMut, value: bool) {
    out.put_u8(u8::from(value));
}

/// Appends a `uint32`.
pub fn put_u32(out: &mut impl BufMut, value: u32) {
    out.put_u32(value);
}

/// Appends a `uint64`.
pub fn put_u64(out: &mut impl BufMut, value: u64) {
    out.put_u64(value);
}

/// Appends a `string`. What lies beyond 2^32 - 1 bytes cannot be said in SSH and is left out; the packet that
/// would carry it is refused long before.
pub fn put_string(out: &mut impl BufMut, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.put_u32(length);
    out.put_slice(
        usize::try_from(length)
            .ok()
            .and_then(|length| bytes.get(..length))
            .unwrap_or(bytes),
    );
}

/// Appends an `mpint` that is not negative, given as big-endian bytes with any number of zeros before them.
pub fn put_mpint(out: &mut impl BufMut, magnitude: &[u8]) {
    let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
    let shortest = magnitude.get(zeros..).unwrap_or_default();
    let sign = shortest.first().is_some_and(|first| first & 0x80 != 0);
    out.put_u32(
        u32::try_from(shortest.len())
            .unwrap_or(u32::MAX)
            .saturating_add(u32::from(sign)),
    );
    if sign {
        out.put_u8(0);
    }
    out.put_slice(shortest);
}

/// Appends a `name-list`.
pub fn put_name_list<'n>(out: &mut impl BufMut, names: impl IntoIterator<Item = &'n str>) {
    let mut joined = String::new();
    for name in names {
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(name);
    }
    put_string(out, joined.as_bytes());
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;

    /// RFC 4251 section 5 prints these numbers.
    #[test]
    fn numbers_are_spelled_as_the_rfc_prints_them() {
        let cases: [(&[u8], &[u8]); 4] = [
            (&[], &[0, 0, 0, 0]),
            (
                &[0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7],
                &[0, 0, 0, 8, 0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7],
            ),
            (&[0x80], &[0, 0, 0, 2, 0, 0x80]),
            (&[0x7f], &[0, 0, 0, 1, 0x7f]),
        ];
        for (number, wire) in cases {
            let mut out = BytesMut::new();
            put_mpint(&mut out, &[&[0, 0], number].concat());
            assert_eq!(out, wire);
            assert_eq!(Reader::new(wire).mpint().unwrap(), number);
        }
    }

    #[test]
    fn a_number_has_one_spelling() {
        for wire in [
            &[0, 0, 0, 1, 0x80][..],
            &[0, 0, 0, 1, 0],
            &[0, 0, 0, 2, 0, 0x7f],
            &[0, 0, 0, 3, 0, 0, 0x80],
        ] {
            assert_eq!(Reader::new(wire).mpint(), Err(WireError::Number));
        }
        let mut long = vec![0, 0, 8, 1];
        long.resize(4 + 2049, 1);
        assert_eq!(Reader::new(&long).mpint(), Err(WireError::Number));
    }

    #[test]
    fn a_name_list_has_no_empty_and_no_odd_names() {
        for text in [",", "a,", ",a", "a,,b", "a b", "a\0", "ä", &"x".repeat(65)] {
            assert_eq!(NameList::new(text), Err(WireError::NameList), "{text:?}");
        }
        assert_eq!(NameList::new("").unwrap().iter().count(), 0);
        let list = NameList::new("none,zlib@openssh.com").unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), ["none", "zlib@openssh.com"]);
        assert!(list.contains("none") && !list.contains("zlib"));
    }

    #[test]
    fn a_claimed_length_is_held_against_what_arrived() {
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0xff, 1, 2, 3]);
        assert_eq!(reader.string(), Err(WireError::Truncated));
        assert_eq!(reader.remaining(), 7, "a field that fails is not taken");
        assert_eq!(reader.u32().unwrap(), u32::MAX);
        assert_eq!(reader.clone().finish(), Err(WireError::Trailing));
        assert_eq!(reader.rest(), [1, 2, 3]);
        assert_eq!(reader.finish(), Ok(()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(a: u8, b: bool, c: u32, d: u64, e: Vec<u8>, f: String, g: Vec<u8>) {
            let mut out = BytesMut::new();
            put_u8(&mut out, a);
            put_bool(&mut out, b);
            put_u32(&mut out, c);
            put_u64(&mut out, d);
            put_string(&mut out, &e);
            put_string(&mut out, f.as_bytes());
            put_mpint(&mut out, &g);
            put_name_list(&mut out, ["one", "two"]);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.u8().unwrap(), a);
            prop_assert_eq!(reader.bool().unwrap(), b);
            prop_assert_eq!(reader.u32().unwrap(), c);
            prop_assert_eq!(reader.u64().unwrap(), d);
            prop_assert_eq!(reader.string().unwrap(), &e);
            prop_assert_eq!(reader.utf8().unwrap(), &f);
            let zeros = g.iter().take_while(|byte| **byte == 0).count();
            prop_assert_eq!(reader.mpint().unwrap(), g.get(zeros..).unwrap());
            prop_assert_eq!(reader.name_list().unwrap(), NameList::new("one,two").unwrap());
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let reader = Reader::new(&bytes);
            let _ = reader.clone().string();
            let _ = reader.clone().utf8();
            let _ = reader.clone().name_list();
            let _ = reader.clone().mpint();
            let _ = reader.clone().u64();
            let _ = reader.finish();
        }
    }
}
