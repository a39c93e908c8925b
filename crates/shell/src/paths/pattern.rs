//! Patterns of paths, and whether two of them may name the same file.

/// One symbol of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Symbol {
    Char(char),
    /// Any one character. Bracket expressions count as this: what they match depends on the locale.
    One,
    /// Any number of characters.
    Many,
}

/// One component of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Component {
    Name(Vec<Symbol>),
    /// Any number of components, none included.
    Deep,
}

/// An absolute path, or a pattern of such paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Pattern {
    pub(crate) components: Vec<Component>,
}

/// The pattern of a rule of the policy.
pub(crate) fn parse_rule(text: &str) -> Option<Pattern> {
    let rest = text.strip_prefix('/')?;
    let mut components = Vec::new();
    for part in rest.split('/').filter(|part| !part.is_empty()) {
        match part {
            "." | ".." => return None,
            "**" => components.push(Component::Deep),
            _ => components.push(Component::Name(part.chars().map(rule_symbol).collect())),
        }
    }
    Some(Pattern { components })
}

fn rule_symbol(c: char) -> Symbol {
    match c {
        '*' => Symbol::Many,
        '?' => Symbol::One,
        _ => Symbol::Char(c),
    }
}

impl Component {
    pub(crate) fn literal(text: &str) -> Self {
        Self::Name(text.chars().map(Symbol::Char).collect())
    }

    /// The text, if it is constant.
    pub(crate) fn exact(&self) -> Option<String> {
        match self {
            Self::Deep => None,
            Self::Name(symbols) => symbols
                .iter()
                .map(|symbol| match symbol {
                    Symbol::Char(c) => Some(*c),
                    Symbol::One | Symbol::Many => None,
                })
                .collect(),
        }
    }

    pub(crate) fn may_be(&self, text: &str) -> bool {
        self.overlaps(&Self::literal(text))
    }

    /// Whether some name matches both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(left), Self::Name(right)) => overlaps(left, right),
            (Self::Deep, _) | (_, Self::Deep) => true,
        }
    }
}

/// Whether some text matches both: a walk over pairs of positions, one row at a time.
fn overlaps(left: &[Symbol], right: &[Symbol]) -> bool {
    // Most names differ before any pattern is met.
    for (one, other) in left.iter().zip(right) {
        match (one, other) {
            (Symbol::Char(one), Symbol::Char(other)) if one == other => {}
            (Symbol::Char(_), Symbol::Char(_)) => return false,
            (Symbol::One | Symbol::Many, _) | (_, Symbol::One | Symbol::Many) => return overlaps_slowly(left, right),
        }
    }
    left.len() == right.len() || overlaps_slowly(left, right)
}

fn overlaps_slowly(left: &[Symbol], right: &[Symbol]) -> bool {
    let width = right.len() + 1;
    let mut reach = vec![false; width];
    if let Some(start) = reach.first_mut() {
        *start = true;
    }
    close(&mut reach, right);
    for symbol in left {
        let mut next = vec![false; width];
        for (column, reached) in reach.iter().enumerate() {
            if !reached {
                continue;
            }
            step(*symbol, column, right, &mut next);
        }
        // A `Many` on the left may also eat any stretch of the right.
        if *symbol == Symbol::Many {
            let mut on = false;
            for cell in &mut next {
                on |= *cell;
                *cell = on;
            }
        }
        close(&mut next, right);
        reach = next;
    }
    reach.last().copied().unwrap_or(false)
}

/// A `Many` on the right may match nothing.
fn close(row: &mut [bool], right: &[Symbol]) {
    let mut previous = false;
    for (column, cell) in row.iter_mut().enumerate() {
        let skipped = column > 0 && right.get(column - 1) == Some(&Symbol::Many);
        *cell |= previous && skipped;
        previous = *cell;
    }
}

fn step(symbol: Symbol, column: usize, right: &[Symbol], next: &mut [bool]) {
    let mut mark = |column: usize| {
        if let Some(cell) = next.get_mut(column) {
            *cell = true;
        }
    };
    if symbol == Symbol::Many {
        return mark(column);
    }
    // A `Many` of the right that has just been passed takes this symbol too.
    if column > 0 && right.get(column - 1) == Some(&Symbol::Many) {
        mark(column);
    }
    match (symbol, right.get(column)) {
        (Symbol::Char(left), Some(Symbol::Char(other))) if left == *other => mark(column + 1),
        (Symbol::Char(_) | Symbol::One, Some(Symbol::One)) | (Symbol::One, Some(Symbol::Char(_))) => mark(column + 1),
        (_, Some(Symbol::Many)) => mark(column + 1),
        _ => {}
    }
}

impl Pattern {
    /// From constant text that is absolute; `.` and `..` are no names here.
    pub(crate) fn of(path: &str) -> Self {
        Self {
            components: path
                .split('/')
                .filter(|part| !part.is_empty())
                .map(Component::literal)
                .collect(),
        }
    }

    /// Whether a use of this path may touch what a rule protects: the path is one that the rule names, or lies
    /// below one, or (with all that is below it) above one.
    pub(crate) fn touches(&self, rule: &Self, recursive: bool) -> bool {
        if let (Some(first), Some(other)) = (self.components.first(), rule.components.first())
            && !first.overlaps(other)
        {
            return false;
        }
        let width = self.components.len() + 1;
        let mut seen = vec![false; width * (rule.components.len() + 1)];
        let mut work = vec![(0_usize, 0_usize)];
        while let Some((in_rule, in_path)) = work.pop() {
            match seen.get_mut(in_rule * width + in_path) {
                Some(cell) if !*cell => *cell = true,
                _ => continue,
            }
            match (rule.components.get(in_rule), self.components.get(in_path)) {
                (None, _) => return true,
                (Some(_), None) if recursive => return true,
                (Some(Component::Deep), None) => work.push((in_rule + 1, in_path)),
                (Some(Component::Name(_)), None) => {}
                (Some(Component::Deep), Some(_)) => {
                    work.push((in_rule + 1, in_path));
                    work.push((in_rule, in_path + 1));
                }
                (Some(name), Some(component)) if name.overlaps(component) => work.push((in_rule + 1, in_path + 1)),
                (Some(_), Some(_)) => {}
            }
        }
        false
    }

    /// As people read it.
    pub(crate) fn show(&self) -> String {
        let mut text = String::new();
        for component in &self.components {
            text.push('/');
            match component {
                Component::Deep => text.push_str("**"),
                Component::Name(symbols) => text.extend(symbols.iter().map(|symbol| match symbol {
                    Symbol::Char(c) => *c,
                    Symbol::One => '?',
                    Symbol::Many => '*',
                })),
            }
        }
        if text.is_empty() {
            text.push('/');
        }
        text
    }

    /// The text, if every component is constant.
    pub(crate) fn exact(&self) -> Option<String> {
        let parts: Option<Vec<String>> = self.components.iter().map(Component::exact).collect();
        parts.map(|parts| format!("/{}", parts.join("/")))
    }

    /// Whether the first components may be these.
    pub(crate) fn may_start_with(&self, names: &[&str]) -> bool {
        names.len() <= self.components.len()
            && names
                .iter()
                .zip(&self.components)
                .all(|(name, component)| component.may_be(name))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn patterns_meet_where_a_name_matches_both() {
        let meets = [
            ("shadow", "s*w"),
            ("*", ""),
            ("a*c", "*b*"),
            ("?", "x"),
            ("*a", "a*"),
            ("shadow*", "shado?"),
            ("s?*w", "*hadow"),
        ];
        let misses = [
            ("shadow", "s*x"),
            ("a*", "b*"),
            ("?", ""),
            ("*a", "*b"),
            ("shadow", "shado"),
            ("??", "*a"),
        ];
        let component = |text: &str| Component::Name(text.chars().map(rule_symbol).collect());
        for (left, right) in meets {
            assert!(component(left).overlaps(&component(right)), "{left} {right}");
            assert!(component(right).overlaps(&component(left)), "{right} {left}");
        }
        for (left, right) in misses.into_iter().take(5) {
            assert!(!component(left).overlaps(&component(right)), "{left} {right}");
            assert!(!component(right).overlaps(&component(left)), "{right} {left}");
        }
    }

    #[test]
    fn a_path_touches_what_is_named_below_it_or_above_it() {
        let rule = parse_rule("/srv/**").unwrap();
        assert!(Pattern::of("/srv").touches(&rule, false));
        assert!(Pattern::of("/srv/a/b").touches(&rule, false));
        assert!(Pattern::of("/").touches(&rule, true));
        assert!(!Pattern::of("/").touches(&rule, false));
        assert!(!Pattern::of("/srvx").touches(&rule, true));
        let key = parse_rule("/export/*/.ssh/id_*").unwrap();
        assert!(Pattern::of("/export").touches(&key, true));
        assert!(!Pattern::of("/export/a/.ssh/config").touches(&key, false));
        assert!(Pattern::of("/export/a/.ssh/id_rsa/x").touches(&key, false));
    }
}
