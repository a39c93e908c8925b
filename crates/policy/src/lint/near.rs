//! Names that look like typing errors.

use crate::code::Code;
use crate::problem::single_line;

/// The shortest word in which a slip is seen: shorter ones that differ in a letter are often two words.
const SHORTEST: usize = 4;

/// What to do about a name that is not among the known ones, if one of them looks like what was meant.
pub(crate) fn suggest<'a>(name: &str, known: impl Iterator<Item = &'a str>, code: Code) -> Option<String> {
    let meant = single_line(nearest(name, known)?);
    Some(format!("`{meant}` exists, and may be meant; otherwise {}", code.help()))
}

/// The known name that is most like this one, if one is like it.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let candidates = known.filter(|other| *other != name && is_slip(name, other));
    candidates.min_by_key(|other| strsim::osa_distance(name, other))
}

/// Whether one of the two could be the other with a slip of the fingers: one letter, or two in long words. Names that
/// differ in a number are two names, and so are those that differ in a short part (`team-a`, `team-b`).
pub(super) fn is_slip(a: &str, b: &str) -> bool {
    let digits = |name: &str| name.chars().filter(char::is_ascii_digit).collect::<String>();
    if digits(a) != digits(b) {
        return false;
    }
    let parts = |name: &str| {
        name.split(['-', '_', '.', '/', ' '])
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (first, second) = (parts(a), parts(b));
    if first.len() != second.len() {
        return is_like(a, b);
    }
    first.iter().zip(&second).all(|(a, b)| a == b || is_like(a, b))
}

fn is_like(a: &str, b: &str) -> bool {
    let length = a.chars().count().min(b.chars().count());
    let allowed = if length < 2 * SHORTEST { 1 } else { 2 };
    length >= SHORTEST && strsim::osa_distance(a, b) <= allowed
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
        assert!(!is_slip("developers", "developers-2"));
        assert!(!is_slip("team-a", "team-b"));
        assert!(!is_slip("operators-eu", "operators-us"));
        assert!(is_slip("payments-on-call", "paymetns-on-call"));
        assert!(is_slip("payments-on-call", "payments-oncall"));
        assert!(!is_slip("support", "sales"));
        assert_eq!(
            nearest("producton", ["staging", "production"].into_iter()),
            Some("production")
        );
        assert_eq!(nearest("production", ["production"].into_iter()), None);
    }
}
