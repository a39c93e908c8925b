//! What a value carries: the columns it comes from, its type if known, the fields of a row.

use std::ops::Deref;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::catalog::{Columns, TypeId};

/// A value's type, as far as it is known without full type inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Ty {
    /// Not known.
    #[default]
    Unknown,
    /// A literal or parameter that takes the type that its place wants.
    Literal,
    /// This type.
    Known(TypeId),
}

pub(crate) const BOOL: Ty = Ty::Known(16);
pub(crate) const INT4: Ty = Ty::Known(23);
pub(crate) const TEXT: Ty = Ty::Known(25);
pub(crate) const NUMERIC: Ty = Ty::Known(1700);

/// What a value carries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flow {
    /// Every column that the value may come from.
    pub(crate) columns: Columns,
    /// The value of one column, unchanged.
    pub(crate) direct: bool,
    pub(crate) ty: Ty,
    /// The fields, when the value is a row of known columns.
    pub(crate) row: Option<Arc<Row>>,
}

/// How many rows may stand inside each other and still be known field by field. A statement can nest them as
/// deep as it is long, and they are dropped by recursion.
const MAX_ROW_DEPTH: usize = 32;

/// The fields of a row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    fields: Vec<Field>,
    /// How many rows stand inside each other here, this one included.
    depth: usize,
}

impl Deref for Row {
    type Target = [Field];

    fn deref(&self) -> &[Field] {
        &self.fields
    }
}

/// A named value: a field of a row, a column of a relation in FROM, a column of a result.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: SmolStr,
    pub(crate) flow: Flow,
}

impl Flow {
    /// A value that carries nothing of any column.
    pub(crate) fn of_type(ty: Ty) -> Flow {
        Flow { ty, ..Flow::default() }
    }

    /// A value made from this one.
    pub(crate) fn derived(self, ty: Ty) -> Flow {
        Flow {
            columns: self.columns,
            direct: false,
            ty,
            row: None,
        }
    }

    /// A whole row of these fields. Beyond the depth that is followed, what is in it is known only together.
    pub(crate) fn of_row(fields: Vec<Field>, ty: Ty) -> Flow {
        let mut flow = Flow::of_type(ty);
        for field in &fields {
            flow.add(&field.flow);
        }
        let inside = fields.iter().filter_map(|f| f.flow.row.as_ref());
        let depth = 1 + inside.map(|r| r.depth).max().unwrap_or(0);
        flow.row = (depth <= MAX_ROW_DEPTH).then(|| Arc::new(Row { fields, depth }));
        flow
    }

    /// What of the value is computed: nothing of a column's own value, nor of a row of such values.
    pub(crate) fn computed(&self) -> Columns {
        match &self.row {
            _ if self.direct => Columns::default(),
            None => Arc::clone(&self.columns),
            Some(row) => {
                let mut all = Columns::default();
                for field in row.iter() {
                    unite(&mut all, &field.flow.computed());
                }
                all
            }
        }
    }

    /// Adds what another value carries to this one, which stops being direct.
    pub(crate) fn add(&mut self, other: &Flow) {
        self.direct = false;
        unite(&mut self.columns, &other.columns);
    }

    /// One of the two values: the result of a set operation, a merged column.
    pub(crate) fn either(mut self, other: &Flow) -> Flow {
        let direct = (self.direct || self.columns.is_empty()) && (other.direct || other.columns.is_empty());
        unite(&mut self.columns, &other.columns);
        Flow {
            columns: self.columns,
            direct,
            ty: match (self.ty, other.ty) {
                (Ty::Literal, ty) => ty,
                (ty, Ty::Literal) => ty,
                (a, b) if a == b => a,
                _ => Ty::Unknown,
            },
            row: None,
        }
    }
}

/// Adds the second set to the first, without a copy where one holds all of the other or nobody else has the first.
pub(crate) fn unite(all: &mut Columns, more: &Columns) {
    if Arc::ptr_eq(all, more) || more.is_subset(all) {
        return;
    }
    if all.is_subset(more) {
        *all = Arc::clone(more);
        return;
    }
    Arc::make_mut(all).extend(more.iter().cloned());
}
