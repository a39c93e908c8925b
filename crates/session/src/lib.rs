//! The spine: the path of a command, the gate in it, and the one driver that relays.
//!
//! A protocol brings a [`Conversation`], a pure machine that is fed bytes and answers with [`Effects`]. The driver
//! ([`relay`]) runs it between two sockets. Every command becomes a question to the [`Gate`], which decides it by
//! policy, writes it down, and only then mints the [`Permit`] without which nothing can be forwarded.

mod audience;
mod bell;
mod command;
mod conversation;
mod driver;
mod effects;
mod gate;
mod hold;
mod impact;
mod login;
mod meters;
mod peer;
mod permit;
mod protocol;
mod reader;
mod record;
mod refusal;
mod reveals;
mod room;
mod serve;
mod sessions;
mod signals;
mod targets;
#[cfg(feature = "testing")]
pub mod testing;

pub use audience::{Audience, Crowded, Seat, Watcher};
pub use command::{Command, InWords, Phase, Recorded, Shape, Unparsed};
pub use conversation::{Ask, AskId, Conversation, HoldInfo, Side, WireError};
pub use driver::{Ending, relay};
pub use effects::{Effects, Finish, Housekeeping};
pub use gate::{Asked, Gate, Ruling, Standing};
pub use hold::{Asking, Granted, Hold, HoldOutcome, HoldStep, Opened, Reviewing, Waiting};
pub use impact::{Estimate, Impact};
pub use login::{Agents, DialError, Door, LOST, Login, Opening, Pending, ServedBy, Wanted, Whom, lost};
pub use permit::{Permit, Spent};
pub use protocol::{Caller, Claim, GreetError, Greeting, Proof, Protocol, Relaying};
pub use reader::{Ground, Raw, Reader, Reclassified};
pub use record::Written;
pub use refusal::{Reason, Refusal};
pub use reveals::Reveals;
pub use room::Rooms;
pub use serve::{House, resource, serve};
pub use sessions::{Enrolled, PolicyChange, SessionInfo, Sessions};
pub use signals::{Interrupt, Signals};
pub use targets::Targets;
