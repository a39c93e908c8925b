//! One file per session.

mod index;
pub(crate) mod reader;
pub(crate) mod recorder;
pub(crate) mod seal;
pub(crate) mod store;
pub(crate) mod verify;
