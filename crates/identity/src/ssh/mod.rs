//! SSH: certificates that the gateway's own authorities make, and public keys that people have.

mod authorities;
mod certificates;
mod keys;

pub use authorities::{HostLogins, SshAuthorities};
