//! Programs that show what they have to say with a pager, where a terminal is. From a pager a person can run others,
//! unless it is told that it may not; all else that these programs can do is refused as ever.

use crate::eval::state::State;
use crate::eval::uses::Uses;
use crate::eval::{Context, Evaluator};
use crate::facts::Run;
use crate::paths::field::Field;
use crate::setting::Pager;

/// Options of `less` that say how it shows text.
const LESS: &str = "FIJMNQRSXeimns";

/// Words of SQL with which a server runs programs, reads or writes files, or calls other servers.
const BEYOND_SQL: [&str; 16] = [
    "alter",
    "call",
    "copy",
    "create",
    "dblink",
    "do",
    "execute",
    "import",
    "language",
    "lo_",
    "load",
    "pg_ls",
    "pg_read",
    "pg_stat_file",
    "program",
    "xml",
];

impl Evaluator<'_> {
    /// A form of such a program that shows something and does nothing else. False: it is not one.
    pub(crate) fn paged(&mut self, run: &Run, arguments: &[Field], state: &State, context: &Context) -> bool {
        let words: Option<Vec<String>> = arguments.iter().map(Field::exact).collect();
        let Some(words) = words.filter(|_| !self.pages_freely(context)) else {
            return false;
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut run = run.clone();
        run.known = true;
        let shows = match run.program.as_str() {
            "man" => is_page(&words),
            "psql" => {
                run.network = true;
                is_query(&words)
            }
            "dpkg" | "dpkg-query" => queries(
                &words,
                &["-l", "-L", "-s", "-S", "--list", "--listfiles", "--status", "--search"],
            ),
            "rpm" => queries(&words, &["-q", "-qa", "-qi", "-ql", "-qf", "-qR", "-qc", "-qd"]),
            "apt" => queries(&words, &["list", "policy", "search", "show"]),
            "apt-cache" => queries(&words, &["depends", "madison", "policy", "rdepends", "search", "show"]),
            "less" => {
                let option = |word: &str| {
                    word.strip_prefix('-')
                        .is_some_and(|rest| rest.chars().all(|c| LESS.contains(c)))
                };
                let shows = words.iter().all(|word| option(word) || !word.starts_with(['-', '+']));
                for file in arguments.iter().filter(|field| shows && !field.starts_with("-")) {
                    self.path(&mut run, file, Uses::READ, state);
                }
                shows
            }
            _ => false,
        };
        if shows {
            self.list(run);
        }
        shows
    }

    /// Whether a pager could be told to run something here.
    fn pages_freely(&self, context: &Context) -> bool {
        // A wrapper may change the environment in which the pager is told, and another host has a terminal of its own.
        match self.setting.pager {
            Pager::None => context.host.is_some(),
            Pager::Secured => !context.via.is_empty() || context.host.is_some(),
            Pager::Free => true,
        }
    }
}

/// `man [-k|-f|-w|-a] [SECTION] NAME`.
fn is_page(words: &[&str]) -> bool {
    let option = |word: &str| matches!(word, "-k" | "-f" | "-w" | "-a");
    // With a slash it is a file.
    let name = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "._+-:@".contains(c));
    let names = words.iter().filter(|word| !option(word));
    !words.is_empty() && names.clone().all(|word| !word.starts_with('-') && name(word))
}

/// A subcommand or option that only asks, and what is asked for.
fn queries(words: &[&str], known: &[&str]) -> bool {
    let Some((first, rest)) = words.split_first() else {
        return false;
    };
    let plain = |word: &&&str| !word.starts_with('-') || matches!(**word, "--installed" | "--upgradable");
    known.contains(first) && rest.iter().filter(plain).count() == rest.len()
}

/// `psql` with a constant query, or a list of databases. A backslash begins a command of its own, which may run a program.
fn is_query(words: &[&str]) -> bool {
    let mut asks = false;
    let mut operands = 0;
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match *word {
            "-l" | "--list" | "-V" | "--version" => asks = true,
            "-c" | "--command" => match rest.next() {
                Some(text) if is_plain_sql(text) => asks = true,
                Some(_) | None => return false,
            },
            "-U" | "-h" | "-p" | "-d" | "-F" | "-R" if rest.next().is_some_and(|value| is_plain_name(value)) => {}
            "-A" | "-t" | "-q" | "-X" | "-w" | "-W" | "-x" | "-At" | "-tA" | "-qAt" | "-1" | "--csv"
            | "--no-psqlrc" => {}
            word if !word.starts_with('-') && is_plain_name(word) => operands += 1,
            _ => return false,
        }
    }
    asks && operands <= 2
}

/// A name of a host, a database, a person: no string with settings, which could name files.
fn is_plain_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.,:|-".contains(c))
}

fn is_plain_sql(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let beyond = |word: &str| {
        BEYOND_SQL
            .iter()
            .any(|known| word == *known || (known.len() > 2 && word.starts_with(known)))
    };
    !text.contains('\\') && !words.into_iter().any(beyond)
}
