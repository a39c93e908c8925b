//! SSH on the path of a command: greeting clients, logging in to hosts, running the machine between them.

use std::collections::BTreeSet;
use std::sync::Arc;

use sallyport_identity::Identities;
use sallyport_listen::Wire;
use sallyport_mask::MaskKey;
use sallyport_session::{
    DialError, Ending, Gate, GreetError, Greeting, Ground, Protocol, Reader, Reason, Refusal, Relaying, relay,
};
use sallyport_ssh_transport::ServerConfig;
use sallyport_target::{Access, MaskAt, Target};
use smol_str::SmolStr;
use tokio::io::AsyncWriteExt;

use crate::account::Account;
use crate::conversation::{Begin, SshConversation};
use crate::dial::{Dialer, Homes, Order, Upstream};
use crate::facts::Alone;
use crate::greet::{self, Caller};

/// SSH, as a gateway speaks it.
pub struct Ssh {
    config: Arc<ServerConfig>,
    identities: Arc<Identities>,
    dialer: Arc<Dialer>,
    mask_key: Arc<MaskKey>,
    homes: Homes,
}

impl std::fmt::Debug for Ssh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ssh")
    }
}

impl Ssh {
    /// A gateway's SSH. `config` holds the keys that it shows to clients; `mask_key` makes keyed masks stable.
    #[must_use]
    pub fn new(config: ServerConfig, identities: Arc<Identities>, mask_key: MaskKey) -> Self {
        let authority = identities.ssh().map(|authorities| Arc::clone(authorities.hosts()));
        Self {
            config: Arc::new(config),
            dialer: Arc::new(Dialer::new(authority)),
            identities,
            mask_key: Arc::new(mask_key),
            homes: Homes::default(),
        }
    }
}

impl Protocol for Ssh {
    type Caller = Caller;
    type Login = Dialer;
    const SCHEMA: &'static str = include_str!("schema.cedarschema");

    fn reader(ground: Ground<'_>) -> Result<Box<dyn Reader>, String> {
        Ok(Box::new(Alone::new(ground)?))
    }

    async fn greet(&self, client: Wire) -> Result<Greeting<Caller>, GreetError> {
        let caller = greet::greet(client, Arc::clone(&self.config), &self.identities).await;
        caller
            .map(Greeting::Caller)
            .map_err(|error| GreetError(error.to_string()))
    }

    fn login(&self) -> &Arc<Dialer> {
        &self.dialer
    }

    /// Accounts at hosts are there already: nothing is granted to them.
    fn order(&self, target: &Target, _caller: &Caller, _grants: &BTreeSet<SmolStr>) -> Result<Order, DialError> {
        let veiled = matches!(&target.access, Access::Ssh(host) if host.mask_at == MaskAt::Agent);
        Ok(Order { veiled })
    }

    async fn relay(&self, caller: Caller, upstream: Upstream, relaying: Relaying<Dialer>) -> (Ending, Gate) {
        let Relaying {
            mut gate,
            signals,
            reveals,
            door,
        } = relaying;
        let target = Arc::clone(door.target());
        let asked = match &target.access {
            Access::Ssh(host) => match self.homes.of(&door, host.login_shell, upstream).await {
                Ok((home, upstream)) => Ok((host, home, upstream)),
                Err(error) => Err(error.to_string()),
            },
            Access::Postgres(_) => Err("the target speaks another protocol".to_owned()),
        };
        let (host, home, upstream) = match asked {
            Ok(asked) => asked,
            Err(error) => return (refuse(caller, &target.name, &error).await, gate),
        };
        let Ok((wire, client)) = caller.welcome().await else {
            return (Ending::Client, gate);
        };
        gate.remark(&home.remark());
        let agent = target.agent().filter(|_| upstream.veiled);
        let mut conversation = SshConversation::new(Begin {
            client,
            target: upstream.transport,
            account: Account::new(&target.name, host, door.place(), home.path),
            reveals,
            mask_key: Arc::clone(&self.mask_key),
            veiled: agent.cloned(),
        });
        let mut host = upstream.wire;
        let classification = gate.bundle().classification(&target.name);
        if let Some(word) = conversation.first_word(&classification)
            && (host.write_all(&word).await.is_err() || host.flush().await.is_err())
        {
            return (Ending::Target, gate);
        }
        relay(conversation, wire, host, gate, signals).await
    }
}

/// The host let the gateway in, and then did not say where it is.
async fn refuse(caller: Caller, target: &str, error: &str) -> Ending {
    tracing::error!(%error, %target, "a host does not say where its shell begins");
    let message = format!("the target `{target}` is not available");
    let refusal = Refusal::new(Reason::Unavailable, message).with_hint("the gateway's log says why");
    sallyport_session::Caller::refuse(caller, &refusal).await;
    Ending::Gateway(refusal)
}
