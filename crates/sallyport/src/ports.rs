//! The gateway as the API sees it: sessions, recordings, policy, journal.

use std::io::Write;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sallyport_api::ports::{
    self, InJournal, JournalError, Line, Period, RecordingFilter, RecordingsError, Session, SessionState,
    TranscriptOptions, WatchError, Watching, What,
};
use sallyport_ledger::{Ending, Entry, Journal, LedgerError, Reader, RecordingStore, SessionHeader, State, Summary};
use sallyport_review::{ListFilter, Reviews, Visibility};
use sallyport_session::{SessionInfo, Sessions};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::policy::PolicyInForce;
use crate::transcript::Transcript;
use crate::watching::Watch;

/// How long the store may take to answer whether it is there.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// The open sessions.
pub(crate) struct LiveSessions {
    /// They.
    pub(crate) sessions: Arc<Sessions>,
    /// What they write.
    pub(crate) recordings: Recorded,
}

impl LiveSessions {
    fn live(&self, info: &SessionInfo) -> Session {
        let audience = self.sessions.audience(info.id);
        Session {
            moderators: audience.map(|audience| audience.moderators()).unwrap_or_default(),
            ..live(info)
        }
    }
}

impl ports::Sessions for LiveSessions {
    fn list(&self) -> Vec<Session> {
        self.sessions.list().iter().map(|info| self.live(info)).collect()
    }

    fn get(&self, id: &str) -> Option<Session> {
        let info = self.sessions.get(Uuid::parse_str(id).ok()?)?;
        Some(self.live(&info))
    }

    fn end(&self, id: &str, by: &str, reason: Option<&str>) -> bool {
        let by = reason.map_or_else(|| by.to_owned(), |reason| format!("{by}: {reason}"));
        Uuid::parse_str(id).is_ok_and(|id| self.sessions.kill(id, &by))
    }

    fn watch(
        &self,
        id: &str,
        watcher: ports::Watcher,
        options: TranscriptOptions,
        from_now: bool,
    ) -> Result<Box<dyn Watching>, WatchError> {
        let id = Uuid::parse_str(id).map_err(|_| WatchError::Over)?;
        let audience = self.sessions.audience(id).ok_or(WatchError::Over)?;
        let ports::Watcher { id: who, groups } = watcher;
        let watcher = sallyport_session::Watcher { id: who, groups };
        let watch = Watch::begin(&audience, watcher, self.recordings.clone(), id, options, from_now)?;
        Ok(Box::new(watch))
    }
}

fn live(info: &SessionInfo) -> Session {
    Session {
        id: info.id.to_string(),
        state: SessionState::Live,
        principal: info.principal.clone(),
        person: info.person.clone(),
        groups: info.groups.clone(),
        moderators: Vec::new(),
        target: info.target.clone(),
        database: Some(info.database.clone()),
        protocol: info.protocol.to_owned(),
        task: info.task.clone(),
        client_address: Some(info.client_address.clone()),
        client_tool: info.client_tool.clone(),
        agent: info.agent.clone(),
        started: info.started,
        duration_micros: None,
        commands: None,
        bytes: None,
        policy_digest: info.policy_digest.clone(),
        policy_commit: info.policy_commit.clone(),
    }
}

/// The recordings.
#[derive(Clone)]
pub(crate) struct Recorded {
    /// Where they are.
    pub(crate) recordings: RecordingStore,
    /// Where their roots are.
    pub(crate) journal: Arc<Journal>,
}

impl ports::Recordings for Recorded {
    fn list(&self, filter: &RecordingFilter) -> Result<Vec<Session>, RecordingsError> {
        let mut before = filter.before.as_deref().and_then(|id| Uuid::parse_str(id).ok());
        let mut found = Vec::new();
        loop {
            let ids = self
                .recordings
                .list(before, filter.limit.max(1))
                .map_err(|e| unreadable(&e))?;
            for id in &ids {
                // One that cannot be read must not hide the others.
                let Ok(summary) = self.recordings.summary(*id) else {
                    continue;
                };
                let session = recorded(summary);
                let wanted = filter.principal.as_ref().is_none_or(|p| *p == session.principal)
                    && filter.target.as_ref().is_none_or(|t| *t == session.target);
                if wanted {
                    found.push(session);
                }
            }
            before = ids.last().copied();
            if found.len() >= filter.limit || before.is_none() {
                found.truncate(filter.limit);
                return Ok(found);
            }
        }
    }

    fn get(&self, id: &str) -> Result<Option<Session>, RecordingsError> {
        let Ok(id) = Uuid::parse_str(id) else { return Ok(None) };
        if !self.recordings.path(id).is_ok_and(|path| path.exists()) {
            return Ok(None);
        }
        self.recordings
            .summary(id)
            .map(|summary| Some(recorded(summary)))
            .map_err(|e| unreadable(&e))
    }

    fn transcript(
        &self,
        id: &str,
        options: TranscriptOptions,
        line: &mut dyn FnMut(Line) -> ControlFlow<()>,
    ) -> Result<(), RecordingsError> {
        let id = Uuid::parse_str(id).map_err(|e| RecordingsError(e.to_string()))?;
        let summary = self.recordings.summary(id).map_err(|e| unreadable(&e))?;
        let reader = self.recordings.read(id).map_err(|e| unreadable(&e))?;
        let unsealed = match summary.state {
            State::Open => SessionState::Live,
            State::Sealed | State::Interrupted => SessionState::Interrupted,
        };
        let opened = What::Opened {
            session: Box::new(recorded(summary)),
        };
        if line(Line {
            at_micros: 0,
            seq: None,
            what: opened,
        })
        .is_break()
        {
            return Ok(());
        }
        let end = |ending: Option<&Ending>, problem| self.end(id, unsealed, ending, problem);
        replay(reader, options, line, end);
        Ok(())
    }

    fn history(&self, period: &Period, line: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), RecordingsError> {
        crate::history::read(&self.recordings, period, line)
    }
}

impl Recorded {
    /// The last line of a transcript: how the recording was left, and whether the journal agrees.
    pub(crate) fn end(
        &self,
        id: Uuid,
        unsealed: SessionState,
        ending: Option<&Ending>,
        problem: Option<String>,
    ) -> What {
        let (state, root) = match ending {
            Some(Ending::Sealed { root, .. }) => (SessionState::Sealed, Some(*root)),
            Some(Ending::Unsealed { root, .. }) => (unsealed, Some(*root)),
            None => (SessionState::Interrupted, None),
        };
        let (journal, disagreement) = match self.journal.root_of(id) {
            Ok(None) => (InJournal::Nothing, None),
            Ok(written) if written == root => (InJournal::SameRoot, None),
            Ok(Some(_)) => {
                let words = "the journal has another root of this recording than it has now";
                (InJournal::OtherRoot, Some(words.to_owned()))
            }
            Err(error) => (InJournal::Nothing, Some(format!("the journal cannot be read: {error}"))),
        };
        What::End {
            state,
            root: root.map(|root| hex::encode(root.hash)),
            problem: problem.or(disagreement),
            journal,
        }
    }
}

fn replay(
    reader: Reader,
    options: TranscriptOptions,
    line: &mut dyn FnMut(Line) -> ControlFlow<()>,
    end: impl FnOnce(Option<&Ending>, Option<String>) -> What,
) {
    let mut transcript = Transcript::of(reader.header().clone(), options);
    let mut events = reader.events();
    let (mut last, mut problem) = (0, None);
    for event in &mut events {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                problem = Some(error.to_string());
                break;
            }
        };
        last = event.at_micros;
        let seq = event.event().seq();
        let mut broken = ControlFlow::Continue(());
        transcript.event(event.event(), &mut |what| {
            if broken.is_continue() {
                broken = line(Line {
                    at_micros: last,
                    seq,
                    what,
                });
            }
        });
        if broken.is_break() {
            return;
        }
    }
    let what = end(events.ending(), problem);
    let _ = line(Line {
        at_micros: last,
        seq: None,
        what,
    });
}

pub(crate) fn recorded(summary: Summary) -> Session {
    let SessionHeader {
        id,
        started,
        principal,
        target,
        database,
        protocol,
        client_address,
        task,
        client_tool,
        agent,
        policy_digest,
        policy_commit,
        gateway_version: _,
    } = summary.header;
    Session {
        id: id.to_string(),
        state: match summary.state {
            State::Open => SessionState::Live,
            State::Sealed => SessionState::Sealed,
            State::Interrupted => SessionState::Interrupted,
        },
        principal: principal.id,
        person: principal.person,
        groups: principal.groups,
        moderators: Vec::new(),
        target,
        database,
        protocol,
        task,
        client_address,
        client_tool,
        agent,
        started,
        duration_micros: summary.duration_micros,
        commands: summary.commands,
        bytes: Some(summary.bytes),
        policy_digest,
        policy_commit,
    }
}

pub(crate) fn unreadable(error: &LedgerError) -> RecordingsError {
    RecordingsError(error.to_string())
}

/// Whether the gateway can do its work. What is wrong is said in the log; anybody may ask for the words here.
pub(crate) struct Condition {
    /// The policy.
    pub(crate) policy: Arc<PolicyInForce>,
    /// Where recordings are written.
    pub(crate) recordings: PathBuf,
    /// Held commands, by which the store is asked.
    pub(crate) reviews: Reviews,
    /// Without it nobody logs in, and nothing is decided.
    pub(crate) journal: Arc<Journal>,
}

impl ports::Health for Condition {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(error) = can_write(&self.recordings) {
            tracing::error!(%error, "the directory of recordings cannot be written, so no session can begin");
            problems.push("recordings".to_owned());
        }
        if let Some(error) = self.journal.failure() {
            tracing::error!(
                error,
                "the journal takes nothing more until the gateway is started again"
            );
            problems.push("journal".to_owned());
        }
        if self.policy.is_rejected() {
            problems.push("policy".to_owned());
        }
        if let Err(error) = self.ask_store() {
            tracing::error!(error, "the store cannot be reached");
            problems.push("store".to_owned());
        }
        problems
    }

    fn warnings(&self) -> Vec<String> {
        match self.policy.is_unknown() {
            true => vec!["policy-source".to_owned()],
            false => Vec::new(),
        }
    }
}

impl Condition {
    /// The API calls this where it may block.
    fn ask_store(&self) -> Result<(), String> {
        let runtime = Handle::try_current().map_err(|e| e.to_string())?;
        let one = ListFilter {
            limit: Some(1),
            ..ListFilter::default()
        };
        let asked = async { tokio::time::timeout(STORE_PATIENCE, self.reviews.list(one, Visibility::All)).await };
        match runtime.block_on(asked) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} seconds", STORE_PATIENCE.as_secs())),
        }
    }
}

/// Writes to a file without a name, which is gone when it is closed.
fn can_write(dir: &Path) -> std::io::Result<()> {
    let mut file = tempfile::tempfile_in(dir)?;
    file.write_all(&[0; 4096])?;
    file.flush()
}

/// The journal, for acts by way of the API.
pub(crate) struct ApiJournal(pub(crate) Arc<Journal>);

impl ports::Journal for ApiJournal {
    fn record(&self, entry: &ports::Entry) -> Result<(), JournalError> {
        let mut details = serde_json::to_value(&entry.act).map_err(|e| JournalError(e.to_string()))?;
        if let Some(details) = details.as_object_mut() {
            details.insert("source".to_owned(), entry.source.to_string().into());
        }
        let entry = Entry::now(entry.act.kind(), &entry.actor, details);
        self.0.record(&entry).map(drop).map_err(|e| JournalError(e.to_string()))
    }
}

/// The journal, for logins by device code, in the form of those by way of the API.
#[derive(Debug)]
pub(crate) struct DeviceLogins(pub(crate) Arc<Journal>);

impl sallyport_identity::Witness for DeviceLogins {
    fn device_login(&self, who: &str, source: IpAddr, failed: Option<&str>) -> Result<(), String> {
        let method = "device";
        let act = match failed {
            None => ports::Act::Login { method },
            Some(reason) => ports::Act::LoginFailed {
                method,
                reason: reason.to_owned(),
            },
        };
        let actor = who.to_owned();
        let entry = ports::Entry { act, actor, source };
        ports::Journal::record(&ApiJournal(Arc::clone(&self.0)), &entry).map_err(|error| error.to_string())
    }
}
