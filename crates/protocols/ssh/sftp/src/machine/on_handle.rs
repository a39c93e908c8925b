//! Requests on open handles. They belong to the request that opened the handle and need no verdict of their own, but for
//! the few that do more than it said.

use bytes::Bytes;

use super::flights::Flight;
use super::handles::{Handle, Life};
use super::{Sftp, keep};
use crate::act::{Attributes, FileAct, Place};
use crate::error::SftpError;
use crate::out::{AskId, Cause, Content, Direction, Out};
use crate::path::shown;
use crate::stream::Stream;
use crate::wire::{Expect, Extension, Frame, Request, Verb, again, code, open};

/// Bits of a mode that make a program run as somebody else.
const SPECIAL: u32 = 0o7000;

impl Handle {
    /// One that the target has just given for `verb`.
    pub(super) fn opened(
        name: &[u8],
        ask: AskId,
        at: Place,
        verb: Verb,
        max_size: Option<u64>,
        size: Option<u64>,
    ) -> Self {
        let flags = if let Verb::Open { flags, .. } = verb {
            Some(flags)
        } else {
            None
        };
        let writes = flags.is_some_and(|flags| flags & (open::WRITE | open::APPEND) != 0);
        Self {
            name: name.into(),
            ask,
            at,
            directory: flags.is_none(),
            download: flags.filter(|flags| Verb::reads(*flags)).map(|_| Stream::new()),
            upload: writes.then(Stream::new),
            append: flags.is_some_and(|flags| flags & open::APPEND != 0),
            max_size,
            extent: size.unwrap_or(0),
            given: 0,
            taken: 0,
            exhausted: false,
            write_failed: false,
            cut_short: false,
            ends: None,
            size: None,
            in_flight: 0,
            life: Life::Open,
            blocked: false,
            waiting: std::collections::VecDeque::new(),
        }
    }

    /// Whether attributes may be set without a verdict of their own: on a file that is being written, and nothing that
    /// makes it somebody else's or lets it run as somebody else.
    fn may_set(&self, attributes: &Attributes) -> bool {
        let special = attributes.mode.is_some_and(|mode| mode & SPECIAL != 0);
        self.upload.is_some() && attributes.owner.is_none() && !special
    }

    /// Where so many bytes end that are written at `offset`: in the file, so at its end where all is appended.
    pub(super) fn end_of(&self, offset: u64, len: u64) -> u64 {
        let start = if self.append { self.extent } else { offset };
        start.saturating_add(len)
    }

    fn fits(&self, size: u64) -> bool {
        self.max_size.is_none_or(|most| size <= most)
    }
}

/// What the client is told who goes beyond the size that was permitted.
pub(super) const TOO_LARGE: &str = "the file is larger than is permitted";

/// Why a request on a handle is not forwarded.
struct No(u32, &'static str);

const NO_HANDLE: No = No(code::FAILURE, "the handle is not open");
const NOT_READ: No = No(code::PERMISSION_DENIED, "the file was not opened for reading");
const NOT_WRITTEN: No = No(code::PERMISSION_DENIED, "the file was not opened for writing");
const TOO_MUCH: No = No(code::PERMISSION_DENIED, TOO_LARGE);
const SAME: No = No(code::FAILURE, "a file cannot be copied to itself");
const UNSUPPORTED: No = No(code::OP_UNSUPPORTED, "the target does not know this extension");

/// What becomes of a request on a handle.
enum Next {
    Forward(usize, Flight),
    /// It waits until the question about this handle is answered.
    Wait(usize),
    Ask(Box<FileAct>, usize, Option<usize>),
    No(No),
}

impl Sftp {
    /// A new request, or one that waited.
    pub(super) fn on_handle(
        &mut self,
        id: u32,
        frame: &Frame<'_>,
        request: &Request<'_>,
        out: &mut Out,
    ) -> Result<(), SftpError> {
        match self.judge(request) {
            Next::Forward(number, flight) => {
                if let (Flight::Write { at, .. }, Request::Write { data, .. }) = (flight, request) {
                    self.tell_written(number, at, data, out);
                }
                self.forward(id, number, frame, flight, out)
            }
            Next::Wait(number) => {
                let packet = keep(frame);
                self.waiting += packet.len();
                if let Some(handle) = self.handles.get_mut(number) {
                    handle.waiting.push_back(packet);
                }
                Ok(())
            }
            Next::Ask(act, first, second) => {
                self.ask_on_handle(id, frame, *act, (first, second), out);
                Ok(())
            }
            Next::No(No(code, why)) => {
                self.refuse(id, code, described(request), why, out);
                Ok(())
            }
        }
    }

    fn judge(&mut self, request: &Request<'_>) -> Next {
        match request {
            Request::Read { handle, offset, len } => self.judge_read(handle, *offset, *len),
            Request::Write { handle, offset, data } => self.judge_write(handle, *offset, data),
            Request::FSetStat { handle, attributes } => self.judge_set(handle, attributes),
            Request::Copy { .. } => self.judge_copy(request),
            Request::Close { handle } => self.simple(handle, |number| Flight::Close { handle: number }),
            Request::FStat { handle } => self.simple(handle, |number| Flight::FStat { handle: number }),
            Request::ReadDir { handle } => self.simple(handle, |number| on(number, Expect::Names)),
            Request::FStatVfs { handle } if self.known.has(Extension::FStatVfs) => {
                self.simple(handle, |number| on(number, Expect::FileSystem))
            }
            Request::FSync { handle } if self.known.has(Extension::FSync) => {
                self.simple(handle, |number| on(number, Expect::Status))
            }
            Request::FStatVfs { .. } | Request::FSync { .. } => Next::No(UNSUPPORTED),
            Request::Path { .. } | Request::Limits | Request::Unknown { .. } => Next::No(NO_HANDLE),
        }
    }

    fn simple(&mut self, name: &[u8], flight: impl FnOnce(usize) -> Flight) -> Next {
        match self.found(name) {
            Ok((number, _)) => Next::Forward(number, flight(number)),
            Err(next) => next,
        }
    }

    fn found(&mut self, name: &[u8]) -> Result<(usize, &mut Handle), Next> {
        let number = self.handles.find(name).ok_or(Next::No(NO_HANDLE))?;
        let handle = self.handles.get_mut(number).ok_or(Next::No(NO_HANDLE))?;
        if handle.blocked {
            Err(Next::Wait(number))
        } else {
            Ok((number, handle))
        }
    }

    /// More than fits into a packet is not asked for: a server may always give less.
    fn judge_read(&mut self, name: &[u8], offset: u64, len: u32) -> Next {
        let longest = u32::try_from(self.limits.packet.saturating_sub(1024)).unwrap_or(u32::MAX);
        let (number, handle) = match self.found(name) {
            Ok(found) => found,
            Err(next) => return next,
        };
        let exhausted = handle.exhausted;
        let len = len.min(longest);
        match &mut handle.download {
            None => Next::No(NOT_READ),
            Some(_) if exhausted => Next::No(TOO_MUCH),
            Some(stream) => {
                stream.begins(offset);
                Next::Forward(
                    number,
                    Flight::Read {
                        handle: number,
                        offset,
                        len,
                    },
                )
            }
        }
    }

    /// The digest is of what is given to the target, in the order of the file; if a write fails there is none.
    fn judge_write(&mut self, name: &[u8], offset: u64, data: &[u8]) -> Next {
        let mut room = self.room;
        let (number, handle) = match self.found(name) {
            Ok(found) => found,
            Err(next) => return next,
        };
        let len = data.len() as u64;
        let end = handle.end_of(offset, len);
        if !handle.fits(end) {
            handle.cut_short = handle.upload.is_some();
            return Next::No(if handle.upload.is_some() { TOO_MUCH } else { NOT_WRITTEN });
        }
        let at = if handle.append { handle.given } else { offset };
        let Some(stream) = &mut handle.upload else {
            return Next::No(NOT_WRITTEN);
        };
        stream.take(at, data, &mut room);
        handle.given = handle.given.saturating_add(len);
        self.room = room;
        self.handles.extend(number, len, end);
        // A packet is no longer than its four bytes of length can say.
        Next::Forward(
            number,
            Flight::Write {
                handle: number,
                at,
                len: data.len() as u32,
            },
        )
    }

    /// What the target is about to get of a file.
    fn tell_written(&self, number: usize, offset: u64, data: &[u8], out: &mut Out) {
        if let Some(handle) = self.handles.get(number).filter(|_| self.contents) {
            out.contents.push(Content {
                ask: handle.ask,
                direction: Direction::Upload,
                offset,
                bytes: Bytes::copy_from_slice(data),
            });
        }
    }

    fn judge_set(&mut self, name: &[u8], attributes: &Attributes) -> Next {
        let (number, handle) = match self.found(name) {
            Ok(found) => found,
            Err(next) => return next,
        };
        if attributes.size.is_some_and(|size| !handle.fits(size)) {
            return Next::No(TOO_MUCH);
        }
        if handle.may_set(attributes) {
            self.resized(number, attributes);
            return Next::Forward(number, on(number, Expect::Status));
        }
        let act = FileAct::Attributes {
            at: handle.at.clone(),
            link: false,
            handle: true,
            attributes: *attributes,
        };
        Next::Ask(Box::new(act), number, None)
    }

    /// A size that is not where the writing ended makes another file of it.
    pub(super) fn resized(&mut self, number: usize, attributes: &Attributes) {
        let Some(handle) = self.handles.get_mut(number) else {
            return;
        };
        if let (Some(size), Some(stream)) = (attributes.size, &mut handle.upload)
            && stream.end() != size
        {
            stream.give_up(&mut self.room);
        }
    }

    fn judge_copy(&mut self, request: &Request<'_>) -> Next {
        let Request::Copy {
            from,
            offset,
            len,
            to,
            at,
        } = request
        else {
            return Next::No(NO_HANDLE);
        };
        if !self.known.has(Extension::CopyData) {
            return Next::No(UNSUPPORTED);
        }
        let (source, read) = match self.found(from) {
            Ok((number, handle)) => (number, copy_source(handle, *offset, *len)),
            Err(next) => return next,
        };
        let (target, written) = match self.found(to) {
            Ok((number, handle)) => (number, copy_target(handle, *at, *len)),
            Err(next) => return next,
        };
        if source == target {
            return Next::No(SAME);
        }
        match (read, written) {
            (Err(no), _) | (_, Err(no)) => Next::No(no),
            (Ok(from), Ok(to)) => {
                let length = Some(*len).filter(|len| *len > 0);
                let act = FileAct::Copy {
                    from,
                    to,
                    length,
                    offset: *offset,
                    at: *at,
                };
                Next::Ask(Box::new(act), source, Some(target))
            }
        }
    }

    /// Hands the packet to the target, but for its id as it came.
    fn forward(
        &mut self,
        id: u32,
        number: usize,
        frame: &Frame<'_>,
        flight: Flight,
        out: &mut Out,
    ) -> Result<(), SftpError> {
        let Some(handle) = self.handles.get_mut(number) else {
            return Ok(());
        };
        handle.in_flight += 1;
        if matches!(flight, Flight::Close { .. }) {
            handle.life = Life::Closing;
        }
        let cause = Cause::Asked(handle.ask);
        let rest = frame.body.get(4..).unwrap_or_default();
        self.send(id, flight, cause, out, |to, id| {
            let whole = again(to, frame.kind, id, rest);
            if let Flight::Read { len, .. } = flight {
                to.truncate(to.len() - 4);
                to.extend_from_slice(&len.to_be_bytes());
            }
            whole
        })
    }

    pub(super) fn block(&mut self, number: usize, blocked: bool) {
        if let Some(handle) = self.handles.get_mut(number) {
            handle.blocked = blocked;
        }
    }

    /// What waited for a handle has its turn, until it must wait again.
    pub(super) fn drain(&mut self, number: usize, out: &mut Out) -> Result<(), SftpError> {
        loop {
            let Some(handle) = self.handles.get_mut(number).filter(|handle| !handle.blocked) else {
                return Ok(());
            };
            let Some(packet) = handle.waiting.pop_front() else {
                return Ok(());
            };
            self.waiting = self.waiting.saturating_sub(packet.len());
            let frame = frame_of(&packet)?;
            let request = Request::parse(&frame).map_err(SftpError::client)?;
            let (id, _) = frame.id().map_err(|_| SftpError::client("a request without an id"))?;
            self.on_handle(id, &frame, &request, out)?;
        }
    }
}

pub(super) const fn on(handle: usize, expect: Expect) -> Flight {
    Flight::OnHandle { handle, expect }
}

pub(super) fn frame_of(packet: &Bytes) -> Result<Frame<'_>, SftpError> {
    let (kind, body) = packet.split_first().ok_or(SftpError::client("an empty packet"))?;
    Ok(Frame { kind: *kind, body })
}

fn copy_source(handle: &Handle, offset: u64, len: u64) -> Result<Place, No> {
    if handle.download.is_none() {
        return Err(NOT_READ);
    }
    if handle.max_size.is_some() && (len == 0 || handle.exhausted || !handle.fits(offset.saturating_add(len))) {
        return Err(TOO_MUCH);
    }
    Ok(handle.at.clone())
}

fn copy_target(handle: &Handle, at: u64, len: u64) -> Result<Place, No> {
    if handle.upload.is_none() {
        return Err(NOT_WRITTEN);
    }
    if handle.max_size.is_some() && (len == 0 || !handle.fits(handle.end_of(at, len))) {
        return Err(TOO_MUCH);
    }
    Ok(handle.at.clone())
}

/// A request on a handle as one line, for the record of a refusal.
fn described(request: &Request<'_>) -> String {
    let (verb, handle) = match request {
        Request::Close { handle } => ("close", handle),
        Request::Read { handle, .. } => ("read", handle),
        Request::Write { handle, .. } => ("write", handle),
        Request::FStat { handle } => ("fstat", handle),
        Request::FSetStat { handle, .. } => ("fsetstat", handle),
        Request::ReadDir { handle } => ("readdir", handle),
        Request::FStatVfs { handle } => ("fstatvfs", handle),
        Request::FSync { handle } => ("fsync", handle),
        Request::Copy { from, .. } => ("copy-data", from),
        Request::Path { first, .. } => ("path", first),
        Request::Unknown { name } => ("extension", name),
        Request::Limits => return "limits".to_owned(),
    };
    format!("{verb} on handle {}", shown(handle.get(..256).unwrap_or(handle)))
}
