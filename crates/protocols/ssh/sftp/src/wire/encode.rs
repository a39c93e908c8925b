//! Writing packets.

use bytes::{BufMut, BytesMut};

use super::{attrs, kind};
use crate::act::Attributes;

/// Appends a packet of `kind` for `id` with what `body` writes. Gives its whole length.
pub(crate) fn packet(to: &mut BytesMut, kind: u8, id: u32, body: impl FnOnce(&mut BytesMut)) -> usize {
    let start = to.len();
    to.put_u32(0);
    to.put_u8(kind);
    to.put_u32(id);
    body(to);
    let whole = to.len() - start;
    let len = u32::try_from(whole - 4).unwrap_or(u32::MAX);
    if let Some(field) = to.get_mut(start..start + 4) {
        field.copy_from_slice(&len.to_be_bytes());
    }
    whole
}

/// A length and the bytes.
pub(crate) fn put_string(to: &mut BytesMut, string: &[u8]) {
    to.put_u32(u32::try_from(string.len()).unwrap_or(u32::MAX));
    to.put_slice(string);
}

/// Attributes (draft §5).
pub(crate) fn put_attrs(to: &mut BytesMut, attributes: &Attributes) {
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    to.put_u32(
        flag(attributes.size.is_some(), attrs::SIZE)
            | flag(attributes.owner.is_some(), attrs::OWNER)
            | flag(attributes.mode.is_some(), attrs::MODE)
            | flag(attributes.times.is_some(), attrs::TIMES),
    );
    if let Some(size) = attributes.size {
        to.put_u64(size);
    }
    if let Some((user, group)) = attributes.owner {
        to.put_u32(user);
        to.put_u32(group);
    }
    if let Some(mode) = attributes.mode {
        to.put_u32(mode);
    }
    if let Some((access, change)) = attributes.times {
        to.put_u32(access);
        to.put_u32(change);
    }
}

/// The client's first packet (draft §4), without extensions.
pub(crate) fn init(to: &mut BytesMut) -> usize {
    packet(to, kind::INIT, super::VERSION, |_| {})
}

/// A question about one path.
pub(crate) fn question(to: &mut BytesMut, kind: u8, id: u32, path: &[u8]) -> usize {
    packet(to, kind, id, |to| put_string(to, path))
}

/// The same packet for another id: its type, and what followed the id.
pub(crate) fn again(to: &mut BytesMut, kind: u8, id: u32, rest: &[u8]) -> usize {
    let whole = rest.len() + 9;
    to.reserve(whole);
    to.put_u32(u32::try_from(whole - 4).unwrap_or(u32::MAX));
    to.put_u8(kind);
    to.put_u32(id);
    to.put_slice(rest);
    whole
}

/// A status (draft §7). The message is cut after 1,024 bytes.
pub(crate) fn status(to: &mut BytesMut, id: u32, code: u32, message: &[u8]) {
    let mut end = message.len().min(1024);
    while end > 0 && message.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    packet(to, kind::STATUS, id, |to| {
        to.put_u32(code);
        put_string(to, message.get(..end).unwrap_or_default());
        put_string(to, b"en");
    });
}
