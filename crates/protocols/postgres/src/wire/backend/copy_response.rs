//! CopyInResponse, CopyOutResponse, CopyBothResponse: COPY begins.

use super::super::{
    Cursor, Format, WireError,
    encode::{Sink, message},
};

/// What the COPY looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyResponse {
    /// Text (which CSV is too) or binary.
    pub format: Format,
    /// The format of each column.
    pub columns: Vec<Format>,
}

impl CopyResponse {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not what the type says.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let format = Format::from_code(i16::from(cursor.u8()?))?;
        let count = usize::from(cursor.u16()?);
        let mut columns = Vec::with_capacity(count.min(cursor.remaining() / 2));
        for _ in 0..count {
            columns.push(Format::from_code(cursor.i16()?)?);
        }
        cursor.finish()?;
        Ok(Self { format, columns })
    }

    /// Appends it as a CopyInResponse.
    pub fn encode_in<S: Sink>(&self, out: &mut S) {
        self.encode(b'G', out);
    }

    /// Appends it as a CopyOutResponse.
    pub fn encode_out<S: Sink>(&self, out: &mut S) {
        self.encode(b'H', out);
    }

    fn encode<S: Sink>(&self, tag: u8, out: &mut S) {
        message(out, tag, |out| {
            out.put_u8(u8::from(self.format == Format::Binary));
            out.put_count(self.columns.len());
            for column in &self.columns {
                out.put_i16(column.code());
            }
        });
    }
}
