//! What is announced, what is asked about it, and what is told of it.

use std::collections::{BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};

use crate::out::{AskId, Content, Direction, Ended, Span};
use crate::path::shown;

/// A file or a directory that is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Which way it goes.
    pub direction: Direction,
    /// The directories, as announced, in which it lies.
    pub inside: Vec<Bytes>,
    /// Its name: not empty, no dots, without a slash.
    pub name: Bytes,
    /// It is a directory.
    pub directory: bool,
    /// Its permissions.
    pub mode: u32,
    /// Its size in bytes.
    pub size: u64,
    /// Times of change and of access in seconds since 1970, if they are to be kept.
    pub times: Option<(u64, u64)>,
}

impl Item {
    /// The paths that it may get under `base`, the argument of `scp -t`: within it if that is a directory; else `base`
    /// itself is made of the first name. `directory` is whether the command says that it is one (`-d`).
    #[must_use]
    pub fn candidates(&self, base: &[u8], directory: bool) -> Vec<Bytes> {
        let names: Vec<&Bytes> = self.inside.iter().chain([&self.name]).collect();
        let join = |names: &[&Bytes]| {
            names.iter().fold(Bytes::copy_from_slice(base), |path, name| {
                crate::path::join(&path, name)
            })
        };
        let mut paths = vec![join(&names)];
        if !directory {
            paths.push(join(names.get(1..).unwrap_or_default()));
        }
        paths
    }

    /// The paths that it may come from, by `paths`, the arguments of `scp -f`: a file is announced by the last part of its
    /// path. What is announced as nothing that was asked for may lie beside any of it: a path may be a pattern.
    #[must_use]
    pub fn origins(&self, paths: &[Bytes]) -> Vec<Bytes> {
        let names: Vec<&Bytes> = self.inside.iter().chain([&self.name]).collect();
        let Some((top, below)) = names.split_first() else {
            return Vec::new();
        };
        let beside = |path: &Bytes| match crate::path::split(path) {
            Some((b".", last)) if !path.starts_with(b".") => (Bytes::copy_from_slice(top), last == top.as_ref()),
            Some((parent, last)) => (crate::path::join(parent, top), last == top.as_ref()),
            None => (crate::path::join(path, top), false),
        };
        let mut found: Vec<(Bytes, bool)> = paths.iter().map(beside).collect();
        if found.iter().any(|(_, named)| *named) {
            found.retain(|(_, named)| *named);
        }
        let paths: BTreeSet<Bytes> = found.into_iter().map(|(path, _)| path).collect();
        let within = |path: Bytes| below.iter().fold(path, |path, name| crate::path::join(&path, name));
        paths.into_iter().map(within).collect()
    }

    pub(super) fn text(&self) -> String {
        let verb = match (self.direction, self.directory) {
            (Direction::Upload, false) => "scp put",
            (Direction::Upload, true) => "scp put directory",
            (Direction::Download, false) => "scp get",
            (Direction::Download, true) => "scp get directory",
        };
        let path = self.inside.iter().chain([&self.name]);
        let path = path.map(Bytes::as_ref).collect::<Vec<_>>().join(b"/".as_slice());
        let mode = self.mode & 0o7777;
        if self.directory {
            return format!("{verb} {} (mode {mode:04o})", shown(&path));
        }
        format!("{verb} {} ({} bytes, mode {mode:04o})", shown(&path), self.size)
    }
}

/// An item that waits for a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScpAsk {
    /// Names it in [`super::Scp::answer`].
    pub id: AskId,
    /// What is announced.
    pub item: Item,
    /// The same as one line: exact, unambiguous, printable.
    pub text: String,
    /// The lines that announce it.
    pub request: Bytes,
}

/// The answer to a [`ScpAsk`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScpVerdict {
    /// It may go.
    Permitted,
    /// It must not.
    Refused {
        /// The rule and its words.
        message: String,
    },
}

/// A file that went through, or was broken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScpTransfer {
    /// The question about it.
    pub ask: AskId,
    /// What was announced.
    pub item: Item,
    /// Bytes that went through.
    pub bytes: u64,
    /// Their SHA-256, if all came.
    pub sha256: Option<[u8; 32]>,
    /// All came, and both ends said that it went well.
    pub complete: bool,
}

/// Effects of one call. The caller takes them out; the machine only adds.
#[derive(Debug, Default)]
pub struct ScpOut {
    /// For the client.
    pub to_client: BytesMut,
    /// For the target.
    pub to_target: BytesMut,
    /// What the bytes in `to_target` are, in order; the lengths add up to it.
    pub spans: Vec<Span>,
    /// Questions.
    pub asks: VecDeque<ScpAsk>,
    /// What goes through files, if it is asked for: all that is in `to_target`, and all that is in `to_client`.
    pub contents: Vec<Content>,
    /// Files that went through.
    pub done: Vec<ScpTransfer>,
    /// Items that are over: what `done` tells of them comes with it. Directories are over when they are left.
    pub ended: Vec<Ended>,
}
