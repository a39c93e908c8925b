//! A session of a terminal as an asciicast (version 3), for players and archives.

use sallyport_api::ports::{Line, Session};
use serde_json::json;

use crate::screen::{SIZE, Shown, shown};

/// Turns the lines of a transcript into those of an asciicast.
#[derive(Debug, Default)]
pub(crate) struct Cast {
    /// Only what this command said.
    command: Option<u64>,
    started: i64,
    begun: bool,
    last_micros: u64,
}

impl Cast {
    /// Of the whole session, or of one of its commands.
    pub(crate) fn new(session: &Session, command: Option<u64>) -> Self {
        Self {
            command,
            started: session.started.unix_timestamp(),
            ..Self::default()
        }
    }

    /// What a line of the transcript says to a terminal, as lines with their ends.
    pub(crate) fn lines(&mut self, line: &Line) -> String {
        let at = line.at_micros;
        let lines = shown(line, self.command, |shown| match shown {
            // Another terminal than the first is another size of it.
            Shown::Terminal { size, .. } if self.begun => self.resized(at, size),
            Shown::Terminal { size, term } => self.begin(at, size, term),
            Shown::Resized(size) => self.resized(at, size),
            Shown::Said(text) => self.event(at, "o", text),
        });
        lines.unwrap_or_default()
    }

    fn resized(&mut self, at_micros: u64, (columns, rows): (u64, u64)) -> String {
        self.event(at_micros, "r", &format!("{columns}x{rows}"))
    }

    fn begin(&mut self, at_micros: u64, (columns, rows): (u64, u64), term: &str) -> String {
        (self.begun, self.last_micros) = (true, at_micros);
        let header = json!({
            "version": 3,
            "term": { "cols": columns, "rows": rows, "type": term },
            "timestamp": self.started,
        });
        format!("{header}\n")
    }

    fn event(&mut self, at_micros: u64, kind: &str, data: &str) -> String {
        let header = if self.begun {
            String::new()
        } else {
            self.begin(at_micros, SIZE, "")
        };
        let passed = at_micros.saturating_sub(self.last_micros);
        self.last_micros = at_micros.max(self.last_micros);
        #[expect(clippy::cast_precision_loss, reason = "seconds with six digits")]
        let seconds = passed as f64 / 1e6;
        format!("{header}{}\n", json!([seconds, kind, data]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sallyport_api::ports::What;

    fn line(at_micros: u64, seq: u64, what: What) -> Line {
        Line {
            at_micros,
            seq: Some(seq),
            what,
        }
    }

    #[test]
    fn a_terminal_is_an_asciicast() {
        let mut cast = Cast::default();
        let notice = |text: &str| What::Notice { text: text.to_owned() };
        let said = |name: &str, text: &str| What::Output {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let lines = [
            line(
                5,
                1,
                notice(r#"{"command":1,"terminal":{"term":"xterm","columns":100,"rows":30}}"#),
            ),
            line(1_000_005, 1, said("stdout", "a\u{1b}[1mb\r\n")),
            line(
                1_500_005,
                1,
                notice(r#"{"command":1,"request":{"resize":{"columns":90,"rows":20}}}"#),
            ),
            line(1_500_005, 2, said("stderr", "c")),
            line(1_600_005, 2, said("complete", "not of a terminal")),
        ];
        let shown: String = lines.iter().map(|line| cast.lines(line)).collect();
        let expected = "{\"version\":3,\"term\":{\"cols\":100,\"rows\":30,\"type\":\"xterm\"},\"timestamp\":0}\n\
            [1.0,\"o\",\"a\\u001b[1mb\\r\\n\"]\n[0.5,\"r\",\"90x20\"]\n[0.0,\"o\",\"c\"]\n";
        assert_eq!(shown, expected);
        let mut one = Cast {
            command: Some(2),
            ..Cast::default()
        };
        let shown: String = lines.iter().map(|line| one.lines(line)).collect();
        assert!(
            shown.ends_with("[0.0,\"o\",\"c\"]\n") && shown.lines().count() == 2,
            "{shown}"
        );
    }
}
