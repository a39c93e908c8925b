//! Roles of PostgreSQL that live as long as one session.
//!
//! Whoever logs in makes them, as an administrator that does nothing else there. A role is written down before it is made, so
//! that it is ended also after a crash; what nobody wrote down any more is found by its name, its comment and its age.

mod name;
mod notes;
mod sweep;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sallyport_credential::{Background, Hold};
use sallyport_session::Whom;
use sallyport_target::{Administrator, LeaseError, PostgresLease};
use secrecy::{ExposeSecret, SecretString};
use smol_str::SmolStr;
use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, sleep},
};

use crate::dial::scram::{Keys, Salt, ScramError};
use crate::dial::{DialError, KeyCache, Order, dial};
use crate::side::{SideError, SideLine};
use name::{Comment, identifier, literal};
use notes::{Note, Notes};

/// How often roles that were left behind are to be looked for.
pub const SWEEP_EVERY: Duration = Duration::from_secs(300);
/// How long the server may take over one question of an administrator.
const PATIENCE: Duration = Duration::from_secs(30);
/// The server's own bounds, so that nothing that was asked for happens after it was given up. What is created must not wait
/// long, and what is cleared away may have to.
const BOUNDS: &str = "SET statement_timeout = '25s'; SET lock_timeout = '10s'; SET search_path = pg_catalog";
/// A role can log in for so long after it was made. It does so at once.
const VALID: &str = "to_char((now() + interval '1 hour') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
/// How many administrators clear roles away at once.
const AT_ONCE: usize = 8;
/// How often ending a role is tried, with twice the time between two tries each time.
const TRIES: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How long backends may take to end once they are told to.
const BACKENDS: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// There is no role for a session, or it was not ended.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// Policy grants nothing to the session.
    #[error("the session has a role of its own at the target, and the policy's rules grant it nothing (`@grant`)")]
    NoGrants,
    /// Policy grants something that must not be granted there.
    #[error("the role `{0}` is not among those that can be granted to sessions (`grantable`)")]
    NotGrantable(SmolStr),
    /// Statements are not planned where the planner would need a role of the session's rights.
    #[error("statements are not planned ahead where each session has a role of its own")]
    NoPlans,
    /// Nobody here could remember the role.
    #[error("there is no state directory in which roles of sessions are written down")]
    NoState,
    /// The role cannot be written down.
    #[error("the role cannot be written down before it is made: {0}")]
    Note(#[from] std::io::Error),
    /// There are no random bytes.
    #[error("no random bytes for a role")]
    NoRandomness,
    /// The administrator's credential cannot be had.
    #[error("the administrator of roles: {0}")]
    Lease(#[from] LeaseError),
    /// The server does not do what the administrator asks.
    #[error("the administrator of roles: {0}")]
    Server(#[from] SideError),
    /// The administrator cannot log in.
    #[error("the administrator of roles: {0}")]
    Login(Box<DialError>),
    /// Whoever gets what sessions made has rights that it would lend to it.
    #[error(
        "what sessions made would go to `{owner}`, which {why}; `owner` must be a role for that alone, without rights"
    )]
    Owner {
        /// The role.
        owner: SmolStr,
        /// What is wrong with it.
        why: String,
    },
    /// Backends of the role go on.
    #[error("{0} backends of the role go on")]
    Backends(usize),
    /// What made the role is gone.
    #[error("the making of a role broke off")]
    BrokeOff,
}

/// Makes roles for sessions and ends them. A process has one.
pub(crate) struct Roles {
    notes: Notes,
    background: Background,
    keys: Arc<KeyCache>,
    /// Roles of sessions that are open, or are being ended.
    live: Mutex<BTreeSet<String>>,
    /// A database of each target that somebody was in, from which its roles can be seen.
    seen: Mutex<BTreeMap<SmolStr, String>>,
    turns: Arc<Semaphore>,
}

impl Roles {
    pub(crate) fn open(state: &Path, background: Background, keys: Arc<KeyCache>) -> std::io::Result<Self> {
        Ok(Self {
            notes: Notes::open(&state.join("roles"))?,
            background,
            keys,
            live: Mutex::default(),
            seen: Mutex::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Makes a role with these grants for a session, and gives a lease to log in as it, which keeps it.
    ///
    /// # Cancel safety
    /// A role that was made for a caller that is gone is ended again.
    pub(crate) async fn make(
        self: &Arc<Self>,
        lease: PostgresLease,
        administrator: Administrator,
        order: &Order,
        whom: &Whom,
    ) -> Result<PostgresLease, DialError> {
        let grants = order.granted(&administrator.ephemeral)?;
        let whom = match grants.is_empty() {
            // It reads catalogs for all sessions of its database.
            true => Whom {
                session: whom.session,
                principal: "sallyport".to_owned(),
            },
            false => whom.clone(),
        };
        let roles = Arc::clone(self);
        let task = tokio::spawn(async move { roles.make_now(lease, administrator, grants, &whom).await });
        let made = task.await.map_err(|_| RoleError::BrokeOff)?;
        Ok(made?)
    }

    async fn make_now(
        self: Arc<Self>,
        lease: PostgresLease,
        administrator: Administrator,
        grants: Vec<SmolStr>,
        whom: &Whom,
    ) -> Result<PostgresLease, RoleError> {
        let role = name::role(&administrator.ephemeral.prefix, &whom.principal).ok_or(RoleError::NoRandomness)?;
        let note = Note {
            target: lease.target.to_string(),
            database: lease.database.clone(),
            role: role.clone(),
        };
        self.note_live(&note);
        let noted = self.notes.write(&note).await;
        let file = match noted {
            Ok(file) => file,
            Err(error) => {
                self.forget_live(&role);
                return Err(error.into());
            }
        };
        let settled = Arc::new(AtomicBool::new(false));
        let end = End {
            roles: Arc::clone(&self),
            administrator: administrator.clone(),
            note,
            file,
            settled: Arc::clone(&settled),
        };
        let hold = Hold::of(&self.background, end.run()).ok_or(RoleError::BrokeOff)?;
        let (password, verifier) = secret().await?;
        let comment = Comment {
            database: &lease.database,
            session: whom.session,
            principal: &whom.principal,
        };
        let made = async {
            let mut line = self.line(&lease).await?;
            let until = until(&mut line, administrator.ephemeral.owner.as_ref()).await?;
            let text = creation(&role, &verifier, &until, &comment.text(), &grants);
            line.ask(&text).await?;
            Ok::<_, RoleError>(())
        };
        let made = made.await;
        let refused = matches!(
            made,
            Err(RoleError::Server(SideError::Refused(_)) | RoleError::Login(_) | RoleError::Owner { .. })
        );
        settled.store(made.is_ok() || refused, Ordering::Release);
        made?;
        Ok(PostgresLease {
            user: role,
            secret: Some(password),
            administrator: None,
            hold: Some(hold),
            ..lease
        })
    }

    /// A connection of the administrator's, which ends with what it is for.
    async fn line(&self, lease: &PostgresLease) -> Result<SideLine, RoleError> {
        let keys = (!lease.is_for_one_session()).then_some(&*self.keys);
        let upstream = dial(lease, &Order::beside(), keys).await;
        let upstream = upstream.map_err(|error| RoleError::Login(Box::new(error)))?;
        let mut line = SideLine::over(upstream, PATIENCE);
        line.ask(BOUNDS).await?;
        Ok(line)
    }

    /// Ends a role. `false` when there is none of that name.
    async fn end(&self, administrator: &Administrator, note: &Note) -> Result<bool, RoleError> {
        let lease = administrator.lease(&note.database).await?;
        let mut line = self.line(&lease).await?;
        let (role, name) = (identifier(&note.role), literal(&note.role));
        let there = line
            .ask(&format!("SELECT 1 FROM pg_roles WHERE rolname = {name}"))
            .await?;
        if there.is_empty() {
            return Ok(false);
        }
        // Only who has its rights may end its backends and give what it owns to others.
        line.ask(&format!("ALTER ROLE {role} NOLOGIN; GRANT {role} TO CURRENT_USER"))
            .await?;
        let backends = format!("FROM pg_stat_activity WHERE usename = {name}");
        let since = Instant::now();
        loop {
            let left = line
                .ask(&format!("SELECT pg_terminate_backend(pid) {backends}"))
                .await?
                .len();
            if left == 0 {
                break;
            }
            if since.elapsed() > BACKENDS {
                return Err(RoleError::Backends(left));
            }
            sleep(LOOK_AGAIN).await;
        }
        let given = match &administrator.ephemeral.owner {
            Some(owner) => {
                let harmless = line.ask(&harmless(&note.role)).await?;
                let harmless: Vec<String> = harmless.into_iter().flatten().flatten().collect();
                let owner = identifier(owner);
                format!("{}REASSIGN OWNED BY {role} TO {owner}; ", harmless.concat())
            }
            None => String::new(),
        };
        line.ask(&format!("{given}DROP OWNED BY {role}; DROP ROLE {role}"))
            .await?;
        Ok(true)
    }

    /// Sessions are in this database.
    fn note_seen(&self, note: &Note) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(note.target.as_str().into(), note.database.clone());
    }

    fn note_live(&self, note: &Note) {
        self.note_seen(note);
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.insert(note.role.clone());
    }

    fn forget_live(&self, role: &str) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(role);
    }

    fn is_live(&self, role: &str) -> bool {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).contains(role)
    }
}

/// Until when a role can log in that is made now, if what it will leave can go to `owner`: rules, indexes and views that a
/// session made run with the rights of whoever owns them.
async fn until(line: &mut SideLine, owner: Option<&SmolStr>) -> Result<String, RoleError> {
    let wrong = owner.map_or("''".to_owned(), |owner| {
        format!(
            "coalesce((SELECT CASE WHEN rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls \
             THEN 'has attributes that give it rights' \
             WHEN EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid) THEN 'is a member of another role' \
             WHEN EXISTS (SELECT FROM pg_shdepend d JOIN pg_database b ON d.dbid IN (0, b.oid) \
             WHERE b.datname = current_database() AND d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid \
             AND d.deptype = 'a' AND d.classid NOT IN ('pg_namespace'::regclass, 'pg_database'::regclass)) \
             THEN 'is granted more than schemas' ELSE '' END FROM pg_roles r WHERE rolname = {}), 'does not exist')",
            literal(owner)
        )
    });
    let mut said = line
        .ask(&format!("SELECT {VALID}, {wrong}"))
        .await?
        .into_iter()
        .flatten();
    match (said.next().flatten(), said.next().flatten(), owner) {
        (Some(until), Some(why), _) if why.is_empty() => Ok(until),
        (Some(_), Some(why), Some(owner)) => Err(RoleError::Owner {
            owner: owner.clone(),
            why,
        }),
        _ => Err(RoleError::Server(SideError::Shape)),
    }
}

/// Asks for the statements that let a role's routines and views run with the rights of whoever uses them, each with its
/// semicolon.
fn harmless(role: &str) -> String {
    let role = literal(role);
    format!(
        "SELECT format('ALTER ROUTINE %s SECURITY INVOKER; ', p.oid::regprocedure) FROM pg_proc p \
         JOIN pg_roles r ON r.oid = p.proowner WHERE prosecdef AND rolname = {role} UNION ALL \
         SELECT format('ALTER VIEW %s SET (security_invoker = true); ', c.oid::regclass) FROM pg_class c \
         JOIN pg_roles r ON r.oid = c.relowner WHERE relkind = 'v' AND rolname = {role} \
         AND current_setting('server_version_num')::int >= 150000"
    )
}

/// A role, all of it or nothing: a string of statements is one transaction.
fn creation(role: &str, verifier: &str, until: &str, comment: &str, grants: &[SmolStr]) -> String {
    let role = identifier(role);
    let (verifier, until, comment) = (literal(verifier), literal(until), literal(comment));
    let mut text = format!(
        "CREATE ROLE {role} LOGIN PASSWORD {verifier} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT \
         CONNECTION LIMIT 1 VALID UNTIL {until}; COMMENT ON ROLE {role} IS {comment}"
    );
    if !grants.is_empty() {
        let grants: Vec<String> = grants.iter().map(|grant| identifier(grant)).collect();
        text += &format!("; GRANT {} TO {role}", grants.join(", "));
    }
    text
}

/// A password that nobody can guess, and what a server keeps of it: no log has more than that.
async fn secret() -> Result<(SecretString, String), RoleError> {
    let password = name::random(32).ok_or(RoleError::NoRandomness)?;
    let password = SecretString::from(password);
    let salt = Salt::random().map_err(|_: ScramError| RoleError::NoRandomness)?;
    let kept = password.clone();
    let verifier = spawn_blocking(move || Keys::derive(kept.expose_secret(), &salt).verifier(&salt)).await;
    Ok((password, verifier.map_err(|_| RoleError::BrokeOff)?))
}

/// The end of a role.
struct End {
    roles: Arc<Roles>,
    administrator: Administrator,
    note: Note,
    file: notes::File,
    /// Whether it is known if the role was made.
    settled: Arc<AtomicBool>,
}

impl End {
    async fn run(self) {
        let mut pause = FIRST_PAUSE;
        let mut said = String::new();
        for _ in 0..TRIES {
            let Ok(turn) = self.roles.turns.acquire().await else {
                break;
            };
            let ended = self.roles.end(&self.administrator, &self.note).await;
            drop(turn);
            match ended {
                Ok(existed) => {
                    // One that may still be made by what was asked for is looked for later, too.
                    if existed || self.settled.load(Ordering::Acquire) {
                        self.roles.notes.remove(&self.file).await;
                    }
                    return self.roles.forget_live(&self.note.role);
                }
                Err(error) => said = error.to_string(),
            }
            sleep(pause).await;
            pause *= 2;
        }
        let (role, target) = (&self.note.role, &self.note.target);
        tracing::error!(
            role,
            target,
            said,
            "the role of a session could not be ended; it is tried again later"
        );
        self.roles.forget_live(role);
    }
}
