//! The SSH transport (RFC 4253), keys and certificates, as a pure machine: bytes in, packets out.
//!
//! - [`wire`] reads and writes the data types of SSH; [`message`] has the numbers of its messages.
//! - [`keys`] reads, writes, makes and checks keys, signatures and certificates.
//!
//! - [`Transport`] is one side of a connection: identification, key exchange first and again, and packets.
//!
//! What it speaks is current only: no finite-field groups, no SHA-1, no CBC, no compression; and what is weak
//! without strict key exchange (CVE-2023-48795) is not agreed on with a peer that lacks it.
//!
//! A connection is driven like this; both sides are here, and their bytes are carried by hand:
//!
//! ```
//! use std::sync::Arc;
//!
//! use bytes::{Buf, BytesMut};
//! use sallyport_ssh_transport::keys::PrivateKey;
//! use sallyport_ssh_transport::{ClientConfig, HostKey, HostTrust, ServerConfig, Step, Transport, message};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = PrivateKey::generate_ed25519()?;
//! let trust = HostTrust { keys: vec![key.public_key().clone()], ..HostTrust::default() };
//! let config = ServerConfig { keys: vec![HostKey::new(key)], ..ServerConfig::default() };
//!
//! let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
//! let mut server = Transport::server(Arc::new(config), &mut to_client)?;
//! let mut client = Transport::client(ClientConfig { trust, ..ClientConfig::default() }, &mut to_server);
//! while !client.is_ready() {
//!     client.read(&mut to_client, &mut to_server)?;
//!     server.read(&mut to_server, &mut to_client)?;
//! }
//! client.send(&[&[message::CHANNEL_DATA], b"words"], &mut to_server)?;
//! loop {
//!     match server.read(&mut to_server, &mut to_client)? {
//!         Step::Packet { payload, whole } => {
//!             assert_eq!(to_server[payload], *b"\x5ewords");
//!             to_server.advance(whole);
//!         }
//!         Step::Ready => {}
//!         Step::More | Step::Disconnected { .. } => break,
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The crate is pure: no sockets, no clock, no async; time is an argument.

mod error;
mod host;
mod kex;
pub mod keys;
pub mod message;
mod negotiate;
mod packet;
mod transport;
pub mod wire;

pub use error::TransportError;
pub use host::{HostError, HostKey, HostTrust};
pub use kex::Kex;
pub use negotiate::{Algorithms, Preferences, REKEY_BYTES_MAX};
pub use packet::{Cipher, Mac, PAYLOAD_MAX};
pub use transport::{ClientConfig, ServerConfig, Step, Transport};
