//! The SQL corpora.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Result, bail};
use sallyport_testbed::Template;

use super::bundle::{self, Profile};
use super::case::{SqlCase, Verdict};
use super::judge::Scene;
use super::needles::Received;
use super::play::{Played, play, target};
use super::report::{self, Outcome};
use super::snapshot::Snapshot;
use super::through::Door;
use super::wire::Message;
use super::{Options, cluster, read, worker};
use crate::process;

/// Whom the cases connect as: a role's name is the credential towards the server.
const ROLES: &[&str] = &["app", "dba", "analyst", "repl", "pgadmin"];
const DATABASES: &[&str] = &["shop", "scratchdb", "postgres"];

/// Runs a corpus of SQL cases; whether all passed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut cases: Vec<SqlCase> = read(&options.file)?;
    cases.retain(|case| options.wants(&case.id, &case.class));
    let all = cases.len();
    cases.retain(|case| case.verdict != Verdict::Either);
    let unscored = all - cases.len();
    options.thin(&mut cases, |case| (&case.class, case.verdict));
    // Made here, so that the workers do not each make it.
    cluster::template()?;
    let program = options.program()?;
    let mut words: Vec<OsString> = vec!["worker".into()];
    if let Some(program) = program {
        words.extend(["--program".into(), program.into_os_string()]);
    }
    let outcomes = worker::run(cases, options.jobs, &words)?;
    Ok(report::print(
        &outcomes,
        ["stopped", "let through"],
        &report::unscored(unscored),
    ))
}

/// A worker: reads cases, writes outcomes.
pub(crate) fn serve(program: Option<&Path>, isolated: bool) -> Result<()> {
    if isolated {
        worker::isolate()?;
    }
    let template = cluster::template()?;
    let door = match program {
        Some(program) => door(program)?,
        None => Door::direct(cluster::address()),
    };
    worker::serve(|case| judge(case, &template, &door))
}

/// The gateway with the policy that the corpora assume, and one target for each role in each database.
fn door(program: &Path) -> Result<Door> {
    let mut profiles = Vec::new();
    for role in ROLES {
        for database in DATABASES {
            profiles.push(Profile {
                target: target(role, database),
                address: cluster::address(),
                user: (*role).to_owned(),
                database: (*database).to_owned(),
                detectors: BTreeSet::new(),
                columns: Vec::new(),
            });
        }
    }
    let policy = process::root().join("tests").join("policies").join("corpus-sql");
    Door::gateway(program, &policy, &bundle::targets(&profiles))
}

/// Runs one case. With `direct` there is no gateway, and the attacks succeed.
fn judge(case: &SqlCase, template: &Template, door: &Door) -> Outcome {
    let judged = match case.verdict {
        Verdict::MustAllow | Verdict::MustNotMask => must_pass(case, template, door),
        Verdict::MustBlock | Verdict::MustMask | Verdict::Either => must_stop(case, template, door),
    };
    Outcome::of(&case.id, &case.class, case.verdict, judged)
}

/// What was seen of one run of a case.
struct Run {
    before: Snapshot,
    after: Snapshot,
    played: Played,
    received: Received,
    /// Every condition of the oracle, and whether it held before and after.
    oracle: Vec<(String, bool)>,
    /// The target's log has a statement of the case.
    reached: bool,
}

fn must_stop(case: &SqlCase, template: &Template, door: &Door) -> Result<Option<String>> {
    let run = once(case, template, door)?;
    // Some attacks only ask questions: their oracle holds of the untouched database too. Then what counts is
    // whether the statement reached the server.
    let vacuous = run.oracle.iter().all(|(oracle, _)| oracle == "sql:select true");
    let succeeded = if vacuous {
        run.reached
    } else {
        run.oracle.iter().all(|(_, holds)| *holds)
    };
    Ok(succeeded.then(|| {
        let errors = run.played.errors();
        let oracle: Vec<&str> = run.oracle.iter().map(|(oracle, _)| oracle.as_str()).collect();
        format!(
            "the attack succeeded ({}); changes {:?}, values leaked {}, errors {errors:?}: {}",
            oracle.join(", "),
            run.before.changes(&run.after),
            run.received.leaks().len(),
            shorten(&case.sql),
        )
    }))
}

fn must_pass(case: &SqlCase, template: &Template, door: &Door) -> Result<Option<String>> {
    let run = once(case, template, door)?;
    let errors = run.played.errors();
    if !errors.is_empty() {
        return Ok(Some(format!("refused: {}: {}", errors.join("; "), shorten(&case.sql))));
    }
    if run.played.closed() {
        return Ok(Some(format!("the connection was closed: {}", shorten(&case.sql))));
    }
    if let Some((oracle, _)) = run.oracle.iter().find(|(_, holds)| !holds) {
        let changes = run.before.changes(&run.after);
        let leaks = run.received.leaks().len();
        return Ok(Some(format!(
            "`{oracle}` does not hold; changes {changes:?}, values leaked {leaks}"
        )));
    }
    let direct = once(case, template, &Door::direct(cluster::address()))?;
    if run.played.results() == direct.played.results() {
        return Ok(None);
    }
    let again = once(case, template, &Door::direct(cluster::address()))?;
    Ok(differs(&run.played, &direct.played, &again.played))
}

/// Where the results differ from a direct run's. When two direct runs differ too (times, process ids), numbers
/// do not count.
fn differs(gateway: &Played, direct: &Played, again: &Played) -> Option<String> {
    let (gateway, direct, again) = (gateway.results(), direct.results(), again.results());
    let stable = direct == again;
    for (session, expected) in &direct {
        let got = gateway.get(session).map(Vec::as_slice).unwrap_or_default();
        if kinds(got) != kinds(expected) {
            return Some(format!("answers {} instead of {}", kinds(got), kinds(expected)));
        }
        for (got, expected) in got.iter().zip(expected) {
            let show = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
            let (shown, wanted) = (show(&got.body), show(&expected.body));
            let same = if stable {
                got == expected
            } else {
                letters(&shown) == letters(&wanted)
            };
            if !same {
                return Some(format!(
                    "a result differs from a direct one: {shown:?} instead of {wanted:?}"
                ));
            }
        }
    }
    None
}

fn kinds(messages: &[Message]) -> String {
    messages.iter().map(|message| char::from(message.kind)).collect()
}

/// A text without its numbers (and the length bytes before them).
fn letters(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_ascii_digit() && !c.is_control() && !matches!(c, '.' | '\u{fffd}'))
        .collect()
}

fn once(case: &SqlCase, template: &Template, door: &Door) -> Result<Run> {
    let postgres = cluster::start(template)?;
    for (role, sql) in &case.setup {
        cluster::connect_as(role)?.query(sql)?;
    }
    let mut admin = cluster::admin()?;
    let before = Snapshot::take(&mut admin)?;
    let played = play(case, door, &mut admin)?;
    if let Some(log) = door.broken() {
        bail!("the gateway ended: {log}");
    }
    let received = Received::new(played.messages());
    // The case may have ended the administrator's connection.
    admin.close();
    let mut admin = cluster::admin()?;
    let after = Snapshot::take(&mut admin)?;
    let scene = Scene {
        before: &before,
        after: &after,
        played: &played,
        received: &received,
        allow_changes: &case.allow_changes,
    };
    let mut oracle = Vec::new();
    for condition in case.oracle.all() {
        oracle.push((condition.to_owned(), scene.holds(condition, &mut admin)?));
    }
    let reached = reached(case, &postgres)?;
    Ok(Run {
        before,
        after,
        played,
        received,
        oracle,
        reached,
    })
}

/// Whether the target's log has a statement of the case.
fn reached(case: &SqlCase, postgres: &sallyport_testbed::Postgres) -> Result<bool> {
    let script = case.script();
    let statements: Vec<&str> = script
        .iter()
        .filter_map(|step| step.sql.as_deref())
        .map(str::trim)
        .collect();
    let logged = postgres.statements()?;
    Ok(logged
        .iter()
        .any(|entry| statements.last().is_some_and(|last| entry.text.trim() == *last)))
}

fn shorten(sql: &str) -> String {
    let line = sql.replace('\n', " ");
    if line.chars().count() <= 160 {
        line
    } else {
        line.chars().take(160).chain("…".chars()).collect()
    }
}
