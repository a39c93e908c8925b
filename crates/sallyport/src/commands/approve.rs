//! `sallyport approve`, `sallyport deny` and `sallyport withdraw`.

use std::io::{Write, stdout};

use clap::Args;
use sallyport_review::{Request, RequestState};
use serde_json::json;

use super::caller::Caller;
use super::terminal::{checked_id, print_json, safe};

/// What is decided about, and why.
#[derive(Debug, Args)]
struct Decision {
    #[command(flatten)]
    caller: Caller,
    /// The requests, as `sallyport requests` shows them.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Why; kept with the request and in the journal.
    #[arg(long, short, value_name = "TEXT")]
    reason: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Approve held commands: each may then run exactly as it was asked for, once.
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    decision: Decision,
}

/// Deny held commands, or take back approvals that were not used yet.
#[derive(Debug, Args)]
pub(crate) struct DenyArgs {
    #[command(flatten)]
    decision: Decision,
}

/// Withdraw your own requests.
#[derive(Debug, Args)]
pub(crate) struct WithdrawArgs {
    #[command(flatten)]
    decision: Decision,
}

impl ApproveArgs {
    /// Approves.
    ///
    /// # Errors
    /// When nobody is logged in, or the gateway says no.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        self.decision.run("approve").await
    }
}

impl DenyArgs {
    /// Denies.
    ///
    /// # Errors
    /// When nobody is logged in, or the gateway says no.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        self.decision.run("deny").await
    }
}

impl WithdrawArgs {
    /// Withdraws.
    ///
    /// # Errors
    /// When nobody is logged in, or the gateway says no.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        self.decision.run("withdraw").await
    }
}

impl Decision {
    async fn run(self, verb: &str) -> anyhow::Result<()> {
        let gateway = self.caller.logged_in()?;
        for id in &self.ids {
            let path = format!("v1/requests/{}/{verb}", checked_id(id)?);
            let request: Request = gateway.post(&path, &json!({ "reason": self.reason })).await?;
            if self.json {
                print_json(&request)?;
            } else {
                writeln!(stdout(), "{}", safe(&words(&request)))?;
            }
        }
        Ok(())
    }
}

/// What became of a request, in a sentence.
fn words(request: &Request) -> String {
    let Request { id, target, .. } = request;
    let who = &request.requester.id;
    match request.state {
        RequestState::Open => {
            let missing: Vec<String> = request
                .needs
                .iter()
                .filter(|need| need.approved < need.count)
                .map(|need| format!("{} more of {}", need.count - need.approved, need.group))
                .collect();
            format!("{id} is approved by you and waits for {}", missing.join(" and "))
        }
        RequestState::Approved if !request.waiting => {
            format!("{id} is approved: {who} may run exactly this command on {target}, once")
        }
        // The client that waited may have been quicker than this answer.
        RequestState::Approved | RequestState::Used => {
            format!("{id} is approved: the command of {who} on {target} goes on now")
        }
        RequestState::Denied => {
            format!("{id} is denied: the command of {who} on {target} does not run")
        }
        RequestState::Expired => format!("{id} is expired"),
        RequestState::Withdrawn => format!("{id} is withdrawn"),
    }
}
