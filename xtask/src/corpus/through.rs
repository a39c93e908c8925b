//! How the clients of a case reach the server: through the gateway, or straight.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use sallyport_testbed::{Gateway, GatewayOptions, Person};

/// Who runs every case.
const PERSON: &str = "corpus";

/// What a client says at startup.
pub(crate) struct Claim {
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) password: Option<String>,
}

/// The way to the server.
pub(crate) enum Door {
    /// No gateway.
    Direct(SocketAddr),
    /// The gateway, and the token that opens it.
    Gateway { gateway: Box<Gateway>, token: String },
}

impl Door {
    /// Straight to the server.
    pub(crate) fn direct(server: SocketAddr) -> Door {
        Door::Direct(server)
    }

    /// Through a gateway that is started for this, with a policy and its targets.
    pub(crate) fn gateway(program: &Path, policy: &Path, targets: &str) -> Result<Door> {
        let gateway = Gateway::start(&GatewayOptions {
            program: program.to_owned(),
            policy: policy.to_owned(),
            targets: Some(targets.to_owned()),
            people: vec![Person::new(PERSON, &["corpus"])],
            settings: String::new(),
        })?;
        let token = gateway.token(PERSON).with_context(|| gateway.log_tail())?;
        Ok(Door::Gateway {
            gateway: Box::new(gateway),
            token,
        })
    }

    /// Where to connect.
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Door::Direct(address) => *address,
            Door::Gateway { gateway, .. } => gateway.postgres(),
        }
    }

    /// What to say in order to reach `target`, which stands for `role` in `database`.
    pub(crate) fn claim(&self, target: &str, role: &str, database: &str) -> Claim {
        match self {
            Door::Direct(_) => Claim {
                user: role.to_owned(),
                database: database.to_owned(),
                password: None,
            },
            Door::Gateway { token, .. } => Claim {
                user: PERSON.to_owned(),
                database: target.to_owned(),
                password: Some(token.clone()),
            },
        }
    }

    /// What is wrong with the gateway, if it does not run any more.
    pub(crate) fn broken(&self) -> Option<String> {
        match self {
            Door::Gateway { gateway, .. } if !gateway.is_running() => Some(gateway.log_tail()),
            Door::Gateway { .. } | Door::Direct(_) => None,
        }
    }
}
