//! The client's side of a login, with every opening that a client, or somebody who plays one, can make.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::{fs, net::SocketAddr};

use sallyport_listen::{ClientTls, Roots, ServerTls, ServerTlsOptions, TlsError, Verification, Wire, connect_tls};
use sallyport_postgres::{
    greet::{self, ALPN, GreetError, Greeted, Greeting, greet},
    wire::{
        Diagnostic, Field, Limits,
        backend::{self, BackendKeyData},
        frontend, next_frame,
        startup::{self, Version},
    },
};
use sallyport_testbed::Authority;
use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

struct House {
    dir: tempfile::TempDir,
    tls: ServerTls,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new().unwrap();
        fs::write(dir.path().join("ca.crt"), authority.certificate()).unwrap();
        let (certificate, key) = authority
            .server(&["localhost"])
            .unwrap()
            .write(dir.path(), "server")
            .unwrap();
        let alpn = vec![ALPN.to_vec()];
        let options = ServerTlsOptions {
            certificate,
            key,
            alpn,
            ..ServerTlsOptions::default()
        };
        Self {
            dir,
            tls: ServerTls::load(options).unwrap(),
        }
    }

    fn client_tls(&self, alpn: &[&[u8]]) -> ClientTls {
        let roots = Roots::File(self.dir.path().join("ca.crt"));
        ClientTls::new(Verification::Full, &roots, "localhost", None, alpn).unwrap()
    }
}

async fn pair() -> (Wire, Wire) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (
        Wire::new(client.unwrap()).unwrap(),
        Wire::new(accepted.unwrap().0).unwrap(),
    )
}

fn startup_packet(version: Version, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    startup::startup(&mut out, version, parameters.iter().copied());
    out
}

fn alice() -> Vec<u8> {
    startup_packet(Version::V3_0, &[("user", "alice"), ("database", "orders")])
}

/// Sends `bytes` as a client on this machine and returns what the client got until the close, and the
/// greeting.
async fn send(bytes: &[u8], tls: Option<&ServerTls>) -> (Vec<u8>, Result<Greeted, GreetError>) {
    send_from(bytes, tls, "127.0.0.1:5".parse().unwrap()).await
}

async fn send_from(bytes: &[u8], tls: Option<&ServerTls>, peer: SocketAddr) -> (Vec<u8>, Result<Greeted, GreetError>) {
    let (mut client, server) = pair().await;
    let told = async move {
        client.write_all(bytes).await.unwrap();
        let mut got = Vec::new();
        // Where nothing is said, a reset is an end as good as any; what was said is looked at.
        let _reset = client.read_to_end(&mut got).await;
        got
    };
    let greeting = async {
        match greet(server.with_peer(peer), tls).await {
            // So that the client sees an end.
            Ok(Greeted::Login(mut greeting)) => {
                greeting.wire.shutdown().await.unwrap();
                Ok(Greeted::Login(greeting))
            }
            other => other,
        }
    };
    tokio::join!(told, greeting)
}

fn error(bytes: &[u8]) -> Diagnostic<'_> {
    let frame = next_frame::<backend::Tag>(bytes, &Limits::default()).unwrap().unwrap();
    assert_eq!(frame.total_len, bytes.len());
    match backend::Message::decode(frame.tag, frame.body(bytes).unwrap()).unwrap() {
        backend::Message::ErrorResponse(error) => error,
        other => panic!("not an error: {other:?}"),
    }
}

fn login(greeted: Result<Greeted, GreetError>) -> Greeting {
    match greeted {
        Ok(Greeted::Login(greeting)) => greeting,
        other => panic!("not a login: {other:?}"),
    }
}

#[tokio::test]
async fn a_client_on_this_machine_may_speak_in_clear() {
    let (told, greeted) = send(&alice(), None).await;
    assert!(told.is_empty());
    let greeting = login(greeted);
    assert_eq!(
        (greeting.startup.user.as_str(), greeting.startup.database.as_str()),
        ("alice", "orders")
    );
}

#[tokio::test]
async fn a_client_elsewhere_must_speak_tls() {
    let house = House::new();
    let far = "192.0.2.7:4711".parse().unwrap();
    let (told, greeted) = send_from(&alice(), Some(&house.tls), far).await;
    assert!(matches!(greeted, Err(GreetError::Refused { .. })));
    let error = error(&told);
    assert_eq!(error.text(Field::Severity), "FATAL");
    assert_eq!(error.sqlstate(), "28000");
    assert!(error.text(Field::Hint).contains("sslmode=require"));
}

/// pa-001: nothing is allocated or said for lengths that no startup packet has.
#[tokio::test]
async fn impossible_lengths_close_silently() {
    for len in [0u32, 4, 7, 10_001, 0x7fff_ffff, 0xffff_ffff] {
        let (told, greeted) = send(&len.to_be_bytes(), None).await;
        assert!(told.is_empty(), "{len}");
        assert!(matches!(greeted, Err(GreetError::Wire(_))), "{len}");
    }
}

/// pa-002.
#[tokio::test]
async fn malformed_packets_are_refused() {
    for body in [
        &b"user\0app\0"[..],
        b"user\0app",
        b"user\0\0",
        b"user\0app\0x\0\0",
        b"user\0app\0\0more",
    ] {
        let mut packet = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
        packet.extend(Version::V3_0.code().to_be_bytes());
        packet.extend(body);
        let (told, greeted) = send(&packet, None).await;
        assert_eq!(error(&told).sqlstate(), "08P01", "{}", body.escape_ascii());
        assert!(greeted.is_err());
    }
    let (told, _) = send(&startup_packet(Version { major: 2, minor: 0 }, &[("user", "a")]), None).await;
    assert_eq!(error(&told).sqlstate(), "0A000");
    // pa-004, through the whole way.
    let (told, _) = send(
        &startup_packet(Version::V3_0, &[("user", "app"), ("user", "dba")]),
        None,
    )
    .await;
    assert_eq!(error(&told).sqlstate(), "08P01");
}

#[tokio::test]
async fn a_packet_cut_anywhere_is_the_same_packet() {
    let packet = startup_packet(Version::V3_0, &[("user", "alice"), ("options", "-c sallyport.task=X")]);
    for cut in 0..packet.len() {
        let (mut client, server) = pair().await;
        let (head, tail) = packet.split_at(cut);
        let send = async {
            client.write_all(head).await.unwrap();
            client.flush().await.unwrap();
            tokio::task::yield_now().await;
            client.write_all(tail).await.unwrap();
        };
        let (_, greeted) = tokio::join!(send, greet(server, None));
        assert_eq!(login(greeted).startup.task.as_deref(), Some("X"), "cut at {cut}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_half_way_is_gone() {
    let packet = alice();
    for cut in [0, 3, 8, packet.len() - 1] {
        let (mut client, server) = pair().await;
        client.write_all(&packet[..cut]).await.unwrap();
        drop(client);
        assert!(matches!(greet(server, None).await, Err(GreetError::Gone)), "{cut}");
    }
}

fn requests(names: &[&str]) -> Vec<Vec<u8>> {
    names
        .iter()
        .map(|name| {
            let mut out = Vec::new();
            match *name {
                "ssl" => startup::ssl_request(&mut out),
                "gss" => startup::gss_request(&mut out),
                other => panic!("{other}"),
            }
            out
        })
        .collect()
}

/// pa-009: at most one of each.
#[tokio::test]
async fn requests_for_encryption_are_answered_once() {
    for (asked, answers) in [
        (&["ssl", "ssl"][..], 1),
        (&["gss", "gss"], 1),
        (&["ssl", "gss", "ssl"], 2),
        (&["gss", "ssl", "gss"], 2),
    ] {
        let (mut client, server) = pair().await;
        let talk = async move {
            let mut got = Vec::new();
            for (index, request) in requests(asked).into_iter().enumerate() {
                client.write_all(&request).await.unwrap();
                if index < answers {
                    got.push(client.read_u8().await.unwrap());
                }
            }
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.unwrap();
            (got, rest)
        };
        let ((got, rest), greeted) = tokio::join!(talk, greet(server, None));
        assert_eq!(got, vec![b'N'; answers], "{asked:?}");
        assert_eq!(error(&rest).sqlstate(), "08P01", "{asked:?}");
        assert!(greeted.is_err());
    }
}

#[tokio::test]
async fn declined_encryption_goes_on_in_clear() {
    let (mut client, server) = pair().await;
    let talk = async move {
        for request in requests(&["gss", "ssl"]) {
            client.write_all(&request).await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), b'N');
        }
        client.write_all(&alice()).await.unwrap();
    };
    let ((), greeted) = tokio::join!(talk, greet(server, None));
    assert!(login(greeted).wire.tls().is_none());
}

/// CVE-2021-23214: what arrives before TLS is not what came through it.
#[tokio::test]
async fn bytes_in_clear_after_a_request_for_encryption_are_refused() {
    let house = House::new();
    for kind in ["ssl", "gss"] {
        let mut bytes = requests(&[kind]).remove(0);
        bytes.extend(alice());
        let (told, greeted) = send(&bytes, Some(&house.tls)).await;
        assert_eq!(error(&told).sqlstate(), "08P01", "{kind}");
        assert!(matches!(greeted, Err(GreetError::Refused { .. })));
    }
}

async fn through_tls(house: &House, direct: bool, alpn: &[&[u8]]) -> (Vec<u8>, Result<Greeted, GreetError>) {
    let (mut client, server) = pair().await;
    let tls = &house.client_tls(alpn);
    let talk = async move {
        if !direct {
            client.write_all(&requests(&["ssl"]).remove(0)).await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), b'S');
        }
        let Ok(mut wire) = connect_tls(client, tls).await else {
            return b"no TLS".to_vec();
        };
        wire.write_all(&alice()).await.unwrap();
        wire.flush().await.unwrap();
        let mut got = Vec::new();
        wire.read_to_end(&mut got).await.unwrap();
        got
    };
    let greeting = async {
        let greeted = greet(server, Some(&house.tls)).await;
        if let Ok(Greeted::Login(mut greeting)) = greeted {
            greeting.wire.shutdown().await.unwrap();
            return Ok(Greeted::Login(greeting));
        }
        greeted
    };
    tokio::join!(talk, greeting)
}

/// pa-012: direct TLS must name the application protocol, so that no other protocol's client gets here.
#[tokio::test]
async fn tls_with_and_without_the_request() {
    let house = House::new();
    for (direct, alpn) in [(false, &[][..]), (false, &[ALPN]), (true, &[ALPN])] {
        let (told, greeted) = through_tls(&house, direct, alpn).await;
        assert!(told.is_empty(), "{}", told.escape_ascii());
        let greeting = login(greeted);
        assert_eq!(greeting.wire.tls().unwrap().sni.as_deref(), Some("localhost"));
    }
    let (told, greeted) = through_tls(&house, true, &[]).await;
    assert_eq!(error(&told).sqlstate(), "08P01");
    assert!(greeted.is_err());
    for direct in [false, true] {
        let (told, greeted) = through_tls(&house, direct, &[b"http/1.1"]).await;
        assert_eq!(told, b"no TLS");
        assert!(matches!(greeted, Err(GreetError::Tls(TlsError::Handshake(_)))));
    }
}

#[tokio::test]
async fn other_tongues_get_nothing() {
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00",
    ] {
        let (told, greeted) = send(bytes, None).await;
        assert!(told.is_empty() && greeted.is_err());
    }
}

/// pa-017, pa-018: the shape of a cancel request; whose it is, the registry of keys decides.
#[tokio::test]
async fn a_cancel_request_is_handed_on() {
    for secret in [&b"1234"[..], &[7; 32], &[7; 256]] {
        let mut bytes = Vec::new();
        startup::cancel_request(&mut bytes, &BackendKeyData { pid: 77, secret });
        let (mut client, server) = pair().await;
        client.write_all(&bytes).await.unwrap();
        let Ok(Greeted::Cancel(call)) = greet(server.with_peer("192.0.2.7:1".parse().unwrap()), None).await else {
            panic!("not a cancel request");
        };
        assert!(
            call.key
                .matches(&greet::CancelKey::from(BackendKeyData { pid: 77, secret }))
        );
    }
    for len in [12usize, 15, 269] {
        let mut bytes = vec![0; len];
        bytes[..4].copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
        bytes[4..8].copy_from_slice(&80_877_102u32.to_be_bytes());
        assert!(send(&bytes, None).await.1.is_err(), "{len}");
    }
}

#[tokio::test]
async fn versions_are_negotiated_before_the_password() {
    let grease = Version { major: 3, minor: 9999 };
    let (told, greeted) = send(&startup_packet(grease, &[("user", "a"), ("_pq_.test", "1")]), None).await;
    let frame = next_frame::<backend::Tag>(&told, &Limits::default()).unwrap().unwrap();
    let message = backend::Message::decode(frame.tag, frame.body(&told).unwrap()).unwrap();
    let backend::Message::NegotiateProtocolVersion(negotiate) = message else {
        panic!("{message:?}")
    };
    assert_eq!(
        (negotiate.version, negotiate.unknown),
        (Version::V3_2.code(), vec![&b"_pq_.test"[..]])
    );
    let startup = login(greeted).startup;
    assert_eq!(startup.version, Version::V3_2);
    assert_eq!(startup.negotiation(), None, "clients refuse to be told twice");
}

async fn asked(answer: &[u8]) -> (Vec<u8>, Result<String, GreetError>, Vec<u8>) {
    let (mut client, server) = pair().await;
    let talk = async move {
        client.write_all(&alice()).await.unwrap();
        let mut request = [0; 9];
        client.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"R\0\0\0\x08\0\0\0\x03");
        client.write_all(answer).await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        got
    };
    let ask = async {
        let mut greeting = login(greet(server, None).await);
        let password = greeting.ask_password().await;
        let mut rest = Vec::new();
        greeting.wire.read_to_end(&mut rest).await.unwrap();
        (password.map(|password| password.expose_secret().to_owned()), rest)
    };
    let (got, (password, rest)) = tokio::join!(talk, ask);
    (got, password, rest)
}

#[tokio::test]
async fn the_password_is_read_and_nothing_after_it() {
    let mut answer = Vec::new();
    frontend::Password::encode(&mut answer, "spt_0123 ÄÖ".as_bytes());
    frontend::Query { text: b"select 1" }.encode(&mut answer);
    let (_, password, rest) = asked(&answer).await;
    assert_eq!(password.unwrap(), "spt_0123 ÄÖ");
    assert_eq!(rest, b"Q\0\0\0\x0dselect 1\0");
}

#[tokio::test]
async fn other_answers_than_a_password_are_refused() {
    let mut query = Vec::new();
    frontend::Query { text: b"select 1" }.encode(&mut query);
    let mut long = Vec::new();
    frontend::Password::encode(&mut long, &[b'x'; 70_000]);
    let mut bytes = Vec::new();
    frontend::Password::encode(&mut bytes, b"\xff\xfe");
    for answer in [
        query,
        long,
        bytes,
        b"p\0\0\0\x06x\x01".to_vec(),
        b"p\0\0\0\x03".to_vec(),
        b"!".to_vec(),
    ] {
        let (told, password, _) = asked(&answer).await;
        assert!(
            matches!(password, Err(GreetError::Wire(_))),
            "{}",
            answer[..8.min(answer.len())].escape_ascii()
        );
        assert_eq!(error(&told).sqlstate(), "08P01");
    }
    // psql leaves to ask its user.
    let (told, password, _) = asked(b"").await;
    assert!(told.is_empty() && matches!(password, Err(GreetError::Gone)));
}
