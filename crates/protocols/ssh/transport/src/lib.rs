//! The SSH transport (RFC 4253), keys and certificates, as a pure machine: bytes in, packets out.
//!
//! - [`wire`] reads and writes the data types of SSH; [`message`] has the numbers of its messages.
//! - [`keys`] reads, writes, makes and checks keys, signatures and certificates.
//!
//! The crate is pure: no sockets, no clock, no async; time is an argument.

pub mod keys;
pub mod message;
pub mod wire;
