//! The policy by way of the API: who reads it, who makes the gateway look, and whose word a webhook is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[allow(dead_code, reason = "each test file uses a part")]
mod gateway;

use std::sync::atomic::Ordering;

use gateway::{BUNDLE, Gateway};
use reqwest::{Method, StatusCode};
use sallyport_api::ports::{Act, BundleFiles, BundleLoaded, PolicyStatus};

#[tokio::test]
async fn those_who_see_everything_read_the_policies_that_were_in_force() {
    let gateway = Gateway::start().await;
    let one = format!("/v1/policy/bundles/{}", BUNDLE.split_at(6).0);
    for person in ["alice", "dana"] {
        let token = gateway.login(person).await;
        for path in ["/v1/policy/bundles", &one] {
            let refused = gateway.call(&token, Method::GET, path, None).await;
            assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{person} {path}");
        }
        let status = gateway.call(&token, Method::GET, "/v1/policy", None).await;
        let status: PolicyStatus = status.json().await.unwrap();
        assert!(status.last_error.is_none() && !status.error.unwrap().contains("secret"));
        assert_eq!((status.branch, status.source), (None, String::new()), "{person}");
    }
    for person in ["audrey", "root"] {
        let token = gateway.login(person).await;
        let list = gateway
            .call(&token, Method::GET, "/v1/policy/bundles?limit=5", None)
            .await;
        assert_eq!(list.json::<Vec<BundleLoaded>>().await.unwrap()[0].digest, BUNDLE);
        let bundle = gateway.call(&token, Method::GET, &one, None).await;
        let bundle: BundleFiles = bundle.json().await.unwrap();
        assert_eq!(
            (bundle.digest.as_str(), bundle.files["rules/a.cedar"].as_str()),
            (BUNDLE, "secret rule")
        );
        let none = gateway.call(&token, Method::GET, "/v1/policy/bundles/ffff", None).await;
        assert_eq!(none.status(), StatusCode::NOT_FOUND);
        let status = gateway.call(&token, Method::GET, "/v1/policy", None).await;
        let status: PolicyStatus = status.json().await.unwrap();
        assert_eq!(status.last_error.unwrap().kind, "invalid");
        assert_eq!(status.branch.as_deref(), Some("main"));
        assert_eq!(status.source, "git+https://host/repo#main");
    }
}

#[tokio::test]
async fn administrators_make_the_gateway_look_and_that_is_written_down() {
    let gateway = Gateway::start().await;
    let pulls = || gateway.outside.pulls.load(Ordering::SeqCst);
    for person in ["alice", "dana", "audrey"] {
        let token = gateway.login(person).await;
        let refused = gateway.call(&token, Method::POST, "/v1/policy/pull", None).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{person}");
    }
    let root = gateway.login("root").await;
    gateway.outside.journal_full.store(true, Ordering::SeqCst);
    let unrecorded = gateway.call(&root, Method::POST, "/v1/policy/pull", None).await;
    assert_eq!((unrecorded.status(), pulls()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    gateway.outside.journal_full.store(false, Ordering::SeqCst);
    let pulled = gateway.call(&root, Method::POST, "/v1/policy/pull", None).await;
    assert_eq!((pulled.status(), pulls()), (StatusCode::OK, 1));
    assert_eq!(gateway.acts(), [("root".to_owned(), Act::PolicyPulled)]);
    gateway.outside.ill.store(true, Ordering::SeqCst);
    let failed = gateway.call(&root, Method::POST, "/v1/policy/pull", None).await;
    assert_eq!(failed.status(), StatusCode::CONFLICT);
    assert!(failed.text().await.unwrap().contains("the host is away"));
}

#[tokio::test]
async fn a_message_that_proves_nothing_does_nothing() {
    let gateway = Gateway::start().await;
    let path = "/v1/policy/webhook";
    let (signature, token) = (("x-hub-signature-256", "sha256=good"), ("x-gitlab-token", "good"));
    for headers in [
        &[][..],
        &[("x-hub-signature-256", "sha256=bad")],
        &[("x-gitlab-token", "bad")],
        &[signature, token],
        &[token, token],
        &[("x-hub-signature", "sha1=good")],
        &[("authorization", "Bearer good")],
    ] {
        let refused = gateway.tell(path, headers, b"pushed".to_vec()).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{headers:?}");
    }
    // These are not even read.
    for headers in [
        &[][..],
        &[("x-gitlab-token", "bad")],
        &[("x-hub-signature-256", "sha1=good")],
    ] {
        let refused = gateway.tell(path, headers, vec![b' '; (1 << 20) + 1]).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{headers:?}");
    }
    let other = gateway.tell(path, &[signature], b"pushed!".to_vec()).await;
    assert_eq!(
        other.status(),
        StatusCode::FORBIDDEN,
        "the signature is of another body"
    );
    let large = gateway.tell(path, &[token], vec![b' '; (1 << 20) + 1]).await;
    assert_eq!(large.status(), StatusCode::BAD_REQUEST);
    assert_eq!(gateway.outside.pulls.load(Ordering::SeqCst), 0);
    for proof in [signature, token] {
        let taken = gateway.tell(path, &[proof], b"pushed".to_vec()).await;
        assert_eq!(taken.status(), StatusCode::ACCEPTED);
    }
    let large = gateway.tell(path, &[token], vec![b' '; 1 << 20]).await;
    assert_eq!(large.status(), StatusCode::ACCEPTED, "more than other routes take");
    assert_eq!(gateway.outside.pulls.load(Ordering::SeqCst), 3);
    assert!(gateway.acts().is_empty(), "a look is not an act");
}
