//! Requests from asking to using, with people who try what they should not.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sallyport_identity::{Kind, LOCAL_ISSUER, Principal};
use sallyport_review::{
    Act, ActKind, Binding, Clock, CommandDigest, Held, Impact, ListFilter, Need, Outcome, Pending, RequestState,
    ReviewConfig, ReviewError, Reviews, Visibility, Witness, WitnessError,
};
use sallyport_store::Store;
use time::OffsetDateTime;

const POLICY: &str = "policy-1";

/// Takes acts down in memory, and refuses them when told so.
#[derive(Default)]
struct Notebook {
    acts: Mutex<Vec<Act>>,
    full: AtomicBool,
}

impl Witness for Notebook {
    fn witness(&self, act: &Act) -> Result<(), WitnessError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(WitnessError("no space left".to_owned()));
        }
        self.acts.lock().unwrap().push(act.clone());
        Ok(())
    }
}

struct Office {
    reviews: Reviews,
    notebook: Arc<Notebook>,
    ahead_ms: Arc<AtomicI64>,
    store: Store,
    _dir: tempfile::TempDir,
}

impl Office {
    async fn open() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut ReviewConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.db")).await.unwrap();
        let ahead_ms = Arc::new(AtomicI64::new(0));
        let ahead = Arc::clone(&ahead_ms);
        let clock = Clock::from_fn(move || {
            OffsetDateTime::now_utc() + Duration::from_millis(ahead.load(Ordering::SeqCst).unsigned_abs())
        });
        let mut config = ReviewConfig {
            clock,
            ..ReviewConfig::default()
        };
        change(&mut config);
        let notebook = Arc::new(Notebook::default());
        let reviews = Reviews::open(&store, config, Arc::clone(&notebook) as Arc<dyn Witness>)
            .await
            .unwrap();
        Self {
            reviews,
            notebook,
            ahead_ms,
            store,
            _dir: dir,
        }
    }

    /// The same store, as after a restart of the gateway.
    async fn reopen(&self) -> Reviews {
        let witness = Arc::clone(&self.notebook) as Arc<dyn Witness>;
        Reviews::open(&self.store, ReviewConfig::default(), witness)
            .await
            .unwrap()
    }

    fn pass(&self, time: Duration) {
        self.ahead_ms
            .fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    fn kinds(&self) -> Vec<ActKind> {
        self.notebook.acts.lock().unwrap().iter().map(|act| act.kind).collect()
    }

    async fn state(&self, id: &str) -> RequestState {
        self.reviews.get(id, Visibility::All).await.unwrap().state
    }

    /// Waits, event by event, until `id` is in `state`.
    async fn until(&self, id: &str, state: RequestState) {
        let mut events = self.reviews.subscribe();
        while self.state(id).await != state {
            events.recv().await.unwrap();
        }
    }

    async fn take(&self, held: &Held) -> Option<sallyport_review::Grant> {
        let (id, target) = (held.principal.id.as_str(), held.target.as_str());
        self.reviews
            .take_grant(&held.digest, id, target, held.task.as_deref(), POLICY)
            .await
            .unwrap()
    }
}

fn person(id: &str, groups: &[&str]) -> Principal {
    Principal {
        id: id.into(),
        kind: Kind::User,
        groups: groups.iter().map(|g| (*g).into()).collect(),
        person: format!("local:{id}").into(),
        issuer: LOCAL_ISSUER.into(),
    }
}

fn dba(id: &str) -> Principal {
    person(id, &["dba"])
}

fn digest(statement: &str, principal: &str) -> CommandDigest {
    CommandDigest::of(&Binding {
        statement: statement.as_bytes(),
        parameters: b"",
        state: b"",
        principal,
        target: "orders",
        database: "orders",
        task: None,
        policy_digest: POLICY,
    })
}

fn held_by(principal: Principal, statement: &str) -> Held {
    Held {
        session: "session-1".to_owned(),
        target: "orders".to_owned(),
        database: Some("orders".to_owned()),
        task: None,
        statement: statement.to_owned(),
        parameters: Vec::new(),
        digest: digest(statement, &principal.id),
        principal,
        policy_digest: POLICY.to_owned(),
        rules: vec!["schema-changes-wait-for-a-dba".to_owned()],
        message: None,
        watch: Vec::new(),
        needs: vec![need("dba", 1)],
        impact: None,
        wait: None,
        request_ttl: None,
        grant_ttl: None,
    }
}

fn held(statement: &str) -> Held {
    held_by(person("alice", &["developers"]), statement)
}

fn need(group: &str, count: u32) -> Need {
    Need {
        group: group.to_owned(),
        count,
    }
}

async fn outcome(mut pending: Pending) -> Outcome {
    tokio::time::timeout(Duration::from_secs(20), pending.outcome())
        .await
        .unwrap()
}

#[tokio::test]
async fn an_approval_reaches_the_client_that_waits_and_is_used_up() {
    let office = Office::open().await;
    let held = held("ALTER TABLE orders ADD note text");
    let pending = office.reviews.request(held.clone()).await.unwrap();
    let id = pending.id().to_owned();
    let waiting = tokio::spawn(outcome(pending));
    let request = office
        .reviews
        .approve(&id, &dba("dana"), Some("reviewed"))
        .await
        .unwrap();
    assert_eq!(request.approvals[0].reviewer, "dana");
    let Outcome::Approved(grant) = waiting.await.unwrap() else {
        panic!()
    };
    assert_eq!(grant.groups.iter().collect::<Vec<_>>(), ["dba"]);
    assert_eq!(grant.approvals[0].reason.as_deref(), Some("reviewed"));
    assert_eq!(office.state(&id).await, RequestState::Used);
    assert!(office.take(&held).await.is_none(), "single use");
    assert_eq!(office.kinds(), [ActKind::Requested, ActKind::Granted, ActKind::Used]);
}

#[tokio::test]
async fn a_denial_reaches_the_client_with_its_reason() {
    let office = Office::open().await;
    let pending = office.reviews.request(held("DROP TABLE orders")).await.unwrap();
    office
        .reviews
        .deny(pending.id(), &dba("dana"), Some("not today"))
        .await
        .unwrap();
    let id = pending.id().to_owned();
    let Outcome::Denied { by, reason } = outcome(pending).await else {
        panic!()
    };
    assert_eq!((by.as_str(), reason.as_deref()), ("dana", Some("not today")));
    let late = office.reviews.approve(&id, &dba("dora"), None).await.unwrap_err();
    assert!(
        matches!(
            late,
            ReviewError::Over {
                state: RequestState::Denied,
                ..
            }
        ),
        "{late}"
    );
}

#[tokio::test]
async fn nobody_decides_about_their_own_request() {
    let office = Office::open().await;
    let alice = person("alice", &["developers", "dba", "admins"]);
    let pending = office
        .reviews
        .request(held_by(alice.clone(), "ALTER TABLE t ADD c int"))
        .await
        .unwrap();
    let other_identity = Principal {
        id: "alice.admin".into(),
        ..alice.clone()
    };
    let other_case = Principal {
        id: "ALICE".into(),
        person: "local:else".into(),
        ..alice.clone()
    };
    for reviewer in [&alice, &other_identity, &other_case] {
        let approve = office.reviews.approve(pending.id(), reviewer, None).await.unwrap_err();
        assert!(matches!(approve, ReviewError::OwnRequest { .. }), "{approve}");
        let deny = office.reviews.deny(pending.id(), reviewer, None).await.unwrap_err();
        assert!(matches!(deny, ReviewError::OwnRequest { .. }), "{deny}");
    }
    assert_eq!(office.state(pending.id()).await, RequestState::Open);
}

#[tokio::test]
async fn only_people_of_the_asked_groups_decide() {
    let office = Office::open().await;
    let pending = office.reviews.request(held("ALTER TABLE t ADD c int")).await.unwrap();
    let outsider = office
        .reviews
        .approve(pending.id(), &person("bob", &["developers", "admins"]), None)
        .await;
    assert!(matches!(outsider.unwrap_err(), ReviewError::NotAReviewer { .. }));
    let robot = Principal {
        kind: Kind::Machine,
        ..dba("ci")
    };
    let robot = office.reviews.approve(pending.id(), &robot, None).await;
    assert!(matches!(robot.unwrap_err(), ReviewError::NotAPerson(_)));
    let unknown = office.reviews.approve("req_000000", &dba("dana"), None).await;
    assert!(matches!(unknown.unwrap_err(), ReviewError::NotFound(_)));
}

#[tokio::test]
async fn several_groups_need_several_people() {
    let office = Office::open().await;
    let needs = vec![need("dba", 2), need("security", 1)];
    let pending = office
        .reviews
        .request(Held {
            needs,
            ..held("GRANT ALL ON orders TO bob")
        })
        .await
        .unwrap();
    let id = pending.id().to_owned();
    let both = person("dana", &["dba", "security"]);
    office.reviews.approve(&id, &both, None).await.unwrap();
    let again = office.reviews.approve(&id, &both, None).await.unwrap_err();
    assert!(matches!(again, ReviewError::AlreadyApproved { .. }), "{again}");
    let same_person = Principal {
        id: "dana2".into(),
        ..both.clone()
    };
    let again = office.reviews.approve(&id, &same_person, None).await.unwrap_err();
    assert!(matches!(again, ReviewError::AlreadyApproved { .. }), "{again}");
    office.reviews.approve(&id, &dba("dora"), None).await.unwrap();
    // Dana now stands for security, which leaves one place for a DBA.
    let request = office.reviews.approve(&id, &dba("dirk"), None).await.unwrap();
    assert_eq!(request.state, RequestState::Approved);
    let Outcome::Approved(grant) = outcome(pending).await else {
        panic!()
    };
    assert_eq!(grant.groups.iter().collect::<Vec<_>>(), ["dba", "security"]);
    assert_eq!(grant.approvals.len(), 3);
}

#[tokio::test]
async fn a_group_that_has_approved_is_not_needed_again() {
    let office = Office::open().await;
    let needs = vec![need("dba", 1), need("security", 1)];
    let pending = office
        .reviews
        .request(Held {
            needs,
            ..held("DROP TABLE t")
        })
        .await
        .unwrap();
    office.reviews.approve(pending.id(), &dba("dana"), None).await.unwrap();
    let second = office
        .reviews
        .approve(pending.id(), &dba("dora"), None)
        .await
        .unwrap_err();
    assert!(second.to_string().contains("1 approval of `security`"), "{second}");
    let request = office.reviews.get(pending.id(), Visibility::All).await.unwrap();
    assert_eq!(request.approvals.len(), 1, "the refused vote was not kept");
}

#[tokio::test]
async fn persons_who_turn_out_to_be_one_count_once() {
    let office = Office::open().await;
    let needs = vec![need("dba", 2)];
    let pending = office
        .reviews
        .request(Held {
            needs,
            ..held("DROP TABLE t")
        })
        .await
        .unwrap();
    office.reviews.approve(pending.id(), &dba("dana"), None).await.unwrap();
    // A login proves that both keys belong to one person.
    let tokens = &office.store;
    tokens
        .person_of(&["local:dana".to_owned(), "local:dora".to_owned()])
        .await
        .unwrap();
    let second = office
        .reviews
        .approve(pending.id(), &dba("dora"), None)
        .await
        .unwrap_err();
    assert!(matches!(second, ReviewError::AlreadyApproved { .. }), "{second}");
    // And that a third is the person who asked.
    tokens
        .person_of(&["local:alice".to_owned(), "local:dirk".to_owned()])
        .await
        .unwrap();
    let own = office
        .reviews
        .approve(pending.id(), &dba("dirk"), None)
        .await
        .unwrap_err();
    assert!(matches!(own, ReviewError::OwnRequest { .. }), "{own}");
}

#[tokio::test]
async fn after_a_timeout_and_a_later_approval_the_command_passes_once() {
    let office = Office::open().await;
    let held = Held {
        wait: Some(Duration::from_millis(20)),
        ..held("ALTER TABLE t ADD c int")
    };
    let pending = office.reviews.request(held.clone()).await.unwrap();
    let id = pending.id().to_owned();
    assert!(matches!(outcome(pending).await, Outcome::TimedOut));
    assert_eq!(office.state(&id).await, RequestState::Open);
    assert!(office.take(&held).await.is_none(), "not approved yet");
    office.reviews.approve(&id, &dba("dana"), None).await.unwrap();

    let elsewhere = Held {
        target: "payments".to_owned(),
        ..held.clone()
    };
    assert!(office.take(&elsewhere).await.is_none());
    let other = Held {
        digest: digest("ALTER TABLE t ADD d int", "alice"),
        ..held.clone()
    };
    assert!(office.take(&other).await.is_none());
    let grant = office.take(&held).await.unwrap();
    assert_eq!(grant.request, id);
    assert!(office.take(&held).await.is_none(), "once");
    assert_eq!(
        office.kinds(),
        [ActKind::Requested, ActKind::TimedOut, ActKind::Granted, ActKind::Used]
    );
}

#[tokio::test]
async fn the_same_command_takes_its_undecided_request_up_again() {
    let office = Office::open().await;
    let needs = vec![need("dba", 2)];
    let held = Held {
        needs,
        wait: Some(Duration::from_millis(20)),
        ..held("ALTER TABLE t ADD c int")
    };
    let pending = office.reviews.request(held.clone()).await.unwrap();
    let id = pending.id().to_owned();
    office.reviews.approve(&id, &dba("dana"), None).await.unwrap();
    assert!(matches!(outcome(pending).await, Outcome::TimedOut));
    let again = Held {
        session: "session-2".to_owned(),
        wait: None,
        ..held
    };
    let pending = office.reviews.request(again.clone()).await.unwrap();
    assert_eq!(pending.id(), id);
    // While that client waits, another makes a request of its own.
    let parallel = office.reviews.request(again).await.unwrap();
    assert_ne!(parallel.id(), id);
    office.reviews.approve(&id, &dba("dora"), None).await.unwrap();
    assert!(matches!(outcome(pending).await, Outcome::Approved(_)));
}

#[tokio::test]
async fn a_client_that_goes_away_withdraws_its_request() {
    let office = Office::open().await;
    let mut pending = office.reviews.request(held("ALTER TABLE t ADD c int")).await.unwrap();
    let id = pending.id().to_owned();
    // Polled and dropped, as a driver does; only dropping the pending itself gives up.
    assert!(
        tokio::time::timeout(Duration::from_millis(10), pending.outcome())
            .await
            .is_err()
    );
    assert_eq!(office.state(&id).await, RequestState::Open);
    drop(pending);
    office.until(&id, RequestState::Withdrawn).await;
    let late = office.reviews.approve(&id, &dba("dana"), None).await.unwrap_err();
    assert!(matches!(late, ReviewError::Over { .. }), "{late}");
}

#[tokio::test]
async fn a_client_that_goes_away_after_the_approval_leaves_no_grant() {
    let office = Office::open().await;
    let held = held("ALTER TABLE t ADD c int");
    let pending = office.reviews.request(held.clone()).await.unwrap();
    let id = pending.id().to_owned();
    office.reviews.approve(&id, &dba("dana"), None).await.unwrap();
    assert!(office.take(&held).await.is_none(), "it is for the client that waits");
    drop(pending);
    office.until(&id, RequestState::Withdrawn).await;
    assert!(office.take(&held).await.is_none());
}

#[tokio::test]
async fn who_asked_can_withdraw_and_nobody_else() {
    let office = Office::open().await;
    let pending = office.reviews.request(held("ALTER TABLE t ADD c int")).await.unwrap();
    let other = office
        .reviews
        .withdraw(pending.id(), &dba("dana"), None)
        .await
        .unwrap_err();
    assert!(matches!(other, ReviewError::NotYours(_)));
    office
        .reviews
        .withdraw(pending.id(), &person("alice", &[]), Some("changed my mind"))
        .await
        .unwrap();
    let Outcome::Withdrawn { reason } = outcome(pending).await else {
        panic!()
    };
    assert_eq!(reason.as_deref(), Some("changed my mind"));
}

#[tokio::test]
async fn an_undecided_request_expires_while_its_client_waits() {
    let office = Office::open().await;
    let ttl = Duration::from_secs(3600);
    let held = Held {
        request_ttl: Some(ttl),
        ..held("ALTER TABLE t ADD c int")
    };
    let pending = office.reviews.request(held).await.unwrap();
    let id = pending.id().to_owned();
    office.pass(ttl);
    let late = office.reviews.approve(&id, &dba("dana"), None).await.unwrap_err();
    assert!(
        matches!(
            late,
            ReviewError::Over {
                state: RequestState::Expired,
                ..
            }
        ),
        "before the sweep: {late}"
    );
    office.reviews.sweep().await.unwrap();
    assert!(matches!(outcome(pending).await, Outcome::Expired));
}

#[tokio::test]
async fn expiry_needs_no_reminder() {
    let office = Office::open().await;
    let short = Duration::from_millis(50);
    let held = Held {
        request_ttl: Some(short),
        wait: Some(short),
        ..held("ALTER TABLE t ADD c int")
    };
    let pending = office.reviews.request(held).await.unwrap();
    let id = pending.id().to_owned();
    office.until(&id, RequestState::Expired).await;
    assert!(matches!(outcome(pending).await, Outcome::Expired | Outcome::TimedOut));
}

#[tokio::test]
async fn an_unused_grant_expires() {
    let office = Office::open().await;
    let held = Held {
        wait: Some(Duration::from_millis(1)),
        grant_ttl: Some(Duration::from_secs(60)),
        ..held("ALTER TABLE t ADD c int")
    };
    let pending = office.reviews.request(held.clone()).await.unwrap();
    let id = pending.id().to_owned();
    assert!(matches!(outcome(pending).await, Outcome::TimedOut));
    office.reviews.approve(&id, &dba("dana"), None).await.unwrap();
    office.pass(Duration::from_secs(61));
    assert!(office.take(&held).await.is_none());
    office.reviews.sweep().await.unwrap();
    assert_eq!(office.state(&id).await, RequestState::Expired);
}

#[tokio::test]
async fn a_grant_can_be_taken_back_until_it_is_used() {
    let office = Office::open().await;
    let held = Held {
        wait: Some(Duration::from_millis(1)),
        ..held("ALTER TABLE t ADD c int")
    };
    let pending = office.reviews.request(held.clone()).await.unwrap();
    let id = pending.id().to_owned();
    assert!(matches!(outcome(pending).await, Outcome::TimedOut));
    office.reviews.approve(&id, &dba("dana"), None).await.unwrap();
    office
        .reviews
        .deny(&id, &dba("dora"), Some("wrong table"))
        .await
        .unwrap();
    assert!(office.take(&held).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_run_the_command_at_once_one_gets_the_grant() {
    let office = Arc::new(Office::open().await);
    let held = Held {
        wait: Some(Duration::from_millis(1)),
        ..held("ALTER TABLE t ADD c int")
    };
    let pending = office.reviews.request(held.clone()).await.unwrap();
    let id = pending.id().to_owned();
    assert!(matches!(outcome(pending).await, Outcome::TimedOut));
    office.reviews.approve(&id, &dba("dana"), None).await.unwrap();
    let takers: Vec<_> = (0..16)
        .map(|_| {
            let (office, held) = (Arc::clone(&office), held.clone());
            tokio::spawn(async move { office.take(&held).await.is_some() })
        })
        .collect();
    let mut taken = 0;
    for taker in takers {
        taken += usize::from(taker.await.unwrap());
    }
    assert_eq!(taken, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_approve_at_once_one_makes_the_grant() {
    let office = Arc::new(Office::open().await);
    let pending = office.reviews.request(held("ALTER TABLE t ADD c int")).await.unwrap();
    let id = pending.id().to_owned();
    let reviewers: Vec<_> = (0..16)
        .map(|n| {
            let (office, id) = (Arc::clone(&office), id.clone());
            tokio::spawn(async move {
                office
                    .reviews
                    .approve(&id, &dba(&format!("dba{n}")), None)
                    .await
                    .is_ok()
            })
        })
        .collect();
    let mut approved = 0;
    for reviewer in reviewers {
        approved += usize::from(reviewer.await.unwrap());
    }
    assert_eq!(approved, 1);
    assert!(matches!(outcome(pending).await, Outcome::Approved(_)));
    assert_eq!(office.kinds(), [ActKind::Requested, ActKind::Granted, ActKind::Used]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_denial_and_an_approval_at_once_come_to_one_of_them() {
    let office = Arc::new(Office::open().await);
    for round in 0..24 {
        let held = Held {
            wait: Some(Duration::from_millis(1)),
            ..held(&format!("ALTER TABLE t ADD c{round} int"))
        };
        let pending = office.reviews.request(held.clone()).await.unwrap();
        let id = pending.id().to_owned();
        assert!(matches!(outcome(pending).await, Outcome::TimedOut));
        let barrier = Arc::new(tokio::sync::Barrier::new(2));
        let decide = |denies: bool| {
            let (office, id, barrier) = (Arc::clone(&office), id.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                let reviews = &office.reviews;
                match denies {
                    true => reviews.deny(&id, &dba("dora"), None).await.is_ok(),
                    false => reviews.approve(&id, &dba("dana"), None).await.is_ok(),
                }
            })
        };
        let (deny, approve) = (decide(true), decide(false));
        let (denied, approved) = (deny.await.unwrap(), approve.await.unwrap());
        // A denial takes an unused grant back, so it counts whichever came first.
        assert!(denied, "round {round}, approved: {approved}");
        assert_eq!(office.state(&id).await, RequestState::Denied);
        assert!(office.take(&held).await.is_none());
    }
}

#[tokio::test]
async fn requests_are_bounded() {
    let office = Office::with(|config| {
        config.max_open_per_principal = 2;
        config.max_open = 3;
    })
    .await;
    let mut open = Vec::new();
    for n in 0..2 {
        open.push(office.reviews.request(held(&format!("DROP TABLE t{n}"))).await.unwrap());
    }
    let third = office.reviews.request(held("DROP TABLE t3")).await.unwrap_err();
    assert!(matches!(third, ReviewError::TooManyOfYours { limit: 2, .. }), "{third}");
    let bob = person("bob", &[]);
    open.push(office.reviews.request(held_by(bob, "DROP TABLE t")).await.unwrap());
    let fourth = office
        .reviews
        .request(held_by(person("carl", &[]), "DROP TABLE t"))
        .await
        .unwrap_err();
    assert!(matches!(fourth, ReviewError::TooMany { limit: 3 }), "{fourth}");
}

#[tokio::test]
async fn a_hold_that_asks_nobody_or_too_many_is_refused() {
    let office = Office::open().await;
    let nobody = office
        .reviews
        .request(Held {
            needs: vec![],
            ..held("DROP TABLE t")
        })
        .await
        .unwrap_err();
    assert!(matches!(nobody, ReviewError::NobodyToAsk));
    let needs = vec![need("dba", u32::MAX), need("security", u32::MAX)];
    let many = office
        .reviews
        .request(Held {
            needs,
            ..held("DROP TABLE t")
        })
        .await
        .unwrap_err();
    assert!(matches!(many, ReviewError::TooManyApprovals(_)));
}

#[tokio::test]
async fn what_reviewers_see_is_bounded_and_says_so() {
    let office = Office::open().await;
    let statement = format!(
        "INSERT INTO t VALUES ('{}é')",
        "x".repeat(sallyport_review::MAX_STATEMENT_BYTES)
    );
    let pending = office
        .reviews
        .request(Held {
            parameters: vec!["1".to_owned()],
            ..held(&statement)
        })
        .await
        .unwrap();
    let impact = Impact {
        plan: "Insert on t".to_owned(),
        estimated_rows: Some(1),
    };
    office.reviews.set_impact(pending.id(), &impact).await.unwrap();
    let request = office
        .reviews
        .get(pending.id(), Visibility::For(&dba("dana")))
        .await
        .unwrap();
    assert!(request.statement_truncated);
    assert_eq!(request.statement.len(), sallyport_review::MAX_STATEMENT_BYTES);
    assert_eq!(request.statement_bytes, statement.len() as u64);
    assert_eq!(request.parameters, ["1"]);
    assert!(!request.parameters_truncated);
    assert_eq!(request.impact, Some(impact));
    let listed = office
        .reviews
        .list(ListFilter::default(), Visibility::All)
        .await
        .unwrap();
    assert!(
        listed[0].statement_truncated && listed[0].parameters_truncated,
        "a list is abridged"
    );
    assert_eq!(listed[0].statement, statement[..2048]);
    assert!(listed[0].parameters.is_empty());
    assert_eq!(listed[0].impact.as_ref().unwrap().estimated_rows, Some(1));
    assert_eq!(request.digest, digest(&statement, "alice").to_hex());
}

#[tokio::test]
async fn people_see_their_own_requests_and_those_they_are_asked_about() {
    let office = Office::open().await;
    let of_alice = office.reviews.request(held("DROP TABLE a")).await.unwrap();
    let of_bob = office
        .reviews
        .request(held_by(person("bob", &[]), "DROP TABLE b"))
        .await
        .unwrap();
    let ids = async |who: Visibility<'_>| -> Vec<String> {
        let list = office.reviews.list(ListFilter::default(), who).await.unwrap();
        list.into_iter().map(|request| request.id).collect()
    };
    let both = [of_bob.id().to_owned(), of_alice.id().to_owned()];
    let mut all = ids(Visibility::All).await;
    all.sort();
    let mut expected = both.to_vec();
    expected.sort();
    assert_eq!(all, expected);
    assert_eq!(ids(Visibility::For(&dba("dana"))).await.len(), 2);
    assert_eq!(ids(Visibility::For(&person("alice", &[]))).await, [of_alice.id()]);
    assert!(ids(Visibility::For(&person("carl", &["developers"]))).await.is_empty());
    let hidden = office
        .reviews
        .get(of_alice.id(), Visibility::For(&person("bob", &[])))
        .await
        .unwrap_err();
    assert!(matches!(hidden, ReviewError::NotFound(_)));

    let first = office
        .reviews
        .list(
            ListFilter {
                limit: Some(1),
                ..ListFilter::default()
            },
            Visibility::All,
        )
        .await;
    let first = first.unwrap();
    let rest = ListFilter {
        before: Some(first[0].id.clone()),
        ..ListFilter::default()
    };
    let rest = office.reviews.list(rest, Visibility::All).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_ne!(rest[0].id, first[0].id);
    let denied = ListFilter {
        states: [RequestState::Denied].into(),
        ..ListFilter::default()
    };
    assert!(office.reviews.list(denied, Visibility::All).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_be_witnessed_does_not_happen() {
    let office = Office::open().await;
    let pending = office.reviews.request(held("DROP TABLE t")).await.unwrap();
    office.notebook.full.store(true, Ordering::SeqCst);
    let approve = office
        .reviews
        .approve(pending.id(), &dba("dana"), None)
        .await
        .unwrap_err();
    assert!(matches!(approve, ReviewError::Witness(_)), "{approve}");
    let request = office.reviews.get(pending.id(), Visibility::All).await.unwrap();
    assert_eq!(request.state, RequestState::Open);
    assert!(request.approvals.is_empty());
    assert!(office.reviews.request(held("DROP TABLE u")).await.is_err());
    let listed = office
        .reviews
        .list(ListFilter::default(), Visibility::All)
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
}

#[tokio::test]
async fn a_use_that_cannot_be_witnessed_refuses_the_command() {
    let office = Office::open().await;
    let pending = office.reviews.request(held("DROP TABLE t")).await.unwrap();
    let id = pending.id().to_owned();
    office.reviews.approve(&id, &dba("dana"), None).await.unwrap();
    office.notebook.full.store(true, Ordering::SeqCst);
    assert!(matches!(
        outcome(pending).await,
        Outcome::Failed(ReviewError::Witness(_))
    ));
    assert_eq!(office.state(&id).await, RequestState::Approved);
}

#[tokio::test]
async fn a_restart_withdraws_what_was_waited_for_and_keeps_grants() {
    let office = Office::open().await;
    let waiting = office.reviews.request(held("DROP TABLE a")).await.unwrap();
    let patient = Held {
        wait: Some(Duration::from_millis(1)),
        ..held("DROP TABLE b")
    };
    let timed_out = office.reviews.request(patient.clone()).await.unwrap();
    let timed_out_id = timed_out.id().to_owned();
    assert!(matches!(outcome(timed_out).await, Outcome::TimedOut));
    let approved_held = held("DROP TABLE c");
    let approved = office.reviews.request(approved_held.clone()).await.unwrap();
    office.reviews.approve(approved.id(), &dba("dana"), None).await.unwrap();

    let after = office.reopen().await;
    let state = async |id: &str| after.get(id, Visibility::All).await.unwrap().state;
    assert_eq!(state(waiting.id()).await, RequestState::Withdrawn);
    assert_eq!(state(&timed_out_id).await, RequestState::Open);
    assert_eq!(state(approved.id()).await, RequestState::Approved);
    let grant = after
        .take_grant(&approved_held.digest, "alice", "orders", None, POLICY)
        .await
        .unwrap();
    assert_eq!(grant.unwrap().request, approved.id());
}

#[tokio::test]
async fn what_is_to_be_watched_is_not_approved_and_ends_with_who_watches() {
    let office = Office::open().await;
    let held = Held {
        needs: Vec::new(),
        watch: vec!["operators".to_owned()],
        ..held("a shell")
    };
    let pending = office.reviews.request(held.clone()).await.unwrap();
    let id = pending.id().to_owned();
    let oscar = person("oscar", &["operators"]);
    let seen = office
        .reviews
        .list(ListFilter::default(), Visibility::For(&oscar))
        .await
        .unwrap();
    assert_eq!(seen.len(), 1, "those who are asked to watch see it");
    assert_eq!(
        (seen[0].watch.as_slice(), seen[0].needs.len()),
        (&["operators".to_owned()][..], 0)
    );
    let stranger = person("sam", &["staff"]);
    assert!(matches!(
        office.reviews.get(&id, Visibility::For(&stranger)).await,
        Err(ReviewError::NotFound(_))
    ));
    let refused = office.reviews.approve(&id, &oscar, None).await.unwrap_err();
    assert!(refused.to_string().contains("sallyport sessions watch"), "{refused}");
    office.reviews.watched(&id, "oscar").await.unwrap();
    let over = office.reviews.get(&id, Visibility::All).await.unwrap();
    assert_eq!(over.state, RequestState::Used);
    assert_eq!(over.conclusion.unwrap().by.as_deref(), Some("oscar"));
    assert_eq!(office.kinds(), [ActKind::Requested, ActKind::Used]);
    assert!(office.take(&held).await.is_none(), "it leaves no grant behind");
    assert!(matches!(
        office.reviews.watched(&id, "oscar").await,
        Err(ReviewError::Over { .. })
    ));
    drop(pending);

    let again = office.reviews.request(held).await.unwrap();
    let alice = person("alice", &["operators"]);
    assert!(matches!(
        office.reviews.deny(again.id(), &alice, None).await,
        Err(ReviewError::OwnRequest { .. })
    ));
    office.reviews.deny(again.id(), &oscar, Some("not now")).await.unwrap();
    assert_eq!(office.state(again.id()).await, RequestState::Denied);
}
