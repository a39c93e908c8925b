//! Both sides of a tunnel, over streams in memory and sockets.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use sallyport_tunnel::{
    Acceptor, Announced, Answer, Fleet, Flow, Hello, Incoming, KeepAlive, MAX_FLOWS, Member, OpenError, Tunnel,
    Unserved, head,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(20);

fn brisk() -> KeepAlive {
    KeepAlive {
        every: Duration::from_millis(20),
        patience: Duration::from_millis(500),
    }
}

/// A gateway's tunnel over one end, and what its connection ends with.
async fn gateway(stream: DuplexStream, keep_alive: KeepAlive) -> (Tunnel, JoinHandle<String>) {
    let (tunnel, run) = Tunnel::begin(stream, keep_alive, "eu-west").await.unwrap();
    (tunnel, tokio::spawn(run))
}

async fn agent<S>(stream: S) -> (Acceptor, JoinHandle<String>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let never = std::future::pending();
    let (acceptor, run) = Acceptor::begin(stream, KeepAlive::default(), never).await.unwrap();
    (acceptor, tokio::spawn(run))
}

/// Both, with what each connection ends with.
async fn pair() -> (Tunnel, JoinHandle<String>, Acceptor, JoinHandle<String>) {
    let (ours, theirs) = duplex(256 * 1024);
    let ((tunnel, run), (acceptor, served)) = tokio::join!(gateway(ours, KeepAlive::default()), agent(theirs));
    (tunnel, run, acceptor, served)
}

async fn next(acceptor: &mut Acceptor) -> Flow {
    match timeout(LONG, acceptor.accept()).await.unwrap().unwrap() {
        Incoming::Flow(flow) => flow,
        Incoming::Control(_) => panic!("no flow"),
    }
}

/// Sends back whatever comes on each flow.
fn echo(mut acceptor: Acceptor) {
    tokio::spawn(async move {
        while let Some(Incoming::Flow(flow)) = acceptor.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(flow);
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
}

#[tokio::test]
async fn bytes_come_back_on_many_flows_at_once_and_each_has_its_end() {
    let (tunnel, _run, acceptor, _served) = pair().await;
    echo(acceptor);
    let flows = (0..64_usize).map(|number| {
        let tunnel = tunnel.clone();
        tokio::spawn(async move {
            let flow = tunnel.open().await.unwrap();
            let (mut read, mut write) = tokio::io::split(flow);
            let sent: Vec<u8> = (0..300_000 + number).map(|i| (i * 31 + number) as u8).collect();
            let wanted = sent.clone();
            let writing = tokio::spawn(async move {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
            });
            let mut back = Vec::new();
            timeout(LONG, read.read_to_end(&mut back)).await.unwrap().unwrap();
            writing.await.unwrap();
            assert!(back == wanted, "flow {number}");
        })
    });
    for flow in flows.collect::<Vec<_>>() {
        flow.await.unwrap();
    }
    assert_eq!(tunnel.flows(), 0);
    assert!(tunnel.latency().is_some());
}

/// Whoever gives a flow up can say why, after all that it has written.
#[tokio::test]
async fn a_flow_can_end_with_a_reason() {
    let (tunnel, _run, mut acceptor, _served) = pair().await;
    for why in [Some("the user has ended"), None, Some("no\nlines")] {
        let (opened, theirs) = tokio::join!(tunnel.open(), next(&mut acceptor));
        let (mut ours, mut theirs) = (opened.unwrap(), theirs);
        let last_words = theirs.last_words();
        theirs.write_all(b"before").await.unwrap();
        if let Some(why) = why {
            last_words.set(why);
            last_words.set("the first counts");
        }
        drop(theirs);
        let mut heard = Vec::new();
        let error = timeout(LONG, ours.read_to_end(&mut heard)).await.unwrap().unwrap_err();
        let good = why.filter(|why| !why.contains('\n'));
        let said = (error.kind() == std::io::ErrorKind::ConnectionAborted).then(|| error.to_string());
        assert_eq!(said.as_deref(), good);
        assert!(good.is_none() || heard == b"before", "{heard:?}");
    }
}

/// The other side may send a window and no more, and others have theirs.
#[tokio::test]
async fn a_flow_that_nobody_reads_stops_no_other_and_keeps_no_more_than_its_window() {
    let (tunnel, _run, mut acceptor, _served) = pair().await;
    let mut slow = Vec::new();
    for _ in 0..32 {
        let (opened, taken) = tokio::join!(tunnel.open(), next(&mut acceptor));
        slow.push((opened.unwrap(), taken));
    }
    for (_, theirs) in &mut slow {
        let block = vec![7; 64 * 1024];
        let mut written = 0;
        while let Ok(count) = timeout(Duration::from_millis(300), theirs.write(&block)).await {
            written += count.unwrap();
            assert!(
                written <= 2 << 20,
                "{written} bytes were taken of a flow that nobody reads"
            );
        }
        assert!(written >= 64 * 1024, "{written} bytes");
    }
    let (opened, taken) = tokio::join!(tunnel.open(), next(&mut acceptor));
    let (mut ours, mut theirs) = (opened.unwrap(), taken);
    let writing = tokio::spawn(async move {
        theirs.write_all(&vec![1; 8 << 20]).await.unwrap();
        theirs.shutdown().await.unwrap();
    });
    let mut all = Vec::new();
    timeout(LONG, ours.read_to_end(&mut all)).await.unwrap().unwrap();
    writing.await.unwrap();
    assert_eq!(all.len(), 8 << 20);
}

#[tokio::test]
async fn a_flow_that_is_dropped_is_reset_and_not_ended() {
    let (tunnel, _run, mut acceptor, _served) = pair().await;
    let (opened, mut taken) = tokio::join!(tunnel.open(), next(&mut acceptor));
    let mut opened = opened.unwrap();
    opened.write_all(b"half").await.unwrap();
    let mut four = [0; 4];
    taken.read_exact(&mut four).await.unwrap();
    drop(opened);
    let error = timeout(LONG, taken.read(&mut four)).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    let (opened, taken) = tokio::join!(tunnel.open(), next(&mut acceptor));
    drop(taken);
    let error = timeout(LONG, opened.unwrap().read(&mut four))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
}

/// Reads to the end, which must be that the flow was given up.
async fn read_to_reset(flow: &mut Flow) -> usize {
    let mut block = vec![0; 64 * 1024];
    let mut all = 0;
    loop {
        match timeout(LONG, flow.read(&mut block)).await.unwrap() {
            Ok(0) => panic!("it ended, and was given up"),
            Ok(count) => all += count,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
                return all;
            }
        }
    }
}

/// Whichever side drops it, and whatever it did before.
#[tokio::test]
async fn what_was_written_before_a_flow_was_dropped_arrives() {
    let (tunnel, _run, mut acceptor, _served) = pair().await;
    for size in [1, 4_000, 60_000, 600_000] {
        for shut in [false, true] {
            for ours_drops in [false, true] {
                let (opened, taken) = tokio::join!(tunnel.open(), next(&mut acceptor));
                let (mut drops, mut reads) = if ours_drops {
                    (opened.unwrap(), taken)
                } else {
                    (taken, opened.unwrap())
                };
                drops.write_all(&vec![9; size]).await.unwrap();
                if shut {
                    drops.shutdown().await.unwrap();
                }
                drop(drops);
                if shut {
                    let mut all = Vec::new();
                    timeout(LONG, reads.read_to_end(&mut all)).await.unwrap().unwrap();
                    assert_eq!(all.len(), size);
                } else {
                    assert_eq!(
                        read_to_reset(&mut reads).await,
                        size,
                        "dropped by the gateway: {ours_drops}"
                    );
                }
            }
        }
    }
    // They count until all was sent, and not longer.
    timeout(LONG, acceptor.rests()).await.unwrap();
    timeout(LONG, async {
        while tunnel.flows() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

/// Who cannot write to anybody, since the other side does not read, is told all the same.
#[tokio::test]
async fn a_flow_that_nobody_reads_frees_the_other_side_when_it_is_dropped() {
    let (tunnel, _run, mut acceptor, _served) = pair().await;
    let mut blocked = Vec::new();
    for _ in 0..8 {
        let (opened, taken) = tokio::join!(tunnel.open(), next(&mut acceptor));
        let (mut ours, mut theirs) = (opened.unwrap(), taken);
        let block = vec![7; 64 * 1024];
        // Both have as much before them as they may.
        for flow in [&mut ours, &mut theirs] {
            while let Ok(written) = timeout(Duration::from_millis(200), flow.write(&block)).await {
                written.unwrap();
            }
        }
        let gone = theirs.gone();
        // It neither reads nor writes.
        let waiting = tokio::spawn(async move {
            gone.await;
            theirs
        });
        blocked.push((ours, waiting));
    }
    assert!(blocked.iter().all(|(_, waiting)| !waiting.is_finished()));
    for (ours, waiting) in blocked {
        drop(ours);
        let mut theirs = timeout(LONG, waiting).await.unwrap().unwrap();
        let error = timeout(LONG, theirs.write(b"more")).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{error}");
        assert!(read_to_reset(&mut theirs).await > 0);
    }
    timeout(LONG, acceptor.rests()).await.unwrap();
    assert_eq!(tunnel.flows(), 0);
}

/// The connection is dropped on one thread while those who write wake on others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_writes_when_the_other_side_hangs_is_told_why_the_tunnel_is_lost() {
    let (ours, theirs) = duplex(256 * 1024);
    let acceptor = Acceptor::begin(theirs, KeepAlive::default(), std::future::pending());
    let ((tunnel, _run), begun) = tokio::join!(gateway(ours, brisk()), acceptor);
    let (mut acceptor, run) = begun.unwrap();
    let mut run = Box::pin(run);
    let mut writers = Vec::new();
    let mut taken = Vec::new();
    for _ in 0..64 {
        let opened = tokio::select! {
            (opened, flow) = async { tokio::join!(tunnel.open(), next(&mut acceptor)) } => {
                taken.push(flow);
                opened
            }
            why = &mut run => panic!("{why}"),
        };
        let mut flow = opened.unwrap();
        let write = async move { flow.write_all(&vec![7; 64 << 20]).await.unwrap_err().to_string() };
        writers.push(tokio::spawn(write));
    }
    // Nobody works on the other side from here on.
    for writer in writers {
        let why = timeout(LONG, writer).await.unwrap().unwrap();
        assert_eq!(why, "the agent `eu-west` has not answered for 0 s");
    }
}

#[tokio::test]
async fn a_flow_is_not_gone_while_it_is_used_nor_when_one_direction_has_ended() {
    let (tunnel, run, mut acceptor, _served) = pair().await;
    let (opened, taken) = tokio::join!(tunnel.open(), next(&mut acceptor));
    let (mut ours, mut theirs) = (opened.unwrap(), taken);
    let gone = tokio::spawn(theirs.gone());
    let writing = tokio::spawn(async move {
        theirs.write_all(&vec![1; 4 << 20]).await.unwrap();
        theirs.shutdown().await.unwrap();
        theirs
    });
    let mut all = Vec::new();
    timeout(LONG, ours.read_to_end(&mut all)).await.unwrap().unwrap();
    assert_eq!(all.len(), 4 << 20);
    let mut theirs = writing.await.unwrap();
    ours.write_all(b"still").await.unwrap();
    theirs.read_exact(&mut [0; 5]).await.unwrap();
    assert!(!gone.is_finished());
    // Nor is anything left over when the tunnel itself is.
    tunnel.end("the agent was revoked");
    timeout(LONG, gone).await.unwrap().unwrap();
    timeout(LONG, run).await.unwrap().unwrap();
}

/// What may be in line is bounded for all flows together; that must not stop those that have little to say, nor for good.
#[tokio::test]
async fn words_pass_by_large_blocks_and_everybody_has_a_turn() {
    // A stream that nobody empties until later.
    let (ours, theirs) = duplex(16 * 1024);
    let ((tunnel, _run), (acceptor, _served)) = tokio::join!(gateway(ours, KeepAlive::default()), agent(theirs));
    echo(acceptor);
    let bulk = (0..100_usize).map(|number| {
        let tunnel = tunnel.clone();
        tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(tunnel.open().await.unwrap());
            let sent = vec![number as u8; 1_000_000];
            let wanted = sent.clone();
            let writing = tokio::spawn(async move {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
            });
            // Some give up with a block in line, or while they wait for their turn.
            if number % 5 == 0 {
                read.read_exact(&mut [0; 1000]).await.unwrap();
                writing.abort();
                return;
            }
            let mut back = Vec::new();
            timeout(LONG, read.read_to_end(&mut back)).await.unwrap().unwrap();
            assert!(back == wanted, "flow {number}");
        })
    });
    let bulk: Vec<_> = bulk.collect();
    let mut word = tunnel.open().await.unwrap();
    for _ in 0..50 {
        word.write_all(b"word").await.unwrap();
        let mut back = [0; 4];
        timeout(LONG, word.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(&back, b"word");
    }
    for flow in bulk {
        flow.await.unwrap();
    }
}

/// Flows of a tunnel that is lost say why.
#[tokio::test]
async fn a_side_that_is_gone_or_silent_is_noticed_and_flows_say_why() {
    let (tunnel, run, mut acceptor, served) = pair().await;
    let (opened, _taken) = tokio::join!(tunnel.open(), next(&mut acceptor));
    served.abort();
    let why = timeout(LONG, run).await.unwrap().unwrap();
    let error = opened.unwrap().read(&mut [0; 4]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (std::io::ErrorKind::ConnectionAborted, why)
    );
    assert!(matches!(tunnel.open().await, Err(OpenError::Lost(_))));

    // Here the stream stays open, and nobody works on it.
    let (ours, theirs) = duplex(256 * 1024);
    let (tunnel, run) = {
        let ((tunnel, run), (mut acceptor, served)) = tokio::join!(gateway(ours, brisk()), async {
            let (acceptor, run) = Acceptor::begin(theirs, KeepAlive::default(), std::future::pending())
                .await
                .unwrap();
            (acceptor, Box::pin(run))
        });
        let mut served = served;
        let (opened, _) = tokio::join!(tunnel.open(), async {
            tokio::select! { flow = next(&mut acceptor) => Some(flow), _ = &mut served => None }
        });
        let mut opened = opened.unwrap();
        let error = timeout(LONG, opened.read(&mut [0; 4])).await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the agent `eu-west` has not answered for 0 s");
        (tunnel, run)
    };
    assert_eq!(
        timeout(LONG, run).await.unwrap().unwrap(),
        "the agent `eu-west` has not answered for 0 s"
    );
    assert!(tunnel.is_full());

    let (tunnel, run, mut acceptor, served) = pair().await;
    let (opened, mut taken) = tokio::join!(tunnel.open(), next(&mut acceptor));
    tunnel.end("the agent was revoked");
    assert_eq!(timeout(LONG, run).await.unwrap().unwrap(), "the agent was revoked");
    let error = opened.unwrap().read(&mut [0; 4]).await.unwrap_err();
    assert_eq!(error.to_string(), "the agent was revoked");
    assert!(timeout(LONG, taken.read(&mut [0; 4])).await.unwrap().is_err());
    timeout(LONG, served).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_agent_that_drains_takes_no_more_flows_and_ends_with_the_last() {
    let (ours, theirs) = duplex(256 * 1024);
    let (drain, drained) = tokio::sync::oneshot::channel::<()>();
    let begin = Acceptor::begin(theirs, KeepAlive::default(), async move { drop(drained.await) });
    let ((tunnel, run), begun) = tokio::join!(gateway(ours, brisk()), begin);
    let (mut acceptor, served) = begun.unwrap();
    let served = tokio::spawn(served);
    let (opened, mut taken) = tokio::join!(tunnel.open(), next(&mut acceptor));
    let mut opened = opened.unwrap();
    drain.send(()).unwrap();
    let refused = timeout(LONG, async {
        loop {
            match tunnel.open().await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        }
    });
    assert!(matches!(refused.await.unwrap(), OpenError::Lost(_)));
    opened.write_all(b"still here").await.unwrap();
    let mut heard = [0; 10];
    timeout(LONG, taken.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(&heard, b"still here");
    assert!(!served.is_finished());
    taken.shutdown().await.unwrap();
    opened.shutdown().await.unwrap();
    drop((opened, taken));
    timeout(LONG, served).await.unwrap().unwrap();
    timeout(LONG, run).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_has_a_bound_of_flows() {
    let (tunnel, _run, mut acceptor, _served) = pair().await;
    let taking = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Some(flow) = acceptor.accept().await {
            kept.push(flow);
        }
    });
    let mut open = Vec::new();
    for _ in 0..MAX_FLOWS {
        open.push(tunnel.open().await.unwrap());
    }
    assert!(matches!(tunnel.open().await, Err(OpenError::Full)));
    open.pop();
    open.push(timeout(LONG, tunnel.open()).await.unwrap().unwrap());
    taking.abort();
}

fn announced(name: &str) -> Announced {
    Announced {
        name: name.into(),
        protocol: "postgres".into(),
    }
}

fn hello(targets: &[&str]) -> Hello {
    Hello {
        version: "1".into(),
        host: "h".into(),
        targets: targets.iter().map(|name| announced(name)).collect(),
    }
}

/// An agent that answers each opening, and says how many it got.
async fn enrolled(
    fleet: &Arc<Fleet>,
    name: &str,
    targets: &[&str],
    answer: Answer,
) -> (
    Uuid,
    sallyport_tunnel::Seat,
    Arc<std::sync::atomic::AtomicUsize>,
    JoinHandle<String>,
) {
    let (tunnel, run, mut acceptor, _served) = pair().await;
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Some(Incoming::Flow(mut flow)) = acceptor.accept().await {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            head::read_raw(&mut flow).await.unwrap();
            head::write(&mut flow, &answer).await.unwrap();
            kept.push(flow);
        }
    });
    let instance = Uuid::now_v7();
    let member = Member {
        name: name.into(),
        instance,
        address: "192.0.2.1:1".parse().unwrap(),
    };
    let seat = fleet.enrol(member, hello(targets), tunnel).unwrap();
    (instance, seat, asked, run)
}

#[tokio::test]
async fn flows_are_spread_over_the_agents_that_have_the_target_and_fail_over() {
    let fleet = Arc::new(Fleet::default());
    let open = |target: &'static str, prefer| {
        let fleet = Arc::clone(&fleet);
        async move {
            timeout(LONG, fleet.open("eu", &announced(target), b"{}", prefer))
                .await
                .unwrap()
        }
    };
    assert!(matches!(open("orders", None).await, Err(Unserved::Nobody(_))));
    let (one, _seat_one, asked_one, run_one) = enrolled(&fleet, "eu", &["orders"], Answer::Done).await;
    let (two, seat_two, asked_two, _run) = enrolled(&fleet, "eu", &["orders", "web"], Answer::Done).await;
    // One that says it has the target, and has another name: policy gives it nothing.
    let (_, _liar, asked_liar, _run_liar) = enrolled(&fleet, "us", &["orders", "web"], Answer::Done).await;
    let mut kept = Vec::new();
    for _ in 0..10 {
        kept.push(open("orders", None).await.unwrap());
    }
    let load = |asked: &std::sync::atomic::AtomicUsize| asked.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!((load(&asked_one), load(&asked_two), load(&asked_liar)), (5, 5, 0));
    for _ in 0..4 {
        let (flow, member, _) = open("orders", Some(one)).await.unwrap();
        assert_eq!(member.instance, one);
        kept.push((flow, member, String::new()));
        assert_eq!(open("web", Some(one)).await.unwrap().1.instance, two);
    }
    assert_eq!(fleet.list().len(), 3);
    // It has one of this name, which speaks something else.
    let other = Announced {
        protocol: "ssh".into(),
        ..announced("orders")
    };
    let opened = fleet.open("eu", &other, b"{}", None).await;
    assert!(matches!(opened, Err(Unserved::Nobody(_))), "{opened:?}");
    // The preferred one dies without a word: the next is asked.
    run_one.abort();
    assert_eq!(open("orders", Some(one)).await.unwrap().1.instance, two);
    // Nothing goes to one that drains, which counts until it is over.
    assert_eq!(open("web", None).await.unwrap().1.instance, two);
    seat_two.retire();
    assert!(matches!(open("web", None).await, Err(Unserved::Nobody(_))));
    let connections = |fleet: &Fleet| {
        fleet
            .list()
            .iter()
            .find(|agent| agent.instance == two)
            .map(|agent| agent.connections)
    };
    assert_eq!(connections(&fleet), Some(1));
    drop(seat_two);
    assert_eq!(connections(&fleet), None);
}

#[tokio::test]
async fn one_that_is_unable_is_not_the_last_that_is_asked_and_one_that_failed_is() {
    let fleet = Arc::new(Fleet::default());
    let why = || "no route".to_owned();
    let (first, _seat, unable, _run) = enrolled(&fleet, "eu", &["orders"], Answer::Unable { why: why() }).await;
    let opened = fleet.open("eu", &announced("orders"), b"{}", None).await;
    assert_eq!(opened.unwrap_err(), Unserved::Failed("no route".to_owned()));
    let (able, _seat, _, _run) = enrolled(&fleet, "eu", &["orders"], Answer::Done).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let opened = fleet.open("eu", &announced("orders"), b"{}", Some(first)).await;
        let (flow, member, _) = opened.unwrap();
        assert_eq!(member.instance, able);
        kept.push(flow);
    }
    assert_eq!(unable.load(std::sync::atomic::Ordering::SeqCst), 3);
    let why = || "wrong password".to_owned();
    let (last, _seat, _, _run) = enrolled(
        &fleet,
        "us",
        &["orders"],
        Answer::Failed {
            why: why(),
            told: false,
        },
    )
    .await;
    let (_, _seat, other, _run) = enrolled(&fleet, "us", &["orders"], Answer::Done).await;
    let opened = fleet.open("us", &announced("orders"), b"{}", Some(last)).await;
    assert_eq!(opened.unwrap_err(), Unserved::Failed("wrong password".to_owned()));
    assert_eq!(other.load(std::sync::atomic::Ordering::SeqCst), 0);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever comes instead of a tunnel ends it, on either side, without a panic.
    #[test]
    fn nonsense_ends_a_tunnel(preface in proptest::bool::ANY, bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (ours, mut theirs) = duplex(1 << 20);
            let mut sent = Vec::new();
            if preface {
                sent.extend_from_slice(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
            }
            sent.extend_from_slice(&bytes);
            theirs.write_all(&sent).await.unwrap();
            theirs.shutdown().await.unwrap();
            if let Ok((_acceptor, run)) = Acceptor::begin(ours, brisk(), std::future::pending()).await {
                timeout(LONG, run).await.unwrap();
            }
            let (ours, mut theirs) = duplex(1 << 20);
            theirs.write_all(&sent).await.unwrap();
            theirs.shutdown().await.unwrap();
            if let Ok((_tunnel, run)) = Tunnel::begin(ours, brisk(), "eu-west").await {
                timeout(LONG, run).await.unwrap();
            }
        });
    }
}
