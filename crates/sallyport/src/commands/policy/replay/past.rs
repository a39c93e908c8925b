//! Commands of one session, decided again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use sallyport_api::ports::PastSession;
use sallyport_policy::{
    Decision, Disclosure, Lifetime, Meaning, Outcome, Resource, Reveal, RuleId, Situation, Subject, SubjectKind, View,
    acts_from_json,
};
use sallyport_session::{Reader, Reclassified};
use serde::Deserialize;
use smol_str::SmolStr;
use time::{Duration, OffsetDateTime};

use super::super::workbench::Workbench;
use super::change::Change;

/// A line of a history about a command.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) seq: u64,
    at_micros: u64,
    #[serde(default)]
    outside: bool,
    #[serde(default)]
    prepare: bool,
    #[serde(default)]
    cut: bool,
    pub(super) text: String,
    decision: Decided,
}

/// A decision as a recording has it.
#[derive(Debug, Deserialize)]
struct Decided {
    outcome: Outcome,
    #[serde(default)]
    rules: Vec<RuleId>,
    #[serde(rename = "as")]
    number: Option<u32>,
    #[serde(default)]
    approved_by: BTreeSet<String>,
    #[serde(default)]
    watched_by: BTreeSet<String>,
    facts: Option<serde_json::Value>,
    #[serde(default)]
    shows: Vec<SmolStr>,
    #[serde(default)]
    carries: Vec<SmolStr>,
    #[serde(default)]
    empty: bool,
    reveals: Option<BTreeMap<SmolStr, SmolStr>>,
}

/// What a recording has under one number, under today's classification.
struct Known {
    meaning: Meaning,
    /// The classes that its result showed then, and those that it carried where none can be masked.
    shown: Vec<SmolStr>,
    carried: Vec<SmolStr>,
    /// It is understood otherwise today.
    differs: bool,
    decided: Option<Decision>,
}

/// What became of a command.
pub(super) enum Came {
    /// It is not of the period, or is decided when it runs.
    Nothing,
    /// The recording does not say what was judged: it is of a gateway that did not write it.
    WithoutFacts,
    /// It was decided again.
    Decided {
        /// What is otherwise than it was.
        changes: Vec<Change>,
        /// It is understood otherwise today than it was.
        differs: bool,
        /// It was decided before, and is again with an approval.
        again: bool,
    },
}

/// A session whose commands are decided again.
pub(super) struct Session<'w> {
    bench: &'w Workbench,
    pub(super) past: PastSession,
    who: Subject,
    /// Nothing when the bundle has no such target.
    target: Option<Resource>,
    reader: Option<Rc<dyn Reader>>,
    source: Option<IpAddr>,
    task: Option<String>,
    known: HashMap<u32, Known>,
    /// What was seen of each class then.
    reveals: BTreeMap<SmolStr, Reveal>,
    disclosed: HashMap<SmolStr, Disclosure>,
    /// The commands of which something was told.
    told: HashSet<u64>,
    /// Something came back, then and now.
    shows: bool,
    /// Texts are understood once more.
    rereads: bool,
}

impl<'w> Session<'w> {
    pub(super) fn new(bench: &'w Workbench, past: PastSession, reread: bool) -> Self {
        let kind = if past.kind == "machine" {
            SubjectKind::Machine
        } else {
            SubjectKind::User
        };
        let source = past.source.as_deref().and_then(|source| {
            let socket = source.parse::<SocketAddr>().map(|socket| socket.ip());
            socket.or_else(|_| source.parse()).ok()
        });
        Self {
            bench,
            who: Subject {
                kind,
                id: past.principal.clone(),
                groups: past.groups.clone(),
            },
            target: bench.resource(&past.target),
            reader: bench.reader(&past.target).ok(),
            source,
            task: past.task.clone(),
            known: HashMap::new(),
            reveals: BTreeMap::new(),
            disclosed: HashMap::new(),
            told: HashSet::new(),
            shows: false,
            rereads: reread || past.version != env!("CARGO_PKG_VERSION"),
            past,
        }
    }

    /// From here on the session is for this task.
    pub(super) fn work_on(&mut self, task: String) {
        self.task = Some(task);
        self.disclosed.clear();
        for known in self.known.values_mut() {
            known.decided = None;
        }
    }

    /// Decides a command again.
    pub(super) fn command(&mut self, line: &Line) -> Came {
        let decided = &line.decision;
        if let Some(reveals) = &decided.reveals {
            self.reveals = reveals
                .iter()
                .map(|(class, how)| (class.clone(), reveal(how)))
                .collect();
        }
        let Some(number) = decided.number else {
            return Came::WithoutFacts;
        };
        if let Some(facts) = &decided.facts {
            let Some(known) = self.known(line, facts) else {
                return Came::WithoutFacts;
            };
            self.known.insert(number, known);
        }
        // What was only prepared is decided again when it runs, but for what was refused.
        if line.outside || (line.prepare && decided.outcome != Outcome::Deny) {
            return Came::Nothing;
        }
        let situation = self.situation(line);
        let Some(known) = self.known.get(&number) else {
            return Came::WithoutFacts;
        };
        let differs = known.differs;
        let after = match &self.target {
            None => Decision::refused("there is no such target", Lifetime::Never),
            Some(target) => self.decide(number, target, &situation),
        };
        // What was decided again once it was approved is told once.
        let again = !decided.approved_by.is_empty();
        if again && self.told.contains(&line.seq) {
            return Came::Nothing;
        }
        let before = self.before(decided, known);
        let mut changes = Vec::new();
        changes.extend(Change::of_outcome(before, &decided.rules, &after));
        if !changes.is_empty() {
            self.told.insert(line.seq);
        }
        if after.outcome != Outcome::Deny && before != Outcome::Deny && !again {
            changes.extend(self.reveal_changes(number, &situation));
            // Nothing comes back of being let in.
            self.shows |= line.seq > 1;
        }
        if let Some(known) = self.known.get_mut(&number) {
            let plain = situation.approved_by.is_empty() && situation.watched_by.is_empty();
            known.decided = Some(after).filter(|after| plain && after.cache != Lifetime::Never);
        }
        Came::Decided {
            changes,
            differs,
            again,
        }
    }

    /// What became of a command: what its result would have shown or carried was not in its decision.
    fn before(&self, decided: &Decided, known: &Known) -> Outcome {
        let withheld = |class: &SmolStr| self.reveals.get(class) == Some(&Reveal::Withhold);
        let masked = |class: &SmolStr| self.reveals.get(class).is_some_and(|reveal| *reveal != Reveal::Clear);
        let refused = known.shown.iter().any(withheld) || known.carried.iter().any(masked);
        if decided.outcome == Outcome::Allow && refused {
            Outcome::Deny
        } else {
            decided.outcome
        }
    }

    fn decide(&self, number: u32, target: &Resource, situation: &Situation) -> Decision {
        let Some(known) = self.known.get(&number) else {
            return Decision::refused("nothing is known of it", Lifetime::Never);
        };
        let plain = situation.approved_by.is_empty() && situation.watched_by.is_empty();
        let before = known
            .decided
            .as_ref()
            .filter(|decision| plain && decision.cache.covers(situation.now));
        // A history goes forwards within a session, so what held before a moment does not come back.
        before
            .cloned()
            .unwrap_or_else(|| self.bench.bundle.judge(&self.who, target, &known.meaning, situation))
    }

    fn known(&self, line: &Line, facts: &serde_json::Value) -> Option<Known> {
        let acts = acts_from_json(facts)?;
        let (mut meaning, mut differs) = (
            Meaning {
                acts,
                shows: line.decision.shows.clone(),
                carries: line.decision.carries.clone(),
                empty: line.decision.empty,
                unparsed: None,
            },
            false,
        );
        if let Some(reader) = &self.reader {
            let today = reader.reclassify(Reclassified {
                acts: meaning.acts,
                shows: meaning.shows,
                carries: meaning.carries,
            });
            (meaning.acts, meaning.shows, meaning.carries) = (today.acts, today.shows, today.carries);
            if self.rereads && !line.cut {
                differs = reader.reads_as(&line.text, &meaning.acts) == Some(false);
            }
        }
        Some(Known {
            meaning,
            shown: line.decision.shows.clone(),
            carried: line.decision.carries.clone(),
            differs,
            decided: None,
        })
    }

    fn situation(&self, line: &Line) -> Situation {
        let after = Duration::microseconds(i64::try_from(line.at_micros).unwrap_or(i64::MAX));
        let now = self.past.started.checked_add(after);
        Situation {
            task: self.task.clone(),
            source: self.source,
            approved_by: line.decision.approved_by.clone(),
            watched_by: line.decision.watched_by.clone(),
            ..Situation::at(now.unwrap_or(OffsetDateTime::UNIX_EPOCH))
        }
    }

    /// What the result would show otherwise than it did.
    fn reveal_changes(&mut self, number: u32, situation: &Situation) -> Vec<Change> {
        let Some(known) = self.known.get(&number) else {
            return Vec::new();
        };
        let (then, today): (BTreeSet<_>, BTreeSet<_>) = (
            known.shown.iter().cloned().collect(),
            known.meaning.shows.iter().cloned().collect(),
        );
        let mut changes = Vec::new();
        for class in then.intersection(&today) {
            let (before, after) = (self.seen(class), self.disclosed(class, situation));
            changes.extend(Change::of_reveal(class, &before, &after));
        }
        // A column that is in another class now: which column had which is not recorded, so the strictest count.
        let (gone, new): (Vec<_>, Vec<_>) = (then.difference(&today).collect(), today.difference(&then).collect());
        let names: Vec<&str> = if new.is_empty() { gone.iter() } else { new.iter() }
            .map(|c| c.as_str())
            .collect();
        let before = gone
            .iter()
            .map(|class| self.seen(class))
            .fold(Reveal::Clear, Reveal::stricter);
        let after = new
            .iter()
            .map(|class| self.disclosed(class, situation))
            .reduce(Disclosure::and);
        let after = after.unwrap_or_else(|| Disclosure {
            reveal: Reveal::Clear,
            rules: Vec::new(),
            cache: Lifetime::Never,
        });
        changes.extend(Change::of_reveal(&names.join(", "), &before, &after));
        changes
    }

    /// How values of a class were shown.
    fn seen(&self, class: &str) -> Reveal {
        self.reveals.get(class).cloned().unwrap_or(Reveal::Clear)
    }

    /// How values of a class would be shown.
    fn disclosed(&mut self, class: &SmolStr, situation: &Situation) -> Disclosure {
        if let Some(known) = self
            .disclosed
            .get(class)
            .filter(|known| known.cache.covers(situation.now))
        {
            return known.clone();
        }
        let Some(target) = &self.target else {
            return Disclosure {
                reveal: Reveal::Withhold,
                rules: Vec::new(),
                cache: Lifetime::Never,
            };
        };
        let made = self
            .bench
            .bundle
            .reveal(&self.who, target, class, View::Plain, situation);
        self.disclosed.insert(class.clone(), made.clone());
        made
    }

    /// How values that detectors find would be shown otherwise than they were: once for a session.
    pub(super) fn found_changes(&mut self) -> Vec<Change> {
        let Some(target) = self.target.as_ref().filter(|_| self.shows) else {
            return Vec::new();
        };
        let situation = Situation {
            task: self.task.clone(),
            source: self.source,
            ..Situation::at(self.past.started)
        };
        let classification = self.bench.bundle.classification(&self.past.target);
        let classes: BTreeSet<&SmolStr> = classification
            .detectors()
            .iter()
            .map(|detected| &detected.class)
            .collect();
        let change = |class: &SmolStr| {
            let before = self.reveals.get(class)?;
            let after = self
                .bench
                .bundle
                .reveal(&self.who, target, class, View::Plain, &situation);
            Change::of_reveal(class, before, &after)
        };
        classes
            .into_iter()
            .filter_map(change)
            .map(Change::where_found)
            .collect()
    }
}

/// How values of a class were shown, as recordings have it.
fn reveal(how: &SmolStr) -> Reveal {
    match how.as_str() {
        "clear" => Reveal::Clear,
        "withheld" => Reveal::Withhold,
        _ => Reveal::Mask(how.clone()),
    }
}
