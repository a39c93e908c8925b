//! The record of one session: what happened is noted, and written before anything that follows from it leaves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use metrics::{Counter, counter};
use sallyport_ledger::{Event, LedgerError, Receipt, Recorder, Root};

use crate::audience::Audience;
use crate::hold::HoldOutcome;
use crate::refusal::{Reason, Refusal};

/// Proof that everything noted so far is written as the recording's mode asks (I2). What is to reach the target can be
/// taken out of [`crate::Effects`] only with one.
#[derive(Debug)]
pub struct Written(());

/// One session's record.
pub(crate) struct Record {
    recorder: Recorder,
    /// Bytes of events that were noted since the last flush.
    noted: u64,
    /// Something was noted since the last flush.
    dirty: bool,
    /// A decision is among it: not even the client may learn of it before it is written.
    decided: bool,
    /// What was flushed and is not known to be written yet.
    receipt: Option<Receipt>,
    /// An event was lost: nothing more is permitted, nothing more is shown.
    broken: bool,
    /// Who follows what is written.
    audience: Arc<Audience>,
    recorded: Counter,
    unrecorded: Counter,
}

impl Record {
    pub(crate) fn new(recorder: Recorder) -> Self {
        Self {
            recorder,
            noted: 0,
            dirty: false,
            decided: false,
            receipt: None,
            broken: false,
            audience: Arc::default(),
            recorded: counter!("sallyport_recording_event_bytes_total"),
            unrecorded: counter!("sallyport_recording_errors_total"),
        }
    }

    /// From now on these people can follow what is written.
    pub(crate) fn show_to(&mut self, audience: Arc<Audience>) {
        audience.advance(self.recorder.written_bytes());
        self.audience = audience;
    }

    /// Who follows what is written.
    pub(crate) fn audience(&self) -> &Arc<Audience> {
        &self.audience
    }

    /// Takes an event. It is written with the next [`Record::poll_written`], or before if there is much.
    pub(crate) fn note(&mut self, event: Event<'_>) {
        self.noted += event_bytes(&event);
        self.dirty = true;
        match self.recorder.append(event) {
            Ok(()) => self.audience.advance(self.recorder.written_bytes()),
            Err(error) => self.fail(&error),
        }
    }

    /// Notes who came to watch, and who left.
    pub(crate) fn note_audience(&mut self) {
        for notice in self.audience.take_unrecorded() {
            self.note(Event::Notice {
                detail: notice.as_bytes(),
            });
        }
    }

    /// Takes a decision.
    pub(crate) fn note_decision(&mut self, seq: u64, detail: &[u8]) {
        self.decided = true;
        self.note(Event::Decision { seq, detail });
    }

    /// Takes what became of a hold: people's decision.
    pub(crate) fn note_review(&mut self, seq: u64, outcome: &HoldOutcome) {
        self.decided = true;
        let detail = outcome.to_json().to_string();
        self.note(Event::Review {
            seq,
            detail: detail.as_bytes(),
        });
    }

    /// Whether events wait to be written.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Whether a decision waits to be written, and still can be.
    pub(crate) fn has_decided(&self) -> bool {
        self.decided && !self.broken
    }

    /// Whether everything noted was taken.
    ///
    /// # Errors
    /// When an event was lost: the session must end.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.broken { Err(cannot_record()) } else { Ok(()) }
    }

    /// Ready when everything noted so far is written.
    ///
    /// # Errors
    /// When it cannot be written: the session must end.
    pub(crate) fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<Written, Refusal>> {
        loop {
            self.check()?;
            if let Some(receipt) = &mut self.receipt {
                let result = ready!(Pin::new(receipt).poll(cx));
                self.receipt = None;
                if let Err(error) = result {
                    self.fail(&error);
                }
            } else if self.dirty {
                self.dirty = false;
                match self.recorder.flush() {
                    Ok(receipt) => {
                        self.recorded.increment(std::mem::take(&mut self.noted));
                        self.audience.advance(self.recorder.written_bytes());
                        self.receipt = Some(receipt);
                    }
                    Err(error) => self.fail(&error),
                }
            } else {
                self.decided = false;
                return Poll::Ready(Ok(Written(())));
            }
        }
    }

    /// The session waits.
    pub(crate) fn rest(&mut self) {
        if let Err(error) = self.recorder.rest() {
            self.fail(&error);
        }
    }

    /// The session is over: its last event, and the seal.
    pub(crate) fn close(mut self, detail: &[u8]) -> Result<Root, LedgerError> {
        self.note_audience();
        self.recorder.append(Event::Closed { detail })?;
        self.recorder.seal().map(|(root, _)| root)
    }

    fn fail(&mut self, error: &LedgerError) {
        if !self.broken {
            tracing::error!(%error, "the recording cannot be written");
        }
        self.unrecorded.increment(1);
        self.broken = true;
    }
}

/// The bytes that an event brings, without what the recording adds.
fn event_bytes(event: &Event<'_>) -> u64 {
    let len = match event {
        Event::Command { text, detail, .. } => text.len() + detail.len(),
        Event::Decision { detail, .. }
        | Event::Hold { detail, .. }
        | Event::Review { detail, .. }
        | Event::Notice { detail }
        | Event::Ended { detail, .. }
        | Event::Closed { detail } => detail.len(),
        Event::Input { bytes, .. } | Event::Response { bytes, .. } => bytes.len(),
    };
    u64::try_from(len).unwrap_or(u64::MAX)
}

fn cannot_record() -> Refusal {
    Refusal::new(
        Reason::Unavailable,
        "the gateway cannot record this session, so it does not go on",
    )
    .with_hint("tell whoever operates the gateway: its log says why the recording failed")
}

#[cfg(feature = "testing")]
impl Written {
    /// One that proves nothing, for the tests of protocols.
    pub(crate) fn for_tests() -> Self {
        Self(())
    }
}
