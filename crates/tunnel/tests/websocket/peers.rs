//! Tunnels with a library of Python at the other end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use sallyport_testbed::{Authority, Host, cache_dir, noise};
use sallyport_tunnel::websocket::{DialError, accept};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{PATIENCE, Result, dialer, listen};

/// More than any buffer on the way.
const SIZE: usize = 12_000_000;

/// A server of Python's; dropping it kills it.
pub(crate) struct Peer {
    child: Child,
    pub(crate) port: u16,
}

impl Peer {
    pub(crate) fn serve(host: Option<&Host>, files: Option<(&Path, &Path)>) -> Result<Peer> {
        let mut command = python();
        let address = host.map_or("127.0.0.1".to_owned(), |host| host.address().to_string());
        command.arg("serve").arg(address);
        if let Some((certificate, key)) = files {
            command.arg(certificate).arg(key);
        }
        if let Some(host) = host {
            command = host.wrap(&command);
        }
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let port = line.trim().parse()?;
        Ok(Peer { child, port })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python() -> Command {
    let mut command = Command::new(cache_dir().join("python-websocket/venv/bin/python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/echo.py"));
    command
}

/// Sends bytes in pieces of every size, and expects the same ones.
pub(crate) async fn echo(stream: impl AsyncRead + AsyncWrite + Unpin, size: usize) -> Result {
    let sent = noise(size);
    let (mut read, mut write) = tokio::io::split(stream);
    let writing = async {
        let mut rest = sent.as_slice();
        for size in [1, 125, 126, 1000, 65_535, 65_536, 65_537, 300_000].into_iter().cycle() {
            let (piece, more) = rest.split_at(size.min(rest.len()));
            write.write_all(piece).await?;
            write.flush().await?;
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        Result::Ok(())
    };
    let mut received = vec![0; size];
    let reading = async { Result::Ok(read.read_exact(&mut received).await?) };
    tokio::try_join!(writing, reading)?;
    assert!(received == sent, "other bytes came back");
    let mut stream = read.unsplit(write);
    stream.shutdown().await?;
    assert_eq!(stream.read(&mut [0]).await?, 0, "the peer closes, too");
    Ok(())
}

#[tokio::test]
async fn a_server_of_python_gives_every_byte_back() -> Result {
    let peer = Peer::serve(None, None)?;
    let stream = dialer(&format!("http://127.0.0.1:{}", peer.port), None)?.dial().await?;
    echo(stream, SIZE).await
}

#[tokio::test]
async fn a_server_of_python_is_reached_over_tls_that_is_verified() -> Result {
    let dir = tempfile::tempdir()?;
    let (authority, other) = (Authority::new()?, Authority::new()?);
    let (certificate, key) = authority.server(&["localhost"])?.write(dir.path(), "server")?;
    let peer = Peer::serve(None, Some((&certificate, &key)))?;
    let url = format!("https://localhost:{}", peer.port);
    let stream = dialer(&url, Some(&authority.certificate()))?.dial().await?;
    echo(stream, SIZE).await?;

    let refused = dialer(&url, Some(&other.certificate()))?.dial().await;
    assert!(matches!(refused, Err(DialError::Tls(_))), "{refused:?}");
    let by_address = format!("https://127.0.0.1:{}", peer.port);
    let refused = dialer(&by_address, Some(&authority.certificate()))?.dial().await;
    assert!(matches!(refused, Err(DialError::Tls(_))), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_client_of_python_gets_every_byte_back() -> Result {
    let (listener, address) = listen().await?;
    let serving = async {
        let (stream, _) = listener.accept().await?;
        let stream = accept(stream, Bytes::new(), PATIENCE).await?;
        let (mut read, mut write) = tokio::io::split(stream);
        // Ends when the client closes, and not by an error.
        let copied = tokio::io::copy(&mut read, &mut write).await?;
        Result::Ok(copied)
    };
    let mut client = tokio::process::Command::from(python());
    let url = format!("ws://{address}/v1/agents/tunnel");
    client.args(["dial", &url, "", &SIZE.to_string()]).kill_on_drop(true);
    let client = async { Result::Ok(client.output().await?) };
    let (copied, output) = tokio::try_join!(serving, client)?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    // It was answered with the code that it gave.
    assert_eq!(said.trim(), "ok 1000");
    assert_eq!(copied, u64::try_from(SIZE)?);
    Ok(())
}
