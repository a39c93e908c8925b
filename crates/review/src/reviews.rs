//! The acts: asking, approving, denying, withdrawing, using.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use sallyport_identity::{Kind, Principal};
use sallyport_store::Store;
use sallyport_store::requests::{
    Ending, NeedRow, NewRequest, RequestFilter, RequestRow, RequestState, Requests, RequestsTx, Viewer, VoteRow,
};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;

use crate::clock::{from_ms, ms};
use crate::config::ReviewConfig;
use crate::digest::CommandDigest;
use crate::error::ReviewError;
use crate::keeper::{self, Order};
use crate::needs::{MAX_APPROVALS, Tally};
use crate::pending::{Outcome, Pending};
use crate::request::{Detail, Grant, Held, Impact, MAX_REASON_BYTES, Request};
use crate::witness::{Act, ActKind, Witness};

/// Acts that a slow subscriber may be behind before it misses some.
const EVENT_BACKLOG: usize = 1024;

/// All requests of one gateway. Cheap to clone.
#[derive(Clone)]
pub struct Reviews {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) requests: Requests,
    pub(crate) config: ReviewConfig,
    witness: Arc<dyn Witness>,
    /// Wakes the clients that wait. An entry lives as long as its [`Pending`].
    waiters: Mutex<HashMap<String, Arc<watch::Sender<()>>>>,
    events: broadcast::Sender<Arc<Act>>,
    pub(crate) orders: mpsc::UnboundedSender<Order>,
}

/// Whose requests are listed.
#[derive(Clone, Copy, Debug)]
pub enum Visibility<'a> {
    /// Everybody's: for auditors and administrators.
    All,
    /// Their own, and those that one of their groups is asked for.
    For(&'a Principal),
}

/// Which requests are wanted.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// Only in these states; empty: in any.
    pub states: BTreeSet<RequestState>,
    /// Only those of this principal.
    pub principal: Option<String>,
    /// Only those for this target.
    pub target: Option<String>,
    /// Only those that are older than this request.
    pub before: Option<String>,
    /// At most so many; `None`: 100. Never more than 500.
    pub limit: Option<u32>,
}

impl Reviews {
    /// Takes up the requests in `store`. Those whose clients waited when the gateway ended are withdrawn; grants
    /// that were not used are still good.
    ///
    /// Must be called within a Tokio runtime that lives as long as the reviews: it runs their timers and webhooks.
    ///
    /// # Errors
    /// When the store cannot be used, or the withdrawals cannot be witnessed.
    pub async fn open(store: &Store, config: ReviewConfig, witness: Arc<dyn Witness>) -> Result<Self, ReviewError> {
        // Unbounded, but each order stands for a request, and those are bounded.
        let (orders, orders_in) = mpsc::unbounded_channel();
        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        let requests = Requests::new(store);
        let inner = Arc::new(Inner { requests, config, witness, waiters: Mutex::default(), events, orders });
        inner.forget_dead_sessions().await?;
        keeper::start(&inner, orders_in);
        Ok(Self { inner })
    }

    /// Asks people about a held command. When the same command was asked about before, timed out and is still
    /// undecided, its request is taken up again instead of making another.
    ///
    /// # Errors
    /// When nobody could approve it, when there are too many requests, or when the request cannot be stored or
    /// witnessed. The command must then be refused.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no open request behind.
    pub async fn request(&self, held: Held) -> Result<Pending, ReviewError> {
        let needs = checked_needs(&held)?;
        let inner = &self.inner;
        let wait = held.wait.unwrap_or(inner.config.hold_timeout);
        let now_ms = inner.config.clock.now_ms();
        let mut tx = inner.requests.begin().await?;
        if let Some(row) = tx.unattended(held.digest.as_bytes(), now_ms).await?
            && row.principal == held.principal.id.as_str()
            && same_needs(&row.needs, &needs)
        {
            let pending = Pending::new(Arc::clone(inner), &row.id, &held.session, Instant::now() + wait);
            tx.attend(&row.id, Some(&held.session)).await?;
            let act = Act { session: held.session, ..act(ActKind::Resumed, &row, now_ms) };
            inner.commit(tx, act).await?;
            return Ok(pending);
        }
        let (of_principal, all) = tx.count_open(held.principal.id.as_str()).await?;
        if of_principal >= inner.config.max_open_per_principal {
            let principal = held.principal.id.to_string();
            return Err(ReviewError::TooManyOfYours { principal, limit: inner.config.max_open_per_principal });
        }
        if all >= inner.config.max_open {
            return Err(ReviewError::TooMany { limit: inner.config.max_open });
        }
        let new = insert(&mut tx, inner.new_request(&held, needs, wait, now_ms)).await?;
        let row = tx.get(&new.id).await?.ok_or(ReviewError::NoFreeId)?;
        // Made before the commit, so that giving up in the middle of it withdraws the request.
        let pending = Pending::new(Arc::clone(inner), &new.id, &held.session, Instant::now() + wait);
        inner.commit(tx, act(ActKind::Requested, &row, now_ms)).await?;
        Ok(pending)
    }

    /// Adds what the command would touch to what reviewers see of an open request.
    ///
    /// # Errors
    /// When there is no such request, it is over, or the store cannot be used.
    pub async fn set_impact(&self, id: &str, impact: &Impact) -> Result<(), ReviewError> {
        let mut tx = self.inner.requests.begin().await?;
        let row = find(&mut tx, id).await?;
        if row.state != RequestState::Open {
            return Err(ReviewError::Over { id: row.id, state: row.state });
        }
        let mut detail = Detail::read(&row)?;
        detail.impact = Some(impact.bounded());
        tx.set_detail(id, &detail.to_json()).await?;
        Ok(tx.commit().await?)
    }

    /// Approves request `id`. When that was the last approval missing, there is a grant from now on.
    ///
    /// # Errors
    /// When the request is not open, `reviewer` may not decide it (invariant I5 among the reasons), has approved
    /// already or is not needed any more, or the act cannot be stored or witnessed.
    pub async fn approve(&self, id: &str, reviewer: &Principal, reason: Option<&str>) -> Result<Request, ReviewError> {
        check_reason(reason)?;
        let inner = &self.inner;
        let now_ms = inner.config.clock.now_ms();
        let mut tx = inner.requests.begin().await?;
        let row = find(&mut tx, id).await?;
        let person = tx.resolve_person(&reviewer.person).await?;
        let groups = eligible_groups(&row, reviewer, &person)?;
        open_at(&row, now_ms)?;
        let before = Tally::of(&row);
        let (filled, missing) = (before.filled(), before.missing());
        let vote = VoteRow {
            person,
            reviewer: reviewer.id.to_string(),
            groups,
            reason: reason.map(str::to_owned),
            at_ms: now_ms,
        };
        let voted = row.votes.iter().any(|earlier| earlier.person == vote.person);
        if voted || !tx.vote(id, &vote).await? {
            return Err(ReviewError::AlreadyApproved { id: row.id, reviewer: vote.reviewer, missing });
        }
        let row = find(&mut tx, id).await?;
        let tally = Tally::of(&row);
        if tally.filled() == filled {
            return Err(ReviewError::NotNeeded { id: row.id.clone(), reviewer: vote.reviewer, missing });
        }
        let complete = tally.is_complete();
        if complete {
            let ttl_ms = Detail::read(&row)?.grant_ttl_ms;
            tx.approve(id, now_ms.saturating_add(ttl_ms)).await?;
        }
        let kind = if complete { ActKind::Granted } else { ActKind::Approved };
        let groups = if complete { row.needs.iter().map(|n| n.group.clone()).collect() } else { Vec::new() };
        let by = Some(vote.reviewer);
        inner.commit(tx, Act { by, reason: vote.reason, groups, ..act(kind, &row, now_ms) }).await?;
        inner.wake(id);
        self.reread(id).await
    }

    /// Denies request `id`, or takes back a grant that was not used yet.
    ///
    /// # Errors
    /// When the request is over, `reviewer` may not decide it, or the act cannot be stored or witnessed.
    pub async fn deny(&self, id: &str, reviewer: &Principal, reason: Option<&str>) -> Result<Request, ReviewError> {
        check_reason(reason)?;
        let mut tx = self.inner.requests.begin().await?;
        let row = find(&mut tx, id).await?;
        let person = tx.resolve_person(&reviewer.person).await?;
        eligible_groups(&row, reviewer, &person)?;
        self.inner.end(tx, &row, RequestState::Denied, Some(reviewer.id.as_str()), reason).await?;
        self.reread(id).await
    }

    /// Withdraws request `id` or the unused grant that it became: the person who asked does not want it any more.
    ///
    /// # Errors
    /// When `asker` did not ask for it, it is over, or the act cannot be stored or witnessed.
    pub async fn withdraw(&self, id: &str, asker: &Principal, reason: Option<&str>) -> Result<Request, ReviewError> {
        check_reason(reason)?;
        let mut tx = self.inner.requests.begin().await?;
        let row = find(&mut tx, id).await?;
        if row.principal != asker.id.as_str() {
            return Err(ReviewError::NotYours(row.id));
        }
        self.inner.end(tx, &row, RequestState::Withdrawn, Some(asker.id.as_str()), reason).await?;
        self.reread(id).await
    }

    /// Uses up a grant for exactly this command, if there is one that no other client waits for. After a hold timed
    /// out and was approved later, running the same command again passes by this, once.
    ///
    /// # Errors
    /// When the store cannot be used or the use cannot be witnessed; the grant is then still there.
    pub async fn take_grant(
        &self,
        digest: &CommandDigest,
        principal: &str,
        target: &str,
        task: Option<&str>,
        policy_digest: &str,
    ) -> Result<Option<Grant>, ReviewError> {
        let now_ms = self.inner.config.clock.now_ms();
        let mut tx = self.inner.requests.begin().await?;
        let Some(row) = tx.unused_grant(digest.as_bytes(), now_ms).await? else {
            return Ok(None);
        };
        // The digest binds all of these; comparing them again costs nothing and does not rely on it.
        let same = row.principal == principal
            && row.target == target
            && row.task.as_deref() == task
            && row.policy_digest == policy_digest;
        if !same {
            return Ok(None);
        }
        self.inner.take(tx, &row, now_ms).await
    }

    /// Request `id`, if `visibility` shows it.
    ///
    /// # Errors
    /// When there is no such request to be seen, or the store cannot be used.
    pub async fn get(&self, id: &str, visibility: Visibility<'_>) -> Result<Request, ReviewError> {
        let row = self.inner.requests.get(id).await?.filter(|row| sees(visibility, row));
        row.as_ref().map_or_else(|| Err(ReviewError::NotFound(id.to_owned())), Request::read)
    }

    /// The requests that `filter` wants and `visibility` shows, newest first.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn list(&self, filter: ListFilter, visibility: Visibility<'_>) -> Result<Vec<Request>, ReviewError> {
        let viewer = match visibility {
            Visibility::All => None,
            Visibility::For(principal) => Some(Viewer {
                principal: principal.id.to_string(),
                person: principal.person.to_string(),
                groups: principal.groups.iter().map(ToString::to_string).collect(),
            }),
        };
        let ListFilter { states, principal, target, before, limit } = filter;
        let limit = limit.unwrap_or(100);
        let rows = self.inner.requests.list(&RequestFilter { states, principal, target, viewer, before, limit }).await?;
        rows.iter().map(Request::read).collect()
    }

    /// Every act from now on. A subscriber that falls far behind misses some.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Act>> {
        self.inner.subscribe()
    }

    /// Expires what is due. The reviews do this by themselves when the time comes; a test need not wait for it.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn sweep(&self) -> Result<(), ReviewError> {
        self.inner.sweep().await
    }

    async fn reread(&self, id: &str) -> Result<Request, ReviewError> {
        self.get(id, Visibility::All).await
    }
}

impl std::fmt::Debug for Reviews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reviews").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Inner {
    /// Witnesses `act`, commits, and tells everybody.
    pub(crate) async fn commit(&self, tx: RequestsTx, act: Act) -> Result<(), ReviewError> {
        self.witness.witness(&act)?;
        tx.commit().await?;
        tracing::info!(
            act = act.kind.as_str(), request = act.request, principal = act.principal, target = act.target,
            by = act.by, "review"
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
        if !tx.end(&row.id, Ending { state, at_ms: now_ms, by, reason }).await? {
            return Err(ReviewError::Over { id: row.id.clone(), state: row.state });
        }
        let kind = match state {
            RequestState::Denied => ActKind::Denied,
            RequestState::Expired => ActKind::Expired,
            RequestState::Open | RequestState::Approved | RequestState::Used | RequestState::Withdrawn => {
                ActKind::Withdrawn
            }
        };
        let (by, reason) = (by.map(str::to_owned), reason.map(str::to_owned));
        self.commit(tx, Act { by, reason, ..act(kind, row, now_ms) }).await?;
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
        let Some(grant) = Grant::read(row) else { return Ok(None) };
        if !tx.take(&row.id, &row.principal, now_ms).await? {
            return Ok(None);
        }
        let by = Some(row.principal.clone());
        let groups = grant.groups.iter().cloned().collect();
        self.commit(tx, Act { by, groups, ..act(ActKind::Used, row, now_ms) }).await?;
        Ok(Some(grant))
    }

    /// What has become of request `id`; an open one is `None`. A grant is used up for the client that waits for it.
    pub(crate) async fn look(&self, id: &str) -> Result<Option<Outcome>, ReviewError> {
        let row = self.requests.get(id).await?.ok_or_else(|| ReviewError::NotFound(id.to_owned()))?;
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
        self.commit(tx, act(ActKind::TimedOut, &row, self.config.clock.now_ms())).await?;
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
        let Some(row) = tx.get(id).await? else { return Ok(()) };
        if row.state.is_over() || !row.waiting || row.session != session {
            return Ok(());
        }
        self.end(tx, &row, RequestState::Withdrawn, None, Some("the client stopped waiting")).await
    }

    pub(crate) async fn sweep(&self) -> Result<(), ReviewError> {
        let now_ms = self.config.clock.now_ms();
        loop {
            let mut tx = self.requests.begin().await?;
            let Some(row) = tx.due(now_ms).await? else { return Ok(()) };
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
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), Arc::clone(&sender));
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

    fn wake(&self, id: &str) {
        if let Some(sender) = self.waiters.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            sender.send_replace(());
        }
    }

    async fn forget_dead_sessions(&self) -> Result<(), ReviewError> {
        let mut tx = self.requests.begin().await?;
        tx.release_grants().await?;
        let rows = tx.attended().await?;
        tx.commit().await?;
        for row in rows {
            let tx = self.requests.begin().await?;
            self.end(tx, &row, RequestState::Withdrawn, None, Some("the gateway was restarted")).await?;
        }
        Ok(())
    }

    fn new_request(&self, held: &Held, needs: Vec<NeedRow>, wait: std::time::Duration, now_ms: i64) -> NewRequest {
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
            created_ms: now_ms,
            expires_ms: now_ms.saturating_add(ms(ttl)),
        }
    }
}

/// The needs of `held`, a row for each group.
fn checked_needs(held: &Held) -> Result<Vec<NeedRow>, ReviewError> {
    let mut needs: Vec<NeedRow> = Vec::new();
    for need in &held.needs {
        let count = need.count.max(1);
        match needs.iter_mut().find(|row| row.group == need.group) {
            Some(row) => row.count = row.count.max(count),
            None => needs.push(NeedRow { group: need.group.clone(), count }),
        }
    }
    let approvals: u64 = needs.iter().map(|need| u64::from(need.count)).sum();
    match approvals {
        0 => Err(ReviewError::NobodyToAsk),
        1..=MAX_APPROVALS => Ok(needs),
        _ => Err(ReviewError::TooManyApprovals(approvals)),
    }
}

fn same_needs(a: &[NeedRow], b: &[NeedRow]) -> bool {
    a.len() == b.len() && a.iter().all(|need| b.contains(need))
}

/// Stores `new` under an identifier that is free.
async fn insert(tx: &mut RequestsTx, mut new: NewRequest) -> Result<NewRequest, ReviewError> {
    for _ in 0..16 {
        new.id = random_id()?;
        if tx.insert(&new).await? {
            return Ok(new);
        }
    }
    Err(ReviewError::NoFreeId)
}

/// `req_` and six characters that are easily told apart.
fn random_id() -> Result<String, ReviewError> {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bytes = [0; 6];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| ReviewError::NoFreeId)?;
    let letters = bytes.iter().filter_map(|b| ALPHABET.get(usize::from(b % 32))).map(|b| char::from(*b));
    Ok(format!("req_{}", letters.collect::<String>()))
}

async fn find(tx: &mut RequestsTx, id: &str) -> Result<RequestRow, ReviewError> {
    tx.get(id).await?.ok_or_else(|| ReviewError::NotFound(id.to_owned()))
}

fn open_at(row: &RequestRow, now_ms: i64) -> Result<(), ReviewError> {
    let state = match row.state {
        RequestState::Open if row.expires_ms > now_ms => return Ok(()),
        RequestState::Open => RequestState::Expired,
        over @ (RequestState::Approved
        | RequestState::Used
        | RequestState::Denied
        | RequestState::Expired
        | RequestState::Withdrawn) => over,
    };
    Err(ReviewError::Over { id: row.id.clone(), state })
}

/// The groups for which `reviewer`, who is `person` today, may decide `row`. Nobody decides about their own (invariant I5), whatever groups
/// they are in.
fn eligible_groups(row: &RequestRow, reviewer: &Principal, person: &str) -> Result<BTreeSet<String>, ReviewError> {
    let (id, name) = (row.id.clone(), reviewer.id.to_string());
    if is_asker(row, reviewer) || row.person.eq_ignore_ascii_case(person) {
        return Err(ReviewError::OwnRequest { id, reviewer: name });
    }
    if reviewer.kind == Kind::Machine {
        return Err(ReviewError::NotAPerson(name));
    }
    let groups = asked_groups(row, reviewer);
    if groups.is_empty() {
        let asked: Vec<String> = row.needs.iter().map(|need| format!("`{}`", need.group)).collect();
        return Err(ReviewError::NotAReviewer { id, reviewer: name, groups: asked.join(" and ") });
    }
    Ok(groups)
}

/// Whether `principal` is who asked, under this identity or another. Case does not make another person.
fn is_asker(row: &RequestRow, principal: &Principal) -> bool {
    row.principal.eq_ignore_ascii_case(&principal.id) || row.person.eq_ignore_ascii_case(&principal.person)
}

fn asked_groups(row: &RequestRow, principal: &Principal) -> BTreeSet<String> {
    let asked = row.needs.iter().map(|need| &need.group);
    asked.filter(|group| principal.groups.iter().any(|g| g.as_str() == group.as_str())).cloned().collect()
}

fn sees(visibility: Visibility<'_>, row: &RequestRow) -> bool {
    match visibility {
        Visibility::All => true,
        Visibility::For(principal) => is_asker(row, principal) || !asked_groups(row, principal).is_empty(),
    }
}

fn check_reason(reason: Option<&str>) -> Result<(), ReviewError> {
    match reason {
        Some(text) if text.len() > MAX_REASON_BYTES => Err(ReviewError::ReasonTooLong { length: text.len() }),
        Some(_) | None => Ok(()),
    }
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
            Outcome::Withdrawn { reason: row.ended_reason.clone() }
        }
    }
}

fn act(kind: ActKind, row: &RequestRow, now_ms: i64) -> Act {
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
