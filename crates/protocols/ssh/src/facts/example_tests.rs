//! The example policy's cases about hosts.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use sallyport_policy::{Act, Bundle, CaseReport, Classification, Resource, SchemaFragment};
use sallyport_session::Protocol;
use sallyport_sftp::{Ask, AskId, FileAct, Place};

use super::{file, forward, start};
use crate::Ssh;
use crate::account::Account;
use crate::connection::ClientOpen;
use crate::conversation::{Setup, Start};

/// What a case's command is understood as.
fn understand(command: &str, classification: &Classification) -> Vec<Act> {
    let account = Account::for_tests("deploy");
    let setup = Setup::default();
    let place = |path: &str| Place {
        path: Bytes::copy_from_slice(path.as_bytes()),
        written: Bytes::copy_from_slice(path.as_bytes()),
        resolved: true,
    };
    let by_sftp = |act: FileAct| Ask {
        id: AskId(0),
        act,
        text: String::new(),
        size: None,
        request: Bytes::new(),
    };
    let started = |start_with: Start| start(&start_with, &setup, &account, classification).0;
    let understood = match command.split_once(' ') {
        Some(("GET", path)) => file(&by_sftp(FileAct::Read { at: place(path) }), &account, classification),
        Some(("PUT", path)) => {
            let act = FileAct::Write {
                at: place(path),
                reads: false,
                create: true,
                truncate: true,
                append: false,
                exclusive: false,
                mode: None,
            };
            file(&by_sftp(act), &account, classification)
        }
        Some(("SUBSYSTEM", name)) => started(Start::Subsystem(name.to_owned())),
        Some(("FORWARD", to)) => {
            let (host, port) = to.rsplit_once(':').unwrap();
            let open = ClientOpen::Tcp {
                host: host.to_owned(),
                port: port.parse().unwrap(),
                originator: (String::new(), 0),
            };
            forward(&open, &account)
        }
        _ if command == "SHELL" => started(Start::Shell),
        _ => started(Start::Exec(Bytes::copy_from_slice(command.as_bytes()))),
    };
    understood.shape.acts.clone()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// Runs the cases about hosts of a bundle of the repository. All must pass.
fn run(path: &str) -> CaseReport {
    let root = root();
    let schema = |name: &str, text: &str| SchemaFragment {
        name: name.into(),
        text: text.into(),
    };
    let sql = std::fs::read_to_string(root.join("crates/protocols/postgres/src/schema.cedarschema")).unwrap();
    let fragments = [schema("postgres", &sql), schema("ssh", Ssh::SCHEMA)];
    let bundle = Bundle::load(&root.join(path), &fragments).unwrap_or_else(|error| panic!("{error}"));
    let mut cases = bundle.cases().unwrap();
    cases.retain(|case| case.target == "web-1");
    let host = |name: &str| {
        (name == "web-1").then(|| Resource {
            name: name.to_owned(),
            protocol: "ssh".to_owned(),
            environment: Some("production".to_owned()),
            tags: Vec::new(),
        })
    };
    let classification = bundle.classification("web-1");
    let report = bundle.run(&cases, host, |case, _| {
        Ok(understand(case.command.as_deref().unwrap_or_default(), &classification))
    });
    let said: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{said:#?}");
    report
}

#[test]
fn the_example_passes_its_cases_about_hosts_and_they_cover_its_rules() {
    let report = run("policy");
    assert!(report.passed > 10);
    let rules = std::fs::read_to_string(root().join("policy/rules/hosts.cedar")).unwrap();
    let mut uncovered: Vec<String> = report.uncovered.iter().map(ToString::to_string).collect();
    uncovered.retain(|id| rules.contains(&format!("@id(\"{id}\")")));
    assert!(uncovered.is_empty(), "{uncovered:?}");
}

#[test]
fn the_bundle_to_start_from_passes_its_cases_about_hosts() {
    assert_eq!(run("crates/sallyport/src/commands/policy/start").passed, 10);
}
