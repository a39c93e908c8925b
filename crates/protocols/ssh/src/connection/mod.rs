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

/// Bytes that a peer may send on one of the first channels of a connection before it is granted more.
const WINDOW: u32 = 2 * 1024 * 1024;
/// The same on further ones: what all channels of a connection can take of memory is bounded by both.
const SMALL_WINDOW: u32 = 128 * 1024;
/// How many channels of a connection have the large one.
const LARGE_WINDOWS: usize = 8;

/// What is granted on the channel with our number `at`.
pub(crate) fn window(at: usize) -> u32 {
    if at < LARGE_WINDOWS { WINDOW } else { SMALL_WINDOW }
}

/// The largest data packet that is taken, and sent at most (RFC 4253, section 6.1, and what OpenSSH does).
pub(crate) const MAX_PACKET: u32 = 32 * 1024;
