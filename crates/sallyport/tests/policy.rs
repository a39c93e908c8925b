//! `sallyport policy` with the real binary: a bundle is begun, checked and broken.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod gateway;

use std::fs;

use gateway::{Gateway, bad, good, run};
use serde_json::Value;

/// A folder with a new bundle in `policy`.
fn begun() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path(), &["policy", "init"], "");
    folder
}

#[test]
fn what_init_writes_passes_the_strictest_check() {
    let folder = begun();
    let at = folder.path();
    let said = good(at, &["policy", "check", "--strict"], "");
    assert!(said.starts_with("`policy` is valid: 2 targets, digest "), "{said}");
    let written = |path: &str| fs::read_to_string(at.join("policy").join(path)).unwrap();
    for (file, form) in [
        ("targets.toml", "./schemas/targets.json"),
        ("classify.toml", "./schemas/classify.json"),
        ("groups.toml", "./schemas/groups.json"),
        ("tests/access.toml", "../schemas/cases.json"),
        ("tests/postgres.toml", "../schemas/cases.json"),
        ("tests/ssh.toml", "../schemas/cases.json"),
    ] {
        let text = written(file);
        assert_eq!(text.lines().next().unwrap(), format!("#:schema {form}"), "{file}");
        let beside = at.join("policy").join(file);
        let schema: Value =
            serde_json::from_str(&fs::read_to_string(beside.parent().unwrap().join(form)).unwrap()).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
    // Every rule that is begun with is in a case, but for those that are there to be read.
    let cases = ["access", "postgres", "ssh"]
        .map(|name| written(&format!("tests/{name}.toml")))
        .concat();
    assert!(cases.matches("[[case]]").count() > 15);
}

#[test]
fn what_init_writes_comes_into_force() {
    let folder = begun();
    let gateway = Gateway::start_with(&folder.path().join("policy"), "ssh = \"127.0.0.1:0\"");
    assert!(gateway.ssh.is_some());
}

/// The text of the first block of a language after a heading of the book.
fn block(heading: &str, language: &str) -> String {
    let page = include_str!("../../../docs/src/policy.md");
    let (_, rest) = page.split_once(heading).unwrap();
    let (_, rest) = rest.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_book_shows_what_a_check_says() {
    let folder = begun();
    let path = folder.path().join("policy/rules/access.cedar");
    let rules = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{rules}\n{}", block("## Checking", "cedar"))).unwrap();
    let said = bad(folder.path(), &["policy", "check"], "");
    assert_eq!(said, block("## Checking", "text"));
}

#[test]
fn what_is_begun_passes_its_cases_and_they_cover_its_rules() {
    let folder = begun();
    good(folder.path(), &["policy", "test", "--min-coverage", "100"], "");
}

#[test]
fn nothing_that_exists_is_overwritten() {
    let folder = begun();
    let at = folder.path();
    let targets = at.join("policy/targets.toml");
    fs::write(&targets, "# mine\n").unwrap();
    let error = bad(at, &["policy", "init", "policy"], "");
    assert!(
        error.contains("`policy` holds a bundle already: there is `rules`"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&targets).unwrap(), "# mine\n");
    fs::create_dir(at.join("other")).unwrap();
    fs::write(at.join("other/README.md"), "mine").unwrap();
    let error = bad(at, &["policy", "init", "other"], "");
    assert!(
        error.contains("`README.md` exists in `other`, and is not overwritten"),
        "{error}"
    );
    assert_eq!(fs::read_dir(at.join("other")).unwrap().count(), 1);
    // A directory with other things in it is fine.
    fs::create_dir_all(at.join("repository/.git")).unwrap();
    good(at, &["policy", "init", "repository"], "");
    good(at, &["policy", "check", "--strict", "repository"], "");
    let error = bad(at, &["policy", "init", "other/README.md"], "");
    assert!(error.contains("is no directory"), "{error}");
}

#[test]
fn an_old_schema_is_warned_of_and_written_anew() {
    let folder = begun();
    let at = folder.path();
    fs::write(at.join("policy/sallyport.cedarschema"), "entity Group;\n").unwrap();
    let output = run(at, &["policy", "check"], "");
    assert!(output.status.success());
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(
        warned.contains("stale-schema") && warned.contains("sallyport policy schema"),
        "{warned}"
    );
    let error = bad(at, &["policy", "check", "--strict"], "");
    assert!(error.contains("the policy in `policy` has 1 warning"), "{error}");
    let said = good(at, &["policy", "schema"], "");
    assert!(said.contains("wrote policy/sallyport.cedarschema"), "{said}");
    good(at, &["policy", "check", "--strict"], "");
    fs::write(at.join("policy/schemas/cases.json"), "{}").unwrap();
    let error = bad(at, &["policy", "check", "--strict"], "");
    assert!(error.contains("schemas/cases.json: is not the form"), "{error}");
    assert!(bad(at, &["policy", "schema", "config"], "").contains("`config` is no bundle"));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let folder = begun();
    let at = folder.path();
    let add = |file: &str, text: &str| {
        let path = at.join("policy").join(file);
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, before + text).unwrap();
    };
    add(
        "rules/ssh.cedar",
        "\n@id(\"night\")\nforbid (principal in Group::\"operator\", action == Action::\"connect\", resource);\n",
    );
    add(
        "targets.toml",
        "\n[[target]]\nname = \"web-2\"\nprotocol = \"telnet\"\n",
    );
    add(
        "tests/ssh.toml",
        "\n[[case]]\nname = \"x\"\nwho = { user = \"u\" }\ntarget = \"web-3\"\ncommand = \"ls\"\nexpect = \"deny\"\nrule = \"nigth\"\n",
    );
    let output = run(at, &["policy", "check", "--json"], "");
    assert!(!output.status.success());
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["valid"], false);
    let codes: Vec<&str> = found["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["unknown-group", "targets", "case-target", "case-rule"]);
    for one in found["problems"].as_array().unwrap() {
        assert!(
            one["line"].is_u64() && !one["help"].as_str().unwrap().is_empty(),
            "{one}"
        );
    }
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("the policy in `policy` has 4 errors"), "{error}");
    let output = run(at, &["policy", "check", "--format", "github"], "");
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), 4);
    assert!(
        lines.lines().all(|line| line.starts_with("::error file=policy/")),
        "{lines}"
    );
    assert!(bad(at, &["policy", "check", "--json", "--format", "sarif"], "").contains("cannot be used with"));
}

#[test]
fn what_a_file_says_cannot_draw_on_a_terminal() {
    let folder = begun();
    let path = folder.path().join("policy/rules/access.cedar");
    fs::write(&path, "@id(\"a\u{1b}[2J\")\npermit (principal, action, resource);\n").unwrap();
    let output = run(folder.path(), &["policy", "check"], "");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && !text.contains('\u{1b}'), "{text}");
}
