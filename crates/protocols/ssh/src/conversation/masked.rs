//! Streams of text, masked.

use std::sync::Arc;

use sallyport_mask::{MaskKey, Medium, Scanner, TextStream};
use sallyport_session::{Effects, Reveals, WireError};

use super::SshConversation;

/// What looks for values in what a person is shown.
#[derive(Debug, Clone)]
pub(crate) struct Masks {
    pub(crate) plain: Arc<Scanner>,
    /// Instead of it while a full-screen program draws, if policy makes a difference of that.
    pub(crate) full_screen: Option<Arc<Scanner>>,
}

impl Masks {
    /// What looks for nothing.
    pub(super) fn nothing(key: &MaskKey) -> Self {
        Self {
            plain: Arc::new(Scanner::new(&[], key)),
            full_screen: None,
        }
    }
}

impl SshConversation {
    /// What looks for values, under the policy in force: nothing, where an agent has done it.
    pub(super) fn masks(&mut self, out: &Effects) -> Masks {
        if self.veiled.is_some() {
            return Masks::nothing(&self.mask_key);
        }
        match &self.masks {
            Some((of, masks)) if Arc::ptr_eq(of, &self.reveals) => masks.clone(),
            Some(_) | None => {
                let (classification, key) = (out.classification(), &self.mask_key);
                let masks = Masks {
                    plain: Arc::new(self.reveals.scanner(classification, key)),
                    full_screen: self.reveals.full_screen_scanner(classification, key).map(Arc::new),
                };
                self.masks = Some((Arc::clone(&self.reveals), masks.clone()));
                masks
            }
        }
    }

    /// Takes up what may be seen now: what runs is masked by it from here on.
    pub(super) fn take_reveals(&mut self, reveals: &Arc<Reveals>, out: &mut Effects) -> Result<(), WireError> {
        if Arc::ptr_eq(reveals, &self.reveals) {
            return Ok(());
        }
        self.reveals = Arc::clone(reveals);
        if self.veiled.is_some() {
            let standing = self.standing(out.classification());
            return self.tell_agent(&standing, out);
        }
        let masks = self.masks(out);
        for at in 0..self.channels.len() {
            // Twice, for a part of a character waits for one more pause.
            for _ in 0..2 {
                self.let_go(at, out)?;
            }
            if let Some(Some(channel)) = self.channels.get_mut(at) {
                channel.change_masks(&masks);
            }
        }
        Ok(())
    }
}

/// One stream of text, masked.
pub(super) struct Masked {
    /// `None` when nothing is looked for.
    text: Option<TextStream>,
    full_screen: Option<FullScreen>,
    shown: Vec<u8>,
}

/// What a terminal's program draws in the alternate screen, where other masks hold.
struct FullScreen {
    text: Option<TextStream>,
    switch: Switch,
    /// It is drawing.
    on: bool,
    /// It began to since [`Masked::turns`] was asked.
    began: bool,
    /// What [`Masked::turns`] said last.
    noted: bool,
}

impl Masked {
    pub(super) fn new(scanner: &Arc<Scanner>, medium: Medium) -> Self {
        Self {
            text: stream(scanner, medium),
            full_screen: None,
            shown: Vec::new(),
        }
    }

    /// The output of a terminal of so many columns.
    pub(super) fn terminal(masks: &Masks, columns: u32) -> Self {
        let full_screen = masks.full_screen.as_ref().map(|scanner| FullScreen {
            text: stream(scanner, Medium::Terminal),
            switch: Switch::default(),
            on: false,
            began: false,
            noted: false,
        });
        let mut masked = Self {
            full_screen,
            ..Self::new(&masks.plain, Medium::Terminal)
        };
        masked.resize(columns);
        masked
    }

    /// What is passed as it is, because it is no text.
    pub(super) fn unmasked() -> Self {
        Self {
            text: None,
            full_screen: None,
            shown: Vec::new(),
        }
    }

    /// From now on other masks hold. What was held back was shown before.
    pub(super) fn change(&mut self, mut to: Self) {
        if let (Some(old), Some(new)) = (&mut self.full_screen, &mut to.full_screen) {
            new.switch = std::mem::take(&mut old.switch);
            (new.on, new.began, new.noted) = (old.on, old.began, old.noted);
        }
        *self = to;
    }

    /// The terminal has so many columns; 0 if nobody knows.
    pub(super) fn resize(&mut self, columns: u32) {
        let columns = usize::try_from(columns).unwrap_or_default();
        let full_screen = self.full_screen.as_mut().and_then(|screen| screen.text.as_mut());
        for text in self.text.as_mut().into_iter().chain(full_screen) {
            text.resize(columns);
        }
    }

    pub(super) fn take<'p>(&'p mut self, piece: &'p [u8], echo: bool) -> &'p [u8] {
        if self.text.is_none() && self.full_screen.is_none() {
            return piece;
        }
        self.shown.clear();
        self.push(piece);
        let (text, shown) = self.current_and_shown();
        if let Some(text) = text.filter(|_| echo) {
            text.flush_echo(shown);
        }
        &self.shown
    }

    pub(super) fn rest(&mut self) -> &[u8] {
        self.shown.clear();
        let (text, shown) = self.current_and_shown();
        if let Some(text) = text {
            text.flush(shown);
        }
        &self.shown
    }

    pub(super) fn is_holding(&self) -> bool {
        let text = match &self.full_screen {
            Some(screen) if screen.on => &screen.text,
            Some(_) | None => &self.text,
        };
        text.as_ref().is_some_and(TextStream::is_holding)
    }

    /// When a full-screen program began or ended to draw under masks of its own, since this was asked last: at most one of
    /// each.
    pub(super) fn turns(&mut self) -> impl Iterator<Item = bool> + use<> {
        let turns = self.full_screen.as_mut().map(|screen| {
            let began = std::mem::take(&mut screen.began) && !screen.noted;
            let ended = !screen.on && (screen.noted || began);
            screen.noted = screen.on;
            [began.then_some(true), ended.then_some(false)]
        });
        turns.into_iter().flatten().flatten()
    }

    fn push(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !rest.is_empty() {
            let (used, switched) = match &mut self.full_screen {
                Some(screen) => screen.switch.find(rest),
                None => (rest.len(), None),
            };
            let (part, behind) = rest.split_at_checked(used).unwrap_or((rest, &[]));
            let (text, shown) = self.current_and_shown();
            match text {
                Some(text) => text.push(part, shown),
                None => shown.extend_from_slice(part),
            }
            if let Some(on) = switched {
                self.turn(on);
            }
            rest = behind;
        }
    }

    /// The alternate screen is shown from here on, or is not any more.
    fn turn(&mut self, on: bool) {
        let (text, shown) = self.current_and_shown();
        if let Some(text) = text {
            finish(text, shown);
        }
        if let Some(screen) = &mut self.full_screen {
            screen.on = on;
            screen.began |= on;
        }
    }

    fn current_and_shown(&mut self) -> (Option<&mut TextStream>, &mut Vec<u8>) {
        let text = match &mut self.full_screen {
            Some(screen) if screen.on => screen.text.as_mut(),
            Some(_) | None => self.text.as_mut(),
        };
        (text, &mut self.shown)
    }
}

/// Whether masks would change a text of the host's: it must stand neither in a command nor in what people read of one.
pub(super) fn is_masked(scanner: &Arc<Scanner>, text: &str) -> bool {
    let mut masked = Masked::new(scanner, Medium::Bytes);
    let mut shown = masked.take(text.as_bytes(), false).to_vec();
    shown.extend_from_slice(masked.rest());
    shown != text.as_bytes()
}

/// Shows all that is held, also the part of a character that waits for one more pause.
fn finish(text: &mut TextStream, shown: &mut Vec<u8>) {
    while text.is_holding() {
        text.flush(shown);
    }
}

fn stream(scanner: &Arc<Scanner>, medium: Medium) -> Option<TextStream> {
    (!scanner.is_empty()).then(|| TextStream::new(Arc::clone(scanner), medium))
}

/// Finds where a terminal is told to show the alternate screen or the usual one (xterm's private modes 47, 1047 and
/// 1049, and the reset), wherever the bytes are cut.
///
/// A program says so itself, whatever it is: this tells no full-screen program from one that pretends to be one.
#[derive(Debug, Default)]
struct Switch {
    /// A sequence that has begun.
    sequence: Vec<u8>,
}

const ESC: u8 = 0x1B;
/// The longest sequence of modes that is looked at.
const LONGEST: usize = 32;

impl Switch {
    /// How far `bytes` belong to the screen that is shown now, and which one is shown behind that, if it is another word on
    /// the matter.
    fn find(&mut self, bytes: &[u8]) -> (usize, Option<bool>) {
        let mut at = 0;
        while at < bytes.len() {
            if self.sequence.is_empty() {
                let rest = bytes.get(at..).unwrap_or_default();
                let Some(escape) = memchr::memchr(ESC, rest) else { break };
                at += escape + 1;
                self.sequence.push(ESC);
                continue;
            }
            let byte = bytes.get(at).copied().unwrap_or_default();
            at += 1;
            if let Some(on) = self.next(byte) {
                return (at, Some(on));
            }
        }
        (bytes.len(), None)
    }

    /// Takes the next byte of a sequence, and says what it does if it is whole and about screens.
    fn next(&mut self, byte: u8) -> Option<bool> {
        self.sequence.push(byte);
        let goes_on = match (self.sequence.as_slice(), byte) {
            ([ESC, b'[' | b'c'] | [ESC, b'[', b'?'], _) => byte != b'c',
            ([ESC, b'[', b'?', ..], b'0'..=b'9' | b';') => self.sequence.len() < LONGEST,
            _ => false,
        };
        if goes_on {
            return None;
        }
        let sequence = std::mem::take(&mut self.sequence);
        if byte == ESC {
            self.sequence.push(ESC);
        }
        match sequence.as_slice() {
            [ESC, b'c'] => Some(false),
            [ESC, b'[', b'?', modes @ .., b'h' | b'l'] => {
                let mut modes = modes.split(|byte| *byte == b';');
                modes
                    .any(|mode| matches!(mode, b"47" | b"1047" | b"1049"))
                    .then_some(byte == b'h')
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use sallyport_mask::{Detector, Strategy};
    use secrecy::SecretSlice;

    fn masks() -> Masks {
        let key = MaskKey::new(&SecretSlice::from(vec![7; 32]));
        let scanner = |rules: &[_]| Arc::new(Scanner::new(rules, &key));
        Masks {
            plain: scanner(&[(Detector::CreditCard, Strategy::Redact)]),
            full_screen: Some(scanner(&[])),
        }
    }

    /// What is shown of `text` in pieces of `size`, and when turns were noted.
    fn shown(masks: &Masks, text: &[u8], size: usize) -> (String, Vec<bool>) {
        let mut masked = Masked::terminal(masks, 80);
        let (mut shown, mut turns) = (Vec::new(), Vec::new());
        for piece in text.chunks(size) {
            shown.extend_from_slice(masked.take(piece, false));
            turns.extend(masked.turns());
        }
        shown.extend_from_slice(masked.rest());
        (String::from_utf8(shown).unwrap(), turns)
    }

    const CARD: &str = "4111 1111 1111 1111";

    #[test]
    fn full_screen_programs_are_shown_under_their_own_masks_wherever_they_are_cut() {
        for (on, off) in [
            ("\x1b[?1049h", "\x1b[?1049l"),
            ("\x1b[?47h", "\x1b[?47l"),
            ("\x1b[?1;1047h", "\x1b[?1047;25l"),
            ("\x1b\x1b[?1049h", "\x1bc"),
        ] {
            let text = format!("a {CARD} b{on}c {CARD} d{off}e {CARD} f\r\n");
            let whole = shown(&masks(), text.as_bytes(), text.len()).0;
            assert_eq!(whole.matches(CARD).count(), 1, "{whole:?}");
            assert!(whole.contains(&format!("{on}c {CARD} d{off}")), "{whole:?}");
            for size in 1..text.len() {
                assert_eq!(
                    shown(&masks(), text.as_bytes(), size),
                    (whole.clone(), vec![true, false])
                );
            }
        }
    }

    #[test]
    fn what_only_looks_like_it_changes_nothing() {
        for near in [
            "\x1b[?1048h",
            "\x1b[1049h",
            "\x1b[?1049;x",
            "[?1049h",
            "\x1b[?1049 h",
            "\x1b]0;[?1049h\x07",
        ] {
            let text = format!("{near}a {CARD} b\r\n");
            let (text, turns) = shown(&masks(), text.as_bytes(), 3);
            assert!(!text.contains(CARD) && turns.is_empty(), "{text:?}");
        }
    }

    #[test]
    fn without_a_difference_nothing_is_exempt() {
        let masks = Masks {
            full_screen: None,
            ..masks()
        };
        let (text, turns) = shown(&masks, format!("\x1b[?1049ha {CARD} b").as_bytes(), 100);
        assert!(!text.contains(CARD) && turns.is_empty(), "{text:?}");
    }

    #[test]
    fn other_masks_hold_at_once() {
        let masks = masks();
        let clear = Masks {
            plain: Arc::clone(masks.full_screen.as_ref().unwrap()),
            full_screen: None,
        };
        let mut masked = Masked::terminal(&clear, 80);
        assert_eq!(masked.take(b"4111 1111 1111 1111 ", false), b"4111 1111 1111 1111 ");
        masked.change(Masked::terminal(&masks, 80));
        assert!(!masked.take(b"4111 1111 1111 1111 x\n", false).starts_with(b"4111"));
    }
}
