//! One argument after expansion, as far as it is known.

/// A part of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Atom {
    /// A character, and whether it means itself even if it is `*`, `?` or `[`.
    Char(char, bool),
    Hole(Hole),
}

/// What is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Hole {
    /// Something without slash, blank, pattern or dash at its start: a name, a date.
    Token,
    /// Digits.
    Number,
    /// Digits, with or without a sign.
    Integer,
    Anything,
}

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Field {
    pub(crate) atoms: Vec<Atom>,
    /// It names something at this path or anywhere below it.
    pub(crate) below: bool,
    /// It may be several arguments, or none.
    pub(crate) many: bool,
}

impl Field {
    pub(crate) fn constant(text: &str) -> Self {
        Self {
            atoms: text.chars().map(|c| Atom::Char(c, true)).collect(),
            below: false,
            many: false,
        }
    }

    /// Nothing is known of it, not even how many arguments it is.
    pub(crate) fn unknown() -> Self {
        Self {
            atoms: vec![Atom::Hole(Hole::Anything)],
            below: false,
            many: true,
        }
    }

    /// The text, if it is constant.
    pub(crate) fn exact(&self) -> Option<String> {
        if self.below || self.many || self.is_pattern() {
            return None;
        }
        self.atoms
            .iter()
            .map(|atom| match atom {
                Atom::Char(c, _) => Some(*c),
                Atom::Hole(_) => None,
            })
            .collect()
    }

    /// The shell replaces it by the names that match.
    pub(crate) fn is_pattern(&self) -> bool {
        let mut bracket = false;
        self.atoms.iter().any(|atom| match atom {
            Atom::Char('*' | '?', false) => true,
            Atom::Char('[', false) => {
                bracket = true;
                false
            }
            Atom::Char(']', false) => bracket,
            Atom::Char(..) | Atom::Hole(_) => false,
        })
    }

    /// Something in it can be anything.
    pub(crate) fn is_open(&self) -> bool {
        self.atoms.contains(&Atom::Hole(Hole::Anything))
    }

    /// It may start with a dash though it does not say so.
    pub(crate) fn may_be_option(&self) -> bool {
        match self.atoms.first() {
            None => self.many,
            Some(Atom::Char('*' | '?' | '[', false)) => self.is_pattern(),
            Some(Atom::Char(..) | Atom::Hole(Hole::Token | Hole::Number | Hole::Integer)) => false,
            Some(Atom::Hole(Hole::Anything)) => true,
        }
    }

    pub(crate) fn starts_with(&self, text: &str) -> bool {
        let mut atoms = self.atoms.iter();
        text.chars()
            .all(|c| matches!(atoms.next(), Some(Atom::Char(other, _)) if *other == c))
    }

    /// What is behind the first characters.
    pub(crate) fn skip(&self, length: usize) -> Self {
        Self {
            atoms: self.atoms.iter().skip(length).copied().collect(),
            ..*self
        }
    }

    /// Before and behind the first occurrence of a character that is constant.
    pub(crate) fn split_at(&self, separator: char) -> Option<(Self, Self)> {
        let is_separator = |atom: &Atom| matches!(atom, Atom::Char(c, _) if *c == separator);
        let at = self.atoms.iter().position(is_separator)?;
        let before = Self {
            atoms: self.atoms.iter().take(at).copied().collect(),
            ..*self
        };
        Some((before, self.skip(at + 1)))
    }

    pub(crate) fn contains(&self, wanted: char) -> bool {
        self.atoms.iter().any(|atom| match atom {
            Atom::Char(c, _) => *c == wanted,
            Atom::Hole(hole) => *hole == Hole::Anything,
        })
    }

    /// As people read it.
    pub(crate) fn show(&self) -> String {
        let mut text: String = self
            .atoms
            .iter()
            .map(|atom| match atom {
                Atom::Char(c, _) => *c,
                Atom::Hole(_) => '…',
            })
            .collect();
        if self.below {
            text.push_str("/…");
        }
        text
    }
}
