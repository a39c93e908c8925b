//! Whoever answers in a target's place: nothing it says gets it the password or an accepted login.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::panic,
    reason = "tests"
)]

use std::{fs, time::Duration};

use sallyport_postgres::{
    dial::{DialError, Dialer, Order, ScramError},
    greet::Startup,
    wire::{
        message,
        startup::{StartupPacket, Version, next_packet},
    },
};
use sallyport_target::{AuthMethod, Broker, Catalogue, PostgresLease};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const PASSWORD: &str = "do-not-tell";

async fn lease(port: u16, tls: &str) -> PostgresLease {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("pw"), PASSWORD).unwrap();
    let text = format!(
        "[[target]]\nname = 't'\nprotocol = 'postgres'\naddress = '127.0.0.1:{port}'\nuser = 'app'\n\
         password_file = 'pw'\ntls = '{tls}'\n"
    );
    let catalogue = Catalogue::parse(&text, "targets.toml", dir.path(), &Broker::default()).unwrap();
    let lease = catalogue.get("t").unwrap().lease("t").await.unwrap();
    lease.try_into().unwrap()
}

fn r(code: u32, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    message(&mut out, b'R', |out| {
        out.extend(code.to_be_bytes());
        out.extend(data);
    });
    out
}

fn raw(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    message(&mut out, tag, |out| out.extend(body));
    out
}

fn sasl(mechanisms: &[u8]) -> Vec<u8> {
    r(10, mechanisms)
}

/// One answer for each message of the gateway; made from what the gateway sent.
type Answer = Box<dyn Fn(&[u8]) -> Vec<u8> + Send>;

fn say(bytes: Vec<u8>) -> Answer {
    Box::new(move |_| bytes.clone())
}

/// Plays the answers, then closes; returns all that the gateway sent after its startup packet.
async fn play(stream: &mut TcpStream, answers: Vec<Answer>) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut buf = vec![0; 4096];
    let mut after_startup = false;
    for answer in answers {
        let count = stream.read(&mut buf).await.unwrap_or(0);
        let got = buf.get(..count).unwrap_or_default();
        if after_startup {
            heard.extend_from_slice(got);
        }
        after_startup = true;
        if stream.write_all(&answer(got)).await.is_err() {
            break;
        }
    }
    // What else the gateway says, until it closes.
    let _gone = stream.shutdown().await;
    let mut rest = Vec::new();
    let _gone = stream.read_to_end(&mut rest).await;
    heard.extend(rest);
    heard
}

async fn meet_with(answers: Vec<Answer>, adjust: impl FnOnce(&mut PostgresLease), tls: &str) -> (DialError, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut lease = lease(listener.local_addr().unwrap().port(), tls).await;
    adjust(&mut lease);
    let rogue = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        play(&mut stream, answers).await
    };
    let dialer = Dialer::default();
    let wanted = Order::default();
    let (dialled, heard) = tokio::join!(dialer.dial(&lease, &wanted), rogue);
    let error = dialled.unwrap_err();
    assert!(!error.to_string().contains(PASSWORD));
    assert!(error.told().is_none_or(|told| !told.contains(PASSWORD)));
    (error, heard)
}

async fn meet(answers: Vec<Answer>) -> (DialError, Vec<u8>) {
    meet_with(answers, |_| {}, "disable").await
}

/// The server's first SCRAM message, made from the gateway's.
fn challenge(change: impl Fn(String) -> String + Send + 'static) -> Answer {
    Box::new(move |first| {
        let text = String::from_utf8_lossy(first).into_owned();
        let nonce = text.rsplit("r=").next().unwrap_or_default();
        r(
            11,
            change(format!("r={nonce}SERVER,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")).as_bytes(),
        )
    })
}

/// pa-013: a weaker way than the pinned one is refused, and the password stays here.
#[tokio::test]
async fn weaker_ways_to_log_in_are_refused() {
    for (request, asked) in [(r(3, b""), "password"), (r(5, b"salt"), "md5"), (r(7, b""), "GSSAPI")] {
        let (error, heard) = meet(vec![say(request)]).await;
        assert!(
            matches!(&error, DialError::Method { asked: name } if name == asked),
            "{error}"
        );
        assert!(heard.is_empty());
    }
    // In the middle of a good exchange too.
    let (error, heard) = meet(vec![say(sasl(b"SCRAM-SHA-256\0\0")), say(r(3, b""))]).await;
    assert!(matches!(error, DialError::Method { .. }), "{error}");
    assert!(!String::from_utf8_lossy(&heard).contains(PASSWORD));
    // md5 allowed does not mean that cleartext is.
    let allow = |lease: &mut PostgresLease| lease.auth = vec![AuthMethod::Md5];
    let (error, heard) = meet_with(vec![say(r(5, b"salt")), say(r(3, b""))], allow, "disable").await;
    assert!(matches!(error, DialError::Method { .. }), "{error}");
    assert!(!String::from_utf8_lossy(&heard).contains(PASSWORD));
    let (error, _) = meet(vec![say(sasl(b"PLAIN\0OAUTHBEARER\0\0"))]).await;
    assert!(matches!(error, DialError::Method { .. }), "{error}");
}

/// pa-015: let in without a proof is not let in.
#[tokio::test]
async fn a_login_without_proof_does_not_count() {
    let ready = [r(0, b""), raw(b'Z', b"I")].concat();
    let (error, _) = meet(vec![say(ready.clone())]).await;
    assert!(matches!(error, DialError::Unproven { .. }), "{error}");
    let (error, _) = meet(vec![say(sasl(b"SCRAM-SHA-256\0\0")), say(ready.clone())]).await;
    assert!(matches!(error, DialError::Unproven { .. }), "{error}");
    let after_challenge = vec![say(sasl(b"SCRAM-SHA-256\0\0")), challenge(|text| text), say(ready)];
    let (error, _) = meet(after_challenge).await;
    assert!(matches!(error, DialError::Unproven { .. }), "{error}");
}

/// pa-014.
#[tokio::test]
async fn bad_scram_is_refused() {
    let exchange = |change: fn(String) -> String| {
        vec![
            say(sasl(b"SCRAM-SHA-256\0\0")),
            challenge(change),
            say(r(12, b"v=AAAA")),
        ]
    };
    let refused = async |change: fn(String) -> String| match meet(exchange(change)).await.0 {
        DialError::Scram(error) => error,
        other => panic!("{other}"),
    };
    assert_eq!(
        refused(|text| text.replace("4096", "1")).await,
        ScramError::Iterations(1)
    );
    assert_eq!(
        refused(|text| text.replace("4096", "2147483648")).await,
        ScramError::Iterations(1 << 31)
    );
    assert_eq!(refused(|text| text.replace("r=", "r=X")).await, ScramError::Nonce);
    assert_eq!(refused(|text| text).await, ScramError::Signature);
    let (error, _) = meet_with(
        vec![say(sasl(b"SCRAM-SHA-256\0\0"))],
        |lease| lease.channel_binding = sallyport_target::ChannelBinding::Require,
        "disable",
    )
    .await;
    assert!(matches!(error, DialError::ChannelBinding), "{error}");
}

#[tokio::test]
async fn nonsense_ends_the_login() {
    let nonsense: [(&[u8], &str); 5] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "broke the protocol"),
        (b"R\0\0\0\x02", "broke the protocol"),
        (b"E\xff\xff\xff\xff", "broke the protocol"),
        (b"D\0\0\0\x06\0\0", "broke the protocol"),
        (b"R\0\0\0\x0c\0\0\0\x63abcd", "broke the protocol"),
    ];
    for (bytes, expected) in nonsense {
        let (error, _) = meet(vec![say(bytes.to_vec())]).await;
        assert!(error.to_string().contains(expected), "{error}");
    }
    let (error, _) = meet(vec![say(raw(b'C', b"SELECT 1\0"))]).await;
    assert!(matches!(error, DialError::Unexpected("answers to commands")), "{error}");
    let (error, _) = meet(vec![say(Vec::new())]).await;
    assert!(matches!(error, DialError::Closed), "{error}");
    let status = raw(b'S', b"a\0b\0");
    let trusted = |lease: &mut PostgresLease| lease.auth = vec![AuthMethod::Trust];
    let flood = [r(0, b""), status.repeat(2000)].concat();
    let (error, _) = meet_with(vec![say(flood)], trusted, "disable").await;
    assert!(
        matches!(error, DialError::Unexpected("messages without end")),
        "{error}"
    );
}

#[tokio::test]
async fn tls_is_not_talked_away() {
    let (error, heard) = meet_with(vec![say(b"N".to_vec())], |_| {}, "require").await;
    assert!(matches!(error, DialError::NoTls), "{error}");
    assert!(heard.is_empty(), "nothing is said in clear");
    let text = raw(b'E', b"SFATAL\0C0A000\0Mplease use sslmode=disable\0\0");
    let (error, _) = meet_with(vec![say(text)], |_| {}, "require").await;
    assert!(
        matches!(error, DialError::Unexpected(_)) && !error.to_string().contains("sslmode"),
        "{error}"
    );
    // CVE-2021-23222: a login in clear right behind the answer.
    let early = [b"S".to_vec(), r(0, b""), raw(b'Z', b"I")].concat();
    let (error, _) = meet_with(vec![say(early)], |_| {}, "require").await;
    assert!(matches!(error, DialError::Tls(_)), "{error}");
}

#[tokio::test]
async fn a_silent_target_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut lease = lease(listener.local_addr().unwrap().port(), "disable").await;
    lease.patience.login = Duration::from_millis(50);
    let error = Dialer::default().dial(&lease, &Order::default()).await.unwrap_err();
    assert!(matches!(error, DialError::Timeout { .. }), "{error}");
}

/// What the target gets is made by the gateway: the lease's user, never the client's.
#[tokio::test]
async fn the_startup_packet_is_made_afresh() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let lease = lease(listener.local_addr().unwrap().port(), "disable").await;
    let target = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut packet = vec![0; 4096];
        let count = stream.read(&mut packet).await.unwrap();
        packet.truncate(count);
        packet
    };
    let dialer = Dialer::default();
    let parameters: Vec<(&[u8], &[u8])> = vec![
        (b"user", b"alice"),
        (b"database", b"gate"),
        (b"_pq_.x", b"1"),
        (b"DateStyle", b"ISO"),
    ];
    let wanted = Startup::read(&StartupPacket {
        version: Version::V3_2,
        parameters,
    })
    .unwrap();
    let wanted = Order::new(&wanted, &[]).unwrap();
    let (_, packet) = tokio::join!(dialer.dial(&lease, &wanted), target);
    let (opening, len) = next_packet(&packet).unwrap().unwrap();
    assert_eq!(len, packet.len());
    let sallyport_postgres::wire::startup::Opening::Startup(sent) = opening else {
        panic!("{opening:?}")
    };
    let expected: [(&[u8], &[u8]); 3] = [(b"user", b"app"), (b"database", b"t"), (b"datestyle", b"ISO")];
    assert_eq!(
        (sent.version, sent.parameters.as_slice()),
        (Version::V3_0, &expected[..])
    );
}
