//! Reads a line up to the cursor, however unfinished it is.

use super::{Completing, Quote, Word};

/// Substitutions within each other.
const MAX_DEPTH: usize = 16;

/// Words behind which a command stands.
const RESERVED: [&str; 11] = [
    "!", "{", "do", "elif", "else", "if", "then", "time", "until", "while", "coproc",
];

/// Programs whose first operand is a command, or the name of one.
const PREFIXES: [&str; 14] = [
    "builtin", "command", "doas", "exec", "ionice", "man", "nice", "nohup", "stdbuf", "sudo", "type", "watch", "which",
    "xargs",
];

pub(super) fn read(line: &str, value: &dyn Fn(&str) -> Option<String>) -> Option<Completing> {
    let mut reader = Reader {
        line,
        index: 0,
        began: 0,
        value,
        stack: Vec::new(),
        here: Place::default(),
    };
    while let Some(c) = reader.next() {
        reader.began = reader.index - c.len_utf8();
        if let Some(stop) = reader.take(c) {
            return stop;
        }
    }
    reader.end()
}

/// What is known where the reader stands.
#[derive(Default)]
struct Place {
    word: Option<Reading>,
    quote: Quote,
    commands: Commands,
    /// The next word is where a redirection leads.
    redirected: bool,
    closed_by: char,
}

/// Whether the next word is a command.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Commands {
    #[default]
    Next,
    /// Behind `sudo` and its kin: options may stand before it.
    Prefixed,
    No,
}

/// A word while it is read.
struct Reading {
    start: usize,
    /// Where what is completed begins: behind the last slash, or a `=`.
    from: usize,
    /// What stands before that since the last `=`, as the shell will read it; `None`: it cannot be known.
    before: Option<String>,
    typed: Option<String>,
    /// A `=` was passed.
    assigned: bool,
    /// Nothing of it was quoted.
    bare: bool,
    /// It begins with a `~` that stands for somebody's home.
    tilde: bool,
}

struct Reader<'a> {
    line: &'a str,
    index: usize,
    /// Where what is taken now begins.
    began: usize,
    value: &'a dyn Fn(&str) -> Option<String>,
    stack: Vec<Place>,
    here: Place,
}

/// The end of reading: what was found.
type Stop = Option<Completing>;

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.line.get(self.index..)?.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.index += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, c: char) -> Option<Stop> {
        match self.here.quote {
            Quote::Single if c == '\'' => self.here.quote = Quote::Bare,
            Quote::Single => self.push(c, true),
            Quote::Double => return self.within_quotes(c),
            Quote::Bare => return self.bare(c),
        }
        None
    }

    fn within_quotes(&mut self, c: char) -> Option<Stop> {
        match c {
            '"' => self.here.quote = Quote::Bare,
            '\\' if self.peek().is_some_and(|next| "\"\\$`".contains(next)) => {
                let next = self.next()?;
                self.push(next, true);
            }
            '$' => return self.dollar(),
            '`' => return self.back_quote(),
            c => self.push(c, true),
        }
        None
    }

    fn bare(&mut self, c: char) -> Option<Stop> {
        match c {
            ' ' | '\t' => self.end_word(),
            '\n' | '|' | '&' | ';' => self.next_command(),
            '(' => return self.enter(')'),
            ')' => self.leave(')'),
            '<' | '>' => return self.redirection(),
            '#' if self.here.word.is_none() => {
                while self.peek().is_some_and(|next| next != '\n') {
                    self.next();
                }
                return self.peek().is_none().then_some(None);
            }
            '\\' => match self.next() {
                // It may quote what is typed next.
                None => return Some(None),
                Some('\n') => {}
                Some(next) => self.push(next, true),
            },
            '\'' => {
                self.word();
                self.here.quote = Quote::Single;
            }
            '"' => {
                self.word();
                self.here.quote = Quote::Double;
            }
            '$' => return self.dollar(),
            '`' => return self.back_quote(),
            c => self.push(c, false),
        }
        None
    }

    fn redirection(&mut self) -> Option<Stop> {
        if self.peek() == Some('(') {
            self.word().spoil();
            self.next();
            return self.enter(')');
        }
        self.end_word();
        self.here.redirected = true;
        if self.peek() == Some('&') {
            self.next();
        }
        None
    }

    /// `$(…)`, `${…}`, `$name`.
    fn dollar(&mut self) -> Option<Stop> {
        self.word();
        match self.peek() {
            Some('(') => {
                self.word().spoil();
                self.next();
                self.enter(')')
            }
            Some('{') => {
                self.next();
                self.named(true)
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.named(false),
            None => Some(Some(self.variable(self.index, false))),
            // Positional and special parameters.
            Some(_) => {
                self.word().spoil();
                self.next();
                None
            }
        }
    }

    fn named(&mut self, braced: bool) -> Option<Stop> {
        let start = self.index;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.next();
        }
        if self.peek().is_none() {
            return Some(Some(self.variable(start, braced)));
        }
        let name = self.line.get(start..self.index).unwrap_or_default();
        if braced && self.peek() != Some('}') {
            // What an expansion does with a value is not followed here.
            return Some(None);
        }
        if braced {
            self.next();
        }
        // Outside quotes a value is split and matched again.
        let value = (self.value)(name).filter(|value| {
            self.here.quote == Quote::Double || !value.contains([' ', '\t', '\n', '*', '?', '[', '\\'])
        });
        match value {
            Some(value) => value.chars().for_each(|c| self.push(c, true)),
            None => self.word().spoil(),
        }
        None
    }

    fn variable(&self, from: usize, braced: bool) -> Completing {
        Completing::Variable {
            word: Word {
                from,
                typed: self.line.get(from..).unwrap_or_default().to_owned(),
                quote: self.here.quote,
                first: false,
            },
            braced,
        }
    }

    fn back_quote(&mut self) -> Option<Stop> {
        if self.here.closed_by == '`' {
            self.leave('`');
            return None;
        }
        self.word().spoil();
        self.enter('`')
    }

    /// Goes into a list of commands within a word, or between parentheses.
    fn enter(&mut self, closed_by: char) -> Option<Stop> {
        if self.stack.len() >= MAX_DEPTH {
            return Some(None);
        }
        let inner = Place {
            closed_by,
            ..Place::default()
        };
        self.stack.push(std::mem::replace(&mut self.here, inner));
        None
    }

    fn leave(&mut self, closes: char) {
        match self.stack.pop() {
            Some(outer) if self.here.closed_by == closes => self.here = outer,
            // It closes nothing: a pattern of `case`.
            outer => {
                self.stack.extend(outer);
                self.next_command();
            }
        }
    }

    fn next_command(&mut self) {
        self.end_word();
        self.here.commands = Commands::Next;
        self.here.redirected = false;
    }

    fn word(&mut self) -> &mut Reading {
        let began = self.began;
        self.here.word.get_or_insert_with(|| Reading::at(began))
    }

    /// A character of a word. `quoted`: it means itself.
    fn push(&mut self, c: char, quoted: bool) {
        let (index, home) = (self.index, (self.value)("HOME"));
        let word = self.word();
        let begins = word.typed.as_deref() == Some("") && word.before.as_deref() == Some("");
        match c {
            '/' => {
                let part = word.typed.take();
                let part = match part {
                    Some(part) if word.tilde => home.filter(|_| part == "~"),
                    part => part,
                };
                word.before = word.before.take().zip(part).map(|(before, part)| before + &part + "/");
                word.typed = Some(String::new());
                word.tilde = false;
                word.from = index;
            }
            '=' if !quoted && !word.assigned && !begins => {
                word.assigned = true;
                (word.before, word.typed) = (Some(String::new()), Some(String::new()));
                word.from = index;
            }
            '*' | '?' | '[' if !quoted => word.spoil(),
            c => {
                word.tilde |= c == '~' && !quoted && begins;
                if let Some(typed) = &mut word.typed {
                    typed.push(c);
                }
            }
        }
        word.bare &= !quoted;
    }

    fn end_word(&mut self) {
        let Some(word) = self.here.word.take() else { return };
        if std::mem::take(&mut self.here.redirected) || self.here.commands == Commands::No {
            return;
        }
        let text = self.line.get(word.start..self.index).unwrap_or_default();
        let text = text.trim_end_matches([' ', '\t', '\n', ';', '|', '&', '<', '>', '(', ')']);
        let option = self.here.commands == Commands::Prefixed && text.starts_with('-');
        let name = text.split('=').next().unwrap_or_default();
        let assignment = word.assigned && crate::is_name(name.trim_end_matches('+'));
        if option || assignment || (word.bare && RESERVED.contains(&text)) {
            return;
        }
        let prefixes = word.bare && PREFIXES.contains(&text);
        self.here.commands = if prefixes { Commands::Prefixed } else { Commands::No };
    }

    /// What stands at the cursor.
    fn end(self) -> Option<Completing> {
        let Place {
            word,
            quote,
            commands,
            redirected,
            ..
        } = self.here;
        let word = word.unwrap_or_else(|| Reading::at(self.line.len()));
        let (directory, typed) = (word.before?, word.typed?);
        let first = word.from == word.start;
        let is_command = commands != Commands::No && !redirected && directory.is_empty() && !word.assigned;
        if first && typed.starts_with('-') {
            // An option.
            return None;
        }
        let found = Word {
            from: word.from,
            typed,
            quote,
            first,
        };
        Some(match () {
            () if word.tilde && found.typed == "~" => Completing::Home(found),
            // The home of somebody.
            () if word.tilde => return None,
            () if is_command => Completing::Command(found),
            () => Completing::File { word: found, directory },
        })
    }
}

impl Reading {
    fn at(start: usize) -> Self {
        Self {
            start,
            from: start,
            before: Some(String::new()),
            typed: Some(String::new()),
            assigned: false,
            bare: true,
            tilde: false,
        }
    }

    /// What it says cannot be known from here.
    fn spoil(&mut self) {
        self.before = None;
        self.typed = None;
    }
}
