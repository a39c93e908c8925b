//! Text as a session reads it whose `standard_conforming_strings` is off: a backslash in an ordinary string escapes.
//!
//! The parser reads strings in the standard way only, but for those that an `E` marks. With the setting off PostgreSQL's
//! scanner reads an unmarked string as it reads a marked one (`scan.l`, state `xe`), so a text in which every string is
//! marked has the same tokens with the setting on. Where a string begins that could be read as something else in any
//! version (a prefix, a continued string, what follows a number), nothing is said.

/// The text with a mark before each ordinary string; `None` where strings cannot be told apart for sure.
pub fn marked(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut marked = String::with_capacity(text.len() + 16);
    let (mut at, mut copied) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        at = match byte {
            b'\'' => {
                marked.push_str(text.get(copied..at)?);
                marked.push_str(" E");
                copied = at;
                after_string(bytes, end_of_escaped(bytes, at)?)?
            }
            b'"' => end_of_quoted(bytes, at)?,
            b'$' => end_of_dollar(bytes, at)?,
            b'0'..=b'9' => end_of_number(bytes, at)?,
            b'-' if bytes.get(at + 1) == Some(&b'-') => end_of_line(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => end_of_comment(bytes, at)?,
            byte if begins_word(byte) => end_of_word_or_string(bytes, at)?,
            _ => at + 1,
        };
    }
    marked.push_str(text.get(copied..)?);
    Some(marked)
}

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn continues_word(byte: u8) -> bool {
    begins_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// White space, as any version takes it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Where the run of bytes ends that begins here.
fn run(bytes: &[u8], at: usize, belongs: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| belongs(**byte)).count()
}

/// The end of a word, or of a string that a letter marks.
fn end_of_word_or_string(bytes: &[u8], at: usize) -> Option<usize> {
    let end = run(bytes, at, continues_word);
    let word = bytes.get(at..end)?;
    match (word, bytes.get(end), bytes.get(end + 1)) {
        (b"e" | b"E", Some(b'\''), _) => after_string(bytes, end_of_escaped(bytes, end)?),
        // Bits: there is no way to have a quote in them.
        (b"b" | b"B" | b"x" | b"X", Some(b'\''), _) => {
            let close = run(bytes, end + 1, |byte| byte != b'\'');
            bytes.get(close)?;
            after_string(bytes, close + 1)
        }
        (b"n" | b"N", Some(b'\''), _) | (b"u" | b"U", Some(b'&'), Some(b'\'' | b'"')) => None,
        _ => Some(end),
    }
}

/// The end of a string whose opening quote is here, where a backslash takes the next character with it.
fn end_of_escaped(bytes: &[u8], at: usize) -> Option<usize> {
    let mut next = at + 1;
    loop {
        match (bytes.get(next)?, bytes.get(next + 1)) {
            (b'\'', Some(b'\'')) => next += 2,
            (b'\'', _) => return Some(next + 1),
            (b'\\', escaped) => {
                escaped?;
                next += 2;
            }
            _ => next += 1,
        }
    }
}

/// The end of a string, unless another one follows that may continue it.
fn after_string(bytes: &[u8], end: usize) -> Option<usize> {
    let mut next = end;
    loop {
        next = run(bytes, next, is_space);
        if bytes.get(next..)?.starts_with(b"--") {
            next = end_of_line(bytes, next);
        } else {
            break;
        }
    }
    (bytes.get(next) != Some(&b'\'')).then_some(end)
}

/// The end of a name in double quotes.
fn end_of_quoted(bytes: &[u8], at: usize) -> Option<usize> {
    let mut next = at + 1;
    loop {
        next = run(bytes, next, |byte| byte != b'"') + 1;
        bytes.get(next - 1)?;
        if bytes.get(next) != Some(&b'"') {
            return Some(next);
        }
        next += 1;
    }
}

/// The end of a parameter, or of a string in dollar quotes.
fn end_of_dollar(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = run(bytes, at + 1, |byte| byte.is_ascii_digit());
    if digits > at + 1 {
        return (!bytes.get(digits).is_some_and(|byte| continues_word(*byte))).then_some(digits);
    }
    let tag = run(bytes, at + 1, |byte| continues_word(byte) && byte != b'$');
    if bytes.get(tag) != Some(&b'$') {
        return None;
    }
    let delimiter = bytes.get(at..=tag)?;
    let body = bytes.get(tag + 1..)?;
    let mut places = body.windows(delimiter.len());
    let close = places.position(|place| place == delimiter)?;
    Some(tag + 1 + close + delimiter.len())
}

/// The end of a number that nothing is glued to.
fn end_of_number(bytes: &[u8], at: usize) -> Option<usize> {
    let digit = |byte: u8| byte.is_ascii_digit();
    let mut end = run(bytes, at, |byte| digit(byte) || byte == b'.');
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = run(bytes, end + 1 + sign, digit);
        if exponent == end + 1 + sign {
            return None;
        }
        end = exponent;
    }
    (!bytes.get(end).is_some_and(|byte| continues_word(*byte))).then_some(end)
}

fn end_of_line(bytes: &[u8], at: usize) -> usize {
    run(bytes, at, |byte| !matches!(byte, b'\n' | b'\r'))
}

/// The end of a comment, with those inside it.
fn end_of_comment(bytes: &[u8], at: usize) -> Option<usize> {
    let mut next = at + 2;
    let mut depth = 1_u32;
    while depth > 0 {
        match (bytes.get(next)?, bytes.get(next + 1)) {
            (b'/', Some(b'*')) => (depth, next) = (depth + 1, next + 2),
            (b'*', Some(b'/')) => (depth, next) = (depth - 1, next + 2),
            _ => next += 1,
        }
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::marked;

    #[test]
    fn each_ordinary_string_is_marked_and_nothing_else() {
        for (text, wanted) in [
            (r"SELECT 'a\'b', c", r"SELECT  E'a\'b', c"),
            (r"SELECT E'\'', '\\'", r"SELECT E'\'',  E'\\'"),
            (r"SELECT name'x\n'", r"SELECT name E'x\n'"),
            (r"SELECT 'it''s \' -- no comment'", r"SELECT  E'it''s \' -- no comment'"),
            ("SELECT $$it's$$, $a$'$$'$a$, 'x'", "SELECT $$it's$$, $a$'$$'$a$,  E'x'"),
            ("SELECT 1 -- it's\n, 'x'", "SELECT 1 -- it's\n,  E'x'"),
            ("SELECT 1 /* '/* ' */ ' */, 'x'", "SELECT 1 /* '/* ' */ ' */,  E'x'"),
            (r#"SELECT "it's", "a""'b", 'x'"#, r#"SELECT "it's", "a""'b",  E'x'"#),
            ("SELECT $1, 1.5e-3+'x'", "SELECT $1, 1.5e-3+ E'x'"),
            ("SELECT b'1', X'f', 'x'", "SELECT b'1', X'f',  E'x'"),
            ("SELECT a$b'x'", "SELECT a$b E'x'"),
            ("SELECT 1", "SELECT 1"),
        ] {
            assert_eq!(marked(text).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        for text in [
            "SELECT 'a'\n'b'",
            "SELECT 'a' -- comment\n  'b'",
            "SELECT b'1''0'",
            r"SELECT n'x\n'",
            "SELECT U&'x'",
            "SELECT u&\"x\"",
            "SELECT 1x'f'",
            "SELECT 1e'x'",
            "SELECT $1a",
            "SELECT $ 'x'",
            "SELECT 'x",
            r"SELECT 'x\'",
            "SELECT 'x\\",
            "SELECT \"x",
            "SELECT $a$ x $$",
            "SELECT /* /* */ 1",
        ] {
            assert_eq!(marked(text), None, "{text}");
        }
    }
}
