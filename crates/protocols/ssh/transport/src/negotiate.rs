//! What both sides can, and what follows from it (RFC 4253 section 7.1).

use aws_lc_rs::rand;
use bytes::BufMut;

use crate::error::TransportError;
use crate::host::HostAlgorithm;
use crate::kex::Kex;
use crate::message::KEXINIT;
use crate::packet::{Cipher, Mac, Suite};
use crate::wire::{self, NameList, Reader};

const STRICT_CLIENT: &str = "kex-strict-c-v00@openssh.com";
const STRICT_SERVER: &str = "kex-strict-s-v00@openssh.com";
const EXT_INFO_CLIENT: &str = "ext-info-c";
/// The only compression. What compresses secrets beside text that somebody else chooses gives them away, and a
/// gate has to bound what a few bytes become.
const COMPRESSION: &str = "none";

/// The most bytes after which keys are replaced (RFC 4253 section 9 recommends one gigabyte).
pub const REKEY_BYTES_MAX: u64 = 1 << 30;

/// The algorithms that are offered, the best first, and for how long keys serve.
#[derive(Clone, Debug)]
pub struct Preferences {
    /// Methods of key exchange.
    pub kex: Vec<Kex>,
    /// Ciphers, the same in both directions.
    pub ciphers: Vec<Cipher>,
    /// Codes, for the ciphers that need one.
    pub macs: Vec<Mac>,
    /// After how many bytes in one direction keys are replaced; at most [`REKEY_BYTES_MAX`].
    pub rekey_bytes: u64,
}

/// Everything that this crate has.
impl Default for Preferences {
    fn default() -> Self {
        Self {
            kex: Kex::ALL.to_vec(),
            ciphers: Cipher::ALL.to_vec(),
            macs: Mac::ALL.to_vec(),
            rekey_bytes: REKEY_BYTES_MAX,
        }
    }
}

impl Preferences {
    /// Without what is weak against a peer that has no strict key exchange (CVE-2023-48795).
    pub(crate) fn without_strict(&self) -> Self {
        let mut without = self.clone();
        without.ciphers.retain(|cipher| *cipher != Cipher::ChaCha20Poly1305);
        without.macs.retain(|mac| !mac.is_etm());
        without
    }
}

/// Which side of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// The payload of this side's KEXINIT. `first` is whether it is the connection's first, which alone says what else
/// this side can.
pub(crate) fn init(
    side: Side,
    preferences: &Preferences,
    host: &[HostAlgorithm],
    first: bool,
) -> Result<Vec<u8>, TransportError> {
    let mut cookie = [0; 16];
    rand::fill(&mut cookie).map_err(|_| TransportError::Library)?;
    let mut out = Vec::with_capacity(1024);
    out.put_u8(KEXINIT);
    out.put_slice(&cookie);
    let extras: &[&str] = match (first, side) {
        (true, Side::Client) => &[EXT_INFO_CLIENT, STRICT_CLIENT],
        (true, Side::Server) => &[STRICT_SERVER],
        (false, _) => &[],
    };
    wire::put_name_list(
        &mut out,
        preferences
            .kex
            .iter()
            .map(|kex| kex.name())
            .chain(extras.iter().copied()),
    );
    wire::put_name_list(&mut out, host.iter().map(|algorithm| algorithm.name()));
    for _ in 0..2 {
        wire::put_name_list(&mut out, preferences.ciphers.iter().map(|cipher| cipher.name()));
    }
    for _ in 0..2 {
        wire::put_name_list(&mut out, preferences.macs.iter().map(|mac| mac.name()));
    }
    for list in [COMPRESSION, COMPRESSION, "", ""] {
        wire::put_string(&mut out, list.as_bytes());
    }
    wire::put_bool(&mut out, false);
    wire::put_u32(&mut out, 0);
    Ok(out)
}

/// A KEXINIT, read.
#[derive(Debug)]
pub(crate) struct KexInit<'a> {
    kex: NameList<'a>,
    host: NameList<'a>,
    client_to_server: Way<'a>,
    server_to_client: Way<'a>,
    guess_follows: bool,
}

/// What a KEXINIT says of one direction.
#[derive(Clone, Copy, Debug)]
struct Way<'a> {
    cipher: NameList<'a>,
    mac: NameList<'a>,
    compression: NameList<'a>,
}

impl<'a> KexInit<'a> {
    /// Reads the payload of a KEXINIT, its number included.
    pub(crate) fn read(payload: &'a [u8]) -> Result<Self, TransportError> {
        Self::parse(payload).map_err(TransportError::malformed(KEXINIT))
    }

    fn parse(payload: &'a [u8]) -> Result<Self, wire::WireError> {
        let mut reader = Reader::new(payload);
        reader.u8()?;
        reader.bytes(16)?;
        let kex = reader.name_list()?;
        let host = reader.name_list()?;
        let [cipher, cipher_back] = [reader.name_list()?, reader.name_list()?];
        let [mac, mac_back] = [reader.name_list()?, reader.name_list()?];
        let [compression, compression_back] = [reader.name_list()?, reader.name_list()?];
        let client_to_server = Way {
            cipher,
            mac,
            compression,
        };
        let server_to_client = Way {
            cipher: cipher_back,
            mac: mac_back,
            compression: compression_back,
        };
        // Languages have no names in use.
        reader.string()?;
        reader.string()?;
        let guess_follows = reader.bool()?;
        reader.u32()?;
        reader.finish()?;
        Ok(Self {
            kex,
            host,
            client_to_server,
            server_to_client,
            guess_follows,
        })
    }

    /// Whether the peer, which is on `side`, keeps to strict key exchange.
    pub(crate) fn is_strict(&self, side: Side) -> bool {
        self.kex.contains(match side {
            Side::Client => STRICT_CLIENT,
            Side::Server => STRICT_SERVER,
        })
    }

    /// Whether the client wants to be told of extensions (RFC 8308).
    pub(crate) fn wants_ext_info(&self) -> bool {
        self.kex.contains(EXT_INFO_CLIENT)
    }
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) kex: Kex,
    pub(crate) host: HostAlgorithm,
    pub(crate) client_to_server: Suite,
    pub(crate) server_to_client: Suite,
    /// The peer sent the first message of a method that was not agreed on; it is passed over.
    pub(crate) wrong_guess: bool,
}

/// What a connection is protected with, for records and for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithms {
    /// The method of key exchange.
    pub kex: Kex,
    /// The name of the host key algorithm, such as `rsa-sha2-512`.
    pub host_key: &'static str,
    /// The cipher from the client to the server, and its code if it needs one.
    pub client_to_server: (Cipher, Option<Mac>),
    /// The cipher from the server to the client, and its code if it needs one.
    pub server_to_client: (Cipher, Option<Mac>),
    /// Whether both keep to strict key exchange.
    pub strict: bool,
}

impl Algorithms {
    pub(crate) fn new(agreed: Agreed, strict: bool) -> Self {
        let pair = |suite: Suite| (suite.cipher, suite.mac);
        Self {
            kex: agreed.kex,
            host_key: agreed.host.name(),
            client_to_server: pair(agreed.client_to_server),
            server_to_client: pair(agreed.server_to_client),
            strict,
        }
    }
}

/// Reads both KEXINITs as either side must: the client's first choice that the server has too.
///
/// With `strict` not in force, what is weak without it is refused rather than passed over: both sides compute
/// this, and they must come to the same.
pub(crate) fn agree(
    client: &KexInit<'_>,
    server: &KexInit<'_>,
    peer: Side,
    strict: bool,
) -> Result<Agreed, TransportError> {
    let offers = |client, server| Offers { client, server, peer };
    let kex = offers(client.kex, server.kex).pick("key exchange", |name| find(&Kex::ALL, Kex::name, name))?;
    let host = offers(client.host, server.host).pick("host key algorithm", HostAlgorithm::from_name)?;
    let guess_follows = match peer {
        Side::Client => client.guess_follows,
        Side::Server => server.guess_follows,
    };
    let right = client.kex.first() == server.kex.first() && client.host.first() == server.host.first();
    Ok(Agreed {
        kex,
        host,
        client_to_server: suite(client.client_to_server, server.client_to_server, peer, strict)?,
        server_to_client: suite(client.server_to_client, server.server_to_client, peer, strict)?,
        wrong_guess: guess_follows && !right,
    })
}

/// What is agreed on for one direction.
fn suite(client: Way<'_>, server: Way<'_>, peer: Side, strict: bool) -> Result<Suite, TransportError> {
    let offers = |client, server| Offers { client, server, peer };
    let cipher = offers(client.cipher, server.cipher).pick("cipher", |name| find(&Cipher::ALL, Cipher::name, name))?;
    let mac = if cipher.needs_mac() {
        let offers = offers(client.mac, server.mac);
        Some(offers.pick("authentication code", |name| find(&Mac::ALL, Mac::name, name))?)
    } else {
        None
    };
    offers(client.compression, server.compression).pick("compression", |name| (name == COMPRESSION).then_some(()))?;
    if !strict && cipher == Cipher::ChaCha20Poly1305 {
        return Err(TransportError::Terrapin(cipher.name()));
    }
    if let Some(mac) = mac.filter(|mac| !strict && mac.is_etm()) {
        return Err(TransportError::Terrapin(mac.name()));
    }
    Ok(Suite { cipher, mac })
}

fn find<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, wanted: &str) -> Option<T> {
    all.iter().copied().find(|one| name(*one) == wanted)
}

/// The two lists for one thing.
struct Offers<'a> {
    client: NameList<'a>,
    server: NameList<'a>,
    peer: Side,
}

impl Offers<'_> {
    /// The client's first choice that the server has too. One of the lists is this side's own, so what is in both
    /// is known here.
    fn pick<T>(&self, what: &'static str, known: impl Fn(&str) -> Option<T>) -> Result<T, TransportError> {
        self.client
            .iter()
            .find(|name| self.server.contains(name))
            .and_then(known)
            .ok_or_else(|| {
                let theirs = match self.peer {
                    Side::Client => self.client,
                    Side::Server => self.server,
                };
                TransportError::NoneInCommon {
                    what,
                    offered: theirs.as_str().chars().take(512).collect(),
                }
            })
    }
}
