//! Channels that are opened (RFC 4254, sections 5.1, 6.1 and 7.2, and OpenSSH's PROTOCOL).

use bytes::BytesMut;
use sallyport_ssh_transport::wire::{self, Reader, WireError};

/// Why a channel is not opened (RFC 4254, section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum OpenFailure {
    Prohibited = 1,
    ConnectFailed = 2,
    UnknownType = 3,
    ResourceShortage = 4,
}

/// What a client wants a channel for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClientOpen {
    /// Commands, shells and subsystems.
    Session,
    /// `direct-tcpip`: a connection from the target to `host`:`port`.
    Tcp {
        host: String,
        port: u32,
        originator: (String, u32),
    },
    /// `direct-streamlocal@openssh.com`: a connection from the target to a UNIX socket there.
    Socket { path: String },
    /// Anything else: refused.
    Unknown,
}

impl ClientOpen {
    pub(crate) fn read(kind: &[u8], rest: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(rest);
        let open = match kind {
            b"session" => Self::Session,
            b"direct-tcpip" => Self::Tcp {
                host: reader.utf8()?.to_owned(),
                port: reader.u32()?,
                originator: (reader.utf8()?.to_owned(), reader.u32()?),
            },
            b"direct-streamlocal@openssh.com" => {
                let path = reader.utf8()?.to_owned();
                // Reserved by OpenSSH: a text and a number without meaning.
                let _ = (reader.string()?, reader.u32()?);
                Self::Socket { path }
            }
            _ => return Ok(Self::Unknown),
        };
        reader.finish()?;
        Ok(open)
    }

    /// The kind's name, and what follows it in the message, written anew from what was understood.
    pub(crate) fn write(&self, out: &mut BytesMut) -> Option<&'static [u8]> {
        match self {
            Self::Session => Some(b"session"),
            Self::Tcp { host, port, originator } => {
                wire::put_string(out, host.as_bytes());
                wire::put_u32(out, *port);
                wire::put_string(out, originator.0.as_bytes());
                wire::put_u32(out, originator.1);
                Some(b"direct-tcpip")
            }
            Self::Socket { path } => {
                wire::put_string(out, path.as_bytes());
                wire::put_string(out, b"");
                wire::put_u32(out, 0);
                Some(b"direct-streamlocal@openssh.com")
            }
            Self::Unknown => None,
        }
    }
}

/// What a target wants a channel to the client for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetOpen {
    /// `forwarded-tcpip`: somebody connected where the target listens for the client.
    Tcp {
        address: String,
        port: u32,
        originator: (String, u32),
    },
    /// `forwarded-streamlocal@openssh.com`: the same for a UNIX socket.
    Socket { path: String },
    /// `auth-agent@openssh.com`: a connection to the client's agent.
    Agent,
    /// Anything else, X11 too: refused.
    Unknown,
}

impl TargetOpen {
    pub(crate) fn read(kind: &[u8], rest: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(rest);
        let open = match kind {
            b"forwarded-tcpip" => Self::Tcp {
                address: reader.utf8()?.to_owned(),
                port: reader.u32()?,
                originator: (reader.utf8()?.to_owned(), reader.u32()?),
            },
            b"forwarded-streamlocal@openssh.com" => {
                let path = reader.utf8()?.to_owned();
                let _ = reader.string()?;
                Self::Socket { path }
            }
            b"auth-agent@openssh.com" => Self::Agent,
            _ => return Ok(Self::Unknown),
        };
        reader.finish()?;
        Ok(open)
    }

    /// As [`ClientOpen::write`].
    pub(crate) fn write(&self, out: &mut BytesMut) -> Option<&'static [u8]> {
        match self {
            Self::Tcp {
                address,
                port,
                originator,
            } => {
                wire::put_string(out, address.as_bytes());
                wire::put_u32(out, *port);
                wire::put_string(out, originator.0.as_bytes());
                wire::put_u32(out, originator.1);
                Some(b"forwarded-tcpip")
            }
            Self::Socket { path } => {
                wire::put_string(out, path.as_bytes());
                wire::put_string(out, b"");
                Some(b"forwarded-streamlocal@openssh.com")
            }
            Self::Agent => Some(b"auth-agent@openssh.com"),
            Self::Unknown => None,
        }
    }
}
