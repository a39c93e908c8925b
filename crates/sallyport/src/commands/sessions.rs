//! `sallyport sessions`: who is and was connected to what.

use std::io::{Write, stdout};

use clap::{Args, Subcommand};
use sallyport_api::ports::{Session, SessionState};
use serde_json::json;
use time::OffsetDateTime;

use super::caller::Caller;
use super::terminal::{checked_id, clock, print_json, print_rows, query, safe, span};
use super::watch::WatchArgs;

/// Show sessions, live and recorded: your own; for auditors and administrators, everybody's.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    caller: Caller,
    /// Only those that go on.
    #[arg(long)]
    live: bool,
    /// Only those of this principal.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Only those to this target.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show one session.
    Show {
        /// The session.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Watch a session that goes on, as its client sees it, until it ends. Who watches is recorded.
    Watch(WatchArgs),
    /// End a session that goes on; its client is told why.
    #[command(alias = "end")]
    Kill {
        /// The session.
        id: String,
        /// Why.
        #[arg(long, short, value_name = "TEXT")]
        reason: Option<String>,
    },
}

impl SessionsArgs {
    /// Lists, shows, watches or ends sessions.
    ///
    /// # Errors
    /// When nobody is logged in, or the gateway says no.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let gateway = self.caller.logged_in()?;
        match self.action {
            None => {
                let parameters = query(&[
                    ("live", self.live.then(|| "true".to_owned())),
                    ("principal", self.principal),
                    ("target", self.target),
                    ("limit", Some(self.limit.to_string())),
                ]);
                let sessions: Vec<Session> = gateway.get(&format!("v1/sessions{parameters}")).await?;
                if self.json {
                    return print_json(&sessions);
                }
                let header = [
                    "ID", "STATE", "WHO", "TARGET", "TASK", "FROM", "BEGAN", "LASTED", "COMMANDS",
                ];
                Ok(print_rows(header, sessions.iter().map(row).collect())?)
            }
            Some(Action::Show { id, json }) => {
                let session: Session = gateway.get(&format!("v1/sessions/{}", checked_id(&id)?)).await?;
                if json {
                    print_json(&session)
                } else {
                    Ok(stdout().write_all(words(&session).as_bytes())?)
                }
            }
            Some(Action::Watch(watch)) => watch.run(&gateway).await,
            Some(Action::Kill { id, reason }) => {
                let path = format!("v1/sessions/{}/end", checked_id(&id)?);
                let session: Session = gateway.post(&path, &json!({ "reason": reason })).await?;
                let words = format!("{} of {} on {} is ended", session.id, session.principal, session.target);
                Ok(writeln!(stdout(), "{}", safe(&words))?)
            }
        }
    }
}

fn row(session: &Session) -> [String; 9] {
    let dash = || "-".to_owned();
    [
        session.id.clone(),
        state(session).to_owned(),
        session.principal.clone(),
        session.target.clone(),
        session.task.clone().unwrap_or_else(dash),
        session.client_address.clone().unwrap_or_else(dash),
        clock(session.started),
        lasted(session).unwrap_or_else(dash),
        session.commands.map_or_else(dash, |count| count.to_string()),
    ]
}

fn state(session: &Session) -> &'static str {
    match session.state {
        SessionState::Live => "live",
        SessionState::Sealed => "sealed",
        SessionState::Interrupted => "interrupted",
    }
}

fn lasted(session: &Session) -> Option<String> {
    let duration = match (session.state, session.duration_micros) {
        (SessionState::Live, _) => OffsetDateTime::now_utc() - session.started,
        (SessionState::Sealed | SessionState::Interrupted, Some(micros)) => {
            time::Duration::microseconds(i64::try_from(micros).unwrap_or(i64::MAX))
        }
        (SessionState::Sealed | SessionState::Interrupted, None) => return None,
    };
    Some(span(duration))
}

/// A session in lines, also the head of its replay.
pub(super) fn words(session: &Session) -> String {
    let mut text = format!("{}: {}\n", session.id, state(session));
    let mut field = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            text += &format!("  {name:<10}{}\n", safe(value).replace('\n', " "));
        }
    };
    field(
        "who",
        Some(&format!("{} ({})", session.principal, session.groups.join(", "))),
    );
    let database = session
        .database
        .as_ref()
        .map(|name| format!(", database {name}"))
        .unwrap_or_default();
    field(
        "target",
        Some(&format!("{} ({}{database})", session.target, session.protocol)),
    );
    field("task", session.task.as_deref());
    field("from", session.client_address.as_deref());
    field("with", session.client_tool.as_deref());
    field(
        "through",
        session.agent.as_ref().map(|agent| format!("agent {agent}")).as_deref(),
    );
    field("began", Some(&clock(session.started)));
    field("lasted", lasted(session).as_deref());
    field("commands", session.commands.map(|count| count.to_string()).as_deref());
    let commit = session
        .policy_commit
        .as_ref()
        .map(|commit| format!(" (commit {commit})"))
        .unwrap_or_default();
    field("policy", Some(&format!("{}{commit}", session.policy_digest)));
    text
}
