//! Private keys that come in pieces, or never end.

/// The shortest line of a key that something may stand before: a number, a name, a sign.
const LONG_LINE: usize = 40;

/// The lines of armour that say something of a key.
const HEADERS: [&[u8]; 7] = [
    b"Proc-Type:",
    b"DEK-Info:",
    b"Comment:",
    b"Version:",
    b"Hash:",
    b"Charset:",
    b"MessageID:",
];

/// Where the lines from the end of the first line of `text` on stop to read like those of a key.
pub(super) fn body_end(text: &[u8]) -> usize {
    let mut at = line_end(text, 0).unwrap_or(text.len());
    while at < text.len() {
        let end = line_end(text, at).unwrap_or(text.len());
        if !is_body(text.get(at..end).unwrap_or_default()) {
            return at;
        }
        at = end;
    }
    at
}

/// Where the line at `from` ends, with its line feed.
pub(super) fn line_end(text: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    memchr::memchr(b'\n', rest).map(|at| from + at + 1)
}

/// Whether a line reads like one of a key: base 64, with escaped line ends perhaps; what is said of it; nothing. A long
/// one may stand behind something else.
pub(super) fn is_body(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let encoded = line.iter().rev().take_while(|byte| is_encoded(**byte)).count();
    encoded == line.len() || encoded >= LONG_LINE || HEADERS.iter().any(|header| line.starts_with(header))
}

fn is_encoded(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::{body_end, is_body};

    #[test]
    fn a_key_without_an_end_is_over_where_other_text_begins() {
        let text = b"-----BEGIN PRIVATE KEY-----\r\nMIIEvQ\r\n\r\nAA==\r\nada@web:~$ ";
        assert_eq!(body_end(text), text.len() - 11);
        assert_eq!(body_end(b"-----BEGIN PRIVATE KEY-----"), 27);
        assert!(is_body(b"  12: MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7"));
        assert!(is_body(b"Proc-Type: 4,ENCRYPTED\n"));
        assert!(!is_body(b"let key = read();\n"));
    }
}
