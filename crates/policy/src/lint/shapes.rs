//! What each rule says of each kind of request: a formula per action, type of principal and type of resource.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use cedar_policy::Entities;
use cedar_policy_core::ast::{EntityUID, Literal};

use super::atoms::{Atom, Atoms, World, id, kind};
use super::formula::Formula;
use super::solve::may_be_true;
use crate::rules::{Rule, Rules};

/// One kind of request.
struct Kind {
    action: EntityUID,
    /// The action and all groups that it is in.
    above: BTreeSet<EntityUID>,
    principal: String,
    resource: String,
}

/// Index of a formula.
pub(super) type FormulaId = usize;

/// One rule: what it says of each kind of request that it can apply to, by the index of the kind.
pub(super) struct Shape {
    pub(super) by_kind: Rc<BTreeMap<usize, FormulaId>>,
    /// Every request that it applies to is about a target.
    pub(super) about_targets: bool,
}

/// All rules.
pub(super) struct Shapes<'a> {
    world: World<'a>,
    atoms: Atoms,
    formulas: Vec<Formula>,
    ids: HashMap<Formula, FormulaId>,
    possible: HashMap<FormulaId, bool>,
    implied: HashMap<(FormulaId, FormulaId), bool>,
    pub(super) rules: Vec<Shape>,
}

impl<'a> Shapes<'a> {
    pub(super) fn new(rules: &Rules, world: World<'a>) -> Self {
        let mut shapes = Self {
            world,
            atoms: Atoms::default(),
            formulas: Vec::new(),
            ids: HashMap::new(),
            possible: HashMap::new(),
            implied: HashMap::new(),
            rules: Vec::new(),
        };
        let kinds = kinds(rules);
        for rule in &rules.rules {
            let shape = shapes.shape(rule, rules, &kinds);
            shapes.rules.push(shape);
        }
        shapes
    }

    fn shape(&mut self, rule: &Rule, rules: &Rules, kinds: &BTreeMap<Key, Kind>) -> Shape {
        let whole = self.atoms.read(&rule.policy.as_ref().condition());
        let mut by_kind = BTreeMap::new();
        let mut about_targets = true;
        let index: BTreeMap<&Key, usize> = kinds.keys().enumerate().map(|(at, key)| (key, at)).collect();
        for env in rule.policy.get_valid_request_envs(&rules.schema) {
            let key = key(&env);
            let (Some(at), Some(kind)) = (index.get(&key), kinds.get(&key)) else {
                continue;
            };
            let atoms = &self.atoms;
            let formula = whole.replace(&mut |atom| match atoms.get(atom).and_then(|atom| kind.answer(atom)) {
                Some(answer) => Formula::Const(answer),
                None => Formula::Atom(atom),
            });
            let formula = self.intern(formula);
            if self.is_possible(formula) {
                by_kind.insert(*at, formula);
                about_targets &= kind.resource == "Target";
            }
        }
        Shape {
            by_kind: Rc::new(by_kind),
            about_targets,
        }
    }

    fn intern(&mut self, formula: Formula) -> FormulaId {
        if let Some(id) = self.ids.get(&formula) {
            return *id;
        }
        let id = self.formulas.len();
        self.ids.insert(formula.clone(), id);
        self.formulas.push(formula);
        id
    }

    fn formula(&self, id: FormulaId) -> Formula {
        self.formulas.get(id).cloned().unwrap_or(Formula::Const(true))
    }

    fn is_possible(&mut self, id: FormulaId) -> bool {
        if let Some(known) = self.possible.get(&id) {
            return *known;
        }
        let possible = may_be_true(&self.formula(id), &self.atoms, &self.world);
        self.possible.insert(id, possible);
        possible
    }

    fn implies(&mut self, a: FormulaId, b: FormulaId) -> bool {
        if a == b {
            return true;
        }
        if let Some(known) = self.implied.get(&(a, b)) {
            return *known;
        }
        let counterexample = self.formula(a).and(self.formula(b).negated());
        let implied = !may_be_true(&counterexample, &self.atoms, &self.world);
        self.implied.insert((a, b), implied);
        implied
    }

    /// Whether rule `b` applies wherever rule `a` does. Certain if it says so.
    pub(super) fn is_covered(&mut self, a: usize, b: usize) -> bool {
        let (Some(inner), Some(outer)) = (self.kinds_of(a), self.kinds_of(b)) else {
            return false;
        };
        let mut before = None;
        inner.len() <= outer.len()
            && inner.iter().all(|(kind, a)| {
                outer.get(kind).is_some_and(|b| {
                    let again = before.replace((*a, *b)) == Some((*a, *b));
                    again || self.implies(*a, *b)
                })
            })
    }

    fn kinds_of(&self, rule: usize) -> Option<Rc<BTreeMap<usize, FormulaId>>> {
        Some(Rc::clone(&self.rules.get(rule)?.by_kind))
    }

    /// Whether rule `hold` and rule `permit` may apply to one request, once people have approved or before.
    pub(super) fn may_meet(&mut self, hold: usize, permit: usize) -> bool {
        let (Some(holds), Some(permits)) = (self.kinds_of(hold), self.kinds_of(permit)) else {
            return true;
        };
        let both = |(kind, formula): (&usize, &FormulaId)| Some((*formula, *permits.get(kind)?));
        let pairs: BTreeSet<_> = holds.iter().filter_map(both).collect();
        pairs.into_iter().any(|(hold, permit)| {
            let later = self.later(permit, &BTreeSet::new());
            may_be_true(&self.formula(hold).and(later), &self.atoms, &self.world)
        })
    }

    /// Whether there may be a request to which the rule applies, and no longer applies once these groups have approved
    /// and watch.
    pub(super) fn may_be_released(&mut self, rule: usize, asked: &BTreeSet<(&str, &str)>) -> bool {
        let Some(shape) = self.rules.get(rule) else { return true };
        let formulas: BTreeSet<FormulaId> = shape.by_kind.values().copied().collect();
        formulas.into_iter().any(|formula| {
            let released = self.later(formula, asked).negated();
            may_be_true(&self.formula(formula).and(released), &self.atoms, &self.world)
        })
    }

    /// The formula at another moment of the same request: who has approved and who watches may be others.
    fn later(&mut self, formula: FormulaId, asked: &BTreeSet<(&str, &str)>) -> Formula {
        let formula = self.formula(formula);
        let mut names = BTreeSet::new();
        formula.atoms(&mut names);
        let mut changed = BTreeMap::new();
        for name in names {
            let Some(atom) = self.atoms.get(name).filter(|atom| atom.is_about_people()) else {
                continue;
            };
            let then = match then(atom, asked) {
                Some(answer) => Formula::Const(answer),
                None => {
                    let other = Atom::Other(format!("later {atom:?}"));
                    Formula::Atom(self.atoms.id(other))
                }
            };
            changed.insert(name, then);
        }
        formula.replace(&mut |atom| changed.get(&atom).cloned().unwrap_or(Formula::Atom(atom)))
    }

    /// Whether the rule may apply to one of the targets that the bundle has.
    pub(super) fn may_reach_a_target(&self, rule: usize) -> bool {
        let (Some(places), Some(shape)) = (self.world.places, self.rules.get(rule)) else {
            return true;
        };
        let formulas: BTreeSet<&FormulaId> = shape.by_kind.values().collect();
        places.targets.iter().any(|target| {
            formulas.iter().any(|formula| {
                let here = self.formula(**formula).replace(&mut |atom| {
                    let answer = self.atoms.get(atom).and_then(|atom| self.at_target(atom, target));
                    answer.map_or(Formula::Atom(atom), Formula::Const)
                });
                may_be_true(&here, &self.atoms, &self.world)
            })
        })
    }

    /// The answer at a target.
    fn at_target(&self, atom: &Atom, target: &str) -> Option<bool> {
        match atom {
            Atom::Equals(of, Literal::EntityUID(uid)) if of == "resource" => {
                Some(kind(uid) == "Target" && id(uid) == target)
            }
            Atom::In(of, uid) if of == "resource" && kind(uid) == "Target" => Some(id(uid) == target),
            Atom::In(of, uid) if of == "resource" => self.world.is_target_in(target, &kind(uid), id(uid)),
            Atom::Action(_)
            | Atom::ActionIn(_)
            | Atom::Kind(..)
            | Atom::Equals(..)
            | Atom::In(..)
            | Atom::Contains(..)
            | Atom::Empty(_)
            | Atom::Other(_) => None,
        }
    }
}

/// The answer once these groups have approved and watch, if that decides it.
fn then(atom: &Atom, asked: &BTreeSet<(&str, &str)>) -> Option<bool> {
    let about = |of: &str, attribute: &str| of.strip_prefix("context.").or_else(|| bracketed(of)) == Some(attribute);
    match atom {
        Atom::Contains(of, value) => asked
            .iter()
            .any(|(attribute, group)| about(of, attribute) && *value == *group)
            .then_some(true),
        Atom::Empty(of) => asked.iter().any(|(attribute, _)| about(of, attribute)).then_some(false),
        Atom::Action(_) | Atom::ActionIn(_) | Atom::Kind(..) | Atom::Equals(..) | Atom::In(..) | Atom::Other(_) => None,
    }
}

/// `approved_by` of `context["approved_by"]`.
fn bracketed(of: &str) -> Option<&str> {
    of.strip_prefix("context[\"")?.strip_suffix("\"]")
}

type Key = (String, String, String);

fn key(env: &cedar_policy::RequestEnv) -> Key {
    let (action, principal, resource) = (env.action(), env.principal(), env.resource());
    (action.to_string(), principal.to_string(), resource.to_string())
}

fn kinds(rules: &Rules) -> BTreeMap<Key, Kind> {
    // Without a hierarchy no rule is found to cover another by a group of actions; nothing wrong is said then.
    let hierarchy = rules.schema.action_entities().unwrap_or_else(|_| Entities::empty());
    let kind = |env: cedar_policy::RequestEnv| {
        let action: EntityUID = env.action().as_ref().clone();
        let ancestors = hierarchy.ancestors(env.action()).into_iter().flatten();
        let above = ancestors.map(|uid| uid.as_ref().clone()).chain([action.clone()]);
        let kind = Kind {
            above: above.collect(),
            action,
            principal: env.principal().to_string(),
            resource: env.resource().to_string(),
        };
        (key(&env), kind)
    };
    rules.schema.request_envs().map(kind).collect()
}

impl Kind {
    /// The answer to an atom that every request of this kind gives.
    fn answer(&self, atom: &Atom) -> Option<bool> {
        let of = |side: &str| match side {
            "principal" => Some(&self.principal),
            "resource" => Some(&self.resource),
            _ => None,
        };
        match atom {
            Atom::Action(uid) => Some(*uid == self.action),
            Atom::ActionIn(uid) => Some(self.above.contains(uid)),
            Atom::Kind(side, kind) => of(side).map(|mine| mine == kind),
            Atom::Equals(side, Literal::EntityUID(uid)) if of(side).is_some_and(|mine| *mine != kind(uid)) => {
                Some(false)
            }
            Atom::Equals(..) | Atom::In(..) | Atom::Contains(..) | Atom::Empty(_) | Atom::Other(_) => None,
        }
    }
}
