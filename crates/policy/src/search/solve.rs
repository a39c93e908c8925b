//! What must vary, and how, for rules to be true or false together.

use super::formula::Formula;
use super::model::{Demand, Model, Pool, Table};
use super::picks::Picks;

/// The most ways that are kept to make one formula true or false.
const MOST_WAYS: usize = 64;
/// The most ways that are kept to make several rules true or false together.
const MOST_TOGETHER: usize = 48;

/// What each variable may still be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Room(pub(crate) Vec<Picks>);

impl Room {
    /// Everything.
    pub(crate) fn whole(pools: &[Pool]) -> Self {
        Self(pools.iter().map(|pool| Picks::first(pool.len())).collect())
    }

    fn is_within(&self, demand: &Demand) -> bool {
        let within = |(variable, picks): &(usize, Picks)| self.0.get(*variable).is_some_and(|mine| mine.within(*picks));
        demand.iter().all(within)
    }

    pub(crate) fn narrowed(&self, demand: &Demand) -> Option<Self> {
        let mut room = self.clone();
        for (variable, picks) in demand {
            let mine = room.0.get_mut(*variable)?;
            *mine = mine.and(*picks);
            if mine.is_empty() {
                return None;
            }
        }
        Some(room)
    }

    /// How many variables cannot be plain any more.
    fn oddness(&self) -> usize {
        self.0.iter().filter(|picks| !picks.has(0)).count()
    }
}

/// How thoroughly a formula's ways are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// One reason is enough: for rules that are only to stay out of the way.
    Enough,
    /// Each reason alone, with all others failing: for rules that are looked at.
    Each,
}

/// The ways to make a formula `wanted`.
pub(crate) fn ways(formula: &Formula, wanted: bool, care: Care, tables: &[Table]) -> Vec<Demand> {
    let all = |parts: &[Formula]| {
        let mut list = vec![Demand::new()];
        for part in parts {
            list = cross(&list, &ways(part, wanted, care, tables));
        }
        list
    };
    match formula {
        Formula::Is(value) => {
            if *value == wanted {
                vec![Vec::new()]
            } else {
                Vec::new()
            }
        }
        Formula::Not(inner) => ways(inner, !wanted, care, tables),
        Formula::Atom(at) => {
            let said = tables.get(*at).map(|table| if wanted { &table.yes } else { &table.no });
            thinned(said.cloned().unwrap_or_default(), MOST_WAYS)
        }
        Formula::All(parts) if wanted => all(parts),
        Formula::Any(parts) if !wanted => all(parts),
        Formula::All(parts) | Formula::Any(parts) => {
            let mut list = Vec::new();
            for (at, part) in parts.iter().enumerate() {
                let mine = ways(part, wanted, care, tables);
                list.push(match care {
                    Care::Enough => mine,
                    Care::Each => alone(&mine, parts, at, wanted, tables),
                });
            }
            fair(list)
        }
        Formula::If(parts) => {
            let [test, then, otherwise] = parts.as_ref();
            let of = |value: bool, branch: &Formula| {
                cross(&ways(test, value, care, tables), &ways(branch, wanted, care, tables))
            };
            fair(vec![of(true, then), of(false, otherwise)])
        }
    }
}

/// This part as wanted and the others not; where that cannot be, this part as wanted.
fn alone(mine: &[Demand], parts: &[Formula], at: usize, wanted: bool, tables: &[Table]) -> Vec<Demand> {
    let mut list = mine.to_vec();
    for (_, other) in parts.iter().enumerate().filter(|(other, _)| *other != at) {
        let against = cross(&list, &ways(other, !wanted, Care::Enough, tables));
        if !against.is_empty() {
            list = against;
        }
    }
    list
}

/// Both: each way of one with each of the other.
fn cross(a: &[Demand], b: &[Demand]) -> Vec<Demand> {
    let mut list = Vec::new();
    for one in a {
        list.extend(b.iter().filter_map(|other| both(one, other)));
        if list.len() > MOST_WAYS * 16 {
            break;
        }
    }
    list.sort_unstable_by_key(Vec::len);
    list.dedup();
    thinned(list, MOST_WAYS)
}

fn both(a: &Demand, b: &Demand) -> Option<Demand> {
    let mut demand = a.clone();
    for (variable, picks) in b {
        match demand.iter_mut().find(|(mine, _)| mine == variable) {
            Some((_, mine)) => {
                *mine = mine.and(*picks);
                if mine.is_empty() {
                    return None;
                }
            }
            None => demand.push((*variable, *picks)),
        }
    }
    Some(demand)
}

/// Of each list in turn, so that none is cut off because it comes late.
fn fair(lists: Vec<Vec<Demand>>) -> Vec<Demand> {
    let mut lists: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(lists.iter_mut().filter_map(Iterator::next));
        if all.len() == before || all.len() >= MOST_WAYS * 4 {
            return thinned(all, MOST_WAYS * 2);
        }
    }
}

/// The first half of what may be kept, and the rest from all over the list.
fn thinned<T>(list: Vec<T>, most: usize) -> Vec<T> {
    if list.len() <= most {
        return list;
    }
    let (head, rest) = (most / 2, list.len() - most / 2);
    let step = rest.div_ceil(most - head);
    let keep = |(at, _): &(usize, T)| *at < head || (*at - head).is_multiple_of(step);
    list.into_iter()
        .enumerate()
        .filter(keep)
        .map(|(_, item)| item)
        .collect()
}

/// The rooms in which one of the demands is met as well; the plainest first.
pub(crate) fn met(rooms: Vec<Room>, demands: &[Demand]) -> Vec<Room> {
    let mut list: Vec<Room> = Vec::new();
    for room in rooms {
        if demands.iter().any(|demand| room.is_within(demand)) {
            list.push(room);
        } else {
            list.extend(demands.iter().filter_map(|demand| room.narrowed(demand)));
        }
    }
    list.sort_by_cached_key(Room::oddness);
    list.dedup();
    thinned(list, MOST_TOGETHER)
}

impl Model<'_> {
    /// The ways to make a clause of a side true or false.
    pub(crate) fn ways(&self, side: usize, clause: usize, wanted: bool, care: Care) -> Vec<Demand> {
        let found = self.clauses.get(side).and_then(|clauses| clauses.get(clause));
        let tables = self.tables.get(side).map_or(&[][..], Vec::as_slice);
        found.map_or_else(Vec::new, |found| ways(&found.formula, wanted, care, tables))
    }

    /// Rooms in which all the clauses of a side that `which` chooses are false as well.
    pub(crate) fn without(&self, mut rooms: Vec<Room>, side: usize, which: &dyn Fn(usize) -> bool) -> Vec<Room> {
        let count = self.clauses.get(side).map_or(0, Vec::len);
        for clause in (0..count).filter(|clause| which(*clause)) {
            rooms = met(rooms, &self.ways(side, clause, false, Care::Enough));
            if rooms.is_empty() {
                break;
            }
        }
        rooms
    }
}
