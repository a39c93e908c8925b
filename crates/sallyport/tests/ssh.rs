//! The person's side of SSH with the real binary, and with the real `ssh`: certificates, configuration, keys.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod gateway;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gateway::{Gateway, PASSWORD, bad, good, run};
use serde_json::Value;
use tempfile::TempDir;

/// A policy with hosts that nobody can reach: alice may go to two of them, and to one only as `deploy`.
fn policy() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJYQp1mS0Z3cS5s8OQbSYjTCyUwCsR3b4Nm0EIuNXVfP";
    let host = |name: &str, logins: &str| {
        format!(
            "[[target]]\nname = \"{name}\"\nprotocol = \"ssh\"\naddress = \"127.0.0.1:1\"\nuser = \"deploy\"\n\
             logins = [{logins}]\ncertificate = true\nhost_keys = [\"{key}\"]\n"
        )
    };
    let targets = [
        host("web-1", "\"root\""),
        host("db-1", "\"postgres\""),
        host("vault", "\"root\""),
    ]
    .concat();
    fs::write(dir.path().join("targets.toml"), targets).unwrap();
    fs::create_dir(dir.path().join("rules")).unwrap();
    let rules = r#"
        @id("in") permit (principal, action == Action::"connect", resource);
        @id("not-the-vault") forbid (principal, action == Action::"connect", resource == Target::"vault");
        @id("no-root") forbid (principal, action == Action::"connect", resource == Target::"web-1")
        when { context.database == "root" };
    "#;
    fs::write(dir.path().join("rules/rules.cedar"), rules).unwrap();
    dir
}

fn start(policy: &TempDir) -> Gateway {
    Gateway::start_with(policy.path(), "ssh = \"127.0.0.1:0\"")
}

fn log_in(gateway: &Gateway) {
    let password = format!("{PASSWORD}\n");
    let login = ["login", "--api", &gateway.api, "--user", "alice"];
    good(gateway.folder.path(), &login, &password);
}

/// The folder that the person's `ssh` has for the gateway.
fn identity(gateway: &Gateway) -> PathBuf {
    let folder = gateway.folder.path().join("config/sallyport/ssh");
    let mut folders = fs::read_dir(folder).unwrap();
    folders.next().unwrap().unwrap().path()
}

/// What `ssh` makes of a name with the person's configuration.
fn resolved(home: &Path, name: &str) -> String {
    let output = ssh(home, &["-G", name]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `ssh` with this person's configuration alone: it takes the home from the system, not from the environment.
fn ssh(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("ssh");
    command.arg("-F").arg(home.join(".ssh/config")).args(arguments);
    command
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null());
    command
}

#[test]
fn a_login_brings_a_certificate_and_a_logout_takes_it() {
    let policy = policy();
    let gateway = start(&policy);
    let at = gateway.folder.path();
    assert!(bad(at, &["ssh-certificate", "--api", &gateway.api], "").contains("sallyport login"));
    log_in(&gateway);
    let folder = identity(&gateway);
    let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("id_ed25519"), mode("id_ed25519-cert.pub")), (0o600, 0o600));
    let shown = Command::new("ssh-keygen")
        .args(["-L", "-f"])
        .arg(folder.join("id_ed25519-cert.pub"))
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("Key ID: \"alice ") && shown.contains("                alice\n"),
        "{shown}"
    );

    // One that is good stays; one that is gone, or asked for, is made anew.
    let certificate = || fs::read(folder.join("id_ed25519-cert.pub")).unwrap();
    let first = certificate();
    assert_eq!(good(at, &["ssh-certificate", "--quiet"], ""), "");
    assert_eq!(certificate(), first);
    let shown: Value = serde_json::from_str(&good(at, &["ssh-certificate", "--renew", "--json"], "")).unwrap();
    assert_ne!(certificate(), first);
    assert_eq!(shown["identity"], folder.join("id_ed25519").to_str().unwrap());
    fs::remove_file(folder.join("id_ed25519-cert.pub")).unwrap();
    let line = good(at, &["ssh-certificate"], "");
    assert_eq!(
        line,
        format!("{}\t14 min\n", folder.join("id_ed25519-cert.pub").display())
    );

    good(at, &["logout"], "");
    assert!(!folder.join("id_ed25519-cert.pub").exists());
    assert!(bad(at, &["ssh-certificate", "--quiet", "--api", &gateway.api], "").contains("sallyport login"));
}

#[test]
fn ssh_finds_hosts_by_the_written_configuration_and_is_let_in() {
    let policy = policy();
    let gateway = start(&policy);
    let home = gateway.folder.path();
    log_in(&gateway);
    let old = "Host old\n    User me\n";
    fs::create_dir(home.join(".ssh")).unwrap();
    fs::write(home.join(".ssh/config"), old).unwrap();
    let names = good(home, &["ssh-config", "--write"], "");
    assert_eq!(names, "web-1.sallyport\ndb-1.sallyport\npostgres.db-1.sallyport\n");
    good(home, &["ssh-config", "--write"], "");
    let config = fs::read_to_string(home.join(".ssh/config")).unwrap();
    assert!(config.starts_with("Include ") && config.ends_with(old), "{config}");
    assert_eq!(config.matches("Include").count(), 1);

    let listen = gateway.ssh.as_ref().unwrap();
    let (_, port) = listen.rsplit_once(':').unwrap();
    for (name, user) in [
        ("web-1.sallyport", "alice@web-1"),
        ("postgres.db-1.sallyport", "alice@postgres@db-1"),
    ] {
        let options = resolved(home, name);
        for option in [
            format!("user {user}"),
            format!("port {port}"),
            "hostname 127.0.0.1".to_owned(),
        ] {
            assert!(options.lines().any(|line| line == option), "{option}: {options}");
        }
    }
    assert!(resolved(home, "old").contains("user me\n"));
    assert!(!resolved(home, "elsewhere").contains("sallyport"));

    // The certificate is renewed by `ssh` itself, and opens the gateway: it is the host behind it that is not there.
    fs::remove_file(identity(&gateway).join("id_ed25519-cert.pub")).unwrap();
    let output = ssh(home, &["-v", "-o", "BatchMode=yes", "web-1.sallyport", "true"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(identity(&gateway).join("id_ed25519-cert.pub").exists(), "{said}");
    assert!(
        said.contains("Server accepts key") && said.contains("ED25519-CERT"),
        "{said}"
    );
    assert!(!said.contains("Permission denied"), "{said}");
    assert!(!output.status.success());
}

#[test]
fn what_is_shown_is_what_policy_lets_one_see() {
    let policy = policy();
    let gateway = start(&policy);
    let at = gateway.folder.path();
    log_in(&gateway);
    let info: Value = serde_json::from_str(&good(at, &["ssh-config", "--json"], "")).unwrap();
    let expected = serde_json::json!([
        { "name": "web-1", "logins": ["deploy"] },
        { "name": "db-1", "logins": ["deploy", "postgres"] },
    ]);
    assert_eq!(info["targets"], expected);
    assert_eq!(info["user"], "alice");
    let authority = good(at, &["ssh-config", "--host-authority"], "");
    assert_eq!(authority.trim(), info["authority"].as_str().unwrap());
    assert!(authority.starts_with("ssh-ed25519 "));
    let shown = good(at, &["ssh-config"], "");
    assert!(shown.starts_with("# Sallyport at http://127.0.0.1:"), "{shown}");
    assert!(!at.join(".ssh").exists(), "nothing is written that was not asked for");
    // The gateway's key is known before the first connection.
    let known = fs::read_to_string(identity(&gateway).join("known_hosts")).unwrap();
    assert_eq!(
        known.trim(),
        format!("sallyport {}", info["host_keys"][0].as_str().unwrap())
    );
}

#[test]
fn keys_are_registered_listed_and_removed() {
    let policy = policy();
    let gateway = start(&policy);
    let at = gateway.folder.path();
    log_in(&gateway);
    for (name, kind) in [("laptop", "ed25519"), ("desk", "ecdsa")] {
        let file = at.join(name);
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-N", "", "-t", kind, "-C", name, "-f"]).arg(&file);
        assert!(keygen.status().unwrap().success());
    }
    assert!(bad(at, &["keys", "add", "laptop"], "").contains("stays where it is"));
    let fingerprint = good(at, &["keys", "add", "laptop.pub"], "");
    let shown = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(at.join("laptop.pub"))
        .output()
        .unwrap();
    assert!(String::from_utf8(shown.stdout).unwrap().contains(fingerprint.trim()));
    let added: Value = serde_json::from_str(&good(
        at,
        &["keys", "add", "desk.pub", "--name", "the desk", "--json"],
        "",
    ))
    .unwrap();
    assert_eq!(
        (&added["type"], &added["name"]),
        (&"ecdsa-sha2-nistp256".into(), &"the desk".into())
    );
    assert!(bad(at, &["keys", "add", "desk.pub"], "").contains("registered already"));
    let rows = good(at, &["keys", "list"], "");
    let rows: Vec<Vec<&str>> = rows.lines().map(|row| row.split('\t').collect()).collect();
    assert_eq!(
        (rows.len(), rows[0][0], rows[0][2], rows[1][2]),
        (2, fingerprint.trim(), "laptop", "the desk")
    );

    // A client without a certificate is let in with it, and no more once it is removed.
    let (_, port) = gateway.ssh.as_ref().unwrap().rsplit_once(':').unwrap();
    let key = at.join("laptop");
    let connect = || {
        let output = Command::new("ssh")
            .args([
                "-F",
                "none",
                "-v",
                "-o",
                "BatchMode=yes",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "IdentitiesOnly=yes",
            ])
            .args([
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-p",
                port,
                "-l",
                "alice@web-1",
                "-i",
            ])
            .arg(&key)
            .args(["127.0.0.1", "true"])
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = connect();
    assert!(
        said.contains("Server accepts key") && !said.contains("Permission denied"),
        "{said}"
    );
    good(at, &["keys", "remove", "laptop"], "");
    let said = connect();
    assert!(
        said.contains("Permission denied") && !said.contains("Server accepts key"),
        "{said}"
    );
    assert!(bad(at, &["keys", "remove", "laptop"], "").contains("no key"));
}

#[test]
fn a_gateway_without_ssh_gives_a_login_and_says_so() {
    let gateway = Gateway::start();
    let at = gateway.folder.path();
    let password = format!("{PASSWORD}\n");
    let output = run(at, &["login", "--api", &gateway.api, "--user", "alice"], &password);
    assert!(output.status.success());
    assert!(
        !String::from_utf8(output.stderr).unwrap().contains("SSH"),
        "there is nothing to say of it"
    );
    for command in [["ssh-config", "--json"], ["ssh-certificate", "--quiet"]] {
        assert!(bad(at, &command, "").contains("the gateway has no SSH"), "{command:?}");
    }
}
