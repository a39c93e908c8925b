//! Logging in to the gateway's SSH with nothing but a browser: the real `ssh`, and a real OpenID provider.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    dead_code,
    reason = "tests"
)]

#[path = "../../identity/tests/browser/mod.rs"]
mod browser;
mod gateway;
#[path = "../../identity/tests/idp/mod.rs"]
mod idp;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use browser::Browser;
use gateway::Gateway;
use idp::Idp;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use url::Url;

/// A policy with one host, which nobody can reach.
fn policy(dir: &Path) {
    let targets = "[[target]]\nname = \"web-1\"\nprotocol = \"ssh\"\naddress = \"127.0.0.1:1\"\nuser = \"deploy\"\n\
        certificate = true\n\
        host_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJYQp1mS0Z3cS5s8OQbSYjTCyUwCsR3b4Nm0EIuNXVfP\"]\n";
    std::fs::write(dir.join("targets.toml"), targets).unwrap();
    std::fs::create_dir(dir.join("rules")).unwrap();
    let rules = "@id(\"in\") permit (principal, action == Action::\"connect\", resource);\n";
    std::fs::write(dir.join("rules/rules.cedar"), rules).unwrap();
}

/// A person who answers every question with nothing.
fn connect(gateway: &Gateway, user: &str) -> Child {
    let (_, port) = gateway.ssh.as_ref().unwrap().rsplit_once(':').unwrap();
    let answer = gateway.folder.path().join("answer");
    std::fs::write(&answer, "#!/bin/sh\necho\n").unwrap();
    std::fs::set_permissions(&answer, PermissionsExt::from_mode(0o700)).unwrap();
    let mut ssh = Command::new("ssh");
    ssh.args([
        "-F",
        "none",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
    ])
    .args([
        "-o",
        "PreferredAuthentications=keyboard-interactive",
        "-p",
        port,
        "-l",
        user,
    ])
    .args(["127.0.0.1", "true"])
    .env("SSH_ASKPASS", answer)
    .env("SSH_ASKPASS_REQUIRE", "force")
    .env_remove("SSH_AUTH_SOCK")
    .stdin(Stdio::null())
    .stdout(Stdio::null())
    .stderr(Stdio::piped())
    .kill_on_drop(true);
    ssh.spawn().unwrap()
}

/// What `ssh` says until its end. `visit` is given the link that it shows.
async fn said(mut ssh: Child, mut visit: impl AsyncFnMut(Url)) -> String {
    let mut lines = BufReader::new(ssh.stderr.take().unwrap()).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        said.push_str(&line);
        said.push('\n');
        if let Ok(url) = Url::parse(line.trim())
            && url.query().is_some()
        {
            visit(url).await;
        }
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_with_a_browser_is_let_in_under_their_own_name_alone() {
    let idp = Idp::start().await;
    let bundle = tempfile::tempdir().unwrap();
    policy(bundle.path());
    let provider = format!(
        "[[identity.oidc]]\nissuer = \"{}\"\nclient_id = \"sallyport\"\ndevice = true\n",
        idp.issuer
    );
    let gateway = Gateway::configured(bundle.path(), "ssh = \"127.0.0.1:0\"", &provider);
    let dana = async |url: Url| drop(Browser::new().log_in(&url, "dana").await);

    let own = said(connect(&gateway, "dana@example.com@web-1"), dana).await;
    assert!(own.contains("To log in as dana@example.com, go to"), "{own}");
    assert!(
        own.contains("`web-1` is not available"),
        "known, and the host is not there: {own}"
    );

    // Who sends the link to somebody else does not become them.
    let other = said(connect(&gateway, "alice@example.com@web-1"), dana).await;
    assert!(
        other.contains("somebody else logged in") && !other.contains("not available"),
        "{other}"
    );
}
