//! The second transport: a byte stream in the binary messages of a WebSocket (RFC 6455), for networks that let nothing
//! else out.
//!
//! An agent reaches it directly or through an HTTP proxy ([`Dialer`]), a gateway serves it on connections whose TLS it has
//! ended itself ([`accept`]). Both have a [`ByteStream`] then, inside which the tunnel's own TLS runs, so that whoever
//! opens the outer one sees nothing and can change nothing.

mod address;
mod client;
mod error;
mod proxy;
mod server;
mod stream;

use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

pub use address::GatewayUrl;
pub use client::{Carrier, Dialer};
pub use error::{AcceptError, DialError};
pub use proxy::Proxy;
pub use server::{Rewound, accept};
pub use stream::ByteStream;

/// The path of the gateway at which it is.
pub const PATH: &str = "/v1/agents/tunnel";
/// What runs inside (`Sec-WebSocket-Protocol`).
pub const SUBPROTOCOL: &str = "sallyport-tunnel.1";

/// The largest message that is sent: several TLS records.
const SENT_BYTES: usize = 64 * 1024;
/// The largest message that is taken, whole or in fragments. Others may send larger ones than this crate does.
const TAKEN_BYTES: usize = 256 * 1024;
/// What is read at once.
const READ_BYTES: usize = 64 * 1024;

/// Nothing is kept for later: a message is written when it is given, or nothing is taken after it. The write buffer has
/// room for that one message and for answers to pings.
fn bounds() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * SENT_BYTES)
        .max_message_size(Some(TAKEN_BYTES))
        .max_frame_size(Some(TAKEN_BYTES))
}
