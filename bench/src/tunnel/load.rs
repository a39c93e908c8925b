//! What is done with open flows, and what is measured of it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use sallyport_listen::Wire;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::ask::{self, BLOCK, Wanted};

/// What the gateway's end is told.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Where the agent's end is to be dialled.
    Dial(SocketAddr),
    /// Wait until the agent has so many connections.
    Agents(usize),
    /// Open so many flows beside those that are open.
    Open { flows: usize, wanted: Wanted },
    /// Read all flows to their ends, or for so many seconds.
    Down { seconds: Option<f64> },
    /// Write so many bytes to each flow.
    Up { bytes: u64 },
    /// Send a word over each flow so many times, and wait for it each time.
    Echo { times: usize },
    /// The first so many flows are read by 100 KB a second, and the others as fast as can be, for some seconds.
    Slow { slow: usize, seconds: f64 },
    /// Send a word over the first flow again and again, while the others are read, for some seconds.
    Beside { seconds: f64 },
    /// Have the flows written to, and read nothing.
    Stuff,
    /// Close all flows.
    Close,
}

/// The word that is echoed: a line of a terminal.
const WORD: [u8; 64] = [b'w'; 64];
/// Bytes that a slow reader reads at once, ten times a second.
const SLOW_BLOCK: usize = 10_000;

/// Open flows.
#[derive(Default)]
pub(crate) struct Load {
    flows: Vec<Wire>,
}

impl Load {
    pub(crate) fn add(&mut self, flow: Wire) {
        self.flows.push(flow);
    }

    pub(crate) async fn run(&mut self, order: Order) -> Result<Value> {
        let since = Instant::now();
        match order {
            Order::Dial(_) | Order::Agents(_) | Order::Open { .. } => {}
            Order::Down { seconds } => {
                let until = seconds.map(|seconds| since + Duration::from_secs_f64(seconds));
                let flows = self.flows.drain(..).map(|flow| read(flow, until));
                return transferred(&together(flows).await?, since);
            }
            Order::Up { bytes } => {
                let flows = self.flows.drain(..).map(|flow| give(flow, bytes));
                return transferred(&together(flows).await?, since);
            }
            Order::Echo { times } => {
                let flows = self.flows.drain(..).map(|flow| echo(flow, Some(times), None));
                let taken = together(flows).await?.into_iter().flatten().collect();
                return Ok(quantiles(taken, since));
            }
            Order::Slow { slow, seconds } => {
                let until = since + Duration::from_secs_f64(seconds);
                let mut flows = std::mem::take(&mut self.flows).into_iter();
                let slowly = tokio::spawn(together(
                    flows
                        .by_ref()
                        .take(slow)
                        .map(|flow| read_slowly(flow, until))
                        .collect::<Vec<_>>(),
                ));
                let fast = transferred(&together(flows.map(|flow| read(flow, Some(until)))).await?, since)?;
                let slow: u64 = slowly.await??.iter().sum();
                return Ok(json!({ "fast": fast, "slow_bytes": slow }));
            }
            Order::Beside { seconds } => {
                let until = since + Duration::from_secs_f64(seconds);
                let mut flows = std::mem::take(&mut self.flows).into_iter();
                let first = flows.next().context("no flow")?;
                let echoes = tokio::spawn(echo(first, None, Some(until)));
                let bulk = transferred(&together(flows.map(|flow| read(flow, Some(until)))).await?, since)?;
                return Ok(json!({ "bulk": bulk, "echo": quantiles(echoes.await??, since) }));
            }
            Order::Stuff => {
                for flow in &mut self.flows {
                    go(flow).await?;
                }
            }
            Order::Close => self.flows.clear(),
        }
        Ok(Value::Null)
    }
}

async fn together<T: Send + 'static, F>(flows: impl IntoIterator<Item = F>) -> Result<Vec<T>>
where
    F: Future<Output = Result<T>> + Send + 'static,
{
    let mut tasks: JoinSet<Result<T>> = flows.into_iter().collect();
    let mut all = Vec::with_capacity(tasks.len());
    while let Some(done) = tasks.join_next().await {
        all.push(done??);
    }
    Ok(all)
}

fn transferred(bytes: &[u64], since: Instant) -> Result<Value> {
    let bytes: u64 = bytes.iter().sum();
    Ok(json!({ "bytes": bytes, "seconds": since.elapsed().as_secs_f64() }))
}

#[expect(clippy::cast_precision_loss, reason = "counts")]
fn quantiles(mut taken: Vec<Duration>, since: Instant) -> Value {
    taken.sort_unstable();
    let at = |share: usize| {
        taken
            .get(taken.len() * share / 100)
            .map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    };
    json!({ "p50_us": at(50), "p99_us": at(99), "a_second": taken.len() as f64 / since.elapsed().as_secs_f64() })
}

async fn go(flow: &mut Wire) -> Result<()> {
    flow.write_u8(1).await?;
    flow.flush().await?;
    Ok(())
}

async fn read(mut flow: Wire, until: Option<Instant>) -> Result<u64> {
    go(&mut flow).await?;
    let mut block = vec![0; BLOCK];
    let mut all = 0;
    loop {
        let read = flow.read(&mut block);
        let count = match until {
            Some(until) => match timeout_at(until, read).await {
                Ok(count) => count?,
                Err(_elapsed) => return Ok(all),
            },
            None => read.await?,
        };
        if count == 0 {
            return Ok(all);
        }
        all += u64::try_from(count)?;
    }
}

async fn read_slowly(mut flow: Wire, until: Instant) -> Result<u64> {
    go(&mut flow).await?;
    let mut block = vec![0; SLOW_BLOCK];
    let mut all = 0;
    let mut turn = Instant::now();
    while turn < until {
        flow.read_exact(&mut block).await?;
        all += u64::try_from(SLOW_BLOCK)?;
        turn += Duration::from_millis(100);
        sleep_until(turn).await;
    }
    Ok(all)
}

async fn give(mut flow: Wire, bytes: u64) -> Result<u64> {
    ask::write(&mut flow, bytes).await?;
    flow.shutdown().await?;
    Ok(flow.read_u64().await?)
}

/// Either so many times or for so long.
async fn echo(mut flow: Wire, times: Option<usize>, until: Option<Instant>) -> Result<Vec<Duration>> {
    let mut taken = Vec::with_capacity(times.unwrap_or(1024));
    let mut back = WORD;
    while times.is_none_or(|times| taken.len() < times) && until.is_none_or(|until| Instant::now() < until) {
        let sent = Instant::now();
        flow.write_all(&WORD).await?;
        flow.flush().await?;
        flow.read_exact(&mut back).await?;
        taken.push(sent.elapsed());
    }
    Ok(taken)
}
