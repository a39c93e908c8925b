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
    /// How much of what begins a paste came behind an ESC that was taken literally: what follows is pasted all the
    /// same, and no newline in it may press Enter.
    quoted_paste: Option<usize>,
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

const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

impl Keys {
    pub(crate) fn new(utf8: bool) -> Self {
        Self {
            state: State::Ground,
            utf8,
            quote: 0,
            quoted_paste: None,
        }
    }

    /// Forgets what was begun.
    pub(crate) fn reset(&mut self) {
        self.state = State::Ground;
        self.quote = 0;
        self.quoted_paste = None;
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
        let pasted = self.quoted_paste.take();
        if self.quotes() {
            self.quoted_paste = (byte == 0x1b).then_some(1);
            return Some(Key::Quoted(char::from(byte)));
        }
        if let Some(matched) = pasted
            && PASTE_BEGIN.get(matched) == Some(&byte)
        {
            self.quoted_paste = Some(matched + 1);
            if matched + 1 == PASTE_BEGIN.len() {
                self.quoted_paste = None;
                return self.go(State::Paste(Paste::default()));
            }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(pieces: &[u8]) -> Vec<Key> {
        let mut keys = Keys::new(true);
        pieces.iter().filter_map(|byte| keys.feed(*byte)).collect()
    }

    /// Between two letters, so that what is left open would swallow the second.
    fn between(sequence: &[u8]) -> Vec<Key> {
        keys(&[b"a", sequence, b"b"].concat())
    }

    #[test]
    fn keys_are_known_in_all_their_forms() {
        let forms: &[(Key, &[&[u8]])] = &[
            (
                Key::Up,
                &[
                    b"\x1b[A",
                    b"\x1bOA",
                    b"\x1b[1;2A",
                    b"\xc2\x9bA",
                    b"\x9bA",
                    b"\x1b\x1b[A",
                ],
            ),
            (
                Key::Left,
                &[b"\x1b[D", b"\x1bOD", b"\x1b[1;2D", b"\x1b[2D", b"\xc2\x8fD"],
            ),
            (
                Key::WordLeft,
                &[
                    b"\x1b[1;5D",
                    b"\x1b[1;3D",
                    b"\x1b[5D",
                    b"\x1bO5D",
                    b"\x1b\x1b[D",
                    b"\x1b[1;6D",
                ],
            ),
            (Key::Home, &[b"\x1b[H", b"\x1bOH", b"\x1b[1~", b"\x1b[7~", b"\x1b[1;5H"]),
            (Key::End, &[b"\x1b[F", b"\x1bOF", b"\x1b[4~", b"\x1b[8~"]),
            (Key::Delete, &[b"\x1b[3~", b"\x1b[3;2~"]),
            (Key::WordDelete, &[b"\x1b[3;5~", b"\x1b[3;3~"]),
            (Key::Meta('f'), &[b"\x1bf"]),
            (Key::MetaControl('h'), &[b"\x1b\x08"]),
            (
                Key::Paste(Some("x\ny".to_owned())),
                &[b"\x1b[200~x\r\n\x07y\x1b[201~", b"\x1b[200~x\x00\ry\xff\x1b[201~"],
            ),
            (
                Key::Paste(Some("[20[2x".to_owned())),
                &[b"\x1b[200~\x1b[20\x1b[2x\x1b[201~"],
            ),
            (Key::Char('\u{fffd}'), &["\u{fffd}".as_bytes()]),
        ];
        for (key, forms) in forms {
            for form in *forms {
                assert_eq!(between(form), [Key::Char('a'), key.clone(), Key::Char('b')], "{form:?}");
            }
        }
    }

    #[test]
    fn what_a_terminal_answers_is_no_text() {
        let answers: &[&[u8]] = &[
            b"\x1b]0;title\x07",
            b"\x1b]11;rgb:ffff/0/0\x1b\\",
            b"\x1bP>|term 1\x1b\\",
            b"\x1b_Gi=1;OK\x1b\\",
            b"\x1b^x\x1b\\",
            b"\x1bXx\x1b\\",
            b"\x1b[?62;1c",
            b"\x1b[24;80R",
            b"\x1b[8;24;80t",
            b"\x1b[I",
            b"\x1b[O",
            b"\x1b[<0;10;10M",
            b"\x1b[M !\xff",
            b"\x1b[[A",
            b"\x1b[27;5;13~",
            b"\x1b[201~",
            b"\xc2\x9d0;t\x07",
            b"\x1b[123456789012345678901234567890123456789012345~",
            b"\xff",
            b"\xc0\x80",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            // A string that breaks off does not press Enter.
            b"\x1b]0;reboot\r",
            b"\x1bPreboot\n",
        ];
        for answer in answers {
            let keys = between(answer);
            let others = keys
                .iter()
                .filter(|key| **key != Key::Unknown)
                .cloned()
                .collect::<Vec<_>>();
            assert_eq!(others, [Key::Char('a'), Key::Char('b')], "{answer:?}");
        }
    }

    #[test]
    fn what_breaks_off_leaves_the_next_key_alone() {
        assert_eq!(keys(b"\x1b[1;\x1b[A"), [Key::Up]);
        assert_eq!(keys(b"\x1b[1;\x03"), [Key::Control('c')]);
        assert_eq!(keys(b"\x1b]0;x\x03"), [Key::Control('c')]);
        assert_eq!(keys(b"\x1b\x03"), [Key::Control('c')]);
        assert_eq!(keys(b"\xe6\xbcx"), [Key::Char('x')]);
        assert_eq!(keys(b"\x1b]0;x\x1b[A"), [Key::Up]);
    }

    #[test]
    fn a_paste_that_is_too_long_is_none_at_all() {
        let paste = |length: usize| [b"\x1b[200~", vec![b'x'; length].as_slice(), b"\x1b[201~"].concat();
        assert_eq!(
            between(&paste(MAX_PASTE + 1)),
            [Key::Char('a'), Key::Paste(None), Key::Char('b')]
        );
        assert!(matches!(
            between(&paste(MAX_PASTE)).as_slice(),
            [_, Key::Paste(Some(_)), _]
        ));
    }

    #[test]
    fn a_paste_behind_a_quoted_escape_is_a_paste() {
        let mut keys = Keys::new(true);
        keys.quote_next(1);
        let pressed: Vec<Key> = b"\x1b[200~rm\rx\x1b[201~\r"
            .iter()
            .filter_map(|byte| keys.feed(*byte))
            .collect();
        assert_eq!(pressed.first(), Some(&Key::Quoted('\x1b')));
        assert_eq!(
            pressed.get(5..),
            Some([Key::Paste(Some("rm\nx".to_owned())), Key::Control('m')].as_slice())
        );
    }

    proptest! {
        #[test]
        fn a_control_sequence_is_one_key_or_none(
            introducer in prop_oneof![Just("\x1b["), Just("\x1bO"), Just("\u{9b}"), Just("\u{8f}")],
            parameters in "[0-9;:<=>?]{0,40}", intermediates in "[ -/]{0,3}", last in "[@-~]",
        ) {
            // What follows is no part of it, but for pastes, mouse reports and the console's function keys.
            prop_assume!(!parameters.is_empty() || !intermediates.is_empty() || !["M", "["].contains(&last.as_str()));
            prop_assume!(!(last == "~" && parameters.starts_with("200")));
            let keys = between(format!("{introducer}{parameters}{intermediates}{last}").as_bytes());
            prop_assert_eq!(keys.len(), 3);
            prop_assert!(!matches!(keys.get(1), Some(Key::Char(_) | Key::Control(_) | Key::Quoted(_) | Key::Paste(_))));
        }
    }
}
