//! Everything that can be asked about one action: what can vary, which values are tried, and what each atom of the
//! rules says to them.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Effect, EntityUid};
use cedar_policy_core::validator::types::Type;
use smol_str::SmolStr;

use super::asked::{Answer, Asked};
use super::formula::{Atom, Atoms, Formula, Setting, Variable};
use super::literals::Literals;
use super::picks::{MOST, Picks};
use super::places::{self, Place};
use super::pools::{self, Kind, SOMEBODY};
use crate::act::{ActionName, Resource, Subject, SubjectKind, Value};
use crate::bundle::Bundle;
use crate::schema::{name_of, uid_of};

/// The most combinations that are tried for an atom which asks about several things.
const MOST_TUPLES: usize = 4096;

/// The values of one thing that can vary, the plainest first.
#[derive(Debug)]
pub(crate) enum Pool {
    Subjects(Vec<Subject>),
    Places(Vec<Place>),
    Classes(Vec<SmolStr>),
    Values(Vec<Option<Value>>),
}

impl Pool {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Subjects(list) => list.len(),
            Self::Places(list) => list.len(),
            Self::Classes(list) => list.len(),
            Self::Values(list) => list.len(),
        }
    }
}

/// One value for each variable, by its place in the pool.
pub(crate) type Assignment = Vec<usize>;

/// A rule of one side, taken apart.
#[derive(Debug)]
pub(crate) struct Clause {
    pub(crate) effect: Effect,
    /// It refuses for good: it neither holds nor masks.
    pub(crate) plain: bool,
    pub(crate) formula: Formula,
    /// The other side has none like it.
    pub(crate) changed: bool,
}

/// What an atom says: the assignments of its variables for which it is true, and for which it is false.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) yes: Vec<Demand>,
    pub(crate) no: Vec<Demand>,
}

/// Values that some variables must have, each variable once, in order.
pub(crate) type Demand = Vec<(usize, Picks)>;

/// See the module.
pub(crate) struct Model<'a> {
    pub(crate) action: ActionName,
    pub(crate) sides: Vec<&'a Bundle>,
    /// Of each side, the rules that can apply.
    pub(crate) clauses: Vec<Vec<Clause>>,
    pub(crate) variables: Vec<Variable>,
    pub(crate) pools: Vec<Pool>,
    /// Of each side, by atom.
    pub(crate) tables: Vec<Vec<Table>>,
    plain: BTreeMap<SmolStr, Value>,
    class: bool,
}

/// What a model is made of besides the rules.
pub(crate) struct Ground<'a> {
    pub(crate) known: &'a [Place],
    pub(crate) protocols: &'a BTreeMap<ActionName, BTreeSet<SmolStr>>,
}

impl<'a> Model<'a> {
    /// Takes apart the rules of each side that can apply to an action. `changed` says of a rule of a side whether the
    /// others have none like it.
    pub(crate) fn new(
        sides: &[&'a Bundle],
        action: &EntityUid,
        ground: &Ground<'_>,
        changed: &dyn Fn(usize, usize) -> bool,
    ) -> Self {
        let name = name_of(action);
        let class = name == ActionName::reveal();
        let mut atoms = Atoms::default();
        let mut clauses = Vec::new();
        for (side, bundle) in sides.iter().enumerate() {
            let says = |expr: &_| says_of_action(bundle, expr, &name);
            let setting = Setting {
                reveals: class,
                says: &says,
            };
            let rules = bundle.rules();
            let at = rules.bucket_of(&name).and_then(|at| rules.buckets.get(at));
            let listed = at.into_iter().flat_map(|bucket| &bucket.rules);
            let clause = |at: &usize| {
                // What only observes decides nothing.
                let rule = rules.rules.get(*at).filter(|rule| !rule.annotations.observes)?;
                let notes = &rule.annotations;
                Some(Clause {
                    effect: rule.policy.effect(),
                    plain: notes.hold.is_none() && notes.mask.is_none(),
                    formula: atoms.read(&rule.policy.as_ref().condition(), &setting),
                    changed: changed(side, *at),
                })
            };
            clauses.push(listed.filter_map(clause).collect());
        }
        let declared = declared(sides, action);
        let plain = declared.iter().filter(|(_, (_, optional))| !optional);
        let plain = plain.map(|(name, (kind, _))| (name.clone(), kind.plain())).collect();
        let (variables, pools) = vary(sides, &atoms, &declared, ground, &name);
        let mut model = Self {
            action: name,
            sides: sides.to_vec(),
            clauses,
            variables,
            pools,
            tables: Vec::new(),
            plain,
            class,
        };
        model.tables = (0..sides.len())
            .map(|side| atoms.list.iter().map(|atom| model.table(side, atom)).collect())
            .collect();
        model
    }

    /// An assignment in which nothing is remarkable.
    pub(crate) fn plainest(&self) -> Assignment {
        vec![0; self.variables.len()]
    }

    /// The request that an assignment stands for, as a side sees it.
    pub(crate) fn asked(&self, assignment: &[usize], side: usize) -> Asked {
        let mut facts = self.plain.clone();
        let mut asked = (None, None, None);
        for ((variable, pool), at) in self.variables.iter().zip(&self.pools).zip(assignment) {
            match (variable, pool) {
                (Variable::Principal, Pool::Subjects(list)) => asked.0 = list.get(*at).cloned(),
                (Variable::Place, Pool::Places(list)) => {
                    asked.1 = list.get(*at).and_then(|place| place.sides.get(side)).cloned();
                }
                (Variable::Class, Pool::Classes(list)) => asked.2 = list.get(*at).cloned(),
                (Variable::Fact(name), Pool::Values(list)) => match list.get(*at) {
                    Some(Some(value)) => {
                        facts.insert(name.clone(), value.clone());
                    }
                    Some(None) | None => {
                        facts.remove(name);
                    }
                },
                _ => {}
            }
        }
        let target = asked.1.unwrap_or(Resource {
            name: "some-target".to_owned(),
            protocol: String::new(),
            environment: None,
            tags: Vec::new(),
        });
        if self.class {
            facts.insert(
                "target".into(),
                Value::Entity("Target".into(), target.name.as_str().into()),
            );
        }
        Asked {
            who: asked.0.unwrap_or(Subject {
                kind: SubjectKind::User,
                id: SOMEBODY.to_owned(),
                groups: Vec::new(),
            }),
            target,
            action: self.action.clone(),
            class: asked.2,
            facts,
        }
    }

    /// What a side answers.
    pub(crate) fn answer(&self, assignment: &[usize], side: usize) -> Option<Answer> {
        let asked = self.asked(assignment, side);
        let bundle = self.sides.get(side)?;
        Some(asked.ask(bundle, &asked.target))
    }

    /// What an atom says on a side.
    fn table(&self, side: usize, atom: &Atom) -> Table {
        let at = |asked: &Variable| self.variables.iter().position(|variable| variable == asked);
        let asked: Option<Vec<usize>> = atom.asks.iter().map(at).collect();
        let Some(asked) = asked.filter(|_| !atom.opaque) else {
            // Anything may make it true, and anything false.
            return Table {
                yes: vec![Vec::new()],
                no: vec![Vec::new()],
            };
        };
        let Some((last, before)) = asked.split_last() else {
            let said = self.says(side, atom, &self.plainest());
            let demands = |value: bool| {
                if said == Some(value) {
                    vec![Vec::new()]
                } else {
                    Vec::new()
                }
            };
            return Table {
                yes: demands(true),
                no: demands(false),
            };
        };
        let width = self.pools.get(*last).map_or(0, Pool::len).max(1);
        let mut table = Table::default();
        for outer in tuples(before, &self.pools, MOST_TUPLES / width) {
            let mut assignment = self.plainest();
            let set = |assignment: &mut Assignment, variable: usize, value: usize| {
                if let Some(slot) = assignment.get_mut(variable) {
                    *slot = value;
                }
            };
            before
                .iter()
                .zip(&outer)
                .for_each(|(variable, value)| set(&mut assignment, *variable, *value));
            let (mut yes, mut no) = (Picks::default(), Picks::default());
            for value in 0..width {
                set(&mut assignment, *last, value);
                match self.says(side, atom, &assignment) {
                    Some(true) => yes.insert(value),
                    Some(false) => no.insert(value),
                    None => {}
                }
            }
            for (list, picks) in [(&mut table.yes, yes), (&mut table.no, no)] {
                if !picks.is_empty() {
                    let mut demand: Demand = before.iter().zip(&outer).map(|(v, at)| (*v, Picks::one(*at))).collect();
                    demand.push((*last, picks));
                    demand.sort_by_key(|(variable, _)| *variable);
                    list.push(demand);
                }
            }
        }
        table
    }

    fn says(&self, side: usize, atom: &Atom, assignment: &[usize]) -> Option<bool> {
        let mut asked = self.asked(assignment, side);
        // What it does not ask about need not be built.
        let wanted =
            |name: &SmolStr| self.class && name == "target" || atom.asks.contains(&Variable::Fact(name.clone()));
        asked.facts.retain(|name, _| wanted(name));
        let standing = self.sides.get(side)?.standing(&asked.who, &asked.target).ok()?;
        let class = asked.class.as_ref().and_then(|class| uid_of("Classification", class));
        standing.says(&atom.expr, &asked.act(), class.as_ref(), &asked.situation())
    }
}

/// What an expression about nothing but the action says.
pub(crate) fn says_of_action(
    bundle: &Bundle,
    expr: &cedar_policy_core::ast::Expr,
    action: &ActionName,
) -> Option<bool> {
    let who = Subject {
        kind: SubjectKind::User,
        id: SOMEBODY.to_owned(),
        groups: Vec::new(),
    };
    let target = Resource {
        name: "some-target".to_owned(),
        protocol: String::new(),
        environment: None,
        tags: Vec::new(),
    };
    let standing = bundle.standing(&who, &target).ok()?;
    let act = crate::act::Act::new(action.clone(), Vec::new());
    standing.says(expr, &act, None, &crate::act::Situation::at(super::asked::NOON))
}

/// The attributes of an action's context, with whether each may be absent.
fn declared(sides: &[&Bundle], action: &EntityUid) -> BTreeMap<SmolStr, (Kind, bool)> {
    let mut declared = BTreeMap::new();
    for side in sides {
        let schema: &cedar_policy_core::validator::ValidatorSchema = side.rules().schema.as_ref().as_ref();
        if let Some(Type::Record { attrs, .. }) = schema.context_type(action.as_ref()) {
            for (name, attribute) in attrs.iter() {
                if let Some(kind) = Kind::of(&attribute.attr_type) {
                    declared.insert(name.clone(), (kind, !attribute.is_required));
                }
            }
        }
    }
    declared
}

/// What can vary, and the values to try.
fn vary(
    sides: &[&Bundle],
    atoms: &Atoms,
    declared: &BTreeMap<SmolStr, (Kind, bool)>,
    ground: &Ground<'_>,
    action: &ActionName,
) -> (Vec<Variable>, Vec<Pool>) {
    let mut literals: BTreeMap<Variable, Literals> = BTreeMap::new();
    literals.entry(Variable::Principal).or_default();
    literals.entry(Variable::Place).or_default();
    if *action == ActionName::reveal() {
        literals.entry(Variable::Class).or_default();
    }
    for atom in &atoms.list {
        let mut found = Literals::default();
        found.read(&atom.expr);
        for variable in &atom.asks {
            literals.entry(variable.clone()).or_default().extend(&found);
        }
    }
    let none = BTreeSet::new();
    let pool = |variable: &Variable, literals: &Literals| match variable {
        Variable::Principal => {
            let groups = literals.entities.get("Group").unwrap_or(&none);
            Some(Pool::Subjects(pools::subjects(groups, literals)))
        }
        Variable::Place => {
            let protocols = ground.protocols.get(action);
            let places = places::tried(ground.known, protocols, literals, sides.len());
            Some(Pool::Places(pools::once(places)))
        }
        Variable::Class => Some(Pool::Classes(classes(sides, literals))),
        Variable::Fact(name) => {
            let (kind, optional) = declared.get(name)?;
            if name == "approved_by" && *action == ActionName::reveal() {
                // A result waits for nobody, so no approval is of it.
                return Some(Pool::Values(vec![Some(kind.plain())]));
            }
            Some(Pool::Values(pools::fact(kind, *optional, literals)))
        }
    };
    let pairs = literals
        .iter()
        .filter_map(|(variable, found)| Some((variable.clone(), pool(variable, found)?)));
    pairs.unzip()
}

/// Every class that a side knows or a rule names, and one that nobody does.
fn classes(sides: &[&Bundle], literals: &Literals) -> Vec<SmolStr> {
    let mut names: BTreeSet<SmolStr> = sides
        .iter()
        .flat_map(|side| side.classify().classes.keys().cloned())
        .collect();
    names.extend(literals.entities.get("Classification").into_iter().flatten().cloned());
    let mut list = vec![SmolStr::new_static("some-other-class")];
    list.extend(names);
    list.truncate(MOST);
    list
}

/// Values for some variables, all combinations up to `most`.
fn tuples(variables: &[usize], pools: &[Pool], most: usize) -> Vec<Vec<usize>> {
    let mut tuples = vec![Vec::new()];
    for variable in variables {
        let width = pools.get(*variable).map_or(0, Pool::len);
        let longer = |tuple: &Vec<usize>| {
            let tuple = tuple.clone();
            (0..width).map(move |value| tuple.iter().copied().chain([value]).collect::<Vec<_>>())
        };
        tuples = tuples.iter().flat_map(longer).take(most.max(1)).collect();
    }
    tuples
}
