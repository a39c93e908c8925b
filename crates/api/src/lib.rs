//! The HTTP API: logging in, tokens, reviews, sessions and their replay, the policy in force, metrics.
//!
//! It is off the data path. It knows identities and reviews; of sessions, recordings, the policy and the journal it
//! knows what their traits in [`ports`] say, which the binary implements. [`router`] is the whole API as a service,
//! [`serve`] runs it on a [`sallyport_listen::Listener`]. Errors are problem details
//! ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).

mod extract;
pub mod ports;
mod problem;
mod routes;
mod server;
mod state;

pub use problem::{Problem, ProblemBody};
pub use routes::{ROUTES, router};
pub use server::{ServeError, serve};
pub use state::{Access, Api};
