//! The machine between a PostgreSQL client and a PostgreSQL server.
//!
//! Client messages are taken in order. One that carries a statement becomes a question to the gate, and nothing behind
//! it is looked at before the answer. What the target owes is kept in a queue ([`expect::Awaited`]), so that every
//! byte it sends is known to belong to a command, and is masked as that command's decision says.
//!
//! A refused message must not leave the batch or transaction around it half done, which is what PostgreSQL promises
//! after an error. So unless nothing is under way, a message that the target is sure to reject takes the refused
//! one's place ("poison"), and the target's error is replaced by the refusal on its way back.

mod answered;
mod by_name;
mod client;
mod copied;
mod copy;
mod expect;
mod function;
mod mask;
mod names;
mod outcome;
mod oversize;
mod own;
mod passing;
mod plans;
mod replication;
mod results;
mod ruling;
mod scope;
mod shared;
mod target;
mod titles;
mod understand;
mod veiled;
mod view;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sallyport_session::{
    AskId, Conversation, Effects, HoldInfo, Housekeeping, Refusal, Ruling, Side, Spent, WireError,
};
use smol_str::SmolStr;

#[cfg(feature = "testing")]
pub(crate) use names::PREPARED_QUERY;
pub(crate) use results::Masks;
#[cfg(feature = "testing")]
pub(crate) use scope::SETTINGS_QUERY;
pub(crate) use scope::Scope;
pub(crate) use shared::{SharedNames, Watch};
pub(crate) use veiled::Veiled;

use self::expect::{Awaited, Expect};
use self::names::Names;
use self::plans::Plans;
use self::ruling::Pending;
use self::view::View;
use crate::refuse;
use crate::replication::Walsender;
use crate::settings::Settings;
use crate::understanding;
use crate::wire::backend::{self, ReadyForQuery, TransactionStatus};
use crate::wire::{Limits, Tag, frontend, peek_frame};

/// One session's machine.
pub struct PostgresConversation {
    /// How long the client's messages may be, and those of the target that must be kept whole.
    limits: Limits,
    /// Bytes of a message that was refused for its length and has not come yet.
    skipping: usize,
    /// A message of the target that passes as it comes.
    passing: Option<passing::Passing>,
    names: Names,
    awaited: Awaited,
    scope: Scope,
    settings: Settings,
    /// What a text executes is being understood anew.
    renewing: bool,
    masks: Masks,
    /// How the results of statements are masked under these masks in this view.
    plans: Plans,
    /// The last description in which nothing is to be masked, for programs that run one statement again and again.
    plain_titles: Vec<u8>,
    /// What names mean, for a version of them and of the policy.
    view: Arc<View>,
    view_made_for: (u64, u64),
    /// What approvals of statements without parameter types and names of the session are bound to: for this state and
    /// these settings.
    plain_meaning: Option<(Bytes, Bytes, Bytes)>,
    scratch: Vec<u8>,
    database: SmolStr,
    /// What the gateway asked of the cursor that is being executed.
    cursor_described: Option<Arc<results::Described>>,
    status: TransactionStatus,
    /// The transaction has failed, and nothing that succeeded since ended it.
    aborted: bool,
    /// The target's answer to the gateway's questions, if it was an error: it stands for the command that needed them.
    own_error: Option<BytesMut>,
    /// How many batches were begun: each `Sync` and each simple query ends one.
    batch: u64,
    /// Whether messages of the extended protocol were sent since the last `Sync`.
    unsynced: bool,
    /// Client messages are dropped until `Sync`, as the target would.
    discarding: Discarding,
    /// The target takes COPY data for this command.
    copy_in: Option<Spent>,
    pending: Option<Pending>,
    next_ask: u64,
    /// The next client message needs something of the target first.
    stalled: bool,
    /// The target said its last word.
    fatal: bool,
    /// It is a replication connection.
    walsender: Option<Walsender>,
    /// The agent that masks what the target says, if one does.
    veiled: Option<Veiled>,
}

impl std::fmt::Debug for PostgresConversation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresConversation")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Whether client messages are dropped until the next `Sync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Discarding {
    No,
    /// The target skips too, and answers the `Sync`.
    WithTarget,
    /// The target knows nothing of the batch: the gateway answers the `Sync`.
    Alone,
}

/// What a conversation starts with.
pub(crate) struct Start {
    /// The names of the target's database.
    pub(crate) scope: Scope,
    /// What the target reported at login.
    pub(crate) settings: Settings,
    /// How this person's results are masked.
    pub(crate) masks: Masks,
    /// The database's name within the target.
    pub(crate) database: SmolStr,
    /// How long the client's messages may be.
    pub(crate) limits: Limits,
    /// It is a replication connection.
    pub(crate) walsender: Option<Walsender>,
    /// The agent that masks what the target says, if one does.
    pub(crate) veiled: Option<Veiled>,
}

impl PostgresConversation {
    pub(crate) fn new(start: Start) -> Self {
        let Start {
            scope,
            settings,
            masks,
            database,
            limits,
            walsender,
            veiled,
        } = start;
        Self {
            limits,
            skipping: 0,
            passing: None,
            names: Names::default(),
            awaited: Awaited::default(),
            view: scope.view(&masks.classification, 0),
            scope,
            settings,
            renewing: false,
            masks,
            plans: Plans::default(),
            plain_titles: Vec::new(),
            view_made_for: (0, 0),
            plain_meaning: None,
            scratch: Vec::new(),
            database,
            cursor_described: None,
            status: TransactionStatus::Idle,
            aborted: false,
            own_error: None,
            batch: 0,
            unsynced: false,
            discarding: Discarding::No,
            copy_in: None,
            pending: None,
            next_ask: 0,
            stalled: false,
            fatal: false,
            walsender,
            veiled,
        }
    }

    /// Whether the target has nothing under way that a refusal would have to undo.
    fn is_clean(&self) -> bool {
        self.awaited.is_empty() && !self.unsynced && self.status == TransactionStatus::Idle
    }

    /// Answers a refused message of the extended protocol, or a simple query.
    fn refuse(&mut self, simple: bool, seq: u64, error: &[u8], out: &mut Effects) {
        if self.is_clean() {
            out.show(seq, error);
            if simple {
                let mut ready = BytesMut::new();
                ReadyForQuery { status: self.status }.encode(&mut ready);
                out.show(seq, &ready);
            } else {
                self.discarding = Discarding::Alone;
            }
            return;
        }
        let mut poison = BytesMut::new();
        if simple {
            frontend::Query {
                text: refuse::POISON.as_bytes(),
            }
            .encode(&mut poison);
            self.end_batch();
        } else {
            let name = self.scope.own_name();
            let text = refuse::POISON.as_bytes();
            let parse = frontend::Parse {
                name,
                text,
                parameter_types: Vec::new(),
            };
            parse.encode(&mut poison);
            self.unsynced = true;
            self.discarding = Discarding::WithTarget;
        }
        out.tend(Housekeeping::Own, &poison);
        self.awaited.push(Expect::Poison {
            error: BytesMut::from(error),
            seq,
            simple,
        });
    }

    fn end_batch(&mut self) {
        self.batch += 1;
        self.unsynced = false;
    }

    fn next_ask(&mut self) -> AskId {
        self.next_ask += 1;
        AskId(self.next_ask)
    }
}

impl Conversation for PostgresConversation {
    fn read(&mut self, from: Side, bytes: &mut BytesMut, out: &mut Effects) -> Result<(), WireError> {
        let result = match from {
            Side::Client => self.read_client(bytes, out),
            Side::Target => self.read_target(bytes, out),
        };
        let result = result.and_then(|()| self.follow_agent(out));
        if let Err(error) = &result
            && !self.fatal
        {
            out.tell(&refuse::fatal("08P01", &error.to_string()));
        }
        result
    }

    fn answer(&mut self, ask: AskId, ruling: Ruling, out: &mut Effects) {
        let Some(pending) = self.pending.take_if(|p| p.ask == ask) else {
            return;
        };
        match ruling {
            Ruling::Permitted { permit, reveals, .. } => self.permitted(pending, permit, reveals, out),
            Ruling::Refused { seq, refusal } => {
                let error = refuse::error(&refusal);
                let simple = pending.is_simple();
                self.refuse(simple, seq, &error, out);
            }
        }
    }

    fn held(&mut self, _ask: AskId, hold: &HoldInfo, out: &mut Effects) {
        out.tell(&refuse::held(hold));
    }

    fn interrupt(&mut self, out: &mut Effects) -> bool {
        let Some(pending) = self.pending.take() else {
            return false;
        };
        out.withdraw(pending.ask);
        let error = refuse::withdrawn();
        let simple = pending.is_simple();
        self.refuse(simple, 0, &error, out);
        true
    }

    fn named_facts(&self) -> &'static [&'static str] {
        understanding::NAMED_FACTS
    }

    fn wants_client(&self) -> bool {
        self.pending.is_none() && !self.stalled && !self.veiled.as_ref().is_some_and(Veiled::is_full)
    }

    fn keeps(&self, from: Side, bytes: &[u8]) -> usize {
        let len = match from {
            Side::Client if self.skipping > 0 => None,
            Side::Target if self.passing.is_some() => None,
            Side::Client => len_of::<frontend::Tag>(bytes, &self.limits),
            Side::Target => len_of::<backend::Tag>(bytes, &Limits::default()),
        };
        len.unwrap_or(0)
    }

    fn is_idle(&self) -> bool {
        self.is_clean() && self.pending.is_none()
    }

    fn unfinished(&self) -> Vec<u64> {
        self.awaited.unfinished()
    }

    fn over(&mut self, out: &mut Effects) {
        self.cut_off(out);
    }

    fn farewell(&mut self, refusal: &Refusal, out: &mut Effects) {
        if !self.fatal {
            out.tell(&refuse::farewell(refusal));
        }
    }
}

/// How long the message is that begins here, when that is known and in bounds.
fn len_of<T: Tag>(bytes: &[u8], limits: &Limits) -> Option<usize> {
    let frame = peek_frame::<T>(bytes, limits).ok().flatten()?;
    Some(frame.total_len)
}

/// The bytes of a message's part as an owned buffer.
fn owned(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

#[cfg(test)]
mod tests;
