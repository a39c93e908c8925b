//! Agents beside targets, as the gateway sees them.

mod connected;
mod door;
mod port;
mod tunnel;
mod witness;

pub(crate) use connected::ConnectedAgents;
pub(crate) use door::AgentDoor;
pub(crate) use port::Behind;
pub(crate) use witness::ToJournal;
