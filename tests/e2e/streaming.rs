//! Results stream: what the gateway keeps of one does not grow with it, however slowly the client reads.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sallyport_tests::{Plan, Stage, Wire, bundle, mask, text};

/// Each value of the results is this long, so that masking has something to do in every row.
const ROW: &str = "repeat('x', 950) || ' ada@example.com'";
/// So many rows: a hundred megabytes.
const ROWS: u32 = 100_000;
/// What the gateway may take for it.
const GROWTH_KIB: u64 = 32 * 1024;

const CLASSIFY: &str = "[[detectors]]\nkind = \"email\"\nclass = \"contacts\"\n";

/// The most memory that a process ever had, in KiB.
fn peak_kib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.context("no VmHWM")?.parse().context("VmHWM is no number")
}

fn stage() -> Result<(Stage, tempfile::TempDir)> {
    let policy = bundle(CLASSIFY, &mask("contacts", "partial"))?;
    Ok((Stage::start(&Plan::with_bundle(&policy))?, policy))
}

fn until_it_cannot_send(stage: &Stage) -> Result<()> {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite'";
    for _ in 0..600 {
        if stage.server.query("shop", waiting)?.trim() == "1" {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("the target never waited for its client")
}

/// Reads an answer to its end: how many messages of a kind came, and whether a value came unmasked.
fn drain(wire: &mut Wire, kind: u8) -> Result<(u64, bool)> {
    let (mut count, mut clear) = (0, false);
    loop {
        let said = wire.message()?;
        ensure!(said.kind != b'E', "{said:?}");
        count += u64::from(said.kind == kind);
        clear |= said.body.ends_with(b"ada@example.com") || said.body.ends_with(b"ada@example.com\n");
        if said.kind == b'Z' {
            return Ok((count, clear));
        }
    }
}

#[test]
fn a_result_of_any_length_takes_no_more_memory() -> Result<()> {
    let (stage, _policy) = stage()?;
    let mut wire = Wire::open(&stage.through("alice")?)?;
    let series = |rows: u32| format!("SELECT {ROW} FROM generate_series(1, {rows})");
    for statement in [series(1000), format!("COPY ({}) TO STDOUT", series(1000))] {
        let answer = wire.simple(&statement)?;
        ensure!(answer.len() > 1000, "a warm-up: {} messages", answer.len());
    }
    let before = peak_kib(stage.gateway.pid())?;
    for (statement, kind) in [
        (series(ROWS), b'D'),
        (format!("COPY ({}) TO STDOUT", series(ROWS)), b'd'),
    ] {
        wire.send(b'Q', &text(&statement))?;
        // The client does not read until the target can send no more: all of the way waits, and does not swell.
        until_it_cannot_send(&stage)?;
        let (count, clear) = drain(&mut wire, kind)?;
        ensure!(
            count >= u64::from(ROWS) / 100 && !clear,
            "{count} messages, unmasked: {clear}"
        );
    }
    let grown = peak_kib(stage.gateway.pid())?.saturating_sub(before);
    ensure!(grown < GROWTH_KIB, "it grew by {grown} KiB");
    Ok(())
}

#[test]
fn data_that_is_copied_in_takes_no_more_memory() -> Result<()> {
    let (stage, _policy) = stage()?;
    stage
        .server
        .query("shop", "CREATE UNLOGGED TABLE sink (t text); GRANT ALL ON sink TO app")?;
    let before = peak_kib(stage.gateway.pid())?;
    let mut psql = stage.through("alice")?.program("psql");
    psql.args(["-XAt", "-c", "COPY sink FROM STDIN"]).stdin(Stdio::piped());
    let mut copying = psql.spawn()?;
    let mut input = copying.stdin.take().context("no input")?;
    let line = [&[b'y'; 1000][..], b"\n"].concat();
    let block: Vec<u8> = line.iter().copied().cycle().take(line.len() * 1000).collect();
    for _ in 0..100 {
        input.write_all(&block)?;
    }
    drop(input);
    ensure!(copying.wait()?.success());
    ensure!(stage.server.query("shop", "SELECT count(*) FROM sink")?.trim() == "100000");
    let grown = peak_kib(stage.gateway.pid())? - before;
    ensure!(grown < GROWTH_KIB, "it grew by {grown} KiB");
    Ok(())
}

/// One value of this many bytes, and what the gateway may keep of a message.
const LARGE: usize = 96 << 20;
const KEPT: &str = "[limits]\nmax_message_mib = 1\n";

#[test]
fn a_value_that_nobody_looks_at_passes_in_pieces() -> Result<()> {
    let policy = bundle("", "")?;
    let mut plan = Plan::with_bundle(&policy);
    plan.settings = KEPT.to_owned();
    let stage = Stage::start(&plan)?;
    let mut wire = Wire::open(&stage.through("alice")?)?;
    let value = format!("SELECT repeat('x', {LARGE})");
    ensure!(wire.simple("SELECT repeat('x', 100000)")?.len() == 4);
    let before = peak_kib(stage.gateway.pid())?;
    for (statement, kind, head) in [(value.clone(), b'D', 6), (format!("COPY ({value}) TO STDOUT"), b'd', 0)] {
        let answer = wire.simple(&statement)?;
        let row = answer.iter().find(|said| said.kind == kind).context("no row")?;
        let cell = row.body.get(head..).unwrap_or_default();
        ensure!(
            cell.iter().filter(|byte| **byte == b'x').count() == LARGE,
            "{} bytes",
            cell.len()
        );
        ensure!(wire.simple("SELECT 1")?.len() == 4, "the session goes on");
    }
    let grown = peak_kib(stage.gateway.pid())?.saturating_sub(before);
    ensure!(grown < GROWTH_KIB, "it grew by {grown} KiB");
    Ok(())
}

#[test]
fn a_value_that_would_have_to_be_kept_whole_is_refused_by_the_setting() -> Result<()> {
    let policy = bundle(CLASSIFY, &mask("contacts", "partial"))?;
    let mut plan = Plan::with_bundle(&policy);
    plan.settings = KEPT.to_owned();
    let stage = Stage::start(&plan)?;
    let mut wire = Wire::open(&stage.through("alice")?)?;
    for _ in 0..3 {
        ensure!(
            wire.simple("SELECT repeat('x', 1000000)")?.len() == 4,
            "what fits passes"
        );
    }
    let before = peak_kib(stage.gateway.pid())?;
    let value = format!("SELECT repeat('x', {LARGE})");
    for statement in [value.clone(), format!("COPY ({value}) TO STDOUT")] {
        let mut wire = Wire::open(&stage.through("alice")?)?;
        ensure!(
            wire.simple("SELECT repeat('x', 1000000)")?.len() == 4,
            "what fits passes"
        );
        wire.send(b'Q', &text(&statement))?;
        let error = loop {
            let said = wire.message()?;
            ensure!(said.kind != b'D' && said.kind != b'd', "it was let through");
            if said.kind == b'E' {
                break said;
            }
        };
        let words = (error.field(b'C'), error.field(b'H').unwrap_or_default());
        ensure!(
            words.0.as_deref() == Some("54000") && words.1.contains("limits.max_message_mib"),
            "{words:?}"
        );
    }
    let grown = peak_kib(stage.gateway.pid())?.saturating_sub(before);
    // Far less than one of the values, of which two were sent.
    ensure!(grown < u64::try_from(LARGE)? / 2048, "it grew by {grown} KiB");
    Ok(())
}

/// Each of these sessions receives a value of this many bytes, at the same time.
const CROWD: usize = 6;
const HEAVY: usize = 6 << 20;

#[test]
fn a_crowd_of_long_values_has_one_memory() -> Result<()> {
    let policy = bundle(CLASSIFY, &mask("contacts", "partial"))?;
    let mut plan = Plan::with_bundle(&policy);
    plan.settings = "[limits]\nlong_messages_mib = 24\n".to_owned();
    let stage = Stage::start(&plan)?;
    let endpoint = stage.through("alice")?;
    let wires: Result<Vec<Wire>> = (0..CROWD).map(|_| Wire::open(&endpoint)).collect();
    let mut wires = wires?;
    for wire in &mut wires {
        ensure!(wire.simple("SELECT 'x' || ' ada@example.com'")?.len() == 4);
    }
    let before = peak_kib(stage.gateway.pid())?;
    let received: Vec<Result<usize>> = std::thread::scope(|scope| {
        let receive = |mut wire: Wire| {
            let statement = format!("SELECT repeat('x', {HEAVY}) || ' ada@example.com'");
            let answer = wire.simple(&statement)?;
            let row = answer.iter().find(|said| said.kind == b'D').context("no row")?;
            ensure!(!row.body.ends_with(b"ada@example.com"), "unmasked");
            Ok(row.body.len())
        };
        let running: Vec<_> = wires
            .into_iter()
            .map(|wire| scope.spawn(move || receive(wire)))
            .collect();
        let joined = running.into_iter().map(|thread| thread.join());
        joined
            .map(|result| result.unwrap_or_else(|_| bail!("a client failed")))
            .collect()
    });
    for len in received {
        ensure!(len? > HEAVY, "every session has its value");
    }
    // One at a time; all at once would be several times as much.
    let grown = peak_kib(stage.gateway.pid())?.saturating_sub(before);
    ensure!(grown < 64 * 1024, "it grew by {grown} KiB");
    Ok(())
}
