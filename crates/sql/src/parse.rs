//! PostgreSQL's own parser, with bounds.

use std::ops::Range;

use pg_raw_parse::{Node, Owned, StmtList};

/// The longest text that is parsed, in bytes.
pub const MAX_LENGTH: usize = 1 << 20;

/// A text that was parsed.
#[derive(Debug)]
pub struct Parsed {
    tree: Owned<StmtList>,
    text: Box<str>,
}

/// Why a text could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// The parser's message.
    pub message: String,
    /// Where, in characters from 1, as the server's `P` field counts; if known.
    pub position: Option<usize>,
}

/// Parses a string of statements, with ordinary strings read in the standard way: see [`crate::marked`] for sessions that
/// read them otherwise.
///
/// # Errors
/// When PostgreSQL's grammar does not accept it, or it exceeds a bound.
pub fn parse(text: &str) -> Result<Parsed, SyntaxError> {
    let refuse = |message: &str| {
        Err(SyntaxError {
            message: message.to_owned(),
            position: None,
        })
    };
    if text.len() > MAX_LENGTH {
        return refuse("the statement is too long");
    }
    if text.contains('\0') {
        return refuse("the statement contains a zero byte");
    }
    match pg_raw_parse::parse(text) {
        Ok(result) => Ok(Parsed {
            tree: result.into_inner(),
            text: text.into(),
        }),
        Err(error) => {
            let message = message_of(&error);
            let position = position_of(text, &message);
            Err(SyntaxError { message, position })
        }
    }
}

impl Parsed {
    /// Each statement with its place in the text, in bytes.
    pub(crate) fn statements(&self) -> impl Iterator<Item = (Range<usize>, Node<'_>)> {
        let length = self.text.len();
        self.tree.iter().map(move |raw| {
            let start = usize::try_from(raw.stmt_location).unwrap_or(0).min(length);
            let end = match usize::try_from(raw.stmt_len) {
                Ok(0) | Err(_) => length,
                Ok(len) => start.saturating_add(len).min(length),
            };
            (start..end, raw.stmt())
        })
    }

    /// The text itself.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// How many statements there are; none in an empty string.
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether there is no statement at all.
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }
}

fn message_of(error: &pg_raw_parse::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("Invalid statement: ").unwrap_or(&text).to_owned()
}

/// How many bytes are parsed again to find the place of an error.
const MAX_SEARCHED: usize = 128 * 1024;

/// The library does not say where an error is, but its message quotes the token. The first place
/// where a text cut after that token still fails in the same way is the place.
fn position_of(text: &str, message: &str) -> Option<usize> {
    if message.ends_with("at end of input") {
        return Some(text.chars().count() + 1);
    }
    let (_, quoted) = message.rsplit_once("at or near \"")?;
    let token = quoted.strip_suffix('"')?;
    let mut tries = 0;
    let mut left = MAX_SEARCHED;
    for (at, _) in text.match_indices(token) {
        tries += 1;
        left = left.checked_sub(at + token.len())?;
        if tries > 32 {
            return None;
        }
        let head = text.get(..at + token.len())?;
        if pg_raw_parse::parse(head).is_err_and(|e| message_of(&e) == message) {
            return Some(text.get(..at)?.chars().count() + 1);
        }
    }
    None
}
