//! The loads.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::contender::Contender;
use super::proc;
use crate::corpus::wire::{Connection, packet, text};
use crate::process;

/// How many idle sessions the memory of one is measured by.
const IDLE: usize = 200;
/// Sessions before that pay for what all share.
const SHARED: usize = 50;
const ROWS: u32 = 100_000;
/// How often a large result is read: CPU time is counted in hundredths of a second.
const REPEATS: usize = 8;

/// One thing to measure.
#[derive(Debug, Clone)]
pub(super) enum Load {
    /// pgbench, select only.
    Select {
        mode: &'static str,
        clients: u32,
        seconds: u32,
    },
    /// pgbench with a new connection for each transaction.
    Connect { seconds: u32 },
    /// One large result, read as fast as it comes.
    Rows { statement: &'static str },
    /// The memory of an idle session.
    Idle,
}

/// What was measured.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    /// Transactions, connections or bytes in a second; bytes of memory for an idle session.
    pub(super) value: f64,
    /// The median latency of a transaction, in microseconds.
    pub(super) latency_us: f64,
    /// What the value was counted over: transactions, connections, kilobytes or sessions.
    pub(super) units: f64,
    /// What the proxy used meanwhile, in microseconds of CPU time.
    pub(super) proxy_us: u64,
}

/// Every load.
pub(super) fn all(seconds: u32, clients: &[u32]) -> Vec<Load> {
    // Memory comes first: what other loads leave behind would be used again, and not be seen to grow.
    let mut loads = vec![Load::Idle];
    for mode in ["simple", "extended", "prepared"] {
        loads.extend(clients.iter().map(|&clients| Load::Select { mode, clients, seconds }));
    }
    loads.push(Load::Connect { seconds });
    loads.push(Load::Rows {
        statement: "SELECT * FROM pgbench_accounts LIMIT 100000",
    });
    loads.push(Load::Rows {
        statement: "SELECT * FROM customers LIMIT 100000",
    });
    loads.push(Load::Rows {
        statement: "COPY customers TO STDOUT",
    });
    loads
}

impl Load {
    /// Its name in the report.
    pub(super) fn name(&self) -> String {
        match self {
            Load::Select { mode, clients, .. } => {
                format!("pgbench -S -M {mode}, {clients} clients")
            }
            Load::Connect { .. } => "connections per second".to_owned(),
            Load::Rows { statement } => format!("{ROWS} rows: {statement}"),
            Load::Idle => "memory of an idle session".to_owned(),
        }
    }

    /// Whether pgbench is the client, which can do TLS.
    pub(super) fn is_of_pgbench(&self) -> bool {
        match self {
            Load::Select { .. } | Load::Connect { .. } => true,
            Load::Rows { .. } | Load::Idle => false,
        }
    }

    /// Whether it is measured in the first round only.
    pub(super) fn once(&self) -> bool {
        match self {
            Load::Idle => true,
            Load::Select { .. } | Load::Connect { .. } | Load::Rows { .. } => false,
        }
    }

    /// What the value counts.
    pub(super) fn unit(&self) -> &'static str {
        match self {
            Load::Select { .. } => "tps",
            Load::Connect { .. } => "conn/s",
            Load::Rows { .. } => "MB/s",
            Load::Idle => "KB",
        }
    }

    /// What the proxy's CPU time is given in.
    pub(super) fn cost(&self) -> &'static str {
        match self {
            Load::Select { .. } => "proxy µs/tx",
            Load::Connect { .. } => "proxy µs/conn",
            Load::Rows { .. } => "proxy s/GB",
            Load::Idle => "proxy µs/session",
        }
    }

    /// The value in that unit.
    pub(super) fn shown(&self, value: f64) -> f64 {
        match self {
            Load::Select { .. } | Load::Connect { .. } => value,
            Load::Rows { .. } => value / 1e6,
            Load::Idle => value / 1e3,
        }
    }

    /// Measures it once.
    pub(super) fn run(&self, contender: &Contender) -> Result<Sample> {
        match self {
            Load::Select { mode, clients, seconds } => pgbench(contender, mode, *clients, *seconds),
            Load::Connect { seconds } => connections(contender, *seconds),
            Load::Rows { statement } => rows(contender, statement),
            Load::Idle => idle(contender),
        }
    }
}

fn pgbench(contender: &Contender, mode: &str, clients: u32, seconds: u32) -> Result<Sample> {
    let log = tempfile::tempdir()?;
    let mut command = contender.libpq("pgbench");
    command.args([
        "-n",
        "-S",
        "-M",
        mode,
        "-T",
        &seconds.to_string(),
        "-c",
        &clients.to_string(),
    ]);
    command.args(["-j", if clients > 1 { "2" } else { "1" }, "-l", "--sampling-rate=0.2"]);
    command.arg("--log-prefix").arg(log.path().join("log"));
    let said = process::capture(&mut command)?;
    let value = after(&said, "tps = ")?;
    let units = after(&said, "number of transactions actually processed: ")?;
    Ok(Sample {
        value,
        units,
        latency_us: median_latency(log.path())?,
        proxy_us: 0,
    })
}

fn connections(contender: &Contender, seconds: u32) -> Result<Sample> {
    let mut command = contender.libpq("pgbench");
    command.args(["-n", "-S", "-C", "-T", &seconds.to_string(), "-c", "4", "-j", "2"]);
    let said = process::capture(&mut command)?;
    let units = after(&said, "number of transactions actually processed: ")?;
    Ok(Sample {
        value: units / f64::from(seconds),
        units,
        ..Sample::default()
    })
}

fn rows(contender: &Contender, statement: &str) -> Result<Sample> {
    let mut connection = open(contender)?;
    let start = Instant::now();
    let mut bytes = 0;
    for _ in 0..REPEATS {
        connection.send(&packet(b'Q', &text(statement)), None, Duration::ZERO);
        bytes += connection
            .skip_to_ready(Duration::from_secs(120))
            .context("no end of the result")?;
    }
    let value = bytes as f64 / start.elapsed().as_secs_f64();
    connection.close();
    Ok(Sample {
        value,
        // A microsecond for a kilobyte is a second for a gigabyte.
        units: bytes as f64 / 1e3,
        ..Sample::default()
    })
}

fn idle(contender: &Contender) -> Result<Sample> {
    let Some(pid) = contender.pid() else {
        return Ok(Sample::default());
    };
    let mut open_sessions = Vec::new();
    let mut before = 0;
    for number in 0..SHARED + IDLE {
        if number == SHARED {
            before = proc::resident(pid)?;
        }
        let mut connection = open(contender)?;
        connection.query("SELECT 1")?;
        open_sessions.push(connection);
    }
    let grown = proc::resident(pid)?.saturating_sub(before);
    for connection in &mut open_sessions {
        connection.close();
    }
    Ok(Sample {
        value: grown as f64 / IDLE as f64,
        units: IDLE as f64,
        ..Sample::default()
    })
}

fn open(contender: &Contender) -> Result<Connection> {
    let address: SocketAddr = contender.address();
    let parameters = [("user", contender.user()), ("database", contender.database())]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let connection = Connection::open(address, &parameters, Some(contender.password()))?;
    if connection.dead {
        bail!("`{}` gave no session", contender.name());
    }
    Ok(connection)
}

/// The number after a label.
fn after(said: &str, label: &str) -> Result<f64> {
    let (_, rest) = said
        .split_once(label)
        .with_context(|| format!("pgbench did not say `{label}`"))?;
    let number = rest
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .next()
        .unwrap_or_default();
    number.parse().with_context(|| format!("`{number}` is no number"))
}

/// The median of the latencies that pgbench logged: the third field of each line.
fn median_latency(dir: &std::path::Path) -> Result<f64> {
    let mut latencies = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let text = std::fs::read_to_string(entry?.path())?;
        latencies.extend(
            text.lines()
                .filter_map(|line| line.split(' ').nth(2)?.parse::<f64>().ok()),
        );
    }
    Ok(super::table::median(&mut latencies))
}

/// A client of libpq with the contender's address in its environment.
pub(super) fn libpq(program: &str, contender: &Contender) -> Command {
    let mut command = Command::new(program);
    command
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", contender.address().port().to_string());
    command
        .env("PGUSER", contender.user())
        .env("PGPASSWORD", contender.password());
    command
        .env("PGDATABASE", contender.database())
        .env("PGSSLMODE", if contender.tls() { "require" } else { "disable" });
    command
}
