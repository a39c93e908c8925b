//! Conditions in Cedar's JSON form, and every way to make one hold more often, or less often, by one step.

use std::cell::Cell;

use serde_json::{Value as Json, json};

/// Whether an expression is to hold more often or less often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    More,
    Less,
}

impl Aim {
    pub(super) fn turned(self) -> Self {
        match self {
            Self::More => Self::Less,
            Self::Less => Self::More,
        }
    }
}

/// An expression that was changed at one place, and how.
pub(super) struct Edit {
    pub(super) expression: Json,
    pub(super) what: String,
}

/// How much of an expression is shown in a sentence, in characters.
const MAX_SHOWN: usize = 100;
/// The most changes of one expression: each is a copy of it.
const MAX_EDITS: usize = 1000;
/// How deep expressions are looked into. Cedar's parser limits them too.
const MAX_DEPTH: usize = 200;

/// Every change of one place that serves the aim, or the first [`MAX_EDITS`] of them.
pub(super) fn edits(node: &Json, aim: Aim) -> Vec<Edit> {
    let mut found = Vec::new();
    let start = At {
        depth: 0,
        left: &Cell::new(MAX_EDITS),
    };
    walk(node, aim, start, &mut |expression, what| {
        found.push(Edit { expression, what });
    });
    found
}

/// How deep within the expression, and how many changes may still be told.
#[derive(Clone, Copy)]
struct At<'a> {
    depth: usize,
    left: &'a Cell<usize>,
}

impl At<'_> {
    fn deeper(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }

    /// Whether one more change may be told.
    fn take(self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }
}

/// Calls `tell` with the whole expression for each changed place of `node`.
fn walk(node: &Json, aim: Aim, here: At<'_>, tell: &mut dyn FnMut(Json, String)) {
    let Some((operator, parts)) = operator(node) else {
        return;
    };
    if here.depth > MAX_DEPTH || here.left.get() == 0 {
        return;
    }
    let mut inside = |name: &str, aim: Aim| {
        if let Some(part) = parts.get(name) {
            walk(part, aim, here.deeper(), &mut |changed, what| {
                tell(with(operator, parts, name, changed), what);
            });
        }
    };
    match operator {
        "&&" | "||" => chained(node, operator, aim, here, tell),
        "!" => inside("arg", aim.turned()),
        "if-then-else" => {
            inside("then", aim);
            inside("else", aim);
        }
        "containsAny" if aim == Aim::Less => {
            shortened(operator, parts, "right", here, tell);
            shortened(operator, parts, "left", here, tell);
        }
        "containsAll" if aim == Aim::More => shortened(operator, parts, "right", here, tell),
        "contains" if aim == Aim::Less => shortened(operator, parts, "left", here, tell),
        "in" if aim == Aim::Less => shortened(operator, parts, "right", here, tell),
        _ => {}
    }
}

/// Of `a && b && c` each part is left out in turn, where that serves the aim, and each is changed by itself.
fn chained(node: &Json, operator: &str, aim: Aim, here: At<'_>, tell: &mut dyn FnMut(Json, String)) {
    let parts = chain(node, operator);
    let leaves_out = (operator == "&&") == (aim == Aim::More);
    for (at, part) in parts.iter().enumerate() {
        let others = |changed: Option<Json>| {
            let each = parts.iter().enumerate().filter_map(|(other, part)| {
                if other == at {
                    changed.clone()
                } else {
                    Some((*part).clone())
                }
            });
            each.reduce(|left, right| json!({ operator: { "left": left, "right": right } }))
        };
        if leaves_out
            && here.take()
            && let Some(rest) = others(None)
        {
            tell(rest, format!("without `{}`", text(part)));
        }
        walk(part, aim, here.deeper(), &mut |changed, what| {
            if let Some(whole) = others(Some(changed)) {
                tell(whole, what);
            }
        });
    }
}

/// Each element of a list of several is left out in turn.
fn shortened(operator: &str, parts: &Json, name: &str, here: At<'_>, tell: &mut dyn FnMut(Json, String)) {
    let Some(list) = parts
        .get(name)
        .and_then(|part| part.get("Set"))
        .and_then(Json::as_array)
    else {
        return;
    };
    if list.len() < 2 {
        return;
    }
    for (at, element) in list.iter().enumerate() {
        if !here.take() {
            return;
        }
        let mut shorter = list.clone();
        shorter.remove(at);
        let changed = with(operator, parts, name, json!({ "Set": shorter }));
        let other = if name == "right" { "left" } else { "right" };
        let other = parts.get(other).map(text).unwrap_or_default();
        tell(changed, format!("without comparing `{other}` with `{}`", text(element)));
    }
}

/// The parts of `a && b && c`, from left to right.
pub(super) fn chain<'a>(node: &'a Json, operator_of_chain: &str) -> Vec<&'a Json> {
    let mut parts = Vec::new();
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        match operator(node) {
            Some((name, both)) if name == operator_of_chain => {
                open.extend(both.get("right"));
                open.extend(both.get("left"));
            }
            _ => parts.push(node),
        }
    }
    parts
}

/// The expression as it would be if people of `group` were always in `context.<attribute>`; `None` when it then holds.
pub(super) fn supposing(node: &Json, attribute: &str, group: &str) -> Option<Json> {
    let Some((name, parts)) = operator(node) else {
        return Some(node.clone());
    };
    let part = |name: &str| parts.get(name).map_or(Json::Null, Clone::clone);
    match name {
        "contains" if is_attribute(&part("left"), attribute) && is_group(&part("right"), group) => None,
        "containsAll" if is_attribute(&part("left"), attribute) => {
            let right = part("right");
            let list = right.get("Set").and_then(Json::as_array).cloned().unwrap_or_default();
            let rest: Vec<Json> = list.iter().filter(|one| !is_group(one, group)).cloned().collect();
            let same = rest.len() == list.len();
            match (same, rest.is_empty()) {
                (true, _) => Some(node.clone()),
                (false, true) => None,
                (false, false) => Some(with(name, parts, "right", json!({ "Set": rest }))),
            }
        }
        "&&" => {
            let (left, right) = (part("left"), part("right"));
            match (supposing(&left, attribute, group), supposing(&right, attribute, group)) {
                (Some(left), Some(right)) => Some(json!({ "&&": { "left": left, "right": right } })),
                (one, None) | (None, one) => one,
            }
        }
        "||" => {
            let left = supposing(&part("left"), attribute, group)?;
            let right = supposing(&part("right"), attribute, group)?;
            Some(json!({ "||": { "left": left, "right": right } }))
        }
        _ => Some(node.clone()),
    }
}

fn is_attribute(node: &Json, attribute: &str) -> bool {
    *node == json!({ ".": { "left": { "Var": "context" }, "attr": attribute } })
}

fn is_group(node: &Json, group: &str) -> bool {
    let entity = node.pointer("/Value/__entity");
    entity.is_some_and(|entity| entity["type"] == "Group" && entity["id"] == group)
}

/// `{"&&": {"left": …, "right": …}}` taken apart.
fn operator(node: &Json) -> Option<(&str, &Json)> {
    let (name, parts) = node.as_object()?.iter().next()?;
    Some((name.as_str(), parts))
}

/// The same expression with another part.
fn with(operator: &str, parts: &Json, name: &str, part: Json) -> Json {
    let mut parts = parts.clone();
    if let Some(place) = parts.get_mut(name) {
        *place = part;
    }
    json!({ operator: parts })
}

/// The expression as it would stand in a rule, or the beginning of it.
pub(super) fn text(node: &Json) -> String {
    let any = json!({ "op": "All" });
    let rule = json!({
        "effect": "permit", "principal": any, "action": any, "resource": any,
        "conditions": [{ "kind": "when", "body": node }],
    });
    let policy = cedar_policy::Policy::from_json(None, rule).ok();
    let whole = policy.and_then(|policy| policy.to_cedar()).unwrap_or_default();
    let inside = whole.split_once("when {").and_then(|(_, rest)| rest.rsplit_once('}'));
    let words: Vec<&str> = inside.map_or("", |(inside, _)| inside).split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any_of(count: usize) -> Json {
        let texts: Vec<Json> = (0..count).map(|n| json!({ "Value": format!("h{n}") })).collect();
        let hazards = json!({ ".": { "left": { "Var": "context" }, "attr": "hazards" } });
        json!({ "containsAny": { "left": hazards, "right": { "Set": texts } } })
    }

    #[test]
    fn an_expression_of_any_size_has_a_bounded_number_of_changes() {
        let many = any_of(MAX_EDITS + 200);
        assert_eq!(edits(&many, Aim::Less).len(), MAX_EDITS);
        let both = json!({ "||": { "left": any_of(600), "right": any_of(600) } });
        assert_eq!(edits(&both, Aim::Less).len(), MAX_EDITS);
        let mut deep = any_of(2);
        for _ in 0..2 * MAX_DEPTH {
            deep = json!({ "!": { "arg": deep } });
        }
        assert_eq!(edits(&deep, Aim::Less).len(), 0);
    }

    #[test]
    fn what_is_shown_of_an_expression_is_short() {
        assert_eq!(text(&any_of(2)), "context.hazards.containsAny([\"h0\", \"h1\"])");
        assert_eq!(text(&any_of(100)).chars().count(), MAX_SHOWN + 1);
    }

    #[test]
    fn supposing_people_leaves_what_asks_for_others() {
        let asks = |group: &str| {
            let approved = json!({ ".": { "left": { "Var": "context" }, "attr": "approved_by" } });
            let group = json!({ "Value": { "__entity": { "type": "Group", "id": group } } });
            json!({ "contains": { "left": approved, "right": group } })
        };
        let both = json!({ "&&": { "left": asks("dba"), "right": asks("sec") } });
        assert_eq!(supposing(&both, "approved_by", "dba"), Some(asks("sec")));
        assert_eq!(supposing(&asks("dba"), "approved_by", "dba"), None);
        assert_eq!(supposing(&asks("dba"), "watched_by", "dba"), Some(asks("dba")));
        let either = json!({ "||": { "left": asks("dba"), "right": asks("sec") } });
        assert_eq!(supposing(&either, "approved_by", "dba"), None);
    }
}
