//! One principal before one target: entities and scopes are settled, only the acts are open.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, OnceLock};

use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityUid, PolicyId, Request, Response,
    RestrictedExpression,
};
use smol_str::SmolStr;
use time::{Duration, OffsetDateTime, UtcOffset};

use crate::act::{Act, ActionName, Resource, Situation, Subject, SubjectKind, Value};
use crate::decision::{Decision, Disclosure, HoldSpec, Lifetime, Outcome, Reveal, RuleId};
use crate::narrow::{Narrow, narrow};
use crate::needs::Reads;
use crate::rules::{Rule, Rules};
use crate::schema::uid_of;

/// How often a held command is decided again with more approvals, to find all that it needs.
const MAX_HOLD_ROUNDS: usize = 8;

/// What one subject may do on one target under one bundle. Making it costs some tens of microseconds, using it
/// costs only the rules that can apply; a session keeps it as long as the bundle stays the same.
pub struct Standing {
    rules: Arc<Rules>,
    principal: EntityUid,
    target: EntityUid,
    target_name: SmolStr,
    entities: Entities,
    narrowed: Vec<OnceLock<Result<Narrow, String>>>,
}

impl std::fmt::Debug for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Standing({} on {})", self.principal, self.target)
    }
}

impl Standing {
    pub(crate) fn new(
        rules: Arc<Rules>,
        who: &Subject,
        target: &Resource,
        classes: &[Entity],
    ) -> Result<Self, String> {
        let uid = |kind: &str, id: &str| {
            uid_of(kind, id).ok_or_else(|| format!("`{id}` is not an identifier"))
        };
        let kind = match who.kind {
            SubjectKind::User => "User",
            SubjectKind::Machine => "Machine",
        };
        let principal = uid(kind, &who.id)?;
        let groups: HashSet<EntityUid> = who
            .groups
            .iter()
            .map(|g| uid("Group", g))
            .collect::<Result<_, _>>()?;
        let resource = uid("Target", &target.name)?;
        let mut places: HashSet<EntityUid> = target
            .tags
            .iter()
            .map(|t| uid("Tag", t))
            .collect::<Result<_, _>>()?;
        if let Some(environment) = &target.environment {
            places.insert(uid("Environment", environment)?);
        }
        let string = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let mut list = classes.to_vec();
        list.extend(groups.iter().chain(&places).cloned().map(Entity::with_uid));
        let attributes = [("id".to_owned(), string(&who.id))].into();
        list.push(Entity::new(principal.clone(), attributes, groups).map_err(|e| e.to_string())?);
        let attributes = [
            ("name".to_owned(), string(&target.name)),
            ("protocol".to_owned(), string(&target.protocol)),
        ]
        .into();
        list.push(Entity::new(resource.clone(), attributes, places).map_err(|e| e.to_string())?);
        let entities =
            Entities::from_entities(list, Some(&rules.schema)).map_err(|e| e.to_string())?;
        let narrowed = rules.buckets.iter().map(|_| OnceLock::new()).collect();
        let target_name = target.name.as_str().into();
        Ok(Self {
            rules,
            principal,
            target: resource,
            target_name,
            entities,
            narrowed,
        })
    }

    /// Decides a command: all of its acts must be allowed. A command without acts is refused.
    #[must_use]
    pub fn decide(&self, acts: &[Act], situation: &Situation) -> Decision {
        let each = acts.iter().map(|act| self.decide_act(act, situation));
        each.reduce(Decision::and).unwrap_or_else(|| {
            Decision::refused(
                "the command does nothing that policy could judge",
                Lifetime::Never,
            )
        })
    }

    /// How values of a class are shown to this subject when they come from this target.
    #[must_use]
    pub fn reveal(&self, class: &str, situation: &Situation) -> Disclosure {
        let withheld = |rules| Disclosure {
            reveal: Reveal::Withhold,
            rules,
            cache: Lifetime::Never,
        };
        let Some(resource) = uid_of("Classification", class) else {
            return withheld(Vec::new());
        };
        let act = Act::new(
            ActionName::reveal(),
            [(
                SmolStr::new_static("target"),
                Value::Entity(SmolStr::new_static("Target"), self.target_name.clone()),
            )],
        );
        let (narrow, response) = match self.judge(&act, &resource, situation, &BTreeSet::new()) {
            Ok(judged) => judged,
            Err(_) => return withheld(Vec::new()),
        };
        let rules = self.ids(response.diagnostics().reason());
        if response.diagnostics().errors().next().is_some() {
            return withheld(rules);
        }
        let cache = lifetime(&narrow.reads, situation);
        if response.decision() == cedar_policy::Decision::Allow {
            return Disclosure {
                reveal: Reveal::Clear,
                rules,
                cache,
            };
        }
        let masks = response
            .diagnostics()
            .reason()
            .map(|id| match self.rules.rule(id) {
                Some(Rule { annotations, .. }) => annotations
                    .mask
                    .clone()
                    .map_or(Reveal::Withhold, Reveal::Mask),
                None => Reveal::Withhold,
            });
        Disclosure {
            reveal: masks.reduce(Reveal::stricter).unwrap_or(Reveal::Withhold),
            rules,
            cache,
        }
    }

    fn decide_act(&self, act: &Act, situation: &Situation) -> Decision {
        let (narrow, response) =
            match self.judge(act, &self.target, situation, &situation.approved_by) {
                Ok(judged) => judged,
                Err(why) => return Decision::refused(why, Lifetime::Never),
            };
        let mut failed = response.diagnostics().errors().map(broken_rule).peekable();
        if failed.peek().is_some() {
            let rules: Vec<RuleId> = failed.collect();
            let names = rules
                .iter()
                .map(|id| format!("`{id}`"))
                .collect::<Vec<_>>()
                .join(", ");
            let refusal = Decision::refused(
                format!("the rules cannot be evaluated here: {names}"),
                Lifetime::Never,
            );
            return Decision { rules, ..refusal };
        }
        let cache = lifetime(&narrow.reads, situation);
        let rules = self.ids(response.diagnostics().reason());
        if response.decision() == cedar_policy::Decision::Allow {
            return Decision {
                outcome: Outcome::Allow,
                rules,
                message: None,
                hold: None,
                cache,
            };
        }
        if rules.is_empty() {
            let message = format!(
                "no rule permits `{}` on `{}`",
                act.action.name, self.target_name
            );
            return Decision::refused(message, cache);
        }
        match self.hold(act, situation, &response) {
            Some(hold) => {
                let message = self.message(&rules, |rule| rule.annotations.hold.is_some());
                let message = message.or_else(|| Some(waiting_for(&hold)));
                Decision {
                    outcome: Outcome::Hold,
                    rules,
                    message,
                    hold: Some(hold),
                    cache,
                }
            }
            None => {
                let firm = self.message(&rules, |rule| rule.annotations.hold.is_none());
                let message =
                    firm.or_else(|| rules.first().map(|id| format!("rule `{id}` forbids it")));
                Decision {
                    outcome: Outcome::Deny,
                    rules,
                    message,
                    hold: None,
                    cache,
                }
            }
        }
    }

    /// What a refused act would need to be allowed, if approvals are all that is missing.
    fn hold(&self, act: &Act, situation: &Situation, refusal: &Response) -> Option<HoldSpec> {
        let mut wanted = self.holds(refusal)?;
        for _ in 0..MAX_HOLD_ROUNDS {
            let mut approved = situation.approved_by.clone();
            approved.extend(wanted.groups.iter().map(|a| a.group.to_string()));
            let (_, response) = self.judge(act, &self.target, situation, &approved).ok()?;
            if response.diagnostics().errors().next().is_some() {
                return None;
            }
            if response.decision() == cedar_policy::Decision::Allow {
                return Some(wanted);
            }
            let more = wanted.clone().merge(self.holds(&response)?);
            if more == wanted {
                return None;
            }
            wanted = more;
        }
        None
    }

    /// The merged holds of the rules that refused; `None` when one of them does not hold, or there is none.
    fn holds(&self, refusal: &Response) -> Option<HoldSpec> {
        let mut merged: Option<HoldSpec> = None;
        for id in refusal.diagnostics().reason() {
            let hold = self.rules.rule(id)?.annotations.hold.clone()?;
            merged = Some(match merged {
                Some(other) => other.merge(hold),
                None => hold,
            });
        }
        merged
    }

    fn judge(
        &self,
        act: &Act,
        resource: &EntityUid,
        situation: &Situation,
        approved: &BTreeSet<String>,
    ) -> Result<(&Narrow, Response), String> {
        let unknown = || format!("policy does not know the action `{}`", act.action);
        let at = self.rules.bucket_of(&act.action).ok_or_else(unknown)?;
        let bucket = self.rules.buckets.get(at).ok_or_else(unknown)?;
        let fixed = (*resource == self.target).then_some(resource);
        let cell = self.narrowed.get(at).ok_or_else(unknown)?;
        let narrow = cell
            .get_or_init(|| narrow(&self.rules, bucket, &self.entities, &self.principal, fixed))
            .as_ref()
            .map_err(Clone::clone)?;
        let context = self.context(&narrow.reads, act, situation, approved)?;
        let request = Request::new(
            self.principal.clone(),
            bucket.action.clone(),
            resource.clone(),
            context,
            None,
        )
        .map_err(|error| error.to_string())?;
        Ok((
            narrow,
            Authorizer::new().is_authorized(&request, &narrow.policies, &self.entities),
        ))
    }

    /// The context with what these rules read and nothing else.
    fn context(
        &self,
        reads: &Reads,
        act: &Act,
        situation: &Situation,
        approved: &BTreeSet<String>,
    ) -> Result<Context, String> {
        let mut pairs = Vec::new();
        let mut put = |name: &str, value: &Value| -> Result<(), String> {
            pairs.push((name.to_owned(), self.expression(value)?));
            Ok(())
        };
        for (name, value) in act.context.iter() {
            let ours = matches!(name.as_str(), "task" | "now" | "source" | "approved_by");
            if !ours && reads.has(name) {
                put(name, value)?;
            }
        }
        if let Some(task) = situation.task.as_deref().filter(|_| reads.has("task")) {
            put("task", &Value::from(task))?;
        }
        if let Some(source) = situation.source.filter(|_| reads.has("source")) {
            put("source", &Value::Ip(source))?;
        }
        if reads.has("now") {
            put("now", &Value::Time(whole_second(situation.now)))?;
        }
        if reads.has("approved_by") {
            put(
                "approved_by",
                &Value::entities("Group", approved.iter().map(SmolStr::from)),
            )?;
        }
        Context::from_pairs(pairs).map_err(|error| error.to_string())
    }

    fn expression(&self, value: &Value) -> Result<RestrictedExpression, String> {
        let entity = |kind: &SmolStr, id: &SmolStr| {
            let kind = self
                .rules
                .entity_type(kind)
                .ok_or_else(|| format!("`{kind}` is not an entity type"))?;
            let uid = EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id));
            Ok::<_, String>(RestrictedExpression::new_entity_uid(uid))
        };
        Ok(match value {
            Value::Bool(value) => RestrictedExpression::new_bool(*value),
            Value::Long(value) => RestrictedExpression::new_long(*value),
            Value::String(text) => RestrictedExpression::new_string(text.to_string()),
            Value::Strings(items) => RestrictedExpression::new_set(
                items
                    .iter()
                    .map(|text| RestrictedExpression::new_string(text.to_string())),
            ),
            Value::Entity(kind, id) => entity(kind, id)?,
            Value::Entities(kind, ids) => RestrictedExpression::new_set(
                ids.iter()
                    .map(|id| entity(kind, id))
                    .collect::<Result<Vec<_>, _>>()?,
            ),
            Value::Ip(address) => RestrictedExpression::new_ip(address.to_string()),
            Value::Time(time) => RestrictedExpression::new_datetime(cedar_time(*time)),
        })
    }

    fn ids<'a>(&self, reasons: impl Iterator<Item = &'a PolicyId>) -> Vec<RuleId> {
        let mut ids: Vec<RuleId> = reasons
            .filter_map(|id| Some(self.rules.rule(id)?.id.clone()))
            .collect();
        ids.sort();
        ids
    }

    /// The first message among these rules that satisfy the condition.
    fn message(&self, rules: &[RuleId], fits: impl Fn(&Rule) -> bool) -> Option<String> {
        let rules = rules
            .iter()
            .filter_map(|id| self.rules.rule(&PolicyId::new(id.as_str())));
        rules
            .filter(|rule| fits(rule))
            .find_map(|rule| rule.annotations.message.clone())
    }
}

fn broken_rule(error: &cedar_policy::AuthorizationError) -> RuleId {
    let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
    RuleId(AsRef::<str>::as_ref(error.policy_id()).into())
}

fn waiting_for(hold: &HoldSpec) -> String {
    let groups = hold.groups.iter().map(|a| match a.count {
        1 => format!("`{}`", a.group),
        count => format!("`{}` ({count} people)", a.group),
    });
    format!(
        "waits for approval by {}",
        groups.collect::<Vec<_>>().join(" and ")
    )
}

/// Rules see whole seconds, so what they say about the time cannot change before the next one.
fn lifetime(reads: &Reads, situation: &Situation) -> Lifetime {
    if !situation.approved_by.is_empty() {
        Lifetime::Never
    } else if reads.has("now") {
        match whole_second(situation.now).checked_add(Duration::SECOND) {
            Some(next) => Lifetime::Until(next),
            None => Lifetime::Never,
        }
    } else {
        Lifetime::Forever
    }
}

fn whole_second(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(0).unwrap_or(time)
}

/// Cedar's literal: `2026-11-21T09:00:00.000Z`.
fn cedar_time(time: OffsetDateTime) -> String {
    let t = time.to_offset(UtcOffset::UTC);
    let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
    let (hour, minute, second, ms) = (t.hour(), t.minute(), t.second(), t.millisecond());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}
