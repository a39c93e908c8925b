//! `sallyport policy pull`: a gateway looks for a newer policy now.

use clap::Args;
use sallyport_api::ports::PolicyStatus;
use serde_json::json;

use super::super::caller::Caller;
use super::status::show;

/// Make a gateway look for a newer policy now, and wait for what comes of it. For administrators.
#[derive(Debug, Args)]
pub(super) struct PullArgs {
    #[command(flatten)]
    caller: Caller,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl PullArgs {
    /// Asks the gateway, and shows what is in force then.
    ///
    /// # Errors
    /// When the caller is no administrator, or the newest policy was not taken.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let status: PolicyStatus = self.caller.logged_in()?.post("v1/policy/pull", &json!({})).await?;
        show(&status, self.json)
    }
}
