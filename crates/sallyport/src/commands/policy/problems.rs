//! How commands show what is wrong with a bundle.

use std::io::{Write, stderr};

use anyhow::bail;
use sallyport_policy::{LoadError, Problem};

use super::super::terminal::print_json;

/// Shows everything that is wrong, and fails.
///
/// # Errors
/// Always.
pub(super) fn refuse(error: LoadError, json: bool) -> anyhow::Result<()> {
    let (count, dir) = (error.problems.len(), error.dir);
    if json {
        let problems: Vec<_> = error.problems.iter().map(self::json).collect();
        print_json(&serde_json::json!({ "valid": false, "problems": problems, "warnings": [] }))?;
    } else {
        for problem in error.problems {
            writeln!(stderr(), "{:?}", miette::Report::new(problem))?;
        }
    }
    let noun = if count == 1 { "mistake" } else { "mistakes" };
    bail!("the policy in `{}` has {count} {noun}", dir.display())
}

/// One problem.
pub(super) fn json(problem: &Problem) -> serde_json::Value {
    let (line, column) = problem.position.unzip();
    serde_json::json!({
        "file": problem.file,
        "line": line,
        "column": column,
        "message": problem.message,
        "help": problem.help,
    })
}
