//! Bytes of a terminal → keys.
//!
//! Sequences that are not known are swallowed whole ([ECMA-48] §5.4 says where they end), so that nothing of what a
//! terminal answers to a program becomes text. There is no clock: an ESC alone waits for the byte that follows it.
//!
//! [ECMA-48]: https://ecma-international.org/publications-and-standards/standards/ecma-48/

mod sequence;

use sequence::Sequence;

/// Text pasted at once; more is no paste but a bell.
const MAX_PASTE: usize = crate::MAX_LINE;

/// What was pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    /// Ctrl with a small letter or one of ``@[\]^_``.
    Control(char),
    /// Alt, or ESC before it. Backspace is DEL.
    Meta(char),
    /// Alt and Ctrl.
    MetaControl(char),
    Backspace,
    Delete,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
    /// Left, Right and Delete with Ctrl or Alt.
    WordLeft,
    WordRight,
    WordDelete,
    /// Any character, taken literally.
    Quoted(char),
    /// Text from the clipboard; nothing if it was too long.
    Paste(Option<String>),
    /// A key or an answer of the terminal that means nothing here.
    Unknown,
}

/// Takes bytes, however they were cut.
#[derive(Debug)]
pub(crate) struct Keys {
    state: State,
    utf8: bool,
    /// So many characters are taken literally.
    quote: usize,
}

#[derive(Debug)]
enum State {
    Ground,
    /// Some bytes of a character.
    Character(Partial),
    /// `twice`: ESC came before it too, which some terminals send for Alt.
    Escape {
        twice: bool,
    },
    Sequence(Sequence),
    /// A string for the terminal (OSC, DCS, SOS, PM, APC), up to its terminator. `escape`: ESC was the last byte.
    Text {
        escape: bool,
    },
    /// Bytes of a mouse report or of a function key that are still to come.
    Swallow(u8),
    Paste(Paste),
}

#[derive(Debug, Default)]
struct Partial {
    bytes: Vec<u8>,
    length: usize,
    meta: bool,
}

#[derive(Debug, Default)]
struct Paste {
    bytes: Vec<u8>,
    /// How much of the terminator was seen.
    matched: usize,
    overflow: bool,
}

const PASTE_END: &[u8] = b"\x1b[201~";

impl Keys {
    pub(crate) fn new(utf8: bool) -> Self {
        Self {
            state: State::Ground,
            utf8,
            quote: 0,
        }
    }

    /// Forgets what was begun.
    pub(crate) fn reset(&mut self) {
        self.state = State::Ground;
        self.quote = 0;
    }

    /// Takes the next characters literally.
    pub(crate) fn quote_next(&mut self, count: usize) {
        self.quote = count;
    }

    pub(crate) fn feed(&mut self, byte: u8) -> Option<Key> {
        match std::mem::replace(&mut self.state, State::Ground) {
            State::Ground => self.ground(byte),
            State::Character(partial) => self.character(partial, byte),
            State::Escape { twice } => self.escape(byte, twice),
            State::Sequence(sequence) => self.sequence(sequence, byte),
            State::Text { escape } => self.text(byte, escape),
            State::Swallow(count) => {
                if count > 1 {
                    self.state = State::Swallow(count - 1);
                    return None;
                }
                Some(Key::Unknown)
            }
            State::Paste(paste) => self.paste(paste, byte),
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        if byte >= 0x80 {
            return self.begin_character(byte, false);
        }
        if self.quotes() {
            return Some(Key::Quoted(char::from(byte)));
        }
        match byte {
            0x1b => self.go(State::Escape { twice: false }),
            0x7f => Some(Key::Backspace),
            0x00..=0x1f => Some(Key::Control(letter(byte))),
            0x20.. => Some(Key::Char(char::from(byte))),
        }
    }

    fn escape(&mut self, byte: u8, twice: bool) -> Option<Key> {
        match byte {
            b'[' => self.go(State::Sequence(Sequence::csi(twice))),
            b'O' => self.go(State::Sequence(Sequence::ss3(twice))),
            b']' | b'P' | b'X' | b'^' | b'_' => self.go(State::Text { escape: false }),
            0x1b => self.go(State::Escape { twice: true }),
            // The terminal's line discipline takes these wherever they stand.
            0x03 => Some(Key::Control('c')),
            0x00..=0x1f => Some(Key::MetaControl(letter(byte))),
            0x20..=0x7f => Some(Key::Meta(char::from(byte))),
            0x80.. => self.begin_character(byte, true),
        }
    }

    fn sequence(&mut self, mut sequence: Sequence, byte: u8) -> Option<Key> {
        match byte {
            0x1b => self.go(State::Escape { twice: false }),
            // A control character ends what it stands in, and does what it does.
            0x00..=0x1f => self.ground(byte),
            0x7f.. => Some(Key::Unknown),
            0x20..=0x7e => {
                if !sequence.feed(byte) {
                    return self.go(State::Sequence(sequence));
                }
                match sequence.meaning() {
                    sequence::Meaning::Key(key) => Some(key),
                    sequence::Meaning::Swallow(count) => self.go(State::Swallow(count)),
                    sequence::Meaning::Paste => self.go(State::Paste(Paste::default())),
                }
            }
        }
    }

    fn text(&mut self, byte: u8, escape: bool) -> Option<Key> {
        match (byte, escape) {
            (b'\\', true) | (0x07, _) => Some(Key::Unknown),
            (0x1b, _) => self.go(State::Text { escape: true }),
            (_, true) => self.escape(byte, false),
            (0x03, false) => Some(Key::Control('c')),
            // No string holds these. It ends here, and does not press Enter.
            (0x00..=0x1f, false) => Some(Key::Unknown),
            (_, false) => self.go(State::Text { escape: false }),
        }
    }

    fn paste(&mut self, mut paste: Paste, byte: u8) -> Option<Key> {
        if PASTE_END.get(paste.matched) == Some(&byte) {
            paste.matched += 1;
            if paste.matched == PASTE_END.len() {
                return Some(Key::Paste(paste.text(self.utf8)));
            }
            return self.go(State::Paste(paste));
        }
        let matched = std::mem::take(&mut paste.matched);
        // ESC begins the terminator and stands nowhere else in it.
        paste.take(PASTE_END.get(..matched).unwrap_or_default());
        if byte == 0x1b {
            paste.matched = 1;
        } else {
            paste.take(&[byte]);
        }
        self.go(State::Paste(paste))
    }

    fn begin_character(&mut self, byte: u8, meta: bool) -> Option<Key> {
        let length = match byte {
            0xc2..=0xdf if self.utf8 => 2,
            0xe0..=0xef if self.utf8 => 3,
            0xf0..=0xf4 if self.utf8 => 4,
            _ => return self.stray(byte),
        };
        self.go(State::Character(Partial {
            bytes: vec![byte],
            length,
            meta,
        }))
    }

    fn character(&mut self, mut partial: Partial, byte: u8) -> Option<Key> {
        if !(0x80..=0xbf).contains(&byte) {
            // What was begun is no character, and this byte is none of it.
            return self.ground(byte);
        }
        partial.bytes.push(byte);
        if partial.bytes.len() < partial.length {
            return self.go(State::Character(partial));
        }
        let text = std::str::from_utf8(&partial.bytes).ok();
        let Some(c) = text.and_then(|text| text.chars().next()) else {
            return Some(Key::Unknown);
        };
        if let Ok(byte @ 0x80..=0x9f) = u8::try_from(u32::from(c)) {
            return self.eight_bit(byte);
        }
        if partial.meta {
            return Some(Key::Unknown);
        }
        Some(if self.quotes() { Key::Quoted(c) } else { Key::Char(c) })
    }

    /// A byte that is no part of a character. CSI in eight bits begins a sequence in every encoding; the introducers of
    /// strings do so where they cannot be the rest of a broken character.
    fn stray(&mut self, byte: u8) -> Option<Key> {
        match byte {
            0x9b => self.eight_bit(byte),
            0x80..=0x9f if !self.utf8 => self.eight_bit(byte),
            _ => Some(Key::Unknown),
        }
    }

    fn eight_bit(&mut self, byte: u8) -> Option<Key> {
        self.quote = 0;
        match byte {
            0x9b => self.go(State::Sequence(Sequence::csi(false))),
            0x8f => self.go(State::Sequence(Sequence::ss3(false))),
            0x90 | 0x98 | 0x9d | 0x9e | 0x9f => self.go(State::Text { escape: false }),
            _ => Some(Key::Unknown),
        }
    }

    /// Whether this character is taken literally.
    fn quotes(&mut self) -> bool {
        let left = self.quote.checked_sub(1);
        self.quote = left.unwrap_or(0);
        left.is_some()
    }

    fn go(&mut self, state: State) -> Option<Key> {
        self.state = state;
        None
    }
}

impl Paste {
    fn take(&mut self, bytes: &[u8]) {
        self.overflow |= self.bytes.len() + bytes.len() > MAX_PASTE;
        if self.overflow {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// What may stand in a line: characters, tabs, and newlines however the terminal sends them.
    fn text(self, utf8: bool) -> Option<String> {
        if self.overflow {
            return None;
        }
        let mut text = String::with_capacity(self.bytes.len());
        for chunk in self.bytes.utf8_chunks() {
            text.push_str(chunk.valid());
        }
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let keep = |c: &char| matches!(c, '\n' | '\t') || (!c.is_control() && (utf8 || c.is_ascii()));
        Some(text.chars().filter(keep).collect())
    }
}

/// `^X`'s X, in small letters.
fn letter(byte: u8) -> char {
    char::from(byte | 0x40).to_ascii_lowercase()
}
