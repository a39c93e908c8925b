//! Text that arrives in pieces: terminal output, logs, bodies.

mod breaks;
mod find;
mod held;
mod key;
mod reading;
mod sequence;
mod show;

use std::sync::Arc;

use crate::scanner::pem::{self, Label};
use crate::{Detector, Scanner, Scratch, words};
use breaks::{Parting, is_token, unfinished_character};
use held::Held;
use reading::Reading;
use sequence::{ESC, Effect, Outcome, Sequence};
use show::{Hidden, Writer};

/// Text without a place where nothing could be cut is searched so much at a time.
const WINDOW: usize = 16 * 1024;
/// Of each such part so much is searched again with the next, for what its end cuts.
const OVERLAP: usize = 1024;
/// A value that ends nearer to the end of such a part may go on behind it.
const MARGIN: usize = 64;
/// So much of what was shown is remembered where it may have been a part of a value.
const CONTEXT: usize = 320;
/// So much is held back at most of a private key that has no end.
const KEY_LIMIT: usize = 32 * 1024;
/// The longest end line of a private key, for one that is cut in two.
const END_LINE: usize = 160;
/// A line behind such a key is judged when so much of it came.
const LINE_LIMIT: usize = 1024;
/// So many bytes of control sequences are held back at most within one value.
const SEQUENCES_LIMIT: usize = 16 * 1024;
/// So much memory a buffer keeps over a pause.
const SILENT: usize = 4 * 1024;
/// The longest string sequence: of a terminal, and elsewhere.
const TERMINAL_STRING: usize = 64 * 1024;
const OTHER_STRING: usize = 4 * 1024;

/// What reads the text in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A terminal: values are found as a person sees them there.
    Terminal,
    /// A program, a file: nothing is known of the bytes.
    Bytes,
}

/// Masks text that arrives in pieces, wherever it is cut.
///
/// What no value can have a part in any more is shown at once, the rest when it is decided. What is shown is the same
/// wherever the text was cut, but for [`TextStream::flush`]. The crate's `README.md` says what is promised. At most
/// about 50 KiB are held back, and 64 KiB of one control sequence.
#[derive(Debug)]
pub struct TextStream {
    scanner: Arc<Scanner>,
    scratch: Scratch,
    parting: Parting,
    held: Held,
    sequence: Sequence,
    /// A sequence for the clipboard is left out that is too long to be looked into.
    dropping: bool,
    /// Up to here no break was found in what is held.
    checked: usize,
    /// Up to here no private key begins.
    key_checked: usize,
    /// Up to here the one that begins there does not end.
    end_checked: usize,
    remainder: Remainder,
    /// The last character, of which only a part came, was held back at a pause.
    patient: bool,
    values: Vec<Hidden>,
    reading: Reading,
    spare: Vec<u8>,
}

/// What comes belongs to something that was replaced before its end came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remainder {
    None,
    /// A private key.
    Key,
    /// A value longer than [`WINDOW`].
    Value,
}

impl TextStream {
    /// A stream that has not begun.
    pub fn new(scanner: Arc<Scanner>, medium: Medium) -> Self {
        let terminal = medium == Medium::Terminal;
        Self {
            parting: Parting::new(&scanner, terminal),
            scanner,
            scratch: Scratch::default(),
            held: Held::default(),
            sequence: Sequence::new(if terminal { TERMINAL_STRING } else { OTHER_STRING }),
            dropping: false,
            checked: 0,
            key_checked: 0,
            end_checked: 0,
            remainder: Remainder::None,
            patient: false,
            values: Vec::new(),
            reading: Reading::default(),
            spare: Vec::new(),
        }
    }

    /// The terminal has so many columns from now on; 0 if nobody knows.
    pub fn resize(&mut self, columns: usize) {
        self.parting.columns = Some(columns).filter(|columns| *columns > 0);
    }

    /// Takes the next piece and appends what can be shown now to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.patient = false;
        self.take(piece, out);
        self.settle(out);
    }

    /// Appends what is held, masked as if the text ended here: nothing more came for a while. Of a value that goes on
    /// nevertheless the rest is hidden. What came of a control sequence stays.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        let kept = if self.patient {
            0
        } else {
            unfinished_character(self.held.pending())
        };
        self.let_out(kept, out);
        self.patient = kept > 0;
        // Many streams are silent most of the time.
        self.held.text.shrink_to(SILENT);
        self.held.sequences.shrink_to(SILENT);
        self.spare.shrink_to(SILENT);
        self.reading.shrink_to(SILENT);
    }

    /// [`TextStream::flush`], for what a person just typed and sees come back: what follows is not taken for the rest
    /// of it.
    pub fn flush_echo(&mut self, out: &mut Vec<u8>) {
        self.flush(out);
        self.let_go(self.held.shown, 0);
    }

    /// The text that is held back.
    pub fn held(&self) -> &[u8] {
        self.held.pending()
    }

    /// Whether [`TextStream::flush`] would show something.
    pub fn is_holding(&self) -> bool {
        !self.held.pending().is_empty()
    }

    /// Ends the stream.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        while self.sequence.has_begun() {
            if sequence::clipboard(self.sequence.bytes()).is_some() {
                self.sequence.take(&mut self.spare);
            } else {
                self.no_sequence(out);
            }
        }
        self.let_out(0, out);
    }

    /// Tells sequences from text.
    fn take(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while !rest.is_empty() {
            let used = if self.dropping {
                self.drop_string(rest)
            } else if self.sequence.has_begun() {
                match self.sequence.feed(rest) {
                    Outcome::Open => return,
                    Outcome::Whole(used) => {
                        self.whole_sequence(out);
                        used
                    }
                    Outcome::None(used) => {
                        self.no_sequence(out);
                        used
                    }
                    Outcome::TooLong(used) => {
                        self.dropping = sequence::clipboard(self.sequence.bytes()).is_some();
                        if self.dropping {
                            self.sequence.take(&mut self.spare);
                        } else {
                            self.no_sequence(out);
                        }
                        used
                    }
                }
            } else {
                let text = memchr::memchr(ESC, rest).unwrap_or(rest.len());
                self.take_text(rest.get(..text).unwrap_or_default(), out);
                let length = sequence::short(rest.get(text..).unwrap_or_default());
                if let Some(short) = rest.get(text..text + length).filter(|short| !short.is_empty()) {
                    self.held.add_sequence(short, Effect::of(short));
                    self.bound_sequences(out);
                } else if text < rest.len() {
                    self.sequence.begin();
                }
                text + length.max(1)
            };
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    fn take_text(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let mut parts = text.chunks(2 * WINDOW);
        if let Some(part) = parts.next() {
            self.held.add(part, !self.parting.terminal);
        }
        for part in parts {
            self.settle(out);
            self.held.add(part, !self.parting.terminal);
        }
    }

    /// How much of `rest` belongs to a sequence that is left out.
    fn drop_string(&mut self, rest: &[u8]) -> usize {
        let end = rest.iter().position(|byte| matches!(*byte, 0x07 | 0x18 | 0x1A | ESC));
        self.dropping = end.is_none();
        end.map_or(rest.len(), |at| at + usize::from(rest.get(at) != Some(&ESC)))
    }

    /// A sequence is whole: its text is masked as one of its own.
    fn whole_sequence(&mut self, out: &mut Vec<u8>) {
        let mut bytes = std::mem::take(&mut self.spare);
        self.sequence.take(&mut bytes);
        if self.mask_sequence(&mut bytes) {
            self.held.add_sequence(&bytes, Effect::of(&bytes));
        }
        self.spare = bytes;
        self.bound_sequences(out);
    }

    /// Too many sequences end whatever value may be around them.
    fn bound_sequences(&mut self, out: &mut Vec<u8>) {
        if self.held.sequences.len() >= SEQUENCES_LIMIT {
            self.settle(out);
            if self.held.sequences.len() >= SEQUENCES_LIMIT {
                self.let_out(0, out);
            }
        }
    }

    /// Masks what a string sequence says. False: it must not be shown at all.
    fn mask_sequence(&mut self, bytes: &mut Vec<u8>) -> bool {
        let Some(said) = sequence::said(bytes) else {
            return true;
        };
        let mut masked = Vec::new();
        let frame_end = bytes.split_off(said.end);
        if let Some(data) = sequence::clipboard(bytes) {
            let copied = words::base64(bytes.get(data..).unwrap_or_default());
            if self.scanner.scan_with(&copied, &mut self.scratch, &mut masked) {
                if self.held.nul.is_none() {
                    return false;
                }
                for byte in bytes.iter_mut().skip(data) {
                    *byte = b'*';
                }
            }
        } else {
            let text = bytes.split_off(said.start);
            if !self.scanner.scan_with(&text, &mut self.scratch, &mut masked) {
                masked.extend_from_slice(&text);
            } else if self.held.nul.is_some() && masked.len() != text.len() {
                masked.clear();
                masked.resize(text.len(), b'*');
            }
            bytes.extend_from_slice(&masked);
        }
        bytes.extend_from_slice(&frame_end);
        true
    }

    /// What began like a sequence is text.
    fn no_sequence(&mut self, out: &mut Vec<u8>) {
        let mut bytes = Vec::new();
        self.sequence.take(&mut bytes);
        if let Some((escape, rest)) = bytes.split_first() {
            self.take_text(&[*escape], out);
            // At most its last byte begins another.
            self.take(rest, out);
        }
    }

    /// Shows all that is decided.
    fn settle(&mut self, out: &mut Vec<u8>) {
        while self.is_holding() && self.step(out) {}
        if self
            .held
            .marks
            .first()
            .is_some_and(|mark| mark.at == self.held.shown && mark.standing == 0)
        {
            Writer::new(&self.held, out).finish();
            self.let_go(self.held.shown, CONTEXT);
        }
    }

    /// Shows what can be shown first, or says that more must come.
    fn step(&mut self, out: &mut Vec<u8>) -> bool {
        if self.remainder != Remainder::None {
            return self.drop_remainder(false, out);
        }
        let (shown, length) = (self.held.shown, self.held.text.len());
        let key = self.key();
        let begin = key.map_or(usize::MAX, |(begin, _)| begin);
        let limit = length.min(shown + WINDOW).min(begin);
        let from = self.checked.max(shown);
        if limit > from {
            match self.parting.last(&self.held.text, from, limit) {
                Ok(at) => {
                    self.show(at, 0, out);
                    return true;
                }
                Err(undecided) => self.checked = undecided,
            }
        }
        match key {
            Some((begin, label)) if begin <= limit => self.step_key(begin, label, out),
            Some(_) | None if length - shown >= WINDOW => {
                self.show_window(out);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Where the first private key begins, and where its body does if that is known.
    fn key(&mut self) -> Option<(usize, Option<usize>)> {
        if !self.scanner.looks_for(Detector::PrivateKey) {
            return None;
        }
        loop {
            let Some(begin) = pem::begin_after(&self.held.text, self.key_checked) else {
                self.key_checked = self
                    .key_checked
                    .max(self.held.text.len().saturating_sub(pem::BEGIN_LENGTH - 1));
                return None;
            };
            self.key_checked = begin;
            let label = begin + pem::BEGIN_LENGTH;
            match pem::label_of(self.held.text.get(label..).unwrap_or_default()) {
                Label::Whole(length) => return Some((begin, Some(label + length))),
                Label::Open => return Some((begin, None)),
                Label::None => self.key_checked = label,
            }
        }
    }

    /// Nothing but a private key is in the way.
    fn step_key(&mut self, begin: usize, body: Option<usize>, out: &mut Vec<u8>) -> bool {
        let Some(body) = body else {
            return false;
        };
        let limit = self.held.text.len().min(begin + KEY_LIMIT);
        let known = self.held.text.get(..limit).unwrap_or_default();
        if let Some(end) = pem::end_after(known, self.end_checked.max(body)) {
            self.show(end, CONTEXT, out);
            self.key_checked = self.held.shown;
            return true;
        }
        self.end_checked = limit.saturating_sub(END_LINE);
        if limit < begin + KEY_LIMIT {
            return false;
        }
        self.give_key_up(begin, limit, out);
        true
    }

    /// The key that begins at `begin` has no end before `limit`: it is as long as it reads like one.
    fn give_key_up(&mut self, begin: usize, limit: usize, out: &mut Vec<u8>) {
        let key = self.held.text.get(begin..limit).unwrap_or_default();
        let end = begin + key::body_end(key);
        if end > self.held.shown {
            self.show(end, 0, out);
        } else {
            self.let_go(self.held.shown, 0);
        }
        if end == limit {
            self.remainder = Remainder::Key;
        }
        (self.key_checked, self.end_checked) = (0, 0);
    }

    /// Shows the better part of a window in which no place is a break.
    fn show_window(&mut self, out: &mut Vec<u8>) {
        let (shown, end) = (self.held.shown, self.held.shown + WINDOW);
        self.find(end);
        let window = self.held.text.get(shown..end - OVERLAP).unwrap_or_default();
        let token = window
            .iter()
            .rposition(|byte| !is_token(*byte))
            .map(|at| shown + at + 1);
        let boundary = end - OVERLAP - unfinished_character(window);
        let mut cut = token.unwrap_or(boundary);
        let crossing = self
            .values
            .iter()
            .find(|value| value.span.start < cut && value.span.end > cut);
        if let Some(value) = crossing {
            if value.span.end + MARGIN <= end || value.span.start <= shown {
                cut = value.span.end;
            } else {
                cut = value.span.start;
            }
        }
        self.write(cut, out);
        self.let_go(cut, CONTEXT);
        if cut == end {
            self.remainder = Remainder::Value;
        }
    }

    /// Shows nothing of what belongs to something that was replaced, and says whether that ended.
    fn drop_remainder(&mut self, now: bool, out: &mut Vec<u8>) -> bool {
        let pending = self.held.pending();
        let whole = pending.len();
        let (hidden, context) = match self.remainder {
            Remainder::None => return true,
            Remainder::Value => {
                let run = pending.iter().take_while(|byte| is_token(**byte)).count();
                if run < whole {
                    self.remainder = Remainder::None;
                }
                (run, CONTEXT)
            }
            Remainder::Key => {
                let end = key::line_end(pending, 0).unwrap_or(whole).min(LINE_LIMIT);
                let line = pending.get(..end).unwrap_or_default();
                let whole_line = line.ends_with(b"\n") || (now && end == whole);
                let judged = if whole_line { end } else { LINE_LIMIT - END_LINE };
                if !whole_line && end < LINE_LIMIT {
                    return false;
                }
                if let Some(end) = pem::end_after(line, 0) {
                    self.remainder = Remainder::None;
                    (end, 0)
                } else if key::is_body(line.get(..judged).unwrap_or_default()) {
                    (judged, 0)
                } else {
                    self.remainder = Remainder::None;
                    (0, 0)
                }
            }
        };
        let end = self.held.shown + hidden;
        let mut writer = Writer::new(&self.held, out);
        writer.nothing(end);
        writer.finish();
        self.let_go(end, context);
        true
    }

    /// Shows everything but the last `kept` bytes.
    fn let_out(&mut self, kept: usize, out: &mut Vec<u8>) {
        self.settle(out);
        while self.is_holding() {
            if self.remainder != Remainder::None {
                self.drop_remainder(true, out);
            } else if let Some((begin, Some(_))) = self.key() {
                self.give_key_up(begin, self.held.text.len(), out);
            } else {
                let end = self.held.text.len().saturating_sub(kept);
                self.show(end, CONTEXT, out);
                return;
            }
        }
    }

    /// Shows the text up to `end`, masked as if it ended there, and remembers `context` bytes of it.
    fn show(&mut self, end: usize, context: usize, out: &mut Vec<u8>) {
        self.find(end);
        self.write(end, out);
        self.let_go(end, context);
    }

    /// Forgets the text up to `end`, but for `context` bytes.
    fn let_go(&mut self, end: usize, context: usize) {
        let drop = end.saturating_sub(context);
        if self.parting.terminal {
            self.parting.column = self.parting.column_at(&self.held.text, drop);
        }
        self.held.let_go(end, context);
        self.checked = self.checked.saturating_sub(drop);
        self.key_checked = self.key_checked.saturating_sub(drop);
        self.end_checked = self.end_checked.saturating_sub(drop);
    }
}
