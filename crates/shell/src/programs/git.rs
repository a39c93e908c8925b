//! `git`: what looks at or moves commits. Whatever runs hooks, filters or programs by an option is not followed.

use crate::eval::state::State;
use crate::eval::uses::Uses;
use crate::eval::{Context, Evaluator};
use crate::facts::{Opaque, Run};
use crate::paths::field::Field;

const LOOKS: [&str; 23] = [
    "status",
    "log",
    "diff",
    "show",
    "branch",
    "tag",
    "rev-parse",
    "remote",
    "ls-files",
    "ls-tree",
    "ls-remote",
    "describe",
    "shortlog",
    "rev-list",
    "reflog",
    "blame",
    "cat-file",
    "merge-base",
    "name-rev",
    "version",
    "help",
    "whatchanged",
    "grep",
];
const CHANGES: [&str; 18] = [
    "fetch",
    "pull",
    "push",
    "clone",
    "add",
    "commit",
    "checkout",
    "switch",
    "restore",
    "merge",
    "stash",
    "reset",
    "rm",
    "mv",
    "init",
    "clean",
    "cherry-pick",
    "revert",
];
/// Long options that neither run anything nor name a file.
const PLAIN: &str = " --oneline --graph --all --stat --shortstat --numstat --name-only --name-status --decorate \
    --abbrev-commit --no-pager --version --help --short --porcelain --long --branch --verbose --quiet --cached \
    --staged --color --no-color --word-diff --patch --no-patch --reverse --merges --no-merges --first-parent \
    --follow --abbrev --pretty --format --date --since --until --after --before --author --grep --max-count --skip \
    --tags --heads --contains --points-at --sort --list --show-current --show-toplevel --is-inside-work-tree \
    --git-dir --abbrev-ref --verify --symbolic-full-name --prune --depth --single-branch --no-tags --ff-only \
    --rebase --no-rebase --force-with-lease --set-upstream --delete --dry-run --hard --soft --mixed --keep \
    --detach --track --no-edit --amend --message --no-verify --update --intent-to-add --ignore-errors \
    --untracked-files --ignored --summary --unified --minimal --patience --histogram --ignore-all-space \
    --ignore-space-change --others --modified --deleted --exclude-standard --stage --full-name --always --dirty \
    --long --match --left-right --cherry-pick --count --remotes --merged --no-merged --bare --recurse-submodules \
    --ignore-case --line-number --files-with-matches --word-regexp --init --set-upstream-to --no-ff --squash --abort \
    --continue --skip --include-untracked --no-commit ";

impl Evaluator<'_> {
    /// `git`, and the ends that a client's `git` runs here.
    pub(crate) fn version_control(&mut self, run: &Run, arguments: &[Field], state: &State, context: &Context) -> bool {
        let mut run = run.clone();
        match run.program.as_str() {
            "git" => {}
            "git-upload-pack" | "git-upload-archive" | "git-receive-pack" => {
                run.known = true;
                let writes = run.program == "git-receive-pack";
                self.any_path(
                    &mut run,
                    arguments,
                    Uses::only(true, writes, false).recursively(),
                    state,
                );
                self.list(run);
                return true;
            }
            _ => return false,
        }
        run.known = true;
        self.pages(context);
        let mut rest = arguments;
        while let Some((first, after)) = rest.split_first() {
            match first.exact().as_deref() {
                Some("--no-pager" | "--no-optional-locks" | "--version" | "--help" | "-P") => rest = after,
                Some(text) if text.starts_with('-') => {
                    // `-C`, `-c`, `--git-dir`, `--exec-path` …: another place, or other settings, which name programs.
                    self.opaque(Opaque::UnknownOption);
                    self.unknown(run, arguments, state);
                    return true;
                }
                _ => break,
            }
        }
        let words: Vec<String> = rest.iter().map(|field| field.exact().unwrap_or_default()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if asks(&words) {
            self.list(run);
            return true;
        }
        let verb = rest.first().map(Field::exact);
        let changes = match verb {
            None => false,
            Some(Some(verb)) if LOOKS.contains(&verb.as_str()) => false,
            Some(Some(verb)) if CHANGES.contains(&verb.as_str()) => {
                run.network = matches!(verb.as_str(), "fetch" | "pull" | "push" | "clone");
                true
            }
            // An alias, or a verb that is not followed.
            _ => {
                self.opaque(Opaque::UnknownOption);
                self.unknown(run, arguments, state);
                return true;
            }
        };
        let rest = rest.get(1..).unwrap_or_default();
        if changes {
            let place = made(&words).map_or_else(|| Field::constant("."), |place| Field::constant(&place));
            self.path(&mut run, &place, Uses::only(false, true, true).recursively(), state);
        }
        if !rest.iter().all(is_plain) {
            self.opaque(Opaque::UnknownOption);
        }
        let rest: Vec<Field> = match words.first() {
            Some(&("commit" | "tag" | "merge" | "stash")) => without_messages(rest),
            _ => rest.to_vec(),
        };
        self.any_path(&mut run, &rest, Uses::only(true, changes, changes).recursively(), state);
        self.list(run);
        true
    }
}

/// Subcommands of verbs that can do more, which only ask; settings of a person's name.
fn asks(words: &[&str]) -> bool {
    let plain = |word: &&str| !word.is_empty() && !word.starts_with('-');
    match words {
        [
            "config",
            "--list" | "-l" | "--get-regexp" | "--get" | "--get-all",
            rest @ ..,
        ] => rest.iter().all(plain),
        ["config", "user.name" | "user.email", value] => plain(value),
        ["worktree" | "stash", "list"] | ["submodule", "status"] => true,
        _ => false,
    }
}

/// Where a repository is made: named, or as its address ends. Only for a plain form of the command.
fn made(words: &[&str]) -> Option<String> {
    let (verb, rest) = words.split_first()?;
    let mut operands = Vec::new();
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match *word {
            "-q" | "--quiet" | "--single-branch" | "--no-tags" | "--bare" => {}
            "-b" | "--branch" | "--depth" => drop(rest.next()),
            word if word.starts_with("--depth=") || word.starts_with("--branch=") => {}
            word if word.is_empty() || word.starts_with('-') => return None,
            word => operands.push(word),
        }
    }
    match (*verb, operands.as_slice()) {
        ("init", [place]) | ("clone", [_, place]) => Some((*place).to_owned()),
        ("clone", [address]) => {
            let name = address.trim_end_matches('/').rsplit(['/', ':']).next()?;
            let name = name.strip_suffix(".git").unwrap_or(name);
            let plain = name.starts_with(|c: char| c.is_ascii_alphanumeric());
            // A bare one keeps its ending.
            (plain && !words.contains(&"--bare")).then(|| name.to_owned())
        }
        _ => None,
    }
}

/// The arguments without what stands behind `-m`: that is text.
fn without_messages(arguments: &[Field]) -> Vec<Field> {
    let mut message = false;
    let text = |field: &Field| {
        let word = field.exact().unwrap_or_default();
        word == "--message"
            || word
                .strip_prefix('-')
                .and_then(|rest| rest.strip_suffix('m'))
                // None of these takes the rest for its value.
                .is_some_and(|letters| letters.chars().all(|c| "aqsvnp".contains(c)))
    };
    let mut kept = Vec::new();
    for argument in arguments {
        if !std::mem::take(&mut message) {
            message = text(argument);
            kept.push(argument.clone());
        }
    }
    kept
}

/// An operand, or an option that is known to be harmless.
fn is_plain(field: &Field) -> bool {
    let Some(text) = field.exact() else {
        return !field.may_be_option() && !field.contains(':');
    };
    if text.contains("::") {
        return false;
    }
    if text == "--" || text == "-" || !text.starts_with('-') {
        return true;
    }
    if text.starts_with("--") {
        let name = text.split('=').next().unwrap_or_default();
        return PLAIN.contains(&format!(" {name} "));
    }
    text.chars()
        .skip(1)
        .all(|c| c.is_ascii_digit() || "abdDfhilmnpqrstvwxzAMSyL:,".contains(c))
        && !text.contains(['/', '='])
}
