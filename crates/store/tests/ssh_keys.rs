//! Registered keys, and the logins that they depend on.
#![allow(clippy::unwrap_used, reason = "tests")]

use sallyport_store::Store;
use sallyport_store::ssh_keys::{Added, LoginRow, SshKeyRow};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

const ISSUER: &str = "https://id.example.com";

async fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store.db")).await.unwrap();
    (folder, store)
}

fn moment(s: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000 + s).unwrap()
}

fn key(principal: &str, issuer: &str, byte: u8) -> SshKeyRow {
    SshKeyRow {
        principal: principal.to_owned(),
        issuer: issuer.to_owned(),
        fingerprint: [byte; 32],
        line: "ssh-ed25519 AAAA".to_owned(),
        name: "laptop".to_owned(),
        added: moment(i64::from(byte)),
    }
}

fn login(person: &str, at: OffsetDateTime) -> LoginRow {
    LoginRow {
        principal: "alice".to_owned(),
        issuer: ISSUER.to_owned(),
        machine: false,
        person: person.to_owned(),
        groups: vec!["developers".to_owned()],
        at,
    }
}

#[tokio::test]
async fn a_person_has_each_key_once_and_no_more_than_there_can_be() {
    let (_folder, store) = store().await;
    for byte in [2, 1] {
        assert_eq!(
            store.add_ssh_key(&key("alice", ISSUER, byte), 2).await.unwrap(),
            Added::New
        );
    }
    assert_eq!(
        store.add_ssh_key(&key("alice", ISSUER, 1), 2).await.unwrap(),
        Added::Known
    );
    assert_eq!(
        store.add_ssh_key(&key("alice", ISSUER, 3), 2).await.unwrap(),
        Added::Full
    );
    // The same name from somebody else who vouches, and the same key of somebody else, are others.
    assert_eq!(
        store.add_ssh_key(&key("alice", "local", 1), 2).await.unwrap(),
        Added::New
    );
    assert_eq!(store.add_ssh_key(&key("bob", ISSUER, 1), 2).await.unwrap(), Added::New);
    let keys = store.ssh_keys_of("alice", ISSUER).await.unwrap();
    assert_eq!(keys, [key("alice", ISSUER, 1), key("alice", ISSUER, 2)]);
    let issuers: Vec<_> = store.ssh_key("alice", &[1; 32]).await.unwrap();
    assert_eq!(issuers, [key("alice", ISSUER, 1), key("alice", "local", 1)]);
    assert!(store.remove_ssh_key("alice", ISSUER, &[1; 32]).await.unwrap());
    assert!(!store.remove_ssh_key("alice", ISSUER, &[1; 32]).await.unwrap());
    assert_eq!(
        store.ssh_key("alice", &[1; 32]).await.unwrap(),
        [key("alice", "local", 1)]
    );
    assert_eq!(store.ssh_key_holders("local").await.unwrap(), ["alice"]);
    assert_eq!(store.remove_ssh_keys_of("alice", "local").await.unwrap(), 1);
    assert!(store.ssh_key("alice", &[1; 32]).await.unwrap().is_empty());
}

#[tokio::test]
async fn of_logins_the_last_one_counts_and_follows_the_person() {
    let (_folder, store) = store().await;
    assert_eq!(store.last_login("alice", ISSUER).await.unwrap(), None);
    for person in ["sub:1", "email:a"] {
        store.person_of(&[person.to_owned()]).await.unwrap();
    }
    store.record_login(&login("sub:1", moment(0))).await.unwrap();
    let mut later = login("sub:1", moment(60));
    later.groups = vec!["dba".to_owned()];
    store.record_login(&later).await.unwrap();
    assert_eq!(store.last_login("alice", ISSUER).await.unwrap(), Some(later));

    let one = store
        .person_of(&["email:a".to_owned(), "sub:1".to_owned()])
        .await
        .unwrap();
    let found = store.last_login("alice", ISSUER).await.unwrap().unwrap();
    assert_eq!(found.person, one);

    assert_eq!(store.purge_logins(moment(60)).await.unwrap(), 0);
    assert_eq!(store.purge_logins(moment(60) + Duration::MILLISECOND).await.unwrap(), 1);
    store.record_login(&login("sub:1", moment(0))).await.unwrap();
    store.forget_logins("alice", Some("local")).await.unwrap();
    assert!(store.last_login("alice", ISSUER).await.unwrap().is_some());
    store.forget_logins("alice", None).await.unwrap();
    assert!(store.last_login("alice", ISSUER).await.unwrap().is_none());
}
