//! One of the two connections: its transport, and what is sent through it.

use std::collections::VecDeque;

use bytes::BytesMut;
use sallyport_session::{Effects, Housekeeping, Side, Spent, WireError};
use sallyport_ssh_transport::{Step, Transport, TransportError};

use crate::connection::{Listening, Packet};

/// By what right something is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Authority {
    /// It continues a permitted command.
    Of(Spent),
    /// It carries no command: opening, closing and windows of channels, answers, key exchange.
    Own,
}

/// A connection to one side.
pub(crate) struct Link {
    pub(crate) side: Side,
    transport: Transport,
    scratch: BytesMut,
    /// Global requests that this side has yet to answer, in order.
    pub(crate) awaited: VecDeque<AwaitedGlobal>,
}

/// What an answer to a global request is for.
#[derive(Debug)]
pub(crate) enum AwaitedGlobal {
    /// The target was asked to listen for the client: what for, and whether the client waits for the answer.
    Listen {
        spent: Spent,
        listening: Listening,
        client: bool,
    },
    /// The target was asked to stop listening.
    Stop { client: bool },
}

impl Link {
    pub(crate) fn new(side: Side, transport: Transport) -> Self {
        Self {
            side,
            transport,
            scratch: BytesMut::new(),
            awaited: VecDeque::new(),
        }
    }

    /// The next step of what this side sent; answers of the transport itself are given to `out`.
    pub(crate) fn read(&mut self, bytes: &mut BytesMut, out: &mut Effects) -> Result<Step, WireError> {
        let mut result = Ok(Step::More);
        let transport = &mut self.transport;
        let work = |buffer: &mut BytesMut| result = transport.read(bytes, buffer);
        match self.side {
            Side::Client => out.tell_with(work),
            Side::Target => out.tend_with(Housekeeping::Own, work),
        }
        result.map_err(|error| self.broken(&error))
    }

    /// Whether what is sent to this side waits for a key exchange.
    pub(crate) fn holds(&self) -> bool {
        self.transport.is_exchanging()
    }

    /// Sends one message.
    pub(crate) fn packet(&mut self, packet: &Packet<'_>, by: Authority, out: &mut Effects) -> Result<(), WireError> {
        let mut payload = std::mem::take(&mut self.scratch);
        payload.clear();
        packet.write(&mut payload);
        let sent = self.send(&[&payload], by, out);
        self.scratch = payload;
        sent
    }

    /// Sends one message whose payload is `parts` joined.
    pub(crate) fn send(&mut self, parts: &[&[u8]], by: Authority, out: &mut Effects) -> Result<(), WireError> {
        let mut result = Ok(());
        let transport = &mut self.transport;
        let work = |buffer: &mut BytesMut| result = transport.send(parts, buffer);
        match (self.side, by) {
            (Side::Client, _) => out.tell_with(work),
            (Side::Target, Authority::Of(spent)) => out.proceed_with(spent, work),
            (Side::Target, Authority::Own) => out.tend_with(Housekeeping::Bookkeeping, work),
        }
        result.map_err(|error| self.broken(&error))
    }

    /// Appends one message for the target to what a permit lets through.
    pub(crate) fn append(&mut self, packet: &Packet<'_>, buffer: &mut BytesMut) -> Result<(), WireError> {
        let mut payload = std::mem::take(&mut self.scratch);
        payload.clear();
        packet.write(&mut payload);
        let sent = self.transport.send(&[&payload], buffer);
        self.scratch = payload;
        sent.map_err(|error| self.broken(&error))
    }

    /// Appends one message for the target that goes before all others.
    pub(crate) fn append_payload(&mut self, payload: &[u8], buffer: &mut BytesMut) -> Result<(), WireError> {
        self.transport
            .send(&[payload], buffer)
            .map_err(|error| self.broken(&error))
    }

    /// Says why the connection ends.
    pub(crate) fn disconnect(&mut self, reason: u32, text: &str, out: &mut Effects) {
        let transport = &mut self.transport;
        let work = |buffer: &mut BytesMut| transport.disconnect(reason, text, buffer);
        match self.side {
            Side::Client => out.tell_with(work),
            Side::Target => out.tend_with(Housekeeping::Goodbye, work),
        }
    }

    /// A message that nobody here understands: the peer is told (RFC 4253, section 11.4).
    pub(crate) fn broken(&self, error: &TransportError) -> WireError {
        self.fault(error.to_string())
    }

    /// The fault of this side.
    pub(crate) fn fault(&self, what: impl Into<String>) -> WireError {
        match self.side {
            Side::Client => WireError::client(what),
            Side::Target => WireError::target(what),
        }
    }
}
