//! The schemas for editors and the parsers know the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use sallyport_policy::Checked;
use sallyport_target::{Broker, Catalogue};
use serde_json::{Value, json};

use super::FORMS;
use crate::gateway::loader;

fn form(name: &str) -> Value {
    let (_, text) = FORMS
        .iter()
        .find(|(path, _)| *path == format!("schemas/{name}.json"))
        .unwrap();
    serde_json::from_str(text).unwrap()
}

fn validator(name: &str) -> Validator {
    jsonschema::validator_for(&form(name)).unwrap()
}

/// A TOML file as the editors' plug-ins see it.
fn document(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

fn accept(form: &str, text: &str, what: &str) {
    let document = document(text);
    let complaints: Vec<String> = validator(form)
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(complaints, Vec::<String>::new(), "{what}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The keys that a complaint about an unknown one lists.
fn listed(message: &str) -> BTreeSet<String> {
    let (_, expected) = message.split_once("expected").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn keys(properties: &Value) -> BTreeSet<String> {
    properties.as_object().unwrap().keys().cloned().collect()
}

/// What the targets' parser says.
fn complaint(text: &str) -> String {
    let parsed = Catalogue::parse(text, "targets.toml", Path::new("."), &Broker::elsewhere());
    parsed.unwrap_err().message
}

fn check(files: &[(&str, &str)]) -> Checked {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["rules", "tests"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    loader().check(dir.path())
}

/// What the parser of another file says.
fn said(name: &str, text: &str) -> String {
    let checked = check(&[(name, text)]);
    assert_eq!(checked.findings.len(), 1, "{text}");
    checked.findings[0].message.clone()
}

#[test]
fn the_options_of_targets_are_those_of_the_parser() {
    let form = form("targets");
    assert_eq!(keys(&form["properties"]), listed(&complaint("no-such-key = 1")));
    for table in ["target", "vault", "aws", "azure", "google", "kubernetes"] {
        let here = &form["properties"][table]["items"];
        let message = complaint(&format!("[[{table}]]\nno-such-key = 1\n"));
        assert_eq!(keys(&here["properties"]), listed(&message), "[[{table}]]");
        if let Some(login) = here["properties"].get("login") {
            variants(login, "method", |method, more| {
                let login = format!("login = {{ method = \"{method}\"{more} }}");
                complaint(&format!("[[{table}]]\n{login}\n"))
            });
        }
    }
    let ephemeral = &form["properties"]["target"]["items"]["properties"]["ephemeral"]["properties"];
    let message = complaint("[[target]]\nephemeral = { no-such-key = 1 }\n");
    assert_eq!(keys(ephemeral), listed(&message));
    variants(&form["$defs"]["source"], "source", |source, more| {
        complaint(&format!("[[target]]\ncredential = {{ source = \"{source}\"{more} }}\n"))
    });
}

/// Holds each variant of a tagged table to the parser: the variants themselves, and the keys of each.
fn variants(form: &Value, tag: &str, complaint: impl Fn(&str, &str) -> String) {
    let known: BTreeSet<String> = form["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variant| variant["properties"][tag]["const"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(known, listed(&complaint("no-such-variant", "")), "{tag}");
    for variant in form["oneOf"].as_array().unwrap() {
        let mut shown = keys(&variant["properties"]);
        shown.remove(tag);
        let name = variant["properties"][tag]["const"].as_str().unwrap();
        let message = complaint(name, ", no-such-key = 1");
        assert!(message.contains("no-such-key"), "{name}: {message}");
        let accepted = if message.contains("expected") {
            listed(&message)
        } else {
            BTreeSet::new()
        };
        assert_eq!(shown, accepted, "{tag} = {name}");
    }
}

#[test]
fn the_keys_of_other_files_are_those_of_the_parsers() {
    let classify = form("classify");
    assert_eq!(
        keys(&classify["properties"]),
        listed(&said("classify.toml", "no-such-key = 1"))
    );
    for table in keys(&classify["properties"]) {
        let here = keys(&classify["properties"][&table]["items"]["properties"]);
        let message = said("classify.toml", &format!("[[{table}]]\nno-such-key = 1\n"));
        let mut accepted = listed(&message);
        // The parser knows it as another name of `column`, and lists only one.
        accepted.extend((table == "columns").then(|| "columns".to_owned()));
        assert_eq!(here, accepted, "[[{table}]]");
    }
    let cases = form("cases");
    let case = &cases["properties"]["case"]["items"]["properties"];
    let message = said("tests/a.toml", "[[case]]\nno-such-key = 1\n");
    assert_eq!(keys(case), listed(&message));
    let message = said("tests/a.toml", "[[case]]\nwho = { no-such-key = 1 }\n");
    assert_eq!(keys(&case["who"]["properties"]), listed(&message));
    let message = said("groups.toml", "no-such-key = 1");
    assert_eq!(keys(&form("groups")["properties"]), listed(&message));
    let properties = form("properties");
    let message = said("properties.toml", "no-such-key = 1");
    assert_eq!(keys(&properties["properties"]), listed(&message));
    let property = &properties["properties"]["property"]["items"]["properties"];
    let message = said("properties.toml", "[[property]]\nno-such-key = 1\n");
    assert_eq!(keys(property), listed(&message));
    let outcomes = properties["$defs"]["outcome"]["enum"].as_array().unwrap();
    let outcomes: BTreeSet<String> = outcomes.iter().map(|word| word.as_str().unwrap().to_owned()).collect();
    for outcome in &outcomes {
        let checked = check(&[(
            "properties.toml",
            &format!("[[property]]\nname = \"x\"\nnever = \"{outcome}\"\n"),
        )]);
        let unread = |message: &str| message.contains("did not match any variant");
        assert!(
            !checked.findings.iter().any(|found| unread(&found.message)),
            "{outcome}"
        );
    }
}

#[test]
fn the_example_policy_and_the_books_examples_have_the_form() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    accept("targets", &read("policy/targets.toml"), "policy/targets.toml");
    accept("classify", &read("policy/classify.toml"), "policy/classify.toml");
    accept(
        "classify",
        &read("tests/policies/corpus-sql/classify.toml"),
        "corpus-sql",
    );
    accept("properties", &read("policy/properties.toml"), "policy/properties.toml");
    let page = read("docs/src/policy-diff.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    accept("properties", rest.split_once("```").unwrap().0, "the book's properties");
    for entry in fs::read_dir(root().join("policy/tests")).unwrap() {
        let path = entry.unwrap().path();
        accept(
            "cases",
            &fs::read_to_string(&path).unwrap(),
            &path.display().to_string(),
        );
    }
    let page = read("docs/src/policy.md");
    let (_, rest) = page.split_once("## Classes").unwrap();
    let example = rest.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    accept(
        "classify",
        &example.replace("\"…\"", &format!("\"{}\"", "0".repeat(64))),
        "the book's classes",
    );
    let page = read("docs/src/operating.md");
    let (_, rest) = page.split_once("[[target]]\n").unwrap();
    let example = rest.split_once("```").unwrap().0;
    accept("targets", &format!("[[target]]\n{example}"), "the book's targets");
}

#[test]
fn what_the_parsers_refuse_has_not_the_form() {
    for (form, wrong) in [
        ("targets", json!({ "target": [{ "name": "x" }] })),
        (
            "targets",
            json!({ "target": [{ "name": "x", "protocol": "ssh", "shel": "guarded" }] }),
        ),
        (
            "targets",
            json!({ "target": [{ "name": "x", "protocol": "ssh", "credential": { "source": "file" } }] }),
        ),
        ("classify", json!({ "columns": [{ "class": "x" }] })),
        ("classify", json!({ "functions": [{ "name": "f()", "sha256": "12" }] })),
        ("groups", json!({ "groups": [1] })),
        ("properties", json!({ "property": [{ "name": "x" }] })),
        (
            "properties",
            json!({ "property": [{ "name": "x", "never": "allowed" }] }),
        ),
        (
            "properties",
            json!({ "property": [{ "name": "x", "never": "allow", "always": "deny" }] }),
        ),
        (
            "cases",
            json!({ "case": [{ "name": "x", "who": {}, "target": "x", "connect": true, "expect": "allow" }] }),
        ),
        (
            "cases",
            json!({ "case": [{ "name": "x", "who": { "user": "a" }, "target": "x", "expect": "allow" }] }),
        ),
    ] {
        assert!(!validator(form).is_valid(&wrong), "{form}: {wrong}");
    }
}
