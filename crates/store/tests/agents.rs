//! Instances of agents, and what lets them join.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

use sallyport_store::Store;
use sallyport_store::agents::{Admission, AgentRow, JoinTokenRow, Once, Room, Whose};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

const ROOM: Room = Room {
    of_a_name: 3,
    of_all: 4,
};

async fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store.db")).await.unwrap();
    (folder, store)
}

fn moment(s: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000 + s).unwrap()
}

fn agent(instance: &str, name: &str) -> AgentRow {
    AgentRow {
        instance: instance.to_owned(),
        name: name.to_owned(),
        host: "{}".to_owned(),
        method: "token".to_owned(),
        proof: "{}".to_owned(),
        joined: moment(0),
        issued: moment(0),
        expires: moment(100),
        seen: None,
        revoked: None,
        revoked_by: None,
    }
}

fn token(id: &str, byte: u8, agent: &str) -> JoinTokenRow {
    JoinTokenRow {
        id: id.to_owned(),
        hash: [byte; 32],
        agent: agent.to_owned(),
        issued_by: "root".to_owned(),
        issued: moment(-10),
        expires: moment(10),
        used: None,
        used_by: None,
        revoked: None,
    }
}

/// Admits, and says what it came to.
async fn admit(store: &Store, row: &AgentRow, once: &Once) -> &'static str {
    match store.admit_agent(row, once, ROOM).await.unwrap() {
        Admission::Ready(admitting) => {
            admitting.commit().await.unwrap();
            "joined"
        }
        Admission::Spent => "spent",
        Admission::Full => "full",
    }
}

fn value(key: &str) -> Once {
    Once::Values(vec![key.to_owned()], moment(50))
}

#[tokio::test]
async fn what_lets_somebody_join_is_used_up_with_the_join_and_not_without() {
    let (_folder, store) = store().await;
    store.insert_join_token(&token("t", 1, "a"), 9).await.unwrap();
    let by_token = Once::Token([1; 32]);
    // Dropped before it was committed: nothing happened.
    drop(store.admit_agent(&agent("1", "a"), &by_token, ROOM).await.unwrap());
    assert_eq!(
        store.open_join_tokens(moment(0), 9).await.unwrap(),
        [token("t", 1, "a")]
    );
    assert!(store.live_agents(moment(0)).await.unwrap().is_empty());
    // A token of another name, and one that is not there.
    assert_eq!(admit(&store, &agent("1", "b"), &by_token).await, "spent");
    assert_eq!(admit(&store, &agent("1", "a"), &Once::Token([2; 32])).await, "spent");
    assert_eq!(admit(&store, &agent("1", "a"), &by_token).await, "joined");
    assert_eq!(admit(&store, &agent("2", "a"), &by_token).await, "spent");
    let used = store.join_token_by_hash(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((used.used, used.used_by.as_deref()), (Some(moment(0)), Some("1")));
    assert_eq!(store.live_agents(moment(0)).await.unwrap(), [agent("1", "a")]);

    assert_eq!(admit(&store, &agent("2", "a"), &value("x")).await, "joined");
    assert_eq!(admit(&store, &agent("3", "a"), &value("x")).await, "spent");
    assert_eq!(
        admit(&store, &agent("3", "a"), &Once::Values(Vec::new(), moment(50))).await,
        "spent"
    );
    let machine = Once::Machine("aws/1/i-1".to_owned());
    assert_eq!(admit(&store, &agent("3", "b"), &machine).await, "joined");
    assert_eq!(admit(&store, &agent("4", "b"), &machine).await, "spent");
    assert!(store.forget_machine("aws/1/i-1").await.unwrap());
    assert!(!store.forget_machine("aws/1/i-1").await.unwrap());
    assert_eq!(admit(&store, &agent("4", "b"), &machine).await, "joined");
}

#[tokio::test]
async fn a_token_that_ended_or_was_revoked_lets_nobody_join() {
    let (_folder, store) = store().await;
    let mut ended = token("e", 1, "a");
    ended.expires = moment(0);
    store.insert_join_token(&ended, 9).await.unwrap();
    assert_eq!(admit(&store, &agent("1", "a"), &Once::Token([1; 32])).await, "spent");
    store.insert_join_token(&token("r", 2, "a"), 9).await.unwrap();
    let revoked = store.revoke_join_token("r", moment(0)).await.unwrap();
    assert_eq!(revoked.as_deref(), Some("a"));
    assert_eq!(store.revoke_join_token("r", moment(0)).await.unwrap(), None);
    assert_eq!(admit(&store, &agent("1", "a"), &Once::Token([2; 32])).await, "spent");
}

#[tokio::test]
async fn there_is_room_for_so_many_of_a_name_and_in_all() {
    let (_folder, store) = store().await;
    for (instance, name, expected) in [
        ("1", "a", "joined"),
        ("2", "a", "joined"),
        ("3", "a", "joined"),
        ("4", "a", "full"),
        ("4", "b", "joined"),
        ("5", "c", "full"),
    ] {
        assert_eq!(
            admit(&store, &agent(instance, name), &value(&format!("{instance}{name}"))).await,
            expected
        );
    }
    // Who is revoked or has ended takes no room, and what could not be used for want of it still can.
    store
        .revoke_agents(Whose::Instance("1"), "root", moment(0))
        .await
        .unwrap();
    assert_eq!(admit(&store, &agent("5", "c"), &value("5c")).await, "joined");
    let mut later = agent("6", "a");
    (later.joined, later.expires) = (moment(100), moment(200));
    assert_eq!(admit(&store, &later, &value("6a")).await, "joined");
}

#[tokio::test]
async fn renewal_is_for_who_is_neither_revoked_nor_at_the_end() {
    let (_folder, store) = store().await;
    for instance in ["1", "2"] {
        assert_eq!(admit(&store, &agent(instance, "a"), &value(instance)).await, "joined");
    }
    assert!(store.renew_agent("1", "a", (moment(50), moment(150))).await.unwrap());
    let renewed = store.agent("1").await.unwrap().unwrap();
    assert_eq!(
        (renewed.joined, renewed.issued, renewed.expires),
        (moment(0), moment(50), moment(150))
    );
    // A shorter life does not take the old certificate back.
    assert!(store.renew_agent("1", "a", (moment(60), moment(70))).await.unwrap());
    assert_eq!(store.agent("1").await.unwrap().unwrap().expires, moment(150));
    assert!(!store.renew_agent("1", "b", (moment(60), moment(160))).await.unwrap());
    assert!(!store.renew_agent("9", "a", (moment(60), moment(160))).await.unwrap());
    assert!(!store.renew_agent("2", "a", (moment(100), moment(200))).await.unwrap());
    store.revoke_agents(Whose::Name("a"), "root", moment(70)).await.unwrap();
    assert!(!store.renew_agent("1", "a", (moment(80), moment(180))).await.unwrap());
    let revoked = store.agent("1").await.unwrap().unwrap();
    assert_eq!(
        (revoked.revoked, revoked.revoked_by.as_deref()),
        (Some(moment(70)), Some("root"))
    );
    assert!(
        store
            .revoke_agents(Whose::Name("a"), "root", moment(90))
            .await
            .unwrap()
            .instances
            .is_empty()
    );
}

#[tokio::test]
async fn what_ended_long_ago_is_forgotten_and_machines_are_not() {
    let (_folder, store) = store().await;
    let machine = Once::Machine("m".to_owned());
    assert_eq!(admit(&store, &agent("1", "a"), &machine).await, "joined");
    store.insert_join_token(&token("t", 1, "a"), 9).await.unwrap();
    store.touch_agent("1", moment(5)).await.unwrap();
    store.touch_agent("1", moment(4)).await.unwrap();
    assert_eq!(store.agent("1").await.unwrap().unwrap().seen, Some(moment(5)));
    assert_eq!(store.purge_agents(moment(10)).await.unwrap(), 0);
    assert_eq!(store.purge_agents(moment(100) + Duration::SECOND).await.unwrap(), 2);
    assert_eq!(store.agent("1").await.unwrap(), None);
    assert_eq!(admit(&store, &agent("2", "a"), &machine).await, "spent");
}

#[tokio::test]
async fn a_name_is_revoked_without_what_ended_and_open_tokens_have_a_bound() {
    let (_folder, store) = store().await;
    assert_eq!(admit(&store, &agent("1", "a"), &value("1")).await, "joined");
    let mut later = agent("2", "a");
    (later.joined, later.expires) = (moment(90), moment(300));
    assert_eq!(admit(&store, &later, &value("2")).await, "joined");
    let ended = store
        .revoke_agents(Whose::Name("a"), "root", moment(150))
        .await
        .unwrap();
    assert_eq!(ended.instances, [("2".to_owned(), "a".to_owned())]);

    for (id, number, most, taken) in [
        ("t", 1, 2, true),
        ("u", 2, 2, true),
        ("v", 3, 2, false),
        ("v", 3, 3, true),
    ] {
        assert_eq!(
            store.insert_join_token(&token(id, number, "a"), most).await.unwrap(),
            taken,
            "{id}"
        );
    }
    store.revoke_join_token("t", moment(0)).await.unwrap();
    assert!(store.insert_join_token(&token("w", 4, "a"), 3).await.unwrap());
}
