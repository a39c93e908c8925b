//! `properties.toml`, read and checked.

use std::collections::BTreeSet;
use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use crate::act::{ActionName, SubjectKind};
use crate::bundle::Bundle;
use crate::problem::Problem;
use crate::schema::name_of;
use crate::search::targets;

pub(super) const FILE: &str = "properties.toml";

/// What can come of a request. The first three come of commands, the others of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Allow,
    Hold,
    Deny,
    Clear,
    Mask,
    Withhold,
}

impl Outcome {
    const OF_COMMANDS: [Self; 3] = [Self::Allow, Self::Hold, Self::Deny];
    const OF_VALUES: [Self; 3] = [Self::Clear, Self::Mask, Self::Withhold];
}

/// One property, as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) name: String,
    never: Option<OneOrMany<Outcome>>,
    always: Option<OneOrMany<Outcome>>,
    pub(super) kind: Option<SubjectKind>,
    #[serde(default)]
    pub(super) groups: OneOrMany<String>,
    #[serde(default)]
    pub(super) unless_groups: OneOrMany<String>,
    #[serde(default)]
    pub(super) actions: OneOrMany<String>,
    #[serde(default)]
    pub(super) classes: OneOrMany<String>,
    #[serde(default)]
    pub(super) target: OneOrMany<String>,
    #[serde(default)]
    pub(super) environment: OneOrMany<String>,
    #[serde(default)]
    pub(super) tag: OneOrMany<String>,
    #[serde(default)]
    pub(super) without_approval: bool,
    #[serde(default)]
    pub(super) without_watcher: bool,
    #[serde(default)]
    pub(super) without_task: bool,
    pub(super) when: Option<String>,
    pub(super) unless: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    pub(super) fn all(&self) -> &[T] {
        match self {
            Self::One(item) => std::slice::from_ref(item),
            Self::Many(items) => items,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    property: Vec<Spanned<Raw>>,
}

/// One property, checked.
#[derive(Debug, Clone)]
pub(super) struct Property {
    pub(super) raw: Raw,
    /// The outcomes that refute it.
    pub(super) excluded: BTreeSet<Outcome>,
    /// Where it stands in the file.
    pub(super) span: Range<usize>,
}

impl Property {
    /// Whether it is about values that are shown, and not about commands.
    pub(super) fn reveals(&self) -> bool {
        !self.raw.classes.all().is_empty()
    }
}

/// Reads the file of a bundle; none is no properties.
pub(super) fn read(bundle: &Bundle) -> Result<Vec<Property>, Vec<Problem>> {
    let text = bundle.file(FILE).unwrap_or_default();
    let file: File = toml::from_str(text)
        .map_err(|error| vec![Problem::at(FILE, text, error.span().unwrap_or(0..0), error.message())])?;
    let (mut properties, mut problems, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    for spanned in file.property {
        let span = spanned.span();
        let raw = spanned.into_inner();
        let mut complain = |message: String| {
            let message = format!("property `{}`: {message}", raw.name);
            problems.push(Problem::at(FILE, text, span.clone(), message));
        };
        if !names.insert(raw.name.clone()) {
            complain("another property has this name".to_owned());
        }
        unknown_names(&raw, bundle).into_iter().for_each(&mut complain);
        match excluded(&raw) {
            Ok(excluded) => properties.push(Property { raw, excluded, span }),
            Err(why) => complain(why),
        }
    }
    if problems.is_empty() {
        Ok(properties)
    } else {
        Err(problems)
    }
}

fn excluded(raw: &Raw) -> Result<BTreeSet<Outcome>, String> {
    if !raw.classes.all().is_empty() && !raw.actions.all().is_empty() {
        return Err("it is about `classes`, which are revealed, or about `actions`, not both".to_owned());
    }
    let (all, words) = match raw.classes.all() {
        [] => (Outcome::OF_COMMANDS, "`allow`, `hold` or `deny`"),
        _ => (Outcome::OF_VALUES, "`clear`, `mask` or `withhold`"),
    };
    let (said, never) = match (&raw.never, &raw.always) {
        (Some(said), None) => (said, true),
        (None, Some(said)) => (said, false),
        (Some(_), Some(_)) | (None, None) => {
            return Err(format!("it says either `never` or `always`, with {words}"));
        }
    };
    if said.all().is_empty() || said.all().iter().any(|outcome| !all.contains(outcome)) {
        return Err(format!("what it is about can come out as {words}"));
    }
    Ok(all
        .into_iter()
        .filter(|outcome| said.all().contains(outcome) == never)
        .collect())
}

/// Names that a property uses and the bundle does not know: it would speak of nothing. Groups are the identity
/// provider's, so any may exist.
fn unknown_names(raw: &Raw, bundle: &Bundle) -> Vec<String> {
    let rules = bundle.rules();
    let validator: &cedar_policy_core::validator::ValidatorSchema = rules.schema.as_ref().as_ref();
    let actions: BTreeSet<ActionName> = validator
        .action_ids()
        .map(|id| name_of(&id.name().clone().into()))
        .collect();
    let mut wrong = Vec::new();
    for action in raw.actions.all() {
        let Ok(name) = ActionName::from_str(action);
        if !actions.contains(&name) {
            wrong.push(format!("there is no action or group of actions `{action}`"));
        } else if name == ActionName::reveal() {
            wrong.push("write `classes = […]` to say what must not be revealed".to_owned());
        }
    }
    for class in raw.classes.all() {
        if !bundle.classify().classes.contains_key(class.as_str()) {
            wrong.push(format!("classify.toml has no class `{class}`"));
        }
    }
    let known = targets(bundle);
    let unknown = |name: &&String, has: &dyn Fn(&crate::act::Resource, &str) -> bool| {
        !known.is_empty() && !known.values().any(|target| has(target, name))
    };
    let in_environment = |target: &crate::act::Resource, name: &str| target.environment.as_deref() == Some(name);
    let tagged = |target: &crate::act::Resource, name: &str| target.tags.iter().any(|tag| tag == name);
    let named = |target: &crate::act::Resource, name: &str| target.name == name;
    for (what, names, has) in [
        (
            "in the environment",
            &raw.environment,
            &in_environment as &dyn Fn(&crate::act::Resource, &str) -> bool,
        ),
        ("with the tag", &raw.tag, &tagged),
        ("by the name", &raw.target, &named),
    ] {
        let missing = names.all().iter().filter(|name| unknown(name, has));
        wrong.extend(missing.map(|name| format!("targets.toml has no target {what} `{name}`")));
    }
    wrong
}
