//! The cases of a bundle (`tests/*.toml`): who runs what, and what must come of it.
//!
//! A case has the raw command, not its facts, because what a command is understood as is a part of what the
//! case is about; whoever runs the cases brings the understanding.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Deserialize;
use smol_str::SmolStr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use toml::Spanned;

use crate::act::{Act, ActionName, Resource, Situation, Subject, SubjectKind, Value};
use crate::annotations;
use crate::bundle::Bundle;
use crate::classify::{Classification, ColumnName};
use crate::code::Code;
use crate::decision::{Approvals, Decision, Outcome, Reveal, RuleId, View};
use crate::judge::Meaning;
use crate::problem::Problem;

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it shows, one sentence.
    pub name: String,
    /// Who does it.
    pub who: Subject,
    /// The target's name.
    pub target: String,
    /// The raw command; `None` when the case is about connecting.
    pub command: Option<String>,
    /// How the command is sent, in the protocol's words; in the usual way when absent.
    pub form: Option<String>,
    /// The situation. Without `at` the time is the start of 2026-01-01 UTC.
    pub situation: Situation,
    replication: bool,
    expect: Outcome,
    rule: Option<SmolStr>,
    rules: Option<BTreeSet<SmolStr>>,
    hold: Option<Vec<Approvals>>,
    moderate: Option<BTreeSet<SmolStr>>,
    ends: Option<bool>,
    observed: Option<Outcome>,
    classes: BTreeMap<SmolStr, SmolStr>,
    masks: BTreeMap<SmolStr, SmolStr>,
    full_screen_masks: BTreeMap<SmolStr, SmolStr>,
    file: String,
    offset: std::ops::Range<usize>,
}

/// What came of running the cases.
#[derive(Debug, Clone, Default)]
pub struct CaseReport {
    /// How many came out as they should.
    pub passed: usize,
    /// Those that did not, with their place.
    pub failures: Vec<Problem>,
    /// How many cases each rule decided.
    pub decided: BTreeMap<RuleId, usize>,
}

impl CaseReport {
    /// Rules that decided no case.
    pub fn uncovered(&self) -> impl Iterator<Item = &RuleId> {
        self.decided
            .iter()
            .filter(|(_, cases)| **cases == 0)
            .map(|(rule, _)| rule)
    }

    /// How many in a hundred rules decided a case; all of them where there is no rule.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        let rules = self.decided.len();
        let covered = rules - self.uncovered().count();
        #[expect(clippy::cast_precision_loss, reason = "numbers of rules")]
        let percent = 100.0 * covered as f64 / rules.max(1) as f64;
        if rules == 0 { 100.0 } else { percent }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    case: Vec<Spanned<Raw>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    who: Who,
    target: String,
    task: Option<String>,
    source: Option<IpAddr>,
    at: Option<toml::value::Datetime>,
    #[serde(default)]
    approved_by: BTreeSet<String>,
    #[serde(default)]
    watched_by: BTreeSet<String>,
    command: Option<String>,
    form: Option<String>,
    #[serde(default)]
    connect: bool,
    #[serde(default)]
    replication: bool,
    expect: Outcome,
    rule: Option<SmolStr>,
    rules: Option<BTreeSet<SmolStr>>,
    /// Whom it waits for, as `@hold` says it.
    hold: Option<String>,
    /// Who must watch, as `@moderate` says it.
    moderate: Option<String>,
    /// Whether the session ends.
    ends: Option<bool>,
    /// What would come of it if what only observes were in force.
    observed: Option<Outcome>,
    /// Columns and detectors of the target, and a class that each has.
    #[serde(default)]
    classes: BTreeMap<SmolStr, SmolStr>,
    #[serde(default)]
    mask: BTreeMap<SmolStr, SmolStr>,
    #[serde(default)]
    mask_full_screen: BTreeMap<SmolStr, SmolStr>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Who {
    user: Option<String>,
    machine: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

impl Who {
    fn subject(self) -> Option<Subject> {
        let (kind, id) = match (self.user, self.machine) {
            (Some(id), None) => (SubjectKind::User, id),
            (None, Some(id)) => (SubjectKind::Machine, id),
            (Some(_), Some(_)) | (None, None) => return None,
        };
        Some(Subject {
            kind,
            id,
            groups: self.groups,
        })
    }
}

impl Bundle {
    /// Reads the cases.
    ///
    /// # Errors
    /// With everything that is wrong with them.
    pub fn cases(&self) -> Result<Vec<Case>, Vec<Problem>> {
        let mut cases = Vec::new();
        let mut problems = Vec::new();
        for (file, text) in self.files().filter(|(path, _)| path.starts_with("tests/")) {
            match toml::from_str::<File>(text) {
                Ok(parsed) => {
                    for raw in parsed.case {
                        let span = raw.span();
                        match case(file, span.clone(), raw.into_inner()) {
                            Ok(case) => cases.push(case),
                            Err(why) => problems.push(Problem::at(file, text, span, why)),
                        }
                    }
                }
                Err(error) => {
                    let span = error.span().unwrap_or(0..0);
                    problems.push(Problem::at(file, text, span, error.message()));
                }
            }
        }
        if problems.is_empty() { Ok(cases) } else { Err(problems) }
    }

    /// Runs cases. `target` finds a target by name, `understand` says what a command is.
    pub fn run(
        &self,
        cases: &[Case],
        target: impl Fn(&str) -> Option<Resource>,
        mut understand: impl FnMut(&Case, &Resource) -> Result<Meaning, String>,
    ) -> CaseReport {
        let mut report = CaseReport {
            decided: self.rule_ids().map(|rule| (rule, 0)).collect(),
            ..CaseReport::default()
        };
        for case in cases {
            let mut covered: BTreeSet<RuleId> = BTreeSet::new();
            let wrong = match target(&case.target) {
                Some(target) => self.run_case(case, &target, &mut understand, &mut covered),
                None => vec![format!("there is no target `{}`", case.target)],
            };
            if wrong.is_empty() {
                report.passed += 1;
            }
            let text = self.file(&case.file).unwrap_or("");
            report.failures.extend(wrong.into_iter().map(|why| {
                let message = format!("{}: {why}", case.name);
                Problem::at(&case.file, text, case.offset.clone(), message).coded(Code::CASE_FAILED)
            }));
            for rule in covered {
                *report.decided.entry(rule).or_default() += 1;
            }
        }
        report
    }

    fn run_case(
        &self,
        case: &Case,
        target: &Resource,
        understand: &mut impl FnMut(&Case, &Resource) -> Result<Meaning, String>,
        covered: &mut BTreeSet<RuleId>,
    ) -> Vec<String> {
        let meaning = match &case.command {
            Some(_) => understand(case, target),
            None => Ok(case.connecting()),
        };
        let decided = match meaning {
            Ok(meaning) => self.decide_case(case, target, &meaning),
            Err(why) => return vec![why],
        };
        covered.extend(decided.rules);
        decided.wrong
    }

    /// Decides a case whose command means this, and compares.
    pub(crate) fn decide_case(&self, case: &Case, target: &Resource, command: &Meaning) -> Decided {
        let decision = self.judge(&case.who, target, command, &case.situation);
        let mut rules: BTreeSet<RuleId> = decision.rules.iter().cloned().collect();
        rules.extend(
            decision
                .observed
                .iter()
                .flat_map(|observed| observed.rules.iter().cloned()),
        );
        let mut wrong = case.compare(&decision);
        let classification = self.classification(&case.target);
        wrong.extend(case.classes.iter().filter_map(|(what, class)| {
            let missing = !classes_of(&classification, what).contains(class);
            missing.then(|| format!("`{what}` is not `{class}`"))
        }));
        let plain = case.masks.iter().map(|wanted| (View::Plain, wanted));
        let drawn = case.full_screen_masks.iter().map(|wanted| (View::FullScreen, wanted));
        for (view, (class, wanted)) in plain.chain(drawn) {
            let disclosure = self.reveal(&case.who, target, class, view, &case.situation);
            rules.extend(disclosure.rules);
            let shown = match disclosure.reveal {
                Reveal::Clear => SmolStr::new_static("clear"),
                Reveal::Mask(strategy) => strategy,
                Reveal::Withhold => SmolStr::new_static("withheld"),
            };
            if shown != *wanted {
                let place = match view {
                    View::Plain => "",
                    View::FullScreen => " by full-screen programs",
                };
                wrong.push(format!(
                    "values of `{class}` are shown `{shown}`{place}, not `{wanted}`"
                ));
            }
        }
        Decided { decision, rules, wrong }
    }
}

/// What came of a case.
pub(crate) struct Decided {
    pub(crate) decision: Decision,
    /// The rules that made the decision, the masks that the case asks for, and what only observes.
    pub(crate) rules: BTreeSet<RuleId>,
    /// What is not as the case expects.
    pub(crate) wrong: Vec<String>,
}

/// The classes of a column (`schema.table.column`), or of what a detector finds.
fn classes_of(classification: &Classification, what: &str) -> BTreeSet<SmolStr> {
    if ColumnName::parse(what).is_some() {
        return classification.of_column(what);
    }
    let found = classification.detectors().iter().filter(|found| found.kind == what);
    found.map(|found| found.class.clone()).collect()
}

impl Case {
    pub(crate) fn connecting(&self) -> Meaning {
        let facts: [(SmolStr, Value); 4] = [
            (SmolStr::new_static("database"), self.target.as_str().into()),
            (SmolStr::new_static("user"), self.who.id.as_str().into()),
            (SmolStr::new_static("replication"), self.replication.into()),
            (SmolStr::new_static("tls"), true.into()),
        ];
        vec![Act::new(ActionName::connect(), facts)].into()
    }

    fn compare(&self, decision: &Decision) -> Vec<String> {
        let mut wrong = Vec::new();
        let rules: BTreeSet<SmolStr> = decision.rules.iter().map(|id| id.0.clone()).collect();
        let list = rules.iter().map(SmolStr::as_str).collect::<Vec<_>>().join(", ");
        if decision.outcome != self.expect {
            let said = decision.message.as_deref().unwrap_or(&list);
            wrong.push(format!("{} ({said}), not {}", decision.outcome, self.expect));
        }
        wrong.extend(self.compare_details(decision));
        if let Some(rule) = self.rule.as_ref().filter(|rule| !rules.contains(*rule)) {
            wrong.push(format!("decided by [{list}], not by `{rule}`"));
        }
        if let Some(wanted) = self.rules.as_ref().filter(|wanted| **wanted != rules) {
            let wanted = wanted.iter().map(SmolStr::as_str).collect::<Vec<_>>().join(", ");
            wrong.push(format!("decided by [{list}], not by [{wanted}]"));
        }
        wrong
    }
}

impl Case {
    /// What the case says beside the outcome.
    fn compare_details(&self, decision: &Decision) -> Vec<String> {
        let mut wrong = Vec::new();
        let hold = decision.hold.as_ref();
        let groups = hold.map_or(&[][..], |hold| &hold.groups);
        if let Some(wanted) = self.hold.as_ref().filter(|wanted| *wanted != groups) {
            wrong.push(format!(
                "waits for approval by [{}], not by [{}]",
                people(groups),
                people(wanted)
            ));
        }
        let watch = hold.map(|hold| hold.watch.clone()).unwrap_or_default();
        if let Some(wanted) = self.moderate.as_ref().filter(|wanted| **wanted != watch) {
            wrong.push(format!("waits for {watch:?} to watch, not for {wanted:?}"));
        }
        if let Some(wanted) = self.ends.filter(|wanted| *wanted != decision.ends_session) {
            wrong.push(format!("the session {}", if wanted { "goes on" } else { "ends" }));
        }
        let observed = decision.observed.as_ref().map(|observed| observed.outcome);
        if let Some(wanted) = self.observed.filter(|wanted| Some(*wanted) != observed) {
            let said = observed.map_or_else(|| "nothing else".to_owned(), |outcome| format!("`{outcome}`"));
            wrong.push(format!("would have been {said} if all were enforced, not `{wanted}`"));
        }
        wrong
    }
}

fn people(groups: &[Approvals]) -> String {
    let each = groups.iter().map(|a| format!("{}:{}", a.group, a.count));
    each.collect::<Vec<_>>().join(", ")
}

fn case(file: &str, offset: std::ops::Range<usize>, raw: Raw) -> Result<Case, String> {
    if (raw.command.is_some() || raw.form.is_some()) == raw.connect {
        return Err("a case has either a `command` or `connect = true`".to_owned());
    }
    if raw.replication && !raw.connect {
        return Err("`replication` is about connecting".to_owned());
    }
    let now = match raw.at {
        Some(at) => OffsetDateTime::parse(&at.to_string(), &Rfc3339)
            .map_err(|_| "`at` is a time with an offset: 2026-11-21T09:00:00Z".to_owned())?,
        None => time::macros::datetime!(2026-01-01 00:00 UTC),
    };
    let (task, source) = (raw.task, raw.source);
    let (approved_by, watched_by) = (raw.approved_by, raw.watched_by);
    Ok(Case {
        name: raw.name,
        who: raw.who.subject().ok_or("`who` is either a `user` or a `machine`")?,
        target: raw.target,
        command: raw.command.or_else(|| raw.form.as_ref().map(|_| String::new())),
        form: raw.form,
        situation: Situation {
            task,
            now,
            source,
            approved_by,
            watched_by,
        },
        replication: raw.replication,
        expect: raw.expect,
        rule: raw.rule,
        rules: raw.rules,
        hold: raw.hold.map(|text| annotations::approvals(&text, None)).transpose()?,
        moderate: raw.moderate.map(|text| annotations::watchers(&text)).transpose()?,
        ends: raw.ends,
        observed: raw.observed,
        classes: raw.classes,
        masks: raw.mask,
        full_screen_masks: raw.mask_full_screen,
        file: file.to_owned(),
        offset,
    })
}
