//! What a protocol brings to the path of a command.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use sallyport_identity::{Credential, DeviceLogin};
use sallyport_listen::Wire;
use sallyport_target::Target;
use secrecy::SecretString;
use smol_str::SmolStr;

use crate::driver::Ending;
use crate::gate::Gate;
use crate::login::{DialError, Door, Login};
use crate::reader::{Ground, Reader};
use crate::refusal::Refusal;
use crate::reveals::Reveals;
use crate::signals::Signals;

/// What a client says of itself before anything is believed.
#[derive(Debug)]
pub struct Claim {
    /// Who it says it is.
    pub user: String,
    /// How it proves that.
    pub proof: Proof,
    /// The target that it names.
    pub target: String,
    /// The database or the like within the target, if it names one.
    pub database: Option<String>,
    /// The task that it carries.
    pub task: Option<String>,
    /// What program it says it is.
    pub tool: Option<String>,
    /// Whether it asks for a replication connection.
    pub replication: bool,
}

/// How a client proves who it is.
#[derive(Debug)]
pub enum Proof {
    /// A token, or the client's TLS certificate if it showed one.
    Token(SecretString),
    /// The certificate of its TLS connection, the key of which it has.
    Certificate,
    /// What the protocol's own login has already shown to be right, such as a key of SSH.
    Shown(Box<Credential>),
    /// A login that somebody completes elsewhere, with a browser: [`Caller::elsewhere`] has it.
    Elsewhere,
}

/// A client that has said what it wants and waits to be let in.
pub trait Caller: Send + Sync {
    /// What it says.
    fn claim(&self) -> &Claim;

    /// The socket.
    fn wire(&self) -> &Wire;

    /// The login of [`Proof::Elsewhere`], once. The client was told how to complete it.
    fn elsewhere(&mut self) -> Option<DeviceLogin> {
        None
    }

    /// Says something to the client while it waits.
    fn tell(&mut self, words: &crate::conversation::HoldInfo) -> impl Future<Output = ()> + Send;

    /// Turns the client away.
    fn refuse(self, refusal: &Refusal) -> impl Future<Output = ()> + Send;

    /// Resolves when the client leaves or cancels while it waits.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;

    /// Resolves when the client leaves while its login at the target is under way. What it says meanwhile waits for the
    /// target.
    fn left(&mut self) -> impl Future<Output = ()> + Send;
}

/// What the first words of a connection came to.
#[derive(Debug)]
pub enum Greeting<C> {
    /// A client that wants a session.
    Caller(C),
    /// The connection has done what it came for, such as a request to cancel.
    Done,
}

/// The first words made no sense, or took too long. The client was told.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct GreetError(pub String);

/// What a relay is run with.
pub struct Relaying<L: Login> {
    /// The session's gate.
    pub gate: Gate,
    /// What ends or interrupts it.
    pub signals: Signals,
    /// What this person may see.
    pub reveals: Arc<Reveals>,
    /// The way to the target, for what the protocol must do there beside the session (cancel requests).
    pub door: Door<L>,
}

/// A protocol: greets clients, logs in to targets, and relays between them.
pub trait Protocol: Send + Sync + 'static {
    /// A client that has said what it wants.
    type Caller: Caller;
    /// How it logs in to targets.
    type Login: Login;
    /// The protocol's name in `targets.toml`.
    const NAME: &'static str = <Self::Login as Login>::NAME;
    /// The protocol's Cedar schema fragment: its actions and facts.
    const SCHEMA: &'static str;

    /// What understands commands outside of any session.
    ///
    /// # Errors
    /// When what was written of the target makes no sense, or the target speaks another protocol.
    fn reader(ground: Ground<'_>) -> Result<Box<dyn Reader>, String>;

    /// What is known of the names at a target, as [`Protocol::reader`] takes it. Nothing where a protocol has no names.
    ///
    /// # Errors
    /// When the target cannot be asked.
    fn names(&self, _door: Door<Self::Login>) -> impl Future<Output = Result<Option<String>, DialError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Reads who claims to connect, and to which target.
    fn greet(&self, client: Wire) -> impl Future<Output = Result<Greeting<Self::Caller>, GreetError>> + Send;

    /// How it logs in to targets.
    fn login(&self) -> &Arc<Self::Login>;

    /// What is asked of `target` for `caller`, whose `connect` policy has permitted, and with it `grants` at the target.
    ///
    /// # Errors
    /// When the caller wants what nobody may have there.
    fn order(
        &self,
        target: &Target,
        caller: &Self::Caller,
        grants: &BTreeSet<SmolStr>,
    ) -> Result<<Self::Login as Login>::Order, DialError>;

    /// Lets the client in and relays until one side ends.
    fn relay(
        &self,
        caller: Self::Caller,
        upstream: <Self::Login as Login>::Upstream,
        relaying: Relaying<Self::Login>,
    ) -> impl Future<Output = (Ending, Gate)> + Send;
}
