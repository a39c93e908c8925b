//! What the client says.

use sallyport_session::{Effects, Side, WireError};

use super::channel::{Reply, Setup, Start, State};
use super::link::Authority;
use super::{Question, SshConversation, fault};
use crate::connection::{ClientGlobal, ClientOpen, ClientRequest, MAX_PACKET, OpenFailure, Packet, Size};
use crate::facts;

impl SshConversation {
    pub(super) fn client_says(&mut self, packet: &Packet<'_>, out: &mut Effects) -> Result<(), WireError> {
        match *packet {
            Packet::GlobalRequest { name, want_reply, rest } => self.client_global(name, want_reply, rest, out),
            Packet::Open {
                kind,
                sender,
                window,
                max_packet,
                rest,
            } => {
                let open = ClientOpen::read(kind, rest).map_err(|e| fault(Side::Client, e.to_string()))?;
                self.client_opens(open, (sender, window, max_packet), out)
            }
            Packet::Request {
                channel,
                name,
                want_reply,
                rest,
            } => self.client_request(channel, name, want_reply, rest, out),
            Packet::Data { channel, stream, data } => self.client_data(channel, stream, data, out),
            Packet::WindowAdjust { channel, bytes } => {
                let (at, channel) = self.find(Side::Client, channel)?;
                channel.client.sending.granted(bytes)?;
                self.pump(at, out)
            }
            Packet::Eof { channel } => {
                let (at, channel) = self.find(Side::Client, channel)?;
                if matches!(channel.state, State::Guarded(_)) {
                    return self.guard_input_ended(at, out);
                }
                self.input_ended(at, out)
            }
            Packet::Close { channel } => self.client_closes(channel, out),
            Packet::OpenConfirmation {
                channel,
                sender,
                window,
                max_packet,
            } => self.client_accepts(channel, (sender, window, max_packet), out),
            Packet::OpenFailure { channel, .. } => self.client_declines(channel, out),
            // Nothing is asked of a client that it would have to answer.
            Packet::RequestSuccess(_) | Packet::RequestFailure => Ok(()),
            Packet::Success { .. } | Packet::Failure { .. } => {
                Err(fault(Side::Client, "an answer that nobody asked for"))
            }
        }
    }

    fn client_global(
        &mut self,
        name: &[u8],
        want_reply: bool,
        rest: &[u8],
        out: &mut Effects,
    ) -> Result<(), WireError> {
        match ClientGlobal::read(name, rest).map_err(|e| fault(Side::Client, e.to_string()))? {
            ClientGlobal::Listen(listening) => self.ask_to_listen(listening, want_reply, out),
            ClientGlobal::StopListening(listening) => self.stop_listening(&listening, want_reply, out),
            ClientGlobal::NoMoreSessions => {
                self.no_more_sessions = true;
                self.answer_global(want_reply, true, out)
            }
            ClientGlobal::Other => self.answer_global(want_reply, false, out),
        }
    }

    /// Answers a global request of the client.
    pub(super) fn answer_global(&mut self, wanted: bool, yes: bool, out: &mut Effects) -> Result<(), WireError> {
        let answer = if yes {
            Packet::RequestSuccess(b"")
        } else {
            Packet::RequestFailure
        };
        if wanted {
            self.client.packet(&answer, Authority::Own, out)?;
        }
        Ok(())
    }

    /// The client opens a channel: `told` is its number, window and packet size.
    fn client_opens(&mut self, open: ClientOpen, told: (u32, u32, u32), out: &mut Effects) -> Result<(), WireError> {
        let (number, window, max_packet) = told;
        let refused = match &open {
            ClientOpen::Unknown => Some((OpenFailure::UnknownType, "this kind of channel is not carried")),
            ClientOpen::Session if self.no_more_sessions => Some((
                OpenFailure::Prohibited,
                "the client said that it opens no more sessions",
            )),
            ClientOpen::Session | ClientOpen::Tcp { .. } | ClientOpen::Socket { .. } => None,
        };
        let state = match open {
            ClientOpen::Session => State::Opening,
            // What it leads to is judged before the target hears of it.
            ClientOpen::Tcp { .. } | ClientOpen::Socket { .. } | ClientOpen::Unknown => State::Over,
        };
        let place = match refused {
            Some(why) => Err(why),
            None => self
                .place(state)
                .ok_or((OpenFailure::ResourceShortage, "too many channels are open")),
        };
        let at = match place {
            Ok((at, channel)) => {
                channel.client.known(number, window, max_packet);
                at
            }
            Err((reason, text)) => return self.decline(number, reason, text, out),
        };
        if open == ClientOpen::Session {
            return self.open_at_target(at, &open, out);
        }
        let command = facts::forward(&open, &self.account);
        let ask = self.ask(Question::Channel(at), command, out);
        if let Some(Some(channel)) = self.channels.get_mut(at) {
            channel.forward = Some(open);
            channel.state = State::Asked(ask);
        }
        Ok(())
    }

    /// Opens the target's end of a session channel, which carries no command yet.
    pub(super) fn open_at_target(&mut self, at: usize, open: &ClientOpen, out: &mut Effects) -> Result<(), WireError> {
        let mut rest = bytes::BytesMut::new();
        let Some(kind) = open.write(&mut rest) else {
            return Ok(());
        };
        if let Some(Some(channel)) = self.channels.get_mut(at) {
            channel.awaiting = true;
        }
        let packet = Packet::Open {
            kind,
            sender: u32::try_from(at).unwrap_or(u32::MAX),
            window: crate::connection::window(at),
            max_packet: MAX_PACKET,
            rest: &rest,
        };
        self.target.packet(&packet, Authority::Own, out)
    }

    /// Tells the client that its channel is not opened.
    pub(super) fn decline(
        &mut self,
        number: u32,
        reason: OpenFailure,
        text: &str,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let packet = Packet::OpenFailure {
            channel: number,
            reason: reason as u32,
            text: text.as_bytes(),
        };
        self.client.packet(&packet, Authority::Own, out)
    }

    fn client_request(
        &mut self,
        channel: u32,
        name: &[u8],
        want_reply: bool,
        rest: &[u8],
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let request = ClientRequest::read(name, rest).map_err(|e| fault(Side::Client, e.to_string()))?;
        let (at, _) = self.find(Side::Client, channel)?;
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        if let (Some(start), State::Idle(Setup { waiting: None, .. })) = (Start::of(&request), &channel.state) {
            return self.ask_to_start(at, start, want_reply, out);
        }
        let done = match (request, &mut channel.state) {
            (ClientRequest::Pty(pty), State::Idle(setup)) if setup.pty.is_none() => {
                setup.pty = Some(pty);
                true
            }
            (
                ClientRequest::Env {
                    name: b"SALLYPORT_TASK",
                    value,
                },
                State::Idle(_),
            ) => {
                let task = task(value);
                let taken = task.is_some();
                task.into_iter().for_each(|task| out.for_task(task));
                taken
            }
            (ClientRequest::Env { name, value }, State::Idle(setup)) => self.account.take_variable(name, value, setup),
            (ClientRequest::AgentForwarding, State::Idle(setup))
                if setup.agent.is_none() && setup.agent_asked.is_none() =>
            {
                return self.ask_for_agent(at, want_reply, out);
            }
            (ClientRequest::WindowChange(size), State::Idle(Setup { pty: Some(pty), .. })) => {
                pty.size = size;
                true
            }
            (ClientRequest::Signal("INT" | "TERM" | "KILL" | "HUP"), State::Deciding(deciding)) => {
                let ask = deciding.ask;
                self.give_up(at, ask, out)?;
                true
            }
            (ClientRequest::WindowChange(size), State::Guarded(guard)) => {
                let runs = guard.running().is_some();
                self.guard_resized(at, size, out)?;
                if runs {
                    return self.pass_request(at, &ClientRequest::WindowChange(size), want_reply, out);
                }
                true
            }
            (request, State::Guarded(guard)) if guard.running().is_some() => {
                return self.pass_request(at, &request, want_reply, out);
            }
            (request, State::Running(_)) => return self.pass_request(at, &request, want_reply, out),
            // A keep-alive is answered, whatever the answer; the rest has no place where the channel is now.
            (_, _) => false,
        };
        self.answer_request(at, want_reply, done, out)
    }

    /// Answers a request of the client on a channel.
    pub(super) fn answer_request(
        &mut self,
        at: usize,
        wanted: bool,
        yes: bool,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get(at) else {
            return Ok(());
        };
        let Some(channel) = channel.client.number.filter(|_| wanted) else {
            return Ok(());
        };
        let answer = if yes {
            Packet::Success { channel }
        } else {
            Packet::Failure { channel }
        };
        self.client.packet(&answer, Authority::Own, out)
    }

    /// Requests that belong to what runs.
    fn pass_request(
        &mut self,
        at: usize,
        request: &ClientRequest<'_>,
        want_reply: bool,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let mut fields = bytes::BytesMut::new();
        let name: &[u8] = match request {
            ClientRequest::WindowChange(size) => {
                Size::write(size, &mut fields);
                b"window-change"
            }
            ClientRequest::Signal(signal) => {
                sallyport_ssh_transport::wire::put_string(&mut fields, signal.as_bytes());
                b"signal"
            }
            ClientRequest::Break(length_ms) => {
                sallyport_ssh_transport::wire::put_u32(&mut fields, *length_ms);
                b"break"
            }
            ClientRequest::EndOfWrite => b"eow@openssh.com",
            ClientRequest::Pty(_)
            | ClientRequest::Env { .. }
            | ClientRequest::Shell
            | ClientRequest::Exec(_)
            | ClientRequest::Subsystem(_)
            | ClientRequest::AgentForwarding
            | ClientRequest::X11
            | ClientRequest::KeepAlive
            | ClientRequest::Unknown => return self.answer_request(at, want_reply, false, out),
        };
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let (Some(spent), Some(number)) = (channel.spent(), channel.target.number) else {
            return Ok(());
        };
        if want_reply {
            channel.replies.push_back(Reply::Client);
        }
        out.remark(facts::request(spent.seq(), request));
        if let ClientRequest::WindowChange(size) = request {
            channel.resized(*size);
            self.tell_size(at, *size, out)?;
        }
        let packet = Packet::Request {
            channel: number,
            name,
            want_reply,
            rest: &fields,
        };
        self.target.packet(&packet, Authority::Of(spent), out)
    }

    /// The client sends no more on a channel.
    pub(super) fn input_ended(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        if self.files_input_ended(at) {
            return Ok(());
        }
        if self.gated(at).is_some() {
            return self.gated_input_ended(at, out);
        }
        if let Some(Some(channel)) = self.channels.get_mut(at) {
            channel.target.end_data();
        }
        self.pump(at, out)
    }

    fn client_closes(&mut self, number: u32, out: &mut Effects) -> Result<(), WireError> {
        let (at, channel) = self.find(Side::Client, number)?;
        channel.client.closed = true;
        // Nobody reads it any more, and what was not sent to the target by now is not meant to run.
        channel.client.forget();
        if channel.target.ended && !channel.target.closed && matches!(channel.state, State::Running(_)) {
            // All is said but how it ended: some clients close as soon as they have seen the end of the output.
            return self.pump(at, out);
        }
        channel.client.end();
        if !matches!(channel.state, State::Running(_)) {
            channel.target.forget();
        }
        channel.target.end();
        let guarded = matches!(channel.state, State::Guarded(_));
        let asked = match &channel.state {
            State::Asked(ask) => Some(*ask),
            State::Deciding(deciding) => Some(deciding.ask),
            State::Idle(setup) => setup.agent_asked,
            State::Opening | State::Running(_) | State::Guarded(_) | State::Listing(_) | State::Over => None,
        };
        if let Some(ask) = asked {
            self.forget_question(ask, out);
            if let Some(Some(channel)) = self.channels.get_mut(at) {
                channel.state = State::Over;
            }
        }
        if guarded {
            self.guard_withdraws(at, out)?;
        }
        self.withdraw_files(at, out);
        self.gated_withdraws(at, out);
        self.pump(at, out)
    }

    /// Data of the client: for what runs, or kept until it is known whether it may run.
    fn client_data(&mut self, number: u32, stream: u32, data: &[u8], out: &mut Effects) -> Result<(), WireError> {
        if stream != 0 {
            return Err(fault(Side::Client, "extended data, which only a target sends"));
        }
        let (at, _) = self.find(Side::Client, number)?;
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        channel.client.received(data.len())?;
        match &mut channel.state {
            State::Running(_) => self.data_to_target(at, data, out),
            State::Guarded(_) => self.guard_input(at, data, out),
            State::Idle(_) | State::Deciding(_) | State::Opening | State::Asked(_) => {
                let gives_up = match &channel.state {
                    State::Deciding(deciding) => {
                        Some(deciding.ask).filter(|_| deciding.setup.pty.is_some() && data.contains(&INTERRUPT))
                    }
                    State::Asked(_) | State::Opening | State::Idle(_) => None,
                    State::Running(_) | State::Guarded(_) | State::Listing(_) | State::Over => None,
                };
                match gives_up {
                    Some(ask) => self.give_up(at, ask, out),
                    None => {
                        channel.target.keep(0, data);
                        Ok(())
                    }
                }
            }
            // Nobody takes it: it needs no memory.
            State::Listing(_) | State::Over => channel.grant(&mut self.client, &mut self.target, out),
        }
    }
}

/// The task that a client says it works on; it goes no further than the gateway.
fn task(value: &[u8]) -> Option<String> {
    const LONGEST: usize = 256;
    let task = std::str::from_utf8(value).ok()?;
    let plain = !task.is_empty() && task.len() <= LONGEST && !task.chars().any(char::is_control);
    plain.then(|| task.to_owned())
}

/// What Ctrl-C sends.
const INTERRUPT: u8 = 3;
