//! Requests on a session channel (RFC 4254, section 6, and OpenSSH's PROTOCOL).

use bytes::{Bytes, BytesMut};
use sallyport_ssh_transport::wire::{self, Reader, WireError};

/// Terminal modes of a `pty-req` that are taken: RFC 4254 section 8 has 60 of 5 bytes.
const MAX_MODES: usize = 1024;
/// The longest name of a terminal or a signal.
const MAX_NAME: usize = 128;

/// What a client asks of a session channel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ClientRequest<'a> {
    /// `pty-req`.
    Pty(Pty),
    /// `env`.
    Env { name: &'a [u8], value: &'a [u8] },
    /// `shell`.
    Shell,
    /// `exec`, with the exact command line.
    Exec(&'a [u8]),
    /// `subsystem`.
    Subsystem(&'a str),
    /// `window-change`.
    WindowChange(Size),
    /// `signal`, without `SIG`.
    Signal(&'a str),
    /// `break` (RFC 4335), in milliseconds.
    Break(u32),
    /// `auth-agent-req@openssh.com`.
    AgentForwarding,
    /// `x11-req`.
    X11,
    /// `eow@openssh.com`: the client takes no more data.
    EndOfWrite,
    /// `keepalive@openssh.com` on a channel.
    KeepAlive,
    /// Anything else: refused.
    Unknown,
}

/// A terminal's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    pub(crate) width_px: u32,
    pub(crate) height_px: u32,
}

/// A terminal that a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pty {
    pub(crate) term: String,
    pub(crate) size: Size,
    /// Encoded modes (RFC 4254, section 8), as they came.
    pub(crate) modes: Bytes,
}

impl<'a> ClientRequest<'a> {
    pub(crate) fn read(name: &'a [u8], rest: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(rest);
        let request = match name {
            b"pty-req" => Self::Pty(Pty::read(&mut reader)?),
            b"env" => Self::Env {
                name: reader.string()?,
                value: reader.string()?,
            },
            b"shell" => Self::Shell,
            b"exec" => Self::Exec(reader.string()?),
            b"subsystem" => Self::Subsystem(short(reader.utf8()?)?),
            b"window-change" => Self::WindowChange(Size::read(&mut reader)?),
            b"signal" => Self::Signal(short(reader.utf8()?)?),
            b"break" => Self::Break(reader.u32()?),
            b"auth-agent-req@openssh.com" => Self::AgentForwarding,
            b"eow@openssh.com" => Self::EndOfWrite,
            b"keepalive@openssh.com" => Self::KeepAlive,
            b"x11-req" => return Ok(Self::X11),
            _ => return Ok(Self::Unknown),
        };
        reader.finish()?;
        Ok(request)
    }
}

impl Size {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            columns: reader.u32()?,
            rows: reader.u32()?,
            width_px: reader.u32()?,
            height_px: reader.u32()?,
        })
    }

    /// Appends the fields of a `window-change`.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        for number in [self.columns, self.rows, self.width_px, self.height_px] {
            wire::put_u32(out, number);
        }
    }
}

impl Pty {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let term = short(reader.utf8()?)?.to_owned();
        let size = Size::read(reader)?;
        let modes = reader.string()?;
        if modes.len() > MAX_MODES {
            return Err(WireError::Truncated);
        }
        Ok(Self {
            term,
            size,
            modes: Bytes::copy_from_slice(modes),
        })
    }

    /// Appends the fields of a `pty-req`.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        wire::put_string(out, self.term.as_bytes());
        self.size.write(out);
        wire::put_string(out, &self.modes);
    }
}

fn short(text: &str) -> Result<&str, WireError> {
    if text.len() <= MAX_NAME {
        Ok(text)
    } else {
        Err(WireError::Truncated)
    }
}

/// What a target says on a session channel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TargetRequest<'a> {
    /// `exit-status`.
    ExitStatus(u32),
    /// `exit-signal`: the signal without `SIG`, whether a core was dumped.
    ExitSignal { signal: &'a str, core_dumped: bool },
    /// `eow@openssh.com`: the command takes no more input.
    EndOfWrite,
    /// `xon-xoff`: whether the client may do flow control.
    FlowControl(bool),
    /// Anything else: not handed on.
    Unknown,
}

impl<'a> TargetRequest<'a> {
    pub(crate) fn read(name: &'a [u8], rest: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(rest);
        let request = match name {
            b"exit-status" => Self::ExitStatus(reader.u32()?),
            b"exit-signal" => {
                let (signal, core_dumped) = (short(reader.utf8()?)?, reader.bool()?);
                // An error text and its language, which nobody shows.
                let _ = (reader.string()?, reader.string()?);
                Self::ExitSignal { signal, core_dumped }
            }
            b"eow@openssh.com" => Self::EndOfWrite,
            b"xon-xoff" => Self::FlowControl(reader.bool()?),
            _ => return Ok(Self::Unknown),
        };
        reader.finish()?;
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use bytes::{Bytes, BytesMut};

    use super::{ClientRequest, Pty, Size, TargetRequest};

    #[test]
    fn a_terminal_reads_back() {
        let pty = Pty {
            term: "xterm".to_owned(),
            size: Size {
                columns: 80,
                rows: 24,
                width_px: 0,
                height_px: 0,
            },
            modes: Bytes::from_static(b"\0"),
        };
        let mut fields = BytesMut::new();
        pty.write(&mut fields);
        assert_eq!(
            ClientRequest::read(b"pty-req", &fields).unwrap(),
            ClientRequest::Pty(pty)
        );
        fields.extend_from_slice(b"x");
        assert!(ClientRequest::read(b"pty-req", &fields).is_err());
    }

    #[test]
    fn what_is_not_known_is_no_error_and_no_request() {
        assert_eq!(
            ClientRequest::read(b"own@example.com", b"x").unwrap(),
            ClientRequest::Unknown
        );
        assert_eq!(
            TargetRequest::read(b"own@example.com", b"x").unwrap(),
            TargetRequest::Unknown
        );
        assert_eq!(
            TargetRequest::read(b"exit-status", &[0, 0, 0, 3]).unwrap(),
            TargetRequest::ExitStatus(3)
        );
        assert!(ClientRequest::read(b"shell", b"x").is_err());
    }
}
