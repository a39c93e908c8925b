//! RowDescription: the columns of the rows that follow.

use super::super::{
    Cursor, Format, WireError,
    encode::{Sink, message},
};

/// One column of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnDescription<'a> {
    /// Its name in the result.
    pub name: &'a [u8],
    /// The OID of the table it is a plain column of, or 0.
    pub table_oid: u32,
    /// Its attribute number in that table, or 0.
    pub attnum: i16,
    /// The OID of its type.
    pub type_oid: u32,
    /// The type's size in bytes; negative for variable ones.
    pub type_len: i16,
    /// The type's modifier, or -1.
    pub type_modifier: i32,
    /// The format of its values. Text where the server does not know it yet (Describe of a statement).
    pub format: Format,
}

/// The columns of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowDescription<'a> {
    /// The columns in order.
    pub columns: Vec<ColumnDescription<'a>>,
}

impl<'a> RowDescription<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`WireError`] when it is not what the type says.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let count = usize::from(cursor.u16()?);
        // A column takes at least 19 bytes.
        let mut columns = Vec::with_capacity(count.min(cursor.remaining() / 19));
        for _ in 0..count {
            columns.push(ColumnDescription {
                name: cursor.cstr()?,
                table_oid: cursor.u32()?,
                attnum: cursor.i16()?,
                type_oid: cursor.u32()?,
                type_len: cursor.i16()?,
                type_modifier: cursor.i32()?,
                format: Format::from_code(cursor.i16()?)?,
            });
        }
        cursor.finish()?;
        Ok(Self { columns })
    }

    /// Appends the message.
    pub fn encode<S: Sink>(&self, out: &mut S) {
        message(out, b'T', |out| {
            out.put_count(self.columns.len());
            for column in &self.columns {
                out.put_cstr(column.name);
                out.put_u32(column.table_oid);
                out.put_i16(column.attnum);
                out.put_u32(column.type_oid);
                out.put_i16(column.type_len);
                out.put_i32(column.type_modifier);
                out.put_i16(column.format.code());
            }
        });
    }
}
