//! Bind: give a prepared statement its parameters.

use super::super::{
    Cursor, Format, WireError,
    encode::{Sink, message},
};

/// A request to make a portal from a prepared statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal's name; empty for the unnamed one.
    pub portal: &'a [u8],
    /// The statement's name; empty for the unnamed one.
    pub statement: &'a [u8],
    /// Formats of the parameters: none (all text), one (for all), or one each.
    pub parameter_formats: Vec<Format>,
    /// The parameters; `None` is NULL.
    pub parameters: Vec<Option<&'a [u8]>>,
    /// Formats of the result's columns: none (all text), one (for all), or one each.
    pub result_formats: Vec<Format>,
}

impl<'a> Bind<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not what the type says.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let portal = cursor.cstr()?;
        let statement = cursor.cstr()?;
        let parameter_formats = formats(&mut cursor)?;
        let count = usize::from(cursor.u16()?);
        if parameter_formats.len() > 1 && parameter_formats.len() != count {
            return Err(WireError::BadValue("number of parameter formats"));
        }
        let mut parameters = Vec::with_capacity(count.min(cursor.remaining() / 4));
        for _ in 0..count {
            parameters.push(cursor.value()?);
        }
        let result_formats = formats(&mut cursor)?;
        cursor.finish()?;
        Ok(Self {
            portal,
            statement,
            parameter_formats,
            parameters,
            result_formats,
        })
    }

    /// The format of a parameter.
    pub fn parameter_format(&self, index: usize) -> Format {
        of(&self.parameter_formats, index)
    }

    /// The format of a result column.
    pub fn result_format(&self, index: usize) -> Format {
        of(&self.result_formats, index)
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'B', |out| {
            out.put_cstr(self.portal);
            out.put_cstr(self.statement);
            put_formats(out, &self.parameter_formats);
            out.put_count(self.parameters.len());
            for parameter in &self.parameters {
                out.put_value(*parameter);
            }
            put_formats(out, &self.result_formats);
        });
    }
}

/// Reads what follows the names in a `Bind`: calls `take` with each parameter, without keeping any.
///
/// # Errors
/// A [`WireError`] when it is not what the message has there. Some parameters may have been taken by then.
pub fn each_parameter(rest: &[u8], mut take: impl FnMut(Format, Option<&[u8]>)) -> Result<(), WireError> {
    let mut cursor = Cursor::new(rest);
    let formats = usize::from(cursor.u16()?);
    let mut format = Cursor::new(cursor.bytes(formats * 2)?);
    let mut all = Format::Text;
    for index in 0..usize::from(cursor.u16()?) {
        if formats > 1 || (formats == 1 && index == 0) {
            all = Format::from_code(format.i16()?)?;
        }
        take(all, cursor.value()?);
    }
    Ok(())
}

fn of(formats: &[Format], index: usize) -> Format {
    match formats {
        [] => Format::Text,
        [all] => *all,
        each => each.get(index).copied().unwrap_or(Format::Text),
    }
}

pub(super) fn formats(cursor: &mut Cursor<'_>) -> Result<Vec<Format>, WireError> {
    let count = usize::from(cursor.u16()?);
    let mut formats = Vec::with_capacity(count.min(cursor.remaining() / 2));
    for _ in 0..count {
        formats.push(Format::from_code(cursor.i16()?)?);
    }
    Ok(formats)
}

pub(super) fn put_formats<S: Sink>(out: &mut S, formats: &[Format]) {
    out.put_count(formats.len());
    for format in formats {
        out.put_i16(format.code());
    }
}
