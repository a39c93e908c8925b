//! Where a command line is going to run, as far as that decides what it means.

use std::collections::{BTreeMap, BTreeSet};

use crate::paths::pattern::{Pattern, parse_rule};

/// Where a command line is going to run.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The home directory: absolute.
    pub home: String,
    /// Where the shell starts: absolute; the home directory for a login.
    pub directory: String,
    /// Variables whose values are known before the shell starts; `HOME` and `PWD` are set from [`home`](Self::home).
    pub variables: BTreeMap<String, String>,
    /// Variables of this shell alone whose values are known: no program that it starts has them.
    pub own_variables: BTreeMap<String, String>,
    /// Variables that programs are given because an earlier line exported them: as if this one had.
    pub exported: BTreeSet<String>,
    /// The shell that the host hands the line to, with `-c`.
    pub shell: LoginShell,
    /// Whether a pager shows what is long, and what it lets a person do.
    pub pager: Pager,
    /// The paths that policy speaks of.
    pub protected: Protected,
    /// Lines before this one ran in the same shell: where it is and what its variables are is not known.
    pub goes_on: bool,
}

/// What becomes of long texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pager {
    /// There is no terminal: no pager is started.
    None,
    /// The environment tells pagers that they may run nothing (`LESSSECURE`).
    Secured,
    /// A pager runs whatever it is told to.
    #[default]
    Free,
}

/// The shell that reads the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoginShell {
    /// GNU bash 4.4 or newer.
    #[default]
    Bash,
    /// A POSIX shell (`dash`, `busybox sh`): what only bash understands is refused.
    Posix,
    /// Another, whose grammar is not followed: everything is opaque.
    Other,
}

/// Paths that policy speaks of, each with the class that it speaks of.
#[derive(Debug, Clone, Default)]
pub struct Protected {
    pub(crate) rules: Vec<(Pattern, String)>,
}

/// A pattern of a protected path is not an absolute path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is no absolute path with `*`, `?` and `**`")]
pub struct ProtectedError {
    /// The pattern as it was given.
    pub pattern: String,
}

impl Protected {
    /// Takes patterns such as `/etc/shadow*` or `/srv/**`, each with its class. `*` and `?` stay within a component;
    /// `**` as a component stands for any number of them, none included. A path below a protected path is protected.
    ///
    /// # Errors
    /// A pattern that is not absolute, or has `.` or `..` as a component.
    pub fn new<P: AsRef<str>, C: Into<String>>(
        rules: impl IntoIterator<Item = (P, C)>,
    ) -> Result<Self, ProtectedError> {
        let mut parsed = Vec::new();
        for (pattern, class) in rules {
            let text = pattern.as_ref();
            let pattern = parse_rule(text).ok_or_else(|| ProtectedError {
                pattern: text.to_owned(),
            })?;
            parsed.push((pattern, class.into()));
        }
        Ok(Self { rules: parsed })
    }

    /// Every path, with each of these classes: for rules that cannot be read.
    #[must_use]
    pub fn everything<C: Into<String>>(classes: impl IntoIterator<Item = C>) -> Self {
        let all = Pattern::of("");
        Self {
            rules: classes.into_iter().map(|class| (all.clone(), class.into())).collect(),
        }
    }

    /// The classes of a path that is absolute and has no links in it; with `whole` also those of what lies below it.
    #[must_use]
    pub fn classes_of(&self, path: &str, whole: bool) -> BTreeSet<String> {
        let path = Pattern::of(path);
        let touched = self.rules.iter().filter(|(rule, _)| path.touches(rule, whole));
        touched.map(|(_, class)| class.clone()).collect()
    }
}

impl Setting {
    /// A bash with this home directory and nothing protected.
    #[must_use]
    pub fn new(home: &str) -> Self {
        Self {
            home: home.to_owned(),
            directory: home.to_owned(),
            variables: BTreeMap::new(),
            own_variables: BTreeMap::new(),
            exported: BTreeSet::new(),
            shell: LoginShell::Bash,
            pager: Pager::Free,
            protected: Protected::default(),
            goes_on: false,
        }
    }

    /// The same for a shell in which other lines ran before.
    #[must_use]
    pub fn going_on(mut self) -> Self {
        self.goes_on = true;
        self
    }

    /// The same for a shell that starts in another directory, given without links in it.
    #[must_use]
    pub fn within(mut self, directory: &str) -> Self {
        directory.clone_into(&mut self.directory);
        self
    }

    /// The same with these protected paths.
    #[must_use]
    pub fn protecting(mut self, protected: Protected) -> Self {
        self.protected = protected;
        self
    }

    /// The same with a variable that is known.
    #[must_use]
    pub fn knowing(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same with a variable of this shell alone, whether its value is known or not.
    #[must_use]
    pub fn holding(mut self, name: &str, value: Option<&str>) -> Self {
        self.variables.remove(name);
        if let Some(value) = value {
            self.own_variables.insert(name.to_owned(), value.to_owned());
        }
        self
    }

    /// The same with a variable that an earlier line exported, whether its value is known or not.
    #[must_use]
    pub fn exporting(mut self, name: &str, value: Option<&str>) -> Self {
        self.exported.insert(name.to_owned());
        self.variables.remove(name);
        match value {
            Some(value) => self.knowing(name, value),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::Protected;

    #[test]
    fn paths_have_the_classes_of_the_rules_that_name_them() {
        let protected = Protected::new([("/etc/shadow*", "secret"), ("/srv/**", "production")]).unwrap();
        let classes = |path: &str, whole| Vec::from_iter(protected.classes_of(path, whole)).join(" ");
        assert_eq!(classes("/etc/shadow-", false), "secret");
        assert_eq!(classes("/etc", false), "");
        assert_eq!(classes("/etc", true), "secret");
        assert_eq!(classes("/srv/a/b", false), "production");
        assert_eq!(classes("/", true), "production secret");
        assert_eq!(classes("/tmp", true), "");
        let everything = Protected::everything(["a", "b"]);
        assert_eq!(Vec::from_iter(everything.classes_of("/tmp/x", false)), ["a", "b"]);
    }
}
