//! What is wrong with a bundle, and where.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode, SourceSpan};
use thiserror::Error;

use crate::code::{Code, Severity};
use crate::decision::RuleId;

/// Why a bundle was not accepted: everything that is wrong with it, each with its place.
#[derive(Debug, Clone, Error)]
pub struct LoadError {
    /// The bundle's directory.
    pub dir: PathBuf,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl LoadError {
    pub(crate) fn new(dir: impl Into<PathBuf>, problems: Vec<Problem>) -> Self {
        Self {
            dir: dir.into(),
            problems,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the policy in `{}` is not valid", self.dir.display())?;
        for problem in &self.problems {
            write!(f, "; {}", single_line(&problem.to_string()))?;
        }
        Ok(())
    }
}

impl Diagnostic for LoadError {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.problems.iter().map(|p| p as &dyn Diagnostic)))
    }
}

/// A sentence in which names and values of a bundle begin no line of their own: what reads lines, as systems of
/// continuous integration do, might take one for a command.
pub(crate) fn single_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            line.extend(c.escape_debug());
        } else {
            line.push(c);
        }
    }
    line
}

/// One thing that is wrong in one file.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What is wrong, one sentence.
    pub message: String,
    /// What to do about this one; [`Problem::advice`] has something for every problem.
    pub help: Option<String>,
    /// What kind of problem it is.
    pub code: Code,
    rule: Option<Box<RuleId>>,
    /// The file, relative to the bundle's directory.
    pub file: String,
    /// Line and column, both from 1; absent when the problem has no place.
    pub position: Option<(usize, usize)>,
    source: Option<Box<(NamedSource<String>, Range<usize>)>>,
}

impl Problem {
    /// A problem without a place in the file.
    #[must_use]
    pub fn in_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            code: Code::INVALID,
            rule: None,
            file: file.into(),
            position: None,
            source: None,
        }
    }

    /// A problem at a byte range of the file's text.
    #[must_use]
    pub fn at(file: &str, text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let start = text.floor_char_boundary(span.start);
        Self {
            message: message.into(),
            help: None,
            code: Code::INVALID,
            rule: None,
            file: file.to_owned(),
            position: Some(line_and_column(text, start)),
            source: Some(Box::new((
                NamedSource::new(file, text.to_owned()),
                start..span.end.max(start),
            ))),
        }
    }

    /// A problem that a library reports as a diagnostic over `text`; its first label is the place.
    pub(crate) fn of(file: &str, text: &str, diagnostic: &dyn Diagnostic) -> Self {
        let label = diagnostic.labels().and_then(|mut labels| labels.next());
        let message = diagnostic.to_string();
        let problem = match label {
            Some(label) => {
                let message = match label.label() {
                    Some(more) if !message.contains(more) => format!("{message}: {more}"),
                    Some(_) | None => message,
                };
                Self::at(file, text, label.offset()..label.offset() + label.len(), message)
            }
            None => Self::in_file(file, message),
        };
        problem.with_help(diagnostic.help().map(|help| help.to_string()))
    }

    /// The same problem, of this kind.
    #[must_use]
    pub fn coded(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// The same problem, about this rule.
    #[must_use]
    pub fn of_rule(mut self, rule: &RuleId) -> Self {
        self.rule = Some(Box::new(rule.clone()));
        self
    }

    /// The rule that it is about, if it is about one.
    #[must_use]
    pub fn rule(&self) -> Option<&RuleId> {
        self.rule.as_deref()
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &str {
        self.help.as_deref().unwrap_or(self.code.help())
    }

    /// Line and column behind its last character, both from 1; absent when the problem has no place.
    #[must_use]
    pub fn end(&self) -> Option<(usize, usize)> {
        let (source, span) = self.source.as_deref()?;
        let text = source.inner();
        Some(line_and_column(text, span.end.min(text.len())))
    }

    pub(crate) fn with_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..text.floor_char_boundary(at)).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code.slug()))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.code.severity() {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.advice()))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| &source.0 as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (_, span) = self.source.as_deref()?;
        let span = SourceSpan::new(span.start.into(), span.end - span.start);
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, span))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_bundle_is_one_line() {
        let problem = Problem::in_file("rules/a.cedar", "there is no group `z\n::add-mask::x\u{1b}`");
        let said = LoadError::new("policy", vec![problem]).to_string();
        assert_eq!(
            said,
            "the policy in `policy` is not valid; rules/a.cedar: there is no group `z\\n::add-mask::x\\u{1b}`"
        );
    }
}
