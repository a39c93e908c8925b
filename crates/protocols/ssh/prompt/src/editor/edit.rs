//! What the commands do to the line.

use super::bindings::{Case, Change, Command};
use super::{Argument, Editor, Event, Last, Mode};
use crate::keys::Key;

impl Editor {
    /// Does one command, as often as the numeric argument says.
    pub(super) fn command(&mut self, command: Command, out: &mut Vec<u8>) -> Option<Event> {
        match command {
            // Keys that only prepare the next one leave the argument to it.
            Command::Digit(digit) => self.digit(digit),
            // Behind a number it is no sign.
            Command::Minus if self.argument.is_some() => self.change(Change::Insert('-')),
            Command::Minus => self.argument.get_or_insert_default().negative = true,
            Command::Prefix => self.mode = Mode::Prefix,
            Command::QuoteNext => match self.argument.map(Argument::value) {
                Some(count) if count < 0 => {
                    self.argument = None;
                    self.keys.quote_next(count.unsigned_abs());
                }
                _ => self.keys.quote_next(1),
            },
            Command::Find { backward } => self.mode = Mode::Find { backward },
            Command::Accept => return self.accept(out),
            Command::Interrupt => return self.end(Event::Interrupt, out),
            Command::EndOrDelete if self.buffer.is_empty() && self.argument.is_none() => {
                let event = if self.prior.is_empty() {
                    Event::EndOfInput
                } else {
                    Event::Unfinished
                };
                return self.end(event, out);
            }
            Command::EndOrDelete => self.change(Change::Delete),
            Command::CommentOut => {
                self.buffer.go(0);
                if self.insert("#") {
                    return self.accept(out);
                }
            }
            Command::Complete { list } if self.spend(self.prior.len() + self.buffer.len()) => {
                return self.ask(list, out);
            }
            Command::Search { backward } => self.begin_search(backward),
            Command::ClearScreen => {
                self.argument = None;
                self.last = Last::Other;
                self.clear = true;
            }
            Command::Change(change) if !change.is_heavy() || self.spend(self.buffer.len()) => self.change(change),
            Command::Kill(kill) if self.spend(self.buffer.len()) => {
                self.buffer.next_command();
                let count = self.argument.take().map_or(1, Argument::value);
                let last = std::mem::take(&mut self.last);
                self.kill_or_yank(kill, count, last);
            }
            Command::Change(_) | Command::Kill(_) | Command::Complete { .. } => self.bell = true,
            Command::Nothing => {
                self.argument = None;
                self.last = Last::Other;
            }
        }
        None
    }

    fn change(&mut self, command: Change) {
        self.buffer.next_command();
        let argument = self.argument.take();
        let last = std::mem::take(&mut self.last);
        let count = argument.map_or(1, Argument::value);
        let explicit = argument.is_some();
        let at = self.buffer.cursor();
        match command {
            Change::Insert(c) => self.insert_character(c, count),
            Change::Paste(text) => self.paste(text),
            Change::Abort => self.bell = true,
            Change::Backspace => self.delete(-count, explicit, &last),
            Change::Delete => self.delete(count, explicit, &last),
            Change::DeleteBlanks => drop(self.buffer.remove(self.buffer.blanks(at))),
            Change::Left => self.move_to(self.buffer.characters(at, -count)),
            Change::Right => self.move_to(self.buffer.characters(at, count)),
            Change::Home => self.buffer.go(0),
            Change::End => self.buffer.go(self.buffer.len()),
            Change::WordLeft => self.buffer.go(self.buffer.words(at, -count)),
            Change::WordRight => self.buffer.go(self.buffer.words(at, count)),
            Change::TransposeCharacters => self.transpose_characters(count),
            Change::TransposeWords => self.transpose_words(count),
            Change::Case(case) => self.change_case(case, count),
            Change::Undo => self.bell |= !(0..count).all(|_| self.buffer.undo()),
            Change::Revert => while self.buffer.undo() {},
            Change::Older => self.recall(count.saturating_neg()),
            Change::Newer => self.recall(count),
            Change::Oldest => self.go_to_line(0),
            Change::Newest => self.go_to_line(self.history.len()),
            Change::LastArgument => self.last_argument(count, explicit, last),
            Change::NthArgument => self.nth_argument(count),
        }
    }

    fn digit(&mut self, digit: u8) {
        let argument = self.argument.get_or_insert_default();
        let digits = argument.digits.unwrap_or(0).saturating_mul(10);
        argument.digits = Some(digits.saturating_add(usize::from(digit)).min(crate::MAX_LINE));
    }

    fn insert_character(&mut self, c: char, count: isize) {
        // No command can hold a zero byte.
        if c == '\0' {
            self.bell = true;
            return;
        }
        match usize::try_from(count) {
            Ok(1) if self.room() >= c.len_utf8() => self.buffer.insert(c.encode_utf8(&mut [0; 4])),
            Ok(1) => self.bell = true,
            Ok(count) => drop(self.insert(&c.to_string().repeat(count))),
            Err(_) => {}
        }
    }

    /// Inserts all of a text, or nothing: a part of it might mean something else.
    pub(super) fn insert(&mut self, text: &str) -> bool {
        if text.len() > self.room() || !self.spend(4 * text.len()) {
            self.bell = true;
            return false;
        }
        self.buffer.insert(text);
        true
    }

    fn paste(&mut self, text: Option<String>) {
        match text {
            Some(text) => drop(self.insert(&text)),
            None => self.bell = true,
        }
    }

    fn move_to(&mut self, to: usize) {
        self.bell |= to == self.buffer.cursor();
        self.buffer.go(to);
    }

    /// Removes characters behind the cursor, or before it if there are fewer than none. With a number given they are
    /// kept for Ctrl-Y.
    fn delete(&mut self, count: isize, keep: bool, last: &Last) {
        let at = self.buffer.cursor();
        let to = self.buffer.characters(at, count);
        self.bell |= to == at;
        if keep {
            self.kill(at, to, last);
        } else {
            self.buffer.remove(at.min(to)..at.max(to));
        }
    }

    /// The character before the cursor goes behind the one at it, or so many further; at the end, the last two change
    /// places.
    fn transpose_characters(&mut self, count: isize) {
        let (mut at, mut count) = (self.buffer.cursor(), count);
        if at == self.buffer.len() {
            at = self.buffer.previous(at);
            count = 1;
        }
        let from = self.buffer.previous(at);
        if from == at {
            self.bell = true;
            return;
        }
        let character = self.buffer.remove(from..at);
        self.buffer.go(self.buffer.characters(from, count));
        self.buffer.insert(&character);
    }

    /// The word before the cursor and the one behind it change places.
    fn transpose_words(&mut self, count: isize) {
        let second_end = self.buffer.words(self.buffer.cursor(), count);
        let second = self.buffer.words(second_end, -1);
        let first = self.buffer.words(second, -count);
        let first_end = self.buffer.words(first, 1);
        if count == 0 || first == second || second < first_end || first > second {
            self.bell = true;
            return;
        }
        let (one, gap, two) = (
            self.buffer.between(first..first_end),
            self.buffer.between(first_end..second),
            self.buffer.between(second..second_end),
        );
        let swapped = format!("{two}{gap}{one}");
        self.buffer.replace(first..second_end, &swapped);
        self.buffer.go(second_end);
    }

    fn change_case(&mut self, case: Case, count: isize) {
        let at = self.buffer.cursor();
        let to = self.buffer.words(at, count);
        let mut inside = false;
        let text = self.buffer.between(at.min(to)..at.max(to));
        let changed = text.chars().map(|c| {
            let upper = match case {
                Case::Upper => true,
                Case::Lower => false,
                Case::Capital => !inside,
            };
            inside = c.is_alphanumeric();
            if upper {
                one(c, c.to_uppercase())
            } else {
                one(c, c.to_lowercase())
            }
        });
        let changed: String = changed.collect();
        if changed.len() > text.len() + self.room() {
            self.bell = true;
            return;
        }
        let end = if count < 0 { at } else { at + changed.len() };
        self.buffer.replace(at.min(to)..at.max(to), &changed);
        self.buffer.go(end);
    }

    /// Goes to a character: Ctrl-] and the character.
    pub(super) fn find(&mut self, key: &Key, backward: bool) {
        let count = self.argument.take().map_or(1, Argument::value);
        self.last = Last::Other;
        let Key::Char(wanted) = key else {
            self.bell = true;
            return;
        };
        let backward = backward != (count < 0);
        let nth = count.unsigned_abs().saturating_sub(1);
        let at = self.buffer.cursor();
        let found = if backward {
            self.buffer
                .before(at)
                .rmatch_indices(*wanted)
                .nth(nth)
                .map(|(at, _)| at)
        } else {
            let next = self.buffer.next(at);
            self.buffer
                .after(next)
                .match_indices(*wanted)
                .nth(nth)
                .map(|(at, _)| next + at)
        };
        match found {
            Some(to) => self.buffer.go(to),
            None => self.bell = true,
        }
    }
}

/// A letter's other case, if that is one letter.
fn one(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(mapped), None) => mapped,
        (_, _) => c,
    }
}
