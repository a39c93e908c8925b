//! What Tab is to complete: where the word before the cursor begins, and what may stand there. Nothing here decides what
//! runs: a line is analysed when it is entered, whatever was completed in it.

mod reader;

/// What the word before the cursor may become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completing {
    /// The name of a command.
    Command(Word),
    /// The name of a file. `directory` is the path before it as the shell will read it, up to its last slash; empty if
    /// there is none.
    File {
        /// What is to be completed.
        word: Word,
        /// Where: absolute, relative to the shell's directory, or empty for that itself.
        directory: String,
    },
    /// `~` alone, which stands for the home directory.
    Home(Word),
    /// The name of a variable behind `$`, or behind `${` if `braced`.
    Variable {
        /// What is to be completed.
        word: Word,
        /// It is to be closed with a brace.
        braced: bool,
    },
}

/// The part of the line that is completed: it reaches to the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The byte of the line at which it begins.
    pub from: usize,
    /// What it says, without quotes.
    pub typed: String,
    /// The quotes that are open at the cursor.
    pub quote: Quote,
    /// Nothing of the word stands before it: what begins it could be taken for an option, or for a home directory.
    pub first: bool,
}

/// The quotes in which something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quote {
    /// None.
    #[default]
    Bare,
    /// `'…'`.
    Single,
    /// `"…"`.
    Double,
}

impl Quote {
    /// A text as it stands within these quotes, for itself.
    #[must_use]
    pub fn quoted(self, text: &str) -> String {
        let mut quoted = String::with_capacity(text.len());
        for c in text.chars() {
            match self {
                Self::Bare if !is_plain(c) => quoted.extend(['\\', c]),
                Self::Double if matches!(c, '"' | '\\' | '$' | '`') => quoted.extend(['\\', c]),
                Self::Single if c == '\'' => quoted.push_str(r"'\''"),
                Self::Bare | Self::Double | Self::Single => quoted.push(c),
            }
        }
        quoted
    }

    /// What closes them.
    #[must_use]
    pub fn closing(self) -> &'static str {
        match self {
            Self::Bare => "",
            Self::Single => "'",
            Self::Double => "\"",
        }
    }
}

/// What means itself outside quotes wherever it stands.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "_-./:@%+,".contains(c)
}

/// What Tab at the end of `line` is to complete; `None` if nothing can be said of it. `value` gives the variables that
/// are known.
#[must_use]
pub fn completing(line: &str, value: &dyn Fn(&str) -> Option<String>) -> Option<Completing> {
    if line.len() > crate::MAX_LENGTH {
        return None;
    }
    reader::read(line, value)
}

#[cfg(test)]
mod tests;
