//! What can go wrong with a target, and what the client is told of it.

use std::io;

use sallyport_listen::TlsError;
use sallyport_target::{AuthMethod, ConnectError};

use super::scram::ScramError;
use crate::roles::RoleError;
use crate::wire::{Diagnostic, Field, WireError};

/// There is no session at the target. Says no secret.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The client gives a setting that it may not give at connect.
    #[error("the setting `{0}` may not be given at connect")]
    Setting(String),
    /// The client asks for replication, which nobody permitted.
    #[error("replication is not permitted")]
    Replication,
    /// The target cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The target does not speak TLS.
    #[error("the target does not speak TLS, which is required")]
    NoTls,
    /// TLS did not come about.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The connection failed.
    #[error("the connection to the target failed: {0}")]
    Io(#[from] io::Error),
    /// The target closed the connection.
    #[error("the target closed the connection during login")]
    Closed,
    /// The target took too long.
    #[error("the login at the target took longer than {seconds} s")]
    Timeout {
        /// How long was waited, in seconds.
        seconds: u64,
    },
    /// The target breaks the protocol.
    #[error("the target broke the protocol: {0}")]
    Wire(#[from] WireError),
    /// The target says something that has no place there.
    #[error("the target sent {0} during login")]
    Unexpected(&'static str),
    /// The target asks for a way to log in that is not good enough for it.
    #[error("the target asks for `{asked}` to log in, which its settings do not allow")]
    Method {
        /// What it asks for.
        asked: String,
    },
    /// The target lets us in without having asked for what would prove that it is the right one.
    #[error("the target let the gateway in without the proof that `{}` gives", .pinned.as_str())]
    Unproven {
        /// The way that should have been taken.
        pinned: AuthMethod,
    },
    /// The target asks for a password and there is none.
    #[error("the target asks for a password, and none is configured")]
    NoPassword,
    /// The password would go in clear to somebody who has not shown who they are.
    #[error("the password would go in clear to a target whose certificate is not verified")]
    ClearPassword,
    /// The login must be bound to the TLS channel, and cannot be.
    #[error("the login cannot be bound to the TLS channel, which is required")]
    ChannelBinding,
    /// The agent does not say that it masks what the target says.
    #[error("the agent does not mask: it is older than this gateway, or none of ours")]
    Unveiled,
    /// There is no role for the session.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// SCRAM failed on the target's side.
    #[error("SCRAM with the target failed: {0}")]
    Scram(#[from] ScramError),
    /// The target refuses.
    #[error("the target refuses: {} {}", .0.sqlstate(), .0.text(Field::Message))]
    Refused(Box<Diagnostic<'static>>),
}

/// Classes of errors (of SQLSTATE) that a target's refusal is told of, since they say nothing that is not the client's to know:
/// the database is not there (3D) or takes nobody (55), the server is full (53), starts or stops (57), or a setting that the
/// client gave makes no sense (22023, 42704). Of the gateway's own login (28) or what code at the target says nobody is told.
const TOLD: [&str; 6] = ["3D", "55", "53", "57", "22023", "42704"];

impl DialError {
    /// What the client is told beyond that there is no login: what it can do something about, and nothing about the gateway's
    /// credential.
    pub fn told(&self) -> Option<String> {
        match self {
            Self::Setting(_) => Some(format!(
                "{self}: set it with SET after connecting, or have it added to the target's `startup_settings`"
            )),
            Self::Replication | Self::Role(RoleError::NoGrants) => Some(self.to_string()),
            Self::Refused(theirs) => {
                let code = theirs.sqlstate();
                let told = TOLD.iter().any(|class| code.starts_with(class));
                told.then(|| theirs.text(Field::Message).into_owned())
            }
            Self::Connect(_)
            | Self::Io(_)
            | Self::Closed
            | Self::Timeout { .. }
            | Self::NoTls
            | Self::Tls(_)
            | Self::Wire(_)
            | Self::Unexpected(_)
            | Self::Method { .. }
            | Self::Unproven { .. }
            | Self::NoPassword
            | Self::ClearPassword
            | Self::Unveiled
            | Self::ChannelBinding
            | Self::Role(_)
            | Self::Scram(_) => None,
        }
    }
}
