//! What the machine gives: bytes for either side, questions, and what was transferred.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::act::{FileAct, Place};

/// Names one question until the channel ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// A request that waits for a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Names it in [`crate::Sftp::answer`].
    pub id: AskId,
    /// What it would do.
    pub act: FileAct,
    /// The same as one line: exact, unambiguous, printable.
    pub text: String,
    /// The size in bytes of the file that it opens, if that is asked for ([`crate::Sftp::measure`]): as it will be opened, so
    /// nothing for one that is made anew. The greatest number if the target does not say it.
    pub size: Option<u64>,
    /// The packet that the target would get (type and body, without the length), so that the same request has the same
    /// bytes each time it is made: its id is zero, and for a handle stands the path that was opened.
    pub request: Bytes,
}

/// The answer to an [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may run.
    Permitted {
        /// How large the file that it opens may be, or become: nothing beyond is read or written through the handle.
        max_size: Option<u64>,
        /// The verdict took time: the target is asked again where the paths lead, and if that has changed, the request
        /// is refused.
        again: bool,
    },
    /// It must not run.
    Refused {
        /// The rule and its words, for the client.
        message: String,
    },
}

/// Why bytes go to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The handshake, what the target can do (`INIT`, `limits@openssh.com`), and answers that carry nothing.
    Greeting,
    /// The machine's own questions of where a path leads (`REALPATH`, `LSTAT`).
    Resolving,
    /// A request that was permitted, or one on a handle that it gave.
    Asked(AskId),
}

/// A stretch of [`Out::to_target`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Why it goes there.
    pub cause: Cause,
    /// Its length in bytes; always whole packets.
    pub len: usize,
}

/// A request that the machine itself refused, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The request as one line.
    pub text: String,
    /// Why.
    pub why: &'static str,
}

/// Which way a file went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the target to the client.
    Download,
    /// From the client to the target.
    Upload,
}

/// What went through a handle, told when it is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The question that opened it.
    pub ask: AskId,
    /// The file.
    pub at: Place,
    /// Which way.
    pub direction: Direction,
    /// Bytes that the target gave, or took.
    pub bytes: u64,
    /// The stretches of the file, in order; at most 16, then the nearest ones are told as one. Of a file that was opened to
    /// append, they are counted from where it ended.
    pub ranges: Vec<Range<u64>>,
    /// SHA-256 of the one stretch, if it went through whole, each byte once. `None` if it did not, or if a write failed.
    pub sha256: Option<[u8; 32]>,
    /// Whether it was one stretch, each byte once.
    pub sequential: bool,
    /// Download: the file from its beginning to its end. Upload: every write and the closing succeeded.
    pub complete: bool,
}

/// How a permitted request came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The target did it.
    Completed,
    /// The target said that it failed, or it never got it.
    Failed,
    /// The channel ended before the target said.
    Unknown,
}

/// A request that was permitted is over: of one that opens a file when it failed or what it opened is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its question. Nothing more is told of it.
    pub ask: AskId,
    /// How it came out.
    pub outcome: Outcome,
}

/// Bytes of a file that go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The question that opened the file.
    pub ask: AskId,
    /// Which way.
    pub direction: Direction,
    /// Where in the file they are. Of a file that was opened to append, counted from where it ended.
    pub offset: u64,
    /// The bytes.
    pub bytes: Bytes,
}

/// Effects of one call. The caller takes them out; the machine only adds.
#[derive(Debug, Default)]
pub struct Out {
    /// For the client.
    pub to_client: BytesMut,
    /// For the target.
    pub to_target: BytesMut,
    /// What the bytes in `to_target` are, in order; the lengths add up to it.
    pub spans: Vec<Span>,
    /// Questions, in the order of the client's requests where it matters.
    pub asks: VecDeque<Ask>,
    /// What goes through files, if it is asked for: all that is in `to_target`, and all that is in `to_client`.
    pub contents: Vec<Content>,
    /// Files that are closed.
    pub done: Vec<Transfer>,
    /// Requests that are over: what `done` tells of their files comes with it.
    pub ended: Vec<Ended>,
    /// Requests that the machine refused without a question.
    pub refused: Vec<Refused>,
}

impl Out {
    /// Notes that `len` bytes were added to `to_target`.
    pub(crate) fn caused(&mut self, cause: Cause, len: usize) {
        add_span(&mut self.spans, cause, len);
    }
}

/// Lengthens the last span, or begins another.
pub(crate) fn add_span(spans: &mut Vec<Span>, cause: Cause, len: usize) {
    match spans.last_mut() {
        Some(span) if span.cause == cause => span.len += len,
        Some(_) | None => spans.push(Span { cause, len }),
    }
}
