//! Agents ask their platform's metadata service for a proof. The service is played here, as its vendor documents it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod enrol;
mod platform;

use std::collections::HashMap;
use std::path::PathBuf;

use enrol::Gateway;
use platform::{Authority, Documents, Tokens, aws_document, azure_document, gcp_claims, write_keys};
use sallyport_identity::agents::{AgentsConfig, CollectError, JoinMethod, NewKey};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

/// A request, as far as a metadata service looks at it.
struct Asked {
    method: String,
    path: String,
    query: HashMap<String, String>,
    headers: HashMap<String, String>,
}

/// Serves one answer a connection, until it is dropped.
async fn service(answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await.unwrap());
            }
            let (status, body) = answer(&asked(&String::from_utf8(head).unwrap()));
            let reply = format!(
                "HTTP/1.1 {status} -\r\nContent-Length: {}\r\nLocation: /\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            // Who has seen enough closes.
            let _written = socket.write_all(reply.as_bytes()).await;
        }
    });
    url
}

fn asked(head: &str) -> Asked {
    let mut lines = head.lines();
    let words: Vec<_> = lines.next().unwrap().split(' ').collect();
    let url = Url::parse("http://x").unwrap().join(words[1]).unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    Asked {
        method: words[0].to_owned(),
        path: url.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
    }
}

async fn gateway(rules: &str) -> Gateway {
    let config: AgentsConfig = toml::from_str(rules).unwrap();
    Gateway::with(config).await
}

/// Asks, and joins with what comes.
async fn joins(gateway: &Gateway, method: &JoinMethod) -> String {
    let key = NewKey::generate().unwrap();
    let proof = method.collect(&key, gateway.agents.authority().pin()).await.unwrap();
    gateway.join(proof, &key).await.unwrap().identity.name.to_string()
}

#[tokio::test]
async fn amazon_is_asked_with_a_session_and_answers_with_a_document() {
    let signer = Documents::new();
    let gateway = gateway(&format!(
        "[[join]]\nmethod = \"aws\"\nagent = \"a\"\ncertificates = {:?}\naccounts = [\"123456789012\"]",
        signer.file()
    ))
    .await;
    let document = signer.text(&aws_document("i-01"), &["-nocerts", "-stream"]);
    let metadata = service(move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("PUT", "/latest/api/token") if asked.headers.contains_key("x-aws-ec2-metadata-token-ttl-seconds") => {
            (200, "the session".to_owned())
        }
        ("GET", "/latest/dynamic/instance-identity/rsa2048")
            if asked.headers.get("x-aws-ec2-metadata-token").map(String::as_str) == Some("the session") =>
        {
            (200, document.clone())
        }
        _ => (401, String::new()),
    })
    .await;
    let method = JoinMethod::Aws {
        metadata: Some(metadata),
    };
    assert_eq!(joins(&gateway, &method).await, "a");
}

#[tokio::test]
async fn google_is_asked_for_a_token_for_the_key() {
    let (folder, tokens) = (tempfile::tempdir().unwrap(), Tokens::new("g1"));
    let keys: PathBuf = folder.path().join("jwks.json");
    write_keys(&keys, &[tokens.jwk("sig")]);
    let gateway = gateway(&format!(
        "[[join]]\nmethod = \"gcp\"\nagent = \"a\"\naudience = \"https://gw\"\nkeys = {keys:?}\nprojects = [\"shop\"]"
    ))
    .await;
    let metadata = service(move |asked| {
        let good = asked.path == "/computeMetadata/v1/instance/service-accounts/default/identity"
            && asked.headers.get("metadata-flavor").map(String::as_str) == Some("Google")
            && asked.query["format"] == "full";
        if good {
            (200, tokens.sign(&gcp_claims(&asked.query["audience"])))
        } else {
            (403, String::new())
        }
    })
    .await;
    let method = JoinMethod::Gcp {
        audience: "https://gw".to_owned(),
        metadata: Some(metadata),
    };
    assert_eq!(joins(&gateway, &method).await, "a");
    assert_eq!(joins(&gateway, &method).await, "a");
}

#[tokio::test]
async fn azure_is_asked_for_a_document_for_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let microsoft = Authority::new("microsoft");
    let roots = folder.path().join("roots.pem");
    microsoft.write(&roots);
    let signer = Documents::under(&microsoft, "metadata.azure.com");
    let gateway = gateway(&format!(
        "[[join]]\nmethod = \"azure\"\nagent = \"a\"\nauthorities = {roots:?}\n\
         subscriptions = [\"8d10da13-8125-4ba9-a717-bf7490507b3d\"]"
    ))
    .await;
    let metadata = service(move |asked| {
        let good = asked.path == "/metadata/attested/document"
            && asked.headers.get("metadata").map(String::as_str) == Some("true")
            && asked.query.contains_key("api-version");
        let document = signer
            .text(&azure_document(&asked.query["nonce"]), &["-noattr"])
            .replace('\n', "");
        let body = json!({ "encoding": "pkcs7", "signature": document }).to_string();
        if good { (200, body) } else { (400, String::new()) }
    })
    .await;
    let method = JoinMethod::Azure {
        metadata: Some(metadata),
    };
    assert_eq!(joins(&gateway, &method).await, "a");
}

#[tokio::test]
async fn answers_that_are_none_are_errors_and_have_bounds() {
    let key = NewKey::generate().unwrap();
    let pin = Gateway::start().await.agents.authority().pin();
    for (status, body) in [
        (404, String::new()),
        (302, "elsewhere".to_owned()),
        (200, "x".repeat(70_000)),
        (200, "{}".to_owned()),
        (200, json!({ "encoding": "pkcs1", "signature": "" }).to_string()),
    ] {
        let metadata = service(move |_| (status, body.clone())).await;
        let method = JoinMethod::Azure {
            metadata: Some(metadata),
        };
        let found = method.collect(&key, pin).await;
        assert!(
            matches!(found, Err(CollectError::Metadata(_) | CollectError::Answer(_))),
            "{status}: {found:?}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let method = JoinMethod::Kubernetes { token: token.clone() };
    assert!(matches!(
        method.collect(&key, pin).await,
        Err(CollectError::File { .. })
    ));
    std::fs::write(&token, vec![b'x'; 70_000]).unwrap();
    assert!(matches!(
        method.collect(&key, pin).await,
        Err(CollectError::File { .. })
    ));
    let method = JoinMethod::SpiffeX509 {
        certificates: token.clone(),
        key: token,
    };
    assert!(matches!(
        method.collect(&key, pin).await,
        Err(CollectError::File { .. })
    ));
}
