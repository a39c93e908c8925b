//! Lines of a gated shell: asked for, decided, and gone to the host or given up.

use bytes::Buf;
use sallyport_session::{Effects, Permit, Ruling, WireError};
use sallyport_typed::Line;

use super::{ENDED, INTERRUPT, Phase, Reading};
use crate::conversation::channel::State;
use crate::conversation::link::Authority;
use crate::conversation::masked::is_masked;
use crate::conversation::{Question, SshConversation};
use crate::{facts, refuse};

/// What ends a paste at the host. Within one, Ctrl-C could be text.
const PASTE_ENDS: &[u8] = b"\x1b[201~";

impl SshConversation {
    /// Asks policy about a line. `text` is what goes to the host if it is permitted.
    pub(super) fn gated_asks(
        &mut self,
        at: usize,
        line: &Line,
        text: Vec<u8>,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let account = self.account.clone();
        let masks = self.masks(out).plain;
        // A line out of the history, or completed to a name: the host's words, which masks hide on the screen.
        if line.screen.as_deref().is_some_and(|shown| is_masked(&masks, shown)) {
            let words = "sallyport: this line holds a value that is masked here; it is given up\n";
            self.gated_words(at, words, out)?;
            return self.gated_drops(at, out);
        }
        let Some(gated) = self.gated(at) else { return Ok(()) };
        let command = facts::gated(line, &gated.setup, &account, out.classification());
        let ask = self.ask(Question::Channel(at), command, out);
        if let Some(gated) = self.gated(at) {
            gated.phase = Phase::Deciding { ask, text };
        }
        Ok(())
    }

    /// The gate's word on a line.
    pub(in crate::conversation) fn decided_typed(
        &mut self,
        at: usize,
        ruling: Ruling,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let Some(gated) = self.gated(at) else { return Ok(()) };
        let Phase::Deciding { text, .. } = std::mem::replace(&mut gated.phase, Phase::Typing) else {
            return Ok(());
        };
        match ruling {
            Ruling::Permitted { permit, .. } => self.gated_runs(at, permit, &text, out)?,
            Ruling::Refused { refusal, .. } => {
                self.gated_words(at, &refuse::words(&refusal), out)?;
                self.gated_drops(at, out)?;
            }
        }
        self.gated_work(at, out)
    }

    /// The line is permitted: what submits it goes to the host.
    fn gated_runs(&mut self, at: usize, permit: Permit, text: &[u8], out: &mut Effects) -> Result<(), WireError> {
        self.gated_line_ends(at, out);
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let State::Running(running) = &mut channel.state else {
            return Ok(());
        };
        let shell = running.spent;
        // The bytes follow at once, or as soon as the host's window takes them.
        let spent = out.forward(permit, &[]);
        if let Some(gated) = &mut running.gated {
            gated.line = Some(spent);
            if let Reading::Terminal(typed) = &mut gated.reading {
                gated.held.advance(text.len().min(gated.held.len()));
                typed.submitted(text);
            }
        }
        running.flow.from_client += text.len() as u64;
        out.sent_as(shell.seq(), &[text]);
        channel
            .target
            .send(0, text, &mut self.target, Authority::Of(spent), out)
    }

    /// What submits a line that needs no decision goes to the host.
    pub(super) fn gated_passes(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(gated) = self.gated(at) else { return Ok(()) };
        gated.phase = Phase::Typing;
        let key = gated.held.split_to(gated.held.len().min(1));
        if let Reading::Terminal(typed) = &mut gated.reading {
            typed.submitted(&key);
        }
        self.send_on(at, &key, out)
    }

    /// The person gives up what waits.
    pub(super) fn gated_gives_up(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(gated) = self.gated(at) else { return Ok(()) };
        if let Phase::Deciding { ask, .. } = gated.phase {
            self.forget_question(ask, out);
            self.gated_shows(at, refuse::withdrawn(true).as_bytes(), out)?;
        }
        self.gated_drops(at, out)
    }

    /// The line, and all that was typed behind it, is given up. A script goes on with its next line.
    pub(super) fn gated_drops(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(gated) = self.gated(at) else { return Ok(()) };
        gated.phase = Phase::Typing;
        match gated.reading {
            Reading::Terminal(_) => {
                gated.held.clear();
                self.gated_abandons(at, out)
            }
            Reading::Stream(_) => Ok(()),
        }
    }

    /// Makes the host's shell give up the line that stands at its prompt.
    pub(super) fn gated_abandons(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(gated) = self.gated(at) else { return Ok(()) };
        gated.phase = Phase::Typing;
        let Reading::Terminal(typed) = &mut gated.reading else {
            return Ok(());
        };
        let mut keys = Vec::new();
        if typed.is_pasting() {
            keys.extend_from_slice(PASTE_ENDS);
        }
        keys.push(INTERRUPT);
        typed.abandoned();
        // A line editor that is told so just before it waits for keys shows its prompt with the next one only.
        gated.abandoned = Some(0);
        self.send_on(at, &keys, out)
    }

    /// Nobody waits for the line that ran last any more.
    pub(super) fn gated_line_ends(&mut self, at: usize, out: &mut Effects) {
        let ended = self.gated(at).and_then(|gated| gated.line.take());
        if let Some(line) = ended {
            out.ended(line.seq(), ENDED.to_vec());
            self.lasting.remove(&line.seq());
        }
    }

    /// What was given as lines is none: nothing that follows can be told from the rest of it.
    pub(super) fn gated_fails(&mut self, at: usize, why: &str, out: &mut Effects) -> Result<(), WireError> {
        self.gated_words(at, &format!("sallyport: {why}\n"), out)?;
        if let Some(gated) = self.gated(at) {
            gated.held.clear();
            gated.phase = Phase::Over;
        }
        if let Some(Some(channel)) = self.channels.get_mut(at) {
            channel.target.end_data();
        }
        self.pump(at, out)
    }
}
