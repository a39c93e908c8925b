//! The packets before the first message: they have a length but no type.
//!
//! Source: <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP>.

use super::{
    Cursor, WireError,
    backend::BackendKeyData,
    encode::{Sink, untagged},
};

/// The longest such packet that servers accept, in bytes, with its length field.
pub const MAX_PACKET: u32 = 10_000;
/// Length and code: what every such packet has.
const MIN_PACKET: u32 = 8;

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The major version: 3 since 2003.
    pub major: u16,
    /// The minor version.
    pub minor: u16,
}

impl Version {
    /// Version 3.0, which every server and driver speaks.
    pub const V3_0: Self = Self { major: 3, minor: 0 };
    /// Version 3.2, with longer cancel keys.
    pub const V3_2: Self = Self { major: 3, minor: 2 };

    /// The version as one number, as it is on the wire.
    pub fn code(self) -> u32 {
        (u32::from(self.major) << 16) | u32::from(self.minor)
    }

    /// The version for a number on the wire.
    pub fn from_code(code: u32) -> Self {
        let [a, b, c, d] = code.to_be_bytes();
        Self {
            major: u16::from_be_bytes([a, b]),
            minor: u16::from_be_bytes([c, d]),
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

const CANCEL_CODE: u32 = 80_877_102;
const SSL_CODE: u32 = 80_877_103;
const GSS_CODE: u32 = 80_877_104;

/// What a client may open with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening<'a> {
    /// May we speak TLS?
    SslRequest,
    /// May we speak GSSAPI encryption?
    GssRequest,
    /// Cancel what the session with this key is doing.
    Cancel(BackendKeyData<'a>),
    /// Log me in.
    Startup(StartupPacket<'a>),
    /// A startup packet of another major version, whose form is not known here.
    OtherVersion(Version),
}

/// A client's startup packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartupPacket<'a> {
    /// The version asked for.
    pub version: Version,
    /// Names and values, in order, as they came: duplicates too.
    pub parameters: Vec<(&'a [u8], &'a [u8])>,
}

/// The packet that `buf` begins with and its length in bytes, when all of it is there.
///
/// # Errors
/// A [`WireError`] for a length out of bounds, as soon as the length is there, and for a malformed body.
pub fn next_packet(buf: &[u8]) -> Result<Option<(Opening<'_>, usize)>, WireError> {
    let Some(len) = buf.first_chunk::<4>() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes(*len);
    if len < MIN_PACKET {
        return Err(WireError::BadLength { tag: 0, len });
    }
    if len > MAX_PACKET {
        return Err(WireError::TooLong {
            tag: 0,
            len,
            limit: MAX_PACKET,
        });
    }
    let total = usize::try_from(len).map_err(|_| WireError::BadLength { tag: 0, len })?;
    let Some(body) = buf.get(4..total) else {
        return Ok(None);
    };
    Ok(Some((decode(body)?, total)))
}

fn decode(body: &[u8]) -> Result<Opening<'_>, WireError> {
    let mut cursor = Cursor::new(body);
    let opening = match cursor.u32()? {
        SSL_CODE => Opening::SslRequest,
        GSS_CODE => Opening::GssRequest,
        CANCEL_CODE => return BackendKeyData::decode(cursor.rest()).map(Opening::Cancel),
        code => {
            let version = Version::from_code(code);
            if version.major != 3 {
                return Ok(Opening::OtherVersion(version));
            }
            let parameters = parameters(&mut cursor)?;
            Opening::Startup(StartupPacket { version, parameters })
        }
    };
    cursor.finish()?;
    Ok(opening)
}

type Parameters<'a> = Vec<(&'a [u8], &'a [u8])>;

fn parameters<'a>(cursor: &mut Cursor<'a>) -> Result<Parameters<'a>, WireError> {
    let mut parameters = Vec::new();
    loop {
        let name = cursor.cstr()?;
        if name.is_empty() {
            return Ok(parameters);
        }
        parameters.push((name, cursor.cstr()?));
    }
}

/// Appends an SSLRequest.
pub fn ssl_request<S: Sink>(out: &mut S) {
    untagged(out, |out| out.put_u32(SSL_CODE));
}

/// Appends a GSSENCRequest.
pub fn gss_request<S: Sink>(out: &mut S) {
    untagged(out, |out| out.put_u32(GSS_CODE));
}

/// Appends a CancelRequest.
pub fn cancel_request<S: Sink>(out: &mut S, key: &BackendKeyData<'_>) {
    untagged(out, |out| {
        out.put_u32(CANCEL_CODE);
        out.put_i32(key.pid);
        out.put_slice(key.secret);
    });
}

/// Appends a startup packet.
pub fn startup<S: Sink, N: AsRef<[u8]>, V: AsRef<[u8]>>(
    out: &mut S,
    version: Version,
    parameters: impl IntoIterator<Item = (N, V)>,
) {
    untagged(out, |out| {
        out.put_u32(version.code());
        for (name, value) in parameters {
            out.put_cstr(name.as_ref());
            out.put_cstr(value.as_ref());
        }
        out.put_u8(0);
    });
}
