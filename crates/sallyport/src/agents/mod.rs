//! Agents beside targets, as the gateway sees them.

mod port;

pub(crate) use port::Behind;
