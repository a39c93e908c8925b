//! What the terminal shows, as far as a line needs it: no history, and a bound on the work.

use avt::parser::{EdScope, Function, Osc, ShellIntegration};
use avt::{Anchor, Cell, Line, Observation, Observer, Operation, Position, ScreenKind, Terminal};

use crate::Size;
use crate::flood::Flood;

/// Output that waits to be looked at; of more, only the end is.
const MAX_PENDING: usize = 64 * 1024;
/// How much of the end.
const KEPT: usize = 8 * 1024;

/// A screen that is drawn when somebody looks at it.
pub(crate) struct Screen {
    terminal: Terminal,
    size: Size,
    pending: Vec<u8>,
    /// What was not looked at, if there was too much.
    skipped: Option<Flood>,
    marks: Marks,
}

/// A place on the screen that moves with its row: that behind a cell.
#[derive(Debug)]
pub(crate) struct Place(Anchor);

/// What the output says of itself.
#[derive(Debug, Default)]
struct Marks {
    /// Where the shell says that its prompt ends (OSC 133;B), for the first time since the last line.
    input: Option<Place>,
    /// All of the screen was erased.
    erased: bool,
}

impl Observer for &mut Marks {
    type Output = ();

    fn after(&mut self, context: &mut Observation<'_>, operation: &Operation) {
        match operation {
            Operation::Function(Function::Osc(Osc::ShellIntegration(ShellIntegration::CommandStart)))
                if self.input.is_none() =>
            {
                let cursor = context.terminal().cursor_position();
                self.input = behind(cursor).and_then(|place| context.anchor_at(place)).map(Place);
            }
            Operation::Function(Function::Ed(EdScope::All)) => self.erased = true,
            Operation::Function(_) | Operation::Resize { .. } => {}
        }
    }

    fn end(&mut self, _context: &mut Observation<'_>) {}
}

impl Screen {
    pub(crate) fn new(size: Size) -> Self {
        Self {
            terminal: terminal(size),
            size,
            pending: Vec::new(),
            skipped: None,
            marks: Marks::default(),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.pending.len() + bytes.len() <= MAX_PENDING {
            self.pending.extend_from_slice(bytes);
            return;
        }
        let alternate = self.terminal.active_screen_kind() == ScreenKind::Alternate;
        let flood = self.skipped.get_or_insert_with(|| Flood::new(alternate));
        let whole = bytes.len().saturating_sub(KEPT);
        let (gone, kept) = bytes.split_at(whole);
        let old = if gone.is_empty() {
            self.pending.len().saturating_sub(KEPT)
        } else {
            self.pending.len()
        };
        flood.pass(self.pending.get(..old).unwrap_or_default());
        flood.pass(gone);
        self.pending.drain(..old);
        self.pending.extend_from_slice(kept);
    }

    /// Draws what was shown.
    pub(crate) fn catch_up(&mut self) {
        if let Some(flood) = self.skipped.take() {
            self.terminal = terminal(self.size);
            self.marks = Marks::default();
            if flood.alternate {
                self.terminal.feed("\x1b[?1049h");
            }
            // What is kept may begin within a sequence.
            let line = self.pending.iter().position(|byte| *byte == b'\n').unwrap_or_default();
            self.pending.drain(..line);
        }
        let whole = complete(&self.pending);
        let rest = self.pending.split_off(whole);
        let text = String::from_utf8_lossy(&self.pending);
        if !text.is_empty() {
            self.terminal.feed_with(&*text, &mut self.marks);
        }
        self.pending = rest;
    }

    pub(crate) fn resize(&mut self, size: Size) {
        self.catch_up();
        self.size = size;
        let (columns, rows) = bounded(size);
        self.terminal.resize(columns, rows);
    }

    pub(crate) fn is_alternate(&self) -> bool {
        self.terminal.active_screen_kind() == ScreenKind::Alternate
    }

    /// Column and row.
    pub(crate) fn cursor(&self) -> (usize, usize) {
        let cursor = self.terminal.cursor();
        (cursor.col, cursor.row)
    }

    /// The place of the cursor, unless it is at the beginning of a row.
    pub(crate) fn place(&mut self) -> Option<Place> {
        let place = behind(self.terminal.cursor_position())?;
        self.terminal.anchor_at(place).map(Place)
    }

    /// Where the shell said that the prompt ends.
    pub(crate) fn take_mark(&mut self) -> Option<Place> {
        self.marks.input.take()
    }

    /// Whether all was erased since the line began.
    pub(crate) fn is_erased(&self) -> bool {
        self.marks.erased
    }

    /// A line begins.
    pub(crate) fn begin(&mut self) {
        self.marks.erased = false;
    }

    /// The text of the row of the cursor, with the rows that it is wrapped over; and what of it stands before the cursor.
    pub(crate) fn cursor_line(&self) -> (String, usize) {
        let (column, row) = self.cursor();
        let first = self.first_row(row);
        let mut text = String::new();
        let mut before = 0;
        for at in first.. {
            let Some(line) = self.row(at) else { break };
            if at == row {
                before = text.len() + chars(line, 0, column).len();
            }
            text += &chars(line, 0, usize::MAX);
            if !line.is_wrapped() {
                break;
            }
        }
        (text, before)
    }

    /// What is shown from a place to the end; `None` if the place is no longer on the screen.
    pub(crate) fn shown_from(&self, place: &Place) -> Option<String> {
        let at = self.terminal.resolve(&place.0)?;
        let row = usize::try_from(at.row).ok()?;
        (at.screen == self.terminal.active_screen_kind()).then(|| self.text_from(row, at.col + 1))
    }

    /// Whether the cursor stands in the line in which a place is.
    pub(crate) fn is_in_line_of(&self, place: &Place) -> bool {
        let row = self
            .terminal
            .resolve(&place.0)
            .and_then(|at| usize::try_from(at.row).ok());
        row.is_some_and(|row| self.first_row(row) == self.first_row(self.cursor().1))
    }

    /// What is shown from the beginning of the row of the cursor, with those that it is wrapped over, to the end.
    pub(crate) fn cursor_line_on(&self) -> String {
        self.text_from(self.first_row(self.cursor().1), 0)
    }

    /// The lines of the screen, each with what is shown from it to the end.
    pub(crate) fn first_line_that(&self, wanted: impl Fn(&str) -> Option<usize>) -> Option<String> {
        (0..self.row_count()).find_map(|row| {
            let text = self.text_from(row, 0);
            let line = text.split('\n').next().unwrap_or_default();
            let end = wanted(&format!("{line} "))?;
            Some(text.get(end..).unwrap_or_default().to_owned())
        })
    }

    fn text_from(&self, row: usize, column: usize) -> String {
        let mut text = String::new();
        let mut column = column;
        for at in row..self.row_count() {
            let Some(line) = self.row(at) else { break };
            text += &chars(line, column, usize::MAX);
            column = 0;
            if !line.is_wrapped() {
                text.truncate(text.trim_end_matches(' ').len());
                text.push('\n');
            }
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn first_row(&self, row: usize) -> usize {
        let wrapped = |row: usize| self.row(row).is_some_and(Line::is_wrapped);
        (0..row).rev().take_while(|above| wrapped(*above)).last().unwrap_or(row)
    }

    fn row(&self, row: usize) -> Option<&Line> {
        self.terminal.screen().line(row)
    }

    fn row_count(&self) -> usize {
        self.terminal.size().1
    }
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Larger ones cost memory that nobody needs: a line that does not fit is one that is not known.
fn bounded(size: Size) -> (usize, usize) {
    let bounded = |value: u32, standard: usize, most: usize| match usize::try_from(value) {
        Ok(0) => standard,
        Ok(value) => value.min(most),
        Err(_) => most,
    };
    (bounded(size.columns, 80, 512), bounded(size.rows, 24, 128))
}

fn terminal(size: Size) -> Terminal {
    let (columns, rows) = bounded(size);
    match Terminal::new(columns, rows) {
        Ok(terminal) => terminal,
        // Neither is 0.
        Err(_) => unreachable!("a terminal of {columns}x{rows}"),
    }
}

/// The cell before a position. Sequences that erase a line erase what stands behind it, and the place would go with it.
fn behind(cursor: Position) -> Option<Position> {
    let col = cursor.col.checked_sub(1)?;
    Some(Position { col, ..cursor })
}

fn chars(line: &Line, from: usize, to: usize) -> String {
    let cells = line.cells().iter().take(to).skip(from);
    cells.filter(|cell| cell.width() > 0).map(Cell::char).collect()
}

/// How many of these bytes are whole characters: the last may be cut.
fn complete(bytes: &[u8]) -> usize {
    let cut = bytes.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
    let ends_within = std::str::from_utf8(bytes.get(bytes.len().saturating_sub(cut)..).unwrap_or_default())
        .is_err_and(|error| error.error_len().is_none());
    if ends_within { bytes.len() - cut } else { bytes.len() }
}
