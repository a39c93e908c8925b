//! What is compared: each stands between pgbench and the same server.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sallyport_testbed::{Auth, Authority, Gateway, GatewayOptions, Options, Person, Postgres, Role, Supervised};
use tempfile::TempDir;

use super::proc;
use crate::{process, setup};

const USER: &str = "app";
const PASSWORD: &str = "bench";
const DATABASE: &str = "bench";
const PERSON: &str = "alice";
const TARGET: &str = "orders";
const CUSTOMERS: &str = "
    CREATE TABLE customers AS
    SELECT g AS id, 'Customer ' || g AS name, 'user' || g || '@example.com' AS email,
           '4111111111111111'::text AS card_number, lpad((g % 899 + 1)::text, 3, '0') || '-12-3456' AS national_id,
           'A note of usual length about customer ' || g || ', who lives at the corner' AS note
    FROM generate_series(1, 100000) g;
    ALTER TABLE customers OWNER TO app;";

/// One way to the server.
pub(super) struct Contender {
    name: &'static str,
    address: SocketAddr,
    user: String,
    password: String,
    database: String,
    pid: Option<u32>,
    tls: bool,
}

/// Everything that is compared, running.
pub(super) struct Field {
    contenders: Vec<Contender>,
    // Each ends with its handle; the server last.
    gateway: Gateway,
    programs: PathBuf,
    _secret: TempDir,
    _proxies: Vec<Supervised>,
    _server: Postgres,
}

impl Contender {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// Whether clients use TLS.
    pub(super) fn tls(&self) -> bool {
        self.tls
    }

    /// The proxy's process; none for the direct way.
    pub(super) fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// CPU time that the proxy has used, in microseconds.
    pub(super) fn cpu_us(&self) -> Result<u64> {
        self.pid.map_or(Ok(0), proc::cpu_us)
    }

    /// A program of libpq that connects this way.
    pub(super) fn libpq(&self, program: &str) -> Command {
        super::load::libpq(program, self)
    }

    fn new(name: &'static str, address: SocketAddr, pid: Option<u32>, tls: bool) -> Contender {
        let (user, password, database) = (USER.to_owned(), PASSWORD.to_owned(), DATABASE.to_owned());
        Contender {
            name,
            address,
            user,
            password,
            database,
            pid,
            tls,
        }
    }
}

impl Field {
    /// Installs and builds what is missing, and starts the server and all that stand before it.
    /// With `tls`, what clients connect to speaks it: the server, PgBouncer and the gateway. The relay hands it through.
    pub(super) fn prepare(programs: Option<&Path>, settings: &str, tls: bool) -> Result<Field> {
        setup::run(setup::FOR_BENCH)?;
        let programs = programs.map_or_else(build, |given| Ok(given.to_owned()))?;
        let server = start_server(tls)?;
        let direct = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
        let (relay, relay_at) = start_relay(&programs, direct)?;
        let (pgbouncer, pgbouncer_at) = start_pgbouncer(direct, tls)?;
        let secret = tempfile::Builder::new().prefix("sallyport-bench-").tempdir()?;
        let gateway = start_gateway(&programs, direct, secret.path(), settings)?;
        let sallyport = Contender {
            name: "Sallyport",
            address: gateway.postgres(),
            user: PERSON.to_owned(),
            password: gateway.token(PERSON)?,
            database: TARGET.to_owned(),
            pid: Some(gateway.pid()),
            tls,
        };
        let contenders = vec![
            Contender::new("direct", direct, None, tls),
            Contender::new("relay", relay_at, Some(relay.pid()), tls),
            Contender::new("PgBouncer", pgbouncer_at, Some(pgbouncer.pid()), tls),
            sallyport,
        ];
        Ok(Field {
            contenders,
            gateway,
            programs,
            _secret: secret,
            _proxies: vec![relay, pgbouncer],
            _server: server,
        })
    }

    /// The gateway.
    pub(super) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The way through the gateway.
    pub(super) fn sallyport(&self) -> Option<&Contender> {
        self.contenders
            .iter()
            .find(|contender| contender.pid == Some(self.gateway.pid()))
    }

    /// The gateway's program.
    pub(super) fn program(&self) -> PathBuf {
        self.programs.join("sallyport")
    }

    pub(super) fn contenders(&self) -> &[Contender] {
        &self.contenders
    }
}

/// The programs as they are shipped.
fn build() -> Result<PathBuf> {
    let release = [
        "build",
        "--release",
        "--quiet",
        "--package",
        "sallyport",
        "--package",
        "sallyport-bench",
    ];
    process::run(process::cargo().args(release))?;
    Ok(process::target_dir()?.join("release"))
}

fn start_server(tls: bool) -> Result<Postgres> {
    let server = Postgres::start(&Options {
        auth: Auth::Password,
        tls,
        roles: vec![Role::new(USER, PASSWORD)],
        databases: vec![DATABASE.to_owned()],
        settings: vec![
            ("max_connections".to_owned(), "1000".to_owned()),
            ("shared_buffers".to_owned(), "256MB".to_owned()),
        ],
        ..Options::default()
    })?;
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
    let direct = Contender::new("direct", at, None, false);
    process::capture(direct.libpq("pgbench").args(["-i", "-q", "-s", "10"]))?;
    server.query(DATABASE, CUSTOMERS)?;
    server.query(DATABASE, "VACUUM ANALYZE")?;
    Ok(server)
}

fn start_relay(programs: &Path, server: SocketAddr) -> Result<(Supervised, SocketAddr)> {
    let at = free_address()?;
    let mut command = Command::new(programs.join("relay"));
    command.arg(at.port().to_string()).arg(server.to_string());
    listening(Supervised::start(&command, "KILL", &new_dir("relay")?)?, at)
}

/// Session mode, one server connection for each client, as the gateway has it.
fn start_pgbouncer(server: SocketAddr, tls: bool) -> Result<(Supervised, SocketAddr)> {
    let at = free_address()?;
    let dir = new_dir("pgbouncer")?;
    let users = dir.join("users.txt");
    std::fs::write(&users, format!("\"{USER}\" \"{PASSWORD}\"\n"))?;
    let config = dir.join("pgbouncer.ini");
    let certificate = if tls {
        let (certificate, key) = Authority::new()?.server(&["localhost"])?.write(&dir, "pgbouncer")?;
        process::capture(Command::new("chown").arg("postgres").arg(&key))?;
        format!("client_tls_sslmode = require\nclient_tls_cert_file = {certificate:?}\nclient_tls_key_file = {key:?}\n")
            .replace('"', "")
    } else {
        String::new()
    };
    let text = format!(
        "[databases]\n{DATABASE} = host=127.0.0.1 port={} dbname={DATABASE}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = {}\nauth_type = plain\nauth_file = {}\npool_mode = session\nmax_client_conn = 2000\n\
         default_pool_size = 500\nlog_connections = 0\nlog_disconnections = 0\nunix_socket_dir =\n{certificate}",
        server.port(),
        at.port(),
        users.display(),
    );
    std::fs::write(&config, text)?;
    // PgBouncer refuses to run as root.
    process::capture(Command::new("chmod").args(["-R", "a+rX"]).arg(&dir))?;
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"])
        .arg(pgbouncer())
        .arg(&config);
    listening(Supervised::start(&command, "KILL", &dir)?, at)
}

/// Debian puts it where only the administrator's path leads.
fn pgbouncer() -> PathBuf {
    let sbin = PathBuf::from("/usr/sbin/pgbouncer");
    if sbin.exists() {
        sbin
    } else {
        PathBuf::from("pgbouncer")
    }
}

/// The example policy, with masks and recording.
fn start_gateway(programs: &Path, server: SocketAddr, secret: &Path, settings: &str) -> Result<Gateway> {
    let password = secret.join("password");
    std::fs::write(&password, PASSWORD)?;
    let targets = format!(
        "[[target]]\nname = \"{TARGET}\"\nprotocol = \"postgres\"\naddress = \"{server}\"\nenvironment = \"production\"\n\
         user = \"{USER}\"\ndatabase = \"{DATABASE}\"\npassword_file = {password:?}\nauth = [\"password\"]\ntls = \"disable\"\n"
    );
    Ok(Gateway::start(&GatewayOptions {
        program: programs.join("sallyport"),
        policy: process::root().join("policy"),
        targets: Some(targets),
        people: vec![
            Person::new(PERSON, &["developers"]),
            Person::new("audrey", &["auditors"]),
        ],
        settings: settings.to_owned(),
    })?)
}

fn listening(process: Supervised, at: SocketAddr) -> Result<(Supervised, SocketAddr)> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if TcpStream::connect(at).is_ok() {
            return Ok((process, at));
        }
        if !process.is_running() {
            bail!("a contender ended: {}", process.log_tail());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("a contender does not listen: {}", process.log_tail())
}

fn free_address() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.local_addr().context("a socket without an address")
}

fn new_dir(name: &str) -> Result<PathBuf> {
    Ok(tempfile::Builder::new()
        .prefix(&format!("sallyport-bench-{name}-"))
        .tempdir()?
        .keep())
}
