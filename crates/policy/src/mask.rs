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
    fn what_is_no_strategy_is_an_error() {
        assert!(strictness("keep-last(300)").is_err());
        assert!(strictness("keep-last(").is_err());
        assert!(strictness("Redact").is_err());
        assert_eq!(strictness("keep-last(4)").unwrap(), 251);
    }
}
