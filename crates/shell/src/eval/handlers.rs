//! Handlers that `trap` sets: when they run cannot be known, so they are followed last, in whatever state a shell may be
//! then. One that changes what the commands between which it runs mean is not followed at all.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use brush_parser::ast::FunctionBody;

use super::state::State;
use super::{Context, Evaluator};
use crate::facts::Opaque;
use crate::syntax::Dialect;

/// Handlers, and what they may see of the shell.
#[derive(Debug, Default)]
pub(crate) struct Handlers {
    set: Vec<Handler>,
    /// Every body that a function of this name ever had.
    functions: BTreeMap<String, Vec<Rc<FunctionBody>>>,
    /// Some shell went to another directory than the one it began in.
    moved: bool,
}

#[derive(Debug, Clone)]
struct Handler {
    text: String,
    dialect: Dialect,
    context: Context,
    /// Functions that there are since before it was set: none is undefined again.
    functions: BTreeSet<String>,
}

impl Handlers {
    pub(crate) fn defined(&mut self, name: &str, body: &Rc<FunctionBody>) {
        self.functions.entry(name.to_owned()).or_default().push(Rc::clone(body));
    }

    pub(crate) fn moved(&mut self) {
        self.moved = true;
    }
}

impl Evaluator<'_> {
    /// A handler was set.
    pub(crate) fn handle(&mut self, text: String, state: &State, context: Context) {
        let known = |other: &Handler| {
            let same = other.text == text && other.context.via == context.via;
            same && other.functions.iter().all(|name| state.is_defined(name))
        };
        if !self.handlers.set.iter().any(known) {
            self.handlers.set.push(Handler {
                text,
                dialect: self.dialect,
                context,
                functions: state.defined(),
            });
        }
    }

    /// Follows all handlers; all else has been.
    pub(crate) fn follow_handlers(&mut self) {
        let mut next = 0;
        while let Some(handler) = self.handlers.set.get(next).cloned() {
            next += 1;
            let state = self.whenever(&handler);
            let functions = self.count_functions();
            let (moved, exported) = (self.stdin_moved, self.exported);
            self.jumped = None;
            let after = self.text(&handler.text, handler.dialect, state, &handler.context);
            let changes = after.is_touched()
                || self.jumped.is_some()
                || self.count_functions() != functions
                || (self.stdin_moved, self.exported) != (moved, exported);
            if changes {
                self.opaque(Opaque::Trap);
            }
        }
    }

    fn count_functions(&self) -> usize {
        self.handlers.functions.values().map(Vec::len).sum()
    }

    /// Any state that the shell may be in when a handler runs.
    fn whenever(&self, handler: &Handler) -> State {
        let mut state = State::first(self.setting);
        let stays = !self.handlers.moved && handler.context.via.as_slice() == ["trap"];
        if !stays {
            state.set_directories(None);
        }
        state.forget_variables();
        state.set_positional(None);
        for (name, bodies) in &self.handlers.functions {
            state.may_be_defined(name, bodies, !handler.functions.contains(name));
        }
        state.untouched()
    }
}
