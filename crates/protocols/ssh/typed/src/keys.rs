//! Bytes of a terminal → keys, as far as they decide what is known of a line.

/// What a key does to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Backspace,
    /// Removes the character under the cursor.
    Delete,
    KillLine,
    KillToEnd,
    KillWord,
    Left,
    Right,
    Start,
    End,
    /// Gives the line up.
    Interrupt,
    /// An answer of the terminal itself, which nobody typed.
    Report,
    /// The beginning or the end of a paste.
    Paste(bool),
    /// Anything else: what it does to the line, only the host knows.
    Unknown,
}

/// Takes bytes, however they were cut.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    state: State,
    /// Within a bracketed paste everything is text.
    pub(crate) pasting: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// The first bytes of a character, and how many it has.
    Begun(Vec<u8>, usize),
    Escape,
    /// Between `ESC [` and the final byte.
    Sequence(Vec<u8>),
    /// Behind `ESC O`.
    Single,
    /// Behind Ctrl-X.
    Prefix,
    /// The next key is text, whatever it is.
    Quoting,
}

/// Parameters of a control sequence that are looked at; a longer one is no known one.
const MAX_PARAMETERS: usize = 16;

pub(crate) const INTERRUPT: u8 = 0x03;
pub(crate) const END_OF_INPUT: u8 = 0x04;
const ESCAPE: u8 = 0x1b;

impl Keys {
    /// Whether a shell runs its line at this byte: Enter, Ctrl-J and Ctrl-O, wherever they stand.
    pub(crate) const fn submits(byte: u8) -> bool {
        matches!(byte, b'\r' | b'\n' | 0x0f)
    }

    /// Whether this byte completes a key by which readline runs what was not typed at its line: Ctrl-X with Ctrl-E (what
    /// an editor leaves) or with `e`, `(` and `)` (the keys of a macro).
    pub(crate) fn runs_unseen(&self, byte: u8) -> bool {
        self.state == State::Prefix && matches!(byte, 0x05 | b'e' | b'E' | b'(' | b')')
    }

    /// Whether the next key is text, whatever it is.
    pub(crate) fn is_quoting(&self) -> bool {
        self.state == State::Quoting
    }

    /// Whether a shell that runs its line at this byte puts another in its place.
    pub(crate) const fn leaves_another(byte: u8) -> bool {
        byte == 0x0f
    }

    /// Forgets what began.
    pub(crate) fn reset(&mut self) {
        self.state = State::Ground;
    }

    /// Takes a byte; a key, if one ends with it.
    pub(crate) fn take(&mut self, byte: u8) -> Option<Key> {
        match std::mem::take(&mut self.state) {
            State::Ground => self.ground(byte),
            State::Begun(mut bytes, len) => {
                bytes.push(byte);
                if bytes.len() < len && byte & 0xc0 == 0x80 {
                    self.state = State::Begun(bytes, len);
                    return None;
                }
                let text = std::str::from_utf8(&bytes).ok();
                let only = text.and_then(|text| text.chars().next());
                Some(only.map_or(Key::Unknown, Key::Char))
            }
            State::Escape => self.escape(byte),
            State::Sequence(bytes) => self.sequence(bytes, byte),
            State::Single => Some(moves(byte)),
            State::Prefix => Some(Key::Unknown),
            State::Quoting => Some(Key::Unknown),
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        Some(match byte {
            ESCAPE => {
                self.state = State::Escape;
                return None;
            }
            b' '..=b'~' => Key::Char(char::from(byte)),
            0xc2..=0xf4 => {
                let len = match byte {
                    0xc2..=0xdf => 2,
                    0xe0..=0xef => 3,
                    _ => 4,
                };
                self.state = State::Begun(vec![byte], len);
                return None;
            }
            _ if self.pasting => Key::Unknown,
            0x7f | 0x08 => Key::Backspace,
            0x01 => Key::Start,
            0x02 => Key::Left,
            END_OF_INPUT => Key::Delete,
            0x05 => Key::End,
            0x06 => Key::Right,
            0x0b => Key::KillToEnd,
            0x15 => Key::KillLine,
            0x17 => Key::KillWord,
            INTERRUPT => Key::Interrupt,
            0x16 | 0x11 => {
                self.state = State::Quoting;
                Key::Unknown
            }
            0x18 => {
                self.state = State::Prefix;
                Key::Unknown
            }
            _ => Key::Unknown,
        })
    }

    fn escape(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'[' => self.state = State::Sequence(Vec::new()),
            b'O' => self.state = State::Single,
            ESCAPE => self.state = State::Escape,
            _ => return Some(Key::Unknown),
        }
        None
    }

    fn sequence(&mut self, mut bytes: Vec<u8>, byte: u8) -> Option<Key> {
        match byte {
            b' '..=b'?' if bytes.len() < MAX_PARAMETERS => {
                bytes.push(byte);
                self.state = State::Sequence(bytes);
                return None;
            }
            ESCAPE => {
                self.state = State::Escape;
                return Some(Key::Unknown);
            }
            _ => {}
        }
        Some(match (bytes.as_slice(), byte) {
            (b"200", b'~') => {
                self.pasting = true;
                Key::Paste(true)
            }
            (b"201", b'~') => {
                self.pasting = false;
                Key::Paste(false)
            }
            _ if self.pasting => Key::Unknown,
            (b"1" | b"7", b'~') => Key::Start,
            (b"4" | b"8", b'~') => Key::End,
            (b"3", b'~') => Key::Delete,
            (b"", letter) => moves(letter),
            // Where the cursor is, what the terminal can do, whether its window has the focus.
            (_, b'R' | b'c' | b'n' | b't') => Key::Report,
            _ => Key::Unknown,
        })
    }
}

fn moves(letter: u8) -> Key {
    match letter {
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Start,
        b'F' => Key::End,
        b'I' | b'O' => Key::Report,
        _ => Key::Unknown,
    }
}
