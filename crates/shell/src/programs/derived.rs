//! Paths that an argument stands for without naming them.

use crate::eval::Evaluator;
use crate::eval::state::State;
use crate::eval::uses::Uses;
use crate::facts::Run;
use crate::paths::field::{Atom, Field};

impl Evaluator<'_> {
    /// The target may be a directory: then what is written has the name of the source.
    pub(crate) fn put_into(
        &mut self,
        directory: &Field,
        sources: &[Field],
        recursive: bool,
        run: &mut Run,
        state: &State,
    ) {
        if recursive {
            self.path(run, directory, Uses::WRITE.recursively(), state);
        }
        for source in sources {
            let slash = |atom: &Atom| matches!(atom, Atom::Char('/', _));
            let end = source
                .atoms
                .iter()
                .rposition(|atom| !slash(atom))
                .map_or(0, |at| at + 1);
            let start = source.atoms.iter().take(end).rposition(slash).map_or(0, |at| at + 1);
            let mut joined = directory.clone();
            joined.atoms.push(Atom::Char('/', true));
            joined.atoms.extend(source.atoms.iter().take(end).skip(start).copied());
            joined.below |= source.below;
            self.path(run, &joined, Uses::WRITE, state);
        }
    }

    /// What is made of a file has its name with an ending more or less.
    pub(crate) fn beside_of(&mut self, file: &Field, run: &mut Run, state: &State) {
        let slash = |atom: &Atom| matches!(atom, Atom::Char('/', _));
        let dot = |atom: &&Atom| matches!(atom, Atom::Char('.', _));
        let end = file.atoms.iter().rposition(slash).map_or(0, |at| at + 1);
        let mut pattern: Vec<Atom> = file.atoms.iter().take(end).copied().collect();
        let name: Vec<&Atom> = file.atoms.iter().skip(end).collect();
        // All that stands in front of the first ending. A bracket that is cut would be another pattern.
        if !name.contains(&&Atom::Char('[', false)) {
            let dots = name.iter().take_while(|atom| dot(atom)).count();
            let stem = name.iter().skip(dots).take_while(|atom| !dot(atom));
            pattern.extend(name.iter().take(dots).chain(stem).copied());
        }
        pattern.push(Atom::Char('*', false));
        let siblings = Field {
            atoms: pattern,
            ..file.clone()
        };
        self.path(run, &siblings, Uses::WRITE, state);
    }

    /// A database of names that is a file.
    pub(crate) fn database(&mut self, name: &Field, run: &mut Run, state: &State) {
        match name.exact() {
            Some(name) if !name.contains('/') => {
                self.path(run, &Field::constant(&format!("/etc/{name}")), Uses::READ, state);
            }
            _ => self.path(run, &Field::unknown(), Uses::READ, state),
        }
    }

    /// A file that is named as an address ends.
    pub(crate) fn saved(&mut self, address: &Field, run: &mut Run, state: &State) {
        let name = match address.exact() {
            Some(text) => match text.rsplit('/').next() {
                Some("") | None => Field::constant("index.html"),
                Some(name) => Field::constant(name),
            },
            None => Field::unknown(),
        };
        self.path(run, &name, Uses::WRITE, state);
    }

    /// An address may be of a file.
    pub(crate) fn address(&mut self, field: &Field, run: &mut Run, state: &State) {
        // Addresses that stand in a file.
        if field.starts_with("@") {
            self.path(run, &field.skip(1), Uses::READ, state);
        }
        match field.exact() {
            Some(text) => {
                let lower = text.to_ascii_lowercase();
                if let Some(rest) = lower.strip_prefix("file:") {
                    let path = rest.trim_start_matches('/').trim_start_matches("localhost/");
                    // Percent signs and braces hide names.
                    if path.contains(['%', '{', '[', '\\']) {
                        self.path(run, &Field::unknown(), Uses::READ, state);
                    }
                    self.path(run, &Field::constant(&format!("/{path}")), Uses::READ, state);
                } else if text.split(':').next().is_some_and(|scheme| scheme.contains(['{', '['])) {
                    self.path(run, &Field::unknown(), Uses::READ, state);
                }
            }
            // One that may be several arguments may be any.
            None if !field.many && (field.starts_with("http://") || field.starts_with("https://")) => {}
            None if is_host(field) => {}
            None => self.path(run, &Field::unknown(), Uses::READ, state),
        }
    }

    /// What a link says is read where the link stands, which may be in its target or beside it.
    pub(crate) fn linked_from(&mut self, target: &Field, sources: &[Field], run: &mut Run, state: &State) {
        if run.program != "ln" {
            return;
        }
        let slash = |atom: &Atom| matches!(atom, Atom::Char('/', _));
        let named = target
            .atoms
            .iter()
            .rposition(|atom| !slash(atom))
            .map_or(0, |at| at + 1);
        let parent = target.atoms.iter().take(named).rposition(slash).map_or(0, |at| at + 1);
        for source in sources.iter().filter(|source| !source.starts_with("/")) {
            for length in [parent, target.atoms.len()] {
                let mut joined = target.clone();
                joined.atoms.truncate(length);
                if length > 0 {
                    joined.atoms.push(Atom::Char('/', true));
                }
                joined.atoms.extend(source.atoms.iter().copied());
                joined.below |= source.below;
                joined.many |= source.many;
                self.path(run, &joined, Uses::only(true, true, false).recursively(), state);
            }
        }
    }

    /// A part of a form: `name=@file`, `name=<file`, `name=text;headers=@file`, with several files or quotes.
    pub(crate) fn form(&mut self, field: &Field, run: &mut Run, state: &State) {
        let mut rest = field.clone();
        if rest.contains('"') || rest.contains(',') || rest.is_open() {
            let marked = rest.contains('@') || rest.contains('<');
            if marked {
                self.path(run, &Field::unknown(), Uses::READ, state);
            }
        }
        while let Some(at) = rest
            .atoms
            .iter()
            .position(|atom| matches!(atom, Atom::Char('@' | '<', _)))
        {
            rest = rest.skip(at + 1);
            let file = rest.split_at(';').map_or_else(|| rest.clone(), |(file, _)| file);
            self.path(run, &file, Uses::READ, state);
        }
    }

    /// Data to send: `@file`, `name=@file`, `name=<file`.
    pub(crate) fn sent(&mut self, field: &Field, run: &mut Run, state: &State) {
        for mark in ['@', '<'] {
            if let Some((_, file)) = field.split_at(mark) {
                let file = file.split_at(';').map_or(file, |(file, _)| file);
                self.path(run, &file, Uses::READ, state);
            }
        }
        if field.is_open() {
            self.path(run, field, Uses::READ, state);
        }
        // `--write-out '%output{file}'`.
        if field.exact().is_some_and(|text| text.contains("%output{")) {
            self.path(run, &Field::unknown(), Uses::WRITE, state);
        }
    }
}

/// `host:port/path?query`, where what stands before the path is constant: the shell puts nothing else there.
fn is_host(field: &Field) -> bool {
    let constant = field.atoms.iter().map_while(|atom| match atom {
        Atom::Char(c, true) => Some(*c),
        Atom::Char(c, false) if !"*?[".contains(*c) => Some(*c),
        Atom::Char(..) | Atom::Hole(_) => None,
    });
    let constant: String = constant.collect();
    let host = constant.split_once('/').map(|(host, _)| host);
    let plain = |host: &str| {
        let (name, port) = host.split_once(':').unwrap_or((host, "80"));
        let digits = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
        digits
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
    };
    !field.many && !field.below && host.is_some_and(plain)
}
