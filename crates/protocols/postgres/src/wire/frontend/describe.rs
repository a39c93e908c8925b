//! Describe: what a statement or portal takes and returns.

use super::{
    super::{
        Cursor, WireError,
        encode::{Sink, message},
    },
    Subject,
};

/// A request to say what a statement or portal takes and returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Describe<'a> {
    /// Which of the two.
    pub subject: Subject,
    /// Its name; empty for the unnamed one.
    pub name: &'a [u8],
}

impl<'a> Describe<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not a subject and a name.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let subject = Subject::from_code(cursor.u8()?)?;
        let name = cursor.cstr()?;
        cursor.finish()?;
        Ok(Self { subject, name })
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'D', |out| {
            out.put_u8(self.subject.code());
            out.put_cstr(self.name);
        });
    }
}
