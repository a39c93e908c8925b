//! Where characters and words begin and end.

use super::Buffer;
use crate::ink::attaches;

impl Buffer {
    /// Behind the character at a position, with its marks.
    pub(crate) fn next(&self, at: usize) -> usize {
        let mut chars = self.after(at).chars();
        let Some(c) = chars.next() else { return at };
        let marks = chars.take_while(|c| attaches(*c)).map(char::len_utf8);
        at + c.len_utf8() + marks.sum::<usize>()
    }

    /// Before the character that ends at a position.
    pub(crate) fn previous(&self, at: usize) -> usize {
        let mut to = at;
        for c in self.before(at).chars().rev() {
            to -= c.len_utf8();
            if !attaches(c) {
                break;
            }
        }
        to
    }

    /// So many characters on, or back.
    pub(crate) fn characters(&self, at: usize, count: isize) -> usize {
        steps(at, count, |at| self.next(at), |at| self.previous(at))
    }

    /// So many words on, or back.
    pub(crate) fn words(&self, at: usize, count: isize) -> usize {
        steps(at, count, |at| self.word_end(at), |at| self.word_start(at))
    }

    /// Where the word ends in which a position is, or the next one.
    pub(crate) fn word_end(&self, at: usize) -> usize {
        let gap = span(self.after(at).chars(), |c| !is_word(c));
        let word = span(self.after(at + gap).chars(), is_word);
        at + gap + word
    }

    /// Where the word begins in which a position is, or the one before it.
    pub(crate) fn word_start(&self, at: usize) -> usize {
        let gap = span(self.before(at).chars().rev(), |c| !is_word(c));
        let word = span(self.before(at - gap).chars().rev(), is_word);
        at - gap - word
    }

    /// So many words back that end at blanks.
    pub(crate) fn blank_words(&self, at: usize, count: usize) -> usize {
        let back = |at: usize| {
            let gap = span(self.before(at).chars().rev(), is_blank);
            at - gap - span(self.before(at - gap).chars().rev(), |c| !is_blank(c))
        };
        steps(at, isize::try_from(count).unwrap_or(isize::MAX), back, |at| at)
    }

    /// The blanks around a position.
    pub(crate) fn blanks(&self, at: usize) -> std::ops::Range<usize> {
        at - span(self.before(at).chars().rev(), is_blank)..at + span(self.after(at).chars(), is_blank)
    }
}

fn steps(at: usize, count: isize, on: impl Fn(usize) -> usize, back: impl Fn(usize) -> usize) -> usize {
    let mut at = at;
    for _ in 0..count.unsigned_abs() {
        let to = if count > 0 { on(at) } else { back(at) };
        if to == at {
            break;
        }
        at = to;
    }
    at
}

/// Bytes of the characters at the beginning that are alike.
fn span(chars: impl Iterator<Item = char>, alike: impl Fn(char) -> bool) -> usize {
    chars.take_while(|c| alike(*c)).map(char::len_utf8).sum()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric()
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}
