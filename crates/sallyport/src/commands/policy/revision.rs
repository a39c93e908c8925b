//! A bundle that a command names: a directory, or a revision of the repository that a bundle is in.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use sallyport_policy::{Bundle, Loader};
use tempfile::TempDir;

/// Loads what `name` says: a directory, or else a revision (`main~3`) of the bundle in `dir`, or `main~3:folder`.
///
/// # Errors
/// When there is neither, or the bundle is not valid.
pub(super) fn load(loader: &Loader, name: &str, dir: &Path) -> anyhow::Result<Bundle> {
    let path = Path::new(name);
    if path.is_dir() {
        return loader.load(path).map_err(anyhow::Error::from);
    }
    let files = files_of(name, dir).with_context(|| {
        format!(
            "`{name}` is neither a directory nor a revision of the bundle in `{}`",
            dir.display()
        )
    })?;
    // What is read stays in memory, so the files are not needed afterwards.
    let bundle = loader.load(files.path());
    bundle
        .map_err(anyhow::Error::from)
        .with_context(|| format!("the bundle of `{name}`"))
}

/// The files of a revision, in a directory that goes away with the answer.
fn files_of(name: &str, dir: &Path) -> anyhow::Result<TempDir> {
    let here = if dir.is_dir() { dir } else { Path::new(".") };
    let (revision, folder) = match name.split_once(':') {
        Some((revision, folder)) => (revision, folder.to_owned()),
        None => {
            let prefix = said(here, &["rev-parse".as_ref(), "--show-prefix".as_ref()])?;
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
    let commit = said(here, &words.map(OsStr::new)).context("git does not know the revision")?;
    let top = PathBuf::from(said(here, &["rev-parse".as_ref(), "--show-toplevel".as_ref()])?);
    let tree = format!("{commit}:{}", folder.trim_end_matches('/'));
    let temporary = tempfile::tempdir()?;
    let index = temporary.path().join("index");
    let files = temporary.path().join("files");
    git(&top, Some(&index), &["read-tree".as_ref(), tree.as_ref()])?;
    // A link in the repository must not lead to what is outside it.
    let mut prefix = std::ffi::OsString::from("--prefix=");
    prefix.push(&files);
    prefix.push("/");
    let words = [
        "-c".as_ref(),
        "core.symlinks=false".as_ref(),
        "checkout-index".as_ref(),
        "--all".as_ref(),
        prefix.as_os_str(),
    ];
    git(&top, Some(&index), &words)?;
    std::fs::remove_file(&index)?;
    // The files themselves are the directory that is given, so that errors name them by their paths in the bundle.
    let bundle = tempfile::tempdir()?;
    std::fs::rename(&files, bundle.path()).context("the revision has no files there")?;
    Ok(bundle)
}

/// What git says, without the end of the line.
fn said(dir: &Path, words: &[&OsStr]) -> anyhow::Result<String> {
    Ok(git(dir, None, words)?.trim_end_matches('\n').to_owned())
}

fn git(dir: &Path, index: Option<&Path>, words: &[&OsStr]) -> anyhow::Result<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(words);
    if let Some(index) = index {
        command.env("GIT_INDEX_FILE", index);
    }
    let output = command.output().context("the program `git` cannot be run")?;
    if !output.status.success() {
        bail!("git: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("git says something that is not UTF-8")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::fs;

    const RULE: &str = "@id(\"all\") permit (principal, action, resource);";

    fn run(dir: &Path, words: &[&str]) {
        let mut all: Vec<&OsStr> = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
            .map(OsStr::new)
            .to_vec();
        all.extend(words.iter().map(OsStr::new));
        git(dir, None, &all).unwrap();
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
        let status = git(repository.path(), None, &["status".as_ref(), "--porcelain".as_ref()]).unwrap();
        assert_eq!(status, "?? ops/policy/rules/more.cedar\n");
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
    fn a_link_in_a_revision_leads_nowhere() {
        let repository = repository();
        let dir = repository.path().join("ops/policy");
        let outside = repository.path().join("outside.cedar");
        fs::write(&outside, RULE.replace("all", "outside")).unwrap();
        std::os::unix::fs::symlink(&outside, dir.join("rules/link.cedar")).unwrap();
        run(repository.path(), &["add", "ops"]);
        run(repository.path(), &["commit", "-q", "-m", "link"]);
        let error = load(&Loader::new(&[]), "main", &dir).unwrap_err();
        assert!(format!("{error:#}").contains("link.cedar"), "{error:#}");
    }
}
