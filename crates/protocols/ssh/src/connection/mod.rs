//! The connection protocol (RFC 4254): channels, their windows, and the requests on them. Pure.

mod channel_request;
mod global_request;
mod open;
mod packet;
mod window;

pub(crate) use channel_request::{ClientRequest, Pty, Size, TargetRequest};
pub(crate) use global_request::{ClientGlobal, Listening, TargetGlobal};
pub(crate) use open::{ClientOpen, OpenFailure, TargetOpen};
pub(crate) use packet::{DataHead, Packet};
pub(crate) use window::{Overrun, Receiving, Sending};

/// Bytes that a peer may send on a channel before it is granted more: what one channel can take of memory.
pub(crate) const WINDOW: u32 = 2 * 1024 * 1024;

/// The largest data packet that is taken, and sent at most (RFC 4253, section 6.1, and what OpenSSH does).
pub(crate) const MAX_PACKET: u32 = 32 * 1024;
