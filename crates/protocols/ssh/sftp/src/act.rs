//! What a request would do, in words that policy can judge.

use bytes::Bytes;

/// A path of a request: as the client wrote it, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Absolute, without `.`, `..`, doubled or trailing slashes. If `resolved`, no part of it is a symbolic link but
    /// for the last where the request is about the link itself. Bytes, not text: nothing says that a path is UTF-8.
    pub path: Bytes,
    /// The path as the client wrote it.
    pub written: Bytes,
    /// Whether the target said where it leads. If not, `path` is what was written, made absolute by its text alone,
    /// and **nothing is forwarded** even if the question is answered with a permission: the client gets the target's own
    /// error. The one exception is the `to` of a symbolic link, which need not exist.
    pub resolved: bool,
}

/// The attributes that a request sets (draft §5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The size in bytes: truncates or extends.
    pub size: Option<u64>,
    /// The numbers of the owner and of the group.
    pub owner: Option<(u32, u32)>,
    /// Permissions and file type as in `st_mode`.
    pub mode: Option<u32>,
    /// Times of access and of change, in seconds since 1970.
    pub times: Option<(u32, u32)>,
}

/// What one request would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileAct {
    /// Opens a file to read it.
    Read {
        /// The file.
        at: Place,
    },
    /// Opens a file in a way that can change it.
    Write {
        /// The file.
        at: Place,
        /// It may be read through the same handle.
        reads: bool,
        /// It is created if it does not exist.
        create: bool,
        /// What it holds is thrown away.
        truncate: bool,
        /// Everything is written to its end.
        append: bool,
        /// It must not exist.
        exclusive: bool,
        /// The permissions of a file that is created.
        mode: Option<u32>,
    },
    /// Lists a directory.
    List {
        /// The directory.
        at: Place,
    },
    /// Attributes of what the path leads to.
    Stat {
        /// The file.
        at: Place,
    },
    /// Attributes of the name itself, which may be a link.
    LinkStat {
        /// The name.
        at: Place,
    },
    /// Sets attributes.
    Attributes {
        /// The file; for an open handle, what it was opened as.
        at: Place,
        /// A link's own attributes are set.
        link: bool,
        /// It is done through an open handle.
        handle: bool,
        /// What is set.
        attributes: Attributes,
    },
    /// Removes a file or a link.
    Remove {
        /// The name.
        at: Place,
    },
    /// Makes a directory.
    MakeDirectory {
        /// The name.
        at: Place,
        /// Its permissions.
        mode: Option<u32>,
    },
    /// Removes an empty directory.
    RemoveDirectory {
        /// The name.
        at: Place,
    },
    /// Gives a file another name.
    Rename {
        /// The name it has.
        from: Place,
        /// The name it gets.
        to: Place,
        /// A file of that name would be replaced (`posix-rename@openssh.com`).
        overwrite: bool,
    },
    /// Makes a symbolic link.
    Symlink {
        /// The link.
        at: Place,
        /// Where it leads. `written` is the text that the link holds; a relative one starts at the link's directory.
        to: Place,
    },
    /// Gives a file a second name.
    Hardlink {
        /// The file. A link is followed.
        existing: Place,
        /// The second name.
        new: Place,
    },
    /// Copies within the target, from one open handle to another (`copy-data`).
    Copy {
        /// What is read.
        from: Place,
        /// What is written.
        to: Place,
        /// Bytes; `None` is all that there is.
        length: Option<u64>,
        /// Where in the first file they begin.
        offset: u64,
        /// Where in the second file they are put.
        at: u64,
    },
    /// Where a link leads.
    ReadLink {
        /// The link.
        at: Place,
    },
    /// The absolute path of a path.
    RealPath {
        /// The path.
        at: Place,
    },
    /// Size and room of a file system (`statvfs@openssh.com`).
    FileSystem {
        /// A file in it.
        at: Place,
    },
    /// The home directory of a user (`home-directory`).
    Home {
        /// The user; empty for oneself.
        user: Bytes,
    },
    /// The names of users and groups (`users-groups-by-id@openssh.com`).
    Names {
        /// The users' numbers.
        users: Vec<u32>,
        /// The groups' numbers.
        groups: Vec<u32>,
    },
}

impl FileAct {
    /// The paths of the act, what is read or removed before what is written.
    #[must_use]
    pub fn places(&self) -> (Option<&Place>, Option<&Place>) {
        match self {
            Self::Read { at }
            | Self::Write { at, .. }
            | Self::List { at }
            | Self::Stat { at }
            | Self::LinkStat { at }
            | Self::Attributes { at, .. }
            | Self::Remove { at }
            | Self::MakeDirectory { at, .. }
            | Self::RemoveDirectory { at }
            | Self::ReadLink { at }
            | Self::RealPath { at }
            | Self::FileSystem { at } => (Some(at), None),
            Self::Rename { from, to, .. } | Self::Copy { from, to, .. } => (Some(from), Some(to)),
            Self::Symlink { at, to } => (Some(at), Some(to)),
            Self::Hardlink { existing, new } => (Some(existing), Some(new)),
            Self::Home { .. } | Self::Names { .. } => (None, None),
        }
    }
}
