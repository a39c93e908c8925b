//! SFTP on a channel: each request is a command of its own, judged before it leaves.

use std::collections::{HashMap, HashSet};

use bytes::BytesMut;
use sallyport_session::{AskId, Effects, Ruling, Spent, WireError};
use sallyport_sftp::{Cause, Limits, Out, Sftp, SftpError, Transfer, Verdict};
use serde_json::json;

use super::channel::State;
use super::link::Authority;
use super::running::{What, hex};
use super::{Question, SshConversation};
use crate::{facts, refuse};

/// The machine of one channel, and what belongs to it.
pub(crate) struct Files {
    machine: Sftp,
    /// What has come in part of a packet.
    client: BytesMut,
    target: BytesMut,
    out: Out,
    /// The permit of the subsystem: what is none of the client's requests goes by it.
    subsystem: Spent,
    /// The permits of requests that were forwarded or whose handles are open.
    permits: HashMap<sallyport_sftp::AskId, Spent>,
    /// Questions that the gate has not answered.
    asked: HashMap<AskId, sallyport_sftp::AskId>,
    /// Those that wait for people: where their paths lead is asked again.
    held: HashSet<sallyport_sftp::AskId>,
}

impl Files {
    pub(crate) fn new(subsystem: Spent) -> Self {
        Self {
            machine: Sftp::new(Limits::default()),
            client: BytesMut::new(),
            target: BytesMut::new(),
            out: Out::default(),
            subsystem,
            permits: HashMap::new(),
            asked: HashMap::new(),
            held: HashSet::new(),
        }
    }

    /// Bytes that wait within.
    pub(crate) fn keeps(&self) -> usize {
        self.client.len() + self.target.len()
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
        let done = files.machine.from_target(&mut files.target, &mut files.out);
        self.delivered(at, done, out)?;
        // An answer may have made room for what the client said before.
        self.run_files(at, out)
    }

    fn run_files(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(files) = self.files(at) else { return Ok(()) };
        let done = files.machine.from_client(&mut files.client, &mut files.out);
        self.delivered(at, done, out)
    }

    /// The gate's word on a request.
    pub(super) fn decided_file(
        &mut self,
        at: usize,
        ask: sallyport_sftp::AskId,
        ruling: Ruling,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let Some(files) = self.files(at) else { return Ok(()) };
        let again = files.held.remove(&ask);
        files.asked.retain(|_, asked| *asked != ask);
        let verdict = match ruling {
            Ruling::Permitted { permit, .. } => {
                // The machine gives the request's bytes at once, or when it has looked again where the path leads: they
                // go as the rest of what is permitted here.
                files.permits.insert(ask, out.forward(permit, &[]));
                Verdict::Permitted { max_bytes: None, again }
            }
            Ruling::Refused { refusal, .. } => Verdict::Refused {
                message: refuse::line(&refusal),
            },
        };
        let done = files.machine.answer(ask, &verdict, &mut files.out);
        self.delivered(at, done, out)?;
        self.run_files(at, out)
    }

    /// Gives on what the machine wants done.
    fn delivered(&mut self, at: usize, done: Result<(), SftpError>, out: &mut Effects) -> Result<(), WireError> {
        let Some(files) = self.files(at) else { return Ok(()) };
        let mut effects = std::mem::take(&mut files.out);
        self.send_files(at, &mut effects, out)?;
        for refused in effects.refused.drain(..) {
            let words = json!({ "sftp_refused": refused.text, "why": refused.why });
            out.remark(words.to_string().into_bytes());
        }
        for transfer in effects.done.drain(..) {
            self.transferred(at, &transfer, out);
        }
        while let Some(ask) = effects.asks.pop_front() {
            let command = facts::file(&ask, &self.account, out.classification());
            let id = self.ask(Question::File { at, ask: ask.id }, command, out);
            if let Some(files) = self.files(at) {
                files.asked.insert(id, ask.id);
            }
        }
        if let Some(files) = self.files(at) {
            // The buffers are kept, for they are needed for every packet.
            effects.to_client.clear();
            effects.to_target.clear();
            effects.spans.clear();
            files.out = effects;
        }
        match done {
            Ok(()) => self.pump(at, out),
            Err(error) => self.broken_files(at, &error, out),
        }
    }

    fn send_files(&mut self, at: usize, effects: &mut Out, out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let State::Running(running) = &channel.state else {
            return Ok(());
        };
        let What::Files(files) = &running.what else {
            return Ok(());
        };
        let mut rest: &[u8] = &effects.to_target;
        for span in &effects.spans {
            let (bytes, behind) = rest.split_at(span.len.min(rest.len()));
            rest = behind;
            let spent = match span.cause {
                Cause::Greeting | Cause::Resolving => files.subsystem,
                Cause::Asked(ask) => match files.permits.get(&ask) {
                    Some(spent) => *spent,
                    // The machine forwards nothing that was not answered. If it did, it would not leave.
                    None => return Err(WireError::client("a request of SFTP without a permit")),
                },
            };
            channel
                .target
                .send(0, bytes, &mut self.target, Authority::Of(spent), out)?;
        }
        channel
            .client
            .send(0, &effects.to_client, &mut self.client, Authority::Own, out)
    }

    /// A file is closed: its digest is what the recording holds of it.
    fn transferred(&mut self, at: usize, transfer: &Transfer, out: &mut Effects) {
        let Some(spent) = self.files(at).and_then(|files| files.permits.remove(&transfer.ask)) else {
            return;
        };
        let outcome = if transfer.complete { "completed" } else { "failed" };
        let direction = match transfer.direction {
            sallyport_sftp::Direction::Download => "download",
            sallyport_sftp::Direction::Upload => "upload",
        };
        let digest = transfer.sha256.as_ref().map(|digest| hex(digest));
        let detail = json!({
            "outcome": outcome,
            "direction": direction,
            "path": sallyport_sftp::shown(&transfer.at.path),
            "bytes": transfer.bytes,
            "sha256": digest,
            "sequential": transfer.sequential,
        });
        out.ended(spent.seq(), detail.to_string().into_bytes());
    }

    /// A side broke the protocol of files: the channel ends, the connection goes on.
    fn broken_files(&mut self, at: usize, error: &SftpError, out: &mut Effects) -> Result<(), WireError> {
        out.remark(json!({ "sftp_error": error.to_string() }).to_string().into_bytes());
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
        let mut last = std::mem::take(&mut files.out);
        files.machine.over(&mut last);
        for id in asked {
            self.questions.remove(&id);
            out.withdraw(id);
        }
        for transfer in last.done {
            self.transferred(at, &transfer, out);
        }
    }

    /// People are asked for a request: when they have answered, what its path leads to may have changed.
    pub(super) fn held_file(&mut self, at: usize, ask: sallyport_sftp::AskId) {
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
            | State::Over => None,
        }
    }
}
