//! The lines that were typed at the host's own shells, put together from a recording: an aid for who reads it.

use std::collections::HashMap;

use sallyport_typed::{Line, Patience, Size, Step, Typed, Verdict};
use serde_json::Value;

/// Shells of one session that are followed; a connection has no more channels at once.
const MAX_SHELLS: usize = 128;

/// The shells of one recording.
#[derive(Debug, Default)]
pub(super) struct TypedLines {
    shells: HashMap<u64, Option<Typed>>,
}

impl TypedLines {
    pub(super) fn command(&mut self, seq: u64, text: &[u8]) {
        if text == crate::facts::SHELL {
            if self.shells.len() >= MAX_SHELLS {
                self.shells.clear();
            }
            self.shells.insert(seq, None);
        }
    }

    /// The size of a terminal, as it was asked for and as it became.
    pub(super) fn notice(&mut self, detail: &[u8]) {
        let Ok(detail) = serde_json::from_slice::<Value>(detail) else {
            return;
        };
        let shell = detail.get("command").and_then(Value::as_u64);
        let Some(shell) = shell.and_then(|seq| self.shells.get_mut(&seq)) else {
            return;
        };
        if let Some(size) = detail.get("terminal").map(size) {
            *shell = Some(Typed::new(size, sallyport_shell::is_incomplete));
        }
        if let (Some(typed), Some(changed)) = (shell, detail.pointer("/request/resize")) {
            typed.resize(size(changed));
        }
    }

    pub(super) fn shown(&mut self, seq: u64, bytes: &[u8]) {
        if let Some(Some(typed)) = self.shells.get_mut(&seq) {
            typed.shown(bytes);
        }
    }

    pub(super) fn input(&mut self, seq: u64, mut bytes: &[u8]) -> Vec<String> {
        let Some(Some(typed)) = self.shells.get_mut(&seq) else {
            return Vec::new();
        };
        // Whoever types has seen what came before.
        typed.quiet();
        let mut lines = Vec::new();
        while !bytes.is_empty() {
            let count = match typed.keys(bytes) {
                Step::Pass(count) | Step::Swallow(count) => count,
                Step::Submit(count) => {
                    lines.extend(words(typed.judge(Patience::Over)));
                    typed.submitted(bytes.get(..count).unwrap_or_default());
                    count
                }
            };
            bytes = bytes.get(count.max(1)..).unwrap_or_default();
        }
        lines
    }
}

fn size(of: &Value) -> Size {
    let number = |name| of.get(name).and_then(Value::as_u64).unwrap_or_default();
    Size {
        columns: u32::try_from(number("columns")).unwrap_or(u32::MAX),
        rows: u32::try_from(number("rows")).unwrap_or(u32::MAX),
    }
}

/// What is said of a line; nothing of what is none.
fn words(verdict: Verdict) -> Option<String> {
    match verdict {
        Verdict::Wait | Verdict::Empty | Verdict::ShownEmpty | Verdict::FullScreen | Verdict::GoesOn => None,
        Verdict::NoEcho => Some("(what was not shown)".to_owned()),
        Verdict::Unknown => Some("(a line that cannot be told)".to_owned()),
        Verdict::Line(Line { keys, screen }) => match (keys, screen) {
            (Some(keys), Some(screen)) => Some(format!("{keys}\n(or, as the terminal shows it) {screen}")),
            (Some(text), None) | (None, Some(text)) => Some(text),
            (None, None) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::TypedLines;

    #[test]
    fn lines_are_put_together_from_keys_and_screen() {
        let mut lines = TypedLines::default();
        lines.command(1, b"SHELL");
        lines.notice(br#"{"command":1,"terminal":{"term":"xterm","columns":80,"rows":24}}"#);
        lines.shown(1, b"a@h:~$ ");
        assert!(lines.input(1, b"l").is_empty());
        lines.shown(1, b"l");
        assert!(lines.input(1, b"s").is_empty());
        lines.shown(1, b"s");
        assert_eq!(lines.input(1, b"\r"), ["ls"]);
        lines.shown(1, b"\r\nfile\r\na@h:~$ ");
        assert!(lines.input(1, b"\x1b[A").is_empty());
        lines.shown(1, b"ls");
        assert_eq!(lines.input(1, b"\r"), ["ls"]);
        lines.shown(1, b"\r\nPassword: ");
        assert_eq!(lines.input(1, b"s3cret\r"), ["(what was not shown)"]);
        lines.shown(1, b"\r\na@h:~$ ");
        lines.notice(br#"{"command":1,"request":{"resize":{"columns":40,"rows":10}}}"#);
        assert_eq!(lines.input(1, b"pasted\r"), ["pasted"]);
        // Another command's keys are no lines of a shell.
        lines.command(2, b"cat");
        assert!(lines.input(2, b"ls\r").is_empty());
    }
}
