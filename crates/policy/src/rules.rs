//! The rules of a bundle: parsed, checked against the schema and against what we add to Cedar, and sorted into
//! buckets by action, so that judging an act looks only at rules that could apply to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{
    EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationMode, ValidationWarning, Validator,
};
use cedar_policy_core::ast::Expr;
use miette::Diagnostic;
use serde_json::Value as Json;
use smol_str::SmolStr;

use crate::act::ActionName;
use crate::annotations::{self, Annotations};
use crate::code::Code;
use crate::decision::RuleId;
use crate::files::Files;
use crate::lint::near;
use crate::needs::{Needs, Reads};
use crate::problem::Problem;
use crate::schema::name_of;

/// One rule.
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    pub(crate) policy: Policy,
    pub(crate) annotations: Annotations,
    pub(crate) reads: Reads,
    /// All of `when` and none of `unless`, without the places in the source, which evaluation would copy
    /// from node to node.
    pub(crate) condition: Option<Arc<Expr>>,
    pub(crate) file: String,
    /// Where it stands in its file, in bytes.
    pub(crate) span: Range<usize>,
    pub(crate) actions: BTreeSet<ActionName>,
}

impl Rule {
    /// The rule with another body, in Cedar's JSON form; nothing when a bundle with it would not load.
    pub(crate) fn with_body(&self, body: Json, schema: &Schema, validator: &Validator) -> Option<Self> {
        let policy = Policy::from_json(Some(PolicyId::new(self.id.as_str())), body).ok()?;
        let annotations = annotations::read(&policy).ok()?;
        let (reads, condition) = analyse(&policy).ok()?;
        let actions: BTreeSet<ActionName> = policy
            .get_valid_request_envs(schema)
            .map(|env| name_of(env.action()))
            .collect();
        if !check_use(&policy, &annotations, &reads, &actions).is_empty() {
            return None;
        }
        let set = PolicySet::from_policies([policy.clone()]).ok()?;
        let verdict = validator.validate(&set, ValidationMode::Strict);
        if !verdict.validation_passed() || verdict.validation_warnings().any(never_applies) {
            return None;
        }
        Some(Self {
            id: self.id.clone(),
            policy,
            annotations,
            reads,
            condition,
            file: self.file.clone(),
            span: self.span.clone(),
            actions,
        })
    }

    /// A sentence about it, at its place.
    pub(crate) fn remark(&self, files: &Files, message: impl Into<String>) -> Problem {
        let text = files.get(&self.file).map_or("", String::as_str);
        Problem::at(&self.file, text, self.span.clone(), message)
    }
}

/// The rules that can apply to one action.
#[derive(Clone)]
pub(crate) struct Bucket {
    pub(crate) action: EntityUid,
    /// Indices into [`Rules::rules`].
    pub(crate) rules: Vec<usize>,
}

/// All rules of a bundle.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) schema: Arc<Schema>,
    pub(crate) rules: Vec<Arc<Rule>>,
    pub(crate) buckets: Vec<Bucket>,
    by_action: HashMap<ActionName, usize>,
    types: HashMap<SmolStr, EntityTypeName>,
}

impl Rules {
    /// Reads every `rules/**/*.cedar`.
    pub(crate) fn load(files: &Files, schema: Schema) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut problems = Vec::new();
        let mut rules: Vec<Rule> = Vec::new();
        let mut seen: HashMap<RuleId, String> = HashMap::new();
        for (file, text) in files.iter().filter(|(path, _)| path.starts_with("rules/")) {
            for policy in parse_file(file, text, &mut problems) {
                let Some(rule) = read_rule(file, text, &policy, &schema, &mut problems) else {
                    continue;
                };
                if let Some(other) = seen.insert(rule.id.clone(), file.clone()) {
                    let message = format!("the id `{}` is taken by a rule in {other}", rule.id);
                    let problem = Problem::at(file, text, place(&policy), message);
                    problems.push(problem.coded(Code::DUPLICATE_ID).of_rule(&rule.id));
                    continue;
                }
                rules.push(rule);
            }
        }
        let warnings = validate(&rules, &schema, files, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok((Self::index(rules, schema), warnings))
    }

    fn index(rules: Vec<Rule>, schema: Schema) -> Self {
        let with_requests: BTreeSet<EntityUid> = schema.request_envs().map(|env| env.action().clone()).collect();
        let mut by_action = HashMap::new();
        let mut buckets = Vec::new();
        for action in with_requests {
            let name = name_of(&action);
            let fits = |(at, rule): (usize, &Rule)| rule.actions.contains(&name).then_some(at);
            let inside = rules.iter().enumerate().filter_map(fits).collect();
            by_action.insert(name, buckets.len());
            buckets.push(Bucket { action, rules: inside });
        }
        let types = schema
            .entity_types()
            .map(|name| (name.to_string().into(), name.clone()))
            .collect();
        Self {
            schema: Arc::new(schema),
            rules: rules.into_iter().map(Arc::new).collect(),
            buckets,
            by_action,
            types,
        }
    }

    /// The same rules, but for the one at `at`, which is another or applies to nothing any more.
    pub(crate) fn replacing(&self, at: usize, other: Option<Rule>) -> Self {
        let mut rules = self.clone();
        for bucket in &mut rules.buckets {
            bucket.rules.retain(|rule| *rule != at);
            let name = name_of(&bucket.action);
            if other.as_ref().is_some_and(|rule| rule.actions.contains(&name)) {
                bucket.rules.push(at);
            }
        }
        if let (Some(place), Some(other)) = (rules.rules.get_mut(at), other) {
            *place = Arc::new(other);
        }
        rules
    }

    pub(crate) fn bucket_of(&self, action: &ActionName) -> Option<usize> {
        self.by_action.get(action).copied()
    }

    pub(crate) fn entity_type(&self, name: &str) -> Option<&EntityTypeName> {
        self.types.get(name)
    }

    pub(crate) fn needs(&self) -> Needs {
        let mut by_action = BTreeMap::new();
        for (name, at) in &self.by_action {
            let mut reads = Reads::default();
            for rule in self.buckets.get(*at).into_iter().flat_map(|b| &b.rules) {
                if let Some(rule) = self.rules.get(*rule) {
                    reads.extend(&rule.reads);
                }
            }
            by_action.insert(name.clone(), reads);
        }
        Needs::new(by_action)
    }

    /// Rules that name an entity of this type that is not among the known ones.
    pub(crate) fn unknown(&self, (kind, code): (&str, Code), known: &BTreeSet<SmolStr>, files: &Files) -> Vec<Problem> {
        let mut problems = Vec::new();
        for rule in &self.rules {
            for literal in rule.policy.entity_literals() {
                let id = literal.id().unescaped();
                if literal.type_name().to_string() == kind && !known.contains(id) {
                    let message = format!(
                        "rule `{}` names `{literal}`, which nothing in the bundle defines",
                        rule.id
                    );
                    let text = files.get(&rule.file).map_or("", String::as_str);
                    let problem = Problem::at(&rule.file, text, place(&rule.policy), message).coded(code);
                    let meant = near::suggest(id, known.iter().map(SmolStr::as_str), code);
                    problems.push(problem.of_rule(&rule.id).with_help(meant));
                }
            }
        }
        problems
    }
}

fn parse_file(file: &str, text: &str, problems: &mut Vec<Problem>) -> Vec<Policy> {
    let set = match PolicySet::from_str(text) {
        Ok(set) => set,
        Err(errors) => {
            problems.push(Problem::of(file, text, &errors).coded(Code::SYNTAX));
            problems.extend(
                errors
                    .related()
                    .into_iter()
                    .flatten()
                    .map(|error| Problem::of(file, text, error).coded(Code::SYNTAX)),
            );
            return Vec::new();
        }
    };
    if set.num_of_templates() > 0 {
        let problem = Problem::in_file(file, "templates (`?principal`, `?resource`) are not used here");
        problems.push(problem.coded(Code::TEMPLATE));
    }
    let mut policies: Vec<Policy> = set.policies().cloned().collect();
    policies.sort_by_key(|policy| place(policy).start);
    policies
}

/// Where the rule stands in its file, in bytes.
pub(crate) fn place(policy: &Policy) -> Range<usize> {
    policy.as_ref().loc().map_or(0..0, |loc| loc.start()..loc.end())
}

fn read_rule(file: &str, text: &str, policy: &Policy, schema: &Schema, problems: &mut Vec<Problem>) -> Option<Rule> {
    let id = policy.annotation("id").map(SmolStr::from);
    let mut complain = |(code, message): (Code, String)| {
        let problem = Problem::at(file, text, place(policy), message).coded(code);
        problems.push(match id.clone().map(RuleId) {
            Some(id) => problem.of_rule(&id),
            None => problem,
        });
    };
    if id.is_none() {
        let message = "a rule needs an `@id(\"…\")`, by which decisions name it".to_owned();
        complain((Code::MISSING_ID, message));
    }
    let id = id.clone()?;
    let annotations = match annotations::read(policy) {
        Ok(annotations) => annotations,
        Err(wrong) => {
            wrong.into_iter().for_each(|why| complain((Code::ANNOTATION, why)));
            return None;
        }
    };
    let (reads, condition) = match analyse(policy) {
        Ok(found) => found,
        Err(error) => {
            complain((Code::INVALID, format!("the rule cannot be analysed: {error}")));
            return None;
        }
    };
    let actions: BTreeSet<ActionName> = policy
        .get_valid_request_envs(schema)
        .map(|env| name_of(env.action()))
        .collect();
    let wrong = check_use(policy, &annotations, &reads, &actions);
    if !wrong.is_empty() {
        wrong.into_iter().for_each(complain);
        return None;
    }
    let span = place(policy);
    let policy = policy.new_id(PolicyId::new(&id));
    Some(Rule {
        id: RuleId(id),
        policy,
        annotations,
        reads,
        condition,
        file: file.to_owned(),
        span,
        actions,
    })
}

/// What a rule reads, and its condition without source locations: both come from its JSON form.
fn analyse(policy: &Policy) -> Result<(Reads, Option<Arc<Expr>>), String> {
    let json = policy.to_json().map_err(|error| error.to_string())?;
    let reads = Reads::of_rule(&json);
    let plain = Policy::from_json(None, json).map_err(|error| error.to_string())?;
    Ok((reads, plain.as_ref().non_scope_constraints_arc().cloned()))
}

/// What the annotations promise must be what the rule does.
fn check_use(
    policy: &Policy,
    annotations: &Annotations,
    reads: &Reads,
    actions: &BTreeSet<ActionName>,
) -> Vec<(Code, String)> {
    let mut wrong = Vec::new();
    let mut asked = Vec::new();
    let reveal = ActionName::reveal();
    if let Some(hold) = &annotations.hold {
        let approvals = hold.groups.iter().map(|approvals| &approvals.group);
        asked.extend(check_asked(
            policy,
            reads,
            ("@hold", "the approval", "approved_by"),
            approvals,
        ));
        let watchers = hold.watch.iter();
        asked.extend(check_asked(
            policy,
            reads,
            ("@moderate", "the watcher", "watched_by"),
            watchers,
        ));
        if actions.contains(&reveal) {
            let key = if hold.watch.is_empty() { "@hold" } else { "@moderate" };
            wrong.push(format!(
                "a rule with `{key}` cannot cover `Action::\"reveal\"`: a result does not wait"
            ));
        }
    }
    if annotations.observes && actions.contains(&reveal) {
        wrong.push(
            "a rule that only observes cannot cover `Action::\"reveal\"`: what was shown could not be taken back"
                .to_owned(),
        );
    }
    if annotations.ends_session && actions.contains(&reveal) {
        wrong.push("a rule with `@ends` cannot cover `Action::\"reveal\"`: it is about commands".to_owned());
    }
    if !annotations.grants.is_empty() && actions.iter().any(|action| *action != ActionName::connect()) {
        wrong.push("`@grant` belongs to a rule about `Action::\"connect\"` only".to_owned());
    }
    if annotations.mask.is_some() && actions.iter().any(|action| *action != reveal) {
        wrong.push("`@mask` belongs to a rule about `Action::\"reveal\"` only".to_owned());
    }
    let asked = asked.into_iter().map(|why| (Code::HOLD_WITHOUT_RELEASE, why));
    asked
        .chain(wrong.into_iter().map(|why| (Code::ANNOTATION, why)))
        .collect()
}

/// A rule that asks for people forbids unless they are there.
fn check_asked<'a>(
    policy: &Policy,
    reads: &Reads,
    (key, who, attribute): (&str, &str, &str),
    groups: impl Iterator<Item = &'a SmolStr>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let literals = policy.entity_literals();
    for (at, group) in groups.enumerate() {
        if at == 0 && !reads.has(attribute) {
            wrong.push(format!(
                "a rule with `{key}` forbids unless {who} is in `context.{attribute}`"
            ));
        }
        let named = |uid: &EntityUid| uid.type_name().to_string() == "Group" && uid.id().unescaped() == group;
        if !literals.iter().any(named) {
            wrong.push(format!(
                "`{key}` asks `{group}`, but the rule does not look for `Group::\"{group}\"`"
            ));
        }
    }
    wrong
}

/// Runs Cedar's validator in its strict mode. Rules that can never apply are errors too: a forbid that never
/// fires is a hole.
fn validate(rules: &[Rule], schema: &Schema, files: &Files, problems: &mut Vec<Problem>) -> Vec<Problem> {
    let set = match PolicySet::from_policies(rules.iter().map(|rule| rule.policy.clone())) {
        Ok(set) => set,
        Err(error) => {
            problems.push(Problem::in_file("rules", error.to_string()));
            return Vec::new();
        }
    };
    let locate = |id: &PolicyId, diagnostic: &dyn Diagnostic, code: Code| {
        let rule = rules.iter().find(|rule| rule.policy.id() == id);
        let file = rule.map_or("rules", |rule| rule.file.as_str());
        let text = files.get(file).map_or("", String::as_str);
        let mut problem = Problem::of(file, text, diagnostic).coded(code);
        problem.message = problem.message.replacen("for policy `", "in rule `", 1);
        match rule {
            Some(rule) => problem.of_rule(&rule.id),
            None => problem,
        }
    };
    let verdict = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let found = verdict
        .validation_errors()
        .map(|error| locate(error.policy_id(), error, Code::TYPE_ERROR));
    problems.extend(once_per_place(found));
    let mut named: BTreeSet<&PolicyId> = verdict.validation_errors().map(|e| e.policy_id()).collect();
    let mut warnings = Vec::new();
    for warning in verdict.validation_warnings() {
        let never = never_applies(warning);
        let code = if never { Code::IMPOSSIBLE_RULE } else { Code::ODD_RULE };
        let problem = locate(warning.policy_id(), warning, code);
        if !never {
            warnings.push(problem);
        } else if named.insert(warning.policy_id()) {
            // One reason is enough why a rule is not accepted.
            problems.push(problem);
        }
    }
    warnings
}

fn never_applies(warning: &ValidationWarning) -> bool {
    matches!(
        warning,
        ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_)
    )
}

/// Cedar reports a rule's error once for each action that the rule covers, which can be a hundred. Says it
/// once, with the number.
fn once_per_place(problems: impl Iterator<Item = Problem>) -> Vec<Problem> {
    const PER_ACTION: &str = " in context for ";
    type Key = (String, Option<(usize, usize)>, String);
    let mut places: BTreeMap<Key, (Problem, usize)> = BTreeMap::new();
    for problem in problems {
        let what = problem.message.split(PER_ACTION).next().unwrap_or("").to_owned();
        let key = (problem.file.clone(), problem.position, what);
        places
            .entry(key)
            .and_modify(|(_, count)| *count += 1)
            .or_insert((problem, 1));
    }
    let merged = places.into_iter().map(|((_, _, what), (mut problem, count))| {
        if count > 1 {
            problem.message = format!("{what} in the context of {count} actions that it covers");
        }
        problem
    });
    merged.collect()
}
