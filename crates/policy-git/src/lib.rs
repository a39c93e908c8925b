//! A policy that is followed in a git repository: a merge comes into force at once, a bad commit changes nothing.
//!
//! A [`Follower`] asks the host where a branch is, fetches it into a copy of its own, looks whether the newest commit
//! comes after the one in force and is signed as [`Settings`] ask, reads the bundle's files out of it without a checkout,
//! and offers the bundle to a [`sallyport_policy::Watcher`]. What is wrong is a [`Trouble`]; the bundle before goes on.
//!
//! Only this crate runs the git program, and it trusts neither the host nor what comes from there: git is given none of
//! the machine's configuration, one protocol, no questions to ask, and bounds on time and size.

mod address;
mod copy;
mod followed;
mod follower;
mod program;
mod settings;
mod status;
mod trouble;
mod webhook;

pub use address::{Repository, Transport};
pub use follower::{Check, Examination, Follower, Record, Surroundings, examine};
pub use settings::{Access, GitTable, Settings, Signed, Signers};
pub use status::{Event, Status};
pub use trouble::{Kind, Trouble};
pub use webhook::{Proof, WebhookSecret};
