//! What is submitted is what is shown: random keys, cut anywhere, on a terminal emulator.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use unicode_width::UnicodeWidthChar as _;

use super::*;
use crate::ink::attaches;

/// What a cell of the screen shows, and whether in reverse.
type Cell = (char, bool);

/// The rows that a prompt and a line fill, and where the cursor stands; written as plainly as can be.
struct Expected {
    rows: Vec<Vec<Cell>>,
    cursor: (usize, usize),
}

fn expected(prompt: &str, line: &str, cursor: usize, columns: usize) -> Expected {
    let mut rows = vec![Vec::new()];
    let mut place = None;
    let texts = prompt
        .chars()
        .map(|c| (c, None))
        .chain(line.char_indices().map(|(at, c)| (c, Some(at))));
    let mut bears = None;
    for (c, at) in texts {
        if at == Some(0) {
            bears = None;
        }
        let mut cells: Vec<(char, usize, bool)> = Vec::new();
        if c == '\n' && at.is_some() {
            if at.is_some_and(|at| at >= cursor) && place.is_none() {
                place = Some((rows.len() - 1, rows.last().unwrap().len()));
            }
            rows.push(vec![('>', false), (' ', false)]);
            if columns == 2 {
                rows.push(Vec::new());
            }
            bears = None;
            continue;
        } else if c.is_control() && c.is_ascii() {
            let letter = if c == '\u{7f}' { '?' } else { char::from(c as u8 + 64) };
            cells.extend([('^', 1, true), (letter, 1, true)]);
            bears = None;
        } else if attaches(c) && bears.is_some_and(|marks| marks < 8) {
            bears = bears.map(|marks| marks + 1);
            continue;
        } else if attaches(c)
            || (!c.is_ascii()
                && Layout::new(Ink::label(&c.to_string(), true), 0, 80)
                    .drawn(0)
                    .next()
                    .unwrap()
                    .reverse)
        {
            cells.extend(format!("<U+{:04X}>", u32::from(c)).chars().map(|c| (c, 1, true)));
            bears = None;
        } else {
            cells.push((c, c.width().unwrap(), false));
            bears = Some(0);
        }
        for (c, width, reverse) in cells {
            if rows.last().unwrap().len() + width > columns {
                rows.push(Vec::new());
            }
            let row = rows.len() - 1;
            if at.is_some_and(|at| at >= cursor) && place.is_none() {
                place = Some((row, rows[row].len()));
            }
            rows[row].push((c, reverse));
            if width == 2 {
                rows[row].push(('\0', reverse));
            }
            if rows[row].len() == columns {
                rows.push(Vec::new());
            }
        }
    }
    let end = (rows.len() - 1, rows.last().unwrap().len());
    Expected {
        rows,
        cursor: place.unwrap_or(end),
    }
}

/// A terminal that shows what an editor says.
struct Seen {
    terminal: avt::Terminal,
    size: Size,
}

impl Seen {
    fn new(size: Size) -> Self {
        let terminal = avt::Terminal::with_scrollback(size.columns as usize, size.rows as usize, None).unwrap();
        Self { terminal, size }
    }

    /// The emulator draws marks into cells of their own, as no terminal does.
    fn take(&mut self, out: &mut Vec<u8>) {
        let text = String::from_utf8(std::mem::take(out)).unwrap();
        let text: String = text.chars().filter(|c| !attaches(*c)).collect();
        self.terminal.feed(text.as_str());
    }

    fn rows(&self) -> Vec<Vec<Cell>> {
        let row = |line: &avt::Line| {
            let mut cells = Vec::new();
            for cell in line.cells() {
                let shown = if cell.width() == 0 { '\0' } else { cell.char() };
                cells.push((shown, cell.pen().is_inverse()));
            }
            while cells.last() == Some(&(' ', false)) {
                cells.pop();
            }
            cells
        };
        self.terminal.screen().all_lines().map(row).collect()
    }

    /// The cursor's row among all rows, and its column.
    fn cursor(&self) -> (usize, usize) {
        let above = self.terminal.screen().all_lines().count() - self.size.rows as usize;
        let position = self.terminal.cursor_position();
        (above + usize::try_from(position.row).unwrap(), position.col)
    }

    /// Whether the prompt with the line stands at the cursor, and nothing below it.
    fn shows(&self, expected: &Expected) {
        let (rows, cursor) = (self.rows(), self.cursor());
        let top = rows.len() - self.size.rows as usize;
        assert_eq!(cursor.1, expected.cursor.1, "the cursor's column");
        let mut shown = 0;
        for (nth, row) in expected.rows.iter().enumerate() {
            let Some(at) = (cursor.0 + nth).checked_sub(expected.cursor.0) else {
                continue;
            };
            if (top..rows.len()).contains(&at) {
                assert_eq!(text(&rows[at]), text(row), "row {nth} of {}", expected.rows.len());
                shown += 1;
            }
        }
        assert_eq!(shown, expected.rows.len().min(self.size.rows as usize), "rows shown");
        let end = (cursor.0 + expected.rows.len()).saturating_sub(expected.cursor.0);
        assert!(rows.iter().skip(end).all(Vec::is_empty), "something stands below");
    }

    /// Whether the whole line stands above the cursor.
    fn showed(&self, expected: &Expected, columns: usize) {
        let (rows, cursor) = (self.rows(), self.cursor());
        assert_eq!(cursor.1, 0);
        let mut wanted = expected.rows.clone();
        let full = wanted.len() > 1 && wanted[wanted.len() - 2].len() == columns;
        if wanted.last().unwrap().is_empty() && full {
            wanted.pop();
        }
        let begin = cursor.0 - wanted.len();
        for (nth, row) in wanted.iter().enumerate() {
            assert_eq!(text(&rows[begin + nth]), text(row), "row {nth} of what was submitted");
        }
    }
}

/// Trailing blanks cannot be seen.
fn text(row: &[Cell]) -> String {
    let mut shown = String::new();
    for (c, reverse) in row {
        if *reverse {
            shown.push('\\');
        }
        shown.push(*c);
    }
    shown.trim_end_matches(' ').to_owned()
}

#[derive(Debug, Clone)]
enum Act {
    Bytes(Vec<u8>),
    Resize(u32, u32),
    Say(String),
}

fn incomplete(line: &str) -> bool {
    line.ends_with('\\') || line.matches('\'').count() % 2 == 1
}

const SEQUENCES: &[&[u8]] = &[
    b"\x1b[A",
    b"\x1b[B",
    b"\x1b[C",
    b"\x1b[D",
    b"\x1bOA",
    b"\x1bOD",
    b"\x1b[H",
    b"\x1b[F",
    b"\x1b[1~",
    b"\x1b[4~",
    b"\x1b[3~",
    b"\x1b[1;5D",
    b"\x1b[1;5C",
    b"\x1b[3;5~",
    b"\x1b\x1b[D",
    b"\x1b[200~two\nlines\x1b[201~",
    b"\x1b[200~a\tb\x1b\x07c\r\nd\x1b[201~",
    b"\x1b[<0;3;4M",
    b"\x1b[M !!",
    b"\x1b[12;40R",
    b"\x1b]11;rgb:0/0/0\x07",
    b"\x1bP1$r0m\x1b\\",
    b"\x1b[[A",
    b"\xc2\x9bA",
    b"\x9bD",
    b"\x1b[999999999999999999999999999999999999999999999;1u",
    b"\x1b3",
    b"\x1b-",
    b"\x12l",
    b"\x13e",
    b"\x07",
    b"\x16\x01",
    b"\x16\x0a",
    b"\x16\t",
    b"\xff",
    b"\xc3",
    b"\xe6\xbc",
    b"\x18\x15",
    b"\x1b?",
    b"\t\t",
    b"\x0c",
    b"\\\r",
    b"'",
    b"\x1b#",
];

fn act() -> impl Strategy<Value = Act> {
    let bytes = |bytes: &[u8]| Act::Bytes(bytes.to_vec());
    prop_oneof![
        6 => "[a-z '/é漢😀]{1,12}".prop_map(move |text| bytes(text.as_bytes())),
        2 => "[e\u{301}\u{200b}\u{202e}\u{a0}\u{85}漢]{1,6}".prop_map(move |text| bytes(text.as_bytes())),
        2 => "[a-z]{30,90}".prop_map(move |text| bytes(text.as_bytes())),
        6 => (0_u8..0x20).prop_map(|byte| Act::Bytes(vec![byte])),
        2 => Just(Act::Bytes(vec![0x7f])),
        4 => (0x20_u8..0x80).prop_map(|byte| Act::Bytes(vec![0x1b, byte])),
        8 => proptest::sample::select(SEQUENCES).prop_map(move |sequence| bytes(sequence)),
        1 => "\u{1b}\\[[0-9;<=>?]{0,6}[ -/]{0,2}[@-~]".prop_map(move |text| bytes(text.as_bytes())),
        1 => proptest::collection::vec(any::<u8>(), 1..6).prop_map(Act::Bytes),
        1 => (2_u32..100, 2_u32..12).prop_map(|(columns, rows)| Act::Resize(columns, rows)),
        1 => "[a-z\u{7}漢]{1,9}".prop_map(Act::Say),
    ]
}

/// An editor before a terminal, and what is checked after everything that is done.
struct Desk {
    editor: Editor,
    seen: Seen,
    out: Vec<u8>,
    candidates: usize,
}

const PROMPT: &str = "me@host:~$ ";

impl Desk {
    fn new(size: Size) -> Self {
        let mut editor = Editor::new(size, true, incomplete);
        for line in [
            "ls -l /tmp",
            "echo 'two\nlines'",
            "漢字 é",
            "a\tb\u{1}c",
            &"long ".repeat(60),
            "echo \u{202e}x",
        ] {
            editor.add_history(line);
        }
        let mut desk = Self {
            editor,
            seen: Seen::new(size),
            out: Vec::new(),
            candidates: 0,
        };
        desk.begin();
        desk
    }

    fn begin(&mut self) {
        self.editor.begin(PROMPT, &mut self.out);
        self.check();
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (taken, event) = self.editor.keys(rest, &mut self.out);
            rest = &rest[taken..];
            self.seen.take(&mut self.out);
            match event {
                None => self.check(),
                Some(Event::Complete { line, cursor }) => self.complete(&line, cursor),
                Some(Event::Line(line)) => {
                    let last = last_row_of(&line);
                    let prompt = if last.len() == line.len() { PROMPT } else { CONTINUED };
                    // Newlines that were pasted are rows of one line; those of `incomplete` begin a line of their own.
                    let whole = [(PROMPT, line.as_str()), (prompt, last)];
                    let showed = whole.iter().any(|(prompt, line)| {
                        let columns = self.seen.size.columns as usize;
                        let expected = expected(prompt, line, line.len(), columns);
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.seen.showed(&expected, columns)))
                            .is_ok()
                    });
                    assert!(showed, "{line:?} is not what is shown: {:#?}", self.seen.rows());
                    self.editor.add_history(&line);
                    self.begin();
                }
                Some(Event::Interrupt | Event::EndOfInput | Event::Unfinished) => self.begin(),
            }
        }
    }

    fn complete(&mut self, line: &str, cursor: usize) {
        let before = &line[..cursor];
        let from = before.rfind([' ', '\n']).map_or(0, |at| at + 1);
        self.candidates = (self.candidates + 7) % 120;
        let candidates = (0..self.candidates / 5).map(|nth| Candidate {
            text: format!("{}pre{nth}", &before[from..]),
            label: format!("pre漢{nth}\u{1b}"),
            suffix: Some(' '),
        });
        let candidates = candidates.collect();
        self.editor.complete(Completions { from, candidates }, &mut self.out);
        self.check();
    }

    fn check(&mut self) {
        self.seen.take(&mut self.out);
        let editor = &self.editor;
        let (line, cursor) = match &editor.mode {
            Mode::Search(search) => editor.found(search),
            Mode::Confirm(_) => return,
            _ => (editor.buffer.text(), editor.buffer.cursor()),
        };
        let columns = self.seen.size.columns as usize;
        self.seen
            .shows(&expected(&editor.shown_prompt(), line, cursor, columns));
    }
}

fn last_row_of(line: &str) -> &str {
    let mut begin = 0;
    for (at, _) in line.match_indices('\n') {
        if incomplete(&line[..at]) {
            begin = at + 1;
        }
    }
    &line[begin..]
}

fn play(acts: &[Act], size: Size, piece: usize) {
    let mut desk = Desk::new(size);
    for act in acts {
        match act {
            Act::Bytes(bytes) => bytes.chunks(piece).for_each(|piece| desk.bytes(piece)),
            Act::Say(text) => {
                desk.editor.say(text, &mut desk.out);
                desk.check();
            }
            Act::Resize(columns, rows) => {
                let size = Size {
                    columns: *columns,
                    rows: *rows,
                };
                desk.seen.terminal.resize(*columns as usize, *rows as usize);
                desk.seen.size = size;
                desk.editor.resize(size, &mut desk.out);
                desk.check();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(400)))]

    #[test]
    fn what_is_submitted_is_what_is_shown(
        acts in proptest::collection::vec(act(), 1..40),
        columns in prop_oneof![Just(80_u32), 2_u32..40],
        rows in 1_u32..10,
        piece in prop_oneof![Just(1_usize), 1_usize..9, Just(4096)],
    ) {
        play(&acts, Size { columns, rows }, piece);
    }
}
