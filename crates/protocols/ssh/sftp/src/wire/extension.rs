//! The extensions that are understood (OpenSSH's `PROTOCOL`, 4.3 to 4.12).

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extension {
    PosixRename,
    StatVfs,
    FStatVfs,
    Hardlink,
    FSync,
    LSetStat,
    Limits,
    ExpandPath,
    CopyData,
    HomeDirectory,
    UsersGroupsById,
}

impl Extension {
    const ALL: [(Self, &'static [u8], &'static [u8]); 11] = [
        (Self::PosixRename, b"posix-rename@openssh.com", b"1"),
        (Self::StatVfs, b"statvfs@openssh.com", b"2"),
        (Self::FStatVfs, b"fstatvfs@openssh.com", b"2"),
        (Self::Hardlink, b"hardlink@openssh.com", b"1"),
        (Self::FSync, b"fsync@openssh.com", b"1"),
        (Self::LSetStat, b"lsetstat@openssh.com", b"1"),
        (Self::Limits, b"limits@openssh.com", b"1"),
        (Self::ExpandPath, b"expand-path@openssh.com", b"1"),
        (Self::CopyData, b"copy-data", b"1"),
        (Self::HomeDirectory, b"home-directory", b"1"),
        (Self::UsersGroupsById, b"users-groups-by-id@openssh.com", b"1"),
    ];

    /// The one of that name.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known, _)| *known == name)
            .map(|(extension, _, _)| *extension)
    }

    /// The one of that name in the version that is understood.
    pub(crate) fn announced(name: &[u8], version: &[u8]) -> Option<Self> {
        let known = |entry: &&(Self, &[u8], &[u8])| entry.1 == name && entry.2 == version;
        Self::ALL.iter().find(known).map(|(extension, _, _)| *extension)
    }

    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static [u8] {
        Self::ALL
            .iter()
            .find(|(extension, _, _)| *extension == self)
            .map_or(b"", |(_, name, _)| *name)
    }
}

/// Those that the target announced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Extensions(u16);

impl Extensions {
    pub(crate) fn insert(&mut self, extension: Extension) {
        self.0 |= 1 << extension as u16;
    }

    pub(crate) fn has(self, extension: Extension) -> bool {
        self.0 & 1 << extension as u16 != 0
    }
}
