//! Files: scp both ways of its own, sftp, rsync, git.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sallyport_testbed::SshConfig;
use sallyport_tests::{SshBed, SshPlan, run};

use super::{exec, said};

/// A tree with what copies get wrong: empty and large files, directories in directories, odd names, modes, times, links.
fn lay(dir: &Path) -> Result<()> {
    let script = "set -e; mkdir -p tree/a/b/c tree/empty; cd tree
        : > nothing; echo words > a/words; head -c 3000000 /dev/urandom > a/b/large
        echo odd > \"a/b/c/with blanks, 'quotes' and ünïcödé\"; printf '\\000\\377' > a/binary
        chmod 600 a/words; chmod 755 a/binary; touch -d 2001-02-03T04:05:06Z a/words; ln -s a/words link";
    run(Command::new("sh").args(["-c", script]).current_dir(dir)).map(drop)
}

/// Names, kinds, modes and contents of everything below a directory, links followed.
fn listing(dir: &Path) -> Result<String> {
    let script = "find -L . -printf '%p %y %m\\n' | sort; find -L . -type f -exec sha256sum {} + | sort";
    run(Command::new("sh").args(["-c", script]).current_dir(dir))
}

fn same(one: &Path, other: &Path) -> Result<()> {
    let (wanted, got) = (listing(one)?, listing(other)?);
    ensure!(wanted == got, "{got}\ninstead of\n{wanted}");
    Ok(())
}

fn scp(config: &SshConfig, words: &[&str]) -> Result<()> {
    let output = config.program("scp").args(words).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{}", said(&output));
    Ok(())
}

fn there_and_back_by_scp(options: &[&str]) -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let through = bed.through("alice")?;
    lay(bed.dir())?;
    let (tree, back) = (bed.dir().join("tree"), bed.dir().join("back"));
    let (from, to) = (tree.display().to_string(), back.display().to_string());
    scp(&through, &[options, &["-q", "-r", "-p", &from, "web-1:copy"]].concat()).with_context(|| bed.logs())?;
    same(&tree, &bed.sshd.home("deploy").join("copy"))?;
    scp(&through, &[options, &["-q", "-r", "-p", "web-1:copy", &to]].concat()).with_context(|| bed.logs())?;
    same(&tree, &back)?;
    let missing = through
        .program("scp")
        .args(options)
        .args(["-q", "web-1:missing", &to])
        .output()?;
    ensure!(
        !missing.status.success() && said(&missing).contains("No such file"),
        "{}",
        said(&missing)
    );
    Ok(())
}

#[test]
fn scp_goes_there_and_back() -> Result<()> {
    there_and_back_by_scp(&[])
}

#[test]
fn the_old_scp_goes_there_and_back() -> Result<()> {
    there_and_back_by_scp(&["-O"])
}

/// Everything that sftp can ask for.
const BATCH: &str = "
mkdir work
cd work
pwd
put {tree}/a/words words
put {half} large
reput {tree}/a/b/large large
chmod 640 words
ls -1
symlink words link
ln words hard
rename hard harder
ls -1
get words {back}/words
get large {back}/large
get link {back}/link
-get missing {back}/missing
rm harder
rm link
copy words copied
ls -1
df
-rmdir missing
put -pR {tree} tree
ls -1 tree
bye
";

fn sftp(config: &SshConfig, dir: &Path) -> Result<String> {
    let back = dir.join("back");
    if back.exists() {
        std::fs::remove_dir_all(&back)?;
    }
    std::fs::create_dir(&back)?;
    let clean = exec(config, "rm -rf work")?;
    ensure!(clean.status.success(), "{}", said(&clean));
    let mut half = std::fs::read(dir.join("tree/a/b/large"))?;
    half.truncate(1_000_000);
    std::fs::write(dir.join("half"), half)?;
    let text = BATCH.replace("{tree}", &dir.join("tree").display().to_string());
    let text = text.replace("{half}", &dir.join("half").display().to_string());
    let batch = dir.join("batch");
    std::fs::write(&batch, text.replace("{back}", &back.display().to_string()))?;
    let output = config
        .program("sftp")
        .arg("-b")
        .arg(&batch)
        .arg(config.name())
        .output()?;
    ensure!(output.status.success(), "{}", said(&output));
    let listing = listing(&back)?;
    // How full the disk is changes from one moment to the next.
    let text = said(&output);
    let steady = text.lines().filter(|line| !line.trim_end().ends_with('%'));
    Ok(format!("{}\n{listing}done", steady.collect::<Vec<_>>().join("\n")))
}

#[test]
fn sftp_notices_nothing() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    lay(bed.dir())?;
    // sftp leaves links out.
    std::fs::remove_file(bed.dir().join("tree/link"))?;
    bed.notices_nothing(|config| sftp(config, bed.dir()), "done")?;
    let copied = bed.sshd.home("deploy").join("work/tree");
    same(&bed.dir().join("tree"), &copied)
}

#[test]
fn a_file_that_a_rule_protects_is_neither_fetched_nor_replaced_by_any_name() -> Result<()> {
    let classify = "[[paths]]\npath = \"/**/protected/**\"\nclass = \"secret\"\n";
    let rules = r#"
        @id("secret-files") forbid (principal, action in Ssh::Action::"files", resource)
        when { context.classes.contains(Classification::"secret") || context.to_classes.contains(Classification::"secret") }
        unless { [Ssh::Action::"file_stat", Ssh::Action::"file_list"].contains(action) };"#;
    let plan = SshPlan {
        classify: classify.to_owned(),
        ..SshPlan::with_rules(rules)
    };
    let bed = SshBed::start(&plan)?;
    let (direct, through) = (bed.direct()?, bed.through("alice")?);
    let made = exec(
        &direct,
        "mkdir protected && echo SECRET > protected/f && ln -s protected way && ln -s ../protected/f protected/l",
    )?;
    ensure!(made.status.success(), "{}", said(&made));
    let back = bed.dir().join("fetched");
    let own = bed.dir().join("own");
    std::fs::write(&own, "REPLACED")?;
    let (own, to) = (own.display(), back.display());
    for line in [
        format!("get protected/f {to}"),
        format!("get ./x/../protected/f {to}"),
        format!("get protected/../protected/f {to}"),
        format!("get way/f {to}"),
        format!("get way/l {to}"),
        format!("cd protected\nget f {to}"),
        format!("get -r protected {to}"),
        format!("ln protected/f here\nget here {to}"),
        format!("symlink protected/f link\nget link {to}"),
        format!("rename protected/f here\nget here {to}"),
        format!("rename protected other\nget other/f {to}"),
        format!("copy protected/f here\nget here {to}"),
        format!("put {own} protected/f"),
        format!("put {own} way/f"),
        format!("put {own} x\nrename x protected/f"),
        "rm protected/f".to_owned(),
        "rm way/f".to_owned(),
        "chmod 000 protected/f".to_owned(),
    ] {
        let batch = bed.dir().join("batch");
        std::fs::write(&batch, &line)?;
        let output = through.program("sftp").arg("-b").arg(&batch).arg("web-1").output()?;
        let fetched = if back.is_dir() { back.join("f") } else { back.clone() };
        let text = std::fs::read_to_string(&fetched).unwrap_or_default();
        ensure!(!text.contains("SECRET"), "`{line}` fetched it: {}", said(&output));
        let left = exec(&direct, "cat protected/f")?;
        ensure!(
            left.stdout == b"SECRET\n",
            "`{line}` changed it: {} {}",
            said(&output),
            said(&left)
        );
    }
    let output = through
        .program("scp")
        .args(["-q", "web-1:protected/f", &back.display().to_string()])
        .output()?;
    ensure!(!output.status.success(), "{}", said(&output));
    Ok(())
}

const FILES: usize = 10_000;

#[test]
fn rsync_carries_ten_thousand_files() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let through = bed.through("alice")?;
    let (tree, back) = (bed.dir().join("tree"), bed.dir().join("back"));
    for number in 0..FILES {
        let dir = tree.join(format!("{:02}", number % 100));
        std::fs::create_dir_all(&dir)?;
        std::fs::write(
            dir.join(number.to_string()),
            format!("file {number}\n").repeat(number % 50),
        )?;
    }
    let rsync = |from: &str, to: &str| {
        let mut rsync = Command::new("rsync");
        rsync.args(["-a", "--delete", "--stats", "-e", &through.command_line(), from, to]);
        run(&mut rsync).with_context(|| bed.logs())
    };
    let local = format!("{}/", tree.display());
    let said = rsync(&local, "web-1:copy/")?;
    ensure!(said.contains("Number of regular files transferred: 10,000"), "{said}");
    same(&tree, &bed.sshd.home("deploy").join("copy"))?;
    std::fs::write(tree.join("00/0"), "changed")?;
    std::fs::remove_file(tree.join("01/1"))?;
    let said = rsync(&local, "web-1:copy/")?;
    ensure!(
        said.contains("Number of regular files transferred: 1\n"),
        "only what changed: {said}"
    );
    let said = rsync("web-1:copy/", &format!("{}/", back.display()))?;
    ensure!(said.contains("Number of regular files transferred: 9,999"), "{said}");
    same(&tree, &back)
}

#[test]
fn git_clones_and_pushes() -> Result<()> {
    let bed = SshBed::start(&SshPlan::default())?;
    let (direct, through) = (bed.direct()?, bed.through("alice")?);
    let made = exec(&direct, "git init -q --bare -b main repo.git")?;
    ensure!(made.status.success(), "{}", said(&made));
    let git = |dir: &Path, words: &[&str]| {
        let mut git = Command::new("git");
        git.env("GIT_SSH_COMMAND", through.command_line())
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        git.args([
            "-c",
            "user.name=Alice",
            "-c",
            "user.email=alice@example.com",
            "-c",
            "init.defaultBranch=main",
        ]);
        run(git.args(words).current_dir(dir)).with_context(|| bed.logs())
    };
    let (first, second) = (bed.dir().join("first"), bed.dir().join("second"));
    git(bed.dir(), &["clone", "-q", "web-1:repo.git", "first"])?;
    lay(&first)?;
    git(&first, &["add", "-A"])?;
    git(&first, &["commit", "-q", "-m", "a tree"])?;
    git(&first, &["push", "-q", "origin", "HEAD:main"])?;
    git(bed.dir(), &["clone", "-q", "-b", "main", "web-1:repo.git", "second"])?;
    let names = |dir: &Path| git(dir, &["ls-tree", "-r", "HEAD"]);
    ensure!(names(&first)? == names(&second)?, "another tree came back");
    std::fs::write(second.join("more"), "more\n")?;
    git(&second, &["add", "-A"])?;
    git(&second, &["commit", "-q", "-m", "more"])?;
    git(&second, &["push", "-q"])?;
    git(&first, &["pull", "-q", "origin", "main"])?;
    ensure!(std::fs::read_to_string(first.join("more"))? == "more\n");
    Ok(())
}

/// Files up to a megabyte may go either way.
const SIZES: &str = "@id(\"small-files\") @message(\"files over a megabyte go another way\") \
     forbid (principal, action in [Ssh::Action::\"file_read\", Ssh::Action::\"file_write\", Ssh::Action::\"file_attributes\"], resource) \
     when { context has size && context.size > 1000000 };\n";

#[test]
fn files_are_refused_by_their_size_whichever_way_they_go() -> Result<()> {
    let bed = SshBed::start(&SshPlan::with_rules(SIZES))?;
    let through = bed.through("alice")?;
    let (here, home) = (bed.dir().join("here"), bed.sshd.home("deploy"));
    std::fs::create_dir(&here)?;
    for (name, size) in [("fits", 1_000_000), ("large", 1_000_001)] {
        for dir in [&here, &home] {
            std::fs::File::create(dir.join(name))?.set_len(size)?;
        }
    }
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
    for (options, exact) in [(&[][..], false), (&["-O"][..], true)] {
        for (name, fits) in [("fits", true), ("large", false)] {
            let (sent, fetched) = (format!("sent-{name}"), here.join(format!("fetched-{name}")));
            let mut up = through.program("scp");
            up.args(options)
                .arg(here.join(name))
                .arg(format!("{}:{sent}", through.name()));
            let output = up.output()?;
            ensure!(
                output.status.success() == fits,
                "up {name} {options:?}: {}",
                super::said(&output)
            );
            let arrived = size(&home.join(&sent));
            // By SFTP nobody says beforehand how large a file becomes.
            let most = if fits || !exact { 1_000_000 } else { 0 };
            ensure!(
                arrived <= most && (!fits || arrived == most),
                "{arrived} bytes of {name} arrived"
            );
            let mut down = through.program("scp");
            down.args(options)
                .arg(format!("{}:{name}", through.name()))
                .arg(&fetched);
            let output = down.output()?;
            ensure!(
                output.status.success() == fits,
                "down {name} {options:?}: {}",
                super::said(&output)
            );
            ensure!(
                size(&fetched) == if fits { 1_000_000 } else { 0 },
                "{} bytes of {name}",
                size(&fetched)
            );
            // For the next way.
            for path in [home.join(&sent), fetched] {
                let _ = std::fs::remove_file(path);
            }
        }
    }
    // Neither in pieces, nor by growing, nor by appending.
    let batch = here.join("batch");
    std::fs::write(
        &batch,
        format!(
            "-put {0} grown\n-put -a {0} grown\n-reput {1} grown\n-reget large {0}\n",
            here.join("fits").display(),
            here.join("large").display()
        ),
    )?;
    let output = through
        .program("sftp")
        .arg("-b")
        .arg(&batch)
        .arg(through.name())
        .output()?;
    ensure!(size(&home.join("grown")) <= 1_000_000, "{}", super::said(&output));
    ensure!(size(&here.join("fits")) == 1_000_000, "{}", super::said(&output));
    Ok(())
}
