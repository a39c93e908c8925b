//! Paths as bytes: taking them apart by their text, and showing them.

use std::fmt::Write as _;

use bytes::{BufMut, Bytes, BytesMut};

/// The longest path that is taken, in bytes: `PATH_MAX` of Linux.
pub(crate) const LONGEST: usize = 4096;

/// The deepest path whose directories are looked at one by one.
pub(crate) const DEEPEST: usize = 128;

/// A path for people and for policy: as it is, or in quotes with escapes if anything in it could be mistaken.
#[must_use]
pub fn shown(path: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+,:=@%~".contains(byte);
    let mut text = String::with_capacity(path.len() + 2);
    if !path.is_empty() && path.iter().all(plain) {
        text.extend(path.iter().copied().map(char::from));
        return text;
    }
    text.push('"');
    for chunk in path.utf8_chunks() {
        for letter in chunk.valid().chars() {
            show_letter(letter, &mut text);
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text.push('"');
    text
}

/// Letters, digits, marks and spaces that print as themselves stay; whatever moves, hides or turns text is escaped.
fn show_letter(letter: char, text: &mut String) {
    match letter {
        '"' | '\\' => text.extend(['\\', letter]),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        ' '..='~' => text.push(letter),
        _ if letter.is_alphanumeric() => text.push(letter),
        _ => text.extend(letter.escape_unicode()),
    }
}

/// `path` without slashes at its end; `/` for one that has nothing else.
pub(crate) fn without_trailing(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte != b'/') {
        Some(last) => path.get(..=last).unwrap_or(path),
        None => path.get(..1).unwrap_or(path),
    }
}

/// Whether the text itself says that a directory is meant.
pub(crate) fn ends_with_slash(path: &[u8]) -> bool {
    path.last() == Some(&b'/')
}

/// The directory and the name in it, by the text. `None` if the last part is not a name of its own.
pub(crate) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let path = without_trailing(path);
    let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => (b"/".as_slice(), path.get(1..)?),
        Some(at) => (path.get(..at)?, path.get(at + 1..)?),
        None => (b".".as_slice(), path),
    };
    (!matches!(name, b"" | b"." | b"..")).then_some((parent, name))
}

/// `parent/name`.
pub(crate) fn join(parent: &[u8], name: &[u8]) -> Bytes {
    let mut path = BytesMut::with_capacity(parent.len() + 1 + name.len());
    path.put_slice(parent);
    if !ends_with_slash(parent) {
        path.put_u8(b'/');
    }
    path.put_slice(name);
    path.freeze()
}

/// `written` made absolute and plain by its text alone, from `home` if it is relative.
#[must_use]
pub fn by_text(home: &[u8], written: &[u8]) -> Bytes {
    let mut parts: Vec<&[u8]> = Vec::new();
    let base = if written.first() == Some(&b'/') {
        b"".as_slice()
    } else {
        home
    };
    for part in base
        .split(|byte| *byte == b'/')
        .chain(written.split(|byte| *byte == b'/'))
    {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    let mut path = BytesMut::with_capacity(base.len() + written.len() + 1);
    for part in &parts {
        path.put_u8(b'/');
        path.put_slice(part);
    }
    if parts.is_empty() {
        path.put_u8(b'/');
    }
    path.freeze()
}

/// Whether a target's answer is a path that needs no more resolving by its text.
pub(crate) fn is_plain(path: &[u8]) -> bool {
    path.len() <= LONGEST && path.first() == Some(&b'/') && !path.contains(&0) && by_text(b"/", path) == path
}

/// Every directory on the way to `path` and `path` itself, without the root. `path` is plain.
pub(crate) fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| at);
    let whole = (path.len() > 1).then_some(path.len());
    ends.chain(whole).filter_map(|end| path.get(..end))
}

/// Whether `path` lies on a drive, as Windows servers show them (`/C:/Users`).
pub(crate) fn on_drive(path: &[u8]) -> bool {
    matches!(path, [b'/', drive, b':'] | [b'/', drive, b':', b'/', ..] if drive.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::{by_text, is_plain, join, prefixes, shown, split, without_trailing};

    #[test]
    fn a_path_that_could_be_mistaken_is_quoted() {
        assert_eq!(shown(b"/etc/hosts"), "/etc/hosts");
        assert_eq!(shown(b"/a b"), "\"/a b\"");
        assert_eq!(shown(b""), "\"\"");
        assert_eq!(shown(b"/a\" (create)"), "\"/a\\\" (create)\"");
        assert_eq!(shown(b"/a\x1b[2K\xff"), "\"/a\\u{1b}[2K\\xff\"");
        assert_eq!(shown("/\u{202e}fdp.exe".as_bytes()), "\"/\\u{202e}fdp.exe\"");
        assert_eq!(shown("/größe".as_bytes()), "\"/größe\"");
    }

    #[test]
    fn texts_that_differ_are_shown_differently() {
        let paths: [&[u8]; 6] = [b"/a\\xff", b"/a\xff", b"/a\n", b"/a\\n", b"\"/a\"", b"/a"];
        let texts: std::collections::HashSet<_> = paths.iter().map(|path| shown(path)).collect();
        assert_eq!(texts.len(), paths.len());
    }

    #[test]
    fn paths_come_apart_at_the_last_name() {
        assert_eq!(split(b"/a/b"), Some((b"/a".as_slice(), b"b".as_slice())));
        assert_eq!(split(b"/a"), Some((b"/".as_slice(), b"a".as_slice())));
        assert_eq!(split(b"a//"), Some((b".".as_slice(), b"a".as_slice())));
        assert_eq!(split(b"a//b"), Some((b"a/".as_slice(), b"b".as_slice())));
        for dots in [b"..".as_slice(), b".", b"/", b"//", b"a/..", b"a/./", b""] {
            assert_eq!(split(dots), None, "{dots:?}");
        }
        assert_eq!(without_trailing(b"///"), b"/");
        assert_eq!(join(b"/", b"a"), "/a");
        assert_eq!(join(b"/b", b"a"), "/b/a");
    }

    #[test]
    fn text_is_made_absolute() {
        assert_eq!(by_text(b"/srv/a", b"../b/./c//"), "/srv/b/c");
        assert_eq!(by_text(b"/srv/a", b"/../.."), "/");
        assert!(is_plain(b"/") && is_plain(b"/a/b"));
        assert!(!is_plain(b"") && !is_plain(b"a") && !is_plain(b"/a/") && !is_plain(b"/a/../b") && !is_plain(b"/a\0"));
        assert_eq!(
            prefixes(b"/a/b/c").collect::<Vec<_>>(),
            [b"/a".as_slice(), b"/a/b", b"/a/b/c"]
        );
        assert_eq!(prefixes(b"/").count(), 0);
    }
}
