//! The machine under the gateway fails it: no file descriptors, a full disk, a slow one. What was begun goes on, what cannot be
//! begun is refused in words, and all is well again when the machine is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sallyport_testbed::{Gateway, PASSWORD};
use sallyport_tests::raw::{Raw, error_field, packet, query, tags};
use sallyport_tests::{Plan, Stage, commands, transcripts};
use serde_json::json;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many files the gateway may have open.
const DESCRIPTORS: usize = 200;

/// Tries until it succeeds: for what happens by itself and tells nobody.
fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(found) = attempt()? {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("{what} did not happen within {PATIENCE:?}")
}

fn works(raw: &mut Raw) -> Result<()> {
    raw.send(&query("SELECT 1"))?;
    let said = raw.until(b'Z')?;
    ensure!(tags(&said) == "TDCZ", "{said:?}");
    Ok(())
}

fn open_files(gateway: &Gateway) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", gateway.pid()))?.count())
}

/// The lowest number that no open file has, when what was opened for a moment is closed. The limit is one of numbers.
fn lowest_free(gateway: &Gateway) -> Result<usize> {
    let mut last = (0, Instant::now());
    eventually("rest", || {
        let free = (0..)
            .find(|number| std::fs::symlink_metadata(format!("/proc/{}/fd/{number}", gateway.pid())).is_err())
            .unwrap_or_default();
        if free != last.0 {
            last = (free, Instant::now());
        }
        Ok((last.1.elapsed() > Duration::from_millis(300)).then_some(free))
    })
}

/// pa-208: there are fewer sessions than file descriptors, whatever the limits say, and a crowd takes none from those that
/// are open.
#[test]
fn sessions_are_refused_before_file_descriptors_run_out() -> Result<()> {
    let mut plan = Plan::with_policy("tests/policies/permit-all");
    plan.before = format!("ulimit -n {DESCRIPTORS}");
    // Of a machine with many cores they would take most.
    plan.settings = "[limits]\nworkers = 2\n".to_owned();
    let stage = Stage::start(&plan)?;
    let endpoint = stage.through("alice")?;
    let mut sessions = Vec::new();
    let refusal = loop {
        match Raw::login(&endpoint) {
            Ok(session) => sessions.push(session),
            Err(refusal) => break refusal.to_string(),
        }
        ensure!(sessions.len() < DESCRIPTORS, "nobody was refused");
    };
    ensure!(sessions.len() >= 8, "{}: {refusal}", sessions.len());
    ensure!(
        refusal.contains("57P03") && refusal.contains("all the sessions it may have"),
        "{refusal}"
    );
    let mut crowd = Vec::new();
    for _ in 0..2 * DESCRIPTORS {
        crowd.push(Raw::connect(&endpoint.host, endpoint.port)?);
    }
    for session in &mut sessions {
        works(session)?;
    }
    let open = open_files(&stage.gateway)?;
    ensure!(open < DESCRIPTORS, "{open} files are open");
    ensure!(stage.gateway.api().get("/healthz", None)?.status == 200, "it is well");
    drop((crowd, sessions));
    eventually("a session after the crowd", || Ok(Raw::login(&endpoint).ok()))?;
    Ok(())
}

/// Lowers or raises the limit under the running gateway.
fn limit(gateway: &Gateway, files: usize) -> Result<()> {
    let pid = gateway.pid().to_string();
    let status = Command::new("prlimit")
        .args(["--pid", &pid, &format!("--nofile={files}:")])
        .status()?;
    ensure!(status.success(), "prlimit: {status}");
    Ok(())
}

/// Should they run out all the same, connections wait, those that got in are told, and open sessions notice nothing.
#[test]
fn a_gateway_without_file_descriptors_keeps_its_sessions_and_recovers() -> Result<()> {
    let stage = Stage::start(&Plan::with_policy("tests/policies/permit-all"))?;
    let endpoint = stage.through("alice")?;
    let mut session = Raw::login(&endpoint)?;
    works(&mut session)?;
    // Enough for the client, and not for the rest.
    limit(&stage.gateway, lowest_free(&stage.gateway)? + 1)?;
    let refusal = Raw::login(&endpoint).err().context("it was let in")?.to_string();
    ensure!(
        refusal.contains("not let in") && !refusal.contains("os error"),
        "{refusal}"
    );
    works(&mut session)?;

    // Not even for the client: it waits in the operating system.
    limit(&stage.gateway, lowest_free(&stage.gateway)?)?;
    let waiting = std::thread::spawn(move || Raw::login(&endpoint));
    let log = stage.gateway.dir().join("log");
    eventually("the shortage", || {
        let text = std::fs::read_to_string(&log)?;
        Ok(text.contains("cannot accept connections for the moment").then_some(()))
    })?;
    works(&mut session)?;
    limit(&stage.gateway, 4096)?;
    let mut waiting = waiting.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
    works(&mut waiting)?;
    works(&mut session)
}

/// A disk that can be made full or slow, for the gateway alone.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Result<Disk> {
        let dir = tempfile::tempdir()?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/faults.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(dir.path().join("faults.so"))
            .arg(source)
            .arg("-ldl")
            .status()?;
        ensure!(compiled.success(), "cc: {compiled}");
        Ok(Disk(dir))
    }

    /// What puts the gateway on this disk.
    fn before(&self) -> String {
        let dir = self.0.path().display();
        format!("export FAULTS={dir} LD_PRELOAD={dir}/faults.so")
    }

    fn fault(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Nothing more is taken for files whose path has this in it.
    fn fill(&self, files: &str) -> Result<()> {
        // Renamed into place, so that no half of it is read.
        std::fs::write(self.fault("draft"), files)?;
        Ok(std::fs::rename(self.fault("draft"), self.fault("full"))?)
    }

    fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.fault("full"))?)
    }
}

fn stage_on(disk: &Disk, more: &str) -> Result<Stage> {
    let mut plan = Plan::with_policy("tests/policies/permit-all");
    plan.before = format!("{}\n{more}", disk.before());
    Stage::start(&plan)
}

fn login_status(stage: &Stage) -> Result<(u16, String)> {
    let body = json!({ "user": "alice", "password": PASSWORD });
    let reply = stage.gateway.api().post("/v1/auth/password", None, &body)?;
    Ok((reply.status, reply.body.to_string()))
}

fn health(stage: &Stage) -> Result<(u16, String)> {
    let reply = stage.gateway.api().get("/healthz", None)?;
    Ok((reply.status, reply.body.to_string()))
}

#[test]
fn a_full_disk_under_the_journal_lets_nobody_in_and_says_so() -> Result<()> {
    let disk = Disk::new()?;
    let stage = stage_on(&disk, "")?;
    let endpoint = stage.through("alice")?;
    let mut session = Raw::login(&endpoint)?;
    disk.fill("journal.rec")?;
    for _ in 0..2 {
        let (status, body) = login_status(&stage)?;
        ensure!(status >= 500 && !body.contains("token"), "{status}: {body}");
    }
    // What is recorded goes on: its record has room.
    works(&mut session)?;
    let (status, body) = health(&stage)?;
    ensure!(status == 503 && body.contains("journal"), "{status}: {body}");
    // A cut entry may be at its end, which only a start puts aside.
    disk.free()?;
    let (status, body) = health(&stage)?;
    ensure!(status == 503 && body.contains("journal"), "{status}: {body}");
    let Stage { gateway, .. } = stage;
    let gateway = gateway.kill()?.start()?;
    let token = gateway.login("audrey")?;
    ensure!(gateway.api().get("/healthz", None)?.status == 200, "it is well again");
    ensure!(gateway.api().get("/v1/sessions", Some(&token))?.status == 200);
    Ok(())
}

#[test]
fn a_full_disk_under_the_store_ends_nothing_and_passes() -> Result<()> {
    let disk = Disk::new()?;
    let stage = stage_on(&disk, "")?;
    let endpoint = stage.through("alice")?;
    let mut session = Raw::login(&endpoint)?;
    disk.fill("sallyport.db")?;
    let (status, body) = login_status(&stage)?;
    ensure!(status >= 500 && !body.contains("token"), "{status}: {body}");
    works(&mut session)?;
    disk.free()?;
    let token = eventually("a login", || Ok(stage.through("alice").ok()))?;
    works(&mut Raw::login(&token)?)?;
    works(&mut session)
}

#[test]
fn a_full_disk_under_a_recording_ends_its_session_before_the_command_leaves() -> Result<()> {
    let disk = Disk::new()?;
    let stage = stage_on(&disk, "")?;
    stage
        .server
        .query("shop", "CREATE TABLE t (n int); ALTER TABLE t OWNER TO app")?;
    let endpoint = stage.through("alice")?;
    let mut session = Raw::login(&endpoint)?;
    works(&mut session)?;
    disk.fill("/recordings/")?;
    session.send(&query("INSERT INTO t VALUES (1)"))?;
    let said = session.rest()?;
    ensure!(
        error_field(&said, b'V').as_deref() == Some("FATAL"),
        "the session ends in words: {said:?}"
    );
    let refusal = Raw::login(&endpoint).err().context("it was let in")?.to_string();
    ensure!(refusal.contains("not let in"), "{refusal}");
    ensure!(
        stage.server.query("shop", "SELECT count(*) FROM t")?.trim() == "0",
        "nothing ran"
    );
    let (status, body) = health(&stage)?;
    ensure!(status == 503 && body.contains("recordings"), "{status}: {body}");
    disk.free()?;
    works(&mut Raw::login(&endpoint)?)
}

/// pa-216: commands wait for a slow disk, together; none leaves before its record is on it, and nobody else waits.
#[test]
fn a_slow_disk_makes_commands_wait_and_loses_none() -> Result<()> {
    const SESSIONS: u32 = 8;
    const ROUNDS: u32 = 3;
    const SYNC: Duration = Duration::from_millis(300);
    let disk = Disk::new()?;
    let stage = stage_on(&disk, "sed -i '1i recording = \"durable\"' \"$3\"")?;
    stage
        .server
        .query("shop", "CREATE TABLE t (n int); ALTER TABLE t OWNER TO app")?;
    let endpoint = stage.through("alice")?;
    let mut sessions = (0..SESSIONS)
        .map(|_| Raw::login(&endpoint))
        .collect::<Result<Vec<_>>>()?;
    std::fs::write(disk.fault("slow"), SYNC.as_millis().to_string())?;
    let start = Instant::now();
    for round in 0..ROUNDS {
        for (number, session) in (0..).zip(&mut sessions) {
            session.send(&query(&format!("INSERT INTO t VALUES ({})", SESSIONS * round + number)))?;
        }
        let ran = stage.server.query("shop", "SELECT count(*) FROM t")?;
        let synced = start.elapsed().as_millis() / SYNC.as_millis();
        ensure!(
            synced > u128::from(round) || ran.trim().parse::<u32>()? <= SESSIONS * round,
            "{ran} ran after {synced} syncs"
        );
        // Whoever needs no record does not wait.
        let asked = Instant::now();
        Raw::connect(&endpoint.host, endpoint.port)?.send(&packet(&80_877_103_u32.to_be_bytes()))?;
        ensure!(health(&stage)?.0 == 200 && asked.elapsed() < PATIENCE);
        for session in &mut sessions {
            let said = session.until(b'Z')?;
            ensure!(tags(&said) == "CZ", "{said:?}");
        }
    }
    let took = start.elapsed();
    ensure!(took >= SYNC * ROUNDS, "{took:?}: no command waited for its record");
    ensure!(
        took < SYNC * SESSIONS * ROUNDS,
        "{took:?}: sessions waited one after the other"
    );
    std::fs::remove_file(disk.fault("slow"))?;
    let recorded = commands(&transcripts(&stage.gateway, "audrey")?);
    for number in 0..SESSIONS * ROUNDS {
        let text = format!("INSERT INTO t VALUES ({number})");
        ensure!(recorded.contains(&text), "`{text}` is in no recording");
    }
    Ok(())
}
