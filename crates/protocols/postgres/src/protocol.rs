//! PostgreSQL on the path of a command: greeting clients, logging in to servers, running the machine between them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::BytesMut;
use sallyport_listen::{ServerTls, Wire};
use sallyport_mask::MaskKey;
use sallyport_session::{
    Claim, DialError, Door, Ending, Gate, GreetError, Greeting, Ground, HoldInfo, Proof, Protocol, Reader, Refusal,
    Relaying, relay,
};
use sallyport_target::{Access, MaskAt, Target};
use smol_str::SmolStr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::cancel_key::CancelKey;
use crate::cancels::Cancels;
use crate::conversation::{Masks, PostgresConversation, Scope, SharedNames, Start, Veiled, Watch};
use crate::dial::{Dialer, Order, Upstream, no_login};
use crate::greet::{self, Greeted, Replication, Startup};
use crate::impact::{MAX_PLANNING, Planner};
use crate::keeper;
use crate::refuse;
use crate::scrub;
use crate::settings::Settings;
use crate::understanding::Alone;
use crate::wire::Limits;
use crate::wire::backend::Authentication;

/// PostgreSQL, as a gateway speaks it.
#[derive(Debug)]
pub struct Postgres {
    tls: Option<ServerTls>,
    dialer: Arc<Dialer>,
    mask_key: Arc<MaskKey>,
    cancels: Arc<Cancels>,
    /// By the target's name, where it is, and the database there: a target that moves is another server.
    names: Mutex<HashMap<(String, String, String), Kept>>,
    planning: Arc<Semaphore>,
    limits: Limits,
}

/// The names of a database. While it has sessions they are watched; between sessions they are only kept, and the next
/// session asks whether they are still the same.
#[derive(Debug)]
struct Kept {
    names: Arc<SharedNames>,
    watched: Weak<Watch>,
    /// The newest session's way to it.
    door: Arc<Mutex<Door<Dialer>>>,
}

/// Databases without a session whose names are kept. Beyond it they are all forgotten.
const KEPT_NAMES: usize = 32;

/// How long somebody who asked to cancel may take to close.
const CANCEL_FAREWELL: Duration = Duration::from_secs(1);

/// A client that has said what it wants.
#[derive(Debug)]
pub struct Caller {
    wire: Wire,
    startup: Startup,
    claim: Claim,
    /// The client was told that it is who it says, because it has to wait for people: libpq takes no notice before.
    entered: bool,
    /// What it said while it was logged in to the target.
    early: BytesMut,
}

/// Bytes that a client may say while it is logged in to the target.
const MAX_EARLY: usize = 64 * 1024;

impl Postgres {
    /// A gateway's PostgreSQL. `tls` is shown to clients; `mask_key` makes keyed masks stable.
    #[must_use]
    pub fn new(tls: Option<ServerTls>, mask_key: MaskKey) -> Self {
        Self {
            tls,
            dialer: Arc::default(),
            mask_key: Arc::new(mask_key),
            cancels: Arc::default(),
            names: Mutex::default(),
            planning: Arc::new(Semaphore::new(MAX_PLANNING)),
            limits: Limits::default(),
        }
    }

    /// The same, where a client's message has at most `bytes`.
    #[must_use]
    pub fn with_max_message(mut self, bytes: u32) -> Self {
        self.limits = self.limits.at_most(bytes);
        self
    }

    /// The same, logging in to targets with this.
    #[must_use]
    pub fn with_dialer(mut self, dialer: Dialer) -> Self {
        self.dialer = Arc::new(dialer);
        self
    }

    /// The names that the sessions of one database share. They are kept fresh as long as somebody watches.
    fn watch_names(&self, door: &Door<Dialer>) -> Arc<Watch> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (
            door.target().name.to_string(),
            door.leads_to(),
            door.place().to_string(),
        );
        if !names.contains_key(&key) {
            let idle = |kept: &Kept| kept.watched.strong_count() == 0;
            if names.values().filter(|kept| idle(kept)).count() >= KEPT_NAMES {
                names.retain(|_, kept| !idle(kept));
            }
        }
        let kept = names.entry(key).or_insert_with(|| Kept {
            names: Arc::default(),
            watched: Weak::new(),
            door: Arc::new(Mutex::new(door.clone())),
        });
        if let Some(watched) = kept.watched.upgrade() {
            door.clone_into(&mut kept.door.lock().unwrap_or_else(PoisonError::into_inner));
            return watched;
        }
        // Nobody watched since: whoever comes must ask.
        kept.names.changed();
        let watched = Arc::new(Watch(Arc::clone(&kept.names)));
        kept.watched = Arc::downgrade(&watched);
        kept.door = Arc::new(Mutex::new(door.clone()));
        tokio::spawn(keeper::keep(
            Arc::clone(&kept.names),
            Arc::downgrade(&watched),
            Arc::clone(&kept.door),
        ));
        watched
    }
}

impl Protocol for Postgres {
    type Caller = Caller;
    type Login = Dialer;
    const SCHEMA: &'static str = include_str!("schema.cedarschema");

    fn reader(ground: Ground<'_>) -> Result<Box<dyn Reader>, String> {
        Ok(Box::new(Alone::new(ground)?))
    }

    async fn names(&self, door: Door<Dialer>) -> Result<Option<String>, DialError> {
        keeper::written(&door).await.map(Some).map_err(DialError::of)
    }

    async fn greet(&self, client: Wire) -> Result<Greeting<Caller>, GreetError> {
        match greet::greet(client, self.tls.as_ref()).await {
            Ok(Greeted::Cancel(call)) => {
                self.cancels.cancel(&call.key, call.wire.peer().ip()).await;
                // Who asked waits for the end, and takes one without TLS's own farewell for a failure.
                call.wire.farewell(&[], CANCEL_FAREWELL).await;
                Ok(Greeting::Done)
            }
            Ok(Greeted::Login(mut greeting)) => {
                let certified = greeting.wire.tls().is_some_and(|tls| !tls.peer_certificates.is_empty());
                let proof = if certified {
                    Proof::Certificate
                } else {
                    Proof::Token(greeting.ask_password().await.map_err(|e| GreetError(e.to_string()))?)
                };
                let claim = claim(&greeting.startup, proof);
                Ok(Greeting::Caller(Caller {
                    wire: greeting.wire,
                    startup: greeting.startup,
                    claim,
                    entered: false,
                    early: BytesMut::new(),
                }))
            }
            Err(error) => Err(GreetError(error.to_string())),
        }
    }

    fn login(&self) -> &Arc<Dialer> {
        &self.dialer
    }

    fn order(&self, target: &Target, caller: &Caller, grants: &BTreeSet<SmolStr>) -> Result<Order, DialError> {
        let Access::Postgres(postgres) = &target.access else {
            return Err(DialError::of("the target speaks another protocol"));
        };
        // Policy has permitted the session's `connect`, of which replication is a fact.
        let mut startup = caller.startup.clone();
        startup.permit_replication();
        let order = Order::new(&startup, &postgres.startup_settings).map_err(no_login)?;
        let order = order.with_grants(grants.iter().cloned());
        match postgres.mask_at {
            MaskAt::Gateway => Ok(order),
            MaskAt::Agent => order.veiled().map_err(no_login),
        }
    }

    async fn relay(&self, caller: Caller, mut upstream: Upstream, relaying: Relaying<Dialer>) -> (Ending, Gate) {
        let Relaying {
            mut gate,
            signals,
            reveals,
            door,
        } = relaying;
        let turns = Arc::clone(&self.planning);
        gate.estimate_with(Arc::new(Planner {
            door: door.clone(),
            turns,
        }));
        let Caller {
            mut wire,
            startup,
            entered,
            early,
            ..
        } = caller;
        wire.unread(early.freeze());
        let standing = gate.standing();
        let watched = self.watch_names(&door);
        let registered = self
            .cancels
            .register(startup.version, &signals.interrupt, door.clone(), &upstream);
        let Ok((key, registered)) = registered else {
            return (Ending::Broken("no random bytes for a cancel key".to_owned()), gate);
        };
        let mut settings = Settings::default();
        for (name, value) in &upstream.parameters {
            settings.set(name.as_bytes(), value.as_bytes());
        }
        let classification = gate.bundle().classification(&standing.target.name);
        let masks = Masks::new(reveals, &classification, Arc::clone(&self.mask_key));
        for notice in &mut upstream.notices {
            scrub::clean_greeting(notice, &masks);
        }
        let welcome = welcome(&upstream, &key, entered);
        if wire.write_all(&welcome).await.is_err() || wire.flush().await.is_err() {
            return (Ending::Client, gate);
        }
        let own_name = format!("sallyport {:032x}", rand::random::<u128>());
        let conversation = PostgresConversation::new(Start {
            scope: Scope::new(Arc::clone(&watched.0), &own_name),
            settings,
            masks,
            database: standing.database.clone(),
            limits: self.limits,
            walsender: startup.replication.asked(),
            veiled: upstream
                .veiled
                .then(|| door.target().agent().cloned())
                .flatten()
                .map(Veiled::by),
        });
        let mut target = upstream.wire;
        if let Some(standing) = conversation.standing()
            && (target.write_all(&standing).await.is_err() || target.flush().await.is_err())
        {
            return (Ending::Target, gate);
        }
        let ended = relay(conversation, wire, target, gate, signals).await;
        drop((registered, watched));
        ended
    }
}

impl sallyport_session::Caller for Caller {
    fn claim(&self) -> &Claim {
        &self.claim
    }

    fn wire(&self) -> &Wire {
        &self.wire
    }

    async fn tell(&mut self, words: &HoldInfo) {
        let mut told = BytesMut::new();
        if !std::mem::replace(&mut self.entered, true) {
            Authentication::encode_ok(&mut told);
        }
        told.extend_from_slice(&refuse::held(words));
        // A client that cannot be told will be found gone.
        let _ = self.wire.write_all(&told).await;
        let _ = self.wire.flush().await;
    }

    async fn refuse(self, refusal: &Refusal) {
        greet::Greeting {
            wire: self.wire,
            startup: self.startup,
        }
        .refuse(refuse::login(refusal))
        .await;
    }

    async fn gone(&mut self) {
        // Nothing may come before the login is over: bytes or an end, the client does not wait any more.
        let mut buffer = BytesMut::with_capacity(1);
        let _ = self.wire.read_buf(&mut buffer).await;
    }

    async fn left(&mut self) {
        while self.early.len() < MAX_EARLY {
            match self.wire.read_buf(&mut self.early).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        std::future::pending::<()>().await;
    }
}

/// `dbname` is `target` or `target/database`; of programs that cannot choose it, `sallyport.target` is.
fn claim(startup: &Startup, proof: Proof) -> Claim {
    let named = startup.target.as_ref().unwrap_or(&startup.database);
    let (target, database) = match named.split_once('/') {
        Some((target, database)) => (target.to_owned(), Some(database.to_owned())),
        None => (named.clone(), None),
    };
    Claim {
        user: startup.user.clone(),
        proof,
        target,
        database,
        task: startup.task.clone(),
        tool: startup.setting("application_name").map(ToOwned::to_owned),
        replication: startup.replication != Replication::No,
    }
}

/// What a client is told once it is in: what the target reported, and a key of the gateway's own.
fn welcome(upstream: &Upstream, key: &CancelKey, entered: bool) -> BytesMut {
    let mut out = BytesMut::new();
    if !entered {
        Authentication::encode_ok(&mut out);
    }
    upstream.tell(Some(key), &mut out);
    out
}
