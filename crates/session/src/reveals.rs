//! What a person may see of each class of values.

use std::collections::{BTreeSet, HashMap};

use sallyport_policy::{Bundle, Disclosure, Reveal, Situation};
use smol_str::SmolStr;
use time::OffsetDateTime;

use crate::gate::Standing;

/// What a person may see of each class: decided by the action `reveal`, never per row.
#[derive(Debug, Default)]
pub struct Reveals {
    /// Changes with the policy; plans made for another number are stale.
    pub generation: u64,
    pub(crate) by_class: HashMap<SmolStr, Disclosure>,
}

impl Reveals {
    /// Decides `reveal` for each class that a column or a detector of the target has.
    pub(crate) fn decide(bundle: &Bundle, generation: u64, standing: &Standing) -> Self {
        let situation = Situation {
            task: standing.task.clone(),
            now: OffsetDateTime::now_utc(),
            source: standing.source,
            approved_by: BTreeSet::new(),
        };
        let classification = bundle.classification(&standing.target.name);
        let by_class = classification
            .all_classes()
            .into_iter()
            .map(|class| {
                let disclosure = bundle.reveal(&standing.subject, &standing.target, &class, &situation);
                (class, disclosure)
            })
            .collect();
        Self { generation, by_class }
    }

    /// What may be seen of `class`. A class that no rule knows is withheld.
    #[must_use]
    pub fn of(&self, class: &str) -> &Reveal {
        self.by_class.get(class).map_or(&Reveal::Withhold, |d| &d.reveal)
    }

    /// The rules that withhold `class`, if it is withheld.
    pub(crate) fn withheld(&self, class: &str) -> Option<Vec<String>> {
        match self.by_class.get(class) {
            None => Some(Vec::new()),
            Some(d) if d.reveal == Reveal::Withhold => Some(d.rules.iter().map(ToString::to_string).collect()),
            Some(_) => None,
        }
    }

    /// Whether every class is shown in the clear.
    #[must_use]
    pub fn all_clear(&self) -> bool {
        self.by_class.values().all(|d| d.reveal == Reveal::Clear)
    }
}
