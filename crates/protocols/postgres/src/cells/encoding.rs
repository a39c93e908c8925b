//! Client encodings whose characters can contain bytes that mean something else alone.

use serde::{Deserialize, Serialize};

/// How a text's bytes make characters, as far as COPY's delimiters and backslashes care.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// ASCII bytes are ASCII wherever they stand: UTF-8, LATIN1, EUC and most others.
    #[default]
    Plain,
    /// Two bytes after a first byte of 0x81 and above: BIG5, GBK, UHC, JOHAB.
    Double,
    /// Like [`Encoding::Double`], but 0xA0 to 0xDF stand alone: SJIS, SHIFT_JIS_2004.
    Sjis,
    /// Like [`Encoding::Double`], but four bytes where the second is a digit.
    Gb18030,
}

impl Encoding {
    /// The encoding that `client_encoding` or COPY's ENCODING names.
    pub fn named(name: &str) -> Self {
        let plain: String = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        match plain.as_str() {
            "big5" | "win950" | "windows950" | "gbk" | "win936" | "windows936" | "uhc" | "win949" | "windows949"
            | "johab" => Self::Double,
            "sjis" | "mskanji" | "shiftjis" | "win932" | "windows932" | "shiftjis2004" => Self::Sjis,
            "gb18030" => Self::Gb18030,
            _ => Self::Plain,
        }
    }

    /// How many bytes the character has that `first` and `second` start, at most.
    pub(super) fn length(self, first: u8, second: Option<u8>) -> usize {
        match self {
            Self::Plain => 1,
            Self::Double if first >= 0x81 => 2,
            Self::Sjis if first >= 0x81 && !(0xA0..=0xDF).contains(&first) => 2,
            Self::Gb18030 if first >= 0x81 => match second {
                Some(b'0'..=b'9') => 4,
                Some(_) | None => 2,
            },
            Self::Double | Self::Sjis | Self::Gb18030 => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Encoding;

    #[test]
    fn a_trail_byte_can_be_a_backslash() {
        assert_eq!(Encoding::named("Shift_JIS").length(0x95, Some(b'\\')), 2);
        assert_eq!(Encoding::named("UTF8").length(0x95, Some(b'\\')), 1);
        assert_eq!(Encoding::named("GB18030").length(0x81, Some(b'0')), 4);
        assert_eq!(Encoding::named("SJIS").length(0xB1, Some(b'\\')), 1);
    }
}
