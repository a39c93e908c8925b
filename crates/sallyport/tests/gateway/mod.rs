//! The real binary as a gateway on free ports, and as a person's command line with a home of its own.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct Gateway {
    pub(crate) folder: TempDir,
    process: Child,
    pub(crate) api: String,
    pub(crate) postgres: String,
    pub(crate) ssh: Option<String>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

pub(crate) fn sallyport(folder: &Path) -> Command {
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

pub(crate) fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
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

pub(crate) fn good(folder: &Path, arguments: &[&str], input: &str) -> String {
    let output = run(folder, arguments, input);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn bad(folder: &Path, arguments: &[&str], input: &str) -> String {
    let output = run(folder, arguments, input);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

impl Gateway {
    /// alice and root, a policy, and nothing behind it.
    pub(crate) fn start() -> Self {
        let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policy");
        Self::start_with(Path::new(policy), "")
    }

    /// The same with a policy of its own, and more of `[listen]`.
    pub(crate) fn start_with(policy: &Path, listen: &str) -> Self {
        Self::configured(policy, listen, "")
    }

    /// The same with more of the configuration.
    pub(crate) fn configured(policy: &Path, listen: &str, rest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let password = format!("{PASSWORD}\n");
        good(at, &["people", "add", "alice", "--group", "developers"], &password);
        good(at, &["people", "add", "root", "--group", "admins"], &password);
        let config = format!(
            "state_dir = {:?}\npolicy = {:?}\n[listen]\npostgres = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n{listen}\n[identity]\npeople = {:?}\n{rest}",
            at.join("state"),
            policy,
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
        let ssh = fields["ssh"].as_str().map(ToOwned::to_owned);
        Self {
            folder,
            process,
            api,
            postgres,
            ssh,
        }
    }
}
