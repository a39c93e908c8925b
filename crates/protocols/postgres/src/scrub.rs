//! Errors and notices are responses too: values that the person may not see leave them.
//!
//! A server quotes data in its messages (`Failing row contains (…)`, `Key (ssn)=(…) already exists`, `invalid input
//! syntax for type inet: "…"`). When the statement touches data that is masked for this person, what could be a value
//! is taken out: details, contexts and hints whole, and in the message whatever stands in quotes unless it is a name
//! or was in the client's own statement.

use std::borrow::Cow;
use std::sync::Arc;

use sallyport_sql::{Action, Catalog};

use crate::conversation::Masks;
use crate::understanding::Understood;
use crate::wire::{Diagnostic, Field};

/// What stands for text that is taken out.
const GONE: &str = "***";

/// The fields that can hold a value. Code that raises an error fills the last of them with what it likes.
const TEXTS: [Field; 11] = [
    Field::Message,
    Field::Detail,
    Field::Hint,
    Field::Where,
    Field::InternalQuery,
    Field::Routine,
    Field::Schema,
    Field::Table,
    Field::Column,
    Field::DataType,
    Field::Constraint,
];

/// Takes values out of the target's texts, for one command.
pub(crate) struct Scrubber<'a> {
    understood: Option<Arc<Understood>>,
    masks: &'a Masks,
    catalog: &'a Catalog,
}

impl<'a> Scrubber<'a> {
    pub(crate) fn new(understood: Option<Arc<Understood>>, masks: &'a Masks, catalog: &'a Catalog) -> Self {
        Self {
            understood,
            masks,
            catalog,
        }
    }

    /// Cleans an error.
    pub(crate) fn error(&self, error: &mut Diagnostic<'_>) {
        self.clean(error);
    }

    /// Cleans a notice.
    pub(crate) fn notice(&self, notice: &mut Diagnostic<'_>) {
        self.clean(notice);
    }

    fn clean(&self, words: &mut Diagnostic<'_>) {
        if self.masks.are_needless() {
            return;
        }
        if self.touches_masked() {
            take_out_values(words, |name| self.knows(name));
        }
        self.masks.clean_texts(words);
    }

    /// Whether the command has to do with data that this person sees masked.
    fn touches_masked(&self) -> bool {
        match &self.understood {
            // Between commands: a transaction that ends checks what was put off, and quotes the rows that fail.
            None => self.masks.hide_columns(),
            Some(understood) if understood.shape.unparsed.is_some() || understood.runs_unknown_code => true,
            Some(understood) => understood.facts.statements.iter().any(|s| {
                let mut relations = s.reads.iter().chain(&s.writes).chain(&s.touches);
                let late = s.actions.contains(&Action::SetConstraints) || s.effects.transaction.is_some();
                (late && self.masks.hide_columns())
                    || s.unresolved()
                    || relations.any(|relation| self.masks.hides_some_of(&relation.to_string()))
            }),
        }
    }

    /// Whether it is a name of the database's, or was in the client's own statement.
    fn knows(&self, name: &str) -> bool {
        let own = self
            .understood
            .as_ref()
            .is_some_and(|u| contains(&u.text, name.as_bytes()));
        own || self.is_name(name)
    }

    /// Whether the database has a relation or a column of this name.
    fn is_name(&self, name: &str) -> bool {
        self.catalog
            .relations()
            .any(|(r, _)| r.name == name || self.catalog.columns(r).contains(&name))
    }
}

/// Cleans what the target says while it logs in: no statement has been seen yet.
pub(crate) fn clean_greeting(words: &mut Diagnostic<'_>, masks: &Masks) {
    if masks.hide_columns() {
        take_out_values(words, |_| false);
    }
    masks.clean_texts(words);
}

/// Takes out whatever could be a value: details, contexts and hints whole, and what stands in quotes in the message
/// unless it is `known` not to be one.
pub(crate) fn take_out_values(words: &mut Diagnostic<'_>, known: impl Fn(&str) -> bool) {
    for field in [Field::Detail, Field::Hint, Field::Where, Field::InternalQuery] {
        if words.get(field).is_some() {
            words.set(field, GONE.as_bytes().to_vec());
        }
    }
    let message = without_values(&words.text(Field::Message), known);
    words.set(Field::Message, message.into_bytes());
}

impl Masks {
    /// Takes out of each text what detectors find.
    fn clean_texts(&self, words: &mut Diagnostic<'_>) {
        find_values(words, |text| match self.clean(text) {
            Cow::Owned(clean) => Some(clean),
            Cow::Borrowed(_) => None,
        });
    }
}

/// Replaces each text in which `clean` finds something by what it makes of it.
pub(crate) fn find_values(words: &mut Diagnostic<'_>, clean: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    for field in TEXTS {
        if let Some(clean) = words.get(field).and_then(&clean) {
            words.set(field, clean);
        }
    }
}

/// The message with everything in quotes replaced that is not known.
fn without_values(message: &str, known: impl Fn(&str) -> bool) -> String {
    let mut clean = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, quoted)) = rest.split_once('"') {
        clean.push_str(before);
        clean.push('"');
        // The value may itself hold quotes: all up to the last one is taken as quoted when nothing shorter is known.
        match quoted
            .split_once('"')
            .filter(|(name, _)| !name.is_empty() && known(name))
        {
            Some((name, after)) => {
                clean.push_str(name);
                rest = after;
            }
            None => {
                clean.push_str(GONE);
                rest = quoted.rsplit_once('"').map_or("", |(_, after)| after);
            }
        }
        clean.push('"');
    }
    clean.push_str(&without_digits(rest));
    clean
}

/// Numbers of a message's tail that could be part of a value: four digits or more.
fn without_digits(text: &str) -> Cow<'_, str> {
    let longest = text
        .split(|c: char| !c.is_ascii_digit())
        .map(str::len)
        .max()
        .unwrap_or(0);
    if longest < 4 {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().filter(|c| !c.is_ascii_digit()).collect())
    }
}

pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}
