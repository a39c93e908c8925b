//! The path of a session: greet, identify, admit, record, lease, dial, relay, close.

use std::sync::{Arc, OnceLock};

use futures_util::future::{Either, select};
use sallyport_identity::{Credential, DeviceLogin, Identities};
use sallyport_ledger::{
    Caller as RecordedCaller, Entry, Journal, LedgerError, Recorder, RecordingStore, SessionHeader,
};
use sallyport_listen::{Handshake, Wire};
use sallyport_policy::{Act, ActionName, Resource, Subject, SubjectKind, Value, Watcher};
use sallyport_target::Target;
use serde_json::json;
use smol_str::SmolStr;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::audience::Audience;
use crate::command::{Command, Phase, Shape};
use crate::driver::Ending;
use crate::gate::{Asked, Gate, Ruling, Standing};
use crate::hold::{HoldOutcome, HoldStep, Reviewing, Waiting};
use crate::login::{Agents, DialError, Door, LOST, Login, Whom, lost};
use crate::meters::{self, Open};
use crate::protocol::{Caller, Claim, Greeting, Proof, Protocol, Relaying};
use crate::refusal::{Reason, Refusal};
use crate::room::Rooms;
use crate::sessions::{SessionInfo, Sessions};
use crate::signals::{Interrupt, Signals};
use crate::targets::Targets;

/// What every session needs of the gateway.
pub struct House {
    /// The policy in force.
    pub policy: Arc<Watcher>,
    /// Who is who.
    pub identities: Arc<Identities>,
    /// Where recordings go.
    pub recordings: RecordingStore,
    /// Where administrative acts go.
    pub journal: Arc<Journal>,
    /// Where holds go.
    pub reviewing: Arc<dyn Reviewing>,
    /// The sessions that are open.
    pub sessions: Arc<Sessions>,
    /// The gateway's version, for recordings.
    pub version: &'static str,
    /// The targets of the bundle that was looked at last.
    pub targets: Targets,
    /// The memory that all sessions have for long messages.
    pub rooms: Rooms,
    /// The agents that are connected.
    pub agents: Arc<dyn Agents>,
}

/// Serves one connection from its first byte to its recording's seal.
pub async fn serve<P: Protocol>(protocol: &P, wire: Wire, handshake: Handshake, house: &House) {
    let mut caller = match handshake.within(protocol.greet(wire)).await {
        Ok(Ok(Greeting::Caller(caller))) => caller,
        Ok(Ok(Greeting::Done)) => return meters::handshake("done"),
        Ok(Err(error)) => {
            meters::handshake("nonsense");
            return tracing::info!(%error, "a client made no sense");
        }
        Err(end) => {
            meters::handshake("timeout");
            return tracing::info!(?end, "a client did not say what it wants in time");
        }
    };
    let Ok(permit) = handshake.into_session() else {
        meters::handshake("full");
        let refusal = Refusal::new(Reason::Unavailable, "the gateway has all the sessions it may have");
        return caller.refuse(&refusal.with_hint("try again later")).await;
    };
    let (credential, target) = match identify::<P>(&mut caller, house).await {
        Ok(known) => known,
        Err(refusal) => {
            meters::handshake("refused");
            let claim = caller.claim();
            journal(house, "connect.refused", &claim.user, claim, caller.wire(), &refusal).await;
            return caller.refuse(&refusal).await;
        }
    };
    meters::handshake("session");
    session(protocol, caller, &credential, &target, house).await;
    drop(permit);
}

/// The claim becomes a principal, and the name a target.
async fn identify<P: Protocol>(caller: &mut P::Caller, house: &House) -> Result<(Credential, Arc<Target>), Refusal> {
    let completed = match caller.elsewhere() {
        Some(login) => Some(completed(login, caller).await),
        None => None,
    };
    let claim = caller.claim();
    let identities = &house.identities;
    let credential = match &claim.proof {
        Proof::Token(token) => identities
            .by_token(token, &claim.user, &claim.target)
            .await
            .map_err(|error| error.to_string()),
        Proof::Certificate => {
            let shown = caller.wire().tls().map(|tls| tls.peer_certificates.as_slice());
            let certified = identities.by_certificate(shown.unwrap_or_default(), &claim.user);
            certified.map_err(|error| error.to_string())
        }
        Proof::Shown(credential) => Ok(Credential::clone(credential)),
        Proof::Elsewhere => completed.unwrap_or_else(|| Err("nobody logged in".to_owned())),
    };
    let credential = credential.map_err(|error| {
        Refusal::new(
            Reason::Denied,
            format!("login failed for user `{}`: {error}", claim.user),
        )
        .with_hint("get a token with `sallyport token` and give it as the password")
    })?;
    // A target of another protocol is none: what it is called there says nothing here.
    let target = house.targets.get(&house.policy, &claim.target);
    let target = target.filter(|target| target.protocol() == P::NAME).ok_or_else(|| {
        Refusal::new(Reason::Denied, format!("there is no target `{}`", claim.target))
            .with_hint("the database name chooses the target; `sallyport targets` lists those there are")
    })?;
    Ok((credential, target))
}

/// Waits until somebody completed a login elsewhere, or the client left.
async fn completed<C: Caller>(login: DeviceLogin, caller: &mut C) -> Result<Credential, String> {
    match select(Box::pin(login.finish()), Box::pin(caller.gone())).await {
        Either::Left((finished, _)) => finished.map_err(|error| error.to_string()),
        Either::Right(_) => Err("the client left while it waited".to_owned()),
    }
}

async fn session<P: Protocol>(
    protocol: &P,
    mut caller: P::Caller,
    credential: &Credential,
    target: &Arc<Target>,
    house: &House,
) {
    let id = Uuid::now_v7();
    let (info, header, standing) = describe::<P>(id, &caller, credential, target, house);
    let recorder = match house.recordings.create(&header) {
        Ok(recorder) => recorder,
        Err(error) => return unrecorded(caller, &error).await,
    };
    let whom = Whom {
        session: id,
        principal: info.principal.clone(),
    };
    let enrolled = house.sessions.enrol(info);
    let open = Open::session(&target.name);
    let audience = Over(enrolled.audience());
    let gate = gate(standing, recorder, &header, &audience, house);
    let signals = Signals {
        end: ended(enrolled.ended(), credential),
        closing: closing(&house.sessions),
        policy: house.sessions.next_policy(),
        interrupt: Arc::new(Interrupt::default()),
        rooms: house.rooms.clone(),
    };
    let (ending, gate) = match admit(&mut caller, gate).await {
        Ok(gate) => {
            let (login, place) = (Arc::clone(protocol.login()), gate.standing().database.clone());
            let door = Door::new(login, Arc::clone(target), place, whom, Arc::clone(&house.agents));
            connected(protocol, caller, door, gate, signals).await
        }
        Err((refusal, gate)) => {
            let claim = caller.claim();
            journal(
                house,
                "connect.refused",
                &credential.principal.id,
                claim,
                caller.wire(),
                &refusal,
            )
            .await;
            caller.refuse(&refusal).await;
            (Ending::Gateway(refusal), gate)
        }
    };
    drop((enrolled, open));
    meters::session_over(&target.name, &ending);
    let entry = match gate.close(&ending) {
        Ok(root) => Entry::sealed(&root),
        Err(error) => {
            tracing::error!(%error, session = %id, "the recording could not be sealed");
            let details = json!({ "session": id, "error": error.to_string() });
            Entry::now("recording.fail", "gateway", details)
        }
    };
    record(house, &entry).await;
    drop(audience);
    tracing::info!(session = %id, %ending, "session over");
}

/// Turns a client away because nothing of its session could be recorded.
async fn unrecorded<C: Caller>(caller: C, error: &LedgerError) {
    tracing::error!(%error, "no recording can be opened");
    let message = "the gateway cannot record this session, so it does not begin";
    let refusal = Refusal::new(Reason::Unavailable, message).with_hint("tell whoever operates the gateway");
    caller.refuse(&refusal).await;
}

fn gate(standing: Standing, recorder: Recorder, header: &SessionHeader, audience: &Over, house: &House) -> Gate {
    let (policy, reviewing) = (Arc::clone(&house.policy), Arc::clone(&house.reviewing));
    let mut gate = Gate::new(standing, policy, recorder, reviewing, header);
    gate.show_to(Arc::clone(&audience.0));
    gate
}

/// Tells those who watch a session that nothing more comes, however it ends.
struct Over(Arc<Audience>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Policy says whether this principal may connect to this target at all; it may hold.
async fn admit<C: Caller>(caller: &mut C, mut gate: Gate) -> Result<Gate, (Refusal, Gate)> {
    let command = connect_command(caller, &gate);
    gate.refresh();
    gate.admits(command.clone());
    let ruling = match gate.ask(command) {
        Asked::Ruled(ruling) => ruling,
        Asked::Held(mut hold) => loop {
            let step = std::future::poll_fn(|cx| hold.poll_step(cx));
            let step = match select(Box::pin(step), Box::pin(caller.gone())).await {
                Either::Left((step, _)) => Some(step),
                Either::Right(_) => None,
            };
            match step {
                Some(HoldStep::Opened(info)) => caller.tell(&info).await,
                Some(HoldStep::Ended(outcome)) => break gate.resume(*hold, outcome),
                None => {
                    let refusal = Refusal::new(Reason::Withdrawn, "the client left while it waited");
                    break gate.resume(*hold, HoldOutcome::Refused(refusal));
                }
            }
        },
    };
    let written = std::future::poll_fn(|cx| gate.record().poll_written(cx)).await;
    match (ruling, written) {
        (Ruling::Permitted { .. }, Ok(_)) => Ok(gate),
        (Ruling::Permitted { .. }, Err(refusal)) | (Ruling::Refused { refusal, .. }, _) => Err((refusal, gate)),
    }
}

async fn connected<P: Protocol>(
    protocol: &P,
    mut caller: P::Caller,
    door: Door<P::Login>,
    mut gate: Gate,
    mut signals: Signals,
) -> (Ending, Gate) {
    let order = protocol.order(door.target(), &caller, gate.grants());
    let dialled = match order {
        // Boxed: they are large, and over before the session begins.
        Ok(order) => match select(Box::pin(door.log_in(order)), Box::pin(caller.left())).await {
            Either::Left((dialled, _)) => dialled,
            Either::Right(_) => return (Ending::Client, gate),
        },
        Err(error) => Err(error),
    };
    if let Some(by) = door.served_by() {
        gate.remark(&json!({ "agent": by }).to_string());
    }
    match dialled {
        Ok(mut upstream) => {
            door.settle();
            signals.end = kept(signals.end, <P::Login as Login>::hold(&mut upstream));
            let reveals = gate.reveals();
            let relaying = Relaying {
                gate,
                signals,
                reveals,
                door,
            };
            protocol.relay(caller, upstream, relaying).await
        }
        Err(error) => {
            let target = &door.target().name;
            tracing::error!(%error, %target, "no login at the target");
            let unavailable = |why: &str| {
                let message = format!("the target `{target}` is not available{why}");
                Refusal::new(Reason::Unavailable, message)
            };
            let refusal = match &error {
                DialError::Failed(_) | DialError::Unreached(_) => {
                    unavailable("").with_hint("the gateway's log says why")
                }
                DialError::Told(why) => unavailable(&format!(": {why}")),
                DialError::Unserved(why) => {
                    unavailable(&format!(": {why}")).with_hint("`sallyport agents` lists those that are connected")
                }
            };
            caller.refuse(&refusal).await;
            (Ending::Gateway(refusal), gate)
        }
    }
}

fn connect_command<C: Caller>(caller: &C, gate: &Gate) -> Command {
    let claim = caller.claim();
    let context = vec![
        (
            SmolStr::new_static("database"),
            Value::String(gate.standing().database.clone()),
        ),
        (SmolStr::new_static("user"), Value::String(claim.user.as_str().into())),
        (SmolStr::new_static("replication"), Value::Bool(claim.replication)),
        (SmolStr::new_static("tls"), Value::Bool(caller.wire().tls().is_some())),
    ];
    let shape = Shape {
        id: Shape::next_id(),
        acts: vec![Act::new(ActionName::connect(), context)],
        shows: Vec::new(),
        carries: Vec::new(),
        unparsed: None,
        empty: false,
        facts: "{}".to_owned(),
        recorded: OnceLock::new(),
    };
    Command {
        shape: Arc::new(shape),
        text: format!("CONNECT {}", claim.target).into_bytes().into(),
        parameters: bytes::Bytes::new(),
        state: bytes::Bytes::new(),
        readable: None,
        phase: Phase::Run,
    }
}

fn describe<P: Protocol>(
    id: Uuid,
    caller: &P::Caller,
    credential: &Credential,
    target: &Target,
    house: &House,
) -> (SessionInfo, SessionHeader, Standing) {
    let claim = caller.claim();
    let principal = &credential.principal;
    let bundle = house.policy.current();
    let started = OffsetDateTime::now_utc();
    let database = claim.database.clone().unwrap_or_else(|| target.place().to_owned());
    let groups: Vec<String> = principal.groups.iter().map(ToString::to_string).collect();
    let kind = match principal.kind {
        sallyport_identity::Kind::User => SubjectKind::User,
        sallyport_identity::Kind::Machine => SubjectKind::Machine,
    };
    let peer = caller.wire().peer();
    let info = SessionInfo {
        id,
        started,
        principal: principal.id.to_string(),
        person: principal.person.to_string(),
        groups: groups.clone(),
        target: target.name.to_string(),
        database: database.clone(),
        protocol: P::NAME,
        client_address: peer.to_string(),
        task: claim.task.clone(),
        client_tool: claim.tool.clone(),
        agent: target.agent().map(ToString::to_string),
        policy_digest: bundle.digest().to_owned(),
        policy_commit: bundle.commit().map(ToOwned::to_owned),
    };
    let header = header(&info, kind, house.version);
    let standing = Standing {
        subject: Subject {
            kind,
            id: principal.id.to_string(),
            groups,
        },
        person: principal.person.clone(),
        target: resource(target),
        database: database.into(),
        task: claim.task.clone(),
        source: Some(peer.ip()),
    };
    (info, header, standing)
}

/// A target as policy sees it.
#[must_use]
pub fn resource(target: &Target) -> Resource {
    Resource {
        name: target.name.to_string(),
        protocol: target.protocol().to_owned(),
        environment: target.environment.as_ref().map(ToString::to_string),
        tags: target.tags.iter().map(ToString::to_string).collect(),
    }
}

/// What a recording says of its session.
fn header(info: &SessionInfo, kind: SubjectKind, version: &str) -> SessionHeader {
    SessionHeader {
        id: info.id,
        started: info.started,
        principal: RecordedCaller {
            id: info.principal.clone(),
            kind: match kind {
                SubjectKind::User => "user".to_owned(),
                SubjectKind::Machine => "machine".to_owned(),
            },
            groups: info.groups.clone(),
            person: info.person.clone(),
        },
        target: info.target.clone(),
        database: Some(info.database.clone()),
        protocol: info.protocol.to_owned(),
        client_address: Some(info.client_address.clone()),
        task: info.task.clone(),
        client_tool: info.client_tool.clone(),
        agent: info.agent.clone(),
        policy_digest: info.policy_digest.clone(),
        policy_commit: info.policy_commit.clone(),
        gateway_version: version.to_owned(),
    }
}

/// What ends a session from outside: somebody, or the revocation of what it was opened with.
fn ended(killed: Waiting<Refusal>, credential: &Credential) -> Waiting<Refusal> {
    let revocation = credential.revocation.clone();
    let revoked = Box::pin(async move {
        revocation.revoked().await;
        Refusal::new(Reason::Denied, "the credential of this session was revoked")
            .with_hint("get a new token with `sallyport token`")
    });
    Box::pin(async move { select(killed, revoked).await.factor_first().0 })
}

/// The same, or the end of the credential that the session logged in with. It is kept for as long as this is.
fn kept(ended: Waiting<Refusal>, hold: Option<sallyport_credential::Hold>) -> Waiting<Refusal> {
    let mut hold = hold.filter(sallyport_credential::Hold::is_for_one_session);
    if hold.is_none() {
        return ended;
    }
    let over = Box::pin(async move {
        lost(&mut hold).await;
        Refusal::new(Reason::Unavailable, LOST).with_hint("connect again")
    });
    Box::pin(async move { select(ended, over).await.factor_first().0 })
}

/// What ends a session as soon as it rests: the gateway shuts down.
fn closing(sessions: &Sessions) -> Waiting<Refusal> {
    let mut closing = sessions.closing();
    Box::pin(async move {
        if closing.wait_for(|closing| *closing).await.is_err() {
            // Nobody is left who could say so.
            std::future::pending::<()>().await;
        }
        Refusal::new(Reason::Unavailable, "the gateway is shutting down").with_hint("connect again")
    })
}

async fn journal(house: &House, kind: &str, actor: &str, claim: &Claim, wire: &Wire, refusal: &Refusal) {
    let details = json!({
        "target": claim.target,
        "client_address": wire.peer().to_string(),
        "reason": refusal.reason,
        "rules": refusal.rules,
        "message": refusal.message,
    });
    record(house, &Entry::now(kind, actor, details)).await;
}

/// Without holding the worker up: a `durable` journal waits for the disk.
async fn record(house: &House, entry: &Entry) {
    let written = match house.journal.record(entry) {
        Ok(receipt) => receipt.await,
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        tracing::error!(%error, kind = entry.kind, "an entry of the journal could not be written");
    }
}
