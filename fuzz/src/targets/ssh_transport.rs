//! The SSH transport in both roles: with bytes of anybody, and between the two with what is on its way cut and changed.

use std::sync::{Arc, OnceLock};

use bytes::{Buf, BytesMut};
use sallyport_ssh_transport::keys::PrivateKey;
use sallyport_ssh_transport::{ClientConfig, HostKey, HostTrust, Preferences, ServerConfig, Step, Transport};

/// The most steps of one run: peers that answer each other for ever are cut off.
const STEPS: usize = 400;

fn server() -> Arc<ServerConfig> {
    static SERVER: OnceLock<Arc<ServerConfig>> = OnceLock::new();
    Arc::clone(SERVER.get_or_init(|| {
        let key = PrivateKey::generate_ed25519().expect("a key");
        Arc::new(ServerConfig {
            keys: vec![HostKey::new(key)],
            software: "Fuzz".to_owned(),
            preferences: Preferences::default(),
        })
    }))
}

fn client() -> ClientConfig {
    let keys = server().keys.iter().map(|key| key.public_key().clone()).collect();
    ClientConfig {
        trust: HostTrust {
            keys,
            ..HostTrust::default()
        },
        software: "Fuzz".to_owned(),
        preferences: Preferences::default(),
    }
}

/// One input: two bytes that say what is done to what is on its way, then bytes that are put in.
pub fn run(data: &[u8]) {
    let Some((&[change, place], rest)) = data.split_first_chunk::<2>() else { return };
    alone(rest);
    together(change, usize::from(place) * 8, rest);
}

/// A side that hears nothing but these bytes never agrees on keys, and never takes a message for one of the caller's.
fn alone(bytes: &[u8]) {
    for serves in [true, false] {
        let (mut out, mut input) = (BytesMut::new(), BytesMut::from(bytes));
        let mut side = if serves {
            Transport::server(server(), &mut out).expect("a server")
        } else {
            Transport::client(client(), &mut out)
        };
        match side.read(&mut input, &mut out) {
            Ok(Step::Ready | Step::Packet { .. }) => panic!("something came of nothing"),
            Ok(Step::More | Step::Disconnected { .. }) | Err(_) => {}
        }
    }
}

/// A message gets through as it was sent, or not at all.
fn together(change: u8, place: usize, bytes: &[u8]) {
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    let mut client = Transport::client(client(), &mut to_server);
    let mut server = Transport::server(server(), &mut to_client).expect("a server");
    let mut passed = 0;
    let mut sent = false;
    for step in 0..STEPS {
        let forth = step % 2 == 0;
        let (side, other, input, output) = if forth {
            (&mut server, &mut client, &mut to_server, &mut to_client)
        } else {
            (&mut client, &mut server, &mut to_client, &mut to_server)
        };
        if passed <= place && place < passed + input.len() && !change.is_multiple_of(4) {
            spoil(input, place - passed, change, bytes);
        }
        passed += input.len();
        match side.read(input, output) {
            Ok(Step::Packet { payload, whole }) => {
                assert_eq!(&input[payload], HELLO, "a message that nobody sent");
                return assert!(sent && whole <= input.len());
            }
            Ok(Step::More | Step::Ready) => {}
            Ok(Step::Disconnected { .. }) | Err(_) => return,
        }
        if client_is_ready(forth, other, side) && !sent {
            let client = if forth { other } else { side };
            let out = if forth { input } else { output };
            sent = client.send(&[HELLO], out).is_ok();
        }
    }
}

/// A request for a service, as a client sends it.
const HELLO: &[u8] = b"\x05\0\0\0\x0cssh-userauth";

fn client_is_ready(forth: bool, other: &Transport, side: &Transport) -> bool {
    if forth { other.is_ready() } else { side.is_ready() }
}

/// A byte on its way is changed, is lost, or has others put before it.
fn spoil(input: &mut BytesMut, at: usize, change: u8, bytes: &[u8]) {
    let mut behind = input.split_off(at);
    match change % 4 {
        1 => behind[0] ^= change | 1,
        2 => behind.advance(1),
        _ => input.extend_from_slice(bytes),
    }
    input.unsplit(behind);
}
