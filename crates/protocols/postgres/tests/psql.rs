//! What a person at psql sees of the door.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, net::SocketAddr, path::Path, process::Output};

use sallyport_listen::{ServerTls, ServerTlsOptions, Wire};
use sallyport_postgres::{
    greet::{ALPN, Greeted, greet},
    wire::Diagnostic,
};
use sallyport_testbed::{Authority, find_postgres};
use secrecy::ExposeSecret;
use tokio::{net::TcpListener, process::Command};

fn tls(dir: &Path) -> ServerTls {
    let authority = Authority::new().unwrap();
    fs::write(dir.join("ca.crt"), authority.certificate()).unwrap();
    let (certificate, key) = authority.server(&["localhost"]).unwrap().write(dir, "server").unwrap();
    let alpn = vec![ALPN.to_vec()];
    ServerTls::load(ServerTlsOptions {
        certificate,
        key,
        alpn,
        ..ServerTlsOptions::default()
    })
    .unwrap()
}

/// Runs psql against a door that asks for the password and then says what it heard. `peer` is who the door
/// takes the client for.
async fn psql(tls: &ServerTls, peer: &str, conninfo: &str, dir: &Path) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer: SocketAddr = peer.parse().unwrap();
    let client = Command::new(find_postgres().unwrap().join("psql"))
        .arg(format!(
            "host=localhost hostaddr=127.0.0.1 port={port} user=alice {conninfo}"
        ))
        .args(["-c", "select 1"])
        .env("PGPASSWORD", "spt_token")
        .env("PGSSLROOTCERT", dir.join("ca.crt"))
        .env("PGCONNECT_TIMEOUT", "20")
        .output();
    let door = async {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let wire = Wire::new(stream).unwrap().with_peer(peer);
            if let Ok(Greeted::Login(mut greeting)) = greet(wire, Some(tls)).await
                && let Ok(password) = greeting.ask_password().await
            {
                let message = format!(
                    "{} of {} for {:?} said {}",
                    greeting.startup.user,
                    greeting.startup.database,
                    greeting.startup.task.as_deref().unwrap_or_default(),
                    password.expose_secret()
                );
                greeting
                    .refuse(Diagnostic::fatal("28P01", message).hint("This is a test."))
                    .await;
            }
        }
    };
    tokio::pin!(client);
    tokio::pin!(door);
    std::future::poll_fn(|cx| {
        use std::{future::Future, task::Poll};
        let Poll::Pending = door.as_mut().poll(cx);
        client.as_mut().poll(cx)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn the_password_comes_through_tls_and_refusals_are_readable() {
    let dir = tempfile::tempdir().unwrap();
    let tls = tls(dir.path());
    let far = "192.0.2.7:1";
    let near = "127.0.0.1:1";
    let heard = "alice of orders for \"OPS-42\" said spt_token";
    let cases = [
        (far, "sslmode=require", heard),
        (far, "sslmode=verify-full", heard),
        (far, "sslmode=prefer", heard),
        (near, "sslmode=disable", heard),
        (far, "sslmode=disable", "HINT:  Connect with sslmode=require"),
    ];
    for (peer, mode, expected) in cases {
        let conninfo = format!("dbname=orders {mode} options='-c sallyport.task=OPS-42'");
        let output = psql(&tls, peer, &conninfo, dir.path()).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(expected), "{mode}: {errors}");
        assert_eq!(output.status.code(), Some(2));
    }
}
