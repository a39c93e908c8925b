//! `sallyport policy status`: which policy is in force, where it comes from, and what is wrong with the newest.

use anyhow::bail;
use clap::Args;
use sallyport_api::ports::PolicyStatus;
use time::OffsetDateTime;

use super::super::caller::Caller;
use super::super::terminal::{ago, clock, print_json, safe};
use crate::output;

/// Show the policy that a gateway has in force, and why the newest is not if it is not.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    caller: Caller,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl StatusArgs {
    /// Shows it.
    ///
    /// # Errors
    /// When nobody is logged in, or the newest policy is not in force.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let status: PolicyStatus = self.caller.logged_in()?.get("v1/policy").await?;
        show(&status, self.json)?;
        match &status.error {
            Some(_) => bail!("the newest policy is not in force, or not known"),
            None => Ok(()),
        }
    }
}

/// Prints a status.
pub(super) fn show(status: &PolicyStatus, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return print_json(status);
    }
    let time = |time: Option<OffsetDateTime>| time.map(|time| format!("{} ({})", clock(time), ago(time)));
    let rows = [
        ("digest", Some(status.digest.clone())),
        ("commit", status.commit.clone()),
        ("made", time(status.committed)),
        // Only those who see everything are told.
        (
            "source",
            Some(status.source.clone()).filter(|source| !source.is_empty()),
        ),
        ("in force", time(status.loaded)),
        ("host seen", time(status.fetched)),
    ];
    for (name, value) in rows {
        if let Some(value) = value {
            output::line(&format!("{name:<10} {}", safe(&value)))?;
        }
    }
    let Some(error) = &status.error else { return Ok(()) };
    let Some(last) = &status.last_error else {
        output::line(&format!("{:<10} {}", "NOT TAKEN", safe(error)))?;
        return Ok(());
    };
    let commit = last.commit.as_ref().map(|commit| format!("commit {commit}: "));
    let words = format!(
        "{}, since {}: {}{}",
        last.kind,
        clock(last.since),
        commit.unwrap_or_default(),
        last.message
    );
    output::line(&format!("{:<10} {}", "NOT TAKEN", safe(&words)))?;
    for problem in &last.problems {
        let place = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
        output::line(&format!(
            "{:<10} {}",
            "",
            safe(&format!("{}{place}: {}", problem.file, problem.message))
        ))?;
    }
    Ok(())
}
