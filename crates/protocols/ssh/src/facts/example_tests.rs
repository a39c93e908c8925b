//! The example policy's cases about hosts.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;

use bytes::Bytes;
use sallyport_policy::{Act, Bundle, Case, Classification, Resource, SchemaFragment};
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

/// The example policy.
fn example() -> Bundle {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let schema = |name: &str, text: &str| SchemaFragment {
        name: name.into(),
        text: text.into(),
    };
    let sql = std::fs::read_to_string(root.join("crates/protocols/postgres/src/schema.cedarschema")).unwrap();
    let fragments = [schema("postgres", &sql), schema("ssh", Ssh::SCHEMA)];
    Bundle::load(&root.join("policy"), &fragments).unwrap_or_else(|error| panic!("{error}"))
}

/// Its cases about hosts.
fn cases(bundle: &Bundle) -> Vec<Case> {
    let mut cases = bundle.cases().unwrap();
    cases.retain(|case| case.target == "web-1");
    cases
}

fn host(name: &str) -> Option<Resource> {
    (name == "web-1").then(|| Resource {
        name: name.to_owned(),
        protocol: "ssh".to_owned(),
        environment: Some("production".to_owned()),
        tags: Vec::new(),
    })
}

#[test]
fn the_example_passes_its_cases_about_hosts_and_they_cover_its_rules() {
    let bundle = example();
    let cases = cases(&bundle);
    let classification = bundle.classification("web-1");
    let report = bundle.run(&cases, host, |case, _| {
        Ok(understand(case.command.as_deref().unwrap_or_default(), &classification))
    });
    let said: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{said:#?}");
    assert!(report.passed > 10);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let rules = std::fs::read_to_string(root.join("policy/rules/hosts.cedar")).unwrap();
    let mut uncovered: Vec<String> = report.uncovered.iter().map(ToString::to_string).collect();
    uncovered.retain(|id| rules.contains(&format!("@id(\"{id}\")")));
    assert!(uncovered.is_empty(), "{uncovered:?}");
}

#[test]
fn the_cases_about_hosts_notice_when_one_of_the_example_s_rules_about_hosts_is_gone() {
    let bundle = example();
    let mutation = bundle.survivors(&cases(&bundle), host, |bundle, case, target| {
        let classification = bundle.classification(&target.name);
        Ok(understand(case.command.as_deref().unwrap_or_default(), &classification))
    });
    assert_eq!(mutation.failing, 0);
    assert!(mutation.tried > 200, "{}", mutation.tried);
    let of_hosts = mutation.survivors.iter().map(|survivor| survivor.note.to_string());
    let of_hosts: Vec<String> = of_hosts.filter(|note| note.starts_with("rules/hosts.cedar")).collect();
    let gone: Vec<&String> = of_hosts.iter().filter(|note| note.ends_with("removed")).collect();
    assert!(gone.is_empty(), "{gone:#?}");
}
