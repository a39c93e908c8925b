//! The policy as the gateway has it: where it comes from, what is kept of it, what is written down about it.

mod config;
mod port;
mod source;
mod witness;

pub(crate) use config::PolicyConfig;
pub(crate) use port::PolicyInForce;
pub(crate) use source::{PolicySource, follow};
pub(crate) use witness::{tell_observing, watch};
