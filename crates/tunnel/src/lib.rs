//! Between an agent and the gateway: one connection that the agent dials, and flows over it that the gateway opens.
//!
//! The connection is HTTP/2 with the roles reversed: who dials is the server. A [`Flow`] is a stream of it; it begins
//! with one [`head`] each way, what is wanted and what came of it, and is bytes from there on. Windows are such that a
//! flow that nobody reads stops no other: the connection's is as large as those of all its flows together.
//!
//! Nothing here knows who may connect, or what flows carry. The bytes between are TLS of both sides, made by who calls.

mod acceptor;
mod control;
mod driver;
mod fleet;
mod flow;
pub mod head;
mod incoming;
mod outgoing;
mod road;
mod tunnel;
pub mod websocket;
mod wide;

pub use acceptor::{Acceptor, Incoming};
pub use control::{Announced, Answer, FromAgent, FromGateway, Hello, Joined};
pub use driver::KeepAlive;
pub use fleet::{AgentStatus, Fleet, MAX_CONNECTIONS, Member, Seat, Unserved};
pub use flow::{Flow, LastWords};
pub use road::Road;
pub use tunnel::{OpenError, Tunnel};
pub use wide::Wide;

/// The application protocol of the tunnel in TLS. The number is that of the protocol's version.
pub const TUNNEL_ALPN: &[u8] = b"sallyport-tunnel/1";
/// The application protocol in which an agent joins: one [`head`] each way.
pub const JOIN_ALPN: &[u8] = b"sallyport-join/1";

/// Bytes that may be under way in a flow each way before they are read. With a round trip of 80 ms a flow carries
/// 13 MB a second.
const FLOW_WINDOW: u32 = 1 << 20;
/// Flows that a connection has room for.
pub const MAX_FLOWS: u32 = 1024;
/// All windows of its flows together.
const CONNECTION_WINDOW: u32 = FLOW_WINDOW * MAX_FLOWS;
/// Bytes of a flow that wait to be sent.
const SEND_BUFFER: usize = 2 * outgoing::MAX_BLOCK;
/// The largest frame: large enough that headers cost nothing, small enough that others get their turn.
const MAX_FRAME: u32 = 64 * 1024;
/// What the TLS under a tunnel should take before it waits for the socket, in bytes: a frame with its head, at least, or
/// each one goes out in two.
pub const TLS_BUFFER: usize = 256 * 1024;
/// The largest set of headers. None that are needed has more than a few words.
const MAX_HEADERS: u32 = 4096;

/// A path that is asked for.
pub(crate) const FLOW: &str = "/flow";
/// The path of the one flow over which both sides talk about themselves.
pub(crate) const CONTROL: &str = "/control";
