//! SSH: clients on one side, hosts on the other; commands, files and forwarded connections judged between them.

mod account;
mod connection;
mod conversation;
mod dial;
mod exchange;
mod facts;
mod greet;
mod protocol;
mod refuse;
mod transcript;
mod veil;

pub use conversation::SshConversation;
pub use dial::{Dialer, Upstream};
pub use greet::Caller;
pub use protocol::Ssh;
pub use transcript::Transcript;

/// What the gateway calls itself in its identification (RFC 4253, section 4.2). No version: nobody needs it.
pub const SOFTWARE: &str = "Sallyport";
