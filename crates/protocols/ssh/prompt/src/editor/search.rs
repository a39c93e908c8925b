//! Ctrl-R and Ctrl-S: looking for old lines while typing what they contain.

use super::bindings::Command;
use super::{Editor, Event, Mode};
use crate::MAX_LINE;
use crate::keys::Key;

/// Bytes of what is looked for.
const MAX_TERM: usize = 256;

/// A search that goes on.
#[derive(Debug)]
pub(super) struct Search {
    backward: bool,
    term: String,
    /// The line that is shown: the one found last, or the one at which the search began.
    line: usize,
    /// Where in it the cursor is shown.
    cursor: usize,
    /// From where on is looked, and where the cursor goes when the search ends; nothing before the line's beginning.
    next: Option<usize>,
    found: bool,
    failed: bool,
}

impl Search {
    /// What is shown in place of the prompt.
    pub(super) fn prompt(&self) -> String {
        let failed = if self.failed { "failed " } else { "" };
        let reverse = if self.backward { "reverse-" } else { "" };
        format!("({failed}{reverse}i-search)`{}': ", self.term)
    }
}

impl Editor {
    /// A numeric argument waits for the command that ends the search; a negative one turns the search round.
    pub(super) fn begin_search(&mut self, backward: bool) {
        let backward = backward != self.argument.is_some_and(|argument| argument.negative);
        self.mode = Mode::Search(Search {
            backward,
            term: String::new(),
            line: self.history.at(),
            cursor: self.buffer.cursor(),
            next: Some(self.buffer.cursor()),
            found: false,
            failed: false,
        });
    }

    /// The line that a search shows, and where in it the cursor stands.
    pub(super) fn found(&self, search: &Search) -> (&str, usize) {
        (self.searched(search.line), search.cursor)
    }

    pub(super) fn search_key(&mut self, mut search: Search, key: Key, out: &mut Vec<u8>) -> Option<Event> {
        match key {
            Key::Char(c) => self.search_for(&mut search, c.encode_utf8(&mut [0; 4])),
            Key::Paste(Some(text)) => self.search_for(&mut search, &text),
            Key::Control(c @ ('r' | 's')) => self.search_on(&mut search, c == 'r'),
            Key::Control(c @ ('w' | 'y')) => self.search_longer(&mut search, c == 'w'),
            Key::Backspace | Key::Control('h') => self.search_shorter(&mut search),
            Key::Paste(None) => self.bell = true,
            Key::Control('g') => {
                self.argument = None;
                self.bell = true;
                return None;
            }
            // The key that ends the search does nothing else.
            Key::Control('j') => {
                self.argument = None;
                self.take_found(&search);
                return None;
            }
            Key::Control(_)
            | Key::Meta(_)
            | Key::MetaControl(_)
            | Key::Delete
            | Key::Left
            | Key::Right
            | Key::Up
            | Key::Down
            | Key::Home
            | Key::End
            | Key::WordLeft
            | Key::WordRight
            | Key::WordDelete
            | Key::Quoted(_)
            | Key::Unknown => {
                self.take_found(&search);
                // On an empty line it ends the input.
                if key == Key::Control('d') && self.buffer.is_empty() {
                    self.argument = None;
                }
                return self.command(Command::of(key, false), out);
            }
        }
        self.mode = Mode::Search(search);
        None
    }

    fn search_for(&mut self, search: &mut Search, more: &str) {
        if search.term.len() + more.len() > MAX_TERM || more.contains(char::is_control) {
            self.bell = true;
            return;
        }
        search.term.push_str(more);
        self.search(search);
    }

    /// The same key again goes on; the other one turns round.
    fn search_on(&mut self, search: &mut Search, backward: bool) {
        if search.backward != backward {
            search.backward = backward;
        } else if search.term.is_empty() {
            search.term.clone_from(&self.searched_term);
        } else if backward {
            search.next = search.next.and_then(|next| next.checked_sub(1));
        } else {
            search.next = Some(search.next.map_or(0, |next| next + 1));
        }
        self.search(search);
    }

    /// Takes the next word of the line that was found into what is looked for, or all the rest.
    fn search_longer(&mut self, search: &mut Search, word: bool) {
        let rest = self
            .searched(search.line)
            .get(search.cursor + search.term.len()..)
            .unwrap_or_default();
        let end = rest
            .find(|c: char| !c.is_alphanumeric())
            .filter(|_| word)
            .unwrap_or(rest.len());
        let more = rest.get(..end).unwrap_or_default().to_owned();
        self.bell |= more.is_empty();
        self.search_for(search, &more);
    }

    fn search_shorter(&mut self, search: &mut Search) {
        self.bell |= search.term.pop().is_none();
        self.search(search);
    }

    /// Looks from where one is on: in the line that is shown, then in others.
    fn search(&mut self, search: &mut Search) {
        if search.term.is_empty() || !self.spend(self.history.bytes() + self.buffer.len()) {
            search.failed = true;
            self.bell = true;
            return;
        }
        match self.look(search) {
            Ok((line, at)) => {
                (search.line, search.cursor, search.next) = (line, at, Some(at));
                (search.found, search.failed) = (true, false);
            }
            Err(next) => {
                search.next = Some(next);
                search.failed = true;
                self.bell = true;
            }
        }
    }

    /// Where it is found; or, if nowhere, where the cursor would go.
    fn look(&self, search: &Search) -> Result<(usize, usize), usize> {
        let length = search.term.len();
        let last = search.found.then(|| self.searched(search.line));
        let (mut line, mut next) = (search.line, search.next);
        loop {
            let text = self.searched(line);
            if let Some(at) = in_line(text, &search.term, next, search.backward) {
                return Ok((line, at));
            }
            let end = (text.len() + 1).saturating_sub(length);
            let ended = if search.backward { 0 } else { next.unwrap_or(0).max(end) };
            // Lines like the one that was found last are passed over.
            let wanted = |line: &usize| {
                let text = self.searched(*line);
                text.len() >= length && last != Some(text)
            };
            let other = if search.backward {
                (0..line).rev().find(wanted)
            } else {
                (line + 1..=self.history.len()).find(wanted)
            };
            line = other.ok_or(ended)?;
            next = Some(if search.backward { self.searched(line).len() } else { 0 });
        }
    }

    fn searched(&self, line: usize) -> &str {
        if line == self.history.at() {
            return self.buffer.text();
        }
        self.history.line(line).unwrap_or_default()
    }

    /// What was found becomes what is edited.
    fn take_found(&mut self, search: &Search) {
        self.searched_term.clone_from(&search.term);
        if search.line != self.history.at() {
            if self.searched(search.line).len() + self.prior.len() > MAX_LINE {
                self.bell = true;
                return;
            }
            self.go_to_line(search.line);
            self.last = std::mem::take(&mut self.last).in_another_line();
        }
        self.buffer.go(search.next.unwrap_or(search.cursor));
    }
}

/// Where a term stands in a text, from a place on or back from there.
fn in_line(text: &str, term: &str, next: Option<usize>, backward: bool) -> Option<usize> {
    let boundary = |at: usize| (at..=text.len()).find(|at| text.is_char_boundary(*at));
    if backward {
        let next = next?;
        let end = boundary((next + term.len()).min(text.len()))?;
        text.get(..end)?.rfind(term).filter(|at| *at <= next)
    } else {
        let from = boundary(next.unwrap_or(0))?;
        text.get(from..)?.find(term).map(|at| from + at)
    }
}
