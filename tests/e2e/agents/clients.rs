//! Real clients must not notice an agent between them and their target.

use std::io::{Read, Write};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use sallyport_testbed::{Account, KeyKind, SshConfig, SshKey, Sshd, SshdOptions, noise};
use sallyport_tests::raw::{Raw, error_field, packet, query, tags};
use sallyport_tests::{
    ACCOUNT, Behind, BehindPlan, Endpoint, HOST, Plan, SshBed, SshPlan, Stage, asyncpg, bundle, jdbc, mask,
    node_postgres, pgbench, psql, psycopg, run, sqlx, transcripts,
};

use super::{eventually, said};

const MIB: usize = 1 << 20;

fn same(what: &str, expected: &str, got: &str) -> Result<()> {
    for (number, (wanted, got)) in expected.lines().zip(got.lines()).enumerate() {
        ensure!(
            wanted == got,
            "{what}, line {}: {got:?} instead of {wanted:?}",
            number + 1
        );
    }
    ensure!(expected == got, "{what}: one transcript is longer than the other");
    Ok(())
}

fn stage() -> Result<Stage> {
    Stage::start(&Plan {
        agent: true,
        ..Plan::with_policy("tests/policies/permit-all")
    })
}

#[test]
fn drivers_of_postgres_notice_no_agent() -> Result<()> {
    type Driver = fn(&Endpoint) -> Result<String>;
    let drivers: [(&str, Driver); 6] = [
        ("psql", psql),
        ("psycopg", psycopg),
        ("asyncpg", asyncpg),
        ("node-postgres", node_postgres),
        ("JDBC", jdbc),
        ("sqlx", sqlx),
    ];
    let stage = stage()?;
    for (name, driver) in drivers {
        let expected = driver(&stage.direct()).with_context(|| format!("{name} without the gateway"))?;
        let got = driver(&stage.through("alice")?).with_context(|| format!("{name}: {}", stage.gateway.log_tail()))?;
        same(name, &expected, &got)?;
    }
    Ok(())
}

#[test]
fn pgbench_and_dumps_work_through_an_agent() -> Result<()> {
    let stage = stage()?;
    let (direct, through) = (stage.direct(), stage.through("alice")?);
    run(through.program("pgbench").args(["-i", "-q", "-s", "1"])).context("initialising")?;
    for mode in ["simple", "extended", "prepared"] {
        let transactions = pgbench(&through, mode, 8).with_context(|| stage.gateway.log_tail())?;
        ensure!(transactions > 0, "no transaction in mode {mode}");
    }
    let balance = "SELECT sum(abalance) = (SELECT sum(delta) FROM pgbench_history) FROM pgbench_accounts";
    ensure!(
        stage.server.query("shop", balance)? == "t",
        "the balances do not match the history"
    );
    let dump = |endpoint: &Endpoint| -> Result<String> {
        let text = run(&mut endpoint.program("pg_dump"))?;
        let lines = text.lines().filter(|line| !line.contains("restrict"));
        Ok(lines.collect::<Vec<_>>().join("\n"))
    };
    let plain = dump(&direct)?;
    same("pg_dump", &plain, &dump(&through)?)?;
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("dump");
    run(through.program("pg_dump").args(["-Fd", "-j", "2", "-f"]).arg(&archive))?;
    run(through
        .program("pg_restore")
        .args(["--clean", "--if-exists", "-j", "2", "-d", &through.database])
        .arg(&archive))?;
    same("pg_restore", &plain, &dump(&direct)?)
}

/// A cancel request goes to the agent that serves the session, whose target has no other way to learn of it; masks are
/// laid, holds wait, and what policy refuses does not come to the agent.
#[test]
fn cancels_masks_and_refusals_are_what_they_are_without_an_agent() -> Result<()> {
    let rules = format!(
        "{}@id(\"no-drops\") @message(\"nothing is dropped\") forbid (principal, action in Sql::Action::\"drop\", resource);",
        mask("pci", "keep-last(4)")
    );
    let policy = bundle(
        "[[columns]]\ncolumn = \"public.cards.number\"\nclass = \"pci\"\n",
        &rules,
    )?;
    let mut behind = Behind::start(&BehindPlan {
        policy: policy.path().to_owned(),
        ..BehindPlan::default()
    })?;
    let made = "CREATE TABLE cards (number text); INSERT INTO cards VALUES ('4111111111111111'); \
                ALTER TABLE cards OWNER TO app";
    behind.server.query("shop", made)?;
    let second = behind.another()?;
    super::connections(&behind, 4)?;
    let alice = behind.through("alice")?;
    // As many as are spread over both.
    let mut sessions = (0..4).map(|_| Raw::login(&alice)).collect::<Result<Vec<_>>>()?;
    for session in &mut sessions {
        session.send(&query("SELECT pg_sleep(3600)"))?;
        let key = session.cancel_key.clone();
        let running =
            "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(3600)' AND state = 'active'";
        eventually("the query", || {
            Ok((behind.server.query("shop", running)? == "1").then_some(()))
        })?;
        let mut cancel = Raw::connect(&alice.host, alice.port)?;
        cancel.send(&packet(&[&80_877_102_u32.to_be_bytes()[..], &key].concat()))?;
        let said = session.until(b'Z')?;
        ensure!(error_field(&said, b'C').as_deref() == Some("57014"), "{said:?}");
        session.send(&query("SELECT number FROM cards"))?;
        let said = session.until(b'Z')?;
        ensure!(tags(&said) == "TDCZ", "{said:?}");
        let row = said.iter().find(|(tag, _)| *tag == b'D').context("no row")?;
        ensure!(row.1.ends_with(b"************1111"), "{said:?}");
        session.send(&query("DROP TABLE cards"))?;
        let said = session.until(b'Z')?;
        ensure!(
            error_field(&said, b'M').is_some_and(|words| words.contains("nothing is dropped")),
            "{said:?}"
        );
    }
    // The agent that served the last session is gone: another is asked to cancel what there is nothing of, and all is well.
    drop(second);
    behind.agent.kill_and_start(|| ())?;
    super::connections(&behind, 2)?;
    ensure!(said(alice.program("psql").args(["-XAt", "-c", "SELECT 1"]))?.0);
    Ok(())
}

fn bed() -> Result<SshBed> {
    SshBed::start(&SshPlan {
        agent: true,
        // A new key exchange for each MiB, while it flows.
        sshd: vec!["RekeyLimit 1M".to_owned(), "LogLevel DEBUG1".to_owned()],
        ..SshPlan::default()
    })
}

/// The most memory that a process has taken so far, in MiB.
fn peak(pid: u32) -> Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: usize = line.context("no peak")?.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024)
}

/// Both ways at once, with a new key exchange at the host every MiB, and neither process keeps what flows.
#[test]
fn a_host_that_changes_its_keys_while_much_flows_both_ways_is_not_noticed() -> Result<()> {
    const LENGTH: usize = 64 * MIB;
    const GROWTH: usize = 24;
    let bed = bed()?;
    let agent = bed.agent.as_ref().context("no agent")?;
    let through = bed.through("alice")?;
    let (ok, _) = said(&mut through.exec("head -c 8388608 /dev/zero | wc -c"))?;
    ensure!(ok, "{}", bed.logs());
    let before = (peak(bed.gateway.pid())?, peak(agent.pid())?);
    let bytes = noise(LENGTH);
    let mut child = through
        .exec("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("no input")?;
    let sent = bytes.clone();
    let writing = std::thread::spawn(move || stdin.write_all(&sent));
    let mut back = Vec::new();
    child.stdout.take().context("no output")?.read_to_end(&mut back)?;
    ensure!(writing.join().is_ok_and(|done| done.is_ok()), "{}", bed.logs());
    ensure!(
        child.wait()?.success() && back == bytes,
        "{} bytes came back, or others",
        back.len()
    );
    let log = std::fs::read_to_string(bed.sshd.dir().join("log"))?;
    let exchanges = log.matches("SSH2_MSG_KEXINIT sent").count();
    ensure!(
        exchanges > LENGTH / MIB && !log.contains("error:"),
        "{exchanges} exchanges: {log}"
    );
    let grown = (
        peak(bed.gateway.pid())?.saturating_sub(before.0),
        peak(agent.pid())?.saturating_sub(before.1),
    );
    ensure!(
        grown.0 <= GROWTH && grown.1 <= GROWTH,
        "gateway and agent took {grown:?} MiB more"
    );
    Ok(())
}

fn copies(config: &SshConfig, dir: &std::path::Path, home: &std::path::Path) -> Result<()> {
    let file = dir.join("file");
    std::fs::write(&file, noise(3 * MIB))?;
    let name = config.name();
    let (ok, words) = said(config.program("scp").arg(&file).arg(format!("{name}:by-scp")))?;
    ensure!(ok, "scp: {words}");
    let (ok, words) = said(config.program("scp").arg("-O").arg(&file).arg(format!("{name}:by-rcp")))?;
    ensure!(ok, "scp -O: {words}");
    let mut rsync = std::process::Command::new("rsync");
    rsync
        .arg("-e")
        .arg(config.command_line())
        .arg(&file)
        .arg(format!("{name}:by-rsync"));
    let (ok, words) = said(&mut rsync)?;
    ensure!(ok, "rsync: {words}");
    let batch = dir.join("batch");
    std::fs::write(
        &batch,
        format!("put {0} by-sftp\nget by-sftp {0}.back\n", file.display()),
    )?;
    let (ok, words) = said(config.program("sftp").arg("-b").arg(&batch).arg(name))?;
    ensure!(ok, "sftp: {words}");
    let wanted = std::fs::read(&file)?;
    for copy in ["by-scp", "by-rcp", "by-rsync", "by-sftp"] {
        ensure!(std::fs::read(home.join(copy))? == wanted, "{copy} is another file");
    }
    ensure!(
        std::fs::read(dir.join("file.back"))? == wanted,
        "what came back is another file"
    );
    Ok(())
}

#[test]
fn files_channels_statuses_and_terminals_of_ssh_notice_no_agent() -> Result<()> {
    let bed = bed()?;
    let through = bed.through("alice")?;
    copies(&through, bed.dir(), &bed.sshd.home(ACCOUNT)).with_context(|| bed.logs())?;
    let socket = bed.dir().join("mux");
    let mut master = through.program("ssh");
    master.args(["-M", "-N", "-f", "-S"]).arg(&socket).arg(through.name());
    let quiet = master.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    ensure!(quiet.status()?.success(), "no connection: {}", bed.logs());
    let channel = |line: &str| {
        let mut ssh = through.program("ssh");
        ssh.arg("-S")
            .arg(&socket)
            .args(["-o", "ProxyCommand=false", HOST, line]);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
    };
    let mut channels = Vec::new();
    for number in 0..10 {
        channels.push((number, channel(&format!("cat; exit {number}"))?));
    }
    for (number, child) in channels.iter_mut().rev() {
        child
            .stdin
            .take()
            .context("no input")?
            .write_all(format!("for {number}").as_bytes())?;
    }
    for (number, child) in channels {
        let output = child.wait_with_output()?;
        ensure!(
            output.stdout == format!("for {number}").as_bytes() && output.status.code() == Some(number),
            "{number}: {output:?}"
        );
    }
    said(through.program("ssh").arg("-S").arg(&socket).args(["-O", "exit", HOST]))?;
    let terminal = |config: &SshConfig| {
        let script = sallyport_tests::ssh_script("ssh_terminal.exp");
        run(std::process::Command::new("expect")
            .arg(script)
            .arg(config.path())
            .arg(config.name()))
    };
    bed.notices_nothing(terminal, "done")
}

/// The agent's own authority signs for logins at hosts that trust it, for the person and the session.
#[test]
fn a_host_that_trusts_the_agents_authority_takes_its_certificates() -> Result<()> {
    let mut sshd = None;
    let mut keys = None;
    let behind = Behind::start_with(&BehindPlan::default().with_ssh(), |_, options| {
        // Made before the host is, as its owner does.
        let dir = tempfile::tempdir()?;
        let authority = SshKey::generate(&dir.path().join("ssh_hosts_ca"), KeyKind::Ed25519)?;
        let host = Sshd::start(&SshdOptions {
            accounts: vec![Account::new(ACCOUNT)],
            user_authority: Some(authority.public().to_owned()),
            ..SshdOptions::default()
        })?;
        let entry = options.targets.find(&format!("name = \"{HOST}\"")).context("no host")?;
        options.targets.truncate(entry);
        options.targets += &format!(
            "name = \"{HOST}\"\nprotocol = \"ssh\"\naddress = \"{}\"\nuser = \"{ACCOUNT}\"\ncertificate = true\n\
             host_keys = [{:?}]\n",
            host.address(),
            host.host_keys().first().context("a host without a key")?
        );
        options.files.push((
            "state/ssh_hosts_ca".to_owned(),
            std::fs::read_to_string(authority.path())?,
        ));
        sshd = Some(host);
        keys = Some(authority.public().to_owned());
        Ok(())
    })?;
    let (ok, words) = said(&mut behind.ssh()?.exec("echo in as $(id -un)"))?;
    ensure!(ok && words == format!("in as {ACCOUNT}\n"), "{words} {}", behind.logs());
    let shown = std::fs::read_to_string(behind.agent.dir().join("state/ssh_hosts_ca.pub"))?;
    ensure!(Some(shown.trim()) == keys.as_deref(), "{shown}");
    let sshd = sshd.context("no host")?;
    eventually("the host's note of the certificate", || {
        let log = std::fs::read_to_string(sshd.dir().join("log"))?;
        Ok(log
            .lines()
            .any(|line| line.contains("Accepted certificate ID \"alice "))
            .then_some(()))
    })
    .with_context(|| sshd.log_tail())?;
    let recorded = serde_json::to_string(&transcripts(&behind.gateway, "audrey")?)?;
    ensure!(recorded.contains("echo in as"), "{recorded}");
    Ok(())
}
