//! TLS on both sides: what is verified, what is refused, what is reloaded.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use sallyport_listen::{
    ClientIdentity, ClientTls, Roots, ServerTls, ServerTlsOptions, TlsError, Verification, Wire, accept_tls,
    connect_tls,
};
use sallyport_testbed::Authority;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

async fn pair() -> (Wire, Wire) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (
        Wire::new(client.unwrap()).unwrap(),
        Wire::new(accepted.unwrap().0).unwrap(),
    )
}

async fn handshake(client: &ClientTls, server: &ServerTls) -> (Result<Wire, TlsError>, Result<Wire, TlsError>) {
    let (a, b) = pair().await;
    let accept = async {
        let mut wire = accept_tls(b, server).await?;
        // In TLS 1.3 the client's refusal arrives after the server's handshake is done.
        wire.write_all(b"!").await.map_err(TlsError::Handshake)?;
        wire.flush().await.map_err(TlsError::Handshake)?;
        Ok(wire)
    };
    tokio::join!(connect_tls(a, client), accept)
}

struct World {
    dir: tempfile::TempDir,
    authority: Authority,
}

impl World {
    fn new() -> Self {
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
            authority: Authority::new().unwrap(),
        };
        fs::write(world.path("ca.crt"), world.authority.certificate()).unwrap();
        world
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn server(&self, names: &[&str]) -> ServerTls {
        let (certificate, key) = self
            .authority
            .server(names)
            .unwrap()
            .write(self.dir.path(), "server")
            .unwrap();
        ServerTls::load(ServerTlsOptions {
            certificate,
            key,
            ..ServerTlsOptions::default()
        })
        .unwrap()
    }

    fn client(&self, verification: Verification, name: &str) -> ClientTls {
        ClientTls::new(verification, &Roots::File(self.path("ca.crt")), name, None, &[]).unwrap()
    }
}

#[tokio::test]
async fn verification_goes_as_far_as_asked() {
    let world = World::new();
    let server = world.server(&["db.internal"]);
    let stranger = World::new();
    let cases = [
        (&world, Verification::Full, "db.internal", true),
        (&world, Verification::Full, "other.internal", false),
        (&world, Verification::Authority, "other.internal", true),
        (&world, Verification::None, "other.internal", true),
        (&stranger, Verification::Full, "db.internal", false),
        (&stranger, Verification::Authority, "db.internal", false),
        (&stranger, Verification::None, "db.internal", true),
    ];
    for (trusts, verification, name, expected) in cases {
        let (client, _) = handshake(&trusts.client(verification, name), &server).await;
        assert_eq!(client.is_ok(), expected, "{verification:?} {name}: {client:?}");
        if let Ok(mut wire) = client {
            assert_eq!(wire.read_u8().await.unwrap(), b'!');
            let tls = wire.tls().unwrap();
            assert_eq!(tls.verified, verification != Verification::None);
            assert_eq!(tls.peer_certificates.len(), 1);
            assert_eq!(tls.version, "TLSv1.3");
        }
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_made_once_and_can_be_pinned() {
    let world = World::new();
    let dir = world.path("tls");
    let (certificate, key) = ServerTls::ensure_self_signed(&dir, &["gw.example".into()]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&key), mode(&dir)), (0o600, 0o700));
    let before = fs::read(&certificate).unwrap();
    ServerTls::ensure_self_signed(&dir, &[]).unwrap();
    assert_eq!(fs::read(&certificate).unwrap(), before);
    let options = ServerTlsOptions {
        certificate: certificate.clone(),
        key,
        ..Default::default()
    };
    let server = ServerTls::load(options).unwrap();
    let pin = Roots::File(certificate);
    for (name, expected) in [("gw.example", true), ("127.0.0.1", true), ("evil.example", false)] {
        let client = ClientTls::new(Verification::Full, &pin, name, None, &[]).unwrap();
        assert_eq!(handshake(&client, &server).await.0.is_ok(), expected, "{name}");
    }
}

/// WebPKI refuses an authority's certificate as a server's own; self-signed ones are often marked so.
#[tokio::test]
async fn a_pinned_authority_certificate_is_accepted_for_its_name_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["db.internal".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = dir.path().join("server.crt");
    fs::write(&certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(dir.path().join("server.key"), key.serialize_pem()).unwrap();
    let key = dir.path().join("server.key");
    let options = ServerTlsOptions {
        certificate: certificate.clone(),
        key,
        ..Default::default()
    };
    let server = ServerTls::load(options).unwrap();
    let pin = Roots::File(certificate);
    for (name, expected) in [("db.internal", true), ("other.internal", false)] {
        let client = ClientTls::new(Verification::Full, &pin, name, None, &[]).unwrap();
        assert_eq!(handshake(&client, &server).await.0.is_ok(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_used_after_a_reload_and_a_bad_one_is_not() {
    let world = World::new();
    let server = world.server(&["old.internal"]);
    world
        .authority
        .server(&["new.internal"])
        .unwrap()
        .write(world.dir.path(), "server")
        .unwrap();
    let new = world.client(Verification::Full, "new.internal");
    assert!(handshake(&new, &server).await.0.is_err());
    server.reload().unwrap();
    assert!(handshake(&new, &server).await.0.is_ok());
    fs::write(world.path("server.crt"), "nothing").unwrap();
    assert!(
        server
            .reload()
            .unwrap_err()
            .to_string()
            .contains("holds no certificate")
    );
    assert!(handshake(&new, &server).await.0.is_ok());
}

#[tokio::test]
async fn client_certificates_are_verified_and_not_demanded() {
    let world = World::new();
    let (certificate, key) = world
        .authority
        .server(&["localhost"])
        .unwrap()
        .write(world.dir.path(), "server")
        .unwrap();
    let server = ServerTls::load(ServerTlsOptions {
        certificate,
        key,
        client_authorities: Some(world.path("ca.crt")),
        alpn: vec![b"postgresql".to_vec()],
        client_crl: None,
    })
    .unwrap();
    let stranger = World::new();
    let roots = Roots::File(world.path("ca.crt"));
    let mut shown = Vec::new();
    for issuer in [Some(&world), None, Some(&stranger)] {
        let identity = issuer.map(|issuer| {
            let (certificate, key) = issuer
                .authority
                .client("alice")
                .unwrap()
                .write(issuer.dir.path(), "alice")
                .unwrap();
            ClientIdentity { certificate, key }
        });
        let client = ClientTls::new(
            Verification::Full,
            &roots,
            "localhost",
            identity.as_ref(),
            &[b"postgresql"],
        );
        let (_client, accepted) = handshake(&client.unwrap(), &server).await;
        shown.push(accepted.map(|wire| {
            let tls = wire.tls().unwrap();
            assert_eq!(tls.alpn.as_deref(), Some(&b"postgresql"[..]));
            assert_eq!(tls.sni.as_deref(), Some("localhost"));
            !tls.peer_certificates.is_empty()
        }));
    }
    assert!(
        matches!(shown.as_slice(), [Ok(true), Ok(false), Err(TlsError::Handshake(_))]),
        "{shown:?}"
    );
}

#[tokio::test]
async fn another_application_protocol_is_refused() {
    let world = World::new();
    let (certificate, key) = world
        .authority
        .server(&["localhost"])
        .unwrap()
        .write(world.dir.path(), "server")
        .unwrap();
    let alpn = vec![b"postgresql".to_vec()];
    let server = ServerTls::load(ServerTlsOptions {
        certificate,
        key,
        alpn,
        ..Default::default()
    })
    .unwrap();
    let roots = Roots::File(world.path("ca.crt"));
    let client = ClientTls::new(Verification::Full, &roots, "localhost", None, &[b"http/1.1"]).unwrap();
    let (client, server) = handshake(&client, &server).await;
    assert!(client.is_err() && server.is_err());
}

#[tokio::test]
async fn bytes_read_in_clear_are_not_taken_for_encrypted_ones() {
    let world = World::new();
    let server = world.server(&["localhost"]);
    let (_client, mut wire) = pair().await;
    wire.unread(&b"Q"[..]);
    assert!(matches!(accept_tls(wire, &server).await, Err(TlsError::EarlyBytes)));
    let (mut wire, _server) = pair().await;
    wire.unread(&b"Z"[..]);
    let client = world.client(Verification::Full, "localhost");
    assert!(matches!(connect_tls(wire, &client).await, Err(TlsError::EarlyBytes)));
}

#[tokio::test]
async fn bytes_put_back_come_first() {
    let (mut client, mut wire) = pair().await;
    client.write_all(b"world").await.unwrap();
    wire.unread(&b"lo "[..]);
    wire.unread(&b"hel"[..]);
    assert_eq!(wire.peek_byte().await.unwrap(), Some(b'h'));
    let mut buf = [0; 11];
    wire.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"hello world");
    client.write_all(b"x").await.unwrap();
    assert_eq!(wire.peek_byte().await.unwrap(), Some(b'x'));
    assert_eq!(wire.read_u8().await.unwrap(), b'x');
    drop(client);
    assert_eq!(wire.peek_byte().await.unwrap(), None);
}

/// A close with unread bytes resets the connection, and the reset can overtake the last words.
#[tokio::test]
async fn last_words_arrive_although_the_peer_is_still_sending() {
    let (mut client, wire) = pair().await;
    client.write_all(&[0; 100_000]).await.unwrap();
    let told = async {
        let mut words = String::new();
        client.read_to_string(&mut words).await.unwrap();
        client.write_all(b"more").await.unwrap();
        drop(client);
        words
    };
    let (words, ()) = tokio::join!(told, wire.farewell(b"no", Duration::from_secs(30)));
    assert_eq!(words, "no");
}

#[tokio::test]
async fn a_peer_on_this_machine_is_known_as_such() {
    let (_client, wire) = pair().await;
    assert!(wire.is_loopback());
    assert!(!wire.with_peer("192.0.2.7:1".parse().unwrap()).is_loopback());
}
