//! FunctionCall: the "fast path", which calls any function by its OID.

use super::{
    super::{
        Cursor, Format, WireError,
        encode::{Sink, message},
    },
    bind::{formats, put_formats},
};

/// A request to call a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionCall<'a> {
    /// The function's OID.
    pub function: u32,
    /// Formats of the arguments: none (all text), one (for all), or one each.
    pub argument_formats: Vec<Format>,
    /// The arguments; `None` is NULL.
    pub arguments: Vec<Option<&'a [u8]>>,
    /// The format of the result.
    pub result_format: Format,
}

impl<'a> FunctionCall<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not what the type says.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let function = cursor.u32()?;
        let argument_formats = formats(&mut cursor)?;
        let count = usize::from(cursor.u16()?);
        if argument_formats.len() > 1 && argument_formats.len() != count {
            return Err(WireError::BadValue("number of argument formats"));
        }
        let mut arguments = Vec::with_capacity(count.min(cursor.remaining() / 4));
        for _ in 0..count {
            arguments.push(cursor.value()?);
        }
        let result_format = Format::from_code(cursor.i16()?)?;
        cursor.finish()?;
        Ok(Self {
            function,
            argument_formats,
            arguments,
            result_format,
        })
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'F', |out| {
            out.put_u32(self.function);
            put_formats(out, &self.argument_formats);
            out.put_count(self.arguments.len());
            for argument in &self.arguments {
                out.put_value(*argument);
            }
            out.put_i16(self.result_format.code());
        });
    }
}
