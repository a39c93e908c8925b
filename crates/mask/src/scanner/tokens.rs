//! Keys and tokens of vendors: a fixed prefix, then so many characters of an alphabet.

use std::ops::Range;

use crate::words::{word_at, word_before, word_or_dash_at};

/// Where the run of bytes of an alphabet that starts at `from` ends; at most `limit` bytes are looked at.
fn run(text: &[u8], from: usize, limit: usize, member: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().take(limit).take_while(|byte| member(**byte)).count()
}

fn starts(text: &[u8], at: usize, prefix: &[u8]) -> bool {
    text.get(at..).is_some_and(|rest| rest.starts_with(prefix))
}

/// `AKIA` or `ASIA` and sixteen of base 32, from the capital at `start`.
pub(super) fn aws_access_key(text: &[u8], start: usize) -> Option<Range<usize>> {
    let member = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let joined = start
        .checked_sub(1)
        .and_then(|at| text.get(at))
        .is_some_and(|b| member(*b));
    let end = start + 20;
    let key = text.get(start + 4..end)?;
    let base32 = key
        .iter()
        .all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(byte));
    let prefix = starts(text, start, b"AKIA") || starts(text, start, b"ASIA");
    let longer = text.get(end).is_some_and(|byte| member(*byte));
    (prefix && base32 && !joined && !longer).then_some(start..end)
}

/// `AIza` and thirty-five more, from the capital at `start`.
pub(super) fn gcp_api_key(text: &[u8], start: usize) -> Option<Range<usize>> {
    let end = start + 39;
    let member = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let key = text.get(start..end)?;
    (key.starts_with(b"AIza")
        && key.iter().all(member)
        && !word_before(text, start, b"-")
        && !word_or_dash_at(text, end))
    .then_some(start..end)
}

/// `ghp_` and its kin, `npm_`: a three-letter prefix before the underscore at `at`, thirty-six characters.
pub(super) fn three_letters(text: &[u8], at: usize, prefix: impl Fn(&[u8]) -> bool) -> Option<Range<usize>> {
    let start = at.checked_sub(3)?;
    let end = at + 37;
    let body = text.get(at + 1..end)?;
    (prefix(text.get(start..at)?)
        && body.iter().all(u8::is_ascii_alphanumeric)
        && !word_before(text, start, b"")
        && !word_at(text, end))
    .then_some(start..end)
}

/// `ghp_`, `gho_`, `ghu_`, `ghs_`, `ghr_` or `github_pat_` around the underscore at `at`.
pub(super) fn github_token(text: &[u8], at: usize) -> Option<Range<usize>> {
    let classic =
        |prefix: &[u8]| matches!(prefix, [b'g', b'h', kind] if matches!(kind, b'p' | b'o' | b'u' | b's' | b'r'));
    three_letters(text, at, classic).or_else(|| {
        let start = at.checked_sub(6)?;
        let end = start + 93;
        let body = text.get(start + 11..end)?;
        (starts(text, start, b"github_pat_")
            && body.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            && !word_before(text, start, b"")
            && !word_at(text, end))
        .then_some(start..end)
    })
}

/// `sk_live_` or `rk_live_` around its first underscore at `at`, and at least twenty-four characters.
pub(super) fn stripe_key(text: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at.checked_sub(2)?;
    if !starts(text, start, b"sk_live_") && !starts(text, start, b"rk_live_") {
        return None;
    }
    let end = run(text, start + 8, usize::MAX, |byte| byte.is_ascii_alphanumeric());
    (end - start >= 32 && !word_before(text, start, b"") && !word_at(text, end)).then_some(start..end)
}

/// The forty characters after `aws_secret_access_key` and `=` or `:`; `at` is its first underscore.
pub(super) fn aws_secret_key(text: &[u8], at: usize) -> Option<Range<usize>> {
    const NAME: &[u8] = b"aws_secret_access_key";
    let start = at.checked_sub(3)?;
    if !text.get(start..start + NAME.len())?.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let blank = |from: usize| run(text, from, 256, |byte| byte.is_ascii_whitespace());
    let quote = |at: usize| at + usize::from(matches!(text.get(at), Some(b'"' | b'\'')));
    let sign = blank(quote(start + NAME.len()));
    if !matches!(text.get(sign), Some(b'=' | b':')) {
        return None;
    }
    aws_secret(text, quote(blank(sign + 1)))
}

/// The forty characters of a secret access key from `start`.
pub(super) fn aws_secret(text: &[u8], start: usize) -> Option<Range<usize>> {
    let member = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+');
    let end = run(text, start, 41, member);
    (end - start == 40).then_some(start..end)
}

/// `xoxb-` and its kin, and `xapp-`, with the hyphen at `at`, and at least ten characters. `Err` is the end of a run that cannot be
/// one, so that no part of it is looked at again.
pub(super) fn slack_token(text: &[u8], at: usize) -> Option<Result<Range<usize>, usize>> {
    let start = at.checked_sub(4)?;
    let kind = matches!(
        text.get(start..)?,
        [b'x', b'o', b'x', b'a'..=b'e' | b'p' | b'r' | b's', b'-', ..] | [b'x', b'a', b'p', b'p', b'-', ..]
    );
    if !kind || word_before(text, start, b"") {
        return None;
    }
    let member = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let end = run(text, start + 5, usize::MAX, member);
    let whole = end - start >= 15 && !word_or_dash_at(text, end);
    Some(if whole { Ok(start..end) } else { Err(end) })
}

/// `glpat-` and its kin of the same length around the hyphen at `at`, and at least twenty characters.
pub(super) fn gitlab_token(text: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at.checked_sub(5)?;
    let kinds: [&[u8]; 5] = [b"glpat-", b"glcbt-", b"glptt-", b"glimt-", b"gloas-"];
    if !kinds.iter().any(|kind| starts(text, start, kind)) || word_before(text, start, b"") {
        return None;
    }
    let member = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let end = run(text, start + 6, 300, member);
    (end - start >= 26).then_some(start..end)
}

/// `https://hooks.slack.com/services/…` around the colon at `colon`.
pub(super) fn slack_webhook(text: &[u8], colon: usize) -> Option<Range<usize>> {
    const PREFIX: &[u8] = b"https://hooks.slack.com/services/";
    let start = colon.checked_sub(5)?;
    if !starts(text, start, PREFIX) {
        return None;
    }
    let path = start + PREFIX.len();
    let end = run(text, path, usize::MAX, |byte| {
        byte.is_ascii_alphanumeric() || byte == b'/'
    });
    (end > path).then_some(start..end)
}

/// The password in `scheme://user:password@host`, around the colon at `colon`. It may hold `@`, but no slash,
/// no space and no control character.
pub(super) fn url_password(text: &[u8], colon: usize) -> Option<Range<usize>> {
    let scheme = text.get(..colon)?.iter().rev();
    let scheme = scheme.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'.' | b'-'));
    if !scheme.into_iter().any(u8::is_ascii_alphabetic) {
        return None;
    }
    let user = colon + 3;
    let stop = |byte: u8| byte <= b' ' || matches!(byte, 0x7F | b'/');
    let user_end = run(text, user, usize::MAX, |byte| {
        !stop(byte) && byte != b'@' && byte != b':'
    });
    if text.get(user_end) != Some(&b':') {
        return None;
    }
    let password = user_end + 1;
    let authority = text.get(password..run(text, password, usize::MAX, |byte| !stop(byte)))?;
    let at = memchr::memrchr_iter(b'@', authority)
        .map(|at| password + at)
        .find(|at| text.get(at + 1) == Some(&b'[') || word_at(text, at + 1))?;
    (at > password).then_some(password..at)
}
