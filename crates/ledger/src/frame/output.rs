//! Where frames go: to the end of a file, with a `write` each, or into a stretch that is reserved and mapped ahead.
//!
//! A small frame costs a `write` more time than all else that is done for it. A page of a shared mapping belongs to the
//! operating system like one that was written: the process may die at any instruction after the copy, and the page stays.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use memmap2::{Advice, MmapMut, MmapOptions};
use rustix::fs::{FallocateFlags, fallocate, fstatfs};

use crate::frame::WORD_BYTES;

/// Frames larger than this are always written: a `write` copies them faster than pages can be mapped.
pub(crate) const MAX_MAPPED_BYTES: usize = 4 << 10;
/// Small frames that are written before the file is mapped: most sessions are short, and most long ones mostly rest.
const FIRST_WRITTEN: u32 = 16;
/// Bytes mapped at a time; a multiple of every page size in use.
const WINDOW_BYTES: u64 = 64 << 10;
/// Bytes that are reserved at a time; a multiple of the window.
const RESERVE_BYTES: u64 = 256 << 10;
/// File systems on which a page of a reserved stretch can be written to even if the disk is full: ext2 to 4, XFS, tmpfs.
/// (`statfs(2)`)
const RESERVING: [i64; 3] = [0xef53, 0x5846_5342, 0x0102_1994];

/// The end of a file that takes frames.
pub(crate) struct Output {
    file: Arc<File>,
    /// Bytes that were put so far.
    end: u64,
    /// The file is at least this long; what was not put is zero.
    reserved: u64,
    ahead: Ahead,
    /// What was put since the last rest.
    puts: u32,
}

/// How small frames get into the file.
enum Ahead {
    /// With a `write`.
    Off,
    /// The same, until there were this many.
    After(u32),
    /// Through a mapping.
    On(Window),
}

/// A mapped stretch of the file.
struct Window {
    start: u64,
    map: MmapMut,
}

impl Output {
    /// Continues `file` at `end`, with a `write` for each frame.
    pub(crate) fn new(file: Arc<File>, end: u64) -> Self {
        Self {
            file,
            end,
            reserved: 0,
            ahead: Ahead::Off,
            puts: 0,
        }
    }

    /// From now on the file may be longer than what was put, up to [`Output::settle`]. It must be open for reading too.
    pub(crate) fn reserve_ahead(&mut self) {
        let reserves = fstatfs(&self.file).is_ok_and(|stat| RESERVING.contains(&stat.f_type));
        if reserves {
            self.ahead = Ahead::After(FIRST_WRITTEN);
        }
    }

    /// Bytes of the file so far.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Hands `bytes` to the operating system. After an error the file takes nothing more.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.put_mapped(bytes) {
            self.write(bytes)?;
        }
        self.end += bytes.len() as u64;
        self.puts = self.puts.saturating_add(1);
        Ok(())
    }

    /// Gives back what was mapped and reserved if hardly anything was put since this was called last.
    pub(crate) fn rest(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.puts) <= 1 && matches!(self.ahead, Ahead::On(_)) {
            self.settle()?;
            self.ahead = Ahead::After(FIRST_WRITTEN);
        }
        Ok(())
    }

    /// A `write` that is cut short by the process's death must look like it: as a file that ends, or, where the file goes
    /// on with zeros, as a frame without its first word.
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match bytes.split_at_checked(WORD_BYTES) {
            Some((word, rest)) if self.end < self.reserved => {
                self.file.write_all_at(rest, self.end + WORD_BYTES as u64)?;
                self.file.write_all_at(word, self.end)
            }
            _ => self.file.write_all_at(bytes, self.end),
        }
    }

    /// Cuts off what was reserved and not used. From now on everything is written.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        self.ahead = Ahead::Off;
        if std::mem::take(&mut self.reserved) > self.end {
            self.file.set_len(self.end)?;
        }
        Ok(())
    }

    /// Puts a frame into the mapping; false if it must be written.
    fn put_mapped(&mut self, frame: &[u8]) -> bool {
        if frame.len() > MAX_MAPPED_BYTES {
            return false;
        }
        match &mut self.ahead {
            Ahead::Off => return false,
            Ahead::After(0) => {}
            Ahead::After(left) => {
                *left -= 1;
                return false;
            }
            Ahead::On(window) => {
                if window.put(self.end, frame) {
                    return true;
                }
            }
        }
        // The window ends within the frame: this one is written, and the next window starts where it ends.
        let next = self.end + frame.len() as u64;
        match Window::reserve(&self.file, next, &mut self.reserved) {
            Ok(window) => self.ahead = Ahead::On(window),
            Err(error) => {
                tracing::debug!(%error, "a recording is written without reserving room ahead");
                // A full disk says so when the frame is written.
                let _ = self.settle();
            }
        }
        false
    }
}

impl Window {
    /// Maps the stretch that `end` is in. The file is at least `reserved` bytes long.
    #[expect(
        unsafe_code,
        reason = "mapping a file is unsafe because others may change it under the map"
    )]
    fn reserve(file: &File, end: u64, reserved: &mut u64) -> io::Result<Self> {
        let start = end / WINDOW_BYTES * WINDOW_BYTES;
        if *reserved < start + WINDOW_BYTES {
            // Even if it fails the file may have grown.
            *reserved = start + RESERVE_BYTES;
            fallocate(file, FallocateFlags::empty(), start, RESERVE_BYTES)?;
        }
        let len = usize::try_from(WINDOW_BYTES).map_err(io::Error::other)?;
        // SAFETY: the file was created exclusively with mode 0600, is locked, and is only ever made shorter by
        // `Output::settle`, which drops the map first. The map is only written to, and nothing is decided by what it holds.
        let map = unsafe { MmapOptions::new().offset(start).len(len).map_mut(file)? };
        // Takes the pages now, so that a disk that fails is an error here and no signal later.
        map.advise(Advice::PopulateWrite)?;
        Ok(Self { start, map })
    }

    /// False if the frame does not fit.
    fn put(&mut self, at: u64, frame: &[u8]) -> bool {
        let place = usize::try_from(at.wrapping_sub(self.start)).unwrap_or(usize::MAX);
        let slot = place
            .checked_add(frame.len())
            .and_then(|end| self.map.get_mut(place..end));
        let Some((slot, (word, rest))) = slot.zip(frame.split_at_checked(WORD_BYTES)) else {
            return false;
        };
        let (word_slot, rest_slot) = slot.split_at_mut(WORD_BYTES);
        rest_slot.copy_from_slice(rest);
        // A frame is there once its first word is; a process that dies before leaves the end where it was.
        fence(Ordering::Release);
        word_slot.copy_from_slice(word);
        true
    }
}
