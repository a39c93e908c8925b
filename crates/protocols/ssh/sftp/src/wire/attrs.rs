//! Attributes of files (draft §5).

use super::cursor::{Cursor, Malformed};
use crate::act::Attributes;

pub(super) const SIZE: u32 = 0x01;
pub(super) const OWNER: u32 = 0x02;
pub(super) const MODE: u32 = 0x04;
pub(super) const TIMES: u32 = 0x08;
const EXTENDED: u32 = 0x8000_0000;

/// What `st_mode` says of the type.
const TYPE: u32 = 0o170_000;
const LINK: u32 = 0o120_000;

impl Attributes {
    /// Those of a request: extended ones, whose meaning nobody knows, are not taken.
    pub(crate) fn of_request(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let flags = cursor.u32()?;
        if flags & !(SIZE | OWNER | MODE | TIMES) != 0 {
            return Err(Malformed);
        }
        Self::fields(flags, cursor)
    }

    /// Those of a reply, in which extended ones are skipped.
    pub(crate) fn of_reply(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let flags = cursor.u32()?;
        if flags & !(SIZE | OWNER | MODE | TIMES | EXTENDED) != 0 {
            return Err(Malformed);
        }
        let attributes = Self::fields(flags, cursor)?;
        if flags & EXTENDED != 0 {
            for _ in 0..cursor.u32()? {
                cursor.string()?;
                cursor.string()?;
            }
        }
        Ok(attributes)
    }

    fn fields(flags: u32, cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let mut attributes = Self::default();
        if flags & SIZE != 0 {
            attributes.size = Some(cursor.u64()?);
        }
        if flags & OWNER != 0 {
            attributes.owner = Some((cursor.u32()?, cursor.u32()?));
        }
        if flags & MODE != 0 {
            attributes.mode = Some(cursor.u32()?);
        }
        if flags & TIMES != 0 {
            attributes.times = Some((cursor.u32()?, cursor.u32()?));
        }
        Ok(attributes)
    }

    /// Whether they say that it is a symbolic link. `None` if they do not say what it is.
    pub(crate) fn is_link(&self) -> Option<bool> {
        self.mode
            .filter(|mode| mode & TYPE != 0)
            .map(|mode| mode & TYPE == LINK)
    }
}
