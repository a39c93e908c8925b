//! Names that look like typing errors.

use crate::code::Code;

/// How many letters may differ, at most: short names that differ by one are often two names.
const SHORTEST: usize = 4;

/// What to do about a name that is not among the known ones, if one of them looks like what was meant.
pub(crate) fn suggest<'a>(name: &str, known: impl Iterator<Item = &'a str>, code: Code) -> Option<String> {
    let meant = nearest(name, known)?;
    Some(format!("`{meant}` exists, and may be meant; otherwise {}", code.help()))
}

/// The known name that is most like this one, if one is like it.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let candidates = known.filter(|other| *other != name && is_slip(name, other));
    candidates.min_by_key(|other| strsim::osa_distance(name, other))
}

/// Whether one of the two could be the other with a slip of the fingers: one letter, or two in long names. Names that
/// differ in a number are two names.
pub(super) fn is_slip(a: &str, b: &str) -> bool {
    let length = a.chars().count().min(b.chars().count());
    if length < SHORTEST {
        return false;
    }
    let without_number = |name: &str| {
        let letters: String = name.chars().filter(|c| !c.is_ascii_digit()).collect();
        letters.trim_end_matches(['-', '_', '.']).to_owned()
    };
    if a != b && without_number(a) == without_number(b) {
        return false;
    }
    let allowed = if length < 2 * SHORTEST { 1 } else { 2 };
    strsim::osa_distance(a, b) <= allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_small_and_numbers_are_none() {
        assert!(is_slip("developers", "develpoers"));
        assert!(is_slip("operators", "operator"));
        assert!(!is_slip("dba", "dbb"));
        assert!(!is_slip("team-1", "team-2"));
        assert!(!is_slip("support", "sales"));
        assert_eq!(
            nearest("producton", ["staging", "production"].into_iter()),
            Some("production")
        );
        assert_eq!(nearest("production", ["production"].into_iter()), None);
    }
}
