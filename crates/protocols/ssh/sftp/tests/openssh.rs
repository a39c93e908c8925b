//! OpenSSH's client against OpenSSH's server with the machine between them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use sallyport_sftp::{Direction, Transfer};
use support::{Log, permit_all, protect, sftp};

struct Places {
    _root: tempfile::TempDir,
    local: std::path::PathBuf,
    remote: std::path::PathBuf,
}

fn places() -> Places {
    let root = tempfile::tempdir().unwrap();
    let real = fs::canonicalize(root.path()).unwrap();
    let (local, remote) = (real.join("local"), real.join("remote"));
    fs::create_dir(&local).unwrap();
    fs::create_dir(&remote).unwrap();
    Places {
        _root: root,
        local,
        remote,
    }
}

fn run(places: &Places, batch: &str) -> Log {
    let (output, log) = sftp(&places.local, &places.remote, batch, permit_all());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(log.error, None);
    log
}

/// Content that is nowhere the same.
fn content(len: usize) -> Vec<u8> {
    let mut seed = 7u64;
    let mut next = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seed.to_le_bytes()
    };
    let mut content: Vec<u8> = Vec::with_capacity(len + 8);
    while content.len() < len {
        content.extend_from_slice(&next()[2..]);
    }
    content.truncate(len);
    content
}

fn whole(transfer: &Transfer, content: &[u8]) {
    assert!(transfer.complete && transfer.sequential, "{transfer:?}");
    assert_eq!(transfer.bytes, content.len() as u64);
    assert_eq!(transfer.sha256.unwrap().as_slice(), digest(&SHA256, content).as_ref());
}

fn text(verb: &str, path: &Path) -> String {
    format!("{verb} {}", path.display())
}

#[test]
fn a_hundred_megabytes_go_both_ways_byte_by_byte() {
    let places = places();
    let content = content(100_000_000);
    fs::write(places.local.join("big"), &content).unwrap();
    let log = run(&places, "put big there\nget there back\n");
    assert!(fs::read(places.remote.join("there")).unwrap() == content);
    assert!(fs::read(places.local.join("back")).unwrap() == content);
    assert_eq!(log.done.len(), 2);
    assert_eq!(
        (log.done[0].direction, log.done[1].direction),
        (Direction::Upload, Direction::Download)
    );
    whole(&log.done[0], &content);
    whole(&log.done[1], &content);
}

#[test]
fn what_people_do_with_files_works_and_is_told() {
    let places = places();
    let (local, remote) = (&places.local, &places.remote);
    fs::write(local.join("a"), "alpha").unwrap();
    fs::set_permissions(local.join("a"), fs::Permissions::from_mode(0o640)).unwrap();
    let log = run(
        &places,
        "put -p a\nrename a b\nln b hard\nln -s b soft\nmkdir d\ncd d\nput ../local/a c\nget ../b got\nls -la\n\
         cd ..\nchmod 600 b\nchgrp 0 b\nchmod 700 d\ncopy b copied\ndf\ndf -hi d\nrm hard\nls -ln\nls soft\n\
         stat-nothing\n"
            .replace("put ../local/a c", &format!("put {}/a c", local.display()))
            .replace("stat-nothing\n", "")
            .as_str(),
    );
    assert_eq!(fs::read(remote.join("b")).unwrap(), b"alpha");
    assert_eq!(
        fs::metadata(remote.join("b")).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(fs::read_link(remote.join("soft")).unwrap(), Path::new("b"));
    assert_eq!(fs::read(remote.join("copied")).unwrap(), b"alpha");
    assert_eq!(fs::read(remote.join("d/c")).unwrap(), b"alpha");
    assert_eq!(fs::read(local.join("got")).unwrap(), b"alpha");
    assert_eq!(fs::metadata(remote.join("b")).unwrap().nlink(), 1);
    let texts = log.texts();
    let root = remote.display();
    for expected in [
        format!("replace {root}/a {root}/b"),
        format!("hardlink {root}/b {root}/hard"),
        format!("symlink {root}/soft {root}/b (written b)"),
        format!("mkdir {root}/d (mode 0777)"),
        format!("copy {root}/b {root}/copied (all, from 0 to 0)"),
        format!("rm {root}/hard"),
        format!("statvfs {root}/d"),
        format!("setstat {root}/b (mode 0600)"),
    ] {
        assert!(texts.contains(&expected.as_str()), "{expected} in {texts:#?}");
    }
    assert!(
        texts
            .iter()
            .any(|asked| asked.starts_with(&text("put", &remote.join("a")))),
        "{texts:#?}"
    );
    assert!(texts.contains(&format!("get {root}/b").as_str()), "{texts:#?}");
}

#[test]
fn directories_go_whole_and_modes_and_times_with_them() {
    let places = places();
    for dir in ["tree", "tree/x", "tree/x/y", "tree/empty"] {
        fs::create_dir(places.local.join(dir)).unwrap();
    }
    for nth in 0..40 {
        fs::write(places.local.join(format!("tree/x/y/{nth}")), content(nth * 1000)).unwrap();
    }
    fs::write(places.local.join("tree/x/name with \"quotes\" and\nlines"), "odd").unwrap();
    let log = run(&places, "put -pR tree\nget -pR tree again\n");
    for nth in 0..40 {
        let there = fs::read(places.remote.join(format!("tree/x/y/{nth}"))).unwrap();
        assert!(
            there == content(nth * 1000) && fs::read(places.local.join(format!("again/x/y/{nth}"))).unwrap() == there
        );
    }
    assert_eq!(
        fs::read(places.local.join("again/x/name with \"quotes\" and\nlines")).unwrap(),
        b"odd"
    );
    assert!(places.local.join("again/empty").is_dir());
    assert_eq!(
        log.done
            .iter()
            .filter(|done| done.complete && done.sha256.is_some())
            .count(),
        82
    );
    let odd = format!(
        "get \"{}/tree/x/name with \\\"quotes\\\" and\\nlines\"",
        places.remote.display()
    );
    assert!(log.texts().contains(&odd.as_str()), "{:#?}", log.texts());
}

#[test]
fn what_was_broken_off_goes_on() {
    let places = places();
    let content = content(3_000_000);
    fs::write(places.local.join("up"), &content).unwrap();
    fs::write(places.remote.join("up"), &content[..1_000_001]).unwrap();
    fs::write(places.remote.join("down"), &content).unwrap();
    fs::write(places.local.join("down"), &content[..999_999]).unwrap();
    let log = run(&places, "reput up\nreget down\n");
    assert!(fs::read(places.remote.join("up")).unwrap() == content);
    assert!(fs::read(places.local.join("down")).unwrap() == content);
    let [up, down] = log.done.as_slice() else {
        panic!("{:?}", log.done)
    };
    // It opens the file to append: where that is, is not said.
    assert_eq!(up.ranges.as_slice(), std::slice::from_ref(&(0..1_999_999)));
    assert_eq!(down.ranges.as_slice(), std::slice::from_ref(&(999_999..3_000_000)));
    assert_eq!(
        up.sha256.unwrap().as_slice(),
        digest(&SHA256, &content[1_000_001..]).as_ref()
    );
    assert_eq!(
        down.sha256.unwrap().as_slice(),
        digest(&SHA256, &content[999_999..]).as_ref()
    );
    assert!(up.complete && !down.complete, "a part of a file is not the file");
}

#[test]
fn what_is_protected_is_not_touched_by_any_way() {
    let places = places();
    let (remote, secret) = (&places.remote, places.remote.join("secret"));
    fs::create_dir(&secret).unwrap();
    fs::create_dir(remote.join("open")).unwrap();
    fs::write(secret.join("key"), "hidden").unwrap();
    fs::write(remote.join("open/plain"), "plain").unwrap();
    symlink("../secret/key", remote.join("open/link")).unwrap();
    symlink("../secret", remote.join("open/dir")).unwrap();
    symlink("../secret/new", remote.join("open/dangling")).unwrap();
    fs::write(places.local.join("mine"), "mine").unwrap();
    let key = secret.join("key");
    for attempt in [
        "get secret/key".to_owned(),
        format!("get {}", key.display()),
        "get open/link".to_owned(),
        "get open/dir/key".to_owned(),
        "get open/../secret//key".to_owned(),
        "get open/dir/../secret/key".to_owned(),
        "cd open\nget ../secret/key".to_owned(),
        "cd open\nput ../../local/mine link".to_owned(),
        "put mine open/link".to_owned(),
        "put mine open/dangling".to_owned(),
        "put mine secret/other".to_owned(),
        "put mine open/dir/other".to_owned(),
        "rm secret/key".to_owned(),
        "rm open/dir/key".to_owned(),
        "chmod 777 open/link".to_owned(),
        "chmod 777 secret/key".to_owned(),
        "ls secret".to_owned(),
        "ls secret/".to_owned(),
        "ls open/dir/".to_owned(),
        "rename secret/key open/key".to_owned(),
        "rename secret moved".to_owned(),
        "rename open/plain secret/plain".to_owned(),
        "ln secret/key open/hard".to_owned(),
        "ln open/link open/hard".to_owned(),
        "ln -s ../secret/key open/second".to_owned(),
        "copy secret/key open/copied".to_owned(),
        "copy open/link open/copied".to_owned(),
        "copy open/plain secret/copied".to_owned(),
        "mkdir secret/sub".to_owned(),
        "mkdir open/dir/sub".to_owned(),
        "rmdir secret".to_owned(),
        "df secret".to_owned(),
    ] {
        let (output, log) = sftp(&places.local, remote, &format!("{attempt}\n"), protect(&secret));
        assert!(!output.status.success(), "{attempt}: {:?}", log.texts());
        assert_eq!(log.error, None, "{attempt}");
        assert_eq!(fs::read(&key).unwrap(), b"hidden", "{attempt}");
        assert_eq!(
            fs::metadata(&key).unwrap().permissions().mode() & 0o777,
            0o644,
            "{attempt}"
        );
        assert_eq!(fs::read_dir(&secret).unwrap().count(), 1, "{attempt}");
        let left: Vec<_> = fs::read_dir(remote.join("open"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left.len(), 4, "{attempt}: {left:?}");
        let kept = fs::read_dir(&places.local).unwrap().count();
        assert_eq!(kept, 1, "{attempt}: nothing came");
        assert!(
            !log.done
                .iter()
                .any(|done| done.at.path.starts_with(secret.as_os_str().as_encoded_bytes()))
        );
    }
}

#[test]
fn a_link_itself_can_be_looked_at_renamed_and_removed() {
    let places = places();
    let secret = places.remote.join("secret");
    fs::create_dir(&secret).unwrap();
    symlink("secret", places.remote.join("link")).unwrap();
    let (output, log) = sftp(
        &places.local,
        &places.remote,
        "rename link other\nrm other\n",
        protect(&secret),
    );
    assert!(
        output.status.success(),
        "{}\n{:#?}",
        String::from_utf8_lossy(&output.stderr),
        log.texts()
    );
    assert!(secret.is_dir() && fs::symlink_metadata(places.remote.join("link")).is_err());
    let root = places.remote.display();
    assert!(
        log.texts().contains(&format!("rm {root}/other").as_str()),
        "{:#?}",
        log.texts()
    );
}
