//! What a statement's success or failure means for the session.

use std::sync::Arc;

use bytes::BytesMut;
use sallyport_policy::Reveal;
use sallyport_session::{Effects, Finish, WireError};
use sallyport_sql::{OneOrAll, StatementFacts, Transaction};

use super::expect::Expect;
use super::names::{Portal, Prepared};
use super::results::{Masking, Masks};
use super::target::target_error;
use super::{Discarding, PostgresConversation};
use crate::understanding::{self, Understood};
use crate::wire::{Diagnostic, Field};

impl PostgresConversation {
    /// A statement succeeded: what it does to the session is so from now on.
    pub(super) fn took_effect(&mut self, statement: Option<&StatementFacts>, of: &Understood) {
        // a string of several statements is a transaction, and may begin one that outlives it
        let in_transaction = self.in_transaction() || of.facts.statements.len() > 1;
        if of.runs_unknown_code {
            self.names.doubt();
            self.scope.catalog_changed(in_transaction);
            self.scope.state_changed();
        }
        let Some(statement) = statement else { return };
        let e = &statement.effects;
        if e.changes_catalog {
            self.scope.catalog_changed(in_transaction);
        }
        if understanding::sets(statement) || of.runs_unknown_code {
            self.settings.doubt();
            self.scope.settings_changed(in_transaction);
        }
        if e.changes_path || of.changes_names {
            self.scope.state_changed();
        }
        if let Some((name, facts)) = &e.prepares {
            self.names.prepared_by_sql(name, facts, of, self.batch);
        }
        match &e.deallocates {
            Some(OneOrAll::One(name)) => self.names.deallocate(Some(name)),
            Some(OneOrAll::All) => self.names.deallocate(None),
            None => {}
        }
        if let Some(cursor) = &e.declares {
            let text = of
                .text
                .slice(statement.span.start.min(of.text.len())..statement.span.end.min(of.text.len()));
            self.names
                .declare(&cursor.name, Arc::clone(&cursor.facts), cursor.hold, text);
        }
        match &e.closes {
            Some(OneOrAll::One(name)) => self.names.close_cursor(Some(name)),
            Some(OneOrAll::All) => self.names.close_cursor(None),
            None => {}
        }
        if e.discards.is_some_and(|d| d == sallyport_sql::Discard::All) {
            self.names.forget();
        }
        match &e.transaction {
            Some(Transaction::Commit { .. } | Transaction::Rollback { .. } | Transaction::Prepare) => {
                self.aborted = false;
                self.settings.doubt();
                self.names.end_transaction(u64::MAX);
                self.scope.transaction_ended();
            }
            Some(Transaction::RollbackTo(_)) => {
                self.aborted = false;
                self.settings.doubt();
                self.scope.catalog_changed(in_transaction);
            }
            Some(Transaction::CommitPrepared | Transaction::RollbackPrepared) => {
                self.scope.catalog_changed(in_transaction);
            }
            Some(Transaction::Begin | Transaction::Savepoint(_) | Transaction::Release(_)) | None => {}
        }
    }

    /// An error: what the target skips is taken back, a refusal's own words replace the poison's.
    pub(super) fn on_error(&mut self, seq: u64, body: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let mut error = Diagnostic::decode(body).map_err(target_error)?;
        self.fatal |= matches!(error.get(Field::SeverityPlain), Some(b"FATAL" | b"PANIC"));
        self.copy_in = None;
        let message = match self.awaited.front() {
            Some(Expect::Poison { error, .. }) => std::mem::take(error),
            _ => {
                self.scrubber().error(&mut error);
                let mut message = BytesMut::new();
                error.encode_error(&mut message);
                message
            }
        };
        let (own, alone) = match self.awaited.front() {
            Some(Expect::Own { .. }) => (!self.fatal, !self.unsynced),
            Some(Expect::OwnQuery) => (!self.fatal, true),
            Some(Expect::OwnTypes { alone, .. }) => (!self.fatal, *alone),
            _ => (false, false),
        };
        if own {
            self.own_ended();
        }
        if own && alone {
            // The command that the questions were for is still to be answered.
            self.own_error = Some(message);
        } else {
            out.show(seq, &message);
        }
        self.after_error(out);
        Ok(())
    }

    fn after_error(&mut self, out: &mut Effects) {
        // What such code did to the session's names outlives the error.
        if self
            .awaited
            .front()
            .and_then(|e| e.understood())
            .is_some_and(|u| u.runs_unknown_code)
        {
            self.names.doubt();
        }
        match self.awaited.front() {
            // A simple query, or a function call: `ReadyForQuery` follows.
            Some(Expect::Query { run } | Expect::Function { run, .. } | Expect::Replicate { run, .. }) => {
                run.failed = true;
                run.masking = Masking::Undecided;
                out.finished(run.spent.seq(), Finish::Failed);
                let changed = run.understood.changes_names;
                if changed {
                    self.scope.batch_failed();
                }
            }
            Some(Expect::Poison { simple: true, .. }) | None => {}
            Some(Expect::Sync | Expect::OwnSync | Expect::OwnQuery) => {}
            Some(_) => {
                let skipped = self.awaited.take_skipped();
                for (index, entry) in skipped.into_iter().enumerate().rev() {
                    self.take_back(entry, index == 0, out);
                }
                self.scope.batch_failed();
                if self.awaited.is_empty() {
                    self.discarding = Discarding::WithTarget;
                    self.drop_pending(out);
                }
            }
        }
    }

    /// A message that failed, or that the target skipped: the names that it was to change stay as they were.
    fn take_back(&mut self, entry: Expect, failed: bool, out: &mut Effects) {
        let how = if failed { Finish::Failed } else { Finish::Skipped };
        match entry {
            Expect::Parse { name, before, .. } | Expect::CloseStatement { name, before } => {
                self.take_back_statement(&name, before);
            }
            Expect::ClosePortal { name, before } => self.take_back_portal(&name, before),
            Expect::Bind { name, before, portal } => {
                out.finished(portal.spent.seq(), how);
                self.take_back_portal(&name, before);
            }
            Expect::Execute { run, .. }
            | Expect::Query { run }
            | Expect::Function { run, .. }
            | Expect::Replicate { run, .. } => {
                out.finished(run.spent.seq(), how);
            }
            Expect::DescribeStatement { .. }
            | Expect::DescribePortal { .. }
            | Expect::Sync
            | Expect::Poison { .. }
            | Expect::Own { .. }
            | Expect::OwnSync
            | Expect::OwnQuery
            | Expect::OwnDescribe { .. }
            | Expect::OwnTypes { .. } => {}
        }
    }

    /// What `name` meant before a message that came to nothing. A later batch may have changed the name again by now:
    /// then that is what it means, and this is what it falls back to.
    fn take_back_statement(&mut self, name: &[u8], before: Option<Arc<Prepared>>) {
        match self.awaited.statement_before(name) {
            Some(later) => *later = before,
            None => drop(self.names.set_statement(name, before)),
        }
    }

    fn take_back_portal(&mut self, name: &[u8], before: Option<Arc<Portal>>) {
        match self.awaited.portal_before(name) {
            Some(later) => *later = before,
            None => drop(self.names.set_portal(name, before)),
        }
    }
}

impl Masks {
    /// Whether a column of any table is hidden from this person.
    pub(crate) fn hide_columns(&self) -> bool {
        self.classification
            .column_classes()
            .iter()
            .any(|class| *self.reveals.of(class) != Reveal::Clear)
    }
}
