//! Users that are made for one session: the [database engine](https://developer.hashicorp.com/vault/api-docs/secret/databases),
//! and its [leases](https://developer.hashicorp.com/vault/api-docs/system/leases).

use std::{convert::Infallible, sync::Arc, time::Duration};

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    time::{Instant, sleep, timeout_at},
};

use super::{Api, Asked, Reply, Token, Vault, login::seconds};
use crate::{
    CredentialError, Leased, Need, SecretKind,
    http::Answer,
    leased::{self, LeaseState},
    names::{self, Checked, escape_path},
    text::{Fields, fit},
};

/// The longest id of a lease, in bytes.
const MAX_LEASE_ID: usize = 2048;
/// Renewals are not nearer to each other.
const LEAST_WAIT: Duration = Duration::from_millis(500);
/// A lease is kept for this long at least, so that it can be ended.
const LEAST_LIFE: Duration = Duration::from_secs(1);
/// How often ending a lease is tried, with twice the time between two tries each time.
const TRIES: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// A user of a database that is made for one session, or one whose password is rotated.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSource {
    /// The name of a `[[vault]]`.
    pub store: String,
    /// Where the engine is mounted; `database` when absent.
    pub mount: Option<String>,
    /// The role that makes the user.
    pub role: String,
    /// The role is a static one: one user, whose password the Vault rotates.
    #[serde(default)]
    pub static_role: bool,
}

impl DatabaseSource {
    pub(crate) fn check(&self) -> Checked {
        names::segment("role", &self.role)?;
        self.mount
            .as_deref()
            .map_or(Ok(()), |mount| names::path("mount", mount))
    }

    fn asked(&self) -> Asked {
        let mount = self.mount.as_deref().unwrap_or("database");
        let kind = if self.static_role { "static-creds" } else { "creds" };
        Asked {
            method: Method::GET,
            path: escape_path(&[mount, kind, &self.role]),
            body: None,
            doing: "a user of the database",
            advice,
            leases: !self.static_role,
        }
    }
}

impl Vault {
    /// # Cancel safety
    /// A user that has been made is ended again if nobody waits for it any more.
    pub(crate) async fn database(
        self: &Arc<Self>,
        source: &DatabaseSource,
        need: &Need,
    ) -> Result<Leased, CredentialError> {
        let (vault, source, need) = (Arc::clone(self), source.clone(), need.clone());
        let task = tokio::spawn(async move { vault.make_user(&source, &need).await });
        let broke = |_| CredentialError::Setting("the request for a user of the database broke off".to_owned());
        task.await.map_err(broke)?
    }

    async fn make_user(&self, source: &DatabaseSource, need: &Need) -> Result<Leased, CredentialError> {
        let (token, answer) = self.ask(&source.asked()).await?;
        let reply = answer.json::<Reply>()?;
        // From here on there is a user, which must be ended whatever else is wrong with the answer.
        let kept = if source.static_role {
            None
        } else {
            Some(self.keep(token, &reply, &answer)?)
        };
        let data = reply.data.ok_or_else(|| answer.odd("there is no user in it"))?;
        let text = |name, kind| {
            let found = data.text(name).map_err(|why| answer.odd(why))?;
            fit(kind, found, || format!("the role `{}` in {}", source.role, self.store))
        };
        let (user, secret) = (
            leased::user(text("username", SecretKind::Password)?),
            text("password", need.kind)?,
        );
        Ok(match kept {
            Some((state, alive)) => Leased::kept(user, secret, state, alive),
            None => Leased::fixed(Some(user), secret, rotation(&data)),
        })
    }

    /// Keeps the lease of an answer until the other end is dropped.
    fn keep(&self, token: Arc<Token>, reply: &Reply, answer: &Answer) -> Result<Kept, CredentialError> {
        let id = reply
            .lease_id
            .as_deref()
            .filter(|id| !id.is_empty() && id.len() <= MAX_LEASE_ID);
        let id = id.ok_or_else(|| answer.odd("there is no lease in it"))?;
        let runtime = Handle::try_current();
        let runtime = runtime.map_err(|_| answer.odd("nobody is there to keep its lease"))?;
        let life = seconds(reply.lease_duration).max(LEAST_LIFE);
        let (state, watched) = watch::channel(LeaseState::Until(Instant::now() + life));
        let (alive, released) = oneshot::channel();
        let lease = Lease {
            api: Arc::clone(&self.api),
            token,
            id: id.to_owned().into(),
            life,
            renewable: reply.renewable,
            store: self.store.clone(),
        };
        self.api.background.spawn(&runtime, lease.run(state, released));
        if reply.lease_duration == 0 {
            return Err(answer.odd("its lease ends at once"));
        }
        Ok((watched, alive))
    }
}

type Kept = (watch::Receiver<LeaseState>, oneshot::Sender<Infallible>);

/// A lease of a Vault.
struct Lease {
    api: Arc<Api>,
    /// The lease ends with it.
    token: Arc<Token>,
    id: SecretString,
    life: Duration,
    renewable: bool,
    store: String,
}

#[derive(Deserialize)]
struct Renewed {
    lease_duration: u64,
    renewable: bool,
}

/// What came of asking for a renewal.
enum Renewal {
    Until(Instant),
    /// It is as good as before, and no longer.
    Last,
    /// The Vault does not know it any more.
    Gone,
    /// The Vault did not answer, or could not.
    Later,
}

impl Lease {
    async fn run(mut self, state: watch::Sender<LeaseState>, mut released: oneshot::Receiver<Infallible>) {
        let mut until = Instant::now() + self.life;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let next = if self.renewable && left > LEAST_WAIT {
                Instant::now() + (left / 2).max(LEAST_WAIT)
            } else {
                until
            };
            if timeout_at(next, &mut released).await.is_ok() {
                return self.end(until).await;
            }
            if Instant::now() >= until {
                break;
            }
            match self.renew().await {
                Renewal::Until(renewed) => {
                    until = renewed;
                    let _ = state.send(LeaseState::Until(until));
                }
                Renewal::Last => self.renewable = false,
                Renewal::Gone => {
                    self.lost(&state);
                    // A Vault that says so for another reason may still have it.
                    return self.end(until).await;
                }
                Renewal::Later => {}
            }
        }
        self.lost(&state);
    }

    fn lost(&self, state: &watch::Sender<LeaseState>) {
        tracing::warn!(store = self.store, "the user of a session has ended before the session");
        let _ = state.send(LeaseState::Lost);
    }

    async fn renew(&self) -> Renewal {
        let body = json!({"lease_id": self.id.expose_secret(), "increment": self.life.as_secs()});
        let doing = "the renewal of a lease";
        let asked = self.api.call(
            Some(self.token.text()),
            Method::PUT,
            "sys/leases/renew",
            Some(&body),
            doing,
        );
        let Ok(answer) = asked.await else {
            return Renewal::Later;
        };
        match answer.status.as_u16() {
            400 | 404 => return Renewal::Gone,
            403 => {
                tracing::warn!(
                    store = self.store,
                    "the login's policies do not permit the renewal of a lease"
                );
                return Renewal::Last;
            }
            _ => {}
        }
        let renewed = answer.good(super::advice).and_then(|answer| answer.json::<Renewed>());
        match renewed {
            Ok(renewed) if renewed.renewable && renewed.lease_duration > 0 => {
                Renewal::Until(Instant::now() + seconds(renewed.lease_duration))
            }
            Ok(_) => Renewal::Last,
            Err(_) => Renewal::Later,
        }
    }

    /// Ends the lease. After some tries, or when its time is over anyway, it is left to the Vault.
    async fn end(self, until: Instant) {
        let Ok(_turn) = self.api.background.ending.acquire().await else {
            return;
        };
        let body = json!({"lease_id": self.id.expose_secret()});
        let doing = "the end of a lease";
        let mut pause = FIRST_PAUSE;
        let mut said = "it is away".to_owned();
        for _ in 0..TRIES {
            let token = Some(self.token.text());
            match self
                .api
                .call(token, Method::PUT, "sys/leases/revoke", Some(&body), doing)
                .await
            {
                Ok(answer) if answer.status.is_success() || matches!(answer.status.as_u16(), 400 | 404) => return,
                Ok(answer) => {
                    let status = answer.status.as_u16();
                    said = answer.refused(end_advice(status)).to_string();
                    if status == 403 {
                        break;
                    }
                }
                Err(error) => said = error.to_string(),
            }
            if Instant::now() + pause >= until {
                break;
            }
            sleep(pause).await;
            pause *= 2;
        }
        tracing::warn!(
            store = self.store,
            said,
            "a lease could not be ended; it ends by itself when its time is over"
        );
    }
}

/// When the password of a static role changes.
fn rotation(data: &Fields) -> Option<Instant> {
    let left = data.text("ttl").ok()?.expose_secret().parse().ok()?;
    Some(Instant::now() + seconds(left))
}

fn advice(status: u16) -> &'static str {
    match status {
        403 => "the login's policies need `read` on the role's path below `creds/` (or `static-creds/`)",
        500 => "it could not make the user: see its own log for what the database said",
        other => super::advice(other),
    }
}

fn end_advice(status: u16) -> &'static str {
    match status {
        403 => "the login's policies need `update` on `sys/leases/revoke`",
        other => super::advice(other),
    }
}
