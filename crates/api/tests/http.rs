//! The API over real sockets, with real identities and reviews.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

#[allow(dead_code, reason = "each test file uses a part")]
mod gateway;

use std::sync::atomic::Ordering;
use std::time::Duration;

use gateway::{Gateway, PASSWORD, SESSION};
use reqwest::{Method, StatusCode};
use sallyport_api::Access;
use sallyport_api::ports::Act;
use sallyport_identity::client::ClientError;
use sallyport_review::Outcome;
use serde_json::{Value, json};

#[tokio::test]
async fn a_login_gives_a_token_that_opens_the_rest() {
    let gateway = Gateway::start().await;
    let config: Value = gateway.open(Method::GET, "/v1/auth/config").await.json().await.unwrap();
    assert_eq!(config["password"], true);

    let wrong = json!({ "user": "alice", "password": "wrong horse" });
    let wrong = gateway.call("", Method::POST, "/v1/auth/password", Some(wrong)).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.headers()["content-type"], "application/problem+json");
    let problem: Value = wrong.json().await.unwrap();
    assert_eq!(problem["type"], "urn:sallyport:problem:login-failed");

    let login = json!({ "user": "alice", "password": PASSWORD });
    let login = gateway.call("", Method::POST, "/v1/auth/password", Some(login)).await;
    assert_eq!(login.headers()["cache-control"], "no-store");
    let login: Value = login.json().await.unwrap();
    let token = login["token"].as_str().unwrap();
    let me: Value = gateway
        .call(token, Method::GET, "/v1/me", None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(me["user"], "alice");
    assert_eq!(me["groups"], json!(["developers"]));

    assert_eq!(
        gateway
            .call(token, Method::POST, "/v1/auth/logout", None)
            .await
            .status(),
        StatusCode::NO_CONTENT
    );
    let after = gateway.call(token, Method::GET, "/v1/me", None).await;
    assert_eq!(after.status(), StatusCode::UNAUTHORIZED);
    assert!(after.headers().contains_key("www-authenticate"));
    let acts = gateway.acts();
    assert!(matches!(acts[0], (ref who, Act::LoginFailed { method: "password", .. }) if who == "alice"));
    assert_eq!(acts[1], ("alice".to_owned(), Act::Login { method: "password" }));
    assert_eq!(acts[2], ("alice".to_owned(), Act::Logout));
}

#[tokio::test]
async fn every_documented_route_exists_and_the_closed_ones_ask_for_a_login() {
    let gateway = Gateway::start().await;
    let document: Value = gateway
        .open(Method::GET, "/v1/openapi.json")
        .await
        .json()
        .await
        .unwrap();
    let mut documented = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            documented.push((method.to_uppercase(), path.clone()));
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let response = gateway.open(method, &path.replace("{id}", "some-id")).await;
            let open = operation["security"] == json!([]);
            if open {
                assert_ne!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
            } else {
                assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
            }
            assert_ne!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert_ne!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
    }
    let mut routes: Vec<(String, String)> = sallyport_api::ROUTES
        .iter()
        .map(|(m, p)| ((*m).to_owned(), (*p).to_owned()))
        .collect();
    routes.sort();
    documented.sort();
    assert_eq!(documented, routes);
}

#[tokio::test]
async fn mistakes_are_answered_with_problems() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let cases = [
        (Method::GET, "/nowhere", None, StatusCode::NOT_FOUND),
        (Method::PUT, "/v1/requests", None, StatusCode::METHOD_NOT_ALLOWED),
        // What follows links approves nothing.
        (
            Method::GET,
            "/v1/requests/req_000000/approve",
            None,
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        (Method::GET, "/v1/requests?state=purple", None, StatusCode::BAD_REQUEST),
        (Method::GET, "/v1/requests?colour=purple", None, StatusCode::BAD_REQUEST),
        (Method::GET, "/v1/requests/..%2f..%2fetc", None, StatusCode::NOT_FOUND),
        (Method::GET, "/v1/requests/req_000000", None, StatusCode::NOT_FOUND),
        (
            Method::POST,
            "/v1/tokens",
            Some(json!({ "ttl_s": 0 })),
            StatusCode::BAD_REQUEST,
        ),
        (
            Method::POST,
            "/v1/tokens",
            Some(json!({ "ttl": 1 })),
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (Method::DELETE, "/v1/tokens/unknown", None, StatusCode::NOT_FOUND),
        (Method::GET, "/v1/sessions?principal=dana", None, StatusCode::FORBIDDEN),
        (Method::GET, "/v1/tokens?all=true", None, StatusCode::FORBIDDEN),
    ];
    for (method, path, body, status) in cases {
        let response = gateway.call(&alice, method, path, body).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["status"], status.as_u16());
    }
    let quoted = json!({ "user": "alice", "password": ["hunter22"] });
    let quoted = gateway.call("", Method::POST, "/v1/auth/password", Some(quoted)).await;
    assert!(
        !quoted.text().await.unwrap().contains("hunter22"),
        "a body is not quoted"
    );
    let large = json!({ "user": "alice", "password": "x".repeat(100_000) });
    let large = gateway.call("", Method::POST, "/v1/auth/password", Some(large)).await;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn only_api_tokens_open_the_api() {
    let gateway = Gateway::start().await;
    let alice = gateway.login("alice").await;
    let issued = gateway
        .call(&alice, Method::POST, "/v1/tokens", Some(json!({ "target": "orders" })))
        .await;
    assert_eq!(issued.status(), StatusCode::CREATED);
    let issued: Value = issued.json().await.unwrap();
    let target_token = issued["token"].as_str().unwrap();
    assert_eq!(
        gateway.call(target_token, Method::GET, "/v1/me", None).await.status(),
        StatusCode::UNAUTHORIZED
    );
    for token in ["nonsense", "sps_", &alice[..alice.len() - 1]] {
        assert_eq!(
            gateway.call(token, Method::GET, "/v1/me", None).await.status(),
            StatusCode::UNAUTHORIZED
        );
    }
    let list: Value = gateway
        .call(&alice, Method::GET, "/v1/tokens", None)
        .await
        .json()
        .await
        .unwrap();
    assert!(!list.to_string().contains(target_token));
    let dana = gateway.login("dana").await;
    let path = format!("/v1/tokens/{}", issued["id"].as_str().unwrap());
    assert_eq!(
        gateway.call(&dana, Method::DELETE, &path, None).await.status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        gateway.call(&alice, Method::DELETE, &path, None).await.status(),
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn a_request_is_seen_and_decided_by_whom_it_concerns() {
    let gateway = Gateway::start().await;
    let mut pending = gateway.hold("ALTER TABLE orders ADD note text").await;
    let path = format!("/v1/requests/{}", pending.id());
    let approve = format!("{path}/approve");
    let (alice, bob, dana) = (
        gateway.login("alice").await,
        gateway.login("bob").await,
        gateway.login("dana").await,
    );

    assert_eq!(
        gateway.call(&bob, Method::GET, &path, None).await.status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        gateway.call(&bob, Method::POST, &approve, None).await.status(),
        StatusCode::NOT_FOUND
    );
    let own = gateway.call(&alice, Method::POST, &approve, None).await;
    assert_eq!(own.status(), StatusCode::FORBIDDEN);
    let own: Value = own.json().await.unwrap();
    assert_eq!(own["type"], "urn:sallyport:problem:own-request");
    // An auditor sees it, and is not asked.
    let audrey = gateway.login("audrey").await;
    assert_eq!(
        gateway.call(&audrey, Method::GET, &path, None).await.status(),
        StatusCode::OK
    );
    assert_eq!(
        gateway.call(&audrey, Method::POST, &approve, None).await.status(),
        StatusCode::FORBIDDEN
    );

    let list: Value = gateway
        .call(&dana, Method::GET, "/v1/requests?state=open", None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(list[0]["statement"], "ALTER TABLE orders ADD note text");
    assert_eq!(list[0]["requester"]["id"], "alice");
    let approved = gateway
        .call(&dana, Method::POST, &approve, Some(json!({ "reason": "seen" })))
        .await;
    assert_eq!(approved.status(), StatusCode::OK);
    let approved: Value = approved.json().await.unwrap();
    assert_eq!(approved["approvals"][0]["reviewer"], "dana");
    assert!(matches!(pending.outcome().await, Outcome::Approved(_)));
    let late = gateway.call(&dana, Method::POST, &format!("{path}/deny"), None).await;
    assert_eq!(late.status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_poll_waits_for_news() {
    let gateway = Gateway::start().await;
    let (alice, dana) = (gateway.login("alice").await, gateway.login("dana").await);
    let none: Value = gateway
        .call(&dana, Method::GET, "/v1/requests?state=open", None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(none, json!([]));
    let waiting = gateway.call(&dana, Method::GET, "/v1/requests?state=open&wait=60", None);
    let (list, pending) = tokio::join!(waiting, gateway.hold("DROP TABLE t"));
    let list: Value = list.json().await.unwrap();
    assert_eq!(list[0]["id"], pending.id());

    let path = format!("/v1/requests/{}", pending.id());
    let waiting = format!("{path}?wait=60");
    let deny = format!("{path}/deny");
    let change = gateway.call(&alice, Method::GET, &waiting, None);
    let deny = gateway.call(&dana, Method::POST, &deny, Some(json!({ "reason": "no" })));
    let both = async { tokio::join!(change, deny) };
    let (change, deny) = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    assert_eq!(deny.status(), StatusCode::OK);
    let change: Value = change.json().await.unwrap();
    assert_eq!(change["conclusion"]["reason"], "no");
}

#[tokio::test]
async fn a_session_is_seen_replayed_and_ended_by_whom_it_concerns() {
    let gateway = Gateway::start().await;
    let (alice, bob) = (gateway.login("alice").await, gateway.login("bob").await);
    let (audrey, root) = (gateway.login("audrey").await, gateway.login("root").await);
    let path = format!("/v1/sessions/{SESSION}");
    let replay = format!("{path}/replay");
    assert_eq!(
        gateway.call(&bob, Method::GET, &path, None).await.status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        gateway.call(&bob, Method::GET, &replay, None).await.status(),
        StatusCode::NOT_FOUND
    );
    for (who, count) in [(&alice, 1), (&bob, 0), (&audrey, 1)] {
        let list: Value = gateway
            .call(who, Method::GET, "/v1/sessions", None)
            .await
            .json()
            .await
            .unwrap();
        assert_eq!(list.as_array().unwrap().len(), count, "live and recorded is one");
        assert!(!list.to_string().contains("local:"), "persons are nobody's business");
    }

    let transcript = gateway
        .call(&audrey, Method::GET, &format!("{replay}?rows=true"), None)
        .await;
    assert_eq!(transcript.headers()["content-type"], "application/x-ndjson");
    let text = transcript.text().await.unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.first().unwrap()["kind"], "command");
    assert_eq!(lines.iter().filter(|line| line["kind"] == "row").count(), 10_000);
    assert_eq!(lines.last().unwrap()["kind"], "end");
    let without = gateway
        .call(&alice, Method::GET, &replay, None)
        .await
        .text()
        .await
        .unwrap();
    assert!(!without.contains("\"row\""));

    let end = format!("{path}/end");
    assert_eq!(
        gateway.call(&audrey, Method::POST, &end, None).await.status(),
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        gateway.call(&root, Method::POST, &end, None).await.status(),
        StatusCode::OK
    );
    assert_eq!(
        gateway.call(&root, Method::POST, &end, None).await.status(),
        StatusCode::CONFLICT
    );
    let acts = gateway.acts();
    let of = |who: &str, act: Act| acts.contains(&(who.to_owned(), act));
    assert!(of(
        "audrey",
        Act::Replayed {
            session: SESSION.to_owned(),
            rows: true
        }
    ));
    assert!(of(
        "alice",
        Act::Replayed {
            session: SESSION.to_owned(),
            rows: false
        }
    ));
    assert!(of(
        "root",
        Act::SessionEnded {
            session: SESSION.to_owned(),
            reason: None
        }
    ));
}

/// Who sees everything, and who ends the sessions of others, is the operator's to say; the usual names mean nothing then.
#[tokio::test]
async fn access_goes_by_the_groups_that_the_operator_names() {
    let gateway = Gateway::start_with(Access {
        auditors: vec!["dba".to_owned()],
        admins: vec!["developers".to_owned()],
        replay_own: false,
        open_metrics: false,
    })
    .await;
    let request = gateway.hold("ALTER TABLE orders ADD note text").await;
    let request = format!("/v1/requests/{}", request.id());
    let session = format!("/v1/sessions/{SESSION}");
    let (replay, end) = (format!("{session}/replay"), format!("{session}/end"));
    let (ok, hidden, forbidden) = (StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::FORBIDDEN);
    // Who: the request, the session, its replay, the metrics, ending the session.
    let cases = [
        ("audrey", [hidden, hidden, hidden, forbidden, hidden]),
        ("root", [hidden, hidden, hidden, forbidden, hidden]),
        ("dana", [ok, ok, ok, ok, forbidden]),
        ("bob", [ok, ok, ok, ok, ok]),
    ];
    for (who, expected) in cases {
        let token = gateway.login(who).await;
        let calls = [
            (Method::GET, &request),
            (Method::GET, &session),
            (Method::GET, &replay),
            (Method::GET, &"/metrics".to_owned()),
            (Method::POST, &end),
        ];
        for ((method, path), expected) in calls.into_iter().zip(expected) {
            let status = gateway.call(&token, method, path, None).await.status();
            assert_eq!(status, expected, "{who} {path}");
        }
    }
    assert_eq!(
        gateway.open(Method::GET, "/metrics").await.status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn people_replay_their_own_sessions_only_where_they_may() {
    for (replay_own, expected) in [(true, StatusCode::OK), (false, StatusCode::FORBIDDEN)] {
        let gateway = Gateway::start_with(Access {
            replay_own,
            ..Access::default()
        })
        .await;
        let alice = gateway.login("alice").await;
        let replay = format!("/v1/sessions/{SESSION}/replay");
        assert_eq!(
            gateway.call(&alice, Method::GET, &replay, None).await.status(),
            expected
        );
    }
}

#[tokio::test]
async fn the_command_line_reads_a_transcript_line_by_line() {
    let gateway = Gateway::start().await;
    let audrey = gateway.login("audrey").await;
    let client = gateway.client(&audrey);
    let mut kinds = Vec::new();
    let path = format!("v1/sessions/{SESSION}/replay?rows=true");
    client
        .get_lines::<ClientError>(&path, |line| {
            let line: Value = serde_json::from_slice(line).unwrap();
            kinds.push(line["kind"].as_str().unwrap().to_owned());
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(kinds.len(), 10_002);
    assert_eq!(kinds.last().unwrap(), "end");
    let refused = client
        .get_lines::<ClientError>("v1/sessions/none/replay", |_| Ok(()))
        .await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(&refused, ClientError::Answered { status: 404, .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("`none`"), "{refused}");
}

#[tokio::test]
async fn what_the_journal_cannot_take_does_not_happen() {
    let gateway = Gateway::start().await;
    let audrey = gateway.login("audrey").await;
    let alice = gateway.login("alice").await;
    gateway.outside.journal_full.store(true, Ordering::SeqCst);
    let replay = format!("/v1/sessions/{SESSION}/replay");
    let replay = gateway.call(&audrey, Method::GET, &replay, None).await;
    assert_eq!(replay.status(), StatusCode::SERVICE_UNAVAILABLE);
    let login = json!({ "user": "alice", "password": PASSWORD });
    let login = gateway.call("", Method::POST, "/v1/auth/password", Some(login)).await;
    assert_eq!(login.status(), StatusCode::SERVICE_UNAVAILABLE);
    let token = gateway.call(&alice, Method::POST, "/v1/tokens", None).await;
    assert_eq!(token.status(), StatusCode::SERVICE_UNAVAILABLE);
    let list: Value = gateway
        .call(&alice, Method::GET, "/v1/tokens", None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        list.as_array().unwrap().len(),
        1,
        "the login from before and nothing else: {list}"
    );
}

#[tokio::test]
async fn health_metrics_and_policy_say_how_the_gateway_is() {
    let gateway = Gateway::start().await;
    assert_eq!(gateway.open(Method::GET, "/healthz").await.status(), StatusCode::OK);
    gateway.outside.ill.store(true, Ordering::SeqCst);
    let ill = gateway.open(Method::GET, "/healthz").await;
    assert_eq!(ill.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ill.json::<Value>().await.unwrap()["problems"], json!(["recordings"]));
    let metrics = gateway.open(Method::GET, "/metrics").await;
    assert_eq!(metrics.text().await.unwrap(), "sallyport_up 1\n");

    let alice = gateway.login("alice").await;
    let seen: Value = gateway
        .call(&alice, Method::GET, "/v1/policy", None)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(seen["digest"], "policy-digest");
    assert!(!seen["error"].as_str().unwrap().contains("secret rule"));
    let audrey = gateway.login("audrey").await;
    let seen: Value = gateway
        .call(&audrey, Method::GET, "/v1/policy", None)
        .await
        .json()
        .await
        .unwrap();
    assert!(seen["error"].as_str().unwrap().contains("secret rule"));
}

#[tokio::test]
async fn without_tls_only_loopback_is_served() {
    let listener = sallyport_listen::Listener::bind("0.0.0.0:0".parse().unwrap(), 8, Default::default()).unwrap();
    let error = sallyport_api::serve(listener, None, axum::Router::new(), std::future::pending())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("without TLS"), "{error}");
}
