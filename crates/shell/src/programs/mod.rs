//! What programs do with their arguments.

pub(crate) mod containers;
pub(crate) mod derived;
pub(crate) mod files;
pub(crate) mod find;
pub(crate) mod git;
pub(crate) mod hooks;
pub(crate) mod kubernetes;
pub(crate) mod options;
pub(crate) mod paged;
pub(crate) mod profile;
pub(crate) mod queries;
pub(crate) mod remote;
pub(crate) mod shells;
pub(crate) mod system;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod wrappers;

use crate::eval::state::{Outcome, State};
use crate::eval::uses::Uses;
use crate::eval::{Context, Evaluator};
use crate::facts::{Opaque, Run};
use crate::paths;
use crate::paths::field::Field;

impl Evaluator<'_> {
    /// Runs a command: a function, a builtin or a program.
    pub(crate) fn invoke(&mut self, fields: &[Field], state: State, context: &Context) -> Outcome {
        let Some((first, arguments)) = fields.split_first() else {
            return Outcome::either(state);
        };
        if !self.enter() {
            return Outcome::either(state);
        }
        self.work(fields.iter().map(|field| field.atoms.len() + 16).sum());
        let outcome = match first.exact() {
            Some(name) if !name.is_empty() => self.named(&name, arguments, state, context),
            _ => {
                self.opaque(Opaque::DynamicProgram);
                let mut run = self.run("", "", arguments, context);
                run.arguments.insert(0, first.show());
                self.unknown(run, arguments, &state);
                Outcome::either(state)
            }
        };
        self.leave();
        outcome
    }

    fn named(&mut self, name: &str, arguments: &[Field], state: State, context: &Context) -> Outcome {
        if name.contains('/') {
            if !paths::is_system_program(name) {
                self.opaque(Opaque::UntrustedProgram);
                let base = name.rsplit('/').next().unwrap_or_default();
                let mut run = self.run(base, name, arguments, context);
                self.path(&mut run, &Field::constant(name), Uses::READ, &state);
                self.unknown(run, arguments, &state);
                return Outcome::either(state);
            }
            let base = name.rsplit('/').next().unwrap_or_default();
            return self.external(base, name, arguments, state, context);
        }
        if context.program_only {
            return self.external(name, "", arguments, state, context);
        }
        match state.function(name) {
            Some(function) => {
                let mut inner = state.clone();
                inner.lend_positional(Some(arguments.to_vec()));
                let mut after = if function.maybe {
                    self.command_named(name, arguments, state.clone(), context).join()
                } else {
                    inner.clone()
                };
                let mut first = !function.maybe;
                for body in &function.bodies {
                    self.functions += 1;
                    let outcome = self.body(body, inner.clone(), context).join();
                    self.functions -= 1;
                    after = if first { outcome } else { after.join(&outcome) };
                    first = false;
                }
                if self.scoped {
                    after = after.join(&state);
                }
                after.lend_positional(state.positional().map(<[_]>::to_vec));
                Outcome::either(after)
            }
            None => self.command_named(name, arguments, state, context),
        }
    }

    /// A builtin or a program.
    pub(crate) fn command_named(
        &mut self,
        name: &str,
        arguments: &[Field],
        state: State,
        context: &Context,
    ) -> Outcome {
        match self.builtin(name, arguments, &state, context) {
            Some(outcome) => outcome,
            None => self.external(name, "", arguments, state, context),
        }
    }

    fn external(&mut self, name: &str, path: &str, arguments: &[Field], state: State, context: &Context) -> Outcome {
        if self.exported && !hooks::is_indifferent(name) {
            self.opaque(Opaque::HookVariable);
        }
        let run = self.run(name, path, arguments, context);
        let handled = self.asks(&run, arguments, &state, context)
            || self.shell(&run, arguments, &state, context)
            || self.wrapper(&run, arguments, &state, context)
            || self.finder(&run, arguments, &state, context)
            || self.kubernetes(&run, arguments, &state, context)
            || self.container(&run, arguments, &state, context)
            || self.systemd(&run, arguments, &state, context)
            || self.network_tool(&run, arguments, &state, context)
            || self.remote(&run, arguments, &state, context)
            || self.version_control(&run, arguments, &state, context)
            || self.paged(&run, arguments, &state, context)
            || self.text_tool(&run, arguments, &state, context)
            || self.file_tool(&run, arguments, &state, context);
        if !handled {
            match profile::find(name) {
                Some(profile) => self.profiled(profile, run, arguments, &state, context),
                None => self.unknown(run, arguments, &state),
            }
        }
        Outcome::either(state)
    }

    /// A run with nothing said of it yet.
    pub(crate) fn run(&self, program: &str, path: &str, arguments: &[Field], context: &Context) -> Run {
        Run {
            program: program.to_owned(),
            path: path.to_owned(),
            arguments: arguments.iter().map(Field::show).collect(),
            exact: arguments.iter().all(|field| field.exact().is_some()),
            via: context.via.clone(),
            as_user: context.as_user.clone(),
            host: context.host.clone(),
            stdin: context.stdin.clone(),
            background: context.background,
            subshell: context.subshell,
            ..Run::default()
        }
    }

    /// A program that is not known: whatever of its arguments could be a path is read, written and removed.
    pub(crate) fn unknown(&mut self, mut run: Run, arguments: &[Field], state: &State) {
        run.known = false;
        self.any_path(&mut run, arguments, Uses::ALL, state);
        self.list(run);
    }

    /// Every argument, and what stands behind a `=`, a `:` or an option's letter in it, may be a path.
    pub(crate) fn any_path(&mut self, run: &mut Run, arguments: &[Field], uses: Uses, state: &State) {
        for argument in arguments {
            if argument
                .exact()
                .as_deref()
                .is_some_and(|text| text.starts_with('-') && !text.contains(['/', '=']))
            {
                continue;
            }
            self.path(run, argument, uses, state);
            for separator in ['=', ':', '@', ','] {
                if let Some((_, rest)) = argument.split_at(separator) {
                    self.path(run, &rest, uses, state);
                }
            }
            if argument.starts_with("-") && !argument.starts_with("--") {
                self.path(run, &argument.skip(2), uses, state);
            }
        }
    }
}
