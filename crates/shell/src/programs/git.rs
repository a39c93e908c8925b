//! `git`: what looks at or moves commits. Whatever runs hooks, filters or programs by an option is not followed.

use crate::eval::state::State;
use crate::eval::uses::Uses;
use crate::eval::{Context, Evaluator};
use crate::facts::{Opaque, Run};
use crate::paths::field::Field;

const LOOKS: [&str; 22] = [
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
];
const CHANGES: [&str; 16] = [
    "fetch", "pull", "push", "clone", "add", "commit", "checkout", "switch", "restore", "merge", "stash", "reset",
    "rm", "mv", "init", "clean",
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
    --long --match --left-right --cherry-pick --count --remotes --merged --no-merged --bare --recurse-submodules ";

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
            self.path(
                &mut run,
                &Field::constant("."),
                Uses::only(false, true, true).recursively(),
                state,
            );
        }
        if !rest.iter().all(is_plain) {
            self.opaque(Opaque::UnknownOption);
        }
        self.any_path(&mut run, rest, Uses::only(true, changes, changes).recursively(), state);
        self.list(run);
        true
    }
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
        .all(|c| c.is_ascii_digit() || "abdDfhilmnpqrstvwzMSyL:,".contains(c))
        && !text.contains(['/', '='])
}
