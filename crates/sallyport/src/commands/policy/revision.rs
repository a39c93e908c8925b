//! A bundle that a command names: a directory, or a revision of the repository that a bundle is in.
//!
//! Files of a revision are read as git keeps them, and nothing is checked out: filters are programs, and what is in a
//! change whose author is not trusted yet must not choose which of them run.

use std::collections::BTreeMap;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use sallyport_policy::{Bounds, Bundle, LoadError, Loader, Problem, is_part, is_within};

use super::report::line;

/// Loads what `name` says: a directory, or else a revision (`main~3`) of the bundle in `dir`, or `main~3:folder`.
///
/// # Errors
/// When there is neither, or the bundle is not valid.
pub(super) fn load(loader: &Loader, name: &str, dir: &Path) -> anyhow::Result<Bundle> {
    let path = Path::new(name);
    if path.is_dir() {
        return loader.load(path).map_err(anyhow::Error::from);
    }
    let revision = Revision::find(name, dir).with_context(|| {
        format!(
            "`{name}` is neither a directory nor a revision of the bundle in `{}`",
            dir.display()
        )
    })?;
    let invalid = |problems| LoadError {
        dir: PathBuf::from(name),
        problems,
    };
    let parts = parts(&revision.list).map_err(invalid)?;
    let files = revision.read(&parts)?.map_err(invalid)?;
    let bundle = loader.load_files(dir, files, Some(revision.commit));
    bundle.map_err(|problems| invalid(problems).into())
}

/// A folder of a commit.
struct Revision {
    /// Where the repository is.
    top: PathBuf,
    commit: String,
    /// What is in the folder, as `git ls-tree -r -z -l` says it.
    list: Vec<u8>,
}

impl Revision {
    fn find(name: &str, dir: &Path) -> anyhow::Result<Self> {
        let here = if dir.is_dir() { dir } else { Path::new(".") };
        let (revision, folder) = match name.split_once(':') {
            Some((revision, folder)) => (revision, folder.to_owned()),
            None => {
                let prefix = said(here, &["rev-parse", "--show-prefix"])?;
                // A bundle that is not there any more may have been there then.
                let gone = if here == dir {
                    String::new()
                } else {
                    dir.display().to_string()
                };
                (name, prefix + &gone)
            }
        };
        let commit = format!("{revision}^{{commit}}");
        let words = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
        let commit = said(here, &words).context("git does not know the revision")?;
        let top = PathBuf::from(said(here, &["rev-parse", "--show-toplevel"])?);
        let tree = format!("{commit}:{}", folder.trim_end_matches('/'));
        let list = git(&top, &["ls-tree", "-r", "-z", "-l", "--full-tree", &tree], None)?;
        Ok(Self { top, commit, list })
    }

    /// The texts of files.
    fn read(&self, parts: &[Part<'_>]) -> anyhow::Result<Result<BTreeMap<String, String>, Vec<Problem>>> {
        let mut wanted = tempfile::tempfile()?;
        for part in parts {
            writeln!(wanted, "{}", part.object)?;
        }
        wanted.rewind()?;
        let answer = git(&self.top, &["cat-file", "--batch"], Some(wanted.into()))?;
        let (mut rest, mut files, mut problems) = (answer.as_slice(), BTreeMap::new(), Vec::new());
        for part in parts {
            let (content, behind) = blob(rest, part).context("git does not have a file of the revision")?;
            rest = behind;
            match std::str::from_utf8(content) {
                Ok(text) => {
                    files.insert(part.path.to_owned(), text.to_owned());
                }
                Err(_) => problems.push(Problem::in_file(part.path, "is not UTF-8")),
            }
        }
        Ok(if problems.is_empty() { Ok(files) } else { Err(problems) })
    }
}

/// The next file in the answer of `git cat-file --batch`, and what is behind it.
fn blob<'a>(answer: &'a [u8], part: &Part<'_>) -> Option<(&'a [u8], &'a [u8])> {
    let end = answer.iter().position(|byte| *byte == b'\n')?;
    let (head, rest) = answer.split_at_checked(end)?;
    let expected = format!("{} blob {}", part.object, part.bytes);
    let (content, rest) = rest.get(1..)?.split_at_checked(usize::try_from(part.bytes).ok()?)?;
    (head == expected.as_bytes()).then_some((content, rest.strip_prefix(b"\n")?))
}

/// A file of the bundle.
#[derive(Debug)]
struct Part<'l> {
    path: &'l str,
    object: &'l str,
    bytes: u64,
}

/// The bundle's files in the answer of `git ls-tree -r -z -l`. As at a gateway that follows a repository, whatever lies
/// where a bundle is and is no plain file is a problem.
fn parts(list: &[u8]) -> Result<Vec<Part<'_>>, Vec<Problem>> {
    let (mut parts, mut problems) = (Vec::new(), Vec::new());
    for entry in list.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
        let Ok(entry) = std::str::from_utf8(entry) else {
            let shown = String::from_utf8_lossy(entry).into_owned();
            let path = shown.split_once('\t').map_or("", |(_, path)| path);
            // Of others' files, nothing is asked.
            if is_within(path) {
                problems.push(Problem::in_file(line(path), "its name is not UTF-8"));
            }
            continue;
        };
        let (head, path) = entry.split_once('\t').unwrap_or((entry, "."));
        if !is_within(path) {
            continue;
        }
        let words: Vec<&str> = head.split_ascii_whitespace().collect();
        match *words.as_slice() {
            ["100644" | "100755" | "100664", "blob", object, bytes] => {
                let bytes = bytes.parse().unwrap_or(u64::MAX);
                parts.extend(is_part(path).then_some(Part { path, object, bytes }));
            }
            ["120000", ..] => problems.push(Problem::in_file(line(path), "is a symbolic link")),
            ["160000", ..] => problems.push(Problem::in_file(line(path), "is a submodule")),
            _ => problems.push(Problem::in_file(line(path), "is no plain file")),
        }
    }
    let bounds = Bounds::BUNDLE;
    let large = parts.iter().filter(|part| part.bytes > bounds.file_bytes);
    let too_large = format!("is larger than {} bytes", bounds.file_bytes);
    problems.extend(large.map(|part| Problem::in_file(part.path, &too_large)));
    let total = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.bytes));
    if parts.len() > bounds.files || total > bounds.total_bytes {
        let (files, bytes) = (bounds.files, bounds.total_bytes);
        let message = format!("a bundle has at most {files} files and {bytes} bytes");
        problems.push(Problem::in_file(".", message));
    }
    if problems.is_empty() { Ok(parts) } else { Err(problems) }
}

/// What git says, without the end of the line.
fn said(dir: &Path, words: &[&str]) -> anyhow::Result<String> {
    let text = String::from_utf8(git(dir, words, None)?).context("git says something that is not UTF-8")?;
    Ok(text.trim_end_matches('\n').to_owned())
}

fn git(dir: &Path, words: &[&str], input: Option<Stdio>) -> anyhow::Result<Vec<u8>> {
    let mut command = Command::new("git");
    // Within a hook these say which repository and which index are meant, whatever the directory.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")) {
        command.env_remove(name);
    }
    command
        .args(["--no-replace-objects", "-C"])
        .arg(dir)
        .args(words)
        .stdin(input.unwrap_or_else(Stdio::null));
    let output = command.output().context("the program `git` cannot be run")?;
    if !output.status.success() {
        bail!("git: {}", line(String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    const RULE: &str = "@id(\"all\") permit (principal, action, resource);";

    fn run(dir: &Path, words: &[&str]) {
        let mut all = vec!["-c", "user.name=t", "-c", "user.email=t@example.org"];
        all.extend(words);
        git(dir, &all, None).unwrap();
    }

    /// A repository with a bundle in a folder, changed in a second commit, and once more without one.
    fn repository() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        let rules = dir.path().join("ops/policy/rules");
        fs::create_dir_all(&rules).unwrap();
        run(dir.path(), &["init", "-q", "-b", "main"]);
        for count in 1..=2 {
            let text = (0..count)
                .map(|n| RULE.replace("all", &format!("rule-{n}")))
                .collect::<String>();
            fs::write(rules.join("all.cedar"), text).unwrap();
            run(dir.path(), &["add", "."]);
            run(dir.path(), &["commit", "-q", "-m", "rules"]);
        }
        fs::write(rules.join("more.cedar"), RULE).unwrap();
        dir
    }

    fn count(name: &str, dir: &Path) -> usize {
        load(&Loader::new(&[]), name, dir).unwrap().rule_ids().count()
    }

    #[test]
    fn a_revision_is_what_was_committed_and_the_index_stays() {
        let repository = repository();
        let dir = repository.path().join("ops/policy");
        assert_eq!(count(dir.to_str().unwrap(), &dir), 3);
        assert_eq!(count("main", &dir), 2);
        assert_eq!(count("main~1", &dir), 1);
        assert_eq!(count("HEAD~1:ops/policy", repository.path()), 1);
        let status = said(repository.path(), &["status", "--porcelain"]).unwrap();
        assert_eq!(status, "?? ops/policy/rules/more.cedar");
    }

    #[test]
    fn what_is_neither_directory_nor_revision_is_said() {
        let repository = repository();
        let dir = repository.path().join("ops/policy");
        for name in ["no-such-branch", "--output=x", "main:nowhere"] {
            let error = format!("{:#}", load(&Loader::new(&[]), name, &dir).unwrap_err());
            assert!(error.contains("neither a directory nor a revision"), "{error}");
        }
    }

    #[test]
    fn a_link_in_a_revision_is_an_error_that_names_it_and_the_revision() {
        let repository = repository();
        let dir = repository.path().join("ops/policy");
        let outside = repository.path().join("outside.cedar");
        fs::write(&outside, RULE.replace("all", "outside")).unwrap();
        std::os::unix::fs::symlink(&outside, dir.join("rules/link.cedar")).unwrap();
        run(repository.path(), &["add", "ops"]);
        run(repository.path(), &["commit", "-q", "-m", "link"]);
        let error = format!("{:#}", load(&Loader::new(&[]), "main", &dir).unwrap_err());
        assert_eq!(
            error,
            "the policy in `main` is not valid; rules/link.cedar: is a symbolic link"
        );
        assert_eq!(count("main~1", &dir), 2);
    }

    #[test]
    fn nothing_in_a_revision_runs_or_changes_what_is_read() {
        let repository = repository();
        let (top, dir) = (repository.path(), repository.path().join("ops/policy"));
        let ran = top.join("ran");
        let filter = format!("touch '{}'; cat", ran.display());
        for (key, value) in [("filter.evil.smudge", filter.as_str()), ("core.autocrlf", "true")] {
            run(top, &["config", key, value]);
        }
        fs::write(top.join(".gitattributes"), "*.cedar filter=evil ident eol=crlf\n").unwrap();
        let text = format!("// $Id$\n{}\n", RULE.replace("all", "kept"));
        fs::write(dir.join("rules/all.cedar"), &text).unwrap();
        fs::write(dir.join("rules/notes.md"), [0xff]).unwrap();
        fs::remove_file(dir.join("rules/more.cedar")).unwrap();
        run(top, &["-c", "core.autocrlf=false", "add", "."]);
        run(top, &["commit", "-q", "-m", "filter"]);
        let _ = fs::remove_file(&ran);
        let bundle = load(&Loader::new(&[]), "main", &dir).unwrap();
        assert_eq!(bundle.file("rules/all.cedar"), Some(text.as_str()));
        assert_eq!(
            bundle.commit(),
            Some(said(top, &["rev-parse", "main"]).unwrap().as_str())
        );
        assert!(!ran.exists(), "a filter ran");
    }

    #[test]
    fn what_is_no_plain_file_or_too_large_is_refused_where_a_bundle_is() {
        let entry = |mode: &str, kind: &str, bytes: &str, path: &str| format!("{mode} {kind} abc {bytes}\t{path}\0");
        let fine = [
            entry("100644", "blob", "5", "rules/a.cedar"),
            entry("100755", "blob", "5", "targets.toml"),
            entry("100644", "blob", "5", "rules/notes.md"),
            entry("120000", "blob", "5", "docs/link"),
            entry("160000", "commit", "-", "vendor/x"),
        ];
        let list = fine.concat();
        let found: Vec<&str> = parts(list.as_bytes()).unwrap().iter().map(|part| part.path).collect();
        assert_eq!(found, ["rules/a.cedar", "targets.toml"]);
        for wrong in [
            entry("120000", "blob", "5", "rules/a.cedar"),
            entry("120000", "blob", "5", "rules"),
            entry("160000", "commit", "-", "tests"),
            entry("100644", "blob", "4194305", "rules/a.cedar"),
            entry("100644", "blob", "?", "rules/a.cedar"),
        ] {
            assert!(parts(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(parts(b"100644 blob abc 5\trules/\xff.cedar\0").is_err());
    }
}
