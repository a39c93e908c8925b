//! Reading one session back, one event at a time.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use crate::damage::Damage;
use crate::error::LedgerError;
use crate::event::{Event, MAX_EVENT_BYTES, MAX_PREFIX_BYTES, RecordedEvent, read_number};
use crate::frame::FrameKind;
use crate::frame::preamble::Content;
use crate::frame::reader::{FrameReader, Next};
use crate::header::SessionHeader;
use crate::key::RecordingKey;
use crate::recording::seal::{self, Root, Sealed};

/// How a recording ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With a seal; the file is complete.
    Sealed {
        /// What the seal says.
        sealed: Sealed,
        /// What stands for the recording.
        root: Root,
    },
    /// Without one: the session goes on, or its gateway died. All that was flushed is there.
    Unsealed {
        /// Stands for the recording up to the last whole frame.
        root: Root,
        /// Bytes of a frame that was not written whole.
        torn_bytes: u64,
    },
}

/// A recording opened for reading.
pub struct Reader<R = BufReader<File>> {
    frames: FrameReader<R>,
    header: SessionHeader,
    /// From the trailer; absent when there is none.
    sealed: Option<Sealed>,
}

impl<R> std::fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens the recording at `path`: reads its header, and its seal if there is one.
    ///
    /// # Errors
    /// [`LedgerError::Io`], or [`LedgerError::Damaged`] if it does not begin as a recording, or not under
    /// `key`.
    pub fn open(path: &Path, key: &RecordingKey) -> Result<Self, LedgerError> {
        let mut reader = Self::unsealed(FrameReader::open(path, Content::Session, Some(key))?.0)?;
        let mut file = File::open(path).map_err(|source| LedgerError::io("open", path, source))?;
        let place = seal::find(&mut file).map_err(|source| LedgerError::io("read", path, source))?;
        if let Some(place) = place {
            let first = reader.frames.place();
            reader.frames.seek(place)?;
            // A trailer that leads nowhere is found, and named, when the events are read.
            if let Ok(Next::Frame {
                kind: FrameKind::Seal,
                plain,
                ..
            }) = reader.frames.next_frame()
            {
                reader.sealed = serde_json::from_slice(plain).ok();
            }
            reader.frames.seek(first)?;
        }
        Ok(reader)
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Reads a recording from `source`, which need not be a file.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn from_source(source: R, key: &RecordingKey) -> Result<Self, LedgerError> {
        Self::unsealed(FrameReader::from_source(source, Path::new("-"), Content::Session, Some(key))?.0)
    }

    fn unsealed(mut frames: FrameReader<R>) -> Result<Self, LedgerError> {
        let header = match frames.next_frame()? {
            Next::Frame {
                kind: FrameKind::Header,
                plain,
                ..
            } => serde_json::from_slice(plain).map_err(|_| Damage::Content {
                frame: 0,
                what: "a header".to_owned(),
            })?,
            Next::Frame { .. } | Next::End | Next::Torn { .. } => {
                return Err(Damage::NotARecording.into());
            }
        };
        Ok(Self {
            frames,
            header,
            sealed: None,
        })
    }

    /// Who opened the session, to what.
    #[must_use]
    pub fn header(&self) -> &SessionHeader {
        &self.header
    }

    /// What the seal says; `None` if there is none. Events are checked only as they are read.
    #[must_use]
    pub fn sealed(&self) -> Option<&Sealed> {
        self.sealed.as_ref()
    }

    /// All events.
    pub fn events(self) -> Events<R> {
        Events::new(self, true)
    }

    /// The events from a place at or shortly before `at_micros`; the caller skips what is too early. Without
    /// a seal there is no index, and it starts at the beginning.
    ///
    /// # Errors
    /// [`LedgerError::Io`]
    pub fn events_from_time(self, at_micros: u64) -> Result<Events<R>, LedgerError> {
        let marks = self.sealed.iter().flat_map(|sealed| &sealed.marks);
        let mark = marks.take_while(|mark| mark.at_micros < at_micros).last().copied();
        self.events_from(mark)
    }

    /// The events from a place at or shortly before command `seq`; as [`Reader::events_from_time`].
    ///
    /// # Errors
    /// [`LedgerError::Io`]
    pub fn events_from_command(self, seq: u64) -> Result<Events<R>, LedgerError> {
        let marks = self.sealed.iter().flat_map(|sealed| &sealed.marks);
        let mark = marks.take_while(|mark| mark.command < seq).last().copied();
        self.events_from(mark)
    }

    fn events_from(mut self, mark: Option<crate::recording::index::Mark>) -> Result<Events<R>, LedgerError> {
        if let Some(mark) = mark {
            self.frames.seek(mark.place())?;
        }
        Ok(Events::new(self, mark.is_none()))
    }
}

/// Iterates over the events of a recording. Ends after the last whole one, or after an error.
pub struct Events<R = BufReader<File>> {
    frames: FrameReader<R>,
    header: SessionHeader,
    /// Plaintext that is not yet events; `read` bytes of it are.
    pending: Vec<u8>,
    read: usize,
    /// The frame that the last plaintext came from.
    frame: u64,
    from_start: bool,
    events: u64,
    commands: u64,
    ending: Option<Ending>,
    failed: bool,
}

impl<R> std::fmt::Debug for Events<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events")
            .field("read", &self.events)
            .field("ending", &self.ending)
            .finish_non_exhaustive()
    }
}

impl<R: Read + Seek> Events<R> {
    fn new(reader: Reader<R>, from_start: bool) -> Self {
        Self {
            frames: reader.frames,
            header: reader.header,
            pending: Vec::new(),
            read: 0,
            frame: 0,
            from_start,
            events: 0,
            commands: 0,
            ending: None,
            failed: false,
        }
    }

    /// Who opened the session, to what.
    #[must_use]
    pub fn header(&self) -> &SessionHeader {
        &self.header
    }

    /// How the recording ends; known once the iteration has ended without an error.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Events given so far.
    #[must_use]
    pub fn events_read(&self) -> u64 {
        self.events
    }

    /// Commands given so far.
    #[must_use]
    pub fn commands_read(&self) -> u64 {
        self.commands
    }

    /// Goes on after the end that there was: up to `written` bytes ([`crate::Recorder::written_bytes`]) while the session
    /// goes on, and to the file's own end with `None`. Nothing behind `written` is looked at, so that a frame which is
    /// being put is never taken for a damaged one.
    ///
    /// # Errors
    /// [`LedgerError::Io`]
    pub fn read_on(&mut self, written: Option<u64>) -> Result<(), LedgerError> {
        if !matches!(self.ending, Some(Ending::Sealed { .. })) {
            self.ending = None;
        }
        self.frames.read_on(written)
    }

    /// Stands for the recording up to here.
    #[must_use]
    pub fn root(&self) -> Root {
        let place = self.frames.place();
        Root {
            id: self.header.id,
            hash: place.chain,
            frames: place.sequence,
        }
    }

    fn advance(&mut self) -> Result<Option<RecordedEvent>, LedgerError> {
        loop {
            if let Some(event) = self.take_record()? {
                self.events += 1;
                self.commands += u64::from(matches!(event.event(), Event::Command { .. }));
                return Ok(Some(event));
            }
            if self.ending.is_some() {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// One whole record from what is pending.
    fn take_record(&mut self) -> Result<Option<RecordedEvent>, Damage> {
        let frame = self.frame;
        let bytes = self.pending.get(self.read..).unwrap_or_default();
        let Some((len, rest)) = read_number(bytes) else {
            if bytes.len() >= 10 {
                return Err(Damage::Content {
                    frame,
                    what: "an event's length".to_owned(),
                });
            }
            return Ok(None);
        };
        if len > MAX_EVENT_BYTES + MAX_PREFIX_BYTES as u64 {
            return Err(Damage::Content {
                frame,
                what: format!("an event of {len} bytes"),
            });
        }
        let Some((body, after)) = usize::try_from(len).ok().and_then(|len| rest.split_at_checked(len)) else {
            return Ok(None);
        };
        self.read = self.pending.len() - after.len();
        RecordedEvent::decode(body, frame).map(Some)
    }

    /// Reads the next frame, or the end.
    fn fill(&mut self) -> Result<(), LedgerError> {
        self.pending.drain(..self.read);
        self.read = 0;
        let unexpected = |frame, what: &str| Damage::Content {
            frame,
            what: what.to_owned(),
        };
        let torn_bytes = match self.frames.next_frame()? {
            Next::Frame {
                kind: FrameKind::Events,
                at,
                plain,
            } => {
                self.frame = at.sequence;
                self.pending.extend_from_slice(plain);
                return Ok(());
            }
            Next::Frame {
                kind: FrameKind::Seal,
                at,
                plain,
            } => {
                let sealed: Sealed = serde_json::from_slice(plain).map_err(|_| unexpected(at.sequence, "a seal"))?;
                seal::check_end(&mut self.frames, at)?;
                let counted = (sealed.events, sealed.commands) == (self.events, self.commands);
                if !self.pending.is_empty() || (self.from_start && !counted) {
                    return Err(unexpected(at.sequence, "a seal that does not fit its events").into());
                }
                self.ending = Some(Ending::Sealed {
                    sealed,
                    root: self.root(),
                });
                return Ok(());
            }
            Next::Frame {
                kind: FrameKind::Header | FrameKind::Segment,
                at,
                ..
            } => {
                return Err(unexpected(at.sequence, "a frame of a kind that does not belong there").into());
            }
            Next::End => 0,
            Next::Torn { bytes } => bytes,
        };
        self.ending = Some(Ending::Unsealed {
            root: self.root(),
            torn_bytes,
        });
        Ok(())
    }
}

impl<R: Read + Seek> Iterator for Events<R> {
    type Item = Result<RecordedEvent, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance();
        self.failed = next.is_err();
        next.transpose()
    }
}
