//! What a peer that does not keep up costs the gateway: nothing that grows.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sallyport_tests::{SshBed, SshPlan};

use super::{eventually, exec, peak, said};

const MIB: usize = 1 << 20;
/// How long the streams are, in MiB, unless `SALLYPORT_STREAM_MIB` says otherwise.
const LENGTH: usize = 300;
/// How often the reader stops.
const PAUSES: usize = 3;
/// So far the two ends may be from each other, in MiB: windows, and what pipes and sockets hold on the way.
const LAG: usize = 24;
/// So much more memory the gateway may take meanwhile, in MiB.
const GROWTH: usize = 32;

fn length() -> Result<usize> {
    match std::env::var("SALLYPORT_STREAM_MIB") {
        Ok(text) => Ok(text.parse()?),
        Err(_) => Ok(LENGTH),
    }
}

/// How many MiB the host has been through.
fn progress(path: &Path) -> Result<usize> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().parse().unwrap_or(0)),
        Err(_) => Ok(0),
    }
}

/// A shell loop over MiB that says how far it is.
fn each_mib(body: &str, length: usize, path: &Path) -> String {
    let path = path.display();
    format!("i=0; while [ $i -lt {length} ]; do {body}; i=$((i+1)); echo $i >{path}.new; mv {path}.new {path}; done")
}

/// A bed that has been used once, with what the host writes down.
fn bed() -> Result<(SshBed, std::path::PathBuf)> {
    let bed = SshBed::start(&SshPlan::default())?;
    let place = bed.sshd.home("deploy").join("progress");
    let output = exec(&bed.through("alice")?, "head -c 8388608 /dev/zero | wc -c")?;
    ensure!(output.status.success(), "{} {}", said(&output), bed.logs());
    Ok((bed, place))
}

/// Waits until a count has begun and does not change any more; what it is then.
fn stuck(mut count: impl FnMut() -> Result<usize>) -> Result<usize> {
    eventually("a start", || Ok((count()? > 0).then_some(())))?;
    let (mut last, mut same) = (0, 0);
    while same < 25 {
        let now = count()?;
        same = if now == last { same + 1 } else { 0 };
        last = now;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(last)
}

#[test]
fn a_client_that_does_not_read_stops_the_host_and_takes_no_memory() -> Result<()> {
    let length = length()?;
    let pause = length.div_ceil(PAUSES);
    let (bed, place) = bed()?;
    let before = peak(&bed)?;
    let through = bed.through("alice")?;
    let line = each_mib("head -c 1048576 /dev/zero", length, &place);
    let mut child = through
        .exec(&line)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = child.stdout.take().context("no output")?;
    let mut bytes = vec![0; MIB];
    for read in 0..length {
        if read % pause == 0 {
            let ahead = stuck(|| progress(&place))?.saturating_sub(read);
            ensure!(ahead <= LAG, "{ahead} MiB are on their way at {read}");
        }
        output.read_exact(&mut bytes)?;
    }
    ensure!(child.wait()?.success(), "the command fails");
    let grown = peak(&bed)?.saturating_sub(before);
    ensure!(grown <= GROWTH, "the gateway took {grown} MiB more");
    Ok(())
}

#[test]
fn a_host_that_does_not_read_stops_the_client_and_takes_no_memory() -> Result<()> {
    let length = length()?;
    let pause = length.div_ceil(PAUSES);
    let (bed, place) = bed()?;
    let before = peak(&bed)?;
    let through = bed.through("alice")?;
    let go = place.with_extension("go");
    let body = format!(
        "until [ $((i % {pause})) -ne 0 ] || rm {} 2>/dev/null; do sleep 0.02; done; head -c 1048576 >/dev/null",
        go.display()
    );
    let line = each_mib(&body, length, &place);
    let mut child = through
        .exec(&line)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let mut input = child.stdin.take().context("no input")?;
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let writer = std::thread::spawn(move || -> std::io::Result<()> {
        let bytes = vec![0; MIB];
        for _ in 0..length {
            input.write_all(&bytes)?;
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    });
    for at in (0..length).step_by(pause) {
        let ahead = stuck(|| Ok(written.load(Ordering::Relaxed)))?.saturating_sub(at);
        ensure!(ahead <= LAG, "{ahead} MiB are on their way at {at}");
        std::fs::write(&go, "")?;
        eventually("the host to go on", || Ok((!go.exists()).then_some(())))?;
    }
    ensure!(writer.join().is_ok_and(|done| done.is_ok()), "the client fails");
    ensure!(child.wait()?.success(), "the command fails");
    ensure!(progress(&place)? == length, "all of it arrived");
    let grown = peak(&bed)?.saturating_sub(before);
    ensure!(grown <= GROWTH, "the gateway took {grown} MiB more");
    Ok(())
}
