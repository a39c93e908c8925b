//! How far a quoted part or an expansion of a word reaches. Bash's rules, less the corners in which shells differ:
//! those are refused.

use super::{Dialect, MAX_DEPTH, Stop, lex};

type Scanned = Result<usize, Stop>;

/// A text and the rules it is read by.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) text: &'a [char],
    pub(crate) dialect: Dialect,
    pub(crate) depth: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn at(&self, index: usize) -> Option<char> {
        self.text.get(index).copied()
    }

    pub(crate) fn deeper(&self, at: usize) -> Result<Self, Stop> {
        if self.depth >= MAX_DEPTH {
            return Err(Stop::new("nesting is too deep", at));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..*self
        })
    }

    pub(crate) fn slice(&self, from: usize, to: usize) -> &'a [char] {
        self.text.get(from..to).unwrap_or_default()
    }

    pub(crate) fn string(&self, from: usize, to: usize) -> String {
        self.slice(from, to).iter().collect()
    }

    /// Refuses what a POSIX shell reads differently.
    pub(crate) fn bash_only(&self, at: usize) -> Result<(), Stop> {
        match self.dialect {
            Dialect::Bash => Ok(()),
            Dialect::Posix => Err(Stop::new("only bash reads this so, and the shell is another", at)),
        }
    }
}

/// After the closing quote; `open` is at the quote.
pub(crate) fn single(source: &Source<'_>, open: usize) -> Scanned {
    let mut index = open + 1;
    while let Some(c) = source.at(index) {
        index += 1;
        if c == '\'' {
            return Ok(index);
        }
    }
    Err(Stop::new("a quote is not closed", open))
}

/// After the closing quote of `$'…'`; `open` is at the quote.
pub(crate) fn ansi(source: &Source<'_>, open: usize) -> Scanned {
    let mut index = open + 1;
    while let Some(c) = source.at(index) {
        index += 1;
        match c {
            '\\' => index += 1,
            '\'' => return Ok(index),
            _ => {}
        }
    }
    Err(Stop::new("a quote is not closed", open))
}

/// After the closing quote of `"…"`; `open` is at the quote.
pub(crate) fn double(source: &Source<'_>, open: usize) -> Scanned {
    let source = &source.deeper(open)?;
    let mut index = open + 1;
    while let Some(c) = source.at(index) {
        match c {
            '"' => return Ok(index + 1),
            '\\' => index += 2,
            '$' => index = dollar(source, index, true)?,
            '`' => index = backquote(source, index, true)?,
            _ => index += 1,
        }
    }
    Err(Stop::new("a quote is not closed", open))
}

/// After what a `$` starts; at least after the `$`.
pub(crate) fn dollar(source: &Source<'_>, at: usize, quoted: bool) -> Scanned {
    match (source.at(at + 1), source.at(at + 2)) {
        (Some('('), Some('(')) => arithmetic(source, at + 1),
        (Some('('), _) => lex::substitution(source, at + 1),
        (Some('{'), _) => braces(source, at + 1, quoted),
        (Some('['), _) => Err(Stop::new("the old form of arithmetic is not followed", at)),
        (Some('\\'), Some('\n')) => Err(Stop::new("a line is continued within an expansion", at)),
        (Some('\''), _) if !quoted => {
            source.bash_only(at)?;
            ansi(source, at + 1)
        }
        (Some('"'), _) if !quoted => Err(Stop::new("a text that is translated is not constant", at)),
        _ => Ok(at + 1),
    }
}

/// After `` `…` ``. `quoted`: within double quotes.
pub(crate) fn backquote(source: &Source<'_>, open: usize, quoted: bool) -> Scanned {
    let mut index = open + 1;
    while let Some(c) = source.at(index) {
        index += 1;
        match (c, source.at(index)) {
            ('`', _) => return Ok(index),
            // Shells differ in which quotes this ends.
            ('\\', Some('"')) if quoted => {
                return Err(Stop::new("a quoted quote within back quotes is not followed", index));
            }
            ('\\', _) => index += 1,
            _ => {}
        }
    }
    Err(Stop::new("a back quote is not closed", open))
}

/// What stands between back quotes, as it is then read: a backslash quotes only these three there.
pub(crate) fn unescaped(inner: &str) -> String {
    let mut text = String::new();
    let mut characters = inner.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, characters.peek()) {
            ('\\', Some('$' | '`' | '\\')) => text.extend(characters.next()),
            (c, _) => text.push(c),
        }
    }
    text
}

/// After `((…))`; `open` is at the first parenthesis. What is inside must be plain: numbers, names, operators,
/// and expansions of variables. Anything else may be a subshell in a subshell.
pub(crate) fn arithmetic(source: &Source<'_>, open: usize) -> Scanned {
    source.bash_only_unless_expansion(open)?;
    arithmetic_parts(source, open, false)
}

/// The same behind `for`, where `;` stands between three such texts.
pub(crate) fn arithmetic_loop(source: &Source<'_>, open: usize) -> Scanned {
    source.bash_only(open)?;
    arithmetic_parts(source, open, true)
}

fn arithmetic_parts(source: &Source<'_>, open: usize, parts: bool) -> Scanned {
    let mut index = open + 2;
    let mut inner = 0_usize;
    while let Some(c) = source.at(index) {
        match (c, source.at(index + 1)) {
            (')', Some(')')) if inner == 0 => return Ok(index + 2),
            (')', _) if inner == 0 => break,
            (')', _) => inner -= 1,
            ('(', _) => inner += 1,
            ('$', Some(next)) if next.is_ascii_alphanumeric() || next == '_' || next == '{' || next == '#' => {}
            ('{' | '}', _) => {}
            (';', _) if parts && inner == 0 => {}
            _ if c.is_ascii_alphanumeric() || " \t_+-*/%<>=!&|?:,~^#".contains(c) => {}
            _ => break,
        }
        index += 1;
    }
    Err(Stop::new("this arithmetic is not followed", open))
}

impl Source<'_> {
    fn bash_only_unless_expansion(&self, open: usize) -> Result<(), Stop> {
        let expansion = open > 0 && self.at(open - 1) == Some('$');
        if expansion { Ok(()) } else { self.bash_only(open) }
    }
}

/// After `${…}`; `open` is at the brace.
pub(crate) fn braces(source: &Source<'_>, open: usize, quoted: bool) -> Scanned {
    let source = &source.deeper(open)?;
    let mut index = open + 1;
    if matches!(source.at(index), None | Some(' ' | '\t' | '\n' | '|' | '}')) {
        return Err(Stop::new("this expansion is not followed", open));
    }
    while let Some(c) = source.at(index) {
        match c {
            '}' => return Ok(index + 1),
            '\\' => index += 2,
            '\'' if quoted => return Err(Stop::new("quotes within a quoted expansion are not followed", index)),
            '\'' => index = single(source, index)?,
            '"' if quoted => return Err(Stop::new("quotes within a quoted expansion are not followed", index)),
            '"' => index = double(source, index)?,
            '$' if index == open + 1 => index += 1,
            '$' => index = dollar(source, index, quoted)?,
            '`' => index = backquote(source, index, quoted)?,
            '<' | '>' if source.at(index + 1) == Some('(') => {
                return Err(Stop::new("a substitution within an expansion is not followed", index));
            }
            '\n' => return Err(Stop::new("an expansion over several lines is not followed", index)),
            _ => index += 1,
        }
    }
    Err(Stop::new("an expansion is not closed", open))
}

/// After a word that starts at `start`: up to an unquoted blank, newline or operator.
pub(crate) fn word(source: &Source<'_>, start: usize) -> Scanned {
    let mut index = start;
    while let Some(c) = source.at(index) {
        match c {
            ' ' | '\t' | '\n' | '|' | '&' | ';' | '(' | ')' => break,
            '<' | '>' if source.at(index + 1) == Some('(') => {
                source.bash_only(index)?;
                index = lex::substitution(source, index + 1)?;
            }
            '<' | '>' => break,
            // The line goes on behind the word.
            '\\' if source.at(index + 1) == Some('\n') && matches!(source.at(index + 2), Some(' ' | '\t')) => break,
            '\\' if source.at(index + 1) == Some('\n') => {
                return Err(Stop::new("a line is continued within a word", index));
            }
            '\\' if source.at(index + 1).is_none() => return Err(Stop::new("a backslash ends the text", index)),
            '\\' => index += 2,
            '\'' => index = single(source, index)?,
            '"' => index = double(source, index)?,
            '$' => index = dollar(source, index, false)?,
            '`' => index = backquote(source, index, false)?,
            _ if ambiguous(c) => return Err(Stop::new("a blank that is none, or is one in some locales", index)),
            _ => index += 1,
        }
    }
    Ok(index)
}

/// Characters that a locale may take for blanks, or that nobody sees.
fn ambiguous(c: char) -> bool {
    !c.is_ascii()
        && (c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'))
}
