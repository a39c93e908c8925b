//! What a person may see of each class of values.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sallyport_mask::{Detector, MaskKey, Scanner, Strategy};
use sallyport_policy::{ActionName, Bundle, Classification, Disclosure, Lifetime, Reveal, Situation, View};
use smol_str::SmolStr;
use time::OffsetDateTime;

use crate::gate::Standing;

/// What a person may see of each class: decided by the action `reveal`, never per row.
#[derive(Debug)]
pub struct Reveals {
    /// Changes with the policy; plans made for another number are stale.
    pub generation: u64,
    pub(crate) by_class: HashMap<SmolStr, Disclosure>,
    /// The same for what full-screen programs draw, if a rule makes a difference of it.
    pub(crate) full_screen: Option<HashMap<SmolStr, Disclosure>>,
    /// How long they are right.
    pub(crate) lifetime: Lifetime,
}

impl Reveals {
    /// Decides `reveal` for each class that a column or a detector of the target has.
    pub(crate) fn decide(bundle: &Bundle, generation: u64, standing: &Standing, watched_by: BTreeSet<String>) -> Self {
        let situation = Situation {
            task: standing.task.clone(),
            now: OffsetDateTime::now_utc(),
            source: standing.source,
            approved_by: BTreeSet::new(),
            watched_by,
        };
        let classification = bundle.classification(&standing.target.name);
        let decide = |view| -> HashMap<_, _> {
            let classes = classification.all_classes().into_iter();
            let disclosed = classes.map(|class| {
                let disclosure = bundle.reveal(&standing.subject, &standing.target, &class, view, &situation);
                (class, disclosure)
            });
            disclosed.collect()
        };
        let by_class = decide(View::Plain);
        let differs = bundle.needs().reads_on(&ActionName::reveal(), "full_screen");
        let full_screen = differs.then(|| decide(View::FullScreen));
        let all = by_class.values().chain(full_screen.iter().flat_map(HashMap::values));
        Self {
            generation,
            lifetime: all
                .map(|disclosure| disclosure.cache)
                .fold(Lifetime::Forever, Lifetime::and),
            by_class,
            full_screen,
        }
    }

    /// What may be seen of each class, as recordings hold it: `clear`, `withheld` or the strategy that masks it.
    pub(crate) fn recorded(&self) -> BTreeMap<&str, String> {
        let word = |disclosure: &Disclosure| match &disclosure.reveal {
            Reveal::Clear => "clear".to_owned(),
            Reveal::Mask(strategy) => strategy.to_string(),
            Reveal::Withhold => "withheld".to_owned(),
        };
        self.by_class
            .iter()
            .map(|(class, disclosure)| (class.as_str(), word(disclosure)))
            .collect()
    }

    /// Whether they must be decided again: a rule that they come from reads the time.
    pub(crate) fn are_over(&self) -> bool {
        match self.lifetime {
            Lifetime::Forever => false,
            Lifetime::Until(end) => OffsetDateTime::now_utc() >= end,
            Lifetime::Never => true,
        }
    }

    /// Whether both say the same for as long.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.by_class == other.by_class && self.full_screen == other.full_screen && self.lifetime == other.lifetime
    }

    /// What may be seen of `class`. A class that no rule knows is withheld.
    #[must_use]
    pub fn of(&self, class: &str) -> &Reveal {
        shown(&self.by_class, class)
    }

    /// What looks for the values that content detectors know, and replaces those that may not be seen.
    #[must_use]
    pub fn scanner(&self, classification: &Classification, key: &MaskKey) -> Scanner {
        Scanner::new(&self.detectors(classification), key)
    }

    /// What [`Self::scanner`] looks for, and what replaces it.
    #[must_use]
    pub fn detectors(&self, classification: &Classification) -> Vec<(Detector, Strategy)> {
        detectors(&self.by_class, classification)
    }

    /// The same for what full-screen programs draw; `None` where it is not otherwise.
    #[must_use]
    pub fn full_screen_scanner(&self, classification: &Classification, key: &MaskKey) -> Option<Scanner> {
        Some(Scanner::new(&self.full_screen_detectors(classification)?, key))
    }

    /// What [`Self::full_screen_scanner`] looks for, and what replaces it.
    #[must_use]
    pub fn full_screen_detectors(&self, classification: &Classification) -> Option<Vec<(Detector, Strategy)>> {
        let by_class = self.full_screen.as_ref()?;
        let differs = |class: &SmolStr| shown(by_class, class) != self.of(class);
        let mut detected = classification.detectors().iter();
        detected
            .any(|detected| differs(&detected.class))
            .then(|| detectors(by_class, classification))
    }

    /// The rules that withhold `class`, if it is withheld.
    pub(crate) fn withheld(&self, class: &str) -> Option<Vec<String>> {
        match self.by_class.get(class) {
            None => Some(Vec::new()),
            Some(d) if d.reveal == Reveal::Withhold => Some(d.rules.iter().map(ToString::to_string).collect()),
            Some(_) => None,
        }
    }

    /// The rules that keep `class` from being seen in the clear, if it is not.
    pub(crate) fn not_clear(&self, class: &str) -> Option<Vec<String>> {
        match self.by_class.get(class) {
            None => Some(Vec::new()),
            Some(d) if d.reveal != Reveal::Clear => Some(d.rules.iter().map(ToString::to_string).collect()),
            Some(_) => None,
        }
    }

    /// Whether every class is shown in the clear.
    #[must_use]
    pub fn all_clear(&self) -> bool {
        self.by_class.values().all(|d| d.reveal == Reveal::Clear)
    }
}

fn shown<'r>(by_class: &'r HashMap<SmolStr, Disclosure>, class: &str) -> &'r Reveal {
    by_class.get(class).map_or(&Reveal::Withhold, |d| &d.reveal)
}

fn detectors(by_class: &HashMap<SmolStr, Disclosure>, classification: &Classification) -> Vec<(Detector, Strategy)> {
    classification
        .detectors()
        .iter()
        .filter_map(|detected| {
            let strategy = match shown(by_class, &detected.class) {
                Reveal::Clear => return None,
                Reveal::Mask(strategy) => strategy.parse().unwrap_or(Strategy::Redact),
                Reveal::Withhold => Strategy::Redact,
            };
            Some((detected.kind.parse().ok()?, strategy))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;
    use sallyport_policy::{Resource, Subject, SubjectKind};
    use time::Duration;
    use time::format_description::well_known::Rfc3339;

    /// What alice may see when contact data may be seen until `end`.
    fn until(end: OffsetDateTime) -> Reveals {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("rules")).unwrap();
        std::fs::write(
            dir.path().join("classify.toml"),
            "[[classes]]\nname = \"contact\"\n[[detectors]]\nkind = \"email\"\nclass = \"contact\"\n",
        )
        .unwrap();
        let end = end.replace_nanosecond(0).unwrap().format(&Rfc3339).unwrap();
        let rules = format!(
            "@id(\"see\") permit (principal, action == Action::\"reveal\", resource);\n\
             @id(\"after-hours\") @mask(\"redact\") forbid (principal, action == Action::\"reveal\", resource)\n\
             unless {{ context.now < datetime(\"{end}\") }};"
        );
        std::fs::write(dir.path().join("rules/rules.cedar"), rules).unwrap();
        let bundle = Bundle::load(dir.path(), &[]).unwrap();
        let standing = Standing {
            subject: Subject {
                kind: SubjectKind::User,
                id: "alice".to_owned(),
                groups: Vec::new(),
            },
            person: "alice".into(),
            target: Resource {
                name: "t".to_owned(),
                protocol: "bytes".to_owned(),
                environment: None,
                tags: Vec::new(),
            },
            database: "d".into(),
            task: None,
            source: None,
        };
        Reveals::decide(&bundle, 1, &standing, BTreeSet::new())
    }

    #[test]
    fn what_a_rule_says_of_the_time_is_asked_again_when_the_time_comes() {
        let now = OffsetDateTime::now_utc();
        let open = until(now + Duration::hours(1));
        assert_eq!(*open.of("contact"), Reveal::Clear);
        assert!(!open.are_over());
        let Lifetime::Until(end) = open.lifetime else {
            panic!("{:?}", open.lifetime)
        };
        assert!(end <= now + Duration::hours(1));
        let over = Reveals {
            lifetime: Lifetime::Until(now),
            ..open
        };
        assert!(over.are_over());
        assert!(matches!(until(now - Duration::hours(1)).of("contact"), Reveal::Mask(_)));
    }
}
