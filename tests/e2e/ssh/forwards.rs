//! Connections through the host: each direction and each destination is judged.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sallyport_testbed::SshConfig;
use sallyport_tests::{SshBed, SshPlan};

use super::{PATIENCE, eventually, said};

/// A server that says back what it is told, in a thread of its own for each connection, until the test ends.
fn echo() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || -> std::io::Result<()> {
                let (mut from, mut to) = (stream.try_clone()?, &stream);
                std::io::copy(&mut from, &mut to)?;
                stream.shutdown(std::net::Shutdown::Write)
            });
        }
    });
    Ok(port)
}

/// A port that nobody listens at.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// `ssh` that only forwards. Dropping it ends it.
struct Forwarding(Child);

impl Forwarding {
    fn start(config: &SshConfig, words: &[&str]) -> Result<Forwarding> {
        let mut ssh = config.program("ssh");
        ssh.args(["-N", "-o", "ExitOnForwardFailure=yes"])
            .args(words)
            .arg(config.name());
        Ok(Forwarding(ssh.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?))
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Connects as soon as somebody listens.
fn connect(port: u16) -> Result<TcpStream> {
    let stream = eventually("somebody's listening", || Ok(TcpStream::connect(at(port)).ok()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Says something; what comes back until the other side closes.
fn answer(mut stream: TcpStream, words: &[u8]) -> Result<Vec<u8>> {
    // The other side may have closed already.
    let _ = stream.write_all(words);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut back = Vec::new();
    match stream.read_to_end(&mut back) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => Err(error.into()),
        Ok(_) | Err(_) => Ok(back),
    }
}

/// Asks a SOCKS 5 server (RFC 1928) for a connection to a port; whether it has one.
fn socks(stream: &mut TcpStream, port: u16) -> Result<bool> {
    stream.write_all(&[5, 1, 0])?;
    let mut method = [0; 2];
    stream.read_exact(&mut method)?;
    ensure!(method == [5, 0], "{method:?}");
    let [high, low] = port.to_be_bytes();
    stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low])?;
    let mut reply = [0; 10];
    Ok(stream.read_exact(&mut reply).is_ok() && reply[1] == 0)
}

fn stdio(config: &SshConfig, port: u16, words: &[u8]) -> Result<std::process::Output> {
    let mut ssh = config.program("ssh");
    super::feed(ssh.args(["-W", &format!("127.0.0.1:{port}")]).arg(config.name()), words)
}

#[test]
fn without_a_rule_nothing_is_forwarded() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let (direct, through) = (bed.direct()?, bed.through("alice")?);
    let port = echo()?;
    ensure!(
        stdio(&direct, port, b"hello")?.stdout == b"hello",
        "the host itself forwards"
    );
    let output = stdio(&through, port, b"hello")?;
    ensure!(
        !output.status.success() && output.stdout.is_empty(),
        "{}",
        said(&output)
    );

    let local = free_port()?;
    let forwarding = Forwarding::start(&through, &["-L", &format!("{local}:127.0.0.1:{port}")])?;
    ensure!(answer(connect(local)?, b"hello")?.is_empty(), "-L");
    drop(forwarding);

    let dynamic = free_port()?;
    let forwarding = Forwarding::start(&through, &["-D", &format!("127.0.0.1:{dynamic}")])?;
    ensure!(!socks(&mut connect(dynamic)?, port)?, "-D");
    drop(forwarding);

    let remote = free_port()?;
    let mut forwarding = Forwarding::start(&through, &["-R", &format!("127.0.0.1:{remote}:127.0.0.1:{port}")])?;
    ensure!(forwarding.0.wait()?.code() == Some(255), "-R");
    ensure!(TcpStream::connect(at(remote)).is_err(), "the host does not listen");

    let socket = bed.sshd.home("deploy").join("socket");
    let _listener = UnixListener::bind(&socket)?;
    let local = free_port()?;
    let _forwarding = Forwarding::start(&through, &["-L", &format!("{local}:{}", socket.display())])?;
    ensure!(answer(connect(local)?, b"hello")?.is_empty(), "-L to a UNIX socket");
    Ok(())
}

#[test]
fn a_rule_permits_one_destination_and_no_other() -> Result<()> {
    one_destination(SshPlan::default())
}

/// What is forwarded passes an agent that masks output.
#[test]
fn a_rule_permits_one_destination_and_no_other_where_an_agent_masks() -> Result<()> {
    one_destination(SshPlan::default().masked_at_an_agent())
}

fn one_destination(plan: SshPlan) -> Result<()> {
    let (one, other, listening) = (echo()?, echo()?, free_port()?);
    let rules = format!(
        r#"
        @id("to-one") permit (principal, action == Ssh::Action::"forward_local", resource)
        when {{ context.host == "127.0.0.1" && context.port == {one} }};
        @id("from-one") permit (principal, action == Ssh::Action::"forward_remote", resource)
        when {{ context.port == {listening} }};"#
    );
    let bed = SshBed::start(&SshPlan { rules, ..plan })?;
    let through = bed.through("alice")?;
    let output = stdio(&through, one, b"hello")?;
    ensure!(output.stdout == b"hello", "{} {}", said(&output), bed.logs());
    ensure!(stdio(&through, other, b"hello")?.stdout.is_empty(), "-W to another");

    let (to_one, to_other) = (free_port()?, free_port()?);
    let local = |from: u16, to: u16| format!("{from}:127.0.0.1:{to}");
    let forwarding = Forwarding::start(&through, &["-L", &local(to_one, one), "-L", &local(to_other, other)])?;
    ensure!(answer(connect(to_one)?, b"hello")? == b"hello", "-L {}", bed.logs());
    ensure!(answer(connect(to_other)?, b"hello")?.is_empty(), "-L to another");
    ensure!(answer(connect(to_one)?, b"again")? == b"again", "-L after a refusal");
    drop(forwarding);

    let dynamic = free_port()?;
    let forwarding = Forwarding::start(&through, &["-D", &format!("127.0.0.1:{dynamic}")])?;
    let mut stream = connect(dynamic)?;
    ensure!(socks(&mut stream, one)? && answer(stream, b"hello")? == b"hello", "-D");
    ensure!(!socks(&mut connect(dynamic)?, other)?, "-D to another");
    drop(forwarding);

    let remote = |at: u16| format!("127.0.0.1:{at}:127.0.0.1:{one}");
    let forwarding = Forwarding::start(&through, &["-R", &remote(listening)])?;
    ensure!(answer(connect(listening)?, b"hello")? == b"hello", "-R {}", bed.logs());
    drop(forwarding);
    eventually("the host's ceasing to listen", || {
        Ok(TcpStream::connect(at(listening)).is_err().then_some(()))
    })?;
    let elsewhere = free_port()?;
    let mut forwarding = Forwarding::start(&through, &["-R", &remote(elsewhere)])?;
    ensure!(forwarding.0.wait()?.code() == Some(255), "-R at another port");
    Ok(())
}

#[test]
fn a_silent_forward_blocks_nobody() -> Result<()> {
    let port = echo()?;
    let rules = r#"@id("forwards") permit (principal, action in Ssh::Action::"forward", resource);"#;
    let bed = SshBed::start(&SshPlan::with_rules(rules))?;
    let through = bed.through("alice")?;
    let (local, socket) = (free_port()?, bed.dir().join("mux"));
    let forward = format!("{local}:127.0.0.1:{port}");
    let mut ssh = through.program("ssh");
    ssh.args(["-M", "-N", "-L", &forward, "-S"])
        .arg(&socket)
        .arg(through.name());
    let _forwarding = Forwarding(ssh.stdin(Stdio::null()).spawn()?);
    let mut silent = connect(local)?;
    silent.write_all(b"one byte and no more")?;
    let mut back = [0; 20];
    silent.read_exact(&mut back)?;
    // One that floods and does not read what comes back, either.
    let mut flooding = connect(local)?;
    flooding.set_write_timeout(Some(Duration::from_millis(500)))?;
    while flooding.write_all(&[7; 1 << 16]).is_ok() {}
    for _ in 0..10 {
        ensure!(
            answer(connect(local)?, b"hello")? == b"hello",
            "another connection {}",
            bed.logs()
        );
        let mut exec = Command::new("ssh");
        exec.arg("-F")
            .arg(through.path())
            .arg("-S")
            .arg(&socket)
            .args(["-o", "ProxyCommand=false"]);
        let output = exec
            .args([through.name(), "echo through"])
            .stdin(Stdio::null())
            .output()?;
        ensure!(output.stdout == b"through\n", "{}", said(&output));
    }
    silent.write_all(b"still there, as ever")?;
    silent
        .read_exact(&mut back)
        .context("the silent one has been cut off")?;
    Ok(())
}
