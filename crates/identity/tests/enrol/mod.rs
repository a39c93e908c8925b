//! A gateway's side of agents on a throw-away store, agents that join it, and handshakes between them.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use rustls_pki_types::{CertificateDer, ServerName};
use sallyport_identity::agents::{
    AgentAct, AgentAuthority, AgentWitness, Agents, AgentsConfig, Enrolment, HostDescription, JoinError, JoinProof,
    JoinReply, JoinRequest, JoinToken, Joined, NewKey, SERVER_NAME,
};
use sallyport_identity::messages::Sealed;
use sallyport_store::Store;
use tempfile::TempDir;

/// What was written down, in words.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) acts: Mutex<Vec<String>>,
    pub(crate) full: AtomicBool,
}

impl AgentWitness for Written {
    fn witness(&self, act: &AgentAct<'_>) -> Result<(), String> {
        if self.full.load(Ordering::SeqCst) {
            return Err("no space left".to_owned());
        }
        self.acts.lock().unwrap().push(format!("{act:?}"));
        Ok(())
    }
}

impl Written {
    pub(crate) fn has(&self, words: &[&str]) -> bool {
        let acts = self.acts.lock().unwrap();
        acts.iter().any(|act| words.iter().all(|word| act.contains(word)))
    }
}

pub(crate) struct Gateway {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) agents: Arc<Agents>,
    pub(crate) written: Arc<Written>,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::with(AgentsConfig::default()).await
    }

    pub(crate) async fn with(config: AgentsConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.db")).await.unwrap();
        let authority = AgentAuthority::load_or_create(&folder.path().join("agents")).unwrap();
        let written = Arc::new(Written::default());
        let witness = Arc::clone(&written) as Arc<dyn AgentWitness>;
        let agents = Agents::open(config, authority, store.clone(), witness).await.unwrap();
        Self {
            folder,
            store,
            agents: Arc::new(agents),
            written,
        }
    }

    pub(crate) async fn token(&self, agent: &str) -> JoinToken {
        self.agents.issue_join_token(agent, None, "root").await.unwrap().token
    }

    /// Joins with a new token.
    pub(crate) async fn enrol(&self, agent: &str) -> (Joined, Enrolment) {
        let token = self.token(agent).await;
        let key = NewKey::generate().unwrap();
        let joined = self.join(by_token(&token), &key).await.unwrap();
        let reply = JoinReply::from(joined.clone());
        let enrolment = Enrolment::join(&self.dir(agent), "https://gw", token.pin(), &key, &reply).unwrap();
        (joined, enrolment)
    }

    pub(crate) async fn join(&self, proof: JoinProof, key: &NewKey) -> Result<Joined, JoinError> {
        self.agents.join(&request(proof, key)).await
    }

    pub(crate) fn dir(&self, agent: &str) -> PathBuf {
        self.folder.path().join("agent").join(agent)
    }
}

pub(crate) fn by_token(token: &JoinToken) -> JoinProof {
    JoinProof::Token {
        token: Sealed(token.text().clone()),
    }
}

pub(crate) fn request(proof: JoinProof, key: &NewKey) -> JoinRequest {
    JoinRequest {
        agent: None,
        proof,
        csr: key.csr(),
        host: HostDescription::of_this_machine(),
    }
}

/// A TLS handshake in memory. What each side says is what it came to.
pub(crate) fn shake(
    client: ClientConfig,
    server: ServerConfig,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let name = ServerName::try_from(SERVER_NAME).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    loop {
        let mut moved = false;
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            moved = true;
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            moved = true;
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
        if !moved {
            assert!(!client.is_handshaking() && !server.is_handshaking());
            return Ok((client, server));
        }
    }
}

pub(crate) fn peers(server: &ServerConnection) -> Vec<CertificateDer<'static>> {
    server.peer_certificates().unwrap().to_vec()
}
