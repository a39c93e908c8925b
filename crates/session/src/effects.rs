//! What a conversation wants done, in the order in which it is done.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use sallyport_ledger::Event;
use sallyport_policy::Classification;

use crate::command::Command;
use crate::conversation::{Ask, AskId};
use crate::permit::{Permit, Spent};
use crate::record::{Record, Written};

/// What a message that carries no command is for. Only these reach a target without a permit of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Housekeeping {
    /// Ends a batch or asks for what is buffered (`Sync`, `Flush`).
    Boundary,
    /// Describes or closes something that exists.
    Bookkeeping,
    /// Ends the connection.
    Goodbye,
    /// The gateway's own question about names, or its own way to make the target reject a batch.
    Own,
}

/// A stretch of a buffer that belongs to the recording of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) seq: u64,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A stretch of what is recorded in other bytes than are sent.
#[derive(Debug, Clone, Copy)]
struct Plain {
    stretch: Stretch,
    /// Where its encrypted form begins in the buffer for the client; `None` for what the client sent.
    shown_at: Option<usize>,
}

/// What a conversation wants done. The driver does it in this order: record, then target, then client, then ask.
#[derive(Debug)]
pub struct Effects {
    client: BytesMut,
    target: BytesMut,
    /// Bytes for the target that have left.
    left: u64,
    /// What the client is shown, in the buffer for it.
    pub(crate) shown: Vec<Stretch>,
    /// Data of the client, in the buffer for the target. INVARIANT: nothing leaves the buffers before it is recorded.
    pub(crate) data: Vec<Stretch>,
    pub(crate) finished: Vec<(u64, Finish)>,
    pub(crate) ended: Vec<(u64, Vec<u8>)>,
    pub(crate) remarks: Vec<Vec<u8>>,
    pub(crate) asks: VecDeque<Ask>,
    pub(crate) withdrawn: Vec<AskId>,
    /// What is recorded in other bytes than are sent, because those are encrypted.
    plain: BytesMut,
    plain_runs: Vec<Plain>,
    pub(crate) task: Option<String>,
    classification: Arc<Classification>,
    generation: u64,
    needs_names: bool,
    over: bool,
}

/// How a command ended, as the target reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The target reported success.
    Completed,
    /// The target reported an error.
    Failed,
    /// The target skipped it after an earlier error.
    Skipped,
    /// The session ended before the target said.
    Unknown,
}

impl Effects {
    pub(crate) fn new(classification: Arc<Classification>, generation: u64, needs_names: bool) -> Self {
        Self {
            client: BytesMut::new(),
            target: BytesMut::new(),
            left: 0,
            shown: Vec::new(),
            data: Vec::new(),
            finished: Vec::new(),
            ended: Vec::new(),
            remarks: Vec::new(),
            asks: VecDeque::new(),
            withdrawn: Vec::new(),
            plain: BytesMut::new(),
            plain_runs: Vec::new(),
            task: None,
            classification,
            generation,
            needs_names,
            over: false,
        }
    }

    /// Sends a permitted command to the target.
    pub fn forward(&mut self, permit: Permit, bytes: &[u8]) -> Spent {
        self.forward_with(permit, |target| target.extend_from_slice(bytes))
    }

    /// The same for bytes that `write` appends.
    pub fn forward_with(&mut self, permit: Permit, write: impl FnOnce(&mut BytesMut)) -> Spent {
        write(&mut self.target);
        permit.spend()
    }

    /// Sends what continues a permitted command.
    pub fn proceed(&mut self, _of: Spent, bytes: &[u8]) {
        self.target.extend_from_slice(bytes);
    }

    /// The same for bytes that `write` appends.
    pub fn proceed_with(&mut self, _of: Spent, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.target);
    }

    /// Sends what continues a permitted command, and records what of it is data (COPY in): all but its first `head`
    /// bytes. That is written before it leaves.
    pub fn proceed_data(&mut self, of: Spent, bytes: &[u8], head: usize) {
        let start = self.target.len() + head.min(bytes.len());
        self.target.extend_from_slice(bytes);
        self.data.push(Stretch {
            seq: of.seq(),
            start,
            end: self.target.len(),
        });
    }

    /// Sends a message that carries no command.
    pub fn tend(&mut self, _what: Housekeeping, bytes: &[u8]) {
        self.target.extend_from_slice(bytes);
    }

    /// The same for bytes that `write` appends.
    pub fn tend_with(&mut self, _what: Housekeeping, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.target);
    }

    /// Sends bytes to the client that belong to no command.
    pub fn tell(&mut self, bytes: &[u8]) {
        self.client.extend_from_slice(bytes);
    }

    /// The same for bytes that `write` appends.
    pub fn tell_with(&mut self, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.client);
    }

    /// Records `parts`, joined, as part of the response of command `seq`. Called before what says the same to the client, in
    /// encrypted form, is given to [`Effects::tell_with`]: neither leaves if the other cannot be written.
    pub fn shown_as(&mut self, seq: u64, parts: &[&[u8]]) {
        let shown_at = Some(self.client.len());
        self.note_plain(seq, parts, shown_at);
    }

    /// Records `parts`, joined, as what the client sent within command `seq`, before their encrypted form is given to
    /// [`Effects::proceed_with`].
    pub fn sent_as(&mut self, seq: u64, parts: &[&[u8]]) {
        self.note_plain(seq, parts, None);
    }

    fn note_plain(&mut self, seq: u64, parts: &[&[u8]], shown_at: Option<usize>) {
        let start = self.plain.len();
        for part in parts {
            self.plain.extend_from_slice(part);
        }
        let end = self.plain.len();
        let stretch = Stretch { seq, start, end };
        self.plain_runs.push(Plain { stretch, shown_at });
    }

    /// Moves the first `len` bytes of `bytes` to the client as [`Effects::tell`] does. Bytes of a permitted command that
    /// are told this way are opaque, and what the recording holds of them is said with [`Effects::remark`].
    pub fn tell_run(&mut self, bytes: &mut BytesMut, len: usize) {
        self.move_to_client(bytes, len);
    }

    /// Records something that the gateway saw, in JSON.
    pub fn remark(&mut self, detail: Vec<u8>) {
        self.remarks.push(detail);
    }

    /// Sends bytes to the client as part of the response of command `seq`, and records them.
    pub fn show(&mut self, seq: u64, bytes: &[u8]) {
        let start = self.client.len();
        self.client.extend_from_slice(bytes);
        self.mark_shown(seq, start);
    }

    /// Moves the first `len` bytes of `bytes` to the client as part of the response of command `seq`, and records
    /// them.
    pub fn show_run(&mut self, seq: u64, bytes: &mut BytesMut, len: usize) {
        let start = self.client.len();
        self.move_to_client(bytes, len);
        self.mark_shown(seq, start);
    }

    /// When nothing else waits the buffers change places, so that of a long result only what stays is copied.
    fn move_to_client(&mut self, bytes: &mut BytesMut, len: usize) {
        let len = len.min(bytes.len());
        if self.client.is_empty() && bytes.len() - len <= len {
            std::mem::swap(&mut self.client, bytes);
            bytes.extend_from_slice(self.client.get(len..).unwrap_or_default());
            self.client.truncate(len);
        } else {
            self.client.extend_from_slice(bytes.get(..len).unwrap_or_default());
            bytes.advance(len);
        }
    }

    /// The same for bytes that `write` appends.
    pub fn show_with(&mut self, seq: u64, write: impl FnOnce(&mut BytesMut)) {
        let start = self.client.len();
        write(&mut self.client);
        self.mark_shown(seq, start);
    }

    /// Records how command `seq` ended.
    pub fn finished(&mut self, seq: u64, how: Finish) {
        self.finished.push((seq, how));
    }

    /// Records how command `seq` ended, with JSON of the protocol's own.
    pub fn ended(&mut self, seq: u64, detail: Vec<u8>) {
        self.ended.push((seq, detail));
    }

    /// The commands that follow are for this task.
    pub fn for_task(&mut self, task: String) {
        self.task = Some(task);
    }

    /// Puts a question to the gate. Questions are answered in their order, unless they are held.
    pub fn ask(&mut self, id: AskId, command: Command) {
        let waits = true;
        self.asks.push_back(Ask { id, command, waits });
    }

    /// The same for a question of the gateway's own that is not worth anybody's time: what would be held is refused.
    pub fn ask_without_waiting(&mut self, id: AskId, command: Command) {
        let waits = false;
        self.asks.push_back(Ask { id, command, waits });
    }

    /// Gives a held question up.
    pub fn withdraw(&mut self, id: AskId) {
        self.withdrawn.push(id);
    }

    /// Ends the session once everything written so far has been sent.
    pub fn end(&mut self) {
        self.over = true;
    }

    /// Which columns and detectors carry which classification, today.
    #[must_use]
    pub fn classification(&self) -> &Arc<Classification> {
        &self.classification
    }

    /// Counts the policy bundles that have been in force: facts and masks made under another one are stale.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether anything in the policy reads what names mean: if not, nobody need ask the target.
    #[must_use]
    pub fn needs_names(&self) -> bool {
        self.needs_names
    }

    pub(crate) fn renew(&mut self, classification: Arc<Classification>, generation: u64, needs_names: bool) {
        self.needs_names = needs_names;
        self.classification = classification;
        self.generation = generation;
    }

    /// Gives the memory of large messages back. False while anything waits to be sent.
    pub(crate) fn rest(&mut self) -> bool {
        let empty = self.client.is_empty() && self.target.is_empty();
        if empty {
            self.client = BytesMut::new();
            self.target = BytesMut::new();
            self.plain = BytesMut::new();
        }
        empty
    }

    /// Gives the memory of long messages back, whatever still waits to be sent.
    pub(crate) fn fit(&mut self) {
        self.client = BytesMut::from(&*self.client);
        self.target = BytesMut::from(&*self.target);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    pub(crate) fn client(&mut self) -> &mut BytesMut {
        &mut self.client
    }

    /// What waits for the target. It leaves only once everything noted so far is written (I2).
    pub(crate) fn target(&mut self, _noted: &Written) -> &mut BytesMut {
        debug_assert!(
            self.data.is_empty() && self.plain_runs.is_empty(),
            "data that was not recorded"
        );
        &mut self.target
    }

    /// Bytes that wait for the target.
    pub fn target_len(&self) -> usize {
        self.target.len()
    }

    /// Bytes that were ever given for the target, whether they have left or not.
    pub fn target_total(&self) -> u64 {
        self.left + self.target.len() as u64
    }

    /// So many bytes have left for the target.
    pub(crate) fn note_left(&mut self, count: usize) {
        self.left += count as u64;
    }

    /// Nothing that waits for the target will reach it.
    pub(crate) fn drop_target(&mut self) {
        self.target.clear();
    }

    /// Gives what happened since the last time to the record.
    pub(crate) fn record(&mut self, record: &mut Record) {
        for Stretch { seq, start, end } in self.data.drain(..) {
            if let Some(bytes) = self.target.get(start..end) {
                record.note(Event::Input { seq, bytes });
            }
        }
        for Stretch { seq, start, end } in self.shown.drain(..) {
            if let Some(bytes) = self.client.get(start..end) {
                record.note(Event::Response { seq, bytes });
            }
        }
        for Plain { stretch, shown_at } in self.plain_runs.drain(..) {
            let Stretch { seq, start, end } = stretch;
            let bytes = self.plain.get(start..end).unwrap_or_default();
            record.note(match shown_at {
                Some(_) => Event::Response { seq, bytes },
                None => Event::Input { seq, bytes },
            });
        }
        self.plain.clear();
        for detail in self.remarks.drain(..) {
            record.note(Event::Notice { detail: &detail });
        }
        for (seq, how) in self.finished.drain(..) {
            record.note(Event::Ended {
                seq,
                detail: how.as_json(),
            });
        }
        for (seq, detail) in self.ended.drain(..) {
            record.note(Event::Ended { seq, detail: &detail });
        }
    }

    /// What is recorded in other bytes than are sent, for the tests of protocols.
    #[cfg(feature = "testing")]
    pub(crate) fn take_plain(&mut self) -> Vec<(u64, bool, Vec<u8>)> {
        let plain = self.plain.split();
        let runs = self.plain_runs.drain(..);
        let taken = runs.map(|Plain { stretch, shown_at }| {
            let bytes = plain.get(stretch.start..stretch.end).unwrap_or_default();
            (stretch.seq, shown_at.is_some(), bytes.to_vec())
        });
        taken.collect()
    }

    /// Where in the buffer for the client begins what is not recorded yet.
    pub(crate) fn first_shown(&self) -> Option<usize> {
        let plain = self.plain_runs.iter().find_map(|run| run.shown_at);
        let shown = self.shown.first().map(|stretch| stretch.start);
        plain.into_iter().chain(shown).min()
    }

    fn mark_shown(&mut self, seq: u64, start: usize) {
        let end = self.client.len();
        match self.shown.last_mut() {
            Some(last) if last.seq == seq && last.end == start => last.end = end,
            _ if start == end => {}
            _ => self.shown.push(Stretch { seq, start, end }),
        }
    }
}

impl Finish {
    /// What the recording holds, in JSON.
    pub(crate) fn as_json(self) -> &'static [u8] {
        match self {
            Self::Completed => br#"{"outcome":"completed"}"#,
            Self::Failed => br#"{"outcome":"failed"}"#,
            Self::Skipped => br#"{"outcome":"skipped"}"#,
            Self::Unknown => br#"{"outcome":"unknown"}"#,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::BytesMut;
    use sallyport_policy::Classification;

    use super::{Effects, Stretch};

    #[test]
    fn what_is_shown_leaves_the_rest_where_it_was() {
        for waiting in [&b""[..], b"told"] {
            for len in 0..=8 {
                let mut effects = Effects::new(Arc::new(Classification::default()), 0, false);
                effects.tell(waiting);
                let mut bytes = BytesMut::from(&b"response"[..]);
                effects.show_run(7, &mut bytes, len);
                let (shown, rest) = b"response".split_at(len);
                assert_eq!(effects.client(), &[waiting, shown].concat(), "{len}");
                assert_eq!(bytes, rest, "{len}");
                let (start, end) = (waiting.len(), waiting.len() + len);
                let marked = (len > 0).then_some(Stretch { seq: 7, start, end });
                assert_eq!(effects.shown, Vec::from_iter(marked));
            }
        }
    }
}
