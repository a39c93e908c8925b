//! SSH on the path of a command: greeting clients, logging in to hosts, running the machine between them.

use std::sync::Arc;

use sallyport_identity::Identities;
use sallyport_listen::Wire;
use sallyport_mask::MaskKey;
use sallyport_session::{DialError, Ending, Gate, GreetError, Greeting, Protocol, Relaying, relay};
use sallyport_ssh_transport::ServerConfig;
use sallyport_target::SshLease;

use crate::account::Account;
use crate::conversation::{Begin, SshConversation};
use crate::dial::{self, Homes, Upstream};
use crate::greet::{self, Caller};

/// SSH, as a gateway speaks it.
pub struct Ssh {
    config: Arc<ServerConfig>,
    identities: Arc<Identities>,
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
        Self {
            config: Arc::new(config),
            identities,
            mask_key: Arc::new(mask_key),
            homes: Homes::default(),
        }
    }
}

impl Protocol for Ssh {
    type Caller = Caller;
    type Lease = SshLease;
    type Upstream = Upstream;
    const NAME: &'static str = "ssh";
    const SCHEMA: &'static str = include_str!("schema.cedarschema");

    async fn greet(&self, client: Wire) -> Result<Greeting<Caller>, GreetError> {
        let caller = greet::greet(client, Arc::clone(&self.config), &self.identities).await;
        caller
            .map(Greeting::Caller)
            .map_err(|error| GreetError(error.to_string()))
    }

    async fn dial(&self, lease: &SshLease, caller: &Caller) -> Result<Upstream, DialError> {
        let person = &sallyport_session::Caller::claim(caller).user;
        dial::dial(lease, &self.identities, person, &self.homes)
            .await
            .map_err(|error| DialError(error.to_string()))
    }

    async fn relay(&self, caller: Caller, upstream: Upstream, relaying: Relaying<SshLease>) -> (Ending, Gate) {
        let Relaying {
            mut gate,
            signals,
            reveals,
            lease,
        } = relaying;
        let Ok((wire, client)) = caller.welcome().await else {
            return (Ending::Client, gate);
        };
        gate.remark(&upstream.home.remark());
        let conversation = SshConversation::new(Begin {
            client,
            target: upstream.transport,
            account: Account::new(&lease, upstream.home.path),
            reveals,
            mask_key: Arc::clone(&self.mask_key),
        });
        relay(conversation, wire, upstream.wire, gate, signals).await
    }
}
