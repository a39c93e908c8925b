//! Wider and narrower scopes of rules, in Cedar's JSON form.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Entities, EntityUid, Schema};
use serde_json::{Value as Json, json};

use super::tree::{Aim, Edit};
use crate::schema::uid_of;

/// Which groups an action lies in directly.
pub(super) struct Actions(BTreeMap<EntityUid, BTreeSet<EntityUid>>);

impl Actions {
    pub(super) fn of(schema: &Schema) -> Self {
        let entities = schema.action_entities().unwrap_or_else(|_| Entities::empty());
        let above = |uid: &EntityUid| -> BTreeSet<EntityUid> {
            entities.ancestors(uid).into_iter().flatten().cloned().collect()
        };
        let each = entities.iter().map(|entity| {
            let uid = entity.uid();
            let all = above(&uid);
            let further: BTreeSet<EntityUid> = all.iter().flat_map(&above).collect();
            (uid, all.difference(&further).cloned().collect())
        });
        Self(each.collect())
    }

    fn around(&self, action: &Json) -> Vec<Json> {
        let parts = (action["type"].as_str(), action["id"].as_str());
        let uid = parts.0.zip(parts.1).and_then(|(kind, id)| uid_of(kind, id));
        let groups = uid.and_then(|uid| self.0.get(&uid));
        let json = |uid: &EntityUid| json!({ "type": uid.type_name().to_string(), "id": uid.id().unescaped() });
        groups.into_iter().flatten().map(json).collect()
    }
}

/// For every principal, on every resource.
pub(super) fn opened(scope: &Json, whom: &str) -> Option<Edit> {
    let any = json!({ "op": "All" });
    (*scope != any).then(|| Edit {
        expression: any,
        what: format!("for every {whom} instead of `{}`", place(scope)),
    })
}

/// Other sets of actions: each action or group replaced by what it lies in, or each left out of a list.
pub(super) fn actions(scope: &Json, aim: Aim, known: &Actions) -> Vec<Edit> {
    let listed = scope.get("entities").and_then(Json::as_array);
    match (aim, listed, scope.get("entity")) {
        (Aim::Less, Some(list), _) if list.len() > 1 => {
            let without = |at: usize| {
                let mut rest = list.clone();
                let gone = rest.remove(at);
                Edit {
                    expression: json!({ "op": "in", "entities": rest }),
                    what: format!("not for `{}`", name(&gone)),
                }
            };
            (0..list.len()).map(without).collect()
        }
        (Aim::More, Some(list), _) => {
            let widened = |at: usize| {
                let old = list.get(at)?;
                let each = known.around(old).into_iter().map(move |group| {
                    let mut list = list.clone();
                    let what = format!("for all of `{}` instead of `{}`", name(&group), name(old));
                    if let Some(place) = list.get_mut(at) {
                        *place = group;
                    }
                    Edit {
                        expression: json!({ "op": "in", "entities": list }),
                        what,
                    }
                });
                Some(each)
            };
            (0..list.len()).filter_map(widened).flatten().collect()
        }
        (Aim::More, None, Some(old)) => {
            let each = known.around(old).into_iter().map(|group| Edit {
                what: format!("for all of `{}` instead of `{}`", name(&group), name(old)),
                expression: json!({ "op": "in", "entity": group }),
            });
            let mut edits: Vec<Edit> = each.collect();
            if edits.is_empty() {
                edits.push(Edit {
                    expression: json!({ "op": "All" }),
                    what: format!("for every action instead of `{}`", name(old)),
                });
            }
            edits
        }
        _ => Vec::new(),
    }
}

fn name(entity: &Json) -> String {
    let part = |key: &str| entity[key].as_str().unwrap_or_default().to_owned();
    format!("{}::{:?}", part("type"), part("id"))
}

fn place(scope: &Json) -> String {
    let kind = scope["entity_type"].as_str().unwrap_or_default();
    let entity = scope.get("entity").or_else(|| scope.pointer("/in/entity"));
    entity.map_or_else(|| kind.to_owned(), name)
}
