//! The values that are tried for each thing that can vary, the plainest first.

use std::collections::{BTreeSet, HashSet};
use std::hash::Hash;
use std::net::IpAddr;

use cedar_policy_core::validator::types::{EntityKind, Type};
use smol_str::SmolStr;
use time::{Duration, OffsetDateTime};

use super::asked::NOON;
use super::literals::Literals;
use super::picks::MOST;
use crate::act::{Subject, SubjectKind, Value};

/// A group, a user, a text that nothing names.
pub(crate) const SOMEBODY: &str = "somebody";
const OTHER: &str = "something-else";

/// The types that facts have here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Long,
    String,
    Strings,
    Entity(SmolStr),
    Entities(SmolStr),
    Ip,
    Time,
}

impl Kind {
    /// From the schema; `None` for a type that no fact can have.
    pub(super) fn of(declared: &Type) -> Option<Self> {
        let entity = |kind: &EntityKind| match kind {
            EntityKind::Entity(types) => Some(SmolStr::from(types.get_single_entity()?.to_string())),
            EntityKind::AnyEntity => None,
        };
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "what no fact can be is no kind, whatever Cedar adds"
        )]
        match declared {
            Type::Bool(_) => Some(Self::Bool),
            Type::Long => Some(Self::Long),
            Type::String => Some(Self::String),
            Type::Entity(kind) => Some(Self::Entity(entity(kind)?)),
            Type::Set { element_type } => match element_type.as_deref()? {
                Type::String => Some(Self::Strings),
                Type::Entity(kind) => Some(Self::Entities(entity(kind)?)),
                _ => None,
            },
            Type::ExtensionType { name } => match name.to_string().as_str() {
                "ipaddr" => Some(Self::Ip),
                "datetime" => Some(Self::Time),
                _ => None,
            },
            _ => None,
        }
    }

    /// What a fact is about which nothing is remarkable.
    pub(super) fn plain(&self) -> Value {
        match self {
            Self::Bool => Value::Bool(false),
            Self::Long => Value::Long(1),
            Self::String => Value::String(SmolStr::default()),
            Self::Strings => Value::strings::<SmolStr>([]),
            Self::Entity(kind) => Value::Entity(kind.clone(), OTHER.into()),
            Self::Entities(kind) => Value::entities::<SmolStr>(kind, []),
            Self::Ip => Value::Ip(IpAddr::from([203, 0, 113, 7])),
            Self::Time => Value::Time(NOON),
        }
    }
}

/// The values to try for a fact: none if it may be absent, the plain one, those that rules name and those beside them.
pub(super) fn fact(kind: &Kind, optional: bool, literals: &Literals) -> Vec<Option<Value>> {
    let none = BTreeSet::new();
    let ids = |kind: &SmolStr| literals.entities.get(kind).unwrap_or(&none);
    let mut values: Vec<Option<Value>> = Vec::new();
    values.extend(optional.then_some(None));
    // What may be absent is not there and empty.
    let plain = if optional && *kind == Kind::String {
        Value::from(OTHER)
    } else {
        kind.plain()
    };
    values.push(Some(plain));
    match kind {
        Kind::Bool => values.push(Some(true.into())),
        Kind::Long => values.extend(numbers(&literals.longs).into_iter().map(|n| Some(n.into()))),
        Kind::String => {
            let texts = literals.strings.iter().map(|text| Some(Value::String(text.clone())));
            values.extend(texts.chain([Some(OTHER.into())]));
        }
        Kind::Strings => values.extend(subsets(&literals.strings).into_iter().map(|s| Some(Value::Strings(s)))),
        Kind::Entity(name) => values.extend(ids(name).iter().map(|id| Some(Value::Entity(name.clone(), id.clone())))),
        Kind::Entities(name) => {
            let sets = subsets(ids(name)).into_iter();
            values.extend(sets.map(|set| Some(Value::Entities(name.clone(), set))));
        }
        Kind::Ip => {
            // Of this machine, of many, and of no range that anybody names.
            let usual = ["127.0.0.1", "::1", "224.0.0.1", "ff02::1", "2001:db8::7"];
            let texts = literals.addresses.iter().map(SmolStr::as_str).chain(usual);
            values.extend(texts.flat_map(addresses).map(|ip| Some(Value::Ip(ip))));
        }
        Kind::Time => values.extend(times(literals).into_iter().map(|time| Some(Value::Time(time)))),
    }
    once(values)
}

/// Small numbers, those that rules name and those beside them, and what comes of two of them by simple arithmetic.
fn numbers(named: &BTreeSet<i64>) -> Vec<i64> {
    let mut list = vec![0, 1, 2];
    list.extend(named);
    let pairs = named
        .iter()
        .flat_map(|a| named.iter().map(move |b| (*a, *b)))
        .take(MOST / 8);
    let made = pairs
        .flat_map(|(a, b)| [a.checked_add(b), a.checked_sub(b), a.checked_div(b)])
        .flatten();
    list.extend(made);
    let around = list.iter().flat_map(|n| [n.saturating_sub(1), n.saturating_add(1)]);
    let all: Vec<i64> = list.iter().copied().chain(around).chain([i64::MAX, i64::MIN]).collect();
    once(all)
}

/// Each alone, one that nothing names, pairs, all, all but one, each with one that nothing names.
fn subsets(names: &BTreeSet<SmolStr>) -> Vec<BTreeSet<SmolStr>> {
    let list: Vec<&SmolStr> = names.iter().collect();
    let set = |items: &[&SmolStr]| -> BTreeSet<SmolStr> { items.iter().map(|&item| item.clone()).collect() };
    let other = SmolStr::new_static(OTHER);
    let mut sets: Vec<BTreeSet<SmolStr>> = list.iter().take(MOST / 4).map(|name| set(&[name])).collect();
    sets.push(set(&[&other]));
    if list.len() > 1 {
        sets.push(names.clone());
        sets.extend(list.iter().take(MOST / 8).map(|name| {
            let mut rest = names.clone();
            rest.remove(*name);
            rest
        }));
    }
    sets.extend(list.iter().take(MOST / 16).map(|name| set(&[name, &other])));
    sets.extend(pairs(&list, MOST / 4).into_iter().map(|(a, b)| set(&[a, b])));
    sets
}

/// Some of the pairs, those of near neighbours first, so that each name is in one.
fn pairs<'a, T: ?Sized>(list: &[&'a T], most: usize) -> Vec<(&'a T, &'a T)> {
    let steps = 1..list.len().max(1);
    let of_step = |step: usize| list.iter().copied().zip(list.iter().copied().skip(step));
    steps.flat_map(of_step).take(most).collect()
}

/// For a range its first and last address and the one before it; for an address itself.
fn addresses(text: &str) -> Vec<IpAddr> {
    let (address, length) = text
        .split_once('/')
        .map_or((text, None), |(a, l)| (a, l.parse::<u32>().ok()));
    match address.parse() {
        Ok(IpAddr::V4(address)) => {
            let host = u32::MAX.checked_shr(length.unwrap_or(32)).unwrap_or(0);
            let first = u32::from(address) & !host;
            let all = [
                first,
                first | host,
                first.wrapping_sub(1),
                (first | host).wrapping_add(1),
            ];
            all.map(|bits| IpAddr::V4(bits.into())).to_vec()
        }
        Ok(IpAddr::V6(address)) => {
            let host = u128::MAX.checked_shr(length.unwrap_or(128)).unwrap_or(0);
            let first = u128::from(address) & !host;
            let all = [
                first,
                first | host,
                first.wrapping_sub(1),
                (first | host).wrapping_add(1),
            ];
            all.map(|bits| IpAddr::V6(bits.into())).to_vec()
        }
        Err(_) => Vec::new(),
    }
}

/// Around each moment and each time of day that rules name; every third hour of a week.
fn times(literals: &Literals) -> Vec<OffsetDateTime> {
    let day = NOON - Duration::hours(12);
    let around =
        |time: OffsetDateTime| [Duration::ZERO, Duration::SECOND, -Duration::SECOND].map(|by| time.checked_add(by));
    let mut times: Vec<OffsetDateTime> = literals.times.iter().flat_map(|time| around(*time)).flatten().collect();
    for step in &literals.durations {
        times.extend(day.checked_add(*step).into_iter().flat_map(around).flatten());
        let beside = literals.times.iter().filter_map(|time| time.checked_add(*step));
        times.extend(beside.flat_map(around).flatten());
    }
    // Numbers are compared with days, hours and so on since a moment.
    for n in literals
        .longs
        .iter()
        .filter_map(|n| i32::try_from(*n).ok())
        .take(MOST / 32)
    {
        let steps = [Duration::DAY, Duration::HOUR, Duration::MINUTE, Duration::SECOND];
        for since in literals.times.iter().chain([&day]) {
            let counted = steps.iter().flat_map(|step| [*step * n, *step * n.saturating_add(1)]);
            times.extend(counted.filter_map(|step| since.checked_add(step)));
        }
    }
    times.extend((0..56).map(|third| day + Duration::hours(3 * third)));
    times
}

/// Who asks: in no group, in each, in pairs, in all, in all but one; people and programs, and those whom rules name.
pub(super) fn subjects(groups: &BTreeSet<SmolStr>, literals: &Literals) -> Vec<Subject> {
    let subject = |kind: SubjectKind, id: &str, groups: &BTreeSet<SmolStr>| Subject {
        kind,
        id: id.to_owned(),
        groups: groups.iter().map(ToString::to_string).collect(),
    };
    let nobody = BTreeSet::new();
    let each: Vec<BTreeSet<SmolStr>> = groups.iter().map(|group| BTreeSet::from([group.clone()])).collect();
    let person = |set: &BTreeSet<SmolStr>| subject(SubjectKind::User, SOMEBODY, set);
    let program = |set: &BTreeSet<SmolStr>| subject(SubjectKind::Machine, SOMEBODY, set);
    let mut list = vec![person(&nobody)];
    list.extend(each.iter().map(person));
    list.push(program(&nobody));
    let none = BTreeSet::new();
    for (kind, name) in [(SubjectKind::User, "User"), (SubjectKind::Machine, "Machine")] {
        let named = literals.entities.get(name).unwrap_or(&none).iter();
        for id in named
            .chain(&literals.strings)
            .filter(|id| !id.is_empty())
            .take(MOST / 8)
        {
            list.push(subject(kind, id, &nobody));
            list.extend(each.iter().take(4).map(|set| subject(kind, id, set)));
        }
    }
    list.extend(each.iter().map(program));
    let names: Vec<&SmolStr> = groups.iter().collect();
    if names.len() > 2 {
        list.push(person(groups));
        list.extend(names.iter().take(MOST / 8).map(|name| {
            let mut rest = groups.clone();
            rest.remove(*name);
            person(&rest)
        }));
    }
    let two = pairs(&names, MOST / 4).into_iter();
    list.extend(two.map(|(a, b)| person(&BTreeSet::from([a.clone(), b.clone()]))));
    once(list)
}

/// Each once, the first of each, and no more than a pool has.
pub(super) fn once<T: Clone + Eq + Hash>(list: Vec<T>) -> Vec<T> {
    let mut seen = HashSet::new();
    let fresh = list.into_iter().filter(|item| seen.insert(item.clone()));
    fresh.take(MOST).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn ranges_are_met_at_both_ends() {
        let text: Vec<String> = addresses("10.1.0.0/16").iter().map(ToString::to_string).collect();
        assert_eq!(text, ["10.1.0.0", "10.1.255.255", "10.0.255.255", "10.2.0.0"]);
        assert_eq!(addresses("0.0.0.0/0").len(), 4);
        assert!(addresses("2001:db8::/32").contains(&"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap()));
        assert!(addresses("nonsense").is_empty());
    }

    #[test]
    fn every_name_is_in_a_set_alone_and_in_a_pair() {
        let names: BTreeSet<SmolStr> = (0..20).map(|n| SmolStr::from(format!("n{n:02}"))).collect();
        let sets = subsets(&names);
        for name in &names {
            assert!(sets.iter().any(|set| set.len() == 1 && set.contains(name)));
            assert!(sets.iter().any(|set| set.len() == 2 && set.contains(name)));
        }
        assert!(sets.contains(&names));
    }
}
