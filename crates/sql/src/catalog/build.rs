//! From rows of the system catalogues to a [`Catalog`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use smol_str::SmolStr;

use super::{
    AttachedCode, Cast, Catalog, Column, Follower, Function, Inner, Operator, Relation, Rule, Trigger, Type, TypeId,
};
use crate::facts::{ColumnName, RelName};
use crate::state::json_strings;

/// Why rows do not make a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// There are more names than a snapshot holds.
    #[error("the names of the database take more than {limit} bytes")]
    TooLarge {
        /// Bytes.
        limit: usize,
    },
    /// There is no query of this name.
    #[error("`{0}` is not a query of the catalogue snapshot")]
    UnknownQuery(String),
    /// A row lacks a column or has text where a number belongs.
    #[error("a row of the catalogue query `{query}` has an unexpected value in column {column}")]
    BadRow {
        /// The query.
        query: String,
        /// The column, counted from 0.
        column: usize,
    },
}

/// Collects the rows of [`Catalog::QUERIES`], in any order of queries.
#[derive(Debug, Default)]
pub struct CatalogBuilder {
    inner: Inner,
    relations: HashMap<u32, Relation>,
    functions: Vec<(u32, Function)>,
    inherits: Vec<(u32, u32)>,
    /// Bytes of the rows so far, about.
    bytes: usize,
}

/// Bytes of rows that a snapshot is made of, at most: some two million columns. A target can answer without end.
const MAX_BYTES: usize = 512 << 20;
/// What a cell counts beside its text.
const CELL_BYTES: usize = 16;

/// A row with the name of its query, to read typed values from.
struct Row<'a> {
    query: &'a str,
    cells: &'a [Option<&'a str>],
}

impl<'a> Row<'a> {
    fn bad(&self, column: usize) -> CatalogError {
        CatalogError::BadRow {
            query: self.query.to_owned(),
            column,
        }
    }

    fn optional(&self, column: usize) -> Option<&'a str> {
        self.cells.get(column).copied().flatten()
    }

    fn text(&self, column: usize) -> Result<&'a str, CatalogError> {
        self.optional(column).ok_or_else(|| self.bad(column))
    }

    fn name(&self, column: usize) -> Result<SmolStr, CatalogError> {
        self.text(column).map(SmolStr::new)
    }

    fn number<T: std::str::FromStr>(&self, column: usize) -> Result<T, CatalogError> {
        self.text(column)?.parse().map_err(|_| self.bad(column))
    }

    fn letter(&self, column: usize) -> Result<char, CatalogError> {
        self.text(column)?.chars().next().ok_or_else(|| self.bad(column))
    }

    fn flag(&self, column: usize) -> Result<bool, CatalogError> {
        Ok(matches!(self.text(column)?, "t" | "true"))
    }

    /// An `oidvector`: numbers with spaces between.
    fn numbers(&self, column: usize) -> Result<Vec<u32>, CatalogError> {
        let words = self.text(column)?.split_ascii_whitespace();
        words.map(|w| w.parse().map_err(|_| self.bad(column))).collect()
    }

    /// A JSON array of strings or of numbers in quotes or without.
    fn array(&self, column: usize) -> Result<Option<Vec<SmolStr>>, CatalogError> {
        let Some(text) = self.optional(column) else {
            return Ok(None);
        };
        if text.contains('"') || text.contains("null") || text == "[]" {
            return json_strings(text).map(Some).ok_or_else(|| self.bad(column));
        }
        let inside = text.trim_start_matches('[').trim_end_matches(']');
        Ok(Some(inside.split(',').map(|w| SmolStr::new(w.trim())).collect()))
    }
}

impl CatalogBuilder {
    /// Takes one row of the query `name`, in text format.
    ///
    /// # Errors
    /// When there is no such query, the row has another shape, or there are too many.
    pub fn feed(&mut self, name: &str, cells: &[Option<&str>]) -> Result<(), CatalogError> {
        let texts: usize = cells.iter().flatten().map(|cell| cell.len()).sum();
        self.bytes = self.bytes.saturating_add(texts + cells.len() * CELL_BYTES);
        if self.bytes > MAX_BYTES {
            return Err(CatalogError::TooLarge { limit: MAX_BYTES });
        }
        let row = Row { query: name, cells };
        match name {
            "path" => self.inner.path = json_strings(row.text(0)?).ok_or_else(|| row.bad(0))?,
            "schemas" => {
                self.inner.schemas.insert(row.name(0)?);
            }
            "types" => self.feed_type(&row)?,
            "relations" => self.feed_relation(&row)?,
            "columns" => self.feed_column(&row)?,
            "views" => self.relation(row.number(0)?).definition = Some(Arc::from(row.text(1)?)),
            "functions" => self.feed_function(&row)?,
            "operators" => self.feed_operator(&row)?,
            "casts" => self.inner.casts.push(Cast {
                source: row.number(0)?,
                target: row.number(1)?,
                function: row.number(2)?,
                context: row.letter(3)?,
            }),
            "rules" => {
                let rule = Rule {
                    name: row.name(1)?,
                    event: row.letter(2)?,
                };
                self.relation(row.number(0)?).rules.push(rule);
            }
            "triggers" => {
                let trigger = Trigger {
                    bits: row.number(2)?,
                    function: row.number(3)?,
                };
                self.relation(row.number(0)?).triggers.push(trigger);
            }
            "event_triggers" => self.inner.event_triggers.push(AttachedCode {
                kind: row.name(1)?,
                function: row.number(2)?,
            }),
            "foreign_keys" => {
                let follower = Follower {
                    relation: row.number(0)?,
                    on_delete: row.letter(2)?,
                    on_update: row.letter(3)?,
                };
                self.inner.followers.entry(row.number(1)?).or_default().push(follower);
            }
            "inherits" => self.inherits.push((row.number(0)?, row.number(1)?)),
            "attached" => self.feed_attached(&row)?,
            other => return Err(CatalogError::UnknownQuery(other.to_owned())),
        }
        Ok(())
    }

    fn feed_type(&mut self, row: &Row<'_>) -> Result<(), CatalogError> {
        let id: TypeId = row.number(0)?;
        let (schema, name) = (row.name(1)?, row.name(2)?);
        let spelled = if schema == "pg_catalog" {
            row.name(7)?
        } else {
            SmolStr::new(format!("{schema}.{name}"))
        };
        self.inner.types_by_name.entry(name.clone()).or_default().push(id);
        let ty = Type {
            schema,
            name,
            kind: row.letter(3)?,
            element: row.number(4)?,
            relation: row.number(5)?,
            base: row.number(6)?,
            spelled,
        };
        if ty.element != 0 && ty.name.starts_with('_') {
            self.inner.arrays.insert(ty.element, id);
        }
        self.inner.types.insert(id, ty);
        Ok(())
    }

    /// The relation with this number, made empty when a row about it comes first.
    fn relation(&mut self, id: u32) -> &mut Relation {
        self.relations.entry(id).or_insert_with(|| Relation {
            id,
            name: RelName::new("?", ""),
            kind: '?',
            temporary: false,
            row_security: false,
            opaque: false,
            columns: Vec::new(),
            definition: None,
            rules: Vec::new(),
            triggers: Vec::new(),
            attached: Vec::new(),
        })
    }

    fn feed_relation(&mut self, row: &Row<'_>) -> Result<(), CatalogError> {
        let name = RelName {
            schema: row.name(1)?,
            name: row.name(2)?,
        };
        let (kind, temporary) = (row.letter(3)?, row.letter(4)? == 't');
        let (row_security, extension) = (row.flag(5)?, row.flag(6)?);
        let relation = self.relation(row.number(0)?);
        relation.opaque = extension || matches!(name.schema.as_str(), "pg_catalog" | "information_schema");
        relation.name = name;
        relation.kind = kind;
        relation.temporary = temporary;
        relation.row_security = row_security;
        Ok(())
    }

    fn feed_column(&mut self, row: &Row<'_>) -> Result<(), CatalogError> {
        let column = Column {
            number: row.number(1)?,
            name: row.name(2)?,
            ty: row.number(3)?,
            generated: row.optional(5) == Some("t"),
            origins: Arc::default(),
        };
        self.relation(row.number(0)?).columns.push(column);
        Ok(())
    }

    fn feed_function(&mut self, row: &Row<'_>) -> Result<(), CatalogError> {
        let types = row.array(10)?.unwrap_or_default();
        let modes = row.array(11)?.unwrap_or_default();
        let names = row.array(12)?.unwrap_or_default();
        let outs = modes
            .iter()
            .zip(&types)
            .enumerate()
            .filter(|(_, (mode, _))| matches!(mode.as_str(), "o" | "b" | "t"));
        let outs = outs.map(|(i, (_, ty))| {
            let name = names.get(i).filter(|n| !n.is_empty()).cloned();
            let name = name.unwrap_or_else(|| SmolStr::new(format!("column{}", i + 1)));
            (name, ty.parse().unwrap_or_default())
        });
        let function = Function {
            schema: row.name(1)?,
            name: row.name(2)?,
            volatility: row.letter(4)?,
            language: row.name(5)?,
            args: row.numbers(9)?,
            defaults: row.number(7)?,
            variadic: row.number::<u32>(8)? != 0,
            outs: outs.collect(),
            result: row.number(13)?,
            set_returning: row.flag(14)?,
            extension: row.optional(15).map(SmolStr::new),
            digest: row.optional(16).map(SmolStr::new),
            identity: SmolStr::default(),
        };
        self.functions.push((row.number(0)?, function));
        Ok(())
    }

    fn feed_operator(&mut self, row: &Row<'_>) -> Result<(), CatalogError> {
        let operator = Operator {
            schema: row.name(0)?,
            left: row.number(2)?,
            right: row.number(3)?,
            function: row.number(5)?,
        };
        self.inner.operators.entry(row.name(1)?).or_default().push(operator);
        Ok(())
    }

    fn feed_attached(&mut self, row: &Row<'_>) -> Result<(), CatalogError> {
        let code = AttachedCode {
            kind: row.name(0)?,
            function: row.number(3)?,
        };
        let id: u32 = row.number(1)?;
        if code.kind == "domain" {
            self.inner.domain_checks.entry(id).or_default().push(code);
        } else {
            self.relation(id).attached.push(code);
        }
        Ok(())
    }

    /// The snapshot.
    pub fn build(mut self) -> Catalog {
        self.finish_functions();
        self.finish_inheritance();
        for (id, relation) in self.relations {
            self.inner.relations_by_name.insert(relation.name.clone(), id);
            self.inner.relations.insert(id, Arc::new(relation));
        }
        Catalog {
            inner: Arc::new(self.inner),
            declassified: Arc::default(),
            views: Arc::default(),
        }
    }

    fn finish_functions(&mut self) {
        for (id, mut function) in std::mem::take(&mut self.functions) {
            function.identity = self.identity(&function);
            let function = Arc::new(function);
            self.inner
                .functions
                .entry(function.name.clone())
                .or_default()
                .push(Arc::clone(&function));
            self.inner.functions_by_id.insert(id, function);
        }
    }

    fn identity(&self, function: &Function) -> SmolStr {
        if function.is_builtin() {
            return SmolStr::new(format!("{}.{}", function.schema, function.name));
        }
        let types = function.args.iter().map(|id| match self.inner.types.get(id) {
            Some(ty) => ty.spelled.as_str(),
            None => "?",
        });
        let types: Vec<&str> = types.collect();
        SmolStr::new(format!("{}.{}({})", function.schema, function.name, types.join(",")))
    }

    /// Gives every column its origins: itself, and the columns of the same name up and down its
    /// tree of inheritance, because a scan of the parent returns the children's rows.
    fn finish_inheritance(&mut self) {
        let mut parents: HashMap<u32, Vec<u32>> = HashMap::new();
        for &(child, parent) in &self.inherits {
            parents.entry(child).or_default().push(parent);
            self.inner.children.entry(parent).or_default().push(child);
        }
        let ids: Vec<u32> = self.relations.keys().copied().collect();
        for id in ids {
            let mut family = reachable(id, &parents);
            family.extend(reachable(id, &self.inner.children));
            let mut origins: HashMap<SmolStr, BTreeSet<ColumnName>> = HashMap::new();
            for member in family {
                let Some(relation) = self.relations.get(&member) else {
                    continue;
                };
                for column in &relation.columns {
                    let name = ColumnName {
                        relation: relation.name.clone(),
                        column: column.name.clone(),
                    };
                    origins.entry(column.name.clone()).or_default().insert(name);
                }
            }
            if let Some(relation) = self.relations.get_mut(&id) {
                for column in &mut relation.columns {
                    column.origins = Arc::new(origins.remove(&column.name).unwrap_or_default());
                }
            }
        }
    }
}

/// A relation and everything reachable from it.
fn reachable(start: u32, edges: &HashMap<u32, Vec<u32>>) -> HashSet<u32> {
    let mut seen = HashSet::from([start]);
    let mut open = vec![start];
    while let Some(id) = open.pop() {
        for &next in edges.get(&id).into_iter().flatten() {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen
}
