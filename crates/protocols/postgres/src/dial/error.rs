//! What can go wrong with a target, and what the client is told of it.

use std::io;

use sallyport_listen::TlsError;
use sallyport_target::{AuthMethod, ConnectError};

use super::scram::ScramError;
use crate::roles::RoleError;
use crate::wire::{Diagnostic, Field, WireError};

/// Who must do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// The client asks for something that it may not have.
    Client,
    /// The target does not answer, or answers nonsense.
    Target,
    /// The gateway's settings do not fit the target.
    Gateway,
}

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

impl DialError {
    /// Who must do something about it.
    pub fn culprit(&self) -> Culprit {
        match self {
            Self::Setting(_) | Self::Replication => Culprit::Client,
            Self::Connect(_)
            | Self::Io(_)
            | Self::Closed
            | Self::Timeout { .. }
            | Self::Wire(_)
            | Self::Unexpected(_)
            | Self::Unproven { .. }
            | Self::Scram(_) => Culprit::Target,
            Self::NoTls
            | Self::Tls(_)
            | Self::Method { .. }
            | Self::NoPassword
            | Self::ClearPassword
            | Self::Unveiled
            | Self::ChannelBinding
            | Self::Role(_) => Culprit::Gateway,
            Self::Refused(diagnostic) if is_login_refusal(diagnostic) => Culprit::Gateway,
            Self::Refused(_) => Culprit::Target,
        }
    }

    /// What the client is told: enough to know whom to ask, nothing about the gateway's credential.
    pub fn diagnostic(&self, target: &str) -> Diagnostic<'static> {
        let told = |code, why: String| Diagnostic::fatal(code, format!("the target `{target}` cannot be used: {why}"));
        let operator = "Tell those who run the gateway.";
        match self {
            Self::Setting(_) => Diagnostic::fatal("42501", self.to_string())
                .hint("Set it with SET after connecting, or have it added to the target's startup_settings."),
            Self::Replication => Diagnostic::fatal("42501", self.to_string()),
            Self::Refused(theirs) if is_login_refusal(theirs) => {
                told("08004", "it refuses the gateway's login".into()).hint(operator)
            }
            Self::Refused(theirs) => {
                let mut diagnostic = Diagnostic::fatal("08004", theirs.text(Field::Message).into_owned())
                    .detail(format!("The target `{target}` said so."));
                diagnostic.set(Field::Code, theirs.sqlstate().into_owned().into_bytes());
                diagnostic
            }
            Self::Connect(_) | Self::Io(_) | Self::Closed | Self::Timeout { .. } => {
                told("08001", "it cannot be reached, or does not answer".into()).hint(operator)
            }
            Self::NoTls
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
            | Self::Scram(_) => told("08001", self.to_string()).hint(operator),
        }
    }
}

/// Class 28, invalid authorization: it is the gateway's credential that was refused, not the client's.
fn is_login_refusal(diagnostic: &Diagnostic<'_>) -> bool {
    diagnostic.sqlstate().starts_with("28")
}
