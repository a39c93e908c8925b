//! What a client asks for (draft §6 and §8).

use super::cursor::{Cursor, Malformed};
use super::extension::Extension;
use super::frame::Frame;
use super::kind;
use crate::act::Attributes;

/// What a request that waits for a verdict of its own does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Open {
        flags: u32,
        attributes: Attributes,
    },
    OpenDir,
    Stat,
    LinkStat,
    SetStat(Attributes),
    LinkSetStat(Attributes),
    Remove,
    MakeDir(Attributes),
    RemoveDir,
    RealPath,
    ExpandPath,
    ReadLink,
    Rename,
    PosixRename,
    /// The first path is the link, the second what it holds.
    Symlink,
    /// The first path is the file, the second its new name.
    Hardlink,
    FileSystem,
    Home,
    Names,
}

/// One request, without its id.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Request<'a> {
    Path {
        verb: Verb,
        first: &'a [u8],
        second: Option<&'a [u8]>,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        len: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        data: &'a [u8],
    },
    FStat {
        handle: &'a [u8],
    },
    FSetStat {
        handle: &'a [u8],
        attributes: Attributes,
    },
    ReadDir {
        handle: &'a [u8],
    },
    FStatVfs {
        handle: &'a [u8],
    },
    FSync {
        handle: &'a [u8],
    },
    Copy {
        from: &'a [u8],
        offset: u64,
        len: u64,
        to: &'a [u8],
        at: u64,
    },
    Limits,
    /// An extension that is not understood.
    Unknown {
        name: &'a [u8],
    },
}

impl<'a> Request<'a> {
    /// Takes a packet apart, to its last byte.
    pub(crate) fn parse(frame: &Frame<'a>) -> Result<Self, &'static str> {
        let wrong = |_: Malformed| "a request's fields do not fit its length";
        let (_, body) = frame.id().map_err(wrong)?;
        let mut cursor = Cursor::new(body);
        let request = match frame.kind {
            kind::READ | kind::WRITE | kind::CLOSE | kind::FSTAT | kind::FSETSTAT | kind::READDIR => {
                on_handle(frame.kind, &mut cursor)
            }
            kind::OPEN..=kind::SYMLINK => on_path(frame.kind, &mut cursor),
            kind::EXTENDED => match extended(&mut cursor) {
                Ok(Self::Unknown { name }) => return Ok(Self::Unknown { name }),
                known => known,
            },
            _ => return Err("a request of an unknown type"),
        };
        let request = request.map_err(wrong)?;
        cursor.end().map_err(wrong)?;
        Ok(request)
    }
}

fn on_handle<'a>(kind: u8, cursor: &mut Cursor<'a>) -> Result<Request<'a>, Malformed> {
    let handle = cursor.string()?;
    Ok(match kind {
        kind::READ => Request::Read {
            handle,
            offset: cursor.u64()?,
            len: cursor.u32()?,
        },
        kind::WRITE => Request::Write {
            handle,
            offset: cursor.u64()?,
            data: cursor.string()?,
        },
        kind::CLOSE => Request::Close { handle },
        kind::FSTAT => Request::FStat { handle },
        kind::FSETSTAT => Request::FSetStat {
            handle,
            attributes: Attributes::of_request(cursor)?,
        },
        kind::READDIR => Request::ReadDir { handle },
        _ => return Err(Malformed),
    })
}

fn on_path<'a>(kind: u8, cursor: &mut Cursor<'a>) -> Result<Request<'a>, Malformed> {
    let first = cursor.string()?;
    if kind == kind::SYMLINK {
        // OpenSSH has the two the other way round than the draft has (its `PROTOCOL`, 4.1).
        return Ok(Request::Path {
            verb: Verb::Symlink,
            first: cursor.string()?,
            second: Some(first),
        });
    }
    let mut second = None;
    let verb = match kind {
        kind::OPEN => Verb::Open {
            flags: cursor.u32()?,
            attributes: Attributes::of_request(cursor)?,
        },
        kind::OPENDIR => Verb::OpenDir,
        kind::STAT => Verb::Stat,
        kind::LSTAT => Verb::LinkStat,
        kind::SETSTAT => Verb::SetStat(Attributes::of_request(cursor)?),
        kind::REMOVE => Verb::Remove,
        kind::MKDIR => Verb::MakeDir(Attributes::of_request(cursor)?),
        kind::RMDIR => Verb::RemoveDir,
        kind::REALPATH => Verb::RealPath,
        kind::READLINK => Verb::ReadLink,
        kind::RENAME => {
            second = Some(cursor.string()?);
            Verb::Rename
        }
        _ => return Err(Malformed),
    };
    Ok(Request::Path { verb, first, second })
}

fn extended<'a>(cursor: &mut Cursor<'a>) -> Result<Request<'a>, Malformed> {
    let name = cursor.string()?;
    let Some(extension) = Extension::named(name) else {
        return Ok(Request::Unknown { name });
    };
    let path = |verb, first, second| Ok(Request::Path { verb, first, second });
    match extension {
        Extension::PosixRename => path(Verb::PosixRename, cursor.string()?, Some(cursor.string()?)),
        Extension::Hardlink => path(Verb::Hardlink, cursor.string()?, Some(cursor.string()?)),
        Extension::StatVfs => path(Verb::FileSystem, cursor.string()?, None),
        Extension::ExpandPath => path(Verb::ExpandPath, cursor.string()?, None),
        Extension::HomeDirectory => path(Verb::Home, cursor.string()?, None),
        Extension::UsersGroupsById => path(Verb::Names, cursor.string()?, Some(cursor.string()?)),
        Extension::LSetStat => {
            let first = cursor.string()?;
            path(Verb::LinkSetStat(Attributes::of_request(cursor)?), first, None)
        }
        Extension::FStatVfs => Ok(Request::FStatVfs {
            handle: cursor.string()?,
        }),
        Extension::FSync => Ok(Request::FSync {
            handle: cursor.string()?,
        }),
        Extension::Limits => Ok(Request::Limits),
        Extension::CopyData => Ok(Request::Copy {
            from: cursor.string()?,
            offset: cursor.u64()?,
            len: cursor.u64()?,
            to: cursor.string()?,
            at: cursor.u64()?,
        }),
    }
}
