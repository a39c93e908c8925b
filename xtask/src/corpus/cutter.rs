//! A relay that cuts what the server sends where a case says.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::Result;

/// How long the server is quiet before what it sent is taken to be whole.
const QUIET: Duration = Duration::from_millis(30);
/// The pause that makes a piece arrive alone.
const PAUSE: Duration = Duration::from_millis(40);

/// A relay on a port of its own; it serves as long as the process lives.
pub(crate) struct Cutter {
    address: SocketAddr,
}

impl Cutter {
    /// Starts a relay to `server` that sends the bytes of `segments`, wherever they come in a row, piece by piece.
    pub(crate) fn start(server: SocketAddr, segments: Vec<Vec<u8>>) -> Result<Cutter> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let segments = segments.clone();
                // A connection that breaks shows in the case that used it.
                std::thread::spawn(move || relay(client, server, &segments));
            }
        });
        Ok(Cutter { address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn relay(mut client: TcpStream, server: SocketAddr, segments: &[Vec<u8>]) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        // The end of either side ends both.
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    server.set_read_timeout(Some(QUIET))?;
    let mut held = Vec::new();
    let mut bytes = vec![0_u8; 1 << 16];
    loop {
        match server.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => held.extend(bytes.iter().take(read)),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                pass_on(&mut client, &std::mem::take(&mut held), segments)?;
            }
            Err(error) => return Err(error),
        }
    }
    pass_on(&mut client, &held, segments)?;
    client.shutdown(Shutdown::Both)
}

fn pass_on(client: &mut TcpStream, bytes: &[u8], segments: &[Vec<u8>]) -> std::io::Result<()> {
    for piece in pieces(bytes, segments) {
        client.write_all(piece)?;
        if piece.len() < bytes.len() {
            std::thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// The bytes cut where the segments are cut; in one piece where the segments do not occur.
fn pieces<'a>(bytes: &'a [u8], segments: &[Vec<u8>]) -> Vec<&'a [u8]> {
    let whole = segments.concat();
    let at = bytes.windows(whole.len().max(1)).position(|window| window == whole);
    let Some((before, mut rest)) = at.and_then(|at| bytes.split_at_checked(at)) else {
        return vec![bytes];
    };
    let mut pieces = vec![before];
    for segment in segments {
        let (piece, after) = rest.split_at_checked(segment.len()).unwrap_or((rest, &[]));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_where_the_segments_say() {
        let segments = [b"ab".to_vec(), b"c".to_vec()];
        assert_eq!(pieces(b"xxabcyy", &segments), [&b"xx"[..], b"ab", b"c", b"yy"]);
        assert_eq!(pieces(b"abc", &segments), [&b"ab"[..], b"c"]);
        assert_eq!(pieces(b"acb", &segments), [&b"acb"[..]]);
    }
}
