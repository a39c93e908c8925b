//! Both roles against each other.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use sallyport_ssh_transport::keys::PrivateKey;
use sallyport_ssh_transport::message::{SERVICE_ACCEPT, SERVICE_REQUEST};
use sallyport_ssh_transport::{
    Cipher, ClientConfig, HostKey, HostTrust, Kex, Mac, Preferences, ServerConfig, Step, Transport, TransportError,
};

/// One side, with what arrived and is not used up yet, and what it wants to send.
struct Peer {
    transport: Transport,
    input: BytesMut,
    out: BytesMut,
    messages: Vec<Vec<u8>>,
    ready: bool,
}

impl Peer {
    fn new(transport: Transport, out: BytesMut) -> Self {
        Self {
            transport,
            input: BytesMut::new(),
            out,
            messages: Vec::new(),
            ready: false,
        }
    }

    /// Takes everything that can be taken from the input.
    fn work(&mut self) -> Result<(), TransportError> {
        loop {
            match self.transport.read(&mut self.input, &mut self.out)? {
                Step::More => return Ok(()),
                Step::Ready => {
                    assert!(!self.ready, "ready twice");
                    self.ready = true;
                }
                Step::Packet { payload, whole } => {
                    self.messages.push(self.input[payload].to_vec());
                    self.input.advance(whole);
                }
                Step::Disconnected { reason, text } => panic!("disconnected: {reason} {text}"),
            }
        }
    }

    fn send(&mut self, payload: &[u8]) {
        self.transport
            .send(&[&payload[..1], &payload[1..]], &mut self.out)
            .unwrap();
    }
}

fn server(config: &Arc<ServerConfig>) -> Peer {
    let mut out = BytesMut::new();
    let transport = Transport::server(config.clone(), &mut out).unwrap();
    Peer::new(transport, out)
}

fn client(config: ClientConfig) -> Peer {
    let mut out = BytesMut::new();
    let transport = Transport::client(config, &mut out);
    Peer::new(transport, out)
}

/// Carries bytes both ways, `step` at a time, until nothing moves.
fn settle(client: &mut Peer, server: &mut Peer, step: usize) -> Result<(), TransportError> {
    loop {
        client.work()?;
        server.work()?;
        if client.out.is_empty() && server.out.is_empty() {
            return Ok(());
        }
        let some = client.out.len().min(step);
        server.input.extend_from_slice(&client.out.split_to(some));
        let some = server.out.len().min(step);
        client.input.extend_from_slice(&server.out.split_to(some));
    }
}

fn server_config(keys: Vec<HostKey>, preferences: Preferences) -> Arc<ServerConfig> {
    Arc::new(ServerConfig {
        keys,
        software: "Sallyport_test".to_owned(),
        preferences,
    })
}

fn client_config(trust: HostTrust, preferences: Preferences) -> ClientConfig {
    ClientConfig {
        trust,
        software: "Sallyport_test".to_owned(),
        preferences,
    }
}

/// A server with one Ed25519 key, and a client that knows it.
fn pinned(preferences: &Preferences) -> (Peer, Peer) {
    let key = PrivateKey::generate_ed25519().unwrap();
    let trust = HostTrust {
        keys: vec![key.public_key().clone()],
        ..HostTrust::default()
    };
    let config = server_config(vec![HostKey::new(key)], preferences.clone());
    (client(client_config(trust, preferences.clone())), server(&config))
}

/// Every way to protect packets.
fn suites() -> Vec<(Cipher, Mac)> {
    let mut suites = Vec::new();
    for cipher in Cipher::ALL {
        let macs = if cipher.needs_mac() {
            &Mac::ALL[..]
        } else {
            &Mac::ALL[..1]
        };
        suites.extend(macs.iter().map(|mac| (cipher, *mac)));
    }
    suites
}

fn converse(client: &mut Peer, server: &mut Peer, step: usize) {
    settle(client, server, step).unwrap();
    assert!(client.ready && server.ready);
    assert_eq!(client.transport.session_id(), server.transport.session_id());
    let request = [&[SERVICE_REQUEST][..], b"\0\0\0\x0cssh-userauth"].concat();
    client.send(&request);
    settle(client, server, step).unwrap();
    assert_eq!(server.messages.pop().unwrap(), request);
    let accept = [&[SERVICE_ACCEPT][..], b"\0\0\0\x0cssh-userauth"].concat();
    server.send(&accept);
    settle(client, server, step).unwrap();
    assert_eq!(client.messages.pop().unwrap(), accept);
}

#[test]
fn every_combination_of_algorithms_is_agreed_on_and_carries_messages_also_with_new_keys() {
    for kex in Kex::ALL {
        for (cipher, mac) in suites() {
            let only = Preferences {
                kex: vec![kex],
                ciphers: vec![cipher],
                macs: vec![mac],
                ..Preferences::default()
            };
            let (mut client, mut server) = pinned(&only);
            converse(&mut client, &mut server, 4096);
            let id = client.transport.session_id().unwrap().to_vec();
            client.transport.rekey(&mut client.out).unwrap();
            converse(&mut client, &mut server, 4096);
            server.transport.rekey(&mut server.out).unwrap();
            converse(&mut client, &mut server, 4096);
            assert_eq!(client.transport.session_id().unwrap(), id, "the identifier stays");
        }
    }
}

#[test]
fn the_stream_may_be_cut_anywhere() {
    for step in [1, 2, 3, 7, 16, 61] {
        let (mut client, mut server) = pinned(&Preferences::default());
        converse(&mut client, &mut server, step);
        client.transport.rekey(&mut client.out).unwrap();
        converse(&mut client, &mut server, step);
    }
}
