//! What a session channel is to run: asked for, decided, and begun.

use sallyport_session::{AskId, Effects, Permit, Refusal, Ruling, WireError};
use sallyport_ssh_transport::wire;
use sallyport_target::{FileRecording, ShellMode};

use super::channel::{Channel, Deciding, Reply, Setup, Start, State};
use super::files::Files;
use super::gated::Gated;
use super::link::Authority;
use super::running::{Running, Streams, Transfer, What};
use super::{Question, SshConversation};
use crate::connection::{OpenFailure, Packet};
use crate::facts::Carries;
use crate::veil::Kind;
use crate::{facts, refuse};

/// What a shell says of a command that may not run (POSIX, "Exit Status for Commands").
pub(super) const CANNOT_RUN: u32 = 126;

impl SshConversation {
    pub(super) fn ask_to_start(
        &mut self,
        at: usize,
        start: Start,
        want_reply: bool,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let State::Idle(mut setup) = std::mem::replace(&mut channel.state, State::Over) else {
            return Ok(());
        };
        if setup.agent_asked.is_some() {
            setup.waiting = Some((start, want_reply));
            channel.state = State::Idle(setup);
            return Ok(());
        }
        let (command, carries) = facts::start(&start, &setup, &self.account, out.classification());
        if carries.is_judged() {
            setup.pty = None;
        }
        let ask = self.ask(Question::Channel(at), command, out);
        if let Some(Some(channel)) = self.channels.get_mut(at) {
            channel.state = State::Deciding(Box::new(Deciding {
                ask,
                setup,
                start,
                carries,
                want_reply,
            }));
        }
        Ok(())
    }

    /// The gate's word on what a channel is for.
    pub(super) fn decided(&mut self, at: usize, ruling: Ruling, out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        match (std::mem::replace(&mut channel.state, State::Over), ruling) {
            (State::Deciding(deciding), Ruling::Permitted { permit, .. }) => match deciding.start {
                Start::Shell if self.account.shell == ShellMode::Guarded => {
                    self.guard(at, deciding.setup, deciding.want_reply, permit, out)
                }
                Start::Exec(_) | Start::Shell | Start::Subsystem(_) => self.start(at, &deciding, permit, out),
            },
            (State::Deciding(deciding), Ruling::Refused { refusal, .. }) => {
                self.refuse_start(at, deciding.setup.pty.is_some(), deciding.want_reply, &refusal, out)
            }
            (State::Asked(_), Ruling::Permitted { permit, .. }) => self.connect(at, permit, out),
            (State::Asked(_), Ruling::Refused { refusal, .. }) => {
                let number = channel.client.number;
                if let Some(slot) = self.channels.get_mut(at) {
                    *slot = None;
                }
                let words = refuse::line(&refusal);
                number.map_or(Ok(()), |number| {
                    self.decline(number, OpenFailure::Prohibited, &words, out)
                })
            }
            (state @ State::Guarded(_), ruling) => {
                channel.state = state;
                self.decided_line(at, ruling, out)
            }
            (state @ State::Listing(_), ruling) => {
                channel.state = state;
                self.decided_listing(at, ruling, out)
            }
            (state @ State::Running(_), ruling) => {
                channel.state = state;
                self.decided_typed(at, ruling, out)
            }
            (state, _) => {
                channel.state = state;
                Ok(())
            }
        }
    }

    fn start(&mut self, at: usize, deciding: &Deciding, permit: Permit, out: &mut Effects) -> Result<(), WireError> {
        let masks = self.masks(out);
        let records = self.account.files == FileRecording::Content;
        let columns = deciding.setup.pty.as_ref().map(|pty| pty.size.columns);
        let kind = match &deciding.carries {
            Carries::Files | Carries::Scp(_) | Carries::Rsync(_) => Kind::DataAndWords,
            Carries::Transfer if records => Kind::Data,
            Carries::Transfer => Kind::DataAndWords,
            Carries::Text => columns.map_or(Kind::Text, |columns| Kind::Terminal { columns }),
        };
        self.tell_kind(at, kind, out)?;
        let Deciding {
            setup,
            start,
            carries,
            want_reply,
            ..
        } = deciding;
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let Some(number) = channel.target.number else {
            return Ok(());
        };
        let link = &mut self.target;
        let replies = &mut channel.replies;
        let mut sent = Ok(());
        let spent = out.forward_with(permit, |buffer| {
            sent = requests(number, setup, start, replies, &mut |packet| link.append(packet, buffer));
        });
        sent?;
        channel.replies.push_back(Reply::Start { client: *want_reply });
        if let Some(pty) = &setup.pty {
            out.remark(facts::terminal(spent.seq(), pty));
        }
        let what = match carries {
            Carries::Files => What::Files(Box::new(Files::sftp(spent, &masks.plain, records))),
            Carries::Scp(run) => What::Files(Box::new(Files::scp(run, spent, &masks.plain, records))),
            Carries::Rsync(args) => What::Files(Box::new(Files::rsync(args, spent, &masks.plain, records))),
            Carries::Transfer if !records => What::Transfer(Box::new(Transfer::new(&masks.plain))),
            Carries::Transfer | Carries::Text => What::Streams(Box::new(Streams::of(kind, &masks))),
        };
        let gated = *start == Start::Shell && self.account.shell == ShellMode::Gated;
        channel.state = State::Running(Box::new(Running {
            gated: gated.then(|| Box::new(Gated::new(setup.clone()))),
            ..Running::new(spent, what)
        }));
        channel.agent = setup.agent;
        // What the client sent before it knew is for what runs now.
        let ended = channel.target.take_end_data();
        let early = channel.target.take_queue();
        for data in early {
            self.data_to_target(at, &data, out)?;
        }
        if ended {
            self.input_ended(at, out)
        } else {
            self.pump(at, out)
        }
    }

    /// Says on the channel why nothing runs, as a command would that failed.
    fn refuse_start(
        &mut self,
        at: usize,
        terminal: bool,
        want_reply: bool,
        refusal: &Refusal,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        self.answer_request(at, want_reply, true, out)?;
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let words = refuse::words(refusal);
        let words = if terminal { words.replace('\n', "\r\n") } else { words };
        channel
            .client
            .send(1, words.as_bytes(), &mut self.client, Authority::Own, out)?;
        self.finish(at, CANNOT_RUN, out)
    }

    /// Ends a channel with an exit status of the gateway's own.
    pub(super) fn finish(&mut self, at: usize, status: u32, out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        if let Some(channel) = channel.client.number {
            let packet = Packet::Request {
                channel,
                name: b"exit-status",
                want_reply: false,
                rest: &status.to_be_bytes(),
            };
            self.client.packet(&packet, Authority::Own, out)?;
        }
        channel.target.forget();
        channel.client.end_data();
        channel.client.end();
        channel.target.end();
        self.pump(at, out)
    }

    /// Whoever waits for a decision gives up.
    pub(super) fn give_up(&mut self, at: usize, ask: AskId, out: &mut Effects) -> Result<(), WireError> {
        self.forget_question(ask, out);
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let State::Deciding(deciding) = std::mem::replace(&mut channel.state, State::Over) else {
            return Ok(());
        };
        let Deciding { setup, want_reply, .. } = *deciding;
        self.answer_request(at, want_reply, true, out)?;
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let words = refuse::withdrawn(setup.pty.is_some());
        channel
            .client
            .send(1, words.as_bytes(), &mut self.client, Authority::Own, out)?;
        self.finish(at, INTERRUPTED, out)
    }

    /// Both ends know the channel: the client is told.
    pub(super) fn confirm_to_client(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get(at) else {
            return Ok(());
        };
        let Some(number) = channel.client.number else {
            return Ok(());
        };
        let packet = Packet::OpenConfirmation {
            channel: number,
            sender: u32::try_from(at).unwrap_or(u32::MAX),
            window: crate::connection::window(at),
            max_packet: crate::connection::MAX_PACKET,
        };
        self.client.packet(&packet, Authority::Own, out)
    }

    pub(super) fn ask_for_agent(&mut self, at: usize, want_reply: bool, out: &mut Effects) -> Result<(), WireError> {
        let command = facts::agent(&self.account);
        let ask = self.ask(Question::Agent { at, want_reply }, command, out);
        if let Some(Some(Channel {
            state: State::Idle(setup),
            ..
        })) = self.channels.get_mut(at)
        {
            setup.agent_asked = Some(ask);
        }
        Ok(())
    }

    pub(super) fn decided_agent(
        &mut self,
        at: usize,
        want_reply: bool,
        decision: Option<u64>,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        self.answer_request(at, want_reply, decision.is_some(), out)?;
        let Some(Some(Channel {
            state: State::Idle(setup),
            ..
        })) = self.channels.get_mut(at)
        else {
            return Ok(());
        };
        (setup.agent, setup.agent_asked) = (decision, None);
        match setup.waiting.take() {
            Some((start, wants)) => self.ask_to_start(at, start, wants, out),
            None => Ok(()),
        }
    }
}

/// What a shell's exit status says of a command that was interrupted.
const INTERRUPTED: u32 = 130;

/// The requests that begin a command: its environment and terminal, then itself.
pub(super) fn requests(
    channel: u32,
    setup: &Setup,
    start: &Start,
    replies: &mut std::collections::VecDeque<Reply>,
    send: &mut dyn FnMut(&Packet<'_>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let mut request = |name: &[u8], want_reply: bool, rest: &[u8]| {
        send(&Packet::Request {
            channel,
            name,
            want_reply,
            rest,
        })
    };
    let mut fields = bytes::BytesMut::new();
    for (name, value) in &setup.environment {
        fields.clear();
        wire::put_string(&mut fields, name.as_bytes());
        wire::put_string(&mut fields, value.as_bytes());
        request(b"env", false, &fields)?;
    }
    if setup.agent.is_some() {
        replies.push_back(Reply::Nobody);
        request(b"auth-agent-req@openssh.com", true, b"")?;
    }
    if let Some(pty) = &setup.pty {
        fields.clear();
        pty.write(&mut fields);
        replies.push_back(Reply::Nobody);
        request(b"pty-req", true, &fields)?;
    }
    fields.clear();
    match start {
        Start::Shell => request(b"shell", true, b""),
        Start::Exec(line) => {
            wire::put_string(&mut fields, line);
            request(b"exec", true, &fields)
        }
        Start::Subsystem(name) => {
            wire::put_string(&mut fields, name.as_bytes());
            request(b"subsystem", true, &fields)
        }
    }
}
