//! A tunnel whose other side sends anything: it ends or goes on, on either side, without a panic and in bounds.

use std::time::Duration;

use sallyport_tunnel::{Acceptor, FromAgent, FromGateway, Incoming, KeepAlive, Tunnel, head};
use tokio::io::{AsyncWriteExt, duplex};
use tokio::time::timeout;

/// How an HTTP/2 client begins, with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// How a server does.
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
const LONG: Duration = Duration::from_secs(10);

/// One input.
pub fn run(data: &[u8]) {
    let [what, data @ ..] = data else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        match what % 3 {
            0 => agent(data).await,
            1 => gateway(data).await,
            _ => {
                let _heard = head::read::<FromAgent>(&mut &*data).await;
                let _heard = head::read::<FromGateway>(&mut &*data).await;
            }
        }
    });
}

async fn agent(data: &[u8]) {
    let (ours, mut theirs) = duplex(1 << 16);
    let sent = [PREFACE, data].concat();
    tokio::spawn(async move {
        let _ = theirs.write_all(&sent).await;
        let _ = theirs.shutdown().await;
        let _ = tokio::io::copy(&mut theirs, &mut tokio::io::sink()).await;
    });
    let begun = Acceptor::begin(ours, KeepAlive::default(), std::future::pending()).await;
    let Ok((mut acceptor, run)) = begun else { return };
    let run = tokio::spawn(run);
    let taken = async {
        while let Some(Incoming::Flow(mut flow) | Incoming::Control(mut flow)) = acceptor.accept().await {
            tokio::spawn(async move {
                let _heard = head::read_raw(&mut flow).await;
            });
        }
    };
    assert!(timeout(LONG, taken).await.is_ok(), "it has no end");
    run.abort();
}

async fn gateway(data: &[u8]) {
    let (ours, mut theirs) = duplex(1 << 16);
    let sent = [SETTINGS, data].concat();
    tokio::spawn(async move {
        let _ = theirs.write_all(&sent).await;
        let _ = theirs.shutdown().await;
        let _ = tokio::io::copy(&mut theirs, &mut tokio::io::sink()).await;
    });
    let Ok((tunnel, run)) = Tunnel::begin(ours, KeepAlive::default(), "a").await else {
        return;
    };
    let run = tokio::spawn(run);
    let opened = async {
        if let Ok(mut flow) = tunnel.open().await {
            let _heard = head::read_raw(&mut flow).await;
        }
    };
    assert!(timeout(LONG, opened).await.is_ok(), "it has no end");
    assert!(timeout(LONG, run).await.is_ok(), "it has no end");
}
