//! What was found, and what stands where two findings overlap.

use crate::{Detector, Strategy};

/// Who found a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A built-in detector.
    Builtin(Detector),
    /// The custom rule of this number.
    Custom(usize),
    /// The rest of a finding that partly overlapped another: hidden without a form of its own.
    Rest,
}

/// A stretch of text that holds a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) found: Found,
    pub(crate) strategy: Strategy,
}

impl Span {
    /// Lower goes before higher where spans overlap.
    fn rank(&self) -> (u8, usize) {
        match self.found {
            Found::Builtin(detector) => (0, detector.index()),
            Found::Custom(number) => (1, number),
            Found::Rest => (2, 0),
        }
    }

    fn secret(&self) -> bool {
        match self.found {
            Found::Builtin(detector) => detector.is_secret(),
            Found::Custom(_) | Found::Rest => false,
        }
    }

    fn contains(&self, other: &Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// Sorts the spans and leaves no two that overlap, without showing a byte of any of them.
pub(super) fn settle(spans: &mut Vec<Span>) {
    if spans.len() < 2 {
        return;
    }
    // Windows come in order, so most of it is sorted.
    if in_order(spans) {
        return;
    }
    spans.sort_by_key(|span| (span.start, usize::MAX - span.end, span.rank()));
    if in_order(spans) {
        return;
    }
    let mut settled: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans.drain(..) {
        add(&mut settled, span);
    }
    *spans = settled;
}

/// Sorted and without overlaps.
fn in_order(spans: &[Span]) -> bool {
    spans.iter().zip(spans.iter().skip(1)).all(|(a, b)| a.end <= b.start)
}

/// Adds a span that starts no earlier than any before it.
fn add(settled: &mut Vec<Span>, mut next: Span) {
    while let Some(last) = settled.last_mut() {
        if next.start >= last.end {
            break;
        }
        let next_first = next.rank() < last.rank();
        if last.contains(&next) {
            // An address may hold digits that look like something else; a secret in it stays a secret.
            if !(next_first && next.secret() && !last.secret()) {
                return;
            }
        } else if next.contains(last) {
            if last.secret() && !next.secret() {
                return;
            }
        } else if next_first && next.secret() && !last.secret() {
        } else if last.secret() && !next.secret() {
            return;
        } else {
            // Each hides its part.
            next.start = last.end;
            next.found = Found::Rest;
            next.strategy = Strategy::Redact;
            break;
        }
        settled.pop();
    }
    settled.push(next);
}

#[cfg(test)]
mod tests {
    use super::{Found, Span, settle};
    use crate::{Detector, Strategy};

    fn span(start: usize, end: usize, detector: Detector) -> Span {
        Span {
            start,
            end,
            found: Found::Builtin(detector),
            strategy: Strategy::Partial,
        }
    }

    #[test]
    fn the_password_wins_over_the_address_it_seems_to_belong_to() {
        let password = span(10, 16, Detector::UrlPassword);
        let mut spans = vec![span(10, 28, Detector::Email), password];
        settle(&mut spans);
        assert_eq!(spans, [password]);
    }

    #[test]
    fn an_address_wins_over_the_number_in_it() {
        let address = span(0, 27, Detector::Email);
        let mut spans = vec![address, span(0, 11, Detector::Ssn)];
        settle(&mut spans);
        assert_eq!(spans, [address]);
    }

    #[test]
    fn two_that_cross_hide_all_that_both_cover() {
        let mut spans = vec![span(5, 20, Detector::Phone), span(0, 10, Detector::CreditCard)];
        settle(&mut spans);
        let covered: Vec<_> = spans.iter().map(|span| (span.start, span.end)).collect();
        assert_eq!(covered, [(0, 10), (10, 20)]);
    }
}
