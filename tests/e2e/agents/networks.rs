//! The client has no way to the target, the target none to the outside, and only the agent dials out.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sallyport_testbed::{Authority, Host, LinkQuality, Network, Proxy, ProxyOptions};
use sallyport_tests::{ACCOUNT, Behind, BehindPlan, Endpoint, Places, slow_reader};

use super::{agents, connections, said};

/// A network, or the end of the test where there can be none.
macro_rules! network_or_skip {
    ($test:literal) => {
        match Network::or_skip($test)? {
            Some(network) => network,
            None => return Ok(()),
        }
    };
}

/// The hosts of everybody. Nothing that comes from elsewhere is let in where the agent and the target are.
struct Land {
    client: Host,
    places: Places,
}

impl Land {
    fn survey(network: &mut Network) -> Result<Land> {
        let land = Land {
            client: network.host("client")?,
            places: Places {
                gateway: network.host("gateway")?,
                agent: network.host("agent")?,
                target: network.host("target")?,
            },
        };
        network.link(&land.client, &land.places.gateway)?;
        network.link(&land.places.agent, &land.places.target)?;
        land.places.agent.refuse_inbound()?;
        Ok(land)
    }

    fn plan(&self, arguments: &[String]) -> BehindPlan {
        BehindPlan {
            places: Some(self.places.clone()),
            arguments: arguments.to_vec(),
            ..BehindPlan::default().with_ssh()
        }
    }

    /// The client, the gateway and the target cannot reach each other but through what is between them.
    fn is_closed(&self, behind: &Behind) -> Result<()> {
        let target = (self.places.target.address(), behind.server.port());
        for host in [&self.client, &self.places.gateway] {
            let reached =
                host.enter(|| std::net::TcpStream::connect_timeout(&target.into(), Duration::from_secs(2)))?;
            ensure!(reached.is_err(), "`{}` reaches the target itself", host.name());
        }
        let gateway = behind.gateway.agents();
        let out = &self.places.target;
        let reached = out.enter(|| std::net::TcpStream::connect_timeout(&gateway, Duration::from_secs(2)))?;
        ensure!(reached.is_err(), "the target reaches the gateway itself");
        Ok(())
    }

    fn psql(&self, alice: &Endpoint, words: &[&str]) -> Command {
        let mut psql = alice.program("psql");
        psql.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"]).args(words);
        self.client.wrap(&psql)
    }
}

/// Databases and hosts work, for programs that are at the client's.
fn all_works(land: &Land, behind: &Behind) -> Result<()> {
    let alice = behind.through("alice")?;
    let from = format!("SELECT inet_client_addr() = '{}'", land.places.agent.address());
    let (ok, text) = said(&mut land.psql(&alice, &["-c", &from]))?;
    ensure!(ok && text == "t\n", "{text} {}", behind.logs());
    let file = behind.dir().join("rows");
    let rows: String = (0..50_000).map(|n| format!("{n}\tsome words for row {n}\n")).collect();
    std::fs::write(&file, &rows)?;
    let upload = format!("\\copy rows FROM '{}'", file.display());
    let made = "CREATE TABLE rows (n int, words text)";
    let (ok, text) = said(&mut land.psql(&alice, &["-q", "-c", made, "-c", &upload, "-c", "COPY rows TO STDOUT"]))?;
    ensure!(ok && text == rows, "{} bytes came back, or others", text.len());

    let config = behind.ssh()?;
    let (ok, text) = said(&mut land.client.wrap(&config.exec("id -un; exit 0")))?;
    ensure!(ok && text == format!("{ACCOUNT}\n"), "{text} {}", behind.logs());
    let copied = behind.dir().join("copied");
    std::fs::write(&copied, &rows)?;
    let mut scp = config.program("scp");
    scp.arg(&copied).arg(format!("{}:copied", config.name()));
    let (ok, text) = said(&mut land.client.wrap(&scp))?;
    ensure!(ok, "{text}");
    let arrived = std::fs::read_to_string(behind.sshd()?.home(ACCOUNT).join("copied"))?;
    ensure!(arrived == rows, "another file arrived");
    let mut cat = land.client.wrap(&config.exec("cat copied"));
    let output = cat.stdin(Stdio::null()).output()?;
    ensure!(output.stdout == rows.as_bytes(), "another file came back");
    Ok(())
}

#[test]
fn only_the_agent_dials_out_and_everything_works() -> Result<()> {
    let mut network = network_or_skip!("only_the_agent_dials_out_and_everything_works");
    let land = Land::survey(&mut network)?;
    network.link(&land.places.gateway, &land.places.agent)?;
    let behind = Behind::start(&land.plan(&[]))?;
    land.is_closed(&behind)?;
    all_works(&land, &behind)?;
    let shown = agents(&behind)?;
    let address = shown
        .first()
        .and_then(|agent| agent.pointer("/connected/address")?.as_str())
        .context("no address")?;
    ensure!(
        address.starts_with(&format!("{}:", land.places.agent.address())),
        "{address}"
    );
    Ok(())
}

/// What TLS still has in hand when a socket is full goes out once it is not, though nothing else happens.
#[test]
fn a_client_that_reads_slowly_over_tls_gets_the_end_of_its_results() -> Result<()> {
    let mut network = network_or_skip!("a_client_that_reads_slowly_over_tls_gets_the_end_of_its_results");
    let land = Land::survey(&mut network)?;
    network.link(&land.places.gateway, &land.places.agent)?;
    for host in [&land.places.gateway, &land.places.agent] {
        let mut small = host.command("sysctl");
        let (ok, text) = said(small.args(["-qw", "net.ipv4.tcp_wmem=4096 16384 65536"]))?;
        ensure!(ok, "{text}");
    }
    let behind = Behind::start(&BehindPlan {
        places: Some(land.places.clone()),
        ..BehindPlan::default()
    })?;
    let reader = slow_reader(&behind.through("alice")?);
    let (ok, text) = said(&mut land.client.wrap(&reader))?;
    ensure!(ok && text == "done\n", "{text} {}", behind.logs());
    Ok(())
}

#[test]
fn everything_works_over_a_wire_that_is_slow_and_loses_packets() -> Result<()> {
    let mut network = network_or_skip!("everything_works_over_a_wire_that_is_slow_and_loses_packets");
    let land = Land::survey(&mut network)?;
    let quality = LinkQuality {
        delay: Duration::from_millis(40),
        loss_percent: 1.0,
        ..LinkQuality::default()
    };
    network.lag_link(&land.places.gateway, &land.places.agent, quality)?;
    let behind = Behind::start(&land.plan(&[]))?;
    all_works(&land, &behind)?;
    // As long as a round trip takes, and not much longer.
    let latency = || -> Result<f64> {
        let agents = agents(&behind)?;
        let latency = agents
            .first()
            .and_then(|agent| agent.pointer("/connected/latency_ms")?.as_f64());
        latency.context("no latency")
    };
    let latency = latency()?;
    ensure!((80.0..2_000.0).contains(&latency), "{latency} ms");
    Ok(())
}

/// The way out of the agent's network is an HTTP proxy, which asks who comes.
#[test]
fn where_a_proxy_is_the_only_way_out_an_agent_takes_it_by_itself() -> Result<()> {
    let mut network = network_or_skip!("where_a_proxy_is_the_only_way_out_an_agent_takes_it_by_itself");
    let land = Land::survey(&mut network)?;
    let middle = network.host("middle")?;
    network.link(&land.places.agent, &middle)?;
    network.link(&middle, &land.places.gateway)?;
    let proxy = Proxy::start(&ProxyOptions {
        host: Some(middle),
        login: Some(("joe".to_owned(), "secret4711".to_owned())),
        ..ProxyOptions::default()
    })?;
    let url = format!("http://joe:secret4711@{}", proxy.address());
    // What the gateway shows around WebSockets is what it shows to browsers, too.
    let dir = tempfile::tempdir()?;
    let (ca, shown) = (dir.path().join("ca.crt"), Authority::new()?);
    std::fs::write(&ca, shown.certificate())?;
    let issued = shown.server(&[&land.places.gateway.address().to_string()])?;
    let (certificate, key) = issued.write(dir.path(), "gateway")?;
    let behind = Behind::start(&BehindPlan {
        settings: format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n"),
        ..land.plan(&[
            "--proxy".to_owned(),
            url,
            "--ca-file".to_owned(),
            ca.display().to_string(),
        ])
    })?;
    connections(&behind, 2)?;
    all_works(&land, &behind)?;
    let wanted = format!("CONNECT {} HTTP/1.1", behind.gateway.agents());
    ensure!(proxy.requests().contains(&wanted), "{:?}", proxy.requests());
    ensure!(
        !behind.agent.log().contains("secret4711"),
        "the proxy's password is in the log"
    );
    Ok(())
}
