//! A client of PostgreSQL's protocol that sends whatever bytes it is told to.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::Endpoint;

/// How long an answer may take. Longer than anything here takes on a busy machine, and shorter than a hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// How reading from a peer that is gone fails.
const ENDS: [ErrorKind; 3] = [
    ErrorKind::UnexpectedEof,
    ErrorKind::ConnectionReset,
    ErrorKind::BrokenPipe,
];

/// A message: its type and its body.
pub type Message = (u8, Vec<u8>);

/// A connection of which every byte is the test's.
pub struct Raw {
    stream: TcpStream,
    /// The process number and the secret that cancel the session, once it is logged in.
    pub cancel_key: Vec<u8>,
}

impl Raw {
    /// Connects and says nothing.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(host: &str, port: u16) -> Result<Raw> {
        let address: SocketAddr = format!("{host}:{port}").parse()?;
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let cancel_key = Vec::new();
        Ok(Raw { stream, cancel_key })
    }

    /// Logs in, in clear.
    ///
    /// # Errors
    /// When it is not let in.
    pub fn login(endpoint: &Endpoint) -> Result<Raw> {
        let mut raw = Raw::connect(&endpoint.host, endpoint.port)?;
        let (user, database) = (endpoint.user.as_bytes(), endpoint.database.as_bytes());
        raw.send(&startup(&[(b"user", user), (b"database", database)]))?;
        loop {
            let (tag, body) = raw.read()?.context("it closed the connection during the login")?;
            match (tag, body.as_slice()) {
                (b'R', [0, 0, 0, 3]) => raw.send(&message(b'p', &[endpoint.password.as_bytes(), &[0]].concat()))?,
                (b'K', key) => raw.cancel_key = key.to_vec(),
                (b'Z', _) => return Ok(raw),
                (b'E', error) => bail!("not let in: {}", String::from_utf8_lossy(error)),
                (_, _) => {}
            }
        }
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the peer is gone.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Sends no more.
    ///
    /// # Errors
    /// When the peer is gone.
    pub fn finish(&mut self) -> Result<()> {
        Ok(self.stream.shutdown(Shutdown::Write)?)
    }

    /// The next message. `None` when the peer closed before it.
    ///
    /// # Errors
    /// When nothing comes for a long time.
    pub fn read(&mut self) -> Result<Option<Message>> {
        let mut header = [0; 5];
        if !self.fill(&mut header)? {
            return Ok(None);
        }
        let [tag, length @ ..] = header;
        let length = u32::from_be_bytes(length)
            .checked_sub(4)
            .context("an impossible length")?;
        let mut body = vec![0; usize::try_from(length)?];
        ensure!(self.fill(&mut body)?, "half a message of type {}", char::from(tag));
        Ok(Some((tag, body)))
    }

    /// Fills `bytes`. False when the peer closed, or reset the connection, before the first or within.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<bool> {
        match self.stream.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error) if ENDS.contains(&error.kind()) => Ok(false),
            Err(error) => Err(error).context("no answer"),
        }
    }

    /// The messages up to the next of type `tag`, or to the end.
    ///
    /// # Errors
    /// When nothing comes for a long time.
    pub fn until(&mut self, tag: u8) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        while let Some(message) = self.read()? {
            let last = message.0 == tag;
            messages.push(message);
            if last {
                break;
            }
        }
        Ok(messages)
    }

    /// The messages until the peer closes.
    ///
    /// # Errors
    /// When it does not close for a long time.
    pub fn rest(&mut self) -> Result<Vec<Message>> {
        self.until(0)
    }
}

/// A message of type `tag`.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

/// A simple query.
pub fn query(text: &str) -> Vec<u8> {
    message(b'Q', &[text.as_bytes(), &[0]].concat())
}

/// A startup packet of protocol 3.0.
pub fn startup(parameters: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend([*name, &[0], *value, &[0]].concat());
    }
    body.push(0);
    packet(&body)
}

/// A packet without a type, as those before the login are.
pub fn packet(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], body].concat()
}

/// The types of messages, but for what may come at any time.
pub fn tags(messages: &[Message]) -> String {
    let tags = messages.iter().map(|(tag, _)| char::from(*tag));
    tags.filter(|tag| !matches!(tag, 'S' | 'N')).collect()
}

/// A field of the last error among the messages, such as `C` for its SQLSTATE.
pub fn error_field(messages: &[Message], field: u8) -> Option<String> {
    let (_, body) = messages.iter().rfind(|(tag, _)| *tag == b'E')?;
    let fields = body.split(|byte| *byte == 0);
    let found = fields
        .filter_map(|text| text.split_first())
        .find(|(name, _)| **name == field);
    found.map(|(_, text)| String::from_utf8_lossy(text).into_owned())
}
