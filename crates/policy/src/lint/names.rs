//! Names in rules, cases and properties that nothing has: groups, and what cases speak of.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Deserialize;
use smol_str::SmolStr;
use toml::Spanned;

use super::near;
use crate::annotations;
use crate::bundle::Bundle;
use crate::code::Code;
use crate::decision::RuleId;
use crate::mask;
use crate::places::Places;
use crate::problem::Problem;
use crate::rules::{Rule, place};

const GROUPS: &str = "groups.toml";
const PROPERTIES: &str = "properties.toml";

/// A file of cases, as far as it names something: what else is wrong with it is found where cases are read.
#[derive(Deserialize)]
struct Cases {
    #[serde(default)]
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    who: Option<Who>,
    target: Option<Spanned<SmolStr>>,
    rule: Option<Spanned<SmolStr>>,
    #[serde(default)]
    rules: Vec<Spanned<SmolStr>>,
    #[serde(default)]
    approved_by: Vec<Spanned<SmolStr>>,
    #[serde(default)]
    watched_by: Vec<Spanned<SmolStr>>,
    hold: Option<Spanned<String>>,
    moderate: Option<Spanned<String>>,
    /// A class is what is said of a column or a detector.
    #[serde(default)]
    classes: BTreeMap<SmolStr, Spanned<SmolStr>>,
    #[serde(default)]
    mask: BTreeMap<Spanned<SmolStr>, Spanned<SmolStr>>,
    #[serde(default)]
    mask_full_screen: BTreeMap<Spanned<SmolStr>, Spanned<SmolStr>>,
}

#[derive(Deserialize)]
struct Who {
    #[serde(default)]
    groups: Vec<Spanned<SmolStr>>,
}

/// The properties, as far as they name groups: what else is wrong with them is found where properties are read.
#[derive(Deserialize)]
struct Properties {
    #[serde(default)]
    property: Vec<Property>,
}

#[derive(Deserialize)]
struct Property {
    groups: Option<Spanned<OneOrMany>>,
    unless_groups: Option<Spanned<OneOrMany>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(SmolStr),
    Many(Vec<SmolStr>),
}

impl OneOrMany {
    fn all(&self) -> &[SmolStr] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

/// The groups that the identity provider has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Group {
    Name(SmolStr),
    Described(Described),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    name: SmolStr,
    #[serde(rename = "description")]
    _description: Option<String>,
}

/// One place that names a group.
struct Mention<'a> {
    group: SmolStr,
    file: &'a str,
    text: &'a str,
    span: Range<usize>,
    rule: Option<&'a RuleId>,
    /// Which rule or case it is in: they are numbered through.
    within: usize,
}

impl Mention<'_> {
    fn problem(&self, code: Code, message: String) -> Problem {
        let problem = Problem::at(self.file, self.text, self.span.clone(), message).coded(code);
        match self.rule {
            Some(rule) => problem.of_rule(rule),
            None => problem,
        }
    }
}

/// What the names in rules and cases have wrong. `groups` is the text of `groups.toml`.
pub(super) fn find(bundle: &Bundle, places: Option<&Places>, groups: Option<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut mentions = in_rules(bundle);
    let rules: BTreeSet<SmolStr> = bundle.rule_ids().map(|id| id.0).collect();
    for (file, text) in bundle.files().filter(|(path, _)| path.starts_with("tests/")) {
        let Ok(cases) = toml::from_str::<Cases>(text) else {
            continue;
        };
        for case in &cases.case {
            let within = mentions.last().map_or(0, |last| last.within + 1);
            mentions.extend(case.groups().map(|(group, span)| Mention {
                group,
                file,
                text,
                span,
                rule: None,
                within,
            }));
            let known = Known {
                rules: &rules,
                targets: places.map(|places| &places.targets),
                bundle,
            };
            problems.extend(case.unknown(file, text, &known));
        }
    }
    mentions.extend(in_properties(bundle, mentions.last().map_or(0, |last| last.within + 1)));
    match groups.map(read_groups) {
        Some(Ok(known)) => problems.extend(unknown_groups(&mentions, &known)),
        Some(Err(problem)) => problems.push(problem),
        None => problems.extend(similar_groups(&mentions)),
    }
    problems
}

/// The names in `groups.toml`.
pub(super) fn read_groups(text: &str) -> Result<BTreeSet<SmolStr>, Problem> {
    let groups: Groups = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        Problem::at(GROUPS, text, span, error.message()).coded(Code::GROUPS)
    })?;
    let name = |group: Group| match group {
        Group::Name(name) | Group::Described(Described { name, .. }) => name,
    };
    Ok(groups.groups.into_iter().map(name).collect())
}

fn in_rules(bundle: &Bundle) -> Vec<Mention<'_>> {
    let mut mentions = Vec::new();
    for (within, rule) in bundle.rules().rules.iter().enumerate() {
        let text = bundle.file(&rule.file).unwrap_or("");
        let named: BTreeSet<SmolStr> = rule
            .policy
            .entity_literals()
            .iter()
            .filter(|uid| uid.type_name().to_string() == "Group")
            .map(|uid| uid.id().unescaped().into())
            .collect();
        mentions.extend(named.into_iter().map(|group| Mention {
            span: literal(rule, text, &group),
            group,
            file: &rule.file,
            text,
            rule: Some(&rule.id),
            within,
        }));
    }
    mentions
}

/// The groups that properties name; `within` is the number of the first property.
fn in_properties(bundle: &Bundle, within: usize) -> Vec<Mention<'_>> {
    let text = bundle.file(PROPERTIES).unwrap_or_default();
    let mut mentions = Vec::new();
    let properties = toml::from_str::<Properties>(text).map_or_else(|_| Vec::new(), |file| file.property);
    for (at, property) in properties.into_iter().enumerate() {
        for names in [&property.groups, &property.unless_groups].into_iter().flatten() {
            mentions.extend(names.get_ref().all().iter().map(|group| Mention {
                group: group.clone(),
                file: PROPERTIES,
                text,
                span: written(&format!("\"{group}\""), text, names.span()),
                rule: None,
                within: within + at,
            }));
        }
    }
    mentions
}

/// Where a rule names a group; the whole rule if it writes the name in another way.
fn literal(rule: &Rule, text: &str, group: &str) -> Range<usize> {
    written(&format!("Group::\"{group}\""), text, place(&rule.policy))
}

/// Where something stands within a part of a text; the whole part if it is written in another way.
fn written(what: &str, text: &str, whole: Range<usize>) -> Range<usize> {
    match text.get(whole.clone()).and_then(|part| part.find(what)) {
        Some(at) => whole.start + at..whole.start + at + what.len(),
        None => whole,
    }
}

fn unknown_groups(mentions: &[Mention<'_>], known: &BTreeSet<SmolStr>) -> Vec<Problem> {
    let unknown = mentions.iter().filter(|mention| !known.contains(&mention.group));
    unknown
        .map(|mention| {
            let message = format!("groups.toml has no group `{}`", mention.group);
            let names = known.iter().map(SmolStr::as_str);
            let help = near::suggest(&mention.group, names, Code::UNKNOWN_GROUP);
            mention.problem(Code::UNKNOWN_GROUP, message).with_help(help)
        })
        .collect()
}

/// Groups that one rule or case names, while others name one that is almost the same.
fn similar_groups(mentions: &[Mention<'_>]) -> Vec<Problem> {
    let mut places: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for mention in mentions {
        places.entry(&mention.group).or_default().insert(mention.within);
    }
    let often = |name: &&str| places.get(name).is_some_and(|places| places.len() > 1);
    let frequent: Vec<&str> = places.keys().copied().filter(often).collect();
    let rare = mentions.iter().filter(|mention| !often(&mention.group.as_str()));
    rare.filter_map(|mention| {
        let meant = near::nearest(&mention.group, frequent.iter().copied())?;
        let message = format!(
            "the group `{}` is named here only; elsewhere it is `{meant}`",
            mention.group
        );
        Some(mention.problem(Code::SIMILAR_GROUP, message))
    })
    .collect()
}

/// What cases can name.
struct Known<'a> {
    rules: &'a BTreeSet<SmolStr>,
    targets: Option<&'a BTreeSet<SmolStr>>,
    bundle: &'a Bundle,
}

impl Case {
    /// The groups that it names, each with its place.
    fn groups(&self) -> impl Iterator<Item = (SmolStr, Range<usize>)> {
        let who = self.who.iter().flat_map(|who| &who.groups);
        let named = who.chain(&self.approved_by).chain(&self.watched_by);
        let named = named.map(|group| (group.get_ref().clone(), group.span()));
        // What cannot be read is found where cases are read.
        let asked = self.hold.iter().flat_map(|hold| {
            let groups = annotations::approvals(hold.get_ref(), None).unwrap_or_default();
            groups.into_iter().map(|approvals| (approvals.group, hold.span()))
        });
        let watching = self.moderate.iter().flat_map(|moderate| {
            let groups = annotations::watchers(moderate.get_ref()).unwrap_or_default();
            groups.into_iter().map(|group| (group, moderate.span()))
        });
        named.chain(asked).chain(watching)
    }

    fn unknown(&self, file: &str, text: &str, known: &Known<'_>) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut complain =
            |at: &Spanned<SmolStr>, code: Code, message: String, names: &mut dyn Iterator<Item = &str>| {
                let help = near::suggest(at.get_ref(), names, code);
                problems.push(Problem::at(file, text, at.span(), message).coded(code).with_help(help));
            };
        if let (Some(targets), Some(target)) = (known.targets, &self.target)
            && !targets.contains(target.get_ref())
        {
            let message = format!("there is no target `{}`", target.get_ref());
            complain(
                target,
                Code::CASE_TARGET,
                message,
                &mut targets.iter().map(SmolStr::as_str),
            );
        }
        for rule in self.rule.iter().chain(&self.rules) {
            if !known.rules.contains(rule.get_ref()) {
                let message = format!("there is no rule `{}`", rule.get_ref());
                let names = &mut known.rules.iter().map(SmolStr::as_str);
                complain(rule, Code::CASE_RULE, message, names);
            }
        }
        let classes = known.bundle.classes();
        let masks = || self.mask.iter().chain(&self.mask_full_screen);
        for class in self.classes.values().chain(masks().map(|(class, _)| class)) {
            if !classes.contains_key(class.get_ref()) {
                let message = format!("nothing is classified as `{}`", class.get_ref());
                let names = &mut classes.keys().map(SmolStr::as_str);
                complain(class, Code::UNKNOWN_CLASSIFICATION, message, names);
            }
        }
        for (_, shown) in masks() {
            let word = matches!(shown.get_ref().as_str(), "clear" | "withheld");
            if !word && let Err(error) = mask::strictness(shown.get_ref()) {
                let message = format!("{error}, or `clear` or `withheld`");
                complain(shown, Code::CASE, message, &mut std::iter::empty());
            }
        }
        problems
    }
}
