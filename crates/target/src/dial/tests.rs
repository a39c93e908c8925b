#![allow(clippy::unwrap_used, reason = "tests")]

use std::{path::Path, time::Duration};

use tokio::net::TcpListener;

use super::{ConnectError, dial_tcp};
use crate::{Catalogue, Lease};

fn lease(address: &str) -> Lease {
    let text = format!(
        "[[target]]\nname = 't'\nprotocol = 'postgres'\naddress = '{address}'\n\
         tls = 'disable'\nuser = 'u'\nauth = ['trust']\n"
    );
    let catalogue = Catalogue::parse(&text, "targets.toml", Path::new("/")).unwrap();
    catalogue.get("t").unwrap().lease().unwrap()
}

#[tokio::test]
async fn all_addresses_of_a_host_are_tried() {
    // `localhost` is ::1 first on most systems, and nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let wire = dial_tcp(&lease(&format!("localhost:{port}"))).await.unwrap();
    assert_eq!(wire.peer(), listener.local_addr().unwrap());
    assert!(wire.is_loopback() && wire.tls().is_none());
}

#[tokio::test]
async fn what_cannot_be_reached_is_named() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = dial_tcp(&lease(&closed.to_string())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("`{closed}` cannot be reached")));
    let error = dial_tcp(&lease("no-such-host.invalid:5432")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Resolve { .. }), "{error}");
}

#[tokio::test]
async fn a_full_backlog_ends_in_a_timeout() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _fills_the_backlog = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut lease = lease(&address.to_string());
    lease.connect_timeout = Duration::from_millis(200);
    let error = dial_tcp(&lease).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error}");
}
