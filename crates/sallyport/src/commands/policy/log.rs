//! `sallyport policy log`: which policies were in force, and since when.

use clap::Args;
use sallyport_api::ports::BundleLoaded;

use super::super::caller::Caller;
use super::super::terminal::{clock, print_json, print_rows};

/// List the policies that came into force at a gateway, newest first. For auditors and administrators.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 30)]
    limit: usize,
    #[command(flatten)]
    caller: Caller,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl LogArgs {
    /// Lists them.
    ///
    /// # Errors
    /// When nobody is logged in, or the caller may not.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let path = format!("v1/policy/bundles?limit={}", self.limit);
        let bundles: Vec<BundleLoaded> = self.caller.logged_in()?.get(&path).await?;
        if self.json {
            return print_json(&bundles);
        }
        let short = |text: &str| text.chars().take(12).collect::<String>();
        let rows = bundles.iter().map(|bundle| {
            let commit = bundle.commit.as_deref().map(short).unwrap_or_default();
            [clock(bundle.at), short(&bundle.digest), commit, bundle.source.clone()]
        });
        Ok(print_rows(
            ["IN FORCE SINCE", "DIGEST", "COMMIT", "SOURCE"],
            rows.collect(),
        )?)
    }
}
