//! Lists, pipelines and compound commands.

use std::rc::Rc;

use brush_parser::ast;

use super::simple::may_fail;
use super::state::{Outcome, State, Variable};
use super::{Context, Evaluator};
use crate::facts::{Opaque, Stdin};
use crate::syntax::Stop;
use crate::syntax::lex::SELECT;

/// Rounds of a loop before everything that it may change counts as unknown.
const MAX_ROUNDS: usize = 4;
/// Values of a `for` loop that are followed one by one.
const MAX_UNROLLED: usize = 64;
/// Pipelines that are listed.
const MAX_PIPELINES: usize = 500;

impl Evaluator<'_> {
    pub(crate) fn program(&mut self, program: &ast::Program, state: State, context: &Context) -> State {
        let mut state = state;
        for list in &program.complete_commands {
            state = self.sequence(list, state, context).join();
        }
        state
    }

    pub(crate) fn sequence(&mut self, list: &ast::CompoundList, state: State, context: &Context) -> Outcome {
        let mut outcome = Outcome::either(state);
        for ast::CompoundListItem(item, separator) in &list.0 {
            let state = outcome.join();
            outcome = match separator {
                ast::SeparatorOperator::Sequence => self.and_or(item, state, context),
                ast::SeparatorOperator::Async => {
                    let mut context = context.clone();
                    context.background = true;
                    context.subshell = true;
                    // An asynchronous command does not read what the line was given.
                    if context.stdin == Stdin::Inherited {
                        context.stdin = Stdin::Null;
                    }
                    self.found.background = true;
                    self.and_or(item, state.clone(), &context);
                    Outcome::either(state)
                }
            };
        }
        outcome
    }

    fn and_or(&mut self, list: &ast::AndOrList, state: State, context: &Context) -> Outcome {
        let mut outcome = self.pipeline(&list.first, state, context);
        for next in &list.additional {
            outcome = match next {
                ast::AndOr::And(pipeline) => {
                    let after = self.pipeline(pipeline, outcome.ok, context);
                    Outcome {
                        fail: outcome.fail.join(&after.fail),
                        ok: after.ok,
                    }
                }
                ast::AndOr::Or(pipeline) => {
                    let after = self.pipeline(pipeline, outcome.fail, context);
                    Outcome {
                        ok: outcome.ok.join(&after.ok),
                        fail: after.fail,
                    }
                }
            };
        }
        outcome
    }

    fn pipeline(&mut self, pipeline: &ast::Pipeline, state: State, context: &Context) -> Outcome {
        let outcome = match pipeline.seq.as_slice() {
            [only] => self.command(only, state, context),
            commands => {
                self.piped(commands, &state, context);
                Outcome::either(state)
            }
        };
        if pipeline.bang {
            return Outcome {
                ok: outcome.fail,
                fail: outcome.ok,
            };
        }
        outcome
    }

    /// Each command of a pipeline has a shell of its own.
    fn piped(&mut self, commands: &[ast::Command], state: &State, context: &Context) {
        let mut names = Vec::new();
        let mut context = context.clone();
        context.subshell = true;
        for command in commands {
            let before = self.found.runs.len();
            self.names = None;
            if !matches!(command, ast::Command::Simple(_)) {
                context.names_on_stdin = None;
            }
            self.command(command, state.clone(), &context);
            let alone = self.found.runs.len() == before + 1;
            context.names_on_stdin = self.names.take().filter(|_| alone);
            let name = match self.found.runs.get(before..) {
                Some([first, ..]) => first.program.clone(),
                _ => String::new(),
            };
            context.stdin = Stdin::Pipe(name.clone());
            names.push(name);
        }
        if self.found.pipelines.len() >= MAX_PIPELINES {
            self.opaque(Opaque::TooComplex);
        } else if !self.found.pipelines.contains(&names) {
            self.found.pipelines.push(names);
        }
    }

    pub(crate) fn command(&mut self, command: &ast::Command, state: State, context: &Context) -> Outcome {
        if !self.enter() {
            return Outcome::either(state);
        }
        let outcome = match command {
            ast::Command::Simple(simple) => self.simple(simple, state, context),
            ast::Command::Compound(compound, redirects) => {
                let mut state = state;
                let context = self.redirected(redirects.as_ref(), &mut state, context);
                let not_run = not_run(redirects.as_ref(), &state);
                self.compound(compound, state, &context).or_not_run(not_run.as_ref())
            }
            ast::Command::Function(definition) => self.definition(definition, state),
            ast::Command::ExtendedTest(test, redirects) => {
                let mut state = state;
                let context = self.redirected(redirects.as_ref(), &mut state, context);
                self.test(&test.expr, &mut state, &context);
                Outcome::either(state)
            }
        };
        self.leave();
        outcome
    }

    fn redirected(&mut self, list: Option<&ast::RedirectList>, state: &mut State, context: &Context) -> Context {
        let mut context = context.clone();
        for redirect in list.iter().flat_map(|list| &list.0) {
            self.redirect(redirect, state, &mut context);
        }
        context
    }

    fn definition(&mut self, definition: &ast::FunctionDefinition, mut state: State) -> Outcome {
        let name = definition.fname.value.as_str();
        let plain = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-.:+,@%".contains(c));
        if plain {
            self.found.functions.insert(name.to_owned());
            let body = Rc::new(definition.body.clone());
            self.handlers.defined(name, &body);
            state.define(name, body);
        } else {
            self.unparsed(Stop::new("this name of a function is not followed", 0));
        }
        Outcome::either(state)
    }

    /// Runs a function's body with its parameters.
    pub(crate) fn body(&mut self, body: &ast::FunctionBody, state: State, context: &Context) -> Outcome {
        if !self.enter() {
            return Outcome::either(state);
        }
        let mut state = state;
        let mut context = self.redirected(body.1.as_ref(), &mut state, context);
        context.names_on_stdin = None;
        let not_run = not_run(body.1.as_ref(), &state);
        let outcome = self.compound(&body.0, state, &context).or_not_run(not_run.as_ref());
        self.leave();
        Outcome {
            ok: self.landed(outcome.ok),
            fail: self.landed(outcome.fail),
        }
    }

    fn compound(&mut self, compound: &ast::CompoundCommand, state: State, context: &Context) -> Outcome {
        match compound {
            ast::CompoundCommand::BraceGroup(group) => self.sequence(&group.list, state, context),
            ast::CompoundCommand::Subshell(subshell) => {
                let mut context = context.clone();
                context.subshell = true;
                self.sequence(&subshell.list, state.clone(), &context);
                Outcome::either(state)
            }
            ast::CompoundCommand::IfClause(clause) => self.conditional(clause, state, context),
            ast::CompoundCommand::WhileClause(clause) => {
                self.repeated(&clause.0, &clause.1.list, state, context, false)
            }
            ast::CompoundCommand::UntilClause(clause) => self.repeated(&clause.0, &clause.1.list, state, context, true),
            ast::CompoundCommand::ForClause(clause) => self.each(clause, state, context),
            ast::CompoundCommand::CaseClause(clause) => self.case(clause, state, context),
            ast::CompoundCommand::Arithmetic(command) => {
                let mut state = state;
                self.arithmetic_effects(&command.expr.value, &mut state, context);
                Outcome::either(state)
            }
            ast::CompoundCommand::ArithmeticForClause(clause) => self.counted(clause, state, context),
            ast::CompoundCommand::Coprocess(clause) => {
                self.opaque(Opaque::Coprocess);
                let mut context = context.clone();
                context.background = true;
                context.subshell = true;
                context.stdin = Stdin::Pipe(String::new());
                self.found.background = true;
                self.command(&clause.body, state.clone(), &context);
                Outcome::either(state)
            }
        }
    }

    fn conditional(&mut self, clause: &ast::IfClauseCommand, state: State, context: &Context) -> Outcome {
        let condition = self.sequence(&clause.condition, state, context);
        let mut after = self.sequence(&clause.then, condition.ok, context);
        let mut otherwise = Some(condition.fail);
        for part in clause.elses.iter().flatten() {
            let Some(state) = otherwise.take() else { break };
            let entered = match &part.condition {
                Some(condition) => {
                    let outcome = self.sequence(condition, state, context);
                    otherwise = Some(outcome.fail);
                    outcome.ok
                }
                None => state,
            };
            after = either_of(&after, &self.sequence(&part.body, entered, context));
        }
        match otherwise {
            Some(state) => either_of(&after, &Outcome::either(state)),
            None => after,
        }
    }

    fn repeated(
        &mut self,
        condition: &ast::CompoundList,
        body: &ast::CompoundList,
        state: State,
        context: &Context,
        until: bool,
    ) -> Outcome {
        self.until_stable(state, |evaluator, state| {
            let outcome = evaluator.sequence(condition, state, context);
            let (enters, leaves) = if until {
                (outcome.fail, outcome.ok)
            } else {
                (outcome.ok, outcome.fail)
            };
            let after = evaluator.sequence(body, enters, context).join();
            (after, leaves)
        })
    }

    /// Goes through a loop until it changes nothing more. The closure returns the states after a round and on leaving.
    fn until_stable(&mut self, state: State, mut round: impl FnMut(&mut Self, State) -> (State, State)) -> Outcome {
        let mut at_head = state;
        for _ in 0..MAX_ROUNDS {
            let (after, leaves) = round(self, at_head.clone());
            let after = self.landed(after);
            let joined = at_head.join(&after);
            if joined.same(&at_head) {
                return Outcome::either(joined.join(&leaves));
            }
            at_head = joined;
        }
        at_head.forget_variables();
        at_head.set_directories(None);
        at_head.set_positional(None);
        let (after, leaves) = round(self, at_head.clone());
        let after = self.landed(after);
        Outcome::either(at_head.join(&after).join(&leaves))
    }

    fn each(&mut self, clause: &ast::ForClauseCommand, mut state: State, context: &Context) -> Outcome {
        let (name, chosen) = match clause.variable_name.strip_prefix(SELECT) {
            Some(name) => (name, true),
            None => (clause.variable_name.as_str(), false),
        };
        if !crate::is_name(name) {
            self.unparsed(Stop::new("a loop without a name", 0));
            return Outcome::either(state);
        }
        self.check_assignment(name, false);
        let values = match &clause.values {
            Some(words) => self.fields(words, &mut state, context),
            None => vec![
                state
                    .positional()
                    .map_or_else(|| vec![crate::paths::field::Field::unknown()], <[_]>::to_vec),
            ],
        };
        let constant = match values.as_slice() {
            [only] if !chosen && only.len() <= MAX_UNROLLED => only
                .iter()
                .map(crate::paths::field::Field::exact)
                .collect::<Option<Vec<_>>>(),
            _ => None,
        };
        if let Some(constant) = constant {
            // Values that are all known are taken one after the other.
            let mut seen = state.clone();
            for value in constant {
                state.set(name, Variable::constant(&value));
                state = self.sequence(&clause.body.list, state, context).join();
                state = self.landed(state);
                seen = seen.join(&state);
            }
            return Outcome::either(seen);
        }
        let mut possible = self.possible_values(&values);
        if chosen {
            // What is no number of a value chooses none.
            possible = possible.join(&Variable::constant(""));
            state.set("REPLY", Variable::Unknown);
        }
        self.until_stable(state, |evaluator, mut state| {
            let leaves = state.clone();
            state.set(name, possible.clone());
            (evaluator.sequence(&clause.body.list, state, context).join(), leaves)
        })
    }

    /// `for ((…;…;…))`.
    fn counted(&mut self, clause: &ast::ArithmeticForClauseCommand, mut state: State, context: &Context) -> Outcome {
        if let Some(begin) = &clause.initializer {
            self.arithmetic_effects(&begin.value, &mut state, context);
        }
        self.until_stable(state, |evaluator, mut state| {
            if let Some(condition) = &clause.condition {
                evaluator.arithmetic_effects(&condition.value, &mut state, context);
            }
            let leaves = state.clone();
            let after = evaluator.sequence(&clause.body.list, state, context).join();
            let mut after = evaluator.landed(after);
            if let Some(update) = &clause.updater {
                evaluator.arithmetic_effects(&update.value, &mut after, context);
            }
            (after, leaves)
        })
    }

    fn case(&mut self, clause: &ast::CaseClauseCommand, mut state: State, context: &Context) -> Outcome {
        self.expand_for_effect(&clause.value.value, &mut state, context);
        let mut after = Outcome::either(state.clone());
        for case in &clause.cases {
            for pattern in &case.patterns {
                self.expand_for_effect(&pattern.value, &mut state, context);
            }
            if let Some(list) = &case.cmd {
                // What fell through from the case before is one of the states.
                let entered = state.join(&after.clone().join());
                after = either_of(&after, &self.sequence(list, entered, context));
            }
        }
        after
    }

    fn test(&mut self, test: &ast::ExtendedTestExpr, state: &mut State, context: &Context) {
        match test {
            ast::ExtendedTestExpr::And(left, right) | ast::ExtendedTestExpr::Or(left, right) => {
                self.test(left, state, context);
                self.test(right, state, context);
            }
            ast::ExtendedTestExpr::Not(inner) | ast::ExtendedTestExpr::Parenthesized(inner) => {
                self.test(inner, state, context);
            }
            ast::ExtendedTestExpr::UnaryTest(predicate, word) => {
                if matches!(
                    predicate,
                    ast::UnaryPredicate::ShellVariableIsSetAndAssigned
                        | ast::UnaryPredicate::ShellVariableIsSetAndNameRef
                ) && !crate::is_name(&word.value)
                {
                    self.opaque(Opaque::Arithmetic);
                }
                self.expand_for_effect(&word.value, state, context);
            }
            ast::ExtendedTestExpr::BinaryTest(predicate, left, right) => {
                self.binary_test(predicate, &left.value, &right.value, state, context);
            }
        }
    }

    fn binary_test(
        &mut self,
        predicate: &ast::BinaryPredicate,
        left: &str,
        right: &str,
        state: &mut State,
        context: &Context,
    ) {
        if right.contains(['(', '|', '<', '>', '&', ';']) && !right.starts_with(['\'', '"', '$']) {
            return self.unparsed(Stop::new("this expression is not followed", 0));
        }
        let numbers = matches!(
            predicate,
            ast::BinaryPredicate::ArithmeticEqualTo
                | ast::BinaryPredicate::ArithmeticNotEqualTo
                | ast::BinaryPredicate::ArithmeticLessThan
                | ast::BinaryPredicate::ArithmeticLessThanOrEqualTo
                | ast::BinaryPredicate::ArithmeticGreaterThan
                | ast::BinaryPredicate::ArithmeticGreaterThanOrEqualTo
        );
        for side in [left, right] {
            let fields = self.expand_for_effect(side, state, context);
            if numbers && !fields.iter().flatten().all(super::arithmetic::is_number) {
                self.opaque(Opaque::Arithmetic);
            }
        }
    }
}

/// The state behind a command whose redirections fail.
fn not_run(redirects: Option<&ast::RedirectList>, state: &State) -> Option<State> {
    let fails = redirects.is_some_and(|list| list.0.iter().any(may_fail));
    fails.then(|| state.clone())
}

fn either_of(left: &Outcome, right: &Outcome) -> Outcome {
    Outcome {
        ok: left.ok.join(&right.ok),
        fail: left.fail.join(&right.fail),
    }
}
