//! The file format under the events: a preamble, then frames, each encrypted and chained to the one before.
//! See `FORMAT.md`.

pub(crate) mod output;
pub(crate) mod pool;
pub(crate) mod preamble;
pub(crate) mod reader;
pub(crate) mod writer;

use aws_lc_rs::aead::Nonce;

/// Bytes of a chain value.
pub(crate) const CHAIN_BYTES: usize = 32;
/// Bytes of the first word of a frame's header, which is never zero.
pub(crate) const WORD_BYTES: usize = 4;
/// Bytes of a frame's header.
pub(crate) const HEADER_BYTES: usize = 16;
/// What comes before the plaintext in a buffer: the chain value so far, and the frame's header. Exactly these
/// bytes are the frame's associated data.
pub(crate) const PREFIX_BYTES: usize = CHAIN_BYTES + HEADER_BYTES;
/// Bytes of the authentication tag at a frame's end.
pub(crate) const TAG_BYTES: usize = 16;
/// Most plaintext bytes in one frame.
pub(crate) const MAX_PLAIN_BYTES: usize = (256 << 10) - HEADER_BYTES - TAG_BYTES;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// Who and what the file is about; always the first frame, and only that.
    Header = 1,
    /// Events, or a part of one.
    Events = 2,
    /// The start of a stretch written by another process: a salt from which its key is derived.
    Segment = 3,
    /// The end: what the recording holds, and its index.
    Seal = 4,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Header),
            2 => Some(Self::Events),
            3 => Some(Self::Segment),
            4 => Some(Self::Seal),
            _ => None,
        }
    }
}

/// A frame's header. The length is written twice, once inverted, so that a flipped bit in it is told from a
/// file that ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: FrameKind,
    /// Bytes that follow the header: ciphertext and tag.
    pub(crate) body_len: usize,
    pub(crate) sequence: u64,
}

impl FrameHeader {
    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "at most MAX_PLAIN_BYTES + TAG_BYTES, 24 bits are kept for it"
        )]
        let word = (self.kind as u32) << 24 | self.body_len as u32;
        let mut bytes = [0; HEADER_BYTES];
        for (slot, byte) in bytes.iter_mut().zip(
            word.to_le_bytes()
                .into_iter()
                .chain((!word).to_le_bytes())
                .chain(self.sequence.to_le_bytes()),
        ) {
            *slot = byte;
        }
        bytes
    }

    /// The header that these bytes are once their first word is there, which the second one tells.
    pub(crate) fn without_word(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (_, check) = bytes.split_first_chunk::<WORD_BYTES>()?;
        let mut whole = *bytes;
        for (slot, byte) in whole.iter_mut().zip(check.iter().take(WORD_BYTES)) {
            *slot = !*byte;
        }
        Self::decode(&whole)
    }

    /// `None` if the header contradicts itself.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (word, rest) = bytes.split_first_chunk::<4>()?;
        let (check, rest) = rest.split_first_chunk::<4>()?;
        let (word, check) = (u32::from_le_bytes(*word), u32::from_le_bytes(*check));
        let [kind, ..] = word.to_be_bytes();
        let body_len = usize::try_from(word & 0x00ff_ffff).ok()?;
        if word != !check || !(TAG_BYTES..=MAX_PLAIN_BYTES + TAG_BYTES).contains(&body_len) {
            return None;
        }
        let sequence = u64::from_le_bytes(*rest.first_chunk()?);
        Some(Self {
            kind: FrameKind::from_byte(kind)?,
            body_len,
            sequence,
        })
    }
}

/// A frame's nonce is its number: no key ever seals two frames of one number.
pub(crate) fn nonce(sequence: u64) -> Nonce {
    let mut bytes = [0; 12];
    for (slot, byte) in bytes.iter_mut().zip(sequence.to_le_bytes()) {
        *slot = byte;
    }
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn a_header_reads_back_and_a_flipped_length_does_not() {
        let header = FrameHeader {
            kind: FrameKind::Seal,
            body_len: 70_000,
            sequence: 1 << 40,
        };
        let bytes = header.encode();
        assert_eq!(FrameHeader::decode(&bytes), Some(header));
        for bit in 0..64 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(&flipped), None, "bit {bit}");
        }
    }
}
