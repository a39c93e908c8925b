//! The gate: every command is decided, written down, and only then permitted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use sallyport_ledger::{Event, LedgerError, Receipt, Recorder, Root};
use sallyport_policy::{Bundle, Classification, Decision, Lifetime, Outcome, Resource, Situation, Subject, Watcher};
use serde_json::json;
use smol_str::SmolStr;
use time::OffsetDateTime;

use uuid::Uuid;

use crate::command::{Command, Phase};
use crate::driver::Ending;
use crate::hold::{Asking, Hold, HoldOutcome, Reviewing};
use crate::impact::Impact;
use crate::meters::Meters;
use crate::permit::Permit;
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

struct Cached {
    generation: u64,
    until: Option<OffsetDateTime>,
    decision: Arc<Decision>,
}

/// One session's gate.
pub struct Gate {
    standing: Standing,
    policy: Arc<Watcher>,
    bundle: Arc<Bundle>,
    generation: u64,
    reveals: Arc<Reveals>,
    recorder: Recorder,
    reviewing: Arc<dyn Reviewing>,
    impact: Option<Arc<dyn Impact>>,
    meters: Meters,
    /// Bytes of events that were noted since the last flush.
    noted: u64,
    decisions: HashMap<u64, Cached>,
    session: Uuid,
    seq: u64,
    dirty: bool,
    /// An event was lost: nothing more is permitted.
    broken: bool,
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
    /// A gate for a session whose recording is open.
    pub fn new(
        standing: Standing,
        policy: Arc<Watcher>,
        recorder: Recorder,
        reviewing: Arc<dyn Reviewing>,
        session: Uuid,
    ) -> Self {
        let generation = policy.generation();
        let bundle = policy.current();
        let reveals = Arc::new(Reveals::decide(&bundle, generation, &standing));
        let meters = Meters::of(&standing.target.name);
        Self {
            standing,
            policy,
            bundle,
            generation,
            reveals,
            recorder,
            reviewing,
            impact: None,
            meters,
            noted: 0,
            decisions: HashMap::new(),
            session,
            seq: 0,
            dirty: false,
            broken: false,
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

    /// Which bundle is in force, counted.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Takes up a policy that was loaded meanwhile (I8). True when it changed.
    pub fn refresh(&mut self) -> bool {
        let generation = self.policy.generation();
        if generation == self.generation {
            return false;
        }
        self.generation = generation;
        self.bundle = self.policy.current();
        self.reveals = Arc::new(Reveals::decide(&self.bundle, generation, &self.standing));
        self.decisions.clear();
        true
    }

    /// Decides `command`, writes it down with the decision, and permits, refuses or holds it. The caller refreshed the
    /// gate before the command's facts were made, so that facts and decision belong to one bundle (I8).
    pub fn ask(&mut self, command: Command) -> Asked {
        self.seq += 1;
        let seq = self.seq;
        let decision = self.decide(&command);
        let held = decision.outcome == Outcome::Hold && command.phase == Phase::Run;
        if let Err(refusal) = self.write(seq, &command, &decision) {
            return Asked::Ruled(Ruling::Refused { seq, refusal });
        }
        if command.phase == Phase::Run || decision.outcome == Outcome::Deny {
            self.meters.command(decision.outcome);
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
        Asked::Ruled(self.rule(seq, &command, &decision))
    }

    /// The end of a hold: with an approval the command is decided again, under today's policy.
    pub fn resume(&mut self, hold: Hold, outcome: HoldOutcome) -> Ruling {
        let (seq, command, asking) = hold.into_parts();
        self.note(Event::Review {
            seq,
            detail: outcome.to_json().to_string().as_bytes(),
        });
        self.meters.hold_ended(matches!(outcome, HoldOutcome::Granted(_)));
        let grant = match outcome {
            HoldOutcome::Granted(grant) => grant,
            HoldOutcome::Refused(refusal) => {
                let refusal = self.flush().err().unwrap_or(refusal);
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
        if let Err(refusal) = self.write_decision(seq, &decision, Some(&grant.request)) {
            return Ruling::Refused { seq, refusal };
        }
        self.rule(seq, &command, &decision)
    }

    /// Appends an event to the recording without flushing it.
    pub(crate) fn note(&mut self, event: Event<'_>) {
        self.noted += event_bytes(&event);
        if let Err(error) = self.recorder.append(event) {
            tracing::error!(%error, "an event could not be recorded");
            self.meters.unrecorded();
            self.broken = true;
        }
        self.dirty = true;
    }

    /// Hands what was noted to the operating system.
    pub(crate) fn flush(&mut self) -> Result<(), Refusal> {
        if self.broken {
            self.dirty = false;
            return Err(cannot_record());
        }
        if !self.dirty {
            return Ok(());
        }
        self.dirty = false;
        match self.recorder.flush().and_then(Receipt::wait) {
            Ok(()) => {
                self.meters.recorded(std::mem::take(&mut self.noted));
                Ok(())
            }
            Err(error) => {
                self.meters.unrecorded();
                self.broken = true;
                Err(unrecordable(&error))
            }
        }
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Whether an event was lost.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
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
    pub fn close(mut self, ending: &Ending) -> Result<Root, LedgerError> {
        let detail = json!({ "ending": ending.to_string() }).to_string();
        self.recorder.append(Event::Closed {
            detail: detail.as_bytes(),
        })?;
        self.recorder.seal().map(|(root, _)| root)
    }

    fn decide(&mut self, command: &Command) -> Arc<Decision> {
        if command.shape.empty {
            // Nothing runs, so no rule can have a say; it is recorded like every command.
            return Arc::new(Decision {
                outcome: Outcome::Allow,
                rules: Vec::new(),
                message: None,
                hold: None,
                ends_session: false,
                cache: Lifetime::Forever,
            });
        }
        let id = command.shape.id;
        if let Some(cached) = self.decisions.get(&id)
            && cached.generation == self.generation
            && cached.until.is_none_or(|until| OffsetDateTime::now_utc() < until)
        {
            return Arc::clone(&cached.decision);
        }
        let (subject, target) = (&self.standing.subject, &self.standing.target);
        let since = Instant::now();
        let decision = Arc::new(
            self.bundle
                .decide(subject, target, &command.shape.acts, &self.situation()),
        );
        self.meters.decided(since);
        let until = match decision.cache {
            Lifetime::Forever => None,
            Lifetime::Until(time) => Some(time),
            Lifetime::Never => return decision,
        };
        if self.decisions.len() >= CACHED_DECISIONS {
            self.decisions.clear();
        }
        self.decisions.insert(
            id,
            Cached {
                generation: self.generation,
                until,
                decision: Arc::clone(&decision),
            },
        );
        decision
    }

    fn situation(&self) -> Situation {
        Situation {
            task: self.standing.task.clone(),
            now: OffsetDateTime::now_utc(),
            source: self.standing.source,
            approved_by: std::collections::BTreeSet::new(),
        }
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
        Ruling::Permitted {
            permit: Permit::mint(seq),
            reveals: Arc::clone(&self.reveals),
        }
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

    fn write(&mut self, seq: u64, command: &Command, decision: &Decision) -> Result<(), Refusal> {
        let detail = command.detail();
        self.note(Event::Command {
            seq,
            text: &command.text,
            detail: detail.as_bytes(),
        });
        self.write_decision(seq, decision, None)
    }

    fn write_decision(&mut self, seq: u64, decision: &Decision, request: Option<&str>) -> Result<(), Refusal> {
        let json = json!({
            "outcome": decision.outcome,
            "rules": decision.rules,
            "message": decision.message,
            "ends_session": decision.ends_session,
            "policy": self.bundle.digest(),
            "commit": self.bundle.commit(),
            "request": request,
        });
        self.note(Event::Decision {
            seq,
            detail: json.to_string().as_bytes(),
        });
        self.flush()
    }
}

/// The bytes that an event brings, without what the recording adds.
fn event_bytes(event: &Event<'_>) -> u64 {
    let len = match event {
        Event::Command { text, detail, .. } => text.len() + detail.len(),
        Event::Decision { detail, .. }
        | Event::Hold { detail, .. }
        | Event::Review { detail, .. }
        | Event::Notice { detail }
        | Event::Ended { detail, .. }
        | Event::Closed { detail } => detail.len(),
        Event::Input { bytes, .. } | Event::Response { bytes, .. } => bytes.len(),
    };
    u64::try_from(len).unwrap_or(u64::MAX)
}

fn unrecordable(error: &LedgerError) -> Refusal {
    tracing::error!(%error, "the recording cannot be written");
    cannot_record()
}

fn cannot_record() -> Refusal {
    Refusal::new(
        Reason::Unavailable,
        "the gateway cannot record this session, so it does not go on",
    )
    .with_hint("tell whoever operates the gateway: its log says why the recording failed")
}
