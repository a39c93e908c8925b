//! Bound parameters: the bytes that an approval is bound to, words for people, and values that conditions are judged by.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use sallyport_sql::{Bound, Parameters};

use crate::wire::{Cursor, Format, WireError, frontend};

/// Characters of a parameter that people are shown.
const MAX_WORDS: usize = 256;

/// The part of a `Bind` that decides what runs: formats and values, without the names before them.
pub(crate) fn of_bind(body: &[u8], portal: &[u8], statement: &[u8]) -> Bytes {
    let names = portal.len() + statement.len() + 2;
    Bytes::copy_from_slice(body.get(names..).unwrap_or_default())
}

/// The parameters in words, from what [`of_bind`] gave.
pub(crate) fn readable(parameters: &[u8], take: &mut dyn FnMut(&str)) {
    // They were read once before, so there is no error to tell of.
    let _ = frontend::each_parameter(parameters, |format, value| match value {
        None => take("NULL"),
        Some(value) => take(&words(value, format)),
    });
}

/// The parameters as conditions are judged by them, from what [`of_bind`] gave; `types` are those that the client named.
pub(crate) fn values(parameters: &[u8], types: &[u32]) -> Parameters {
    let mut body = BytesMut::from(&b"\0\0"[..]);
    body.put_slice(parameters);
    let Ok(bind) = frontend::Bind::decode(&body) else {
        return Parameters::default();
    };
    let value = |(index, value): (usize, &Option<&[u8]>)| match (value, bind.parameter_format(index)) {
        (None, _) => Bound::Unknown,
        (Some(value), Format::Binary) => Bound::Binary((*value).into()),
        // What decides is written in ASCII, which every encoding of a client has.
        (Some(value), Format::Text) => match std::str::from_utf8(value) {
            Ok(text) => Bound::Text(text.to_owned()),
            Err(_) => Bound::Unknown,
        },
    };
    Parameters {
        values: bind.parameters.iter().enumerate().map(value).collect(),
        types: types.to_vec(),
    }
}

fn words(value: &[u8], format: Format) -> Cow<'_, str> {
    match (format, std::str::from_utf8(value)) {
        (Format::Text, Ok(text)) => shortened(text),
        (Format::Binary, Ok(text)) if !text.is_empty() && text.chars().all(|c| !c.is_control()) => shortened(text),
        _ => {
            let digits: String = value.iter().take(MAX_WORDS / 2).map(|b| format!("{b:02x}")).collect();
            let number = match value.len() {
                2 | 4 | 8 => signed(value).map(|n| format!(" ({n})")).unwrap_or_default(),
                _ => String::new(),
            };
            format!("0x{digits}{number}").into()
        }
    }
}

fn signed(value: &[u8]) -> Result<i64, WireError> {
    let mut cursor = Cursor::new(value);
    match value.len() {
        2 => cursor.i16().map(i64::from),
        4 => cursor.i32().map(i64::from),
        _ => {
            let high = i64::from(cursor.i32()?);
            Ok((high << 32) | i64::from(cursor.u32()?))
        }
    }
}

fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_WORDS) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()).into(),
        None => text.into(),
    }
}
