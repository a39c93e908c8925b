//! Statements that differ in their literals only have one shape, and often the same facts.
//!
//! That facts can be shared rests on three things. The texts of one shape are the same to a lexer, token by
//! token, but for the values of plain numbers and strings: [`shape`] refuses whatever might be read otherwise. The
//! grammar makes the same tree of them, because each literal stands where a parameter could stand, and is the
//! value of a constant there and nothing else, unlike the number in `float(5)`. And the analysis read no such
//! value on its way to the facts: `Literals` says so. Besides, the statement with parameters must have the same facts.

use std::fmt::Write;

use pg_raw_parse::Node;

use crate::analyse::analyse_as;
use crate::bind::Names;
use crate::catalog::Catalog;
use crate::facts::{Effects, Facts, StatementFacts};
use crate::parse::{Parsed, SyntaxError, parse};
use crate::state::{Prepared, SessionState};

/// The longest text that has a shape.
const MAX_SHAPED: usize = 16 * 1024;

/// The kinds of literals, as a shape names them: of one kind are those that the server gives the same type.
const INTEGER: &str = "$i";
const BIG_INTEGER: &str = "$l";
const STRING: &str = "$s";

/// What a byte can be outside of strings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// White space, punctuation, a part of an operator: stands for itself, whatever is beside it.
    Plain,
    /// A letter or an underscore.
    Letter,
    Digit,
    Quote,
    DoubleQuote,
    /// May begin a comment.
    Minus,
    Slash,
    /// Whoever reads it has to know more: parameters, backslashes, what is not ASCII.
    Refused,
}

const CLASSES: [Class; 256] = classes();

#[expect(clippy::indexing_slicing, reason = "the index is below the length of the array")]
const fn classes() -> [Class; 256] {
    let mut classes = [Class::Refused; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'\'' => Class::Quote,
            b'"' => Class::DoubleQuote,
            b'-' => Class::Minus,
            b'/' => Class::Slash,
            b'$' | b'\\' | 0x7f => Class::Refused,
            b' '..=b'~' | b'\t' | b'\n' | b'\r' => Class::Plain,
            _ => Class::Refused,
        };
        byte += 1;
    }
    classes
}

fn class(byte: Option<&u8>) -> Class {
    byte.and_then(|&b| CLASSES.get(usize::from(b)))
        .copied()
        .unwrap_or(Class::Plain)
}

/// The shape of a text: the text with the kind of each literal in its place. Written to `key`.
///
/// `None` when it has no literals, or anything in it could be read in more than one way.
pub fn shape<'k>(text: &str, key: &'k mut String) -> Option<&'k str> {
    key.clear();
    if text.len() > MAX_SHAPED {
        return None;
    }
    let bytes = text.as_bytes();
    let (mut at, mut copied) = (0, 0);
    // Where a number would begin that says how many rows are asked for.
    let mut counts = None;
    while let Some(byte) = bytes.get(at) {
        let (end, kind) = match class(Some(byte)) {
            Class::Plain => {
                if counts == Some(at) && byte.is_ascii_whitespace() {
                    counts = Some(at + 1);
                }
                at += 1;
                continue;
            }
            Class::Letter => {
                let end = end_of_word(bytes, at);
                counts = bytes.get(at..end).is_some_and(is_before_count).then_some(end);
                at = end;
                continue;
            }
            Class::Minus | Class::Slash => {
                let comment = matches!((byte, bytes.get(at + 1)), (b'-', Some(b'-')) | (b'/', Some(b'*')));
                at += 1;
                if comment {
                    return None;
                }
                continue;
            }
            Class::DoubleQuote => {
                at = end_of_quoted(bytes, at, b'"').filter(|&end| stands_alone(bytes, at, end))?;
                continue;
            }
            Class::Refused => return None,
            Class::Digit if counts == Some(at) => {
                at = number(bytes, at)?.0;
                continue;
            }
            Class::Digit => number(bytes, at)?,
            Class::Quote => (string(bytes, at)?, STRING),
        };
        key.push_str(text.get(copied..at)?);
        key.push_str(kind);
        (at, copied) = (end, end);
    }
    if copied == 0 {
        return None;
    }
    key.push_str(text.get(copied..)?);
    Some(key)
}

/// Whether a number behind this word bounds the rows of a result, which is a fact: it stays in the shape.
fn is_before_count(word: &[u8]) -> bool {
    [&b"limit"[..], b"first", b"next"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
}

/// Where a word ends that begins here.
fn end_of_word(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let inside = |b: &u8| matches!(class(Some(b)), Class::Letter | Class::Digit);
    at + rest.iter().take_while(|b| inside(b)).count()
}

/// Whether neither side of a literal or quoted name touches what could be a part of it: a prefix as in `E''`, a
/// word, a number's point, a second quote.
fn stands_alone(bytes: &[u8], start: usize, end: usize) -> bool {
    let before = start.checked_sub(1).and_then(|i| bytes.get(i));
    let apart = |byte: Option<&u8>| {
        !matches!(
            class(byte),
            Class::Letter | Class::Digit | Class::Quote | Class::DoubleQuote | Class::Refused
        )
    };
    apart(before) && before != Some(&b'&') && apart(bytes.get(end))
}

/// A decimal integer: its end, and its kind. The server tells kinds apart by the value.
fn number(bytes: &[u8], at: usize) -> Option<(usize, &'static str)> {
    let rest = bytes.get(at..)?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit());
    let (mut count, mut value) = (0_usize, 0_u64);
    for digit in digits {
        count += 1;
        // nineteen digits are always fewer than a `u64` holds
        if count > 19 {
            return None;
        }
        value = value * 10 + u64::from(digit - b'0');
    }
    let end = at + count;
    let before = at.checked_sub(1).and_then(|i| bytes.get(i));
    if !stands_alone(bytes, at, end) || before == Some(&b'.') || bytes.get(end) == Some(&b'.') {
        return None;
    }
    let kind = if i32::try_from(value).is_ok() {
        INTEGER
    } else {
        i64::try_from(value).ok()?;
        BIG_INTEGER
    };
    Some((end, kind))
}

/// Where a string ends that begins here, and that no other string continues.
fn string(bytes: &[u8], at: usize) -> Option<usize> {
    let end = end_of_quoted(bytes, at, b'\'')?;
    let after = bytes.get(end..)?.iter().find(|b| !b.is_ascii_whitespace());
    (stands_alone(bytes, at, end) && after != Some(&b'\'')).then_some(end)
}

/// The end of what is quoted, doubled quotes inside it passed over.
fn end_of_quoted(bytes: &[u8], at: usize, quote: u8) -> Option<usize> {
    let mut next = at + 1;
    loop {
        let byte = *bytes.get(next)?;
        next += 1;
        if byte == quote {
            if bytes.get(next) != Some(&quote) {
                return Some(next);
            }
            next += 1;
        } else if class(Some(&byte)) == Class::Refused && (byte, quote) != (b'$', b'\'') {
            return None;
        }
    }
}

/// The text of a shape with parameters for its literals.
fn with_parameters(key: &str) -> String {
    let mut text = String::with_capacity(key.len() + 16);
    for (number, piece) in key.split('$').enumerate() {
        if number == 0 {
            text.push_str(piece);
        } else {
            // the letter after it says the kind
            let _infallible = write!(text, "${number}{}", piece.get(1..).unwrap_or_default());
        }
    }
    text
}

/// What is known of a text, and whether it is known of every text of the same shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Shaped {
    /// The facts of the text.
    pub facts: Facts,
    /// Every text of this shape has these facts, but for [`StatementFacts::span`], as long as catalogue and state are
    /// the same.
    pub shared: bool,
}

/// The facts of a text, as [`crate::analyse`] finds them, and whether they belong to its `shape`.
///
/// # Errors
/// As [`crate::analyse`].
pub fn analyse_shaped(
    parsed: &Parsed,
    shape: &str,
    catalog: &Catalog,
    state: &SessionState,
    names: &dyn Prepared,
) -> Result<Shaped, SyntaxError> {
    let here = Names::new(catalog, state);
    let literals = std::rc::Rc::clone(&here.literals);
    let facts = analyse_as(parsed, here, state, names)?;
    let shared = !literals.were_read()
        && only_queries(parsed)
        && match facts.statements.as_slice() {
            [one] => one.effects == Effects::default() && same_with_parameters(one, shape, catalog, state, names),
            _ => false,
        };
    Ok(Shaped { facts, shared })
}

/// One statement, and one that is not about other statements, objects or the session.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is not listed is not shared")]
fn only_queries(parsed: &Parsed) -> bool {
    let mut statements = parsed.statements();
    let (Some((_, only)), None) = (statements.next(), statements.next()) else {
        return false;
    };
    match only {
        Node::SelectStmt(select) => {
            let mut first = select;
            while let Some(left) = first.larg() {
                first = left;
            }
            first.into_clause().is_none()
        }
        Node::InsertStmt(_) | Node::UpdateStmt(_) | Node::DeleteStmt(_) | Node::MergeStmt(_) => true,
        _ => false,
    }
}

/// Whether the statement with parameters in the place of its literals parses, and has the same facts.
fn same_with_parameters(
    facts: &StatementFacts,
    shape: &str,
    catalog: &Catalog,
    state: &SessionState,
    names: &dyn Prepared,
) -> bool {
    let Ok(parsed) = parse(&with_parameters(shape)) else {
        return false;
    };
    let Ok(mut other) = analyse_as(&parsed, Names::new(catalog, state), state, names) else {
        return false;
    };
    match other.statements.as_mut_slice() {
        [one] if only_queries(&parsed) => {
            one.span = facts.span.clone();
            one.parameters = facts.parameters;
            one == facts
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::with_parameters;

    #[test]
    fn parameters_take_the_places_of_literals_in_order() {
        assert_eq!(
            with_parameters("UPDATE t SET a = $s, b=$i+$l WHERE c=$i;"),
            "UPDATE t SET a = $1, b=$2+$3 WHERE c=$4;"
        );
    }
}
