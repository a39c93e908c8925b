//! How commands show what is wrong with a bundle.

use std::io::{Write, stderr};

use anyhow::bail;
use sallyport_policy::LoadError;

use super::super::terminal::print_json;
use super::formats::finding;

/// Shows everything that is wrong, and fails.
///
/// # Errors
/// Always.
pub(super) fn refuse(error: LoadError, json: bool) -> anyhow::Result<()> {
    let (count, dir) = (error.problems.len(), error.dir);
    if json {
        let problems: Vec<_> = error.problems.iter().map(finding).collect();
        print_json(&serde_json::json!({ "valid": false, "problems": problems, "warnings": [] }))?;
    } else {
        for problem in error.problems {
            writeln!(stderr(), "{:?}", miette::Report::new(problem))?;
        }
    }
    let noun = if count == 1 { "mistake" } else { "mistakes" };
    bail!("the policy in `{}` has {count} {noun}", dir.display())
}
