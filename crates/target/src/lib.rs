//! Targets: what can be reached, with which credential, and how.
//!
//! `targets.toml` becomes a [`Catalogue`]; a [`Target`] gives a [`Lease`] for one session; [`dial_tcp`]
//! reaches what the lease names. Secrets are in `secrecy` types and never in `Debug`, errors or logs.

mod address;
mod catalogue;
mod credential;
mod dial;
mod file;
mod lease;

pub use address::{Address, AddressError};
pub use catalogue::{Catalogue, CatalogueError, Target};
pub use credential::{Credential, CredentialError};
pub use dial::{ConnectError, dial_tcp};
pub use lease::{AuthMethod, ChannelBinding, Lease, Tls};
