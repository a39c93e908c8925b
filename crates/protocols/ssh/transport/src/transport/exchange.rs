//! The key exchange, first and again (RFC 4253 sections 7 to 9, RFC 5656 section 4, strict key exchange as in
//! OpenSSH's PROTOCOL section 1.9).

use bytes::{Buf, BufMut, BytesMut};

use super::receive::Received;
use super::{Role, Session, State, Step, Transport};
use crate::error::TransportError;
use crate::host::{HostAlgorithm, HostError, HostKey};
use crate::kex::{self, ClientSecret, Direction, Kex, KexError, SharedSecret, Transcript};
use crate::keys::{PublicKey, SignatureAlgorithm};
use crate::message;
use crate::negotiate::{self, Agreed, KexInit, Side};
use crate::packet::{KeyMaterial, Suite};
use crate::wire::{self, Reader, WireError};

/// Waits for the peer's KEXINIT.
pub(super) struct ExpectInit {
    /// This side's KEXINIT. A client's first one is not sent yet.
    own: Option<Vec<u8>>,
}

impl ExpectInit {
    pub(super) fn first(own: Option<Vec<u8>>) -> Self {
        Self { own }
    }

    pub(super) fn again(own: Vec<u8>) -> Self {
        Self { own: Some(own) }
    }
}

/// Waits for the peer's share: a server for the client's, a client for the server's.
pub(super) struct ExpectMethod {
    agreed: Agreed,
    pub(super) strict: bool,
    /// The next message belongs to a method that was not agreed on.
    skip: bool,
    ext_info: bool,
    own_init: Vec<u8>,
    peer_init: Vec<u8>,
    /// A client's secret and share.
    client: Option<(ClientSecret, Vec<u8>)>,
}

/// Waits for the peer's NEWKEYS. This side has sent its own.
pub(super) struct ExpectNewKeys {
    pub(super) strict: bool,
    suite: Suite,
    keys: KeyMaterial,
}

/// What a finished exchange of shares comes to.
struct Outcome {
    secret: SharedSecret,
    hash: Vec<u8>,
    /// What the host showed and the key that it proved to hold, for a client.
    host: Option<(Vec<u8>, PublicKey)>,
}

impl Transport {
    /// Sends this side's KEXINIT; from here on, what the caller sends is held back. `strict` is whether the peer may
    /// be offered what is weak without strict key exchange.
    pub(super) fn send_init(&mut self, strict: bool, out: &mut BytesMut) -> Result<Vec<u8>, TransportError> {
        let host = match &self.role {
            Role::Server(config) => host_algorithms(&config.keys),
            Role::Client(config) => config.trust.algorithms(),
        };
        let narrowed;
        let preferences = if strict {
            self.role.preferences()
        } else {
            narrowed = self.role.preferences().without_strict();
            &narrowed
        };
        let init = negotiate::init(self.role.side(), preferences, &host, self.session.is_none())?;
        self.sealer.seal(&[&init], out)?;
        self.holding = true;
        Ok(init)
    }

    pub(super) fn receive_init(&mut self, payload: &[u8], out: &mut BytesMut) -> Result<Received, TransportError> {
        let own = match &mut self.state {
            State::Init(expect) => expect.own.take(),
            State::Open => None,
            State::Identification(_) | State::Method(_) | State::NewKeys(_) | State::Closed => {
                return Err(TransportError::Unexpected(message::KEXINIT));
            }
        };
        let peer = KexInit::read(payload)?;
        let first = self.session.is_none();
        let strict = self
            .session
            .as_ref()
            .map_or_else(|| peer.is_strict(self.role.peer()), |session| session.strict);
        // Something came before the first message that may: it was slipped in to move the sequence numbers.
        if first && strict && self.opener.usage().packets != 1 {
            return Err(TransportError::Strict(message::KEXINIT));
        }
        if !first {
            // A key exchange costs the peer less than it costs here.
            self.ignore()?;
        }
        let own = match own {
            Some(own) => own,
            None => self.send_init(strict, out)?,
        };
        let ours = KexInit::read(&own)?;
        let agreed = match self.role.side() {
            Side::Client => negotiate::agree(&ours, &peer, Side::Server, strict)?,
            Side::Server => negotiate::agree(&peer, &ours, Side::Client, strict)?,
        };
        let client = match self.role.side() {
            Side::Client => Some(self.send_share(agreed.kex, out)?),
            Side::Server => None,
        };
        self.state = State::Method(Box::new(ExpectMethod {
            skip: agreed.wrong_guess,
            agreed,
            strict,
            ext_info: first && self.role.side() == Side::Server && peer.wants_ext_info(),
            own_init: own,
            peer_init: payload.to_vec(),
            client,
        }));
        Ok(Received::Own)
    }

    fn send_share(&mut self, kex: Kex, out: &mut BytesMut) -> Result<(ClientSecret, Vec<u8>), TransportError> {
        let (secret, share) = kex.start()?;
        let mut payload = Vec::with_capacity(share.len() + 5);
        payload.put_u8(message::KEX_ECDH_INIT);
        wire::put_string(&mut payload, &share);
        self.sealer.seal(&[&payload], out)?;
        Ok((secret, share))
    }

    pub(super) fn receive_method(&mut self, payload: &[u8], out: &mut BytesMut) -> Result<Received, TransportError> {
        let number = payload.first().copied().unwrap_or(0);
        let State::Method(expect) = &mut self.state else {
            return Err(TransportError::Unexpected(number));
        };
        if std::mem::take(&mut expect.skip) {
            return Ok(Received::Own);
        }
        // If anything goes wrong from here on, the connection ends.
        let State::Method(expect) = std::mem::replace(&mut self.state, State::Init(ExpectInit::first(None))) else {
            return Err(TransportError::Unexpected(number));
        };
        let ExpectMethod {
            agreed,
            strict,
            ext_info,
            ..
        } = *expect;
        let outcome = match (&self.role, number) {
            (Role::Server(_), message::KEX_ECDH_INIT) => self.answer_client(&expect, payload, out)?,
            (Role::Client(_), message::KEX_ECDH_REPLY) => self.finish_client(*expect, payload)?,
            (Role::Server(_) | Role::Client(_), _) => return Err(TransportError::Unexpected(number)),
        };
        self.switch(agreed, strict, &outcome, out)?;
        if ext_info {
            self.sealer.seal(&[&extensions()], out)?;
        }
        self.release(out)?;
        Ok(Received::Own)
    }

    /// A server's part, when the client's share has come: proves to be the host.
    fn answer_client(
        &mut self,
        expect: &ExpectMethod,
        payload: &[u8],
        out: &mut BytesMut,
    ) -> Result<Outcome, TransportError> {
        let Role::Server(config) = &self.role else {
            return Err(TransportError::Unexpected(message::KEX_ECDH_INIT));
        };
        let client_share = share_of_client(payload).map_err(TransportError::malformed(message::KEX_ECDH_INIT))?;
        let Agreed { kex, host, .. } = expect.agreed;
        let (server_share, secret) = kex.answer(client_share)?;
        let key = config
            .keys
            .iter()
            .find(|key| key.algorithms().any(|algorithm| algorithm == host));
        let key = key.ok_or(TransportError::KeyExchange)?;
        let transcript = Transcript {
            client_identification: &self.peer_identification,
            server_identification: &self.own_identification,
            client_init: &expect.peer_init,
            server_init: &expect.own_init,
            host_key: key.blob(host),
            client_share,
            server_share: &server_share,
        };
        let hash = transcript.hash(kex, &secret);
        let signature = key.sign(host, &hash).map_err(TransportError::OwnKey)?;
        let mut reply = Vec::with_capacity(1024);
        reply.put_u8(message::KEX_ECDH_REPLY);
        wire::put_string(&mut reply, key.blob(host));
        wire::put_string(&mut reply, &server_share);
        wire::put_string(&mut reply, &signature);
        self.sealer.seal(&[&reply], out)?;
        Ok(Outcome {
            secret,
            hash,
            host: None,
        })
    }

    /// A client's part, when the server's share has come: makes sure that it is the host.
    fn finish_client(&mut self, expect: ExpectMethod, payload: &[u8]) -> Result<Outcome, TransportError> {
        let reply = Reply::read(payload).map_err(TransportError::malformed(message::KEX_ECDH_REPLY))?;
        let Agreed { kex, host, .. } = expect.agreed;
        let key = self.check_host(host, reply.host_key)?;
        let (secret, client_share) = expect.client.ok_or(TransportError::KeyExchange)?;
        let secret = secret.finish(reply.share)?;
        let transcript = Transcript {
            client_identification: &self.own_identification,
            server_identification: &self.peer_identification,
            client_init: &expect.own_init,
            server_init: &expect.peer_init,
            host_key: reply.host_key,
            client_share: &client_share,
            server_share: reply.share,
        };
        let hash = transcript.hash(kex, &secret);
        key.verify(host.signature, &hash, reply.signature)
            .map_err(TransportError::HostSignature)?;
        Ok(Outcome {
            secret,
            hash,
            host: Some((reply.host_key.to_vec(), key)),
        })
    }

    /// The first time the host is held against what is trusted; later it must be the same.
    fn check_host(&self, algorithm: HostAlgorithm, blob: &[u8]) -> Result<PublicKey, TransportError> {
        let Role::Client(config) = &self.role else {
            return Err(TransportError::Unexpected(message::KEX_ECDH_REPLY));
        };
        match &self.session {
            None => Ok(config.trust.check(algorithm, blob)?),
            Some(session) => match &session.host {
                Some((first, key)) if first == blob => Ok(key.clone()),
                _ => Err(HostError::Changed.into()),
            },
        }
    }

    /// Sends NEWKEYS and takes the new keys of this side's direction; those of the peer's wait for its NEWKEYS.
    fn switch(
        &mut self,
        agreed: Agreed,
        strict: bool,
        outcome: &Outcome,
        out: &mut BytesMut,
    ) -> Result<(), TransportError> {
        let session = self.session.get_or_insert_with(|| Session {
            id: outcome.hash.clone(),
            strict,
            agreed,
            host: outcome.host.clone(),
        });
        session.agreed = agreed;
        let derive = |direction, suite| {
            kex::keys(
                agreed.kex,
                &outcome.secret,
                &outcome.hash,
                &session.id,
                direction,
                suite,
            )
        };
        let to_server = derive(Direction::ClientToServer, agreed.client_to_server);
        let to_client = derive(Direction::ServerToClient, agreed.server_to_client);
        let (own, own_keys, suite, keys) = match self.role.side() {
            Side::Client => (agreed.client_to_server, to_server, agreed.server_to_client, to_client),
            Side::Server => (agreed.server_to_client, to_client, agreed.client_to_server, to_server),
        };
        self.sealer.seal(&[&[message::NEWKEYS]], out)?;
        self.sealer.replace(own, &own_keys, strict)?;
        self.state = State::NewKeys(Box::new(ExpectNewKeys { strict, suite, keys }));
        Ok(())
    }

    /// Lets go what was held back.
    fn release(&mut self, out: &mut BytesMut) -> Result<(), TransportError> {
        self.holding = false;
        let mut held = std::mem::take(&mut self.held);
        while let Ok(length) = held.try_get_u32() {
            let payload = held.split_to(held.len().min(usize::try_from(length).unwrap_or(usize::MAX)));
            self.sealer.seal(&[&payload], out)?;
        }
        Ok(())
    }

    pub(super) fn receive_new_keys(&mut self, payload: &[u8]) -> Result<Received, TransportError> {
        let State::NewKeys(expect) = &self.state else {
            return Err(TransportError::Unexpected(message::NEWKEYS));
        };
        if payload.len() != 1 {
            return Err(TransportError::Malformed {
                number: message::NEWKEYS,
                error: WireError::Trailing,
            });
        }
        self.opener.replace(expect.suite, &expect.keys, expect.strict)?;
        self.state = State::Open;
        if self.ready {
            return Ok(Received::Own);
        }
        self.ready = true;
        Ok(Received::Step(Step::Ready))
    }
}

/// The algorithms that the keys can be shown with, in their order, each once.
fn host_algorithms(keys: &[HostKey]) -> Vec<HostAlgorithm> {
    let mut algorithms = Vec::new();
    for algorithm in keys.iter().flat_map(HostKey::algorithms) {
        if !algorithms.contains(&algorithm) {
            algorithms.push(algorithm);
        }
    }
    algorithms
}

/// The payload of a server's EXT_INFO (RFC 8308 section 3.1): how a client may sign when it logs in.
fn extensions() -> Vec<u8> {
    let mut payload = Vec::with_capacity(256);
    payload.put_u8(message::EXT_INFO);
    wire::put_u32(&mut payload, 1);
    wire::put_string(&mut payload, b"server-sig-algs");
    wire::put_name_list(
        &mut payload,
        SignatureAlgorithm::ALL.iter().map(|algorithm| algorithm.name()),
    );
    payload
}

fn share_of_client(payload: &[u8]) -> Result<&[u8], WireError> {
    let mut reader = Reader::new(payload);
    reader.u8()?;
    let share = reader.string()?;
    reader.finish()?;
    Ok(share)
}

/// A server's KEX_ECDH_REPLY.
struct Reply<'a> {
    host_key: &'a [u8],
    share: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Reply<'a> {
    fn read(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        reader.u8()?;
        let reply = Self {
            host_key: reader.string()?,
            share: reader.string()?,
            signature: reader.string()?,
        };
        reader.finish()?;
        Ok(reply)
    }
}

impl From<KexError> for TransportError {
    fn from(error: KexError) -> Self {
        match error {
            KexError::Peer => Self::KeyExchange,
            KexError::Library => Self::Library,
        }
    }
}
