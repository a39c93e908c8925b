//! What one line leaves to the next.

use std::collections::{BTreeMap, BTreeSet};

/// What one line leaves to the next. The line is judged for exactly this, and runs in exactly this.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) directory: String,
    pub(crate) exports: BTreeMap<String, String>,
    /// Variables that are not exported.
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) options: BTreeSet<ShellOption>,
    /// What new files' modes lack, in octal digits; `None` as the login has it.
    pub(crate) mask: Option<String>,
    pub(crate) status: u32,
}

/// An option of the shell that is kept. None of them makes a line run what it would not run without: at most less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ShellOption {
    NoClobber,
    NoGlob,
    NoUnset,
    PipeFail,
}

impl Place {
    /// A place where nothing was set.
    pub(crate) fn at(directory: &str) -> Self {
        Self {
            directory: directory.to_owned(),
            exports: BTreeMap::new(),
            variables: BTreeMap::new(),
            options: BTreeSet::new(),
            mask: None,
            status: 0,
        }
    }

    /// What a variable holds.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let exported = self.exports.get(name);
        exported.or_else(|| self.variables.get(name)).map(String::as_str)
    }
}

impl ShellOption {
    pub(crate) const ALL: [Self; 4] = [Self::NoClobber, Self::NoGlob, Self::NoUnset, Self::PipeFail];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NoClobber => "noclobber",
            Self::NoGlob => "noglob",
            Self::NoUnset => "nounset",
            Self::PipeFail => "pipefail",
        }
    }
}
