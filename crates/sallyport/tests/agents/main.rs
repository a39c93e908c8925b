//! The port for agents, as strangers and agents that lie find it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod liars;
mod strangers;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use sallyport_identity::agents::{
    Enrolment, HostDescription, JoinProof, JoinReply, JoinRequest, JoinToken, NewKey, SERVER_NAME, join_client_config,
};
use sallyport_testbed::{Gateway, GatewayOptions, Person, join_token};
use sallyport_tunnel::{JOIN_ALPN, Joined, TUNNEL_ALPN, head};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Long enough for anything here.
const LONG: Duration = Duration::from_secs(60);

/// A gateway with one target, which agents called `eu-west` log in to.
struct Bed {
    gateway: Gateway,
    admin: String,
    /// Alice's, made once: each login takes memory that is no agent's.
    alice: String,
}

impl Bed {
    fn start() -> Bed {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .unwrap()
            .parent()
            .unwrap();
        let gateway = Gateway::start(&GatewayOptions {
            program: env!("CARGO_BIN_EXE_sallyport").into(),
            policy: root.join("tests/policies/permit-all"),
            targets: Some(
                "[[target]]\nname = \"orders\"\nprotocol = \"postgres\"\nagent = \"eu-west\"\n\
                 environment = \"production\"\ndatabase = \"shop\"\n"
                    .to_owned(),
            ),
            people: vec![Person::new("alice", &["developers"]), Person::new("adam", &["admins"])],
            settings: String::new(),
        })
        .unwrap();
        let admin = gateway.login("adam").unwrap();
        let alice = gateway.token("alice").unwrap();
        Bed { gateway, admin, alice }
    }

    fn token(&self) -> JoinToken {
        JoinToken::parse(&join_token(&self.gateway, &self.admin, "eu-west").unwrap().into()).unwrap()
    }

    /// A connection to the port, in TLS.
    async fn connect(&self, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.gateway.agents()).await?;
        let name = ServerName::try_from(SERVER_NAME).unwrap();
        timeout(LONG, TlsConnector::from(Arc::new(config)).connect(name, stream))
            .await
            .unwrap()
    }

    /// Asks to join with a token; what comes of it.
    async fn join(&self, token: &JoinToken, dir: &Path) -> Result<Enrolment, String> {
        let key = NewKey::generate().unwrap();
        let request = JoinRequest {
            agent: None,
            proof: JoinProof::Token {
                token: token.text().clone().into(),
            },
            csr: key.csr(),
            host: HostDescription::of_this_machine(),
        };
        let config = join_client_config(token.pin(), &[JOIN_ALPN]).unwrap();
        let mut stream = self.connect(config).await.map_err(|error| error.to_string())?;
        head::write(&mut stream, &request)
            .await
            .map_err(|error| error.to_string())?;
        let answer = timeout(LONG, head::read::<Joined<JoinReply>>(&mut stream))
            .await
            .unwrap();
        match answer.map_err(|error| error.to_string())? {
            Joined::Reply(reply) => Ok(Enrolment::join(dir, "gateway", token.pin(), &key, &reply).unwrap()),
            Joined::Refused { why } => Err(why),
        }
    }

    /// Joins, as agents do.
    async fn enrol(&self, dir: &Path) -> Enrolment {
        self.join(&self.token(), dir).await.unwrap()
    }

    /// A connection as an agent.
    async fn tunnel(&self, enrolment: &Enrolment) -> TlsStream<TcpStream> {
        self.connect(enrolment.client_config(&[TUNNEL_ALPN]).unwrap())
            .await
            .unwrap()
    }

    fn agents(&self) -> Value {
        self.gateway.api().get("/v1/agents", Some(&self.admin)).unwrap().body
    }

    fn connections(&self) -> u64 {
        sallyport_testbed::connected(&self.gateway, &self.admin).unwrap()
    }

    async fn until_connections(&self, wanted: u64) {
        eventually("the connections", || self.connections() == wanted).await;
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.gateway.dir().join("log")).unwrap()).into_owned()
    }

    fn is_well(&self) {
        assert!(self.gateway.is_running(), "{}", self.gateway.log_tail());
        let health = self.gateway.api().get("/healthz", None).unwrap();
        assert_eq!(health.status, 200, "{health:?}");
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }

    /// The most memory that it has taken so far, in MiB.
    fn peak(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.gateway.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap() / 1024
    }

    /// Its open sockets. The store keeps as many files as it once needed.
    fn sockets(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.gateway.pid())).unwrap();
        let leads = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
        leads.filter(|to| to.to_string_lossy().starts_with("socket:")).count()
    }

    /// psql through the gateway, as alice: whether it succeeded, and what it said.
    async fn psql(&self, statement: &str) -> (bool, String) {
        let at = self.gateway.postgres();
        let mut psql = tokio::process::Command::new("psql");
        psql.args(["-X", "-A", "-t", "-c", statement])
            .env("PGHOST", at.ip().to_string())
            .env("PGPORT", at.port().to_string())
            .env("PGUSER", "alice")
            .env("PGPASSWORD", &self.alice)
            .env("PGDATABASE", "orders")
            .env("PGSSLMODE", "disable")
            .kill_on_drop(true);
        let output = timeout(LONG, psql.output()).await.unwrap().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
