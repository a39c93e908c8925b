//! Where on the rows of a terminal each part of a prompt and its line stands.

use std::ops::Range;

use crate::ink::Ink;

/// The rows of a prompt with its line, and where the cursor stands in them.
///
/// A row that is full is always followed by another, if need be an empty one: there the cursor stands, and so a line
/// that ends with its row looks different from one that goes on in the next.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    ink: Ink,
    rows: Vec<Row>,
    cursor: Place,
}

/// A row, counted from the prompt's first, and a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) row: usize,
    pub(crate) column: usize,
}

/// A glyph with its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drawn<'a> {
    pub(crate) text: &'a str,
    pub(crate) width: usize,
    pub(crate) reverse: bool,
}

/// The glyphs that stand on one row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Row {
    glyphs: Range<usize>,
    width: usize,
}

impl Layout {
    /// `cursor` is a byte of the line; `columns` at least 2.
    pub(crate) fn new(ink: Ink, cursor: usize, columns: usize) -> Self {
        let mut rows = Vec::new();
        let mut row = Row::default();
        let mut stands = None;
        for (nth, glyph) in ink.glyphs.iter().enumerate() {
            // A wide character that does not fit begins the next row.
            if row.width + glyph.width > columns {
                rows.push(std::mem::replace(&mut row, Row::at(nth)));
            }
            if stands.is_none() && glyph.from.is_some_and(|from| from >= cursor) {
                stands = Some(Place {
                    row: rows.len(),
                    column: row.width,
                });
            }
            row.glyphs.end = nth + 1;
            row.width += glyph.width;
            if glyph.breaks || row.width == columns {
                rows.push(std::mem::replace(&mut row, Row::at(nth + 1)));
            }
        }
        let end = Place {
            row: rows.len(),
            column: row.width,
        };
        rows.push(row);
        Self {
            ink,
            rows,
            cursor: stands.unwrap_or(end),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn cursor(&self) -> Place {
        self.cursor
    }

    /// Columns that a row fills.
    pub(crate) fn width(&self, row: usize) -> usize {
        self.rows.get(row).map_or(0, |row| row.width)
    }

    /// Where the last row ends.
    pub(crate) fn end(&self) -> Place {
        let row = self.rows.len().saturating_sub(1);
        Place {
            row,
            column: self.width(row),
        }
    }

    /// Whether the last row is empty, and there only because the one before it is full.
    pub(crate) fn ends_with_full_row(&self, columns: usize) -> bool {
        let end = self.end();
        end.column == 0 && end.row > 0 && self.width(end.row - 1) == columns
    }

    /// What stands on a row, from the left.
    pub(crate) fn drawn(&self, row: usize) -> impl Iterator<Item = Drawn<'_>> {
        let glyphs = self.rows.get(row).map_or(0..0, |row| row.glyphs.clone());
        let mut begin = match glyphs.start.checked_sub(1) {
            Some(before) => self.ink.glyphs.get(before).map_or(0, |glyph| glyph.end),
            None => 0,
        };
        let glyphs = self.ink.glyphs.get(glyphs).unwrap_or_default().iter();
        glyphs.filter(|glyph| !glyph.breaks).map(move |glyph| {
            let text = self.ink.text.get(begin..glyph.end).unwrap_or_default();
            begin = glyph.end;
            Drawn {
                text,
                width: glyph.width,
                reverse: glyph.reverse,
            }
        })
    }
}

impl Row {
    fn at(glyph: usize) -> Self {
        Self {
            glyphs: glyph..glyph,
            width: 0,
        }
    }
}
