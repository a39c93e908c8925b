//! The person's side: one module a command.

pub mod approve;
pub mod caller;
pub mod doctor;
pub mod login;
pub mod people;
pub mod policy_check;
pub mod replay;
pub mod requests;
pub mod sessions;
pub mod terminal;
pub mod token;
