//! The pure side of a relay: a machine that is fed bytes and answers with effects.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use crate::command::Command;
use crate::effects::Effects;
use crate::gate::Ruling;
use crate::refusal::Refusal;
use crate::reveals::Reveals;

/// Which peer bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The person's or program's side.
    Client,
    /// The server behind the gateway.
    Target,
}

/// Names one question of a conversation until it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AskId(pub u64);

/// What an open review tells the person who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldInfo {
    /// The request's id, for `sallyport approve`.
    pub request: String,
    /// The groups whose approval is awaited.
    pub groups: Vec<String>,
    /// The groups of which somebody must watch the session.
    pub watch: Vec<String>,
    /// The session, for `sallyport sessions watch`.
    pub session: String,
    /// The rules that hold it.
    pub rules: Vec<String>,
    /// The first rule's message.
    pub message: Option<String>,
}

/// A peer broke the protocol in a way that leaves no safe next byte. The session ends.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the {who} broke the protocol: {what}", who = match side { Side::Client => "client", Side::Target => "target" })]
pub struct WireError {
    /// Who broke it.
    pub side: Side,
    /// What was wrong, without contents.
    pub what: String,
}

impl WireError {
    /// The client's fault.
    #[must_use]
    pub fn client(what: impl Into<String>) -> Self {
        Self {
            side: Side::Client,
            what: what.into(),
        }
    }

    /// The target's fault.
    #[must_use]
    pub fn target(what: impl Into<String>) -> Self {
        Self {
            side: Side::Target,
            what: what.into(),
        }
    }
}

/// A protocol's relay machine: no sockets, no clock, no decisions.
pub trait Conversation: Send {
    /// Takes bytes that `from` sent. Whole messages are consumed from `bytes`; the rest stays for the next call.
    ///
    /// # Errors
    /// When the peer broke the protocol; `out` then holds the last words for the client.
    fn read(&mut self, from: Side, bytes: &mut BytesMut, out: &mut Effects) -> Result<(), WireError>;

    /// The answer to a question that `read` put into the effects.
    fn answer(&mut self, ask: AskId, ruling: Ruling, out: &mut Effects);

    /// A question became a review: tell the person who waits.
    fn held(&mut self, ask: AskId, hold: &HoldInfo, out: &mut Effects);

    /// The client asks to cancel what it waits for. True when a held question was given up; otherwise the protocol
    /// cancels at the target.
    fn interrupt(&mut self, out: &mut Effects) -> bool;

    /// The facts that take the target's own names to establish. When no rule reads one and nothing is classified, nobody
    /// need ask the target ([`Effects::needs_names`]).
    fn named_facts(&self) -> &'static [&'static str];

    /// Whether client bytes may be read now. While a command is held the driver keeps only a bounded number of them.
    fn wants_client(&self) -> bool;

    /// Whether the target's bytes may be read now.
    fn wants_target(&self) -> bool {
        true
    }

    /// How long the message is that `bytes` of `from` begin with, if it must be kept until all of it has come. 0 when it
    /// need not be, or is not known yet.
    fn keeps(&self, _from: Side, _bytes: &[u8]) -> usize {
        0
    }

    /// Whether reading the target can raise questions, so that the policy in force is taken up before.
    fn judges_target(&self) -> bool {
        false
    }

    /// The commands that run for long, each with its number: they are judged again when another policy is in force.
    fn lasting(&self) -> Vec<(u64, Command)> {
        Vec::new()
    }

    /// Another policy is in force, and with it what may be seen: what runs shows no more than that from here on.
    fn revealed(&mut self, _reveals: &Arc<Reveals>, _out: &mut Effects) {}

    /// A command that runs is not permitted any more: it ends.
    fn revoke(&mut self, _seq: u64, _refusal: &Refusal, _out: &mut Effects) {}

    /// How long to wait before [`Conversation::quiet`] is called, if neither side says anything meanwhile.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// Nothing came for as long as [`Conversation::patience`] said: what was kept back for more to come can be let go.
    fn quiet(&mut self, _out: &mut Effects) {}

    /// Whether nothing is owed to anybody: where a graceful shutdown may end the session.
    fn is_idle(&self) -> bool;

    /// The commands that the target was given and has not answered to the end. When the session ends, nobody knows
    /// whether they took effect.
    fn unfinished(&self) -> Vec<u64>;

    /// The session is over, whoever ended it: what is still to be recorded is noted. Nothing is sent any more.
    fn over(&mut self, _out: &mut Effects) {}

    /// The session ends for `refusal` (killed, revoked, shutting down): the last words to the client.
    fn farewell(&mut self, refusal: &Refusal, out: &mut Effects);
}

/// A question of a conversation.
#[derive(Debug)]
pub struct Ask {
    /// Names the question.
    pub id: AskId,
    /// What is to be decided.
    pub command: Command,
    /// It waits for people if policy says so. Otherwise a hold is a refusal, and nobody is asked.
    pub waits: bool,
}
