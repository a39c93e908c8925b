//! What the target says of the session's settings, as far as they decide how text is to be read.

use std::borrow::Cow;

use bytes::Bytes;

/// The settings that a `ParameterStatus` reports and the gateway follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    standard_conforming_strings: bool,
    encoding: Encoding,
    encoding_name: String,
    /// They may have been changed since the target last said what they are.
    doubtful: bool,
    /// In one canonical form.
    meaning: Bytes,
}

/// How the client's bytes are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// UTF-8, or bytes as they are.
    Utf8,
    /// One byte a character, or several whose every byte has the high bit: never mistaken for ASCII.
    AsciiSafe,
    /// A later byte of a character may look like ASCII, a quote or a backslash among them.
    Unsafe,
}

/// Why a text cannot be read as the target will read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Backslashes escape in ordinary strings, and where strings begin is not sure.
    #[error(
        "a backslash cannot be judged here while standard_conforming_strings is off; write the string as one E'…', without \
         a string that continues it, N'…' or U&'…' in the statement"
    )]
    Backslash,
    /// The bytes are not text in the session's encoding.
    #[error("the statement is not valid text in the session's client_encoding")]
    NotText,
    /// The settings were changed in this batch, and the target cannot be asked what they are.
    #[error(
        "a setting was changed in this batch that decides how text is read; send the statement in a batch of its own"
    )]
    Doubtful,
    /// The encoding's characters may hide ASCII bytes.
    #[error("characters outside ASCII cannot be judged in this client_encoding; use UTF8")]
    Encoding,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            standard_conforming_strings: true,
            encoding: Encoding::Utf8,
            encoding_name: "UTF8".to_owned(),
            doubtful: false,
            meaning: Bytes::from_static(b"on UTF8"),
        }
    }
}

impl Settings {
    /// Takes up a `ParameterStatus`.
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"standard_conforming_strings" => self.standard_conforming_strings = value == b"on",
            b"client_encoding" => {
                self.encoding = Encoding::of(value);
                self.encoding_name = String::from_utf8_lossy(value).into_owned();
            }
            _ => return,
        }
        let strings = if self.standard_conforming_strings { "on" } else { "off" };
        self.meaning = format!("{strings} {}", self.encoding_name).into();
    }

    /// A statement that may change them succeeded. A target reports a change only when the batch ends.
    pub(crate) fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// The batch ended, or the target was asked: what was reported is what holds.
    pub(crate) fn are_sure(&mut self) {
        self.doubtful = false;
    }

    /// Whether the target must be asked before a text can be read.
    pub(crate) fn are_doubtful(&self) -> bool {
        self.doubtful
    }

    /// In one canonical form, for digests.
    pub(crate) fn meaning(&self) -> &Bytes {
        &self.meaning
    }

    /// The name of `client_encoding`.
    pub(crate) fn encoding_name(&self) -> &str {
        &self.encoding_name
    }

    /// Whether the gateway follows this setting: a change of it changes how the next statement is read.
    pub(crate) fn follows(name: &[u8]) -> bool {
        matches!(name, b"standard_conforming_strings" | b"client_encoding")
    }

    /// The statement as the parser may read it, only if the target will read it the same way.
    ///
    /// # Errors
    /// When the two could differ.
    pub(crate) fn read<'a>(&self, text: &'a [u8]) -> Result<Cow<'a, str>, Unreadable> {
        if self.doubtful && (!text.is_ascii() || memchr::memchr(b'\\', text).is_some()) {
            return Err(Unreadable::Doubtful);
        }
        let text = self.characters(text)?;
        if self.standard_conforming_strings || memchr::memchr(b'\\', text.as_bytes()).is_none() {
            return Ok(text);
        }
        sallyport_sql::marked(&text)
            .map(Cow::Owned)
            .ok_or(Unreadable::Backslash)
    }

    /// The characters of a text, as far as the grammar tells them apart.
    fn characters<'a>(&self, text: &'a [u8]) -> Result<Cow<'a, str>, Unreadable> {
        if text.is_ascii() {
            return std::str::from_utf8(text)
                .map(Into::into)
                .map_err(|_| Unreadable::NotText);
        }
        match self.encoding {
            Encoding::Utf8 => std::str::from_utf8(text)
                .map(Into::into)
                .map_err(|_| Unreadable::NotText),
            // The parser needs only to know where these characters are, and that they are letters: each such byte is
            // read as the letter that Latin-1 has for it, which no token of the grammar contains.
            Encoding::AsciiSafe => Ok(text.iter().map(|b| char::from(*b)).collect::<String>().into()),
            Encoding::Unsafe => Err(Unreadable::Encoding),
        }
    }
}

impl Settings {
    /// What [`Self::read`] has read, or the grammar made of it, as the target reads it. `None` when it could differ.
    pub(crate) fn write<'a>(&self, text: &'a str) -> Option<Cow<'a, [u8]>> {
        if self.doubtful && !text.is_ascii() {
            return None;
        }
        match self.encoding {
            Encoding::Utf8 => Some(text.as_bytes().into()),
            Encoding::AsciiSafe | Encoding::Unsafe if text.is_ascii() => Some(text.as_bytes().into()),
            Encoding::AsciiSafe => text
                .chars()
                .map(|c| u8::try_from(c).ok())
                .collect::<Option<Vec<u8>>>()
                .map(Into::into),
            Encoding::Unsafe => None,
        }
    }
}

impl Encoding {
    /// Which class an encoding's name belongs to. Source: PostgreSQL, "Character Set Support", table of server
    /// character sets; those that exist for clients only (BIG5, GB18030, GBK, JOHAB, SJIS, SHIFT_JIS_2004, UHC) have
    /// trailing bytes below 0x80.
    fn of(name: &[u8]) -> Self {
        const UNSAFE: [&[u8]; 7] = [
            b"BIG5",
            b"GB18030",
            b"GBK",
            b"JOHAB",
            b"SJIS",
            b"SHIFT_JIS_2004",
            b"UHC",
        ];
        const SAFE_PREFIXES: [&[u8]; 6] = [b"LATIN", b"WIN", b"ISO_8859", b"KOI8", b"EUC_", b"MULE_INTERNAL"];
        match name {
            b"UTF8" | b"SQL_ASCII" => Self::Utf8,
            name if UNSAFE.contains(&name) => Self::Unsafe,
            name if SAFE_PREFIXES.iter().any(|p| name.starts_with(p)) => Self::AsciiSafe,
            _ => Self::Unsafe,
        }
    }
}
