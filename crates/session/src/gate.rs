//! The gate: every command is decided, written down, and only then permitted.

mod again;
mod encoded;
mod room;
mod watched;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;
use sallyport_ledger::{Event, LedgerError, Recorder, Root, SessionHeader};
use sallyport_policy::{Bundle, Classification, Decision, Lifetime, Outcome, Resource, Situation, Subject, Watcher};
use serde_json::json;
use smol_str::SmolStr;
use time::OffsetDateTime;

use uuid::Uuid;

use self::encoded::Numbers;
use crate::command::{Command, Phase};
use crate::driver::Ending;
use crate::hold::{Asking, Hold, HoldOutcome, Reviewing};
use crate::impact::Impact;
use crate::meters::Meters;
use crate::permit::Permit;
use crate::record::Record;
use crate::refusal::{Reason, Refusal};
use crate::reveals::Reveals;

/// Decisions kept per session; beyond it the cache starts afresh.
const CACHED_DECISIONS: usize = 1024;

/// The gate's last word on a command.
#[derive(Debug)]
pub enum Ruling {
    /// It may be forwarded, once.
    Permitted {
        /// The proof.
        permit: Permit,
        /// What its result may show.
        reveals: Arc<Reveals>,
        /// How large the file may be, or become, that its acts give the `size` of, if rules set a bound.
        room: Option<u64>,
    },
    /// It may not.
    Refused {
        /// The number under which the refusal is recorded.
        seq: u64,
        /// Why.
        refusal: Refusal,
    },
}

/// What the gate says at once.
#[derive(Debug)]
pub enum Asked {
    /// Decided.
    Ruled(Ruling),
    /// People are asked. The driver polls the hold and brings its outcome back with [`Gate::resume`].
    Held(Box<Hold>),
}

/// Who is at the gate, and what they want to reach.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The principal as policy sees it.
    pub subject: Subject,
    /// The principal's same-person key (I5).
    pub person: SmolStr,
    /// The target as policy sees it.
    pub target: Resource,
    /// The database, namespace or the like within the target.
    pub database: SmolStr,
    /// The task that the session carries.
    pub task: Option<String>,
    /// Where the client is.
    pub source: Option<std::net::IpAddr>,
}

/// A decision, and what the recording holds of it.
#[derive(Debug)]
struct Decided {
    decision: Arc<Decision>,
    json: Vec<u8>,
}

struct Cached {
    generation: u64,
    until: Option<OffsetDateTime>,
    decided: Arc<Decided>,
}

/// One session's gate.
pub struct Gate {
    standing: Standing,
    policy: Arc<Watcher>,
    bundle: Arc<Bundle>,
    generation: u64,
    reveals: Arc<Reveals>,
    record: Record,
    reviewing: Arc<dyn Reviewing>,
    impact: Option<Arc<dyn Impact>>,
    meters: Meters,
    /// By the shape's number, which this process gave it.
    decisions: FxHashMap<u64, Cached>,
    session: Uuid,
    /// The digest of the policy that the recording's header names.
    opened_under: Box<str>,
    /// Its commit: another one may have the same digest.
    opened_at: Option<Box<str>>,
    seq: u64,
    /// What let the session begin, and the roles at the target that it was given with that.
    admission: Option<Command>,
    grants: BTreeSet<SmolStr>,
    /// The groups that approved commands of this session, by the commands' numbers.
    granted: FxHashMap<u64, Vec<String>>,
    /// The facts that the recording has.
    numbers: Numbers,
    /// The recording says what may be seen now.
    reveals_written: bool,
    /// What a recording holds beside a command's text, while it is written.
    detail: Vec<u8>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("standing", &self.standing)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

impl Gate {
    /// A gate for a session whose recording is open, with this header.
    pub fn new(
        standing: Standing,
        policy: Arc<Watcher>,
        recorder: Recorder,
        reviewing: Arc<dyn Reviewing>,
        header: &SessionHeader,
    ) -> Self {
        let generation = policy.generation();
        let bundle = policy.current();
        let reveals = Arc::new(Reveals::decide(&bundle, generation, &standing, BTreeSet::new()));
        let meters = Meters::of(&standing.target.name);
        Self {
            standing,
            policy,
            bundle,
            generation,
            reveals,
            record: Record::new(recorder),
            reviewing,
            impact: None,
            meters,
            decisions: FxHashMap::default(),
            session: header.id,
            opened_under: header.policy_digest.as_str().into(),
            opened_at: header.policy_commit.as_deref().map(Into::into),
            seq: 0,
            admission: None,
            grants: BTreeSet::new(),
            granted: FxHashMap::default(),
            numbers: Numbers::default(),
            reveals_written: false,
            detail: Vec::new(),
        }
    }

    /// From now on reviewers are told what held commands would do, as far as `impact` can say.
    pub fn estimate_with(&mut self, impact: Arc<dyn Impact>) {
        self.impact = Some(impact);
    }

    /// Who is at the gate.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The bundle in force. Call [`Gate::refresh`] first to have today's.
    #[must_use]
    pub fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }

    /// Whether a rule reads one of `facts`, or a column of the target is classified.
    pub(crate) fn needs_any(&self, facts: &[&str], classification: &Classification) -> bool {
        classification.has_columns() || self.bundle.needs().reads_any(facts)
    }

    /// The commands that follow are for this task, which the recording notes.
    pub(crate) fn work_on(&mut self, task: String) {
        self.remark(&json!({ "task": task }).to_string());
        self.standing.task = Some(task);
        self.decisions.clear();
    }

    /// Notes something that the gateway itself did for the session, in JSON.
    pub fn remark(&mut self, detail: &str) {
        let detail = detail.as_bytes();
        self.record.note(Event::Notice { detail });
    }

    /// Which bundle is in force, counted.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Takes up a policy that was loaded meanwhile (I8), and what the time makes of the one in force. True when the policy
    /// changed.
    pub fn refresh(&mut self) -> bool {
        let generation = self.policy.generation();
        if generation == self.generation {
            self.renew_reveals();
            return false;
        }
        self.generation = generation;
        self.bundle = self.policy.current();
        self.reveals = Arc::new(self.decide_reveals());
        self.reveals_written = false;
        self.decisions.clear();
        true
    }

    fn renew_reveals(&mut self) {
        if !self.reveals.are_over() {
            return;
        }
        let reveals = self.decide_reveals();
        if !reveals.same(&self.reveals) {
            self.reveals = Arc::new(reveals);
            self.reveals_written = false;
        }
    }

    /// Decides `command`, notes it with the decision, and permits, refuses or holds it. What was noted is written
    /// before anything leaves for the target ([`Written`](crate::Written)). The caller refreshed the gate before the command's
    /// facts were made, so that facts and decision belong to one bundle (I8).
    pub fn ask(&mut self, command: Command) -> Asked {
        self.seq += 1;
        let seq = self.seq;
        let decided = self.decide(&command);
        let decision = Arc::clone(&decided.decision);
        let held = decision.outcome == Outcome::Hold && command.phase == Phase::Run;
        self.detail.clear();
        command.write_detail(&mut self.detail);
        self.record.note(Event::Command {
            seq,
            text: &command.text,
            detail: &self.detail,
        });
        self.note_decision(seq, &command.shape, &decided.json);
        if let Err(refusal) = self.record.check() {
            return Asked::Ruled(Ruling::Refused { seq, refusal });
        }
        if command.phase == Phase::Run || decision.outcome == Outcome::Deny {
            self.meters.command(&decision);
        }
        if held {
            let impact = self.impact.clone();
            let asking = Asking::new(
                self.session,
                &self.standing,
                &self.bundle,
                &decision,
                &command,
                seq,
                impact,
                Arc::clone(self.audience()),
            );
            return Asked::Held(Box::new(Hold::new(
                seq,
                command,
                decision,
                asking,
                &*self.reviewing,
                self.meters.hold(),
            )));
        }
        self.grant(&command, &decision);
        Asked::Ruled(self.rule(seq, &command, &decision))
    }

    /// What a command would be decided now, as [`Gate::ask`] decides it, remembered or not. Nothing is asked and nothing is
    /// permitted by it.
    pub fn foresee(&mut self, command: &Command) -> Arc<Decision> {
        Arc::clone(&self.decide(command).decision)
    }

    /// The end of a hold: with an approval the command is decided again, under today's policy.
    pub fn resume(&mut self, hold: Hold, outcome: HoldOutcome) -> Ruling {
        let (seq, command, asking) = hold.into_parts();
        self.record.note_review(seq, &outcome);
        self.meters.hold_ended(matches!(outcome, HoldOutcome::Granted(_)));
        let grant = match outcome {
            HoldOutcome::Granted(grant) => grant,
            HoldOutcome::Refused(refusal) => {
                let refusal = self.record.check().err().unwrap_or(refusal);
                return Ruling::Refused { seq, refusal };
            }
        };
        self.refresh();
        if self.bundle.digest() != asking.policy_digest() {
            let refusal = Refusal::new(
                Reason::Denied,
                "the policy changed while the command waited for its approval",
            )
            .with_hint("run the command again: it is decided by today's policy");
            return Ruling::Refused { seq, refusal };
        }
        let situation = Situation {
            approved_by: grant.groups.iter().cloned().collect(),
            ..self.situation()
        };
        let acts = &command.shape.acts;
        let decision = self
            .bundle
            .decide(&self.standing.subject, &self.standing.target, acts, &situation);
        let json = self.encode(&command.shape, &decision, Some(&grant));
        self.note_decision(seq, &command.shape, &json);
        match self.record.check() {
            Ok(()) => {
                self.granted.insert(seq, grant.groups);
                self.grant(&command, &decision);
                self.rule(seq, &command, &decision)
            }
            Err(refusal) => Ruling::Refused { seq, refusal },
        }
    }

    /// The session's record.
    pub(crate) fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    /// What the principal may see of each class, today.
    #[must_use]
    pub fn reveals(&self) -> Arc<Reveals> {
        Arc::clone(&self.reveals)
    }

    /// The session is over: the recording is sealed. Its root is for the journal.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn close(self, ending: &Ending) -> Result<Root, LedgerError> {
        let detail = json!({ "ending": ending.to_string() }).to_string();
        self.record.close(detail.as_bytes())
    }

    fn decide(&mut self, command: &Command) -> Arc<Decided> {
        let id = command.shape.id;
        if let Some(cached) = self.decisions.get(&id)
            && cached.generation == self.generation
            && cached.until.is_none_or(|until| OffsetDateTime::now_utc() < until)
        {
            return Arc::clone(&cached.decided);
        }
        let decision = self.decide_anew(command);
        let until = match decision.cache {
            Lifetime::Forever => Some(None),
            Lifetime::Until(time) => Some(Some(time)),
            Lifetime::Never => None,
        };
        let json = self.encode(&command.shape, &decision, None);
        let decided = Arc::new(Decided {
            decision: Arc::new(decision),
            json,
        });
        if let Some(until) = until {
            if self.decisions.len() >= CACHED_DECISIONS {
                self.decisions.clear();
            }
            let cached = Cached {
                generation: self.generation,
                until,
                decided: Arc::clone(&decided),
            };
            self.decisions.insert(id, cached);
        }
        decided
    }

    fn decide_anew(&self, command: &Command) -> Decision {
        if command.shape.empty {
            // Nothing runs, so no rule can have a say; it is recorded like every command.
            return Decision::allowed(Vec::new(), Lifetime::Forever);
        }
        let (subject, target) = (&self.standing.subject, &self.standing.target);
        let since = Instant::now();
        let decision = self
            .bundle
            .decide(subject, target, &command.shape.acts, &self.situation());
        self.meters.decided(since);
        decision
    }

    fn rule(&self, seq: u64, command: &Command, decision: &Decision) -> Ruling {
        if decision.outcome == Outcome::Deny || (decision.outcome == Outcome::Hold && command.phase == Phase::Run) {
            return Ruling::Refused {
                seq,
                refusal: self.refusal(command, decision),
            };
        }
        for class in &command.shape.shows {
            if let Some(rules) = self.reveals.withheld(class) {
                let message = format!("the result carries `{class}` data, which you may not see");
                let mut refusal = Refusal::new(Reason::Withheld, message).with_hint("select other columns");
                refusal.rules = rules;
                return Ruling::Refused { seq, refusal };
            }
        }
        if let Some(refusal) = self.carried_in_the_clear(command) {
            return Ruling::Refused { seq, refusal };
        }
        Ruling::Permitted {
            permit: Permit::mint(seq),
            reveals: Arc::clone(&self.reveals),
            room: self.room(seq, command),
        }
    }

    /// The refusal of a command whose result cannot be masked, if a mask would be needed.
    fn carried_in_the_clear(&self, command: &Command) -> Option<Refusal> {
        let masked = command.shape.carries.iter();
        let (class, rules) = masked
            .filter_map(|class| Some((class, self.reveals.not_clear(class)?)))
            .next()?;
        let message =
            format!("the result carries `{class}` data, which you may not see in the clear, and cannot be masked");
        let hint = "who may have it all is who sees every class of this target unmasked";
        let mut refusal = Refusal::new(Reason::Withheld, message).with_hint(hint);
        refusal.rules = rules;
        Some(refusal)
    }

    fn refusal(&self, command: &Command, decision: &Decision) -> Refusal {
        let rules = decision.rules.iter().map(ToString::to_string).collect();
        if let Some(unparsed) = &command.shape.unparsed {
            let hint = "only what is understood completely can be permitted; check the statement's syntax";
            let position = unparsed.position;
            let message = unparsed.message.clone();
            let (hint, ends) = (Some(hint.to_owned()), decision.ends_session);
            return Refusal {
                reason: Reason::Unparsed,
                rules,
                message,
                hint,
                position,
                ends,
            };
        }
        let message = decision
            .message
            .clone()
            .unwrap_or_else(|| "no rule of the policy permits this command".to_owned());
        let hint = format!(
            "the policy in force is {}; a change to it is a change to its repository",
            self.bundle
                .commit()
                .unwrap_or_else(|| self.bundle.digest().get(..12).unwrap_or_default())
        );
        Refusal {
            reason: Reason::Denied,
            rules,
            message,
            hint: Some(hint),
            position: None,
            ends: decision.ends_session,
        }
    }
}
