//! The binary format of `numeric`: digits to the base 10000 (`numeric_send` in PostgreSQL's `numeric.c`).

const NEGATIVE: u16 = 0x4000;
/// More digits than any value that is looked for has.
const GROUPS_LIMIT: usize = 64;

/// The decimal text of a binary `numeric`; `None` for infinity, not a number, and what is too long to matter.
pub(super) fn to_text(value: &[u8]) -> Option<String> {
    let (words, rest) = value.as_chunks::<2>();
    let mut words = words.iter().map(|word| u16::from_be_bytes(*word));
    let (count, weight) = (words.next()?, words.next()?.cast_signed());
    let (sign, scale) = (words.next()?, words.next()?);
    let groups: Vec<u16> = words.collect();
    let count = usize::from(count);
    if !rest.is_empty() || groups.len() != count || count > GROUPS_LIMIT {
        return None;
    }
    if sign != 0 && sign != NEGATIVE {
        return None;
    }
    let weight = i32::from(weight);
    if !(-(GROUPS_LIMIT as i32)..GROUPS_LIMIT as i32).contains(&weight) {
        return None;
    }
    let group = |at: i32| {
        usize::try_from(weight - at)
            .ok()
            .and_then(|index| groups.get(index))
            .copied()
            .unwrap_or(0)
    };
    let mut text = String::from(if sign == NEGATIVE { "-" } else { "" });
    let mut whole = String::new();
    for at in (0..=weight.max(0)).rev() {
        whole.push_str(&format!("{:04}", group(at)));
    }
    let whole = whole.trim_start_matches('0');
    text.push_str(if whole.is_empty() { "0" } else { whole });
    let scale = usize::from(scale);
    if scale > 0 {
        let mut fraction = String::new();
        let mut at = -1;
        while fraction.len() < scale.min(GROUPS_LIMIT * 4) {
            fraction.push_str(&format!("{:04}", group(at)));
            at -= 1;
        }
        fraction.truncate(scale);
        text.push('.');
        text.push_str(&fraction);
    }
    Some(text)
}

/// Appends a whole number in binary, shown with `scale` decimals.
pub(super) fn from_digits(digits: &str, scale: u16, out: &mut Vec<u8>) {
    let digits = digits.trim_start_matches('0');
    let mut groups: Vec<u16> = digits
        .as_bytes()
        .rchunks(4)
        .rev()
        .map(|group| group.iter().fold(0, |sum, byte| sum * 10 + u16::from(byte - b'0')))
        .collect();
    let weight = groups.len().saturating_sub(1) as u16;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let words = [groups.len() as u16, weight, 0, scale];
    for word in words.into_iter().chain(groups) {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

/// The scale of a binary `numeric`.
pub(super) fn scale(value: &[u8]) -> u16 {
    match value {
        [_, _, _, _, _, _, high, low, ..] => u16::from_be_bytes([*high, *low]) & 0x3FFF,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{from_digits, to_text};

    #[test]
    fn whole_numbers_there_and_back() {
        for text in [
            "0",
            "7",
            "10000",
            "4111111111111111",
            "12345678901234567890",
            "42000000000000",
        ] {
            let mut binary = Vec::new();
            from_digits(text, 0, &mut binary);
            assert_eq!(to_text(&binary).unwrap(), text);
        }
    }

    #[test]
    fn fractions_as_the_server_sends_them() {
        // 12345.67: weight 1, scale 2, groups 1 2345 6700.
        let words = [3_u16, 1, 0, 2, 1, 2345, 6700];
        let binary: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(to_text(&binary).unwrap(), "12345.67");
        // -0.0001
        let words = [1_u16, 0xFFFF, 0x4000, 4, 1];
        let binary: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(to_text(&binary).unwrap(), "-0.0001");
    }

    #[test]
    fn nonsense_has_no_text() {
        assert_eq!(to_text(&[0, 9, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(to_text(&[0]), None);
        assert_eq!(to_text(&[0, 0, 0, 0, 0xC0, 0, 0, 0]), None, "not a number");
    }
}
