//! Text → syntax tree.

pub(crate) mod brace;
pub(crate) mod lex;
pub(crate) mod scan;
pub(crate) mod word;

use brush_parser::ast::Program;
use brush_parser::{ParseError, ParserOptions, parse_tokens};

use crate::facts::Unparsed;
use scan::Source;

/// Longest text, in bytes.
pub(crate) const MAX_LENGTH: usize = 128 * 1024;
/// Quotes, expansions and substitutions within each other.
pub(crate) const MAX_DEPTH: usize = 12;
/// Parentheses of the grammar within each other.
pub(crate) const MAX_PARENS: usize = 12;
/// Constructs in one text.
pub(crate) const MAX_OPENERS: usize = 48;
/// `case` in one text.
pub(crate) const MAX_CASES: usize = 6;
/// Tokens in one text.
const MAX_TOKENS: usize = 16 * 1024;

/// By whose rules a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Bash,
    Posix,
}

/// Where and why reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) message: &'static str,
    pub(crate) at: usize,
}

impl Stop {
    pub(crate) fn new(message: &'static str, at: usize) -> Self {
        Self { message, at }
    }

    /// Whether more text could make it understood.
    pub(crate) fn is_open(&self) -> bool {
        [ENDS_EARLY, BACKSLASH].contains(&self.message) || self.message.ends_with("is not closed")
    }
}

/// What is said of a text that may go on.
const ENDS_EARLY: &str = "the text ends before what it began";
const BACKSLASH: &str = "a backslash ends the text";

impl From<Stop> for Unparsed {
    fn from(stop: Stop) -> Self {
        Self {
            message: stop.message.to_owned(),
            position: stop.at,
        }
    }
}

/// Reads a text.
pub(crate) fn parse(text: &str, dialect: Dialect) -> Result<Program, Stop> {
    if text.len() > MAX_LENGTH {
        return Err(Stop::new("the text is too long", MAX_LENGTH));
    }
    let characters: Vec<char> = text.chars().collect();
    let control = |c: &char| (c.is_control() && !matches!(c, '\n' | '\t')) || *c == '\u{fffd}';
    if let Some(at) = characters.iter().position(control) {
        return Err(Stop::new("a control character", at));
    }
    let source = Source {
        text: &characters,
        dialect,
        depth: 0,
    };
    let tokens = lex::tokens(&source)?;
    if tokens.len() > MAX_TOKENS {
        return Err(Stop::new("the text is too long", characters.len()));
    }
    parse_tokens(&tokens, &options()).map_err(|error| match error {
        ParseError::ParsingAtEndOfInput => Stop::new(ENDS_EARLY, characters.len()),
        ParseError::ParsingNear(position) => Stop::new("a syntax error", position.index),
        ParseError::Tokenizing { .. } => Stop::new("a syntax error", characters.len()),
    })
}

fn options() -> ParserOptions {
    ParserOptions {
        enable_extended_globbing: false,
        ..ParserOptions::default()
    }
}
