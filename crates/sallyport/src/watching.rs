//! A session as it goes on, for those who watch it: its recording, read while it is written.

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;

use sallyport_api::ports::{Line, RecordingsError, TranscriptOptions, WatchError, Watching, What};
use sallyport_ledger::{Events, LedgerError};
use sallyport_session::{Audience, Seat, Watcher};
use uuid::Uuid;

use crate::ports::{Recorded, recorded, unreadable};
use crate::transcript::Transcript;

/// One person's view of a session. The session itself has no part in it but to say how far its recording has got.
pub(crate) struct Watch {
    seat: Seat,
    recordings: Recorded,
    id: Uuid,
    events: Events,
    transcript: Transcript,
    /// The first line, until it is told.
    opened: Option<What>,
    /// How much of the file was readable when it was looked at last.
    seen: Option<u64>,
    last_micros: u64,
}

impl Watch {
    /// From the beginning of the session, or from now on.
    ///
    /// # Errors
    /// When too many watch, or the recording cannot be read.
    pub(crate) fn begin(
        audience: &Arc<Audience>,
        watcher: Watcher,
        recordings: Recorded,
        id: Uuid,
        options: TranscriptOptions,
        from_now: bool,
    ) -> Result<Self, WatchError> {
        let failed = |error: LedgerError| WatchError::Unreadable(unreadable(&error));
        let summary = recordings.recordings.summary(id).map_err(failed)?;
        let reader = recordings.recordings.read(id).map_err(failed)?;
        let transcript = Transcript::of(reader.header().clone(), options);
        let seat = audience.join(watcher).map_err(|_| WatchError::Crowded)?;
        let session = Box::new(recorded(summary));
        let seen = seat.written();
        let mut watch = Self {
            seat,
            recordings,
            id,
            events: reader.events(),
            transcript,
            opened: Some(What::Opened { session }),
            seen,
            last_micros: 0,
        };
        watch.events.read_on(seen).map_err(failed)?;
        if from_now {
            watch.skip()?;
        }
        Ok(watch)
    }

    /// What was before is read, for what comes may continue it, and not told.
    fn skip(&mut self) -> Result<(), RecordingsError> {
        for event in self.events.by_ref() {
            let event = event.map_err(|error| unreadable(&error))?;
            self.transcript.event(event.event(), &mut drop);
        }
        Ok(())
    }

    /// Tells what can be read now. True when it was told up to where the file could be read.
    fn tell(&mut self, line: &mut dyn FnMut(Line) -> ControlFlow<()>) -> Result<bool, LedgerError> {
        for event in self.events.by_ref() {
            let event = event?;
            self.last_micros = event.at_micros;
            let (at_micros, seq) = (event.at_micros, event.event().seq());
            let mut broken = false;
            self.transcript.event(event.event(), &mut |what| {
                broken |= line(Line { at_micros, seq, what }).is_break();
            });
            if broken {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn end(&self, problem: Option<String>) -> Line {
        let state = sallyport_api::ports::SessionState::Interrupted;
        Line {
            at_micros: self.last_micros,
            seq: None,
            what: self.recordings.end(self.id, state, self.events.ending(), problem),
        }
    }
}

impl Watching for Watch {
    fn lines(&mut self, line: &mut dyn FnMut(Line) -> ControlFlow<()>) -> bool {
        if let Some(what) = self.opened.take() {
            let (at_micros, seq) = (0, None);
            if line(Line { at_micros, seq, what }).is_break() {
                return false;
            }
        }
        let written = self.seat.written();
        let grown = written != self.seen;
        self.seen = written;
        let read = match if grown { self.events.read_on(written) } else { Ok(()) } {
            Ok(()) => self.tell(line),
            Err(error) => Err(error),
        };
        let problem = match read {
            // While the session goes on there is more to come.
            Ok(false) => return false,
            Ok(true) if self.seen.is_some() => return false,
            Ok(true) => None,
            Err(error) => Some(error.to_string()),
        };
        let end = self.end(problem);
        let _ = line(end);
        true
    }

    fn more(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.seat.grown(self.seen)
    }
}
