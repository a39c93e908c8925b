//! Drawing an emulated terminal on a real one.

use std::fmt::Write;

use avt::{Cell, Color, Pen};

use super::Screen;
use crate::commands::terminal::is_harmless;

/// Takes the terminal over: the other screen, empty, without a cursor.
const BEGIN: &str = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J";
/// Gives it back as it was.
const END: &str = "\x1b[m\x1b[?25h\x1b[?1049l";

/// A real terminal that a [`Screen`] is drawn on, with a line of our own below it.
///
/// What is written is made of cursor positions, colours and characters that move nothing; no byte of what was printed in
/// the session is among it but as such a character.
#[derive(Default)]
pub(crate) struct Canvas {
    /// What is there now, by row.
    rows: Vec<String>,
    /// Columns and rows of the real terminal when it was drawn last.
    size: Option<(usize, usize)>,
}

impl Canvas {
    /// What draws `screen` and `status` on a terminal of this size (columns and rows): what has changed since the last time.
    pub(crate) fn draw(&mut self, screen: &Screen, status: &str, size: (usize, usize)) -> String {
        let mut out = String::new();
        if self.size != Some(size) {
            out.push_str(if self.size.is_none() { BEGIN } else { "\x1b[m\x1b[2J" });
            self.size = Some(size);
            self.rows.clear();
        }
        let (columns, height) = (size.0, size.1.saturating_sub(1));
        let cursor = screen.terminal.cursor();
        let first = cursor.row.saturating_sub(height.saturating_sub(1));
        let shown = screen.terminal.screen().visible_lines().skip(first).take(height);
        let mut rows: Vec<String> = shown.map(|row| self::row(row.cells(), columns)).collect();
        rows.resize(height, String::new());
        rows.push(self::status(status, columns));
        out.push_str("\x1b[?25l");
        for (at, row) in rows.iter().enumerate() {
            if self.rows.get(at) != Some(row) {
                // Writing to a string does not fail.
                let _ = write!(out, "\x1b[{};1H\x1b[m\x1b[K{row}\x1b[m", at + 1);
            }
        }
        self.rows = rows;
        if let Some((column, row)) = cursor.position()
            && columns > 0
        {
            // Behind the last column it waits to wrap.
            let (row, column) = (row.saturating_sub(first) + 1, column.min(columns - 1) + 1);
            let _ = write!(out, "\x1b[{row};{column}H\x1b[?25h");
        }
        out
    }

    /// What gives the terminal back, if it was taken.
    pub(crate) fn end(&mut self) -> &'static str {
        self.rows.clear();
        if self.size.take().is_some() { END } else { "" }
    }
}

/// The cells of a row, up to a width.
fn row(cells: &[Cell], columns: usize) -> String {
    let used = cells
        .iter()
        .rposition(|cell| cell.char() != ' ' || !cell.pen().is_default());
    let mut out = String::new();
    let mut pen = Pen::default();
    let mut column = 0;
    for cell in cells.iter().take(used.map_or(0, |last| last + 1)) {
        let width = usize::from(cell.width());
        if width == 0 {
            continue;
        }
        if column + width > columns {
            break;
        }
        if *cell.pen() != pen {
            pen = *cell.pen();
            sgr(&pen, &mut out);
        }
        let c = harmless(cell.char());
        out.push(c);
        column += width;
        if !c.is_ascii() && column < columns {
            // The real terminal may take another width for it: go on where the emulator does.
            let _ = write!(out, "\x1b[{}G", column + 1);
        }
    }
    out
}

/// Our own line.
fn status(text: &str, columns: usize) -> String {
    let text: String = text.chars().map(harmless).take(columns.saturating_sub(2)).collect();
    let pad = columns.saturating_sub(text.chars().count() + 1);
    format!("\x1b[7m {text}{:pad$}", "")
}

/// `c`, or a character in its place that moves and hides nothing.
pub(super) fn harmless(c: char) -> char {
    if is_harmless(c) { c } else { '\u{fffd}' }
}

/// The sequence that sets the attributes of `pen` and no others.
fn sgr(pen: &Pen, out: &mut String) {
    out.push_str("\x1b[0");
    let attributes = [
        (pen.is_bold(), 1),
        (pen.is_faint(), 2),
        (pen.is_italic(), 3),
        (pen.is_underline(), 4),
        (pen.is_blink(), 5),
        (pen.is_inverse(), 7),
        (pen.is_strikethrough(), 9),
    ];
    for (_, code) in attributes.into_iter().filter(|(set, _)| *set) {
        let _ = write!(out, ";{code}");
    }
    for (color, ground) in [(pen.foreground(), 38), (pen.background(), 48)] {
        let _ = match color {
            None => Ok(()),
            Some(Color::Indexed(index)) => write!(out, ";{ground};5;{index}"),
            Some(Color::RGB(rgb)) => write!(out, ";{ground};2;{};{};{}", rgb.r, rgb.g, rgb.b),
        };
    }
    out.push('m');
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::string_slice, reason = "tests")]
    use super::super::tests::{notice, said};
    use super::*;

    /// Takes our own sequences out; what is left must be characters that move nothing.
    fn without_ours(mut text: &str) -> String {
        let mut rest = String::new();
        while let Some(at) = text.find('\x1b') {
            rest.push_str(&text[..at]);
            let sequence = &text[at..];
            assert!(
                sequence.starts_with("\x1b["),
                "another sequence than ours: {sequence:?}"
            );
            let parameters = sequence[2..]
                .find(|c: char| !matches!(c, '0'..='9' | ';' | '?'))
                .unwrap()
                + 2;
            let whole = &sequence[..=parameters];
            let last = whole.chars().last().unwrap();
            let private = whole.contains('?');
            let ours = match last {
                'H' | 'G' | 'K' | 'm' => !private,
                'J' => whole == "\x1b[2J",
                'h' | 'l' => matches!(&whole[2..parameters], "?25" | "?1049"),
                _ => false,
            };
            assert!(ours, "another sequence than ours: {whole:?}");
            text = &sequence[parameters + 1..];
        }
        rest.push_str(text);
        rest
    }

    const HOSTILE: &[&str] = &[
        "\x1b]0;owned\x07",
        "\x1b]52;c;ZWNobyBvd25lZA==\x07",
        "\x1b]52;c;?\x1b\\",
        "\x1bP+q544e\x1b\\",
        "\x1bPq#0;2;0;0;0~-\x1b\\",
        "\x1b_Gf=100;AAAA\x1b\\",
        "\x1b[c\x1b[>c\x1b[6n\x1b[5n\x1b[18t\x1b[21t",
        "\x1b[?1000h\x1b[?2004h\x1b[?1049l\x1b[?47h",
        "\x1bc\x1b[!p\x1b#8",
        "\x1b]8;;http://evil\x07link\x1b]8;;\x07",
        "\x1b[5i\x1b[4i\x1b[20t",
        "\u{9b}6n\u{9d}0;owned\u{9c}\u{90}x\u{9c}",
        "\x1b]0;never ended",
        "\x05\x07\x0e\x0f\x08\x7f\0",
        "a\u{202e}b\u{200b}c\u{feff}d",
        "\x1b(0lqqk\x1b(B",
    ];

    #[test]
    fn no_sequence_of_the_session_reaches_the_terminal() {
        for hostile in HOSTILE.iter().copied().chain([HOSTILE.concat().as_str()]) {
            for text in [hostile.to_owned(), format!("before{hostile}after\r\nmore")] {
                let (mut screen, mut canvas) = (Screen::new(None).unwrap(), Canvas::default());
                screen.take(&notice(
                    r#"{"command":1,"terminal":{"term":"xterm","columns":40,"rows":5}}"#,
                ));
                let mut drawn = canvas.draw(&screen, hostile, (40, 6));
                for piece in text.chars() {
                    screen.take(&said(1, piece.encode_utf8(&mut [0; 4])));
                    drawn += &canvas.draw(&screen, hostile, (40, 6));
                }
                drawn += canvas.end();
                let rest = without_ours(&drawn);
                assert!(rest.chars().all(is_harmless), "{text:?}: {rest:?}");
                assert!(!rest.contains(['\n', '\t']), "{rest:?}");
                assert!(!screen.text().contains('\x1b'));
            }
        }
    }

    #[test]
    fn what_is_drawn_looks_like_what_is_emulated() {
        let (mut screen, mut canvas) = (Screen::new(None).unwrap(), Canvas::default());
        screen.take(&notice(
            r#"{"command":1,"terminal":{"term":"xterm","columns":30,"rows":5}}"#,
        ));
        // The other side: a terminal of the same size and a line.
        let mut real = avt::Terminal::new(30, 6).unwrap();
        let pieces = [
            "hello \x1b[1;31mred\x1b[0m plain\r\n",
            "\u{6f22}\u{5b57} wide \x1b[48;2;1;2;3mback\x1b[m\r\n",
            "\x1b[3;5H\x1b[7mhere\x1b[m",
            "\x1b[1;1H\x1b[K\x1b[5;28Hend",
        ];
        for piece in pieces {
            screen.take(&said(1, piece));
            real.feed(canvas.draw(&screen, "status", (30, 6)).as_str());
            for row in 0..5 {
                let expected = screen.terminal.screen().line(row).unwrap().cells();
                let drawn = real.screen().line(row).unwrap().cells();
                assert_eq!(drawn, expected, "row {row} after {piece:?}");
            }
            let cursor = screen.terminal.cursor();
            assert_eq!((real.cursor().col, real.cursor().row), (cursor.col.min(29), cursor.row));
        }
        assert!(real.screen().line(5).unwrap().text().contains("status"));
        assert!(canvas.draw(&screen, "status", (30, 6)).len() < 40, "nothing changed");
    }

    #[test]
    fn a_smaller_terminal_shows_the_part_that_the_cursor_is_in() {
        let (mut screen, mut canvas) = (Screen::new(None).unwrap(), Canvas::default());
        screen.take(&said(1, "\x1b[20;1Hthe prompt, and something longer than ten columns"));
        let mut real = avt::Terminal::new(10, 4).unwrap();
        real.feed(canvas.draw(&screen, "s", (10, 4)).as_str());
        assert_eq!(real.screen().line(2).unwrap().text(), "the prompt");
        for size in [(0, 0), (1, 1), (2, 1)] {
            canvas.draw(&screen, "status", size);
        }
    }
}
