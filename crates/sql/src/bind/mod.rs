//! The binder: resolves the names of a query and follows values from columns to where they end.
//!
//! It is not PostgreSQL's analyser: types are inferred only as far as the choice of a function needs
//! them, and whatever stays open counts as the worst it could be.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "nodes that no arm names fall into an arm that refuses or claims nothing: fail closed"
)]

mod cte;
mod dml;
mod expr;
mod flow;
mod from;
mod functions;
mod join;
mod literal;
mod names;
mod restrict;
mod scope;
mod select;
mod sink;
mod titles;
mod types;
mod views;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use pg_raw_parse::Node;
use smol_str::SmolStr;

pub(crate) use dml::Event;
pub(crate) use flow::{Field, Flow, Ty};
pub(crate) use from::relation_item;
pub(crate) use literal::Literals;
pub(crate) use scope::{Item, Scope};
pub(crate) use select::most_rows;
pub(crate) use views::ViewFacts;

use crate::budget::Budget;
use crate::catalog::{Catalog, Relation, TypeId};
use crate::facts::{Action, ColumnUse, Hazard, How, Output, Outputs, RelName, StatementFacts};
use crate::state::Prepared;

/// How deep expressions and queries may nest; deeper ones are not resolved.
const MAX_DEPTH: usize = 160;

/// What earlier statements of the same string did to the names.
#[derive(Debug, Clone)]
pub(crate) struct Names<'a> {
    pub(crate) catalog: &'a Catalog,
    /// The text that is understood.
    pub(crate) text: &'a str,
    /// Schemas searched, in order.
    pub(crate) path: Vec<SmolStr>,
    /// The current role, for `"$user"` in a path.
    pub(crate) user: SmolStr,
    /// Where new objects land.
    pub(crate) creation: Option<SmolStr>,
    /// Relations created, changed (`Some`) or dropped (`None`) since the snapshot.
    pub(crate) overlay: HashMap<RelName, Option<Arc<Relation>>>,
    /// Functions that this string created, by name: what they do is not known yet.
    pub(crate) new_functions: HashSet<SmolStr>,
    /// Statements that this string prepared (`Some`) or deallocated.
    pub(crate) statements: HashMap<SmolStr, Option<Arc<StatementFacts>>>,
    /// Cursors that this string declared (`Some`) or closed.
    pub(crate) cursors: HashMap<SmolStr, Option<Arc<StatementFacts>>>,
    /// All prepared statements, or cursors, from before this string are gone.
    pub(crate) forgotten: bool,
    /// The paths before each change of it in the transaction that is open, the first one first.
    pub(crate) paths: Vec<Vec<SmolStr>>,
    /// The path was set for the transaction only.
    pub(crate) only_local: bool,
    /// This string began the transaction, before it set the path.
    pub(crate) began: bool,
    /// Something happened that the overlay does not show: names may mean anything.
    pub(crate) lost: bool,
    /// What is left to spend on the whole string.
    pub(crate) budget: Rc<Budget>,
    /// The literals of the string.
    pub(crate) literals: Rc<Literals>,
}

/// The columns of a query's result.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    pub(crate) fields: Vec<Field>,
    /// There may be other columns than these, carrying this.
    pub(crate) open: Option<Flow>,
    /// The number of rows is bounded by constants of the statement.
    pub(crate) restricted: bool,
}

/// Binds one statement, collecting its facts.
pub(crate) struct Binder<'a> {
    pub(crate) names: &'a Names<'a>,
    pub(crate) prepared: &'a dyn Prepared,
    pub(crate) facts: StatementFacts,
    /// Types of values seen, for implicit casts.
    types: HashSet<TypeId>,
    depth: usize,
    /// A bound was hit: nothing that walks the tree by itself may look at it any more.
    too_deep: bool,
    /// The depth of the outermost query whose columns were named since this was last reset.
    outermost: usize,
    /// What is known of the queries bound so far, by the place of their node.
    queries: HashMap<usize, restrict::QueryNote>,
    /// Inside CALL: arguments for OUT parameters are written too, so their number decides nothing.
    pub(crate) calling: bool,
    /// The setting that `name` stands for in `FROM pg_settings WHERE name = '…'`.
    setting_name: Option<String>,
    /// What the call that was bound last may mean.
    last_call: Vec<Arc<crate::catalog::Function>>,
    /// Set-returning functions called so far.
    set_returning: usize,
    /// Views being expanded, outermost first.
    expanding: Vec<u32>,
    /// Views whose own facts are among these already.
    views_seen: HashSet<u32>,
}

impl<'a> Binder<'a> {
    pub(crate) fn new(names: &'a Names<'a>, prepared: &'a dyn Prepared, facts: StatementFacts) -> Binder<'a> {
        Binder {
            names,
            prepared,
            facts,
            types: HashSet::new(),
            depth: 0,
            too_deep: false,
            outermost: usize::MAX,
            queries: HashMap::new(),
            calling: false,
            setting_name: None,
            last_call: Vec::new(),
            set_returning: 0,
            expanding: Vec::new(),
            views_seen: HashSet::new(),
        }
    }

    /// Whether the call that was bound last may return a row of OUT parameters.
    pub(crate) fn returns_parameters(&self) -> bool {
        self.last_call.is_empty() || self.last_call.iter().any(|f| !f.outs.is_empty())
    }

    pub(crate) fn hazard(&mut self, hazard: Hazard) {
        self.facts.hazards.insert(hazard);
    }

    pub(crate) fn unresolved(&mut self, what: &str) {
        self.hazard(Hazard::Unresolved(SmolStr::new(what)));
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.facts.actions.insert(action);
    }

    /// Records that these columns are used this way.
    pub(crate) fn use_columns(&mut self, flow: &Flow, how: How) {
        if !self.names.budget.spend(flow.columns.len()) {
            return;
        }
        for column in flow.columns.iter() {
            self.facts.uses.insert(ColumnUse {
                column: column.clone(),
                how,
            });
        }
    }

    /// The whole row of an item as a value.
    fn row_value(&self, item: &Item) -> Flow {
        if self.names.budget.spend(item.row_cost()) {
            item.row()
        } else {
            Flow::default()
        }
    }

    /// Spends what looking names up cost.
    fn looked(&self, scope: &Scope<'_>) {
        self.names.budget.compare(scope.looked.take());
    }

    /// Notes a value's type, because an implicit cast of a user's may apply to it.
    fn note_type(&mut self, ty: Ty) {
        if let Ty::Known(id) = ty
            && id >= 16384
        {
            self.types.insert(id);
        }
    }

    /// Goes one level deeper; `None` when that is too deep, or the statement too much work.
    fn deeper<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.depth >= MAX_DEPTH || !self.names.budget.spend(1) {
            self.too_deep = true;
            self.unresolved("nesting too deep");
            return None;
        }
        self.depth += 1;
        let result = body(self);
        self.depth -= 1;
        Some(result)
    }

    /// Ends a statement: implicit casts are considered once all types are seen.
    pub(crate) fn finish(mut self) -> StatementFacts {
        self.implicit_casts();
        self.revealing_columns();
        if self.facts.unresolved() && !matches!(self.facts.outputs, Outputs::NoRows) {
            self.facts.outputs = Outputs::Unknown {
                relations: self.facts.reads.clone(),
            };
        }
        self.facts
    }

    /// A query whose rows go to the client.
    pub(crate) fn client_query(&mut self, query: Node<'_>) {
        let scope = Scope::default();
        let shape = self.query(query, &scope);
        self.facts.max_rows = most_rows(query);
        self.show(&shape);
    }

    /// Makes a shape the statement's outputs and records what it shows.
    pub(crate) fn show(&mut self, shape: &Shape) {
        for field in &shape.fields {
            let how = if field.flow.direct { How::Shown } else { How::Derived };
            self.use_columns(&field.flow, how);
        }
        if let Some(open) = &shape.open {
            self.use_columns(open, How::Derived);
            self.facts.outputs = Outputs::Unknown {
                relations: self.facts.reads.clone(),
            };
            return;
        }
        // whoever reads the facts spells these out, column by column
        let origins: usize = shape.fields.iter().map(|f| f.flow.columns.len()).sum();
        if self.names.budget.spend(origins.saturating_mul(4)) {
            self.facts.outputs = Outputs::Columns(outputs(shape));
        }
    }

    /// Records that a shape's values are stored elsewhere.
    pub(crate) fn copy_away(&mut self, shape: &Shape) {
        for field in &shape.fields {
            self.use_columns(&field.flow, How::Copied);
        }
        if let Some(open) = &shape.open {
            self.use_columns(open, How::Copied);
        }
    }

    /// Records that values which nobody sees are computed nevertheless: whether that fails tells about them.
    pub(crate) fn computed(&mut self, shape: &Shape) {
        let fields = shape.fields.iter().map(|f| f.flow.computed());
        let columns = fields.chain(shape.open.iter().map(|o| Arc::clone(&o.columns)));
        for columns in columns.collect::<Vec<_>>() {
            let flow = Flow {
                columns,
                ..Flow::default()
            };
            self.use_columns(&flow, How::Inferred);
        }
    }

    /// Everything that a shape carries, as one value.
    pub(crate) fn all_of(&self, shape: &Shape) -> Flow {
        let mut flow = Flow::default();
        let cost = shape.fields.iter().map(|f| 1 + f.flow.columns.len()).sum();
        if !self.names.budget.spend(cost) {
            return flow;
        }
        for field in &shape.fields {
            flow.add(&field.flow);
        }
        if let Some(open) = &shape.open {
            flow.add(open);
        }
        flow
    }
}

/// A shape as outputs.
fn outputs(shape: &Shape) -> Vec<Output> {
    let output = |field: &Field| Output {
        name: field.name.clone(),
        origins: Arc::clone(&field.flow.columns),
        direct: field.flow.direct,
    };
    shape.fields.iter().map(output).collect()
}

/// The strings of a dotted name; anything else in it is left out.
pub(crate) fn strings<'n>(list: impl IntoIterator<Item = Node<'n>>) -> Vec<&'n str> {
    list.into_iter().filter_map(Node::as_str).collect()
}
