//! Both roles against each other.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use sallyport_ssh_transport::keys::{
    Certificate, CertificateKind, CertificateRequest, Curve, PrivateKey, SignatureAlgorithm,
};
use sallyport_ssh_transport::message::{SERVICE_ACCEPT, SERVICE_REQUEST};
use sallyport_ssh_transport::{
    Algorithms, Cipher, ClientConfig, HostError, HostKey, HostTrust, Kex, Mac, Preferences, ServerConfig, Step,
    Transport, TransportError,
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
                Step::Disconnected { .. } => return Ok(()),
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
            let mac = cipher.needs_mac().then_some(mac);
            let expected = Algorithms {
                kex,
                host_key: "ssh-ed25519",
                client_to_server: (cipher, mac),
                server_to_client: (cipher, mac),
                strict: true,
            };
            assert_eq!(client.transport.algorithms(), Some(expected));
            assert_eq!(server.transport.algorithms(), Some(expected));
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

/// Everything that both sides say until a first message has arrived, cut where the cut falls.
#[test]
fn a_first_conversation_survives_a_cut_at_every_byte() {
    let (mut client, mut server) = pinned(&Preferences::default());
    settle(&mut client, &mut server, usize::MAX).unwrap();
    // What it takes in all, to know how many places there are.
    let places = 4000;
    for cut in 0..places {
        let (mut client, mut server) = pinned(&Preferences {
            kex: vec![Kex::Curve25519],
            ..Preferences::default()
        });
        let (mut to_server, mut to_client) = (0, 0);
        loop {
            client.work().unwrap();
            server.work().unwrap();
            if client.out.is_empty() && server.out.is_empty() {
                break;
            }
            carry(&mut client.out, &mut server.input, &mut to_server, cut);
            carry(&mut server.out, &mut client.input, &mut to_client, cut);
        }
        assert!(client.ready && server.ready, "{cut}");
        if cut > to_server && cut > to_client {
            assert!(cut > 600);
            return;
        }
    }
    panic!("the conversation is longer than {places} bytes");
}

/// Carries all that is there, but stops once where the whole stream has come to `cut` bytes.
fn carry(from: &mut BytesMut, to: &mut BytesMut, carried: &mut usize, cut: usize) {
    let some = if *carried < cut {
        from.len().min(cut - *carried)
    } else {
        from.len()
    };
    to.extend_from_slice(&from.split_to(some));
    *carried += some;
}

/// One side's part of a first key exchange up to its NEWKEYS, and which of its bytes are padding, which nothing
/// protects before there are keys.
fn padding(stream: &[u8]) -> Vec<usize> {
    let mut at = stream.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut places = Vec::new();
    while let Some(head) = stream.get(at..at + 5) {
        let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        let end = at + 4 + length;
        places.extend(end - usize::from(head[4])..end);
        let is_last = stream.get(at + 5) == Some(&21);
        at = end;
        if is_last {
            break;
        }
    }
    places
}

#[test]
fn a_key_exchange_with_any_byte_changed_comes_to_nothing() {
    let preferences = Preferences {
        kex: vec![Kex::Curve25519],
        ..Preferences::default()
    };
    for to_client in [true, false] {
        for at in 0.. {
            let (mut client, mut server) = pinned(&preferences);
            let (mut streams, mut failed) = ([Vec::new(), Vec::new()], false);
            while !(failed || client.out.is_empty() && server.out.is_empty()) {
                for index in [0, 1] {
                    let (from, to) = if index == 0 {
                        (&mut server, &mut client)
                    } else {
                        (&mut client, &mut server)
                    };
                    let mut bytes = std::mem::take(&mut from.out);
                    let start = streams[index].len();
                    streams[index].extend_from_slice(&bytes);
                    if to_client == (index == 0) && (start..streams[index].len()).contains(&at) {
                        bytes[at - start] ^= 0x20;
                    }
                    to.input.extend_from_slice(&bytes);
                    failed |= to.work().is_err();
                }
            }
            let stream = &streams[usize::from(!to_client)];
            let padding = padding(stream);
            if padding.last().is_some_and(|last| at > *last) {
                assert!(at > 600);
                break;
            }
            let harmless = padding.contains(&at);
            let held = client.ready && server.ready && client.transport.is_ready() && server.transport.is_ready();
            assert_eq!(!failed && held, harmless, "to client: {to_client}, byte {at}");
        }
    }
}

/// CVE-2023-48795: a message is slipped in before there are keys, and the first one after is left out, which is the
/// server's list of algorithms for signatures.
#[test]
fn a_message_slipped_in_and_one_left_out_are_noticed() {
    for cipher in Cipher::ALL {
        for slip in [true, false] {
            let only = Preferences {
                ciphers: vec![cipher],
                kex: vec![Kex::Curve25519],
                ..Preferences::default()
            };
            let (mut client, mut server) = pinned(&only);
            let mut refused = None;
            for round in 0..6 {
                let bytes = std::mem::take(&mut server.out);
                client.input.extend_from_slice(&tampered(round, &bytes, slip));
                if let Err(error) = client.work() {
                    refused = Some(error);
                    break;
                }
                server.input.extend_from_slice(&std::mem::take(&mut client.out));
                server.work().unwrap();
            }
            let _ = server.transport.send(&[b"\x06"], &mut server.out);
            client.input.extend_from_slice(&std::mem::take(&mut server.out));
            let refused = refused.or_else(|| client.work().err());
            let expected = if slip {
                TransportError::Strict(2)
            } else {
                TransportError::Packet
            };
            assert_eq!(refused, Some(expected), "{cipher:?}");
            assert!(client.transport.peer_signature_algorithms().is_none());
        }
    }
}

/// What the attacker makes of the server's bytes: `slip` an IGNORE in before its reply, and leave out what follows
/// its NEWKEYS.
fn tampered(round: usize, bytes: &[u8], slip: bool) -> Vec<u8> {
    const IGNORE: [u8; 16] = [0, 0, 0, 12, 6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if round != 1 {
        return bytes.to_vec();
    }
    let newkeys = [0, 0, 0, 12, 10, 21];
    let at = bytes.windows(6).position(|window| window == newkeys).unwrap() + 16;
    let before = if slip { &IGNORE[..] } else { &[] };
    [before, &bytes[..at]].concat()
}

#[test]
fn a_packet_with_any_byte_changed_ends_the_connection() {
    for (cipher, mac) in suites() {
        let only = Preferences {
            kex: vec![Kex::Curve25519],
            ciphers: vec![cipher],
            macs: vec![mac],
            ..Preferences::default()
        };
        let mut length = 1;
        let mut at = 0;
        while at < length {
            let (mut client, mut server) = pinned(&only);
            settle(&mut client, &mut server, usize::MAX).unwrap();
            client.send(b"\x5eexec rm");
            length = client.out.len();
            client.out[at] ^= 1;
            server.input.extend_from_slice(&client.out);
            // A length that was made longer waits for more.
            server.input.resize(300 * 1024, 0);
            assert_eq!(server.work(), Err(TransportError::Packet), "{cipher:?} {mac:?} {at}");
            assert!(server.messages.is_empty());
            assert_eq!(server.work(), Err(TransportError::Closed));
            at += 1;
        }
    }
}

#[test]
fn what_is_sent_during_key_exchanges_arrives_in_order() {
    for step in [13, 1000, usize::MAX] {
        let (mut client, mut server) = pinned(&Preferences::default());
        settle(&mut client, &mut server, usize::MAX).unwrap();
        for round in 0..4u8 {
            // Both begin at once, in the middle of what they say.
            for number in 0..20u8 {
                if number == 7 {
                    client.transport.rekey(&mut client.out).unwrap();
                }
                if number == 9 && round != 1 {
                    server.transport.rekey(&mut server.out).unwrap();
                }
                client.send(&[94, round, number]);
                server.send(&[94, round, number, 1]);
            }
            assert!(client.transport.is_exchanging() && client.transport.held_bytes() > 0);
            settle(&mut client, &mut server, step).unwrap();
            assert!(!client.transport.is_exchanging() && client.transport.held_bytes() == 0);
            assert!(!server.transport.is_exchanging());
            let expected: Vec<Vec<u8>> = (0..20).map(|number| vec![94, round, number]).collect();
            assert_eq!(std::mem::take(&mut server.messages), expected);
            let expected: Vec<Vec<u8>> = (0..20).map(|number| vec![94, round, number, 1]).collect();
            assert_eq!(std::mem::take(&mut client.messages), expected);
        }
    }
}

#[test]
fn keys_are_replaced_after_so_many_bytes() {
    let preferences = Preferences {
        rekey_bytes: 10_000,
        ..Preferences::default()
    };
    let (mut client, mut server) = pinned(&preferences);
    settle(&mut client, &mut server, usize::MAX).unwrap();
    for _ in 0..9 {
        client.send(&[94; 1000]);
        assert!(!client.transport.is_exchanging());
    }
    client.send(&[94; 1000]);
    assert!(client.transport.is_exchanging());
    settle(&mut client, &mut server, usize::MAX).unwrap();
    assert!(!client.transport.is_exchanging());
    assert_eq!(server.messages.len(), 10);
}

#[test]
fn hosts_are_known_by_their_keys_or_by_their_authority() {
    let authority = PrivateKey::generate_ecdsa(Curve::P384).unwrap();
    let new_host = || {
        let key = PrivateKey::generate_ecdsa(Curve::P256).unwrap();
        let request = CertificateRequest {
            key: key.public_key().clone(),
            kind: CertificateKind::Host,
            serial: 1,
            key_id: "web-1".to_owned(),
            principals: vec!["*.example.com".to_owned()],
            valid_after: 1000,
            valid_before: 2000,
            force_command: None,
            source_addresses: Vec::new(),
            extensions: Default::default(),
        };
        let certificate = Certificate::issue(&request, &authority).unwrap();
        HostKey::with_certificate(key, certificate).unwrap()
    };
    let meet = |trust: HostTrust| {
        let config = server_config(vec![new_host()], Preferences::default());
        let key = config.keys[0].public_key().clone();
        let (mut client, mut server) = (client(client_config(trust, Preferences::default())), server(&config));
        let settled = settle(&mut client, &mut server, usize::MAX);
        assert!(settled.is_err() || client.transport.host_key() == Some(&key));
        settled
    };
    let by_authority = HostTrust {
        keys: Vec::new(),
        authorities: vec![authority.public_key().clone()],
        names: vec!["10.0.0.7".to_owned(), "web-1.example.com".to_owned()],
        now_unix: 1500,
    };
    meet(by_authority.clone()).unwrap();
    let refused = |change: &dyn Fn(&mut HostTrust)| {
        let mut trust = by_authority.clone();
        change(&mut trust);
        match meet(trust) {
            Err(TransportError::Host(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let certificate = |error| matches!(error, HostError::Certificate(_));
    assert!(certificate(refused(&|trust| trust.now_unix = 2000)));
    assert!(certificate(refused(&|trust| trust.now_unix = 999)));
    assert!(certificate(refused(
        &|trust| trust.names = vec!["web-1.example.org".to_owned()]
    )));
    assert!(certificate(refused(
        &|trust| trust.authorities[0] = PrivateKey::generate_ed25519().unwrap().public_key().clone()
    )));
    assert_eq!(refused(&|trust| trust.names.clear()), HostError::NothingKnown);
}

/// A host with keys of several kinds is asked for one of the kind that is pinned.
#[test]
fn a_host_is_asked_for_the_key_that_is_known() {
    let keys = [
        PrivateKey::generate_ed25519().unwrap(),
        PrivateKey::generate_ecdsa(Curve::P521).unwrap(),
    ];
    let known = keys[1].public_key().clone();
    let config = server_config(keys.map(HostKey::new).into(), Preferences::default());
    let trust = HostTrust {
        keys: vec![known.clone()],
        ..HostTrust::default()
    };
    let (mut client, mut server) = (client(client_config(trust, Preferences::default())), server(&config));
    converse(&mut client, &mut server, usize::MAX);
    assert_eq!(client.transport.host_key(), Some(&known));
    assert_eq!(client.transport.peer_identification(), "SSH-2.0-Sallyport_test");
    let algorithms = client.transport.peer_signature_algorithms().unwrap();
    assert_eq!(algorithms, SignatureAlgorithm::ALL);
}
