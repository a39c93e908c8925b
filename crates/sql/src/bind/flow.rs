//! What a value carries: the columns it comes from, its type if known, the fields of a row.

use std::collections::BTreeSet;
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
    pub(crate) row: Option<Arc<Vec<Field>>>,
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

    /// A whole row of these fields.
    pub(crate) fn of_row(fields: Vec<Field>, ty: Ty) -> Flow {
        let mut flow = Flow::of_type(ty);
        for field in &fields {
            flow.add(&field.flow);
        }
        flow.row = Some(Arc::new(fields));
        flow
    }

    /// What of the value is computed: nothing of a column's own value, nor of a row of such values.
    pub(crate) fn computed(&self) -> Columns {
        match &self.row {
            _ if self.direct => Columns::default(),
            None => Arc::clone(&self.columns),
            Some(fields) => fields
                .iter()
                .map(|f| f.flow.computed())
                .fold(Columns::default(), |all, one| union(&all, &one)),
        }
    }

    /// Adds what another value carries to this one, which stops being direct.
    pub(crate) fn add(&mut self, other: &Flow) {
        self.direct = false;
        self.columns = union(&self.columns, &other.columns);
    }

    /// One of the two values: the result of a set operation, a merged column.
    pub(crate) fn either(&self, other: &Flow) -> Flow {
        Flow {
            columns: union(&self.columns, &other.columns),
            direct: (self.direct || self.columns.is_empty()) && (other.direct || other.columns.is_empty()),
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

/// The union of two sets, without a copy where one holds all of it.
pub(crate) fn union(a: &Columns, b: &Columns) -> Columns {
    if b.is_empty() || Arc::ptr_eq(a, b) {
        return Arc::clone(a);
    }
    if a.is_empty() {
        return Arc::clone(b);
    }
    let mut all: BTreeSet<_> = (**a).clone();
    all.extend(b.iter().cloned());
    Arc::new(all)
}
