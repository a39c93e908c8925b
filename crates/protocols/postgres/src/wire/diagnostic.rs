//! ErrorResponse and NoticeResponse: the same fields under two tags.
//!
//! Source: <https://www.postgresql.org/docs/current/protocol-error-fields.html>.

use std::borrow::Cow;

use super::{
    Cursor, WireError,
    encode::{Sink, message},
};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The session ends.
    Fatal,
    /// A remark.
    Notice,
    /// A remark to heed.
    Warning,
    /// A remark that was asked for, always shown by clients.
    Info,
}

impl Severity {
    /// The word for it, not localised.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Notice => "NOTICE",
            Self::Warning => "WARNING",
            Self::Info => "INFO",
        }
    }
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// A part of an error or notice.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field { $($(#[$doc])* $name,)* }

        impl Field {
            /// The field for its code; `None` for codes that no version of the protocol has.
            pub fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }

            /// The code in the message.
            pub fn code(self) -> u8 {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

fields! {
    /// The severity, localised.
    Severity = b'S',
    /// The severity, never localised.
    SeverityPlain = b'V',
    /// The SQLSTATE.
    Code = b'C',
    /// The main line.
    Message = b'M',
    /// More about what happened.
    Detail = b'D',
    /// What to do.
    Hint = b'H',
    /// Where in the statement, in characters from 1.
    Position = b'P',
    /// Where in an internal statement.
    InternalPosition = b'p',
    /// The text of the internal statement.
    InternalQuery = b'q',
    /// The call stack of the server's code.
    Where = b'W',
    /// The schema concerned.
    Schema = b's',
    /// The table concerned.
    Table = b't',
    /// The column concerned.
    Column = b'c',
    /// The data type concerned.
    DataType = b'd',
    /// The constraint concerned.
    Constraint = b'n',
    /// The server's source file.
    File = b'F',
    /// The server's source line.
    Line = b'L',
    /// The server's source routine.
    Routine = b'R',
}

/// The content of an ErrorResponse or NoticeResponse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic<'a> {
    fields: Vec<(Field, Cow<'a, [u8]>)>,
}

impl<'a> Diagnostic<'a> {
    /// A new one, with what every one must have. `sqlstate` is the five characters of the code.
    pub fn new(severity: Severity, sqlstate: &'static str, message: impl Into<String>) -> Self {
        let word = severity.as_str().as_bytes();
        Self {
            fields: vec![
                (Field::Severity, Cow::Borrowed(word)),
                (Field::SeverityPlain, Cow::Borrowed(word)),
                (Field::Code, Cow::Borrowed(sqlstate.as_bytes())),
                (Field::Message, Cow::Owned(message.into().into_bytes())),
            ],
        }
    }

    /// An error that ends the session.
    pub fn fatal(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Fatal, sqlstate, message)
    }

    /// An error that ends the statement.
    pub fn error(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, sqlstate, message)
    }

    /// The same with one field added or replaced.
    #[must_use]
    pub fn with(mut self, field: Field, text: impl Into<String>) -> Self {
        self.set(field, text.into().into_bytes());
        self
    }

    /// The same with a DETAIL line.
    #[must_use]
    pub fn detail(self, text: impl Into<String>) -> Self {
        self.with(Field::Detail, text)
    }

    /// The same with a HINT line.
    #[must_use]
    pub fn hint(self, text: impl Into<String>) -> Self {
        self.with(Field::Hint, text)
    }

    /// Adds or replaces a field.
    pub fn set(&mut self, field: Field, value: impl Into<Cow<'a, [u8]>>) {
        let value = value.into();
        match self.fields.iter_mut().find(|(have, _)| *have == field) {
            Some((_, slot)) => *slot = value,
            None => self.fields.push((field, value)),
        }
    }

    /// Takes a field out.
    pub fn remove(&mut self, field: Field) {
        self.fields.retain(|(have, _)| *have != field);
    }

    /// A field's bytes.
    pub fn get(&self, field: Field) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|(have, _)| *have == field)
            .map(|(_, value)| value.as_ref())
    }

    /// A field as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self, field: Field) -> Cow<'_, str> {
        String::from_utf8_lossy(self.get(field).unwrap_or_default())
    }

    /// The SQLSTATE, empty when the peer sent none.
    pub fn sqlstate(&self) -> Cow<'_, str> {
        self.text(Field::Code)
    }

    /// All fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = (Field, &[u8])> {
        self.fields.iter().map(|(field, value)| (*field, value.as_ref()))
    }

    /// All fields, to be changed in place (masking).
    pub fn fields_mut(&mut self) -> impl Iterator<Item = (Field, &mut Cow<'a, [u8]>)> {
        self.fields.iter_mut().map(|(field, value)| (*field, value))
    }

    /// Reads the body of an ErrorResponse or NoticeResponse. Fields with unknown codes are left out, so
    /// they are not passed on either. Of a field that comes twice, the last counts.
    ///
    /// # Errors
    /// A [`WireError`] when the body is not a list of fields.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let mut diagnostic = Self {
            fields: Vec::with_capacity(10),
        };
        loop {
            let code = cursor.u8()?;
            if code == 0 {
                break;
            }
            let value = cursor.cstr()?;
            if let Some(field) = Field::from_code(code) {
                diagnostic.set(field, value);
            }
        }
        cursor.finish()?;
        Ok(diagnostic)
    }

    /// The same, independent of the buffer it was read from.
    pub fn into_owned(self) -> Diagnostic<'static> {
        let own = |(field, value): (Field, Cow<'a, [u8]>)| (field, Cow::Owned(value.into_owned()));
        Diagnostic {
            fields: self.fields.into_iter().map(own).collect(),
        }
    }

    /// Appends it as an ErrorResponse.
    pub fn encode_error<S: Sink>(&self, out: &mut S) {
        self.encode(b'E', out);
    }

    /// Appends it as a NoticeResponse.
    pub fn encode_notice<S: Sink>(&self, out: &mut S) {
        self.encode(b'N', out);
    }

    fn encode<S: Sink>(&self, tag: u8, out: &mut S) {
        message(out, tag, |out| {
            for (field, value) in &self.fields {
                out.put_u8(field.code());
                out.put_cstr(value);
            }
            out.put_u8(0);
        });
    }
}
