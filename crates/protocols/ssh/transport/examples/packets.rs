//! How fast packets are sealed and opened: `cargo run --release -p sallyport-ssh-transport --example packets`.
//!
//! One thread, payloads of 32 KiB as channels carry them. For comparison the first line is what AES-256-GCM alone
//! makes of the same bytes.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that prints")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::{Buf, BytesMut};
use sallyport_ssh_transport::keys::PrivateKey;
use sallyport_ssh_transport::{
    Cipher, ClientConfig, HostKey, HostTrust, Kex, Mac, Preferences, ServerConfig, Step, Transport,
};

const PAYLOAD: usize = 32 * 1024;
/// Packets that are sealed in a row before they are opened; they stay in the processor's cache.
const BATCH: usize = 16;
const ROUNDS: usize = 2000;

fn main() {
    println!("{:<32} {:>6.2} GB/s", "AES-256-GCM alone", cipher_alone());
    for cipher in Cipher::ALL {
        let macs = if cipher.needs_mac() {
            &Mac::ALL[..]
        } else {
            &Mac::ALL[..1]
        };
        for mac in macs {
            let (seal, open) = measure(cipher, *mac);
            let mac = if cipher.needs_mac() { mac.name() } else { "" };
            println!(
                "{:<32} {mac:<30} seal {seal:>6.2} GB/s, open {open:>6.2} GB/s",
                cipher.name()
            );
        }
    }
    key_exchanges();
}

fn gigabytes_per_second(time: Duration) -> f64 {
    (PAYLOAD * BATCH * ROUNDS) as f64 / time.as_secs_f64() / 1e9
}

fn cipher_alone() -> f64 {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
    let mut bytes = vec![0; PAYLOAD];
    let start = Instant::now();
    for _ in 0..BATCH * ROUNDS {
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let _tag = key
            .seal_in_place_separate_tag(nonce, Aad::from([0; 4]), &mut bytes)
            .unwrap();
    }
    gigabytes_per_second(start.elapsed())
}

fn measure(cipher: Cipher, mac: Mac) -> (f64, f64) {
    let preferences = Preferences {
        ciphers: vec![cipher],
        macs: vec![mac],
        ..Preferences::default()
    };
    let (mut client, mut server) = ready_pair(&preferences);
    let payload = vec![94; PAYLOAD];
    let (mut wire, mut answers) = (BytesMut::with_capacity(BATCH * (PAYLOAD + 256)), BytesMut::new());
    let (mut seal, mut open) = (Duration::ZERO, Duration::ZERO);
    let head = [94; 9];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut sent = 0;
        while sent < BATCH && !client.is_exchanging() {
            client.send(&[&head, &payload], &mut wire).unwrap();
            sent += 1;
        }
        seal += start.elapsed();
        let start = Instant::now();
        while let Step::Packet { whole, .. } = server.read(&mut wire, &mut answers).unwrap() {
            wire.advance(whole);
        }
        open += start.elapsed();
        finish(&mut client, &mut server, &mut wire, &mut answers);
        wire.clear();
        wire.reserve(BATCH * (PAYLOAD + 256));
    }
    (gigabytes_per_second(seal), gigabytes_per_second(open))
}

/// Ends a key exchange that is under way.
fn finish(client: &mut Transport, server: &mut Transport, to_server: &mut BytesMut, to_client: &mut BytesMut) {
    while !(to_server.is_empty() && to_client.is_empty()) {
        while let Step::Packet { whole, .. } = client.read(to_client, to_server).unwrap() {
            to_client.advance(whole);
        }
        while let Step::Packet { whole, .. } = server.read(to_server, to_client).unwrap() {
            to_server.advance(whole);
        }
    }
}

fn ready_pair(preferences: &Preferences) -> (Transport, Transport) {
    let key = PrivateKey::generate_ed25519().unwrap();
    let trust = HostTrust {
        keys: vec![key.public_key().clone()],
        ..HostTrust::default()
    };
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    let config = ClientConfig {
        trust,
        preferences: preferences.clone(),
        ..ClientConfig::default()
    };
    let mut client = Transport::client(config, &mut to_server);
    let config = ServerConfig {
        keys: vec![HostKey::new(key)],
        preferences: preferences.clone(),
        ..ServerConfig::default()
    };
    let mut server = Transport::server(Arc::new(config), &mut to_client).unwrap();
    while !(client.is_ready() && server.is_ready() && to_client.is_empty()) {
        client.read(&mut to_client, &mut to_server).unwrap();
        server.read(&mut to_server, &mut to_client).unwrap();
    }
    (client, server)
}

/// How long both sides' work for a connection takes together.
fn key_exchanges() {
    for kex in Kex::ALL {
        let preferences = Preferences {
            kex: vec![kex],
            ..Preferences::default()
        };
        let start = Instant::now();
        for _ in 0..300 {
            ready_pair(&preferences);
        }
        println!(
            "{:<32} {:>6.0} µs for both sides",
            kex.name(),
            start.elapsed().as_secs_f64() / 300.0 * 1e6
        );
    }
}
