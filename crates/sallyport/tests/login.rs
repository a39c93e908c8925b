//! The person's side of identity with the real binary: people file, login, tokens, logout.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery";

struct Gateway {
    folder: TempDir,
    process: Child,
    api: String,
    postgres: String,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

fn sallyport(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sallyport"));
    command
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .env("HOME", folder)
        .current_dir(folder);
    for name in ["SALLYPORT_API", "SALLYPORT_TOKEN", "SALLYPORT_PEOPLE", "SALLYPORT_LOG"] {
        command.env_remove(name);
    }
    command
}

fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = sallyport(folder);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // A command that asks for nothing may be gone before it is told anything.
    let _gone = process.stdin.take().unwrap().write_all(input.as_bytes());
    process.wait_with_output().unwrap()
}

fn good(folder: &Path, arguments: &[&str], input: &str) -> String {
    let output = run(folder, arguments, input);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn bad(folder: &Path, arguments: &[&str], input: &str) -> String {
    let output = run(folder, arguments, input);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

impl Gateway {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let password = format!("{PASSWORD}\n");
        good(at, &["people", "add", "alice", "--group", "developers"], &password);
        good(at, &["people", "add", "root", "--group", "admins"], &password);
        let config = format!(
            "state_dir = {:?}\npolicy = {:?}\n[listen]\npostgres = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n[identity]\npeople = {:?}\n",
            at.join("state"),
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../policy"),
            at.join("people.toml"),
        );
        std::fs::write(at.join("sallyport.toml"), config).unwrap();
        let mut process = sallyport(at)
            .arg("gateway")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let fields = loop {
            let line = lines.next().unwrap_or_else(|| Ok(String::new())).unwrap();
            assert!(!line.is_empty(), "the gateway ended: {said}");
            said.push_str(&line);
            let entry: Value = serde_json::from_str(&line).unwrap_or_default();
            if entry["fields"]["message"] == "the gateway listens" {
                break entry["fields"].clone();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        let api = format!("http://{}", fields["api"].as_str().unwrap());
        let postgres = fields["postgres"].as_str().unwrap().to_owned();
        Self {
            folder,
            process,
            api,
            postgres,
        }
    }

    /// What a PostgreSQL client hears that gives `token` as alice's password, up to the authentication's result.
    fn knock(&self, token: &str) -> Vec<u8> {
        use std::io::Read;
        let mut startup = 196_608_u32.to_be_bytes().to_vec();
        startup.extend(b"user\0alice\0database\0nowhere\0\0");
        let mut stream = TcpStream::connect(&self.postgres).unwrap();
        stream
            .write_all(&u32::try_from(startup.len() + 4).unwrap().to_be_bytes())
            .unwrap();
        stream.write_all(&startup).unwrap();
        let mut asked = [0; 9];
        stream.read_exact(&mut asked).unwrap();
        assert_eq!(asked, *b"R\0\0\0\x08\0\0\0\x03", "a password is asked for");
        stream.write_all(b"p").unwrap();
        stream
            .write_all(&u32::try_from(token.len() + 5).unwrap().to_be_bytes())
            .unwrap();
        stream.write_all(token.as_bytes()).unwrap();
        stream.write_all(b"\0").unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        heard
    }
}

#[test]
fn from_the_people_file_to_a_revoked_token() {
    let gateway = Gateway::start();
    let at = gateway.folder.path();
    let password = format!("{PASSWORD}\n");
    assert!(bad(at, &["token"], "").contains("log in first"));
    let error = bad(
        at,
        &["login", "--api", &gateway.api, "--user", "alice"],
        "wrong horse\n",
    );
    assert!(error.contains("user name or the password is wrong"), "{error}");
    assert!(bad(at, &["login", "--api", &gateway.api], "").contains("--user NAME"));
    good(at, &["login", "--api", &gateway.api, "--user", "alice"], &password);
    let kept = at.join("config/sallyport/credentials");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);

    // The bare token, fit for PGPASSWORD=$(sallyport token).
    let token = good(at, &["token", "--name", "psql", "--ttl", "5m"], "");
    let token = token.trim_end();
    assert!(token.starts_with("spt_") && token.len() == 47, "{token}");
    let listed: Value = serde_json::from_str(&good(at, &["token", "list", "--json"], "")).unwrap();
    let row = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "psql")
        .unwrap();
    assert_eq!((&row["user"], &row["scope"]), (&"alice".into(), &"target".into()));
    let scoped: Value = serde_json::from_str(&good(at, &["token", "--target", "orders", "--json"], "")).unwrap();
    assert_eq!(scoped["target"], "orders");
    assert!(bad(at, &["token", "--ttl", "13h"], "").contains("43200 seconds"));

    let heard = String::from_utf8_lossy(&gateway.knock(token)).into_owned();
    assert!(
        heard.contains("there is no target"),
        "the token was taken, the target is unknown: {heard:?}"
    );
    good(at, &["token", "revoke", row["id"].as_str().unwrap()], "");
    let heard = String::from_utf8_lossy(&gateway.knock(token)).into_owned();
    assert!(heard.contains("revoked"), "{heard:?}");

    good(at, &["logout"], "");
    assert!(bad(at, &["token"], "").contains("log in first"));
    let scoped = scoped["token"].as_str().unwrap();
    let heard = String::from_utf8_lossy(&gateway.knock(scoped)).into_owned();
    assert!(heard.contains("revoked"), "logging out ends the tokens: {heard:?}");
}

#[test]
fn the_people_file_is_kept_by_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let password = format!("{PASSWORD}\n");
    good(
        at,
        &["people", "add", "alice", "--group", "developers", "--group", "oncall"],
        &password,
    );
    good(at, &["people", "add", "ci", "--machine", "--no-password"], "");
    assert!(bad(at, &["people", "add", "alice"], &password).contains("already"));
    assert!(bad(at, &["people", "add", "al ice"], &password).contains("principal's name"));
    assert!(bad(at, &["people", "add", "eve"], "short\n").contains("at least 8"));
    assert!(bad(at, &["people", "passwd", "nobody"], &password).contains("not in the people file"));
    good(at, &["people", "groups", "alice", "dba"], "");
    good(at, &["people", "passwd", "alice"], "another horse battery\n");
    let listed: Value = serde_json::from_str(&good(at, &["people", "list", "--json"], "")).unwrap();
    assert_eq!(
        listed[0],
        serde_json::json!({ "id": "alice", "kind": "user", "groups": ["dba"], "password": true })
    );
    assert_eq!(
        listed[1],
        serde_json::json!({ "id": "ci", "kind": "machine", "groups": [], "password": false })
    );
    let text = std::fs::read_to_string(at.join("people.toml")).unwrap();
    assert!(!text.contains("horse") && text.contains("$argon2id$"), "{text}");
    good(at, &["people", "remove", "ci"], "");
    assert!(!good(at, &["people", "list"], "").contains("ci"));
}
