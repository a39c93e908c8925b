//! A client of PostgreSQL's protocol 3.0 that sends what it is told and keeps every message it gets.
//!
//! It is written for the corpora and shares nothing with the gateway's own reading of the protocol:
//! <https://www.postgresql.org/docs/current/protocol.html>.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

const PATIENCE: Duration = Duration::from_secs(8);

/// One message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) body: Vec<u8>,
}

/// A connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    password: Option<String>,
    /// What came since the last time that it was taken.
    pub(crate) messages: Vec<Message>,
    /// What came before the server was first ready.
    pub(crate) startup: Vec<Message>,
    /// The other side closed, or spoke nonsense.
    pub(crate) dead: bool,
}

impl Connection {
    /// Connects and logs in; whether the server accepted stands in `startup` and `dead`.
    pub(crate) fn open(
        address: SocketAddr,
        parameters: &[(String, String)],
        password: Option<&str>,
    ) -> Result<Connection> {
        let stream =
            TcpStream::connect_timeout(&address, PATIENCE).with_context(|| format!("no connection to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut connection = Connection {
            stream,
            buffer: Vec::new(),
            password: password.map(str::to_owned),
            messages: Vec::new(),
            startup: Vec::new(),
            dead: false,
        };
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        for (name, value) in parameters {
            body.extend(text(name));
            body.extend(text(value));
        }
        body.push(0);
        let mut packet = length(&body).to_vec();
        packet.extend(body);
        connection.send(&packet, None, Duration::ZERO);
        let ready = connection.wait(b"Z", PATIENCE);
        connection.startup = std::mem::take(&mut connection.messages);
        connection.dead |= ready.is_none();
        Ok(connection)
    }

    /// Sends bytes, in pieces if asked. A failure shows in `dead`.
    pub(crate) fn send(&mut self, bytes: &[u8], chunk: Option<usize>, delay: Duration) {
        for piece in bytes.chunks(chunk.unwrap_or(usize::MAX).max(1)) {
            if self.stream.write_all(piece).is_err() {
                self.dead = true;
                return;
            }
            if chunk.is_some() {
                std::thread::sleep(delay);
            }
        }
    }

    /// Reads until a message of one of these kinds comes, and says which.
    pub(crate) fn wait(&mut self, kinds: &[u8], patience: Duration) -> Option<u8> {
        let end = Instant::now() + patience;
        let mut seen = self.messages.len();
        loop {
            while let Some(message) = self.messages.get(seen) {
                if kinds.contains(&message.kind) {
                    return Some(message.kind);
                }
                seen += 1;
            }
            let left = end.saturating_duration_since(Instant::now());
            if self.dead || left.is_zero() {
                return None;
            }
            self.read(left.min(Duration::from_millis(500)));
        }
    }

    /// Reads whatever comes in this time.
    pub(crate) fn drain(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while !self.dead && Instant::now() < end {
            self.read(Duration::from_millis(50).min(time.max(Duration::from_millis(1))));
        }
    }

    /// Reads to the end of an answer without keeping it, and says how many bytes it had.
    ///
    /// An answer ends with `ReadyForQuery` of an idle session: `Z`, length 5, `I`.
    pub(crate) fn skip_to_ready(&mut self, patience: Duration) -> Result<u64> {
        const READY: &[u8] = b"Z\0\0\0\x05I";
        self.stream.set_read_timeout(Some(patience))?;
        let mut bytes = vec![0_u8; 1 << 18];
        let (mut total, mut tail) = (0, Vec::<u8>::new());
        loop {
            let read = self.stream.read(&mut bytes)?;
            anyhow::ensure!(read > 0, "the connection was closed");
            total += read as u64;
            let fresh = bytes.get(..read).unwrap_or_default();
            tail.extend(fresh.iter().skip(read.saturating_sub(READY.len())));
            tail.drain(..tail.len().saturating_sub(READY.len()));
            if tail == READY {
                return Ok(total);
            }
        }
    }

    /// Says goodbye and closes.
    pub(crate) fn close(&mut self) {
        self.send(&packet(b'X', &[]), None, Duration::ZERO);
        // Nothing is lost when the other side has closed already.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// Runs a simple query to its end.
    pub(crate) fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        self.messages.clear();
        self.send(&packet(b'Q', &text(sql)), None, Duration::ZERO);
        self.wait(b"Z", Duration::from_secs(30))
            .with_context(|| format!("no answer to `{sql}`"))?;
        if let Some(error) = self.messages.iter().find(|message| message.kind == b'E') {
            let fields = Fields::of(&error.body);
            anyhow::bail!("`{sql}`: {}", fields.message());
        }
        let rows = self.messages.iter().filter(|message| message.kind == b'D');
        let lossy = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        Ok(rows
            .map(|row| cells(&row.body).into_iter().map(|cell| cell.map(lossy)).collect())
            .collect())
    }

    fn read(&mut self, time: Duration) {
        let mut bytes = vec![0_u8; 1 << 16];
        if self.stream.set_read_timeout(Some(time)).is_err() {
            self.dead = true;
            return;
        }
        match self.stream.read(&mut bytes) {
            Ok(0) => self.dead = true,
            Ok(read) => {
                self.buffer.extend(bytes.iter().take(read));
                self.cut();
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            Err(_) => self.dead = true,
        }
    }

    fn cut(&mut self) {
        while let Some((head, rest)) = self.buffer.split_first_chunk::<5>() {
            let [kind, length @ ..] = *head;
            let length = u32::from_be_bytes(length) as usize;
            let Some(body) = length.checked_sub(4).map(|size| rest.get(..size)) else {
                self.dead = true;
                return;
            };
            let Some(body) = body else { return };
            let message = Message {
                kind,
                body: body.to_vec(),
            };
            self.buffer.drain(..=length);
            self.authenticate(&message);
            self.messages.push(message);
        }
    }

    /// Answers the server's wish for a password in clear; no other method is known here.
    fn authenticate(&mut self, message: &Message) {
        if message.kind != b'R' || message.body != 3_u32.to_be_bytes() {
            return;
        }
        let password = self.password.clone().unwrap_or_default();
        self.send(&packet(b'p', &text(&password)), None, Duration::ZERO);
    }
}

/// A message with its type and length.
pub(crate) fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(length(body));
    bytes.extend(body);
    bytes
}

fn length(body: &[u8]) -> [u8; 4] {
    u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes()
}

/// A zero-terminated string.
pub(crate) fn text(value: &str) -> Vec<u8> {
    let mut bytes = value.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// Takes bytes from the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn string(&mut self) -> Option<String> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        let taken = self.bytes(end)?;
        self.bytes(1)?;
        Some(String::from_utf8_lossy(taken).into_owned())
    }
}

/// The cells of a DataRow.
pub(crate) fn cells(body: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut cursor = Cursor(body);
    let count = cursor.array().map_or(0, u16::from_be_bytes);
    let mut found = Vec::new();
    for _ in 0..count {
        let Some(size) = cursor.array().map(i32::from_be_bytes) else {
            break;
        };
        match usize::try_from(size) {
            Ok(size) => found.push(cursor.bytes(size).map(<[u8]>::to_vec)),
            Err(_) => found.push(None),
        }
    }
    found
}

/// The fields of an error or a notice.
pub(crate) struct Fields(Vec<(u8, String)>);

impl Fields {
    pub(crate) fn of(body: &[u8]) -> Fields {
        let mut cursor = Cursor(body);
        let mut fields = Vec::new();
        while let Some([code]) = cursor.array::<1>() {
            let Some(value) = cursor.string() else { break };
            fields.push((code, value));
        }
        Fields(fields)
    }

    pub(crate) fn get(&self, code: u8) -> &str {
        self.0
            .iter()
            .find(|(found, _)| *found == code)
            .map_or("", |(_, value)| value)
    }

    /// SQLSTATE and message.
    pub(crate) fn message(&self) -> String {
        format!("{} {}", self.get(b'C'), self.get(b'M'))
    }
}
