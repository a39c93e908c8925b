//! The lines of a guarded shell: decided, run on channels of their own, and over.

use bytes::{Bytes, BytesMut};
use sallyport_session::{Effects, Refusal, Ruling, WireError};

use super::super::data::note_turns;
use super::marker::Marker;
use super::{Phase, wrapper};
use crate::connection::ClientOpen;
use crate::conversation::SshConversation;
use crate::conversation::channel::{End, Reply, Start, State};
use crate::conversation::link::Authority;
use crate::conversation::running::{Exit, Running, Streams, What};
use crate::refuse;

impl SshConversation {
    /// The gate's word on a line.
    pub(in crate::conversation) fn decided_line(
        &mut self,
        at: usize,
        ruling: Ruling,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let Some(guard) = self.guarded(at) else { return Ok(()) };
        let Phase::Deciding { line, .. } = std::mem::replace(&mut guard.phase, Phase::Prompt) else {
            return Ok(());
        };
        match ruling {
            Ruling::Permitted { permit, .. } => {
                guard.phase = Phase::Opening { permit, line };
                self.open_for_line(at, out)
            }
            Ruling::Refused { refusal, .. } => self.refuse_line(at, &refusal, out),
        }
    }

    fn refuse_line(&mut self, at: usize, refusal: &Refusal, out: &mut Effects) -> Result<(), WireError> {
        if let Some(guard) = self.guarded(at) {
            guard.place.status = 126;
        }
        self.guard_words(at, &refuse::words(refusal), out)?;
        self.prompt(at, false, out)
    }

    /// A channel of the host for the line: the one that is open, or a new one.
    fn open_for_line(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        if channel.target.number.is_some() {
            return self.run_line(at, out);
        }
        if channel.awaiting {
            return Ok(());
        }
        self.open_at_target(at, &ClientOpen::Session, out)
    }

    /// The host has opened the channel: the line runs.
    pub(in crate::conversation) fn run_line(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let masks = self.masks(out);
        let login_shell = self.account.login_shell;
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let (State::Guarded(guard), Some(number)) = (&mut channel.state, channel.target.number) else {
            return Ok(());
        };
        let Phase::Opening { permit, line } = std::mem::replace(&mut guard.phase, Phase::Prompt) else {
            return Ok(());
        };
        let marker = Marker::new();
        let wrapped = wrapper::wrap(&line, &guard.place, marker.nonce(), login_shell, guard.has_terminal());
        let start = Start::Exec(Bytes::from(wrapped));
        let (link, replies, setup) = (&mut self.target, &mut channel.replies, &guard.setup);
        let mut sent = Ok(());
        let spent = out.forward_with(permit, |buffer| {
            sent = super::super::start::requests(number, setup, &start, replies, &mut |packet| {
                link.append(packet, buffer)
            });
        });
        sent?;
        channel.replies.push_back(Reply::Start { client: false });
        let columns = guard.setup.pty.as_ref().map(|pty| pty.size.columns);
        let terminal = columns.is_some();
        let running = Running::new(spent, What::Streams(Box::new(Streams::new(&masks, columns))));
        guard.phase = Phase::Running {
            running: Box::new(running),
            marker,
            typed: Vec::new(),
        };
        if !terminal {
            // The lines are the shell's input: what it runs has none.
            channel.target.end_data();
        }
        let ahead = if terminal { guard.ahead.split() } else { BytesMut::new() };
        if !ahead.is_empty() {
            self.guard_passes(at, spent, &ahead, out)?;
        }
        self.pump(at, out)
    }

    /// What a line's program says.
    pub(in crate::conversation) fn guard_output(
        &mut self,
        at: usize,
        stream: u32,
        data: &[u8],
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let State::Guarded(guard) = &mut channel.state else {
            return Ok(());
        };
        let Phase::Running { running, marker, .. } = &mut guard.phase else {
            return Ok(());
        };
        running.flow.from_target += data.len() as u64;
        let seq = running.spent.seq();
        let said = if stream == 0 { marker.pass(data) } else { data };
        let What::Streams(streams) = &mut running.what else {
            return Ok(());
        };
        let shown = streams.said(stream, said);
        if !shown.is_empty() {
            out.shown_as(seq, &[&[super::super::data::tag(stream)], shown]);
            channel
                .client
                .send(stream, shown, &mut self.client, Authority::Own, out)?;
        }
        note_turns(streams, seq, out);
        channel.grant(&mut self.client, &mut self.target, out)
    }

    /// The host has closed the line's channel: the next line can come.
    pub(in crate::conversation) fn line_ended(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        channel.target.closed = true;
        channel.target.forget();
        channel.target.end();
        channel.target.flush(&mut self.target, Authority::Own, out)?;
        channel.target = End::unknown(at);
        channel.replies.clear();
        let State::Guarded(guard) = &mut channel.state else {
            return Ok(());
        };
        let Phase::Running {
            mut running,
            mut marker,
            typed,
        } = std::mem::replace(&mut guard.phase, Phase::Prompt)
        else {
            return Ok(());
        };
        let rest = marker.rest().to_vec();
        if let (What::Streams(streams), false) = (&mut running.what, rest.is_empty()) {
            let shown = streams.said(0, &rest);
            out.shown_as(running.spent.seq(), &[&[super::super::data::tag(0)], shown]);
            channel.client.send(0, shown, &mut self.client, Authority::Own, out)?;
        }
        out.ended(running.spent.seq(), running.ending());
        self.lasting.remove(&running.spent.seq());
        guard.place.status = match &running.exit {
            Exit::Status(status) => *status,
            Exit::Signal { signal, .. } => 128 + number_of(signal),
            Exit::Unsaid => 255,
        };
        // A line that says nothing of where it left off has ended its shell, as `exit` and `exec` do.
        let leaves = !marker.is_over() && matches!(running.exit, Exit::Status(_));
        // What is not understood leaves the place as it was.
        if let Some(left) = marker.left() {
            let later = guard.ahead.split();
            guard.ahead.extend_from_slice(left.unread(&typed));
            guard.ahead.extend_from_slice(&later);
            left.into_place(&mut guard.place);
        }
        if channel.client.closed {
            channel.state = State::Over;
            return self.pump(at, out);
        }
        if leaves {
            return self.guard_leaves(at, out);
        }
        self.prompt(at, true, out)
    }

    /// The host opens no channel for a line.
    pub(in crate::conversation) fn line_declined(
        &mut self,
        at: usize,
        why: &str,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        if let Some(guard) = self.guarded(at) {
            guard.place.status = 255;
            guard.phase = Phase::Prompt;
        }
        self.guard_words(at, &format!("sallyport: {why}\n"), out)?;
        self.prompt(at, false, out)
    }
}

/// The number of a signal by its name in RFC 4254: what is above 128 in the status that a shell says.
fn number_of(signal: &str) -> u32 {
    match signal {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "ILL" => 4,
        "ABRT" => 6,
        "FPE" => 8,
        "KILL" => 9,
        "USR1" => 10,
        "SEGV" => 11,
        "USR2" => 12,
        "PIPE" => 13,
        "ALRM" => 14,
        "TERM" => 15,
        _ => 0,
    }
}
