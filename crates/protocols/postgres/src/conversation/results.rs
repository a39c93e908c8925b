//! How results are masked: once per result set, from what the statement says and what the target says.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use sallyport_mask::{MaskKey, Scanner, Strategy};
use sallyport_policy::{Classification, Reveal};
use sallyport_session::Reveals;
use sallyport_sql::{Catalog, Outputs, StatementFacts};
use smol_str::SmolStr;

use crate::cells::{CellError, ColumnPlan, CopyMasker, RowMasker, TypeMap, mask_value};
use crate::wire::Format;
use crate::wire::backend::RowDescription;

/// A result's columns as the target described them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) columns: Vec<Column>,
}

/// One column as the target described it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) table_oid: u32,
    pub(super) attnum: i16,
    pub(super) type_oid: u32,
    pub(super) format: Format,
}

impl Column {
    /// A column of which only the format is known, as in COPY.
    pub(super) fn untyped(format: Format) -> Self {
        Self {
            table_oid: 0,
            attnum: 0,
            type_oid: 0,
            format,
        }
    }
}

impl std::fmt::Debug for Masking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Undecided => "Undecided",
            Self::Clear => "Clear",
            Self::Rows(_) => "Rows",
            Self::Copy(_) => "Copy",
        })
    }
}

impl Described {
    /// The columns of a description; none for a statement that returns no rows.
    pub(super) fn of(description: Option<&RowDescription<'_>>) -> Self {
        let column = |c: &crate::wire::backend::ColumnDescription<'_>| Column {
            table_oid: c.table_oid,
            attnum: c.attnum,
            type_oid: c.type_oid,
            format: c.format,
        };
        Self {
            columns: description
                .map(|d| d.columns.iter().map(column).collect())
                .unwrap_or_default(),
        }
    }

    /// The same columns in the formats of a `Bind`: none means text, one means all.
    pub(super) fn in_formats(&self, formats: &[Format]) -> Self {
        let format = |index: usize| match formats {
            [] => Format::Text,
            [one] => *one,
            many => many.get(index).copied().unwrap_or(Format::Text),
        };
        let columns = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| Column {
                format: format(i),
                ..*c
            })
            .collect();
        Self { columns }
    }
}

/// How a result is masked.
pub(super) enum Masking {
    /// The result has not been described yet.
    Undecided,
    /// Nothing in it can need a mask.
    Clear,
    /// Row by row.
    Rows(Box<RowMasker>),
    /// As COPY data.
    Copy(Box<CopyMasker>),
}

/// What masks are made of, for one person under one policy.
#[derive(Debug)]
pub(crate) struct Masks {
    pub(super) reveals: Arc<Reveals>,
    pub(super) classification: Arc<Classification>,
    pub(super) scanner: Arc<Scanner>,
    key: Arc<MaskKey>,
}

impl Masks {
    pub(crate) fn new(reveals: Arc<Reveals>, classification: &Arc<Classification>, key: Arc<MaskKey>) -> Self {
        let scanner = Arc::new(reveals.scanner(classification, &key));
        Self {
            reveals,
            classification: Arc::clone(classification),
            scanner,
            key,
        }
    }

    /// Whether no result of this person can need a mask.
    pub(crate) fn are_needless(&self) -> bool {
        self.scanner.is_empty() && self.reveals.all_clear()
    }

    /// Whether no detector looks for anything.
    pub(super) fn finds_nothing(&self) -> bool {
        self.scanner.is_empty()
    }

    /// The plan for a result of rows.
    pub(super) fn rows(&self, statement: Option<&StatementFacts>, columns: &[Column], from: &Sources<'_>) -> Masking {
        if self.are_needless() {
            return Masking::Clear;
        }
        let plans = self.columns(statement, columns, from);
        let masker = self.masker(plans, from.types);
        if masker.untouched() {
            Masking::Clear
        } else {
            Masking::Rows(Box::new(masker))
        }
    }

    fn masker(&self, plans: Vec<ColumnPlan>, types: &Arc<TypeMap>) -> RowMasker {
        RowMasker::new(
            plans,
            Arc::clone(&self.scanner),
            Arc::clone(&self.key),
            Arc::clone(types),
        )
    }

    /// Whether rows with these plans come out as they came.
    pub(super) fn leave_alone(&self, plans: &[ColumnPlan], types: &Arc<TypeMap>) -> bool {
        self.masker(plans.to_vec(), types).untouched()
    }

    /// A value that is all of a result, as the cell of one row is masked.
    pub(super) fn cell<'v>(
        &self,
        statement: Option<&StatementFacts>,
        column: &[Column; 1],
        from: &Sources<'_>,
        value: Option<&'v [u8]>,
    ) -> Result<Option<Cow<'v, [u8]>>, CellError> {
        match self.rows(statement, column, from) {
            Masking::Rows(mut masker) => mask_value(&mut masker, value),
            Masking::Undecided | Masking::Clear | Masking::Copy(_) => Ok(value.map(Cow::Borrowed)),
        }
    }

    /// The plan for each column.
    pub(super) fn columns(
        &self,
        statement: Option<&StatementFacts>,
        columns: &[Column],
        from: &Sources<'_>,
    ) -> Vec<ColumnPlan> {
        let outputs = statement.map(|s| &s.outputs);
        let plan = |(index, column): (usize, &Column)| {
            let (mut classes, direct) = match outputs {
                Some(Outputs::Columns(list)) if list.len() == columns.len() => match list.get(index) {
                    Some(output) => (from.classes(output.origins.iter()), output.direct),
                    None => (from.classification.column_classes(), false),
                },
                // By itself it returns none: a rule on its table has added them, and they may come from anywhere.
                Some(Outputs::NoRows) => (from.classification.column_classes(), false),
                _ => (from.unknown(statement), false),
            };
            classes.extend(from.of_target(column, statement));
            ColumnPlan {
                rule: self.strictest(&classes, direct),
                type_oid: column.type_oid,
                format: column.format,
            }
        };
        columns.iter().enumerate().map(plan).collect()
    }

    /// The mask for a value that carries `classes`; a value that was computed from one is hidden whole, because what
    /// a computation left of it is not known.
    fn strictest(&self, classes: &BTreeSet<SmolStr>, direct: bool) -> Option<Strategy> {
        let reveal = classes
            .iter()
            .map(|c| self.reveals.of(c).clone())
            .reduce(Reveal::stricter)?;
        match reveal {
            Reveal::Clear => None,
            Reveal::Mask(strategy) if direct => Some(strategy.parse().unwrap_or(Strategy::Redact)),
            Reveal::Mask(_) | Reveal::Withhold => Some(Strategy::Redact),
        }
    }

    /// A text of the target without what detectors find in it.
    pub(crate) fn clean<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let mut clean = Vec::new();
        if self.scanner.scan(text, &mut clean) {
            Cow::Owned(clean)
        } else {
            Cow::Borrowed(text)
        }
    }

    /// Whether anything of a relation is masked for this person.
    pub(crate) fn hides_some_of(&self, relation: &str) -> bool {
        self.classification
            .of_relation(relation)
            .iter()
            .any(|class| *self.reveals.of(class) != Reveal::Clear)
    }

    pub(super) fn key(&self) -> &Arc<MaskKey> {
        &self.key
    }
}

/// What plans are made from.
pub(super) struct Sources<'a> {
    pub(super) classification: &'a Classification,
    pub(super) catalog: &'a Catalog,
    pub(super) types: &'a Arc<TypeMap>,
}

impl Sources<'_> {
    fn classes<'c>(&self, columns: impl Iterator<Item = &'c sallyport_sql::ColumnName>) -> BTreeSet<SmolStr> {
        columns
            .flat_map(|c| {
                self.classification
                    .of_parts(&c.relation.schema, &c.relation.name, &c.column)
            })
            .collect()
    }

    /// What a column of unknown origin may carry: all that the statement's relations do.
    fn unknown(&self, statement: Option<&StatementFacts>) -> BTreeSet<SmolStr> {
        match statement {
            Some(s) if !s.unresolved() => {
                let relations = s.reads.iter().chain(&s.writes).chain(&s.touches);
                relations
                    .flat_map(|r| self.classification.of_relation(&r.to_string()))
                    .collect()
            }
            _ => self.classification.column_classes(),
        }
    }

    /// What the target says of the column's origin. A relation that the catalogue does not know is an unknown origin.
    fn of_target(&self, column: &Column, statement: Option<&StatementFacts>) -> BTreeSet<SmolStr> {
        if column.table_oid == 0 || !self.classification.has_columns() {
            return BTreeSet::new();
        }
        match self.catalog.column(column.table_oid, column.attnum) {
            Some((_, _, origins)) => self.classes(origins.iter()),
            None => self.unknown(statement),
        }
    }
}
