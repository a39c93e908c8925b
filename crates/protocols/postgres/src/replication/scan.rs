//! The words of a command: PostgreSQL's `repl_scanner.l`, which is not SQL's. There are no comments, and a backslash
//! in a string is a backslash.

/// The most tokens of a command.
const MAX_TOKENS: usize = 1024;
/// Longer names are cut off by servers, and would be other names than rules were asked about.
pub(super) const MAX_NAME: usize = 63;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or a keyword, in lower case.
    Word(String),
    /// A name in double quotes, never a keyword.
    Quoted(String),
    /// A string.
    Text(String),
    /// An unsigned number of 32 bits.
    Number(u32),
    /// A position in the write-ahead log.
    Position,
    /// Anything else of one character.
    Mark(char),
}

/// Why a text has no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScanError {
    #[error("unterminated quoted string in a replication command")]
    Unterminated,
    #[error("a number of a replication command is out of range")]
    Number,
    #[error("a replication command of too many words")]
    TooMany,
    #[error("a name of a replication command is empty or longer than {MAX_NAME} bytes")]
    Name,
}

/// White space, as any version of the scanner takes it.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c' | '\x0b')
}

fn begins_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn continues_word(c: char) -> bool {
    begins_word(c) || c.is_ascii_digit() || c == '$'
}

/// The first word of a text in lower case, if it begins with one.
pub(super) fn first_word(text: &str) -> Option<String> {
    let text = text.trim_start_matches(is_space);
    let end = text.find(|c| !continues_word(c)).unwrap_or(text.len());
    let word = text.get(..end)?;
    word.starts_with(begins_word).then(|| word.to_ascii_lowercase())
}

/// All tokens of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ScanError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while let Some(first) = rest.chars().next() {
        if tokens.len() >= MAX_TOKENS {
            return Err(ScanError::TooMany);
        }
        let (token, after) = token(first, rest)?;
        tokens.push(token);
        rest = after.trim_start_matches(is_space);
    }
    Ok(tokens)
}

fn token(first: char, text: &str) -> Result<(Token, &str), ScanError> {
    if first == '\'' || first == '"' {
        let (content, after) = quoted(first, text)?;
        return Ok(match first {
            '"' => (Token::Quoted(name(content)?), after),
            _ => (Token::Text(content), after),
        });
    }
    // The longest match wins: `1A/2` is a position, `1A` a number and a word, `A/1` a position as well.
    if let Some(after) = position(text) {
        return Ok((Token::Position, after));
    }
    if first.is_ascii_digit() {
        let (digits, after) = split_while(text, |c| c.is_ascii_digit());
        let number = digits.parse().map_err(|_| ScanError::Number)?;
        return Ok((Token::Number(number), after));
    }
    if begins_word(first) {
        let (word, after) = split_while(text, continues_word);
        // Letters outside ASCII are lower-cased in ways that depend on the server's locale; no name of a slot has any.
        return Ok((Token::Word(name(word.to_ascii_lowercase())?), after));
    }
    let mut chars = text.chars();
    chars.next();
    Ok((Token::Mark(first), chars.as_str()))
}

/// What is between quotes, where a doubled quote stands for one.
fn quoted(quote: char, text: &str) -> Result<(String, &str), ScanError> {
    let mut content = String::new();
    let mut chars = text.chars();
    chars.next();
    while let Some(c) = chars.next() {
        if c != quote {
            content.push(c);
        } else if chars.as_str().starts_with(quote) {
            chars.next();
            content.push(quote);
        } else {
            return Ok((content, chars.as_str()));
        }
    }
    Err(ScanError::Unterminated)
}

/// What follows a position (`16/B374D848`), if the text begins with one.
fn position(text: &str) -> Option<&str> {
    let (high, rest) = split_while(text, |c| c.is_ascii_hexdigit());
    let (low, after) = split_while(rest.strip_prefix('/')?, |c| c.is_ascii_hexdigit());
    let fits = |half: &str| (1..=8).contains(&half.len());
    (fits(high) && fits(low)).then_some(after)
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn name(name: String) -> Result<String, ScanError> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(ScanError::Name);
    }
    Ok(name)
}
