//! Peers that break rules, die, or do not read.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use sallyport_tunnel::websocket::accept;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PATIENCE, Result, ServerEnd, listen, pair};

/// A request that is good.
pub(crate) const UPGRADE: &str = "GET /v1/agents/tunnel HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: sallyport-tunnel.1\r\n\r\n";

/// One frame (RFC 6455, section 5.2), as good or bad as a test needs it.
pub(crate) struct Frame {
    first: u8,
    payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: &[u8]) -> Frame {
        let payload = payload.to_vec();
        Frame {
            first: 0x80 | opcode,
            payload,
        }
    }

    pub(crate) fn end(self, end: bool) -> Frame {
        let first = if end { self.first } else { self.first & 0x7f };
        Frame { first, ..self }
    }

    fn head(&self, mask: u8) -> Vec<u8> {
        let mut head = vec![self.first];
        match (u8::try_from(self.payload.len()), u16::try_from(self.payload.len())) {
            (Ok(length @ 0..=125), _) => head.push(mask | length),
            (_, Ok(length)) => {
                head.push(mask | 126);
                head.extend(length.to_be_bytes());
            }
            (_, Err(_)) => {
                head.push(mask | 127);
                head.extend((self.payload.len() as u64).to_be_bytes());
            }
        }
        head
    }

    pub(crate) fn masked(&self) -> Vec<u8> {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let masked = self.payload.iter().zip(mask.iter().cycle());
        let masked: Vec<u8> = masked.map(|(byte, mask)| byte ^ mask).collect();
        [self.head(0x80), mask.to_vec(), masked].concat()
    }

    fn bare(&self) -> Vec<u8> {
        [self.head(0), self.payload.clone()].concat()
    }
}

/// A client by hand, which has been let in, and the server's end.
async fn by_hand() -> Result<(TcpStream, ServerEnd)> {
    let (listener, address) = listen().await?;
    let mut client = TcpStream::connect(address).await?;
    client.write_all(UPGRADE.as_bytes()).await?;
    let (stream, _) = listener.accept().await?;
    let server = accept(stream, Bytes::new(), PATIENCE).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(client.read_u8().await?);
    }
    let answer = String::from_utf8(answer)?;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    // The example of RFC 6455, section 1.3.
    assert!(
        answer
            .to_lowercase()
            .contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{answer}"
    );
    assert!(
        answer
            .to_lowercase()
            .contains("sec-websocket-protocol: sallyport-tunnel.1"),
        "{answer}"
    );
    Ok((client, server))
}

/// What the server tells the client in the end: the code of its close frame, if it sends one.
async fn told(mut client: TcpStream, server: ServerEnd) -> Result<Option<u16>> {
    drop(server);
    let mut all = Vec::new();
    // A server that has not read everything resets the connection; what it said before may be lost by that.
    let _ = client.read_to_end(&mut all).await;
    match all.as_slice() {
        [] => Ok(None),
        [0x88, 2, a, b, ..] => Ok(Some(u16::from_be_bytes([*a, *b]))),
        other => Err(format!("{other:?}").into()),
    }
}

#[tokio::test]
async fn what_breaks_the_rules_is_an_error_again_and_again() -> Result {
    let reserved = Frame {
        first: 0xc2,
        payload: b"x".to_vec(),
    };
    let too_long = [0x82, 0xff, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0, 0].to_vec();
    let largest = [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0].to_vec();
    let in_fragments = [0_u8; 5].iter().enumerate().map(|(index, _)| {
        Frame::new(if index == 0 { 2 } else { 0 }, &[7; 60_000])
            .end(false)
            .masked()
    });
    for (what, bytes, code) in [
        ("text", Frame::new(1, b"hello").masked(), 1003),
        ("unmasked", Frame::new(2, b"hello").bare(), 1002),
        ("a reserved bit", reserved.masked(), 1002),
        ("an unknown opcode", Frame::new(3, b"").masked(), 1002),
        ("an unknown control", Frame::new(11, b"").masked(), 1002),
        ("a continuation of nothing", Frame::new(0, b"x").masked(), 1002),
        (
            "a message within another",
            [Frame::new(2, b"x").end(false).masked(), Frame::new(2, b"y").masked()].concat(),
            1002,
        ),
        ("a fragmented ping", Frame::new(9, b"x").end(false).masked(), 1002),
        ("a long ping", Frame::new(9, &[0; 126]).masked(), 1002),
        ("a message that is too long", too_long, 1009),
        ("the largest length", largest, 1009),
        (
            "fragments that are too long together",
            in_fragments.collect::<Vec<_>>().concat(),
            1009,
        ),
    ] {
        let (mut client, mut server) = by_hand().await?;
        client.write_all(&bytes).await?;
        let mut buffer = [0; 16];
        for _ in 0..3 {
            let kind = server.read(&mut buffer).await.map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::InvalidData), "{what}");
        }
        let write = server.write(b"more").await.map_err(|error| error.kind());
        assert_eq!(write, Err(ErrorKind::BrokenPipe), "{what}");
        assert_eq!(told(client, server).await?, Some(code), "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn only_a_good_close_is_an_end() -> Result {
    let code = |code: u16| Frame::new(8, &code.to_be_bytes()).masked();
    for (what, bytes, end) in [
        ("no code", Frame::new(8, b"").masked(), Ok(0)),
        ("normal", code(1000), Ok(0)),
        ("going away", code(1001), Ok(0)),
        ("an error there", code(1011), Err(ErrorKind::ConnectionAborted)),
        (
            "a code that nobody may send",
            code(1006),
            Err(ErrorKind::ConnectionAborted),
        ),
        (
            "half a code",
            Frame::new(8, b"\x03").masked(),
            Err(ErrorKind::InvalidData),
        ),
        ("nothing", Vec::new(), Err(ErrorKind::UnexpectedEof)),
        ("half a frame", vec![0x82, 0x85, 1], Err(ErrorKind::UnexpectedEof)),
    ] {
        let (mut client, mut server) = by_hand().await?;
        // Empty messages before it are no end.
        client
            .write_all(&[Frame::new(2, b"").masked(), Frame::new(2, b"x").masked()].concat())
            .await?;
        client.write_all(&bytes).await?;
        client.shutdown().await?;
        assert_eq!(server.read(&mut [0; 16]).await?, 1, "{what}");
        for _ in 0..2 {
            let read = server.read(&mut [0; 16]).await.map_err(|error| error.kind());
            assert_eq!(read, end, "{what}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn pings_are_answered_with_what_they_carry() -> Result {
    let (mut client, mut server) = by_hand().await?;
    client.write_all(&Frame::new(9, b"are you there").masked()).await?;
    let reading = tokio::spawn(async move { server.read(&mut [0; 16]).await });
    let mut pong = [0; 15];
    client.read_exact(&mut pong).await?;
    assert_eq!(pong.to_vec(), Frame::new(10, b"are you there").bare());
    reading.abort();
    Ok(())
}

#[tokio::test]
async fn who_pings_and_never_reads_uses_no_memory_up() -> Result {
    let (mut client, mut server) = by_hand().await?;
    let pings = Frame::new(9, &[7; 125]).masked().repeat(10_000);
    let pinging = async {
        // 131 MB, of which the answers would be as many.
        for _ in 0..100 {
            client.write_all(&pings).await?;
        }
        client.write_all(&Frame::new(2, b"x").masked()).await?;
        Result::Ok(())
    };
    let before = resident()?;
    let reading = async { Result::Ok(server.read_exact(&mut [0]).await?) };
    tokio::time::timeout(Duration::from_secs(60), async { tokio::try_join!(pinging, reading) }).await??;
    let grown = resident()?.saturating_sub(before);
    assert!(grown < 30_000_000, "{grown} bytes more");
    // What it is sent waits for it to read.
    let stuck = tokio::time::timeout(Duration::from_millis(200), server.write_all(&[0; 1000])).await;
    assert!(stuck.is_err(), "{stuck:?}");
    Ok(())
}

/// Bytes of memory that this process has.
fn resident() -> Result<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm.split(' ').nth(1).ok_or("no second field")?.parse()?;
    Ok(pages * 4096)
}

#[tokio::test]
async fn who_does_not_read_stops_the_writer_and_loses_nothing() -> Result {
    let (mut client, mut server) = pair().await?;
    for upwards in [true, false] {
        let (from, to): (&mut dyn AsyncWriteRead, &mut dyn AsyncWriteRead) = if upwards {
            (&mut client, &mut server)
        } else {
            (&mut server, &mut client)
        };
        // Each byte says where it stands, as far as a byte can.
        let pattern: Vec<u8> = (0..251).cycle().take(100_000).collect();
        let mut written: usize = 0;
        let from_here = |at: usize| pattern.get(at % 251..).unwrap_or_default();
        // Until it has not moved for a while.
        while let Ok(wrote) = tokio::time::timeout(Duration::from_millis(300), from.write(from_here(written))).await {
            written += wrote?;
            assert!(written < 64_000_000, "nothing stops the writer");
        }
        let mut seen = 0;
        let mut buffer = vec![0; 90_000];
        let flushing = async { Result::Ok(from.flush().await?) };
        let reading = async {
            while seen < written {
                let read = to.read(&mut buffer).await?;
                assert_ne!(read, 0);
                assert!(
                    buffer.get(..read) == from_here(seen).get(..read),
                    "other bytes after {seen}"
                );
                seen += read;
            }
            assert_eq!(seen, written);
            Result::Ok(())
        };
        tokio::try_join!(flushing, reading)?;
        let more = tokio::time::timeout(Duration::from_millis(100), to.read(&mut buffer)).await;
        assert!(more.is_err(), "more than was written: {more:?}");
    }
    Ok(())
}

trait AsyncWriteRead: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> AsyncWriteRead for T {}

#[tokio::test]
async fn closing_ends_both_directions() -> Result {
    let (mut client, mut server) = pair().await?;
    client.write_all(b"last").await?;
    client.shutdown().await?;
    let mut all = Vec::new();
    server.read_to_end(&mut all).await?;
    assert_eq!(all, b"last");
    let write = server.write(b"too late").await.map_err(|error| error.kind());
    assert_eq!(write, Err(ErrorKind::BrokenPipe));
    assert_eq!(client.read(&mut [0]).await?, 0);
    let write = client.write(b"too late").await.map_err(|error| error.kind());
    assert_eq!(write, Err(ErrorKind::BrokenPipe));
    server.shutdown().await?;
    client.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn who_dies_is_noticed_at_both_ends() -> Result {
    let (client, mut server) = pair().await?;
    drop(client);
    let read = server.read(&mut [0]).await.map_err(|error| error.kind());
    assert_eq!(read, Err(ErrorKind::UnexpectedEof));

    let (mut client, server) = pair().await?;
    client.write_all(b"never read").await?;
    client.flush().await?;
    // With something unread the kernel resets the connection.
    drop(server);
    let read = client.read(&mut [0]).await.map_err(|error| error.kind());
    assert!(
        matches!(read, Err(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)),
        "{read:?}"
    );
    Ok(())
}
