#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::path::Path;

use sallyport_policy::{Code, Problem};
use serde_json::Value;

use super::{Format, Report, github, within_repository};
use crate::gateway::loader;

/// A bundle with an error and a warning in a repository.
fn bundle() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("ops/my policy");
    fs::create_dir_all(policy.join("rules")).unwrap();
    fs::create_dir(dir.path().join(".git")).unwrap();
    let rules = "@id(\"a\")\npermit (principal in Group::\"dev\", action == Action::\"connect\", resource);\n\
                 @id(\"b\")\npermit (principal, action == Action::\"connect\", resource);\n";
    fs::write(policy.join("rules/a.cedar"), rules).unwrap();
    fs::write(policy.join("groups.toml"), "groups = [\"devs\"]\n").unwrap();
    dir
}

fn write(dir: &Path, format: Format) -> String {
    let checked = loader().check(&dir.join("ops/my policy"));
    let policy = dir.join("ops/my policy");
    let report = Report {
        dir: &policy,
        checked: &checked,
        targets: 0,
        strict: false,
    };
    assert!(report.fails());
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    report.write(format, &mut out, &mut notes).unwrap();
    assert_eq!(notes.is_empty(), format != Format::Text);
    out.extend(notes);
    String::from_utf8(out).unwrap()
}

#[test]
fn people_see_the_place_and_what_to_do() {
    insta::assert_snapshot!(write(bundle().path(), Format::Text));
}

#[test]
fn github_gets_commands_with_paths_of_the_repository() {
    insta::assert_snapshot!(write(bundle().path(), Format::Github));
}

#[test]
fn what_a_name_says_does_not_end_a_command() {
    let text = "x % y\n";
    let problem = Problem::at("f", text, 0..1, "50% of\r\na, b: c").coded(Code::SYNTAX);
    let command = github::command(&problem, "a,b:c%\n.toml");
    assert_eq!(
        command,
        "::error file=a%2Cb%3Ac%25%0A.toml,line=1,col=1,endLine=1,endColumn=2,title=syntax::\
         50%25 of%0D%0Aa, b: c%0Acorrect the place that is shown"
    );
    assert_eq!(command.lines().count(), 1);
}

#[test]
fn sarif_has_the_shape_that_the_standard_asks_for() {
    let text = write(bundle().path(), Format::Sarif);
    let document: Value = serde_json::from_str(&text).unwrap();
    // Section 3.13 and 3.14: a log has a version and runs, a run a tool whose driver has a name (3.18, 3.19).
    assert_eq!(document["version"], "2.1.0");
    let run = &document["runs"][0];
    let driver = &run["tool"]["driver"];
    assert!(!driver["name"].as_str().unwrap().is_empty());
    let rules = driver["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for result in results {
        // 3.27.5 to 3.27.12: index and id name the same rule, the level is one of four, a message has text.
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        // 3.4.3: a URI reference, relative to the repository's root.
        assert_eq!(place["artifactLocation"]["uri"], "ops/my%20policy/rules/a.cedar");
        // 3.30: lines and columns from 1; the end is behind the region.
        let region = &place["region"];
        let at = |key: &str| region[key].as_u64().unwrap();
        assert!(at("startLine") >= 1 && at("startColumn") >= 1);
        assert!((at("endLine"), at("endColumn")) > (at("startLine"), at("startColumn")));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn programs_get_everything() {
    let document: Value = serde_json::from_str(&write(bundle().path(), Format::Json)).unwrap();
    insta::assert_json_snapshot!(document, { ".digest" => "[digest]" });
}

#[test]
fn a_path_is_the_repositorys_also_from_within() {
    let dir = bundle();
    let policy = dir.path().join("ops/my policy");
    assert_eq!(within_repository(&policy).unwrap(), Path::new("ops/my policy"));
    assert_eq!(within_repository(dir.path()).unwrap(), Path::new(""));
}
