//! Authentication…: the steps of a login.

use super::super::{
    Cursor, WireError,
    encode::{Sink, message},
};

/// What the server asks for, or that it is satisfied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// Logged in.
    Ok,
    /// Kerberos 5 (long gone).
    KerberosV5,
    /// The password as it is.
    CleartextPassword,
    /// The password hashed with MD5 and this salt.
    Md5Password {
        /// The salt.
        salt: [u8; 4],
    },
    /// GSSAPI.
    Gss,
    /// More data of GSSAPI or SSPI.
    GssContinue {
        /// The data.
        data: &'a [u8],
    },
    /// SSPI.
    Sspi,
    /// SASL with one of these mechanisms, the server's favourite first.
    Sasl {
        /// The mechanisms' names.
        mechanisms: Vec<&'a [u8]>,
    },
    /// A SASL challenge.
    SaslContinue {
        /// The mechanism's data.
        data: &'a [u8],
    },
    /// The end of a SASL exchange.
    SaslFinal {
        /// The mechanism's data.
        data: &'a [u8],
    },
}

/// More mechanisms than this in one message are not believed.
const MAX_MECHANISMS: usize = 16;

impl<'a> Authentication<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not a request of the protocol.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let request = match cursor.u32()? {
            0 => Self::Ok,
            2 => Self::KerberosV5,
            3 => Self::CleartextPassword,
            5 => Self::Md5Password {
                salt: cursor.u32()?.to_be_bytes(),
            },
            7 => Self::Gss,
            8 => Self::GssContinue { data: cursor.rest() },
            9 => Self::Sspi,
            10 => Self::Sasl {
                mechanisms: mechanisms(&mut cursor)?,
            },
            11 => Self::SaslContinue { data: cursor.rest() },
            12 => Self::SaslFinal { data: cursor.rest() },
            _ => return Err(WireError::BadValue("authentication request")),
        };
        cursor.finish()?;
        Ok(request)
    }

    /// Appends AuthenticationOk.
    pub fn encode_ok<S: Sink>(out: &mut S) {
        message(out, b'R', |out| out.put_u32(0));
    }

    /// Appends AuthenticationCleartextPassword.
    pub fn encode_cleartext<S: Sink>(out: &mut S) {
        message(out, b'R', |out| out.put_u32(3));
    }
}

fn mechanisms<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<&'a [u8]>, WireError> {
    let mut names = Vec::new();
    loop {
        let name = cursor.cstr()?;
        if name.is_empty() {
            return Ok(names);
        }
        if names.len() == MAX_MECHANISMS {
            return Err(WireError::BadValue("number of SASL mechanisms"));
        }
        names.push(name);
    }
}
