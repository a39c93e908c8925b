//! The packets of version 3 (draft §3 to §8) and of OpenSSH's extensions (its `PROTOCOL`, section 4).

mod attrs;
mod cursor;
mod encode;
mod extension;
mod frame;
mod reply;
mod request;

pub(crate) use cursor::Cursor;
pub(crate) use encode::{again, init, packet, put_attrs, put_string, question, status};
pub(crate) use extension::{Extension, Extensions};
pub(crate) use frame::{Frame, next_frame};
pub(crate) use reply::{Body, Expect, Reply, version};
pub(crate) use request::{Request, Verb};

/// Packet types (draft §3).
pub(crate) mod kind {
    pub(crate) const INIT: u8 = 1;
    pub(crate) const VERSION: u8 = 2;
    pub(crate) const OPEN: u8 = 3;
    pub(crate) const CLOSE: u8 = 4;
    pub(crate) const READ: u8 = 5;
    pub(crate) const WRITE: u8 = 6;
    pub(crate) const LSTAT: u8 = 7;
    pub(crate) const FSTAT: u8 = 8;
    pub(crate) const SETSTAT: u8 = 9;
    pub(crate) const FSETSTAT: u8 = 10;
    pub(crate) const OPENDIR: u8 = 11;
    pub(crate) const READDIR: u8 = 12;
    pub(crate) const REMOVE: u8 = 13;
    pub(crate) const MKDIR: u8 = 14;
    pub(crate) const RMDIR: u8 = 15;
    pub(crate) const REALPATH: u8 = 16;
    pub(crate) const STAT: u8 = 17;
    pub(crate) const RENAME: u8 = 18;
    pub(crate) const READLINK: u8 = 19;
    pub(crate) const SYMLINK: u8 = 20;
    pub(crate) const STATUS: u8 = 101;
    pub(crate) const HANDLE: u8 = 102;
    pub(crate) const DATA: u8 = 103;
    pub(crate) const NAME: u8 = 104;
    pub(crate) const ATTRS: u8 = 105;
    pub(crate) const EXTENDED: u8 = 200;
    pub(crate) const EXTENDED_REPLY: u8 = 201;
}

/// Status codes (draft §7).
pub(crate) mod code {
    pub(crate) const OK: u32 = 0;
    pub(crate) const EOF: u32 = 1;
    pub(crate) const NO_SUCH_FILE: u32 = 2;
    pub(crate) const PERMISSION_DENIED: u32 = 3;
    pub(crate) const FAILURE: u32 = 4;
    pub(crate) const BAD_MESSAGE: u32 = 5;
    pub(crate) const OP_UNSUPPORTED: u32 = 8;
}

/// How a file is opened (draft §6.3).
pub(crate) mod open {
    pub(crate) const READ: u32 = 0x01;
    pub(crate) const WRITE: u32 = 0x02;
    pub(crate) const APPEND: u32 = 0x04;
    pub(crate) const CREATE: u32 = 0x08;
    pub(crate) const TRUNCATE: u32 = 0x10;
    pub(crate) const EXCLUSIVE: u32 = 0x20;
    pub(crate) const ALL: u32 = 0x3f;
}

/// The version that is spoken.
pub(crate) const VERSION: u32 = 3;
