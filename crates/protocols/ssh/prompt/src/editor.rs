//! The editor: from keys to lines.

mod bindings;
mod completion;
mod edit;
mod kill;
mod recall;
mod search;

pub use completion::{Candidate, Completions};

use bindings::Command;

use crate::buffer::Buffer;
use crate::history::History;
use crate::ink::{CONTINUED, Ink};
use crate::keys::{Key, Keys};
use crate::kills::Kills;
use crate::layout::Layout;
use crate::screen::{Screen, Size};
use crate::{MAX_LINE, MAX_ROWS};

/// Whether a command goes on in the next line: an open quote, a `\` at the end, a here-document, `do` without `done`.
pub type Incomplete = fn(&str) -> bool;

/// Bytes of a prompt.
const MAX_PROMPT: usize = 1024;

/// Bytes that the commands of one call of [`Editor::keys`] may go through; more of them only ring the bell.
const WORK: usize = 16 << 20;

/// What a terminal may have been left in is undone, so that what is shown can be seen where it is meant: attributes,
/// the second character set, no wrapping, insert mode, a hidden cursor. Then pasted text is bracketed.
const BEGIN: &[u8] = b"\x1b[0m\x0f\x1b(B\x1b[?7h\x1b[4l\x1b[?25h\x1b[?2004h\x1b[J";
const END: &[u8] = b"\x1b[?2004l";

/// A line editor on a terminal. It takes keys between [`Editor::begin`] and the event that ends the line.
#[derive(Debug)]
pub struct Editor {
    keys: Keys,
    screen: Screen,
    buffer: Buffer,
    kills: Kills,
    history: History,
    prompt: String,
    /// The lines before this one of a command that goes on over several, each with its newline.
    prior: String,
    incomplete: Incomplete,
    utf8: bool,
    active: bool,
    mode: Mode,
    argument: Option<Argument>,
    last: Last,
    /// What Ctrl-R looked for last.
    searched_term: String,
    /// The owner was asked for completions; whether to list them.
    asked: Option<bool>,
    bell: bool,
    /// The screen is to be cleared before it is shown anew.
    clear: bool,
    /// What the commands may still cost: for all that was typed at once, however many events are in it.
    work: usize,
    /// Bytes behind the last event that were typed together with it.
    ahead: usize,
    /// An Enter was refused. None is taken any more: what was to be several lines has become one.
    stuck: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Enter: the whole command, with newlines if it goes on over several lines, and as it was shown.
    Line(String),
    /// Ctrl-C: the line was dropped.
    Interrupt,
    /// Ctrl-D on an empty line.
    EndOfInput,
    /// Tab: the owner gives what the word before the cursor may become ([`Editor::complete`]). The line goes on.
    Complete {
        /// The whole command so far.
        line: String,
        /// The byte in it at which the cursor stands.
        cursor: usize,
    },
    /// Ctrl-D on an empty line of a command that goes on over several: all of it was dropped.
    Unfinished,
}

/// What the next key means.
#[derive(Debug, Default)]
enum Mode {
    #[default]
    Plain,
    /// The second key of Ctrl-X.
    Prefix,
    /// The character to go to.
    Find {
        backward: bool,
    },
    Search(search::Search),
    /// Whether to show many completions.
    Confirm(Vec<String>),
}

/// A number before a command.
#[derive(Debug, Clone, Copy, Default)]
struct Argument {
    digits: Option<usize>,
    negative: bool,
}

/// The command before, so far as the next one depends on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Other,
    Kill,
    Yank(std::ops::Range<usize>),
    Completed {
        changed: bool,
    },
    /// An argument of an old line was inserted.
    Argument(recall::Recalled),
}

impl Editor {
    /// An editor that shows nothing yet. `utf8`: whether the terminal takes and shows more than ASCII.
    pub fn new(size: Size, utf8: bool, incomplete: Incomplete) -> Self {
        Self {
            keys: Keys::new(utf8),
            screen: Screen::new(size),
            buffer: Buffer::default(),
            kills: Kills::default(),
            history: History::default(),
            prompt: String::new(),
            prior: String::new(),
            incomplete,
            utf8,
            active: false,
            mode: Mode::Plain,
            argument: None,
            last: Last::Other,
            searched_term: String::new(),
            asked: None,
            bell: false,
            clear: false,
            work: WORK,
            ahead: 0,
            stuck: false,
        }
    }

    /// Shows the prompt and takes keys from now on. The cursor must be in the first column (see
    /// [`Editor::fresh_line`]). The prompt is text: control characters in it are shown as such.
    pub fn begin(&mut self, prompt: &str, out: &mut Vec<u8>) {
        self.prompt = prompt
            .chars()
            .scan(0, |bytes, c| {
                *bytes += c.len_utf8();
                (*bytes <= MAX_PROMPT).then_some(c)
            })
            .collect();
        self.prior.clear();
        self.buffer.clear();
        self.history.begin();
        self.keys.reset();
        self.mode = Mode::Plain;
        self.argument = None;
        self.last = Last::Other;
        self.stuck = false;
        self.active = true;
        out.extend_from_slice(BEGIN);
        self.screen.begin();
        self.refresh(out);
    }

    /// Brings the cursor to the first column, on a new row unless it is there already. Where a program's output ended
    /// without a newline, a `%` in reverse says so.
    pub fn fresh_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\x1b[0m\x1b[?7h\x1b[7m%\x1b[27m");
        out.extend(std::iter::repeat_n(b' ', self.screen.columns.saturating_sub(1)));
        out.extend_from_slice(b"\r \r");
    }

    /// The terminal has another size.
    pub fn resize(&mut self, size: Size, out: &mut Vec<u8>) {
        self.screen.set_size(size);
        if self.active && !matches!(self.mode, Mode::Confirm(_)) {
            let layout = self.layout();
            self.screen.resized(layout, out);
        }
    }

    /// Takes what was typed, and appends what the terminal is to show. Stops behind the key that ends the line: the
    /// rest belongs to the next line, or to the program that runs. Gives how many bytes were taken; none, if no line
    /// was begun.
    ///
    /// A lone ESC waits for the byte that follows it.
    pub fn keys(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> (usize, Option<Event>) {
        if !self.active {
            return (0, None);
        }
        if self.ahead == 0 {
            self.work = WORK;
        }
        for (taken, byte) in (1..).zip(bytes) {
            if let Some(key) = self.keys.feed(*byte)
                && let Some(event) = self.key(key, out)
            {
                self.ahead = bytes.len() - taken;
                return (taken, Some(event));
            }
        }
        self.ahead = 0;
        self.refresh(out);
        (bytes.len(), None)
    }

    /// Writes something above the line while it is edited. The text may have several lines; it ends with one.
    pub fn say(&mut self, text: &str, out: &mut Vec<u8>) {
        if self.active {
            self.screen.erase(out);
        }
        for line in text.lines() {
            out.extend_from_slice(Ink::label(line, self.utf8).plain().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if self.active {
            self.refresh(out);
        }
    }

    /// Whether a line is being edited.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// What stands in the line at present, all its rows.
    pub fn line(&self) -> String {
        format!("{}{}", self.prior, self.buffer.text())
    }

    /// The lines entered before, oldest first.
    pub fn history(&self) -> impl ExactSizeIterator<Item = &str> + DoubleEndedIterator {
        self.history.lines()
    }

    /// Keeps a line for Up and Ctrl-R.
    pub fn add_history(&mut self, line: &str) {
        self.history.add(line);
    }

    fn key(&mut self, key: Key, out: &mut Vec<u8>) -> Option<Event> {
        self.asked = None;
        match std::mem::take(&mut self.mode) {
            Mode::Plain => self.command(Command::of(key, self.argument.is_some()), out),
            Mode::Prefix => self.command(Command::after_prefix(&key), out),
            Mode::Find { .. } if key == Key::Control('c') => self.end(Event::Interrupt, out),
            Mode::Find { backward } => {
                self.find(&key, backward);
                None
            }
            Mode::Search(search) => self.search_key(search, key, out),
            Mode::Confirm(labels) => self.confirm(labels, &key, out),
        }
    }

    /// Whether there is time for a command that goes through so many bytes.
    fn spend(&mut self, bytes: usize) -> bool {
        let left = self.work.checked_sub(bytes + 1024);
        self.work = left.unwrap_or(0);
        left.is_some()
    }

    /// Ends the line with everything of it shown.
    fn end(&mut self, event: Event, out: &mut Vec<u8>) -> Option<Event> {
        self.mode = Mode::Plain;
        self.argument = None;
        self.refresh(out);
        if event == Event::Interrupt {
            self.screen.go_to_end(out);
            out.extend_from_slice(b"^C\r\n");
        } else {
            self.screen.finish(out);
        }
        out.extend_from_slice(END);
        self.prior.clear();
        self.buffer.clear();
        self.history.begin();
        self.active = false;
        Some(event)
    }

    fn accept(&mut self, out: &mut Vec<u8>) -> Option<Event> {
        // Looking for the end of a command goes through all its lines each time.
        self.stuck |= !self.prior.is_empty() && !self.spend(self.prior.len());
        if self.stuck {
            self.bell = true;
            return None;
        }
        let mut line = self.line();
        if !(self.incomplete)(&line) {
            return self.end(Event::Line(line), out);
        }
        if self.room() == 0 || self.prior.matches('\n').count() + 1 >= MAX_ROWS {
            self.stuck = true;
            self.bell = true;
            return None;
        }
        self.argument = None;
        self.refresh(out);
        self.screen.finish(out);
        line.push('\n');
        self.prior = line;
        self.buffer.clear();
        self.history.begin();
        self.refresh(out);
        None
    }

    /// Bytes that may still be inserted.
    fn room(&self) -> usize {
        MAX_LINE.saturating_sub(self.prior.len() + self.buffer.len())
    }

    fn refresh(&mut self, out: &mut Vec<u8>) {
        // A question stands below the line, and the line comes back behind its answer.
        if !matches!(self.mode, Mode::Confirm(_)) {
            if std::mem::take(&mut self.clear) {
                out.extend_from_slice(b"\x1b[H\x1b[2J");
                self.screen.begin();
                self.show_prior(out);
            }
            let layout = self.layout();
            self.screen.show(layout, out);
        }
        if std::mem::take(&mut self.bell) {
            out.push(0x07);
        }
    }

    fn layout(&self) -> Layout {
        let (line, cursor) = match &self.mode {
            Mode::Search(search) => self.found(search),
            Mode::Plain | Mode::Prefix | Mode::Find { .. } | Mode::Confirm(_) => {
                (self.buffer.text(), self.buffer.cursor())
            }
        };
        let ink = Ink::new(&self.shown_prompt(), line, self.utf8);
        Layout::new(ink, cursor, self.screen.columns)
    }

    fn shown_prompt(&self) -> String {
        match (&self.mode, self.argument, self.prior.is_empty()) {
            (Mode::Search(search), _, _) => search.prompt(),
            (_, Some(argument), _) => format!("(arg: {}) ", argument.value()),
            (_, None, true) => self.prompt.clone(),
            (_, None, false) => CONTINUED.to_owned(),
        }
    }
}

impl Argument {
    /// The number, which is not more than a line has characters.
    fn value(self) -> isize {
        let count = isize::try_from(self.digits.unwrap_or(1).min(MAX_LINE)).unwrap_or(1);
        if self.negative { -count } else { count }
    }
}

#[cfg(test)]
mod tests;
