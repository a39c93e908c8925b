//! Hosts over the network: HTTP with a token, redirects, silence; SSH with a key and a host that is known.
#![allow(clippy::unwrap_used, reason = "tests")]

mod bed;

use std::path::Path;
use std::process::Command;

use bed::{Bed, NONE};
use sallyport_policy_git::GitTable;
use sallyport_testbed::{Account, GitHttp, HttpOptions, KeyKind, SshKey, Sshd, SshdOptions};

fn over(bed: &Bed, host: &GitHttp) -> GitTable {
    GitTable {
        git: host.address("origin.git"),
        ..bed.table()
    }
}

fn serve(bed: &Bed, options: HttpOptions) -> GitHttp {
    GitHttp::start(bed.origin.bare().parent().unwrap(), options).unwrap()
}

#[tokio::test]
async fn a_token_is_shown_to_the_host_and_read_anew_each_time() {
    let (bed, first) = Bed::new();
    // `me:secret`
    let authorization = Some("Basic bWU6c2VjcmV0".to_owned());
    let host = serve(
        &bed,
        HttpOptions {
            authorization,
            redirect: None,
        },
    );
    let token = bed.state.path().join("token");
    std::fs::write(&token, "wrong\n").unwrap();
    let table = GitTable {
        username: Some("me".to_owned()),
        token_file: Some(token.clone()),
        ..over(&bed, &host)
    };
    let error = bed.try_start(&table).await.unwrap_err();
    assert_eq!(error.kind.as_str(), "unreachable");
    assert!(!error.to_string().contains("wrong"), "{error}");
    std::fs::write(&token, "secret\n").unwrap();
    let following = bed.start(&table).await;
    assert_eq!(following.commit(), first);
    std::fs::remove_file(&token).unwrap();
    following.refuses("unreachable").await;
}

#[tokio::test]
async fn a_host_that_sends_elsewhere_is_not_followed() {
    let (bed, _) = Bed::new();
    let other = serve(&bed, HttpOptions::default());
    let redirect = other
        .address("")
        .trim_start_matches("git+")
        .trim_end_matches('/')
        .to_owned();
    let host = serve(
        &bed,
        HttpOptions {
            redirect: Some(redirect),
            authorization: None,
        },
    );
    assert!(bed.try_start(&over(&bed, &host)).await.is_err());
    assert!(host.requests() > 0);
    assert_eq!(other.requests(), 0, "the other was never asked");
}

/// The processes whose arguments or folder speak of `folder`.
fn processes(folder: &Path) -> Vec<String> {
    let output = Command::new("ps").args(["-eo", "pid,args"]).output().unwrap();
    let all = String::from_utf8_lossy(&output.stdout).into_owned();
    let folder = folder.display().to_string();
    all.lines()
        .filter(|line| line.contains(&folder))
        .map(ToOwned::to_owned)
        .collect()
}

#[tokio::test]
async fn a_host_that_falls_silent_is_given_up_and_git_with_all_its_children_ended() {
    let (bed, _) = Bed::new();
    let host = serve(&bed, HttpOptions::default());
    let table = GitTable {
        timeout: Some("2s".to_owned()),
        ..over(&bed, &host)
    };
    let following = bed.start(&table).await;
    host.stall(true);
    bed.origin.write("rules/all.cedar", NONE).unwrap();
    let second = bed.origin.commit("nothing").unwrap();
    let trouble = following.refuses("fetch").await;
    assert!(trouble.message.contains("more than 2 seconds"), "{trouble}");
    assert_eq!(processes(bed.state.path()), Vec::<String>::new());
    host.stall(false);
    following.pull().await.unwrap();
    assert_eq!(following.commit(), second);
    host.refuse(true);
    following.refuses("unreachable").await;
    assert_eq!(following.told(), ["failed", "recovered", "failed"]);
}

#[tokio::test]
async fn over_ssh_the_host_is_known_or_nothing_is_fetched() {
    let (bed, first) = Bed::new();
    let key = SshKey::generate(&bed.state.path().join("a key"), KeyKind::Ed25519).unwrap();
    let account = Account::new("git").with_key(key.public());
    let sshd = Sshd::start(&SshdOptions {
        accounts: vec![account],
        ..SshdOptions::default()
    })
    .unwrap();
    // The account may read the repository and is not its owner, which git at the host asks to be told is fine.
    let home = sshd.home("git");
    let folder = home.join("policy.git");
    let mut copy = Command::new("cp");
    assert!(
        copy.arg("-r")
            .arg(bed.origin.bare())
            .arg(&folder)
            .status()
            .unwrap()
            .success()
    );
    std::fs::write(home.join(".gitconfig"), "[safe]\n\tdirectory = *\n").unwrap();
    let known = bed.state.path().join("known hosts");
    let line = |key: &String| format!("[127.0.0.1]:{} {key}\n", sshd.port());
    std::fs::write(&known, sshd.host_keys().iter().map(line).collect::<String>()).unwrap();
    let table = GitTable {
        git: format!("git+ssh://git@127.0.0.1:{}{}", sshd.port(), folder.display()),
        identity_file: Some(key.path().to_owned()),
        known_hosts_file: Some(known.clone()),
        ..bed.table()
    };
    let following = bed.start(&table).await;
    assert_eq!(following.commit(), first);

    let other = SshKey::generate(&bed.state.path().join("other"), KeyKind::Ed25519).unwrap();
    std::fs::write(&known, line(&other.public().to_owned())).unwrap();
    following.refuses("unreachable").await;
    let stranger = GitTable {
        identity_file: Some(other.path().to_owned()),
        ..table
    };
    std::fs::write(&known, sshd.host_keys().iter().map(line).collect::<String>()).unwrap();
    drop(following);
    let following = bed.start(&stranger).await;
    assert_eq!(
        following.follower.status().trouble.unwrap().1.kind.as_str(),
        "unreachable"
    );
}
