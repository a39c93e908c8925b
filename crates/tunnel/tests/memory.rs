//! What a flow keeps that nobody reads, as the system sees it. One test: it looks at the whole process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use sallyport_tunnel::{Acceptor, Flow, Incoming, KeepAlive, Tunnel};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::time::timeout;

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// A stream of which nothing is read while it is deaf.
struct Deaf(DuplexStream, Arc<AtomicBool>);

impl AsyncRead for Deaf {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.1.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A flow's two ends, and what makes the side of the second one deaf.
async fn flow() -> (Flow, Flow, Arc<AtomicBool>) {
    let (ours, theirs) = duplex(256 * 1024);
    let deaf = Arc::new(AtomicBool::new(false));
    let never = std::future::pending();
    // Who is deaf hears no answer either.
    let patient = KeepAlive {
        every: Duration::from_secs(600),
        patience: Duration::from_secs(600),
    };
    let (begun, taken) = tokio::join!(
        Tunnel::begin(ours, patient, "eu"),
        Acceptor::begin(Deaf(theirs, Arc::clone(&deaf)), patient, never)
    );
    let ((tunnel, run), (mut acceptor, served)) = (begun.unwrap(), taken.unwrap());
    tokio::spawn(run);
    tokio::spawn(served);
    let (opened, taken) = tokio::join!(tunnel.open(), acceptor.accept());
    let (ours, Some(Incoming::Flow(theirs))) = (opened.unwrap(), taken) else {
        panic!("no flow");
    };
    (ours, theirs, deaf)
}

/// What goes into a flow that nobody reads.
const WINDOW: usize = 1 << 20;

/// Writes single bytes until no more go. Each comes in a frame of its own, for which the HTTP/2 library would keep some
/// 300 bytes.
async fn trickle(flow: &mut Flow) {
    for at in 0..WINDOW {
        assert_eq!(flow.write(&[at as u8]).await.unwrap(), 1);
    }
    let more = timeout(Duration::from_millis(300), flow.write(b"x")).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn a_window_of_frames_of_one_byte_takes_no_more_than_a_window() {
    let (mut ours, mut theirs, _) = flow().await;
    let before = resident();
    trickle(&mut theirs).await;
    let grown = resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes");
    // All of them, in their order.
    drop(theirs);
    let mut all = vec![0; WINDOW];
    ours.read_exact(&mut all).await.unwrap();
    assert!(all.iter().enumerate().all(|(at, byte)| *byte == at as u8));

    // The other side takes nothing of what is in line for it, so the flow cannot leave; what it sends is kept by nobody.
    let (mut ours, mut theirs, deaf) = flow().await;
    deaf.store(true, Ordering::SeqCst);
    let block = vec![7; 64 * 1024];
    while timeout(Duration::from_secs(2), ours.write_all(&block)).await.is_ok() {}
    drop(ours);
    let before = resident();
    trickle(&mut theirs).await;
    let grown = resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes that nobody reads");
}
