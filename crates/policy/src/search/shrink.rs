//! From a request to the plainest one of its kind, and what of it matters.

use smol_str::SmolStr;

use super::formula::Variable;
use super::model::{Assignment, Model, Pool};
use super::pools::SOMEBODY;
use crate::act::{Subject, SubjectKind, Value};

/// How many values of a plain fact are tried, to see whether it matters that it is plain.
const PROBES: usize = 16;

/// The plainest request near this one for which `keeps` holds as for this one.
pub(crate) fn shrunk(model: &Model<'_>, assignment: &Assignment, keeps: &dyn Fn(&Assignment) -> bool) -> Assignment {
    let mut small = assignment.clone();
    loop {
        let before = small.clone();
        for at in 0..small.len() {
            for value in plainer(model, &small, at) {
                let mut other = small.clone();
                other.get_mut(at).into_iter().for_each(|slot| *slot = value);
                if keeps(&other) {
                    small = other;
                    break;
                }
            }
        }
        if small == before {
            return small;
        }
    }
}

/// Values that say less than the one that a variable has.
fn plainer(model: &Model<'_>, assignment: &[usize], at: usize) -> Vec<usize> {
    let current = assignment.get(at).copied().unwrap_or(0);
    match model.pools.get(at) {
        Some(Pool::Subjects(list)) => {
            let Some(mine) = list.get(current) else {
                return Vec::new();
            };
            let less = |other: &Subject| other.groups.iter().all(|group| mine.groups.contains(group));
            let weight = |other: &Subject| {
                (
                    other.groups.len(),
                    other.id != SOMEBODY,
                    other.kind == SubjectKind::Machine,
                )
            };
            let mut values: Vec<usize> = (0..list.len())
                .filter(|value| {
                    list.get(*value)
                        .is_some_and(|other| less(other) && weight(other) < weight(mine))
                })
                .collect();
            values.sort_by_key(|value| list.get(*value).map(weight));
            values
        }
        // Any class is as plain as any other, and one that exists says more.
        Some(Pool::Classes(_)) | None => Vec::new(),
        Some(Pool::Places(_) | Pool::Values(_)) => (0..current).collect(),
    }
}

/// A fact on which an answer depends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matter {
    pub(crate) name: SmolStr,
    /// Its value in the request, if it is there.
    pub(crate) value: Option<Value>,
    /// Of a plain fact, a value with which the answer is another one.
    pub(crate) turning: Option<Option<Value>>,
}

/// The facts of a plainest request that matter for `keeps`.
pub(crate) fn matters(model: &Model<'_>, small: &Assignment, keeps: &dyn Fn(&Assignment) -> bool) -> Vec<Matter> {
    let mut matter = Vec::new();
    for (at, (variable, pool)) in model.variables.iter().zip(&model.pools).enumerate() {
        let (Variable::Fact(name), Pool::Values(values)) = (variable, pool) else {
            continue;
        };
        let current = small.get(at).copied().unwrap_or(0);
        let value = values.get(current).cloned().flatten();
        let step = values.len().div_ceil(PROBES).max(1);
        let turning = (1..values.len()).step_by(step).filter(|_| current == 0).find(|value| {
            let mut other = small.clone();
            other.get_mut(at).into_iter().for_each(|slot| *slot = *value);
            !keeps(&other)
        });
        if current > 0 || turning.is_some() {
            matter.push(Matter {
                name: name.clone(),
                value,
                turning: turning.map(|at| values.get(at).cloned().flatten()),
            });
        }
    }
    matter
}
