//! The client's side of a login: until it is known who claims to connect, and to what.
//!
//! A client may ask for TLS (once), for GSSAPI encryption (once; it is declined), or begin with TLS at
//! once; then it sends its startup packet or a cancel key. Nothing that arrives before a TLS handshake is
//! used after it, and no password is asked for in clear except from this machine.

mod startup;

use std::{io, net::SocketAddr, time::Duration};

use bytes::{Buf, BytesMut};
use sallyport_listen::{ServerTls, TlsError, Wire, accept_tls};
use secrecy::{SecretString, zeroize::Zeroize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub use startup::{Replication, Startup};

pub use crate::cancel_key::CancelKey;

use crate::wire::{
    Diagnostic, Limits, WireError,
    backend::{Authentication, NegotiateProtocolVersion},
    frontend, next_frame,
    startup::{Opening, StartupPacket, Version, next_packet},
};

/// The application protocol that direct TLS must name, so that no other protocol's client can be made to
/// speak to us.
pub const ALPN: &[u8] = b"postgresql";

/// The longest answer to the question for a password, in bytes: tokens are longer than passwords.
const MAX_PASSWORD: u32 = 64 * 1024;
/// How long a client that is refused may take to read why.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(2);
/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// Why a client got no further. It has been told, if it can be.
#[derive(Debug, thiserror::Error)]
pub enum GreetError {
    /// It closed the connection. Clients do that to ask their user for the password.
    #[error("the client closed the connection")]
    Gone,
    /// The connection failed.
    #[error("the connection to the client failed: {0}")]
    Io(#[from] io::Error),
    /// It broke the protocol.
    #[error("the client broke the protocol: {0}")]
    Wire(#[from] WireError),
    /// TLS did not come about.
    #[error("the client's TLS failed: {0}")]
    Tls(#[from] TlsError),
    /// It was refused.
    #[error("the client was refused: {sqlstate} {message}")]
    Refused {
        /// The SQLSTATE it was told.
        sqlstate: String,
        /// The message it was told.
        message: String,
    },
}

/// What a client came for.
#[derive(Debug)]
pub enum Greeted {
    /// To log in.
    Login(Greeting),
    /// To cancel.
    Cancel(CancelCall),
}

/// A client that wants to log in.
#[derive(Debug)]
pub struct Greeting {
    /// The connection, positioned after the startup packet.
    pub wire: Wire,
    /// What it asks for.
    pub startup: Startup,
}

/// A client that wants to cancel what a session is doing. It waits until the connection is closed, and is
/// told nothing.
#[derive(Debug)]
pub struct CancelCall {
    /// The key of the session, as the client has it.
    pub key: CancelKey,
    /// The connection.
    pub wire: Wire,
}

/// Greets a client: TLS if it asks for it, then what it came for.
///
/// # Errors
/// A [`GreetError`]; the client has been told and the connection is closed.
///
/// # Cancel safety
/// Not cancel safe: the connection is lost.
pub async fn greet(wire: Wire, tls: Option<&ServerTls>) -> Result<Greeted, GreetError> {
    let mut door = Door {
        wire,
        buf: BytesMut::new(),
        asked_tls: false,
        asked_gss: false,
    };
    if door.wire.peek_byte().await? == Some(TLS_HANDSHAKE) {
        door = door.direct_tls(tls).await?;
    }
    loop {
        let (opening, len) = match door.packet().await {
            Ok(found) => found,
            Err(error) => return Err(door.broken(error).await),
        };
        door.buf.advance(len);
        door = match opening {
            Came::Ssl => door.answer_tls(tls).await?,
            Came::Gss => door.answer_gss().await?,
            Came::Cancel(key) => {
                return Ok(Greeted::Cancel(CancelCall { key, wire: door.wire }));
            }
            Came::Startup(startup) => return door.login(startup).await.map(Greeted::Login),
            Came::Refused(diagnostic) => return Err(refuse(door.wire, *diagnostic).await),
        };
    }
}

impl Greeting {
    /// Asks for the password and waits for it.
    ///
    /// # Errors
    /// [`GreetError::Gone`] when the client closes instead, which is how clients find out that they must
    /// ask their user; others when it answers something else.
    ///
    /// # Cancel safety
    /// Not cancel safe: what was read of the answer is lost.
    pub async fn ask_password(&mut self) -> Result<SecretString, GreetError> {
        let mut out = Vec::new();
        Authentication::encode_cleartext(&mut out);
        self.wire.write_all(&out).await?;
        self.wire.flush().await?;
        let mut buf = BytesMut::with_capacity(1024);
        let password = self.read_password(&mut buf).await;
        buf.as_mut().zeroize();
        if let Err(GreetError::Wire(offence)) = &password {
            let message = format!("expected a password: {offence}");
            let mut out = Vec::new();
            Diagnostic::fatal("08P01", message).encode_error(&mut out);
            self.wire.write_all(&out).await?;
            self.wire.flush().await?;
        }
        password
    }

    async fn read_password(&mut self, buf: &mut BytesMut) -> Result<SecretString, GreetError> {
        let limits = Limits {
            control: MAX_PASSWORD,
            statement: 0,
            data: 0,
        };
        loop {
            if let Some(frame) = next_frame::<frontend::Tag>(buf, &limits)? {
                let body = frame.body(buf).unwrap_or_default();
                let frontend::Message::Password(answer) = frontend::Message::decode(frame.tag, body)? else {
                    return Err(WireError::BadValue("answer to the question for a password").into());
                };
                let password = std::str::from_utf8(answer.password()?)
                    .map_err(|_| WireError::BadValue("password: it is not UTF-8"))?;
                let password = SecretString::from(password);
                self.wire.unread(buf.split_off(frame.total_len));
                return Ok(password);
            }
            if self.wire.read_buf(buf).await? == 0 {
                return Err(GreetError::Gone);
            }
        }
    }

    /// Tells the client why it gets no further, and closes.
    pub async fn refuse(self, diagnostic: Diagnostic<'_>) {
        tell(self.wire, &diagnostic).await;
    }
}

/// A client at the door.
struct Door {
    wire: Wire,
    buf: BytesMut,
    asked_tls: bool,
    asked_gss: bool,
}

/// What a packet came to, independent of the buffer.
enum Came {
    Ssl,
    Gss,
    Cancel(CancelKey),
    Startup(Startup),
    Refused(Box<Diagnostic<'static>>),
}

impl Door {
    /// Waits for the next packet; it stays in the buffer, `len` bytes long.
    async fn packet(&mut self) -> Result<(Came, usize), GreetError> {
        loop {
            if let Some((opening, len)) = next_packet(&self.buf)? {
                return Ok((came(opening), len));
            }
            // The buffer stays below the longest packet plus this much.
            self.buf.reserve(256);
            if self.wire.read_buf(&mut self.buf).await? == 0 {
                return Err(GreetError::Gone);
            }
        }
    }

    /// TLS from the first byte (protocol 3.2, PostgreSQL 17).
    async fn direct_tls(mut self, tls: Option<&ServerTls>) -> Result<Self, GreetError> {
        let Some(tls) = tls else {
            return Err(WireError::BadValue("opening: TLS is not on here").into());
        };
        self.asked_tls = true;
        self.wire = accept_tls(self.wire, tls).await?;
        if self.wire.tls().and_then(|tls| tls.alpn.as_deref()) == Some(ALPN) {
            return Ok(self);
        }
        let message = "direct TLS needs the application protocol `postgresql`";
        let hint = "Connect with sslnegotiation=postgres, or with a newer client.";
        Err(refuse(self.wire, Diagnostic::fatal("08P01", message).hint(hint)).await)
    }

    async fn answer_tls(mut self, tls: Option<&ServerTls>) -> Result<Self, GreetError> {
        if self.asked_tls || self.wire.tls().is_some() {
            return Err(refuse(self.wire, Diagnostic::fatal("08P01", "TLS was asked for twice")).await);
        }
        self.asked_tls = true;
        if !self.buf.is_empty() {
            return Err(self.early_bytes("TLS").await);
        }
        let answer = if tls.is_some() { b"S" } else { b"N" };
        self.wire.write_all(answer).await?;
        self.wire.flush().await?;
        if let Some(tls) = tls {
            self.wire = accept_tls(self.wire, tls).await?;
        }
        Ok(self)
    }

    async fn answer_gss(mut self) -> Result<Self, GreetError> {
        if self.asked_gss || self.wire.tls().is_some() {
            let message = "GSSAPI encryption was asked for twice, or inside TLS";
            return Err(refuse(self.wire, Diagnostic::fatal("08P01", message)).await);
        }
        self.asked_gss = true;
        if !self.buf.is_empty() {
            return Err(self.early_bytes("GSSAPI encryption").await);
        }
        self.wire.write_all(b"N").await?;
        self.wire.flush().await?;
        Ok(self)
    }

    /// Bytes that somebody between us and the client could have put there (CVE-2021-23214).
    async fn early_bytes(self, what: &str) -> GreetError {
        let message = format!("received data in clear after the request for {what}");
        let detail = "This could be a program in the middle, or a client that does not wait for the answer.";
        refuse(self.wire, Diagnostic::fatal("08P01", message).detail(detail)).await
    }

    async fn login(mut self, mut startup: Startup) -> Result<Greeting, GreetError> {
        if self.wire.tls().is_none() && !self.wire.is_loopback() {
            let message = "connections without TLS are accepted from this machine only";
            let hint = "Connect with sslmode=require (or verify-full).";
            let diagnostic = Diagnostic::fatal("28000", message).hint(hint);
            return Err(refuse(self.wire, diagnostic).await);
        }
        if let Some((version, unknown)) = startup.negotiation() {
            let unknown = unknown.iter().map(Vec::as_slice).collect();
            let mut out = Vec::new();
            NegotiateProtocolVersion {
                version: version.code(),
                unknown,
            }
            .encode(&mut out);
            self.wire.write_all(&out).await?;
            startup.negotiated();
        }
        if !self.buf.is_empty() {
            self.wire.unread(self.buf.freeze());
        }
        Ok(Greeting {
            wire: self.wire,
            startup,
        })
    }

    /// Ends it with a client that broke the protocol. One whose very length is impossible speaks
    /// something else: it is told nothing, as servers do.
    async fn broken(self, error: GreetError) -> GreetError {
        let GreetError::Wire(offence) = &error else {
            return error;
        };
        if !matches!(offence, WireError::BadLength { .. } | WireError::TooLong { .. }) {
            tell(
                self.wire,
                &Diagnostic::fatal("08P01", format!("invalid startup packet: {offence}")),
            )
            .await;
        }
        error
    }
}

fn came(opening: Opening<'_>) -> Came {
    match opening {
        Opening::SslRequest => Came::Ssl,
        Opening::GssRequest => Came::Gss,
        Opening::Cancel(key) => Came::Cancel(key.into()),
        Opening::Startup(packet) => startup(&packet),
        Opening::OtherVersion(version) => Came::Refused(Box::new(unsupported(version))),
    }
}

fn startup(packet: &StartupPacket<'_>) -> Came {
    match Startup::read(packet) {
        Ok(startup) => Came::Startup(startup),
        Err(diagnostic) => Came::Refused(diagnostic),
    }
}

fn unsupported(version: Version) -> Diagnostic<'static> {
    let message = format!("unsupported frontend protocol {version}: 3.0 to 3.2 are spoken here");
    Diagnostic::fatal("0A000", message)
}

async fn refuse(wire: Wire, diagnostic: Diagnostic<'_>) -> GreetError {
    let peer: SocketAddr = wire.peer();
    let refused = GreetError::Refused {
        sqlstate: diagnostic.sqlstate().into_owned(),
        message: diagnostic.text(crate::wire::Field::Message).into_owned(),
    };
    tracing::debug!(%peer, error = %refused, "refused at the door");
    tell(wire, &diagnostic).await;
    refused
}

async fn tell(wire: Wire, diagnostic: &Diagnostic<'_>) {
    let mut out = Vec::new();
    diagnostic.encode_error(&mut out);
    wire.farewell(&out, FAREWELL_PATIENCE).await;
}
