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
        if LOOKS.contains(&verb) || grouped {
            self.list(run);
            return true;
        }
        run.system.insert(Effect::Cluster);
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
            | "pull" | "login" | "logout" | "prune" => {
                if arguments.iter().any(|field| field.exact().is_none()) {
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
