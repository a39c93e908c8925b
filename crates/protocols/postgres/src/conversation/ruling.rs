//! Messages that are put to the gate, and what becomes of them when its ruling comes.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use sallyport_session::{AskId, Command, Effects, Finish, Housekeeping, Permit, Phase, Reason, Refusal, Reveals};

use super::copied::Copied;
use super::expect::{Expect, Run};
use super::names::{Portal, Prepared};
use super::results::{Column, Masking};
use super::{Discarding, PostgresConversation, owned};
use crate::parameters;
use crate::refuse;
use crate::replication::Carries;
use crate::understanding::Understood;
use crate::wire::Format;
use crate::wire::frontend::{self, Subject};

/// A client message whose ruling is awaited.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) ask: AskId,
    frame: Bytes,
    what: What,
    /// What the question was bound to besides text and parameters.
    meaning: Bytes,
    /// The ruling, when it came after names had changed: the target is asked what they mean before the message goes on.
    granted: Option<(Permit, Arc<Reveals>)>,
    /// What the target was asked of the queries that it copies out, when the ruling had come.
    copied: Option<Copied>,
}

#[derive(Debug)]
pub(super) enum What {
    Query {
        understood: Arc<Understood>,
    },
    Parse {
        name: Box<[u8]>,
        understood: Arc<Understood>,
        types: Arc<[u32]>,
    },
    Bind {
        name: Box<[u8]>,
        statement: Arc<Prepared>,
        formats: Vec<Format>,
        parameters: Bytes,
    },
    Execute {
        name: Box<[u8]>,
        understood: Arc<Understood>,
        portal: Option<Arc<Portal>>,
        max_rows: i32,
    },
    Function {
        understood: Arc<Understood>,
        result: Column,
    },
    Replicate {
        understood: Arc<Understood>,
        carries: Carries,
    },
}

impl What {
    fn understood(&self) -> &Arc<Understood> {
        match self {
            Self::Query { understood }
            | Self::Parse { understood, .. }
            | Self::Execute { understood, .. }
            | Self::Replicate { understood, .. }
            | Self::Function { understood, .. } => understood,
            Self::Bind { statement, .. } => &statement.understood,
        }
    }

    /// The statement that a message of the extended protocol runs.
    fn statement(&self) -> Option<&Arc<Prepared>> {
        match self {
            Self::Bind { statement, .. } => Some(statement),
            Self::Execute { portal, .. } => portal.as_ref().and_then(|p| p.statement.as_ref()),
            Self::Query { .. } | Self::Parse { .. } | Self::Function { .. } | Self::Replicate { .. } => None,
        }
    }

    /// The statement that a message of the extended protocol runs, and what is bound to its parameters.
    fn bound(&self) -> Option<(&Prepared, &[u8])> {
        match self {
            Self::Bind {
                statement, parameters, ..
            } => Some((statement, parameters)),
            Self::Execute { portal, .. } => {
                let portal = portal.as_ref()?;
                Some((portal.statement.as_deref()?, &portal.parameters))
            }
            Self::Query { .. } | Self::Parse { .. } | Self::Function { .. } | Self::Replicate { .. } => None,
        }
    }

    /// The types that the client gave the parameters.
    fn types(&self) -> Arc<[u32]> {
        match self {
            Self::Parse { types, .. } => Arc::clone(types),
            Self::Query { .. }
            | Self::Bind { .. }
            | Self::Execute { .. }
            | Self::Function { .. }
            | Self::Replicate { .. } => self
                .statement()
                .map(|s| Arc::clone(&s.parameter_types))
                .unwrap_or_default(),
        }
    }
}

impl Pending {
    /// Whether a refusal is answered with `ReadyForQuery` at once.
    pub(super) fn is_simple(&self) -> bool {
        matches!(
            self.what,
            What::Query { .. } | What::Function { .. } | What::Replicate { .. }
        )
    }
}

impl PostgresConversation {
    pub(super) fn ask(
        &mut self,
        whole: &[u8],
        what: What,
        understood: &Understood,
        phase: Phase,
        parameters: Bytes,
        out: &mut Effects,
    ) {
        let ask = self.next_ask();
        let readable = (!parameters.is_empty()).then_some(parameters::readable as sallyport_session::InWords);
        let shape = Arc::clone(&understood.shape);
        let text = understood.text.clone();
        let meaning = self.meaning(understood, &what.types());
        let state = meaning.clone();
        self.pending = Some(Pending {
            ask,
            frame: owned(whole),
            what,
            meaning,
            granted: None,
            copied: None,
        });
        out.ask(
            ask,
            Command {
                shape,
                text,
                parameters,
                state,
                readable,
                phase,
            },
        );
    }

    /// What an approval is bound to besides text and parameters: where names are looked up and for whom, how text is
    /// read, the types of the parameters, and what the session's own names in the text stand for.
    pub(super) fn meaning(&mut self, understood: &Understood, types: &[u32]) -> Bytes {
        if !types.is_empty() || understood.depends_on_session {
            return self.whole_meaning(understood, types);
        }
        let (scope, settings) = (self.scope.meaning(), self.settings.meaning());
        match &self.plain_meaning {
            Some((s, t, known)) if s == scope && t == settings => known.clone(),
            _ => {
                let (scope, settings) = (scope.clone(), settings.clone());
                let meaning = self.whole_meaning(understood, types);
                self.plain_meaning = Some((scope, settings, meaning.clone()));
                meaning
            }
        }
    }

    fn whole_meaning(&self, understood: &Understood, types: &[u32]) -> Bytes {
        let mut meaning = self.scope.meaning().to_vec();
        let mut part = |bytes: &[u8]| {
            meaning.extend_from_slice(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            meaning.extend_from_slice(bytes);
        };
        part(self.settings.meaning());
        part(&types.iter().flat_map(|oid| oid.to_be_bytes()).collect::<Vec<_>>());
        for statement in &understood.facts.statements {
            if let Some(name) = &statement.effects.executes {
                let prepared = self.names.statement(name.as_bytes());
                part(&prepared.map(|s| s.meaning()).unwrap_or_default());
            }
            if let Some(name) = &statement.effects.fetches {
                part(&self.names.cursor_meaning(name.as_bytes()));
            }
        }
        meaning.into()
    }

    /// The ruling came. It was made of what names meant when it was asked for, which may be long ago.
    pub(super) fn permitted(&mut self, mut pending: Pending, permit: Permit, reveals: Arc<Reveals>, out: &mut Effects) {
        if self.discarding != Discarding::No {
            // The batch failed while this waited: the target skips it.
            out.finished(permit.seq(), Finish::Skipped);
            return;
        }
        // Names mean nothing to a replication command.
        if matches!(pending.what, What::Replicate { .. }) {
            self.forward(pending, permit, out);
        } else if self.names_are_known(out) {
            self.go_on(pending, permit, reveals, out);
        } else {
            pending.granted = Some((permit, reveals));
            self.pending = Some(pending);
        }
    }

    /// The target said something: a permitted message that waited for it may go on.
    pub(super) fn resume(&mut self, out: &mut Effects) {
        let Some(mut pending) = self.pending.take_if(|p| p.granted.is_some()) else {
            return;
        };
        let Some((permit, reveals)) = pending.granted.take() else {
            return;
        };
        let unanswered = pending.copied.as_ref().is_some_and(|copied| !copied.is_answered());
        match self.own_error.take() {
            // No transaction failed with the question, and the COPY will fail by itself, in its own words.
            Some(_) if unanswered && !self.in_transaction() => {
                pending.copied = Some(Copied::default());
                self.permitted(pending, permit, reveals, out);
            }
            Some(error) => self.refuse(pending.is_simple(), permit.seq(), &error, out),
            None => self.permitted(pending, permit, reveals, out),
        }
    }

    /// The batch failed while a message of it waited: the target skips it, so nobody need decide it any more.
    pub(super) fn drop_pending(&mut self, out: &mut Effects) {
        let Some(pending) = self.pending.take() else { return };
        match pending.granted {
            Some((permit, _)) => out.finished(permit.seq(), Finish::Skipped),
            None => out.withdraw(pending.ask),
        }
    }

    fn go_on(&mut self, mut pending: Pending, permit: Permit, reveals: Arc<Reveals>, out: &mut Effects) {
        if pending.what.understood().under != self.view.under && !self.means_the_same(&mut pending, out) {
            let why = "what the names in this statement mean changed while it waited for its approval";
            let refusal =
                Refusal::new(Reason::Denied, why).with_hint("run it again: it is decided by what they mean now");
            let error = refuse::error(&refusal);
            out.finished(permit.seq(), Finish::Skipped);
            self.refuse(pending.is_simple(), permit.seq(), &error, out);
            return;
        }
        self.renew_masks(Arc::clone(&reveals), out);
        if self.is_copy_known(&mut pending, out) {
            self.forward(pending, permit, out);
        } else {
            pending.granted = Some((permit, reveals));
            self.pending = Some(pending);
        }
    }

    /// Whether the columns are known of what a simple query copies out; if not, the target has been asked.
    fn is_copy_known(&mut self, pending: &mut Pending, out: &mut Effects) -> bool {
        let What::Query { understood } = &pending.what else {
            return true;
        };
        if pending.copied.is_none() && understood.copied_queries().next().is_some() {
            let copied = self.ask_copied(understood, !self.unsynced, out);
            if !copied.is_answered() {
                self.settle_copied(out);
            }
            pending.copied = Some(copied);
        }
        pending.copied.as_ref().is_none_or(Copied::is_answered)
    }

    /// Understands the statement anew. Whether policy would be asked the very same question.
    fn means_the_same(&mut self, pending: &mut Pending, out: &Effects) -> bool {
        pending.copied = None;
        let before = Arc::clone(pending.what.understood());
        let by_sql = pending.what.statement().and_then(|s| s.by_sql.clone());
        let mut today = self.understand_again(&before, by_sql.as_deref(), out);
        if let Some((statement, parameters)) = pending.what.bound() {
            today = self.with_values(today, statement, parameters, out);
        }
        let same = before.shape.acts == today.shape.acts
            && before.shape.shows == today.shape.shows
            && before.shape.unparsed.is_some() == today.shape.unparsed.is_some()
            && pending.meaning == self.meaning(&today, &pending.what.types());
        match &mut pending.what {
            What::Query { understood } | What::Parse { understood, .. } | What::Execute { understood, .. } => {
                *understood = today;
            }
            What::Function { understood, .. } | What::Replicate { understood, .. } => *understood = today,
            What::Bind { statement, .. } => *statement = Arc::new(statement.again(today)),
        }
        same
    }

    /// The message goes on its way.
    fn forward(&mut self, pending: Pending, permit: Permit, out: &mut Effects) {
        let (frame, meaning) = (pending.frame, pending.meaning);
        match pending.what {
            What::Query { understood } => {
                let spent = out.forward(permit, &frame);
                let mut run = Run::new(spent, understood, Masking::Undecided);
                run.copied = pending.copied.unwrap_or_default();
                self.awaited.push(Expect::Query { run });
                self.end_batch();
            }
            What::Function { understood, result } => {
                let spent = out.forward(permit, &frame);
                let run = Run::new(spent, understood, Masking::Undecided);
                self.awaited.push(Expect::Function { run, result });
                self.end_batch();
            }
            What::Replicate { understood, carries } => {
                self.forwarded_replication(out.forward(permit, &frame), understood, carries);
            }
            What::Parse {
                name,
                understood,
                types,
            } => {
                let seq = permit.seq();
                out.forward(permit, &frame);
                self.forwarded_parse(name, Arc::new(Prepared::new(understood, types, self.batch)), seq);
            }
            What::Bind {
                name,
                statement,
                formats,
                parameters,
            } => {
                let portal = Portal {
                    spent: out.forward(permit, &frame),
                    understood: Arc::clone(&statement.understood),
                    statement: Some(statement),
                    meaning,
                    parameters,
                    formats,
                    described: OnceLock::new(),
                    batch: self.batch,
                    confirmed: AtomicBool::new(false),
                };
                self.forwarded_bind(name, Arc::new(portal));
            }
            What::Execute {
                name,
                understood,
                portal,
                max_rows,
            } => {
                let copied = self.ask_copied(&understood, false, out);
                self.describe_first(&name, portal.as_ref(), &understood, out);
                let mut bytes = BytesMut::new();
                let portal_name = &*name;
                frontend::Execute {
                    portal: portal_name,
                    max_rows,
                }
                .encode(&mut bytes);
                let spent = out.forward(permit, &bytes);
                self.unsynced = true;
                let mut run = Run::new(spent, understood, Masking::Undecided);
                run.copied = copied;
                self.awaited.push(Expect::Execute { run, portal });
            }
        }
    }

    fn forwarded_parse(&mut self, name: Box<[u8]>, statement: Arc<Prepared>, seq: u64) {
        let before = self.names.set_statement(&name, Some(Arc::clone(&statement)));
        self.unsynced = true;
        self.awaited.push(Expect::Parse {
            name,
            statement,
            before,
            seq,
        });
    }

    fn forwarded_bind(&mut self, name: Box<[u8]>, portal: Arc<Portal>) {
        let before = self.names.set_portal(&name, Some(Arc::clone(&portal)));
        self.unsynced = true;
        self.awaited.push(Expect::Bind { name, portal, before });
    }

    /// Runs a portal as it was permitted when it was bound.
    pub(super) fn execute(&mut self, whole: &[u8], portal: &Arc<Portal>, out: &mut Effects) {
        let name = frontend::Execute::decode(whole.get(5..).unwrap_or_default())
            .map(|e| e.portal)
            .unwrap_or_default();
        let understood = Arc::clone(&portal.understood);
        let copied = self.ask_copied(&understood, false, out);
        self.describe_first(name, Some(portal), &understood, out);
        out.proceed(portal.spent, whole);
        self.unsynced = true;
        let mut run = Run::new(portal.spent, understood, Masking::Undecided);
        run.copied = copied;
        self.awaited.push(Expect::Execute {
            run,
            portal: Some(Arc::clone(portal)),
        });
    }

    /// Masks need the types of the result's columns: when nobody has asked for them, the gateway does.
    fn describe_first(
        &mut self,
        name: &[u8],
        portal: Option<&Arc<Portal>>,
        understood: &Understood,
        out: &mut Effects,
    ) {
        let known = portal.is_some_and(|p| p.columns().is_some() || self.awaited.describes(p));
        if known || self.masks.are_needless() || !understood.may_return_rows() {
            return;
        }
        let mut bytes = BytesMut::new();
        frontend::Describe {
            subject: Subject::Portal,
            name,
        }
        .encode(&mut bytes);
        out.tend(Housekeeping::Own, &bytes);
        self.awaited.push(Expect::OwnDescribe {
            portal: portal.cloned(),
        });
    }
}
