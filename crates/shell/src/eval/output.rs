//! What programs write that stand in a substitution, as far as that is known.

use super::Evaluator;
use super::expand::literal;
use super::state::{State, Value, Variable};
use crate::facts::Run;
use crate::paths::field::{Atom, Hole};

impl Evaluator<'_> {
    /// The texts that may take the place of a substitution that ran these programs, if they are known.
    pub(super) fn output(&self, text: &str, runs: &[Run], state: &State) -> Option<Vec<Value>> {
        if let Some(run) = runs.last()
            && counts(text, run)
            && state.function(&run.program).is_none()
        {
            // Nothing is left where the count could not be taken.
            return Some(vec![vec![Atom::Hole(Hole::Integer)], Vec::new()]);
        }
        let [run] = runs else { return None };
        // One program, and nothing of the shell around it.
        let plain = |text: &str| {
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || " _./:+%-'\"".contains(c))
        };
        if !plain(without_errors(text)) || !run.exact || state.function(&run.program).is_some() {
            return None;
        }
        let arguments: Vec<&str> = run.arguments.iter().map(String::as_str).collect();
        let one = |hole| Some(vec![vec![Atom::Hole(hole)]]);
        match (run.program.as_str(), arguments.as_slice()) {
            ("echo", words) if !words.iter().any(|word| word.starts_with('-')) => {
                Some(vec![literal(words.join(" ").trim_end_matches('\n'))])
            }
            ("date", ["+%s"]) | ("nproc", []) | ("id", ["-u" | "-g"]) => one(Hole::Integer),
            ("date", [format]) | ("date", ["-u", format]) if date_token(format) => one(Hole::Token),
            ("hostname" | "whoami" | "arch", [])
            | ("hostname", ["-s" | "-f"])
            | ("uname", ["-r" | "-s" | "-m" | "-n"])
            | ("id", ["-un" | "-gn"]) => one(Hole::Token),
            ("basename", [path]) => Some(vec![literal(last_of(path)?)]),
            ("basename", [path, suffix]) => {
                let name = last_of(path)?;
                let short = name.strip_suffix(suffix).filter(|rest| !rest.is_empty());
                Some(vec![literal(short.unwrap_or(name))])
            }
            ("mktemp", words) => self.temporary(words, state),
            _ => None,
        }
    }

    /// The name of a new file, or nothing.
    fn temporary(&self, words: &[&str], state: &State) -> Option<Vec<Value>> {
        let words = words.strip_prefix(&["-d"]).unwrap_or(words);
        let name = match words {
            [] => {
                let elsewhere = self.temporary_moved
                    || self.setting.variables.contains_key("TMPDIR")
                    || state.variable("TMPDIR") != Variable::Unknown;
                (!elsewhere).then(|| named("/tmp/tmp.", ""))?
            }
            [template] if !template.starts_with('-') => {
                let end = template.rfind("XXX")? + 3;
                let (filled, suffix) = template.split_at_checked(end)?;
                if suffix.contains('/') {
                    return None;
                }
                named(filled.trim_end_matches('X'), suffix)
            }
            _ => return None,
        };
        Some(vec![name, Vec::new()])
    }
}

/// The last name of a path.
fn last_of(path: &str) -> Option<&str> {
    let name = path.trim_end_matches('/').rsplit('/').next()?;
    (!name.is_empty() && !path.starts_with('-')).then_some(name)
}

fn named(before: &str, behind: &str) -> Value {
    let mut value = literal(before);
    value.push(Atom::Hole(Hole::Token));
    value.extend(literal(behind));
    value
}

fn without_errors(text: &str) -> &str {
    let text = text.trim();
    text.strip_suffix("2>/dev/null").map_or(text, str::trim_end)
}

/// Whether a pipeline ends with a program that writes one number: `wc -l` of what it is fed, `grep -c` of one file.
fn counts(text: &str, last: &Run) -> bool {
    let text = text.replace("2>/dev/null", " ");
    let pipeline = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || " _./:+%-'\"=,^*[]~|<".contains(c));
    let single = !text.contains("||") && !text.contains("<<");
    let behind = text.rsplit('|').next().unwrap_or_default();
    let ends = behind.split_whitespace().next() == Some(last.program.as_str());
    let arguments: Vec<&str> = last.arguments.iter().map(String::as_str).collect();
    let one = match (last.program.as_str(), arguments.as_slice()) {
        ("wc", ["-l" | "-c" | "-w" | "-m"]) => true,
        ("grep", ["-c", pattern]) => !pattern.starts_with('-'),
        ("grep", ["-c", pattern, file]) => !pattern.starts_with('-') && !file.starts_with('-'),
        _ => false,
    };
    pipeline && single && ends && one && last.exact && last.via.is_empty()
}

/// A format of `date` whose output has neither blank nor slash, and starts with a digit or a letter.
fn date_token(format: &str) -> bool {
    let Some(rest) = format.strip_prefix("+%") else {
        return false;
    };
    rest.chars().next().is_some_and(|c| "FYmdHMSsjTyuVaAbB".contains(c))
        && rest
            .split('%')
            .all(|part| part.chars().next().is_none_or(|c| "FYmdHMSsjTyuVaAbBNZz".contains(c)))
        && rest.chars().all(|c| c.is_ascii_alphanumeric() || "%_.:-".contains(c))
}
