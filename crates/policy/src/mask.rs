//! The syntax of `@mask` strategies, and which of two shows less. What a strategy does is the mask crate's
//! business; the words here are the ones it understands.

use smol_str::SmolStr;
use thiserror::Error;

/// A `@mask` value that is no strategy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a mask; use redact, null, zero, hash, year, email, card, partial or keep-last(n)")]
pub struct MaskSyntaxError(pub String);

/// How little a strategy shows: the higher, the stricter.
///
/// # Errors
/// When the text is no strategy.
pub(crate) fn strictness(strategy: &str) -> Result<u16, MaskSyntaxError> {
    let wrong = || MaskSyntaxError(strategy.to_owned());
    match strategy {
        "redact" => Ok(1000),
        "null" => Ok(900),
        "zero" => Ok(800),
        "hash" => Ok(700),
        "year" => Ok(600),
        "card" => Ok(500),
        "email" => Ok(400),
        "partial" => Ok(300),
        other => {
            let count = other.strip_prefix("keep-last(").and_then(|rest| rest.strip_suffix(')'));
            let count: u8 = count.ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
            Ok(u16::from(u8::MAX - count))
        }
    }
}

/// The strategy that shows less. Anything that is not a strategy counts as stricter than all that are.
#[must_use]
pub fn stricter(a: SmolStr, b: SmolStr) -> SmolStr {
    let rank = |s: &str| strictness(s).unwrap_or(u16::MAX);
    if rank(&b) > rank(&a) { b } else { a }
}

/// The strategy that shows a little more than this one; `None` when there is none.
pub(crate) fn next_weaker(strategy: &str) -> Option<SmolStr> {
    let next = match strategy {
        "redact" => "null",
        "null" => "zero",
        "zero" => "hash",
        "hash" => "year",
        "year" => "card",
        "card" => "email",
        "email" => "partial",
        "partial" => "keep-last(4)",
        other => {
            let shown = u16::from(u8::MAX) - strictness(other).ok()?;
            return (shown < u16::from(u8::MAX)).then(|| format!("keep-last({})", shown + 1).into());
        }
    };
    Some(SmolStr::new_static(next))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn strategies_are_ordered_by_how_little_they_show() {
        assert_eq!(stricter("keep-last(4)".into(), "redact".into()), "redact");
        assert_eq!(stricter("keep-last(4)".into(), "keep-last(2)".into()), "keep-last(2)");
        assert_eq!(stricter("hash".into(), "partial".into()), "hash");
    }

    #[test]
    fn every_strategy_but_the_last_has_one_that_shows_more() {
        let mut strategy = SmolStr::new_static("redact");
        let mut seen = 1;
        while let Some(next) = next_weaker(&strategy) {
            assert!(
                strictness(&next).unwrap() < strictness(&strategy).unwrap(),
                "{strategy} {next}"
            );
            (strategy, seen) = (next, seen + 1);
        }
        // Eight words, and `keep-last` of 4 to 255.
        assert_eq!((strategy.as_str(), seen), ("keep-last(255)", 8 + 252));
        assert_eq!(next_weaker("nothing"), None);
    }

    #[test]
    fn what_is_no_strategy_is_an_error() {
        assert!(strictness("keep-last(300)").is_err());
        assert!(strictness("keep-last(").is_err());
        assert!(strictness("Redact").is_err());
        assert_eq!(strictness("keep-last(4)").unwrap(), 251);
    }
}
