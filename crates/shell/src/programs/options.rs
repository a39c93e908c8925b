//! Arguments → options and operands, by what a program's options are.

use crate::paths::field::Field;

/// How one option takes its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    /// The rest of the argument, or the next one.
    Value,
    /// The rest of the argument only.
    Attached,
}

/// An option that a program is known to have, with what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) names: Vec<String>,
    pub(crate) takes: Takes,
    /// Letters that say what the option, or its value, does: see `profile`.
    pub(crate) role: String,
}

/// The options of a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) known: Vec<Known>,
}

/// One option that was given.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    /// The first of its names.
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) value: Option<Field>,
    /// The value is an argument of its own.
    pub(crate) apart: bool,
}

/// What the arguments are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parsed {
    pub(crate) given: Vec<Given>,
    pub(crate) operands: Vec<Field>,
    /// Options that are not known, as they were written.
    pub(crate) unknown: Vec<Field>,
    /// An argument may be an option, or not: it cannot be known.
    pub(crate) dynamic: bool,
    /// A pattern stands where a name that starts with a dash would be an option.
    pub(crate) wild: bool,
    /// How many of the arguments stand before the first operand.
    pub(crate) first_operand: usize,
}

impl Options {
    /// From items such as `-o,--output=w`, `-r,-R!R`, `-i?_`, `-v`.
    pub(crate) fn of(text: &str) -> Self {
        Self {
            known: text.split_ascii_whitespace().map(Known::of).collect(),
        }
    }

    fn short(&self, letter: char) -> Option<&Known> {
        let name = format!("-{letter}");
        self.known.iter().find(|known| known.names.contains(&name))
    }

    /// The long options that a name may mean: itself, or those that it abbreviates.
    fn long(&self, name: &str) -> Vec<&Known> {
        let exact = self
            .known
            .iter()
            .find(|known| known.names.iter().any(|other| other == name));
        match exact {
            Some(known) => vec![known],
            None => self
                .known
                .iter()
                .filter(|known| known.names.iter().any(|other| other.starts_with(name)))
                .collect(),
        }
    }
}

impl Known {
    fn of(item: &str) -> Self {
        let at = item.find(['=', '?', '!']).unwrap_or(item.len());
        let (names, rest) = item.split_at_checked(at).unwrap_or((item, ""));
        let takes = match rest.chars().next() {
            Some('=') => Takes::Value,
            Some('?') => Takes::Attached,
            _ => Takes::Nothing,
        };
        Self {
            names: names.split(',').map(str::to_owned).collect(),
            takes,
            role: rest.chars().skip(1).collect(),
        }
    }

    fn given(&self, value: Option<Field>, apart: bool) -> Given {
        Given {
            name: self.names.first().cloned().unwrap_or_default(),
            role: self.role.clone(),
            value,
            apart,
        }
    }
}

/// How the arguments of a program are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Options may stand behind operands.
    Anywhere,
    /// The first operand ends the options.
    First,
    /// As `First`, and long options have one dash.
    SingleDash,
}

/// Reads arguments.
pub(crate) fn parse(options: &Options, arguments: &[Field], order: Order) -> Parsed {
    let mut parsed = Parsed::default();
    let mut rest = arguments.iter();
    let mut ended = false;
    let mut taken = 0;
    while let Some(argument) = rest.next() {
        taken += 1;
        let dash = argument.starts_with("-");
        let alone = dash && argument.atoms.len() == 1;
        if ended || !dash || alone {
            if !ended && argument.may_be_option() {
                let open = argument.is_open() || argument.many || argument.atoms.is_empty();
                parsed.dynamic |= open;
                parsed.wild |= !open;
            }
            if parsed.operands.is_empty() {
                parsed.first_operand = taken - 1;
            }
            ended |= order != Order::Anywhere;
            parsed.operands.push(argument.clone());
        } else if argument.exact().as_deref() == Some("--") {
            ended = true;
        } else if argument.starts_with("--") || order == Order::SingleDash {
            taken += parsed.long(options, argument, &mut rest);
        } else {
            taken += parsed.short(options, argument, &mut rest);
        }
    }
    if parsed.operands.is_empty() {
        parsed.first_operand = arguments.len();
    }
    parsed
}

impl Parsed {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|given| given.name == name)
    }

    pub(crate) fn values<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p Field> {
        self.given
            .iter()
            .filter(move |given| given.name == name)
            .filter_map(|given| given.value.as_ref())
    }

    /// Returns how many further arguments it took.
    fn long<'f>(&mut self, options: &Options, argument: &Field, rest: &mut impl Iterator<Item = &'f Field>) -> usize {
        let (name, attached) = match argument.split_at('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument.clone(), None),
        };
        let Some(text) = name.exact() else {
            self.dynamic = true;
            self.unknown.push(argument.clone());
            return 0;
        };
        let candidates = options.long(&text);
        if candidates.is_empty() {
            self.unknown.push(argument.clone());
            return 0;
        }
        let mut taken = 0;
        let next = match (&attached, candidates.iter().any(|known| known.takes == Takes::Value)) {
            (None, true) => {
                taken = 1;
                rest.next().cloned()
            }
            _ => None,
        };
        if candidates
            .iter()
            .any(|known| known.takes != candidates.first().map_or(Takes::Nothing, |first| first.takes))
        {
            // Which of them is meant decides what the next argument is.
            self.dynamic = true;
        }
        for known in candidates {
            let value = match known.takes {
                Takes::Nothing => None,
                Takes::Value => attached.clone().or_else(|| next.clone()),
                Takes::Attached => attached.clone(),
            };
            self.dynamic |= value.as_ref().is_some_and(|value| value.many);
            self.given.push(known.given(value, taken == 1));
        }
        taken
    }

    fn short<'f>(&mut self, options: &Options, argument: &Field, rest: &mut impl Iterator<Item = &'f Field>) -> usize {
        let mut cluster = argument.skip(1);
        while let Some(atom) = cluster.atoms.first().copied() {
            cluster = cluster.skip(1);
            let crate::paths::field::Atom::Char(letter, _) = atom else {
                self.dynamic = true;
                self.unknown.push(argument.clone());
                return 0;
            };
            let Some(known) = options.short(letter) else {
                self.unknown.push(Field::constant(&format!("-{letter}")));
                if letter == '/' || letter == '=' {
                    // A value, then, of an option that is not known.
                    self.unknown.push(argument.clone());
                    return 0;
                }
                continue;
            };
            match known.takes {
                Takes::Nothing => self.given.push(known.given(None, false)),
                Takes::Attached => {
                    let value = (!cluster.atoms.is_empty()).then(|| cluster.clone());
                    self.given.push(known.given(value, false));
                    return 0;
                }
                Takes::Value if !cluster.atoms.is_empty() => {
                    self.given.push(known.given(Some(cluster), false));
                    return 0;
                }
                Takes::Value => {
                    let value = rest.next().cloned();
                    self.dynamic |= value.as_ref().is_some_and(|value| value.many);
                    let taken = usize::from(value.is_some());
                    self.given.push(known.given(value, true));
                    return taken;
                }
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(words: &[&str]) -> Vec<Field> {
        words.iter().map(|word| Field::constant(word)).collect()
    }

    #[test]
    fn options_are_told_from_operands_as_getopt_does() {
        let options = Options::of("-r,--recursive!R -o,--output=w -i?_ --old=_");
        let parsed = parse(
            &options,
            &fields(&["-ro", "f", "a", "--rec", "-ofile", "--", "-r"]),
            Order::Anywhere,
        );
        let names: Vec<&str> = parsed.given.iter().map(|given| given.name.as_str()).collect();
        assert_eq!(names, ["-r", "-o", "-r", "-o"]);
        assert_eq!(parsed.operands, fields(&["a", "-r"]));
        let parsed = parse(&options, &fields(&["-i", "x", "-r"]), Order::First);
        assert_eq!(parsed.operands, fields(&["x", "-r"]));
        assert_eq!(parsed.first_operand, 1);
    }

    #[test]
    fn an_abbreviation_means_all_that_it_may() {
        let options = Options::of("--output=w --outer!x");
        let parsed = parse(&options, &fields(&["--out=f"]), Order::Anywhere);
        assert_eq!(parsed.given.len(), 2);
        assert!(parsed.dynamic);
    }

    #[test]
    fn what_may_be_an_option_says_so() {
        let options = Options::of("-r!R");
        assert!(parse(&options, &[Field::unknown()], Order::Anywhere).dynamic);
        assert!(parse(&options, &fields(&["--", "x"]), Order::Anywhere).operands == fields(&["x"]));
    }
}
