//! Which key does what: readline's Emacs keys.

use crate::keys::Key;

/// What a key does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Accept,
    CommentOut,
    Interrupt,
    EndOrDelete,
    Complete {
        list: bool,
    },
    Search {
        backward: bool,
    },
    ClearScreen,
    /// The character behind it is meant literally, is gone to, or is a command of Ctrl-X.
    QuoteNext,
    Find {
        backward: bool,
    },
    Prefix,
    Digit(u8),
    Minus,
    Change(Change),
    Kill(Kill),
    /// A key that is not bound.
    Nothing,
}

/// What changes the line, or moves in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Insert(char),
    Paste(Option<String>),
    Abort,
    Backspace,
    Delete,
    DeleteBlanks,
    Left,
    Right,
    Home,
    End,
    WordLeft,
    WordRight,
    TransposeCharacters,
    TransposeWords,
    Case(Case),
    Undo,
    Revert,
    Older,
    Newer,
    Oldest,
    Newest,
    LastArgument,
    NthArgument,
}

/// What keeps text for later, or takes it from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kill {
    ToEnd,
    ToStart,
    Word,
    WordBack,
    BlankWord,
    Yank,
    YankPop,
}

/// What becomes of the letters of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Lower,
    Capital,
}

impl Command {
    /// `counting`: a numeric argument was begun, and further digits belong to it.
    pub(super) fn of(key: Key, counting: bool) -> Self {
        let change = match key {
            Key::Char(c) => match c.to_digit(10).and_then(|digit| u8::try_from(digit).ok()) {
                Some(digit) if counting => return Self::Digit(digit),
                _ => Change::Insert(c),
            },
            Key::Control(c) => return control(c),
            Key::Meta(c) => return meta(c),
            Key::MetaControl(c) => return meta_control(c),
            Key::Quoted(c) => Change::Insert(c),
            Key::Paste(text) => Change::Paste(text),
            Key::Backspace => Change::Backspace,
            Key::Delete => Change::Delete,
            Key::Left => Change::Left,
            Key::Right => Change::Right,
            Key::Up => Change::Older,
            Key::Down => Change::Newer,
            Key::Home => Change::Home,
            Key::End => Change::End,
            Key::WordLeft => Change::WordLeft,
            Key::WordRight => Change::WordRight,
            Key::WordDelete => return Self::Kill(Kill::Word),
            Key::Unknown => return Self::Nothing,
        };
        Self::Change(change)
    }

    /// The key behind Ctrl-X.
    pub(super) fn after_prefix(key: &Key) -> Self {
        if *key == Key::Control('u') {
            Self::Change(Change::Undo)
        } else if *key == Key::Control('c') {
            Self::Interrupt
        } else if *key == Key::Backspace {
            Self::Kill(Kill::ToStart)
        } else {
            Self::Nothing
        }
    }
}

impl Change {
    /// Whether it goes through more than the characters around the cursor.
    pub(super) fn is_heavy(&self) -> bool {
        !matches!(
            self,
            Self::Insert(_)
                | Self::Abort
                | Self::Backspace
                | Self::Delete
                | Self::Left
                | Self::Right
                | Self::Home
                | Self::End
        )
    }
}

fn control(c: char) -> Command {
    Command::Change(match c {
        'a' => Change::Home,
        'b' => Change::Left,
        'c' => return Command::Interrupt,
        'd' => return Command::EndOrDelete,
        'e' => Change::End,
        'f' => Change::Right,
        'g' => Change::Abort,
        'h' => Change::Backspace,
        'i' => return Command::Complete { list: false },
        'j' | 'm' => return Command::Accept,
        'k' => return Command::Kill(Kill::ToEnd),
        'l' => return Command::ClearScreen,
        'n' => Change::Newer,
        'p' => Change::Older,
        'q' | 'v' => return Command::QuoteNext,
        'r' => return Command::Search { backward: true },
        's' => return Command::Search { backward: false },
        't' => Change::TransposeCharacters,
        'u' => return Command::Kill(Kill::ToStart),
        'w' => return Command::Kill(Kill::BlankWord),
        'x' => return Command::Prefix,
        'y' => return Command::Kill(Kill::Yank),
        ']' => return Command::Find { backward: false },
        '_' => Change::Undo,
        _ => return Command::Nothing,
    })
}

fn meta(c: char) -> Command {
    if let Some(digit) = c.to_digit(10).and_then(|digit| u8::try_from(digit).ok()) {
        return Command::Digit(digit);
    }
    Command::Change(match c.to_ascii_lowercase() {
        '-' => return Command::Minus,
        '#' => return Command::CommentOut,
        '?' | '=' => return Command::Complete { list: true },
        '.' => Change::LastArgument,
        '<' => Change::Oldest,
        '>' => Change::Newest,
        '\\' => Change::DeleteBlanks,
        'b' => Change::WordLeft,
        'c' => Change::Case(Case::Capital),
        'd' => return Command::Kill(Kill::Word),
        'f' => Change::WordRight,
        'l' => Change::Case(Case::Lower),
        'r' => Change::Revert,
        't' => Change::TransposeWords,
        'u' => Change::Case(Case::Upper),
        'y' => return Command::Kill(Kill::YankPop),
        '\u{7f}' => return Command::Kill(Kill::WordBack),
        _ => return Command::Nothing,
    })
}

fn meta_control(c: char) -> Command {
    match c {
        'h' => Command::Kill(Kill::WordBack),
        'y' => Command::Change(Change::NthArgument),
        ']' => Command::Find { backward: true },
        _ => Command::Nothing,
    }
}
