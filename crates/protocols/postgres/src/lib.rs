//! The PostgreSQL protocol: clients on one side, servers on the other, commands judged between them.

mod cancel_key;
mod cancels;
pub mod cells;
mod conversation;
pub mod dial;
mod fast_path;
pub mod greet;
mod impact;
mod keeper;
mod parameters;
mod protocol;
mod refuse;
mod replication;
mod roles;
mod scrub;
mod settings;
mod side;
#[cfg(feature = "testing")]
pub mod testing;
mod transcript;
mod types;
mod understanding;
mod veil;
pub mod wire;

pub use conversation::PostgresConversation;
pub use dial::Dialer;
pub use protocol::{Caller, Postgres};
pub use roles::SWEEP_EVERY;
pub use transcript::{Told, Transcript};
