//! The target's side of a login: reached, TLS, logged in with the lease's credential.
//!
//! The client's startup packet is never passed on. What the target gets is made here: user and password
//! from the lease, settings from the list of those that may be given.

mod end_point;
mod error;
mod keys;
mod login;
pub(crate) mod scram;

use std::{io, time::Duration};

use bytes::BytesMut;
use sallyport_listen::{Wire, connect_tls};
use sallyport_target::{PostgresLease, Tls, dial_tcp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

pub use error::{Culprit, DialError};
pub use scram::ScramError;

use crate::{
    cancel_key::CancelKey,
    greet::{Replication, Startup},
    wire::{
        Diagnostic,
        backend::TransactionStatus,
        startup::{self, Version},
    },
};

/// How long a target may take over a cancel request before we stop waiting. It acts on it anyway.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// A session at the target, ready for commands.
#[derive(Debug)]
pub struct Upstream {
    /// The connection.
    pub wire: Wire,
    /// The settings that the target reported, in its order.
    pub parameters: Vec<(String, String)>,
    /// What cancels the session at the target. Never leaves the gateway.
    pub backend_key: Option<CancelKey>,
    /// Always idle after a login.
    pub transaction_status: TransactionStatus,
    /// Remarks that the target made during the login.
    pub notices: Vec<Diagnostic<'static>>,
}

/// Logs in to targets. Remembers SCRAM keys of logins that worked, so keep one for all sessions.
#[derive(Default)]
pub struct Dialer {
    keys: keys::KeyCache,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

impl Dialer {
    /// Reaches the target of `lease` and logs in with the lease's credential, for the client that asked
    /// for `startup`.
    ///
    /// # Errors
    /// A [`DialError`] that says who is at fault, and no secret.
    ///
    /// # Cancel safety
    /// When dropped, the connection is closed.
    pub async fn dial(&self, lease: &PostgresLease, startup: &Startup) -> Result<Upstream, DialError> {
        let packet = packet(lease, startup)?;
        let wire = dial_tcp(&lease.address, lease.connect_timeout).await?;
        let login = async {
            let wire = encrypted(wire, lease).await?;
            login::Login::new(wire, lease, &self.keys).run(&packet).await
        };
        let seconds = lease.login_timeout.as_secs();
        // Boxed: it is large, and held only while a session begins.
        timeout(lease.login_timeout, Box::pin(login))
            .await
            .map_err(|_elapsed| DialError::Timeout { seconds })?
    }
}

/// Asks the target to cancel what the session with `key` is doing, and waits until it has taken note.
///
/// # Errors
/// When the target cannot be reached. Whether anything was cancelled is not told by the protocol.
pub async fn cancel(lease: &PostgresLease, key: &CancelKey) -> Result<(), DialError> {
    let wire = dial_tcp(&lease.address, lease.connect_timeout).await?;
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

/// The startup packet for the target.
fn packet(lease: &PostgresLease, startup: &Startup) -> Result<Vec<u8>, DialError> {
    if let Some(name) = startup.refused_setting(&lease.startup_settings) {
        return Err(DialError::Setting(name.to_owned()));
    }
    let mut parameters = vec![("user", lease.user.as_str())];
    if let Some(database) = &lease.database {
        parameters.push(("database", database));
    }
    match &startup.replication {
        Replication::No => {}
        Replication::Asked(_) => return Err(DialError::Replication),
        Replication::Permitted(walsender) => parameters.push(("replication", walsender.word())),
    }
    parameters.extend(startup.settings());
    let mut out = Vec::new();
    startup::startup(&mut out, Version::V3_0, parameters);
    Ok(out)
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
