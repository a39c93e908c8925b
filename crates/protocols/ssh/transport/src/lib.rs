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
pub use negotiate::{Preferences, REKEY_BYTES_MAX};
pub use packet::{Cipher, Mac, PAYLOAD_MAX};
pub use transport::{ClientConfig, ServerConfig, Step, Transport};
