//! Tab: what the word before the cursor may become. Names of the host are asked for by commands that policy judges, and a
//! refusal is no more than a bell.

use std::collections::BTreeSet;

use bytes::Bytes;
use sallyport_prompt::{Candidate, Completions};
use sallyport_session::{Effects, WireError};
use sallyport_shell::complete::{Completing, Quote, Word, completing};

use super::{Guard, INTERRUPT, Phase, Place, Reading, wrapper};
use crate::conversation::SshConversation;
use crate::conversation::channel::Setup;
use crate::conversation::masked::is_masked;

/// Bytes of a directory's listing, and names in it; of more none is offered.
const MAX_LISTING: usize = 64 * 1024;
const MAX_NAMES: usize = 1000;
/// The same of all programs.
const MAX_PROGRAM_LISTING: usize = 512 * 1024;
const MAX_PROGRAMS: usize = 16 * 1024;

/// Where programs are: `-p` marks what is none, `-b` leaves a name on one line whatever is in it.
const PROGRAMS: &str = "ls -1pb -- /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin";

/// What the shell knows by itself.
const BUILTINS: [&str; 47] = [
    "alias", "break", "builtin", "case", "cd", "command", "continue", "declare", "do", "done", "echo", "elif", "else",
    "esac", "eval", "exec", "exit", "export", "false", "fi", "for", "if", "in", "kill", "let", "local", "logout",
    "printf", "pwd", "read", "readonly", "return", "set", "shift", "source", "test", "then", "time", "trap", "true",
    "type", "ulimit", "umask", "unset", "until", "wait", "while",
];

/// Variables that every login has.
const VARIABLES: [&str; 12] = [
    "EUID", "HOME", "HOSTNAME", "LOGNAME", "OLDPWD", "PATH", "PPID", "PWD", "RANDOM", "SHELL", "UID", "USER",
];

/// Something of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    text: String,
    is_directory: bool,
}

/// What was learnt of the host's names, each under the policy of that number; `None`: it may not be known.
#[derive(Debug, Default)]
pub(super) struct Names {
    programs: Option<(u64, Option<Vec<Name>>)>,
    /// Of the directory that was listed last, for the same line.
    directory: Option<(u64, String, Option<Vec<Name>>)>,
}

/// What an answer of the host is for.
#[derive(Debug)]
pub(super) struct Wanted {
    what: Source,
    completing: Completing,
    /// The line up to the cursor.
    line: String,
    generation: u64,
}

/// Where names are from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Programs,
    Directory(String),
}

impl Names {
    /// Another line begins: what a directory has may have changed.
    pub(super) fn begin(&mut self) {
        self.directory = None;
    }

    fn known(&self, what: &Source, generation: u64) -> Option<&Option<Vec<Name>>> {
        match what {
            Source::Programs => {
                let (of, names) = self.programs.as_ref()?;
                (*of == generation).then_some(names)
            }
            Source::Directory(path) => {
                let (of, directory, names) = self.directory.as_ref()?;
                (*of == generation && directory == path).then_some(names)
            }
        }
    }

    fn learn(&mut self, what: &Source, generation: u64, names: Option<Vec<Name>>) {
        match what {
            Source::Programs => self.programs = Some((generation, names)),
            Source::Directory(path) => self.directory = Some((generation, path.clone(), names)),
        }
    }
}

impl Source {
    fn line(&self) -> String {
        match self {
            Self::Programs => PROGRAMS.to_owned(),
            Self::Directory(path) => format!("ls -1apb -- {}", wrapper::quoted(path)),
        }
    }

    const fn most(&self) -> usize {
        match self {
            Self::Programs => MAX_PROGRAM_LISTING,
            Self::Directory(_) => MAX_LISTING,
        }
    }

    /// The names in a listing; `None` if they are too many.
    fn names(&self, answer: &[u8]) -> Option<Vec<Name>> {
        let lines = answer.split(|byte| *byte == b'\n');
        let mut names: Vec<Name> = match self {
            // Each directory has a line of its own above its names.
            Self::Programs => lines
                .filter(|line| !line.starts_with(b"/"))
                .filter_map(Name::read)
                .filter(|name| !name.is_directory)
                .collect(),
            Self::Directory(_) => lines.filter_map(Name::read).collect(),
        };
        names.sort();
        names.dedup();
        let most = match self {
            Self::Programs => MAX_PROGRAMS,
            Self::Directory(_) => MAX_NAMES,
        };
        (names.len() <= most).then_some(names)
    }
}

impl Name {
    /// A line of `ls -pb`. What has characters that act on a terminal, or that nobody sees, is not offered.
    fn read(line: &[u8]) -> Option<Self> {
        let mut bytes = Vec::new();
        let mut rest = line.iter().copied().peekable();
        while let Some(byte) = rest.next() {
            if byte != b'\\' {
                bytes.push(byte);
                continue;
            }
            let mut octal = 0_u32;
            let mut digits = 0;
            while let Some(digit) = rest.next_if(|byte| digits < 3 && (b'0'..=b'7').contains(byte)) {
                octal = octal * 8 + u32::from(digit - b'0');
                digits += 1;
            }
            bytes.push(match digits {
                0 => match rest.next()? {
                    letter if letter.is_ascii_lowercase() => return None,
                    other => other,
                },
                _ => u8::try_from(octal).ok()?,
            });
        }
        let text = String::from_utf8(bytes).ok()?;
        let (text, is_directory) = match text.strip_suffix('/') {
            Some(name) => (name.to_owned(), true),
            None => (text, false),
        };
        let odd = |c: char| {
            c.is_control()
                || c == '/'
                || (c.is_whitespace() && c != ' ')
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fffd}')
        };
        let named = !matches!(text.as_str(), "" | "." | "..") && !text.contains(odd);
        named.then_some(Self { text, is_directory })
    }
}

/// How a word may go on with these names. `raw` is the word as it is typed.
fn candidates(word: &Word, raw: &str, names: &[Name]) -> Completions {
    let hidden = word.typed.starts_with('.');
    let fits = |name: &&Name| name.text.starts_with(&word.typed) && (hidden || !name.text.starts_with('.'));
    let fitting: Vec<&Name> = names.iter().filter(fits).collect();
    let only = fitting.len() == 1;
    let candidate = |name: &&Name| {
        let rest = name.text.get(word.typed.len()..).unwrap_or_default();
        // It would be taken for an option.
        let dash = word.first && word.typed.is_empty() && rest.starts_with('-');
        let before = match word.quote {
            Quote::Bare if dash => "./",
            Quote::Single | Quote::Double if dash => return None,
            Quote::Bare | Quote::Single | Quote::Double => "",
        };
        let behind = match (name.is_directory, only) {
            (true, _) => "/",
            (false, true) => word.quote.closing(),
            (false, false) => "",
        };
        Some(Candidate {
            text: format!("{raw}{before}{}{behind}", word.quote.quoted(rest)),
            label: format!("{}{}", name.text, if name.is_directory { "/" } else { "" }),
            suffix: (!name.is_directory).then_some(' '),
        })
    };
    Completions {
        from: word.from,
        candidates: fitting.iter().filter_map(candidate).collect(),
    }
}

fn plain_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<Name> {
    let names: BTreeSet<&str> = names.into_iter().collect();
    let name = |text: &str| Name {
        text: text.to_owned(),
        is_directory: false,
    };
    names.into_iter().map(name).collect()
}

/// Where a path leads from a shell's directory; `None` if it cannot be said on one line.
fn absolute(directory: &str, place: &Place) -> Option<String> {
    let path = if directory.starts_with('/') {
        directory.to_owned()
    } else {
        format!("{}/{directory}", place.directory)
    };
    let trimmed = path.trim_end_matches('/');
    let path = if trimmed.is_empty() { "/" } else { trimmed };
    (!path.contains(char::is_control)).then(|| path.to_owned())
}

impl Guard {
    /// What a variable of the shell holds, as far as the gateway knows it.
    fn variable(&self, name: &str, home: Option<&str>) -> Option<String> {
        match name {
            "HOME" => home.map(str::to_owned),
            "PWD" => Some(self.place.directory.clone()),
            _ => self.place.value(name).map(str::to_owned),
        }
    }

    fn variables(&self) -> Vec<Name> {
        let given = self.setup.environment.iter().map(|(name, _)| name.as_str());
        let place = &self.place;
        let own = place.exports.keys().chain(place.variables.keys()).map(String::as_str);
        plain_names(VARIABLES.into_iter().chain(given).chain(own))
    }
}

impl SshConversation {
    /// Tab was pressed.
    pub(super) fn guard_completes(
        &mut self,
        at: usize,
        line: &str,
        cursor: usize,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let home = self.account.home.clone();
        let scanner = self.masks(out).plain;
        let generation = out.generation();
        let line = line.get(..cursor).unwrap_or_default().to_owned();
        let Some(guard) = self.guarded(at) else { return Ok(()) };
        let found = completing(&line, &|name| {
            // What masks would change is said to nobody, nor asked of the host.
            let value = guard.variable(name, home.as_deref());
            value.filter(|value| !is_masked(&scanner, value))
        });
        let what = match &found {
            Some(Completing::Command(_)) => Some(Source::Programs),
            Some(Completing::File { directory, .. }) => absolute(directory, &guard.place).map(Source::Directory),
            Some(Completing::Home(_) | Completing::Variable { .. }) | None => None,
        };
        let unknown = what.filter(|what| guard.names.known(what, generation).is_none());
        let (Some(completing), Some(what)) = (&found, unknown) else {
            let completions = found.map(|completing| guard.completions(&completing, &line, generation));
            return self.guard_completed(at, completions.unwrap_or_default(), out);
        };
        let wanted = Box::new(Wanted {
            what,
            completing: completing.clone(),
            line,
            generation,
        });
        let setup = Setup {
            pty: None,
            environment: guard.setup.environment.clone(),
            ..Setup::default()
        };
        let (question, most) = (Bytes::from(wanted.what.line()), wanted.what.most());
        match self.ask_host(at, setup, question, most, out) {
            Some(listing) => {
                if let Some(guard) = self.guarded(at) {
                    guard.phase = Phase::Completing { at: listing, wanted };
                }
                Ok(())
            }
            None => self.guard_completed(at, Completions::default(), out),
        }
    }

    /// The host's answer to a question of this shell, or that there is none.
    pub(in crate::conversation) fn guard_learns(
        &mut self,
        at: usize,
        listing: usize,
        answer: Option<&[u8]>,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let scanner = self.masks(out).plain;
        let Some(guard) = self.guarded(at) else { return Ok(()) };
        if !matches!(guard.phase, Phase::Completing { at, .. } if at == listing) {
            return Ok(());
        }
        let Phase::Completing { wanted, .. } = std::mem::replace(&mut guard.phase, Phase::Prompt) else {
            return Ok(());
        };
        let mut names = answer.and_then(|answer| wanted.what.names(answer));
        if let Some(names) = &mut names {
            names.retain(|name| !is_masked(&scanner, &name.text));
        }
        guard.names.learn(&wanted.what, wanted.generation, names);
        let completions = guard.completions(&wanted.completing, &wanted.line, wanted.generation);
        self.guard_completed(at, completions, out)?;
        self.read_lines(at, out)
    }

    /// Shows how the line may go on; a bell if in no way.
    fn guard_completed(&mut self, at: usize, completions: Completions, out: &mut Effects) -> Result<(), WireError> {
        let Some(guard) = self.guarded(at) else { return Ok(()) };
        let mut shown = Vec::new();
        if let Reading::Terminal(editor) = &mut guard.reading {
            editor.complete(completions, &mut shown);
        }
        self.guard_says(at, &shown, out)
    }

    /// Keys while the host is asked: they wait, but for Ctrl-C.
    pub(super) fn completion_input(&mut self, at: usize, data: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let Some(guard) = self.guarded(at) else { return Ok(()) };
        let Some(interrupt) = data.iter().position(|byte| *byte == INTERRUPT) else {
            guard.ahead.extend_from_slice(data);
            return Ok(());
        };
        guard.ahead.clear();
        guard.ahead.extend_from_slice(data.get(interrupt..).unwrap_or_default());
        guard.phase = Phase::Prompt;
        self.end_listings(at, out)?;
        self.read_lines(at, out)
    }
}

impl Guard {
    /// How the word may go on, by what is known.
    fn completions(&self, completing: &Completing, line: &str, generation: u64) -> Completions {
        let raw = |word: &Word| line.get(word.from..).unwrap_or_default().to_owned();
        let known = |what: &Source| self.names.known(what, generation).and_then(Option::as_deref);
        match completing {
            Completing::Command(word) => {
                let programs = known(&Source::Programs).unwrap_or_default();
                let names = programs.iter().map(|name| name.text.as_str());
                candidates(word, &raw(word), &plain_names(BUILTINS.into_iter().chain(names)))
            }
            Completing::File { word, directory } => {
                let path = absolute(directory, &self.place).map(Source::Directory);
                let names = path.as_ref().and_then(known).unwrap_or_default();
                candidates(word, &raw(word), names)
            }
            Completing::Home(word) => Completions {
                from: word.from,
                candidates: vec![Candidate {
                    text: "~/".to_owned(),
                    label: "~/".to_owned(),
                    suffix: None,
                }],
            },
            Completing::Variable { word, braced } => {
                let mut completions = candidates(word, &raw(word), &self.variables());
                let quoted = word.quote != Quote::Bare;
                for candidate in &mut completions.candidates {
                    // The quotes go on behind it.
                    candidate.text.truncate(candidate.label.len());
                    candidate.suffix = match (braced, quoted) {
                        (true, _) => Some('}'),
                        (false, false) => Some(' '),
                        (false, true) => None,
                    };
                }
                completions
            }
        }
    }
}

#[cfg(test)]
mod tests;
