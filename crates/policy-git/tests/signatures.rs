//! Commits that nobody vouches for do not come into force.
#![allow(clippy::unwrap_used, reason = "tests")]

mod bed;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bed::{ALL, Bed, NONE};
use sallyport_policy_git::{GitTable, Signed};
use sallyport_testbed::{KeyKind, SshKey};

struct Signing {
    bed: Bed,
    key: PathBuf,
    stranger: PathBuf,
    signers: PathBuf,
}

impl Signing {
    /// A repository whose first commit is signed.
    fn new() -> Self {
        let (bed, _) = Bed::new();
        let key = |name: &str| SshKey::generate(&bed.state.path().join(name), KeyKind::Ed25519).unwrap();
        let (key, stranger) = (key("ada"), key("eve"));
        let signers = bed.state.path().join("signers");
        let line = format!("ada@example.com namespaces=\"git\" {}\n", key.public());
        std::fs::write(&signers, line).unwrap();
        let (key, stranger) = (key.path().to_owned(), stranger.path().to_owned());
        bed.origin.commit_signed("signed", &key).unwrap();
        Self {
            bed,
            key,
            stranger,
            signers,
        }
    }

    fn table(&self, signed: Signed) -> GitTable {
        GitTable {
            signers: Some(self.signers.clone()),
            signed,
            ..self.bed.table()
        }
    }

    fn change(&self, rules: &str) {
        self.bed.origin.write("rules/all.cedar", rules).unwrap();
    }
}

#[tokio::test]
async fn only_what_a_signer_signed_comes_into_force() {
    let signing = Signing::new();
    let following = signing.bed.start(&signing.table(Signed::FirstParent)).await;
    let origin = &signing.bed.origin;
    signing.change(NONE);
    let unsigned = origin.commit("unsigned").unwrap();
    let trouble = following.refuses("signature").await;
    assert_eq!(trouble.commit, Some(unsigned.clone()));
    following.refuses("signature").await;
    assert_eq!(following.told(), ["refused"]);

    // Who signs what lies on top of it has not looked at it.
    origin.commit_signed("signed on top", &signing.key).unwrap();
    let trouble = following.refuses("signature").await;
    assert_eq!(trouble.commit, Some(unsigned), "the culprit is named");

    origin.git(&["reset", "--quiet", "--hard", "HEAD~2"]).unwrap();
    signing.change(NONE);
    origin.commit_signed("by somebody else", &signing.stranger).unwrap();
    following.refuses("signature").await;

    origin.git(&["reset", "--quiet", "--hard", "HEAD~1"]).unwrap();
    signing.change(NONE);
    let good = origin.commit_signed("by Ada", &signing.key).unwrap();
    following.pull().await.unwrap();
    assert_eq!((following.commit(), following.rules()), (good, NONE.to_owned()));
}

#[tokio::test]
async fn what_is_refused_takes_no_room_and_is_not_fetched_for_each_look() {
    let signing = Signing::new();
    let following = signing.bed.start(&signing.table(Signed::FirstParent)).await;
    let copies = || {
        let folders = signing.bed.copies();
        folders
            .into_iter()
            .filter(|run| run.join("repository.git").exists())
            .count()
    };
    assert_eq!(copies(), 1);
    signing.change(NONE);
    let tip = signing
        .bed
        .origin
        .commit_signed("by somebody else", &signing.stranger)
        .unwrap();
    following.refuses("signature").await;
    assert_eq!(copies(), 0, "what was fetched is removed");

    // Now she is a signer, too. The polls do not find out; who asks does.
    let public = std::fs::read_to_string(signing.stranger.with_extension("pub")).unwrap();
    let line = format!("eve@example.com namespaces=\"git\" {public}\n");
    std::fs::write(&signing.signers, line).unwrap();
    let looked = following.follower.status().fetched;
    let running = tokio::spawn(Arc::clone(&following.follower).run());
    following.follower.wake();
    while following.follower.status().fetched == looked {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.abort();
    let trouble = following.follower.status().trouble.unwrap().1;
    assert_eq!(trouble.kind.as_str(), "signature", "it is known as refused");
    assert_eq!(copies(), 0, "it was not fetched again");
    following.pull().await.unwrap();
    assert_eq!((following.commit(), copies()), (tip, 1));
}

#[tokio::test]
async fn a_signed_merge_vouches_for_what_it_brings_unless_all_must_be_signed() {
    let signing = Signing::new();
    let first = signing.bed.start(&signing.table(Signed::FirstParent)).await;
    let origin = &signing.bed.origin;
    origin.git(&["checkout", "--quiet", "-b", "feature"]).unwrap();
    signing.change(NONE);
    let feature = origin.commit("unsigned, on a branch of its own").unwrap();
    origin.git(&["checkout", "--quiet", "main"]).unwrap();
    let key = format!("user.signingKey={}", signing.key.display());
    let merge = [
        "-c",
        "gpg.format=ssh",
        "-c",
        &key,
        "merge",
        "--quiet",
        "--no-ff",
        "-S",
        "--message",
        "merged",
    ];
    origin.git(&[&merge[..], &["feature"]].concat()).unwrap();
    origin.push().unwrap();
    let merged = origin.head().unwrap();

    let before = std::fs::read(signing.bed.state.path().join("policy-git/followed.json")).unwrap();
    first.pull().await.unwrap();
    assert_eq!((first.commit(), first.rules()), (merged, NONE.to_owned()));
    drop(first);
    std::fs::write(signing.bed.state.path().join("policy-git/followed.json"), before).unwrap();
    let all = signing.bed.start(&signing.table(Signed::All)).await;
    assert_eq!(all.rules(), ALL);
    let trouble = all.refuses("signature").await;
    assert_eq!(trouble.commit, Some(feature));
}

#[tokio::test]
async fn without_a_signed_commit_or_its_signers_it_does_not_begin() {
    let signing = Signing::new();
    signing.bed.origin.commit("unsigned").unwrap();
    let error = signing
        .bed
        .try_start(&signing.table(Signed::FirstParent))
        .await
        .unwrap_err();
    assert_eq!(error.kind.as_str(), "signature");
    std::fs::remove_file(&signing.signers).unwrap();
    let error = signing
        .bed
        .try_start(&signing.table(Signed::FirstParent))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("signers"), "{error}");
}

fn gpg(home: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new("gpg");
    command
        .env("GNUPGHOME", home)
        .args(["--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback"]);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A key in a home of its own, and a program that signs with it.
fn openpgp_key(folder: &Path, name: &str) -> (PathBuf, Vec<u8>) {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let home = folder.join(name);
    std::fs::DirBuilder::new().mode(0o700).create(&home).unwrap();
    let who = format!("{name} <{name}@example.com>");
    gpg(
        &home,
        &[
            "--passphrase",
            "",
            "--quick-generate-key",
            &who,
            "ed25519",
            "sign",
            "never",
        ],
    );
    let program = folder.join(format!("{name}.sh"));
    std::fs::write(
        &program,
        format!("#!/bin/sh\nGNUPGHOME={} exec gpg --batch \"$@\"\n", home.display()),
    )
    .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let public = gpg(&home, &["--armor", "--export"]);
    (program, public)
}

#[tokio::test]
async fn openpgp_keys_of_the_keyring_count_and_no_others() {
    let (bed, _) = Bed::new();
    // The sockets of gpg's agent have short names only.
    let folder = tempfile::Builder::new().prefix("pgp").tempdir_in("/tmp").unwrap();
    let (ada, public) = openpgp_key(folder.path(), "ada");
    let (eve, _) = openpgp_key(folder.path(), "eve");
    let keyring = folder.path().join("keys.asc");
    std::fs::write(&keyring, public).unwrap();
    let commit = |program: &Path, who: &str| {
        let program = format!("gpg.program={}", program.display());
        let key = format!("-S{who}@example.com");
        bed.origin
            .git(&[
                "-c",
                &program,
                "commit",
                "--quiet",
                "--allow-empty",
                &key,
                "--message",
                who,
            ])
            .unwrap();
        bed.origin.push().unwrap();
        bed.origin.head().unwrap()
    };
    let first = commit(&ada, "ada");
    let table = GitTable {
        keyring: Some(keyring),
        ..bed.table()
    };
    let following = bed.start(&table).await;
    assert_eq!(following.commit(), first);
    commit(&eve, "eve");
    following.refuses("signature").await;
    bed.origin.git(&["reset", "--quiet", "--hard", &first]).unwrap();
    let key = SshKey::generate(&folder.path().join("ssh"), KeyKind::Ed25519).unwrap();
    bed.origin
        .commit_signed("with an SSH key, which the keyring has not", key.path())
        .unwrap();
    following.refuses("signature").await;
    bed.origin.git(&["reset", "--quiet", "--hard", &first]).unwrap();
    let second = commit(&ada, "ada");
    following.pull().await.unwrap();
    assert_eq!(following.commit(), second);
    for name in ["ada", "eve"] {
        let mut end = Command::new("gpgconf");
        end.env("GNUPGHOME", folder.path().join(name))
            .args(["--kill", "gpg-agent"]);
        assert!(end.status().unwrap().success());
    }
}
