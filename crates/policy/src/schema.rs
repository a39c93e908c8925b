//! The vocabulary of the rules: the base fragment and what the protocols add to it.

use std::collections::BTreeSet;
use std::str::FromStr;

use cedar_policy::{EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use smol_str::SmolStr;

use crate::act::ActionName;
use crate::code::Code;
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
        for (name, action) in body.get("actions").and_then(|a| a.as_object()).into_iter().flatten() {
            // A group is written as an action that applies to nothing.
            let some = |key: &str| {
                let types = action.get("appliesTo").and_then(|to| to.get(key));
                types
                    .and_then(|types| types.as_array())
                    .is_some_and(|types| !types.is_empty())
            };
            let is_request = some("principalTypes") && some("resourceTypes");
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
        .map_err(|error| Problem::of(&fragment.file(), &fragment.text, &error).coded(Code::SCHEMA))
}

/// The base and the fragments as one text, for people and their editors.
pub(crate) fn text(fragments: &[SchemaFragment]) -> String {
    let mut all = String::from(
        "// The schema that these rules are checked against: `sallyport policy schema DIR` writes it. Editors read it; the\n\
         // gateway does not, because it knows its own. Do not change it by hand.\n\n",
    );
    all.push_str(BASE_SCHEMA);
    for fragment in fragments {
        all.push('\n');
        all.push_str(&fragment.text);
    }
    all
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
        .map_err(|error| vec![Problem::in_file("schema", error.to_string()).coded(Code::SCHEMA)])?;
    let missing = check_base(&schema);
    if missing.is_empty() { Ok(schema) } else { Err(missing) }
}

/// A rule that uses every base attribute as it is declared.
const PROBE: &str = "permit (principal, action, resource) when {
    context.now == context.now && context.approved_by.contains(Group::\"g\")
    && context.watched_by.contains(Group::\"g\")
    && (if context has task then context.task like \"*\" else true)
    && (if context has source then context.source.isLoopback() else true) };";

/// Whether rules may use the base attributes on each action: the validator itself is asked.
fn check_base(schema: &Schema) -> Vec<Problem> {
    let complain = |what: String| {
        let message = format!("an action lacks the base attributes: {what}");
        Problem::in_file("schema", message).coded(Code::SCHEMA)
    };
    let probe = Policy::parse(Some(PolicyId::new("base")), PROBE).map_err(|e| e.to_string());
    let probe = probe.and_then(|p| PolicySet::from_policies([p]).map_err(|e| e.to_string()));
    match probe {
        Ok(probe) => Validator::new(schema.clone())
            .validate(&probe, ValidationMode::Strict)
            .validation_errors()
            .map(|error| complain(error.to_string().replacen("for policy `base`, ", "", 1)))
            .collect(),
        Err(error) => vec![complain(error)],
    }
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
    Some(EntityUid::from_type_name_and_id(kind, cedar_policy::EntityId::new(id)))
}
