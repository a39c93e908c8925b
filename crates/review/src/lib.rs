//! Held commands and the people who decide about them.
//!
//! A command that policy holds becomes a *request*: [`Reviews::request`] stores it, tells reviewers, and gives the
//! session a [`Pending`] to poll. Enough approvals turn the request into a *grant*, which is bound to the exact
//! command ([`CommandDigest`], invariant I4), can be used once, and expires. Nobody approves their own request
//! (invariant I5), whatever groups they are in and through whichever of their identities they come.
//!
//! Every act is handed to a [`Witness`] before it takes effect (invariant I9); an act that cannot be witnessed does
//! not happen.

mod clock;
mod config;
mod desk;
mod digest;
mod error;
mod keeper;
mod needs;
mod pending;
mod request;
mod reviews;
mod rules;
mod webhook;
mod witness;

pub use clock::Clock;
pub use config::{ReviewConfig, Webhook, WebhookFormat};
pub use digest::{Binding, CommandDigest};
pub use error::ReviewError;
pub use pending::{Outcome, Pending};
pub use request::{Approval, Asker, Conclusion, Grant, Held, Impact, MAX_STATEMENT_BYTES, Need, NeedStatus, Request};
pub use reviews::{ListFilter, Reviews};
pub use rules::Visibility;
pub use sallyport_store::requests::RequestState;
pub use witness::{Act, ActKind, NoWitness, Witness, WitnessError};
