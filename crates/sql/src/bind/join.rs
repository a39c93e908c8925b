//! Joins: USING and NATURAL merge columns, an alias hides what is inside.

use std::collections::HashSet;

use pg_raw_parse::nodes;
use smol_str::SmolStr;

use super::from::rename;
use super::scope::{Item, ItemColumn, Scope};
use super::{Binder, Field, Flow};
use crate::facts::How;

impl Binder<'_> {
    pub(super) fn join(&mut self, join: &nodes::JoinExpr, scope: &mut Scope<'_>) -> Vec<usize> {
        let first = scope.items.len();
        let mut both = self.source(join.larg(), scope);
        let middle = both.len();
        both.extend(self.source(join.rarg(), scope));
        let (left, right) = both.split_at(middle);
        let mut merged: Vec<SmolStr> = join
            .using_clause()
            .iter()
            .filter_map(|s| s.sval())
            .map(SmolStr::new)
            .collect();
        if join.is_natural {
            self.names.budget.compare(columns_of(scope, &both).count());
            let names: HashSet<&SmolStr> = columns_of(scope, right).map(|c| &c.name).collect();
            let shared = columns_of(scope, left).map(|c| &c.name).filter(|n| names.contains(n));
            merged = shared.cloned().collect();
        }
        self.infer(join.quals(), scope);
        if merged.is_empty() && join.alias().is_none() && join.join_using_alias().is_none() {
            return both;
        }
        // for each join anew: a chain of them costs the square of its length, as it does on the server
        let width = columns_of(scope, &both).count();
        if !self.names.budget.make(2 * width + merged.len()) {
            return both;
        }
        let mut item = self.merged_item(scope, left, right, &merged);
        if let Some(alias) = join.join_using_alias() {
            let mut using = item.clone();
            using.columns_mut().truncate(merged.len());
            using.columns_visible = false;
            rename(&mut using, Some(alias));
            scope.items.push(using);
        }
        for &index in &both {
            if let Some(part) = scope.items.get_mut(index) {
                part.columns_visible = false;
            }
        }
        if join.alias().is_some() {
            hide(scope, first);
        }
        item.visible = join.alias().is_some();
        rename(&mut item, join.alias());
        scope.items.push(item);
        vec![scope.items.len() - 1]
    }

    /// The columns of a join: the merged ones first, then the others of both sides.
    fn merged_item(&mut self, scope: &Scope<'_>, left: &[usize], right: &[usize], merged: &[SmolStr]) -> Item {
        let mut fields: Vec<Field> = Vec::new();
        for name in merged {
            let mut flow: Option<Flow> = None;
            self.names
                .budget
                .compare(columns_of(scope, left).count() + columns_of(scope, right).count());
            for column in [left, right]
                .iter()
                .filter_map(|side| columns_of(scope, side).find(|c| c.name == *name))
            {
                self.use_columns(&column.flow, How::Inferred);
                flow = Some(match flow {
                    Some(other) => other.either(&column.flow),
                    None => column.flow.clone(),
                });
            }
            fields.push(Field {
                name: name.clone(),
                flow: flow.unwrap_or_default(),
            });
        }
        let merged: HashSet<&SmolStr> = merged.iter().collect();
        let sides = [left, right].into_iter().flat_map(|side| columns_of(scope, side));
        let others = sides.filter(|c| !merged.contains(&c.name));
        fields.extend(others.map(|c| Field {
            name: c.name.clone(),
            flow: c.flow.clone(),
        }));
        let mut item = Item::new(SmolStr::default(), fields);
        item.join = true;
        let opens = left
            .iter()
            .chain(right)
            .filter_map(|&i| scope.items.get(i)?.open.clone());
        item.open = opens.reduce(|a, b| a.either(&b));
        item
    }
}

fn columns_of<'s>(scope: &'s Scope<'_>, items: &'s [usize]) -> impl Iterator<Item = &'s ItemColumn> {
    items
        .iter()
        .filter_map(|&i| scope.items.get(i))
        .flat_map(|i| &i.columns)
}

/// An aliased join hides everything inside it.
fn hide(scope: &mut Scope<'_>, first: usize) {
    for item in scope.items.iter_mut().skip(first) {
        item.visible = false;
    }
}
