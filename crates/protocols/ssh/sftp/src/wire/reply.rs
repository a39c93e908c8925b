//! What a target answers (draft §7, §8), checked against what was asked.

use super::cursor::{Cursor, Malformed};
use super::extension::{Extension, Extensions};
use super::frame::Frame;
use super::{kind, put_string};
use crate::act::Attributes;
use bytes::BytesMut;

/// What a request may be answered with, beside a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Nothing else.
    Status,
    Handle,
    /// At most so many bytes.
    Data(u32),
    /// One name.
    OneName,
    Names,
    Attributes,
    /// Eleven numbers.
    FileSystem,
    /// Four numbers.
    Limits,
    /// Two lists.
    UsersGroups,
}

/// A reply's content.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Body<'a> {
    Status {
        code: u32,
        message: &'a [u8],
    },
    Handle,
    Data(&'a [u8]),
    /// The first name of a list.
    Names(&'a [u8]),
    Attributes(Attributes),
    Limits([u64; 4]),
    Other,
}

/// A reply of the right kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reply<'a> {
    pub(crate) body: Body<'a>,
    /// The packet without length and id: type, and what follows the id.
    pub(crate) kind: u8,
    pub(crate) rest: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Takes a reply apart, to its last byte, and holds it against what was asked.
    pub(crate) fn parse(frame: &Frame<'a>, expect: Expect) -> Result<Self, &'static str> {
        let wrong = |_: Malformed| "a reply's fields do not fit its length";
        let (_, rest) = frame.id().map_err(wrong)?;
        let mut cursor = Cursor::new(rest);
        let body = match (frame.kind, expect) {
            (kind::STATUS, _) => status(&mut cursor),
            (kind::HANDLE, Expect::Handle) => handle(&mut cursor),
            (kind::DATA, Expect::Data(most)) => data(&mut cursor, most),
            (kind::NAME, Expect::OneName) => names(&mut cursor, true),
            (kind::NAME, Expect::Names) => names(&mut cursor, false),
            (kind::ATTRS, Expect::Attributes) => Attributes::of_reply(&mut cursor).map(Body::Attributes),
            (kind::EXTENDED_REPLY, Expect::FileSystem) => numbers(&mut cursor, 11),
            (kind::EXTENDED_REPLY, Expect::Limits) => limits(&mut cursor),
            (kind::EXTENDED_REPLY, Expect::UsersGroups) => users_groups(&mut cursor),
            _ => return Err("a reply of a type that does not answer the request"),
        };
        let body = body.map_err(wrong)?;
        cursor.end().map_err(wrong)?;
        if let Body::Status {
            code: super::code::OK, ..
        } = body
            && expect != Expect::Status
        {
            return Err("a success without what was asked for");
        }
        Ok(Self {
            body,
            kind: frame.kind,
            rest,
        })
    }
}

/// Old servers send the code alone.
fn status<'a>(cursor: &mut Cursor<'a>) -> Result<Body<'a>, Malformed> {
    let code = cursor.u32()?;
    if cursor.is_empty() {
        return Ok(Body::Status { code, message: b"" });
    }
    let message = cursor.string()?;
    cursor.string()?;
    Ok(Body::Status { code, message })
}

fn handle<'a>(cursor: &mut Cursor<'a>) -> Result<Body<'a>, Malformed> {
    let handle = cursor.string()?;
    if handle.is_empty() || handle.len() > 256 {
        Err(Malformed)
    } else {
        Ok(Body::Handle)
    }
}

fn data<'a>(cursor: &mut Cursor<'a>, most: u32) -> Result<Body<'a>, Malformed> {
    let data = cursor.string()?;
    if u32::try_from(data.len()).is_ok_and(|len| len <= most) {
        Ok(Body::Data(data))
    } else {
        Err(Malformed)
    }
}

fn names<'a>(cursor: &mut Cursor<'a>, one: bool) -> Result<Body<'a>, Malformed> {
    let count = cursor.u32()?;
    if one && count != 1 {
        return Err(Malformed);
    }
    let mut first = b"".as_slice();
    for nth in 0..count {
        let name = cursor.string()?;
        cursor.string()?;
        Attributes::of_reply(cursor)?;
        if nth == 0 {
            first = name;
        }
    }
    Ok(Body::Names(first))
}

fn numbers<'a>(cursor: &mut Cursor<'a>, count: usize) -> Result<Body<'a>, Malformed> {
    for _ in 0..count {
        cursor.u64()?;
    }
    Ok(Body::Other)
}

fn limits<'a>(cursor: &mut Cursor<'a>) -> Result<Body<'a>, Malformed> {
    Ok(Body::Limits([
        cursor.u64()?,
        cursor.u64()?,
        cursor.u64()?,
        cursor.u64()?,
    ]))
}

fn users_groups<'a>(cursor: &mut Cursor<'a>) -> Result<Body<'a>, Malformed> {
    for _ in 0..2 {
        let mut list = Cursor::new(cursor.string()?);
        while !list.is_empty() {
            list.string()?;
        }
    }
    Ok(Body::Other)
}

/// What the target can do, and the list of extensions that the client may hear of.
pub(crate) fn version(frame: &Frame<'_>) -> Result<(Extensions, BytesMut), &'static str> {
    let wrong = |_: Malformed| "a reply's fields do not fit its length";
    let mut cursor = Cursor::new(frame.body);
    if cursor.u32().map_err(wrong)? != super::VERSION {
        return Err("it speaks another version than 3");
    }
    let (mut known, mut list) = (Extensions::default(), BytesMut::new());
    while !cursor.is_empty() {
        let (name, version) = (cursor.string().map_err(wrong)?, cursor.string().map_err(wrong)?);
        if let Some(extension) = Extension::announced(name, version)
            && !known.has(extension)
        {
            known.insert(extension);
            put_string(&mut list, name);
            put_string(&mut list, version);
        }
    }
    Ok((known, list))
}
