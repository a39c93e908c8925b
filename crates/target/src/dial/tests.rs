#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use sallyport_listen::Wire;
use tokio::net::TcpListener;

use super::{ConnectError, dial_tcp};

const PATIENCE: Duration = Duration::from_secs(10);

async fn dial(address: &str, patience: Duration) -> Result<Wire, ConnectError> {
    dial_tcp(&address.parse().unwrap(), patience).await
}

#[tokio::test]
async fn all_addresses_of_a_host_are_tried() {
    // `localhost` is ::1 first on most systems, and nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let wire = dial(&format!("localhost:{port}"), PATIENCE).await.unwrap();
    assert_eq!(wire.peer(), listener.local_addr().unwrap());
    assert!(wire.is_loopback() && wire.tls().is_none());
}

#[tokio::test]
async fn what_cannot_be_reached_is_named() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = dial(&closed.to_string(), PATIENCE).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("`{closed}` cannot be reached")));
    let error = dial("no-such-host.invalid:5432", PATIENCE).await.unwrap_err();
    assert!(matches!(error, ConnectError::Resolve { .. }), "{error}");
}

#[tokio::test]
async fn a_full_backlog_ends_in_a_timeout() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _fills_the_backlog = tokio::net::TcpStream::connect(address).await.unwrap();
    let error = dial(&address.to_string(), Duration::from_millis(200))
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error}");
}
