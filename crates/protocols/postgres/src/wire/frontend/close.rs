//! Close: forget a statement or portal.

use super::{
    super::{
        Cursor, WireError,
        encode::{Sink, message},
    },
    Subject,
};

/// A request to forget a statement or portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// Which of the two.
    pub subject: Subject,
    /// Its name; empty for the unnamed one.
    pub name: &'a [u8],
}

impl<'a> Close<'a> {
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
        message(out, b'C', |out| {
            out.put_u8(self.subject.code());
            out.put_cstr(self.name);
        });
    }
}
