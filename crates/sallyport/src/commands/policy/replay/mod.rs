//! `sallyport policy replay`: what a bundle would have decided of the commands that were really run.

mod change;
mod past;
mod report;

use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use sallyport_api::ports::PastSession;
use serde::Deserialize;
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use self::change::Kind;
use self::past::{Line, Session};
use self::report::Report;
use super::super::caller::Caller;
use super::super::terminal::{print_json, print_rows, query};
use super::problems;
use super::workbench::Workbench;

/// Lines that are handed over together.
const BATCH: usize = 512;
/// Batches that may wait.
const BATCHES: usize = 16;

/// Decide every recorded command of a period again, under a changed bundle, and show what comes out otherwise. For
/// auditors and administrators; the commands come from the gateway, the bundle stays here.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    caller: Caller,
    /// The changed bundle's directory.
    #[arg(long, value_name = "DIR", default_value = "policy")]
    against: PathBuf,
    /// From when on: a time, or how long ago (`30d`, `12h`).
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = moment)]
    since: OffsetDateTime,
    /// Until when.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<OffsetDateTime>,
    /// Only commands of this principal.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Only commands on this target.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Also look whether today's parser understands each command as it was understood. Done anyway for those that
    /// another version of the gateway recorded.
    #[arg(long)]
    reread: bool,
    /// Fail when more commands than this come out otherwise in this way: `newly-allowed=0`. May be given several times.
    #[arg(long, value_name = "KIND=NUMBER", value_delimiter = ',', value_parser = bound)]
    fail_on: Vec<(Kind, u64)>,
    /// With `--format markdown`: also the beginnings of commands, with whatever values are in them.
    #[arg(long)]
    texts: bool,
    /// How to show it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print JSON.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// How to show what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// A comment at a change.
    Markdown,
    /// For programs.
    Json,
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    let wrong =
        || format!("`{text}` is neither a time such as 2026-11-21T09:00:00Z nor a span such as 30d, 12h or 90m");
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time);
    }
    let unit = text.chars().last().ok_or_else(wrong)?;
    let count: i64 = text
        .strip_suffix(unit)
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let ago = count.checked_mul(seconds).map(Duration::seconds).ok_or_else(wrong)?;
    OffsetDateTime::now_utc().checked_sub(ago).ok_or_else(wrong)
}

fn bound(text: &str) -> Result<(Kind, u64), String> {
    let (kind, most) = text.split_once('=').unwrap_or((text, "0"));
    let known = || Kind::ALL.map(Kind::word).join(", ");
    let kind = Kind::from_str(kind, false).map_err(|_| format!("`{kind}` is none of {}", known()))?;
    Ok((kind, most.parse().map_err(|_| format!("`{most}` is no number"))?))
}

/// A line of a history.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Past {
    Session(PastSession),
    Task(String),
    Command(Line),
    Damaged(String),
    End {
        #[expect(dead_code, reason = "the lines before were counted")]
        sessions: u64,
    },
}

impl ReplayArgs {
    /// Fetches the history and decides it again.
    ///
    /// # Errors
    /// When the bundle is not valid, the gateway says no, or more comes out otherwise than was permitted.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let json = self.json || self.format == Format::Json;
        // A mistake in the bundle is said before anything is fetched.
        if let Err(error) = Workbench::open(&self.against) {
            return problems::refuse(error, json);
        }
        let gateway = self.caller.logged_in()?;
        let (sender, receiver) = sync_channel(BATCHES);
        let (dir, reread) = (self.against.clone(), self.reread);
        let deciding = thread::spawn(move || decide(&dir, reread, &receiver));
        let path = self.path();
        let fetched = fetch(&gateway, &path, sender).await;
        let report = deciding.join().map_err(|_| anyhow!("deciding again failed"))??;
        fetched?;
        self.show(&report, json)?;
        self.verdict(&report)
    }

    fn path(&self) -> String {
        let time = |time: OffsetDateTime| time.format(&Rfc3339).unwrap_or_default();
        let parameters = [
            ("since", Some(time(self.since))),
            ("until", self.until.map(time)),
            ("principal", self.principal.clone()),
            ("target", self.target.clone()),
        ];
        format!("v1/history{}", query(&parameters))
    }

    fn show(&self, report: &Report, json: bool) -> anyhow::Result<()> {
        if json {
            let groups = report
                .groups
                .iter()
                .map(|(group, found)| json!({ "what": group, "found": found }));
            let counts = Kind::ALL
                .into_iter()
                .map(|kind| (kind.word().to_owned(), json!(report.count(kind))));
            return print_json(&json!({
                "commands": report.commands,
                "sessions": report.sessions,
                "without_facts": report.without_facts,
                "read_otherwise": report.read_otherwise,
                "damaged": report.damaged,
                "complete": report.complete,
                "counts": counts.collect::<serde_json::Map<_, _>>(),
                "changes": groups.collect::<Vec<_>>(),
            }));
        }
        if self.format == Format::Markdown {
            return Ok(write!(stdout(), "{}", report.markdown(self.texts))?);
        }
        let rows = report.groups.iter().map(|(group, found)| {
            let mark = if found.read_otherwise > 0 { "*" } else { "" };
            [
                group.kind.word().to_owned(),
                format!("{}{mark}", found.commands),
                group.rules.clone(),
                group.principal.clone(),
                group.target.clone(),
                group.how.clone(),
                found.session.clone(),
                found.text.clone(),
            ]
        });
        let header = ["", "COMMANDS", "RULES", "WHO", "TARGET", "HOW", "SESSION", "EXAMPLE"];
        if !report.groups.is_empty() {
            print_rows(header, rows.collect())?;
        }
        writeln!(stdout(), "{}", report.summary())?;
        for caveat in report.caveats() {
            writeln!(stderr(), "note: {caveat}")?;
        }
        Ok(())
    }

    fn verdict(&self, report: &Report) -> anyhow::Result<()> {
        let over = self.fail_on.iter().filter(|(kind, most)| report.count(*kind) > *most);
        let over: Vec<String> = over
            .map(|(kind, most)| format!("{} {}, of which {most} are permitted", report.count(*kind), kind.word()))
            .collect();
        if !over.is_empty() {
            bail!("{}", over.join("; "));
        }
        let all_known = report.complete && report.damaged.is_empty() && report.without_facts == 0;
        if !self.fail_on.is_empty() && !all_known {
            bail!("not all of the history could be read or decided again, so nothing is sure");
        }
        Ok(())
    }
}

/// Hands the lines of the history over.
async fn fetch(
    gateway: &sallyport_identity::client::GatewayClient,
    path: &str,
    batches: SyncSender<Vec<Vec<u8>>>,
) -> anyhow::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    gateway
        .get_lines::<anyhow::Error>(path, |line| {
            batch.push(line.to_vec());
            if batch.len() >= BATCH {
                let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
                batches.send(full).context("deciding again failed")?;
            }
            Ok(())
        })
        .await?;
    batches.send(batch).context("deciding again failed")
}

/// Decides what comes, until no more does.
fn decide(dir: &Path, reread: bool, batches: &Receiver<Vec<Vec<u8>>>) -> anyhow::Result<Report> {
    let bench = Workbench::open(dir)?;
    let mut report = Report::default();
    let mut session: Option<Session<'_>> = None;
    for line in batches.iter().flatten().filter(|line| !line.is_empty()) {
        match serde_json::from_slice(&line).context("the gateway's history is not understood")? {
            Past::Session(past) => {
                if let Some(mut over) = session.replace(Session::new(&bench, past, reread)) {
                    report.session(&mut over);
                }
                report.sessions += 1;
            }
            Past::Task(task) => {
                if let Some(session) = &mut session {
                    session.work_on(task);
                }
            }
            Past::Command(line) => {
                if let Some(session) = &mut session {
                    let came = session.command(&line);
                    report.command(session, line.seq, &line.text, &came);
                }
            }
            Past::Damaged(why) => report.damaged.push(why),
            Past::End { .. } => report.complete = true,
        }
    }
    if let Some(mut over) = session {
        report.session(&mut over);
    }
    Ok(report)
}
