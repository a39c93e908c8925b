//! What the target owes: one entry for each message that was sent to it, in order.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::BytesMut;
use sallyport_session::{Finish, Spent};

use super::copied::Copied;
use super::names::{Portal, Prepared};
use super::plans::ResultOf;
use super::replication::Stream;
use super::results::{Column, Described, Masking};
use crate::understanding::Understood;

/// A command that the target is running, and what becomes of its results.
#[derive(Debug)]
pub(super) struct Run {
    /// The right to continue it.
    pub(super) spent: Spent,
    /// What is known of it.
    pub(super) understood: Arc<Understood>,
    /// Which of its statements the target is answering, from 0.
    pub(super) statement: usize,
    /// How its current result is masked.
    pub(super) masking: Masking,
    /// Whether an error was seen.
    pub(super) failed: bool,
    /// Whether a result of the statement was described.
    pub(super) described: bool,
    /// Whether the current result is one that the statement had not announced.
    pub(super) described_again: bool,
    /// What the target says of the queries that it copies out.
    pub(super) copied: Copied,
}

impl Run {
    pub(super) fn new(spent: Spent, understood: Arc<Understood>, masking: Masking) -> Self {
        Self {
            spent,
            understood,
            statement: 0,
            masking,
            failed: false,
            described: false,
            described_again: false,
            copied: Copied::default(),
        }
    }

    /// Which result the target is sending.
    pub(super) fn result(&self) -> ResultOf {
        ResultOf {
            facts: Arc::clone(&self.understood.facts),
            statement: self.statement,
        }
    }
}

/// A message whose answer is awaited.
#[derive(Debug)]
pub(super) enum Expect {
    /// `ParseComplete`. `before` is what the name meant, should the target refuse.
    Parse {
        name: Box<[u8]>,
        statement: Arc<Prepared>,
        before: Option<Arc<Prepared>>,
        seq: u64,
    },
    /// `BindComplete`. `before` is what the name meant, should the target refuse.
    Bind {
        name: Box<[u8]>,
        portal: Arc<Portal>,
        before: Option<Arc<Portal>>,
    },
    /// `ParameterDescription`, then `RowDescription` or `NoData`.
    DescribeStatement {
        statement: Option<Arc<Prepared>>,
        parameters_seen: bool,
    },
    /// `RowDescription` or `NoData`.
    DescribePortal { portal: Option<Arc<Portal>> },
    /// Rows, then `CommandComplete`, `EmptyQueryResponse` or `PortalSuspended`; or a COPY.
    Execute { run: Run, portal: Option<Arc<Portal>> },
    /// `CloseComplete`.
    CloseStatement {
        name: Box<[u8]>,
        before: Option<Arc<Prepared>>,
    },
    /// `CloseComplete`.
    ClosePortal {
        name: Box<[u8]>,
        before: Option<Arc<Portal>>,
    },
    /// `ReadyForQuery`.
    Sync,
    /// Everything up to `ReadyForQuery`.
    Query { run: Run },
    /// A replication command: everything up to `ReadyForQuery`.
    Replicate { run: Run, stream: Box<Stream> },
    /// `FunctionCallResponse`, then `ReadyForQuery`.
    Function { run: Run, result: Column },
    /// A message that the target is sure to reject stands for a refused one: its error is replaced by ours.
    Poison { error: BytesMut, seq: u64, simple: bool },
    /// The gateway's own question about names; nothing of its answer reaches the client. `closes` counts the
    /// `CloseComplete`s still to come; `last` ends the questions.
    Own { closes: u8, last: bool },
    /// The `ReadyForQuery` that ends the gateway's own questions.
    OwnSync,
    /// The gateway's own questions in one simple query: everything up to `ReadyForQuery`.
    OwnQuery,
    /// The gateway's own `Describe` of a portal.
    OwnDescribe { portal: Option<Arc<Portal>> },
    /// The gateway's own question what the columns of a copied query are: everything up to so many `CloseComplete`s.
    OwnTypes {
        understood: Arc<Understood>,
        described: Arc<OnceLock<Described>>,
        closes: u8,
        /// A command waits for the answer that is in no batch: an error is kept for it.
        alone: bool,
    },
}

impl Expect {
    /// Whether the target leaves this message out after an error, up to the next `Sync`.
    fn is_skipped_after_error(&self) -> bool {
        match self {
            Self::Sync | Self::OwnSync => false,
            Self::Query { .. }
            | Self::Replicate { .. }
            | Self::OwnQuery
            | Self::Function { .. }
            | Self::Poison { .. }
            | Self::Parse { .. }
            | Self::Bind { .. }
            | Self::DescribeStatement { .. }
            | Self::DescribePortal { .. }
            | Self::Execute { .. }
            | Self::CloseStatement { .. }
            | Self::ClosePortal { .. }
            | Self::Own { .. }
            | Self::OwnDescribe { .. }
            | Self::OwnTypes { .. } => true,
        }
    }

    /// The running command, if this is one.
    pub(super) fn run(&mut self) -> Option<&mut Run> {
        match self {
            Self::Execute { run, .. }
            | Self::Query { run }
            | Self::Replicate { run, .. }
            | Self::Function { run, .. } => Some(run),
            Self::Parse { .. }
            | Self::Bind { .. }
            | Self::DescribeStatement { .. }
            | Self::DescribePortal { .. }
            | Self::CloseStatement { .. }
            | Self::ClosePortal { .. }
            | Self::Sync
            | Self::Poison { .. }
            | Self::Own { .. }
            | Self::OwnSync
            | Self::OwnQuery
            | Self::OwnDescribe { .. }
            | Self::OwnTypes { .. } => None,
        }
    }

    /// What is known of the command that this message is part of.
    pub(super) fn understood(&self) -> Option<&Arc<Understood>> {
        match self {
            Self::Execute { run, .. }
            | Self::Query { run }
            | Self::Replicate { run, .. }
            | Self::Function { run, .. } => Some(&run.understood),
            Self::Parse { statement, .. } => Some(&statement.understood),
            Self::Bind { portal, .. } => Some(&portal.understood),
            Self::DescribeStatement { statement, .. } => statement.as_ref().map(|s| &s.understood),
            Self::DescribePortal { portal } => portal.as_ref().map(|p| &p.understood),
            Self::OwnTypes { understood, .. } => Some(understood),
            Self::CloseStatement { .. }
            | Self::ClosePortal { .. }
            | Self::Sync
            | Self::Poison { .. }
            | Self::Own { .. }
            | Self::OwnSync
            | Self::OwnQuery
            | Self::OwnDescribe { .. } => None,
        }
    }

    /// The number of the command that an answer to this message belongs to; 0 for none.
    pub(super) fn seq(&self) -> u64 {
        match self {
            Self::Execute { run, .. }
            | Self::Query { run }
            | Self::Replicate { run, .. }
            | Self::Function { run, .. } => run.spent.seq(),
            Self::Poison { seq, .. } | Self::Parse { seq, .. } => *seq,
            Self::DescribePortal { portal } => portal.as_ref().map_or(0, |p| p.spent.seq()),
            Self::Bind { portal, .. } => portal.spent.seq(),
            Self::DescribeStatement { .. }
            | Self::CloseStatement { .. }
            | Self::ClosePortal { .. }
            | Self::Sync
            | Self::Own { .. }
            | Self::OwnSync
            | Self::OwnQuery
            | Self::OwnDescribe { .. }
            | Self::OwnTypes { .. } => 0,
        }
    }
}

/// The answers that are awaited, oldest first.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    queue: VecDeque<Expect>,
    counts: Counts,
}

impl Awaited {
    /// The commands that run, and of which no end is known.
    pub(super) fn unfinished(&self) -> Vec<u64> {
        let running = self.queue.iter().filter_map(|expect| match expect {
            Expect::Execute { run, .. }
            | Expect::Query { run }
            | Expect::Replicate { run, .. }
            | Expect::Function { run, .. } => Some(run),
            Expect::Parse { .. }
            | Expect::Bind { .. }
            | Expect::DescribeStatement { .. }
            | Expect::DescribePortal { .. }
            | Expect::CloseStatement { .. }
            | Expect::ClosePortal { .. }
            | Expect::Sync
            | Expect::Poison { .. }
            | Expect::Own { .. }
            | Expect::OwnSync
            | Expect::OwnQuery
            | Expect::OwnDescribe { .. }
            | Expect::OwnTypes { .. } => None,
        });
        running.filter(|run| !run.failed).map(|run| run.spent.seq()).collect()
    }
}

/// What the queue holds, so that nobody has to walk it.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    /// Messages that may change names, settings or the transaction.
    changing: usize,
    /// Messages that may change what the session's own names mean, or how text is read.
    unsettling: usize,
    /// Messages that may make the target take COPY data.
    copying: usize,
    /// Messages that end a batch.
    ending: usize,
    /// Bytes that are kept for the answers.
    bytes: usize,
}

impl Counts {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "each match asks for some kinds and counts nothing for all others"
    )]
    fn of(expect: &Expect) -> Self {
        let run = match expect {
            Expect::Execute { run, .. }
            | Expect::Query { run }
            | Expect::Replicate { run, .. }
            | Expect::Function { run, .. } => Some(&run.understood),
            _ => None,
        };
        let bytes = match expect {
            Expect::Parse { statement, .. } => statement.understood.text.len(),
            Expect::Bind { portal, .. } => portal.parameters.len(),
            Expect::Poison { error, .. } => error.len(),
            _ => run.map_or(0, |understood| understood.text.len()),
        };
        let ending = match expect {
            Expect::Sync | Expect::Query { .. } | Expect::Replicate { .. } | Expect::Function { .. } => true,
            Expect::Poison { simple, .. } => *simple,
            _ => false,
        };
        Self {
            changing: usize::from(run.is_some_and(|u| u.changes_names)),
            unsettling: usize::from(run.is_some_and(|u| u.unsettles)),
            copying: usize::from(run.is_some_and(|u| u.copies_in)),
            ending: usize::from(ending),
            bytes,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            changing: self.changing + other.changing,
            unsettling: self.unsettling + other.unsettling,
            copying: self.copying + other.copying,
            ending: self.ending + other.ending,
            bytes: self.bytes + other.bytes,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            changing: self.changing - other.changing,
            unsettling: self.unsettling - other.unsettling,
            copying: self.copying - other.copying,
            ending: self.ending - other.ending,
            bytes: self.bytes - other.bytes,
        }
    }
}

/// More unanswered messages than this, and the client is not read until the target catches up.
const MAX_AWAITED: usize = 8192;
/// The same for the bytes that are kept for the answers.
const MAX_AWAITED_BYTES: usize = 16 * 1024 * 1024;

impl Awaited {
    pub(super) fn push(&mut self, expect: Expect) {
        self.counts = self.counts.plus(Counts::of(&expect));
        self.queue.push_back(expect);
    }

    pub(super) fn front(&mut self) -> Option<&mut Expect> {
        self.queue.front_mut()
    }

    pub(super) fn pop(&mut self) -> Option<Expect> {
        let expect = self.queue.pop_front()?;
        self.counts = self.counts.minus(Counts::of(&expect));
        Some(expect)
    }

    /// Takes what the target skips after an error, without the `Sync` that ends the skipping. Newest last.
    pub(super) fn take_skipped(&mut self) -> Vec<Expect> {
        let count = self.queue.iter().take_while(|e| e.is_skipped_after_error()).count();
        let skipped: Vec<_> = self.queue.drain(..count).collect();
        self.counts = skipped
            .iter()
            .fold(self.counts, |counts, e| counts.minus(Counts::of(e)));
        skipped
    }

    /// Takes the `Sync` entries right behind the front: a target in COPY mode ignores them.
    ///
    /// Returns false when anything else was sent behind a COPY.
    pub(super) fn drop_ignored_in_copy(&mut self) -> bool {
        while matches!(self.queue.get(1), Some(Expect::Sync)) {
            self.queue.remove(1);
            self.counts = self.counts.minus(Counts::of(&Expect::Sync));
        }
        self.queue.len() <= 1
    }

    /// Where the next message that is to change statement `name` keeps what the name meant before.
    #[expect(clippy::wildcard_enum_match_arm, reason = "asks for one kind of message")]
    pub(super) fn statement_before(&mut self, of: &[u8]) -> Option<&mut Option<Arc<Prepared>>> {
        self.queue.iter_mut().find_map(|e| match e {
            Expect::Parse { name, before, .. } | Expect::CloseStatement { name, before } if **name == *of => {
                Some(before)
            }
            _ => None,
        })
    }

    /// Where the next message that is to change portal `name` keeps what the name meant before.
    #[expect(clippy::wildcard_enum_match_arm, reason = "asks for one kind of message")]
    pub(super) fn portal_before(&mut self, of: &[u8]) -> Option<&mut Option<Arc<Portal>>> {
        self.queue.iter_mut().find_map(|e| match e {
            Expect::Bind { name, before, .. } | Expect::ClosePortal { name, before } if **name == *of => Some(before),
            _ => None,
        })
    }

    /// Whether the target may be about to take COPY data.
    pub(super) fn may_copy_in(&self) -> bool {
        self.counts.copying > 0
    }

    /// Whether the last thing asked of the target is what portal `name` returns.
    #[expect(clippy::wildcard_enum_match_arm, reason = "asks for one kind of message")]
    pub(super) fn describes(&self, portal: &Arc<Portal>) -> bool {
        self.queue.iter().rev().any(|e| match e {
            Expect::DescribePortal { portal: Some(p) } | Expect::OwnDescribe { portal: Some(p) } => {
                Arc::ptr_eq(p, portal)
            }
            _ => false,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= MAX_AWAITED || self.counts.bytes >= MAX_AWAITED_BYTES
    }

    /// Whether names or settings may change before the target answers what is sent next.
    pub(super) fn may_change_names(&self) -> bool {
        self.counts.changing > 0
    }

    /// Whether what the session's own names mean, or how text is read, may change before the target answers what is
    /// sent next.
    pub(super) fn may_unsettle(&self) -> bool {
        self.counts.unsettling > 0
    }

    /// How many batches the target has not finished of those whose end was sent.
    pub(super) fn unfinished_batches(&self) -> usize {
        self.counts.ending
    }
}

/// How a run that the target has answered ended.
pub(super) fn finish(run: &Run) -> Finish {
    if run.failed { Finish::Failed } else { Finish::Completed }
}
