//! Through tinyproxy, from a host that has no other way.

use std::time::Duration;

use sallyport_testbed::{Authority, Host, LinkQuality, Network, Proxy as Tinyproxy, ProxyOptions};
use sallyport_tunnel::websocket::{DialError, Dialer, GatewayUrl, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::peers::{Peer, echo};
use super::{Result, trusting};

/// In a host, as a process there would.
fn within<T: Send>(host: &Host, task: impl Future<Output = Result<T>> + Send) -> Result<T> {
    host.enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(task)
    })?
}

#[test]
fn a_proxy_leads_where_nothing_else_does() -> Result {
    let Some(mut network) = Network::or_skip("a_proxy_leads_where_nothing_else_does")? else {
        return Ok(());
    };
    let [agent, middle, gateway] = [
        network.host("agent")?,
        network.host("middle")?,
        network.host("gateway")?,
    ];
    let quality = LinkQuality {
        delay: Duration::from_millis(20),
        loss_percent: 1.0,
        ..LinkQuality::default()
    };
    network.lag_link(&agent, &middle, quality)?;
    network.link(&middle, &gateway)?;
    agent.refuse_inbound()?;

    let dir = tempfile::tempdir()?;
    let authority = Authority::new()?;
    let name = gateway.address().to_string();
    let (certificate, key) = authority.server(&[&name])?.write(dir.path(), "server")?;
    let peer = Peer::serve(Some(&gateway), Some((&certificate, &key)))?;
    let tinyproxy = Tinyproxy::start(&ProxyOptions {
        host: Some(middle.clone()),
        login: Some(("joe".to_owned(), "secret".to_owned())),
        connect_ports: vec![peer.port],
        ..ProxyOptions::default()
    })?;
    let at = tinyproxy.address();
    let tls = trusting(Some(&authority.certificate()))?;
    let url = |port: u16| GatewayUrl::parse(&format!("https://{name}:{port}"));
    let direct = Dialer::new(url(peer.port)?, tls.clone());
    let through = |proxy: &str| Result::Ok(direct.clone().with_proxy(Some(Proxy::parse(proxy)?)));

    let refused = within(&agent, async { Ok(direct.dial().await) })?;
    assert!(matches!(refused, Err(DialError::Connect { .. })), "{refused:?}");
    for proxy in [format!("http://{at}"), format!("http://joe:wrong@{at}")] {
        let dialer = through(&proxy)?;
        let refused = within(&agent, async { Ok(dialer.dial().await) })?;
        // tinyproxy asks who comes without a login, and turns away who comes with a wrong one.
        assert!(
            matches!(refused, Err(DialError::ProxyRefused { status: 407 | 401 })),
            "{refused:?}"
        );
    }
    let login = Proxy::parse(&format!("http://joe:secret@{at}"))?;
    let elsewhere = Dialer::new(url(peer.port ^ 1)?, tls).with_proxy(Some(login.clone()));
    let refused = within(&agent, async { Ok(elsewhere.dial().await) })?;
    assert!(
        matches!(refused, Err(DialError::ProxyRefused { status: 403 })),
        "{refused:?}"
    );

    let dialer = direct.clone().with_proxy(Some(login));
    within(&agent, async { echo(dialer.dial().await?, 300_000).await })?;
    assert!(
        tinyproxy
            .requests()
            .contains(&format!("CONNECT {name}:{} HTTP/1.1", peer.port))
    );

    // A proxy that dies is no end of the stream.
    let ended = within(&agent, async {
        let mut stream = dialer.dial().await?;
        stream.write_all(b"?").await?;
        stream.flush().await?;
        stream.read_exact(&mut [0]).await?;
        tinyproxy.kill()?;
        Ok(stream.read(&mut [0]).await.map_err(|error| error.kind()))
    })?;
    assert!(ended.is_err(), "{ended:?}");
    Ok(())
}
