//! What was removed to be put somewhere else.

use std::collections::VecDeque;

/// Pieces kept, and their bytes; the oldest go first.
const MAX_KILLS: usize = 32;
const MAX_BYTES: usize = 4 * crate::MAX_LINE;

#[derive(Debug, Default)]
pub(crate) struct Kills {
    pieces: VecDeque<String>,
    /// The piece that a further yank gives, counted from the newest.
    turned: usize,
}

impl Kills {
    /// Keeps a piece that was removed before (`backward`) or behind the cursor. `join`: the command before it removed
    /// something too, and both are one.
    pub(crate) fn push(&mut self, piece: &str, backward: bool, join: bool) {
        if piece.is_empty() {
            return;
        }
        self.turned = 0;
        match self.pieces.back_mut() {
            Some(last) if join && last.len() + piece.len() <= crate::MAX_LINE => {
                let at = if backward { 0 } else { last.len() };
                last.insert_str(at, piece);
            }
            _ => self.pieces.push_back(piece.to_owned()),
        }
        while self.pieces.len() > MAX_KILLS || self.pieces.iter().map(String::len).sum::<usize>() > MAX_BYTES {
            self.pieces.pop_front();
        }
    }

    /// The piece whose turn it is: the newest, unless it was turned.
    pub(crate) fn current(&self) -> Option<&str> {
        let last = self.pieces.len().checked_sub(1)?;
        self.pieces.get(last - self.turned.min(last)).map(String::as_str)
    }

    /// Turns to the piece before.
    pub(crate) fn turn(&mut self) {
        self.turned = (self.turned + 1) % self.pieces.len().max(1);
    }
}
