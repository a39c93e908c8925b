//! What a recorded response says, in words: for replay.

use bytes::{Buf, BytesMut};

use crate::wire::backend::{CommandComplete, DataRow, NotificationResponse, RowDescription, Tag};
use crate::wire::{Cursor, Diagnostic, Field, Format, Limits, next_frame};

/// Something that the client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A result begins: the names of its columns.
    Columns(Vec<String>),
    /// A row; `None` is NULL.
    Row(Vec<Option<String>>),
    /// A line of text: its kind (`complete`, `error`, `notice`, `notification`, `copy`) and the words.
    Line {
        /// The kind.
        kind: &'static str,
        /// The words.
        words: String,
    },
}

/// Reads the responses of one recording, in order. Responses may be cut anywhere.
#[derive(Debug, Default)]
pub struct Transcript {
    rest: BytesMut,
    columns: Vec<(u32, Format)>,
}

impl Transcript {
    /// The next bytes of a response.
    pub fn response(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Told)) {
        self.rest.extend_from_slice(bytes);
        // What is not understood ends the reading: it was written as the client saw it, so it cannot be skipped.
        while let Ok(Some(frame)) = next_frame::<Tag>(&self.rest, &Limits::default()) {
            let body = frame.body(&self.rest).unwrap_or_default();
            if let Some(told) = told(frame.tag, body, &mut self.columns) {
                tell(told);
            }
            self.rest.advance(frame.total_len.min(self.rest.len()));
        }
    }
}

fn told(tag: Tag, body: &[u8], columns: &mut Vec<(u32, Format)>) -> Option<Told> {
    let line = |kind, words: String| Some(Told::Line { kind, words });
    match tag {
        Tag::RowDescription => {
            let description = RowDescription::decode(body).ok()?;
            *columns = description.columns.iter().map(|c| (c.type_oid, c.format)).collect();
            Some(Told::Columns(
                description.columns.iter().map(|c| lossy(c.name)).collect(),
            ))
        }
        Tag::DataRow => {
            let row = DataRow::decode(body).ok()?;
            let cell = |(index, value): (usize, Option<&[u8]>)| value.map(|v| words(v, columns.get(index).copied()));
            Some(Told::Row(
                row.columns().filter_map(Result::ok).enumerate().map(cell).collect(),
            ))
        }
        Tag::CommandComplete => line("complete", lossy(CommandComplete::decode(body).ok()?.tag)),
        Tag::ErrorResponse => line("error", diagnostic(body)?),
        Tag::NoticeResponse => line("notice", diagnostic(body)?),
        Tag::NotificationResponse => {
            let notification = NotificationResponse::decode(body).ok()?;
            line(
                "notification",
                format!("{}: {}", lossy(notification.channel), lossy(notification.payload)),
            )
        }
        Tag::CopyData => line("copy", lossy(body)),
        Tag::EmptyQueryResponse => line("complete", "(empty)".to_owned()),
        Tag::Authentication
        | Tag::BackendKeyData
        | Tag::BindComplete
        | Tag::CloseComplete
        | Tag::CopyBothResponse
        | Tag::CopyDone
        | Tag::CopyInResponse
        | Tag::CopyOutResponse
        | Tag::FunctionCallResponse
        | Tag::NegotiateProtocolVersion
        | Tag::NoData
        | Tag::ParameterDescription
        | Tag::ParameterStatus
        | Tag::ParseComplete
        | Tag::PortalSuspended
        | Tag::ReadyForQuery => None,
    }
}

fn diagnostic(body: &[u8]) -> Option<String> {
    let words = Diagnostic::decode(body).ok()?;
    let mut text = format!(
        "{}: {} {}",
        words.text(Field::Severity),
        words.sqlstate(),
        words.text(Field::Message)
    );
    for (field, label) in [(Field::Detail, "detail"), (Field::Hint, "hint")] {
        if words.get(field).is_some() {
            text.push_str(&format!(" ({label}: {})", words.text(field)));
        }
    }
    Some(text)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A cell in words. OIDs of `pg_type.dat`: bool 16, int8 20, int2 21, int4 23, oid 26.
fn words(value: &[u8], column: Option<(u32, Format)>) -> String {
    let mut cursor = Cursor::new(value);
    let number = match column {
        Some((16, Format::Binary)) => cursor
            .u8()
            .ok()
            .map(|b| if b == 0 { "f".to_owned() } else { "t".to_owned() }),
        Some((21, Format::Binary)) => cursor.i16().ok().map(|n| n.to_string()),
        Some((23, Format::Binary)) => cursor.i32().ok().map(|n| n.to_string()),
        Some((26, Format::Binary)) => cursor.u32().ok().map(|n| n.to_string()),
        Some((20, Format::Binary)) => {
            let high = cursor.i32().ok().map(i64::from);
            high.zip(cursor.u32().ok())
                .map(|(high, low)| ((high << 32) | i64::from(low)).to_string())
        }
        _ => None,
    };
    number.unwrap_or_else(|| match std::str::from_utf8(value) {
        Ok(text) if !text.contains('\0') => text.to_owned(),
        _ => format!("\\x{}", value.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    })
}
