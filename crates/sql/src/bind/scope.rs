//! Which names a clause can see. Follows PostgreSQL's `parse_relation.c`: a namespace of items per
//! query level, joins that hide what they merge, outer levels behind inner ones.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use smol_str::SmolStr;

use super::flow::{Field, Flow};
use crate::facts::RelName;

/// One query level.
#[derive(Debug, Default)]
pub(crate) struct Scope<'p> {
    pub(crate) parent: Option<&'p Scope<'p>>,
    /// 0 for the outermost query.
    pub(crate) depth: usize,
    pub(crate) items: Vec<Item>,
    pub(crate) ctes: Vec<Arc<Cte>>,
    /// The query whose table expressions can be named as well, and nothing else of it.
    pub(crate) beside: Option<&'p Scope<'p>>,
    /// How many names were looked at since this was last asked.
    pub(crate) looked: Cell<usize>,
}

/// A relation, subquery, function or join in FROM.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// The alias, or the relation's own name.
    pub(crate) name: SmolStr,
    /// The relation, when it has no alias: only then can it be named with its schema.
    pub(crate) unaliased: Option<RelName>,
    /// The relation behind it, if it is one.
    pub(crate) relation: Option<RelName>,
    pub(crate) columns: Vec<ItemColumn>,
    /// It may have more columns than are known, which carry this.
    pub(crate) open: Option<Flow>,
    /// `name.column` and the whole row can be named.
    pub(crate) visible: bool,
    /// Columns can be named alone.
    pub(crate) columns_visible: bool,
    /// The number of its rows is bounded by constants of the statement.
    pub(crate) restricted: bool,
    /// A join: its columns belong to other items.
    pub(crate) join: bool,
    /// A row that is a single value: a function that returns a scalar.
    pub(crate) scalar: bool,
    /// The whole row as a value, once it was asked for.
    whole: OnceCell<Flow>,
}

/// A column of an item, and whether the query looked at it.
#[derive(Debug, Clone)]
pub(crate) struct ItemColumn {
    pub(crate) name: SmolStr,
    pub(crate) flow: Flow,
    pub(crate) used: Cell<bool>,
}

/// A common table expression.
#[derive(Debug, Clone)]
pub(crate) struct Cte {
    pub(crate) name: SmolStr,
    pub(crate) shape: super::Shape,
}

/// Where a column was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// How many levels out; 0 is the query itself.
    pub(crate) level: usize,
    pub(crate) item: usize,
    pub(crate) column: usize,
}

/// What a name stands for.
pub(crate) enum Found<'s> {
    Column(&'s ItemColumn, Place),
    /// A system column (`ctid`, `xmin` …) of an item, or a column of an open one.
    Other(Flow, Place),
    Nothing,
}

impl From<Field> for ItemColumn {
    fn from(field: Field) -> ItemColumn {
        ItemColumn {
            name: field.name,
            flow: field.flow,
            used: Cell::new(false),
        }
    }
}

impl Item {
    pub(crate) fn new(name: SmolStr, fields: Vec<Field>) -> Item {
        Item {
            name,
            unaliased: None,
            relation: None,
            columns: fields.into_iter().map(ItemColumn::from).collect(),
            open: None,
            visible: true,
            columns_visible: true,
            restricted: false,
            join: false,
            scalar: false,
            whole: OnceCell::new(),
        }
    }

    /// How many columns and origins have to be put together for the row, if that is still to be done.
    pub(crate) fn row_cost(&self) -> usize {
        match self.whole.get() {
            Some(_) => 0,
            None => self.columns.iter().map(|c| 2 + c.flow.columns.len()).sum(),
        }
    }

    /// The columns get other names.
    pub(crate) fn columns_mut(&mut self) -> &mut Vec<ItemColumn> {
        self.whole = OnceCell::new();
        &mut self.columns
    }

    /// The whole row as a value.
    pub(crate) fn row(&self) -> Flow {
        self.whole.get_or_init(|| self.make_row()).clone()
    }

    fn make_row(&self) -> Flow {
        if self.scalar
            && let [only] = self.columns.as_slice()
        {
            only.used.set(true);
            return only.flow.clone();
        }
        let fields = self.columns.iter().map(|c| {
            c.used.set(true);
            Field {
                name: c.name.clone(),
                flow: c.flow.clone(),
            }
        });
        let mut flow = Flow::of_row(fields.collect(), super::flow::Ty::Unknown);
        if let Some(open) = &self.open {
            flow.add(open);
        }
        flow
    }

    fn find(&self, level: usize, item: usize, name: &str) -> Found<'_> {
        if let Some((column, found)) = self.columns.iter().enumerate().find(|(_, c)| c.name == name) {
            found.used.set(true);
            return Found::Column(found, Place { level, item, column });
        }
        let place = Place {
            level,
            item,
            column: usize::MAX,
        };
        if self.relation.is_some() && is_system_column(name) {
            return Found::Other(Flow::default(), place);
        }
        match &self.open {
            Some(open) => Found::Other(open.clone(), place),
            None => Found::Nothing,
        }
    }
}

/// The columns that every table has without being declared.
fn is_system_column(name: &str) -> bool {
    matches!(name, "ctid" | "xmin" | "xmax" | "cmin" | "cmax" | "tableoid" | "oid")
}

impl<'p> Scope<'p> {
    pub(crate) fn inside(parent: Option<&'p Scope<'p>>) -> Scope<'p> {
        Scope {
            parent,
            depth: parent.map_or(0, |p| p.depth + 1),
            ..Scope::default()
        }
    }

    fn levels(&self) -> impl Iterator<Item = (usize, &Scope<'p>)> {
        let mut next = Some(self);
        std::iter::from_fn(move || {
            let here = next?;
            next = here.parent;
            Some(here)
        })
        .enumerate()
    }

    /// A column named alone.
    pub(crate) fn column(&self, name: &str) -> Found<'_> {
        for (level, scope) in self.levels() {
            let mut fallback = Found::Nothing;
            for (index, item) in scope.items.iter().enumerate().filter(|(_, i)| i.columns_visible) {
                self.look(1 + item.columns.len());
                match item.find(level, index, name) {
                    found @ Found::Column(..) => return found,
                    found @ Found::Other(..) => fallback = found,
                    Found::Nothing => {}
                }
            }
            if !matches!(fallback, Found::Nothing) {
                return fallback;
            }
        }
        Found::Nothing
    }

    /// An item by its name, or by schema and name.
    pub(crate) fn item(&self, schema: Option<&str>, name: &str) -> Option<(usize, usize, &Item)> {
        for (level, scope) in self.levels() {
            let hit = scope.items.iter().enumerate().find(|(_, item)| {
                self.look(1);
                item.visible
                    && match schema {
                        None => item.name == name,
                        Some(schema) => item
                            .unaliased
                            .as_ref()
                            .is_some_and(|r| r.schema == schema && r.name == name),
                    }
            });
            if let Some((index, item)) = hit {
                return Some((level, index, item));
            }
        }
        None
    }

    /// A column of a named item.
    pub(crate) fn qualified(&self, schema: Option<&str>, item: &str, column: &str) -> Found<'_> {
        match self.item(schema, item) {
            Some((level, index, found)) => {
                self.look(found.columns.len());
                found.find(level, index, column)
            }
            None => Found::Nothing,
        }
    }

    fn look(&self, names: usize) {
        self.looked.set(self.looked.get().saturating_add(names));
    }

    /// How many columns `*` stands for.
    pub(crate) fn star_width(&self) -> usize {
        let visible = self.items.iter().filter(|i| i.columns_visible);
        visible.map(|i| i.columns.len()).sum()
    }

    /// The columns that `*` stands for.
    pub(crate) fn star(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        for item in self.items.iter().filter(|i| i.columns_visible) {
            for column in &item.columns {
                column.used.set(true);
                fields.push(Field {
                    name: column.name.clone(),
                    flow: column.flow.clone(),
                });
            }
        }
        fields
    }

    /// A common table expression by name.
    pub(crate) fn cte(&self, name: &str) -> Option<Arc<Cte>> {
        let own = |scope: &Scope<'_>| {
            self.look(scope.ctes.len());
            scope.ctes.iter().rev().find(|c| c.name == name).cloned()
        };
        self.levels()
            .find_map(|(_, scope)| own(scope).or_else(|| scope.beside.and_then(own)))
    }
}
