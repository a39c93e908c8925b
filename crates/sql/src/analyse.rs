//! From a parsed text to its facts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use smol_str::SmolStr;

use crate::bind::{Literals, Names};
use crate::catalog::Catalog;
use crate::facts::{Action, Facts, Hazard, Outputs, StatementFacts};
use crate::parameters::Parameters;
use crate::parse::{Parsed, SyntaxError};
use crate::state::{Prepared, SessionState};
use crate::statement;

/// What the facts of a statement cost that has hardly any.
const PER_STATEMENT: usize = 32;

/// The facts of every statement of a text, as the session would run them, one after the other.
///
/// Fails closed: whatever cannot be resolved becomes [`Hazard::Unresolved`].
///
/// # Errors
/// When understanding the text takes more than a statement may cost, or a query has more columns than a server
/// lets it have. Such a text is not understood, as one that does not parse.
pub fn analyse(
    parsed: &Parsed,
    catalog: &Catalog,
    state: &SessionState,
    names: &dyn Prepared,
) -> Result<Facts, SyntaxError> {
    analyse_as(parsed, Names::new(catalog, state), state, names)
}

/// As [`analyse`], of a statement whose parameters have these values: they are weighed as literals are.
///
/// # Errors
/// As [`analyse`].
pub fn analyse_bound(
    parsed: &Parsed,
    parameters: Parameters,
    catalog: &Catalog,
    state: &SessionState,
    names: &dyn Prepared,
) -> Result<Facts, SyntaxError> {
    let mut here = Names::new(catalog, state);
    here.literals = Rc::new(Literals::in_year(state.year).bound(parameters));
    analyse_as(parsed, here, state, names)
}

/// The facts of every statement of a text, its names beginning with `here`.
pub(crate) fn analyse_as<'a>(
    parsed: &'a Parsed,
    mut here: Names<'a>,
    state: &SessionState,
    names: &dyn Prepared,
) -> Result<Facts, SyntaxError> {
    here.text = parsed.text();
    let mut statements = Vec::with_capacity(parsed.len());
    for (span, node) in parsed.statements() {
        // the tree is C's: a name in it that is not UTF-8 makes the library panic
        let bound = catch_unwind(AssertUnwindSafe(|| {
            statement::facts_of(node, span.clone(), &here, names)
        }));
        match bound {
            Ok((facts, changes)) => {
                here.apply(changes, state.uncommitted);
                here.budget.spend(PER_STATEMENT + facts.weight());
                statements.push(facts);
            }
            Err(_) => {
                here.lost = true;
                statements.push(failed(span));
            }
        }
        here.budget.settle()?;
    }
    Ok(Facts { statements })
}

/// The facts of a statement that could not be read at all.
fn failed(span: std::ops::Range<usize>) -> StatementFacts {
    let mut facts = StatementFacts::empty(span);
    facts.actions.insert(Action::Unknown);
    facts
        .hazards
        .insert(Hazard::Unresolved(SmolStr::new_static("statement")));
    facts.outputs = Outputs::Unknown {
        relations: Default::default(),
    };
    facts
}
