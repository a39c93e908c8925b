//! A changed directory takes effect as a whole, or not at all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use sallyport_policy::{Loader, Outcome, Reloaded, Watcher};
use support::{connect, now, orders, sql, user, write};

const ALL: &str = "@id(\"all\") permit (principal, action, resource);\n";
const NONE: &str = "@id(\"none\") forbid (principal, action, resource);\n";
const PATIENCE: Duration = Duration::from_secs(20);

fn watch(dir: &std::path::Path) -> (Watcher, Receiver<Reloaded>) {
    let watcher = Watcher::start(dir, Loader::new(&[sql()])).unwrap();
    let (send, results) = mpsc::channel();
    watcher.subscribe(move |result| {
        let _ = send.send(result.clone());
    });
    (watcher, results)
}

fn outcome(watcher: &Watcher) -> Outcome {
    watcher
        .current()
        .decide(&user("a", &[]), &orders(), &[connect()], &now())
        .outcome
}

#[test]
fn a_change_comes_into_force() {
    let dir = write(ALL, "");
    let (watcher, results) = watch(dir.path());
    assert_eq!((outcome(&watcher), watcher.generation()), (Outcome::Allow, 1));
    fs::write(dir.path().join("rules/more.cedar"), NONE).unwrap();
    match results.recv_timeout(PATIENCE).unwrap() {
        Reloaded::Loaded { bundle, generation } => {
            assert_eq!(generation, 2);
            assert_eq!(bundle.digest(), watcher.current().digest());
        }
        Reloaded::Rejected(error) => panic!("{error}"),
    }
    assert_eq!((outcome(&watcher), watcher.generation()), (Outcome::Deny, 2));
}

#[test]
fn a_bundle_that_is_not_valid_changes_nothing_and_says_so() {
    let dir = write(ALL, "");
    let (watcher, results) = watch(dir.path());
    let before = watcher.current().digest().to_owned();
    fs::write(dir.path().join("rules/all.cedar"), "permit (").unwrap();
    match results.recv_timeout(PATIENCE).unwrap() {
        Reloaded::Rejected(error) => {
            assert!(error.to_string().contains("rules/all.cedar:1:"), "{error}");
        }
        Reloaded::Loaded { .. } => panic!("loaded"),
    }
    assert_eq!((outcome(&watcher), watcher.generation()), (Outcome::Allow, 1));
    assert_eq!(watcher.current().digest(), before);
    fs::write(dir.path().join("rules/all.cedar"), NONE).unwrap();
    assert!(matches!(
        results.recv_timeout(PATIENCE).unwrap(),
        Reloaded::Loaded { generation: 2, .. }
    ));
    assert_eq!(outcome(&watcher), Outcome::Deny);
}

#[test]
fn what_decides_nothing_changes_nothing() {
    let dir = write(ALL, "");
    let (watcher, _results) = watch(dir.path());
    fs::write(dir.path().join("notes.md"), "hello").unwrap();
    assert!(watcher.reload().is_none());
    assert_eq!(watcher.generation(), 1);
}

#[test]
fn a_directory_that_is_not_valid_is_not_watched() {
    let dir = write("permit (", "");
    assert!(Watcher::start(dir.path(), Loader::new(&[sql()])).is_err());
}

#[test]
fn the_whole_directory_may_be_replaced() {
    let dir = write(ALL, "");
    let (watcher, results) = watch(dir.path());
    let rules = dir.path().join("rules");
    fs::create_dir(dir.path().join("new")).unwrap();
    fs::write(dir.path().join("new/other.cedar"), NONE).unwrap();
    fs::rename(&rules, dir.path().join("old")).unwrap();
    fs::rename(dir.path().join("new"), &rules).unwrap();
    loop {
        // The moment without rules may be seen too; it is no bundle.
        if let Reloaded::Loaded { .. } = results.recv_timeout(PATIENCE).unwrap() {
            break;
        }
    }
    assert_eq!(outcome(&watcher), Outcome::Deny);
}
