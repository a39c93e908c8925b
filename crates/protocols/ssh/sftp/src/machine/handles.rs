//! Open files and directories.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::act::Place;
use crate::out::{AskId, Direction, Ended, Out, Outcome, Transfer};
use crate::stream::Stream;

/// How far a handle's life is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Open,
    /// The target was told to close it.
    Closing,
    /// The target answered; whether it succeeded.
    Closed(bool),
}

/// One open file or directory.
pub(super) struct Handle {
    pub(super) name: Box<[u8]>,
    pub(super) ask: AskId,
    pub(super) at: Place,
    pub(super) directory: bool,
    /// What goes to the client, if it was opened for reading.
    pub(super) download: Option<Stream>,
    /// What comes from the client, if it was opened for writing.
    pub(super) upload: Option<Stream>,
    pub(super) append: bool,
    pub(super) max_size: Option<u64>,
    /// The size that the file may have: what it was when it was opened, if that was asked for, and what was written to it
    /// through any handle of this channel since.
    pub(super) extent: u64,
    /// Bytes that the target was given to write, answered or not, copies included.
    pub(super) given: u64,
    /// Bytes that the target said it has written.
    pub(super) taken: u64,
    /// No byte more may be read.
    pub(super) exhausted: bool,
    pub(super) write_failed: bool,
    /// Something was not written because it is too much. Clients of OpenSSH overlook that if other writes succeed behind
    /// it: closing fails, too, so that nobody takes the file for whole.
    pub(super) cut_short: bool,
    /// The least offset at which the target said that the file ends.
    pub(super) ends: Option<u64>,
    /// The size that the target told last.
    pub(super) size: Option<u64>,
    pub(super) in_flight: u32,
    pub(super) life: Life,
    /// A question about this handle is open: what comes for it waits.
    pub(super) blocked: bool,
    /// Packets (type and body) that wait.
    pub(super) waiting: VecDeque<Bytes>,
}

impl Handle {
    /// What went through it, and that the request which opened it is over.
    fn end(self, room: &mut usize, out: &mut Out) {
        let outcome = match self.life {
            Life::Closed(true) if !self.write_failed => Outcome::Completed,
            Life::Closed(_) => Outcome::Failed,
            Life::Open | Life::Closing => Outcome::Unknown,
        };
        let ask = self.ask;
        if !self.directory {
            out.done.extend(self.transfers(room));
        }
        out.ended.push(Ended { ask, outcome });
    }

    fn transfers(self, room: &mut usize) -> impl Iterator<Item = Transfer> {
        let closed = self.life == Life::Closed(true);
        let both = self.upload.is_some();
        let ends = [self.ends, self.size];
        let whole = |stream: &Stream| ends.iter().flatten().any(|end| stream.is_all_until(*end));
        let downloaded = self.download.as_ref().is_some_and(whole) && !self.exhausted;
        let uploaded = closed && !self.write_failed && self.waiting.is_empty();
        let download = self.download.filter(|stream| !both || stream.bytes > 0).map(|stream| {
            let bytes = stream.bytes;
            (Direction::Download, bytes, stream.finish(room), downloaded)
        });
        let upload = self.upload.map(|stream| {
            let bytes = self.taken;
            (Direction::Upload, bytes, stream.finish(room), uploaded)
        });
        let (ask, at, failed) = (self.ask, self.at, self.write_failed);
        download
            .into_iter()
            .chain(upload)
            .map(move |(direction, bytes, (ranges, digest, sequential), complete)| {
                let broken = failed && direction == Direction::Upload;
                Transfer {
                    ask,
                    at: at.clone(),
                    direction,
                    bytes,
                    ranges,
                    sha256: digest.filter(|_| !broken),
                    sequential,
                    complete,
                }
            })
    }
}

/// All of them, by number and by the name that the target gave.
#[derive(Default)]
pub(super) struct Handles {
    slots: Vec<Option<Handle>>,
    free: Vec<usize>,
    names: HashMap<Box<[u8]>, usize>,
}

impl Handles {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// A handle that the target gave. False if one of that name is open.
    pub(super) fn insert(&mut self, mut handle: Handle) -> bool {
        if self.find(&handle.name).is_some() {
            return false;
        }
        // Others may have written since it was measured.
        let others = self
            .slots
            .iter()
            .flatten()
            .filter(|other| other.at.path == handle.at.path);
        handle.extent = others.map(|other| other.extent).fold(handle.extent, u64::max);
        let name = handle.name.clone();
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        if let Some(slot) = self.slots.get_mut(number) {
            *slot = Some(handle);
        }
        self.names.insert(name, number);
        true
    }

    /// The number of an open handle.
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        let number = *self.names.get(name)?;
        self.get(number)
            .filter(|handle| handle.life == Life::Open)
            .map(|_| number)
    }

    pub(super) fn get(&self, number: usize) -> Option<&Handle> {
        self.slots.get(number)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Handle> {
        self.slots.get_mut(number)?.as_mut()
    }

    /// So many bytes are about to be written through this handle, up to `end`.
    pub(super) fn extend(&mut self, number: usize, len: u64, end: u64) {
        let Some((path, append)) = self.get(number).map(|handle| (handle.at.path.clone(), handle.append)) else {
            return;
        };
        for handle in self.slots.iter_mut().flatten().filter(|handle| handle.at.path == path) {
            handle.extent = match append {
                true => handle.extent.saturating_add(len),
                false => handle.extent.max(end),
            };
        }
    }

    /// Takes a handle away that is closed and of which no answer is outstanding.
    pub(super) fn settle(&mut self, number: usize, room: &mut usize, out: &mut Out) {
        let over = |handle: &Handle| matches!(handle.life, Life::Closed(_)) && handle.in_flight == 0;
        if !self.get(number).is_some_and(over) {
            return;
        }
        if let Some(handle) = self.slots.get_mut(number).and_then(Option::take) {
            if self.names.get(&handle.name) == Some(&number) {
                self.names.remove(&handle.name);
            }
            self.free.push(number);
            handle.end(room, out);
        }
    }

    /// The channel is over: what is still open is told.
    pub(super) fn end(&mut self, room: &mut usize, out: &mut Out) {
        self.names.clear();
        self.free.clear();
        for handle in self.slots.drain(..).flatten() {
            handle.end(room, out);
        }
    }
}
