//! The vocabulary of the rules: the base fragment and what the protocols add to it.

use std::collections::BTreeSet;
use std::str::FromStr;

use cedar_policy::{EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use smol_str::SmolStr;

use crate::act::ActionName;
use crate::problem::Problem;

/// The base fragment, in Cedar's schema syntax.
pub const BASE_SCHEMA: &str = include_str!("base.cedarschema");

/// A part of the schema: one protocol's actions and the facts in their context.
#[derive(Debug, Clone)]
pub struct SchemaFragment {
    /// The protocol's name, for diagnostics.
    pub name: SmolStr,
    /// Cedar schema syntax.
    pub text: String,
}

impl SchemaFragment {
    /// A fragment by name.
    pub fn new(name: &str, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    fn file(&self) -> String {
        format!("{}.cedarschema", self.name)
    }
}

/// The actions that a fragment declares for requests (not the groups they are in).
///
/// # Errors
/// When the text is not a schema fragment.
pub fn action_names(fragment: &SchemaFragment) -> Result<BTreeSet<ActionName>, Problem> {
    declared(fragment, true)
}

/// The action groups that a fragment declares.
///
/// # Errors
/// When the text is not a schema fragment.
pub fn group_names(fragment: &SchemaFragment) -> Result<BTreeSet<ActionName>, Problem> {
    declared(fragment, false)
}

fn declared(fragment: &SchemaFragment, applies: bool) -> Result<BTreeSet<ActionName>, Problem> {
    let json = parse(fragment)?
        .to_json_value()
        .map_err(|error| Problem::of(&fragment.file(), &fragment.text, &error))?;
    let mut names = BTreeSet::new();
    for (namespace, body) in json.as_object().into_iter().flatten() {
        for (name, action) in body
            .get("actions")
            .and_then(|a| a.as_object())
            .into_iter()
            .flatten()
        {
            let is_request = action.get("appliesTo").is_some_and(|to| !to.is_null());
            if is_request == applies {
                names.insert(ActionName::new(namespace, name));
            }
        }
    }
    Ok(names)
}

fn parse(fragment: &SchemaFragment) -> Result<cedar_policy::SchemaFragment, Problem> {
    cedar_policy::SchemaFragment::from_cedarschema_str(&fragment.text)
        .map(|(parsed, _)| parsed)
        .map_err(|error| Problem::of(&fragment.file(), &fragment.text, &error))
}

/// Puts the base and the fragments together, and checks that each action's context has the base part.
pub(crate) fn assemble(fragments: &[SchemaFragment]) -> Result<Schema, Vec<Problem>> {
    let base = SchemaFragment::new("base", BASE_SCHEMA);
    let mut parsed = Vec::new();
    let mut problems = Vec::new();
    for fragment in std::iter::once(&base).chain(fragments) {
        match parse(fragment) {
            Ok(part) => parsed.push(part),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let schema = Schema::from_schema_fragments(parsed)
        .map_err(|error| vec![Problem::in_file("schema", error.to_string())])?;
    let missing: Vec<Problem> = schema
        .actions()
        .filter_map(|action| base_part(&schema, action))
        .collect();
    if missing.is_empty() {
        Ok(schema)
    } else {
        Err(missing)
    }
}

/// Whether a rule may use the base attributes on this action: the validator itself is asked, with a rule that
/// uses all of them.
fn base_part(schema: &Schema, action: &EntityUid) -> Option<Problem> {
    if schema.request_envs().all(|env| env.action() != action) {
        return None;
    }
    let text = format!(
        "permit (principal, action == {action}, resource) when {{
           context.now == context.now && context.approved_by.contains(Group::\"g\")
           && (if context has task then context.task like \"*\" else true)
           && (if context has tool then context.tool like \"*\" else true)
           && (if context has source then context.source.isLoopback() else true) }};"
    );
    let complain = |what: String| {
        Problem::in_file(
            "schema",
            format!("the context of `{action}` lacks the base attributes: {what}"),
        )
    };
    let probe = match Policy::parse(Some(PolicyId::new("base")), text) {
        Ok(probe) => probe,
        Err(error) => return Some(complain(error.to_string())),
    };
    let probe = match PolicySet::from_policies([probe]) {
        Ok(probe) => probe,
        Err(error) => return Some(complain(error.to_string())),
    };
    let verdict = Validator::new(schema.clone()).validate(&probe, ValidationMode::Strict);
    let first = verdict
        .validation_errors()
        .next()
        .map(|error| complain(error.to_string()));
    first
}

/// `Sql::Action::"drop"` as an action name.
pub(crate) fn name_of(action: &EntityUid) -> ActionName {
    let namespace = action.type_name().namespace();
    ActionName {
        namespace: namespace.into(),
        name: action.id().unescaped().into(),
    }
}

/// The action name as Cedar's identifier.
pub(crate) fn uid_of(kind: &str, id: &str) -> Option<EntityUid> {
    let kind = cedar_policy::EntityTypeName::from_str(kind).ok()?;
    Some(EntityUid::from_type_name_and_id(
        kind,
        cedar_policy::EntityId::new(id),
    ))
}
