//! How far what was permitted may grow.

use sallyport_policy::{Act, Outcome, Situation, Value};

use smol_str::SmolStr;

use super::Gate;
use crate::command::Command;

/// The fact that says how large something is.
const SIZE: &str = "size";

impl Gate {
    /// The size up to which a command that is permitted now would be permitted, if rules set a bound: where the decision
    /// is another for the first time above the size that its acts have, as halving finds it.
    pub(super) fn room(&self, seq: u64, command: &Command) -> Option<u64> {
        let needs = self.bundle.needs();
        let acts = &command.shape.acts;
        let mut sizes = acts
            .iter()
            .filter(|act| needs.reads_on(&act.action, SIZE))
            .filter_map(size);
        let now = sizes.next()?;
        let now = sizes.fold(now, i64::max);
        let approved_by = self.granted.get(&seq).into_iter().flatten().cloned().collect();
        let situation = Situation {
            approved_by,
            ..self.situation()
        };
        let permits = |size: i64| {
            let acts: Vec<Act> = acts.iter().map(|act| resized(act, size)).collect();
            let (subject, target) = (&self.standing.subject, &self.standing.target);
            self.bundle.decide(subject, target, &acts, &situation).outcome == Outcome::Allow
        };
        let (mut fits, mut too_large) = (now, i64::MAX);
        if permits(too_large) {
            return None;
        }
        while too_large - fits > 1 {
            let middle = fits + (too_large - fits) / 2;
            if permits(middle) {
                fits = middle;
            } else {
                too_large = middle;
            }
        }
        Some(u64::try_from(fits).unwrap_or_default())
    }
}

fn size(act: &Act) -> Option<i64> {
    act.context.iter().find_map(|(name, value)| {
        if let Value::Long(size) = value
            && name == SIZE
        {
            Some(*size)
        } else {
            None
        }
    })
}

fn resized(act: &Act, size: i64) -> Act {
    let fact = |(name, value): &(SmolStr, Value)| {
        let value = if name == SIZE { Value::Long(size) } else { value.clone() };
        (name.clone(), value)
    };
    let facts: Vec<_> = act.context.iter().map(fact).collect();
    Act::new(act.action.clone(), facts)
}
