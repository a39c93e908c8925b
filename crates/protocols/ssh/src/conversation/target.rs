//! What the target says.

use sallyport_session::{Effects, Side, WireError};

use super::channel::{Reply, Setup, State};
use super::link::{Authority, AwaitedGlobal};
use super::running::Exit;
use super::{SshConversation, fault};
use crate::connection::{OpenFailure, Packet, TargetGlobal, TargetRequest};
use crate::refuse;

impl SshConversation {
    pub(super) fn target_says(&mut self, packet: &Packet<'_>, out: &mut Effects) -> Result<(), WireError> {
        match *packet {
            Packet::GlobalRequest { name, want_reply, .. } => {
                match TargetGlobal::read(name) {
                    TargetGlobal::HostKeys | TargetGlobal::Other => {}
                }
                if want_reply {
                    self.target.packet(&Packet::RequestFailure, Authority::Own, out)?;
                }
                Ok(())
            }
            Packet::RequestSuccess(rest) => self.global_answered(Some(rest), out),
            Packet::RequestFailure => self.global_answered(None, out),
            Packet::Open {
                kind,
                sender,
                window,
                max_packet,
                rest,
            } => self.target_opens(kind, rest, (sender, window, max_packet), out),
            Packet::OpenConfirmation {
                channel,
                sender,
                window,
                max_packet,
            } => self.target_accepts(channel, (sender, window, max_packet), out),
            Packet::OpenFailure { channel, reason, text } => self.target_declines(channel, reason, text, out),
            Packet::WindowAdjust { channel, bytes } => {
                let (at, channel) = self.find(Side::Target, channel)?;
                channel
                    .target
                    .sending
                    .granted(bytes)
                    .map_err(|_| fault(Side::Target, "a window beyond any number"))?;
                self.pump(at, out)
            }
            Packet::Data { channel, stream, data } => self.target_data(channel, stream, data, out),
            Packet::Eof { channel } => self.target_ended_data(channel, out),
            Packet::Close { channel } => self.target_closes(channel, out),
            Packet::Request {
                channel,
                name,
                want_reply,
                rest,
            } => self.target_request(channel, name, want_reply, rest, out),
            Packet::Success { channel } => self.request_answered(channel, true, out),
            Packet::Failure { channel } => self.request_answered(channel, false, out),
        }
    }

    fn target_data(&mut self, number: u32, stream: u32, data: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let (at, channel) = self.find(Side::Target, number)?;
        channel
            .target
            .received(data.len())
            .map_err(|_| fault(Side::Target, "more data than the window allows"))?;
        self.data_to_client(at, stream, data, out)
    }

    fn target_ended_data(&mut self, number: u32, out: &mut Effects) -> Result<(), WireError> {
        let (at, _) = self.find(Side::Target, number)?;
        self.let_go(at, out)?;
        if let Some(Some(channel)) = self.channels.get_mut(at) {
            channel.target.ended = true;
            if !matches!(channel.state, State::Guarded(_)) {
                channel.client.end_data();
            }
        }
        self.pump(at, out)
    }

    fn target_closes(&mut self, number: u32, out: &mut Effects) -> Result<(), WireError> {
        let (at, _) = self.find(Side::Target, number)?;
        self.let_go(at, out)?;
        if let Some(Some(channel)) = self.channels.get_mut(at) {
            if matches!(channel.state, State::Guarded(_)) {
                return self.line_ended(at, out);
            }
            if matches!(channel.state, State::Listing(_)) {
                return self.listing_ended(at, out);
            }
            channel.target.closed = true;
            channel.target.forget();
            channel.target.end();
            channel.client.end();
        }
        self.gated_withdraws(at, out);
        self.pump(at, out)
    }

    fn target_accepts(&mut self, number: u32, told: (u32, u32, u32), out: &mut Effects) -> Result<(), WireError> {
        let (at, channel) = self.find(Side::Target, number)?;
        if channel.target.number.is_some() {
            return Err(fault(Side::Target, "a channel that is confirmed twice"));
        }
        channel.target.known(told.0, told.1, told.2);
        channel.awaiting = false;
        match &channel.state {
            State::Opening => channel.state = State::Idle(Setup::default()),
            State::Guarded(_) => return self.run_line(at, out),
            State::Listing(_) => return self.run_listing(at, out),
            State::Running(_) | State::Over => {}
            State::Asked(_) | State::Idle(_) | State::Deciding(_) => {
                return Err(fault(Side::Target, "a channel that was not asked for"));
            }
        }
        self.confirm_to_client(at, out)?;
        self.pump(at, out)
    }

    fn target_declines(&mut self, number: u32, reason: u32, text: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let (at, channel) = self.find(Side::Target, number)?;
        if channel.target.number.is_some() {
            return Err(fault(Side::Target, "a channel that is confirmed and declined"));
        }
        let text = format!("the target: {}", refuse::printable(&String::from_utf8_lossy(text)));
        if matches!(channel.state, State::Guarded(_)) {
            channel.awaiting = false;
            return self.line_declined(at, &text, out);
        }
        if matches!(channel.state, State::Listing(_)) {
            return self.listing_declined(at, out);
        }
        let waits = matches!(channel.state, State::Opening | State::Running(_));
        let client = channel.client.number;
        if let Some(channel) = self.channels.get_mut(at).and_then(Option::take) {
            super::end_command(&channel.state, out);
        }
        let Some(client) = client.filter(|_| waits) else {
            return Ok(());
        };
        let reason = match reason {
            1 => OpenFailure::Prohibited,
            3 => OpenFailure::UnknownType,
            4 => OpenFailure::ResourceShortage,
            _ => OpenFailure::ConnectFailed,
        };
        self.decline(client, reason, &text, out)
    }

    fn target_request(
        &mut self,
        number: u32,
        name: &[u8],
        want_reply: bool,
        rest: &[u8],
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let request = TargetRequest::read(name, rest).map_err(|e| fault(Side::Target, e.to_string()))?;
        let (at, channel) = self.find(Side::Target, number)?;
        let target = channel.target.number;
        let exit = match &request {
            TargetRequest::ExitStatus(status) => Some(Exit::Status(*status)),
            TargetRequest::ExitSignal { signal, core_dumped } => Some(Exit::Signal {
                signal: (*signal).to_owned(),
                core_dumped: *core_dumped,
            }),
            TargetRequest::EndOfWrite | TargetRequest::FlowControl(_) | TargetRequest::Unknown => None,
        };
        let guarded = matches!(channel.state, State::Guarded(_));
        match (&mut channel.state, exit) {
            (State::Running(running), Some(exit)) => running.exit = exit,
            (State::Guarded(guard), Some(exit)) => guard.exit(exit),
            (State::Listing(listing), Some(exit)) => listing.exit(exit),
            (_, _) => {}
        }
        if want_reply && let Some(channel) = target {
            self.target.packet(&Packet::Failure { channel }, Authority::Own, out)?;
        }
        // A line is not the shell: how it ended is not how the shell does.
        if guarded || request == TargetRequest::Unknown {
            return Ok(());
        }
        // What was held back was said before it.
        self.let_go(at, out)?;
        let Some(Some(channel)) = self.channels.get(at) else {
            return Ok(());
        };
        let Some(channel) = channel.client.number.filter(|_| channel.client.can_hear()) else {
            return Ok(());
        };
        let packet = Packet::Request {
            channel,
            name,
            want_reply: false,
            rest,
        };
        self.client.packet(&packet, Authority::Own, out)
    }

    fn request_answered(&mut self, number: u32, yes: bool, out: &mut Effects) -> Result<(), WireError> {
        let (at, channel) = self.find(Side::Target, number)?;
        match channel.replies.pop_front() {
            None => Err(fault(Side::Target, "an answer that nobody asked for")),
            Some(Reply::Nobody) => Ok(()),
            Some(Reply::Heard(question)) => {
                self.gated_heard(at, question);
                Ok(())
            }
            Some(Reply::Client) => self.answer_request(at, true, yes, out),
            Some(Reply::Start { client }) => {
                if !yes && let State::Running(running) = &mut channel.state {
                    running.exit = Exit::Unsaid;
                }
                self.answer_request(at, client, yes, out)?;
                if !yes {
                    self.listing_failed(at, out)?;
                }
                self.pump(at, out)
            }
        }
    }

    fn global_answered(&mut self, yes: Option<&[u8]>, out: &mut Effects) -> Result<(), WireError> {
        match self.target.awaited.pop_front() {
            None => Err(fault(Side::Target, "an answer that nobody asked for")),
            Some(AwaitedGlobal::Stop { client }) => self.answer_global(client, yes.is_some(), out),
            Some(AwaitedGlobal::Listen {
                spent,
                listening,
                client,
            }) => self.listens(spent, listening, client, yes, out),
        }
    }
}
