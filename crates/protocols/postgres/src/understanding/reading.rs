//! How the bytes of a statement are text.

use std::sync::Arc;

use sallyport_sql::Facts;

/// How the bytes of a statement are read. The target read them once, under the settings that the session had then; what
/// the settings are by now says nothing of a statement that was prepared before.
#[derive(Debug, Clone)]
pub(crate) enum Reading {
    /// As they are.
    AsIs,
    /// As this text, which the grammar reads as the target reads the bytes.
    As(Arc<str>),
    /// In no way that is sure. Why.
    Not(Arc<str>),
}

impl Reading {
    pub(super) fn of(text: &[u8], readable: &str) -> Self {
        if text == readable.as_bytes() {
            Self::AsIs
        } else {
            Self::As(readable.into())
        }
    }

    /// Facts with their places in the bytes: all of them, where places in what was read are others.
    pub(super) fn places(&self, mut facts: Facts, len: usize) -> Facts {
        if matches!(self, Self::As(_)) {
            for statement in &mut facts.statements {
                statement.span = 0..len;
            }
        }
        facts
    }

    /// Whether a character has the same place in the text and in what was read of it.
    pub(super) fn keeps_places(&self, text: &[u8]) -> bool {
        match self {
            Self::AsIs => true,
            Self::As(readable) => readable.chars().count() == text.len(),
            Self::Not(_) => false,
        }
    }
}
