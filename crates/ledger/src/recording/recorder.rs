//! Writing one session.

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use crate::durable::{Receipt, SyncedFile};
use crate::error::LedgerError;
use crate::event::{Event, MAX_EVENT_BYTES, MAX_PREFIX_BYTES, Prefix};
use crate::frame::FrameKind;
use crate::frame::writer::FrameWriter;
use crate::recording::index::Index;
use crate::recording::seal::{Root, Sealed, trailer};

/// Room below which a frame is closed rather than given the first bytes of a large piece of data.
const MIN_PIECE_BYTES: usize = 4096;

/// Data up to this length is one event, as it was given: protocols may begin each with what says what it is.
pub const WHOLE_PIECE_BYTES: usize = 64 << 10;

/// Writes one session's recording. One owner, one thread at a time; made by [`crate::RecordingStore::create`].
///
/// Once any write has failed, every later call fails with [`LedgerError::Failed`]: the session must end.
/// Dropping it without [`Recorder::seal`] flushes what was appended and leaves the recording unsealed.
pub struct Recorder {
    id: Uuid,
    frames: FrameWriter,
    synced: Option<SyncedFile>,
    started: Instant,
    events: u64,
    commands: u64,
    /// The highest command number so far.
    last_command: u64,
    index: Index,
    sealed: bool,
    /// Holds the lock that tells a live recording from an abandoned one.
    _file: Arc<File>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("id", &self.id)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

impl Recorder {
    pub(crate) fn new(id: Uuid, file: Arc<File>, frames: FrameWriter, synced: Option<SyncedFile>) -> Self {
        Self {
            id,
            frames,
            synced,
            started: Instant::now(),
            events: 0,
            commands: 0,
            last_command: 0,
            index: Index::new(),
            sealed: false,
            _file: file,
        }
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Where the last whole frame ends in the file: all before it was handed to the operating system.
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        self.frames.written_bytes()
    }

    /// Microseconds since the recording was opened.
    #[must_use]
    pub fn elapsed_micros(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Takes `event`, stamped with the time. It is only encoded; a frame that is full goes to the operating
    /// system, everything else with the next [`Recorder::flush`].
    ///
    /// # Errors
    /// [`LedgerError::TooLarge`], after which the recorder goes on; [`LedgerError::Failed`].
    pub fn append(&mut self, event: Event<'_>) -> Result<(), LedgerError> {
        let at_micros = self.elapsed_micros();
        match event {
            Event::Input { seq, bytes } => self.pieces(at_micros, bytes, |bytes| Event::Input { seq, bytes }),
            Event::Response { seq, bytes } => self.pieces(at_micros, bytes, |bytes| Event::Response { seq, bytes }),
            Event::Command { .. }
            | Event::Decision { .. }
            | Event::Hold { .. }
            | Event::Review { .. }
            | Event::Notice { .. }
            | Event::Ended { .. }
            | Event::Closed { .. } => self.whole(at_micros, &event),
        }
    }

    /// Hands everything appended so far to the operating system. Nothing of a command may be
    /// forwarded before the receipt is ready.
    ///
    /// # Errors
    /// [`LedgerError::Failed`]: the disk is full, the file is gone …
    pub fn flush(&mut self) -> Result<Receipt, LedgerError> {
        self.frames.close(FrameKind::Events)?;
        Ok(self.receipt())
    }

    /// Called now and then while the session waits: gives memory back if hardly anything was flushed since the last time.
    ///
    /// # Errors
    /// [`LedgerError::Failed`]
    pub fn rest(&mut self) -> Result<(), LedgerError> {
        self.frames.rest()
    }

    /// Ends the recording: what was appended is written, then the seal. The root is what the ledger keeps.
    ///
    /// # Errors
    /// [`LedgerError::Failed`]
    pub fn seal(mut self) -> Result<(Root, Receipt), LedgerError> {
        self.sealed = true;
        self.frames.close(FrameKind::Events)?;
        self.frames.settle()?;
        let sealed = Sealed {
            ended_micros: self.elapsed_micros(),
            events: self.events,
            commands: self.commands,
            marks: std::mem::replace(&mut self.index, Index::new()).into_marks(),
        };
        let seal = serde_json::to_vec(&sealed).map_err(|source| LedgerError::Encode {
            what: "the seal",
            source,
        })?;
        let place = self.frames.place();
        self.frames.push(&seal)?;
        self.frames.close(FrameKind::Seal)?;
        let end = self.frames.place();
        self.frames.write_raw(&trailer(place))?;
        Ok((
            Root {
                id: self.id,
                hash: end.chain,
                frames: end.sequence,
            },
            self.receipt(),
        ))
    }

    fn receipt(&self) -> Receipt {
        match &self.synced {
            Some(synced) => synced.sync(self.frames.place().offset),
            None => Receipt::ready(),
        }
    }

    /// Splits data so that each piece lies within one frame.
    fn pieces<'a>(
        &mut self,
        at_micros: u64,
        mut bytes: &'a [u8],
        event: impl Fn(&'a [u8]) -> Event<'a>,
    ) -> Result<(), LedgerError> {
        loop {
            let room = self.frames.room().saturating_sub(MAX_PREFIX_BYTES);
            if bytes.len() > room && (room < MIN_PIECE_BYTES || bytes.len() <= WHOLE_PIECE_BYTES) {
                self.frames.close(FrameKind::Events)?;
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.whole(at_micros, &event(now))?;
            if later.is_empty() {
                return Ok(());
            }
            bytes = later;
        }
    }

    fn whole(&mut self, at_micros: u64, event: &Event<'_>) -> Result<(), LedgerError> {
        let (_, seq, first, second) = event.parts();
        let first = first.unwrap_or_default();
        let bytes = (first.len() + second.len()) as u64;
        if bytes > MAX_EVENT_BYTES {
            return Err(LedgerError::TooLarge {
                bytes,
                limit: MAX_EVENT_BYTES,
            });
        }
        if self.frames.is_empty() && self.index.wants(self.frames.place().offset) {
            self.index.add(self.frames.place(), at_micros, self.last_command);
        }
        let prefix = Prefix::of(event, at_micros);
        self.frames.push(prefix.as_bytes())?;
        self.frames.push(first)?;
        self.frames.push(second)?;
        self.events += 1;
        if matches!(event, Event::Command { .. }) {
            self.commands += 1;
            self.last_command = self.last_command.max(seq);
        }
        Ok(())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.sealed
            && let Err(error) = self.frames.close(FrameKind::Events).and_then(|()| self.frames.settle())
        {
            tracing::error!(session = %self.id, %error, "the end of a recording was lost");
        }
    }
}
