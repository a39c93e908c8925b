//! Of an action's bucket, the rules whose scope fits one principal and one target. The scope is a question of
//! who and where, and both are fixed for a session, so it is answered once; what is left of a rule is its
//! condition, which Cedar's own evaluator judges.
//!
//! The meaning is that of Cedar's authorizer (a test compares the two), but for errors: Cedar skips a rule
//! that cannot be evaluated, here the act is refused.

use std::sync::Arc;

use cedar_policy::{Effect, Entities, EntityTypeName, EntityUid, PrincipalConstraint, Request, ResourceConstraint};
use cedar_policy_core::ast::{Expr, Literal, SlotEnv, ValueKind};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;

use crate::needs::Reads;
use crate::rules::{Bucket, Rules};

/// The rules of a bucket that are left, ready to be evaluated.
pub(crate) struct Narrow {
    forbids: Vec<Clause>,
    /// Forbids that only observe.
    observers: Vec<Clause>,
    permits: Vec<Clause>,
    pub(crate) reads: Reads,
}

/// What is left of a rule.
struct Clause {
    /// Index into [`Rules::rules`].
    rule: usize,
    /// The scope's resource, where it is known only with the act.
    place: Option<Scope>,
    /// All of `when` and none of `unless`; nothing when the scope says it all.
    condition: Option<Arc<Expr>>,
}

/// What the rules said, by their indices.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Rules that could not be evaluated: nothing may be allowed.
    pub(crate) broken: Vec<usize>,
    pub(crate) forbids: Vec<usize>,
    /// Not evaluated when a rule forbids.
    pub(crate) permits: Vec<usize>,
    /// Forbids that only observe and would have refused.
    pub(crate) observed: Vec<usize>,
    /// Forbids that only observe and could not be evaluated.
    pub(crate) observed_broken: Vec<usize>,
}

impl Verdict {
    pub(crate) fn allows(&self) -> bool {
        self.broken.is_empty() && self.forbids.is_empty() && !self.permits.is_empty()
    }

    /// Whether a rule that only observes has something to say.
    pub(crate) fn is_observed(&self) -> bool {
        !self.observed.is_empty() || !self.observed_broken.is_empty()
    }

    /// What it would be if rules that only observe were in force.
    pub(crate) fn enforced(mut self) -> Self {
        self.broken.append(&mut self.observed_broken);
        self.forbids.append(&mut self.observed);
        self
    }
}

/// Narrows a bucket. Without a `resource` (it is known only with the act) the scope's resource stays open.
pub(crate) fn narrow(
    rules: &Rules,
    bucket: &Bucket,
    entities: &Entities,
    principal: &EntityUid,
    resource: Option<&EntityUid>,
) -> Narrow {
    let mut narrow = Narrow {
        forbids: Vec::new(),
        observers: Vec::new(),
        permits: Vec::new(),
        reads: Reads::default(),
    };
    for (at, rule) in bucket.rules.iter().filter_map(|at| Some((*at, rules.rules.get(*at)?))) {
        let person = Scope::from(rule.policy.principal_constraint());
        let place = Scope::from(rule.policy.resource_constraint());
        let elsewhere = resource.is_some_and(|resource| !place.fits(resource, entities));
        if elsewhere || !person.fits(principal, entities) {
            continue;
        }
        let place = resource.is_none().then_some(place);
        let clause = Clause {
            rule: at,
            place,
            condition: rule.condition.clone(),
        };
        match rule.policy.effect() {
            Effect::Forbid if rule.annotations.observes => narrow.observers.push(clause),
            Effect::Forbid => narrow.forbids.push(clause),
            Effect::Permit => narrow.permits.push(clause),
        }
        narrow.reads.extend(&rule.reads);
    }
    narrow
}

impl Narrow {
    /// Evaluates what is left of the rules for one request.
    pub(crate) fn judge(&self, request: &Request, entities: &Entities) -> Verdict {
        self.evaluate(request, entities, false)
    }

    /// The same, with the permits evaluated in any case.
    pub(crate) fn judge_all(&self, request: &Request, entities: &Entities) -> Verdict {
        self.evaluate(request, entities, true)
    }

    fn evaluate(&self, request: &Request, entities: &Entities, all: bool) -> Verdict {
        let core = request.as_ref().clone();
        let evaluator = Evaluator::new(core, entities.as_ref(), Extensions::all_available());
        let mut verdict = Verdict::default();
        let resource = request.resource();
        let run = |clauses: &[Clause], satisfied: &mut Vec<usize>, broken: &mut Vec<usize>| {
            for clause in clauses {
                match clause.holds(&evaluator, resource, entities) {
                    Some(true) => satisfied.push(clause.rule),
                    Some(false) => {}
                    None => broken.push(clause.rule),
                }
            }
        };
        run(&self.forbids, &mut verdict.forbids, &mut verdict.broken);
        run(&self.observers, &mut verdict.observed, &mut verdict.observed_broken);
        if all || verdict.forbids.is_empty() {
            run(&self.permits, &mut verdict.permits, &mut verdict.broken);
        }
        verdict
    }
}

impl Clause {
    /// Whether the rule applies; `None` when that cannot be said.
    fn holds(&self, evaluator: &Evaluator<'_>, resource: Option<&EntityUid>, entities: &Entities) -> Option<bool> {
        if let Some(place) = &self.place
            && !place.fits(resource?, entities)
        {
            return Some(false);
        }
        let Some(condition) = &self.condition else {
            return Some(true);
        };
        truth(condition, evaluator)
    }
}

/// What one expression says of a request; `None` when it cannot be evaluated.
pub(crate) fn holds(expr: &Expr, request: &Request, entities: &Entities) -> Option<bool> {
    let core = request.as_ref().clone();
    truth(
        expr,
        &Evaluator::new(core, entities.as_ref(), Extensions::all_available()),
    )
}

fn truth(expr: &Expr, evaluator: &Evaluator<'_>) -> Option<bool> {
    match evaluator.interpret(expr, &SlotEnv::new()).ok()?.value {
        ValueKind::Lit(Literal::Bool(holds)) => Some(holds),
        ValueKind::Lit(_) | ValueKind::Set(_) | ValueKind::Record(_) | ValueKind::ExtensionValue(_) => None,
    }
}

/// A scope's constraint, the same for principals and resources.
pub(crate) struct Scope {
    kind: Option<EntityTypeName>,
    within: Option<EntityUid>,
    exactly: Option<EntityUid>,
}

impl Scope {
    pub(crate) fn fits(&self, uid: &EntityUid, entities: &Entities) -> bool {
        self.kind.as_ref().is_none_or(|kind| kind == uid.type_name())
            && self.exactly.as_ref().is_none_or(|exactly| exactly == uid)
            && self
                .within
                .as_ref()
                .is_none_or(|within| within == uid || entities.is_ancestor_of(within, uid))
    }

    fn new(kind: Option<EntityTypeName>, within: Option<EntityUid>, exactly: Option<EntityUid>) -> Self {
        Self { kind, within, exactly }
    }
}

impl From<PrincipalConstraint> for Scope {
    fn from(constraint: PrincipalConstraint) -> Self {
        match constraint {
            PrincipalConstraint::Any => Self::new(None, None, None),
            PrincipalConstraint::In(within) => Self::new(None, Some(within), None),
            PrincipalConstraint::Eq(exactly) => Self::new(None, None, Some(exactly)),
            PrincipalConstraint::Is(kind) => Self::new(Some(kind), None, None),
            PrincipalConstraint::IsIn(kind, within) => Self::new(Some(kind), Some(within), None),
        }
    }
}

impl From<ResourceConstraint> for Scope {
    fn from(constraint: ResourceConstraint) -> Self {
        match constraint {
            ResourceConstraint::Any => Self::new(None, None, None),
            ResourceConstraint::In(within) => Self::new(None, Some(within), None),
            ResourceConstraint::Eq(exactly) => Self::new(None, None, Some(exactly)),
            ResourceConstraint::Is(kind) => Self::new(Some(kind), None, None),
            ResourceConstraint::IsIn(kind, within) => Self::new(Some(kind), Some(within), None),
        }
    }
}
