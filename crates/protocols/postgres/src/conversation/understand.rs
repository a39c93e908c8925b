//! What is known of a client's texts in this session, now.

use std::sync::Arc;

use bytes::Bytes;
use sallyport_session::Effects;
use sallyport_sql::{StatementFacts, SyntaxError, Transaction};

use super::names::Prepared;
use super::{PostgresConversation, owned};
use crate::parameters;
use crate::understanding::{self, Reading, Sources, Understood};

impl PostgresConversation {
    /// What is known of a text in this session, now; also of the prepared statements that it executes.
    pub(super) fn understand(&mut self, text: &[u8], out: &Effects) -> Arc<Understood> {
        match self.settings.read(text) {
            Ok(readable) => self.understand_read(text, &readable, out),
            Err(error) => self.not_understood(owned(text), &error.to_string()),
        }
    }

    fn understand_read(&mut self, text: &[u8], readable: &str, out: &Effects) -> Arc<Understood> {
        let understood = self.understand_text(text, readable, out);
        if self.renew_executed(&understood, out) {
            return self.understand_text(text, readable, out);
        }
        understood
    }

    /// Understands anew what `EXECUTE` in a text runs, where names or policy changed since it was prepared: the target
    /// plans it anew as well. Whether there was any.
    fn renew_executed(&mut self, understood: &Understood, out: &Effects) -> bool {
        if !understood.depends_on_session || self.renewing {
            return false;
        }
        let under = self.view.under;
        let executed = understood
            .facts
            .statements
            .iter()
            .filter_map(|s| s.effects.executes.as_ref());
        let known = executed.filter_map(|name| Some((name, self.names.statement(name.as_bytes())?)));
        let old: Vec<_> = known
            .filter(|(_, s)| s.understood.under != under || s.understood.depends_on_session)
            .map(|(name, s)| (name.clone(), Arc::clone(s)))
            .collect();
        // the text that prepared a statement may execute it as well
        self.renewing = true;
        for (name, statement) in &old {
            self.today(name.as_bytes(), Arc::clone(statement), out);
        }
        self.renewing = false;
        !old.is_empty()
    }

    fn understand_text(&mut self, text: &[u8], readable: &str, out: &Effects) -> Arc<Understood> {
        let understood = self.view.library.understand(text, readable, &self.sources(out));
        if self.scope.is_outdated() && !understood.single().is_some_and(|s| ends_transaction(&s)) {
            let why = "names were changed since this transaction began, and what they mean now cannot be told within it: \
                       end it and run it again";
            return self.not_understood(owned(text), why);
        }
        if self.names_are_stale() && understood.facts.statements.len() > 1 {
            let why = "a failed transaction must be ended by itself before other statements can be judged";
            return self.not_understood(owned(text), why);
        }
        understood
    }

    pub(super) fn not_understood(&self, text: Bytes, why: &str) -> Arc<Understood> {
        let error = SyntaxError {
            message: why.to_owned(),
            position: None,
        };
        Arc::new(Understood {
            reading: Reading::Not(why.into()),
            ..understanding::unparsed(text, &error, self.view.under)
        })
    }

    /// The statement as it is understood today, should names or policy have changed since it was prepared.
    pub(super) fn today(&mut self, name: &[u8], statement: Arc<Prepared>, out: &Effects) -> Arc<Prepared> {
        let before = &statement.understood;
        if before.under == self.view.under && !before.depends_on_session {
            return statement;
        }
        let before = Arc::clone(before);
        let understood = self.understand_again(&before, statement.by_sql.as_deref(), out);
        let today = Arc::new(statement.again(understood));
        self.names.set_statement(name, Some(Arc::clone(&today)));
        today
    }

    /// What is known today of a statement's text; of the inner statement, if `PREPARE` made it.
    pub(super) fn understand_again(
        &mut self,
        before: &Understood,
        by_sql: Option<&str>,
        out: &Effects,
    ) -> Arc<Understood> {
        let text = &before.text;
        let understood = match before.readable() {
            Ok(readable) => self.understand_read(text, readable, out),
            Err(why) => self.not_understood(text.clone(), why),
        };
        let Some(name) = by_sql else { return understood };
        let prepares = |s: &StatementFacts| {
            s.effects
                .prepares
                .as_ref()
                .filter(|(n, _)| n == name)
                .map(|(_, facts)| Arc::clone(facts))
        };
        match understood.facts.statements.iter().find_map(prepares) {
            Some(facts) => Arc::new(understood.inner(&facts)),
            None => understood,
        }
    }

    /// What is known of a statement with what a client bound to its parameters, as [`parameters::of_bind`] gave it: where
    /// their values decide, they are weighed as literals are.
    pub(super) fn with_values(
        &self,
        understood: Arc<Understood>,
        statement: &Prepared,
        parameters: &[u8],
        out: &Effects,
    ) -> Arc<Understood> {
        if !understood.weighs_parameters() {
            return understood;
        }
        let from = self.sources(out);
        let text = &understood.text;
        // The text of a `PREPARE` is not that of the statement in it.
        let readable = understood.readable().ok().filter(|_| statement.by_sql.is_none());
        let bound = readable.and_then(|readable| {
            let values = parameters::values(parameters, statement.types());
            understanding::understand_bound(text.clone(), readable, values, &from).ok()
        });
        Arc::new(bound.unwrap_or_else(|| understood.at_worst(&from)))
    }

    /// Whether the names in a statement surely mean at the target what they mean here.
    pub(super) fn is_sure(&self, understood: &Understood) -> bool {
        !understood.depends_on_session
            || understood
                .facts
                .statements
                .iter()
                .all(|s| self.names.are_sure(s, self.batch))
    }

    pub(super) fn sources<'a>(&'a self, out: &'a Effects) -> Sources<'a> {
        Sources {
            catalog: &self.view.catalog,
            state: &self.view.state,
            names: &self.names,
            classification: out.classification(),
            database: &self.database,
            under: self.view.under,
        }
    }
}

fn ends_transaction(statement: &StatementFacts) -> bool {
    let effect = &statement.effects.transaction;
    matches!(effect, Some(Transaction::Commit { .. } | Transaction::Rollback { .. }))
}
