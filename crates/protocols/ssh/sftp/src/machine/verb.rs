//! What each request with a verdict of its own is on the wire, and what it does to names.

use bytes::{Bytes, BytesMut};

use crate::act::{Attributes, Place};
use crate::path;
use crate::resolve::Follow;
use crate::wire::{Expect, Extension, Verb, code, kind, open, packet, put_attrs, put_string};

/// Creates, and fails if there is something.
const NEW: u32 = open::CREATE | open::EXCLUSIVE;

impl Verb {
    /// Whether it changes what names mean.
    pub(super) const fn renames(self) -> bool {
        match self {
            Self::Remove
            | Self::MakeDir(_)
            | Self::RemoveDir
            | Self::Rename
            | Self::PosixRename
            | Self::Symlink
            | Self::Hardlink => true,
            Self::Open { .. }
            | Self::OpenDir
            | Self::Stat
            | Self::LinkStat
            | Self::SetStat(_)
            | Self::LinkSetStat(_)
            | Self::RealPath
            | Self::ExpandPath
            | Self::ReadLink
            | Self::FileSystem
            | Self::Home
            | Self::Names => false,
        }
    }

    /// Whether a file that is opened so can be read. A server takes no flag at all for reading.
    pub(super) const fn reads(flags: u32) -> bool {
        flags & open::READ != 0 || flags & (open::WRITE | open::APPEND) == 0
    }

    /// How the two strings are resolved; `None` if they are no paths.
    pub(super) const fn follows(self) -> (Option<Follow>, Option<Follow>) {
        match self {
            Self::Open { flags, .. } => {
                let new = (flags & NEW) == NEW;
                (Some(if new { Follow::NewName } else { Follow::Whole }), None)
            }
            Self::OpenDir | Self::Stat | Self::SetStat(_) | Self::RealPath | Self::FileSystem => {
                (Some(Follow::Whole), None)
            }
            Self::ExpandPath => (Some(Follow::Expanded), None),
            Self::LinkStat | Self::LinkSetStat(_) | Self::ReadLink => (Some(Follow::Link), None),
            Self::Remove | Self::MakeDir(_) | Self::RemoveDir | Self::Symlink => (Some(Follow::Name), None),
            Self::Rename | Self::PosixRename => (Some(Follow::Name), Some(Follow::Name)),
            Self::Hardlink => (Some(Follow::Whole), Some(Follow::Name)),
            Self::Home | Self::Names => (None, None),
        }
    }

    /// Its name in the record of a refusal.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::OpenDir => "ls",
            Self::Stat => "stat",
            Self::LinkStat => "lstat",
            Self::SetStat(_) => "setstat",
            Self::LinkSetStat(_) => "lsetstat",
            Self::Remove => "rm",
            Self::MakeDir(_) => "mkdir",
            Self::RemoveDir => "rmdir",
            Self::RealPath | Self::ExpandPath => "realpath",
            Self::ReadLink => "readlink",
            Self::Rename => "rename",
            Self::PosixRename => "replace",
            Self::Symlink => "symlink",
            Self::Hardlink => "hardlink",
            Self::FileSystem => "statvfs",
            Self::Home => "home",
            Self::Names => "names",
        }
    }

    /// The path that is forwarded. A slash at the end says that only a directory will do, and is kept.
    pub(super) fn slashed(self, place: &Place) -> Bytes {
        let directory = place.written.ends_with(b"/") || place.written.ends_with(b"/.");
        match self.follows().0 {
            Some(Follow::Whole | Follow::Link) if directory && place.path.len() > 1 => path::join(&place.path, b""),
            _ => place.path.clone(),
        }
    }

    /// The extension that carries it.
    pub(super) const fn extension(self) -> Option<Extension> {
        match self {
            Self::LinkSetStat(_) => Some(Extension::LSetStat),
            Self::ExpandPath => Some(Extension::ExpandPath),
            Self::PosixRename => Some(Extension::PosixRename),
            Self::Hardlink => Some(Extension::Hardlink),
            Self::FileSystem => Some(Extension::StatVfs),
            Self::Home => Some(Extension::HomeDirectory),
            Self::Names => Some(Extension::UsersGroupsById),
            Self::Open { .. }
            | Self::OpenDir
            | Self::Stat
            | Self::LinkStat
            | Self::SetStat(_)
            | Self::Remove
            | Self::MakeDir(_)
            | Self::RemoveDir
            | Self::RealPath
            | Self::ReadLink
            | Self::Rename
            | Self::Symlink => None,
        }
    }

    /// What the target may answer.
    pub(super) const fn expect(self) -> Expect {
        match self {
            Self::Open { .. } | Self::OpenDir => Expect::Handle,
            Self::Stat | Self::LinkStat => Expect::Attributes,
            Self::RealPath | Self::ExpandPath | Self::ReadLink | Self::Home => Expect::OneName,
            Self::FileSystem => Expect::FileSystem,
            Self::Names => Expect::UsersGroups,
            Self::SetStat(_)
            | Self::LinkSetStat(_)
            | Self::Remove
            | Self::MakeDir(_)
            | Self::RemoveDir
            | Self::Rename
            | Self::PosixRename
            | Self::Symlink
            | Self::Hardlink => Expect::Status,
        }
    }

    const fn kind(self) -> u8 {
        match self {
            Self::Open { .. } => kind::OPEN,
            Self::OpenDir => kind::OPENDIR,
            Self::Stat => kind::STAT,
            Self::LinkStat => kind::LSTAT,
            Self::SetStat(_) => kind::SETSTAT,
            Self::Remove => kind::REMOVE,
            Self::MakeDir(_) => kind::MKDIR,
            Self::RemoveDir => kind::RMDIR,
            Self::RealPath => kind::REALPATH,
            Self::ReadLink => kind::READLINK,
            Self::Rename => kind::RENAME,
            Self::Symlink => kind::SYMLINK,
            Self::LinkSetStat(_)
            | Self::ExpandPath
            | Self::PosixRename
            | Self::Hardlink
            | Self::FileSystem
            | Self::Home
            | Self::Names => kind::EXTENDED,
        }
    }

    /// Of the attributes of something that is created only the permissions count; nothing else is forwarded.
    pub(super) fn encode(self, to: &mut BytesMut, id: u32, first: &[u8], second: &[u8]) -> usize {
        packet(to, self.kind(), id, |to| {
            if let Some(extension) = self.extension() {
                put_string(to, extension.name());
            }
            match self {
                Self::Symlink => {
                    put_string(to, second);
                    put_string(to, first);
                }
                Self::Rename | Self::PosixRename | Self::Hardlink | Self::Names => {
                    put_string(to, first);
                    put_string(to, second);
                }
                Self::Open { flags, attributes } => {
                    put_string(to, first);
                    to.extend_from_slice(&flags.to_be_bytes());
                    put_attrs(
                        to,
                        &Attributes {
                            mode: attributes.mode,
                            ..Attributes::default()
                        },
                    );
                }
                Self::MakeDir(attributes) => {
                    put_string(to, first);
                    put_attrs(
                        to,
                        &Attributes {
                            mode: attributes.mode,
                            ..Attributes::default()
                        },
                    );
                }
                Self::SetStat(attributes) | Self::LinkSetStat(attributes) => {
                    put_string(to, first);
                    put_attrs(to, &attributes);
                }
                Self::OpenDir
                | Self::Stat
                | Self::LinkStat
                | Self::Remove
                | Self::RemoveDir
                | Self::RealPath
                | Self::ExpandPath
                | Self::ReadLink
                | Self::FileSystem
                | Self::Home => put_string(to, first),
            }
        })
    }

    /// Why the strings of a request cannot be paths of it, with the status that says so.
    pub(super) fn objection(self, first: &[u8], second: Option<&[u8]>) -> Option<(u32, &'static str)> {
        if let Self::Open { flags, .. } = self
            && flags & !open::ALL != 0
        {
            return Some((code::OP_UNSUPPORTED, "unknown flags"));
        }
        let texts = [Some(first), second].into_iter().flatten();
        texts
            .map(|text| self.objection_to(text))
            .find(Option::is_some)
            .flatten()
    }

    fn objection_to(self, text: &[u8]) -> Option<(u32, &'static str)> {
        let may_be_empty = matches!(self, Self::Home | Self::RealPath | Self::ExpandPath);
        if text.len() > path::LONGEST {
            return Some((code::BAD_MESSAGE, "it is too long"));
        }
        if self == Self::Names {
            return (!text.len().is_multiple_of(4)).then_some((code::BAD_MESSAGE, "not a list of numbers"));
        }
        if text.contains(&0) {
            return Some((code::BAD_MESSAGE, "the path has a zero byte"));
        }
        (text.is_empty() && !may_be_empty).then_some((code::NO_SUCH_FILE, "the path is empty"))
    }
}
