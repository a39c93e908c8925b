//! A branch is followed: what is merged comes into force, what is wrong changes nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod bed;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use bed::{ALL, Bed, NONE};
use sallyport_policy_git::{GitTable, examine};

#[tokio::test]
async fn what_is_merged_comes_into_force_and_is_kept_with_its_commit() {
    let (bed, first) = Bed::new();
    let following = bed.start(&bed.table()).await;
    assert_eq!((following.commit(), following.rules()), (first.clone(), ALL.to_owned()));
    bed.origin.write("rules/all.cedar", NONE).unwrap();
    let second = bed.origin.commit("nothing is permitted").unwrap();
    following.pull().await.unwrap();
    assert_eq!(
        (following.commit(), following.rules()),
        (second.clone(), NONE.to_owned())
    );
    assert_eq!(following.follower.watcher().generation(), 2);
    following.pull().await.unwrap();
    assert_eq!(following.follower.watcher().generation(), 2, "nothing changed");
    // What decides nothing is another commit all the same: decisions name it.
    bed.origin.write("README.md", "words").unwrap();
    let third = bed.origin.commit("words").unwrap();
    following.pull().await.unwrap();
    assert_eq!(following.commit(), third);

    let arrivals = bed.kept().arrivals(9).unwrap();
    let commits: Vec<_> = arrivals.iter().map(|arrival| arrival.commit.clone().unwrap()).collect();
    assert_eq!(commits, [third, second, first]);
    assert!(
        arrivals
            .iter()
            .all(|arrival| arrival.source == format!("{}#main", bed.origin.address()))
    );
    let files = bed.kept().files(&arrivals[2].digest).unwrap();
    assert_eq!(files["rules/all.cedar"], ALL);
    assert!(following.told().is_empty());
}

#[tokio::test]
async fn a_merge_is_in_force_within_a_second_of_being_asked_for() {
    let (bed, _) = Bed::new();
    let following = bed.start(&bed.table()).await;
    let (send, mut loaded) = tokio::sync::mpsc::unbounded_channel();
    following
        .follower
        .watcher()
        .subscribe(move |_| send.send(()).unwrap_or_default());
    let running = tokio::spawn(std::sync::Arc::clone(&following.follower).run());
    bed.origin.write("rules/all.cedar", NONE).unwrap();
    bed.origin.commit("nothing").unwrap();
    following.follower.wake();
    // The bound is generous for a busy machine; the poll would take 30 seconds.
    tokio::time::timeout(Duration::from_secs(20), loaded.recv())
        .await
        .unwrap();
    assert_eq!(following.rules(), NONE);
    running.abort();
}

#[tokio::test]
async fn a_bad_bundle_is_refused_once_and_a_good_one_ends_that() {
    let (bed, _) = Bed::new();
    let following = bed.start(&bed.table()).await;
    bed.origin.write("rules/all.cedar", "permit (").unwrap();
    let bad = bed.origin.commit("a slip").unwrap();
    let trouble = following.refuses("invalid").await;
    assert_eq!(trouble.commit.as_deref(), Some(bad.as_str()));
    assert!(
        trouble.problems[0].to_string().contains("rules/all.cedar:1:"),
        "{trouble}"
    );
    following.refuses("invalid").await;
    assert_eq!(following.told(), ["refused"]);
    bed.origin.write("targets.toml", "nonsense = 1").unwrap();
    bed.origin.write("rules/all.cedar", ALL).unwrap();
    bed.origin.commit("another slip").unwrap();
    following.refuses("invalid").await;
    bed.origin.git(&["revert", "--no-edit", "HEAD", "HEAD~1"]).unwrap();
    bed.origin.push().unwrap();
    following.pull().await.unwrap();
    assert_eq!(
        (following.commit(), following.rules()),
        (bed.origin.head().unwrap(), ALL.to_owned())
    );
    assert_eq!(following.told(), ["refused", "recovered"]);
    assert!(following.follower.status().trouble.is_none());
}

#[tokio::test]
async fn what_cannot_be_written_down_does_not_come_into_force() {
    let (bed, first) = Bed::new();
    let following = bed.start(&bed.table()).await;
    std::fs::rename(bed.journal(), bed.journal().with_extension("aside")).unwrap();
    std::fs::create_dir(bed.journal()).unwrap();
    bed.origin.write("rules/all.cedar", NONE).unwrap();
    let second = bed.origin.commit("nothing is permitted").unwrap();
    following.refuses("keep").await;
    following.refuses("keep").await;
    assert_eq!(following.rules(), ALL);
    drop(following);
    let error = bed.try_start(&bed.table()).await.unwrap_err();
    assert_eq!(error.kind.as_str(), "keep", "nor does a gateway begin with it");

    std::fs::remove_dir(bed.journal()).unwrap();
    std::fs::rename(bed.journal().with_extension("aside"), bed.journal()).unwrap();
    let following = bed.start(&bed.table()).await;
    assert_eq!(
        (following.commit(), following.rules()),
        (second.clone(), NONE.to_owned())
    );
    let written = std::fs::read_to_string(bed.journal()).unwrap();
    assert_eq!(written.lines().collect::<Vec<_>>(), [first, second], "each once");
}

#[tokio::test]
async fn a_branch_does_not_go_back_but_by_a_revert() {
    let (bed, first) = Bed::new();
    let following = bed.start(&bed.table()).await;
    bed.origin.write("rules/all.cedar", NONE).unwrap();
    let second = bed.origin.commit("nothing").unwrap();
    following.pull().await.unwrap();

    bed.origin.git(&["reset", "--quiet", "--hard", &first]).unwrap();
    bed.origin.push().unwrap();
    let trouble = following.refuses("rewind").await;
    assert!(trouble.message.contains(&second), "{trouble}");
    // Neither after the gateway was started again, when the older commit is all that the host has.
    drop(following);
    let following = bed.start(&bed.table()).await;
    assert_eq!(
        (following.commit(), following.rules()),
        (second.clone(), NONE.to_owned())
    );
    following.refuses("rewind").await;

    bed.origin.write("rules/all.cedar", ALL).unwrap();
    bed.origin
        .git(&["commit", "--quiet", "--amend", "--message", "rewritten"])
        .unwrap();
    bed.origin.push().unwrap();
    following.refuses("rewind").await;

    bed.origin.git(&["reset", "--quiet", "--hard", &second]).unwrap();
    bed.origin.git(&["revert", "--no-edit", "HEAD"]).unwrap();
    bed.origin.push().unwrap();
    following.pull().await.unwrap();
    assert_eq!(following.rules(), ALL);

    bed.origin.git(&["reset", "--quiet", "--hard", &second]).unwrap();
    bed.origin.push().unwrap();
    following.refuses("rewind").await;
    drop(following);
    let table = GitTable {
        allow_rewind: true,
        ..bed.table()
    };
    let following = bed.start(&table).await;
    assert_eq!((following.commit(), following.rules()), (second, NONE.to_owned()));
}

#[tokio::test]
async fn without_its_host_it_begins_with_the_last_good_bundle_or_not_at_all() {
    let (bed, first) = Bed::new();
    drop(bed.start(&bed.table()).await);
    let (here, away) = (bed.origin.bare(), bed.origin.bare().with_extension("away"));
    std::fs::rename(&here, &away).unwrap();
    let following = bed.start(&bed.table()).await;
    assert_eq!((following.commit(), following.rules()), (first, ALL.to_owned()));
    let status = following.follower.status();
    assert_eq!(status.trouble.unwrap().1.kind.as_str(), "unreachable");
    assert!(status.fetched.is_none(), "it was not fetched");
    following.refuses("unreachable").await;
    assert!(following.told().is_empty(), "it is known already");
    std::fs::rename(&away, &here).unwrap();
    following.pull().await.unwrap();
    assert_eq!(following.told(), ["recovered"]);
    assert!(following.follower.status().fetched.is_some());

    std::fs::rename(&here, &away).unwrap();
    following.refuses("unreachable").await;
    following.refuses("unreachable").await;
    assert_eq!(following.told(), ["failed"]);
    drop(following);
    // What is kept is of another branch, or is damaged: that is nothing.
    let other = GitTable {
        branch: Some("other".to_owned()),
        ..bed.table()
    };
    assert_eq!(bed.try_start(&other).await.unwrap_err().kind.as_str(), "unreachable");
    let kept = bed.kept().arrivals(1).unwrap().remove(0).digest;
    let file = bed.state.path().join("bundles").join(kept).join("rules/all.cedar");
    std::fs::write(file, NONE).unwrap();
    assert!(bed.try_start(&bed.table()).await.is_err());
}

#[tokio::test]
async fn a_repository_of_somebody_else_on_this_machine_is_read() {
    let (bed, first) = Bed::new();
    // Only root can give files away; for others, the repository is their own.
    let given = std::os::unix::fs::chown(bed.origin.bare(), Some(20_001), Some(20_001));
    let following = bed.start(&bed.table()).await;
    assert_eq!(following.commit(), first);
    assert!(given.is_ok() || given.unwrap_err().kind() == std::io::ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn what_is_remembered_and_makes_no_sense_is_not_passed_over() {
    let (bed, _) = Bed::new();
    drop(bed.start(&bed.table()).await);
    let file = bed.state.path().join("policy-git/followed.json");
    std::fs::write(&file, "{").unwrap();
    let error = bed.try_start(&bed.table()).await.unwrap_err();
    assert!(error.to_string().contains("followed.json"), "{error}");
}

#[tokio::test]
async fn links_submodules_and_what_is_too_large_are_refused() {
    let (bed, _) = Bed::new();
    let following = bed.start(&bed.table()).await;
    let work = bed.origin.work();
    let back = || bed.origin.git(&["reset", "--quiet", "--hard", "HEAD~1"]).unwrap();

    symlink("/etc/passwd", work.join("rules/out.cedar")).unwrap();
    bed.origin.commit("a link that leads out").unwrap();
    let trouble = following.refuses("content").await;
    assert!(
        trouble.to_string().contains("rules/out.cedar: is a symbolic link"),
        "{trouble}"
    );
    back();

    std::fs::rename(work.join("rules"), work.join("elsewhere")).unwrap();
    symlink("elsewhere", work.join("rules")).unwrap();
    bed.origin.commit("a folder that is a link").unwrap();
    following.refuses("content").await;
    back();

    bed.origin
        .write("rules/large.cedar", &"// large\n".repeat(500_000))
        .unwrap();
    bed.origin.commit("a large file").unwrap();
    let trouble = following.refuses("content").await;
    assert!(
        trouble.to_string().contains("rules/large.cedar: is larger"),
        "{trouble}"
    );
    back();

    let head = bed.origin.head().unwrap();
    let entry = format!("160000,{head},tests");
    bed.origin
        .git(&["update-index", "--add", "--cacheinfo", &entry])
        .unwrap();
    bed.origin
        .git(&["commit", "--quiet", "--message", "a submodule"])
        .unwrap();
    bed.origin.push().unwrap();
    let trouble = following.refuses("content").await;
    assert!(trouble.to_string().contains("tests: is a submodule"), "{trouble}");
    back();

    std::fs::write(work.join("rules/odd.cedar"), [0xff, 0xfe]).unwrap();
    bed.origin.commit("no text").unwrap();
    following.refuses("content").await;
    back();

    // Beside the bundle, all of these are nobody's business.
    symlink("/etc/passwd", work.join("out")).unwrap();
    let good = bed.origin.commit("a link elsewhere").unwrap();
    following.pull().await.unwrap();
    assert_eq!(following.commit(), good);
}

#[tokio::test]
async fn a_fetch_that_is_too_large_is_broken_off() {
    let (bed, first) = Bed::new();
    let table = GitTable {
        max_fetch_mib: Some(1),
        ..bed.table()
    };
    let following = bed.start(&table).await;
    // Bytes that do not compress.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(400_000)
    .flatten()
    .collect();
    std::fs::write(bed.origin.work().join("noise"), noise).unwrap();
    bed.origin.commit("three megabytes").unwrap();
    following.refuses("fetch").await;
    assert_eq!(following.commit(), first);
}

#[tokio::test]
async fn a_branch_and_a_folder_may_have_odd_names_and_start_nothing() {
    let (bed, _) = Bed::new();
    let (branch, folder) = ("odd/$(touch${IFS}pwned);'x'#1", "-a b/$(touch pwned)");
    bed.origin.git(&["checkout", "--quiet", "-b", branch]).unwrap();
    bed.origin.write(&format!("{folder}/rules/all.cedar"), NONE).unwrap();
    let tip = bed.origin.commit("odd").unwrap();
    let table = GitTable {
        branch: Some(branch.to_owned()),
        path: Some(folder.to_owned()),
        ..bed.table()
    };
    let following = bed.start(&table).await;
    assert_eq!((following.commit(), following.rules()), (tip, NONE.to_owned()));
    let missing = GitTable {
        branch: Some("mai".to_owned()),
        ..bed.table()
    };
    assert_eq!(bed.try_start(&missing).await.unwrap_err().kind.as_str(), "branch");
    let nowhere = GitTable {
        path: Some("nowhere".to_owned()),
        ..bed.table()
    };
    assert_eq!(bed.try_start(&nowhere).await.unwrap_err().kind.as_str(), "content");
}

#[tokio::test]
async fn hooks_filters_and_settings_of_the_repository_run_nothing() {
    let (bed, _) = Bed::new();
    let pwned = bed.state.path().join("pwned");
    let run = format!("touch {}", pwned.display());
    bed.origin
        .write(".gitattributes", "*.cedar filter=evil export-subst ident\n")
        .unwrap();
    bed.origin
        .write(".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c x\n")
        .unwrap();
    bed.origin
        .write(".lfsconfig", "[lfs]\n\turl = http://127.0.0.1:1\n")
        .unwrap();
    bed.origin
        .write("rules/all.cedar", &format!("// $Id$ $Format:%H$\n{NONE}"))
        .unwrap();
    bed.origin.git(&["config", "filter.evil.clean", "cat"]).unwrap();
    bed.origin.commit("attributes").unwrap();
    let set = |name: &str| {
        let bare = bed.origin.bare().display().to_string();
        bed.origin.git(&["--git-dir", &bare, "config", name, &run]).unwrap();
    };
    for name in [
        "uploadpack.packObjectsHook",
        "core.fsmonitor",
        "core.sshCommand",
        "filter.evil.smudge",
    ] {
        set(name);
    }
    let following = bed.start(&bed.table()).await;
    assert_eq!(
        following.rules(),
        format!("// $Id$ $Format:%H$\n{NONE}"),
        "as it was committed"
    );
    assert!(!pwned.exists());
}

#[tokio::test]
async fn what_a_killed_run_left_behind_is_cleared_and_a_damaged_copy_made_anew() {
    let (bed, _) = Bed::new();
    let left = bed.state.path().join("policy-git/run-left/repository.git/refs");
    std::fs::create_dir_all(&left).unwrap();
    let following = bed.start(&bed.table()).await;
    assert!(!left.exists());
    let copies = bed.copies();
    assert_eq!(copies.len(), 1);
    let repository = copies[0].join("repository.git");
    std::fs::create_dir_all(repository.join("refs/sallyport")).unwrap();
    std::fs::write(repository.join("refs/sallyport/tip.lock"), "").unwrap();
    std::fs::write(repository.join("HEAD"), "nonsense").unwrap();
    bed.origin.write("rules/all.cedar", NONE).unwrap();
    let second = bed.origin.commit("nothing").unwrap();
    following.pull().await.unwrap();
    assert_eq!(following.commit(), second);
    drop(following);
    assert!(bed.copies().is_empty(), "a run takes its copy along");
}

#[tokio::test]
async fn a_bundle_that_cannot_be_kept_does_not_come_into_force_and_is_tried_again() {
    let (bed, first) = Bed::new();
    let following = bed.start(&bed.table()).await;
    let bundles = bed.state.path().join("bundles");
    let aside = bed.state.path().join("aside");
    std::fs::rename(&bundles, &aside).unwrap();
    std::fs::write(&bundles, "no folder").unwrap();
    bed.origin.write("rules/all.cedar", NONE).unwrap();
    let second = bed.origin.commit("nothing").unwrap();
    following.refuses("keep").await;
    following.refuses("keep").await;
    assert_eq!((following.commit(), following.told()), (first, vec!["refused"]));
    std::fs::remove_file(&bundles).unwrap();
    std::fs::rename(&aside, &bundles).unwrap();
    following.pull().await.unwrap();
    assert_eq!(following.commit(), second);
}

#[tokio::test]
async fn a_look_at_everything_says_what_there_is() {
    let (bed, first) = Bed::new();
    let settings = sallyport_policy_git::Settings::read(&bed.table(), Path::new("/")).unwrap();
    let before = examine(&settings, bed.state.path()).await.unwrap();
    assert_eq!((before.tip.unwrap(), before.last), (first.clone(), Ok(None)));
    assert!(before.git.unwrap().starts_with("2."));
    assert!(
        std::fs::read_dir(bed.state.path()).unwrap().next().is_none(),
        "it changes nothing"
    );
    let following = bed.start(&bed.table()).await;
    let digest = following.follower.watcher().current().digest().to_owned();
    std::fs::remove_dir_all(bed.origin.bare()).unwrap();
    let after = examine(&settings, bed.state.path()).await.unwrap();
    assert_eq!(after.last, Ok(Some((first, digest))));
    assert!(after.tip.is_err());
}
