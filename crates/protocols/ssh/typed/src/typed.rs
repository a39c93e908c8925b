//! The two readers, and what they make of a line together.

use crate::keys::{END_OF_INPUT, INTERRUPT, Key, Keys};
use crate::model::Model;
use crate::prompts::Prompts;
use crate::screen::{Place, Screen};
use crate::{Incomplete, MAX_LINE, MAX_ROWS, Size};

/// Reads the lines that are typed at a terminal.
#[derive(Debug)]
pub struct Typed {
    incomplete: Incomplete,
    keys: Keys,
    model: Model,
    screen: Screen,
    prompts: Prompts,
    line: Option<Begun>,
    /// Lines of a command that goes on.
    joined: Option<String>,
    /// The host has said nothing since it was found to be silent.
    settled: bool,
}

/// A line of which a key was pressed.
#[derive(Debug)]
struct Begun {
    /// What stood before the cursor.
    prompt: String,
    /// Nothing was coming any more: the cursor stood at the end of a prompt.
    settled: bool,
    /// There.
    start: Option<Place>,
    cursor: (usize, usize),
    /// The host has said something since.
    answered: bool,
    /// And since the last key of which nobody here knows what it does.
    answered_all: bool,
}

/// What to do with the first bytes that were typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many of them may go to the host at once.
    Pass(usize),
    /// So many are a key by which a shell would run what nobody sees: they must not go.
    Swallow(usize),
    /// So many submit the line. Nothing is taken: see [`Typed::judge`], then [`Typed::submitted`] or
    /// [`Typed::abandoned`].
    Submit(usize),
}

/// How long the host has been silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Patience {
    /// It may be about to say something.
    Fresh,
    /// What it had to say to all that was typed has come, if nothing is slow.
    Settled,
    /// Nobody waits longer.
    Over,
}

/// What becomes of a line that is submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// That is not known before the host has said more, or has been silent.
    Wait,
    /// It is empty.
    Empty,
    /// It is empty on the screen, and there were keys of which nobody here knows what they do. Giving the line up comes to
    /// the same as submitting it, if it is empty.
    ShownEmpty,
    /// A program has the whole screen.
    FullScreen,
    /// What is typed is not shown, at something that is not a shell's prompt: a password.
    NoEcho,
    /// It goes on in the next line, whose verdict is on both.
    GoesOn,
    /// What it is.
    Line(Line),
    /// Nobody here knows what it is.
    Unknown,
}

/// A line, as it was reconstructed. At least one reader has it; both do only if they differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// As the keys make it.
    pub keys: Option<String>,
    /// As the screen shows it.
    pub screen: Option<String>,
}

impl Line {
    /// Every text that it may be.
    pub fn candidates(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().chain(&self.screen).map(String::as_str)
    }
}

impl Typed {
    /// Of a terminal of which nothing was shown.
    pub fn new(size: Size, incomplete: Incomplete) -> Self {
        Self {
            incomplete,
            keys: Keys::default(),
            model: Model::default(),
            screen: Screen::new(size),
            prompts: Prompts::default(),
            line: None,
            joined: None,
            settled: false,
        }
    }

    /// The host showed something.
    pub fn shown(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.settled = false;
        self.screen.push(bytes);
        if let Some(line) = &mut self.line {
            line.answered = true;
            line.answered_all = true;
        }
    }

    /// The terminal has another size.
    pub fn resize(&mut self, size: Size) {
        self.screen.resize(size);
    }

    /// Whether [`Typed::quiet`] would learn something.
    pub fn wants_quiet(&self) -> bool {
        !self.settled
    }

    /// Both sides have been silent for a while.
    pub fn quiet(&mut self) {
        self.screen.catch_up();
        self.settled = true;
        let Some(line) = &mut self.line else { return };
        // Keys that a program took before there was a prompt are no part of the line.
        let (row, before) = self.screen.cursor_line();
        let bare = row.get(before..).is_some_and(|behind| behind.trim().is_empty())
            && self.prompts.end_in(&row).is_some_and(|end| end >= before);
        if bare && line.answered && line.cursor != self.screen.cursor() {
            line.prompt = row.get(..before).unwrap_or_default().to_owned();
            line.settled = true;
            line.start = self.screen.place();
            line.cursor = self.screen.cursor();
            if !self.model.is_empty() {
                self.model.lose();
            }
        }
    }

    /// Whether nothing was typed at a prompt that is known.
    pub fn is_at_prompt(&mut self) -> bool {
        self.screen.catch_up();
        let (row, before) = self.screen.cursor_line();
        self.settled && self.line.is_none() && self.prompts.end_in(&row).is_some_and(|end| end >= before)
    }

    /// Whether what is typed now stands between the marks of a bracketed paste.
    pub fn is_pasting(&self) -> bool {
        self.keys.pasting
    }

    /// Takes the first of these bytes.
    pub fn keys(&mut self, bytes: &[u8]) -> Step {
        let mut passed = 0;
        for byte in bytes {
            if self.submits(*byte) {
                break;
            }
            if self.keys.runs_unseen(*byte) && !self.is_full_screen() {
                if passed == 0 {
                    return Step::Swallow(1);
                }
                break;
            }
            passed += 1;
            if *byte == INTERRUPT && !self.keys.pasting {
                self.abandoned();
            } else if let Some(key) = self.keys.take(*byte) {
                self.press(key);
            }
        }
        if passed == 0 {
            Step::Submit(bytes.len().min(1))
        } else {
            Step::Pass(passed)
        }
    }

    fn submits(&self, byte: u8) -> bool {
        // Where a program reads lines without an editor, the end of input submits what stands before it.
        let ends = byte == END_OF_INPUT && !self.keys.pasting && !self.model.is_empty() && !self.model.is_within();
        Keys::submits(byte) || ends
    }

    fn press(&mut self, key: Key) {
        if matches!(key, Key::Report | Key::Paste(_)) {
            return;
        }
        self.begin();
        self.model.press(key);
        if let Some(line) = &mut self.line
            && key == Key::Unknown
        {
            line.answered_all = false;
        }
    }

    /// Notes where the line begins, at its first key.
    fn begin(&mut self) {
        if self.line.is_some() {
            return;
        }
        self.screen.catch_up();
        let (row, before) = self.screen.cursor_line();
        let mark = self.screen.take_mark();
        self.screen.begin();
        // What stands at the prompt already, the shell put there.
        let bare = self.model.line().is_some();
        let place = self.screen.place().filter(|_| bare);
        self.line = Some(Begun {
            prompt: row.get(..before).unwrap_or_default().to_owned(),
            settled: self.settled && bare,
            start: if self.settled { place } else { mark.or(place) },
            cursor: self.screen.cursor(),
            answered: false,
            answered_all: true,
        });
    }

    /// The line is submitted: a new one begins. `end_of_input` says that it was by Ctrl-D, which a line editor takes for
    /// something else.
    pub fn submitted(&mut self, key: &[u8]) {
        if key == [END_OF_INPUT] {
            self.model.lose();
            return;
        }
        let stays = self.keys.is_quoting() || key.iter().any(|byte| Keys::leaves_another(*byte));
        self.forget();
        if stays {
            self.model.lose();
        }
    }

    /// The line is given up, and all that it goes on from.
    pub fn abandoned(&mut self) {
        self.joined = None;
        self.keys.pasting = false;
        self.forget();
    }

    fn forget(&mut self) {
        self.keys.reset();
        self.model = Model::default();
        self.line = None;
        self.settled = false;
        self.screen.take_mark();
    }

    fn is_full_screen(&mut self) -> bool {
        self.screen.catch_up();
        let (row, _) = self.screen.cursor_line();
        // A shell that shows its prompt there is one all the same.
        self.screen.is_alternate() && self.prompts.end_in(&row).is_none()
    }

    /// What the line is that is about to be submitted.
    pub fn judge(&mut self, patience: Patience) -> Verdict {
        if self.is_full_screen() {
            return Verdict::FullScreen;
        }
        let verdict = match self.model.line() {
            Some(_) if self.line.is_none() => self.untouched(patience),
            Some(keys) => self.known(keys, patience),
            None => self.unknown(patience),
        };
        self.whole(verdict)
    }

    /// Enter is the first key.
    fn untouched(&mut self, patience: Patience) -> Verdict {
        let (row, _) = self.screen.cursor_line();
        let shown = self.prompts.end_in(&row).and_then(|end| row.get(end..));
        match shown.map(str::trim).filter(|text| !text.is_empty()) {
            Some(_) if patience == Patience::Fresh => Verdict::Wait,
            Some(text) => Verdict::Line(Line {
                keys: None,
                screen: Some(text.to_owned()),
            }),
            None => Verdict::Empty,
        }
    }

    /// Every key was one whose effect is known.
    fn known(&mut self, keys: String, patience: Patience) -> Verdict {
        let text = keys.trim().to_owned();
        let agreed = |keys| {
            Verdict::Line(Line {
                keys: Some(keys),
                screen: None,
            })
        };
        if self.keys.pasting || self.agrees(&text) {
            self.learn(&text);
            return if text.is_empty() { Verdict::Empty } else { agreed(keys) };
        }
        if patience == Patience::Fresh {
            return Verdict::Wait;
        }
        if !text.is_empty() && self.is_unechoed(&keys) {
            return Verdict::NoEcho;
        }
        let screen = self.shown_line();
        match screen.map(|screen| screen.trim().to_owned()) {
            None if text.is_empty() => Verdict::Empty,
            None => agreed(keys),
            Some(screen) if text.is_empty() && !screen.is_empty() => Verdict::Line(Line {
                keys: None,
                screen: Some(screen),
            }),
            Some(screen) => Verdict::Line(Line {
                keys: Some(keys),
                screen: Some(screen).filter(|screen| !screen.is_empty()),
            }),
        }
    }

    /// The screen alone says what the line is.
    fn unknown(&mut self, patience: Patience) -> Verdict {
        self.begin();
        let answered = self.line.as_ref().is_some_and(|line| line.answered_all);
        match patience {
            Patience::Fresh => return Verdict::Wait,
            Patience::Settled if !answered => return Verdict::Wait,
            Patience::Over if !answered => return Verdict::Unknown,
            Patience::Settled | Patience::Over => {}
        }
        match self.shown_line().map(|text| text.trim().to_owned()) {
            None => Verdict::Unknown,
            Some(text) if text.is_empty() && self.joined.is_none() => Verdict::ShownEmpty,
            Some(text) => Verdict::Line(Line {
                keys: None,
                screen: Some(text),
            }),
        }
    }

    /// Whether the screen shows this line.
    fn agrees(&self, text: &str) -> bool {
        let Some(line) = &self.line else { return false };
        if let Some(start) = &line.start
            && self.screen.shown_from(start).is_some_and(|shown| shown.trim() == text)
        {
            return true;
        }
        let (row, _) = self.screen.cursor_line();
        let behind = self.prompts.end_in(&row).and_then(|end| row.get(end..));
        if let Some(behind) = behind {
            return behind.trim() == text;
        }
        // Typed before there was a prompt that could be known.
        let loose = !line.settled || line.start.is_none();
        loose && !text.is_empty() && row.trim_end().ends_with(text)
    }

    /// Whether nothing of what was typed is shown, or stars for it, and not behind a shell's prompt: a shell whose terminal
    /// was told not to echo is a shell.
    fn is_unechoed(&self, keys: &str) -> bool {
        let Some(line) = &self.line else { return false };
        let (row, before) = self.screen.cursor_line();
        let now = row.get(..before).unwrap_or_default();
        let prompt = if line.settled { line.prompt.as_str() } else { now };
        let starred = now.trim_end_matches(['*', '•']);
        let stars = now.chars().count() - starred.chars().count();
        let hidden = match now.strip_prefix(prompt) {
            Some("") => true,
            Some(_) => stars == keys.chars().count() && starred.len() <= prompt.len(),
            None => false,
        };
        let prompt = prompt.trim_end_matches(['*', '•']);
        hidden && !prompt.trim().is_empty() && !self.prompts.is_shell(prompt)
    }

    /// What the screen shows of the line; `None` if it cannot be told from the rest.
    fn shown_line(&mut self) -> Option<String> {
        let (row, _) = self.screen.cursor_line();
        if let Some(found) = searched(&row) {
            return Some(found.to_owned());
        }
        let erased = self.screen.is_erased();
        let end = self.prompts.end_in(&row);
        let here = |screen: &Screen| Some(screen.cursor_line_on().get(end?..).unwrap_or_default().to_owned());
        let line = self.line.as_ref()?;
        let Some(start) = line.start.as_ref().filter(|_| line.settled) else {
            return match self.screen.take_mark() {
                Some(mark) => self.screen.shown_from(&mark),
                None => here(&self.screen),
            };
        };
        let Some(whole) = self.screen.shown_from(start) else {
            // Who clears the screen gets a new prompt at its top; a line that left it at the top is not known.
            let first = |row: &str| self.prompts.end_in(row);
            return erased.then(|| self.screen.first_line_that(first)).flatten();
        };
        if self.screen.is_in_line_of(start) {
            return Some(whole);
        }
        // Below the line stands what it may be completed to, and then the line again.
        let old = whole.split('\n').next().unwrap_or_default().trim();
        let again = here(&self.screen).filter(|again| !old.is_empty() && again.starts_with(old));
        Some(again.unwrap_or(whole))
    }

    /// A line came back: what stands before it is a prompt.
    fn learn(&mut self, text: &str) {
        let Some(line) = self.line.as_ref().filter(|_| !text.is_empty() && !self.keys.pasting) else {
            return;
        };
        let start = line.start.as_ref().and_then(|start| self.screen.shown_from(start));
        if start.is_some_and(|shown| shown.trim() == text) {
            self.prompts.learn(&line.prompt);
            return;
        }
        // It was typed before the prompt was there.
        let (row, _) = self.screen.cursor_line();
        if let Some(prompt) = row.trim_end().strip_suffix(text)
            && self.prompts.is_shell(prompt)
        {
            self.prompts.learn(prompt);
        }
    }

    /// The verdict with the lines before, if they go on in this one.
    fn whole(&mut self, verdict: Verdict) -> Verdict {
        let line = match (verdict, &self.joined) {
            (Verdict::Line(line), _) => line,
            (Verdict::Empty, Some(_)) => Line {
                keys: Some(String::new()),
                screen: None,
            },
            (other, _) => return other,
        };
        let join = |text: String| match &self.joined {
            Some(joined) => format!("{joined}\n{text}"),
            None => text,
        };
        let line = Line {
            keys: line.keys.map(join),
            screen: line.screen.map(join),
        };
        // Only what both readers know can be kept for the next line.
        let sure = line.keys.as_deref().filter(|_| line.screen.is_none());
        let long = |text: &str| text.len() > MAX_LINE || text.split('\n').count() > MAX_ROWS;
        match sure {
            Some(text) if (self.incomplete)(text) && !long(text) => {
                self.joined = Some(text.to_owned());
                Verdict::GoesOn
            }
            Some(_) | None => {
                self.joined = None;
                Verdict::Line(line)
            }
        }
    }
}

/// What a search in the history has found, while it goes on.
fn searched(row: &str) -> Option<&str> {
    let begins = [
        "(reverse-i-search)`",
        "(failed reverse-i-search)`",
        "(i-search)`",
        "(failed i-search)`",
    ];
    let rest = begins.iter().find_map(|begin| row.strip_prefix(begin))?;
    Some(rest.split_once("': ")?.1)
}
