//! A word as it is written → its pieces.

use super::scan::{self, Source};
use super::{Dialect, Stop};

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Outside quotes: blanks cannot be in it; `*`, `?` and `[` are patterns.
    Plain(String),
    /// Constant text that means itself.
    Quoted(String),
    /// Within `"…"`.
    Double(Vec<Piece>),
    /// `~` or `~name` at the start, without what follows.
    Tilde(String),
    /// `$name`, `${…}`.
    Parameter(Parameter),
    /// The text of `$(…)` or `` `…` ``.
    Command(String),
    /// The text of `<(…)` or `>(…)`, and whether the program reads from it.
    Process { text: String, reads: bool },
    /// The text of `$((…))`.
    Arithmetic(String),
}

/// An expansion of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// A name, digits, or one special character.
    pub(crate) name: String,
    /// What stands between brackets.
    pub(crate) subscript: Option<String>,
    pub(crate) operation: Operation,
}

/// What an expansion does with the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Value,
    Length,
    /// `${!name}` and its forms: another variable is meant.
    Indirect(String),
    /// `-`, `=`, `?`, `+`; with `:` also if it is empty.
    Test {
        kind: char,
        empty_too: bool,
        word: String,
    },
    /// `#`, `##`, `%`, `%%`.
    Trim {
        kind: char,
        longest: bool,
        pattern: String,
    },
    /// What is not evaluated; the text may have substitutions of its own.
    Other {
        text: String,
        evaluates: bool,
    },
}

/// Splits a word.
pub(crate) fn pieces(raw: &str, dialect: Dialect) -> Result<Vec<Piece>, Stop> {
    let characters: Vec<char> = raw.chars().collect();
    let source = Source {
        text: &characters,
        dialect,
        depth: 0,
    };
    let mut reader = Reader::new(&source);
    reader.tilde();
    reader.unquoted()?;
    let dollar = reader.dollar;
    let pieces = reader.finish();
    let splits = |piece: &Piece| matches!(piece, Piece::Parameter(_) | Piece::Command(_) | Piece::Arithmetic(_));
    if dollar && pieces.iter().any(splits) {
        return Err(Stop::new(
            "a `$` that means itself beside an expansion is not followed",
            0,
        ));
    }
    Ok(pieces)
}

/// Splits the body of a here-document, which reads as if it stood between double quotes, but for the quotes.
pub(crate) fn here_document(raw: &str, dialect: Dialect) -> Result<Vec<Piece>, Stop> {
    let characters: Vec<char> = raw.chars().collect();
    let source = Source {
        text: &characters,
        dialect,
        depth: 0,
    };
    let mut reader = Reader::new(&source);
    reader.quoted(None)?;
    Ok(reader.finish())
}

struct Reader<'s, 'a> {
    source: &'s Source<'a>,
    index: usize,
    pieces: Vec<Piece>,
    plain: String,
    literal: String,
    /// A `$` outside quotes that means itself: then bash splits expansions of the same word in its own way.
    dollar: bool,
}

impl<'s, 'a> Reader<'s, 'a> {
    fn new(source: &'s Source<'a>) -> Self {
        Self {
            source,
            index: 0,
            pieces: Vec::new(),
            plain: String::new(),
            literal: String::new(),
            dollar: false,
        }
    }

    fn finish(mut self) -> Vec<Piece> {
        self.flush();
        self.pieces
    }

    fn flush(&mut self) {
        if !self.plain.is_empty() {
            self.pieces.push(Piece::Plain(std::mem::take(&mut self.plain)));
        }
        if !self.literal.is_empty() {
            self.pieces.push(Piece::Quoted(std::mem::take(&mut self.literal)));
        }
    }

    fn push(&mut self, piece: Piece) {
        self.flush();
        self.pieces.push(piece);
    }

    /// A tilde prefix reaches to the first slash, and counts only if nothing in it is quoted.
    fn tilde(&mut self) {
        if self.source.at(0) != Some('~') {
            return;
        }
        let mut end = 1;
        while let Some(c) = self.source.at(end) {
            match c {
                '/' | ':' => break,
                '\\' | '\'' | '"' | '$' | '`' | '<' | '>' => return,
                _ => end += 1,
            }
        }
        let name = self.source.string(1, end);
        self.push(Piece::Tilde(name));
        self.index = end;
    }

    fn unquoted(&mut self) -> Result<(), Stop> {
        while let Some(c) = self.source.at(self.index) {
            let start = self.index;
            match c {
                '\\' => {
                    self.flush_plain();
                    let Some(next) = self.source.at(start + 1) else {
                        return Err(Stop::new("a backslash ends the text", start));
                    };
                    if next != '\n' {
                        self.literal.push(next);
                    }
                    self.index += 2;
                }
                '\'' => {
                    self.index = scan::single(self.source, start)?;
                    self.push(Piece::Quoted(self.source.string(start + 1, self.index - 1)));
                }
                '"' => {
                    let end = scan::double(self.source, start)?;
                    let inner = self.source.string(start + 1, end - 1);
                    self.push(Piece::Double(quoted_pieces(&inner, self.source)?));
                    self.index = end;
                }
                '<' | '>' if self.source.at(start + 1) == Some('(') => {
                    let end = super::lex::substitution(self.source, start + 1)?;
                    let text = self.source.string(start + 2, end - 1);
                    self.push(Piece::Process { text, reads: c == '<' });
                    self.index = end;
                }
                '$' | '`' => self.expansion(false)?,
                _ => {
                    self.flush_literal();
                    self.plain.push(c);
                    self.index += 1;
                }
            }
        }
        Ok(())
    }

    fn flush_plain(&mut self) {
        if !self.plain.is_empty() {
            self.flush();
        }
    }

    fn flush_literal(&mut self) {
        if !self.literal.is_empty() {
            self.flush();
        }
    }

    /// Within double quotes, or (without a quote that ends it) within a here-document.
    fn quoted(&mut self, end: Option<char>) -> Result<(), Stop> {
        while let Some(c) = self.source.at(self.index) {
            match (c, self.source.at(self.index + 1)) {
                ('\\', Some('\n')) => self.index += 2,
                ('\\', Some(next)) if "$`\\".contains(next) || Some(next) == end => {
                    self.literal.push(next);
                    self.index += 2;
                }
                ('$' | '`', _) => self.expansion(true)?,
                _ => {
                    self.literal.push(c);
                    self.index += 1;
                }
            }
        }
        Ok(())
    }

    fn expansion(&mut self, quoted: bool) -> Result<(), Stop> {
        let start = self.index;
        if self.source.at(start) == Some('`') {
            let end = scan::backquote(self.source, start, quoted)?;
            let inner = self.source.string(start + 1, end - 1);
            self.push(Piece::Command(scan::unescaped(&inner)));
            self.index = end;
            return Ok(());
        }
        let end = scan::dollar(self.source, start, quoted)?;
        let piece = match (self.source.at(start + 1), self.source.at(start + 2)) {
            (Some('('), Some('(')) => Piece::Arithmetic(self.source.string(start + 3, end - 2)),
            (Some('('), _) => Piece::Command(self.source.string(start + 2, end - 1)),
            (Some('{'), _) => Piece::Parameter(parameter(&self.source.string(start + 2, end - 1), self.source, start)?),
            (Some('\''), _) if !quoted => Piece::Quoted(ansi(self.source.slice(start + 2, end - 1), start)?),
            _ => return self.short_parameter(quoted),
        };
        self.push(piece);
        self.index = end;
        Ok(())
    }

    /// `$name`, `$1`, `$?`, or a `$` that means itself.
    fn short_parameter(&mut self, quoted: bool) -> Result<(), Stop> {
        let start = self.index + 1;
        let mut end = start;
        match self.source.at(start) {
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                while self
                    .source
                    .at(end)
                    .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
                {
                    end += 1;
                }
            }
            Some(c) if c.is_ascii_digit() || "@*#?-$!".contains(c) => end += 1,
            _ => {
                if quoted {
                    self.literal.push('$');
                } else {
                    self.dollar = true;
                    self.push(Piece::Quoted("$".to_owned()));
                }
                self.index = start;
                return Ok(());
            }
        }
        self.push(Piece::Parameter(Parameter {
            name: self.source.string(start, end),
            subscript: None,
            operation: Operation::Value,
        }));
        self.index = end;
        Ok(())
    }
}

fn quoted_pieces(inner: &str, outer: &Source<'_>) -> Result<Vec<Piece>, Stop> {
    let characters: Vec<char> = inner.chars().collect();
    let source = Source {
        text: &characters,
        ..*outer
    };
    let source = source.deeper(0)?;
    let mut reader = Reader::new(&source);
    reader.quoted(Some('"'))?;
    Ok(reader.finish())
}

/// What stands between `${` and `}`.
fn parameter(inner: &str, source: &Source<'_>, at: usize) -> Result<Parameter, Stop> {
    let refuse = || Stop::new("this expansion is not followed", at);
    if let Some(rest) = inner.strip_prefix('!').filter(|rest| !rest.is_empty()) {
        source.bash_only(at)?;
        return Ok(whole("!", Operation::Indirect(rest.to_owned())));
    }
    if let Some(rest) = inner.strip_prefix('#').filter(|rest| !rest.is_empty()) {
        let (name, subscript, rest) = split_name(rest).ok_or_else(refuse)?;
        if !rest.is_empty() {
            return Err(refuse());
        }
        return Ok(Parameter {
            name,
            subscript,
            operation: Operation::Length,
        });
    }
    let (name, subscript, rest) = split_name(inner).ok_or_else(refuse)?;
    if subscript.is_some() {
        source.bash_only(at)?;
    }
    let operation = operation(rest, source, at)?;
    Ok(Parameter {
        name,
        subscript,
        operation,
    })
}

fn whole(name: &str, operation: Operation) -> Parameter {
    Parameter {
        name: name.to_owned(),
        subscript: None,
        operation,
    }
}

fn operation(rest: &str, source: &Source<'_>, at: usize) -> Result<Operation, Stop> {
    let mut characters = rest.chars();
    let first = characters.next();
    let after = characters.as_str();
    let second = after.chars().next();
    Ok(match (first, second) {
        (None, _) => Operation::Value,
        (Some(':'), Some(kind @ ('-' | '=' | '?' | '+'))) => Operation::Test {
            kind,
            empty_too: true,
            word: after.chars().skip(1).collect(),
        },
        (Some(kind @ ('-' | '=' | '?' | '+')), _) => Operation::Test {
            kind,
            empty_too: false,
            word: after.to_owned(),
        },
        (Some(kind @ ('#' | '%')), Some(next)) if next == kind => Operation::Trim {
            kind,
            longest: true,
            pattern: after.chars().skip(1).collect(),
        },
        (Some(kind @ ('#' | '%')), _) => Operation::Trim {
            kind,
            longest: false,
            pattern: after.to_owned(),
        },
        (Some(':' | '/' | '^' | ',' | '@'), _) => {
            source.bash_only(at)?;
            let plain = rest
                .chars()
                .skip(1)
                .all(|c| c.is_ascii_digit() || matches!(c, ':' | ' ' | '-'));
            Operation::Other {
                text: after.to_owned(),
                evaluates: match first {
                    Some('@') => !matches!(after, "Q" | "U" | "L" | "u"),
                    Some(':') => !plain,
                    _ => false,
                },
            }
        }
        _ => return Err(Stop::new("this expansion is not followed", at)),
    })
}

/// The name, what stands in brackets behind it, and the rest.
fn split_name(text: &str) -> Option<(String, Option<String>, &str)> {
    let first = text.chars().next()?;
    let length = if first.is_ascii_alphabetic() || first == '_' {
        text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(text.len())
    } else if first.is_ascii_digit() {
        text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())
    } else if "@*#?-$!".contains(first) {
        1
    } else {
        return None;
    };
    let (name, rest) = text.split_at_checked(length)?;
    if let Some(inner) = rest.strip_prefix('[') {
        let (subscript, rest) = inner.split_once(']')?;
        return Some((name.to_owned(), Some(subscript.to_owned()), rest));
    }
    Some((name.to_owned(), None, rest))
}

/// What `$'…'` means. Bytes that are no ASCII, and what ends a string in C, are refused.
fn ansi(inner: &[char], at: usize) -> Result<String, Stop> {
    let refuse = || Stop::new("this escape is not followed", at);
    let mut text = String::new();
    let mut index = 0;
    while let Some(&c) = inner.get(index) {
        index += 1;
        if c != '\\' {
            text.push(c);
            continue;
        }
        let escape = inner.get(index).copied().ok_or_else(refuse)?;
        index += 1;
        let (radix, longest) = match escape {
            'x' => (16, 2),
            'u' => (16, 4),
            'U' => (16, 8),
            '0'..='7' => {
                index -= 1;
                (8, 3)
            }
            _ => {
                text.push(simple_escape(escape).ok_or_else(refuse)?);
                continue;
            }
        };
        let digits = inner.iter().skip(index).take(longest).take_while(|c| c.is_digit(radix));
        let digits: String = digits.collect();
        index += digits.len();
        let value = u32::from_str_radix(&digits, radix).map_err(|_| refuse())?;
        let ascii = u8::try_from(value)
            .ok()
            .filter(|byte| (1..0x80).contains(byte))
            .ok_or_else(refuse)?;
        text.push(char::from(ascii));
    }
    Ok(text)
}

fn simple_escape(escape: char) -> Option<char> {
    Some(match escape {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'e' | 'E' => '\u{1b}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' | '\'' | '"' | '?' => escape,
        _ => return None,
    })
}
