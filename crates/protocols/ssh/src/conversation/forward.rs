//! Forwarded connections: where they lead is judged, what flows in them is counted.

use std::collections::BTreeMap;

use sallyport_session::{Effects, Permit, Ruling, Side, Spent, WireError};
use sallyport_ssh_transport::wire::Reader;
use serde_json::json;

use super::channel::State;
use super::link::{Authority, AwaitedGlobal};
use super::running::{Running, What};
use super::{Question, SshConversation, fault, remark};
use crate::connection::{Listening, MAX_PACKET, OpenFailure, Packet, TargetOpen, window};
use crate::facts;
use crate::veil::Kind;

/// Places where a target may listen for one client.
const MAX_LISTENING: usize = 32;

/// Where the target listens for the client.
pub(super) struct Listens {
    pub(super) listening: Listening,
    /// The command that permitted it.
    pub(super) spent: Spent,
}

impl SshConversation {
    /// Opens what a permitted forward leads to.
    pub(super) fn connect(&mut self, at: usize, permit: Permit, out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let mut rest = bytes::BytesMut::new();
        let Some(kind) = channel.forward.take().and_then(|open| open.write(&mut rest)) else {
            return Ok(());
        };
        self.tell_kind(at, Kind::Data, out)?;
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let packet = Packet::Open {
            kind,
            sender: u32::try_from(at).unwrap_or(u32::MAX),
            window: window(at),
            max_packet: MAX_PACKET,
            rest: &rest,
        };
        let link = &mut self.target;
        let mut sent = Ok(());
        let spent = out.forward_with(permit, |buffer| sent = link.append(&packet, buffer));
        channel.state = State::Running(Box::new(Running::new(spent, What::Opaque)));
        channel.awaiting = true;
        sent
    }

    pub(super) fn ask_to_listen(
        &mut self,
        listening: Listening,
        want_reply: bool,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        if self.listening.len() + self.target.awaited.len() >= MAX_LISTENING {
            return self.answer_global(want_reply, false, out);
        }
        let command = facts::listen(&listening, &self.account);
        self.ask(Question::Listen { listening, want_reply }, command, out);
        Ok(())
    }

    pub(super) fn decided_listen(
        &mut self,
        listening: Listening,
        want_reply: bool,
        ruling: Ruling,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let Ruling::Permitted { permit, .. } = ruling else {
            return self.answer_global(want_reply, false, out);
        };
        let mut rest = bytes::BytesMut::new();
        listening.write(&mut rest);
        let packet = Packet::GlobalRequest {
            name: listening.names().0,
            want_reply: true,
            rest: &rest,
        };
        let link = &mut self.target;
        let mut sent = Ok(());
        let spent = out.forward_with(permit, |buffer| sent = link.append(&packet, buffer));
        self.target.awaited.push_back(AwaitedGlobal::Listen {
            spent,
            listening,
            client: want_reply,
        });
        sent
    }

    /// The target's answer to a request to listen: with port 0 it says which one it took.
    pub(super) fn listens(
        &mut self,
        spent: Spent,
        mut listening: Listening,
        client: bool,
        yes: Option<&[u8]>,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let Some(rest) = yes else {
            out.ended(spent.seq(), br#"{"outcome":"failed"}"#.to_vec());
            return self.answer_global(client, false, out);
        };
        if let Listening::Tcp { port: port @ 0, .. } = &mut listening {
            *port = Reader::new(rest)
                .u32()
                .map_err(|e| fault(Side::Target, e.to_string()))?;
        }
        self.listening.push(Listens { listening, spent });
        if client {
            self.client.packet(&Packet::RequestSuccess(rest), Authority::Own, out)?;
        }
        Ok(())
    }

    pub(super) fn stop_listening(
        &mut self,
        listening: &Listening,
        want_reply: bool,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let Some(at) = self.listening.iter().position(|known| known.listening == *listening) else {
            return self.answer_global(want_reply, false, out);
        };
        let known = self.listening.swap_remove(at);
        self.lasting.remove(&known.spent.seq());
        out.ended(known.spent.seq(), br#"{"outcome":"completed"}"#.to_vec());
        let mut rest = bytes::BytesMut::new();
        listening.write(&mut rest);
        let packet = Packet::GlobalRequest {
            name: listening.names().1,
            want_reply: true,
            rest: &rest,
        };
        self.target.packet(&packet, Authority::Of(known.spent), out)?;
        self.target
            .awaited
            .push_back(AwaitedGlobal::Stop { client: want_reply });
        Ok(())
    }

    /// The target hands a connection on: only one that it was permitted to listen for, or that the agent of the client
    /// was lent for.
    pub(super) fn target_opens(
        &mut self,
        kind: &[u8],
        rest: &[u8],
        told: (u32, u32, u32),
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let open = TargetOpen::read(kind, rest).map_err(|e| fault(Side::Target, e.to_string()))?;
        let spent = match &open {
            TargetOpen::Tcp { address, port, .. } => self.permitted(|known| match known {
                // An address may come back in another spelling; the port is the one that was permitted.
                Listening::Tcp {
                    address: asked,
                    port: listens,
                } => port == listens && (asked == address || is_any(asked) || is_local(asked)),
                Listening::Socket { .. } => false,
            }),
            TargetOpen::Socket { path } => self.permitted(|known| match known {
                Listening::Socket { path: listens } => path == listens,
                Listening::Tcp { .. } => false,
            }),
            // INVARIANT: an agent is lent only by a permit of its own, and as long as what it was lent to runs.
            TargetOpen::Agent => self.agent_lent(),
            TargetOpen::Unknown => None,
        };
        let place = spent.and_then(|spent| {
            let running = Running::new(spent, What::Opaque);
            let (at, channel) = self.place(State::Running(Box::new(running)))?;
            channel.target.known(told.0, told.1, told.2);
            channel.awaiting = true;
            Some((spent, at))
        });
        let Some((spent, at)) = place else {
            return self.turn_away(told.0, out);
        };
        out.remark(remark(&BTreeMap::from([
            ("command", json!(spent.seq())),
            ("forwarded", facts::forwarded(&open)),
        ])));
        let mut rest = bytes::BytesMut::new();
        let Some(kind) = open.write(&mut rest) else {
            return Ok(());
        };
        let packet = Packet::Open {
            kind,
            sender: u32::try_from(at).unwrap_or(u32::MAX),
            window: window(at),
            max_packet: MAX_PACKET,
            rest: &rest,
        };
        self.client.packet(&packet, Authority::Own, out)
    }

    /// The client takes a connection that the target handed on.
    pub(super) fn client_accepts(
        &mut self,
        number: u32,
        told: (u32, u32, u32),
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let (at, channel) = self.find(Side::Client, number)?;
        if channel.client.number.is_some() {
            return Err(fault(Side::Client, "a channel that is confirmed twice"));
        }
        channel.client.known(told.0, told.1, told.2);
        channel.awaiting = false;
        let Some(target) = channel.target.number else {
            return Ok(());
        };
        self.tell_kind(at, Kind::Data, out)?;
        let packet = Packet::OpenConfirmation {
            channel: target,
            sender: number,
            window: window(at),
            max_packet: MAX_PACKET,
        };
        self.target.packet(&packet, Authority::Own, out)?;
        self.pump(at, out)
    }

    pub(super) fn client_declines(&mut self, number: u32, out: &mut Effects) -> Result<(), WireError> {
        let (at, channel) = self.find(Side::Client, number)?;
        if channel.client.number.is_some() {
            return Err(fault(Side::Client, "a channel that is confirmed and declined"));
        }
        let target = channel.target.number;
        if let Some(slot) = self.channels.get_mut(at) {
            *slot = None;
        }
        target.map_or(Ok(()), |target| self.turn_away(target, out))
    }

    fn turn_away(&mut self, target: u32, out: &mut Effects) -> Result<(), WireError> {
        let packet = Packet::OpenFailure {
            channel: target,
            reason: OpenFailure::Prohibited as u32,
            text: b"nobody takes this connection",
        };
        self.target.packet(&packet, Authority::Own, out)
    }

    fn permitted(&self, fits: impl Fn(&Listening) -> bool) -> Option<Spent> {
        let known = self.listening.iter().find(|known| fits(&known.listening))?;
        Some(known.spent)
    }

    /// The command that the client's agent was lent to, while it runs.
    fn agent_lent(&self) -> Option<Spent> {
        let lent = self.channels.iter().flatten().find(|channel| channel.agent.is_some())?;
        lent.spent()
    }
}

/// Whether an address to listen on stands for all there are (RFC 4254, section 7.1).
fn is_any(address: &str) -> bool {
    matches!(address, "" | "*" | "0.0.0.0" | "::")
}

fn is_local(address: &str) -> bool {
    matches!(address, "localhost" | "127.0.0.1" | "::1")
}
