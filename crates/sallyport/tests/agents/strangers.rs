//! Who is no agent, or wants to be one without the right to.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::ClientConfig;
use sallyport_identity::agents::{JoinToken, join_client_config};
use sallyport_tunnel::{JOIN_ALPN, TUNNEL_ALPN, head};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{Bed, LONG};

/// The same text with one character changed.
fn forged(token: &JoinToken, at: usize) -> Option<JoinToken> {
    use secrecy::ExposeSecret;
    let mut text = token.text().expose_secret().to_owned();
    let other = if text.as_bytes()[at] == b'a' { "b" } else { "a" };
    text.replace_range(at..=at, other);
    JoinToken::parse(&text.into())
}

#[tokio::test]
async fn a_token_lets_one_agent_in_once_and_a_forged_or_revoked_one_nobody() {
    let (bed, dir) = (Bed::start(), tempfile::tempdir().unwrap());
    let token = bed.token();
    let length = {
        use secrecy::ExposeSecret;
        token.text().expose_secret().len()
    };
    let mut tried = 0;
    for at in (0..length).step_by(5) {
        // Most are no tokens at all, since they carry a checksum, or show another authority.
        if let Some(forged) = forged(&token, at) {
            tried += 1;
            assert!(bed.join(&forged, &dir.path().join("forged")).await.is_err(), "at {at}");
        }
    }
    assert!(tried > 3, "{tried} forged tokens were tried");
    // None of these used it up.
    bed.join(&token, &dir.path().join("first")).await.unwrap();
    let again = bed.join(&token, &dir.path().join("again")).await.unwrap_err();
    assert!(!dir.path().join("again").exists());

    // Two at once: one of them.
    let token = bed.token();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let (one, two) = tokio::join!(bed.join(&token, &one), bed.join(&token, &two));
    assert!(one.is_ok() ^ two.is_ok(), "{one:?} {two:?}");

    let token = bed.token();
    let path = format!("/v1/agents/tokens/{}", token.id());
    assert!(bed.gateway.api().delete(&path, Some(&bed.admin)).unwrap().status < 300);
    let revoked = bed.join(&token, &dir.path().join("revoked")).await.unwrap_err();
    assert!(
        again.contains("used already") && revoked.contains("revoked"),
        "{again} {revoked}"
    );
    assert_eq!(bed.agents().as_array().map(Vec::len), Some(2));
    bed.is_well();
}

#[tokio::test]
async fn a_token_of_another_gateway_is_not_shown_to_this_one() {
    let (bed, other) = (Bed::start(), Bed::start());
    let dir = tempfile::tempdir().unwrap();
    let error = bed.join(&other.token(), dir.path()).await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    // Nor does an agent of the other speak to this one; and where it does, its certificate opens nothing.
    let theirs = other.enrol(dir.path()).await;
    let error = bed
        .connect(theirs.client_config(&[TUNNEL_ALPN]).unwrap())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    let mut trusting = join_client_config(bed.token().pin(), &[TUNNEL_ALPN]).unwrap();
    trusting.client_auth_cert_resolver = theirs.client_config(&[TUNNEL_ALPN]).unwrap().client_auth_cert_resolver;
    refused(&bed, trusting).await;
    assert_eq!(bed.connections(), 0);
    assert!(!bed.log().contains("an agent connected"));
    bed.is_well();
}

/// The port ends a connection, within the handshake or right behind it, and says nothing.
async fn refused(bed: &Bed, config: ClientConfig) {
    let Ok(mut stream) = bed.connect(config).await else {
        return;
    };
    let mut said = Vec::new();
    // With TLS 1.3 a client learns of it when it reads.
    let read = timeout(LONG, stream.read_to_end(&mut said)).await.unwrap();
    assert!(read.is_err() || said.is_empty(), "{said:?}");
}

#[tokio::test]
async fn without_a_certificate_there_is_no_tunnel_and_nothing_else_is_spoken() {
    let (bed, dir) = (Bed::start(), tempfile::tempdir().unwrap());
    let pin = bed.token().pin();
    for alpn in [TUNNEL_ALPN, b"h2", b"sallyport-tunnel/9", b""] {
        let names: &[&[u8]] = if alpn.is_empty() { &[] } else { &[alpn] };
        refused(&bed, join_client_config(pin, names).unwrap()).await;
    }
    // One who has a certificate does not join with it again, and whoever joins does not get a tunnel.
    let enrolment = bed.enrol(dir.path()).await;
    let mut stream = bed
        .connect(enrolment.client_config(&[JOIN_ALPN]).unwrap())
        .await
        .unwrap();
    head::write(&mut stream, &json!({ "proof": { "method": "certificate" } }))
        .await
        .unwrap();
    let mut said = Vec::new();
    let _ = timeout(LONG, stream.read_to_end(&mut said)).await.unwrap();
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(bed.connections(), 0);
    bed.is_well();
}

#[tokio::test]
async fn requests_to_join_that_make_no_sense_come_to_nothing() {
    let bed = Bed::start();
    let pin = bed.token().pin();
    let host = json!({ "hostname": "h", "os": "linux", "arch": "x", "version": "1" });
    let huge = u32::MAX.to_be_bytes().to_vec();
    let framed = |value: &Value| {
        let json = serde_json::to_vec(value).unwrap();
        [&u32::try_from(json.len()).unwrap().to_be_bytes()[..], &json].concat()
    };
    let deep = [&(1_u32 << 17).to_be_bytes()[..], &[b'['; 1 << 17]].concat();
    for bytes in [
        huge,
        deep,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        framed(&json!(null)),
        framed(&json!({ "proof": { "method": "token", "token": "x" }, "csr": "!", "host": host })),
        framed(&json!({ "proof": { "method": "token", "token": "x" }, "csr": "AAAA", "host": host })),
        framed(&json!({ "proof": { "method": "magic" }, "csr": "AAAA", "host": host })),
        framed(&json!({ "proof": { "method": "kubernetes", "token": "a.b.c" }, "csr": "AAAA", "host": host })),
        framed(
            &json!({ "proof": { "method": "spiffe-jwt", "token": "x".repeat(100_000) }, "csr": "AAAA", "host": host }),
        ),
    ] {
        let mut stream = bed
            .connect(join_client_config(pin, &[JOIN_ALPN]).unwrap())
            .await
            .unwrap();
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut said = Vec::new();
        let _ = timeout(LONG, stream.read_to_end(&mut said)).await.unwrap();
        let said = String::from_utf8_lossy(&said);
        assert!(said.is_empty() || said.contains("refused"), "{said}");
        assert!(!said.contains("certificate\":"), "{said}");
    }
    assert_eq!(bed.agents(), json!([]));
    bed.is_well();
}

/// More who say nothing than there is room for, and then one who has something to say.
#[tokio::test]
async fn a_crowd_that_says_nothing_or_garbage_keeps_no_agent_out() {
    let (bed, dir) = (Bed::start(), tempfile::tempdir().unwrap());
    let enrolment = bed.enrol(dir.path()).await;
    let before = bed.peak();
    let mut crowd = Vec::new();
    for number in 0..1_300_u32 {
        let mut stream = std::net::TcpStream::connect(bed.gateway.agents()).unwrap();
        let word: &[u8] = match number % 4 {
            0 => b"",
            // The first bytes of a handshake, of which no more comes.
            1 => b"\x16\x03\x01\x02\x00\x01",
            2 => b"GET /tunnel HTTP/1.1\r\n\r\n",
            _ => &[0xff; 512],
        };
        let _ = stream.write_all(word);
        crowd.push(stream);
    }
    let run = bed.tunnel(&enrolment).await;
    let begun = sallyport_tunnel::Acceptor::begin(run, sallyport_tunnel::KeepAlive::default(), std::future::pending());
    let (mut acceptor, run) = timeout(LONG, begun).await.unwrap().unwrap();
    tokio::spawn(run);
    assert!(
        timeout(LONG, acceptor.accept()).await.unwrap().is_some(),
        "the gateway speaks with it"
    );
    // Garbage is answered by an end, at once.
    let garbage = crowd.get_mut(3).unwrap();
    garbage.set_read_timeout(Some(LONG)).unwrap();
    let mut said = Vec::new();
    let _ = garbage.read_to_end(&mut said);
    assert!(said.len() < 64, "{said:?}");
    let grown = bed.peak().saturating_sub(before);
    assert!(grown < 64, "{grown} MiB more");
    drop(crowd);
    bed.is_well();
    let _ = Arc::new(acceptor);
}
