//! Prints a snapshot of a catalogue as JSON lines, for the tests' fixture: `[query, cell, cell, …]`.
//!
//! Loads the fixture's schema into the database that the first argument names, with `psql`.

#![allow(clippy::print_stdout, reason = "printing is its purpose")]

use std::collections::HashSet;
use std::error::Error;
use std::process::Command;

use sallyport_sql::Catalog;

const SCHEMA: &str = include_str!("../tests/fixture/schema.sql");

/// The server's own relations and types that the fixture keeps.
const RELATIONS: &[&str] = &[
    "pg_class",
    "pg_stats",
    "pg_statistic",
    "pg_authid",
    "pg_settings",
    "pg_proc",
];
const MARK: &str = "\u{1}";

/// Words that the tests mention; functions of other names are left out.
const TESTS: &[&str] = &[
    SCHEMA,
    include_str!("../tests/facts.rs"),
    include_str!("../tests/restrict.rs"),
    include_str!("../tests/hostile.rs"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let target = std::env::args().nth(1).ok_or("which database?")?;
    // one session runs everything: temporary tables are in the snapshot too
    let mut script = format!("\\set QUIET on\n{SCHEMA}\n\\pset null '{MARK}'\n");
    for query in Catalog::QUERIES {
        script.push_str(&format!("\\echo '{MARK}{}'\n{};\n", query.name, query.sql));
    }
    let mut psql = Command::new("psql");
    psql.args([
        &target,
        "-X",
        "-q",
        "-A",
        "-t",
        "-F",
        "\u{1f}",
        "-R",
        "\u{1e}",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
    ]);
    let file = std::env::temp_dir().join(format!("sallyport-sql-snapshot-{}.sql", std::process::id()));
    std::fs::write(&file, script)?;
    psql.args(["SELECT 1 WHERE false", "-f"]).arg(&file);
    let output = psql.output()?;
    std::fs::remove_file(&file)?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    print(&String::from_utf8(output.stdout)?)
}

/// Sections begin with a mark and the query's name.
fn print(text: &str) -> Result<(), Box<dyn Error>> {
    let words: HashSet<&str> = TESTS
        .iter()
        .flat_map(|t| t.split(|c: char| !c.is_alphanumeric() && c != '_'))
        .collect();
    let mut kept: HashSet<String> = HashSet::new();
    for section in format!("\n{text}").split(&format!("\n{MARK}")) {
        let Some((name, rows)) = section.split_once('\n') else {
            continue;
        };
        if !Catalog::QUERIES.iter().any(|q| q.name == name) {
            continue;
        }
        for row in rows.trim_end_matches('\n').split('\u{1e}').filter(|r| !r.is_empty()) {
            let cells: Vec<Option<&str>> = row
                .trim_start_matches('\n')
                .split('\u{1f}')
                .map(|c| (c != MARK).then_some(c))
                .collect();
            if keep(name, &cells, &words, &mut kept) {
                let mut line = vec![Some(name)];
                line.extend(cells);
                println!("{}", serde_json::to_string(&line)?);
            }
        }
    }
    Ok(())
}

/// Whether the tests can need a row. `kept` collects the numbers of relations that are left in.
fn keep(query: &str, cells: &[Option<&str>], words: &HashSet<&str>, kept: &mut HashSet<String>) -> bool {
    let cell = |i: usize| cells.get(i).copied().flatten().unwrap_or_default();
    let system = |schema: &str| matches!(schema, "pg_catalog" | "information_schema");
    match query {
        "types" => {
            !system(cell(1))
                || (cell(3) != "c" && cell(6) == "0" && !cell(2).starts_with("_pg_") && cell(1) == "pg_catalog")
        }
        "relations" => {
            let keep = !system(cell(1)) || RELATIONS.contains(&cell(2));
            if keep {
                kept.insert(cell(0).to_owned());
            }
            keep
        }
        "columns" => kept.contains(cell(0)),
        "functions" => !system(cell(1)) || words.contains(cell(2)),
        _ => true,
    }
}
