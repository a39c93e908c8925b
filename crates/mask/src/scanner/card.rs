//! Payment card numbers: ISO/IEC 7812, with the issuers' ranges and the Luhn digit.

use std::ops::Range;

use crate::words::{word_before, word_or_dash_at};

const SHORTEST: usize = 13;
const LONGEST: usize = 19;

/// The card number that starts with the digit at `start`.
///
/// Digits may be separated by single spaces or hyphens. The longest run of up to nineteen digits counts
/// with any grouping; a part of a longer run of numbers ("… 12/27 behind the card") only when it is grouped
/// as cards are.
pub(super) fn find(text: &[u8], start: usize) -> Option<Range<usize>> {
    if word_before(text, start, b".+-") {
        return None;
    }
    let inside = follows_number(text, start);
    let mut digits = [0_u8; LONGEST];
    let mut ends = [0_usize; LONGEST];
    let mut count = 0;
    let mut at = start;
    for (digit, end) in digits.iter_mut().zip(ends.iter_mut()) {
        if count > 0 && matches!(text.get(at), Some(b' ' | b'-')) {
            at += 1;
        }
        let Some(byte) = text.get(at).filter(|byte| byte.is_ascii_digit()) else {
            break;
        };
        at += 1;
        (*digit, *end) = (byte - b'0', at);
        count += 1;
    }
    let mut whole = !inside;
    for length in (SHORTEST..=count).rev() {
        let end = *ends.get(length - 1)?;
        if !ends_here(text, end) {
            continue;
        }
        let shaped = std::mem::take(&mut whole) || text.get(start..end).is_some_and(grouped);
        let number = digits.get(..length)?;
        if shaped && issuer_prefix(number).is_some() && luhn(number) {
            return Some(start..end);
        }
    }
    None
}

/// A number and one separator stand just before `start`.
fn follows_number(text: &[u8], start: usize) -> bool {
    let before = text.get(..start).unwrap_or_default();
    matches!(before, [.., digit, b' '] if digit.is_ascii_digit())
}

/// No word character, hyphen or decimals follow.
fn ends_here(text: &[u8], end: usize) -> bool {
    if word_or_dash_at(text, end) {
        return false;
    }
    !matches!(text.get(end..), Some([b'.', digit, ..]) if digit.is_ascii_digit())
}

/// In one piece, or in the groups printed on cards: fours, or 4-6-5 and 4-6-4.
fn grouped(number: &[u8]) -> bool {
    let Some(separator) = number.iter().find(|byte| !byte.is_ascii_digit()) else {
        return true;
    };
    let mut groups = number.split(|byte| byte == separator).map(<[u8]>::len);
    let (first, second) = (groups.next(), groups.next());
    match (first, second) {
        (Some(4), Some(6)) => matches!(groups.next(), Some(3..=5)) && groups.next().is_none(),
        (Some(4), Some(4)) => {
            let mut open = true;
            groups.all(|length| {
                let fits = open && (1..=4).contains(&length);
                open = length == 4;
                fits
            })
        }
        _ => false,
    }
}

/// The Luhn sum of the digits (values, not characters) is a multiple of ten.
fn luhn(digits: &[u8]) -> bool {
    luhn_sum(digits, false).is_multiple_of(10)
}

/// The digit that makes `digits` and it a Luhn number.
pub(crate) fn check_digit(digits: &[u8]) -> u8 {
    ((10 - luhn_sum(digits, true) % 10) % 10) as u8
}

fn luhn_sum(digits: &[u8], double_last: bool) -> u32 {
    let mut double = double_last;
    let mut sum = 0;
    for digit in digits.iter().rev() {
        let value = u32::from(*digit) << u32::from(double);
        sum += if value > 9 { value - 9 } else { value };
        double = !double;
    }
    sum
}

/// How many leading digits name the issuer of a card with these digits (values); `None`: no issuer has
/// such cards.
pub(crate) fn issuer_prefix(digits: &[u8]) -> Option<usize> {
    let length = digits.len();
    let [a, b, c, d] = digits.first_chunk::<4>()?.map(u32::from);
    let (one, two, three, four) = (a, a * 10 + b, a * 100 + b * 10 + c, a * 1000 + b * 100 + c * 10 + d);
    let long = (13..=19).contains(&length);
    match () {
        () if one == 4 && matches!(length, 13 | 16 | 19) => Some(1),
        () if length == 16 && (51..=55).contains(&two) => Some(2),
        () if length == 16 && (2221..=2720).contains(&four) => Some(4),
        () if length == 15 && matches!(two, 34 | 37) => Some(2),
        () if matches!(length, 16 | 19) && four == 6011 => Some(4),
        () if matches!(length, 16 | 19) && two == 65 => Some(2),
        () if matches!(length, 16 | 19) && (644..=649).contains(&three) => Some(3),
        () if length == 16 && (3528..=3589).contains(&four) => Some(4),
        () if length == 14 && (300..=305).contains(&three) => Some(3),
        () if length == 14 && matches!(two, 36 | 38 | 39) => Some(2),
        () if (16..=19).contains(&length) && two == 62 => Some(2),
        () if long && matches!(four, 5018 | 5020 | 5038 | 6304 | 6759 | 6761..=6763) => Some(4),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{check_digit, find, luhn};

    fn found(text: &str) -> Option<&str> {
        let start = text.find(|c: char| c.is_ascii_digit()).unwrap();
        find(text.as_bytes(), start).and_then(|range| text.get(range))
    }

    #[test]
    fn check_digits_make_luhn_numbers() {
        let mut digits = vec![4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
        assert_eq!(check_digit(&digits), 1);
        digits.push(1);
        assert!(luhn(&digits));
    }

    #[test]
    fn an_expiry_date_behind_the_number_does_not_hide_it() {
        assert_eq!(found("4111111111111111 12/27"), Some("4111111111111111"));
        assert_eq!(found("4111 1111 1111 1111 123"), Some("4111 1111 1111 1111"));
    }

    #[test]
    fn parts_of_numbers_and_decimals_are_no_cards() {
        assert_eq!(found("4111111111111111.25"), None);
        assert_eq!(found("4111111111111111-7"), None);
        assert_eq!(found("94055111111111111111111"), None);
        assert_eq!(found("4111.1111.1111.1111"), None);
    }
}
