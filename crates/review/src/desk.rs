//! The machinery under the acts: committing with a witness, ending, using, waking.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sallyport_store::requests::{Ending, NeedRow, NewRequest, RequestRow, RequestState, Requests, RequestsTx};
use tokio::sync::{broadcast, mpsc, watch};

use crate::clock::{from_ms, ms};
use crate::config::ReviewConfig;
use crate::error::ReviewError;
use crate::keeper::Order;
use crate::pending::Outcome;
use crate::request::{Detail, Grant, Held};
use crate::witness::{Act, ActKind, Witness};

pub(crate) struct Inner {
    pub(crate) requests: Requests,
    pub(crate) config: ReviewConfig,
    pub(crate) witness: Arc<dyn Witness>,
    /// Wakes the clients that wait. An entry lives as long as its [`Pending`].
    pub(crate) waiters: Mutex<HashMap<String, Arc<watch::Sender<()>>>>,
    pub(crate) events: broadcast::Sender<Arc<Act>>,
    pub(crate) orders: mpsc::UnboundedSender<Order>,
}

impl Inner {
    /// Witnesses `act`, commits, and tells everybody.
    pub(crate) async fn commit(&self, tx: RequestsTx, act: Act) -> Result<(), ReviewError> {
        self.witness.witness(&act)?;
        tx.commit().await?;
        metrics::counter!("sallyport_review_acts_total", "act" => act.kind.as_str()).increment(1);
        tracing::info!(
            act = act.kind.as_str(),
            request = act.request,
            principal = act.principal,
            target = act.target,
            by = act.by,
            "review"
        );
        // Nobody listening is fine.
        let _ = self.events.send(Arc::new(act));
        let _ = self.orders.send(Order::Look);
        Ok(())
    }

    /// Ends a request and wakes its client.
    pub(crate) async fn end(
        &self,
        mut tx: RequestsTx,
        row: &RequestRow,
        state: RequestState,
        by: Option<&str>,
        reason: Option<&str>,
    ) -> Result<(), ReviewError> {
        let now_ms = self.config.clock.now_ms();
        if !tx
            .end(
                &row.id,
                Ending {
                    state,
                    at_ms: now_ms,
                    by,
                    reason,
                },
            )
            .await?
        {
            return Err(ReviewError::Over {
                id: row.id.clone(),
                state: row.state,
            });
        }
        let kind = match state {
            RequestState::Denied => ActKind::Denied,
            RequestState::Expired => ActKind::Expired,
            RequestState::Used => ActKind::Used,
            RequestState::Open | RequestState::Approved | RequestState::Withdrawn => ActKind::Withdrawn,
        };
        let (by, reason) = (by.map(str::to_owned), reason.map(str::to_owned));
        self.commit(
            tx,
            Act {
                by,
                reason,
                ..act(kind, row, now_ms)
            },
        )
        .await?;
        self.wake(&row.id);
        Ok(())
    }

    /// Uses the grant of `row`, once.
    pub(crate) async fn take(
        &self,
        mut tx: RequestsTx,
        row: &RequestRow,
        now_ms: i64,
    ) -> Result<Option<Grant>, ReviewError> {
        let Some(grant) = Grant::read(row) else {
            return Ok(None);
        };
        if !tx.take(&row.id, &row.principal, now_ms).await? {
            return Ok(None);
        }
        let by = Some(row.principal.clone());
        let groups = grant.groups.iter().cloned().collect();
        self.commit(
            tx,
            Act {
                by,
                groups,
                ..act(ActKind::Used, row, now_ms)
            },
        )
        .await?;
        Ok(Some(grant))
    }

    /// What has become of request `id`; an open one is `None`. A grant is used up for the client that waits for it.
    pub(crate) async fn look(&self, id: &str) -> Result<Option<Outcome>, ReviewError> {
        let row = self
            .requests
            .get(id)
            .await?
            .ok_or_else(|| ReviewError::NotFound(id.to_owned()))?;
        match row.state {
            RequestState::Open => Ok(None),
            RequestState::Approved => {
                let tx = self.requests.begin().await?;
                self.settle(tx, id).await.map(Some)
            }
            RequestState::Used | RequestState::Denied | RequestState::Expired | RequestState::Withdrawn => {
                Ok(Some(concluded(&row)))
            }
        }
    }

    /// The client stops waiting for an open request; it can still be decided.
    pub(crate) async fn stop_waiting(&self, id: &str) -> Result<Outcome, ReviewError> {
        let mut tx = self.requests.begin().await?;
        let row = find(&mut tx, id).await?;
        if row.state != RequestState::Open {
            return self.settle(tx, id).await;
        }
        tx.attend(id, None).await?;
        self.commit(tx, act(ActKind::TimedOut, &row, self.config.clock.now_ms()))
            .await?;
        Ok(Outcome::TimedOut)
    }

    /// The outcome of a request that is not open any more.
    async fn settle(&self, mut tx: RequestsTx, id: &str) -> Result<Outcome, ReviewError> {
        let row = find(&mut tx, id).await?;
        if row.state != RequestState::Approved {
            return Ok(concluded(&row));
        }
        let grant = self.take(tx, &row, self.config.clock.now_ms()).await?;
        Ok(grant.map_or(Outcome::Expired, Outcome::Approved))
    }

    /// The client of `session` is gone while it waited for request `id`.
    pub(crate) async fn abandon(&self, id: &str, session: &str) -> Result<(), ReviewError> {
        let mut tx = self.requests.begin().await?;
        let Some(row) = tx.get(id).await? else {
            return Ok(());
        };
        if row.state.is_over() || !row.waiting || row.session != session {
            return Ok(());
        }
        self.end(
            tx,
            &row,
            RequestState::Withdrawn,
            None,
            Some("the client stopped waiting"),
        )
        .await
    }

    pub(crate) async fn sweep(&self) -> Result<(), ReviewError> {
        let now_ms = self.config.clock.now_ms();
        loop {
            let mut tx = self.requests.begin().await?;
            let Some(row) = tx.due(now_ms).await? else {
                return Ok(());
            };
            let reason = match row.state {
                RequestState::Approved => "the approval was not used in time",
                RequestState::Open
                | RequestState::Used
                | RequestState::Denied
                | RequestState::Expired
                | RequestState::Withdrawn => "nobody decided in time",
            };
            self.end(tx, &row, RequestState::Expired, None, Some(reason)).await?;
        }
    }

    /// A sender that speaks at every change of request `id`.
    pub(crate) fn watch(&self, id: &str) -> Arc<watch::Sender<()>> {
        let sender = Arc::new(watch::Sender::new(()));
        self.waiters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_owned(), Arc::clone(&sender));
        sender
    }

    /// Forgets `sender`, unless another client waits for the request by now.
    pub(crate) fn unwatch(&self, id: &str, sender: &Arc<watch::Sender<()>>) {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        if waiters.get(id).is_some_and(|current| Arc::ptr_eq(current, sender)) {
            waiters.remove(id);
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Act>> {
        self.events.subscribe()
    }

    pub(crate) fn wake(&self, id: &str) {
        if let Some(sender) = self.waiters.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            sender.send_replace(());
        }
    }

    pub(crate) async fn forget_dead_sessions(&self) -> Result<(), ReviewError> {
        let mut tx = self.requests.begin().await?;
        tx.release_grants().await?;
        let rows = tx.attended().await?;
        tx.commit().await?;
        for row in rows {
            let tx = self.requests.begin().await?;
            self.end(
                tx,
                &row,
                RequestState::Withdrawn,
                None,
                Some("the gateway was restarted"),
            )
            .await?;
        }
        Ok(())
    }

    pub(crate) fn new_request(
        &self,
        held: &Held,
        needs: Vec<NeedRow>,
        wait: std::time::Duration,
        now_ms: i64,
    ) -> NewRequest {
        let ttl = held.request_ttl.unwrap_or(self.config.request_ttl).max(wait);
        let grant_ttl = held.grant_ttl.unwrap_or(self.config.grant_ttl);
        NewRequest {
            id: String::new(),
            digest: *held.digest.as_bytes(),
            session: held.session.clone(),
            principal: held.principal.id.to_string(),
            person: held.principal.person.to_string(),
            target: held.target.clone(),
            task: held.task.clone(),
            policy_digest: held.policy_digest.clone(),
            detail: Detail::of(held, grant_ttl).to_json(),
            needs,
            watch: held.watch.clone(),
            created_ms: now_ms,
            expires_ms: now_ms.saturating_add(ms(ttl)),
        }
    }
}

pub(crate) async fn find(tx: &mut RequestsTx, id: &str) -> Result<RequestRow, ReviewError> {
    tx.get(id).await?.ok_or_else(|| ReviewError::NotFound(id.to_owned()))
}

fn concluded(row: &RequestRow) -> Outcome {
    match row.state {
        RequestState::Denied => Outcome::Denied {
            by: row.ended_by.clone().unwrap_or_default(),
            reason: row.ended_reason.clone(),
        },
        RequestState::Expired => Outcome::Expired,
        // A grant that somebody else used, or a state that is not over, gives nothing to this client.
        RequestState::Withdrawn | RequestState::Used | RequestState::Open | RequestState::Approved => {
            Outcome::Withdrawn {
                reason: row.ended_reason.clone(),
            }
        }
    }
}

pub(crate) fn act(kind: ActKind, row: &RequestRow, now_ms: i64) -> Act {
    Act {
        kind,
        request: row.id.clone(),
        session: row.session.clone(),
        principal: row.principal.clone(),
        target: row.target.clone(),
        task: row.task.clone(),
        digest: hex::encode(&row.digest),
        policy_digest: row.policy_digest.clone(),
        by: None,
        reason: None,
        groups: Vec::new(),
        at: from_ms(now_ms),
    }
}
