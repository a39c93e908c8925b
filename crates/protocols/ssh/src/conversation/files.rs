//! SFTP on a channel: each request is a command of its own, judged before it leaves.

use std::collections::HashMap;

use bytes::BytesMut;
use sallyport_session::{AskId, Effects, Ruling, Side, Spent, WireError};
use sallyport_sftp::{Cause, Limits, Out, Sftp, SftpError, Transfer, Verdict};
use serde_json::json;

use super::channel::State;
use super::link::Authority;
use super::running::What;
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
    /// Those of them that wait for people: where their paths lead is asked again.
    held: bool,
    client_ended: bool,
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
            held: false,
            client_ended: false,
        }
    }

    /// Bytes that wait within.
    pub(crate) fn keeps(&self) -> usize {
        self.client.len() + self.target.len()
    }
}
