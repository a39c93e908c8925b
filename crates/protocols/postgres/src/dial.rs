//! The target's side of a login: reached, TLS, logged in with the lease's credential.
//!
//! The client's startup packet is never passed on. What the target gets is made here: user and password
//! from the lease, settings from the list of those that may be given.

mod end_point;
mod error;
mod keys;
mod login;
pub(crate) mod scram;

use std::{collections::BTreeSet, io, path::Path, sync::Arc, time::Duration};

use bytes::BytesMut;
use sallyport_credential::{Background, Hold};
use sallyport_listen::{Wire, connect_tls};
use sallyport_session::{DialError as NoLogin, Whom};
use sallyport_target::{Ephemeral, PostgresLease, Target, Tls, dial_tcp};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes},
    time::timeout,
};

pub use error::DialError;
pub(crate) use keys::KeyCache;
pub use scram::ScramError;

use crate::{
    cancel_key::CancelKey,
    greet::{Replication, Startup},
    roles::{RoleError, Roles},
    veil,
    wire::{
        Diagnostic,
        backend::{ParameterStatus, ReadyForQuery, TransactionStatus},
        startup::{self, Version},
    },
};

/// How long a target may take over a cancel request before we stop waiting. It acts on it anyway.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// What an agent moves at once between a target and a flow.
const AT_ONCE: usize = 32 * 1024;

/// A session at the target, ready for commands.
#[derive(Debug)]
pub struct Upstream {
    /// The connection.
    pub wire: Wire,
    /// The settings that the target reported, in its order.
    pub parameters: Vec<(String, String)>,
    /// What cancels the session at the target. No client gets it.
    pub backend_key: Option<CancelKey>,
    /// Remarks that the target made during the login.
    pub notices: Vec<Diagnostic<'static>>,
    /// Whether whoever logged in masks what the target says.
    pub veiled: bool,
    /// Keeps the credential, where this process fetched one.
    pub hold: Option<Hold>,
}

/// Logs in to targets. Remembers SCRAM keys of logins that worked, so keep one for all sessions.
#[derive(Default)]
pub struct Dialer {
    keys: Arc<KeyCache>,
    roles: Option<Arc<Roles>>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

/// What is asked of a target for a session: the parameters of its startup packet, but who logs in and to which
/// database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    parameters: Vec<(SmolStr, String)>,
    /// Whether whoever logs in masks what the target says.
    #[serde(default)]
    veiled: bool,
    #[serde(default)]
    purpose: Purpose,
    /// What the session's own role gets, if it has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    grants: Vec<SmolStr>,
}

/// What a login is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// A session of a person.
    #[default]
    Session,
    /// The names of a database, for all of its sessions.
    Names,
    /// The plan of a held statement.
    Plan,
}

impl Order {
    /// What the client of `startup` wants, who may give the settings of `also` besides those that are always allowed.
    ///
    /// # Errors
    /// When the client gives another setting, or wants replication that nobody permitted.
    pub fn new(startup: &Startup, also: &[SmolStr]) -> Result<Self, DialError> {
        if let Some(name) = startup.refused_setting(also) {
            return Err(DialError::Setting(name.to_owned()));
        }
        let replication = match &startup.replication {
            Replication::No => None,
            Replication::Asked(_) => return Err(DialError::Replication),
            Replication::Permitted(walsender) => Some((REPLICATION.into(), walsender.word().to_owned())),
        };
        let settings = startup
            .settings()
            .map(|(name, value)| (SmolStr::from(name), value.to_owned()));
        Ok(Self {
            parameters: replication.into_iter().chain(settings).collect(),
            ..Self::default()
        })
    }

    /// For a connection of our own.
    pub(crate) fn beside() -> Self {
        let parameters = [("application_name", "sallyport"), ("client_encoding", "UTF8")];
        let parameters = parameters.map(|(name, value)| (SmolStr::new_static(name), value.to_owned()));
        Self {
            parameters: parameters.to_vec(),
            ..Self::default()
        }
    }

    /// The same for this.
    #[must_use]
    pub(crate) fn with_purpose(self, purpose: Purpose) -> Self {
        Self { purpose, ..self }
    }

    /// The same for a session whose own role gets this, if it has one.
    #[must_use]
    pub fn with_grants(self, grants: impl IntoIterator<Item = SmolStr>) -> Self {
        let grants = grants.into_iter().collect();
        Self { grants, ..self }
    }

    /// What the session's own role gets. Whoever asks may be somebody that has taken a gateway over: what it must not have
    /// is refused here.
    pub(crate) fn granted(&self, settings: &Ephemeral) -> Result<Vec<SmolStr>, RoleError> {
        match self.purpose {
            // Catalogs are there for everybody to read.
            Purpose::Names => Ok(Vec::new()),
            Purpose::Plan => Err(RoleError::NoPlans),
            Purpose::Session if self.grants.is_empty() => Err(RoleError::NoGrants),
            Purpose::Session => {
                let not = self.grants.iter().find(|grant| !settings.grantable.contains(grant));
                match not {
                    Some(not) => Err(RoleError::NotGrantable(not.clone())),
                    None => Ok(self
                        .grants
                        .iter()
                        .cloned()
                        .collect::<BTreeSet<_>>()
                        .into_iter()
                        .collect()),
                }
            }
        }
    }

    /// The same, where the agent masks what the target says.
    ///
    /// # Errors
    /// When it is for replication, whose streams nobody masks.
    pub fn veiled(self) -> Result<Self, DialError> {
        if self.parameters.iter().any(|(name, _)| name == REPLICATION) {
            return Err(DialError::Replication);
        }
        Ok(Self { veiled: true, ..self })
    }

    /// The startup packet. Of two values with one name a server takes the last, so nothing may be named twice.
    fn packet(&self, lease: &PostgresLease) -> Result<Vec<u8>, DialError> {
        let mut parameters = vec![("user", lease.user.as_str()), ("database", lease.database.as_str())];
        for (name, value) in &self.parameters {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '$');
            let good = !name.is_empty() && name.chars().all(plain) && name != "options" && !value.contains('\0');
            if !good || parameters.iter().any(|(other, _)| other == name) {
                return Err(DialError::Setting(name.to_string()));
            }
            parameters.push((name, value));
        }
        let mut out = Vec::new();
        startup::startup(&mut out, Version::V3_0, parameters);
        Ok(out)
    }
}

/// The parameter that makes a session one of replication.
const REPLICATION: &str = "replication";

/// What is done at a target beside its sessions.
#[derive(Debug, Serialize, Deserialize)]
pub enum Errand {
    /// Cancels what the session with this key is doing.
    Cancel(CancelKey),
}

impl Dialer {
    /// Reaches the target of `lease` and logs in with the lease's credential.
    ///
    /// # Errors
    /// A [`DialError`] that says who is at fault, and no secret.
    ///
    /// # Cancel safety
    /// When dropped, the connection is closed.
    pub async fn dial(&self, lease: &PostgresLease, order: &Order) -> Result<Upstream, DialError> {
        // Nobody will log in again as a user that was made for one session.
        let keys = (!lease.is_for_one_session()).then_some(&*self.keys);
        dial(lease, order, keys).await
    }

    /// The same, and makes roles for sessions where targets say so. They are written down in `state`, and ended by
    /// `background`.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn with_roles(self, state: &Path, background: &Background) -> io::Result<Self> {
        let roles = Roles::open(state, background.clone(), Arc::clone(&self.keys))?;
        Ok(Self {
            roles: Some(Arc::new(roles)),
            ..self
        })
    }

    /// Ends roles that were left behind at these targets.
    pub async fn sweep(&self, targets: &[Arc<Target>]) {
        if let Some(roles) = &self.roles {
            roles.sweep(targets).await;
        }
    }
}

/// Reaches a target and logs in. Keys of logins that worked are looked up in `keys` and remembered there.
pub(crate) async fn dial(lease: &PostgresLease, order: &Order, keys: Option<&KeyCache>) -> Result<Upstream, DialError> {
    let packet = order.packet(lease)?;
    let wire = dial_tcp(&lease.address, lease.patience.connect).await?;
    let login = async {
        let wire = encrypted(wire, lease).await?;
        let upstream = login::Login::new(wire, lease, keys).run(&packet).await?;
        Ok(Upstream {
            veiled: order.veiled,
            ..upstream
        })
    };
    let seconds = lease.patience.login.as_secs();
    // Boxed: it is large, and held only while a session begins.
    timeout(lease.patience.login, Box::pin(login))
        .await
        .map_err(|_elapsed| DialError::Timeout { seconds })?
}

impl sallyport_session::Login for Dialer {
    type Lease = PostgresLease;
    type Order = Order;
    type Errand = Errand;
    type Upstream = Upstream;
    const NAME: &'static str = "postgres";

    async fn log_in(&self, mut lease: PostgresLease, order: &Order, whom: &Whom) -> Result<Upstream, NoLogin> {
        if let Some(administrator) = lease.administrator.take() {
            let roles = self.roles.as_ref().ok_or_else(|| NoLogin::of(RoleError::NoState))?;
            lease = roles.make(lease, *administrator, order, whom).await.map_err(no_login)?;
        }
        let mut upstream = self.dial(&lease, order).await.map_err(no_login)?;
        upstream.hold = lease.hold;
        Ok(upstream)
    }

    fn hold(upstream: &mut Upstream) -> Option<Hold> {
        upstream.hold.take()
    }

    async fn run(&self, lease: &PostgresLease, errand: &Errand) -> Result<(), NoLogin> {
        match errand {
            Errand::Cancel(key) => cancel(lease, key).await.map_err(no_login),
        }
    }

    async fn hand_over(&self, mut upstream: Upstream, mut flow: Wire) -> io::Result<()> {
        let mut out = BytesMut::new();
        if upstream.veiled {
            // What they may not say is told only later.
            upstream.notices.clear();
            veil::encode(&veil::Up::Veiled, &mut out);
        }
        upstream.tell(upstream.backend_key.as_ref(), &mut out);
        flow.write_all(&out).await?;
        flow.flush().await?;
        if upstream.veiled {
            return veil::carry(upstream.wire, flow).await;
        }
        let mut target = upstream.wire;
        copy_bidirectional_with_sizes(&mut target, &mut flow, AT_ONCE, AT_ONCE).await?;
        Ok(())
    }

    async fn take_over(&self, flow: Wire, order: &Order) -> Result<Upstream, NoLogin> {
        let settled = async {
            let mut settling = login::Settling::new(flow);
            if order.veiled {
                settling.expect_veil().await?;
            }
            settling.finish().await
        };
        let upstream = settled.await.map_err(NoLogin::of)?;
        Ok(Upstream {
            veiled: order.veiled,
            ..upstream
        })
    }
}

/// How a session hears of it.
pub(crate) fn no_login(error: DialError) -> NoLogin {
    if let DialError::Connect(error) = &error {
        return NoLogin::Unreached(error.to_string());
    }
    match error.told() {
        Some(why) => NoLogin::Told(why),
        None => NoLogin::of(error),
    }
}

impl Upstream {
    /// What is told of a login once it is done, in the protocol's own messages: what the target reported, the key that
    /// cancels, and that the session is ready.
    pub(crate) fn tell(&self, key: Option<&CancelKey>, out: &mut BytesMut) {
        for (name, value) in &self.parameters {
            ParameterStatus {
                name: name.as_bytes(),
                value: value.as_bytes(),
            }
            .encode(out);
        }
        if let Some(key) = key {
            key.to_message().encode(out);
        }
        for notice in &self.notices {
            notice.encode_notice(out);
        }
        ReadyForQuery {
            status: TransactionStatus::Idle,
        }
        .encode(out);
    }
}

/// Asks the target to cancel what the session with `key` is doing, and waits until it has taken note.
///
/// # Errors
/// When the target cannot be reached. Whether anything was cancelled is not told by the protocol.
pub async fn cancel(lease: &PostgresLease, key: &CancelKey) -> Result<(), DialError> {
    let wire = dial_tcp(&lease.address, lease.patience.connect).await?;
    let send = async {
        let mut wire = encrypted(wire, lease).await?;
        let mut out = Vec::new();
        startup::cancel_request(&mut out, &key.to_message());
        wire.write_all(&out).await?;
        wire.flush().await?;
        // The server closes when it has acted; it says nothing.
        match wire.read_buf(&mut BytesMut::with_capacity(64)).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            // Servers of PostgreSQL close without TLS' own farewell.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(error.into()),
        }
    };
    let seconds = CANCEL_PATIENCE.as_secs();
    timeout(CANCEL_PATIENCE, Box::pin(send))
        .await
        .map_err(|_elapsed| DialError::Timeout { seconds })?
}

/// TLS, if the lease says so. Only the one byte of the answer is read before it, so nothing that arrived in
/// clear can be taken for what came through TLS (CVE-2021-23222).
async fn encrypted(mut wire: Wire, lease: &PostgresLease) -> Result<Wire, DialError> {
    let Tls::Require(tls) = &lease.tls else {
        return Ok(wire);
    };
    let mut out = Vec::new();
    startup::ssl_request(&mut out);
    wire.write_all(&out).await?;
    wire.flush().await?;
    let answer = match wire.read_u8().await {
        Ok(answer) => answer,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(DialError::Closed);
        }
        Err(error) => return Err(error.into()),
    };
    match answer {
        b'S' => Ok(connect_tls(wire, tls).await?),
        b'N' => Err(DialError::NoTls),
        // Whatever text follows is from somebody who has not shown who they are.
        _ => Err(DialError::Unexpected("nonsense as the answer to the request for TLS")),
    }
}
