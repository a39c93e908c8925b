//! Looking for requests to which rules give a certain answer, from what the rules themselves compare facts with.
//!
//! For each action the rules that can apply are taken apart into atoms ([`formula`]). What an atom asks about gets a
//! pool of values: the constants that rules compare it with, what lies beside them, and something that no rule names
//! ([`literals`], [`pools`], [`places`]). Cedar itself says which values make an atom true ([`model`]). From that follow
//! the ways to make rules true and false together ([`solve`]), and from those the requests that are tried, with some
//! more at random ([`hunt`]). It finds much and proves nothing: whoever uses it has to say so.

mod asked;
mod dice;
mod formula;
mod hunt;
mod literals;
mod model;
mod picks;
mod places;
mod pools;
mod shrink;
mod solve;

pub use asked::{Answer, Asked};
pub use hunt::{Budget, Effort};

pub(crate) use hunt::{Hunt, alike};
pub(crate) use model::{Assignment, Ground, Model, Pool};
pub(crate) use places::{Place, known, targets};
pub(crate) use pools::SOMEBODY;
pub(crate) use shrink::{Matter, matters, shrunk};
pub(crate) use solve::{Care, Room, met};
