//! The two ends of one way, each a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sallyport_testbed::Host;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::proc;

/// How a flow gets to the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Tcp,
    Tls,
    /// With so many connections.
    Tunnel(usize),
    WebSocket(usize),
}

impl Way {
    /// What it is called in tables.
    pub(super) fn name(self) -> String {
        match self {
            Self::Tcp => "TCP".to_owned(),
            Self::Tls => "TLS".to_owned(),
            Self::Tunnel(1) => "tunnel, one connection".to_owned(),
            Self::Tunnel(_) => "tunnel".to_owned(),
            Self::WebSocket(_) => "tunnel by WebSocket".to_owned(),
        }
    }

    fn argument(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Tunnel(_) => "tunnel",
            Self::WebSocket(_) => "websocket",
        }
    }

    fn connections(self) -> usize {
        match self {
            Self::Tcp | Self::Tls => 0,
            Self::Tunnel(connections) | Self::WebSocket(connections) => connections,
        }
    }
}

/// Both ends, running.
pub(super) struct Pair {
    way: Way,
    gateway: End,
    agent: End,
    _dir: TempDir,
}

/// One process, which says and is told one line at a time.
struct End {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What both processes have used, in CPU seconds and megabytes.
#[derive(Clone, Copy)]
pub(super) struct Used {
    pub(super) gateway: f64,
    pub(super) agent: f64,
}

impl Pair {
    /// Starts both, on this machine or at the two ends of a wire.
    pub(super) fn start(program: &Path, way: Way, hosts: Option<&[Host; 2]>) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("sallyport-bench-").tempdir()?;
        let address = |number: usize| match hosts {
            Some(hosts) => hosts
                .get(number)
                .map_or_else(String::new, |host| host.address().to_string()),
            None => "127.0.0.1".to_owned(),
        };
        let end = |number: usize, arguments: &[&str]| {
            let mut command = Command::new(program);
            command
                .arg(arguments.first().copied().unwrap_or_default())
                .arg(way.argument())
                .arg(dir.path());
            command.args(arguments.get(1..).unwrap_or_default());
            match hosts.and_then(|hosts| hosts.get(number)) {
                Some(host) => End::start(host.wrap(&command)),
                None => End::start(command),
            }
        };
        let connections = way.connections().to_string();
        let mut gateway = end(0, &["gateway", &address(0)])?;
        let at = gateway.hear()?;
        let agent = match way {
            Way::Tcp | Way::Tls => {
                let mut agent = end(1, &["agent", &format!("{}:0", address(1)), &connections])?;
                let at = agent.hear()?;
                gateway.tell(&json!({ "dial": at }))?;
                agent
            }
            Way::Tunnel(_) | Way::WebSocket(_) => {
                let mut agent = end(1, &["agent", &at, &connections])?;
                agent.hear()?;
                gateway.tell(&json!({ "agents": way.connections() }))?;
                agent
            }
        };
        Ok(Self {
            way,
            gateway,
            agent,
            _dir: dir,
        })
    }

    pub(super) fn way(&self) -> Way {
        self.way
    }

    /// Has the gateway's end do something.
    pub(super) fn tell(&mut self, order: &Value) -> Result<Value> {
        self.gateway.tell(order)
    }

    /// Opens flows beside those that are open.
    pub(super) fn open(&mut self, flows: usize, wanted: &Value) -> Result<()> {
        self.tell(&json!({ "open": { "flows": flows, "wanted": wanted } }))
            .map(drop)
    }

    /// CPU seconds so far.
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds")]
    pub(super) fn cpu(&self) -> Result<Used> {
        let of = |end: &End| proc::cpu_ns(end.process.id()).map(|ns| ns as f64 / 1e9);
        Ok(Used {
            gateway: of(&self.gateway)?,
            agent: of(&self.agent)?,
        })
    }

    /// Megabytes that are resident, once they have stopped to change.
    #[expect(clippy::cast_precision_loss, reason = "bytes")]
    pub(super) fn memory(&self) -> Result<Used> {
        let of = |end: &End| proc::resident(end.process.id()).map(|bytes| bytes as f64 / 1e6);
        let both = || anyhow::Ok((of(&self.gateway)?, of(&self.agent)?));
        let start = Instant::now();
        let mut before = both()?;
        while start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_secs(1));
            let now = both()?;
            if (now.0 + now.1 - before.0 - before.1).abs() < 0.5 {
                break;
            }
            before = now;
        }
        let (gateway, agent) = both()?;
        Ok(Used { gateway, agent })
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for end in [&mut self.gateway, &mut self.agent] {
            let _ = end.process.kill();
            let _ = end.process.wait();
        }
    }
}

impl End {
    fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("an end could not be started")?;
        let input = process.stdin.take().context("no input")?;
        let output = BufReader::new(process.stdout.take().context("no output")?);
        Ok(Self { process, input, output })
    }

    fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("an end gave up");
        }
        Ok(line.trim().to_owned())
    }

    fn tell(&mut self, order: &Value) -> Result<Value> {
        writeln!(self.input, "{order}")?;
        Ok(serde_json::from_str(&self.hear()?)?)
    }
}
