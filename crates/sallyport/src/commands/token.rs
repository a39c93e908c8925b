//! `sallyport token`: short-lived passwords for targets.

use std::io::{IsTerminal, Write, stderr, stdout};

use anyhow::bail;
use clap::{Args, Subcommand};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use sallyport_identity::TokenId;
use sallyport_identity::messages::{TokenInfo, TokenRequest, TokenScope};
use time::OffsetDateTime;

use super::caller::Caller;
use super::login::duration_words;

/// Get a short-lived token: the password for psql and other clients.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    caller: Caller,
    /// The one target it shall open.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// How long it shall live: seconds, or a number with s, m or h.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    ttl: Option<u64>,
    /// A name to find it by.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Print one line of JSON instead of the bare token.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the tokens that are good.
    List {
        /// Everybody's, not only one's own.
        #[arg(long)]
        all: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Revoke tokens: sessions opened with them end at once.
    Revoke {
        /// Their ids, as `token list` shows them.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

impl TokenArgs {
    /// Gets, lists or revokes tokens.
    ///
    /// # Errors
    /// When nobody is logged in, or the gateway says no.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let gateway = self.caller.logged_in()?;
        match self.action {
            Some(Action::List { all, json }) => list(&gateway.list_tokens(all).await?, json),
            Some(Action::Revoke { ids }) => {
                for id in ids {
                    gateway.revoke_token(&TokenId(id.as_str().into())).await?;
                    writeln!(stdout(), "{id} is revoked")?;
                }
                Ok(())
            }
            None => {
                let request = TokenRequest {
                    target: self.target,
                    name: self.name,
                    ttl_s: self.ttl,
                };
                let reply = gateway.issue_token(&request).await?;
                if self.json {
                    writeln!(stdout(), "{}", serde_json::to_string(&reply)?)?;
                    return Ok(());
                }
                if stderr().is_terminal() {
                    writeln!(stderr(), "{}", words(&reply.info))?;
                }
                use secrecy::ExposeSecret;
                Ok(writeln!(stdout(), "{}", reply.token.0.expose_secret())?)
            }
        }
    }
}

fn words(info: &TokenInfo) -> String {
    let target = info
        .target
        .as_ref()
        .map_or_else(String::new, |target| format!(" for `{target}`"));
    let minutes = (info.expires - OffsetDateTime::now_utc()).whole_minutes();
    format!(
        "The password of `{}`{target}, for {}:",
        info.user,
        duration_words(minutes)
    )
}

fn list(tokens: &[TokenInfo], json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(writeln!(stdout(), "{}", serde_json::to_string_pretty(tokens)?)?);
    }
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_header(["ID", "USER", "OPENS", "NAME", "LEFT"]);
    for token in tokens {
        let opens = match (token.scope, &token.target) {
            (TokenScope::Api, _) => "the API (a login)",
            (TokenScope::All, _) => "all targets and the API",
            (TokenScope::Target, None) => "all targets",
            (TokenScope::Target, Some(target)) => target.as_str(),
        };
        let minutes = (token.expires - OffsetDateTime::now_utc()).whole_minutes();
        let name = token.name.as_deref().unwrap_or_default();
        table.add_row([
            token.id.0.as_str(),
            token.user.as_str(),
            opens,
            name,
            &duration_words(minutes),
        ]);
    }
    Ok(writeln!(stdout(), "{table}")?)
}

/// Reads `90`, `90s`, `30m`, `2h`.
fn seconds(text: &str) -> anyhow::Result<u64> {
    let (digits, unit_s) = match text.char_indices().last() {
        Some((at, 's')) => (text.get(..at), 1),
        Some((at, 'm')) => (text.get(..at), 60),
        Some((at, 'h')) => (text.get(..at), 3600),
        _ => (Some(text), 1),
    };
    let number: Option<u64> = digits.and_then(|d| d.parse().ok());
    match number.and_then(|n| n.checked_mul(unit_s)) {
        Some(seconds) if seconds > 0 => Ok(seconds),
        _ => bail!("write a number of seconds, or a number with s, m or h"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::seconds;

    #[test]
    fn lifetimes_are_read() {
        for (text, expected) in [("90", 90), ("90s", 90), ("30m", 1800), ("2h", 7200)] {
            assert_eq!(seconds(text).unwrap(), expected, "{text}");
        }
        for text in [
            "",
            "h",
            "0",
            "-1",
            "1d",
            "1.5h",
            "99999999999999999999",
            "9999999999999999999h",
            "1é",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
