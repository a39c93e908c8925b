//! How commands show things: tables for people, tabs for pipes, JSON for programs.

use std::io::{self, IsTerminal, Write, stdout};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

/// Prints rows: a table with its header on a terminal, values with tabs between them in a pipe.
///
/// # Errors
/// When nobody reads it.
pub(crate) fn print_rows<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> io::Result<()> {
    let mut out = stdout().lock();
    if !stdout().is_terminal() {
        for row in rows {
            let cells = row.map(|cell| safe(&cell).replace(['\n', '\t'], " "));
            writeln!(out, "{}", cells.join("\t"))?;
        }
        return Ok(());
    }
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| safe(&cell).replace(['\n', '\t'], " ")));
    }
    writeln!(out, "{}", table.trim_fmt())
}

/// Prints JSON, a document.
///
/// # Errors
/// When nobody reads it.
pub(crate) fn print_json<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<()> {
    Ok(writeln!(stdout().lock(), "{}", serde_json::to_string_pretty(value)?)?)
}

/// `text` without anything that could move the cursor, hide or reorder other text, or pass for the program's own
/// words: what somebody else wrote is shown to people who decide by it. Line ends and tabs stay.
#[must_use]
pub(crate) fn safe(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\n' | '\t') || is_harmless(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown
}

/// Whether a character shows what it is and does nothing else to a terminal.
#[must_use]
pub(crate) fn is_harmless(c: char) -> bool {
    !(c.is_control() || is_invisible(c))
}

/// Characters that hide or reorder others.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// `text` with `prefix` before each of its lines.
#[must_use]
pub(crate) fn indented(text: &str, prefix: &str) -> String {
    let lines: Vec<String> = safe(text).lines().map(|line| format!("{prefix}{line}")).collect();
    lines.join("\n")
}

/// A time of day, UTC.
#[must_use]
pub(crate) fn clock(time: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    // The format has nothing that a time does not have.
    time.to_offset(time::UtcOffset::UTC).format(format).unwrap_or_default()
}

/// A span of time in words, its two largest units.
#[must_use]
pub(crate) fn span(duration: time::Duration) -> String {
    let seconds = duration.whole_seconds().max(0);
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if rest == 0 => format!("{} ms", duration.whole_milliseconds().max(0)),
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (_, _, _) => format!("{days} d {hours} h"),
    }
}

/// How long ago `time` was.
#[must_use]
pub(crate) fn ago(time: OffsetDateTime) -> String {
    format!("{} ago", span(OffsetDateTime::now_utc() - time))
}

/// Whether an identifier can be put into a path as it is.
///
/// # Errors
/// When it cannot be one.
pub(crate) fn checked_id(id: &str) -> anyhow::Result<&str> {
    let good = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    anyhow::ensure!(good, "`{}` cannot be an identifier", safe(id));
    Ok(id)
}

/// The `?…` of a path, from the parameters that have a value.
#[must_use]
pub(crate) fn query(parameters: &[(&str, Option<String>)]) -> String {
    let mut text = String::new();
    for (name, value) in parameters {
        let Some(value) = value else { continue };
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~,".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_draw() {
        assert_eq!(safe("a\tb\nc é 漢"), "a\tb\nc é 漢");
        assert_eq!(
            safe("\u{1b}[2Jx\r\u{202e}\u{200b}\u{9b}"),
            "\\u{1b}[2Jx\\u{d}\\u{202e}\\u{200b}\\u{9b}"
        );
        assert_eq!(indented("a\nb", "  "), "  a\n  b");
    }

    #[test]
    fn spans_are_short() {
        let of = |seconds| span(time::Duration::seconds(seconds));
        assert_eq!(
            [of(-5), of(59), of(60), of(3661), of(90_000)],
            ["0 ms", "59 s", "1 min", "1 h 1 min", "1 d 1 h"]
        );
    }

    #[test]
    fn parameters_cannot_add_others() {
        let text = query(&[
            ("a", None),
            ("b", Some("x&c=d é".to_owned())),
            ("e", Some("1,2".to_owned())),
        ]);
        assert_eq!(text, "?b=x%26c%3Dd%20%C3%A9&e=1,2");
        assert!(checked_id("../x").is_err());
        assert!(checked_id("").is_err());
        assert!(checked_id("req_7k2m9q").is_ok());
    }
}
