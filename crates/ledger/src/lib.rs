//! The append-only record of what happened: one encrypted, hash-chained recording per session, and one
//! journal of administrative acts.
//!
//! *Evidence before effect*: a [`Recorder`] takes events with [`Recorder::append`], which only encodes, and
//! hands everything appended so far to the operating system in [`Recorder::flush`]. A
//! command may be forwarded once the [`Receipt`] of the flush that holds it is ready (invariant I2).
//!
//! The crate knows no protocol: a response is the bytes that the client saw, and whoever wrote them knows
//! how to read them. The format is described in `FORMAT.md`.

mod damage;
mod durable;
mod error;
mod event;
mod frame;
mod header;
mod journal;
mod key;
mod recording;

pub use damage::Damage;
pub use durable::{Durability, Receipt};
pub use error::LedgerError;
pub use event::{Event, MAX_EVENT_BYTES, RecordedEvent};
pub use header::{Caller, SessionHeader};
pub use journal::{Entries, Entry, Journal, Recovery};
pub use key::RecordingKey;
pub use recording::reader::{Ending, Events, Reader};
pub use recording::recorder::{Recorder, WHOLE_PIECE_BYTES};
pub use recording::seal::{Root, Sealed};
pub use recording::store::{RecordingStore, State, Summary};
pub use recording::verify::{Report, chain_head, verify};
