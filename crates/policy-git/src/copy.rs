//! The gateway's copy of the branch: fetched, compared, and read without a checkout.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sallyport_policy::{Bounds, Problem, is_part, is_within};
use time::OffsetDateTime;
use tokio::sync::OnceCell;

use crate::program::{Program, ProgramError, Said};
use crate::settings::{Settings, Signed, Signers};
use crate::trouble::{Kind, Trouble};

/// How long git may take over what is here already.
const LOCALLY: Duration = Duration::from_secs(60);
/// How long the host may take to say where the branch is.
const ASKING: Duration = Duration::from_secs(15);
/// The longest list of a commit's files, in bytes: some fifty thousand files.
const MAX_LIST_BYTES: u64 = 8 << 20;
/// The most new commits whose signatures are looked at.
const MAX_COMMITS: usize = 1000;
/// Where the branch's newest commit is kept.
const TIP: &str = "refs/sallyport/tip";
/// The oldest git that does all that is asked of it: it knows SSH signatures and what to ignore of a machine's configuration.
const OLDEST: (u32, u32) = (2, 35);

/// A commit's name: hexadecimal digits and nothing else, so that it is no option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit(String);

impl Commit {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let good = matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
        good.then(|| Self(text.to_ascii_lowercase()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The copy of one branch. It is a cache of one run: what is good is kept elsewhere.
#[derive(Debug)]
pub(crate) struct Copy {
    git: Program,
    repository: PathBuf,
    settings: Arc<Settings>,
    prepared: OnceCell<()>,
}

impl Copy {
    /// A copy in `folder`, which is empty, and stays so until something is fetched.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn at(folder: &Path, settings: &Arc<Settings>) -> Result<Self, Trouble> {
        let git = Program::new(folder, settings).map_err(|error| {
            let folder = folder.display();
            Trouble::new(Kind::Program, format!("cannot write to `{folder}`: {error}"))
        })?;
        Ok(Self {
            git,
            repository: folder.join("repository.git"),
            settings: Arc::clone(settings),
            prepared: OnceCell::new(),
        })
    }

    /// Looks once whether git is there and new enough, and takes up the signers, until that went well.
    pub(crate) async fn prepare(&self) -> Result<(), Trouble> {
        let once = async {
            self.version().await?;
            self.learn_signers().await
        };
        self.prepared.get_or_try_init(|| once).await.copied()
    }

    /// The version of git, if it is new enough.
    pub(crate) async fn version(&self) -> Result<String, Trouble> {
        let said = self.locally(&["version"], Vec::new(), 1024).await?;
        let text = String::from_utf8_lossy(&said.output).trim().to_owned();
        let numbers = text.trim_start_matches("git version ");
        let mut parts = numbers.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if said.is_good() && version >= OLDEST {
            return Ok(numbers.to_owned());
        }
        let (major, minor) = OLDEST;
        let message = format!("`{text}` is too old: install git {major}.{minor} or newer");
        Err(Trouble::new(Kind::Program, message))
    }

    /// Takes the keys up by which signatures are judged.
    async fn learn_signers(&self) -> Result<(), Trouble> {
        let file = match &self.settings.signers {
            None => return Ok(()),
            Some(Signers::Ssh(file) | Signers::OpenPgp(file)) => file,
        };
        std::fs::metadata(file).map_err(|error| {
            let message = format!("cannot read the signers `{}`: {error}", file.display());
            Trouble::new(Kind::Program, message)
        })?;
        if let Some(Signers::OpenPgp(file)) = &self.settings.signers {
            let said = self.git.import(file, LOCALLY).await.map_err(|error| program(&error))?;
            if !said.is_good() {
                let message = format!("gpg cannot read the keys in `{}`: {}", file.display(), said.complaint());
                return Err(Trouble::new(Kind::Program, message));
            }
        }
        Ok(())
    }

    /// Asks the host where the branch is.
    pub(crate) async fn ask(&self) -> Result<Commit, Trouble> {
        let reference = self.reference();
        let url = self.settings.repository.url();
        let arguments = ["ls-remote", "--refs", "--", url, &reference];
        let said = self.git.run_remote(&arguments, 64 * 1024, ASKING).await;
        let said = said.map_err(|error| remote(&error))?;
        if !said.is_good() {
            let message = format!("the git host does not answer as it should: {}", said.complaint());
            return Err(Trouble::new(Kind::Unreachable, message));
        }
        let text = String::from_utf8_lossy(&said.output);
        let mut lines = text.lines().filter_map(|line| line.split_once('\t'));
        let found = lines.find(|(_, name)| *name == reference);
        found.and_then(|(id, _)| Commit::parse(id)).ok_or_else(|| {
            let message = format!(
                "`{}` has no branch `{}`: correct `branch`, or push it",
                self.settings.repository, self.settings.branch
            );
            Trouble::new(Kind::Branch, message)
        })
    }

    /// Fetches the branch; gives its newest commit. A copy that is damaged is made anew.
    pub(crate) async fn fetch(&self) -> Result<Commit, Trouble> {
        if self.repository.exists() {
            match self.fetch_once().await {
                Ok(tip) => return Ok(tip),
                Err(trouble) => tracing::info!(%trouble, "the copy of the policy's repository is made anew"),
            }
            let removed = std::fs::remove_dir_all(&self.repository);
            removed.map_err(|error| Trouble::new(Kind::Fetch, format!("the old copy cannot be removed: {error}")))?;
        }
        let folder = self.repository.display().to_string();
        let arguments = ["init", "--quiet", "--bare", "--template=", "--", &folder];
        let said = self.locally(&arguments, Vec::new(), 1024).await?;
        if !said.is_good() {
            return Err(Trouble::new(
                Kind::Fetch,
                format!("no copy can be made: {}", said.complaint()),
            ));
        }
        let fetched = self.fetch_once().await;
        if fetched.is_err() {
            self.discard();
        }
        fetched
    }

    /// Removes what was fetched, which would only take room: whoever can push could fill the disk with it.
    pub(crate) fn discard(&self) {
        if let Err(error) = std::fs::remove_dir_all(&self.repository)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the copy of the policy's repository cannot be removed");
        }
    }

    async fn fetch_once(&self) -> Result<Commit, Trouble> {
        let refspec = format!("+{}:{TIP}", self.reference());
        let git_dir = self.git_dir();
        let arguments = [
            &git_dir,
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--",
            self.settings.repository.url(),
            &refspec,
        ];
        let said = self.git.run_remote(&arguments, 64 * 1024, self.settings.timeout).await;
        let said = said.map_err(|error| Trouble::new(Kind::Fetch, error.to_string()))?;
        if !said.is_good() {
            let message = format!("the branch cannot be fetched: {}", said.complaint());
            return Err(Trouble::new(Kind::Fetch, message));
        }
        let tip = format!("{TIP}^{{commit}}");
        let said = self
            .locally(&[&git_dir, "rev-parse", "--verify", &tip], Vec::new(), 1024)
            .await?;
        let commit = Commit::parse(String::from_utf8_lossy(&said.output).trim());
        commit.ok_or_else(|| Trouble::new(Kind::Fetch, format!("the branch has no commit: {}", said.complaint())))
    }

    /// Whether `new` comes after `old`. Without anything of `old` here, it does not.
    pub(crate) async fn descends(&self, old: &Commit, new: &Commit) -> Result<bool, Trouble> {
        let git_dir = self.git_dir();
        let arguments = [&git_dir, "merge-base", "--is-ancestor", old.as_str(), new.as_str()];
        let said = self.locally(&arguments, Vec::new(), 1024).await?;
        Ok(said.is_good())
    }

    /// When a commit was made, as it says itself.
    pub(crate) async fn time_of(&self, commit: &Commit) -> Result<OffsetDateTime, Trouble> {
        let git_dir = self.git_dir();
        let arguments = [
            &git_dir,
            "show",
            "--no-patch",
            "--no-show-signature",
            "--format=%ct",
            commit.as_str(),
        ];
        let said = self.locally(&arguments, Vec::new(), 1024).await?;
        let text = String::from_utf8_lossy(&said.output);
        let time = text.trim().parse().ok();
        let time = time.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        time.ok_or_else(|| {
            Trouble::new(Kind::Content, "the commit has no time that makes sense").about(commit.as_str())
        })
    }

    /// Looks at the signature of `new`, and of every commit that came since `old`.
    pub(crate) async fn verify(&self, old: Option<&Commit>, new: &Commit) -> Result<(), Trouble> {
        if self.settings.signers.is_none() {
            return Ok(());
        }
        let mut commits = vec![new.clone()];
        if let Some(old) = old {
            let since = self.since(old, new).await?;
            commits.extend(since.into_iter().filter(|commit| commit != new));
        }
        for commit in &commits {
            let git_dir = self.git_dir();
            let arguments = [&git_dir, "verify-commit", "--raw", commit.as_str()];
            let said = self.locally(&arguments, Vec::new(), 64 * 1024).await?;
            if !said.is_good() {
                let what = said.complaint();
                let message = format!("it is not signed by any of the signers: {what}");
                return Err(Trouble::new(Kind::Signature, message).about(commit.as_str()));
            }
        }
        Ok(())
    }

    /// The commits that `new` has and `old` has not.
    async fn since(&self, old: &Commit, new: &Commit) -> Result<Vec<Commit>, Trouble> {
        let git_dir = self.git_dir();
        let (most, not_old) = (format!("--max-count={}", MAX_COMMITS + 1), format!("^{}", old.as_str()));
        let mut arguments = vec![git_dir.as_str(), "rev-list", &most];
        if self.settings.signed == Signed::FirstParent {
            arguments.push("--first-parent");
        }
        arguments.extend([new.as_str(), &not_old]);
        let said = self.locally(&arguments, Vec::new(), 1 << 20).await?;
        let text = String::from_utf8_lossy(&said.output);
        let commits: Vec<Commit> = text.lines().filter_map(Commit::parse).collect();
        if !said.is_good() || commits.len() > MAX_COMMITS {
            let message = format!(
                "it has more than {MAX_COMMITS} commits that are new, or they cannot be listed: look at them, and name \
                 the commit as good by removing `followed.json` (see the book)"
            );
            return Err(Trouble::new(Kind::Signature, message).about(new.as_str()));
        }
        Ok(commits)
    }

    /// The bundle's files in a commit.
    pub(crate) async fn files(&self, commit: &Commit) -> Result<BTreeMap<String, String>, Trouble> {
        let refused = |trouble: Trouble| trouble.about(commit.as_str());
        let list = self.list(commit).await.map_err(refused)?;
        let parts = parts(&list).map_err(|problems| {
            let trouble = Trouble::new(Kind::Content, "it has what no bundle has");
            refused(trouble.with_problems(problems))
        })?;
        self.contents(&parts).await.map_err(refused)
    }

    async fn list(&self, commit: &Commit) -> Result<Vec<u8>, Trouble> {
        let git_dir = self.git_dir();
        let tree = format!(
            "{}:{}",
            commit.as_str(),
            self.settings.path.as_deref().unwrap_or_default()
        );
        let arguments = [&git_dir, "ls-tree", "-r", "-z", "-l", "--full-tree", &tree];
        let said = self.git.run(&arguments, Vec::new(), MAX_LIST_BYTES, LOCALLY).await;
        let said = said.map_err(|error| Trouble::new(Kind::Content, format!("its files cannot be listed: {error}")))?;
        if said.is_good() {
            return Ok(said.output);
        }
        let folder = self.settings.path.as_deref().unwrap_or(".");
        let message = format!("it has no folder `{folder}`: {}", said.complaint());
        Err(Trouble::new(Kind::Content, message))
    }

    async fn contents(&self, parts: &[Part<'_>]) -> Result<BTreeMap<String, String>, Trouble> {
        let git_dir = self.git_dir();
        let ask: String = parts.iter().map(|part| format!("{}\n", part.object)).collect();
        // Each object has a line before it.
        let most = Bounds::BUNDLE.total_bytes + 256 * parts.len() as u64;
        let asked = self
            .git
            .run(&[&git_dir, "cat-file", "--batch"], ask.into_bytes(), most, LOCALLY)
            .await;
        let said = asked.map_err(|error| Trouble::new(Kind::Content, format!("its files cannot be read: {error}")))?;
        let mut rest = said.output.as_slice();
        let mut files = BTreeMap::new();
        for part in parts {
            let bytes = next(&mut rest, part).ok_or_else(|| {
                let message = format!("`{}` cannot be read: {}", part.path, said.complaint());
                Trouble::new(Kind::Content, message)
            })?;
            let text = String::from_utf8(bytes.to_vec()).map_err(|_| {
                let problem = Problem::in_file(part.path, "is not UTF-8");
                Trouble::new(Kind::Content, "a file is no text").with_problems(vec![problem])
            })?;
            files.insert(part.path.to_owned(), text);
        }
        Ok(files)
    }

    fn reference(&self) -> String {
        format!("refs/heads/{}", self.settings.branch)
    }

    fn git_dir(&self) -> String {
        format!("--git-dir={}", self.repository.display())
    }

    async fn locally(&self, arguments: &[&str], input: Vec<u8>, most: u64) -> Result<Said, Trouble> {
        self.git
            .run(arguments, input, most, LOCALLY)
            .await
            .map_err(|error| program(&error))
    }
}

/// One file of a commit that belongs to the bundle.
#[derive(Debug, PartialEq, Eq)]
struct Part<'l> {
    path: &'l str,
    object: &'l str,
    bytes: u64,
}

/// The bundle's files in the answer of `git ls-tree -r -z -l`. Whatever lies where a bundle is and is no plain file is a problem.
fn parts(list: &[u8]) -> Result<Vec<Part<'_>>, Vec<Problem>> {
    let (mut parts, mut problems) = (Vec::new(), Vec::new());
    for line in list.split(|b| *b == 0).filter(|line| !line.is_empty()) {
        let Ok(line) = std::str::from_utf8(line) else {
            // Of others' files, nothing is asked.
            let shown = String::from_utf8_lossy(line).into_owned();
            let path = shown.split_once('\t').map_or("", |(_, path)| path);
            if is_within(path) {
                problems.push(Problem::in_file(path, "its name is not UTF-8"));
            }
            continue;
        };
        let Some((head, path)) = line.split_once('\t') else {
            problems.push(Problem::in_file(".", "the commit's files cannot be listed"));
            continue;
        };
        if !is_within(path) {
            continue;
        }
        let mut words = head.split_ascii_whitespace();
        let (mode, kind, object, size) = (words.next(), words.next(), words.next(), words.next());
        let size = size.and_then(|size| size.parse::<u64>().ok());
        match (mode, kind, object, size) {
            (Some("100644" | "100755" | "100664"), Some("blob"), Some(object), Some(bytes)) => {
                if is_part(path) {
                    parts.push(Part { path, object, bytes });
                }
            }
            (Some("120000"), ..) => problems.push(Problem::in_file(path, "is a symbolic link")),
            (Some("160000"), ..) => problems.push(Problem::in_file(path, "is a submodule")),
            _ => problems.push(Problem::in_file(path, "is no plain file")),
        }
    }
    bounded(&parts, &mut problems);
    if problems.is_empty() { Ok(parts) } else { Err(problems) }
}

fn bounded(parts: &[Part<'_>], problems: &mut Vec<Problem>) {
    let bounds = Bounds::BUNDLE;
    for part in parts.iter().filter(|part| part.bytes > bounds.file_bytes) {
        let message = format!("is larger than {} bytes", bounds.file_bytes);
        problems.push(Problem::in_file(part.path, message));
    }
    if parts.len() > bounds.files {
        let message = format!("a bundle has at most {} files", bounds.files);
        problems.push(Problem::in_file(".", message));
    }
    let total = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.bytes));
    if total > bounds.total_bytes {
        let message = format!("a bundle has at most {} bytes", bounds.total_bytes);
        problems.push(Problem::in_file(".", message));
    }
    problems.truncate(100);
}

/// Takes the next object from an answer of `git cat-file --batch`: a line, the content, a line end.
fn next<'o>(rest: &mut &'o [u8], part: &Part<'_>) -> Option<&'o [u8]> {
    let end = rest.iter().position(|b| *b == b'\n')?;
    let head = std::str::from_utf8(rest.get(..end)?).ok()?;
    let length = usize::try_from(part.bytes).ok()?;
    if head != format!("{} blob {length}", part.object) {
        return None;
    }
    let start = end + 1;
    let content = rest.get(start..start.checked_add(length)?)?;
    *rest = rest.get(start + length + 1..)?;
    Some(content)
}

fn program(error: &ProgramError) -> Trouble {
    let missing = matches!(error, ProgramError::Start(error) if error.kind() == std::io::ErrorKind::NotFound);
    let hint = match missing {
        true => " (install git, and what signatures need: ssh-keygen or gpg)",
        false => "",
    };
    Trouble::new(Kind::Program, format!("{error}{hint}"))
}

fn remote(error: &ProgramError) -> Trouble {
    Trouble::new(Kind::Unreachable, format!("the git host cannot be asked: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn line(mode: &str, kind: &str, size: &str, path: &str) -> String {
        format!("{mode} {kind} {} {size:>7}\t{path}\0", "a".repeat(40))
    }

    fn outcome(lines: &[String]) -> Result<Vec<String>, Vec<String>> {
        match parts(lines.concat().as_bytes()) {
            Ok(parts) => Ok(parts.iter().map(|part| part.path.to_owned()).collect()),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn only_plain_files_of_a_bundle_are_taken() {
        let others = [
            line("100644", "blob", "5", "README.md"),
            line("120000", "blob", "5", "docs/link"),
            line("160000", "commit", "-", "vendor/x"),
            line("100644", "blob", "5", "rules/notes.md"),
        ];
        let good = [
            line("100644", "blob", "5", "rules/a.cedar"),
            line("100755", "blob", "5", "targets.toml"),
        ];
        let all = [&others[..], &good[..]].concat();
        assert_eq!(outcome(&all).unwrap(), ["rules/a.cedar", "targets.toml"]);
        for bad in [
            line("120000", "blob", "5", "rules/a.cedar"),
            line("120000", "blob", "5", "rules"),
            line("120000", "blob", "5", "rules/notes.md"),
            line("160000", "commit", "-", "tests"),
            line("100600", "blob", "5", "classify.toml"),
            line("100644", "blob", "4194305", "rules/a.cedar"),
        ] {
            assert!(outcome(std::slice::from_ref(&bad)).is_err(), "{bad}");
        }
        let many: Vec<_> = (0..17)
            .map(|n| line("100644", "blob", "4194304", &format!("rules/{n}.cedar")))
            .collect();
        assert!(outcome(&many).is_err(), "together too large");
    }

    #[test]
    fn commits_are_digits_and_nothing_else() {
        assert!(Commit::parse(&"A".repeat(40)).is_some_and(|commit| commit.as_str() == "a".repeat(40)));
        for text in [
            "",
            "--help",
            &"a".repeat(39),
            &"g".repeat(40),
            &format!("-{}", "a".repeat(39)),
        ] {
            assert!(Commit::parse(text).is_none(), "{text}");
        }
    }
}
