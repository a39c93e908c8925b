//! Where a line left off: said by the host behind the line's output, in a control sequence that only this line's wrapper
//! knows the name of, and taken out of what is shown.
//!
//! A program can forge it, for it can read its parent's command line. That gains nothing: the next line is judged for
//! the directory and the variables that it says, and runs in exactly these.

use std::collections::BTreeMap;

use super::Place;

/// The most bytes of what a line leaves.
const MAX_LEFT: usize = 256 * 1024;
/// The most variables that are kept from one line to the next, and the longest value.
const MAX_EXPORTS: usize = 256;
const MAX_VALUE: usize = 32 * 1024;
/// Bytes of all of them: a command line has at most 128 KiB.
const MAX_EXPORTED: usize = 48 * 1024;
/// The longest name.
const MAX_NAME: usize = 128;

/// Looks for the end of one line's output.
#[derive(Debug)]
pub(super) struct Marker {
    nonce: String,
    opening: Vec<u8>,
    /// What may be the beginning of the sequence, or is in it.
    held: Vec<u8>,
    inside: bool,
    over: bool,
    left: Option<Vec<u8>>,
    shown: Vec<u8>,
}

/// What a line left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    directory: String,
    exports: Option<BTreeMap<String, String>>,
}

impl Marker {
    pub(super) fn new() -> Self {
        let nonce = format!("{:032x}", rand::random::<u128>());
        Self {
            opening: format!("\x1b]7777;{nonce};").into_bytes(),
            nonce,
            held: Vec::new(),
            inside: false,
            over: false,
            left: None,
            shown: Vec::new(),
        }
    }

    pub(super) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// What of `data`, and of what was held back, is the line's own output.
    pub(super) fn pass<'p>(&'p mut self, data: &'p [u8]) -> &'p [u8] {
        if self.over || (self.held.is_empty() && !self.inside && memchr::memchr(0x1b, data).is_none()) {
            return data;
        }
        self.shown.clear();
        self.held.extend_from_slice(data);
        if !self.inside {
            match find(&self.held, &self.opening) {
                Some(at) => {
                    self.shown.extend(self.held.drain(..at));
                    self.held.drain(..self.opening.len());
                    self.inside = true;
                }
                None => {
                    let keep = begun(&self.held, &self.opening);
                    let ready = self.held.len() - keep;
                    self.shown.extend(self.held.drain(..ready));
                }
            }
        }
        if self.inside {
            self.close();
        }
        &self.shown
    }

    /// What was held back when the output ended.
    pub(super) fn rest(&mut self) -> &[u8] {
        if self.inside {
            return &[];
        }
        self.shown = std::mem::take(&mut self.held);
        &self.shown
    }

    /// What the line left, if it said so.
    pub(super) fn left(&self) -> Option<Left> {
        Left::read(self.left.as_deref()?)
    }

    fn close(&mut self) {
        if let Some(end) = find(&self.held, b"\x1b\\") {
            self.left = Some(self.held.drain(..end).collect());
            self.held.drain(..2);
            self.shown.append(&mut self.held);
            (self.inside, self.over) = (false, true);
        } else if self.held.len() > MAX_LEFT {
            // Longer than anything the wrapper says: it is not kept, nor shown.
            self.held.clear();
        }
    }
}

impl Left {
    /// The directory on the first line, then `declare -x NAME="value"` a line each. A terminal makes `\n` to `\r\n`.
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.replace("\r\n", "\n");
        let (directory, rest) = text.split_once('\n')?;
        if !directory.starts_with('/') || directory.chars().any(char::is_control) {
            return None;
        }
        let mut room = MAX_EXPORTED;
        let fits = |(name, value): &(String, String)| {
            let size = name.len() + value.len();
            room = room.saturating_sub(size);
            room > 0
        };
        let exports = rest
            .lines()
            .filter_map(export)
            .take(MAX_EXPORTS)
            .take_while(fits)
            .collect();
        Some(Self {
            directory: directory.to_owned(),
            exports: rest.starts_with("declare -x").then_some(exports),
        })
    }

    /// The next line begins here.
    pub(super) fn into_place(self, place: &mut Place) {
        place.directory = self.directory;
        if let Some(exports) = self.exports {
            place.exports = exports;
        }
    }
}

/// A variable that one line hands to the next: one of a person's own, on one line. What the login gives is given anew to
/// each line, and what makes programs run other code is not kept.
fn export(line: &str) -> Option<(String, String)> {
    let (name, value) = line.strip_prefix("declare -x ")?.split_once('=')?;
    let value = value.strip_prefix('"')?.strip_suffix('"')?;
    // The name goes into the next line's wrapper as it is.
    if !is_name(name) || sallyport_target::AcceptEnv::changes_code(name) || GIVEN.contains(&name) {
        return None;
    }
    if value.len() > MAX_VALUE {
        return None;
    }
    let mut plain = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.push(chars.next()?),
            '"' | '`' => return None,
            c if c.is_control() => return None,
            c => plain.push(c),
        }
    }
    Some((name.to_owned(), plain))
}

/// Whether a text is the name of a variable, and nothing that a shell would take for more.
fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Variables that every login has anew.
const GIVEN: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PATH",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "TERM",
    "MAIL",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "SSH_AUTH_SOCK",
    "SSH_ORIGINAL_COMMAND",
    "XDG_RUNTIME_DIR",
    "XDG_SESSION_ID",
    "XDG_SESSION_TYPE",
    "XDG_SESSION_CLASS",
    "DBUS_SESSION_BUS_ADDRESS",
    "_",
];

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, needle)
}

/// How many bytes at the end of `text` may be the beginning of `needle`.
fn begun(text: &[u8], needle: &[u8]) -> usize {
    let most = text.len().min(needle.len().saturating_sub(1));
    let tail = |len: usize| text.get(text.len() - len..).unwrap_or_default();
    (1..=most).rev().find(|len| needle.starts_with(tail(*len))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeMap;

    use super::{Left, Marker};

    fn left() -> Option<Left> {
        Some(Left {
            directory: "/srv/a b".to_owned(),
            exports: Some(BTreeMap::from([("A".to_owned(), "1 \"$x".to_owned())])),
        })
    }

    #[test]
    fn it_is_found_wherever_the_output_is_cut_and_never_shown() {
        let nonce = Marker::new().nonce().to_owned();
        let said = format!(
            "out\x1b[0m\x1b]7777;other;x\x1b\\\x1b]7777;{nonce};/srv/a b\r\ndeclare -x A=\"1 \\\"\\$x\"\r\n\
             declare -x PATH=\"/tmp\"\r\ndeclare -x LD_PRELOAD=\"/tmp/x\"\r\n\x1b\\end"
        );
        for cut in 0..=said.len() {
            let mut marker = Marker::new();
            marker.opening = format!("\x1b]7777;{nonce};").into_bytes();
            let (first, second) = said.as_bytes().split_at(cut);
            let mut shown = marker.pass(first).to_vec();
            shown.extend_from_slice(marker.pass(second));
            shown.extend_from_slice(marker.rest());
            assert_eq!(
                String::from_utf8(shown).unwrap(),
                "out\x1b[0m\x1b]7777;other;x\x1b\\end",
                "cut at {cut}"
            );
            assert_eq!(marker.left(), left(), "cut at {cut}");
        }
    }

    /// A program can forge what its line leaves.
    #[test]
    fn what_is_no_variable_does_not_get_into_the_next_line() {
        for forged in [
            "A;touch /tmp/x;B=\"v\"",
            "A$(id)=\"v\"",
            "-f=\"v\"",
            "1A=\"v\"",
            "=\"v\"",
            "A B=\"v\"",
            "BASH_ENV=\"/tmp/x\"",
            "PATH=\"/tmp\"",
            "A=\"`id`\"",
            "A=$'v'",
        ] {
            assert_eq!(super::export(&format!("declare -x {forged}")), None, "{forged}");
        }
        let taken = super::export("declare -x A_1=\"v $(id) 'q'\"");
        assert_eq!(taken, Some(("A_1".to_owned(), "v $(id) 'q'".to_owned())));
    }

    #[test]
    fn a_place_that_is_none_is_not_believed() {
        for odd in ["relative\n", "/a\x1bb\n", "/nothing follows"] {
            assert_eq!(Left::read(odd.as_bytes()), None, "{odd:?}");
        }
    }
}
