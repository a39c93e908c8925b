//! Every recipe of the book does what its cases say, and its cases are about all of its rules.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everything is permitted, so that only recipes refuse.
const BASE: &str = "@id(\"base\") permit (principal, action, resource);\n";

struct Recipe {
    title: String,
    rules: String,
    cases: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The sections of the page, with their code.
fn recipes() -> Vec<Recipe> {
    let page = fs::read_to_string(root().join("docs/src/policy-recipes.md")).unwrap();
    let section = |text: &str| {
        let code = |language: &str| {
            let begin = format!("```{language}\n");
            let blocks = text.split(&begin).skip(1);
            blocks
                .map(|block| block.split("```").next().unwrap())
                .collect::<String>()
        };
        Recipe {
            title: text.lines().next().unwrap().to_owned(),
            rules: code("cedar"),
            cases: code("toml"),
        }
    };
    page.split("\n## ").skip(1).map(section).collect()
}

#[test]
fn every_recipe_does_what_its_cases_say() {
    let recipes = recipes();
    assert!(recipes.len() >= 10, "{}", recipes.len());
    for Recipe { title, rules, cases } in recipes {
        assert!(rules.contains("@id(") && cases.contains("[[case]]"), "{title}");
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("rules/base.cedar", BASE);
        write("rules/recipe.cedar", &rules);
        write("tests/recipe.toml", &cases);
        for file in ["targets.toml", "classify.toml", "names/orders.jsonl"] {
            write(file, &fs::read_to_string(root().join("policy").join(file)).unwrap());
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_sallyport"));
        command
            .args(["policy", "test", "--min-coverage", "100"])
            .arg(dir.path());
        let out = command.output().unwrap();
        let said = [out.stdout, out.stderr].concat();
        assert!(out.status.success(), "{title}: {}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn recipes_can_be_used_together() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("rules")).unwrap();
    fs::write(dir.path().join("rules/base.cedar"), BASE).unwrap();
    let rules: String = recipes().into_iter().map(|recipe| recipe.rules).collect();
    fs::write(dir.path().join("rules/recipes.cedar"), rules).unwrap();
    for file in ["targets.toml", "classify.toml"] {
        fs::copy(root().join("policy").join(file), dir.path().join(file)).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_sallyport"));
    let out = command.args(["policy", "check"]).arg(dir.path()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
