//! The person's side: one module a command.

pub mod caller;
pub mod login;
pub mod people;
pub mod token;
