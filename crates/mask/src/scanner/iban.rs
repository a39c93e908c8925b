//! International bank account numbers: ISO 13616, checksum of ISO 7064 MOD 97-10.

use std::ops::Range;

const LONGEST: usize = 34;
const SHORTEST: usize = 15;

/// Lengths by country, from the IBAN registry (release 99).
const LENGTHS: [(&[u8; 2], usize); 89] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// The account number that starts with the two capitals at `start`. Single spaces may stand between its
/// characters after the fourth.
pub(super) fn find(text: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = text.get(start..)?;
    let [c1, c2, k1, k2] = *rest.first_chunk::<4>()?;
    let head = c1.is_ascii_uppercase() && c2.is_ascii_uppercase() && k1.is_ascii_digit() && k2.is_ascii_digit();
    let joined = start
        .checked_sub(1)
        .and_then(|before| text.get(before))
        .is_some_and(u8::is_ascii_alphanumeric);
    if !head || joined {
        return None;
    }
    let country = [c1, c2];
    let registered = LENGTHS
        .iter()
        .find(|(code, _)| **code == country)
        .map(|(_, length)| *length);
    let mut characters = [0_u8; LONGEST];
    let mut ends = [0_usize; LONGEST];
    let mut count = 0;
    let mut at = start;
    for (character, end) in characters.iter_mut().zip(ends.iter_mut()) {
        if count >= 4 && text.get(at) == Some(&b' ') {
            at += 1;
        }
        let Some(byte) = text
            .get(at)
            .filter(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        else {
            break;
        };
        at += 1;
        (*character, *end) = (*byte, at);
        count += 1;
    }
    let length = registered.unwrap_or(count);
    if length < SHORTEST || length > count {
        return None;
    }
    let end = *ends.get(length - 1)?;
    let goes_on = text.get(end).is_some_and(u8::is_ascii_alphanumeric);
    (!goes_on && checksum(characters.get(..length)?) == 1).then_some(start..end)
}

/// The account number, its first four characters moved to the end and letters as two digits, modulo 97.
fn checksum(characters: &[u8]) -> u32 {
    let (head, tail) = characters.split_at_checked(4).unwrap_or_default();
    tail.iter().chain(head).fold(0, |sum, byte| match byte {
        b'0'..=b'9' => (sum * 10 + u32::from(byte - b'0')) % 97,
        letter => (sum * 100 + u32::from(letter - b'A') + 10) % 97,
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn registered_lengths_end_the_number_where_words_follow() {
        let text = b"DE89 3704 0044 0532 0130 00 EUR";
        assert_eq!(find(text, 0), Some(0..27));
    }

    #[test]
    fn wrong_checksums_lengths_and_neighbours_are_refused() {
        assert_eq!(find(b"DE89370400440532013001", 0), None);
        assert_eq!(find(b"DE8937040044053201300", 0), None);
        assert_eq!(find(b"XDE89370400440532013000", 1), None);
        assert_eq!(find(b"DE893704004405320130009", 0), None);
    }
}
