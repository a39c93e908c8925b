//! How the clients of a case reach the server: through the gateway, or straight.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use tempfile::TempDir;

/// What a client says at startup.
pub(crate) struct Claim {
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) password: Option<String>,
}

/// What a gateway needs in order to start.
pub(crate) struct Setup {
    /// The policy's directory with its targets.
    pub(crate) policy: TempDir,
}

/// The way to the server.
pub(crate) enum Door {
    /// No gateway.
    Direct(SocketAddr),
}

impl Door {
    /// Straight to the server.
    pub(crate) fn direct(server: SocketAddr) -> Door {
        Door::Direct(server)
    }

    /// Through a gateway that is started for this.
    pub(crate) fn gateway(setup: Setup) -> Result<Door> {
        bail!(
            "the gateway is not wired yet: {}",
            setup.policy.path().display()
        )
    }

    /// Where to connect.
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Door::Direct(address) => *address,
        }
    }

    /// What to say in order to reach `target`, which stands for `role` in `database`.
    pub(crate) fn claim(&self, _target: &str, role: &str, database: &str) -> Claim {
        match self {
            Door::Direct(_) => Claim {
                user: role.to_owned(),
                database: database.to_owned(),
                password: None,
            },
        }
    }
}
