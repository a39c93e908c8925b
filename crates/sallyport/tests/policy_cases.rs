//! Cases of a bundle, and explanations, on the example policy: the program as people run it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `sallyport policy …` beside the example.
fn policy(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sallyport"));
    command
        .arg("policy")
        .args(arguments)
        .current_dir(root())
        .env("NO_COLOR", "1");
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The example, to be changed.
fn copy() -> TempDir {
    let dir = TempDir::new().unwrap();
    for folder in ["rules", "tests", "names", ""] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
        for entry in fs::read_dir(root().join("policy").join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_file() {
                fs::copy(entry.path(), dir.path().join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
    dir
}

fn edit(dir: &TempDir, file: &str, from: &str, to: &str) {
    let path = dir.path().join(file);
    let before = fs::read_to_string(&path).unwrap();
    assert!(before.contains(from), "{file} has no {from}");
    fs::write(path, before.replacen(from, to, 1)).unwrap();
}

#[test]
fn the_example_passes_its_cases_and_they_cover_its_rules() {
    let out = policy(&["test", "--min-coverage", "100"]);
    let said = text(&out.stdout);
    assert!(out.status.success(), "{said}\n{}", text(&out.stderr));
    assert!(said.contains("rules decided one (100 %)"), "{said}");
    let out = policy(&["test", "--json"]);
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(report["failures"], serde_json::json!([]));
    assert_eq!(report["rules"]["files-by-sftp"], 1);
}

#[test]
fn a_rule_that_is_weakened_fails_a_case_and_an_uncovered_one_the_coverage() {
    let dir = copy();
    edit(
        &dir,
        "rules/changes.cedar",
        "unless { context.unrestricted.isEmpty() };",
        "unless { context.statement_count == 1 };",
    );
    let at = dir.path().to_str().unwrap();
    let out = policy(&["test", at, "--json"]);
    assert!(!out.status.success());
    let said = text(&out.stdout);
    assert!(
        said.contains("a DELETE of everything is refused: allow (developers-work), not deny"),
        "{said}"
    );
    let only = policy(&["test", at, "--only", "DELETE of one row"]);
    assert_eq!(text(&only.stdout), "1 of 1 cases passed\n");

    let dir = copy();
    fs::remove_file(dir.path().join("tests/masks.toml")).unwrap();
    let out = policy(&["test", dir.path().to_str().unwrap(), "--min-coverage", "95"]);
    let said = text(&out.stderr);
    assert!(
        said.contains("not 95 %: write cases about") && said.contains("`no-looking-below`"),
        "{said}"
    );
}

#[test]
fn what_is_not_known_of_a_command_is_no_answer() {
    let dir = copy();
    fs::remove_file(dir.path().join("names/orders.jsonl")).unwrap();
    let at = dir.path().to_str().unwrap();
    let said = text(&policy(&["test", at]).stderr);
    assert!(
        said.contains("`sallyport policy names orders` writes names/orders.jsonl"),
        "{said}"
    );
    fs::write(dir.path().join("names/orders.jsonl"), "[\"relations\",\"x\"]\n").unwrap();
    let said = text(&policy(&["test", at]).stderr);
    assert!(said.contains("the names of `orders` cannot be read"), "{said}");

    let dir = copy();
    edit(&dir, "tests/hosts.toml", "form = \"sftp\"", "form = \"telepathy\"");
    let said = text(&policy(&["test", dir.path().to_str().unwrap()]).stderr);
    assert!(said.contains("`telepathy` is no form of a command"), "{said}");
}

#[test]
fn an_explanation_says_facts_rules_and_why() {
    let explain = |arguments: &[&str]| {
        let all = [&["explain", "--at", "2026-11-21T09:00:00Z"], arguments].concat();
        let out = policy(&all);
        assert!(out.status.success(), "{}", text(&out.stderr));
        text(&out.stdout)
    };
    let alice = ["--as", "alice", "--group", "developers", "--target"];
    insta::assert_snapshot!(
        "delete",
        explain(&[&alice[..], &["orders", "DELETE FROM orders"]].concat())
    );
    insta::assert_snapshot!(
        "held",
        explain(&[&alice[..], &["orders", "ALTER TABLE orders ADD note text"]].concat())
    );
    insta::assert_snapshot!("unparsed", explain(&[&alice[..], &["orders", "SELEC 1"]].concat()));
    insta::assert_snapshot!(
        "connect",
        explain(&["--as", "audrey", "--group", "auditors", "--target", "orders", "--all"])
    );
    insta::assert_snapshot!(
        "sftp",
        explain(&[&alice[..], &["web-1", "--form", "sftp", "get /etc/shadow"]].concat())
    );
    let masked = explain(&[&alice[..], &["orders", "SELECT card_number FROM customers"]].concat());
    assert!(
        masked.contains("pci: masked (keep-last(4)), by `card-numbers`\n"),
        "{masked}"
    );
    let json = explain(&[&alice[..], &["orders", "--json", "DELETE FROM orders"]].concat());
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["decision"]["outcome"], "deny");
    assert_eq!(json["acts"][0]["facts"]["unrestricted"][0], "public.orders");
    let rules = json["acts"][0]["rules"].as_array().unwrap();
    let came = |id: &str| rules.iter().find(|rule| rule["rule"] == id).unwrap()["came"].clone();
    assert_eq!(came("changes-name-their-rows"), "applies");
    assert_eq!(came("dbas-work"), "other_principal");

    let out = policy(&["explain", "--as", "alice", "--target", "nowhere", "SELECT 1"]);
    assert!(text(&out.stderr).contains("the bundle has no target `nowhere`"));
}

#[test]
fn what_no_case_would_notice_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("rules")).unwrap();
    fs::create_dir_all(dir.path().join("tests")).unwrap();
    fs::create_dir_all(dir.path().join("names")).unwrap();
    for file in ["targets.toml", "names/orders.jsonl"] {
        fs::copy(root().join("policy").join(file), dir.path().join(file)).unwrap();
    }
    let rules = r#"
        @id("work") permit (principal in Group::"developers", action in Sql::Action::"read", resource);
        @id("seen") permit (principal, action == Action::"reveal", resource);
        @id("pii") forbid (principal, action in Sql::Action::"any", resource)
        when { context.shown_classes.containsAny([Classification::"pii", Classification::"pci"]) };"#;
    fs::write(dir.path().join("rules/all.cedar"), rules).unwrap();
    let classify = r#"
        [[columns]]
        column = "public.customers.email"
        class = "pii"
        [[columns]]
        column = "public.customers.card_number"
        class = "pci""#;
    fs::write(dir.path().join("classify.toml"), classify).unwrap();
    let case = |name: &str, who: &str, command: &str, expect: &str| {
        format!(
            "[[case]]\nname = \"{name}\"\nwho = {{ user = \"a\", groups = [{who}] }}\ntarget = \"orders\"\n\
             command = \"{command}\"\nexpect = \"{expect}\"\n"
        )
    };
    let email = case("email", "\"developers\"", "SELECT email FROM customers", "deny");
    let some = [case("work", "\"developers\"", "SELECT 1", "allow"), email].concat();
    fs::write(dir.path().join("tests/a.toml"), &some).unwrap();
    let at = dir.path().to_str().unwrap();
    let unnoticed = |arguments: &[&str]| {
        let out = policy(&[&["test", at, "--mutate", "--json"], arguments].concat());
        let report: Value = serde_json::from_slice(&out.stdout).unwrap();
        let survivors = report["mutants"]["survivors"].as_array().unwrap().iter();
        let said: Vec<String> = survivors
            .map(|s| s["note"]["message"].as_str().unwrap().to_owned())
            .collect();
        (out.status.success(), said)
    };
    let (fine, said) = unnoticed(&[]);
    assert!(fine, "survivors alone do not fail");
    let of_pci = said
        .iter()
        .any(|said| said.contains("rule `pii`") && said.contains("pci"));
    let of_column = said.iter().any(|said| said.contains("public.customers.card_number"));
    assert!(of_pci && of_column, "{said:#?}");
    assert!(!said.iter().any(|said| said.contains("customers.email")), "{said:#?}");
    assert!(!unnoticed(&["--max-survivors", "0"]).0);

    let all = [
        case("cards", "\"developers\"", "SELECT card_number FROM customers", "deny"),
        case("nobody", "", "SELECT 1", "deny"),
        case("writes", "\"developers\"", "DELETE FROM orders WHERE id = 1", "deny"),
    ];
    fs::write(dir.path().join("tests/b.toml"), all.concat()).unwrap();
    let (fine, said) = unnoticed(&["--max-survivors", "2"]);
    assert!(fine && !said.iter().any(|said| said.contains("pci")), "{said:#?}");
}
