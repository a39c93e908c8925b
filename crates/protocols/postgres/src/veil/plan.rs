//! How a result is masked, as the gateway tells it.

use std::sync::Arc;

use sallyport_mask::{MaskKey, Scanner, Strategy};
use serde::{Deserialize, Serialize};

use crate::cells::{ColumnPlan, CopyFormat, CopyMasker, Format, RowMasker, TypeKind, TypeMap};

/// How a result is masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Plan {
    /// Nothing in it can need a mask.
    Clear,
    /// Rows.
    Rows(Columns),
    /// COPY data.
    Copy(CopyFormat, Columns),
    /// The one value of a function.
    Value(Columns),
}

/// The columns of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Columns {
    columns: Vec<Column>,
    /// The types of the database's own that they need.
    types: Vec<(u32, TypeKind)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Column {
    rule: Option<Strategy>,
    oid: u32,
    binary: bool,
}

/// What masks one result.
pub(super) enum Masker {
    Clear,
    Rows(Box<RowMasker>),
    Copy(Box<CopyMasker>),
    Value(Box<RowMasker>),
}

impl Columns {
    /// Of these plans, in a database with these types.
    pub(crate) fn of(plans: &[ColumnPlan], types: &TypeMap) -> Self {
        let column = |plan: &ColumnPlan| Column {
            rule: plan.rule,
            oid: plan.type_oid,
            binary: plan.format == Format::Binary,
        };
        Self {
            columns: plans.iter().map(column).collect(),
            types: types.needed_for(plans.iter().map(|plan| plan.type_oid)),
        }
    }

    fn plans(&self) -> Vec<ColumnPlan> {
        let plan = |column: &Column| ColumnPlan {
            rule: column.rule,
            type_oid: column.oid,
            format: if column.binary { Format::Binary } else { Format::Text },
        };
        self.columns.iter().map(plan).collect()
    }

    fn types(&self) -> Arc<TypeMap> {
        let mut types = TypeMap::builtin();
        for (oid, kind) in &self.types {
            types.insert(*oid, kind.clone());
        }
        Arc::new(types)
    }
}

impl Plan {
    pub(super) fn masker(&self, scanner: &Arc<Scanner>, key: &Arc<MaskKey>) -> Masker {
        let row = |columns: &Columns| {
            let (scanner, key) = (Arc::clone(scanner), Arc::clone(key));
            Box::new(RowMasker::new(columns.plans(), scanner, key, columns.types()))
        };
        match self {
            Self::Clear => Masker::Clear,
            Self::Rows(columns) => match row(columns) {
                masker if masker.untouched() => Masker::Clear,
                masker => Masker::Rows(masker),
            },
            Self::Value(columns) => Masker::Value(row(columns)),
            Self::Copy(format, columns) => {
                let (scanner, key) = (Arc::clone(scanner), Arc::clone(key));
                let masker = CopyMasker::new(format.clone(), columns.plans(), scanner, key, columns.types());
                Masker::Copy(Box::new(masker))
            }
        }
    }
}
