//! What the terminal shows of a prompt and its line, and the bytes that change it into what it shall show.

use crate::layout::{Drawn, Layout, Place};

/// A terminal's size in characters. What is zero is not known, and taken for the usual 80 × 24.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Characters in a row.
    pub columns: u32,
    /// Rows.
    pub rows: u32,
}

/// Larger terminals are taken for this wide and high.
const MAX_SIDE: u32 = 1 << 15;

/// The part of a terminal that shows the prompt and its line: the rows from `top` up to `bottom` of the layout. What
/// lies below is blank, and what does not fit has moved up and out of the screen.
#[derive(Debug)]
pub(crate) struct Screen {
    pub(crate) columns: usize,
    height: usize,
    shown: Layout,
    top: usize,
    bottom: usize,
    at: Place,
    /// The row at which the cursor is was filled to its end: the terminal wraps only with the next character.
    full: bool,
    /// What moved out of the screen is not what stands there now.
    stale: bool,
}

impl Screen {
    pub(crate) fn new(size: Size) -> Self {
        let mut screen = Self {
            columns: 80,
            height: 24,
            shown: Layout::default(),
            top: 0,
            bottom: 0,
            at: Place::default(),
            full: false,
            stale: false,
        };
        screen.set_size(size);
        screen
    }

    pub(crate) fn set_size(&mut self, size: Size) {
        let side = |given: u32, usual: u32, least: u32| {
            let side = if given == 0 { usual } else { given };
            usize::try_from(side.clamp(least, MAX_SIDE)).unwrap_or(2)
        };
        self.columns = side(size.columns, 80, 2);
        self.height = side(size.rows, 24, 1);
    }

    /// Forgets what was shown: the cursor stands in the first column of a row, and nothing that matters below.
    pub(crate) fn begin(&mut self) {
        self.shown = Layout::default();
        (self.top, self.bottom) = (0, 0);
        self.at = Place::default();
        self.full = false;
        self.stale = false;
    }

    /// Removes all that is shown, so that something else can be written in its place.
    pub(crate) fn erase(&mut self, out: &mut Vec<u8>) {
        self.move_to(
            Place {
                row: self.top,
                column: 0,
            },
            out,
        );
        out.extend_from_slice(b"\x1b[J");
        self.begin();
    }

    /// The terminal has another size, and with it another place for the cursor: terminals move what wrapped.
    pub(crate) fn resized(&mut self, layout: Layout, out: &mut Vec<u8>) {
        let up = layout.cursor().row.min(self.height.saturating_sub(1));
        out.push(b'\r');
        motion(out, up, b'A');
        out.extend_from_slice(b"\x1b[J");
        self.begin();
        self.show(layout, out);
    }

    /// Shows a layout: writes what differs, and leaves the cursor where it belongs.
    pub(crate) fn show(&mut self, next: Layout, out: &mut Vec<u8>) {
        let (rows, cursor) = (next.rows(), next.cursor());
        let mut top = self.top.min(rows.saturating_sub(self.height));
        if self.bottom > 0 {
            top = top.min(cursor.row).max((cursor.row + 1).saturating_sub(self.height));
        } else {
            top = (cursor.row + 1).saturating_sub(self.height);
        }
        self.stale |= (0..self.top).any(|row| !same(&self.shown, &next, row));
        if top < self.top {
            self.stale = true;
            self.move_to(
                Place {
                    row: self.top,
                    column: 0,
                },
                out,
            );
            out.extend_from_slice(b"\x1b[J");
            (self.top, self.bottom) = (top, top);
            self.at = Place { row: top, column: 0 };
        }
        self.paint(next, rows.min(top + self.height), out);
        self.move_to(cursor, out);
    }

    /// The line is done: what was shown of it in pieces is shown whole, and the cursor goes below it.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        let layout = std::mem::take(&mut self.shown);
        let rows = layout.rows();
        if self.stale || self.bottom < rows {
            self.move_to(
                Place {
                    row: self.top,
                    column: 0,
                },
                out,
            );
            out.extend_from_slice(b"\x1b[J");
            self.begin();
            self.paint(layout, rows, out);
        } else {
            self.shown = layout;
        }
        self.move_to(self.shown.end(), out);
        out.extend_from_slice(if self.shown.ends_with_full_row(self.columns) {
            b"\r"
        } else {
            b"\r\n"
        });
        self.begin();
    }

    /// The cursor goes behind the last character, for something that belongs to the line no more.
    pub(crate) fn go_to_end(&mut self, out: &mut Vec<u8>) {
        let row = self.bottom.saturating_sub(1);
        let column = self.shown.width(row);
        self.move_to(Place { row, column }, out);
    }

    /// Writes the rows up to `last` so far as they differ from what is shown.
    fn paint(&mut self, next: Layout, last: usize, out: &mut Vec<u8>) {
        let shown = std::mem::take(&mut self.shown);
        for row in self.top..last {
            if row < self.bottom {
                self.repaint_row(&shown, &next, row, out);
            } else {
                self.paint_row(&next, row, out);
            }
        }
        if self.bottom > last {
            self.move_to(Place { row: last, column: 0 }, out);
            out.extend_from_slice(b"\x1b[J");
            self.bottom = last;
        }
        self.shown = next;
    }

    fn repaint_row(&mut self, shown: &Layout, next: &Layout, row: usize, out: &mut Vec<u8>) {
        let alike = shown
            .drawn(row)
            .zip(next.drawn(row))
            .take_while(|(old, new)| old == new);
        let (count, column) = alike.fold((0, 0), |(count, column), (old, _)| (count + 1, column + old.width));
        let (old, new) = (shown.width(row), next.width(row));
        if column == old && column == new {
            return;
        }
        let place = Place { row, column };
        if !(self.wraps_into(place) && new > column) {
            self.move_to(place, out);
        }
        self.write(next.drawn(row).skip(count), place, out);
        if new < old {
            out.extend_from_slice(b"\x1b[K");
        }
    }

    /// A row below all that are shown.
    fn paint_row(&mut self, next: &Layout, row: usize, out: &mut Vec<u8>) {
        let place = Place { row, column: 0 };
        if row > self.top {
            let above = Place {
                row: row - 1,
                column: self.at.column,
            };
            if self.wraps_into(place) {
                // Some character has to make the terminal wrap. It is not one in reverse: a new row takes the
                // attributes that are set when it comes up.
                match next.drawn(row).next() {
                    Some(glyph) if !glyph.reverse => {}
                    Some(_) => self.wrap(place, b" \r", out),
                    None => self.wrap(place, b" \r\x1b[K", out),
                }
            } else {
                if self.at.row != above.row {
                    self.move_to(above, out);
                }
                out.extend_from_slice(b"\r\n");
                (self.at, self.full) = (place, false);
            }
        }
        self.bottom = row + 1;
        self.top = self.top.max(self.bottom.saturating_sub(self.height));
        self.write(next.drawn(row), place, out);
    }

    fn wrap(&mut self, place: Place, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(bytes);
        (self.at, self.full) = (place, false);
    }

    /// Whether the next character goes to this place by itself.
    fn wraps_into(&self, place: Place) -> bool {
        self.full && place.column == 0 && place.row == self.at.row + 1
    }

    fn write<'a>(&mut self, glyphs: impl Iterator<Item = Drawn<'a>>, from: Place, out: &mut Vec<u8>) {
        let mut glyphs = glyphs.peekable();
        if glyphs.peek().is_some() && self.wraps_into(from) {
            (self.at, self.full) = (from, false);
        }
        let mut reverse = false;
        for glyph in glyphs {
            if glyph.reverse != reverse {
                reverse = glyph.reverse;
                out.extend_from_slice(if reverse { b"\x1b[7m" } else { b"\x1b[27m" });
            }
            out.extend_from_slice(glyph.text.as_bytes());
            self.at.column += glyph.width;
            self.full = self.at.column >= self.columns;
        }
        if reverse {
            out.extend_from_slice(b"\x1b[27m");
        }
    }

    fn move_to(&mut self, place: Place, out: &mut Vec<u8>) {
        if self.full {
            out.push(b'\r');
            self.at.column = 0;
            self.full = false;
        }
        motion(out, self.at.row.saturating_sub(place.row), b'A');
        motion(out, place.row.saturating_sub(self.at.row), b'B');
        match (place.column, self.at.column) {
            (to, from) if to == from => {}
            (0, _) => out.push(b'\r'),
            (to, from) if to < from && from - to <= 4 => out.extend(std::iter::repeat_n(b'\x08', from - to)),
            (to, from) => {
                motion(out, from.saturating_sub(to), b'D');
                motion(out, to.saturating_sub(from), b'C');
            }
        }
        self.at = place;
    }
}

fn motion(out: &mut Vec<u8>, count: usize, letter: u8) {
    match count {
        0 => {}
        1 => out.extend_from_slice(&[0x1b, b'[', letter]),
        _ => {
            out.extend_from_slice(b"\x1b[");
            out.extend_from_slice(count.to_string().as_bytes());
            out.push(letter);
        }
    }
}

fn same(one: &Layout, other: &Layout, row: usize) -> bool {
    one.drawn(row).eq(other.drawn(row))
}
