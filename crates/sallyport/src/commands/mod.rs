//! The person's side: one module a command.

pub(crate) mod agents;
pub(crate) mod approve;
pub(crate) mod caller;
pub(crate) mod cast;
pub(crate) mod doctor;
pub(crate) mod keys;
pub(crate) mod login;
pub(crate) mod people;
mod playback;
pub(crate) mod policy;
pub(crate) mod replay;
pub(crate) mod requests;
pub(crate) mod sessions;
pub(crate) mod ssh;
pub(crate) mod terminal;
pub(crate) mod token;
mod watch;
