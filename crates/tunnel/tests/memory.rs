//! What a flow keeps that nobody reads, as the system sees it. One test: it looks at the whole process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use sallyport_tunnel::{Acceptor, Incoming, KeepAlive, Tunnel};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::timeout;

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Each byte comes in a frame of its own, for which the HTTP/2 library would keep some 300 bytes.
#[tokio::test]
async fn a_window_of_frames_of_one_byte_takes_no_more_than_a_window() {
    let (ours, theirs) = duplex(256 * 1024);
    let never = std::future::pending();
    let (begun, taken) = tokio::join!(
        Tunnel::begin(ours, KeepAlive::default(), "eu"),
        Acceptor::begin(theirs, KeepAlive::default(), never)
    );
    let ((tunnel, run), (mut acceptor, served)) = (begun.unwrap(), taken.unwrap());
    tokio::spawn(run);
    tokio::spawn(served);
    let (opened, taken) = tokio::join!(tunnel.open(), acceptor.accept());
    let (mut ours, Some(Incoming::Flow(mut theirs))) = (opened.unwrap(), taken) else {
        panic!("no flow");
    };
    let before = resident();
    let mut written: usize = 0;
    while let Ok(count) = timeout(Duration::from_secs(1), theirs.write(&[written as u8])).await {
        written += count.unwrap();
    }
    let grown = resident().saturating_sub(before);
    assert_eq!(written, 1 << 20);
    assert!(grown < 8 << 20, "{grown} bytes for {written}");
    // All of them, in their order.
    drop(theirs);
    let mut all = vec![0; written];
    ours.read_exact(&mut all).await.unwrap();
    assert!(all.iter().enumerate().all(|(at, byte)| *byte == at as u8));
}
