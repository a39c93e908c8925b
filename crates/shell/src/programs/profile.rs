//! How a program uses its arguments, as a line of a table says it.
//!
//! A line is `names | options | operands | attributes`. A role is made of letters: `r` reads, `w` writes, `d` removes,
//! `l` looks at, `R` also all below, `x` runs it as code that is not followed, `f` takes code from it, `h` runs it as a
//! shell text, `s` is data that may name a file to send, `q` a part of a form that may name several, `u` is an address, `m` a method of HTTP, `b` may be a directory
//! into which the others go, `_` nothing. The role
//! of an option without value is about the operands: `R` also all below them, `W` they are written, `D` removed, `L`
//! looked at only, `T` the last is like the others, `O` not followed, `U` files named as the address ends are written,
//! `C` files of any name are written here, `B` files of any name anywhere, `V` nothing is written or removed. Operands: `1=_` the first, `$=w` the last, `*=r` the others; `1=_^-e` not if
//! `-e` is given.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::options::{Given, Options, Order, Parsed, parse};
use super::table;
use crate::eval::state::State;
use crate::eval::uses::Uses;
use crate::eval::{Context, Evaluator};
use crate::facts::{Code, Effect, Opaque, Run};
use crate::paths::field::Field;

/// A line of the table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    options: Options,
    operands: Vec<Operand>,
    attributes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Operand {
    which: char,
    role: String,
    unless: Vec<String>,
}

/// The profile of a program.
pub(crate) fn find(name: &str) -> Option<&'static Profile> {
    static PROFILES: OnceLock<BTreeMap<String, Profile>> = OnceLock::new();
    let profiles = PROFILES.get_or_init(|| {
        let mut profiles = BTreeMap::new();
        for line in lines() {
            let mut parts = line.split('|').map(str::trim);
            let names = parts.next().unwrap_or_default();
            for name in names.split(',') {
                profiles.insert(name.to_owned(), Profile::of(parts.clone()));
            }
        }
        profiles
    });
    profiles.get(name)
}

/// The lines of the table, each in one piece.
fn lines() -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in table::PROFILES.lines().filter(|line| !line.trim().is_empty()) {
        match (line.strip_prefix("  "), lines.last_mut()) {
            (Some(rest), Some(last)) => {
                // Names are not torn apart by a blank.
                if !last.ends_with(',') || last.contains('|') {
                    last.push(' ');
                }
                last.push_str(rest);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

impl Profile {
    fn of<'t>(mut parts: impl Iterator<Item = &'t str>) -> Self {
        Self {
            options: Options::of(parts.next().unwrap_or_default()),
            operands: parts
                .next()
                .unwrap_or_default()
                .split_ascii_whitespace()
                .filter_map(Operand::of)
                .collect(),
            attributes: parts
                .next()
                .unwrap_or_default()
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect(),
        }
    }

    fn is(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|own| own == attribute)
    }

    /// The role of the operand at a position, out of so many.
    fn role(&self, position: usize, count: usize, parsed: &Parsed) -> &str {
        let applies = |operand: &&Operand| {
            let here = match operand.which {
                '*' => true,
                '$' => position + 1 == count && count > 1 && !parsed.given.iter().any(|given| given.role.contains('T')),
                digit => digit.to_digit(10) == u32::try_from(position + 1).ok(),
            };
            here && !operand.unless.iter().any(|name| parsed.has(name))
        };
        self.operands
            .iter()
            .find(applies)
            .map_or("_", |operand| operand.role.as_str())
    }
}

impl Operand {
    fn of(item: &str) -> Option<Self> {
        let (which, rest) = item.split_once('=')?;
        let mut parts = rest.split('^');
        Some(Self {
            which: which.chars().next()?,
            role: parts.next()?.to_owned(),
            unless: parts.map(str::to_owned).collect(),
        })
    }
}

/// What a role says of a path.
fn uses(role: &str) -> Uses {
    Uses {
        reads: role.contains('r'),
        writes: role.contains('w'),
        removes: role.contains('d'),
        lists: role.contains('l'),
        recursive: role.contains('R'),
    }
}

impl Evaluator<'_> {
    /// Notes what a program with a profile does, and lists it.
    pub(crate) fn profiled(
        &mut self,
        profile: &Profile,
        mut run: Run,
        arguments: &[Field],
        state: &State,
        context: &Context,
    ) {
        run.known = true;
        if profile.is("any") {
            self.attributes(profile, &Parsed::default(), &mut run);
            return self.list(run);
        }
        let order = if profile.is("first") {
            Order::First
        } else {
            Order::Anywhere
        };
        let parsed = parse(&profile.options, arguments, order);
        self.attributes(profile, &parsed, &mut run);
        let mut all = Modifiers::default();
        for given in &parsed.given {
            self.given(given, &mut all, &mut run, state, context);
            if let (Some(value), true) = (&given.value, profile.is("siblings") && given.role.contains('w')) {
                self.beside_of(value, &mut run, state);
            }
            if given.apart
                && let Some(value) = &given.value
            {
                let role: String = profile
                    .role(usize::MAX - 1, 0, &parsed)
                    .chars()
                    .filter(|c| "rwdlR".contains(*c))
                    .collect();
                self.role(&role, value, &mut run, state, context);
            }
        }
        self.attached(&parsed, &mut run, state);
        let count = parsed.operands.len();
        for (position, operand) in parsed.operands.iter().enumerate() {
            let role = all.adjust(profile.role(position, count, &parsed));
            self.role(&role, operand, &mut run, state, context);
            if role.contains('b') {
                let sources = parsed.operands.get(..position).unwrap_or_default();
                self.put_into(operand, sources, all.letters.contains('R'), &mut run, state);
                self.linked_from(operand, sources, &mut run, state);
            }
            if profile.is("siblings") && role.contains('w') {
                if all.letters.contains('B') {
                    self.path(&mut run, &Field::unknown(), Uses::WRITE, state);
                } else {
                    self.beside_of(operand, &mut run, state);
                }
            }
            if operand.starts_with("@") && role.contains('r') {
                self.path(&mut run, &operand.skip(1), Uses::READ, state);
            }
            if profile.is("databases") {
                self.database(operand, &mut run, state);
            }
            if all.letters.contains('U') || (profile.is("saves") && !parsed.has("-O") && !parsed.has("--spider")) {
                self.saved(operand, &mut run, state);
            }
        }
        self.beside(profile, &parsed, &all, &mut run, state);
        if profile.is("unknown") {
            run.known = false;
        }
        self.list(run);
    }

    /// What is attached to an option that is not known may be a path.
    fn attached(&mut self, parsed: &Parsed, run: &mut Run, state: &State) {
        for unknown in &parsed.unknown {
            if let Some((_, value)) = unknown.split_at('=') {
                self.path(run, &value, Uses::only(true, true, false), state);
            }
            if let Some((before, _)) = unknown.split_at('/') {
                self.path(
                    run,
                    &unknown.skip(before.atoms.len()),
                    Uses::only(true, true, false),
                    state,
                );
            }
        }
    }

    /// What is used though no operand names it.
    fn beside(&mut self, profile: &Profile, parsed: &Parsed, all: &Modifiers, run: &mut Run, state: &State) {
        for directory in parsed
            .given
            .iter()
            .filter(|given| given.role.contains('b'))
            .filter_map(|given| given.value.as_ref())
        {
            self.put_into(directory, &parsed.operands, all.letters.contains('R'), run, state);
            if run.program == "ln" {
                self.linked_from(directory, &parsed.operands, run, state);
            }
        }
        if profile.is("splits") && parsed.operands.len() < 2 && !parsed.has("-f") {
            self.path(run, &Field::constant("."), Uses::WRITE.recursively(), state);
        }
        let here = profile.is("strict-here") && !parsed.has("-d") && !all.letters.contains('V');
        if here || all.letters.contains('C') {
            self.path(run, &Field::constant("."), Uses::WRITE.recursively(), state);
        }
        if profile.is("here") && all.letters.contains('R') && parsed.operands.len() < 2 {
            self.path(run, &Field::constant("."), Uses::READ.recursively(), state);
        }
    }

    fn attributes(&mut self, profile: &Profile, parsed: &Parsed, run: &mut Run) {
        for attribute in &profile.attributes {
            match attribute.as_str() {
                "network" => run.network = true,
                "strict" if !parsed.unknown.is_empty() => self.opaque(Opaque::UnknownOption),
                "wild" if parsed.wild => self.opaque(Opaque::DynamicArgument),
                "escape" => {
                    self.opaque(Opaque::ShellEscape);
                    run.interprets = Some(Code::Interactive);
                }
                name => run.system.extend(effect(name)),
            }
        }
        if parsed.dynamic {
            self.opaque(Opaque::DynamicArgument);
        }
    }

    fn given(&mut self, given: &Given, all: &mut Modifiers, run: &mut Run, state: &State, context: &Context) {
        match &given.value {
            Some(value) => {
                self.role(&given.role, value, run, state, context);
                // `grep -d recurse`: what the value says of all operands.
                let plain = value
                    .exact()
                    .is_some_and(|text| matches!(text.as_str(), "skip" | "read"));
                if given.role == "_R" && !plain {
                    all.letters.push('R');
                }
            }
            None => {
                all.letters.push_str(&given.role);
                if given.role.contains('O') {
                    self.opaque(Opaque::UnknownOption);
                }
            }
        }
    }

    /// Notes what is done with one argument.
    pub(crate) fn role(&mut self, role: &str, field: &Field, run: &mut Run, state: &State, context: &Context) {
        if role.contains('x') {
            self.opaque(Opaque::CodeText);
            run.interprets = Some(Code::Text);
        }
        if role.contains('f') {
            self.opaque(Opaque::CodeFromFile);
            run.interprets = Some(Code::File);
            self.path(run, field, Uses::READ, state);
        }
        if role.contains('h') {
            run.interprets = Some(Code::Shell);
            let program = run.program.clone();
            self.shell_text(field, state, &context.through(&program));
        }
        if role.contains('O') {
            self.opaque(Opaque::UnknownOption);
        }
        if role.contains('u') {
            self.address(field, run, state);
        }
        if role.contains('m') && field.exact().is_none_or(|method| method.eq_ignore_ascii_case("delete")) {
            run.system.insert(Effect::Cluster);
            run.kubernetes_deletes.insert("*".to_owned());
        }
        if role.contains('q') {
            self.form(field, run, state);
        }
        if role.contains('s') {
            self.sent(field, run, state);
        }
        let uses = uses(role);
        // `-` is the standard input or output.
        let standard = field.exact().as_deref() == Some("-");
        if !standard && (uses.reads || uses.writes || uses.removes || uses.lists) {
            self.path(run, field, uses, state);
        }
    }
}

fn effect(name: &str) -> Option<Effect> {
    Some(match name {
        "power" => Effect::Power,
        "service" => Effect::Service,
        "account" => Effect::Account,
        "mount" => Effect::Mount,
        "kernel" => Effect::Kernel,
        "firewall" => Effect::Firewall,
        "package" => Effect::Package,
        "startup" => Effect::Startup,
        "device" => Effect::Device,
        "cluster" => Effect::Cluster,
        "signal" => Effect::Signal,
        _ => return None,
    })
}

/// What options say of all operands.
#[derive(Default)]
struct Modifiers {
    letters: String,
}

impl Modifiers {
    fn adjust(&self, role: &str) -> String {
        let has = |letter| self.letters.contains(letter);
        let path = role.contains(['r', 'w', 'd', 'l']);
        if !path {
            return role.to_owned();
        }
        if has('N') {
            return "_".to_owned();
        }
        let mut role = role.to_owned();
        if has('L') {
            role = "l".to_owned();
        }
        if has('V') && !has('B') {
            role.retain(|c| !"wd".contains(c));
        }
        for (letter, added) in [('R', 'R'), ('W', 'w'), ('D', 'd'), ('r', 'r')] {
            if has(letter) && !role.contains(added) {
                role.push(added);
            }
        }
        role
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn every_line_of_the_table_reads() {
        for line in lines() {
            let parts: Vec<&str> = line.split('|').map(str::trim).collect();
            assert_eq!(parts.len(), 4, "{line}");
            let profile = Profile::of(parts.iter().copied().skip(1));
            assert_eq!(
                profile.operands.len(),
                parts.get(2).unwrap().split_ascii_whitespace().count(),
                "{line}"
            );
            for known in &profile.options.known {
                assert!(
                    known.names.iter().all(|name| name.starts_with('-')),
                    "{line}: {known:?}"
                );
                assert!(
                    known.role.chars().all(|c| "rwdlRxfhsqmub_WDLTOCUBV".contains(c)),
                    "{line}: {known:?}"
                );
            }
            for attribute in &profile.attributes {
                let plain = [
                    "network",
                    "strict",
                    "wild",
                    "escape",
                    "any",
                    "here",
                    "strict-here",
                    "saves",
                    "unknown",
                    "splits",
                    "databases",
                    "siblings",
                    "first",
                ]
                .contains(&attribute.as_str());
                assert!(plain || effect(attribute).is_some(), "{line}: {attribute}");
            }
        }
    }

    #[test]
    fn no_program_has_two_lines() {
        let lines = lines();
        let names: Vec<&str> = lines
            .iter()
            .flat_map(|line| line.split('|').next().unwrap().trim().split(','))
            .collect();
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }
}
