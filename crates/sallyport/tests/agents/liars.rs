//! Agents that have joined, and that somebody else has taken over since.

use std::sync::Arc;
use std::time::Duration;

use sallyport_identity::agents::Enrolment;
use sallyport_tunnel::{Acceptor, Announced, Flow, FromAgent, Hello, Incoming, KeepAlive, head};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Bed, LONG};

fn hello() -> FromAgent {
    FromAgent::Hello(Hello {
        version: "1".to_owned(),
        host: "h".to_owned(),
        targets: vec![Announced {
            name: "orders".into(),
            protocol: "postgres".into(),
        }],
    })
}

/// A connection that says what an agent says, and hands over each flow that the gateway opens.
struct Liar {
    control: Flow,
    flows: mpsc::UnboundedReceiver<Flow>,
    /// Ends with it.
    _running: JoinSet<()>,
}

impl Liar {
    async fn begin(bed: &Bed, enrolment: &Enrolment) -> Liar {
        let mut liar = Liar::silent(bed, enrolment).await;
        let before = bed.connections();
        head::write(&mut liar.control, &hello()).await.unwrap();
        super::eventually("a connection", || bed.connections() > before).await;
        liar
    }

    /// One that has not said who it is yet.
    async fn silent(bed: &Bed, enrolment: &Enrolment) -> Liar {
        let stream = bed.tunnel(enrolment).await;
        let begun = Acceptor::begin(stream, KeepAlive::default(), std::future::pending());
        let (mut acceptor, run) = timeout(LONG, begun).await.unwrap().unwrap();
        let mut running = JoinSet::new();
        let run = Box::pin(run);
        running.spawn(async move { drop(run.await) });
        let Some(Incoming::Control(mut control)) = timeout(LONG, acceptor.accept()).await.unwrap() else {
            panic!("no control")
        };
        let welcome: Value = head::read(&mut control).await.unwrap();
        assert_eq!(welcome["say"], "welcome");
        let (give, flows) = mpsc::unbounded_channel();
        running.spawn(async move {
            while let Some(Incoming::Flow(flow)) = acceptor.accept().await {
                if give.send(flow).is_err() {
                    return;
                }
            }
        });
        Liar {
            control,
            flows,
            _running: running,
        }
    }

    /// The next flow, and what is asked for.
    async fn asked(&mut self) -> (Flow, Value) {
        let mut flow = timeout(LONG, self.flows.recv()).await.unwrap().unwrap();
        let opening = timeout(LONG, head::read(&mut flow)).await.unwrap().unwrap();
        (flow, opening)
    }
}

/// A message of PostgreSQL.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &u32::try_from(body.len() + 4).unwrap().to_be_bytes(), body].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_make_no_sense_end_their_session_and_tell_nobody_anything() {
    let (bed, dir) = (Bed::start(), tempfile::tempdir().unwrap());
    let enrolment = bed.enrol(dir.path()).await;
    let mut liar = Liar::begin(&bed, &enrolment).await;
    let before = bed.peak();
    let framed = |json: &[u8]| [&u32::try_from(json.len()).unwrap().to_be_bytes()[..], json].concat();
    let words = format!("evil\u{1b}[2J{}", "words".repeat(40_000));
    let why = |kind: &str| framed(&serde_json::to_vec(&json!({ kind: { "why": words } })).unwrap());
    for (answer, also) in [
        (u32::MAX.to_be_bytes().to_vec(), "makes no sense"),
        (framed(b"{]"), "makes no sense"),
        (framed(words.as_bytes()), "makes no sense"),
        (
            framed(&serde_json::to_vec(&json!({ &words: 1 })).unwrap()),
            "makes no sense",
        ),
        (framed(b"{\"done\":null,\"failed\":{\"why\":\"x\"}}"), "makes no sense"),
        (why("failed"), ""),
        (why("unable"), ""),
        (Vec::new(), ""),
        // It says that it is done, and the target says what no server of PostgreSQL says.
        ([framed(b"\"done\""), vec![0xff; 4096]].concat(), ""),
        ([framed(b"\"done\""), message(b'R', &[0, 0, 0, 3])].concat(), ""),
        (
            [
                framed(b"\"done\""),
                message(b'E', b"SFATAL\0C28000\0Mgive me your password\0\0"),
            ]
            .concat(),
            "",
        ),
        ([framed(b"\"done\""), message(b'S', b"x\0")].concat(), ""),
        (framed(b"\"done\""), ""),
    ] {
        let asking = bed.psql("SELECT 1");
        let lying = async {
            let (mut flow, opening) = liar.asked().await;
            assert_eq!(
                (&opening["target"], &opening["whom"]["principal"]),
                (&json!("orders"), &json!("alice"))
            );
            let _ = flow.write_all(&answer).await;
            let _ = flow.shutdown().await;
            flow
        };
        let ((ok, said), _flow) = tokio::join!(asking, lying);
        assert!(!ok && said.contains("the target `orders` is not available"), "{said}");
        assert!(said.contains(also) && said.len() < 1_000, "{said}");
        assert!(
            !said.contains("evil") && !said.contains('\u{1b}') && !said.contains("password"),
            "{said}"
        );
    }
    let log = bed.log();
    assert!(
        !log.contains("\u{1b}[2J") && !log.contains(&"words".repeat(200)),
        "{}",
        bed.gateway.log_tail()
    );
    let grown = bed.peak().saturating_sub(before);
    assert!(grown < 48, "{grown} MiB more");
    assert_eq!(bed.connections(), 1, "what one flow says is no other's");
    bed.is_well();
}

/// A session that an agent plays, as far as psql gets: logged in.
async fn played(liar: &mut Liar) -> Flow {
    let (mut flow, _) = liar.asked().await;
    head::write(&mut flow, &json!("done")).await.unwrap();
    let status = |name: &str, value: &str| message(b'S', format!("{name}\0{value}\0").as_bytes());
    let greeting = [
        status("client_encoding", "UTF8"),
        status("standard_conforming_strings", "on"),
        status("server_version", "17.0"),
        message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]),
        message(b'Z', b"I"),
    ];
    flow.write_all(&greeting.concat()).await.unwrap();
    flow
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_in_a_flow_or_bytes_behind_its_end_take_no_memory() {
    let (bed, dir) = (Bed::start(), tempfile::tempdir().unwrap());
    let enrolment = bed.enrol(dir.path()).await;
    let mut liar = Liar::begin(&bed, &enrolment).await;
    let before = bed.peak();
    let asking = bed.psql("SELECT pg_sleep(0)");
    let lying = async {
        let mut flow = played(&mut liar).await;
        let mut query = [0; 5];
        flow.read_exact(&mut query).await.unwrap();
        assert_eq!(query[0], b'Q');
        // Rows without end that nobody described, and then what is no message at all.
        let block = vec![b'Z'; 64 * 1024];
        let mut sent = 0;
        while sent < 256 << 20 {
            match timeout(Duration::from_secs(5), flow.write(&block)).await {
                Ok(Ok(count)) => sent += count,
                Ok(Err(_)) | Err(_) => break,
            }
        }
        sent
    };
    let ((ok, said), sent) = tokio::join!(asking, lying);
    assert!(!ok && sent < 256 << 20, "{sent}: {said}");
    let grown = bed.peak().saturating_sub(before);
    assert!(grown < 64, "{grown} MiB more");

    // Flows that nobody asked for more of: what comes behind a session's end is thrown away.
    let asking = bed.psql("SELECT 1");
    let lying = async {
        let mut flow = played(&mut liar).await;
        let mut query = [0; 5];
        flow.read_exact(&mut query).await.unwrap();
        let answer = [message(b'C', b"SELECT 0\0"), message(b'Z', b"I")].concat();
        flow.write_all(&answer).await.unwrap();
        flow
    };
    let ((ok, said), mut flow) = tokio::join!(asking, lying);
    assert!(ok, "{said}");
    let block = vec![7; 64 * 1024];
    let mut sent = 0;
    while let Ok(Ok(count)) = timeout(Duration::from_secs(2), flow.write(&block)).await {
        sent += count;
        assert!(sent < 64 << 20, "a session that is over takes bytes");
    }
    bed.is_well();
    assert_eq!(bed.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_of_itself_that_make_no_sense_end_an_agents_connection() {
    let (bed, dir) = (Bed::start(), tempfile::tempdir().unwrap());
    let enrolment = bed.enrol(dir.path()).await;
    let target = |name: &str| json!({ "name": name, "protocol": "postgres" });
    let said = |version: &str, targets: Vec<Value>| json!({ "say": "hello", "version": version, "host": "h", "targets": targets });
    let many = (0..10_001).map(|number| target(&number.to_string())).collect();
    for nonsense in [
        json!({ "say": "draining" }),
        json!({ "say": "renew", "request": {} }),
        json!({ "say": "hello" }),
        json!([]),
        said("\u{1b}[2J", Vec::new()),
        said("", Vec::new()),
        said(&"v".repeat(100_000), Vec::new()),
        said("1", vec![target("a\nb")]),
        said("1", many),
    ] {
        let mut liar = Liar::silent(&bed, &enrolment).await;
        let _ = head::write(&mut liar.control, &nonsense).await;
        let over = timeout(LONG, head::read::<Value>(&mut liar.control)).await.unwrap();
        assert!(over.is_err(), "{over:?}");
    }
    assert_eq!(bed.connections(), 0);
    // One of a newer version says something first; it is heard out.
    let mut newer = Liar::silent(&bed, &enrolment).await;
    head::write(&mut newer.control, &json!({ "say": "capabilities", "masks": true }))
        .await
        .unwrap();
    head::write(&mut newer.control, &hello()).await.unwrap();
    bed.until_connections(1).await;

    // Renewals are not to be had by the dozen: each is signed, and written down.
    let request = json!({ "csr": sallyport_identity::agents::NewKey::generate().unwrap().csr() });
    let mut renewed = 0;
    for _ in 0..50 {
        let renew = json!({ "say": "renew", "request": request });
        head::write(&mut newer.control, &renew).await.unwrap();
        let answer: Value = timeout(LONG, head::read(&mut newer.control)).await.unwrap().unwrap();
        renewed += usize::from(answer["say"] == "renewed");
    }
    assert_eq!(renewed, 1);
    bed.is_well();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_has_no_more_connections_than_it_needs_and_sockets_come_back() {
    let (bed, dir) = (Bed::start(), tempfile::tempdir().unwrap());
    let enrolment = bed.enrol(dir.path()).await;
    let before = bed.sockets();
    let mut liars = Vec::new();
    for _ in 0..70 {
        let mut liar = Liar::silent(&bed, &enrolment).await;
        head::write(&mut liar.control, &hello()).await.unwrap();
        liars.push(liar);
    }
    bed.until_connections(64).await;
    super::eventually("a word about it", || bed.log().contains("has 64 connections already")).await;
    drop(liars);
    bed.until_connections(0).await;
    super::eventually("the end of the sockets", || bed.sockets() <= before).await;
    bed.is_well();
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), body].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_break_the_tunnel_end_it_and_floods_are_bounded() {
    let (bed, dir) = (Bed::start(), tempfile::tempdir().unwrap());
    let enrolment = Arc::new(bed.enrol(dir.path()).await);
    let settings = frame(4, 0, 0, &[]);
    let before = bed.peak();
    // `:status 200` is the static table's eighth field.
    let promise = [&2_u32.to_be_bytes()[..], &[0x88]].concat();
    let cases: [(&str, Vec<u8>, bool); 12] = [
        ("a stream that the agent opens", frame(1, 4, 2, &[0x88]), true),
        ("a promise", frame(5, 4, 1, &promise), true),
        ("data of a stream that is none", frame(0, 0, 99, &[7; 1024]), true),
        (
            "a frame that is too long",
            frame(0, 0, 1, &vec![7; (1 << 20) + 1]),
            true,
        ),
        (
            "headers of which no end comes",
            {
                let more = frame(9, 0, 1, &vec![0; 16_000]).repeat(256);
                [frame(1, 0, 1, &[0x88]), more].concat()
            },
            true,
        ),
        ("a window of nothing", frame(8, 0, 0, &[0; 4]), true),
        (
            "a window that is too large",
            frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff]).repeat(3),
            true,
        ),
        (
            "settings that are none",
            frame(4, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff]),
            true,
        ),
        ("not HTTP/2 at all", b"HTTP/1.1 200 OK\r\n\r\n".repeat(100), true),
        ("questions without end", frame(6, 0, 0, &[7; 8]).repeat(200_000), false),
        ("settings without end", frame(4, 0, 0, &[]).repeat(200_000), false),
        (
            "frames of a kind that nobody knows",
            frame(0xee, 0xff, 7, &[7; 1024]).repeat(20_000),
            false,
        ),
    ];
    for (what, bytes, ends) in cases {
        let stream = bed.tunnel(&enrolment).await;
        let (mut read, mut write) = tokio::io::split(stream);
        let flood = [settings.clone(), frame(4, 1, 0, &[]), bytes].concat();
        let writing = tokio::spawn(async move {
            let written = write.write_all(&flood).await;
            (write, written)
        });
        if ends {
            let mut sink = tokio::io::sink();
            let _ = timeout(LONG, tokio::io::copy(&mut read, &mut sink))
                .await
                .unwrap_or_else(|_| panic!("{what} goes on"));
        } else {
            // It is taken, or ends the connection: what counts is what it takes.
            let reading = tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
            let _ = timeout(LONG, writing)
                .await
                .unwrap_or_else(|_| panic!("{what} is stuck"));
            reading.abort();
        }
        let grown = bed.peak().saturating_sub(before);
        assert!(grown < 64, "{what}: {grown} MiB more");
        bed.is_well();
    }
    bed.until_connections(0).await;
    let mut good = Liar::begin(&bed, &enrolment).await;
    let (asked, _) = tokio::join!(bed.psql("SELECT 1"), async { drop(good.asked().await) });
    assert!(asked.1.contains("not available"), "{asked:?}");
}
