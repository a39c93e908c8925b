//! Requests that belong to no channel (RFC 4254, sections 4 and 7, and OpenSSH's PROTOCOL).

use bytes::BytesMut;
use sallyport_ssh_transport::wire::{self, Reader, WireError};

/// What a client asks of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClientGlobal {
    /// `tcpip-forward`: the target is to listen and hand connections on.
    Listen(Listening),
    /// `cancel-tcpip-forward` and `cancel-streamlocal-forward@openssh.com`.
    StopListening(Listening),
    /// `no-more-sessions@openssh.com`: the client will open no further session.
    NoMoreSessions,
    /// `keepalive@openssh.com` and whatever else wants an answer only to see that somebody is there.
    Other,
}

/// Where a target listens for a client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Listening {
    /// An address and port; port 0 lets the target choose.
    Tcp { address: String, port: u32 },
    /// A UNIX socket.
    Socket { path: String },
}

/// What a target asks of a connection. None of it is for the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TargetGlobal {
    /// `hostkeys-00@openssh.com`: further host keys. They are pinned in the catalogue and not learned.
    HostKeys,
    /// Anything else.
    Other,
}

impl ClientGlobal {
    pub(crate) fn read(name: &[u8], rest: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(rest);
        let request = match name {
            b"tcpip-forward" => Self::Listen(Listening::tcp(&mut reader)?),
            b"cancel-tcpip-forward" => Self::StopListening(Listening::tcp(&mut reader)?),
            b"streamlocal-forward@openssh.com" => Self::Listen(Listening::socket(&mut reader)?),
            b"cancel-streamlocal-forward@openssh.com" => Self::StopListening(Listening::socket(&mut reader)?),
            b"no-more-sessions@openssh.com" => Self::NoMoreSessions,
            _ => return Ok(Self::Other),
        };
        reader.finish()?;
        Ok(request)
    }
}

impl TargetGlobal {
    pub(crate) fn read(name: &[u8]) -> Self {
        match name {
            b"hostkeys-00@openssh.com" => Self::HostKeys,
            _ => Self::Other,
        }
    }
}

impl Listening {
    fn tcp(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self::Tcp {
            address: reader.utf8()?.to_owned(),
            port: reader.u32()?,
        })
    }

    fn socket(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let path = reader.utf8()?.to_owned();
        Ok(Self::Socket { path })
    }

    /// The name of the request that starts it, and of the one that ends it.
    pub(crate) fn names(&self) -> (&'static [u8], &'static [u8]) {
        match self {
            Self::Tcp { .. } => (b"tcpip-forward", b"cancel-tcpip-forward"),
            Self::Socket { .. } => (
                b"streamlocal-forward@openssh.com",
                b"cancel-streamlocal-forward@openssh.com",
            ),
        }
    }

    /// Appends the fields of either request.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Tcp { address, port } => {
                wire::put_string(out, address.as_bytes());
                wire::put_u32(out, *port);
            }
            Self::Socket { path } => wire::put_string(out, path.as_bytes()),
        }
    }
}
