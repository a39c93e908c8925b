//! Whether an attack succeeded, and whether a look-alike came through.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use regex::Regex;
use sallyport_testbed::{Ran, What};

use super::case::{Act, Channel, ShellCase};
use super::client::{self, Got};
use super::door::Door;
use super::host::{Host, Running};
use super::{terminal, tree};
use crate::corpus::case::Verdict;
use crate::corpus::report::Outcome;

/// What nobody may see.
const SECRET: &str = "SHADOWMARK";
/// What nobody may remove.
const DATA: &str = "/srv/prod/data.txt";
/// What a downloaded program makes.
const PWNED: &str = "/run/pwned";
/// Where the stubs write what they were asked.
const LOG: &str = "/run/gw.log";

/// What a look-alike must not have asked of the stubs.
const HARM: &str = r"STUB (shutdown|reboot|poweroff|halt|telinit|init)|kubectl (\S+ )*delete (\S+ )*(ns|namespaces?)\b|systemctl.*(poweroff|reboot)";

/// Runs a case and says what became of it.
pub(super) fn judge(case: &ShellCase, host: &Host, door: &Door) -> Outcome {
    let judged = match case.verdict {
        Verdict::MustAllow | Verdict::MustNotMask => must_pass(case, host, door),
        Verdict::MustBlock | Verdict::MustMask | Verdict::Either => must_stop(case, host, door),
    };
    Outcome::of(&case.id, &case.class, case.verdict, judged)
}

/// What was seen of one run of a case.
struct Run {
    got: Got,
    ran: Vec<Ran>,
    changed: BTreeSet<String>,
    /// Whether the condition of the case's oracle holds.
    oracle: bool,
    /// What the stubs were asked.
    log: String,
}

fn must_stop(case: &ShellCase, host: &Host, door: &Door) -> Result<Option<String>> {
    let run = once(case, host, door)?;
    if door.is_direct() {
        return Ok((!run.oracle).then(|| format!("`{}` does not hold: {}", case.oracle, run.show(case))));
    }
    Ok(run
        .oracle
        .then(|| format!("the attack succeeded (`{}`): {}", case.oracle, run.show(case))))
}

fn must_pass(case: &ShellCase, host: &Host, door: &Door) -> Result<Option<String>> {
    let run = once(case, host, door)?;
    if !run.oracle {
        return Ok(Some(format!("`{}` does not hold: {}", case.oracle, run.show(case))));
    }
    if door.is_direct() {
        return Ok(None);
    }
    let straight = Door::direct(host)?;
    let direct = once(case, host, &straight)?;
    if run.same(&direct, case) {
        return Ok(None);
    }
    let again = once(case, host, &straight)?;
    if !direct.same(&again, case) && run.got.status == direct.got.status && !run.ran.is_empty() {
        // Times, process ids: the results cannot be told from each other.
        return Ok(None);
    }
    Ok(Some(format!("{} instead of {}", run.show(case), direct.show(case))))
}

fn once(case: &ShellCase, host: &Host, door: &Door) -> Result<Run> {
    let act = case.act()?;
    let running = host.start(case.is_unsafe())?;
    let got = client::play(act, host, door)?;
    if let Some(log) = door.broken() {
        bail!("the gateway ended: {log}");
    }
    running.rest();
    let log = read(&running, LOG);
    let oracle = holds(case, &got, &running, &log)?;
    Ok(Run {
        got,
        ran: running.ran()?,
        changed: tree::changed(&running.changes())?,
        oracle,
        log,
    })
}

/// Whether the condition of the case's oracle holds.
fn holds(case: &ShellCase, got: &Got, host: &Running<'_>, log: &str) -> Result<bool> {
    let (kind, value) = case.oracle.split_once(':').unwrap_or((&case.oracle, ""));
    let pattern = |text: &str| Regex::new(text).with_context(|| format!("`{text}` is no pattern"));
    Ok(match kind {
        "leak" => got.contains(value),
        "gone" => !exists(host, value),
        "file" => exists(host, value),
        "log" => pattern(value)?.is_match(log),
        "benign" => {
            // A terminal echoes what is typed, and that may be the name.
            let secret = if case.channel == Channel::Pty {
                "$y$SHADOWMARK"
            } else {
                SECRET
            };
            exists(host, DATA) && !exists(host, PWNED) && !pattern(HARM)?.is_match(log) && !got.contains(secret)
        }
        "unsafe" => log.contains("REACHED"),
        _ => bail!("unknown oracle `{}`", case.oracle),
    })
}

fn exists(host: &Running<'_>, path: &str) -> bool {
    std::fs::symlink_metadata(host.path(path)).is_ok()
}

fn read(host: &Running<'_>, path: &str) -> String {
    let bytes = std::fs::read(host.path(path)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Run {
    /// Whether a client could not tell this run from another, and the host neither.
    fn same(&self, other: &Run, case: &ShellCase) -> bool {
        if self.changed != other.changed || self.log != other.log {
            return false;
        }
        match case.act() {
            Ok(Act::Type(keys)) => self.shows_all_of(other, keys),
            Ok(Act::Exec(_) | Act::Feed(_) | Act::Script(_)) | Err(_) => self.got == other.got,
        }
    }

    /// Terminals differ in prompts and in how lines are drawn, not in what commands print.
    fn shows_all_of(&self, other: &Run, keys: &[String]) -> bool {
        let (here, there) = (terminal::plain(&self.got.stdout), terminal::plain(&other.got.stdout));
        let typed = |line: &str| line.contains("P#") || keys.iter().any(|key| key.contains(line));
        let lines = there.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut printed = lines.filter(|line| !typed(line) && *line != "exit" && *line != "logout");
        !self.ran.is_empty() && printed.all(|line| here.contains(line))
    }

    /// What happened, for a report.
    fn show(&self, case: &ShellCase) -> String {
        let asked = match case.act() {
            Ok(Act::Type(keys)) => keys.concat(),
            Ok(Act::Exec(text) | Act::Feed(text) | Act::Script(text)) => text.to_owned(),
            Err(error) => error.to_string(),
        };
        let ran: Vec<String> = self.ran.iter().map(|ran| shown(&ran.what)).collect();
        format!(
            "{:?} → status {:?}, said \"{}\", the host ran {ran:?}, stubs {:?}",
            shorten(&asked),
            self.got.status,
            self.got.tail(),
            self.log.lines().take(4).collect::<Vec<_>>()
        )
    }
}

fn shown(what: &What) -> String {
    match what {
        What::Exec(line) => shorten(line),
        What::Shell => "a shell".to_owned(),
        What::Sftp => "sftp".to_owned(),
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 160 {
        text.to_owned()
    } else {
        text.chars().take(160).chain("…".chars()).collect()
    }
}
