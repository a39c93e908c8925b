//! Many short texts that lie in one buffer, as the cells of a row do: one look at the buffer, and only the
//! texts in which something could be are searched.

use std::ops::Range;

use super::candidates::Candidates;
use super::classes::{Classes, STRIDE, WINDOW, classify, window};
use super::search::Search;
use super::spans;
use super::{Scanner, Scratch, folded};

/// The candidates of a row.
#[derive(Debug, Default)]
pub(super) struct Windows {
    blocks: Vec<Classes>,
    /// The windows with candidates: where they start, where anything could be, what it could be.
    found: Vec<(usize, u64, Candidates)>,
    /// Windows before this one lie before the cell that was searched last.
    next: usize,
    high: bool,
}

impl Scanner {
    /// Looks at a whole row. `gaps` are the stretches between its texts, in order: they are no text themselves.
    /// Then [`Scanner::scan_cell`] searches its texts, in order. The row should not be longer than some
    /// kilobytes: memory of about twice its length is used.
    pub fn look_at_row(&self, row: &[u8], gaps: impl Iterator<Item = Range<usize>>, scratch: &mut Scratch) {
        let windows = &mut scratch.row;
        windows.blocks.clear();
        windows.found.clear();
        (windows.next, windows.high) = (0, false);
        if self.wanted.is_empty() {
            return;
        }
        windows.high = classify(self.level, row, &mut windows.blocks);
        for gap in gaps {
            windows.clear(gap);
        }
        let mut at = 0;
        while at < row.len() {
            let candidates = Candidates::of(&window(&windows.blocks, at), &self.wanted);
            let any = candidates.any();
            if any != 0 {
                windows.found.push((at, any, candidates));
            }
            at += STRIDE;
        }
    }

    /// [`Scanner::scan`] for a text of the row that was looked at last.
    pub fn scan_cell(&self, row: &[u8], cell: Range<usize>, scratch: &mut Scratch, out: &mut Vec<u8>) -> bool {
        let text = row.get(cell.clone()).unwrap_or_default();
        scratch.spans.clear();
        let windows = &mut scratch.row;
        while windows
            .found
            .get(windows.next)
            .is_some_and(|(at, ..)| at + STRIDE <= cell.start)
        {
            windows.next += 1;
        }
        let mut search = Search::new(self, text, &mut scratch.spans);
        for (at, any, candidates) in windows.found.iter().skip(windows.next) {
            if *at >= cell.end {
                break;
            }
            let mask = bits(*at, &cell);
            if any & mask != 0 {
                search.verify(at.wrapping_sub(cell.start), &candidates.within(mask));
            }
        }
        if windows.high && !text.is_ascii() && !self.wanted.is_empty() {
            folded::search(self, text, scratch);
        }
        self.search_custom(text, scratch);
        if scratch.spans.is_empty() {
            return false;
        }
        spans::settle(&mut scratch.spans);
        self.rewrite(text, scratch, out)
    }
}

impl Windows {
    /// Takes a stretch out of all classes.
    fn clear(&mut self, gap: Range<usize>) {
        let first = gap.start / WINDOW;
        let last = gap.end.div_ceil(WINDOW);
        for (number, block) in self.blocks.iter_mut().enumerate().take(last).skip(first) {
            block.clear(bits(number * WINDOW, &gap));
        }
    }
}

/// The part of `range` that lies in the 64 bytes from `base` on.
fn bits(base: usize, range: &Range<usize>) -> u64 {
    let up_to = |at: usize| match at.saturating_sub(base) {
        count @ 0..64 => (1_u64 << count) - 1,
        _ => u64::MAX,
    };
    up_to(range.end) & !up_to(range.start)
}
