//! Clients that mean harm, or are unlucky.

use std::io::Read;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sallyport_testbed::{Auth, Options};
use sallyport_tests::raw::{Raw, error_field, message, packet, query, startup, tags};
use sallyport_tests::{Plan, Stage};

/// What no target may execute, wherever it stands in what a client sends.
const SMUGGLED: &str = "SELECT 'smuggled'";

fn stage(settings: &str) -> Result<Stage> {
    let mut plan = Plan::with_policy("tests/policies/permit-all");
    plan.server.log_statements = true;
    plan.settings = settings.to_owned();
    Stage::start(&plan)
}

/// The gateway is as well as before, and nothing was smuggled.
fn check(stage: &Stage) -> Result<()> {
    ensure!(stage.gateway.is_running(), "{}", stage.gateway.log_tail());
    let mut raw = Raw::login(&stage.through("alice")?)?;
    raw.send(&query("SELECT 1"))?;
    ensure!(tags(&raw.until(b'Z')?) == "TDCZ", "a good client is served as before");
    let executed = stage.server.statements()?;
    ensure!(
        !executed.iter().any(|statement| statement.text.contains("smuggled")),
        "{executed:?}"
    );
    Ok(())
}

fn with_length(tag: u8, length: u32) -> Vec<u8> {
    [&[tag][..], &length.to_be_bytes(), b"SELECT 1\0"].concat()
}

/// pa-016, pa-019 and their like: what no client of the protocol says ends the session with a reason.
#[test]
fn what_makes_no_sense_ends_the_session_in_words() -> Result<()> {
    let stage = stage("")?;
    let mut offences: Vec<(String, Vec<u8>)> = vec![
        ("a password after the login".to_owned(), message(b'p', b"secret\0")),
        (
            "a startup packet after the login".to_owned(),
            startup(&[(b"user", b"dana")]),
        ),
        (
            "a request for TLS after the login".to_owned(),
            packet(&80_877_103_u32.to_be_bytes()),
        ),
        (
            "a request to cancel after the login".to_owned(),
            packet(&[4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 2]),
        ),
        ("a Bind that ends early".to_owned(), message(b'B', b"\0\0\0\x01")),
        (
            "a Bind with a negative count".to_owned(),
            message(b'B', b"\0\0\0\0\xff\xff\0\0"),
        ),
        (
            "a Bind with a value beyond its end".to_owned(),
            message(b'B', b"\0\0\0\0\0\x01\0\0\x7f\0\0\0\0\0"),
        ),
        ("a Describe of neither".to_owned(), message(b'D', b"X\0")),
        ("a Close of neither".to_owned(), message(b'C', b"X\0")),
        ("an Execute that ends early".to_owned(), message(b'E', b"\0\0")),
        (
            "an Execute with more behind it".to_owned(),
            message(b'E', b"\0\0\0\0\0more"),
        ),
        ("a function call that ends early".to_owned(), message(b'F', b"\0\0")),
    ];
    for length in [0, 1, 3, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        for tag in [b'E', b'd', b'S', b'X'] {
            offences.push((
                format!("`{}` of length {length}", char::from(tag)),
                with_length(tag, length),
            ));
        }
    }
    // What servers say, and what nobody says.
    for tag in [b'T', b'Z', b'R', b'K', b'1', b'W', b'v', b'?', 0, 0xff] {
        offences.push((format!("a message of type {tag}"), message(tag, b"\0\0\0\0")));
    }
    let endpoint = stage.through("alice")?;
    for (what, offence) in &offences {
        let mut raw = Raw::login(&endpoint)?;
        raw.send(&[offence, &query(SMUGGLED)[..]].concat())?;
        let said = raw.rest().with_context(|| what.clone())?;
        let state = error_field(&said, b'C');
        ensure!(
            matches!(state.as_deref(), Some("08P01" | "54000")) && error_field(&said, b'V').as_deref() == Some("FATAL"),
            "{what}: {said:?}"
        );
        ensure!(tags(&said) == "E", "{what}: {said:?}");
    }
    check(&stage)
}

/// pa-024, pa-026: messages that are good by themselves, in an order that is not. The gateway does as the server does.
#[test]
fn messages_out_of_order_come_to_the_same_as_without_the_gateway() -> Result<()> {
    let mut plan = Plan::with_policy("tests/policies/permit-all");
    plan.server = Options {
        auth: Auth::Trust,
        ..Options::default()
    };
    plan.target += "\nauth = [\"trust\"]";
    let stage = Stage::start(&plan)?;
    stage
        .server
        .query("shop", "CREATE TABLE t (a int); ALTER TABLE t OWNER TO app")?;
    let parse = |text: &str| message(b'P', &[b"\0", text.as_bytes(), b"\0\0\0"].concat());
    let (sync, flush) = (message(b'S', b""), message(b'H', b""));
    let bind = message(b'B', b"\0\0\0\0\0\0\0\0");
    let execute = message(b'E', b"\0\0\0\0\0");
    let data = message(b'd', b"7\n");
    let done = message(b'c', b"");
    let fail = message(b'f', b"no\0");
    let copy = query("COPY t FROM STDIN");
    let end = query("SELECT 'the ' || 'end'");
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        (
            "a Parse without its end",
            vec![message(b'P', b"name without an end"), sync.clone(), end.clone()],
        ),
        (
            "a Parse with fewer types than it says",
            vec![
                message(b'P', b"\0SELECT 1\0\x7f\xff"),
                bind.clone(),
                sync.clone(),
                end.clone(),
            ],
        ),
        (
            "copy data outside a COPY",
            vec![data.clone(), done.clone(), fail.clone()],
        ),
        ("a thousand Syncs", vec![sync.repeat(1000)]),
        (
            "two queries at once",
            vec![[query("SELECT 1"), query("SELECT 2")].concat()],
        ),
        (
            "a query in a batch",
            vec![parse("SELECT 1"), query("SELECT 2"), sync.clone()],
        ),
        ("an Execute of nothing", vec![execute.clone(), sync.clone()]),
        ("a Bind of nothing", vec![bind.clone(), execute.clone(), sync.clone()]),
        (
            "a Sync and a Flush in a COPY",
            vec![copy.clone(), sync.clone(), flush.clone(), data.clone(), done.clone()],
        ),
        (
            "a COPY that the client gives up",
            vec![copy.clone(), data.clone(), fail],
        ),
        ("copy data after its end", vec![copy.clone(), data.clone(), done, data]),
        ("flushes", vec![flush.repeat(100), sync.clone()]),
        ("a batch without a Sync", vec![parse("SELECT 1"), bind, execute, flush]),
        ("an empty query", vec![query(""), query(";")]),
    ];
    let endpoints = [stage.direct(), stage.through("alice")?];
    for (what, messages) in &cases {
        let mut seen = Vec::new();
        for endpoint in &endpoints {
            let mut raw = Raw::login(endpoint)?;
            raw.send(&[messages.concat(), end.clone()].concat())?;
            let mut said = Vec::new();
            while let Some(message) = raw.read().with_context(|| (*what).to_owned())? {
                let over = message.1.ends_with(b"the end");
                said.push(message);
                if over {
                    said.extend(raw.until(b'Z')?);
                    break;
                }
            }
            seen.push((tags(&said), error_field(&said, b'C')));
        }
        ensure!(seen.first() == seen.get(1), "{what}: {seen:?}");
    }
    // What was asked for before the goodbye is answered.
    for endpoint in &endpoints {
        let mut raw = Raw::login(endpoint)?;
        raw.send(&[query("SELECT 1"), query("SELECT 2"), message(b'X', b"")].concat())?;
        ensure!(tags(&raw.rest()?) == "TDCZTDCZ", "a goodbye behind queries");
    }
    // A server ends the session here, and so does the gateway.
    let mut raw = Raw::login(&stage.through("alice")?)?;
    raw.send(&[copy, query(SMUGGLED)].concat())?;
    let said = raw.rest()?;
    ensure!(error_field(&said, b'C').as_deref() == Some("08P01"), "{said:?}");
    Ok(())
}

/// Cut anywhere, what a client sends ends its session and nothing else.
#[test]
fn a_client_that_is_cut_off_leaves_nothing_behind() -> Result<()> {
    let stage = stage("")?;
    let whole = message(b'P', format!("\0{SMUGGLED}\0\0\0").as_bytes());
    let endpoint = stage.through("alice")?;
    for cut in 1..whole.len() {
        let mut raw = Raw::login(&endpoint)?;
        raw.send(whole.get(..cut).unwrap_or_default())?;
        raw.finish()?;
        ensure!(raw.rest()?.is_empty(), "cut at {cut}");
    }
    check(&stage)
}

/// The most memory that the gateway has had, in MiB.
fn peak(stage: &Stage) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stage.gateway.pid()))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("no VmHWM")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024)
}

#[test]
fn a_message_beyond_the_limit_is_refused_and_not_kept() -> Result<()> {
    const MIB: usize = 256;
    let stage = stage("[limits]\nmax_message_mib = 1\n")?;
    let mut raw = Raw::login(&stage.through("alice")?)?;
    raw.send(&query("SELECT 1"))?;
    raw.until(b'Z')?;
    let before = peak(&stage)?;
    raw.send(&message(b'P', b"\0SELECT $1::text\0\0\0"))?;
    let length = u32::try_from(MIB << 20)?;
    raw.send(&[&[b'B'][..], &length.to_be_bytes()].concat())?;
    let mut left = (MIB << 20) - 4;
    let chunk = vec![b'x'; 1 << 20];
    while left > 0 {
        let part = chunk.get(..left.min(chunk.len())).unwrap_or_default();
        raw.send(part)?;
        left -= part.len();
    }
    raw.send(&[message(b'E', b"\0\0\0\0\0"), message(b'S', b""), query("SELECT 1")].concat())?;
    let mut said = raw.until(b'Z')?;
    ensure!(error_field(&said, b'C').as_deref() == Some("54000"), "{said:?}");
    let hint = error_field(&said, b'H').unwrap_or_default();
    ensure!(hint.contains("max_message_mib"), "{hint}");
    said = raw.until(b'Z')?;
    ensure!(tags(&said) == "TDCZ", "the session goes on: {said:?}");
    let grown = peak(&stage)?.saturating_sub(before);
    ensure!(grown < 32, "a message of {MIB} MiB that was refused took {grown} MiB");
    check(&stage)
}

/// pa-017: only the key that the client was given cancels, from any connection, and only its own session.
#[test]
fn forged_requests_to_cancel_do_nothing() -> Result<()> {
    let stage = stage("")?;
    let endpoint = stage.through("alice")?;
    let mut sleeper = Raw::login(&endpoint)?;
    let other = Raw::login(&endpoint)?;
    sleeper.send(&query("SELECT pg_sleep(600)"))?;
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND state = 'active' \
                    AND pid <> pg_backend_pid() AND usename = 'app'";
    let start = Instant::now();
    while stage.server.query("shop", sleeping)? != "1" {
        ensure!(start.elapsed() < Duration::from_secs(60), "it does not begin to sleep");
    }
    let cancel = |key: &[u8]| -> Result<()> {
        let mut raw = Raw::connect(&endpoint.host, endpoint.port)?;
        raw.send(&packet(&[&80_877_102_u32.to_be_bytes()[..], key].concat()))?;
        ensure!(raw.rest()?.is_empty(), "nobody is told anything");
        Ok(())
    };
    let (pid, secret) = sleeper.cancel_key.split_at(4);
    let (_, foreign) = other.cancel_key.split_at(4);
    let backend = stage.server.query(
        "shop",
        "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' LIMIT 1",
    )?;
    let backend: i32 = backend.trim().parse()?;
    let changed: Vec<u8> = secret.iter().map(|byte| byte ^ 1).collect();
    for forged in [
        [pid, foreign].concat(),
        [pid, &changed].concat(),
        [pid, secret, &[0]].concat(),
        [&backend.to_be_bytes(), secret].concat(),
    ] {
        cancel(&forged)?;
    }
    ensure!(stage.server.query("shop", sleeping)? == "1", "it still sleeps");
    cancel(&sleeper.cancel_key)?;
    let said = sleeper.until(b'Z')?;
    ensure!(error_field(&said, b'C').as_deref() == Some("57014"), "{said:?}");
    // The key of a session that is over is nobody's.
    let old = sleeper.cancel_key.clone();
    drop(sleeper);
    cancel(&old)?;
    check(&stage)
}

/// Ten thousand connections that say nothing, and one that says it slowly, keep nobody out.
#[test]
fn silent_and_slow_clients_keep_nobody_out() -> Result<()> {
    const SILENT: usize = 10_000;
    let stage = stage("[limits]\nhandshakes = 500\nhandshake_timeout_s = 3\nper_source = 100000\n")?;
    let endpoint = stage.through("alice")?;
    let address = (endpoint.host.as_str(), endpoint.port);
    let mut slow = TcpStream::connect(address)?;
    let dripping = std::thread::spawn(move || -> Result<Duration> {
        let start = Instant::now();
        slow.set_read_timeout(Some(Duration::from_millis(100)))?;
        let mut byte = [0];
        for next in startup(&[(b"user", &[b'a'; 200]), (b"database", b"orders")]) {
            if std::io::Write::write_all(&mut slow, &[next]).is_err() || matches!(slow.read(&mut byte), Ok(0)) {
                break;
            }
        }
        Ok(start.elapsed())
    });
    // As many as this process may have open, were that less.
    let mut crowd = Vec::new();
    while crowd.len() < SILENT
        && let Ok(stream) = TcpStream::connect(address)
    {
        crowd.push(stream);
        if crowd.len() % 1000 == 0 {
            check(&stage)?;
        }
    }
    ensure!(crowd.len() >= 900, "{} connections", crowd.len());
    check(&stage)?;
    let kept = dripping
        .join()
        .map_err(|_| anyhow::anyhow!("the slow client panicked"))??;
    ensure!(
        kept < Duration::from_secs(15),
        "a byte at a time was listened to for {kept:?}"
    );
    Ok(())
}

/// pa-158: what a client calls itself cannot add lines to the log or fields to them.
#[test]
fn names_that_look_like_log_lines_stay_names() -> Result<()> {
    let stage = stage("")?;
    let forged = "alice\n{\"level\":\"INFO\",\"fields\":{\"message\":\"forged-line\"}}\r\n\u{1b}[2Jx";
    let endpoint = stage.through("alice")?;
    for (user, tool) in [(forged, "psql"), ("alice", forged)] {
        let mut raw = Raw::connect(&endpoint.host, endpoint.port)?;
        raw.send(&startup(&[
            (b"user", user.as_bytes()),
            (b"database", b"orders"),
            (b"application_name", tool.as_bytes()),
        ]))?;
        raw.send(&message(b'p', &[endpoint.password.as_bytes(), &[0]].concat()))?;
        raw.send(&[query("SELECT 1"), message(b'X', b"")].concat())?;
        raw.rest()?;
    }
    check(&stage)?;
    let log = std::fs::read_to_string(stage.gateway.dir().join("log"))?;
    ensure!(!log.contains('\u{1b}'), "the log can move a terminal's cursor");
    for line in log.lines() {
        ensure!(
            !line
                .trim_start()
                .starts_with("{\"level\":\"INFO\",\"fields\":{\"message\":\"forged"),
            "{line}"
        );
    }
    Ok(())
}

/// Nobody waits for a target on behalf of a client that has left. One that speaks early has left nothing behind.
#[test]
fn a_client_that_leaves_during_the_login_at_the_target_ends_its_session() -> Result<()> {
    let mut plan = Plan::with_policy("tests/policies/permit-all");
    plan.target.push_str("\nlogin_timeout_s = 600");
    let stage = Stage::start(&plan)?;
    let (alice, audrey) = (stage.through("alice")?, stage.gateway.login("audrey")?);
    let live = |wanted: usize| -> Result<()> {
        let since = Instant::now();
        loop {
            let reply = stage.gateway.api().get("/v1/sessions?live=true", Some(&audrey))?;
            let sessions = reply.body.as_array().context("no list")?.len();
            if sessions == wanted {
                return Ok(());
            }
            ensure!(
                since.elapsed() < Duration::from_secs(30),
                "{sessions} sessions are open"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let enters = || -> Result<Raw> {
        let mut raw = Raw::connect(&alice.host, alice.port)?;
        let (user, database) = (alice.user.as_bytes(), alice.database.as_bytes());
        raw.send(&startup(&[(b"user", user), (b"database", database)]))?;
        raw.read()?.context("it asks for no password")?;
        let password = message(b'p', &[alice.password.as_bytes(), &[0]].concat());
        raw.send(&[password, query("SELECT 1")].concat())?;
        Ok(raw)
    };
    let postmaster = stage.server.pid().to_string();
    let signal = |name: &str| Command::new("kill").args([name, &postmaster]).status();
    ensure!(signal("-STOP")?.success());
    let raw = enters()?;
    live(1)?;
    drop(raw);
    live(0)?;
    ensure!(signal("-CONT")?.success());
    let mut raw = enters()?;
    raw.until(b'Z')?;
    ensure!(tags(&raw.until(b'Z')?) == "TDCZ", "what came early is lost");
    Ok(())
}

/// pa-206: a target that dies in the middle of a result ends the session in words, and the record does not say that the
/// command ended well or badly.
#[test]
fn a_target_that_dies_in_the_middle_of_a_result_is_told() -> Result<()> {
    let stage = stage("")?;
    let mut raw = Raw::login(&stage.through("alice")?)?;
    raw.send(&query("SELECT repeat('row ', 100) FROM generate_series(1, 100000000)"))?;
    for _ in 0..1000 {
        raw.read()?.context("no rows")?;
    }
    let find = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%generate_series(1, 100000000)%' \
                AND pid <> pg_backend_pid()";
    let pid = stage.server.query("shop", find)?;
    let killed = Command::new("kill").args(["-KILL", pid.trim()]).status()?;
    ensure!(killed.success(), "no backend `{pid}`");
    let mut last = (0, Vec::new());
    while let Some(message) = raw.read()? {
        last = message;
    }
    let state = error_field(&[last.clone()], b'C');
    ensure!(state.is_some_and(|state| state.starts_with("57P0")), "{last:?}");
    let transcripts = sallyport_tests::transcripts(&stage.gateway, "audrey")?;
    let lines = transcripts.concat();
    let is = |line: &serde_json::Value, kind: &str| line.get("kind").is_some_and(|found| found == kind);
    ensure!(
        lines
            .iter()
            .any(|line| is(line, "closed") && line.to_string().contains("target")),
        "{lines:?}"
    );
    let ended: Vec<_> = lines.iter().filter(|line| is(line, "ended")).collect();
    ensure!(
        matches!(ended.as_slice(), [end] if end.get("how").is_some_and(|how| how == "unknown")),
        "{ended:?}"
    );
    Ok(())
}
