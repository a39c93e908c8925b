//! Text → tokens, by bash's rules. The grammar is the parser's; which characters make a token is decided here, because
//! there the parser's own tokenizer and bash differ in corners that matter (comments and `case` within substitutions,
//! numbers before redirections, extended patterns).

use std::sync::Arc;

use brush_parser::{SourcePosition, SourceSpan, Token};

use super::scan::{self, Source};
use super::{MAX_CASES, MAX_OPENERS, MAX_PARENS, Stop};

/// Operators, longest first.
const OPERATORS: [&str; 24] = [
    "&>>", "<<<", "<<-", ";;&", "&&", "||", ";;", ";&", "|&", "&>", "<<", ">>", "<&", ">&", "<>", ">|", "&", ";", "|",
    "<", ">", "(", ")", "\n",
];

/// Words that open a construct of the grammar: each may cost the parser a level of its stack.
const OPENERS: [&str; 10] = [
    "if", "while", "until", "for", "case", "select", "{", "[[", "coproc", "function",
];

/// Stands before the name of a `select`.
pub(crate) const SELECT: &str = "select ";

/// The tokens of a whole text.
pub(crate) fn tokens(source: &Source<'_>) -> Result<Vec<Token>, Stop> {
    let mut lexer = Lexer::new(source, 0);
    while lexer.next(false)?.is_some() {}
    if !lexer.pending.is_empty() {
        return Err(Stop::new("a here-document is not closed", lexer.index));
    }
    Ok(lexer.tokens)
}

/// After the `)` that belongs to the `(` at `open`, of `$(…)` or `<(…)`.
pub(crate) fn substitution(source: &Source<'_>, open: usize) -> Result<usize, Stop> {
    let source = source.deeper(open)?;
    let mut lexer = Lexer::new(&source, open + 1);
    while let Some(closed) = lexer.next(true)? {
        if closed {
            return Ok(lexer.index);
        }
    }
    Err(Stop::new("a substitution is not closed", open))
}

struct HereDocument {
    /// Where in the tokens the document and its closing tag belong.
    position: usize,
    tag: String,
    quoted: bool,
    tabs: bool,
}

struct Lexer<'s, 'a> {
    source: &'s Source<'a>,
    index: usize,
    tokens: Vec<Token>,
    pending: Vec<HereDocument>,
    parens: usize,
    openers: usize,
    /// The next word is the tag of a here-document: whether its tabs are removed.
    tag: Option<bool>,
    /// After a `case`, a parenthesis may close that is not open.
    cases: usize,
}

impl<'s, 'a> Lexer<'s, 'a> {
    fn new(source: &'s Source<'a>, index: usize) -> Self {
        Self {
            source,
            index,
            tokens: Vec::new(),
            pending: Vec::new(),
            parens: 0,
            openers: 0,
            tag: None,
            cases: 0,
        }
    }

    /// Reads one token. `Some(true)`: it was the parenthesis that closes what this text is within. `None`: the end.
    fn next(&mut self, within: bool) -> Result<Option<bool>, Stop> {
        self.skip_blanks();
        let start = self.index;
        let Some(c) = self.source.at(start) else {
            return Ok(None);
        };
        if c == '#' {
            while self.source.at(self.index).is_some_and(|c| c != '\n') {
                self.index += 1;
            }
            return Ok(Some(false));
        }
        let substitutes = matches!(c, '<' | '>') && self.source.at(start + 1) == Some('(');
        match self.operator(start) {
            Some(operator) if !substitutes => {
                if operator == ")" && self.parens == 0 && within {
                    self.index += 1;
                    return Ok(Some(true));
                }
                self.take_operator(operator, within)?;
            }
            _ => self.take_word(within)?,
        }
        Ok(Some(false))
    }

    fn skip_blanks(&mut self) {
        loop {
            match (self.source.at(self.index), self.source.at(self.index + 1)) {
                (Some(' ' | '\t'), _) => self.index += 1,
                (Some('\\'), Some('\n')) => self.index += 2,
                _ => return,
            }
        }
    }

    fn operator(&self, at: usize) -> Option<&'static str> {
        OPERATORS.into_iter().find(|operator| {
            let mut index = at;
            operator.chars().all(|c| {
                index += 1;
                self.source.at(index - 1) == Some(c)
            })
        })
    }

    fn take_operator(&mut self, operator: &'static str, within: bool) -> Result<(), Stop> {
        let start = self.index;
        self.index += operator.len();
        if operator != "\n" && self.source.slice(self.index, self.index + 2) == ['\\', '\n'] {
            return Err(Stop::new("a line is continued within an operator", self.index));
        }
        if self.tag.is_some() {
            return Err(Stop::new("a here-document has no tag", start));
        }
        match operator {
            "&>>" | "<<<" | ";;&" | ";&" | "|&" | "&>" => self.source.bash_only(start)?,
            "(" if self.source.at(self.index) == Some('(') => return self.take_arithmetic(start),
            "(" => self.open(start)?,
            ")" => {
                self.parens = match self.parens.checked_sub(1) {
                    Some(parens) => parens,
                    // It closes a pattern.
                    None if self.cases > 0 => 0,
                    None => return Err(Stop::new("a parenthesis is not open", start)),
                };
            }
            "<<" | "<<-" if within => {
                return Err(Stop::new(
                    "a here-document within a substitution is not followed",
                    start,
                ));
            }
            "<<" => self.tag = Some(false),
            "<<-" => self.tag = Some(true),
            _ => {}
        }
        self.push(operator.to_owned(), start, true);
        if operator == "\n" {
            self.take_documents()?;
        }
        Ok(())
    }

    fn open(&mut self, at: usize) -> Result<(), Stop> {
        self.parens += 1;
        if self.parens > MAX_PARENS {
            return Err(Stop::new("nesting is too deep", at));
        }
        Ok(())
    }

    /// `((…))` as a command.
    fn take_arithmetic(&mut self, start: usize) -> Result<(), Stop> {
        if matches!(self.tokens.last(), Some(Token::Word(word, _)) if word == "for") {
            return self.take_arithmetic_loop(start);
        }
        self.index = scan::arithmetic(self.source, start)?;
        let inner = self.source.string(start + 2, self.index - 2);
        if inner.trim().is_empty() {
            return Err(Stop::new("this arithmetic is not followed", start));
        }
        self.push("(".to_owned(), start, true);
        self.push("(".to_owned(), start + 1, true);
        self.push(inner, start + 2, false);
        self.push(")".to_owned(), self.index - 2, true);
        self.push(")".to_owned(), self.index - 1, true);
        Ok(())
    }

    /// `((…;…;…))` behind `for`.
    fn take_arithmetic_loop(&mut self, start: usize) -> Result<(), Stop> {
        self.index = scan::arithmetic_loop(self.source, start)?;
        let inner = self.source.string(start + 2, self.index - 2);
        let parts: Vec<&str> = inner.split(';').collect();
        let [begin, condition, update] = parts.as_slice() else {
            return Err(Stop::new("this arithmetic is not followed", start));
        };
        self.push("(".to_owned(), start, true);
        self.push("(".to_owned(), start + 1, true);
        for (number, part) in [begin, condition, update].into_iter().enumerate() {
            if number > 0 {
                self.push(";".to_owned(), start + 2, true);
            }
            if !part.trim().is_empty() {
                self.push((*part).to_owned(), start + 2, false);
            }
        }
        self.push(")".to_owned(), self.index - 2, true);
        self.push(")".to_owned(), self.index - 1, true);
        Ok(())
    }

    fn take_word(&mut self, within: bool) -> Result<(), Stop> {
        let start = self.index;
        self.index = scan::word(self.source, start)?;
        let next = self.source.at(self.index);
        let text = self.source.string(start, self.index);
        let redirects = matches!(next, Some('<' | '>'));
        if redirects && text.starts_with('{') && text.ends_with('}') {
            return Err(Stop::new("a redirection to a variable is not followed", start));
        }
        if redirects && text.len() > 3 && text.chars().all(|c| c.is_ascii_digit()) {
            return Err(Stop::new("a descriptor this high is not followed", start));
        }
        if next == Some('(') && text.ends_with(['?', '*', '+', '@', '!']) && text != "!" {
            return Err(Stop::new("an extended pattern is not followed", start));
        }
        if unclosed_subscript(&text) {
            return Err(Stop::new("a subscript with blanks is not followed", start));
        }
        if within && text == "case" {
            return Err(Stop::new("`case` within a substitution is not followed", start));
        }
        if text == "case" {
            self.cases += 1;
        }
        // The grammar tries a last item without `;;` in several ways, each time with all that is in it.
        if self.cases > MAX_CASES {
            return Err(Stop::new("there are too many constructs", start));
        }
        if OPENERS.contains(&text.as_str()) {
            self.openers += 1;
            if self.openers > MAX_OPENERS {
                return Err(Stop::new("there are too many constructs", start));
            }
            if matches!(text.as_str(), "[[" | "select" | "coproc" | "function") {
                self.source.bash_only(start)?;
            }
        }
        if next == Some('(') && text.ends_with('=') {
            self.source.bash_only(start)?;
        }
        if text == "select" && self.tag.is_none() && begins_command(&self.tokens) {
            return self.take_select(start);
        }
        match self.tag.take() {
            Some(tabs) => self.push_tag(text, start, tabs),
            None => {
                self.push(text, start, false);
                Ok(())
            }
        }
    }

    /// The grammar does not know `select`, which is a `for` whose values come in any order.
    fn take_select(&mut self, start: usize) -> Result<(), Stop> {
        self.skip_blanks();
        let from = self.index;
        self.index = scan::word(self.source, from)?;
        let name = self.source.string(from, self.index);
        if !crate::is_name(&name) {
            return Err(Stop::new("a loop without a name", from));
        }
        self.push("for".to_owned(), start, false);
        self.push(format!("{SELECT}{name}"), from, false);
        Ok(())
    }

    fn push_tag(&mut self, text: String, start: usize, tabs: bool) -> Result<(), Stop> {
        if text.contains(['$', '`', '\\', '<', '>']) {
            return Err(Stop::new("the tag of a here-document is not constant", start));
        }
        let quoted = text.contains(['\'', '"']);
        let tag: String = text.chars().filter(|c| !matches!(c, '\'' | '"')).collect();
        if tag.is_empty() || tag.contains(['\n', '\t']) {
            return Err(Stop::new("this tag of a here-document is not followed", start));
        }
        self.push(text, start, false);
        self.pending.push(HereDocument {
            position: self.tokens.len(),
            tag,
            quoted,
            tabs,
        });
        Ok(())
    }

    /// Reads the here-documents of the line that has just ended, and puts each behind its tag.
    fn take_documents(&mut self) -> Result<(), Stop> {
        let pending = std::mem::take(&mut self.pending);
        let mut inserted = 0;
        for document in pending {
            let body = self.take_document(&document)?;
            let span = span(self.index, 0);
            let position = document.position + inserted;
            let tag = Token::Word(document.tag, span.clone());
            if position > self.tokens.len() {
                return Err(Stop::new("a here-document is out of place", self.index));
            }
            self.tokens.splice(position..position, [Token::Word(body, span), tag]);
            inserted += 2;
        }
        Ok(())
    }

    fn take_document(&mut self, document: &HereDocument) -> Result<String, Stop> {
        let start = self.index;
        let mut body = String::new();
        while self.index < self.source.text.len() {
            let from = self.index;
            while self.source.at(self.index).is_some_and(|c| c != '\n') {
                self.index += 1;
            }
            let mut line = self.source.string(from, self.index);
            self.index = (self.index + 1).min(self.source.text.len());
            if document.tabs {
                line = line.trim_start_matches('\t').to_owned();
            }
            if line == document.tag {
                return Ok(body);
            }
            if !document.quoted && line.ends_with('\\') {
                return Err(Stop::new("a continued line in a here-document is not followed", from));
            }
            body.push_str(&line);
            body.push('\n');
        }
        Err(Stop::new("a here-document is not closed", start))
    }

    fn push(&mut self, text: String, start: usize, operator: bool) {
        let span = span(start, self.index.saturating_sub(start));
        self.tokens.push(if operator {
            Token::Operator(text, span)
        } else {
            Token::Word(text, span)
        });
    }
}

/// Whether what comes next is the first word of a command.
fn begins_command(tokens: &[Token]) -> bool {
    match tokens.split_last() {
        None => true,
        Some((Token::Operator(operator, _), _)) => {
            [";", "&", "&&", "||", "|", "|&", "\n", "(", ")", ";;", ";&", ";;&"].contains(&operator.as_str())
        }
        Some((Token::Word(word, _), before)) => {
            let opens = ["do", "then", "else", "{", "!"].contains(&word.as_str());
            opens && begins_command(before)
        }
    }
}

fn span(start: usize, length: usize) -> SourceSpan {
    let position = |index| {
        Arc::new(SourcePosition {
            index,
            line: 1,
            column: index + 1,
        })
    };
    SourceSpan {
        start: position(start),
        end: position(start + length),
    }
}

/// `name[` without its `]`: bash reads on, over blanks.
fn unclosed_subscript(text: &str) -> bool {
    let Some((name, rest)) = text.split_once('[') else {
        return false;
    };
    crate::is_name(name) && !rest.contains(']')
}
