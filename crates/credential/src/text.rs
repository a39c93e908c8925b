//! Text that holds secrets: read into memory that is wiped, and out of JSON without copies that are not.

use std::{collections::BTreeMap, fmt};

use secrecy::{ExposeSecret, SecretString};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zeroize::{Zeroize, Zeroizing};

use crate::{CredentialError, SecretKind};

/// The longest secret, in bytes.
pub(crate) const MAX_SECRET: usize = 64 * 1024;
/// The most fields of one secret.
const MAX_FIELDS: usize = 1000;

/// Bytes that are wiped when they are dropped, and when they are moved to grow.
#[derive(Default)]
pub(crate) struct Wiped(Zeroizing<Vec<u8>>);

impl Wiped {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }

    pub(crate) fn push(&mut self, more: &[u8]) {
        let length = self.0.len() + more.len();
        if length > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(length.max(self.0.capacity() * 2)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(more);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn text(&self) -> Option<&str> {
        str::from_utf8(&self.0).ok()
    }
}

/// One value of a secret.
pub(crate) enum Field {
    Text(SecretString),
    /// An object, an array, or nothing.
    Other,
}

/// A JSON object whose values are secrets.
pub(crate) struct Fields(BTreeMap<String, Field>);

impl Fields {
    /// The text of a field.
    pub(crate) fn text(&self, name: &str) -> Result<&SecretString, &'static str> {
        match self.0.get(name) {
            Some(Field::Text(text)) => Ok(text),
            Some(Field::Other) => Err("the field is neither a text nor a number"),
            None => Err("it has no such field"),
        }
    }

    /// A secret that is itself a JSON object.
    pub(crate) fn parse(text: &SecretString) -> Result<Self, &'static str> {
        serde_json::from_str(text.expose_secret()).map_err(|_| "a field of it is asked for, and it is no JSON object")
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((name, field)) = map.next_entry::<String, Field>()? {
            if fields.len() >= MAX_FIELDS {
                return Err(A::Error::custom("too many fields"));
            }
            if fields.insert(name, field).is_some() {
                return Err(A::Error::custom("a field twice"));
            }
        }
        Ok(Fields(fields))
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        Ok(Field::Text(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<Field, E> {
        Ok(Field::Text(text.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Field, E> {
        Ok(Field::Text(number.to_string().into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field, E> {
        Ok(Field::Text(number.to_string().into()))
    }

    // A number with a fraction has no one text; a password is none of these.
    fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }
}

/// A value of a store as the secret that is needed: one end of line is taken off what is one line.
pub(crate) fn fit(
    kind: SecretKind,
    text: &SecretString,
    place: impl Fn() -> String,
) -> Result<SecretString, CredentialError> {
    let unfit = |why| CredentialError::Unfit {
        kind,
        place: place(),
        why,
    };
    let whole = text.expose_secret();
    let secret = if kind.is_one_line() {
        let line = whole.strip_suffix('\n').unwrap_or(whole);
        line.strip_suffix('\r').unwrap_or(line)
    } else {
        whole
    };
    if secret.is_empty() {
        return Err(unfit("it is empty"));
    }
    if secret.len() > MAX_SECRET {
        return Err(unfit("it is too long"));
    }
    if secret.contains('\0') || (kind.is_one_line() && secret.contains(['\n', '\r'])) {
        return Err(unfit("it has several lines, or bytes that are not text"));
    }
    Ok(secret.into())
}

/// Bytes of a store as text.
pub(crate) fn utf8(mut bytes: Vec<u8>) -> Option<SecretString> {
    let text = str::from_utf8(&bytes).ok().map(SecretString::from);
    bytes.zeroize();
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn fields(text: &str) -> Option<Fields> {
        Fields::parse(&text.into()).ok()
    }

    #[test]
    fn fields_are_texts_or_whole_numbers() {
        let found = fields(
            r#"{"a": "x", "b": 7, "c": -1, "d": 1.5, "e": {"f": [1, {"g": null}]}, "h": [1], "i": null, "j": true}"#,
        );
        let found = found.unwrap();
        let text = |name| found.text(name).ok().map(|text| text.expose_secret().to_owned());
        assert_eq!(text("a").as_deref(), Some("x"));
        assert_eq!(text("b").as_deref(), Some("7"));
        assert_eq!(text("c").as_deref(), Some("-1"));
        for other in ["d", "e", "h", "i", "j", "absent"] {
            assert!(text(other).is_none(), "{other}");
        }
    }

    #[test]
    fn what_is_no_plain_object_is_refused() {
        let many: Vec<String> = (0..=MAX_FIELDS).map(|n| format!("\"{n}\": 1")).collect();
        for bad in [
            "",
            "[]",
            "\"x\"",
            "{\"a\": 1, \"a\": 2}",
            "{\"a\": ",
            &format!("{{{}}}", many.join(",")),
        ] {
            assert!(fields(bad).is_none(), "{}", bad.chars().take(40).collect::<String>());
        }
    }

    #[test]
    fn however_deep_a_field_is_it_is_passed_over() {
        let deep = format!(
            "{{\"a\": {}1{}, \"b\": \"x\"}}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        let found = fields(&deep).unwrap();
        assert!(found.text("a").is_err() && found.text("b").is_ok());
    }

    #[test]
    fn one_line_loses_its_end_and_nothing_else() {
        let fit = |kind, text: &str| fit(kind, &text.into(), String::new).map(|text| text.expose_secret().to_owned());
        for (text, line) in [(" x \n", " x "), ("x\r\n", "x"), ("x", "x")] {
            assert_eq!(fit(SecretKind::Password, text).ok().as_deref(), Some(line));
        }
        for bad in ["", "\n", "a\nb", "a\n\n", "a\0b", &"x".repeat(MAX_SECRET + 1)] {
            assert!(fit(SecretKind::Password, bad).is_err());
        }
        assert_eq!(fit(SecretKind::PrivateKey, "a\nb\n").ok().as_deref(), Some("a\nb\n"));
    }

    #[test]
    fn a_buffer_that_grows_keeps_what_it_had() {
        let mut buffer = Wiped::with_capacity(2);
        for _ in 0..100 {
            buffer.push(b"abc");
        }
        assert_eq!(buffer.bytes(), "abc".repeat(100).as_bytes());
    }
}
