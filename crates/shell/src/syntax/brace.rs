//! Brace expansion: `{a,b}`, `{1..3}`. It comes before every other expansion and works on the text of the word.

use super::scan::{self, Source};
use super::{Dialect, Stop};

/// Words that one word may become.
const MAX_WORDS: usize = 256;

/// The words that a word becomes.
pub(crate) fn expand(raw: &str, dialect: Dialect) -> Result<Vec<String>, Stop> {
    if !raw.contains('{') {
        return Ok(vec![raw.to_owned()]);
    }
    let mut out = Vec::new();
    let mut work = vec![(raw.to_owned(), 0_usize)];
    let mut steps = 0;
    while let Some((word, from)) = work.pop() {
        steps += 1;
        if steps > 4 * MAX_WORDS || out.len() + work.len() > MAX_WORDS {
            return Err(Stop::new("a brace expansion is too large", 0));
        }
        match first(&word, from, dialect)? {
            None => out.push(word),
            Some(found) => {
                if dialect == Dialect::Posix {
                    return Err(Stop::new("only bash reads this so, and the shell is another", 0));
                }
                let next = found.prefix.chars().count();
                for member in found.members.into_iter().rev() {
                    work.push((format!("{}{member}{}", found.prefix, found.suffix), next));
                }
            }
        }
    }
    Ok(out)
}

struct Found {
    prefix: String,
    members: Vec<String>,
    suffix: String,
}

/// The first brace expression at or after a position.
fn first(word: &str, from: usize, dialect: Dialect) -> Result<Option<Found>, Stop> {
    let characters: Vec<char> = word.chars().collect();
    let source = Source {
        text: &characters,
        dialect,
        depth: 0,
    };
    let mut index = from;
    while let Some(c) = source.at(index) {
        if c == '{'
            && let Some((members, end)) = members(&source, index)?
        {
            return Ok(Some(Found {
                prefix: source.string(0, index),
                members,
                suffix: source.string(end, characters.len()),
            }));
        }
        index = skip(&source, index)?;
    }
    Ok(None)
}

/// The members of the expression that opens here, if it is one, and where it ends.
fn members(source: &Source<'_>, open: usize) -> Result<Option<(Vec<String>, usize)>, Stop> {
    let mut members = Vec::new();
    let mut start = open + 1;
    let mut index = start;
    let mut depth = 0_usize;
    while let Some(c) = source.at(index) {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                members.push(source.string(start, index));
                if let [only] = members.as_slice() {
                    if only.is_empty() {
                        return Ok(None);
                    }
                    return match sequence(only)? {
                        Some(sequence) => Ok(Some((sequence, index + 1))),
                        // Bash and others differ in how `{a}` within braces is read: nobody writes it.
                        None if only.contains('{') => Err(Stop::new("these braces are not followed", open)),
                        None => Ok(None),
                    };
                }
                return Ok(Some((members, index + 1)));
            }
            ',' if depth == 0 => {
                members.push(source.string(start, index));
                start = index + 1;
            }
            _ => {}
        }
        index = skip(source, index)?;
    }
    if members.is_empty() && depth == 0 {
        return Ok(None);
    }
    Err(Stop::new("these braces are not followed", open))
}

/// After one character, or after the quoted part or the expansion that starts here.
fn skip(source: &Source<'_>, index: usize) -> Result<usize, Stop> {
    match source.at(index) {
        Some('\\') => Ok(index + 2),
        Some('\'') => scan::single(source, index),
        Some('"') => scan::double(source, index),
        Some('$') => scan::dollar(source, index, false),
        Some('`') => scan::backquote(source, index, false),
        Some('<' | '>') if source.at(index + 1) == Some('(') => super::lex::substitution(source, index + 1),
        _ => Ok(index + 1),
    }
}

/// `1..5`, `a..e`, `1..9..2`. What looks like a sequence and is none of these is refused.
fn sequence(text: &str) -> Result<Option<Vec<String>>, Stop> {
    if !text.contains("..") {
        return Ok(None);
    }
    let refuse = Err(Stop::new("this sequence is not followed", 0));
    let mut parts = text.split("..");
    let (Some(first), Some(last), None) = (parts.next(), parts.next(), parts.next()) else {
        return refuse;
    };
    if let (Some(first), Some(last)) = (plain_number(first), plain_number(last)) {
        if first.abs_diff(last) as usize >= MAX_WORDS {
            return Err(Stop::new("a brace expansion is too large", 0));
        }
        return Ok(Some(range(first, last).map(|number| number.to_string()).collect()));
    }
    // With a zero in front, all are as wide as the wider one.
    let width = first.len().max(last.len());
    if let (Some(first), Some(last)) = (padded_number(first), padded_number(last))
        && first.abs_diff(last) as usize <= MAX_WORDS
    {
        return Ok(Some(
            range(first, last).map(|number| format!("{number:0width$}")).collect(),
        ));
    }
    let letter = |part: &str| {
        let mut characters = part.chars();
        let c = characters.next().filter(char::is_ascii_lowercase)?;
        characters.next().is_none().then_some(c)
    };
    if let (Some(first), Some(last)) = (letter(first), letter(last)) {
        let letters = range(first as i32, last as i32).filter_map(|code| u8::try_from(code).ok());
        return Ok(Some(letters.map(|byte| char::from(byte).to_string()).collect()));
    }
    refuse
}

/// A number without leading zeros, which would pad the others.
fn plain_number(text: &str) -> Option<i32> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits == "0" || (!digits.starts_with('0') && !digits.is_empty() && digits.len() <= 6);
    (plain && digits.chars().all(|c| c.is_ascii_digit()) && text != "-0")
        .then(|| text.parse().ok())
        .flatten()
}

/// A number without sign.
fn padded_number(text: &str) -> Option<i32> {
    let plain = !text.is_empty() && text.len() <= 6 && text.chars().all(|c| c.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn range(first: i32, last: i32) -> Box<dyn Iterator<Item = i32>> {
    if first <= last {
        Box::new(first..=last)
    } else {
        Box::new((last..=first).rev())
    }
}
