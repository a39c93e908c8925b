//! Programs that show what they have to say with a pager, where a terminal is. From a pager a person can run others,
//! unless it is told that it may not; all else that these programs can do is refused as ever.

use crate::eval::state::State;
use crate::eval::uses::Uses;
use crate::eval::{Context, Evaluator};
use crate::facts::{Opaque, Run};
use crate::paths::field::Field;
use crate::setting::Pager;

/// Options of `less` that say how it shows text.
const LESS: &str = "FIJMNQRSXeimns";

/// Functions that a query may call and still does no more than look. What any other does is not known here.
const LOOKING: [&str; 22] = [
    "abs",
    "avg",
    "cast",
    "coalesce",
    "count",
    "date_trunc",
    "exists",
    "extract",
    "greatest",
    "in",
    "least",
    "length",
    "lower",
    "max",
    "min",
    "now",
    "round",
    "sum",
    "trim",
    "upper",
    "values",
    "version",
];

/// Words with which a query does more than look, or looks at more than rows.
const BEYOND: [&str; 12] = [
    "analyze",
    "delete",
    "do",
    "execute",
    "for",
    "insert",
    "into",
    "merge",
    "update",
    "xmlparse",
    "xmltable",
    "json_table",
];

impl Evaluator<'_> {
    /// A form of such a program that shows something and does nothing else. False: it is not one.
    pub(crate) fn paged(&mut self, run: &Run, arguments: &[Field], state: &State, context: &Context) -> bool {
        let words: Option<Vec<String>> = arguments.iter().map(Field::exact).collect();
        let Some(words) = words else { return false };
        let editor = matches!(run.program.as_str(), "vi" | "vim" | "nvim" | "ex");
        // One that leaves at once needs no promise of a pager's.
        if !editor && self.pages_freely(context) {
            return false;
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut run = run.clone();
        run.known = true;
        let shows = match run.program.as_str() {
            "vi" | "vim" | "nvim" | "ex" => leaves_at_once(&words),
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
                let shows = words
                    .iter()
                    .all(|word| option(word) || !word.starts_with(['-', '+']) || *word == "+G");
                for file in arguments
                    .iter()
                    .filter(|field| shows && !field.starts_with("-") && !field.starts_with("+"))
                {
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

    /// A program shows what it has to say with a pager, or lets a person write with an editor: wherever that could be told
    /// to run something, it is a way to run anything.
    pub(crate) fn pages(&mut self, context: &Context) {
        if self.pages_freely(context) {
            self.opaque(Opaque::ShellEscape);
        }
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

/// An editor that is given no file and told to quit, before it reads a key.
fn leaves_at_once(words: &[&str]) -> bool {
    let mut quits = false;
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match *word {
            "-e" | "-s" | "-es" | "-E" | "-Es" | "-n" | "-N" | "-R" => {}
            "-u" | "-i" if rest.next() == Some(&"NONE") => {}
            "-c" if rest
                .next()
                .is_some_and(|text| matches!(*text, "q" | "q!" | "qa" | "qa!" | "quit")) =>
            {
                quits = true;
            }
            "+q" | "+q!" | "+qa" | "+qa!" => quits = true,
            _ => return false,
        }
    }
    quits
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

/// One query that only looks: it begins as one, and calls nothing but what is known to look.
fn is_plain_sql(text: &str) -> bool {
    let text = text.trim().trim_end_matches(';').to_ascii_lowercase();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !word(c)).filter(|word| !word.is_empty());
    let looks = matches!(words.clone().next(), Some("select" | "show" | "table"));
    // Comments, quoted names and other spellings of strings could hide where a call or a string ends.
    let plain = text
        .chars()
        .all(|c| c.is_ascii() && !matches!(c, ';' | '\\' | '"' | '$' | '\n'))
        && !text.contains("--")
        && !text.contains("/*");
    let calls = text.split('(').collect::<Vec<_>>();
    let known = |before: &&str| {
        let before = before.trim_end();
        let name = before.rsplit(|c| !word(c)).next().unwrap_or_default();
        let qualified = before
            .strip_suffix(name)
            .is_some_and(|rest| rest.trim_end().ends_with('.'));
        !qualified
            && (name.is_empty()
                || LOOKING.contains(&name)
                || matches!(name, "select" | "and" | "or" | "not" | "from" | "where" | "on" | "as"))
    };
    let called = calls.split_last().map_or(&[][..], |(_, before)| before);
    looks && plain && called.iter().all(known) && !words.into_iter().any(|word| BEYOND.contains(&word))
}
