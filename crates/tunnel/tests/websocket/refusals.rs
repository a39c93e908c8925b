//! What is not let in, and where one does not go in.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sallyport_tunnel::websocket::{AcceptError, DialError, Proxy, accept};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::hostile::UPGRADE;
use super::{PATIENCE, Result, dialer, listen};

/// Sends a request, and gives what it is answered with and what the server makes of it.
async fn ask(request: &str, patience: Duration) -> Result<(String, Option<AcceptError>)> {
    let (listener, address) = listen().await?;
    let mut client = TcpStream::connect(address).await?;
    client.write_all(request.as_bytes()).await?;
    let (stream, _) = listener.accept().await?;
    let accepted = accept(stream, Bytes::new(), patience).await;
    let error = accepted.err();
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    Ok((String::from_utf8_lossy(&answer).into_owned(), error))
}

#[tokio::test]
async fn requests_for_anything_else_are_refused_in_http() -> Result {
    let but = |from: &str, to: &str| {
        let changed = UPGRADE.replace(from, to);
        assert_ne!(changed, UPGRADE);
        changed
    };
    for (request, status) in [
        (but("/v1/agents/tunnel", "/v1/agents/tunnel/x"), 404),
        (but("/v1/agents/tunnel", "/v1/agents/tunnel?x"), 404),
        (but("/v1/agents/tunnel", "/"), 404),
        (but("Host: gw", "Host: gw\r\nOrigin: https://gw"), 403),
        (but("sallyport-tunnel.1", "sallyport-tunnel.10"), 400),
        (but("Sec-WebSocket-Protocol: sallyport-tunnel.1\r\n", ""), 400),
        (but("GET", "POST"), 400),
        (but("HTTP/1.1", "HTTP/1.0"), 400),
        (but("Upgrade: websocket", "Upgrade: h2c"), 426),
        (but("Connection: Upgrade", "Connection: close"), 426),
        (but("Version: 13", "Version: 8"), 426),
        (but("dGhlIHNhbXBsZSBub25jZQ==", "short"), 400),
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400),
        // Whoever does not wait for the answer may be smuggling something past a proxy.
        (format!("{UPGRADE}GET / HTTP/1.1\r\n\r\n"), 400),
        (but("Host: gw", &format!("Host: gw\r\nX: {}", "y".repeat(70_000))), 400),
        (
            but(
                "Host: gw",
                &format!("Host: gw\r\n{}", "X: y\r\n".repeat(200).trim_end()),
            ),
            400,
        ),
    ] {
        let (answer, error) = ask(&request, PATIENCE).await?;
        let shown: String = request.chars().take(300).collect();
        let Some(AcceptError::Refused { status: refused, .. }) = error else {
            return Err(format!("{shown}: {error:?}").into());
        };
        assert_eq!(refused, status, "{shown}");
        // A reset may overtake the answer to what was not read to its end.
        let long = request.len() > 4000;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) || (long && answer.is_empty()),
            "{shown}: {answer}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_was_read_before_counts() -> Result {
    let (listener, address) = listen().await?;
    for cut in [0, 1, 4, UPGRADE.len()] {
        let (read, rest) = UPGRADE.split_at(cut);
        let mut client = TcpStream::connect(address).await?;
        client.write_all(rest.as_bytes()).await?;
        let (stream, _) = listener.accept().await?;
        accept(stream, Bytes::copy_from_slice(read.as_bytes()), PATIENCE).await?;
    }
    Ok(())
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() -> Result {
    let patience = Duration::from_millis(100);
    let (listener, address) = listen().await?;
    let _client = TcpStream::connect(address).await?;
    let (stream, _) = listener.accept().await?;
    let refused = accept(stream, Bytes::new(), patience).await.map(drop);
    assert!(matches!(refused, Err(AcceptError::Timeout(_))), "{refused:?}");
    let (_, gone) = {
        let client = TcpStream::connect(address).await?;
        drop(client);
        let (stream, _) = listener.accept().await?;
        ((), accept(stream, Bytes::new(), PATIENCE).await.map(drop))
    };
    assert!(matches!(gone, Err(AcceptError::Broken(_))), "{gone:?}");
    Ok(())
}

/// Somebody who answers every request with the same bytes, however wrong. `{key}` becomes what RFC 6455 asks for.
async fn answering(answer: &'static str) -> Result<std::net::SocketAddr> {
    let (listener, address) = listen().await?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let _ = stream.write_all(answer.as_bytes()).await;
            // Until the other side goes.
            let _ = stream.read_to_end(&mut head).await;
        }
    });
    Ok(address)
}

#[tokio::test]
async fn gateways_that_answer_otherwise_are_left() -> Result {
    let refusals = [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404),
        ("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", 302),
        ("HTTP/1.1 200 OK\r\n\r\n", 200),
    ];
    for (answer, status) in refusals {
        let refused = dialer(&format!("http://{}", answering(answer).await?), None)?
            .dial()
            .await;
        assert!(
            matches!(&refused, Err(DialError::Refused { status: said }) if *said == status),
            "{refused:?}"
        );
    }
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sallyport-tunnel.1\r\n\r\n",
    ] {
        let refused = dialer(&format!("http://{}", answering(answer).await?), None)?
            .dial()
            .await;
        assert!(matches!(refused, Err(DialError::Answer(_))), "{answer}: {refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn silence_is_not_waited_for() -> Result {
    let patience = Duration::from_millis(200);
    let (_listener, silent) = listen().await?;
    let begin = Instant::now();
    let refused = dialer(&format!("http://{silent}"), None)?
        .with_patience(patience)
        .dial()
        .await;
    assert!(matches!(refused, Err(DialError::Timeout(_))), "{refused:?}");
    let tls = dialer(&format!("https://{silent}"), None)?.with_patience(patience);
    let refused = tls.dial().await;
    assert!(matches!(refused, Err(DialError::Timeout(_))), "{refused:?}");
    let proxy = Proxy::parse(&silent.to_string())?;
    let refused = tls.with_proxy(Some(proxy)).dial().await;
    assert!(matches!(refused, Err(DialError::Timeout(_))), "{refused:?}");
    assert!(begin.elapsed() < PATIENCE);
    Ok(())
}

#[tokio::test]
async fn proxies_that_answer_otherwise_are_left() -> Result {
    let through = |proxy: std::net::SocketAddr| {
        let dialer = dialer("https://gw.invalid", None)?;
        Result::Ok(dialer.with_proxy(Some(Proxy::parse(&proxy.to_string())?)))
    };
    let refused = through(answering("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno\n").await?)?
        .dial()
        .await;
    assert!(
        matches!(refused, Err(DialError::ProxyRefused { status: 502 })),
        "{refused:?}"
    );
    let endless: &'static str = Box::leak(format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(100_000)).into_boxed_str());
    for answer in [
        endless,
        "HTTP/1.1 200 OK\r\n\r\nsomething of its own",
        "220 mail.example.com\r\n\r\n",
    ] {
        let refused = through(answering(answer).await?)?.dial().await;
        assert!(matches!(refused, Err(DialError::ProxyAnswer(_))), "{refused:?}");
    }
    // In the clear only to this machine, and not by way of another.
    let (_listener, address) = listen().await?;
    let clear = dialer("http://127.0.0.1:1", None)?.with_proxy(Some(Proxy::parse(&address.to_string())?));
    let refused = clear.dial().await;
    assert!(matches!(refused, Err(DialError::Address(_))), "{refused:?}");
    Ok(())
}
