//! What is read to judge policies by: commands of the past, and the names at targets.
#![allow(clippy::unwrap_used, reason = "tests")]

#[allow(dead_code, reason = "each test file uses a part")]
mod gateway;

use std::sync::atomic::Ordering;

use gateway::Gateway;
use reqwest::{Method, StatusCode};
use sallyport_api::ports::{Act, Past};

const SINCE: &str = "/v1/history?since=2026-01-01T00:00:00Z";

#[tokio::test]
async fn history_is_for_those_who_see_everything_and_reading_it_is_journaled() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let refused = gateway.call(&alice, Method::GET, SINCE, None).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let audrey = gateway.login("audrey").await;
    let text = gateway
        .call(&audrey, Method::GET, SINCE, None)
        .await
        .text()
        .await
        .unwrap();
    let lines: Vec<Past> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, [Past::Task("OPS-1".to_owned()), Past::End { sessions: 0 }]);
    for (wrong, status) in [
        ("/v1/history", StatusCode::BAD_REQUEST),
        ("/v1/history?since=yesterday", StatusCode::BAD_REQUEST),
        (
            "/v1/history?since=2026-01-01T00:00:00Z&until=x",
            StatusCode::BAD_REQUEST,
        ),
        (
            "/v1/history?since=2026-01-01T00:00:00Z&target=broken",
            StatusCode::SERVICE_UNAVAILABLE,
        ),
    ] {
        let answer = gateway.call(&audrey, Method::GET, wrong, None).await;
        assert_eq!(answer.status(), status, "{wrong}");
    }
    let read = |(who, act): &(String, Act)| who == "audrey" && matches!(act, Act::HistoryRead { .. });
    assert_eq!(gateway.acts().iter().filter(|act| read(act)).count(), 2);
}

#[tokio::test]
async fn names_are_read_for_those_who_see_everything_and_not_without_the_journal() {
    let gateway = Gateway::start().await;
    let names = |target: &str| format!("/v1/targets/{target}/names");
    let alice = gateway.login("alice").await;
    let refused = gateway.call(&alice, Method::GET, &names("orders"), None).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let audrey = gateway.login("audrey").await;
    let given = gateway.call(&audrey, Method::GET, &names("orders"), None).await;
    assert_eq!(given.text().await.unwrap(), "[\"asked by\",\"audrey\"]\n");
    for (target, status, said) in [
        ("web-1", StatusCode::NOT_FOUND, "has no names"),
        ("nowhere", StatusCode::NOT_FOUND, "there is no target"),
        ("away", StatusCode::SERVICE_UNAVAILABLE, "log says why"),
    ] {
        let answer = gateway.call(&audrey, Method::GET, &names(target), None).await;
        assert_eq!(answer.status(), status, "{target}");
        assert!(answer.text().await.unwrap().contains(said), "{target}");
    }
    let read = |(_, act): &(String, Act)| matches!(act, Act::NamesRead { target } if target == "orders");
    assert_eq!(gateway.acts().iter().filter(|act| read(act)).count(), 1);
    gateway.outside.journal_full.store(true, Ordering::SeqCst);
    let unwritten = gateway.call(&audrey, Method::GET, &names("orders"), None).await;
    assert_eq!(unwritten.status(), StatusCode::SERVICE_UNAVAILABLE);
}
