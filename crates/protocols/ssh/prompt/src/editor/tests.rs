//! What is submitted is what is shown: random keys, cut anywhere, on a terminal emulator.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

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
        8 => proptest::sample::select(SEQUENCES).prop_map(bytes),
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
            Mode::Plain | Mode::Prefix | Mode::Find { .. } => (editor.buffer.text(), editor.buffer.cursor()),
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

/// Submits keys that were typed on a fresh line.
fn line(editor: &mut Editor, keys: &[u8]) -> String {
    let mut out = Vec::new();
    editor.begin("$ ", &mut out);
    match editor.keys(keys, &mut out) {
        (taken, Some(Event::Line(line))) if taken == keys.len() => line,
        other => panic!("{other:?}"),
    }
}

fn editor() -> Editor {
    Editor::new(Size { columns: 80, rows: 24 }, true, |_| false)
}

proptest! {
    #[test]
    fn no_line_holds_a_control_character_that_was_not_quoted(
        acts in proptest::collection::vec(act(), 1..30),
        piece in prop_oneof![Just(1_usize), Just(4096)],
    ) {
        let mut editor = Editor::new(Size { columns: 80, rows: 24 }, true, incomplete);
        let mut out = Vec::new();
        editor.begin("$ ", &mut out);
        for act in acts {
            let Act::Bytes(bytes) = act else { continue };
            // Ctrl-V, Ctrl-Q.
            let bytes: Vec<u8> = bytes.into_iter().filter(|byte| !matches!(byte, 0x16 | 0x11)).collect();
            for mut rest in bytes.chunks(piece) {
                while !rest.is_empty() {
                    let (taken, event) = editor.keys(rest, &mut out);
                    rest = &rest[taken..];
                    let line = match event {
                        Some(Event::Line(line)) => line,
                        _ => editor.line(),
                    };
                    // Those that pastes may hold.
                    prop_assert!(!line.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{:?}", line);
                    if !editor.is_active() {
                        editor.begin("$ ", &mut out);
                    }
                }
            }
        }
    }
}

#[test]
fn a_terminal_that_was_left_in_any_state_shows_the_line() {
    for left in [
        "\x1b[4h",
        "\x1b[?7l",
        "\x1b[7m",
        "\x0e\x1b)0",
        "\x1b(0",
        "\x1b[?25l",
        "text\r\nbelow\x1b[A\r",
    ] {
        let mut desk = Desk::new(Size { columns: 20, rows: 5 });
        desk.editor.keys(b"\x03", &mut desk.out);
        desk.seen.take(&mut desk.out);
        desk.seen.terminal.feed(left);
        desk.begin();
        desk.bytes("wörd wörd 'wörd' wörd\x01X".as_bytes());
        assert!(desk.seen.terminal.cursor().visible, "{left:?}");
    }
}

#[test]
fn a_fresh_line_keeps_what_stands_there() {
    let mut seen = Seen::new(Size { columns: 10, rows: 4 });
    let editor = Editor::new(seen.size, true, |_| false);
    let mut out = Vec::new();
    editor.fresh_line(&mut out);
    seen.take(&mut out);
    assert_eq!(seen.cursor(), (0, 0));
    seen.terminal.feed("half");
    editor.fresh_line(&mut out);
    seen.take(&mut out);
    assert_eq!(seen.cursor(), (1, 0));
    assert_eq!(text(&seen.rows()[0]), "half\\%");
    assert!(seen.rows()[1].is_empty());
}

#[test]
fn nothing_makes_a_line_longer_than_its_bound() {
    let mut editor = editor();
    let full = "x".repeat(MAX_LINE);
    let pasted = |length: usize| [b"\x1b[200~", vec![b'p'; length].as_slice(), b"\x1b[201~"].concat();
    assert_eq!(line(&mut editor, &[full.as_bytes(), b"yz\r"].concat()), full);
    assert_eq!(
        line(&mut editor, &[b"a", pasted(MAX_LINE).as_slice(), b"\r"].concat()),
        "a"
    );
    assert_eq!(line(&mut editor, b"a\x1b9\x1b9\x1b9\x1b9\x1b9\x1b9xy\r"), "ay");
    let yanks = [pasted(MAX_LINE / 2 + 1).as_slice(), b"\x15\x19\x19\r"].concat();
    assert_eq!(line(&mut editor, &yanks).len(), MAX_LINE / 2 + 1);
    // What is kept is bounded too.
    for nth in 0..MAX_ROWS {
        editor.add_history(&format!("{nth} {}", "h".repeat(5000)));
    }
    assert!(editor.history().map(str::len).sum::<usize>() <= 8 * MAX_LINE);
    (0..2000).for_each(|nth| editor.add_history(&nth.to_string()));
    assert_eq!(editor.history().len(), 1000);
    let kills: Vec<u8> = (0..100).flat_map(|nth| format!("{nth}\x15\x05").into_bytes()).collect();
    line(&mut editor, &[kills.as_slice(), b"\r"].concat());
    let turned = [b"\x19".as_slice(), b"\x1by".repeat(32).as_slice(), b"\r"].concat();
    assert_eq!(line(&mut editor, &turned), "99");
}

#[test]
fn a_line_that_goes_on_has_a_bound_over_all_its_rows() {
    let mut editor = Editor::new(Size { columns: 80, rows: 24 }, true, |line| line.ends_with('\\'));
    let mut out = Vec::new();
    editor.begin("$ ", &mut out);
    editor.keys(&b"\\\r".repeat(2 * MAX_ROWS), &mut out);
    assert!(editor.line().matches('\n').count() < MAX_ROWS);
    editor.begin("$ ", &mut out);
    editor.keys(&[vec![b'x'; MAX_LINE - 3].as_slice(), b"\\\rabcdef"].concat(), &mut out);
    assert_eq!(editor.line().len(), MAX_LINE);
}

#[test]
fn commands_that_cost_much_are_not_done_without_end() {
    let mut editor = editor();
    editor.add_history(&"x ".repeat(MAX_LINE / 2));
    let mut out = Vec::new();
    editor.begin("$ ", &mut out);
    editor.keys(b"\x1b[A\x01", &mut out);
    // Each goes through the line; what is too much rings the bell.
    editor.keys(&b"\x1bd".repeat(1000), &mut out);
    let removed = (MAX_LINE - editor.buffer.len()) / 2;
    assert!((200..400).contains(&removed), "{removed}");
    assert_eq!(out.last(), Some(&0x07));
    // Typing still works, and in the next call everything.
    let before = editor.buffer.len();
    editor.keys(b"z\x1bd", &mut out);
    assert!(editor.line().starts_with('z'));
    assert!(editor.buffer.len() < before);
}

#[test]
fn what_is_typed_at_once_has_one_bound_over_all_its_events() {
    let mut editor = editor();
    editor.add_history(&"x ".repeat(MAX_LINE / 2));
    let mut out = Vec::new();
    editor.begin("$ ", &mut out);
    editor.keys(b"\x1b[A", &mut out);
    let tabs = b"\t".repeat(2000);
    let (mut rest, mut events) = (tabs.as_slice(), 0);
    while !rest.is_empty() {
        let (taken, event) = editor.keys(rest, &mut out);
        rest = &rest[taken..];
        events += usize::from(event.is_some());
    }
    assert!((200..400).contains(&events), "{events}");
    // Nor does a long line that is fetched and dropped again and again.
    editor.keys(b"\x03", &mut out);
    editor.begin("$ ", &mut out);
    editor.keys(b"", &mut out);
    let (drops, mut shown) = (b"\x10\x03".repeat(500), 0);
    let mut rest = drops.as_slice();
    while !rest.is_empty() {
        let (taken, _) = editor.keys(&rest[..1], &mut out);
        shown += usize::from(editor.line().len() > 9);
        editor.ahead = rest.len() - taken;
        rest = &rest[taken..];
        if !editor.is_active() {
            editor.begin("$ ", &mut out);
        }
    }
    assert!((30..100).contains(&shown), "{shown}");
}

#[test]
fn an_enter_that_is_refused_joins_no_lines() {
    let mut editor = Editor::new(Size { columns: 80, rows: 24 }, true, |line| line.ends_with('\\'));
    let mut out = Vec::new();
    editor.begin("$ ", &mut out);
    editor.keys(&b"\\\r".repeat(MAX_ROWS + 5), &mut out);
    assert_eq!(editor.keys(b"\x15echo\rone\r", &mut out).1, None);
    assert_eq!(editor.keys(b"\x03", &mut out).1, Some(Event::Interrupt));
    assert_eq!(line(&mut editor, b"two\r"), "two");
}

/// The line after Tab and its answer.
fn tab(desk: &mut Desk, keys: &str, candidates: &[(&str, Option<char>)]) -> String {
    let (_, event) = desk.editor.keys(keys.as_bytes(), &mut desk.out);
    let Some(Event::Complete { line, cursor }) = event else {
        panic!("{event:?}")
    };
    let from = line[..cursor].rfind(' ').map_or(0, |at| at + 1);
    let candidates = candidates.iter().map(|(text, suffix)| Candidate {
        text: (*text).to_owned(),
        label: format!("{text}!"),
        suffix: *suffix,
    });
    let candidates = candidates.collect();
    desk.editor.complete(Completions { from, candidates }, &mut desk.out);
    desk.check();
    desk.editor.line()
}

#[test]
fn completions_take_the_place_of_the_word() {
    let mut desk = Desk::new(Size { columns: 30, rows: 9 });
    assert_eq!(tab(&mut desk, "ls /e\t", &[("/etc", Some('/'))]), "ls /etc/");
    assert_eq!(
        tab(&mut desk, "pro\t", &[("/etc/profile", None), ("/etc/profile.d", None)]),
        "ls /etc/profile"
    );
    let two = [("/etc/profile", None), ("/etc/profile.d", None)];
    assert_eq!(tab(&mut desk, "\t", &two), "ls /etc/profile");
    assert!(!desk.seen.rows().iter().any(|row| text(row).contains('!')));
    assert_eq!(tab(&mut desk, "\t", &two), "ls /etc/profile");
    let shown: Vec<String> = desk.seen.rows().iter().map(|row| text(row)).collect();
    assert!(shown.iter().any(|row| row.contains("/etc/profile!")), "{shown:#?}");
    // No file's name brings control characters into the line, or anything else but what begins like the word.
    assert_eq!(tab(&mut desk, " x\t", &[("x\nreboot", None)]), "ls /etc/profile x");
    assert_eq!(
        tab(&mut desk, "\t", &[("reboot", None), ("reset", None)]),
        "ls /etc/profile x"
    );
    // What is answered after another key means another line.
    let (_, event) = desk.editor.keys(b"\x02\x06\t", &mut desk.out);
    assert!(matches!(event, Some(Event::Complete { .. })));
    desk.editor.keys(b"y", &mut desk.out);
    let candidates = vec![Candidate {
        text: "other".to_owned(),
        label: String::new(),
        suffix: None,
    }];
    desk.editor.complete(Completions { from: 0, candidates }, &mut desk.out);
    desk.check();
    assert_eq!(desk.editor.line(), "ls /etc/profile xy");
}

#[test]
fn many_completions_are_asked_about() {
    let mut desk = Desk::new(Size { columns: 30, rows: 9 });
    let names: Vec<String> = (0..150).map(|nth| format!("file{nth}")).collect();
    let names: Vec<(&str, Option<char>)> = names.iter().map(|name| (name.as_str(), None)).collect();
    for keys in ["f\t", "\t", "\t"] {
        tab(&mut desk, keys, &names);
    }
    let asked = |desk: &Desk| desk.seen.rows().iter().any(|row| text(row).contains("Display all 150"));
    assert!(asked(&desk));
    desk.bytes(b"\r");
    assert_eq!(desk.editor.line(), "file");
    desk.bytes(b"nx");
    assert_eq!(desk.editor.line(), "filex");
    desk.bytes(b"\x7f");
    tab(&mut desk, "\t", &names);
    tab(&mut desk, "\t", &names);
    desk.bytes(b"y");
    assert!(desk.seen.rows().iter().any(|row| text(row).contains("file149!")));
}

#[test]
fn an_interrupt_shows_where_the_line_was_dropped() {
    let mut desk = Desk::new(Size { columns: 30, rows: 9 });
    let (_, event) = desk.editor.keys(b"echo 'a\rb\x02\x03rest", &mut desk.out);
    assert_eq!(event, Some(Event::Interrupt));
    desk.seen.take(&mut desk.out);
    assert_eq!(text(&desk.seen.rows()[1]), "> b^C");
    assert_eq!(desk.seen.cursor(), (2, 0));
    desk.begin();
    assert_eq!(desk.editor.line(), "");
    let (_, event) = desk.editor.keys(b"echo 'a\r\x04", &mut desk.out);
    assert_eq!(event, Some(Event::Unfinished));
}

#[test]
fn without_utf8_only_ascii_is_taken_and_shown() {
    let mut editor = Editor::new(Size { columns: 80, rows: 24 }, false, |_| false);
    editor.add_history("é");
    assert_eq!(line(&mut editor, "aéb\x1b[200~cé\x1b[201~\r".as_bytes()), "abc");
    let mut out = Vec::new();
    editor.begin("$ ", &mut out);
    editor.keys(b"\x1b[A", &mut out);
    assert!(out.is_ascii());
    assert!(String::from_utf8(out).unwrap().contains("<U+00E9>"));
}

#[test]
fn what_cannot_be_seen_is_written_out() {
    let hidden = "\
        \u{200b}\u{200d}\u{200e}\u{202e}\u{2066}\u{2060}\u{ad}\u{a0}\u{2003}\u{3000}\
        \u{2028}\u{feff}\u{fe0f}\u{34f}\u{e0041}\u{85}\u{3164}\u{2800}\u{fff9}\u{ffff}\u{1ffff}";
    for c in hidden.chars() {
        let ink = Ink::new("", &format!("a{c}b"), true);
        assert_eq!(ink.text, format!("a<U+{:04X}>b", u32::from(c)));
        assert!(ink.glyphs[1].reverse && ink.glyphs[1].width == 1);
    }
    // A mark has something on which it stands, and not too many are on one character.
    assert_eq!(Ink::new("$ ", "\u{301}", true).text, "$ <U+0301>");
    assert_eq!(Ink::new("", "a\u{301}\u{302}", true).glyphs.len(), 1);
    let many = format!("a{}", "\u{301}".repeat(9));
    assert!(Ink::new("", &many, true).text.ends_with("<U+0301>"));
    assert_eq!(Ink::new("", "a\u{1}\u{7f}\t", true).text, "a^A^?^I");
}

#[test]
fn no_key_however_often_fills_the_memory() {
    let mut editor = editor();
    (0..8).for_each(|nth| editor.add_history(&format!("{nth}{}", "y Z".repeat(MAX_LINE / 3 - 8))));
    let plain = (0_u8..0x80).map(|byte| vec![byte]);
    let meta = (0x20_u8..0x80).map(|byte| vec![0x1b, byte]);
    for key in plain
        .chain(meta)
        .filter(|key| !matches!(key.as_slice(), [b'\r' | b'\n' | 3 | 9] | [0x1b, b'#' | b'?' | b'=']))
    {
        let mut out = Vec::new();
        editor.begin("$ ", &mut out);
        editor.keys(b"\x1b[A", &mut out);
        out.clear();
        editor.keys(&key.repeat(200), &mut out);
        assert!(out.len() < 2 * MAX_LINE, "{key:?} makes {} bytes", out.len());
        assert!(editor.line().len() <= MAX_LINE);
    }
}
