//! What a terminal of a session showed, by emulation. Nothing that the session's programs printed reaches the terminal
//! that it is drawn on: only characters of the emulator's cells do, with control sequences of our own (`draw`).

mod draw;

use sallyport_api::ports::{Line, What};
use serde_json::Value;

pub(crate) use draw::Canvas;

/// What is taken for the size of a terminal that did not say it.
pub(crate) const SIZE: (u64, u64) = (80, 24);
/// The largest terminal that is emulated: whoever is watched chooses the size, and cells take memory.
const MAX_SIZE: (u64, u64) = (1000, 500);

/// What one line of a transcript says about terminals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    /// A terminal begins.
    Terminal {
        /// Columns and rows.
        size: (u64, u64),
        /// What it is, as the client says.
        term: &'a str,
    },
    /// It has another size.
    Resized((u64, u64)),
    /// Something is printed.
    Said(&'a str),
}

/// Tells what a line says about terminals: those of the whole session, or that of one command.
pub(crate) fn shown<T>(line: &Line, command: Option<u64>, tell: impl FnOnce(Shown<'_>) -> T) -> Option<T> {
    let wants = |seq: Option<u64>| command.is_none() || command == seq;
    match &line.what {
        What::Output { name, text } if wants(line.seq) && matches!(name.as_str(), "stdout" | "stderr") => {
            Some(tell(Shown::Said(text)))
        }
        What::Notice { text } => {
            let notice: Value = serde_json::from_str(text).unwrap_or_default();
            if !wants(notice.get("command").and_then(Value::as_u64)) {
                return None;
            }
            if let Some(terminal) = notice.get("terminal") {
                let size = size(terminal).unwrap_or(SIZE);
                let term = terminal.get("term").and_then(Value::as_str).unwrap_or_default();
                return Some(tell(Shown::Terminal { size, term }));
            }
            let size = notice.pointer("/request/resize").and_then(size)?;
            Some(tell(Shown::Resized(size)))
        }
        What::Opened { .. }
        | What::Command { .. }
        | What::Decision { .. }
        | What::Hold { .. }
        | What::Review { .. }
        | What::Input { .. }
        | What::Typed { .. }
        | What::Columns { .. }
        | What::Row { .. }
        | What::Output { .. }
        | What::Ended { .. }
        | What::Closed { .. }
        | What::End { .. } => None,
    }
}

fn size(value: &Value) -> Option<(u64, u64)> {
    let columns = value.get("columns")?.as_u64()?;
    let rows = value.get("rows")?.as_u64()?;
    (columns > 0 && rows > 0).then_some((columns, rows))
}

/// An emulated terminal.
pub(crate) struct Screen {
    terminal: avt::Terminal,
    command: Option<u64>,
    begun: bool,
}

impl Screen {
    /// Of the whole session, or of one of its commands.
    ///
    /// # Errors
    /// Never: the size that it begins with is one.
    pub(crate) fn new(command: Option<u64>) -> anyhow::Result<Self> {
        let (columns, rows) = bounded(SIZE);
        Ok(Self {
            terminal: avt::Terminal::new(columns, rows)?,
            command,
            begun: false,
        })
    }

    /// Takes a line of the transcript. True when something may look different.
    pub(crate) fn take(&mut self, line: &Line) -> bool {
        let (terminal, begun) = (&mut self.terminal, &mut self.begun);
        let taken = shown(line, self.command, |shown| match shown {
            Shown::Terminal { size, .. } | Shown::Resized(size) => {
                let (columns, rows) = bounded(size);
                terminal.resize(columns, rows);
                *begun |= matches!(shown, Shown::Terminal { .. });
            }
            Shown::Said(text) => terminal.feed(text),
        });
        taken.is_some()
    }

    /// Whether there was a terminal at all.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// What it shows, as text: no control characters, no spaces at the ends of lines, no empty lines at the end.
    pub(crate) fn text(&self) -> String {
        let rows = self.terminal.screen().visible_lines().map(|row| {
            let drawn = row.cells().iter().filter(|cell| cell.width() > 0);
            let text: String = drawn.map(|cell| draw::harmless(cell.char())).collect();
            text.trim_end().to_owned()
        });
        let rows: Vec<String> = rows.collect();
        let text = rows.join("\n");
        let text = text.trim_end();
        if text.is_empty() {
            String::new()
        } else {
            format!("{text}\n")
        }
    }
}

fn bounded((columns, rows): (u64, u64)) -> (usize, usize) {
    let cells = |count: u64, most: u64| usize::try_from(count.min(most)).unwrap_or(1);
    (cells(columns, MAX_SIZE.0), cells(rows, MAX_SIZE.1))
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    pub(crate) fn notice(text: &str) -> Line {
        Line {
            at_micros: 0,
            seq: None,
            what: What::Notice { text: text.to_owned() },
        }
    }

    pub(crate) fn said(seq: u64, text: &str) -> Line {
        Line {
            at_micros: 0,
            seq: Some(seq),
            what: What::Output {
                name: "stdout".to_owned(),
                text: text.to_owned(),
            },
        }
    }

    #[test]
    fn a_screen_is_what_the_terminal_shows_and_not_what_was_printed() {
        let mut screen = Screen::new(None).unwrap();
        assert!(screen.take(&notice(
            r#"{"command":1,"terminal":{"term":"xterm","columns":20,"rows":4}}"#
        )));
        assert!(screen.has_begun());
        screen.take(&said(
            1,
            "password: secret\r\x1b[Kone\r\ntwo \x1b[31mred\x1b[m\x1b]0;title\x07",
        ));
        screen.take(&said(1, "\x1b[4;10Hlast"));
        assert_eq!(screen.text(), "one\ntwo red\n\n         last\n");
    }

    #[test]
    fn only_the_chosen_command_is_shown() {
        let mut screen = Screen::new(Some(2)).unwrap();
        assert!(!screen.take(&said(1, "other")));
        assert!(screen.take(&said(2, "this")));
        assert_eq!(screen.text(), "this\n");
    }

    #[test]
    fn nobody_makes_a_terminal_so_large_that_it_takes_all_memory() {
        let mut screen = Screen::new(None).unwrap();
        screen.take(&notice(
            r#"{"command":1,"terminal":{"term":"x","columns":4294967295,"rows":4294967295}}"#,
        ));
        screen.take(&notice(
            r#"{"command":1,"request":{"resize":{"columns":18446744073709551615,"rows":1}}}"#,
        ));
        assert_eq!(screen.terminal.size(), (1000, 1));
    }
}
