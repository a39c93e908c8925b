//! PREPARE, EXECUTE, cursors, EXPLAIN: statements about statements.

use std::rc::Rc;
use std::sync::Arc;

use pg_raw_parse::{Node, nodes};
use smol_str::SmolStr;

use super::{Change, Statement};
use crate::bind::{Literals, Scope};
use crate::facts::{Action, ColumnUse, Cursor, How, OneOrAll, Output, Outputs, StatementFacts};
use crate::parameters::{Bound, Parameters};

/// Longer texts of `PREPARE` are not read again for the arguments of `EXECUTE`.
const MAX_PREPARED: usize = 16 * 1024;

/// The most rows that FETCH gives, of a cursor whose query gives so many.
fn fetched(s: &nodes::FetchStmt, of: Option<u64>) -> Option<u64> {
    // FETCH 0 gives the row where the cursor is, `FETCH_ALL` all there are.
    let asked = s.how_many.unsigned_abs().max(1);
    let asked = (s.how_many.unsigned_abs() < i64::MAX.unsigned_abs()).then_some(asked);
    let one = matches!(
        s.direction,
        nodes::FetchDirection::FETCH_ABSOLUTE | nodes::FetchDirection::FETCH_RELATIVE
    );
    let asked = if one { Some(1) } else { asked };
    match (asked, of) {
        (Some(asked), Some(of)) => Some(asked.min(of)),
        (one, None) | (None, one) => one,
    }
}

impl Statement<'_> {
    pub(super) fn cursors(&mut self, node: Node<'_>) -> bool {
        match node {
            Node::PrepareStmt(s) => self.prepare(s),
            Node::ExecuteStmt(s) => {
                self.act(Action::Execute);
                if let Some(facts) = self.execute(s) {
                    self.binder.facts.max_rows = facts.max_rows;
                    self.binder.facts.outputs = facts.outputs.clone();
                }
            }
            Node::DeallocateStmt(s) => self.deallocate(s),
            Node::DeclareCursorStmt(s) => self.declare(s),
            Node::FetchStmt(s) => self.fetch(s),
            Node::ClosePortalStmt(s) => self.close(s),
            Node::ExplainStmt(s) => self.explain(s),
            _ => return false,
        }
        true
    }

    fn prepare(&mut self, s: &nodes::PrepareStmt) {
        self.act(Action::Prepare);
        // its parameters wait for EXECUTE, whatever is bound to this statement
        let literals = &self.names.literals;
        let weighed = literals.weighed();
        let (mut inner, _) = literals.with(None, || self.nested(s.query()));
        literals.set_weighed(weighed);
        inner.parameters = inner
            .parameters
            .max(u32::try_from(s.argtypes().len()).unwrap_or(u32::MAX));
        for ty in s.argtypes() {
            self.binder.type_of(ty);
        }
        // the checks of the parameters' types run when it is executed
        inner.code.extend(self.binder.facts.code.iter().cloned());
        if inner.at_worst.is_some() {
            let text = self.names.text.get(self.span.clone());
            inner.prepared_as = text.filter(|text| text.len() <= MAX_PREPARED).map(Arc::from);
        }
        self.binder.facts.absorb(&inner);
        let name = SmolStr::new(s.name().unwrap_or_default());
        let inner = Arc::new(inner);
        self.changes
            .push(Change::Statement(name.clone(), Some(Arc::clone(&inner))));
        self.binder.facts.effects.prepares = Some((name, inner));
    }

    /// What a prepared statement does, and its parameters. Unknown statements are unresolved.
    pub(super) fn execute(&mut self, s: &nodes::ExecuteStmt) -> Option<Arc<StatementFacts>> {
        let name = s.name().unwrap_or_default();
        let flow = self.binder.exprs(s.params(), &Scope::default());
        self.binder.use_columns(&flow, How::Copied);
        self.binder.facts.effects.executes = Some(SmolStr::new(name));
        let found = match self.names.statements.get(name) {
            Some(here) => here.clone(),
            None if self.names.forgotten => None,
            None => self.prepared.statement(name),
        };
        match &found {
            Some(facts) if self.names.budget.spend(2 * facts.weight()) => {
                self.absorb_executed(facts, s);
                let inner = &facts.effects;
                self.binder.facts.effects.changes_catalog |= inner.changes_catalog;
            }
            _ => {
                self.binder.unresolved(&format!("prepared statement {name}"));
                self.binder.facts.outputs = Outputs::Unknown {
                    relations: Default::default(),
                };
            }
        }
        if self.names.lost {
            self.binder.unresolved(&format!("prepared statement {name}"));
        }
        found
    }

    /// Takes over what a prepared statement may do with these arguments.
    fn absorb_executed(&mut self, prepared: &StatementFacts, s: &nodes::ExecuteStmt) {
        let Some(worst) = &prepared.at_worst else {
            return self.binder.facts.absorb(prepared);
        };
        let text = prepared.prepared_as.as_deref();
        // Arguments decide about restrictions, and about nothing else.
        let mut facts = (**worst).clone();
        if let Some(now) = text.and_then(|text| self.with_arguments(text, s))
            && !now.unresolved()
            && now.writes == facts.writes
        {
            facts.unrestricted = now.unrestricted;
        }
        self.binder.facts.absorb(&facts);
    }

    /// What is known of a statement that was prepared as `text` with these arguments.
    fn with_arguments(&mut self, text: &str, s: &nodes::ExecuteStmt) -> Option<StatementFacts> {
        if !self.names.budget.spend(text.len() / 2) {
            return None;
        }
        let parsed = crate::parse::parse(text).ok()?;
        let (_, node) = parsed.statements().next()?;
        let Node::PrepareStmt(prepare) = node else { return None };
        let literals = &self.names.literals;
        let value = |arg| literals.argument(arg).map_or(Bound::Unknown, Bound::Text);
        let parameters = Parameters {
            values: s.params().iter().map(value).collect(),
            types: Vec::new(),
        };
        let weighed = literals.weighed();
        let (facts, _) = literals.with(Some(Rc::new(parameters)), || self.nested(prepare.query()));
        literals.set_weighed(weighed);
        Some(facts)
    }

    fn deallocate(&mut self, s: &nodes::DeallocateStmt) {
        self.act(Action::Deallocate);
        let which = match s.name() {
            Some(name) if !s.isall => {
                self.changes.push(Change::Statement(SmolStr::new(name), None));
                OneOrAll::One(SmolStr::new(name))
            }
            _ => {
                self.changes.push(Change::Forget);
                OneOrAll::All
            }
        };
        self.binder.facts.effects.deallocates = Some(which);
    }

    fn declare(&mut self, s: &nodes::DeclareCursorStmt) {
        /// `CURSOR_OPT_HOLD` of `parsenodes.h`.
        const HOLD: i32 = 0x0020;
        self.act(Action::DeclareCursor);
        let (inner, _) = self.nested(s.query());
        self.binder.facts.absorb(&inner);
        self.binder.facts.max_rows = inner.max_rows;
        let name = SmolStr::new(s.portalname().unwrap_or_default());
        let facts = Arc::new(inner);
        self.changes
            .push(Change::Cursor(name.clone(), Some(Arc::clone(&facts))));
        self.binder.facts.effects.declares = Some(Cursor {
            name,
            hold: s.options & HOLD != 0,
            facts,
        });
    }

    fn fetch(&mut self, s: &nodes::FetchStmt) {
        self.act(if s.ismove { Action::Move } else { Action::Fetch });
        let name = s.portalname().unwrap_or_default();
        self.binder.facts.effects.fetches = Some(SmolStr::new(name));
        let found = match self.names.cursors.get(name) {
            Some(here) => here.clone(),
            None if self.names.forgotten => None,
            None => self.prepared.cursor(name),
        };
        match found {
            Some(facts) if self.names.budget.spend(2 * facts.weight()) => {
                self.binder.facts.absorb(&facts);
                self.binder.facts.max_rows = fetched(s, facts.max_rows);
                if !s.ismove {
                    self.binder.facts.outputs = facts.outputs.clone();
                }
            }
            _ => {
                self.binder.unresolved(&format!("cursor {name}"));
                self.binder.facts.outputs = Outputs::Unknown {
                    relations: Default::default(),
                };
            }
        }
    }

    fn close(&mut self, s: &nodes::ClosePortalStmt) {
        self.act(Action::ClosePortal);
        let which = match s.portalname() {
            Some(name) => {
                self.changes.push(Change::Cursor(SmolStr::new(name), None));
                OneOrAll::One(SmolStr::new(name))
            }
            None => OneOrAll::All,
        };
        self.binder.facts.effects.closes = Some(which);
    }

    /// EXPLAIN plans, and with ANALYZE executes; a plan shows what predicates let infer.
    fn explain(&mut self, s: &nodes::ExplainStmt) {
        let analyze = s
            .options()
            .iter()
            .filter(|o| o.defname() == Some("analyze"))
            .fold(false, |_, o| is_on(o.arg(), &self.names.literals));
        let (mut inner, changes) = self.nested(s.query());
        inner.uses = explained(&inner, analyze);
        if analyze {
            self.act(Action::ExplainAnalyze);
            self.binder.facts.effects = inner.effects.clone();
            self.changes.extend(changes);
        } else {
            self.act(Action::Explain);
            inner.actions.clear();
            inner.unrestricted.clear();
            inner.reads.append(&mut inner.writes);
            self.binder.facts.effects.executes = inner.effects.executes.clone();
        }
        self.binder.facts.absorb(&inner);
        let origins = inner
            .uses
            .iter()
            .filter(|u| u.how == How::Inferred)
            .map(|u| u.column.clone());
        let plan = Output {
            name: SmolStr::new_static("QUERY PLAN"),
            origins: Arc::new(origins.collect()),
            direct: false,
        };
        self.binder.facts.outputs = Outputs::Columns(vec![plan]);
    }
}

/// The uses of an explained statement: shown values are not shown, computed ones may still fail.
fn explained(inner: &StatementFacts, analyze: bool) -> std::collections::BTreeSet<ColumnUse> {
    let kept = inner.uses.iter().filter_map(|u| {
        let how = match u.how {
            How::Shown => return None,
            How::Derived | How::Inferred => How::Inferred,
            How::Copied | How::Written if analyze => u.how,
            How::Copied | How::Written => return None,
        };
        Some(ColumnUse {
            column: u.column.clone(),
            how,
        })
    });
    kept.collect()
}

/// The value of a boolean option: on unless it says otherwise.
pub(super) fn is_on(arg: Node<'_>, literals: &Literals) -> bool {
    let text = match arg {
        Node::None => return true,
        Node::String(s) => s.sval().unwrap_or_default().to_owned(),
        Node::Integer(i) => return i.ival != 0,
        Node::Boolean(b) => return b.boolval,
        other => literals.text(other).unwrap_or_default(),
    };
    !matches!(text.to_ascii_lowercase().as_str(), "false" | "off" | "0" | "no")
}
