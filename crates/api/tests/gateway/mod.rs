//! The API on a free port, in front of a throw-away store and sessions made up for the test.

use std::future::Future;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::{Client, Method, Response};
use sallyport_api::ports::{
    Act, BundleFiles, BundleLoaded, BundlesError, Entry, InJournal, Journal, JournalError, Line, NamesError, Past,
    Pending as Answer, Period, Policy, PolicyLastError, PolicyStatus, PullError, Pulling, RecordingFilter, Recordings,
    RecordingsError, Session, SessionState, Sessions, Ssh, Targets, TranscriptOptions, WatchError, Watcher, Watching,
    WebhookProof, What,
};
use sallyport_api::{Access, Api, router, serve};
use sallyport_identity::client::GatewayClient;
use sallyport_identity::messages::{PasswordLogin, SshInfo};
use sallyport_identity::people::PeopleEditor;
use sallyport_identity::{Identities, IdentityConfig, Kind, Principal, SshAuthorities};
use sallyport_listen::{Limits, Listener};
use sallyport_review::{Binding, CommandDigest, Held, Need, NoWitness, Pending, ReviewConfig, Reviews};
use sallyport_ssh_transport::keys::PrivateKey;
use sallyport_store::Store;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use time::OffsetDateTime;

pub(crate) const PASSWORD: &str = "correct horse";
/// A session of alice's.
pub(crate) const SESSION: &str = "0193ad00-0000-7000-8000-000000000001";

/// The parts of the gateway that the API does not have itself.
#[derive(Default)]
pub(crate) struct Outside {
    pub(crate) acts: Mutex<Vec<Entry>>,
    pub(crate) journal_full: AtomicBool,
    pub(crate) ill: AtomicBool,
    pub(crate) no_ssh: AtomicBool,
    /// How often somebody made the gateway look for a newer policy.
    pub(crate) pulls: AtomicUsize,
    over: AtomicBool,
    /// A DBA has to watch alice's session.
    pub(crate) moderated: AtomicBool,
    /// Who watches.
    pub(crate) audience: Arc<tokio::sync::watch::Sender<Vec<Watcher>>>,
}

/// Says one thing, and then waits for more.
struct Watch {
    told: bool,
    watcher: Watcher,
    audience: Arc<tokio::sync::watch::Sender<Vec<Watcher>>>,
}

impl Watching for Watch {
    fn lines(&mut self, line: &mut dyn FnMut(Line) -> ControlFlow<()>) -> bool {
        if !std::mem::replace(&mut self.told, true) {
            let text = "it begins".to_owned();
            let (at_micros, seq, what) = (0, None, What::Notice { text });
            let _ = line(Line { at_micros, seq, what });
        }
        false
    }

    fn more(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.audience
            .send_modify(|all| all.retain(|watcher| *watcher != self.watcher));
    }
}

fn session(state: SessionState) -> Session {
    Session {
        id: SESSION.to_owned(),
        state,
        principal: "alice".to_owned(),
        person: "local:alice".to_owned(),
        groups: vec!["developers".to_owned()],
        moderators: Vec::new(),
        target: "orders".to_owned(),
        database: Some("orders".to_owned()),
        protocol: "postgres".to_owned(),
        task: None,
        client_address: Some("127.0.0.1:5000".to_owned()),
        client_tool: Some("psql".to_owned()),
        agent: None,
        started: OffsetDateTime::UNIX_EPOCH,
        duration_micros: None,
        commands: None,
        bytes: None,
        policy_digest: "policy-digest".to_owned(),
        policy_commit: None,
    }
}

impl Sessions for Outside {
    fn list(&self) -> Vec<Session> {
        if self.over.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let mut session = session(SessionState::Live);
        if self.moderated.load(Ordering::SeqCst) {
            session.moderators = vec!["dba".to_owned()];
        }
        vec![session]
    }

    fn watch(&self, _: &str, watcher: Watcher, _: TranscriptOptions, _: bool) -> Result<Box<dyn Watching>, WatchError> {
        if self.over.load(Ordering::SeqCst) {
            return Err(WatchError::Over);
        }
        self.audience.send_modify(|all| all.push(watcher.clone()));
        let (told, audience) = (false, Arc::clone(&self.audience));
        Ok(Box::new(Watch {
            told,
            watcher,
            audience,
        }))
    }

    fn end(&self, _: &str, _: &str, _: Option<&str>) -> bool {
        !self.over.swap(true, Ordering::SeqCst)
    }
}

impl Recordings for Outside {
    fn list(&self, _: &RecordingFilter) -> Result<Vec<Session>, RecordingsError> {
        Ok(vec![session(SessionState::Sealed)])
    }

    fn get(&self, id: &str) -> Result<Option<Session>, RecordingsError> {
        Ok((id == SESSION).then(|| session(SessionState::Sealed)))
    }

    fn transcript(
        &self,
        _: &str,
        options: TranscriptOptions,
        line: &mut dyn FnMut(Line) -> ControlFlow<()>,
    ) -> Result<(), RecordingsError> {
        let mut say = |at_micros, what| {
            line(Line {
                at_micros,
                seq: Some(1),
                what,
            })
        };
        let command = What::Command {
            text: "SELECT 1".to_owned(),
            parameters: Vec::new(),
        };
        let rows = if options.rows { 10_000 } else { 0 };
        let row = || What::Row {
            values: vec![Some("a value".to_owned()), None],
        };
        let end = What::End {
            state: SessionState::Sealed,
            root: None,
            problem: None,
            journal: InJournal::Nothing,
        };
        let lines = std::iter::once(command).chain((0..rows).map(|_| row())).chain([end]);
        for (at, what) in lines.enumerate() {
            if say(at as u64, what).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn history(&self, period: &Period, line: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), RecordingsError> {
        if period.target.as_deref() == Some("broken") {
            return Err(RecordingsError("nothing can be listed".to_owned()));
        }
        let past = [Past::Task("OPS-1".to_owned()), Past::End { sessions: 0 }];
        for past in past {
            if line(&serde_json::to_vec(&past).unwrap()).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Targets for Outside {
    fn names<'a>(&'a self, target: &'a str, by: &'a str) -> Answer<'a, Result<String, NamesError>> {
        Box::pin(async move {
            match target {
                "orders" => Ok(format!("[\"asked by\",\"{by}\"]\n")),
                "web-1" => Err(NamesError::None(target.to_owned())),
                "away" => Err(NamesError::Failed("nobody is there".to_owned())),
                other => Err(NamesError::Unknown(other.to_owned())),
            }
        })
    }
}

impl Ssh for Outside {
    fn describe(&self, principal: &Principal, _: IpAddr) -> Option<SshInfo> {
        (!self.no_ssh.load(Ordering::SeqCst)).then(|| SshInfo {
            user: principal.id.clone(),
            listen: "127.0.0.1:2222".parse().unwrap(),
            host_keys: Vec::new(),
            authority: String::new(),
            targets: Vec::new(),
        })
    }
}

/// The digest of the one bundle that was in force.
pub(crate) const BUNDLE: &str = "1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f";

impl Policy for Outside {
    fn status(&self) -> PolicyStatus {
        let since = OffsetDateTime::UNIX_EPOCH;
        PolicyStatus {
            digest: "policy-digest".to_owned(),
            commit: None,
            generation: 1,
            error: Some("rules/a.cedar:1: secret rule".to_owned()),
            source: "git+https://host/repo#main".to_owned(),
            branch: Some("main".to_owned()),
            loaded: Some(since),
            fetched: None,
            committed: None,
            last_error: Some(PolicyLastError {
                kind: "invalid".to_owned(),
                since,
                commit: None,
                message: "secret rule".to_owned(),
                problems: Vec::new(),
            }),
        }
    }

    fn pull(&self) -> Pulling {
        self.pulls.fetch_add(1, Ordering::SeqCst);
        let ill = self.ill.load(Ordering::SeqCst);
        Box::pin(async move {
            if ill {
                Err(PullError("the host is away".to_owned()))
            } else {
                Ok(())
            }
        })
    }

    fn awaits(&self, proof: WebhookProof<'_>) -> bool {
        match proof {
            WebhookProof::Signature(text) => text.starts_with("sha256="),
            WebhookProof::Token(text) => text == "good",
        }
    }

    fn webhook(&self, proof: WebhookProof<'_>, body: &[u8]) -> bool {
        let good = match proof {
            WebhookProof::Signature(text) => text == "sha256=good" && body == b"pushed",
            WebhookProof::Token(text) => text == "good",
        };
        if good {
            self.pulls.fetch_add(1, Ordering::SeqCst);
        }
        good
    }

    fn bundles(&self, limit: usize) -> Result<Vec<BundleLoaded>, BundlesError> {
        let loaded = BundleLoaded {
            at: OffsetDateTime::UNIX_EPOCH,
            digest: BUNDLE.to_owned(),
            commit: None,
            source: "policy".to_owned(),
        };
        Ok([loaded].into_iter().take(limit).collect())
    }

    fn bundle(&self, prefix: &str) -> Result<BundleFiles, BundlesError> {
        if !BUNDLE.starts_with(prefix) {
            return Err(BundlesError::NotFound("no bundle has such a digest".to_owned()));
        }
        Ok(BundleFiles {
            digest: BUNDLE.to_owned(),
            loaded: self.bundles(1)?,
            files: [("rules/a.cedar".to_owned(), "secret rule".to_owned())].into(),
        })
    }
}

impl Journal for Outside {
    fn record(&self, entry: &Entry) -> Result<(), JournalError> {
        if self.journal_full.load(Ordering::SeqCst) {
            return Err(JournalError("no space left".to_owned()));
        }
        self.acts.lock().unwrap().push(entry.clone());
        Ok(())
    }
}

pub(crate) struct Gateway {
    pub(crate) outside: Arc<Outside>,
    api: Arc<Api>,
    base: String,
    client: Client,
    _folder: tempfile::TempDir,
}

impl Gateway {
    /// alice and bob (developers), dana (dba), audrey (auditors) and root (admins), all with [`PASSWORD`].
    pub(crate) async fn start() -> Self {
        Self::start_with(Access::default()).await
    }

    /// The same, where the operator has decided who may do what.
    pub(crate) async fn start_with(access: Access) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.toml");
        let mut people = PeopleEditor::open(&path).unwrap();
        let since = OffsetDateTime::now_utc() - time::Duration::HOUR;
        let names = [
            ("alice", "developers"),
            ("bob", "developers"),
            ("dana", "dba"),
            ("audrey", "auditors"),
            ("root", "admins"),
        ];
        for (id, group) in names {
            people
                .add(id, Kind::User, &[group.to_owned()], Some(&PASSWORD.into()), since)
                .unwrap();
        }
        people.save().unwrap();
        let store = Store::open(&folder.path().join("store.db")).await.unwrap();
        let config = IdentityConfig {
            people: Some(path),
            ..IdentityConfig::default()
        };
        let [people, hosts] = [(); 2].map(|()| PrivateKey::generate_ed25519().unwrap());
        let identities = Identities::open(config, store.clone()).await.unwrap();
        let identities = Arc::new(identities.with_ssh(SshAuthorities::new(people, hosts).unwrap()));
        let reviews = Reviews::open(&store, ReviewConfig::default(), Arc::new(NoWitness))
            .await
            .unwrap();
        let outside = Arc::new(Outside::default());
        let ill = Arc::clone(&outside);
        let api = Arc::new(Api {
            agents: None,
            identities,
            reviews,
            sessions: Arc::clone(&outside) as Arc<dyn Sessions>,
            recordings: Arc::clone(&outside) as Arc<dyn Recordings>,
            policy: Arc::clone(&outside) as Arc<dyn Policy>,
            ssh: Arc::clone(&outside) as Arc<dyn Ssh>,
            targets: Arc::clone(&outside) as Arc<dyn Targets>,
            journal: Arc::clone(&outside) as Arc<dyn Journal>,
            health: Arc::new(move || {
                if ill.ill.load(Ordering::SeqCst) {
                    vec!["recordings".to_owned()]
                } else {
                    Vec::new()
                }
            }),
            metrics: Arc::new(|| "sallyport_up 1\n".to_owned()),
            access,
        });
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), 64, Limits::default()).unwrap();
        let base = format!("http://{}", listener.local_addr());
        let service = router(Arc::clone(&api));
        tokio::spawn(async move { serve(listener, None, service, std::future::pending()).await });
        Self {
            outside,
            api,
            base,
            client: Client::new(),
            _folder: folder,
        }
    }

    pub(crate) async fn login(&self, user: &str) -> String {
        let login = PasswordLogin {
            user: user.to_owned(),
            password: SecretString::from(PASSWORD).into(),
        };
        let source = std::net::Ipv4Addr::LOCALHOST.into();
        let login = self.api.identities.login_password(&login, source).await.unwrap();
        login.reply.token.0.expose_secret().to_owned()
    }

    pub(crate) fn identities(&self) -> Arc<Identities> {
        Arc::clone(&self.api.identities)
    }

    pub(crate) fn client(&self, token: &str) -> GatewayClient {
        GatewayClient::new(&self.base, Some(token.into()), None).unwrap()
    }

    /// A message of somebody who has no token.
    pub(crate) async fn tell(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
        let mut request = self.client.post(format!("{}{path}", self.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn open(&self, method: Method, path: &str) -> Response {
        self.call("", method, path, None).await
    }

    pub(crate) async fn call(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    /// A command of alice's that waits for a DBA.
    pub(crate) async fn hold(&self, statement: &str) -> Pending {
        let principal = self.api.identities.local_principal("alice").unwrap();
        let digest = CommandDigest::of(&Binding {
            statement: statement.as_bytes(),
            parameters: b"",
            state: b"",
            principal: "alice",
            target: "orders",
            database: "orders",
            task: None,
            policy_digest: "policy-digest",
        });
        let held = Held {
            session: SESSION.to_owned(),
            principal: (*principal).clone(),
            target: "orders".to_owned(),
            database: None,
            task: None,
            statement: statement.to_owned(),
            parameters: Vec::new(),
            digest,
            policy_digest: "policy-digest".to_owned(),
            rules: Vec::new(),
            message: None,
            needs: vec![Need {
                group: "dba".to_owned(),
                count: 1,
            }],
            watch: Vec::new(),
            impact: None,
            wait: None,
            request_ttl: None,
            grant_ttl: None,
        };
        self.api.reviews.request(held).await.unwrap()
    }

    pub(crate) fn acts(&self) -> Vec<(String, Act)> {
        self.outside
            .acts
            .lock()
            .unwrap()
            .iter()
            .map(|e| (e.actor.clone(), e.act.clone()))
            .collect()
    }
}
