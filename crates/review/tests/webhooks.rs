//! What receivers of webhooks get: signed, retried, and without the values of a statement.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use sallyport_identity::{Kind, LOCAL_ISSUER, Principal};
use sallyport_review::{
    Binding, CommandDigest, Held, Impact, Need, NoWitness, ReviewConfig, Reviews, Webhook, WebhookFormat,
};
use sallyport_store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

struct Post {
    headers: String,
    body: String,
}

impl Post {
    fn header(&self, name: &str) -> Option<&str> {
        let line = self
            .headers
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }
}

/// Reads one POST and answers it with `status`.
async fn receive(listener: &TcpListener, status: &str) -> Post {
    let (mut stream, _) = tokio::time::timeout(Duration::from_secs(20), listener.accept())
        .await
        .unwrap()
        .unwrap();
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((headers, body)) = text.split_once("\r\n\r\n") {
            let post = Post {
                headers: headers.to_owned(),
                body: body.to_owned(),
            };
            let length: usize = post.header("content-length").unwrap().parse().unwrap();
            if post.body.len() == length {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                return post;
            }
        }
        assert!(
            stream.read_buf(&mut bytes).await.unwrap() > 0,
            "the request was cut off"
        );
    }
}

async fn ask(
    hook: impl FnOnce(url::Url) -> Webhook,
) -> (TcpListener, sallyport_review::Pending, Reviews, tempfile::TempDir) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/path-secret", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store.db")).await.unwrap();
    let config = ReviewConfig {
        webhooks: vec![hook(url)],
        ..ReviewConfig::default()
    };
    let reviews = Reviews::open(&store, config, Arc::new(NoWitness)).await.unwrap();
    let digest = CommandDigest::of(&Binding {
        statement: b"s",
        parameters: b"",
        state: b"",
        principal: "alice",
        target: "orders",
        database: "orders",
        task: None,
        policy_digest: "p",
    });
    let pending = reviews.request(Held {
        session: "s1".to_owned(),
        principal: Principal {
            id: "alice".into(),
            kind: Kind::User,
            groups: Arc::from([]),
            person: "local:alice".into(),
            issuer: LOCAL_ISSUER.into(),
        },
        target: "orders".to_owned(),
        database: None,
        task: Some("OPS-42".to_owned()),
        statement: "UPDATE customers SET note = 'statement-text' -- ``` <!channel>".to_owned(),
        parameters: vec!["parameter-value".to_owned()],
        digest,
        policy_digest: "p".to_owned(),
        rules: vec!["updates-wait".to_owned()],
        message: Some("updates wait for a DBA".to_owned()),
        watch: Vec::new(),
        needs: vec![Need {
            group: "dba".to_owned(),
            count: 1,
        }],
        impact: Some(Impact {
            plan: "plan-value".to_owned(),
            estimated_rows: None,
        }),
        wait: None,
        request_ttl: None,
        grant_ttl: None,
    });
    let pending = pending.await.unwrap();
    (listener, pending, reviews, dir)
}

#[tokio::test]
async fn an_event_is_signed_and_sent_again_after_a_failure() {
    let secret = "webhook-secret";
    let (listener, pending, _reviews, _dir) = ask(|url| Webhook {
        url,
        secret: Some(secret.into()),
        format: WebhookFormat::Json,
        include_statement: false,
    })
    .await;
    let first = receive(&listener, "503 Service Unavailable").await;
    let second = receive(&listener, "204 No Content").await;
    assert_eq!(first.body, second.body);
    assert_eq!(first.header("sallyport-delivery"), second.header("sallyport-delivery"));
    assert_eq!(second.header("sallyport-event"), Some("request.opened"));

    let signature = second.header("sallyport-signature").unwrap();
    let (time, mac) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let signed = format!("{time}.{}", second.body);
    aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &hex::decode(mac).unwrap()).unwrap();

    let body: serde_json::Value = serde_json::from_str(&second.body).unwrap();
    assert_eq!(body["request"]["id"], pending.id());
    assert_eq!(body["request"]["task"], "OPS-42");
    for hidden in ["statement-text", "parameter-value", "plan-value", secret] {
        assert!(!second.body.contains(hidden), "{hidden}");
    }
}

#[tokio::test]
async fn a_chat_gets_the_statement_and_no_markup_of_it() {
    let (listener, pending, _reviews, _dir) = ask(|url| Webhook {
        url,
        secret: None,
        format: WebhookFormat::Slack,
        include_statement: true,
    })
    .await;
    let post = receive(&listener, "200 OK").await;
    assert_eq!(post.header("sallyport-signature"), None);
    let body: serde_json::Value = serde_json::from_str(&post.body).unwrap();
    let text = body["text"].as_str().unwrap();
    assert!(text.contains("statement-text"), "{text}");
    assert!(text.contains(&format!("sallyport approve {}", pending.id())), "{text}");
    assert_eq!(
        text.matches("```").count(),
        2,
        "the statement ends where the gateway ends it: {text}"
    );
    assert!(!text.contains("<!channel>"), "{text}");
    assert!(
        !text.contains("parameter-value") && !text.contains("plan-value"),
        "{text}"
    );
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_nothing_up() {
    let (listener, pending, reviews, _dir) = ask(|url| Webhook {
        url,
        secret: None,
        format: WebhookFormat::Json,
        include_statement: true,
    })
    .await;
    // Accepted and left without an answer.
    let _silent = listener.accept().await.unwrap();
    let alice = Principal {
        id: "alice".into(),
        kind: Kind::User,
        groups: Arc::from([]),
        person: "local:alice".into(),
        issuer: LOCAL_ISSUER.into(),
    };
    let withdrawn = reviews.withdraw(pending.id(), &alice, None);
    tokio::time::timeout(Duration::from_secs(5), withdrawn)
        .await
        .unwrap()
        .unwrap();
}
