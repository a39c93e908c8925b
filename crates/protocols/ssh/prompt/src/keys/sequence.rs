//! Control sequences: CSI (`ESC [`) and SS3 (`ESC O`), with the modifiers that terminals put into them.

use super::Key;

/// Longer sequences are swallowed without being kept.
const MAX_SEQUENCE: usize = 32;

#[derive(Debug)]
pub(crate) struct Sequence {
    ss3: bool,
    /// ESC came before it, which some terminals send for Alt.
    meta: bool,
    bytes: Vec<u8>,
    overflow: bool,
}

pub(crate) enum Meaning {
    Key(Key),
    /// So many bytes belong to it still.
    Swallow(u8),
    Paste,
}

impl Sequence {
    pub(crate) fn csi(meta: bool) -> Self {
        Self {
            ss3: false,
            meta,
            bytes: Vec::new(),
            overflow: false,
        }
    }

    pub(crate) fn ss3(meta: bool) -> Self {
        Self {
            ss3: true,
            ..Self::csi(meta)
        }
    }

    /// Takes a byte from 0x20 to 0x7e. Gives whether it was the last.
    pub(crate) fn feed(&mut self, byte: u8) -> bool {
        if self.bytes.len() < MAX_SEQUENCE {
            self.bytes.push(byte);
        } else {
            self.overflow = true;
        }
        (0x40..=0x7e).contains(&byte)
    }

    pub(crate) fn meaning(&self) -> Meaning {
        let Some((last, parameters)) = self.bytes.split_last() else {
            return Meaning::Key(Key::Unknown);
        };
        if self.overflow {
            return Meaning::Key(Key::Unknown);
        }
        match (last, parameters.is_empty(), self.ss3) {
            // The console's function keys: one more byte.
            (b'[', true, false) => return Meaning::Swallow(1),
            // The mouse, as X10 reports it: three more bytes.
            (b'M', true, false) => return Meaning::Swallow(3),
            (_, _, _) => {}
        }
        let Some(numbers) = numbers(parameters) else {
            return Meaning::Key(Key::Unknown);
        };
        let first = numbers.first().copied().unwrap_or(0);
        if *last == b'~' && first == 200 && !self.ss3 {
            return Meaning::Paste;
        }
        // Some terminals leave the first number out when there are modifiers.
        let modifiers = match (numbers.get(1), last) {
            (Some(modifiers), _) => *modifiers,
            (None, b'~') => 1,
            (None, _) => first.max(1),
        };
        // xterm: 1 + (1 Shift, 2 Alt, 4 Ctrl, 8 Meta).
        let words = self.meta || modifiers.saturating_sub(1) & 0b1110 != 0;
        Meaning::Key(key(*last, first, words, self.ss3))
    }
}

fn key(last: u8, first: u16, words: bool, ss3: bool) -> Key {
    match (last, words) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', false) => Key::Right,
        (b'C', true) => Key::WordRight,
        (b'D', false) => Key::Left,
        (b'D', true) => Key::WordLeft,
        (b'H', _) => Key::Home,
        (b'F', _) => Key::End,
        (b'~', _) if !ss3 => match (first, words) {
            (1 | 7, _) => Key::Home,
            (4 | 8, _) => Key::End,
            (3, false) => Key::Delete,
            (3, true) => Key::WordDelete,
            (_, _) => Key::Unknown,
        },
        (_, _) => Key::Unknown,
    }
}

/// Numbers between semicolons; nothing if anything else stands there.
fn numbers(parameters: &[u8]) -> Option<Vec<u16>> {
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u16, |number, digit| match digit {
            b'0'..=b'9' => Some(number.saturating_mul(10).saturating_add(u16::from(digit - b'0'))),
            _ => None,
        })
    };
    parameters.split(|byte| *byte == b';').map(number).collect()
}
