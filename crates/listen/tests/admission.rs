//! Limits hold, and a client that speaks gets in past any number that do not.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{future::pending, net::SocketAddr, time::Duration};

use sallyport_listen::{HandshakeEnd, Limits, Listener};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn listener(limits: Limits) -> Listener {
    Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 128, limits).unwrap()
}

async fn connect(listener: &Listener) -> TcpStream {
    TcpStream::connect(listener.local_addr()).await.unwrap()
}

#[tokio::test]
async fn a_connection_becomes_a_wire_and_a_session() {
    let listener = listener(Limits::default());
    let mut client = connect(&listener).await;
    let accepted = listener.accept().await.unwrap();
    assert_eq!(accepted.peer(), client.local_addr().unwrap());
    let (mut wire, handshake) = accepted.into_wire().unwrap();
    assert_eq!(listener.counts(), (0, 1));
    client.write_all(b"hello").await.unwrap();
    let mut buf = [0; 5];
    handshake.within(wire.read_exact(&mut buf)).await.unwrap().unwrap();
    assert_eq!(&buf, b"hello");
    let permit = handshake.into_session().unwrap();
    assert_eq!(listener.counts(), (1, 0));
    drop(permit);
    assert_eq!(listener.counts(), (0, 0));
}

#[tokio::test]
async fn the_oldest_silent_connection_makes_room() {
    let listener = listener(Limits {
        handshakes: 3,
        ..Limits::default()
    });
    let mut silent = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(connect(&listener).await);
        silent.push(listener.accept().await.unwrap().into_wire().unwrap());
    }
    let mut speaking = connect(&listener).await;
    let (mut wire, handshake) = listener.accept().await.unwrap().into_wire().unwrap();
    assert_eq!(listener.counts(), (0, 3));
    let (_, oldest) = silent.remove(0);
    assert_eq!(oldest.within(pending::<()>()).await, Err(HandshakeEnd::Crowded));
    speaking.write_all(b"x").await.unwrap();
    assert_eq!(handshake.within(wire.read_u8()).await.unwrap().unwrap(), b'x');
    // The others still have their turn.
    clients.get_mut(1).unwrap().write_all(b"y").await.unwrap();
    let (mut wire, handshake) = silent.remove(0);
    assert_eq!(handshake.within(wire.read_u8()).await.unwrap().unwrap(), b'y');
}

#[tokio::test]
async fn a_handshake_ends_at_its_deadline() {
    let limit = Duration::from_millis(30);
    let listener = listener(Limits {
        handshake_timeout: limit,
        ..Limits::default()
    });
    let _client = connect(&listener).await;
    let (_wire, handshake) = listener.accept().await.unwrap().into_wire().unwrap();
    assert_eq!(
        handshake.within(pending::<()>()).await,
        Err(HandshakeEnd::Deadline(limit))
    );
}

#[tokio::test]
async fn sessions_are_limited_and_the_client_can_still_be_told() {
    let listener = listener(Limits {
        sessions: 1,
        ..Limits::default()
    });
    let (_one, mut two) = (connect(&listener).await, connect(&listener).await);
    let (_, first) = listener.accept().await.unwrap().into_wire().unwrap();
    let (mut wire, second) = listener.accept().await.unwrap().into_wire().unwrap();
    let permit = first.into_session().unwrap();
    let (full, second) = second.into_session().unwrap_err();
    assert_eq!(full.limit, 1);
    second.within(wire.write_all(b"full")).await.unwrap().unwrap();
    let mut buf = [0; 4];
    two.read_exact(&mut buf).await.unwrap();
    drop(permit);
    second.into_session().unwrap();
}

#[tokio::test]
async fn one_address_has_its_own_limit() {
    let listener = listener(Limits {
        per_source: 1,
        ..Limits::default()
    });
    let _first = connect(&listener).await;
    let held = listener.accept().await.unwrap();
    let mut refused = connect(&listener).await;
    // The refused one is closed while the listener waits for the next.
    let mut buf = [0; 1];
    let accept = listener.accept();
    let closed = async { assert_eq!(refused.read(&mut buf).await.unwrap_or(0), 0) };
    let next = async {
        closed.await;
        drop(held);
        connect(&listener).await
    };
    let (accepted, third) = tokio::join!(accept, next);
    assert_eq!(accepted.unwrap().peer(), third.local_addr().unwrap());
}

/// Ten thousand connections that say nothing: as many as this process can have open.
#[tokio::test]
async fn a_crowd_that_says_nothing_keeps_nobody_out() {
    let listener = listener(Limits {
        handshakes: 50,
        ..Limits::default()
    });
    let crowd = 400;
    let mut clients = Vec::new();
    let mut tasks = Vec::new();
    for _ in 0..crowd {
        clients.push(connect(&listener).await);
        let (mut wire, handshake) = listener.accept().await.unwrap().into_wire().unwrap();
        tasks.push(tokio::spawn(
            async move { handshake.within(wire.read_u8()).await.is_err() },
        ));
    }
    let mut client = connect(&listener).await;
    let (mut wire, handshake) = listener.accept().await.unwrap().into_wire().unwrap();
    client.write_all(b"x").await.unwrap();
    assert_eq!(handshake.within(wire.read_u8()).await.unwrap().unwrap(), b'x');
    let _permit = handshake.into_session().unwrap();
    drop(clients);
    let mut pushed_out = 0;
    for task in tasks {
        pushed_out += usize::from(task.await.unwrap());
    }
    assert_eq!(pushed_out, crowd - 49);
}
