//! Trying requests: those that were thought out, and some at random, for a bounded time.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use cedar_policy::EntityUid;
use serde::Serialize;

use super::dice::Dice;
use super::formula::asks_action;
use super::model::{Assignment, Demand, Model, says_of_action};
use super::solve::{Care, Room};
use crate::bundle::Bundle;
use crate::schema::name_of;

/// How many principals and how many targets of a room are tried with everything else plain.
const SPREAD: usize = 6;
/// How many requests of a room are taken at random.
const DRAWS: usize = 3;

/// How long to search.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// The search ends after this time, wherever it is. With enough of it, the same is tried in every run.
    pub time: Duration,
    /// How many requests are made at random for each set of actions that the rules treat alike.
    pub draws: usize,
    /// What the random requests follow from.
    pub seed: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(10),
            draws: 1000,
            seed: 1,
        }
    }
}

/// What was done to find something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Effort {
    /// How many different requests were tried.
    pub requests: usize,
    /// For how many actions requests were tried.
    pub actions: usize,
    /// For how many actions nothing had to be tried: the same rules apply on both sides.
    pub alike: usize,
    /// Time ran out before everything was tried that would have been.
    pub cut_short: bool,
}

/// A search that is going on.
pub(crate) struct Hunt {
    pub(crate) effort: Effort,
    pub(crate) dice: Dice,
    budget: Budget,
    end: Instant,
}

impl Hunt {
    pub(crate) fn new(budget: Budget) -> Self {
        let now = Instant::now();
        Self {
            effort: Effort::default(),
            dice: Dice::new(budget.seed),
            budget,
            end: now.checked_add(budget.time).unwrap_or(now),
        }
    }

    /// Whether the time is over; then it is noted.
    pub(crate) fn over(&mut self) -> bool {
        let over = Instant::now() >= self.end;
        self.effort.cut_short |= over;
        over
    }

    /// Shows the requests of some rooms, each once, to `look`.
    pub(crate) fn visit(
        &mut self,
        model: &Model<'_>,
        rooms: &[Room],
        seen: &mut HashSet<Assignment>,
        look: &mut dyn FnMut(&Assignment),
    ) {
        for room in rooms {
            if self.over() {
                return;
            }
            for assignment in self.from(model, room) {
                self.show(assignment, seen, look);
            }
        }
    }

    /// Shows requests at random to `look`, all of one of these rooms.
    pub(crate) fn draw(
        &mut self,
        model: &Model<'_>,
        within: &[Room],
        seen: &mut HashSet<Assignment>,
        look: &mut dyn FnMut(&Assignment),
    ) {
        let clauses: Vec<(usize, usize)> = (0..model.sides.len())
            .flat_map(|side| (0..model.clauses.get(side).map_or(0, Vec::len)).map(move |clause| (side, clause)))
            .collect();
        let mut known: BTreeMap<(usize, usize, bool), Vec<Demand>> = BTreeMap::new();
        for count in 0..self.budget.draws {
            if count % 64 == 0 && self.over() {
                return;
            }
            let Some(outer) = self.dice.choose(within) else { return };
            let mut room = outer.clone();
            if let Some((side, clause)) = self.dice.choose(&clauses).filter(|_| self.dice.roll(4) > 0) {
                let wanted = self.dice.roll(3) > 0;
                let ways = known
                    .entry((*side, *clause, wanted))
                    .or_insert_with(|| model.ways(*side, *clause, wanted, Care::Each));
                room = self
                    .dice
                    .choose(ways)
                    .and_then(|way| outer.narrowed(way))
                    .unwrap_or(room);
            }
            let assignment = self.any(&room);
            self.show(assignment, seen, look);
        }
    }

    fn show(&mut self, assignment: Assignment, seen: &mut HashSet<Assignment>, look: &mut dyn FnMut(&Assignment)) {
        if !seen.contains(&assignment) {
            self.effort.requests += 1;
            look(&assignment);
            seen.insert(assignment);
        }
    }

    /// The plainest request of a room; the same with other people and other targets; a few at random.
    fn from(&mut self, model: &Model<'_>, room: &Room) -> Vec<Assignment> {
        let plainest: Assignment = room.0.iter().map(|picks| picks.iter().next().unwrap_or(0)).collect();
        let mut list = vec![plainest.clone()];
        for (at, variable) in model.variables.iter().enumerate() {
            if !variable.is_fact() {
                let picks = room.0.get(at).copied().unwrap_or_default();
                let step = picks.len().div_ceil(SPREAD).max(1);
                for value in picks.iter().step_by(step).chain(picks.iter().last()) {
                    let mut other = plainest.clone();
                    other.get_mut(at).into_iter().for_each(|slot| *slot = value);
                    list.push(other);
                }
            }
        }
        list.extend((0..DRAWS).map(|_| self.any(room)));
        list
    }

    /// One request of a room, plain in about half of what can vary.
    fn any(&mut self, room: &Room) -> Assignment {
        let mut value = |picks: &super::picks::Picks| match self.dice.roll(2) {
            0 if picks.has(0) => 0,
            _ => picks.iter().nth(self.dice.roll(picks.len())).unwrap_or(0),
        };
        room.0.iter().map(&mut value).collect()
    }
}

/// The actions of a schema in sets that all rules of all sides treat alike.
pub(crate) fn alike(sides: &[&Bundle]) -> Vec<Vec<EntityUid>> {
    let mut sets: BTreeMap<String, Vec<EntityUid>> = BTreeMap::new();
    let Some(first) = sides.first() else {
        return Vec::new();
    };
    for bucket in &first.rules().buckets {
        let mut key = context_of(first, &bucket.action);
        for side in sides {
            key.push_str(&signature(side, &bucket.action));
        }
        sets.entry(key).or_default().push(bucket.action.clone());
    }
    let mut list: Vec<Vec<EntityUid>> = sets.into_values().collect();
    list.sort();
    list
}

fn context_of(side: &Bundle, action: &EntityUid) -> String {
    let schema: &cedar_policy_core::validator::ValidatorSchema = side.rules().schema.as_ref().as_ref();
    let context = schema
        .context_type(action.as_ref())
        .map(ToString::to_string)
        .unwrap_or_default();
    format!("{}|{context}", action.type_name())
}

/// Which rules can apply to an action, and what they say of it where they ask for it by name.
fn signature(side: &Bundle, action: &EntityUid) -> String {
    let (rules, name) = (side.rules(), name_of(action));
    let bucket = rules.bucket_of(&name).and_then(|at| rules.buckets.get(at));
    let mut text = String::from("|");
    for at in bucket.into_iter().flat_map(|bucket| &bucket.rules) {
        text.push_str(&format!("{at},"));
        let Some(condition) = rules.rules.get(*at).and_then(|rule| rule.condition.as_deref()) else {
            continue;
        };
        if asks_action(condition) {
            let parts = condition.subexpressions().filter(|part| asks_action(part));
            let said: Vec<Option<bool>> = parts.map(|part| says_of_action(side, part, &name)).collect();
            text.push_str(&format!("{said:?}"));
        }
    }
    text
}
