//! One principal before one target: entities and scopes are settled, only the acts are open.

mod ruling;

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, OnceLock};

use cedar_policy::{Context, Entities, Entity, EntityId, EntityUid, Request, RestrictedExpression};
use cedar_policy_core::ast::Expr;
use smol_str::SmolStr;
use time::{Duration, OffsetDateTime, UtcOffset};

use crate::act::{Act, ActionName, Resource, Situation, Subject, SubjectKind, Value};
use crate::decision::{Decision, Disclosure, HoldSpec, Lifetime, Reveal, RuleId, View};
use crate::narrow::{self, Narrow, Scope, Verdict, narrow};
use crate::needs::Reads;
use crate::rules::{Bucket, Rule, Rules};
use crate::schema::uid_of;

/// The groups that a decision supposes to have approved and to watch.
struct Present {
    approved_by: BTreeSet<String>,
    watched_by: BTreeSet<String>,
}

impl Present {
    fn in_(situation: &Situation) -> Self {
        Self {
            approved_by: situation.approved_by.clone(),
            watched_by: situation.watched_by.clone(),
        }
    }
}

/// What one subject may do on one target under one bundle. Making it costs some tens of microseconds, using it
/// costs only the rules that can apply; a session keeps it as long as the bundle stays the same.
pub struct Standing {
    rules: Arc<Rules>,
    principal: EntityUid,
    target: EntityUid,
    target_name: SmolStr,
    entities: Entities,
    narrowed: Vec<OnceLock<Narrow>>,
    /// The target only observes: what rules would refuse or hold goes on.
    observes: bool,
}

impl std::fmt::Debug for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Standing({} on {})", self.principal, self.target)
    }
}

impl Standing {
    pub(crate) fn new(rules: Arc<Rules>, who: &Subject, target: &Resource, classes: &[Entity]) -> Result<Self, String> {
        let uid = |kind: &str, id: &str| uid_of(kind, id).ok_or_else(|| format!("`{id}` is not an identifier"));
        let kind = match who.kind {
            SubjectKind::User => "User",
            SubjectKind::Machine => "Machine",
        };
        let principal = uid(kind, &who.id)?;
        let groups: HashSet<EntityUid> = who.groups.iter().map(|g| uid("Group", g)).collect::<Result<_, _>>()?;
        let resource = uid("Target", &target.name)?;
        let mut places: HashSet<EntityUid> = target.tags.iter().map(|t| uid("Tag", t)).collect::<Result<_, _>>()?;
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
        let entities = Entities::from_entities(list, Some(rules.schema.as_ref())).map_err(|e| e.to_string())?;
        let narrowed = rules.buckets.iter().map(|_| OnceLock::new()).collect();
        let target_name = target.name.as_str().into();
        Ok(Self {
            rules,
            principal,
            target: resource,
            target_name,
            entities,
            narrowed,
            observes: false,
        })
    }

    /// On this target rules only observe, or not.
    pub(crate) fn observing(self, observes: bool) -> Self {
        Self { observes, ..self }
    }

    /// Decides a command: all of its acts must be allowed. A command without acts is refused.
    #[must_use]
    pub fn decide(&self, acts: &[Act], situation: &Situation) -> Decision {
        let each = acts.iter().map(|act| self.decide_act(act, situation));
        each.reduce(Decision::and)
            .unwrap_or_else(|| Decision::refused("the command does nothing that policy could judge", Lifetime::Never))
    }

    /// How values of a class are shown to this subject when they come from this target.
    #[must_use]
    pub fn reveal(&self, class: &str, view: View, situation: &Situation) -> Disclosure {
        let withheld = |rules| Disclosure {
            reveal: Reveal::Withhold,
            rules,
            cache: Lifetime::Never,
        };
        let Some(resource) = uid_of("Classification", class) else {
            return withheld(Vec::new());
        };
        let target = Value::Entity(SmolStr::new_static("Target"), self.target_name.clone());
        let facts = [
            (SmolStr::new_static("target"), target),
            (SmolStr::new_static("full_screen"), (view == View::FullScreen).into()),
        ];
        let act = Act::new(ActionName::reveal(), facts);
        // A result waits for nobody, so no approval is of it.
        let present = Present {
            approved_by: BTreeSet::new(),
            watched_by: situation.watched_by.clone(),
        };
        let judged = self.judge(&act, Some(&resource), situation, &present);
        let Ok((narrow, verdict)) = judged else {
            return withheld(Vec::new());
        };
        if !verdict.broken.is_empty() {
            return withheld(self.ids(&verdict.broken));
        }
        let cache = lifetime(&narrow.reads, situation);
        if verdict.allows() {
            return Disclosure {
                reveal: Reveal::Clear,
                rules: self.ids(&verdict.permits),
                cache,
            };
        }
        let mask = |rule: &Rule| match &rule.annotations.mask {
            Some(mask) => Reveal::Mask(mask.clone()),
            None => Reveal::Withhold,
        };
        let strictest = self.rules_at(&verdict.forbids).map(mask).reduce(Reveal::stricter);
        let reveal = strictest.unwrap_or(Reveal::Withhold);
        Disclosure {
            reveal,
            rules: self.ids(&verdict.forbids),
            cache,
        }
    }

    /// Whether an act on the target has exactly the facts that the schema declares, each of its type. Deciding
    /// does not ask, because it builds only what rules read; protocols' tests do.
    ///
    /// # Errors
    /// With what is missing, superfluous or of another type.
    pub fn conforms(&self, act: &Act, situation: &Situation) -> Result<(), String> {
        let unknown = || format!("policy does not know the action `{}`", act.action);
        let at = self.rules.bucket_of(&act.action).ok_or_else(unknown)?;
        let action = self.rules.buckets.get(at).ok_or_else(unknown)?.action.clone();
        let context = self.context(&Reads::all(), act, situation, &Present::in_(situation))?;
        let (principal, resource) = (self.principal.clone(), self.target.clone());
        Request::new(principal, action, resource, context, Some(self.rules.schema.as_ref()))
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    /// What a part of a rule's condition says about an act, or about seeing a class; `None` when it cannot be evaluated.
    pub(crate) fn says(
        &self,
        expr: &Expr,
        act: &Act,
        class: Option<&EntityUid>,
        situation: &Situation,
    ) -> Option<bool> {
        let at = self.rules.bucket_of(&act.action)?;
        let action = self.rules.buckets.get(at)?.action.clone();
        let context = self
            .context(&Reads::all(), act, situation, &Present::in_(situation))
            .ok()?;
        let resource = class.unwrap_or(&self.target).clone();
        let request = Request::new(self.principal.clone(), action, resource, context, None).ok()?;
        narrow::holds(expr, &request, &self.entities)
    }

    /// The merged holds of the rules that refused; `None` when one of them does not hold, or there is none.
    fn holds(&self, refusal: &Verdict) -> Option<HoldSpec> {
        let holds: Option<Vec<HoldSpec>> = self
            .rules_at(&refusal.forbids)
            .map(|rule| rule.annotations.hold.clone())
            .collect();
        holds?.into_iter().reduce(HoldSpec::merge)
    }

    /// Judges an act: on the target, or on another resource if one is given.
    fn judge(
        &self,
        act: &Act,
        other: Option<&EntityUid>,
        situation: &Situation,
        present: &Present,
    ) -> Result<(&Narrow, Verdict), String> {
        let (_, narrow, request) = self.request(act, other, situation, present)?;
        Ok((narrow, narrow.judge(&request, &self.entities)))
    }

    /// The rules that are about the act's action, and what those said that are about this principal and this target.
    pub(crate) fn verdict(&self, act: &Act, situation: &Situation) -> Result<(&[usize], Verdict), String> {
        let present = Present::in_(situation);
        let (bucket, narrow, request) = self.request(act, None, situation, &present)?;
        Ok((&bucket.rules, narrow.judge_all(&request, &self.entities)))
    }

    fn request(
        &self,
        act: &Act,
        other: Option<&EntityUid>,
        situation: &Situation,
        present: &Present,
    ) -> Result<(&Bucket, &Narrow, Request), String> {
        let unknown = || format!("policy does not know the action `{}`", act.action);
        let at = self.rules.bucket_of(&act.action).ok_or_else(unknown)?;
        let bucket = self.rules.buckets.get(at).ok_or_else(unknown)?;
        let cell = self.narrowed.get(at).ok_or_else(unknown)?;
        let fixed = other.is_none().then_some(&self.target);
        let narrow = cell.get_or_init(|| narrow(&self.rules, bucket, &self.entities, &self.principal, fixed));
        let context = self.context(&narrow.reads, act, situation, present)?;
        let resource = other.unwrap_or(&self.target).clone();
        let (principal, action) = (self.principal.clone(), bucket.action.clone());
        let request = Request::new(principal, action, resource, context, None).map_err(|error| error.to_string())?;
        Ok((bucket, narrow, request))
    }

    /// The rule at this place of the bundle.
    pub(crate) fn rule(&self, at: usize) -> Option<&Rule> {
        self.rules.rules.get(at).map(AsRef::as_ref)
    }

    /// Whether a rule's scope is about this principal.
    pub(crate) fn is_principal(&self, rule: &Rule) -> bool {
        Scope::from(rule.policy.principal_constraint()).fits(&self.principal, &self.entities)
    }

    /// Whether a rule's scope is about this target.
    pub(crate) fn is_place(&self, rule: &Rule) -> bool {
        Scope::from(rule.policy.resource_constraint()).fits(&self.target, &self.entities)
    }

    /// The context with what these rules read and nothing else.
    fn context(&self, reads: &Reads, act: &Act, situation: &Situation, present: &Present) -> Result<Context, String> {
        let mut pairs = Vec::new();
        let mut put = |name: &str, value: &Value| -> Result<(), String> {
            pairs.push((name.to_owned(), self.expression(value)?));
            Ok(())
        };
        for (name, value) in act.context.iter() {
            let ours = matches!(name.as_str(), "task" | "now" | "source" | "approved_by" | "watched_by");
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
        let people = [
            ("approved_by", &present.approved_by),
            ("watched_by", &present.watched_by),
        ];
        for (name, groups) in people.into_iter().filter(|(name, _)| reads.has(name)) {
            put(name, &Value::entities("Group", groups.iter().map(SmolStr::from)))?;
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
            Value::Entities(kind, ids) => {
                RestrictedExpression::new_set(ids.iter().map(|id| entity(kind, id)).collect::<Result<Vec<_>, _>>()?)
            }
            Value::Ip(address) => RestrictedExpression::new_ip(address.to_string()),
            Value::Time(time) => RestrictedExpression::new_datetime(cedar_time(*time)),
        })
    }

    fn rules_at<'a>(&'a self, at: &'a [usize]) -> impl Iterator<Item = &'a Rule> {
        at.iter().filter_map(|at| self.rules.rules.get(*at).map(Arc::as_ref))
    }

    fn ids(&self, at: &[usize]) -> Vec<RuleId> {
        let mut ids: Vec<RuleId> = self.rules_at(at).map(|rule| rule.id.clone()).collect();
        ids.sort();
        ids
    }
}

/// Rules see whole seconds, so what they say about the time cannot change before the next one.
fn lifetime(reads: &Reads, situation: &Situation) -> Lifetime {
    if !situation.approved_by.is_empty() || reads.has("watched_by") {
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
