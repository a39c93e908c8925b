//! One person with several identities: recorded, followed by what is open, and never their own reviewer.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use sallyport_store::Store;
use sallyport_store::requests::{NeedRow, NewRequest, Requests, VoteRow};
use tempfile::TempDir;

async fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store.db")).await.unwrap();
    (folder, store)
}

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|k| (*k).to_owned()).collect()
}

fn request(id: &str, principal: &str, person: &str) -> NewRequest {
    NewRequest {
        id: id.into(),
        digest: [7; 32],
        session: "s".into(),
        principal: principal.into(),
        person: person.into(),
        target: "orders".into(),
        task: None,
        policy_digest: "p".into(),
        detail: "{}".into(),
        watch: Vec::new(),
        needs: vec![NeedRow {
            group: "dba".into(),
            count: 1,
        }],
        created_ms: 1,
        expires_ms: 1000,
    }
}

fn vote(reviewer: &str, person: &str) -> VoteRow {
    let groups = BTreeSet::from(["dba".to_owned()]);
    VoteRow {
        person: person.into(),
        reviewer: reviewer.into(),
        groups,
        reason: None,
        at_ms: 2,
    }
}

#[tokio::test]
async fn keys_that_were_shown_together_are_one_person_whatever_the_order() {
    let (_folder, store) = store().await;
    let local = store.person_of(&keys(&["local:alice"])).await.unwrap();
    let oidc = store.person_of(&keys(&["sub:https://id#1"])).await.unwrap();
    assert_ne!(local, oidc);
    // The address joins one, then the other: from then on all three are one, also by the names of before.
    assert_eq!(
        store
            .person_of(&keys(&["sub:https://id#1", "email:a@b"]))
            .await
            .unwrap(),
        oidc
    );
    let joined = store.person_of(&keys(&["local:alice", "email:a@b"])).await.unwrap();
    for name in [&local, &oidc, &joined] {
        assert_eq!(store.resolve_person(name).await.unwrap(), joined);
    }
    assert_eq!(store.person_of(&keys(&["sub:https://id#1"])).await.unwrap(), joined);
    assert_eq!(store.resolve_person("local:bob").await.unwrap(), "local:bob");
}

#[tokio::test]
async fn what_is_open_follows_the_person() {
    let (_folder, store) = store().await;
    let requests = Requests::new(&store);
    let mut tx = requests.begin().await.unwrap();
    assert!(tx.insert(&request("r1", "alice", "local:alice")).await.unwrap());
    assert!(tx.vote("r1", &vote("alice@id", "sub:1")).await.unwrap());
    assert!(tx.vote("r1", &vote("dana", "local:dana")).await.unwrap());
    tx.commit().await.unwrap();
    store.person_of(&keys(&["local:alice"])).await.unwrap();
    store.person_of(&keys(&["sub:1"])).await.unwrap();

    let person = store.person_of(&keys(&["sub:1", "local:alice"])).await.unwrap();
    let row = requests.get("r1").await.unwrap().unwrap();
    assert_eq!(row.person, person);
    let voters: Vec<_> = row.votes.iter().map(|v| v.reviewer.as_str()).collect();
    assert_eq!(voters, ["dana"], "an approval that was the asker's own counts no more");

    // A session that began before goes on under the old key; what it asks for is the person's all the same.
    let mut tx = requests.begin().await.unwrap();
    assert!(tx.insert(&request("r2", "alice", "local:alice")).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(requests.get("r2").await.unwrap().unwrap().person, person);
}

#[tokio::test]
async fn two_identities_of_a_reviewer_are_one_approval() {
    let (_folder, store) = store().await;
    let requests = Requests::new(&store);
    for person in ["local:dana", "sub:2"] {
        store.person_of(&keys(&[person])).await.unwrap();
    }
    let mut tx = requests.begin().await.unwrap();
    assert!(tx.insert(&request("r1", "alice", "local:alice")).await.unwrap());
    assert!(tx.vote("r1", &vote("dana", "local:dana")).await.unwrap());
    assert!(tx.vote("r1", &vote("dana@id", "sub:2")).await.unwrap());
    tx.commit().await.unwrap();
    store.person_of(&keys(&["local:dana", "sub:2"])).await.unwrap();
    let row = requests.get("r1").await.unwrap().unwrap();
    let voters: Vec<_> = row.votes.iter().map(|v| v.reviewer.as_str()).collect();
    assert_eq!(voters, ["dana"], "{:?}", row.votes);
}

#[tokio::test]
async fn the_file_is_private_and_opens_again() {
    let (folder, store) = store().await;
    store.person_of(&keys(&["local:alice", "email:a@b"])).await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
    store.close().await;
    let store = Store::open(&folder.path().join("store.db")).await.unwrap();
    assert_eq!(store.resolve_person("email:a@b").await.unwrap(), "local:alice");
}
