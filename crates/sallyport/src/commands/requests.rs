//! `sallyport requests`: held commands that wait for people.

use std::io::{Write, stdout};

use clap::Args;
use sallyport_identity::client::GatewayClient;
use sallyport_review::{Request, RequestState};
use time::OffsetDateTime;

use super::caller::Caller;
use super::terminal::{ago, checked_id, clock, indented, print_json, print_rows, query, safe, span};

/// The longest wait that one call asks for, in seconds; shorter than the client's own patience.
const WAIT_S: u64 = 15;

/// Show held commands: your own, and those that one of your groups is asked to review.
#[derive(Debug, Args)]
pub(crate) struct RequestsArgs {
    #[command(flatten)]
    caller: Caller,
    /// Show this one with everything a reviewer needs to know.
    #[arg(value_name = "ID", conflicts_with_all = ["all", "state", "mine", "target", "principal", "limit"])]
    id: Option<String>,
    /// Also those that are over.
    #[arg(long, conflicts_with = "state")]
    all: bool,
    /// Only those in these states: open, approved, used, denied, expired, withdrawn.
    #[arg(long, value_delimiter = ',', value_name = "STATE")]
    state: Vec<RequestState>,
    /// Only your own.
    #[arg(long)]
    mine: bool,
    /// Only those for this target.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Only those of this principal.
    #[arg(long, value_name = "NAME", conflicts_with = "mine")]
    principal: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// Wait until there is one, or, with ID, until it is decided.
    #[arg(long)]
    wait: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl RequestsArgs {
    /// Lists requests, or shows one.
    ///
    /// # Errors
    /// When nobody is logged in, or the gateway says no.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let gateway = self.caller.logged_in()?;
        if let Some(id) = &self.id {
            let request = one(&gateway, id, self.wait).await?;
            return if self.json {
                print_json(&request)
            } else {
                Ok(print_request(&request)?)
            };
        }
        let requests = self.list(&gateway).await?;
        if self.json {
            return print_json(&requests);
        }
        Ok(print_rows(
            [
                "ID",
                "STATE",
                "WHO",
                "TARGET",
                "TASK",
                "WAITS FOR",
                "ASKED",
                "STATEMENT",
            ],
            rows(&requests),
        )?)
    }

    async fn list(&self, gateway: &GatewayClient) -> anyhow::Result<Vec<Request>> {
        let states: Vec<&str> = match (self.all, self.state.is_empty()) {
            (true, _) => Vec::new(),
            (false, true) => vec!["open", "approved"],
            (false, false) => self.state.iter().map(|state| state.as_str()).collect(),
        };
        let path = format!(
            "v1/requests{}",
            query(&[
                ("state", (!states.is_empty()).then(|| states.join(","))),
                ("mine", self.mine.then(|| "true".to_owned())),
                ("target", self.target.clone()),
                ("principal", self.principal.clone()),
                ("limit", Some(self.limit.to_string())),
                ("wait", self.wait.then(|| WAIT_S.to_string())),
            ])
        );
        loop {
            let requests: Vec<Request> = gateway.get(&path).await?;
            if !self.wait || !requests.is_empty() {
                return Ok(requests);
            }
        }
    }
}

async fn one(gateway: &GatewayClient, id: &str, wait: bool) -> anyhow::Result<Request> {
    let id = checked_id(id)?;
    let wait = wait.then(|| WAIT_S.to_string());
    let mut request: Request = gateway.get(&format!("v1/requests/{id}")).await?;
    while wait.is_some() && request.state == RequestState::Open {
        let path = format!("v1/requests/{id}{}", query(&[("wait", wait.clone())]));
        request = gateway.get(&path).await?;
    }
    Ok(request)
}

fn rows(requests: &[Request]) -> Vec<[String; 8]> {
    let row = |request: &Request| {
        [
            request.id.clone(),
            state(request),
            request.requester.id.clone(),
            request.target.clone(),
            request.task.clone().unwrap_or_else(|| "-".to_owned()),
            missing(request),
            ago(request.created),
            first_line(&request.statement),
        ]
    };
    requests.iter().map(row).collect()
}

fn state(request: &Request) -> String {
    let waits = if request.waiting { ", a client waits" } else { "" };
    format!("{}{waits}", request.state)
}

/// Who still has to approve.
fn missing(request: &Request) -> String {
    if request.state != RequestState::Open {
        return "-".to_owned();
    }
    let open = request.needs.iter().filter(|need| need.approved < need.count);
    let words: Vec<String> = open
        .map(|need| match need.count - need.approved {
            1 => need.group.clone(),
            count => format!("{count} of {}", need.group),
        })
        .collect();
    let watchers = request.watch.iter().map(|group| format!("{group} to watch"));
    words.into_iter().chain(watchers).collect::<Vec<_>>().join(", ")
}

fn first_line(text: &str) -> String {
    let mut shown: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = shown.char_indices().nth(60) {
        shown.truncate(at);
        shown.push('…');
    }
    shown
}

/// Prints what a reviewer needs to know.
pub(super) fn print_request(request: &Request) -> std::io::Result<()> {
    let mut text = head(request);
    text += &people(request);
    text += &field("digest", &request.digest);
    text += &command(request);
    if request.state == RequestState::Open {
        text += &what_to_do(request);
    }
    stdout().lock().write_all(text.as_bytes())
}

/// How a request goes on, or not.
fn what_to_do(request: &Request) -> String {
    let (id, session) = (&request.id, safe(&request.session));
    let watch = format!("Watch with `sallyport sessions watch {session}`");
    match (request.needs.is_empty(), request.watch.is_empty()) {
        (_, true) => format!("\nDecide with `sallyport approve {id}` or `sallyport deny {id} --reason …`.\n"),
        (true, false) => {
            format!("\n{watch}: it goes on while you do. Or say no with `sallyport deny {id} --reason …`.\n")
        }
        (false, false) => format!(
            "\nDecide with `sallyport approve {id}` or `sallyport deny {id} --reason …`.\n{watch}: it goes on only while somebody does.\n"
        ),
    }
}

fn field(name: &str, value: &str) -> String {
    format!("  {name:<10}{}\n", safe(value).replace('\n', " "))
}

/// Who asks for what, where and when.
fn head(request: &Request) -> String {
    let mut text = format!("{}: {}\n", request.id, state(request));
    let asker = &request.requester;
    text += &field("who", &format!("{} ({})", asker.id, asker.groups.join(", ")));
    let database = request.database.as_ref().map(|name| format!(", database {name}"));
    text += &field("target", &format!("{}{}", request.target, database.unwrap_or_default()));
    text += &field("task", request.task.as_deref().unwrap_or("-"));
    text += &field("rules", &request.rules.join(", "));
    if let Some(message) = &request.message {
        text += &field("message", message);
    }
    let asked = format!("{} ({})", clock(request.created), ago(request.created));
    text += &field("asked", &asked);
    if request.state == RequestState::Open {
        let left = request.expires - OffsetDateTime::now_utc();
        text += &field("expires", &format!("in {}", span(left)));
    }
    text
}

/// Who has to decide, and who has.
fn people(request: &Request) -> String {
    let because = |reason: &Option<String>| reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
    let mut text = String::new();
    for need in &request.needs {
        let needs = format!("{} of {} from {}", need.approved, need.count, need.group);
        text += &field("needs", &needs);
    }
    if !request.watch.is_empty() {
        text += &field("watched by", &request.watch.join(" and "));
    }
    for approval in &request.approvals {
        let when = format!("{}{}", clock(approval.at), because(&approval.reason));
        let by = format!("{} for {}, {when}", approval.reviewer, approval.group);
        text += &field("approved", &by);
    }
    if let Some(end) = &request.conclusion {
        let by = end.by.as_deref().unwrap_or("the gateway");
        let how = format!("by {by}, {}{}", clock(end.at), because(&end.reason));
        text += &field(request.state.as_str(), &how);
    }
    text
}

/// The command itself, and what it would touch.
fn command(request: &Request) -> String {
    let mut text = format!("\n{}\n", indented(&request.statement, "    "));
    if request.statement_truncated {
        let bytes = request.statement_bytes;
        text += &format!("    … the statement goes on: {bytes} bytes in all\n");
    }
    if !request.parameters.is_empty() {
        text += "\n  parameters\n";
        for (at, parameter) in request.parameters.iter().enumerate() {
            text += &format!("    ${} = {}\n", at + 1, safe(parameter).replace('\n', "\\n"));
        }
    }
    if request.parameters_truncated {
        text += "    … the parameters go on\n";
    }
    if let Some(impact) = &request.impact {
        let rows = impact
            .estimated_rows
            .map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string());
        text += &format!("\n  impact, as the target plans it: {rows} rows\n");
        text += &format!("{}\n", indented(&impact.plan, "    "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::first_line;

    #[test]
    fn a_statement_in_a_list_is_one_short_line() {
        assert_eq!(first_line("ALTER TABLE t\n  ADD c int"), "ALTER TABLE t ADD c int");
        assert_eq!(first_line(&"é".repeat(100)), format!("{}…", "é".repeat(60)));
    }
}
