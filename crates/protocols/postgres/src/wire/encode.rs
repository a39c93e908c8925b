//! Writing messages: a tag, a length that is filled in afterwards, a body.

use std::ops::DerefMut;

use bytes::BufMut;

/// A growing buffer that messages are written to: `Vec<u8>` or `BytesMut`.
pub trait Sink: BufMut + DerefMut<Target = [u8]> {
    /// Appends `text` and a terminator. Zero bytes inside are left out: they would end it early.
    fn put_cstr(&mut self, text: &[u8]) {
        if memchr::memchr(0, text).is_some() {
            for part in text.split(|byte| *byte == 0) {
                self.put_slice(part);
            }
        } else {
            self.put_slice(text);
        }
        self.put_u8(0);
    }

    /// Appends a value with its length in front, NULL as length -1.
    fn put_value(&mut self, value: Option<&[u8]>) {
        match value {
            Some(bytes) => {
                self.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
                self.put_slice(bytes);
            }
            None => self.put_i32(-1),
        }
    }

    /// Appends how many things follow, as the unsigned 16 bits that the protocol has for it.
    fn put_count(&mut self, count: usize) {
        self.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
    }
}

impl<T: BufMut + DerefMut<Target = [u8]>> Sink for T {}

/// Appends one message: the tag, the length, and what `body` writes.
pub fn message<S: Sink>(out: &mut S, tag: u8, body: impl FnOnce(&mut S)) {
    out.put_u8(tag);
    untagged(out, body);
}

/// Appends a length and what `body` writes: the form of the packets before the startup.
pub(crate) fn untagged<S: Sink>(out: &mut S, body: impl FnOnce(&mut S)) {
    let start = out.len();
    out.put_u32(0);
    body(out);
    let len = u32::try_from(out.len().saturating_sub(start)).unwrap_or(u32::MAX);
    if let Some(slot) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<4>) {
        *slot = len.to_be_bytes();
    }
}
