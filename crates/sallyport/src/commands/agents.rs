//! `sallyport agents`: who is beside targets, who may be, and who not any more.

use clap::{Args, Subcommand};
use sallyport_api::ports::Agent;
use sallyport_identity::agents::{IssuedJoinTokenReply, JoinTokenInfo};
use sallyport_identity::client::GatewayClient;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::caller::Caller;
use super::terminal::{clock, print_json, print_rows, safe};
use crate::output;

/// List the agents beside targets, let others join, and revoke them.
#[derive(Debug, Args)]
pub(crate) struct AgentsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    caller: Caller,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the agents: who is connected, since when, and what each serves. The default.
    List,
    /// Make a token with which one agent can join, once.
    Token {
        /// The name under which it joins, which `agent` in targets.toml gives targets to.
        name: String,
        /// Minutes for which the token is good.
        #[arg(long, value_name = "MINUTES", default_value_t = 15)]
        ttl: u64,
    },
    /// List the tokens that were not used yet.
    Tokens,
    /// Make a token good for nothing.
    RevokeToken {
        /// Its id.
        id: String,
    },
    /// Print the digest of the gateway's authority for agents, for `sallyport agent --ca-pin`.
    Pin,
    /// Let a machine join once more that joins with its instance identity document of AWS, which has no end.
    Forget {
        /// The machine, as its agent's `proof` in `--json` and the journal have it: `aws/ACCOUNT/INSTANCE`.
        machine: String,
    },
    /// Revoke an agent, or all of a name: its sessions end at once.
    Revoke {
        /// An instance's id, or a name.
        agent: String,
    },
}

impl AgentsArgs {
    /// Lists, lets join or revokes.
    ///
    /// # Errors
    /// When nobody is logged in, or the gateway says no.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let gateway = self.caller.logged_in()?;
        match self.action.unwrap_or(Action::List) {
            Action::List => list(&gateway.get::<Vec<Agent>>("v1/agents").await?, self.json),
            Action::Token { name, ttl } => token(&gateway, &name, ttl, self.json).await,
            Action::Tokens => tokens(&gateway.get::<Vec<JoinTokenInfo>>("v1/agents/tokens").await?, self.json),
            Action::RevokeToken { id } => {
                gateway.delete(&format!("v1/agents/tokens/{}", segment(&id)?)).await?;
                Ok(output::line(&format!("the token {id} is good for nothing"))?)
            }
            Action::Pin => {
                let authority: Value = gateway.get("v1/agents/authority").await?;
                if self.json {
                    return print_json(&authority);
                }
                let pin = authority.get("pin").and_then(Value::as_str).unwrap_or_default();
                Ok(output::line(&safe(pin))?)
            }
            Action::Forget { machine } => {
                let forgotten: Value = gateway
                    .post("v1/agents/machines/forget", &json!({ "machine": machine }))
                    .await?;
                if self.json {
                    return print_json(&forgotten);
                }
                Ok(output::line(&format!("{} may join once more", safe(&machine)))?)
            }
            Action::Revoke { agent } => {
                let path = format!("v1/agents/{}/revoke", segment(&agent)?);
                let revoked: Value = gateway.post(&path, &json!({})).await?;
                if self.json {
                    return print_json(&revoked);
                }
                let count = revoked.get("instances").and_then(Value::as_u64).unwrap_or_default();
                Ok(output::line(&format!("{agent}: {count} revoked"))?)
            }
        }
    }
}

/// A name that is one part of a path.
fn segment(text: &str) -> anyhow::Result<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    anyhow::ensure!(
        !text.is_empty() && text.chars().all(plain) && !text.starts_with('.'),
        "`{}` is no agent's name",
        safe(text)
    );
    Ok(text)
}

async fn token(gateway: &GatewayClient, name: &str, ttl: u64, as_json: bool) -> anyhow::Result<()> {
    let wanted = json!({ "agent": name, "ttl_s": ttl.saturating_mul(60) });
    let issued: IssuedJoinTokenReply = gateway.post("v1/agents/tokens", &wanted).await?;
    if as_json {
        return print_json(&issued);
    }
    Ok(output::line(issued.token.0.expose_secret())?)
}

fn tokens(tokens: &[JoinTokenInfo], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return print_json(tokens);
    }
    let rows = tokens.iter().map(|token| {
        [
            token.id.clone(),
            token.agent.to_string(),
            token.issued_by.clone(),
            clock(token.expires),
        ]
    });
    Ok(print_rows(["ID", "AGENT", "BY", "EXPIRES"], rows.collect())?)
}

fn list(agents: &[Agent], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return print_json(agents);
    }
    let rows = agents.iter().map(|agent| {
        let connected = agent.connected.as_ref();
        let since = match (connected, agent.seen) {
            (Some(connected), _) if connected.draining => format!("{} (draining)", clock(connected.since)),
            (Some(connected), _) => clock(connected.since),
            (None, Some(seen)) => format!("last seen {}", clock(seen)),
            (None, None) => "never".to_owned(),
        };
        let serves = connected.map(|connected| {
            let unassigned = connected.unassigned.iter().map(|target| format!("({target})"));
            connected
                .serves
                .iter()
                .cloned()
                .chain(unassigned)
                .collect::<Vec<_>>()
                .join(" ")
        });
        let latency = connected.and_then(|connected| connected.latency_ms);
        [
            agent.name.clone(),
            agent.instance.clone(),
            agent.host.clone(),
            agent.version.clone(),
            since,
            connected
                .map(|connected| connected.flows.to_string())
                .unwrap_or_default(),
            latency.map(|ms| format!("{ms:.1} ms")).unwrap_or_default(),
            serves.unwrap_or_default(),
        ]
    });
    let heads = [
        "NAME",
        "INSTANCE",
        "HOST",
        "VERSION",
        "CONNECTED",
        "FLOWS",
        "LATENCY",
        "SERVES",
    ];
    Ok(print_rows(heads, rows.collect())?)
}
