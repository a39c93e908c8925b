//! Finds values by their content and replaces them.

mod candidates;
pub(crate) mod card;
mod classes;
mod email;
mod folded;
mod iban;
mod ip;
mod jwt;
mod numbers;
pub(crate) mod pem;
mod render;
mod row;
mod search;
mod spans;
mod tokens;
mod vendors;

use std::fmt;
use std::ops::Range;

use fearless_simd::Level;
use regex::bytes::Regex;

use crate::{Detector, MaskKey, Strategy};
pub(crate) use folded::folds;
pub(crate) use spans::Span;

use candidates::Wanted;
use spans::Found;

/// What a scanner looks for.
#[derive(Debug, Clone)]
pub enum Rule {
    /// One of the detectors of this crate.
    Builtin(Detector),
    /// A regular expression of the user's.
    Custom {
        /// What the value is called in recordings and `[REDACTED:…]`.
        name: String,
        /// The expression, in the syntax of the `regex` crate, over bytes. If it has a group called `value`, only
        /// that group is the value.
        regex: String,
    },
}

/// A rule that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The expression does not compile, or its automaton would be too large.
    #[error("the expression of the detector `{name}` cannot be used: {source}")]
    Regex {
        /// The detector's name.
        name: String,
        /// What is wrong.
        source: regex::Error,
    },
    /// The expression matches the empty text, so it would find something everywhere.
    #[error("the expression of the detector `{name}` matches nothing at all, everywhere")]
    Empty {
        /// The detector's name.
        name: String,
    },
}

struct Custom {
    name: String,
    regex: Regex,
    strategy: Strategy,
}

/// The largest automaton of a user's expression, in bytes.
const REGEX_LIMIT: usize = 4 * 1024 * 1024;

/// Something found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit<'a> {
    /// Where the value starts, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The detector's name.
    pub name: &'a str,
    /// How it is to be replaced.
    pub strategy: Strategy,
}

/// Memory that scans use again. One per result set is right.
#[derive(Debug, Default)]
pub struct Scratch {
    spans: Vec<Span>,
    windows: Vec<candidates::Window>,
    headers: jwt::Headers,
    folded: folded::Folded,
    texts: row::Texts,
}

/// Finds values by their content and replaces them, in one pass over the text.
///
/// A scanner is immutable; share it in an `Arc`.
pub struct Scanner {
    strategies: [Strategy; Detector::ALL.len()],
    wanted: Wanted,
    level: Level,
    customs: Vec<Custom>,
    key: MaskKey,
}

impl Scanner {
    /// A scanner for built-in detectors, each with its strategy.
    pub fn new(rules: &[(Detector, Strategy)], key: &MaskKey) -> Self {
        let mut scanner = Self {
            strategies: [Strategy::Partial; Detector::ALL.len()],
            wanted: Wanted::default(),
            level: Level::new(),
            customs: Vec::new(),
            key: key.clone(),
        };
        for (detector, strategy) in rules {
            scanner.add(*detector, *strategy);
        }
        scanner
    }

    /// A scanner for built-in detectors and users' expressions.
    ///
    /// # Errors
    /// An expression that does not compile, is too large or matches the empty text.
    pub fn with_rules(rules: &[(Rule, Strategy)], key: &MaskKey) -> Result<Self, RuleError> {
        let mut scanner = Self::new(&[], key);
        for (rule, strategy) in rules {
            match rule {
                Rule::Builtin(detector) => scanner.add(*detector, *strategy),
                Rule::Custom { name, regex } => {
                    let compiled = regex::bytes::RegexBuilder::new(regex)
                        .size_limit(REGEX_LIMIT)
                        .build()
                        .map_err(|source| RuleError::Regex {
                            name: name.clone(),
                            source,
                        })?;
                    if compiled.is_match(b"") {
                        return Err(RuleError::Empty { name: name.clone() });
                    }
                    scanner.customs.push(Custom {
                        name: name.clone(),
                        regex: compiled,
                        strategy: *strategy,
                    });
                }
            }
        }
        Ok(scanner)
    }

    fn add(&mut self, detector: Detector, strategy: Strategy) {
        self.wanted.add(detector);
        if let Some(slot) = self.strategies.get_mut(detector.index()) {
            *slot = strategy;
        }
    }

    /// Whether the scanner looks for nothing.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.customs.is_empty()
    }

    /// Whether the scanner looks for this.
    pub fn looks_for(&self, detector: Detector) -> bool {
        self.wanted.has(detector)
    }

    /// Whether users' expressions are among the rules: they can match any value of any type.
    pub fn has_custom(&self) -> bool {
        !self.customs.is_empty()
    }

    /// Appends `text` with everything found in it replaced to `out` and says true; or says false, and `out` is
    /// as it was.
    pub fn scan(&self, text: &[u8], out: &mut Vec<u8>) -> bool {
        self.scan_with(text, &mut Scratch::default(), out)
    }

    /// [`Scanner::scan`] with memory of the caller's.
    pub fn scan_with(&self, text: &[u8], scratch: &mut Scratch, out: &mut Vec<u8>) -> bool {
        self.search(text, scratch);
        if scratch.spans.is_empty() {
            return false;
        }
        self.rewrite(text, scratch, out);
        true
    }

    /// Appends `text` with everything replaced that was found in it just now.
    pub fn rewrite(&self, text: &[u8], scratch: &Scratch, out: &mut Vec<u8>) {
        out.reserve(text.len() + SHORT);
        let mut done = 0;
        for span in &scratch.spans {
            append(text, done..span.start, out);
            self.replace(text.get(span.start..span.end).unwrap_or_default(), span, out);
            done = span.end;
        }
        append(text, done..text.len(), out);
    }

    /// The first thing found in `text`.
    pub fn first(&self, text: &[u8], scratch: &mut Scratch) -> Option<Hit<'_>> {
        self.search(text, scratch);
        scratch.spans.first().map(|span| Hit {
            start: span.start,
            end: span.end,
            name: self.name(span.found),
            strategy: span.strategy,
        })
    }

    pub(crate) fn key(&self) -> &MaskKey {
        &self.key
    }

    fn name(&self, found: Found) -> &str {
        match found {
            Found::Builtin(detector) => detector.name(),
            Found::Custom(number) => self.customs.get(number).map_or("", |custom| custom.name.as_str()),
            Found::Rest => "",
        }
    }

    /// What is in `text`, in order, without overlaps; users' expressions see one line at a time.
    pub(crate) fn find_by_line<'s>(&self, text: &[u8], scratch: &'s mut Scratch) -> &'s [Span] {
        if self.customs.is_empty() {
            self.search(text, scratch);
            return &scratch.spans;
        }
        scratch.spans.clear();
        self.search_builtin(text, scratch);
        let mut start = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let known = scratch.spans.len();
            self.search_custom(line, scratch);
            for span in scratch.spans.iter_mut().skip(known) {
                (span.start, span.end) = (span.start + start, span.end + start);
            }
            start += line.len();
        }
        spans::settle(&mut scratch.spans);
        &scratch.spans
    }

    /// Fills `scratch.spans` with what is in `text`, in order, without overlaps.
    fn search(&self, text: &[u8], scratch: &mut Scratch) {
        scratch.spans.clear();
        self.search_builtin(text, scratch);
        self.search_custom(text, scratch);
        spans::settle(&mut scratch.spans);
    }

    fn search_builtin(&self, text: &[u8], scratch: &mut Scratch) {
        if !self.wanted.is_empty() {
            let search = search::Search::new(self, text, &mut scratch.spans, &mut scratch.headers);
            let foreign = search.run(&mut scratch.windows);
            if foreign {
                folded::search(self, text, scratch);
            }
        }
    }

    fn search_custom(&self, text: &[u8], scratch: &mut Scratch) {
        for (number, custom) in self.customs.iter().enumerate() {
            for captures in custom.regex.captures_iter(text) {
                if let Some(found) = captures.name("value").or_else(|| captures.get(0)) {
                    scratch.spans.push(Span {
                        start: found.start(),
                        end: found.end(),
                        found: Found::Custom(number),
                        strategy: custom.strategy,
                    });
                }
            }
        }
    }
}

/// What is shorter is copied with one that long.
const SHORT: usize = 32;

/// Appends a stretch of a text. Most are short, and copying a fixed length and cutting it is faster than a call.
#[inline]
pub(crate) fn append(text: &[u8], range: Range<usize>, out: &mut Vec<u8>) {
    let wide = text.get(range.start..).and_then(<[u8]>::first_chunk::<SHORT>);
    match wide {
        Some(wide) if range.len() <= SHORT => {
            let end = out.len() + range.len();
            out.extend_from_slice(wide);
            out.truncate(end);
        }
        Some(_) | None => out.extend_from_slice(text.get(range).unwrap_or_default()),
    }
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let builtin: Vec<_> = Detector::ALL
            .into_iter()
            .filter(|detector| self.looks_for(*detector))
            .collect();
        let custom: Vec<_> = self.customs.iter().map(|custom| &custom.name).collect();
        f.debug_struct("Scanner")
            .field("builtin", &builtin)
            .field("custom", &custom)
            .finish()
    }
}
