//! A repository, what a gateway has, and a follower between them.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use sallyport_policy::{Kept, Loader, Problem};
use sallyport_policy_git::{Event, Follower, GitTable, Record, Settings, Surroundings, Trouble};
use sallyport_testbed::GitOrigin;
use tempfile::TempDir;

pub(crate) const ALL: &str = "@id(\"all\") permit (principal, action, resource);\n";
pub(crate) const NONE: &str = "@id(\"none\") forbid (principal, action, resource);\n";

pub(crate) struct Bed {
    pub(crate) origin: GitOrigin,
    pub(crate) state: TempDir,
}

impl Bed {
    /// A repository whose one commit permits everything.
    pub(crate) fn new() -> (Self, String) {
        let origin = GitOrigin::new().unwrap();
        origin.write("rules/all.cedar", ALL).unwrap();
        let first = origin.commit("everything is permitted").unwrap();
        let state = tempfile::tempdir().unwrap();
        (Self { origin, state }, first)
    }

    pub(crate) fn table(&self) -> GitTable {
        GitTable {
            git: self.origin.address(),
            branch: Some("main".to_owned()),
            ..GitTable::default()
        }
    }

    pub(crate) fn kept(&self) -> Kept {
        Kept::open(&self.state.path().join("bundles")).unwrap()
    }

    /// Writes the commits into a file, unless there is a folder in its place.
    fn recorder(&self) -> Record {
        let journal = self.journal();
        Arc::new(move |bundle| {
            let mut text = std::fs::read_to_string(&journal).unwrap_or_default();
            text.push_str(&format!("{}\n", bundle.commit().unwrap_or_default()));
            std::fs::write(&journal, text).map_err(|error| error.to_string())
        })
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.state.path().join("journal")
    }

    pub(crate) async fn try_start(&self, table: &GitTable) -> Result<Arc<Follower>, Trouble> {
        let settings = Settings::read(table, self.state.path()).unwrap();
        let around = Surroundings {
            state_dir: self.state.path().to_owned(),
            loader: Loader::new(&[]),
            // As a gateway refuses a bundle whose targets make no sense.
            check: Arc::new(|bundle| match bundle.file("targets.toml") {
                Some(text) if text.contains("nonsense") => {
                    Err(vec![Problem::in_file("targets.toml", "makes no sense")])
                }
                Some(_) | None => Ok(()),
            }),
            kept: Arc::new(self.kept()),
            record: self.recorder(),
        };
        Box::pin(Follower::start(settings, around)).await
    }

    pub(crate) async fn start(&self, table: &GitTable) -> Following {
        let follower = self.try_start(table).await.unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        follower.subscribe(move |event| told.lock().unwrap().push(event.clone()));
        Following { follower, events }
    }

    /// Where a follower's copy is.
    pub(crate) fn copies(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.state.path().join("policy-git")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.is_dir()).collect()
    }
}

pub(crate) struct Following {
    pub(crate) follower: Arc<Follower>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Following {
    pub(crate) fn commit(&self) -> String {
        self.follower.watcher().current().commit().unwrap().to_owned()
    }

    pub(crate) fn rules(&self) -> String {
        let bundle = self.follower.watcher().current();
        bundle.file("rules/all.cedar").unwrap_or_default().to_owned()
    }

    pub(crate) async fn pull(&self) -> Result<(), Trouble> {
        self.follower.pull().await
    }

    /// Pulls, and expects a trouble of this kind that changes nothing.
    pub(crate) async fn refuses(&self, kind: &str) -> Trouble {
        let before = self.commit();
        let trouble = self.pull().await.unwrap_err();
        assert_eq!(trouble.kind.as_str(), kind, "{trouble}");
        assert_eq!(self.commit(), before, "the bundle before goes on");
        let known = self.follower.status().trouble.unwrap().1;
        assert_eq!(known.to_string(), trouble.to_string());
        trouble
    }

    /// What was told since the last call, in words.
    pub(crate) fn told(&self) -> Vec<&'static str> {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        let word = |event: &Event| match event {
            Event::Refused(_) => "refused",
            Event::Failed(_) => "failed",
            Event::Recovered { .. } => "recovered",
        };
        events.iter().map(word).collect()
    }
}
