//! Whether a server takes connections yet, asked in its own protocol.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// `CANNOT_CONNECT_NOW`: the server is starting up or in recovery.
const STARTING_UP: &[u8] = b"C57P03\0";

/// Sends a startup message and sees whether the server asks for authentication.
///
/// The protocol: <https://www.postgresql.org/docs/current/protocol-flow.html>.
pub(super) fn accepts(socket: &Path, user: &str) -> bool {
    ask(socket, user).unwrap_or(false)
}

fn ask(socket: &Path, user: &str) -> std::io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    for part in ["user", user, "database", "postgres", ""] {
        body.extend_from_slice(part.as_bytes());
        body.push(0);
    }
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&body)?;
    let mut reply = [0_u8; 512];
    let read = stream.read(&mut reply)?;
    let reply = reply.get(..read).unwrap_or_default();
    stream.write_all(b"X\0\0\0\x04")?;
    let starting = reply.windows(STARTING_UP.len()).any(|window| window == STARTING_UP);
    Ok(!reply.is_empty() && !starting)
}
