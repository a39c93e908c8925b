//! Peers that do what ours would not: a hand-driven client and server, which say what the test wants said.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use aws_lc_rs::digest;
use proptest::prelude::*;

use super::receive::{IGNORED_MAX, server_algorithms};
use super::*;
use crate::kex::{self, Direction, Kex, Transcript};
use crate::keys::{KeyError, PrivateKey};
use crate::message::*;
use crate::packet::{Cipher, Mac, Suite};
use crate::wire::Reader;
use crate::{HostError, negotiate};

const GCM: Suite = Suite {
    cipher: Cipher::Aes256Gcm,
    mac: None,
};
const STRICT: &str = "kex-strict-c-v00@openssh.com";
const NAME: &[u8] = b"SSH-2.0-raw";

/// A client by hand.
struct Raw {
    server: Transport,
    sealer: Sealer,
    opener: Opener,
    to_server: BytesMut,
    from_server: BytesMut,
    server_name: Vec<u8>,
    own_init: Vec<u8>,
    session: Vec<u8>,
}

/// What a hand-made KEXINIT says.
struct Say<'a> {
    kex: &'a str,
    host: &'a str,
    cipher: &'a str,
    mac: &'a str,
    follows: bool,
}

const SAY: Say<'_> = Say {
    kex: "curve25519-sha256",
    host: "ssh-ed25519",
    cipher: "aes256-gcm@openssh.com",
    mac: "hmac-sha2-256",
    follows: false,
};

impl Say<'_> {
    fn payload(&self, strict: bool) -> Vec<u8> {
        let mut out = vec![KEXINIT];
        out.extend([7; 16]);
        let kex = if strict {
            format!("{},ext-info-c,{STRICT}", self.kex)
        } else {
            self.kex.to_owned()
        };
        let lists = [
            &kex,
            self.host,
            self.cipher,
            self.cipher,
            self.mac,
            self.mac,
            "none,zlib@openssh.com",
            "none",
            "",
            "",
        ];
        for list in lists {
            wire::put_string(&mut out, list.as_bytes());
        }
        wire::put_bool(&mut out, self.follows);
        wire::put_u32(&mut out, 0);
        out
    }
}

fn server_key() -> PrivateKey {
    PrivateKey::generate_ed25519().unwrap()
}

fn server() -> (Transport, BytesMut) {
    let config = ServerConfig {
        keys: vec![HostKey::new(server_key())],
        software: "x".to_owned(),
        ..ServerConfig::default()
    };
    let mut out = BytesMut::new();
    (Transport::server(Arc::new(config), &mut out).unwrap(), out)
}

impl Raw {
    /// A client that has introduced itself.
    fn new() -> Self {
        let (server, from_server) = server();
        let mut raw = Self {
            server,
            sealer: Sealer::new(),
            opener: Opener::new(),
            to_server: BytesMut::from(&b"SSH-2.0-raw\r\n"[..]),
            from_server,
            server_name: Vec::new(),
            own_init: Vec::new(),
            session: Vec::new(),
        };
        let end = raw.from_server.iter().position(|byte| *byte == b'\r').unwrap();
        raw.server_name = raw.from_server.split_to(end).to_vec();
        raw.from_server.advance(2);
        raw
    }

    fn seal(&mut self, payload: &[u8]) {
        self.sealer.seal(&[payload], &mut self.to_server).unwrap();
    }

    /// What the server makes of what was sealed; messages of the caller's are taken off.
    fn serve(&mut self) -> Result<Vec<Vec<u8>>, TransportError> {
        let mut messages = Vec::new();
        loop {
            match self.server.read(&mut self.to_server, &mut self.from_server)? {
                Step::More => return Ok(messages),
                Step::Packet { payload, whole } => {
                    messages.push(self.to_server[payload].to_vec());
                    self.to_server.advance(whole);
                }
                Step::Ready => {}
                Step::Disconnected { .. } => return Ok(messages),
            }
        }
    }

    fn say(&mut self, payload: &[u8]) -> Result<Vec<Vec<u8>>, TransportError> {
        self.seal(payload);
        self.serve()
    }

    fn hear(&mut self) -> Option<Vec<u8>> {
        let opened = self.opener.open(&mut self.from_server).unwrap()?;
        let payload = self.from_server[opened.payload].to_vec();
        self.from_server.advance(opened.whole);
        Some(payload)
    }

    fn init(&mut self, say: &Say<'_>, strict: bool) -> Result<(), TransportError> {
        self.own_init = say.payload(strict);
        let init = self.own_init.clone();
        self.say(&init).map(|_| ())
    }

    /// The rest of a key exchange with Curve25519, after both KEXINITs.
    fn finish(&mut self, kex: Kex, suite: Suite, strict: bool) -> Result<(), TransportError> {
        let server_init = self.hear().unwrap();
        assert_eq!(server_init[0], KEXINIT);
        let (secret, share) = kex.start().unwrap();
        let mut payload = vec![KEX_ECDH_INIT];
        wire::put_string(&mut payload, &share);
        self.say(&payload)?;
        let reply = self.hear().unwrap();
        let mut reader = Reader::new(&reply[1..]);
        let (host_key, server_share) = (reader.string().unwrap(), reader.string().unwrap());
        let secret = secret.finish(server_share).unwrap();
        let transcript = Transcript {
            client_identification: NAME,
            server_identification: &self.server_name,
            client_init: &self.own_init,
            server_init: &server_init,
            host_key,
            client_share: &share,
            server_share,
        };
        let hash = transcript.hash(kex, &secret);
        let key = PublicKey::from_blob(host_key).unwrap();
        key.verify(SignatureAlgorithm::Ed25519, &hash, reader.string().unwrap())
            .unwrap();
        if self.session.is_empty() {
            self.session.clone_from(&hash);
        }
        let keys = |direction| kex::keys(kex, &secret, &hash, &self.session, direction, suite);
        let (to_server, to_client) = (keys(Direction::ClientToServer), keys(Direction::ServerToClient));
        assert_eq!(self.hear().unwrap(), [NEWKEYS]);
        self.opener.replace(suite, &to_client, strict).unwrap();
        self.seal(&[NEWKEYS]);
        self.sealer.replace(suite, &to_server, strict).unwrap();
        self.serve().map(|_| ())
    }

    /// A whole first key exchange.
    fn ready(strict: bool) -> Self {
        let mut raw = Self::new();
        raw.init(&SAY, strict).unwrap();
        raw.finish(Kex::Curve25519, GCM, strict).unwrap();
        assert!(raw.server.is_ready());
        raw
    }
}

fn ignore() -> Vec<u8> {
    let mut payload = vec![IGNORE];
    wire::put_string(&mut payload, b"whatever");
    payload
}

#[test]
fn a_peer_without_strict_key_exchange_is_served_with_what_needs_none() {
    for strict in [false, true] {
        let mut raw = Raw::ready(strict);
        assert_eq!(raw.server.algorithms().unwrap().strict, strict);
        if strict {
            assert_eq!(
                raw.hear().unwrap()[0],
                EXT_INFO,
                "a client that asks for extensions is told"
            );
        }
        assert_eq!(raw.hear(), None);
        assert_eq!(raw.say(&[SERVICE_REQUEST, 1]).unwrap(), [[SERVICE_REQUEST, 1]]);
        assert_eq!(raw.say(&[90, 1]).unwrap(), [[90, 1]]);
        raw.server.send(&[&[94], b"data"], &mut raw.from_server).unwrap();
        assert_eq!(raw.hear().unwrap(), b"\x5edata");
    }
    for mac in [Mac::Sha256, Mac::Sha512] {
        let mut raw = Raw::new();
        raw.init(
            &Say {
                cipher: "aes128-ctr",
                mac: mac.name(),
                ..SAY
            },
            false,
        )
        .unwrap();
        raw.finish(
            Kex::Curve25519,
            Suite {
                cipher: Cipher::Aes128Ctr,
                mac: Some(mac),
            },
            false,
        )
        .unwrap();
        assert_eq!(raw.say(&[90, 1]).unwrap(), [[90, 1]]);
    }
}

#[test]
fn what_is_weak_without_strict_key_exchange_is_not_agreed_on_without_it() {
    let weak = [
        (
            "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com",
            "hmac-sha2-256",
            Cipher::ChaCha20Poly1305.name(),
        ),
        (
            "aes256-ctr",
            "hmac-sha2-256-etm@openssh.com,hmac-sha2-256",
            Mac::Sha256Etm.name(),
        ),
        ("aes128-ctr", "hmac-sha2-512-etm@openssh.com", Mac::Sha512Etm.name()),
    ];
    for (cipher, mac, name) in weak {
        let say = Say { cipher, mac, ..SAY };
        assert_eq!(Raw::new().init(&say, false), Err(TransportError::Terrapin(name)));
        assert_eq!(Raw::new().init(&say, true), Ok(()));
    }
}

/// CVE-2023-48795: what is slipped in before keys moves the sequence numbers, so that packets after them can be
/// left out.
#[test]
fn with_strict_key_exchange_nothing_is_slipped_in() {
    let stray: [&[u8]; 6] = [
        &ignore(),
        &[UNIMPLEMENTED, 0, 0, 0, 0],
        &[DEBUG],
        &[19],
        &[25],
        &[EXT_INFO, 0, 0, 0, 0],
    ];
    for payload in stray {
        let mut before = Raw::new();
        let _ = before.say(payload);
        assert!(before.init(&SAY, true).is_err(), "{payload:?} before KEXINIT");
        let mut between = Raw::new();
        between.init(&SAY, true).unwrap();
        assert_eq!(
            between.say(payload),
            Err(TransportError::Strict(payload[0])),
            "{payload:?} after KEXINIT"
        );
        assert_eq!(between.say(&[NEWKEYS]), Err(TransportError::Closed));
    }
    let mut raw = Raw::new();
    raw.say(&ignore()).unwrap();
    assert_eq!(raw.init(&SAY, true), Err(TransportError::Strict(KEXINIT)));
}

#[test]
fn without_it_messages_that_mean_nothing_are_passed_over() {
    let mut raw = Raw::new();
    raw.say(&ignore()).unwrap();
    raw.init(&SAY, false).unwrap();
    raw.say(&ignore()).unwrap();
    raw.finish(Kex::Curve25519, GCM, false).unwrap();
    assert_eq!(raw.say(&[90]).unwrap(), [[90]]);
}

#[test]
fn messages_out_of_place_end_the_connection() {
    let early: [&[u8]; 8] = [
        &[NEWKEYS],
        &[KEX_ECDH_INIT, 0, 0, 0, 0],
        &[KEX_ECDH_REPLY],
        &[5],
        &[6],
        &[50],
        &[94],
        &[0],
    ];
    for payload in early {
        assert_eq!(
            Raw::new().say(payload),
            Err(TransportError::Unexpected(payload[0])),
            "before KEXINIT"
        );
        let mut raw = Raw::new();
        raw.init(&SAY, false).unwrap();
        if payload[0] != KEX_ECDH_INIT {
            assert_eq!(
                raw.say(payload),
                Err(TransportError::Unexpected(payload[0])),
                "after KEXINIT"
            );
        }
    }
    let mut raw = Raw::new();
    raw.init(&SAY, false).unwrap();
    assert_eq!(raw.init(&SAY, false), Err(TransportError::Unexpected(KEXINIT)), "twice");
    for payload in [&[NEWKEYS][..], &[KEX_ECDH_INIT, 0, 0, 0, 0], &[KEX_ECDH_REPLY], &[0]] {
        assert_eq!(
            Raw::ready(true).say(payload),
            Err(TransportError::Unexpected(payload[0])),
            "after all"
        );
    }
}

/// Between its KEXINIT and its NEWKEYS a peer says nothing else; before its KEXINIT it may.
#[test]
fn a_key_exchange_again_keeps_to_its_order() {
    let mut raw = Raw::ready(true);
    raw.hear();
    raw.server.rekey(&mut raw.from_server).unwrap();
    assert!(raw.server.is_exchanging());
    assert_eq!(raw.say(&[94, 1]).unwrap(), [[94, 1]], "it was under way");
    raw.server.send(&[&[94, 2]], &mut raw.from_server).unwrap();
    assert_eq!(raw.server.held_bytes(), 6);
    raw.init(&SAY, false).unwrap();
    raw.say(&ignore()).unwrap();
    raw.finish(Kex::Curve25519, GCM, true).unwrap();
    assert!(!raw.server.is_exchanging());
    assert_eq!(
        raw.hear().unwrap(),
        [94, 2],
        "what was held back comes with the new keys"
    );
    raw.init(&SAY, true).unwrap();
    assert_eq!(raw.say(&[94, 1]), Err(TransportError::Unexpected(94)));
}

#[test]
fn a_guess_that_is_right_counts_and_one_that_is_wrong_is_passed_over() {
    let right = Say {
        kex: Kex::ALL[0].name(),
        follows: true,
        ..SAY
    };
    let mut raw = Raw::new();
    raw.init(&right, true).unwrap();
    raw.finish(Kex::MlKem768X25519, GCM, true).unwrap();
    let wrong = Say {
        kex: "ecdh-sha2-nistp256",
        follows: true,
        ..SAY
    };
    let mut raw = Raw::new();
    raw.init(&wrong, true).unwrap();
    let mut guess = vec![KEX_ECDH_INIT];
    wire::put_string(&mut guess, &[1; 32]);
    raw.say(&guess).unwrap();
    raw.finish(Kex::Ecdh(crate::keys::Curve::P256), GCM, true).unwrap();
    // Only one message is passed over.
    let mut raw = Raw::new();
    raw.init(&wrong, true).unwrap();
    raw.say(&guess).unwrap();
    assert_eq!(raw.say(&guess), Err(TransportError::KeyExchange));
}

#[test]
fn before_the_login_only_so_much_may_mean_nothing() {
    let mut raw = Raw::ready(true);
    for _ in 0..IGNORED_MAX {
        raw.say(&ignore()).unwrap();
    }
    assert_eq!(raw.say(&ignore()), Err(TransportError::TooManyIgnored));
    let mut raw = Raw::ready(true);
    raw.server.set_authenticated();
    for _ in 0..4 * IGNORED_MAX {
        raw.say(&ignore()).unwrap();
    }
    let mut raw = Raw::ready(true);
    let again = (0..=IGNORED_MAX).try_for_each(|_| {
        raw.from_server.clear();
        raw.opener = Opener::new();
        raw.seal(&[19]);
        raw.serve().map(|_| ())
    });
    assert_eq!(
        again,
        Err(TransportError::TooManyIgnored),
        "unknown messages count as well"
    );
}

#[test]
fn an_unknown_message_of_the_transport_is_answered_as_such() {
    let mut raw = Raw::ready(true);
    raw.hear();
    raw.say(&[90]).unwrap();
    raw.say(&[19]).unwrap();
    assert_eq!(raw.hear().unwrap(), [UNIMPLEMENTED, 0, 0, 0, 1]);
}

#[test]
fn only_no_compression_is_spoken() {
    let mut raw = Raw::new();
    let init = String::from_utf8(SAY.payload(true))
        .unwrap()
        .replace("none,zlib@openssh.com", "zlib,zlib@openssh.com");
    let refused = raw.say(init.as_bytes());
    let offered = "zlib,zlib@openssh.com".to_owned();
    assert_eq!(
        refused,
        Err(TransportError::NoneInCommon {
            what: "compression",
            offered
        })
    );
    let mut reason = vec![DISCONNECT];
    wire::put_u32(&mut reason, disconnect::KEY_EXCHANGE_FAILED);
    raw.hear();
    assert!(raw.hear().unwrap().starts_with(&reason), "the peer is told why");
}

#[test]
fn what_no_cipher_means_is_no_cipher() {
    for cipher in ["none", "aes256-cbc", "3des-cbc", "arcfour"] {
        let refused = Raw::new().init(&Say { cipher, ..SAY }, true);
        assert_eq!(
            refused,
            Err(TransportError::NoneInCommon {
                what: "cipher",
                offered: cipher.to_owned()
            })
        );
    }
    for kex in ["diffie-hellman-group14-sha256", "diffie-hellman-group1-sha1"] {
        assert!(Raw::new().init(&Say { kex, ..SAY }, false).is_err());
    }
    let refused = Raw::new()
        .init(
            &Say {
                host: "ssh-rsa,ssh-dss",
                ..SAY
            },
            true,
        )
        .unwrap_err();
    assert!(matches!(
        refused,
        TransportError::NoneInCommon {
            what: "host key algorithm",
            ..
        }
    ));
}

#[test]
fn a_share_that_is_no_good_ends_the_connection() {
    for share in [&[][..], &[0; 32], &[0; 31], &[9; 33]] {
        let mut raw = Raw::new();
        raw.init(&SAY, true).unwrap();
        let mut payload = vec![KEX_ECDH_INIT];
        wire::put_string(&mut payload, share);
        assert_eq!(raw.say(&payload), Err(TransportError::KeyExchange));
    }
}

/// A server by hand, as far as its reply; `spoil` changes the reply's three parts.
fn client_meets(spoil: impl FnOnce(&mut [Vec<u8>; 3], &PrivateKey)) -> Result<Step, TransportError> {
    let key = server_key();
    let trust = HostTrust {
        keys: vec![key.public_key().clone()],
        ..HostTrust::default()
    };
    let mut from_client = BytesMut::new();
    let mut client = Transport::client(
        ClientConfig {
            trust,
            ..ClientConfig::default()
        },
        &mut from_client,
    );
    let name = from_client.split_to(from_client.len() - 2).to_vec();
    from_client.clear();
    let (mut sealer, mut opener) = (Sealer::new(), Opener::new());
    let mut to_client = BytesMut::from(&b"SSH-2.0-raw\r\n"[..]);
    let init = SAY.payload(false);
    sealer.seal(&[&init], &mut to_client).unwrap();
    assert_eq!(client.read(&mut to_client, &mut from_client).unwrap(), Step::More);
    let mut hear = || {
        let opened = opener.open(&mut from_client).unwrap().unwrap();
        let payload = from_client[opened.payload].to_vec();
        from_client.advance(opened.whole);
        payload
    };
    let client_init = hear();
    let text = String::from_utf8_lossy(&client_init).into_owned();
    assert!(
        !text.contains("chacha") && !text.contains("etm"),
        "a server without strict key exchange: {text}"
    );
    let share = hear();
    let client_share = Reader::new(&share[1..]).string().unwrap().to_vec();
    let (server_share, secret) = Kex::Curve25519.answer(&client_share).unwrap();
    let transcript = Transcript {
        client_identification: &name,
        server_identification: NAME,
        client_init: &client_init,
        server_init: &init,
        host_key: key.public_key().blob(),
        client_share: &client_share,
        server_share: &server_share,
    };
    let signature = key
        .sign(SignatureAlgorithm::Ed25519, &transcript.hash(Kex::Curve25519, &secret))
        .unwrap();
    let mut parts = [key.public_key().blob().to_vec(), server_share, signature];
    spoil(&mut parts, &key);
    let mut reply = vec![KEX_ECDH_REPLY];
    parts.iter().for_each(|part| wire::put_string(&mut reply, part));
    sealer.seal(&[&reply], &mut to_client).unwrap();
    sealer.seal(&[&[NEWKEYS]], &mut to_client).unwrap();
    client.read(&mut to_client, &mut from_client)
}

#[test]
fn a_client_takes_a_host_that_proves_itself_only() {
    assert_eq!(client_meets(|_, _| {}), Ok(Step::Ready));
    let other = server_key();
    let refused = client_meets(|parts, _| parts[0] = other.public_key().blob().to_vec());
    assert_eq!(
        refused,
        Err(HostError::NotPinned(other.public_key().fingerprint()).into())
    );
    let refused = client_meets(|parts, _| {
        parts[2] = other.sign(SignatureAlgorithm::Ed25519, b"anything").unwrap();
    });
    assert_eq!(
        refused,
        Err(TransportError::HostSignature(KeyError::Signature)),
        "the right key, another signer"
    );
    let refused = client_meets(|parts, key| parts[2] = key.sign(SignatureAlgorithm::Ed25519, b"another hash").unwrap());
    assert_eq!(
        refused,
        Err(TransportError::HostSignature(KeyError::Signature)),
        "a signature over something else"
    );
    let refused = client_meets(|parts, _| parts[1] = Kex::Curve25519.start().unwrap().1);
    assert_eq!(
        refused,
        Err(TransportError::HostSignature(KeyError::Signature)),
        "somebody else's share"
    );
    assert_eq!(
        client_meets(|parts, _| parts[1].fill(0)),
        Err(TransportError::KeyExchange)
    );
    assert!(client_meets(|parts, _| parts[2].push(0)).is_err());
    let refused = client_meets(|parts, _| parts[0].clear());
    assert!(matches!(refused, Err(TransportError::Host(HostError::Key(_)))));
}

#[test]
fn with_nothing_to_trust_no_host_is_trusted() {
    let mut out = BytesMut::new();
    let mut client = Transport::client(ClientConfig::default(), &mut out);
    let (_, mut from_server) = server();
    let refused = client.read(&mut from_server, &mut out).unwrap_err();
    assert!(
        matches!(
            refused,
            TransportError::NoneInCommon {
                what: "host key algorithm",
                ..
            }
        ),
        "{refused}"
    );
}

/// The two roles, past the first key exchange.
fn ready_pair() -> (Transport, Transport) {
    let key = server_key();
    let trust = HostTrust {
        keys: vec![key.public_key().clone()],
        ..HostTrust::default()
    };
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    let mut client = Transport::client(
        ClientConfig {
            trust,
            ..ClientConfig::default()
        },
        &mut to_server,
    );
    let config = Arc::new(ServerConfig {
        keys: vec![HostKey::new(key)],
        ..ServerConfig::default()
    });
    let mut server = Transport::server(config, &mut to_client).unwrap();
    while !(client.is_ready() && server.is_ready() && to_client.is_empty()) {
        client.read(&mut to_client, &mut to_server).unwrap();
        server.read(&mut to_server, &mut to_client).unwrap();
    }
    (client, server)
}

#[test]
fn a_host_that_changes_its_key_in_a_later_key_exchange_is_refused() {
    let (mut client, mut server) = ready_pair();
    let keys = vec![HostKey::new(server_key())];
    server.role = Role::Server(Arc::new(ServerConfig {
        keys,
        ..ServerConfig::default()
    }));
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    client.rekey(&mut to_server).unwrap();
    server.read(&mut to_server, &mut to_client).unwrap();
    client.read(&mut to_client, &mut to_server).unwrap();
    server.read(&mut to_server, &mut to_client).unwrap();
    let refused = client.read(&mut to_client, &mut to_server);
    assert_eq!(refused, Err(TransportError::Host(HostError::Changed)));
}

#[test]
fn keys_are_replaced_after_so_many_packets() {
    let (mut client, mut server) = ready_pair();
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    client.sealer.use_up(REKEY_PACKETS - 1);
    client.send(&[&[94]], &mut to_server).unwrap();
    assert!(client.is_exchanging());
    server.opener.use_up(REKEY_PACKETS - 1);
    let step = server.read(&mut to_server, &mut to_client).unwrap();
    assert!(matches!(step, Step::Packet { .. }));
    assert!(server.is_exchanging());
}

#[test]
fn a_peer_that_does_not_go_on_with_a_key_exchange_does_not_fill_the_memory() {
    let (mut client, _) = ready_pair();
    let mut out = BytesMut::new();
    client.rekey(&mut out).unwrap();
    let sent = out.len();
    let payload = vec![94; PAYLOAD_MAX];
    let refused = (0..1000).find_map(|_| client.send(&[&payload], &mut out).err());
    assert_eq!(refused, Some(TransportError::Stalled));
    assert!(client.held_bytes() <= HELD_MAX && out.len() == sent);
}

#[test]
fn the_end_of_a_connection_is_told_in_plain_words() {
    let (mut client, mut server) = ready_pair();
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    server.disconnect(disconnect::BY_APPLICATION, "ended\x1b[2J by bob\n", &mut to_client);
    let text = "ended[2J by bob".to_owned();
    let step = client.read(&mut to_client, &mut to_server).unwrap();
    assert_eq!(
        step,
        Step::Disconnected {
            reason: disconnect::BY_APPLICATION,
            text
        }
    );
    for side in [&mut client, &mut server] {
        assert_eq!(side.send(&[&[94]], &mut to_server), Err(TransportError::Closed));
        assert_eq!(side.read(&mut to_client, &mut to_server), Err(TransportError::Closed));
        assert_eq!(side.rekey(&mut to_server), Err(TransportError::Closed));
        assert!(!side.is_ready());
    }
    assert!(to_server.is_empty());
}

#[test]
fn the_transports_own_messages_are_not_the_callers_to_send() {
    let (mut client, _) = ready_pair();
    let mut out = BytesMut::new();
    for number in [0, DISCONNECT, EXT_INFO, KEXINIT, NEWKEYS, 30, 49] {
        assert_eq!(client.send(&[&[number]], &mut out), Err(TransportError::NotSendable));
    }
    assert_eq!(client.send(&[], &mut out), Err(TransportError::NotSendable));
    assert_eq!(
        client.send(&[&[94], &[0; PAYLOAD_MAX]], &mut out),
        Err(TransportError::NotSendable)
    );
    assert!(out.is_empty());
    assert_eq!(server().0.send(&[&[94]], &mut out), Err(TransportError::NotReady));
}

#[test]
fn whoever_does_not_speak_ssh_is_told_so_in_a_line() {
    let (mut server, mut out) = server();
    out.clear();
    assert!(
        server
            .read(&mut BytesMut::from(&b"GET / HTTP/1.1\r\n"[..]), &mut out)
            .is_err()
    );
    assert!(out.starts_with(b"the peer did not introduce itself") && out.ends_with(b"\r\n"));
}

#[test]
fn extensions_are_read_within_bounds() {
    let mut payload = vec![EXT_INFO];
    wire::put_u32(&mut payload, 2);
    for (name, value) in [
        ("no-flow-control", "s"),
        ("server-sig-algs", "ssh-ed25519,x@y,ssh-rsa,rsa-sha2-512"),
    ] {
        wire::put_string(&mut payload, name.as_bytes());
        wire::put_string(&mut payload, value.as_bytes());
    }
    let known = server_algorithms(&payload).unwrap().unwrap();
    assert_eq!(known, [SignatureAlgorithm::Ed25519, SignatureAlgorithm::RsaSha512]);
    payload.push(0);
    assert!(server_algorithms(&payload).is_err());
    assert!(server_algorithms(&[EXT_INFO, 0xff, 0xff, 0xff, 0xff]).is_err());
}

/// The exchange hash of RFC 4253 is over lengths and bytes; a part that runs into the next would not show.
#[test]
fn the_exchange_hash_tells_its_parts_apart() {
    let (secret, share) = Kex::Curve25519.start().unwrap();
    let (answer, _) = Kex::Curve25519.answer(&share).unwrap();
    let secret = secret.finish(&answer).unwrap();
    let hash = |client_identification: &[u8], server_identification: &[u8]| {
        let transcript = Transcript {
            client_identification,
            server_identification,
            client_init: b"",
            server_init: b"",
            host_key: b"",
            client_share: b"",
            server_share: b"",
        };
        transcript.hash(Kex::Curve25519, &secret)
    };
    assert_ne!(hash(b"ab", b"c"), hash(b"a", b"bc"));
    assert_eq!(hash(b"ab", b"c").len(), digest::SHA256.output_len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Arbitrary bytes, and arbitrary messages in good packets, in every state of both roles.
    #[test]
    fn nothing_that_a_peer_sends_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        messages in proptest::collection::vec((0u8..100, proptest::collection::vec(any::<u8>(), 0..60)), 1..4),
        state in 0..4,
        strict: bool,
    ) {
        let messages: Vec<Vec<u8>> =
            messages.into_iter().map(|(number, rest)| [&[number][..], &rest].concat()).collect();
        let mut raw = if state == 3 { Raw::ready(strict) } else { Raw::new() };
        if state >= 1 {
            raw.init(&SAY, strict).unwrap();
        }
        for message in &messages {
            let _ = raw.say(message);
        }
        let mut raw = if state == 3 { Raw::ready(strict) } else { Raw::new() };
        raw.to_server.extend_from_slice(&bytes);
        let _ = raw.serve();
        let mut out = BytesMut::new();
        let mut client = Transport::client(ClientConfig::default(), &mut out);
        let mut input = BytesMut::from(&b"SSH-2.0-raw\r\n"[..]);
        let mut sealer = Sealer::new();
        if state >= 1 {
            sealer.seal(&[&SAY.payload(strict)], &mut input).unwrap();
        }
        for message in &messages {
            sealer.seal(&[message], &mut input).unwrap();
        }
        input.extend_from_slice(&bytes);
        let _ = client.read(&mut input, &mut out);
        let _ = Transport::client(ClientConfig::default(), &mut out).read(&mut BytesMut::from(&bytes[..]), &mut out);
        let init = [&[KEXINIT][..], &bytes].concat();
        let _ = negotiate::KexInit::read(&init);
    }
}
