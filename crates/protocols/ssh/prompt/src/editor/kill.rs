//! Removing text that is kept, and putting it back.

use super::bindings::Kill;
use super::{Editor, Last};

impl Editor {
    pub(super) fn kill_or_yank(&mut self, command: Kill, count: isize, last: Last) {
        let at = self.buffer.cursor();
        match command {
            Kill::ToEnd if count < 0 => self.kill(at, 0, &last),
            Kill::ToEnd => self.kill(at, self.buffer.len(), &last),
            Kill::ToStart => self.kill(at, 0, &last),
            Kill::Word => self.kill(at, self.buffer.words(at, count), &last),
            Kill::WordBack => self.kill(at, self.buffer.words(at, -count), &last),
            Kill::BlankWord => {
                let count = usize::try_from(count).unwrap_or(1).max(1);
                self.kill(at, self.buffer.blank_words(at, count), &last);
            }
            Kill::Yank => self.yank(),
            Kill::YankPop => self.yank_pop(last),
        }
    }

    /// Removes what lies between the cursor and a place.
    pub(super) fn kill(&mut self, at: usize, to: usize, last: &Last) {
        let piece = self.buffer.remove(at.min(to)..at.max(to));
        self.kills.push(&piece, to < at, *last == Last::Kill);
        self.last = Last::Kill;
    }

    fn yank(&mut self) {
        let Some(piece) = self.kills.current().map(str::to_owned) else {
            self.bell = true;
            return;
        };
        let at = self.buffer.cursor();
        if self.insert(&piece) {
            self.last = Last::Yank(at..at + piece.len());
        }
    }

    /// What Ctrl-Y inserted becomes what was removed before it.
    fn yank_pop(&mut self, last: Last) {
        let Last::Yank(range) = last else {
            self.bell = true;
            return;
        };
        if range.end != self.buffer.cursor() {
            self.bell = true;
            return;
        }
        self.kills.turn();
        let room = self.room() + range.len();
        if self.kills.current().is_none_or(|piece| piece.len() > room) {
            self.bell = true;
            return;
        }
        self.buffer.remove(range);
        self.yank();
    }
}
