//! An agent's side of flows, with real servers behind it, and every byte between the two sides in the clear.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod crossing;
mod gateway;

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use sallyport_identity::HostLogins;
use sallyport_ssh_transport::keys::PrivateKey;
use sallyport_tunnel::{Acceptor, Flow, Incoming, KeepAlive, Tunnel, head};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::time::timeout;

use super::beside::Beside;

/// Long enough for anything here.
const LONG: Duration = Duration::from_secs(60);

/// Keeps all that goes through it, both ways.
struct Tap {
    stream: DuplexStream,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Tap {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.seen.lock().unwrap().extend_from_slice(&buf.filled()[before..]);
        polled
    }
}

impl AsyncWrite for Tap {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = polled {
            this.seen.lock().unwrap().extend_from_slice(&buf[..count]);
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// An agent with the targets of a directory, and the gateway's end of its tunnel.
struct Pair {
    tunnel: Tunnel,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Pair {
    async fn of(dir: &Path, targets: &str) -> Pair {
        let file = dir.join("targets.toml");
        std::fs::write(&file, targets).unwrap();
        let authority = HostLogins::new(PrivateKey::generate_ed25519().unwrap());
        let beside = Arc::new(Beside::open(file, dir, authority).unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (ours, theirs) = duplex(1 << 20);
        let tap = Tap {
            stream: theirs,
            seen: Arc::clone(&seen),
        };
        let begun = Tunnel::begin(ours, KeepAlive::default(), "eu-west");
        let accepted = Acceptor::begin(tap, KeepAlive::default(), std::future::pending());
        let (begun, accepted) = tokio::join!(begun, accepted);
        let ((tunnel, run), (mut acceptor, served)) = (begun.unwrap(), accepted.unwrap());
        tokio::spawn(run);
        tokio::spawn(served);
        tokio::spawn(async move {
            while let Some(Incoming::Flow(flow)) = acceptor.accept().await {
                let beside = Arc::clone(&beside);
                tokio::spawn(async move { beside.serve(flow, "192.0.2.1:443".parse().unwrap()).await });
            }
        });
        Pair { tunnel, seen }
    }

    /// Asks for something; what the agent answers, and the flow.
    async fn ask(&self, opening: &Value) -> (Value, Flow) {
        let mut flow = self.tunnel.open().await.unwrap();
        head::write(&mut flow, opening).await.unwrap();
        let answer = timeout(LONG, head::read(&mut flow)).await.unwrap().unwrap();
        (answer, flow)
    }
}

/// What a gateway asks for a login.
fn login(target: &str, protocol: &str, place: &str, order: &Value) -> Value {
    json!({
        "target": target,
        "protocol": protocol,
        "place": place,
        "whom": { "session": uuid::Uuid::nil(), "principal": "alice" },
        "what": { "login": order },
    })
}
