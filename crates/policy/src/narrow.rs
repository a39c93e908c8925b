//! Of an action's bucket, the rules whose scope fits one principal and one target. The scope is a question of
//! who and where, and both are fixed for a session, so it is answered once.

use cedar_policy::{
    Entities, EntityTypeName, EntityUid, PolicySet, PrincipalConstraint, ResourceConstraint,
};

use crate::needs::Reads;
use crate::rules::{Bucket, Rules};

/// The rules of a bucket that are left, ready to be evaluated.
pub(crate) struct Narrow {
    pub(crate) policies: PolicySet,
    pub(crate) reads: Reads,
}

/// Narrows a bucket. Without a `resource` (it is known only with the act) the scope's resource is left to Cedar.
pub(crate) fn narrow(
    rules: &Rules,
    bucket: &Bucket,
    entities: &Entities,
    principal: &EntityUid,
    resource: Option<&EntityUid>,
) -> Result<Narrow, String> {
    let mut policies = PolicySet::new();
    let mut reads = Reads::default();
    for rule in bucket.rules.iter().filter_map(|at| rules.rules.get(*at)) {
        let scope = Scope::from(rule.policy.principal_constraint());
        let place = Scope::from(rule.policy.resource_constraint());
        if !scope.fits(principal, entities) || resource.is_some_and(|r| !place.fits(r, entities)) {
            continue;
        }
        policies
            .add(rule.policy.clone())
            .map_err(|error| error.to_string())?;
        reads.extend(&rule.reads);
    }
    Ok(Narrow { policies, reads })
}

/// A scope's constraint, the same for principals and resources.
struct Scope {
    kind: Option<EntityTypeName>,
    within: Option<EntityUid>,
    exactly: Option<EntityUid>,
}

impl Scope {
    fn fits(&self, uid: &EntityUid, entities: &Entities) -> bool {
        self.kind
            .as_ref()
            .is_none_or(|kind| kind == uid.type_name())
            && self.exactly.as_ref().is_none_or(|exactly| exactly == uid)
            && self
                .within
                .as_ref()
                .is_none_or(|within| within == uid || entities.is_ancestor_of(within, uid))
    }

    fn new(
        kind: Option<EntityTypeName>,
        within: Option<EntityUid>,
        exactly: Option<EntityUid>,
    ) -> Self {
        Self {
            kind,
            within,
            exactly,
        }
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
