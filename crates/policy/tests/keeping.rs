//! What came into force can be shown, and what cannot be kept does not come into force.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sallyport_policy::{Bundle, Kept, KeptError, Loader, Reloaded, Watcher};
use support::{sql, write};
use time::OffsetDateTime;

const ALL: &str = "@id(\"all\") permit (principal, action, resource);\n";
const NONE: &str = "@id(\"none\") forbid (principal, action, resource);\n";

fn bundle(rules: &str, commit: Option<&str>) -> Bundle {
    let files = BTreeMap::from([
        ("rules/all.cedar".to_owned(), rules.to_owned()),
        ("rules/deep/er/more.cedar".to_owned(), String::new()),
    ]);
    let loader = Loader::new(&[sql()]);
    loader
        .load_files(Path::new("/"), files, commit.map(str::to_owned))
        .unwrap()
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[test]
fn a_bundle_is_shown_by_the_beginning_of_its_digest_and_every_arrival_once() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::open(&dir.path().join("bundles")).unwrap();
    let (one, other) = (bundle(ALL, Some("c1")), bundle(NONE, None));
    kept.keep(&one, "git", now()).unwrap();
    kept.keep(&one, "git", now()).unwrap();
    kept.keep(&other, "git", now()).unwrap();
    kept.keep(&bundle(ALL, Some("c3")), "git", now()).unwrap();
    let whole = kept.find(&one.digest().split_at(8).0.to_ascii_uppercase()).unwrap();
    assert_eq!(whole, one.digest());
    assert_eq!(kept.files(&whole).unwrap()["rules/all.cedar"], ALL);
    assert_eq!(
        kept.arrivals(10)
            .unwrap()
            .iter()
            .map(|arrival| (arrival.digest.as_str(), arrival.commit.as_deref()))
            .collect::<Vec<_>>(),
        [
            (one.digest(), Some("c3")),
            (other.digest(), None),
            (one.digest(), Some("c1"))
        ]
    );
    assert_eq!(kept.arrivals(1).unwrap().len(), 1);
    assert!(matches!(kept.find("00zz"), Err(KeptError::NoDigest(_))));
    assert!(matches!(kept.find("../.."), Err(KeptError::NoDigest(_))));
    assert!(matches!(kept.find(&"0".repeat(64)), Err(KeptError::Unknown(_))));
    let twin = format!("{}{}", one.digest().split_at(60).0, "zzzz".replace('z', "0"));
    fs::create_dir(dir.path().join("bundles").join(&twin)).unwrap();
    assert!(matches!(
        kept.find(one.digest().split_at(60).0),
        Err(KeptError::Ambiguous(_))
    ));
}

#[test]
fn everything_kept_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::open(&dir.path().join("bundles")).unwrap();
    kept.keep(&bundle(ALL, None), "git", now()).unwrap();
    let mut seen = 0;
    let mut folders = vec![dir.path().join("bundles")];
    while let Some(folder) = folders.pop() {
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 3, "the two rules and the log");
}

#[test]
fn what_was_changed_is_not_shown_and_is_kept_anew() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::open(dir.path()).unwrap();
    let one = bundle(ALL, None);
    kept.keep(&one, "git", now()).unwrap();
    let file = dir.path().join(one.digest()).join("rules/all.cedar");
    fs::write(&file, NONE).unwrap();
    assert!(matches!(kept.files(one.digest()), Err(KeptError::Damaged(_))));
    kept.keep(&one, "git", now()).unwrap();
    assert_eq!(kept.files(one.digest()).unwrap()["rules/all.cedar"], ALL);
    let aside = |name: &str| name.starts_with(".damaged-") && name.ends_with(one.digest());
    let entries = fs::read_dir(dir.path()).unwrap();
    let names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().any(|name| aside(name)), "it is evidence: {names:?}");
}

#[test]
fn what_a_crash_left_is_cleared_and_a_line_that_it_cut_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let one = bundle(ALL, None);
    Kept::open(dir.path()).unwrap().keep(&one, "git", now()).unwrap();
    let unfinished = dir.path().join(format!(".new-{}", "a".repeat(64)));
    fs::create_dir(&unfinished).unwrap();
    let log = dir.path().join("log.jsonl");
    let whole = fs::read_to_string(&log).unwrap();
    fs::write(&log, format!("{whole}{{\"at\":\"20")).unwrap();
    let kept = Kept::open(dir.path()).unwrap();
    assert!(!unfinished.exists());
    assert_eq!(kept.arrivals(9).unwrap().len(), 1);
    kept.keep(&bundle(NONE, None), "git", now()).unwrap();
    assert_eq!(kept.arrivals(9).unwrap().len(), 2, "the next line stands by itself");
}

#[test]
fn a_bundle_that_cannot_be_kept_does_not_come_into_force() {
    let full = Arc::new(AtomicBool::new(false));
    let disk = Arc::clone(&full);
    let keep = move |_: &Bundle| match disk.load(Ordering::SeqCst) {
        false => Ok(()),
        true => Err("no space left".to_owned()),
    };
    let dir = write(ALL, "");
    let watcher = Watcher::start_keeping(dir.path(), Loader::new(&[sql()]), Box::new(keep.clone())).unwrap();
    let fed = Watcher::fed(bundle(ALL, Some("c1")), Box::new(keep.clone())).unwrap();
    full.store(true, Ordering::SeqCst);
    fs::write(dir.path().join("rules/all.cedar"), NONE).unwrap();
    // The watching thread may have been first; then nothing is left to do but the same again.
    let Some(Reloaded::Rejected(error)) = watcher.reload() else {
        panic!("it came into force")
    };
    assert!(error.to_string().contains("no space left"), "{error}");
    assert_eq!(watcher.generation(), 1);
    assert!(fed.offer(bundle(NONE, Some("c2"))).is_err());
    assert_eq!(fed.current().commit(), Some("c1"));
    assert!(Watcher::fed(bundle(ALL, None), Box::new(keep)).is_err());

    full.store(false, Ordering::SeqCst);
    assert!(fed.offer(bundle(ALL, Some("c1"))).unwrap().is_none(), "nothing changed");
    assert!(fed.offer(bundle(ALL, Some("c2"))).unwrap().is_some(), "another commit");
    assert_eq!((fed.current().commit(), fed.generation()), (Some("c2"), 2));
    assert!(fed.reload().is_none(), "there is no directory to read");
}
