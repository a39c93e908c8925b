//! A SQL statement → what is known of it.
//!
//! [`parse`] reads a text with PostgreSQL's own grammar; [`analyse`] resolves its names with a
//! [`Catalog`] snapshot of the target and the [`SessionState`], and returns [`Facts`]: what each
//! statement does, which relations and columns it uses and how, where each result column comes from,
//! what code may run. [`shape`] and [`analyse_shaped`] find what statements have in common that differ in their
//! literals only. The crate is pure: no sockets, no clock, no policy.

mod action;
mod analyse;
mod bind;
mod budget;
mod catalog;
mod facts;
mod old_strings;
mod parameters;
mod parse;
mod shape;
mod state;
mod statement;
mod values;

pub use action::UnknownAction;
pub use analyse::{analyse, analyse_bound};
pub use catalog::{Catalog, CatalogBuilder, CatalogError, CatalogQuery, FunctionCall, TypeRow};
pub use facts::{
    Action, ActionGroup, ColumnName, ColumnUse, Copy, CopyFormat, CopyPeer, Cursor, Discard, Effects, Facts, Hazard,
    How, OneOrAll, Output, Outputs, RelName, Setting, StatementFacts, Transaction,
};
pub use old_strings::marked;
pub use parameters::{Bound, Parameters};
pub use parse::{MAX_LENGTH, Parsed, SyntaxError, parse};
pub use shape::{Shaped, analyse_shaped, shape};
pub use state::{NoNames, Prepared, SessionState};
pub use values::without_values;
