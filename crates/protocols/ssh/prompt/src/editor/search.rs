//! Ctrl-R and Ctrl-S: looking for old lines while typing what they contain.

use super::bindings::Command;
use super::{Editor, Event, Last, Mode};
use crate::MAX_LINE;
use crate::keys::Key;

/// Bytes of what is looked for.
const MAX_TERM: usize = 256;

/// A search that goes on.
#[derive(Debug, Default)]
pub(super) struct Search {
    backward: bool,
    term: String,
    /// The line and the place in it where something was found last.
    found: Option<(usize, usize)>,
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
    pub(super) fn begin_search(&mut self, backward: bool) {
        self.argument = None;
        self.last = Last::Other;
        self.mode = Mode::Search(Search {
            backward,
            ..Search::default()
        });
    }

    /// The line that a search shows, and where in it the cursor stands.
    pub(super) fn found(&self, search: &Search) -> Option<(&str, usize)> {
        let (line, at) = search.found?;
        Some((self.searched(line), at))
    }

    pub(super) fn search_key(&mut self, mut search: Search, key: Key, out: &mut Vec<u8>) -> Option<Event> {
        match key {
            Key::Char(c) => self.search_for(&mut search, c.encode_utf8(&mut [0; 4])),
            Key::Paste(Some(text)) => self.search_for(&mut search, &text),
            Key::Control(c @ ('r' | 's')) => self.search_on(&mut search, c == 'r'),
            Key::Backspace | Key::Control('h') => self.search_shorter(&mut search),
            Key::Paste(None) | Key::Unknown => self.bell = true,
            Key::Control('g') => {
                self.bell = true;
                return None;
            }
            // The key that ends the search does nothing else.
            Key::Control('j') => {
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
            | Key::Quoted(_) => {
                self.take_found(&search);
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
        self.searched_term.clone_from(&search.term);
        let from = search.found.unwrap_or_else(|| self.origin());
        self.search(search, from, true);
    }

    fn search_on(&mut self, search: &mut Search, backward: bool) {
        search.backward = backward;
        let fresh = search.term.is_empty();
        if fresh {
            search.term.clone_from(&self.searched_term);
        }
        let from = search.found.unwrap_or_else(|| self.origin());
        self.search(search, from, fresh);
    }

    fn search_shorter(&mut self, search: &mut Search) {
        self.bell |= search.term.pop().is_none();
        search.found = None;
        search.failed = false;
        if !search.term.is_empty() {
            self.search(search, self.origin(), true);
        }
    }

    /// Looks from a place on; `here`: the place itself may be it.
    fn search(&mut self, search: &mut Search, from: (usize, usize), here: bool) {
        if search.term.is_empty() || !self.spend(self.history.bytes() + self.buffer.len()) {
            self.bell = true;
            return;
        }
        let found = self
            .in_line(search, from, here)
            .or_else(|| self.in_other_lines(search, from.0));
        search.failed = found.is_none();
        self.bell |= search.failed;
        search.found = found.or(search.found);
    }

    fn in_line(&self, search: &Search, (line, at): (usize, usize), here: bool) -> Option<(usize, usize)> {
        let text = self.searched(line);
        let term = search.term.as_str();
        let place = if search.backward {
            let mut places = text.rmatch_indices(term).map(|(place, _)| place);
            places.find(|place| *place < at || (here && *place == at))
        } else {
            let mut places = text.match_indices(term).map(|(place, _)| place);
            places.find(|place| *place > at || (here && *place == at))
        };
        place.map(|place| (line, place))
    }

    /// Lines like the one at which one is are passed over.
    fn in_other_lines(&self, search: &Search, line: usize) -> Option<(usize, usize)> {
        let here = self.searched(line);
        let find = |line: usize| {
            let text = self.searched(line);
            let place = if search.backward {
                text.rfind(&search.term)
            } else {
                text.find(&search.term)
            };
            place.filter(|_| text != here).map(|place| (line, place))
        };
        if search.backward {
            (0..line).rev().find_map(find)
        } else {
            (line + 1..=self.history.len()).find_map(find)
        }
    }

    /// Where a search begins.
    fn origin(&self) -> (usize, usize) {
        (self.history.at(), self.buffer.cursor())
    }

    fn searched(&self, line: usize) -> &str {
        if line == self.history.at() {
            return self.buffer.text();
        }
        self.history.line(line).unwrap_or_default()
    }

    /// What was found becomes what is edited.
    fn take_found(&mut self, search: &Search) {
        let Some((line, at)) = search.found else { return };
        if line == self.history.at() {
            self.buffer.go(at);
        } else if self.searched(line).len() + self.prior.len() > MAX_LINE {
            self.bell = true;
        } else {
            self.go_to_line(line);
            self.buffer.go(at);
        }
    }
}
