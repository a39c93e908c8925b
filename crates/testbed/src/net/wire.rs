//! The process that carries the packets of a wire with delay, loss and the like.

use std::process::Command;

use super::link::{Link, LinkQuality};
use crate::TestbedError;
use crate::supervisor::Supervised;

const PROGRAM: &str = include_str!("wire.py");

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
    wire.wait_until("the wire", || Ok(wire.log_tail() == "up"))?;
    Ok(wire)
}
