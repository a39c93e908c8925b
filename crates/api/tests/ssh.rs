//! SSH by way of the API: certificates and keys, written down in the journal.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[allow(dead_code, reason = "each test file uses a part")]
mod gateway;

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use gateway::Gateway;
use reqwest::{Method, StatusCode};
use sallyport_api::ports::Act;
use sallyport_identity::client::ClientError;
use sallyport_identity::messages::{SshCertificateRequest, SshKeyRequest};
use sallyport_ssh_transport::keys::{Certificate, PrivateKey};
use serde_json::json;
use time::OffsetDateTime;

fn public_key() -> String {
    PrivateKey::generate_ed25519().unwrap().public_key().to_string()
}

fn status(error: &ClientError) -> u16 {
    let ClientError::Answered { status, .. } = error else {
        panic!("{error}")
    };
    *status
}

#[tokio::test]
async fn a_certificate_is_written_down_or_good_for_nothing() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&gateway.login("alice").await);
    let request = SshCertificateRequest {
        public_key: public_key(),
    };
    let reply = client.ssh_certificate(&request).await.unwrap();
    let certificate: Certificate = reply.certificate.parse().unwrap();
    let connect = |certificate: Certificate| {
        let identities = gateway.identities();
        async move {
            let (here, now) = (Ipv4Addr::LOCALHOST.into(), OffsetDateTime::now_utc());
            identities
                .by_ssh_certificate(&certificate, "alice", "web-1", here, now)
                .await
        }
    };
    connect(certificate).await.unwrap();
    let token = reply.id.to_string();
    assert_eq!(
        gateway.acts(),
        [("alice".to_owned(), Act::SshCertificateIssued { token })]
    );

    gateway.outside.journal_full.store(true, Ordering::SeqCst);
    let before = client.list_tokens(false).await.unwrap().len();
    assert_eq!(status(&client.ssh_certificate(&request).await.unwrap_err()), 503);
    assert_eq!(client.list_tokens(false).await.unwrap().len(), before);
    for nonsense in ["", "ssh-rsa AAAA", &reply.certificate] {
        let request = SshCertificateRequest {
            public_key: nonsense.to_owned(),
        };
        assert_eq!(
            status(&client.ssh_certificate(&request).await.unwrap_err()),
            400,
            "{nonsense}"
        );
    }
}

#[tokio::test]
async fn keys_are_ones_own_and_written_down() {
    let gateway = Gateway::start().await;
    let alice = gateway.client(&gateway.login("alice").await);
    let bob = gateway.client(&gateway.login("bob").await);
    let request = SshKeyRequest {
        public_key: public_key(),
        name: "laptop".to_owned(),
    };
    gateway.outside.journal_full.store(true, Ordering::SeqCst);
    assert_eq!(status(&alice.add_ssh_key(&request).await.unwrap_err()), 503);
    assert!(
        alice.ssh_keys().await.unwrap().is_empty(),
        "what is not written down did not happen"
    );
    gateway.outside.journal_full.store(false, Ordering::SeqCst);
    let key = alice.add_ssh_key(&request).await.unwrap();
    assert_eq!(status(&alice.add_ssh_key(&request).await.unwrap_err()), 409);
    let listed = alice.ssh_keys().await.unwrap();
    assert_eq!((listed.len(), &listed[0].fingerprint), (1, &key.fingerprint));
    assert!(bob.ssh_keys().await.unwrap().is_empty());
    assert_eq!(status(&bob.remove_ssh_key(&key).await.unwrap_err()), 404);
    alice.remove_ssh_key(&key).await.unwrap();
    assert_eq!(status(&alice.remove_ssh_key(&key).await.unwrap_err()), 404);
    let (fingerprint, name) = (key.fingerprint, "laptop".to_owned());
    let acts = [
        Act::SshKeyAdded { fingerprint, name },
        Act::SshKeyRemoved { key: key.id },
    ];
    assert_eq!(gateway.acts(), acts.map(|act| ("alice".to_owned(), act)));

    let token = gateway.login("alice").await;
    for id in ["some-id", "..%2f", "00"] {
        let path = format!("/v1/ssh/keys/{id}");
        let response = gateway.call(&token, Method::DELETE, &path, None).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{id}");
    }
    let weak = json!({ "public_key": "ssh-dss AAAAB3NzaC1kc3M=", "name": "old" });
    let refused = gateway.call(&token, Method::POST, "/v1/ssh/keys", Some(weak)).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_gateway_without_ssh_says_so() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&gateway.login("alice").await);
    assert_eq!(client.ssh().await.unwrap().unwrap().user, "alice");
    gateway.outside.no_ssh.store(true, Ordering::SeqCst);
    assert_eq!(client.ssh().await.unwrap(), None);
}
