//! A connection while it is set up: packets one after the other, before channels exist.

use std::ops::Range;

use bytes::{Buf, BytesMut};
use sallyport_listen::Wire;
use sallyport_ssh_transport::{Step, Transport, TransportError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Why a connection could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// The peer broke the protocol, or did not show what it must.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The peer closed the connection.
    #[error("the connection was closed before the login was over")]
    Closed,
    /// The peer said goodbye.
    #[error("the peer ended the connection: {0}")]
    Disconnected(String),
    /// The peer said something that has no place here.
    #[error("the peer sent {0}")]
    Unexpected(String),
}

/// A socket with its transport.
pub(crate) struct Exchange {
    pub(crate) wire: Wire,
    pub(crate) transport: Transport,
    input: BytesMut,
    output: BytesMut,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("wire", &self.wire)
            .finish_non_exhaustive()
    }
}

/// A packet that was read: where its payload is.
pub(crate) struct Received {
    payload: Range<usize>,
    whole: usize,
}

impl Exchange {
    /// A connection whose transport begins: `begin` is given the buffer for its first words.
    pub(crate) fn new(
        wire: Wire,
        begin: impl FnOnce(&mut BytesMut) -> Result<Transport, TransportError>,
    ) -> Result<Self, ExchangeError> {
        let mut output = BytesMut::new();
        let transport = begin(&mut output)?;
        Ok(Self {
            wire,
            transport,
            input: BytesMut::new(),
            output,
        })
    }

    /// A connection that is logged in already.
    pub(crate) fn resume(wire: Wire, transport: Transport) -> Self {
        Self {
            wire,
            transport,
            input: BytesMut::new(),
            output: BytesMut::new(),
        }
    }

    /// The next packet. What is owed to the peer is sent first.
    ///
    /// # Cancel safety
    /// Nothing is lost: bytes that were read stay here.
    pub(crate) async fn receive(&mut self) -> Result<Received, ExchangeError> {
        loop {
            match self.step().await? {
                Step::Packet { payload, whole } => return Ok(Received { payload, whole }),
                Step::Ready => {}
                Step::Disconnected { text, .. } => return Err(ExchangeError::Disconnected(text)),
                Step::More => {
                    self.flush().await?;
                    if self.wire.read_buf(&mut self.input).await? == 0 {
                        return Err(ExchangeError::Closed);
                    }
                }
            }
        }
    }

    /// Goes on until the first key exchange is over.
    pub(crate) async fn become_ready(&mut self) -> Result<(), ExchangeError> {
        while !self.transport.is_ready() {
            match self.step().await? {
                Step::Ready => break,
                Step::Packet { .. } => return Err(ExchangeError::Unexpected("a message before any key".to_owned())),
                Step::Disconnected { text, .. } => return Err(ExchangeError::Disconnected(text)),
                Step::More => {
                    self.flush().await?;
                    if self.wire.read_buf(&mut self.input).await? == 0 {
                        return Err(ExchangeError::Closed);
                    }
                }
            }
        }
        self.flush().await
    }

    /// The next step. A peer that broke the protocol is told so.
    async fn step(&mut self) -> Result<Step, ExchangeError> {
        match self.transport.read(&mut self.input, &mut self.output) {
            Ok(step) => Ok(step),
            Err(error) => {
                let _ = self.flush().await;
                Err(error.into())
            }
        }
    }

    pub(crate) fn payload(&self, received: &Received) -> &[u8] {
        self.input.get(received.payload.clone()).unwrap_or_default()
    }

    /// Leaves a packet behind.
    pub(crate) fn done(&mut self, received: &Received) {
        self.input.advance(received.whole.min(self.input.len()));
    }

    /// Sends one message with what is owed before it.
    pub(crate) async fn send(&mut self, payload: &[u8]) -> Result<(), ExchangeError> {
        self.transport.send(&[payload], &mut self.output)?;
        self.flush().await
    }

    /// Sends what is owed.
    ///
    /// # Cancel safety
    /// What was written is no longer here.
    pub(crate) async fn flush(&mut self) -> Result<(), ExchangeError> {
        while !self.output.is_empty() {
            let count = self.wire.write(&self.output).await?;
            if count == 0 {
                return Err(ExchangeError::Closed);
            }
            self.output.advance(count);
        }
        self.wire.flush().await?;
        Ok(())
    }

    /// Resolves when the peer leaves, or says more than it may while it waits.
    pub(crate) async fn gone(&mut self) {
        while self.input.len() < MAX_EARLY {
            match self.wire.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// Resolves when the peer leaves. More than it may say meanwhile is not read.
    pub(crate) async fn left(&mut self) {
        self.gone().await;
        if self.input.len() >= MAX_EARLY {
            std::future::pending::<()>().await;
        }
    }

    /// Says why the connection ends, and ends it.
    pub(crate) async fn end(mut self, reason: u32, text: &str) {
        self.transport.disconnect(reason, text, &mut self.output);
        self.wire.farewell(&self.output, FAREWELL).await;
    }

    /// The socket, with what was read and not worked on, and the transport.
    pub(crate) fn into_parts(mut self) -> (Wire, Transport) {
        self.transport.set_authenticated();
        self.wire.unread(self.input.freeze());
        (self.wire, self.transport)
    }
}

/// Bytes that a peer may send while it waits to be let in.
const MAX_EARLY: usize = 64 * 1024;
/// How long last words may take.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(2);
