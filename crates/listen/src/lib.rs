//! Sockets and TLS: what turns a connection into a [`Wire`], and what keeps too many of them out.
//!
//! - [`Listener`] accepts connections within [`Limits`]; [`Workers`] run them, one runtime a core.
//! - [`Wire`] is a byte stream to a client or a target, with or without TLS.
//! - [`Drain`] writes to one without waiting, down to the socket.
//! - [`ServerTls`] and [`ClientTls`] are the two sides' TLS settings.

mod admission;
mod client_tls;
mod clients;
mod drain;
mod error;
mod listener;
mod server_tls;
mod verify;
mod wire;
mod workers;

pub use admission::{Accepted, Full, Handshake, HandshakeEnd, Limits, SessionPermit};
pub use client_tls::{ClientIdentity, ClientTls, Roots, Verification, connect_tls};
pub use drain::Drain;
pub use error::TlsError;
pub use listener::Listener;
pub use server_tls::{ServerTls, ServerTlsOptions, accept_tls};
pub use wire::{TlsInfo, Wire};
pub use workers::Workers;
