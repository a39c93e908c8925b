//! Protocols of files on a channel: each request is a command of its own, judged before it leaves.

mod machine;
mod secluded;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sallyport_mask::{Medium, Scanner};
use sallyport_session::{AskId, Effects, Permit, Ruling, Spent, WireError};
use sallyport_sftp::{AskId as FileAsk, Cause, Direction, Outcome, SftpError};
use serde_json::json;

use super::channel::State;
use super::link::Authority;
use super::masked::{Masked, Masks};
use super::running::{CONTENT, Exit, What};
use super::{Question, SshConversation};
use crate::facts::ScpRun;
use crate::refuse;
use machine::{Deeds, Machine, Word};
use secluded::Secluded;

/// Bytes of the gateway's own words that one channel gets beside its protocol. Libraries do not read them, and what is
/// not read takes the place of data in the client's window.
const WORDS: usize = 8 * 1024;

/// The machine of one channel, and what belongs to it.
pub(crate) struct Files {
    machine: Machine,
    /// What has come in part of a packet.
    client: BytesMut,
    target: BytesMut,
    deeds: Deeds,
    /// The permit of what runs: what is none of the client's requests goes by it.
    run: Spent,
    /// The permits of requests that are not over.
    permits: HashMap<FileAsk, Spent>,
    /// Questions that the gate has not answered.
    asked: HashMap<AskId, FileAsk>,
    /// Those that wait for people: where their paths lead is asked again.
    held: HashSet<FileAsk>,
    /// What the target says beside the protocol.
    err: Masked,
    /// What is left of [`WORDS`].
    words: usize,
    /// The client has said that it sends no more, and the target has not heard of it.
    input_ended: bool,
    /// The machine has not looked at what the client said since it may take more of it.
    stale: bool,
}

impl Files {
    pub(crate) fn sftp(run: Spent, scanner: &Arc<Scanner>, contents: bool) -> Self {
        Self::new(Machine::sftp(contents), run, scanner)
    }

    pub(crate) fn scp(of: &Arc<ScpRun>, run: Spent, scanner: &Arc<Scanner>, contents: bool) -> Self {
        Self::new(Machine::scp(of, contents), run, scanner)
    }

    /// rsync, whose arguments but for these come in its stream.
    pub(crate) fn rsync(args: &[Bytes], run: Spent, scanner: &Arc<Scanner>, contents: bool) -> Self {
        Self::new(Machine::Rsync(Box::new(Secluded::new(args, contents))), run, scanner)
    }

    fn new(machine: Machine, run: Spent, scanner: &Arc<Scanner>) -> Self {
        Self {
            machine,
            client: BytesMut::new(),
            target: BytesMut::new(),
            deeds: Deeds::default(),
            run,
            permits: HashMap::new(),
            asked: HashMap::new(),
            held: HashSet::new(),
            err: Masked::new(scanner, Medium::Bytes),
            words: WORDS,
            input_ended: false,
            stale: false,
        }
    }

    /// Bytes that wait within.
    pub(crate) fn keeps(&self) -> usize {
        self.client.len() + self.target.len()
    }

    /// From now on these masks hold.
    pub(crate) fn change(&mut self, masks: &Masks) {
        self.err.change(Masked::new(&masks.plain, Medium::Bytes));
    }

    /// What of the target's words beside the protocol can be shown.
    pub(crate) fn said<'p>(&'p mut self, piece: &'p [u8]) -> &'p [u8] {
        if self.machine.has_words() {
            self.err.take(piece, false)
        } else {
            &[]
        }
    }

    /// What of them was held back.
    pub(crate) fn rest(&mut self) -> &[u8] {
        self.err.rest()
    }

    pub(crate) fn is_holding(&self) -> bool {
        self.err.is_holding()
    }

    /// What of the gateway's own words can still be said.
    pub(crate) fn own_words<'w>(&mut self, words: &'w str) -> &'w str {
        if words.len() > self.words {
            self.words = 0;
            return "";
        }
        self.words -= words.len();
        words
    }

    /// `measures`: a rule reads how large files are.
    fn client_said(&mut self, measures: bool) -> Result<(), SftpError> {
        self.stale = false;
        self.machine.measure(measures);
        self.machine.client_said(&mut self.client, &mut self.deeds)
    }

    fn target_said(&mut self) -> Result<(), SftpError> {
        self.stale = true;
        self.machine.target_said(&mut self.target, &mut self.deeds)
    }

    /// The gate's word on a request. With a permission the machine gives its bytes at once, or when it has looked again
    /// where the path leads: they go as the rest of what is permitted here.
    fn decided(
        &mut self,
        ask: FileAsk,
        word: Result<(Permit, Option<u64>), String>,
        out: &mut Effects,
    ) -> Result<(), SftpError> {
        let again = self.held.remove(&ask);
        self.asked.retain(|_, asked| *asked != ask);
        let word = match word {
            Ok((permit, room)) => {
                self.permits.insert(ask, out.forward(permit, &[]));
                Word::Permitted { again, room }
            }
            Err(message) => Word::Refused(message),
        };
        self.stale = true;
        self.machine.answer(ask, word, &mut self.deeds)
    }

    /// Whether all that the client said has reached the target, or is nothing that ever will.
    fn is_through(&self) -> bool {
        let looked_at = self.client.is_empty() || !self.stale;
        looked_at && self.asked.is_empty() && self.machine.is_through(self.client.len())
    }

    /// The permits of what is not over.
    pub(crate) fn running(&self) -> impl Iterator<Item = Spent> {
        self.permits.values().copied()
    }

    /// Notes what is over. Gives the numbers of those commands.
    fn note_ended(&mut self, out: &mut Effects) -> Vec<u64> {
        let permits = &mut self.permits;
        let mut end = |(ask, detail)| {
            let seq = permits.remove(&ask)?.seq();
            out.ended(seq, detail);
            Some(seq)
        };
        self.deeds.ended.drain(..).filter_map(&mut end).collect()
    }

    /// Notes what goes through files.
    fn note_contents(&mut self, out: &mut Effects) {
        for content in self.deeds.contents.drain(..) {
            let Some(spent) = self.permits.get(&content.ask) else {
                continue;
            };
            // Recordings cut long pieces: what says where and how long one is makes it whole again.
            let place = content.offset.to_be_bytes();
            let length = u32::try_from(content.bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
            let parts = [&[CONTENT], place.as_slice(), &length, &content.bytes];
            match content.direction {
                Direction::Upload => out.sent_as(spent.seq(), &parts),
                Direction::Download => out.shown_as(spent.seq(), &parts),
            }
        }
    }

    /// Nothing more goes through: everything that runs ends.
    fn over(&mut self, outcome: Outcome, out: &mut Effects) -> Vec<u64> {
        self.machine.over(outcome, &mut self.deeds);
        self.note_contents(out);
        let mut ended = self.note_ended(out);
        for (_, spent) in self.permits.drain() {
            out.ended(spent.seq(), json!({ "outcome": "unknown" }).to_string().into_bytes());
            ended.push(spent.seq());
        }
        ended
    }
}

impl SshConversation {
    pub(super) fn files_from_client(&mut self, at: usize, data: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let Some(files) = self.files(at) else { return Ok(()) };
        files.client.extend_from_slice(data);
        self.run_files(at, out)
    }

    pub(super) fn files_from_target(&mut self, at: usize, data: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let Some(files) = self.files(at) else { return Ok(()) };
        files.target.extend_from_slice(data);
        let done = files.target_said();
        self.delivered(at, done, out)?;
        // An answer may have made room for what the client said before.
        self.run_files(at, out)
    }

    /// The client sends no more: the target hears of it behind what waits here. False if nothing waits.
    pub(super) fn files_input_ended(&mut self, at: usize) -> bool {
        let Some(files) = self.files(at) else { return false };
        files.input_ended = !files.is_through();
        files.input_ended
    }

    fn run_files(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        if let Some(files) = self.files(at).filter(|files| !files.client.is_empty()) {
            let done = files.client_said(out.needs_names());
            self.delivered(at, done, out)?;
        }
        // What the target said before it was its turn.
        if let Some(files) = self.files(at).filter(|files| !files.target.is_empty()) {
            let done = files.target_said();
            self.delivered(at, done, out)?;
        }
        Ok(())
    }

    /// The gate's word on a request.
    pub(super) fn decided_file(
        &mut self,
        at: usize,
        ask: FileAsk,
        ruling: Ruling,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let (word, words) = match ruling {
            Ruling::Permitted { permit, room, .. } => (Ok((permit, room)), None),
            Ruling::Refused { refusal, .. } => (Err(refuse::line(&refusal)), Some(refuse::words(&refusal))),
        };
        let Some(files) = self.files(at) else { return Ok(()) };
        let done = files.decided(ask, word, out);
        if let Some(words) = words {
            if files.machine.is_refused() {
                return self.end_channel(at, &words, out);
            }
            // Clients of SFTP show the kind of an error and not its words; those of scp show them.
            if !files.machine.has_words() {
                self.notice(at, &words, out)?;
            }
        }
        self.delivered(at, done, out)?;
        self.run_files(at, out)
    }

    /// Gives on what the machine wants done.
    fn delivered(&mut self, at: usize, done: Result<(), SftpError>, out: &mut Effects) -> Result<(), WireError> {
        let Some(files) = self.files(at) else { return Ok(()) };
        if done.is_ok() && files.deeds.is_empty() && !files.input_ended {
            return self.pump(at, out);
        }
        files.note_contents(out);
        let mut deeds = std::mem::take(&mut files.deeds);
        self.send_files(at, &mut deeds, out)?;
        for remark in deeds.remarks.drain(..) {
            out.remark(remark);
        }
        for (id, wanted) in deeds.asks.drain(..) {
            let command = wanted.command(&self.account, out.classification());
            let gate = self.ask(Question::File { at, ask: id }, command, out);
            if let Some(files) = self.files(at) {
                files.asked.insert(gate, id);
            }
        }
        if let Some(files) = self.files(at) {
            // The buffers are kept, for they are needed for every packet.
            deeds.to_client.clear();
            deeds.to_target.clear();
            deeds.spans.clear();
            files.deeds = deeds;
            for seq in files.note_ended(out) {
                self.lasting.remove(&seq);
            }
        }
        if let Some(files) = self.files(at)
            && files.is_through()
            && std::mem::take(&mut files.input_ended)
            && let Some(Some(channel)) = self.channels.get_mut(at)
        {
            channel.target.end_data();
        }
        match done {
            Ok(()) => self.pump(at, out),
            Err(error) => self.broken_files(at, &error, out),
        }
    }

    fn send_files(&mut self, at: usize, deeds: &mut Deeds, out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let State::Running(running) = &channel.state else {
            return Ok(());
        };
        let What::Files(files) = &running.what else {
            return Ok(());
        };
        let mut rest: &[u8] = &deeds.to_target;
        for span in &deeds.spans {
            let (bytes, behind) = rest.split_at(span.len.min(rest.len()));
            rest = behind;
            let spent = match span.cause {
                Cause::Greeting | Cause::Resolving => files.run,
                Cause::Asked(ask) => match files.permits.get(&ask) {
                    Some(spent) => *spent,
                    // The machine forwards nothing that was not answered. If it did, it would not leave.
                    None => return Err(WireError::client("a request for a file without a permit")),
                },
            };
            channel
                .target
                .send(0, bytes, &mut self.target, Authority::Of(spent), out)?;
        }
        channel
            .client
            .send(0, &deeds.to_client, &mut self.client, Authority::Own, out)
    }

    /// A side broke the protocol of files: the channel ends, the connection goes on.
    fn broken_files(&mut self, at: usize, error: &SftpError, out: &mut Effects) -> Result<(), WireError> {
        out.remark(json!({ "files_error": error.to_string() }).to_string().into_bytes());
        self.withdraw_files(at, out);
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let words = format!("sallyport: {error}\n");
        channel
            .client
            .send(1, words.as_bytes(), &mut self.client, Authority::Own, out)?;
        channel.target.forget();
        channel.client.end_data();
        channel.client.end();
        channel.target.end();
        self.pump(at, out)
    }

    /// Nobody waits for the answers any more.
    pub(super) fn withdraw_files(&mut self, at: usize, out: &mut Effects) {
        let Some(files) = self.files(at) else { return };
        let asked: Vec<_> = files.asked.drain().map(|(id, _)| id).collect();
        for id in asked {
            self.questions.remove(&id);
            self.asked.remove(&id);
            out.withdraw(id);
        }
        self.end_files(at, out);
    }

    /// What runs on a channel of files ends with it.
    pub(super) fn end_files(&mut self, at: usize, out: &mut Effects) {
        if let Some(Some(channel)) = self.channels.get_mut(at)
            && let State::Running(running) = &mut channel.state
            && let What::Files(files) = &mut running.what
        {
            let outcome = match &running.exit {
                Exit::Unsaid => Outcome::Unknown,
                Exit::Status(0) => Outcome::Completed,
                Exit::Status(_) | Exit::Signal { .. } => Outcome::Failed,
            };
            for seq in files.over(outcome, out) {
                self.lasting.remove(&seq);
            }
        }
    }

    /// People are asked for a request: when they have answered, what its path leads to may have changed.
    pub(super) fn held_file(&mut self, at: usize, ask: FileAsk) {
        if let Some(files) = self.files(at) {
            files.held.insert(ask);
        }
    }

    fn files(&mut self, at: usize) -> Option<&mut Files> {
        match &mut self.channels.get_mut(at)?.as_mut()?.state {
            State::Running(running) => match &mut running.what {
                What::Files(files) => Some(files),
                What::Streams(_) | What::Transfer(_) | What::Opaque => None,
            },
            State::Asked(_)
            | State::Opening
            | State::Idle(_)
            | State::Deciding(_)
            | State::Guarded(_)
            | State::Listing(_)
            | State::Over => None,
        }
    }
}
