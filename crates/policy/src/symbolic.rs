//! Proofs by Cedar's symbolic compiler and the solver cvc5, where the search alone can only say that it found nothing.
//!
//! What is proven is about Cedar's authorizer, over every request of an environment (a type of principal, an action and
//! a type of resource) and every set of entities that the schema admits, which is more than can happen here. Ours
//! differs from it in one way: a rule that cannot be evaluated refuses here and is skipped there. So we allow no more
//! than Cedar does, and where we must not allow less, it is proven as well that no rule fails to be evaluated. Approvals
//! and watchers are facts like others, so "never allowed" is proven for every state of them. How a value is masked is an
//! annotation, of which the solver knows nothing: of values, only that they are shown in the clear is decided.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cedar_policy::{EntityUid, PolicySet, RequestEnv};
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet};
use serde::Serialize;

use crate::bundle::Bundle;
use crate::schema::name_of;

/// The solver's program.
#[derive(Debug, Clone)]
pub struct Solver {
    program: PathBuf,
}

/// What could be proven.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Certainty {
    /// For how many environments it was proven.
    pub proven: usize,
    /// Why it was not for others, each with the environment.
    pub open: Vec<String>,
}

impl Certainty {
    /// Whether all of it is proven, and there was something to prove.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.open.is_empty() && self.proven > 0
    }
}

impl Solver {
    /// The program that the variable `CVC5` names, or `cvc5` on the path.
    #[must_use]
    pub fn find() -> Option<Self> {
        let named = std::env::var_os("CVC5").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places = named
            .into_iter()
            .chain(std::env::split_paths(&path).map(|folder| folder.join("cvc5")));
        places.find(|place| place.is_file()).map(|program| Self { program })
    }

    /// This program.
    #[must_use]
    pub fn at(program: &Path) -> Self {
        Self {
            program: program.to_owned(),
        }
    }

    fn start(&self, time: Duration) -> Result<CedarSymCompiler<LocalSolver>, String> {
        let mut command = tokio::process::Command::new(&self.program);
        let limit = format!("--tlimit-per={}", time.as_millis());
        command.args(["--lang", "smt", &limit]).kill_on_drop(true);
        let solver = LocalSolver::from_command(&mut command).map_err(|error| error.to_string())?;
        CedarSymCompiler::new(solver).map_err(|error| error.to_string())
    }
}

/// What is asked of two sets of rules.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question {
    /// What the first allows, the second allows too, and its rules can always be evaluated.
    Implies,
    /// Nothing is allowed by both.
    Disjoint,
}

/// Asks a question of two bundles for some actions.
pub(crate) fn ask(
    question: Question,
    [first, second]: [&Bundle; 2],
    actions: &[EntityUid],
    solver: &Solver,
    time: Duration,
) -> Certainty {
    let work = async {
        let end = Instant::now() + time;
        let mut certainty = Certainty::default();
        let watched = [first, second]
            .into_iter()
            .find_map(|bundle| bundle.observing().targets.into_iter().next());
        if let Some(target) = watched {
            // Cedar knows nothing of it: there, more is allowed than the rules say.
            certainty
                .open
                .push(format!("rules only observe on the target `{target}`"));
            return certainty;
        }
        for action in actions {
            for environment in first.rules().schema.request_envs().filter(|env| env.action() == action) {
                let left = end.saturating_duration_since(Instant::now());
                match limited(left, decide(question, [first, second], &environment, solver, left)).await {
                    Ok(()) => certainty.proven += 1,
                    Err(why) => {
                        let who = environment.principal();
                        certainty.open.push(format!("{who}, {}: {why}", name_of(action)));
                    }
                }
            }
        }
        certainty
    };
    alone(work).unwrap_or_else(|why| Certainty {
        proven: 0,
        open: vec![why],
    })
}

/// Runs it on a thread of its own, whatever the caller's thread does.
fn alone<T: Send>(work: impl Future<Output = T> + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime
                .map(|runtime| runtime.block_on(work))
                .map_err(|error| error.to_string())
        });
        thread
            .join()
            .unwrap_or_else(|_| Err("the proof ended with a fault".to_owned()))
    })
}

async fn limited(time: Duration, work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let late = || "time ran out".to_owned();
    tokio::time::timeout(time, work).await.map_err(|_| late())?
}

async fn decide(
    question: Question,
    [first, second]: [&Bundle; 2],
    environment: &RequestEnv,
    solver: &Solver,
    time: Duration,
) -> Result<(), String> {
    let schema = &first.rules().schema;
    let compiled = |bundle: &Bundle| {
        CompiledPolicySet::compile(&rules_of(bundle, environment)?, environment, schema).map_err(|e| e.to_string())
    };
    let (one, other) = (compiled(first)?, compiled(second)?);
    let mut compiler = solver.start(time)?;
    let holds = match question {
        Question::Disjoint => compiler.check_disjoint_opt(&one, &other).await,
        Question::Implies => compiler.check_implies_opt(&one, &other).await,
    };
    if !holds.map_err(|error| error.to_string())? {
        return Err("it does not hold for every request and all entities that the schema admits".to_owned());
    }
    if matches!(question, Question::Implies) {
        for policy in rules_of(second, environment)?.policies() {
            let rule = CompiledPolicy::compile(policy, environment, schema).map_err(|error| error.to_string())?;
            if !compiler
                .check_never_errors_opt(&rule)
                .await
                .map_err(|error| error.to_string())?
            {
                return Err(format!("the rule `{}` cannot always be evaluated", policy.id()));
            }
        }
    }
    Ok(())
}

/// The rules of a bundle that can apply.
fn rules_of(bundle: &Bundle, environment: &RequestEnv) -> Result<PolicySet, String> {
    let rules = bundle.rules();
    let bucket = rules
        .bucket_of(&name_of(environment.action()))
        .and_then(|at| rules.buckets.get(at));
    let listed = bucket
        .into_iter()
        .flat_map(|bucket| &bucket.rules)
        .filter_map(|at| rules.rules.get(*at))
        .filter(|rule| !rule.annotations.observes);
    PolicySet::from_policies(listed.map(|rule| rule.policy.clone())).map_err(|error| error.to_string())
}
