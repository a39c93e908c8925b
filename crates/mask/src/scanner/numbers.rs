//! Social security and phone numbers.

use std::ops::Range;

use crate::words::{word_before, word_or_dash_at};

/// The social security number whose shape (`ddd?dd?dddd`) starts at `start`.
pub(super) fn ssn(text: &[u8], start: usize) -> Option<Range<usize>> {
    let end = start + 11;
    let [a1, a2, a3, s1, g1, g2, s2, n1, n2, n3, n4] = *text.get(start..end)?.first_chunk::<11>()?;
    let digits = [a1, a2, a3, g1, g2, n1, n2, n3, n4];
    let issued = !matches!([a1, a2, a3], [b'0', b'0', b'0'] | [b'6', b'6', b'6'] | [b'9', _, _])
        && [g1, g2] != *b"00"
        && [n1, n2, n3, n4] != *b"0000";
    let written = s1 == s2
        && matches!(s1, b' ' | b'-')
        && digits.iter().all(u8::is_ascii_digit)
        && !word_before(text, start, b"-")
        && !word_or_dash_at(text, end);
    (issued && written).then_some(start..end)
}

/// The North American number whose shape (`ddd-ddd-dddd` or with dots) starts at `start`.
pub(super) fn phone_plain(text: &[u8], start: usize) -> Option<Range<usize>> {
    let end = start + 12;
    let shaped = text.get(start..end)?.iter().enumerate().all(|(at, byte)| match at {
        3 | 7 => matches!(byte, b'-' | b'.'),
        _ => byte.is_ascii_digit(),
    });
    (shaped && !word_before(text, start, b".+-") && !word_or_dash_at(text, end)).then_some(start..end)
}

/// The number that starts with the `+` or `(` at `start`.
pub(super) fn phone_marked(text: &[u8], start: usize) -> Option<Range<usize>> {
    if word_before(text, start, b".+-") {
        return None;
    }
    match text.get(start)? {
        b'+' => international(text, start),
        b'(' => bracketed(text, start),
        _ => None,
    }
}

/// `(ddd) ddd-dddd`.
fn bracketed(text: &[u8], start: usize) -> Option<Range<usize>> {
    let digits = |from: usize, count: usize| {
        text.get(from..from + count)
            .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let gap = |at: usize| matches!(text.get(at), Some(b' ' | b'.' | b'-'));
    if !digits(start + 1, 3) || text.get(start + 4) != Some(&b')') {
        return None;
    }
    let local = start + 5 + usize::from(gap(start + 5));
    let end = local + 8;
    (digits(local, 3) && gap(local + 3) && digits(local + 4, 4) && !word_or_dash_at(text, end)).then_some(start..end)
}

/// Digits of a run, at most; longer runs are no phone numbers.
const RUN_LIMIT: usize = 16;
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// `+` country code, an area code in brackets perhaps, and groups of digits: the longest reading with seven to
/// fifteen digits.
fn international(text: &[u8], start: usize) -> Option<Range<usize>> {
    let mut number = Groups::default();
    let mut at = start + 1;
    let mut total = 0;
    let mut best = None;
    let mut area_seen = false;
    while number.count < number.runs.len() {
        let run = digit_run(text, at);
        if run == 0 || run > RUN_LIMIT {
            break;
        }
        number.push(run);
        (at, total) = (at + run, total + run);
        if total > *DIGITS.end() {
            break;
        }
        if DIGITS.contains(&total) && number.readable() && !word_or_dash_at(text, at) {
            best = Some(start..at);
        }
        let gap = usize::from(matches!(text.get(at), Some(b' ' | b'.' | b'-')));
        match area(text, at + gap) {
            Some(area) if !area_seen && number.count == 1 && run <= 3 => {
                area_seen = true;
                number.area_after_code = true;
                total += area;
                at += gap + area + 2;
                at += usize::from(matches!(text.get(at), Some(b' ' | b'.' | b'-')));
            }
            _ if gap == 1 => at += 1,
            _ => break,
        }
    }
    best
}

/// How many digits the brackets at `at` hold, if they hold one to four.
fn area(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'(') {
        return None;
    }
    let digits = digit_run(text, at + 1);
    ((1..=4).contains(&digits) && text.get(at + 1 + digits) == Some(&b')')).then_some(digits)
}

fn digit_run(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while text.get(at).is_some_and(u8::is_ascii_digit) && at <= from + RUN_LIMIT {
        at += 1;
    }
    at - from
}

/// The lengths of the runs of digits after a `+`.
#[derive(Default)]
struct Groups {
    runs: [usize; 8],
    count: usize,
    area_after_code: bool,
}

impl Groups {
    fn push(&mut self, run: usize) {
        if let Some(slot) = self.runs.get_mut(self.count) {
            *slot = run;
            self.count += 1;
        }
    }

    /// Whether the runs read as a country code of one to three digits, a group of one to four, and one to
    /// four groups of two to four; groups need no separators between them.
    fn readable(&self) -> bool {
        let runs = self.runs.get(..self.count).unwrap_or_default();
        let Some((first, rest)) = runs.split_first() else {
            return false;
        };
        if *first <= 3 && after_code(rest) {
            return true;
        }
        if self.area_after_code {
            return false;
        }
        (1..=3).any(|code| {
            first
                .checked_sub(code)
                .is_some_and(|left| left > 0 && after_code_in(left, rest))
        })
    }
}

fn after_code(runs: &[usize]) -> bool {
    runs.split_first()
        .is_some_and(|(first, rest)| after_code_in(*first, rest))
}

/// The first group of one to four digits, then the others.
fn after_code_in(first: usize, rest: &[usize]) -> bool {
    (1..=4).any(|group| {
        first.checked_sub(group).is_some_and(|left| {
            let (mut least, mut most) = (0, 0);
            for run in std::iter::once(&left).filter(|run| **run > 0).chain(rest) {
                if *run == 1 {
                    return false;
                }
                least += run.div_ceil(4);
                most += run / 2;
            }
            least <= 4 && most >= 1
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{phone_marked, ssn};

    #[test]
    fn international_numbers_in_many_spellings() {
        for text in [
            "+1 415 555 0132",
            "+7 (495) 123-45-67",
            "+4915112345678",
            "+44 20 7946 0958",
            "+33.1.42.68.53.00",
            "+49 (0)30 123456",
            "(415) 555-0132",
            "(415)555.0132",
        ] {
            assert_eq!(phone_marked(text.as_bytes(), 0), Some(0..text.len()), "{text}");
        }
    }

    #[test]
    fn sums_and_short_numbers_are_no_phone_numbers() {
        for text in ["+1", "+12345", "+1234567890123456", "(12) 34", "+1 2 3 4"] {
            assert_eq!(phone_marked(text.as_bytes(), 0), None, "{text}");
        }
    }

    #[test]
    fn only_numbers_that_could_be_issued() {
        assert_eq!(ssn(b"219 09 9932", 0), Some(0..11));
        for text in [
            "666-12-3456",
            "219-00-9932",
            "219-09-0000",
            "219-09 9932",
            "219-09-99321",
        ] {
            assert_eq!(ssn(text.as_bytes(), 0), None, "{text}");
        }
    }
}
