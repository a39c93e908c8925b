//! Who may watch a session, for whom they count, and when they have left.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    reason = "tests"
)]

#[allow(dead_code, reason = "each test file uses a part")]
mod gateway;

use std::sync::atomic::Ordering;

use gateway::{Gateway, SESSION};
use reqwest::{Method, StatusCode};
use sallyport_api::Access;
use sallyport_api::ports::{Act, Watcher};

fn path() -> String {
    format!("/v1/sessions/{SESSION}/watch")
}

fn watcher(id: &str, groups: &[&str]) -> Watcher {
    Watcher {
        id: id.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

#[tokio::test]
async fn a_session_is_watched_by_whom_it_concerns_and_that_is_written_down_first() {
    let gateway = Gateway::start().await;
    let status = async |user: &str| {
        let token = gateway.login(user).await;
        gateway.call(&token, Method::GET, &path(), None).await.status()
    };
    assert_eq!(status("bob").await, StatusCode::NOT_FOUND);
    assert_eq!(status("dana").await, StatusCode::NOT_FOUND);
    assert!(gateway.acts().is_empty());
    for user in ["audrey", "root", "alice"] {
        assert_eq!(status(user).await, StatusCode::OK);
    }
    gateway.outside.moderated.store(true, Ordering::SeqCst);
    assert_eq!(status("dana").await, StatusCode::OK);
    assert_eq!(status("bob").await, StatusCode::NOT_FOUND);
    let watched = |(_, act): &(String, Act)| matches!(act, Act::Watched { rows: false, .. });
    assert_eq!(gateway.acts().iter().filter(|act| watched(act)).count(), 4);

    gateway.outside.journal_full.store(true, Ordering::SeqCst);
    assert_eq!(status("audrey").await, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn whoever_moderates_a_session_sees_it_and_may_end_it() {
    let gateway = Gateway::start_with(Access {
        replay_own: false,
        ..Access::default()
    })
    .await;
    gateway.outside.moderated.store(true, Ordering::SeqCst);
    let (dana, alice) = (gateway.login("dana").await, gateway.login("alice").await);
    let refused = gateway.call(&alice, Method::GET, &path(), None).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN, "she may not replay her own");
    let session = format!("/v1/sessions/{SESSION}");
    assert_eq!(
        gateway.call(&dana, Method::GET, &session, None).await.status(),
        StatusCode::OK
    );
    let replay = gateway
        .call(&dana, Method::GET, &format!("{session}/replay"), None)
        .await;
    assert_eq!(replay.status(), StatusCode::FORBIDDEN);
    let end = gateway.call(&dana, Method::POST, &format!("{session}/end"), None).await;
    assert_eq!(end.status(), StatusCode::OK);
    let over = gateway.call(&dana, Method::GET, &path(), None).await;
    assert_eq!(over.status(), StatusCode::NOT_FOUND, "it is over, and hers no more");
    let audrey = gateway.login("audrey").await;
    let over = gateway.call(&audrey, Method::GET, &path(), None).await;
    assert_eq!(over.status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn presence_counts_for_others_and_lasts_as_long_as_the_connection_and_the_login() {
    let gateway = Gateway::start().await;
    let mut audience = gateway.outside.audience.subscribe();
    let (alice, audrey) = (gateway.login("alice").await, gateway.login("audrey").await);
    let mut own = gateway.call(&alice, Method::GET, &path(), None).await;
    assert!(own.chunk().await.unwrap().unwrap().ends_with(b"\n"));
    let mut other = gateway.call(&audrey, Method::GET, &path(), None).await;
    assert!(other.chunk().await.unwrap().is_some());
    assert_eq!(
        *audience.borrow_and_update(),
        [watcher("alice", &[]), watcher("audrey", &["auditors"])],
        "nobody counts for their own session"
    );
    drop(own);
    audience.changed().await.unwrap();
    assert_eq!(*audience.borrow_and_update(), [watcher("audrey", &["auditors"])]);
    let logout = gateway.call(&audrey, Method::POST, "/v1/auth/logout", None).await;
    assert_eq!(logout.status(), StatusCode::NO_CONTENT);
    audience.changed().await.unwrap();
    assert!(audience.borrow().is_empty());
    assert!(other.chunk().await.unwrap().is_none(), "the stream ends with the login");
}
