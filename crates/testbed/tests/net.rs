//! Hosts are apart where they should be, wires do what they are asked for, and nothing stays behind.

#![expect(clippy::print_stdout, reason = "what was measured, and what a parent waits for")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sallyport_testbed::{
    Account, Auth, Host, KeyKind, LinkQuality, Network, Options, Postgres, Proxy, ProxyOptions, Role, SshConfig,
    SshKey, Sshd, SshdOptions,
};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Long enough for a packet between two hosts of one machine, however busy.
const SOON: Duration = Duration::from_secs(5);
/// How long one waits for what must not come.
const NEVER: Duration = Duration::from_millis(300);

/// A network, or the end of the test where there can be none.
macro_rules! network_or_skip {
    ($test:literal) => {
        match Network::or_skip($test)? {
            Some(network) => network,
            None => return Ok(()),
        }
    };
}

fn listen(host: &Host) -> Result<(TcpListener, SocketAddr)> {
    let listener = host.enter(|| TcpListener::bind((host.address(), 0)))??;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn dial(host: &Host, address: SocketAddr, patience: Duration) -> Result<std::io::Result<TcpStream>> {
    Ok(host.enter(|| TcpStream::connect_timeout(&address, patience))?)
}

fn udp(host: &Host) -> Result<UdpSocket> {
    let socket = host.enter(|| UdpSocket::bind((host.address(), 0)))??;
    socket.set_read_timeout(Some(SOON))?;
    Ok(socket)
}

/// One byte over a connection and back.
fn exchange(from: &mut TcpStream, to: &mut TcpStream, patience: Duration) -> std::io::Result<()> {
    from.write_all(b"?")?;
    to.set_read_timeout(Some(patience))?;
    to.read_exact(&mut [0])?;
    to.write_all(b"!")?;
    from.set_read_timeout(Some(patience))?;
    from.read_exact(&mut [0])
}

fn namespaces(of: &str) -> usize {
    let entries = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().contains(of))
        .count()
}

#[test]
fn hosts_reach_their_neighbours_and_nobody_else() -> Result {
    let mut network = network_or_skip!("hosts_reach_their_neighbours_and_nobody_else");
    let [client, gateway, target] = [
        network.host("client")?,
        network.host("gateway")?,
        network.host("target")?,
    ];
    network.link(&client, &gateway)?;
    network.link(&gateway, &target)?;
    let (_at_target, target_address) = listen(&target)?;
    let (at_gateway, gateway_address) = listen(&gateway)?;

    dial(&gateway, target_address, SOON)??;
    dial(&client, gateway_address, SOON)??;
    let (_, from) = at_gateway.accept()?;
    assert_eq!(from.ip(), client.address());
    let refused = dial(&client, target_address, SOON)?
        .map(drop)
        .map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::NetworkUnreachable));

    // Nor does the gateway's kernel forward for a client that has been told to go that way.
    let (to, via) = (target.address().to_string(), gateway.address().to_string());
    let route = client.command("ip").args(["route", "add", &to, "via", &via]).status()?;
    assert!(route.success());
    assert!(dial(&client, target_address, NEVER)?.is_err());

    // Not even the machine itself.
    assert!(TcpStream::connect_timeout(&target_address, NEVER).is_err());
    let machine = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let refused = dial(&target, machine.local_addr()?, SOON)?
        .map(drop)
        .map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
    Ok(())
}

#[test]
fn who_refuses_inbound_connections_still_dials_out() -> Result {
    let mut network = network_or_skip!("who_refuses_inbound_connections_still_dials_out");
    let (inside, outside) = (network.host("inside")?, network.host("outside")?);
    network.link(&inside, &outside)?;
    let (_at_inside, inside_address) = listen(&inside)?;
    let (at_outside, outside_address) = listen(&outside)?;
    dial(&outside, inside_address, SOON)??;

    inside.refuse_inbound()?;
    let refused = dial(&outside, inside_address, NEVER)?
        .map(drop)
        .map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::TimedOut), "silently");
    let mut out = dial(&inside, outside_address, SOON)??;
    let (mut accepted, _) = at_outside.accept()?;
    exchange(&mut out, &mut accepted, SOON)?;
    exchange(&mut accepted, &mut out, SOON)?;
    dial(&inside, inside_address, SOON)??;
    Ok(())
}

#[test]
fn what_is_cut_is_silent_and_goes_on_once_mended() -> Result {
    let mut network = network_or_skip!("what_is_cut_is_silent_and_goes_on_once_mended");
    let (a, b) = (network.host("a")?, network.host("b")?);
    let other = network.host("other")?;
    let perfect = network.link(&a, &b)?;
    network.link(&a, &other)?;
    let (at_b, address) = listen(&b)?;
    let mut near = dial(&a, address, SOON)??;
    let (mut far, _) = at_b.accept()?;
    exchange(&mut near, &mut far, SOON)?;

    perfect.cut()?;
    let error = exchange(&mut near, &mut far, NEVER).map_err(|error| error.kind());
    assert_eq!(error, Err(ErrorKind::WouldBlock), "neither an error nor an end");
    assert!(dial(&a, address, NEVER)?.is_err());
    let (_at_other, other_address) = listen(&other)?;
    dial(&a, other_address, SOON)??;
    perfect.mend()?;
    // What was sent meanwhile is sent again by the kernel.
    far.set_read_timeout(Some(Duration::from_secs(20)))?;
    far.read_exact(&mut [0])?;
    exchange(&mut near, &mut far, SOON)?;
    Ok(())
}

#[test]
fn one_direction_can_be_cut_and_a_plug_pulled() -> Result {
    let mut network = network_or_skip!("one_direction_can_be_cut_and_a_plug_pulled");
    let (a, b) = (network.host("a")?, network.host("b")?);
    let link = network.lag_link(&a, &b, LinkQuality::default())?;
    let (near, far) = (udp(&a)?, udp(&b)?);
    let (near_at, far_at) = (near.local_addr()?, far.local_addr()?);

    link.cut_towards(&b)?;
    near.send_to(b"vanishes", far_at)?;
    far.send_to(b"arrives", near_at)?;
    let mut bytes = [0; 16];
    assert_eq!(near.recv(&mut bytes)?, 7);
    far.set_read_timeout(Some(NEVER))?;
    assert!(far.recv(&mut bytes).is_err());

    link.unplug()?;
    let error = near.send_to(b"goes nowhere", far_at).map_err(|error| error.kind());
    assert_eq!(error, Err(ErrorKind::NetworkUnreachable));
    link.mend()?;
    near.send_to(b"again", far_at)?;
    far.set_read_timeout(Some(SOON))?;
    assert_eq!(far.recv(&mut bytes)?, 5);
    Ok(())
}

#[test]
fn a_wire_delays_and_keeps_order() -> Result {
    let mut network = network_or_skip!("a_wire_delays_and_keeps_order");
    let (a, b) = (network.host("a")?, network.host("b")?);
    let quality = LinkQuality {
        delay: Duration::from_millis(40),
        jitter: Duration::from_millis(15),
        ..LinkQuality::default()
    };
    network.lag_link(&a, &b, quality)?;
    let (near, far) = (udp(&a)?, udp(&b)?);
    near.connect(far.local_addr()?)?;
    far.connect(near.local_addr()?)?;

    let start = Instant::now();
    for number in 0..100_u8 {
        near.send(&[number])?;
    }
    let mut seen = [0];
    for number in 0..100_u8 {
        far.recv(&mut seen)?;
        assert_eq!(seen, [number]);
    }
    assert!(start.elapsed() >= Duration::from_millis(25), "{:?}", start.elapsed());
    let start = Instant::now();
    near.send(b"?")?;
    far.recv(&mut seen)?;
    far.send(b"!")?;
    near.recv(&mut seen)?;
    let round = start.elapsed();
    assert!(round >= Duration::from_millis(50), "{round:?}");
    assert!(round < SOON, "{round:?}");
    Ok(())
}

#[test]
fn a_wire_loses_what_it_is_asked_to() -> Result {
    let mut network = network_or_skip!("a_wire_loses_what_it_is_asked_to");
    let (a, b) = (network.host("a")?, network.host("b")?);
    let quality = LinkQuality {
        loss_percent: 30.0,
        ..LinkQuality::default()
    };
    network.lag_link(&a, &b, quality)?;
    let (near, far) = (udp(&a)?, udp(&b)?);
    near.connect(far.local_addr()?)?;
    far.set_read_timeout(Some(NEVER))?;
    let mut arrived: u32 = 0;
    // A few at a time, so that no buffer overflows.
    for _ in 0..40 {
        for _ in 0..25 {
            near.send(b"?")?;
        }
        far.set_read_timeout(Some(Duration::from_millis(50)))?;
        while arrived < 1000 && far.recv(&mut [0]).is_ok() {
            arrived += 1;
        }
    }
    // Six standard deviations to each side of 700.
    assert!((613..787).contains(&arrived), "{arrived} of 1000 arrived");

    // TCP gets through all the same, and complete.
    let (at_b, address) = listen(&b)?;
    let sent: Vec<u8> = (0..20_000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
    let mut out = dial(&a, address, Duration::from_secs(30))??;
    let (mut accepted, _) = at_b.accept()?;
    out.write_all(&sent)?;
    drop(out);
    let mut received = Vec::new();
    accepted.read_to_end(&mut received)?;
    assert!(received == sent);
    Ok(())
}

/// Bytes a second over TCP between two hosts.
fn throughput(a: &Host, b: &Host, bytes: usize) -> Result<f64> {
    let (at_b, address) = listen(b)?;
    let mut out = dial(a, address, SOON)??;
    let (mut accepted, _) = at_b.accept()?;
    let start = Instant::now();
    let block = vec![7_u8; 256 * 1024];
    let writer = std::thread::spawn(move || {
        for _ in 0..bytes / block.len() {
            out.write_all(&block)?;
        }
        std::io::Result::Ok(())
    });
    let received = std::io::copy(&mut accepted, &mut std::io::sink())?;
    writer.join().map_err(|_| "the writer panicked")??;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = received as f64 / start.elapsed().as_secs_f64();
    Ok(rate)
}

#[test]
fn a_wire_is_as_fast_as_it_is_said_to_be() -> Result {
    let mut network = network_or_skip!("a_wire_is_as_fast_as_it_is_said_to_be");
    let [a, b, c] = [network.host("a")?, network.host("b")?, network.host("c")?];
    network.lag_link(&a, &b, LinkQuality::default())?;
    let quality = LinkQuality {
        rate_kbit: Some(16_000),
        ..LinkQuality::default()
    };
    network.lag_link(&a, &c, quality)?;
    let rate = throughput(&a, &b, 64 << 20)?;
    println!("a wire without impairment carries {:.0} MB/s", rate / 1e6);
    // Other tests may have the machine's cores.
    assert!(rate > 5e6, "{rate} bytes a second");
    let rate = throughput(&a, &c, 2 << 20)?;
    assert!(
        (0.5e6..2.1e6).contains(&rate),
        "{rate} bytes a second of at most 2 MB/s"
    );
    Ok(())
}

#[test]
#[expect(clippy::panic, reason = "it is about panics")]
fn everything_is_removed_also_after_a_panic() -> Result {
    let mut network = network_or_skip!("everything_is_removed_also_after_a_panic");
    let (a, b) = (network.host("leaves-a")?, network.host("leaves-b")?);
    network.lag_link(&a, &b, LinkQuality::default())?;
    let mut sleeper = a.command("sleep").arg("600").spawn()?;
    assert_eq!(namespaces("leaves-"), 2);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _network = network;
        panic!("as a test that fails does");
    }));
    assert!(panicked.is_err());
    assert_eq!(namespaces("leaves-"), 0);
    let ended = sleeper.wait()?;
    assert!(!ended.success(), "killed with its host: {ended}");
    assert!(a.enter(|| ()).is_err(), "a host that is gone cannot be entered");
    Ok(())
}

/// Where the next test finds itself again as the process that is killed.
const DIES: &str = "SALLYPORT_TEST_NETWORK_DIES";

#[test]
fn what_a_killed_run_left_behind_is_removed_by_the_next() -> Result {
    let network = network_or_skip!("what_a_killed_run_left_behind_is_removed_by_the_next");
    drop(network);
    if std::env::var_os(DIES).is_some() {
        let mut network = Network::new()?;
        let (a, b) = (network.host("orphan-a")?, network.host("orphan-b")?);
        network.lag_link(&a, &b, LinkQuality::default())?;
        println!("made");
        std::thread::sleep(Duration::from_secs(600));
        return Ok(());
    }
    let test = "what_a_killed_run_left_behind_is_removed_by_the_next";
    let mut dying = Command::new(std::env::current_exe()?)
        .args(["--exact", test, "--nocapture"])
        .env(DIES, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = Vec::new();
    let mut stdout = dying.stdout.take().ok_or("no output")?;
    while !String::from_utf8_lossy(&said).contains("made") {
        let mut byte = [0];
        stdout.read_exact(&mut byte)?;
        said.extend(byte);
    }
    let pid = dying.id();
    assert_eq!(namespaces(&format!(".{pid}.")), 2);
    dying.kill()?;
    dying.wait()?;
    // Another test's network may have removed them already.
    drop(Network::new()?);
    assert_eq!(namespaces(&format!(".{pid}.")), 0);
    Ok(())
}

#[test]
fn servers_run_in_hosts_at_their_addresses() -> Result {
    let mut network = network_or_skip!("servers_run_in_hosts_at_their_addresses");
    let (client, target) = (network.host("client")?, network.host("target")?);
    network.link(&client, &target)?;
    let postgres = Postgres::start(&Options {
        auth: Auth::Scram,
        tls_only: true,
        roles: vec![Role::new("app", "secret")],
        host: Some(target.clone()),
        ..Options::default()
    })?;
    assert_eq!(postgres.host(), target.address().to_string());
    let authority = postgres.ca_path().ok_or("no authority")?;
    let url = format!(
        "host={} port={} user=app dbname=postgres sslmode=verify-full sslrootcert={}",
        postgres.host(),
        postgres.port(),
        authority.display()
    );
    let mut psql = Command::new("psql");
    psql.args(["-X", "-A", "-t", "-c", "SELECT inet_client_addr()", &url])
        .env("PGPASSWORD", "secret");
    let output = client.wrap(&psql).output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(said.trim(), client.address().to_string());
    assert!(!psql.output()?.status.success(), "the machine has no way there");

    let dir = tempfile::tempdir()?;
    let key = SshKey::generate(&dir.path().join("id"), KeyKind::Ed25519)?;
    let sshd = Sshd::start(&SshdOptions {
        accounts: vec![Account::new("deploy").with_key(key.public())],
        host: Some(target.clone()),
        ..SshdOptions::default()
    })?;
    assert_eq!(sshd.address().ip(), target.address());
    let identity = [format!("IdentityFile {}", key.path().display())];
    let path = dir.path().join("config");
    let config = SshConfig::write(&path, "host", sshd.address(), "deploy", sshd.host_keys(), &identity)?;
    let exec = config.exec("echo $SSH_CONNECTION");
    let output = client.wrap(&exec).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.starts_with(&format!("{} ", client.address())), "{said}");
    Ok(())
}

/// A line by line talk with an HTTP proxy: the status of what it answers.
fn connect(host: &Host, proxy: &Proxy, to: SocketAddr, login: &str) -> Result<(String, TcpStream)> {
    let mut stream = dial(host, proxy.address(), SOON)??;
    stream.set_read_timeout(Some(SOON))?;
    write!(stream, "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{login}\r\n")?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
    Ok((status, stream))
}

#[test]
fn a_proxy_is_the_only_way_out() -> Result {
    let mut network = network_or_skip!("a_proxy_is_the_only_way_out");
    let [client, middle, server] = [
        network.host("client")?,
        network.host("middle")?,
        network.host("server")?,
    ];
    network.link(&client, &middle)?;
    network.link(&middle, &server)?;
    let (at_server, address) = listen(&server)?;
    let proxy = Proxy::start(&ProxyOptions {
        host: Some(middle.clone()),
        login: Some(("joe".to_owned(), "secret".to_owned())),
        connect_ports: vec![address.port()],
        ..ProxyOptions::default()
    })?;
    let refused = dial(&client, address, SOON)?.map(drop).map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::NetworkUnreachable));
    assert_eq!(connect(&client, &proxy, address, "")?.0, "407");

    // joe:secret
    let login = "Proxy-Authorization: Basic am9lOnNlY3JldA==\r\n";
    let elsewhere = SocketAddr::new(address.ip(), address.port() ^ 1);
    assert_eq!(connect(&client, &proxy, elsewhere, login)?.0, "403");
    let (status, mut near) = connect(&client, &proxy, address, login)?;
    assert_eq!(status, "200");
    let (mut far, from) = at_server.accept()?;
    assert_eq!(from.ip(), middle.address());
    exchange(&mut near, &mut far, SOON)?;
    assert!(
        proxy.requests().contains(&format!("CONNECT {address} HTTP/1.1")),
        "{:?}",
        proxy.requests()
    );

    proxy.kill()?;
    assert_eq!(near.read(&mut [0]).unwrap_or(0), 0);
    Ok(())
}
