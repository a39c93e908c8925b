//! WITH: common table expressions, recursive ones included.

use std::sync::Arc;

use pg_raw_parse::nodes;
use smol_str::SmolStr;

use super::scope::{Cte, Scope};
use super::{Binder, Field, Flow, Shape, strings};

/// How often mutually recursive table expressions are bound until they settle.
const MAX_ROUNDS: usize = 12;

impl Binder<'_> {
    /// WITH: each table expression sees those before it; with RECURSIVE, all of them.
    pub(crate) fn with(&mut self, clause: Option<&nodes::WithClause>, scope: &mut Scope<'_>) {
        let Some(clause) = clause else { return };
        if clause.recursive {
            return self.with_recursive(clause, scope);
        }
        for cte in clause.ctes() {
            let shape = self.query(cte.ctequery(), scope);
            scope.ctes.push(Arc::new(self.with_marks(cte, named(cte, shape))));
        }
    }

    fn with_recursive(&mut self, clause: &nodes::WithClause, scope: &mut Scope<'_>) {
        let start = scope.ctes.len();
        for cte in clause.ctes() {
            let unknown = Shape {
                open: Some(Flow::default()),
                ..Shape::default()
            };
            scope.ctes.push(Arc::new(named(cte, unknown)));
        }
        for _ in 0..MAX_ROUNDS {
            let mut settled = true;
            for (index, cte) in clause.ctes().iter().enumerate() {
                let mut bound = named(cte, self.query(cte.ctequery(), scope));
                // a query that feeds on itself is not bounded by what it starts from
                bound.shape.restricted = false;
                if let Some(known) = scope.ctes.get_mut(start + index) {
                    settled &= same(&known.shape, &bound.shape);
                    *known = Arc::new(bound);
                }
            }
            if settled {
                for (cte, known) in clause.ctes().iter().zip(scope.ctes.iter_mut().skip(start)) {
                    self.names.budget.make(known.shape.fields.len());
                    *known = Arc::new(self.with_marks(cte, (**known).clone()));
                }
                return;
            }
        }
        self.unresolved("recursive query");
    }

    /// Adds the columns of SEARCH and CYCLE, which the query itself does not see.
    fn with_marks(&self, cte: &nodes::CommonTableExpr, mut bound: Cte) -> Cte {
        let search = cte.search_clause().and_then(|s| s.search_seq_column());
        let cycle = cte
            .cycle_clause()
            .map(|c| [c.cycle_mark_column(), c.cycle_path_column()])
            .into_iter()
            .flatten()
            .flatten();
        let all = self.all_of(&bound.shape);
        for name in search.into_iter().chain(cycle) {
            bound.shape.fields.push(Field {
                name: SmolStr::new(name),
                flow: all.clone(),
            });
        }
        bound
    }
}

fn same(a: &Shape, b: &Shape) -> bool {
    a.fields.len() == b.fields.len()
        && a.open.is_some() == b.open.is_some()
        && a.fields
            .iter()
            .zip(&b.fields)
            .all(|(x, y)| x.flow.columns == y.flow.columns && x.flow.direct == y.flow.direct)
}

/// A common table expression with its column names.
fn named(cte: &nodes::CommonTableExpr, mut shape: Shape) -> Cte {
    for (index, name) in strings(cte.aliascolnames()).into_iter().enumerate() {
        match shape.fields.get_mut(index) {
            Some(field) => field.name = SmolStr::new(name),
            None => {
                let flow = shape.open.clone().unwrap_or_default();
                shape.fields.push(Field {
                    name: SmolStr::new(name),
                    flow,
                });
            }
        }
    }
    Cte {
        name: SmolStr::new(cte.ctename().unwrap_or_default()),
        shape,
    }
}
