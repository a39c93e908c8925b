//! The tunnel between an agent and the gateway, against a connection for each flow, in clear and with TLS. Both ends are
//! processes of their own.

mod pair;
mod table;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use sallyport_testbed::{Host, LinkQuality, Network, TestbedError};
use serde_json::{Value, json};

use self::pair::{Pair, Way};
use self::table::Sheet;
use crate::process;

/// How long to measure.
#[derive(Args)]
pub(crate) struct TunnelOptions {
    /// Megabytes of each transfer
    #[arg(long, default_value_t = 512)]
    megabytes: u64,
    /// Rounds; each measures everything once
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Numbers of flows
    #[arg(long, value_delimiter = ',', default_values_t = [1, 32, 128, 512])]
    flows: Vec<usize>,
    /// Seconds for each measurement that takes as long as it is given
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Use this program instead of building it
    #[arg(long)]
    program: Option<PathBuf>,
    /// Only measurements whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Tables even where the output is no terminal
    #[arg(long)]
    table: bool,
}

/// Connections that an agent keeps.
const CONNECTIONS: usize = 2;
const WAYS: [Way; 4] = [
    Way::Tcp,
    Way::Tls,
    Way::Tunnel(CONNECTIONS),
    Way::WebSocket(CONNECTIONS),
];
/// Words that are echoed in one measurement, by all flows together.
const WORDS: usize = 20_000;
/// Flows that are open when memory is looked at.
const MANY: usize = 512;
/// Fast readers beside which one is slow.
const FAST: usize = 31;
const MIB: u64 = 1 << 20;

/// Runs it and prints what it gave: tables, or JSON where a program reads it.
pub(super) fn run(options: &TunnelOptions) -> Result<()> {
    let program = match &options.program {
        Some(program) => program.clone(),
        None => build()?,
    };
    let mut sheet = Sheet::default();
    let bench = Bench { options, program };
    // First, in processes that have done nothing else.
    if bench.wants("memory") {
        bench.memory(&mut sheet)?;
    }
    bench.loopback(&mut sheet)?;
    if bench.wants("wire") {
        bench.wire(&mut sheet)?;
    }
    if options.table || std::io::stdout().is_terminal() {
        sheet.print();
    } else {
        println!("{}", serde_json::to_string_pretty(&sheet.json())?);
    }
    Ok(())
}

fn build() -> Result<PathBuf> {
    let build = [
        "build",
        "--release",
        "--quiet",
        "--package",
        "sallyport-bench",
        "--bin",
        "tunnel",
    ];
    process::run(process::cargo().args(build))?;
    Ok(process::target_dir()?.join("release").join("tunnel"))
}

struct Bench<'o> {
    options: &'o TunnelOptions,
    program: PathBuf,
}

/// What is measured in turns.
#[derive(Clone, Copy)]
enum Load {
    /// From the agent's end to the gateway's.
    Down(usize),
    /// The other way.
    Up(usize),
    /// Words to and fro, on all flows at once.
    Echo(usize),
    /// Words to and fro on one flow, while the others are read.
    Beside,
    /// Fast readers with so many slow ones among them.
    Slow(usize),
}

impl Load {
    fn name(self) -> String {
        match self {
            Self::Down(flows) => format!("down, {}", count(flows)),
            Self::Up(flows) => format!("up, {}", count(flows)),
            Self::Echo(flows) => format!("echo, {}", count(flows)),
            Self::Beside => format!("echo beside {FAST} flows that are read"),
            Self::Slow(0) => format!("{FAST} readers"),
            Self::Slow(_) => format!("{FAST} readers and one of 100 KB a second"),
        }
    }
}

fn count(flows: usize) -> String {
    match flows {
        1 => "1 flow".to_owned(),
        flows => format!("{flows} flows"),
    }
}

impl Bench<'_> {
    fn wants(&self, name: &str) -> bool {
        self.options
            .only
            .as_ref()
            .is_none_or(|only| name.contains(only.as_str()))
    }

    /// Everything that is measured on one machine, round by round.
    fn loopback(&self, sheet: &mut Sheet) -> Result<()> {
        let flows = || self.options.flows.iter().copied();
        let mut loads: Vec<Load> = flows().map(Load::Down).collect();
        loads.extend(flows().map(Load::Up));
        loads.extend(flows().map(Load::Echo));
        loads.extend([Load::Beside, Load::Slow(0), Load::Slow(1)]);
        loads.retain(|load| self.wants(&load.name()));
        if loads.is_empty() {
            return Ok(());
        }
        let start = |way| Pair::start(&self.program, way, None);
        let mut pairs: Vec<Pair> = WAYS.into_iter().map(start).collect::<Result<_>>()?;
        for round in 1..=self.options.rounds {
            for load in &loads {
                eprintln!("round {round} of {}: {}", self.options.rounds, load.name());
                for pair in &mut pairs {
                    let (name, way) = (load.name(), pair.way().name());
                    self.measure(*load, pair, |what, value| sheet.add(&name, &way, what, value))?;
                }
            }
        }
        Ok(())
    }

    fn measure(&self, load: Load, pair: &mut Pair, mut add: impl FnMut(&'static str, f64)) -> Result<()> {
        let seconds = self.options.seconds;
        let each = |flows: usize| anyhow::Ok(self.options.megabytes * MIB / u64::try_from(flows.max(1))?);
        match load {
            Load::Down(flows) => {
                pair.open(flows, &json!({ "push": each(flows)? }))?;
                transfer(pair, &json!({ "down": {} }), add)?;
            }
            Load::Up(flows) => {
                pair.open(flows, &json!("take"))?;
                transfer(pair, &json!({ "up": { "bytes": each(flows)? } }), add)?;
            }
            Load::Echo(flows) => {
                pair.open(flows, &json!("echo"))?;
                let times = (WORDS / flows.max(1)).max(10);
                let result = pair.tell(&json!({ "echo": { "times": times } }))?;
                add("p50, µs", number(&result, "/p50_us")?);
                add("p99, µs", number(&result, "/p99_us")?);
            }
            Load::Beside => {
                pair.open(1, &json!("echo"))?;
                pair.open(FAST, &json!({ "push": u64::MAX }))?;
                let result = pair.tell(&json!({ "beside": { "seconds": seconds } }))?;
                add("p50, µs", number(&result, "/echo/p50_us")?);
                add("p99, µs", number(&result, "/echo/p99_us")?);
            }
            Load::Slow(slow) => {
                pair.open(FAST + slow, &json!({ "push": u64::MAX }))?;
                let result = pair.tell(&json!({ "slow": { "slow": slow, "seconds": seconds } }))?;
                add("MB/s of the fast", rate(&result, "/fast")?);
                if slow > 0 {
                    add("KB/s of the slow", number(&result, "/slow_bytes")? / seconds / 1e3);
                }
            }
        }
        pair.tell(&json!("close"))?;
        Ok(())
    }

    /// What many flows take of memory: open and idle, and written to by the other end while nobody reads; and what is
    /// left when they are closed.
    fn memory(&self, sheet: &mut Sheet) -> Result<()> {
        let name = format!("memory, {MANY} flows");
        for way in WAYS {
            eprintln!("{name}: {}", way.name());
            let mut pair = Pair::start(&self.program, way, None)?;
            let mut look = |pair: &Pair, gateway, agent| {
                let memory = pair.memory()?;
                sheet.add(&name, &way.name(), gateway, memory.gateway);
                sheet.add(&name, &way.name(), agent, memory.agent);
                anyhow::Ok(())
            };
            look(&pair, "MB none: gateway", "MB none: agent")?;
            pair.open(MANY, &json!({ "push": u64::MAX }))?;
            look(&pair, "MB idle: gateway", "MB idle: agent")?;
            pair.tell(&json!("stuff"))?;
            look(&pair, "MB unread: gateway", "MB unread: agent")?;
            pair.tell(&json!("close"))?;
            look(&pair, "MB closed: gateway", "MB closed: agent")?;
        }
        Ok(())
    }

    /// Over a wire on which packets take their time and get lost.
    fn wire(&self, sheet: &mut Sheet) -> Result<()> {
        let mut network = match Network::new() {
            Ok(network) => network,
            Err(TestbedError::NoNamespaces { reason }) => {
                eprintln!("skipped: the wire with delay and loss: no network namespaces here: {reason}");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let hosts = [network.host("gateway")?, network.host("agent")?];
        let [gateway, agent] = &hosts;
        let quality = LinkQuality {
            delay: Duration::from_millis(40),
            loss_percent: 1.0,
            ..LinkQuality::default()
        };
        let _wire = network.lag_link(gateway, agent, quality)?;
        let ways = [
            Way::Tcp,
            Way::Tls,
            Way::Tunnel(1),
            Way::Tunnel(CONNECTIONS),
            Way::WebSocket(CONNECTIONS),
        ];
        for round in 1..=self.options.rounds {
            for flows in [1, 32] {
                let name = format!("wire of 40 ms and 1 % loss, {}", count(flows));
                eprintln!("round {round} of {}: {name}", self.options.rounds);
                for way in ways {
                    self.over_wire(&name, flows, way, &hosts, sheet)?;
                }
            }
        }
        Ok(())
    }

    /// In new processes each time: what is still under way of one measurement would be in the way of the next.
    fn over_wire(&self, name: &str, flows: usize, way: Way, hosts: &[Host; 2], sheet: &mut Sheet) -> Result<()> {
        let mut pair = Pair::start(&self.program, way, Some(hosts))?;
        pair.open(flows, &json!({ "push": u64::MAX }))?;
        let result = pair.tell(&json!({ "down": { "seconds": self.options.seconds * 2.0 } }))?;
        sheet.add(name, &way.name(), "MB/s", rate(&result, "")?);
        drop(pair);
        let mut pair = Pair::start(&self.program, way, Some(hosts))?;
        pair.open(flows, &json!("echo"))?;
        let result = pair.tell(&json!({ "echo": { "times": 30 } }))?;
        sheet.add(name, &way.name(), "echo p50, µs", number(&result, "/p50_us")?);
        sheet.add(name, &way.name(), "p99, µs", number(&result, "/p99_us")?);
        Ok(())
    }
}

/// Has bytes transferred, and says how fast and by how much CPU.
#[expect(clippy::cast_precision_loss, reason = "bytes")]
fn transfer(pair: &mut Pair, order: &Value, mut add: impl FnMut(&'static str, f64)) -> Result<()> {
    let before = pair.cpu()?;
    let result = pair.tell(order)?;
    let after = pair.cpu()?;
    let gib = number(&result, "/bytes")? / (1024 * MIB) as f64;
    let (gateway, agent) = (after.gateway - before.gateway, after.agent - before.agent);
    add("MB/s", rate(&result, "")?);
    add("CPU s/GiB: both", (gateway + agent) / gib);
    add("gateway", gateway / gib);
    add("agent", agent / gib);
    Ok(())
}

fn rate(result: &Value, at: &str) -> Result<f64> {
    Ok(number(result, &format!("{at}/bytes"))? / number(result, &format!("{at}/seconds"))? / 1e6)
}

fn number(result: &Value, pointer: &str) -> Result<f64> {
    let value = result.pointer(pointer).and_then(Value::as_f64);
    value.with_context(|| format!("no `{pointer}` in {result}"))
}
