//! How long decisions take.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use sallyport_policy::{Outcome, Situation};
use sallyport_session::{Command, Gate};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::gate;

/// How many rules there are.
const COUNTS: [usize; 4] = [10, 100, 500, 1000];
/// How many decisions a round makes of one command: as many as take about a millisecond.
const UNCACHED: usize = 50;
const CACHED: usize = 5000;

/// One number of rules.
struct Subject {
    rules: usize,
    load_ms: f64,
    gate: Gate,
    /// For each command: name, command, and what each round took of a decision, in nanoseconds.
    commands: Vec<Measured>,
    _dirs: (TempDir, TempDir),
}

struct Measured {
    name: &'static str,
    command: Command,
    first: f64,
    uncached: Vec<f64>,
    cached: Vec<f64>,
}

/// Measures in as many rounds, and prints a table.
///
/// # Errors
/// When a policy cannot be loaded, or does not decide as it should.
pub(crate) fn measure(rounds: usize) -> Result<()> {
    let mut subjects = COUNTS.into_iter().map(Subject::new).collect::<Result<Vec<_>>>()?;
    for _ in 0..rounds {
        for subject in &mut subjects {
            subject.round();
        }
    }
    print(&subjects, rounds);
    Ok(())
}

impl Subject {
    fn new(rules: usize) -> Result<Self> {
        let dirs = (tempfile::tempdir()?, tempfile::tempdir()?);
        let start = Instant::now();
        let policy = gate::policy(dirs.0.path(), rules)?;
        let load_ms = start.elapsed().as_secs_f64() * 1e3;
        let bundle = policy.current();
        let standing = gate::standing();
        let mut commands = Vec::new();
        for (name, command) in gate::commands() {
            let situation = Situation::at(OffsetDateTime::now_utc());
            let start = Instant::now();
            let acts = &command.shape.acts;
            let decision = bundle.decide(&standing.subject, &standing.target, acts, &situation);
            let first = start.elapsed().as_secs_f64() * 1e9;
            ensure!(
                decision.outcome == Outcome::Allow,
                "{name} under {rules} rules: {decision:?}"
            );
            commands.push(Measured {
                name,
                command,
                first,
                uncached: Vec::new(),
                cached: Vec::new(),
            });
        }
        let gate = gate::gate(dirs.1.path(), policy)?;
        Ok(Self {
            rules,
            load_ms,
            gate,
            commands,
            _dirs: dirs,
        })
    }

    fn round(&mut self) {
        let bundle = std::sync::Arc::clone(self.gate.bundle());
        let standing = self.gate.standing().clone();
        let situation = Situation {
            task: standing.task.clone(),
            ..Situation::at(OffsetDateTime::now_utc())
        };
        for measured in &mut self.commands {
            let acts = &measured.command.shape.acts;
            let uncached = each(UNCACHED, || {
                black_box(bundle.decide(&standing.subject, &standing.target, black_box(acts), &situation));
            });
            measured.uncached.push(uncached);
            let gate = &mut self.gate;
            let cached = each(CACHED, || {
                black_box(gate.foresee(black_box(&measured.command)));
            });
            measured.cached.push(cached);
        }
    }
}

/// What one of many takes, in nanoseconds.
fn each(count: usize, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        run();
    }
    start.elapsed().as_secs_f64() * 1e9 / count as f64
}

fn print(subjects: &[Subject], rounds: usize) {
    println!("Decisions on one core, medians of {rounds} rounds in turns\n");
    println!("| rules | command | bundle loaded, ms | first, µs | uncached, µs | a second | cached, ns | a second |");
    println!("|---|---|---|---|---|---|---|---|");
    for subject in subjects {
        for measured in &subject.commands {
            let (uncached, cached) = (median(&measured.uncached), median(&measured.cached));
            println!(
                "| {} | `{}` | {:.0} | {:.0} | {:.1} | {:.0} | {cached:.0} | {:.0} |",
                subject.rules,
                measured.name,
                subject.load_ms,
                measured.first / 1e3,
                uncached / 1e3,
                1e9 / uncached,
                1e9 / cached,
            );
        }
    }
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
