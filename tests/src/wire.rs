//! A client of PostgreSQL's protocol that sends the messages that it is told to: for what drivers do not do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::Endpoint;

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// A session.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its type.
    pub kind: u8,
    /// What follows its length.
    pub body: Vec<u8>,
}

impl Wire {
    /// Connects and logs in, with a password in clear if asked for one.
    ///
    /// # Errors
    /// When the server does not let the client in.
    pub fn open(endpoint: &Endpoint) -> Result<Wire> {
        let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let buffer = Vec::new();
        let mut wire = Wire { stream, buffer };
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        for (name, value) in [("user", &endpoint.user), ("database", &endpoint.database)] {
            body.extend([text(name), text(value)].concat());
        }
        body.push(0);
        wire.stream.write_all(&packet(&body)?)?;
        let asked = wire.message()?;
        if asked.kind == b'R' && asked.body == 3_u32.to_be_bytes() {
            wire.send(b'p', &text(&endpoint.password))?;
        }
        let answer = wire.answer()?;
        ensure!(answer.iter().all(|said| said.kind != b'E'), "no session: {answer:?}");
        Ok(wire)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(&[&[kind][..], &packet(body)?].concat())?)
    }

    /// The next message.
    ///
    /// # Errors
    /// When none comes.
    pub fn message(&mut self) -> Result<Said> {
        loop {
            if let Some((head, rest)) = self.buffer.split_first_chunk::<5>() {
                let [kind, length @ ..] = *head;
                let length = usize::try_from(u32::from_be_bytes(length))?;
                let size = length.checked_sub(4).context("a message shorter than its length")?;
                if let Some(body) = rest.get(..size).map(<[u8]>::to_vec) {
                    self.buffer.drain(..=length);
                    return Ok(Said { kind, body });
                }
            }
            let mut bytes = vec![0; 1 << 16];
            let read = self.stream.read(&mut bytes)?;
            ensure!(read > 0, "the connection was closed");
            self.buffer.extend(bytes.iter().take(read));
        }
    }

    /// Everything up to the next `ReadyForQuery`.
    ///
    /// # Errors
    /// When it does not come.
    pub fn answer(&mut self) -> Result<Vec<Said>> {
        let mut messages = Vec::new();
        loop {
            let said = self
                .message()
                .with_context(|| format!("no more came after {messages:?}"))?;
            let ready = said.kind == b'Z';
            messages.push(said);
            if ready {
                return Ok(messages);
            }
        }
    }

    /// A statement by the simple protocol.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn simple(&mut self, sql: &str) -> Result<Vec<Said>> {
        self.send(b'Q', &text(sql))?;
        self.answer()
    }

    /// A statement without parameters by the extended protocol, whose result nobody asks to be described. Format 1 is
    /// binary.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn extended(&mut self, sql: &str, format: u16) -> Result<Vec<Said>> {
        self.send(b'P', &[&text("")[..], &text(sql), &[0; 2]].concat())?;
        let formats = [&[0, 1][..], &format.to_be_bytes()].concat();
        self.send(b'B', &[&[0; 6][..], &formats].concat())?;
        self.send(b'E', &[0; 5])?;
        self.send(b'S', &[])?;
        self.answer()
    }
}

impl Said {
    /// The cells of a `DataRow`.
    ///
    /// # Errors
    /// When it is none.
    pub fn cells(&self) -> Result<Vec<Option<Vec<u8>>>> {
        ensure!(self.kind == b'D', "no row: {self:?}");
        let (count, mut rest) = self.body.split_first_chunk::<2>().context("a short row")?;
        let mut cells = Vec::new();
        for _ in 0..u16::from_be_bytes(*count) {
            let (length, after) = rest.split_first_chunk::<4>().context("a short row")?;
            let length = i32::from_be_bytes(*length);
            if length < 0 {
                cells.push(None);
                rest = after;
                continue;
            }
            let (cell, after) = after
                .split_at_checked(usize::try_from(length)?)
                .context("a short row")?;
            cells.push(Some(cell.to_vec()));
            rest = after;
        }
        Ok(cells)
    }

    /// A field of an error or a notice.
    pub fn field(&self, code: u8) -> Option<String> {
        let mut fields = self.body.split(|byte| *byte == 0);
        let field = fields.find(|field| field.first() == Some(&code))?;
        Some(String::from_utf8_lossy(field.get(1..)?).into_owned())
    }
}

/// The rows of an answer, as text.
///
/// # Errors
/// When the answer is an error.
pub fn rows(answer: &[Said]) -> Result<Vec<Vec<Option<String>>>> {
    if let Some(error) = answer.iter().find(|said| said.kind == b'E') {
        bail!("an error: {}", error.field(b'M').unwrap_or_default());
    }
    let lossy = |cell: Vec<u8>| String::from_utf8_lossy(&cell).into_owned();
    let rows = answer.iter().filter(|said| said.kind == b'D');
    rows.map(|row| Ok(row.cells()?.into_iter().map(|cell| cell.map(lossy)).collect()))
        .collect()
}

/// The COPY data of an answer.
///
/// # Errors
/// When the answer is an error.
pub fn copied(answer: &[Said]) -> Result<Vec<u8>> {
    rows(answer)?;
    let data = answer.iter().filter(|said| said.kind == b'd');
    Ok(data.flat_map(|said| said.body.iter().copied()).collect())
}

/// A string as the protocol writes it.
pub fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn packet(body: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(body.len())? + 4;
    Ok([&length.to_be_bytes()[..], body].concat())
}
