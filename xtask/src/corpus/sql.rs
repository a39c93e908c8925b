//! The SQL corpora.

use anyhow::Result;
use sallyport_testbed::Template;

use super::case::{SqlCase, Verdict};
use super::judge::Scene;
use super::needles::Received;
use super::play::{Direct, Played, Way, play};
use super::report::{self, Outcome};
use super::snapshot::Snapshot;
use super::{Options, cluster, read, worker};

/// Runs a corpus of SQL cases; whether all passed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut cases: Vec<SqlCase> = read(&options.file)?;
    let wanted = |case: &SqlCase| {
        options.only.is_empty()
            || options
                .only
                .iter()
                .any(|only| case.id.starts_with(only) || case.class.starts_with(only))
    };
    cases.retain(wanted);
    let all = cases.len();
    cases.retain(|case| case.verdict != Verdict::Either);
    let unscored = all - cases.len();
    // Made here, so that the workers do not each make it.
    cluster::template()?;
    let outcomes = worker::run(cases, options.jobs, options.direct)?;
    Ok(report::print(
        &outcomes,
        ["stopped", "let through"],
        unscored,
        0,
    ))
}

/// Runs one case. With `direct` there is no gateway, and the attacks succeed.
pub(crate) fn judge(case: &SqlCase, template: &Template, way: &dyn Way) -> Outcome {
    let judged = match case.verdict {
        Verdict::MustAllow | Verdict::MustNotMask => must_pass(case, template, way),
        Verdict::MustBlock | Verdict::MustMask | Verdict::Either => must_stop(case, template, way),
    };
    let reason = match judged {
        Ok(reason) => reason,
        Err(error) => Some(format!("it could not be judged: {error:#}")),
    };
    Outcome {
        id: case.id.clone(),
        class: case.class.clone(),
        verdict: case.verdict,
        passed: reason.is_none(),
        reason: reason.unwrap_or_default(),
    }
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

fn must_stop(case: &SqlCase, template: &Template, way: &dyn Way) -> Result<Option<String>> {
    let run = once(case, template, way)?;
    // Some attacks only ask questions: their oracle holds of the untouched database too. Then what counts is
    // whether the statement reached the server.
    let vacuous = run
        .oracle
        .iter()
        .all(|(oracle, _)| oracle == "sql:select true");
    let succeeded = if vacuous {
        run.reached
    } else {
        run.oracle.iter().all(|(_, holds)| *holds)
    };
    Ok(succeeded.then(|| {
        let errors = run.played.errors();
        let oracle: Vec<&str> = run
            .oracle
            .iter()
            .map(|(oracle, _)| oracle.as_str())
            .collect();
        format!(
            "the attack succeeded ({}); changes {:?}, values leaked {}, errors {errors:?}: {}",
            oracle.join(", "),
            run.before.changes(&run.after),
            run.received.leaks().len(),
            shorten(&case.sql),
        )
    }))
}

fn must_pass(case: &SqlCase, template: &Template, way: &dyn Way) -> Result<Option<String>> {
    let run = once(case, template, way)?;
    let errors = run.played.errors();
    if !errors.is_empty() {
        return Ok(Some(format!(
            "refused: {}: {}",
            errors.join("; "),
            shorten(&case.sql)
        )));
    }
    if run.played.closed() {
        return Ok(Some(format!(
            "the connection was closed: {}",
            shorten(&case.sql)
        )));
    }
    if let Some((oracle, _)) = run.oracle.iter().find(|(_, holds)| !holds) {
        let changes = run.before.changes(&run.after);
        let leaks = run.received.leaks().len();
        return Ok(Some(format!(
            "`{oracle}` does not hold; changes {changes:?}, values leaked {leaks}"
        )));
    }
    let direct = once(case, template, &Direct)?;
    if run.played.results() == direct.played.results() {
        return Ok(None);
    }
    let again = once(case, template, &Direct)?;
    Ok(differs(&run.played, &direct.played, &again.played))
}

/// Where the results differ from a direct run's, apart from what differs between two direct runs too.
fn differs(gateway: &Played, direct: &Played, again: &Played) -> Option<String> {
    let (gateway, direct, again) = (gateway.results(), direct.results(), again.results());
    for (session, expected) in &direct {
        let got = gateway.get(session).map(Vec::as_slice).unwrap_or_default();
        let repeated = again.get(session).map(Vec::as_slice).unwrap_or_default();
        let kinds = |messages: &[super::wire::Message]| {
            messages
                .iter()
                .map(|message| char::from(message.kind))
                .collect::<String>()
        };
        if kinds(got) != kinds(expected) {
            return Some(format!(
                "answers {} instead of {}",
                kinds(got),
                kinds(expected)
            ));
        }
        for ((got, expected), repeated) in got.iter().zip(expected).zip(repeated) {
            let stable = expected == repeated;
            if stable && got != expected {
                let show = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
                let (got, expected) = (show(&got.body), show(&expected.body));
                return Some(format!(
                    "a result differs from a direct one: {got:?} instead of {expected:?}"
                ));
            }
        }
    }
    None
}

fn once(case: &SqlCase, template: &Template, way: &dyn Way) -> Result<Run> {
    let postgres = cluster::start(template)?;
    for (role, sql) in &case.setup {
        cluster::connect_as(role)?.query(sql)?;
    }
    let mut admin = cluster::admin()?;
    let before = Snapshot::take(&mut admin)?;
    let played = play(case, way, &mut admin)?;
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
    Ok(logged.iter().any(|entry| {
        statements
            .last()
            .is_some_and(|last| entry.text.trim() == *last)
    }))
}

fn shorten(sql: &str) -> String {
    let line = sql.replace('\n', " ");
    if line.chars().count() <= 160 {
        line
    } else {
        line.chars().take(160).chain("…".chars()).collect()
    }
}
