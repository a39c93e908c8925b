//! The process that carries the packets of a wire with delay, loss and the like.

use std::process::Command;
use std::time::{Duration, Instant};

use super::link::{Link, LinkQuality};
use crate::TestbedError;
use crate::supervisor::Supervised;

const PROGRAM: &str = include_str!("wire.py");
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Starts it and waits until both hosts have their device.
pub(super) fn start(link: &Link, quality: LinkQuality) -> Result<Supervised, TestbedError> {
    let dir = tempfile::Builder::new()
        .prefix("sallyport-wire-")
        .tempdir()
        .map_err(TestbedError::file(std::env::temp_dir()))?
        .keep();
    let mut command = Command::new("python3");
    command.args(["-I", "-u", "-c", PROGRAM, link.device()]);
    for host in link.hosts() {
        command.arg(format!("{}/{}", super::name::FOLDER, host.namespace()));
    }
    command.args([
        quality.delay.as_secs_f64().to_string(),
        quality.jitter.as_secs_f64().to_string(),
        (quality.loss_percent / 100.0).to_string(),
        (f64::from(quality.rate_kbit.unwrap_or(0)) * 125.0).to_string(),
    ]);
    let wire = Supervised::start(&command, "KILL", &dir).inspect_err(|_| {
        let _ = std::fs::remove_dir_all(&dir);
    })?;
    wait_until_ready(&wire)?;
    Ok(wire)
}

fn wait_until_ready(wire: &Supervised) -> Result<(), TestbedError> {
    let start = Instant::now();
    while start.elapsed() < READY_TIMEOUT {
        let log = wire.log_tail();
        if log == "up" {
            return Ok(());
        }
        if !wire.is_running() {
            let program = "the wire".to_owned();
            return Err(TestbedError::Failed { program, output: log });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Err(TestbedError::NotReady {
        seconds: READY_TIMEOUT.as_secs(),
        log: wire.log_tail(),
    })
}
