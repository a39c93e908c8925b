//! Joins: USING and NATURAL merge columns, an alias hides what is inside.

use pg_raw_parse::nodes;
use smol_str::SmolStr;

use super::from::rename;
use super::scope::{Item, ItemColumn, Scope};
use super::{Binder, Field, Flow};
use crate::facts::How;

impl Binder<'_> {
    pub(super) fn join(&mut self, join: &nodes::JoinExpr, scope: &mut Scope<'_>) -> Vec<usize> {
        let first = scope.items.len();
        let left = self.source(join.larg(), scope);
        let right = self.source(join.rarg(), scope);
        let mut merged: Vec<SmolStr> = join
            .using_clause()
            .iter()
            .filter_map(|s| s.sval())
            .map(SmolStr::new)
            .collect();
        if join.is_natural {
            let names = visible_names(scope, &right);
            merged = visible_names(scope, &left)
                .into_iter()
                .filter(|n| names.contains(n))
                .collect();
        }
        self.infer(join.quals(), scope);
        let mut both = left.clone();
        both.extend(&right);
        if merged.is_empty() && join.alias().is_none() && join.join_using_alias().is_none() {
            return both;
        }
        let mut item = self.merged_item(scope, &left, &right, &merged);
        if let Some(alias) = join.join_using_alias() {
            let mut using = item.clone();
            using.columns.truncate(merged.len());
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
        let sides = [columns_of(scope, left), columns_of(scope, right)];
        let mut fields: Vec<Field> = Vec::new();
        for name in merged {
            let mut flow: Option<Flow> = None;
            for column in sides.iter().filter_map(|side| side.iter().find(|c| c.name == *name)) {
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
        let others = sides.iter().flatten().filter(|c| !merged.contains(&c.name));
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

fn columns_of(scope: &Scope<'_>, items: &[usize]) -> Vec<ItemColumn> {
    items
        .iter()
        .filter_map(|&i| scope.items.get(i))
        .flat_map(|i| i.columns.iter().cloned())
        .collect()
}

fn visible_names(scope: &Scope<'_>, items: &[usize]) -> Vec<SmolStr> {
    columns_of(scope, items).into_iter().map(|c| c.name).collect()
}

/// An aliased join hides everything inside it.
fn hide(scope: &mut Scope<'_>, first: usize) {
    for item in scope.items.iter_mut().skip(first) {
        item.visible = false;
    }
}
