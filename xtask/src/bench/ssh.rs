//! SSH through the gateway, against the same host directly and through OpenSSH's ProxyJump, which decrypts nothing on
//! the way. Policy, masks and recording are on.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use sallyport_testbed::{Account, Gateway, GatewayOptions, KeyKind, Person, SshConfig, SshKey, Sshd, SshdOptions};

use super::proc;
use crate::process;

/// How long to measure.
#[derive(Args)]
pub(crate) struct SshOptions {
    /// Megabytes of each bulk transfer
    #[arg(long, default_value_t = 400)]
    megabytes: u64,
    /// Rounds; each measures everything once
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Use this `sallyport` instead of building one
    #[arg(long)]
    program: Option<PathBuf>,
}

/// Sessions that are opened to see what one costs in memory.
const IDLE_SESSIONS: usize = 50;
/// Keys that are typed to see when they come back.
const KEYS: usize = 1000;
/// Commands of one measurement of latency.
const COMMANDS: usize = 10;

/// Runs it and prints the table.
pub(super) fn run(options: &SshOptions) -> Result<()> {
    let bed = Bed::start(options.program.as_deref())?;
    // First: what large transfers gave back would hide what a session takes.
    let idle_kb = bed.idle_kb()?;
    let loads = [
        Load::Down(AES),
        Load::Down(CHACHA),
        Load::Up(AES),
        Load::SftpGet,
        Load::SftpPut,
        Load::Command,
    ];
    let mut samples = vec![vec![Vec::new(); bed.ways.len()]; loads.len()];
    for round in 1..=options.rounds {
        for (load, samples) in loads.iter().zip(&mut samples) {
            eprintln!("round {round} of {}: {}", options.rounds, load.name());
            for (way, samples) in bed.ways.iter().zip(samples) {
                samples.push(load.measure(way, options.megabytes, bed.dir.path())?);
            }
        }
    }
    println!("| load | direct | ProxyJump | Sallyport | Sallyport ÷ ProxyJump |\n|---|---|---|---|---|");
    for (load, samples) in loads.iter().zip(&samples) {
        let medians: Vec<f64> = samples.iter().map(|values| median(values)).collect();
        let [direct, jump, gateway] = medians[..] else {
            bail!("three ways were measured")
        };
        println!(
            "| {} | {direct:.0} | {jump:.0} | {gateway:.0} | {:.2} |",
            load.name(),
            gateway / jump
        );
    }
    println!();
    for (name, way) in ["direct", "ProxyJump", "Sallyport"].into_iter().zip(&bed.ways) {
        let (median, late) = echoes(way)?;
        println!("echo of a key, {name}: median {median:.2} ms, 99 of 100 within {late:.2} ms");
    }
    println!("\nmemory of an idle session: {idle_kb:.0} KB ({IDLE_SESSIONS} of them)");
    Ok(())
}

const AES: &str = "aes128-gcm@openssh.com";
const CHACHA: &str = "chacha20-poly1305@openssh.com";

/// The host, what leads to it, and the ways there.
struct Bed {
    dir: tempfile::TempDir,
    gateway: Gateway,
    _host: Sshd,
    _jump: Sshd,
    ways: [SshConfig; 3],
}

impl Bed {
    fn start(program: Option<&Path>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let key = SshKey::generate(&dir.path().join("key"), KeyKind::Ed25519)?;
        let account = Account::new("deploy").with_key(key.public());
        let options = SshdOptions {
            accounts: vec![account],
            settings: vec!["MaxStartups 200".to_owned(), "MaxSessions 200".to_owned()],
            ..SshdOptions::default()
        };
        let (host, jump) = (Sshd::start(&options)?, Sshd::start(&options)?);
        let gateway = gateway(program, &host, &key)?;
        let identity = format!("IdentityFile {}", key.path().display());
        let write = |name: &str, address, user: &str, keys: &[String], more: &[String]| {
            SshConfig::write(&dir.path().join(name), name, address, user, keys, more)
        };
        let direct = write(
            "direct",
            host.address(),
            "deploy",
            host.host_keys(),
            std::slice::from_ref(&identity),
        )?;
        let step = write(
            "step",
            jump.address(),
            "deploy",
            jump.host_keys(),
            std::slice::from_ref(&identity),
        )?;
        let through = format!("ProxyCommand ssh -F {} -W %h:%p step", step.path().display());
        let jumped = write(
            "jumped",
            host.address(),
            "deploy",
            host.host_keys(),
            &[identity.clone(), through],
        )?;
        let address = gateway.ssh().context("the gateway has no SSH")?;
        let shown = std::fs::read_to_string(gateway.dir().join("state/keys/ssh_host_ed25519"))?;
        let shown = public_of(&shown)?;
        let gated = write("gateway", address, "alice@web-1", &[shown], &[identity])?;
        Ok(Self {
            dir,
            gateway,
            _host: host,
            _jump: jump,
            ways: [direct, jumped, gated],
        })
    }

    /// What an open session takes of the gateway's memory, in KB.
    fn idle_kb(&self) -> Result<f64> {
        let [.., way] = &self.ways;
        let open = || -> Result<Session> {
            let mut ssh = way.program("ssh");
            ssh.arg(way.name())
                .arg("echo open; cat")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped());
            Session::open(&mut ssh)
        };
        let warm: Vec<Session> = (0..10).map(|_| open()).collect::<Result<_>>()?;
        let before = proc::resident(self.gateway.pid())?;
        let many: Vec<Session> = (0..IDLE_SESSIONS).map(|_| open()).collect::<Result<_>>()?;
        // What a session gives back when it rests it has given back by then.
        std::thread::sleep(Duration::from_secs(1));
        let after = proc::resident(self.gateway.pid())?;
        drop((warm, many));
        #[expect(clippy::cast_precision_loss, reason = "kilobytes")]
        Ok(after.saturating_sub(before) as f64 / 1024.0 / IDLE_SESSIONS as f64)
    }
}

/// How long a key takes to come back from a terminal: the median and the 99th percentile, in ms.
fn echoes(way: &SshConfig) -> Result<(f64, f64)> {
    let mut ssh = way.program("ssh");
    ssh.args(["-tt"]).arg(way.name()).arg("echo open; cat");
    let mut session = Session::open(ssh.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let mut keys = session.0.stdin.take().context("no input")?;
    let screen = session.0.stdout.as_mut().context("no output")?;
    let mut byte = [0];
    // The end of the line that said so.
    while byte != *b"\n" {
        std::io::Read::read_exact(screen, &mut byte)?;
    }
    let mut taken = Vec::new();
    for key in (b'a'..=b'z').cycle().take(KEYS) {
        let since = Instant::now();
        keys.write_all(&[key])?;
        keys.flush()?;
        while byte != [key] {
            std::io::Read::read_exact(screen, &mut byte)?;
        }
        taken.push(since.elapsed().as_secs_f64() * 1000.0);
    }
    session.0.stdin = Some(keys);
    session.0.kill()?;
    taken.sort_by(f64::total_cmp);
    let at = |share: usize| taken.get(taken.len() * share / 100).copied().unwrap_or(f64::NAN);
    Ok((at(50), at(99)))
}

/// A session that says `open` and then waits for its input to end.
struct Session(Child);

impl Session {
    fn open(command: &mut Command) -> Result<Self> {
        let mut child = command.spawn()?;
        let mut said = [0; 5];
        let out = child.stdout.as_mut().context("no output")?;
        std::io::Read::read_exact(out, &mut said).context("a session did not open")?;
        Ok(Self(child))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn gateway(program: Option<&Path>, host: &Sshd, key: &SshKey) -> Result<Gateway> {
    let program = match program {
        Some(program) => program.to_owned(),
        None => {
            process::run(process::cargo().args(["build", "--release", "--quiet", "--package", "sallyport"]))?;
            process::target_dir()?.join("release").join("sallyport")
        }
    };
    let [host_key, ..] = host.host_keys() else {
        bail!("a host without keys")
    };
    let targets = format!(
        "[[target]]\nname = \"web-1\"\nprotocol = \"ssh\"\naddress = \"{}\"\nenvironment = \"production\"\n\
         user = \"deploy\"\nprivate_key_file = {:?}\nhost_keys = [{host_key:?}]\n",
        host.address(),
        key.path(),
    );
    let mut alice = Person::new("alice", &["developers"]);
    alice.more = format!("ssh_keys = [{:?}]\n", key.public());
    Ok(Gateway::start_with_ssh(&GatewayOptions {
        program,
        policy: process::root().join("policy"),
        targets: Some(targets),
        people: vec![alice],
        settings: String::new(),
    })?)
}

/// The public line of a private key.
fn public_of(private: &str) -> Result<String> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(private.as_bytes())?;
    let mut keygen = Command::new("ssh-keygen");
    process::capture(keygen.args(["-y", "-f"]).arg(file.path())).map(|line| line.trim().to_owned())
}

/// What is measured.
enum Load {
    /// A command's output, with this cipher.
    Down(&'static str),
    /// A command's input.
    Up(&'static str),
    SftpGet,
    SftpPut,
    /// One command on a connection of its own.
    Command,
}

impl Load {
    fn name(&self) -> String {
        match self {
            Self::Down(cipher) => format!("a command's output, MB/s, {cipher}"),
            Self::Up(cipher) => format!("a command's input, MB/s, {cipher}"),
            Self::SftpGet => "SFTP get, MB/s".to_owned(),
            Self::SftpPut => "SFTP put, MB/s".to_owned(),
            Self::Command => "`ssh host true`, ms".to_owned(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    fn measure(&self, way: &SshConfig, megabytes: u64, dir: &Path) -> Result<f64> {
        let bytes = megabytes * 1_000_000;
        let file = dir.join("bulk");
        if !file.exists() {
            std::fs::File::create(&file)?.set_len(bytes)?;
        }
        let ssh = |cipher: &str| {
            let mut ssh = way.program("ssh");
            ssh.args(["-c", cipher]).arg(way.name());
            ssh
        };
        let since = Instant::now();
        match self {
            Self::Down(cipher) => run_quietly(ssh(cipher).arg(format!("head -c {bytes} /dev/zero")), None)?,
            Self::Up(cipher) => run_quietly(ssh(cipher).arg("cat > /dev/null"), Some(&file))?,
            Self::SftpGet => sftp(way, dir, &format!("get {} /dev/null\n", file.display()))?,
            Self::SftpPut => sftp(way, dir, &format!("put {} /dev/null\n", file.display()))?,
            Self::Command => {
                for _ in 0..COMMANDS {
                    run_quietly(ssh(AES).arg("true"), None)?;
                }
                return Ok(since.elapsed().as_secs_f64() * 1000.0 / COMMANDS as f64);
            }
        }
        Ok(megabytes as f64 / since.elapsed().as_secs_f64())
    }
}

fn sftp(way: &SshConfig, dir: &Path, line: &str) -> Result<()> {
    let batch = dir.join("batch");
    std::fs::write(&batch, line)?;
    run_quietly(way.program("sftp").args(["-q", "-b"]).arg(&batch).arg(way.name()), None)
}

fn run_quietly(command: &mut Command, input: Option<&Path>) -> Result<()> {
    let input = match input {
        Some(path) => Stdio::from(std::fs::File::open(path)?),
        None => Stdio::null(),
    };
    let status = command.stdin(input).stdout(Stdio::null()).status()?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
