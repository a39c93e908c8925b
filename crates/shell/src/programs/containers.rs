//! Container engines. What runs in a container may see the host's files under any name, so only what looks, and
//! `exec`, is followed.

use super::options::{Options, Order, parse};
use crate::eval::state::State;
use crate::eval::{Context, Evaluator};
use crate::facts::{Effect, Opaque, Run};
use crate::paths::field::Field;

const LOOKS: [&str; 14] = [
    "ps", "images", "logs", "inspect", "version", "info", "stats", "top", "port", "diff", "history", "search",
    "events", "pods",
];
const GROUPS: [&str; 6] = ["container", "image", "volume", "network", "system", "node"];
/// What `compose` only looks at.
const COMPOSED: [&str; 8] = ["ps", "logs", "images", "top", "version", "ls", "port", "events"];
/// What `compose` does with containers that there are.
const HANDLES: [&str; 7] = ["start", "stop", "restart", "pause", "unpause", "pull", "kill"];
const EXEC: &str = "-i,--interactive -t,--tty -d,--detach -e,--env=O --env-file=O -u,--user=_ -w,--workdir=_ \
    --privileged!O --detach-keys=_ -l,--latest --preserve-fds=_";

impl Evaluator<'_> {
    /// `docker` and its kin.
    pub(crate) fn container(&mut self, run: &Run, arguments: &[Field], state: &State, context: &Context) -> bool {
        if !matches!(run.program.as_str(), "docker" | "podman" | "nerdctl" | "crictl") {
            return false;
        }
        let mut run = run.clone();
        run.known = true;
        let words: Vec<String> = arguments
            .iter()
            .map(|field| field.exact().unwrap_or_default())
            .collect();
        let verb = words.first().map(String::as_str).unwrap_or_default();
        let grouped = GROUPS.contains(&verb)
            && words.get(1).is_some_and(|verb| {
                matches!(
                    verb.as_str(),
                    "ls" | "list" | "inspect" | "df" | "info" | "logs" | "stats" | "top" | "history"
                )
            });
        let composed = run.program == "docker" && composes(words.get(1..).unwrap_or_default(), verb);
        if LOOKS.contains(&verb) || grouped || composed {
            self.list(run);
            return true;
        }
        run.system.insert(Effect::Cluster);
        let pruned = GROUPS.contains(&verb) && words.get(1).is_some_and(|verb| verb == "prune");
        let handled = verb == "compose" && words.get(1).is_some_and(|verb| HANDLES.contains(&verb.as_str()));
        if words.iter().all(|word| !word.is_empty()) && (pruned || handled) {
            self.list(run);
            return true;
        }
        match verb {
            "exec" => {
                let parsed = parse(&Options::of(EXEC), arguments.get(1..).unwrap_or_default(), Order::First);
                let refused = parsed.given.iter().any(|given| given.role.contains('O'));
                if refused || !parsed.unknown.is_empty() || parsed.dynamic || parsed.wild {
                    self.opaque(Opaque::UnknownOption);
                }
                let mut via = context.through(&run.program);
                via.program_only = true;
                via.host = Some(parsed.operands.first().map(Field::show).unwrap_or_default());
                self.list(run);
                let command = parsed.operands.get(1..).unwrap_or_default().to_vec();
                self.invoke(&command, State::elsewhere(self.setting), &via);
            }
            "start" | "stop" | "restart" | "kill" | "pause" | "unpause" | "rm" | "rmi" | "tag" | "rename" | "wait"
            | "pull" | "push" | "login" | "logout" | "prune" => {
                let by_name = matches!(verb, "start" | "stop" | "restart" | "kill" | "rm" | "rmi");
                if !by_name && arguments.iter().any(|field| field.exact().is_none()) {
                    self.opaque(Opaque::DynamicArgument);
                }
                self.list(run);
            }
            _ => {
                self.opaque(Opaque::UnknownOption);
                self.unknown(run, arguments, state);
            }
        }
        true
    }
}

/// `compose` with a verb that only looks. Options in front of it name files and projects.
fn composes(words: &[String], verb: &str) -> bool {
    verb == "compose" && words.first().is_some_and(|verb| COMPOSED.contains(&verb.as_str()))
}
