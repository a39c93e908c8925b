//! Prometheus metrics.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use metrics::Unit;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// What a decision may take, in seconds.
const DECISION_BUCKETS: &[f64] = &[1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 1e-1];
/// How often what was measured is put into its buckets, so that it does not pile up while nobody asks.
const UPKEEP: Duration = Duration::from_secs(5);

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the process's recorder, once; the returned function renders it.
///
/// # Errors
/// When another recorder is installed.
pub(crate) fn install() -> anyhow::Result<impl Fn() -> String + Send + Sync> {
    let handle = match HANDLE.get() {
        Some(handle) => handle.clone(),
        None => {
            let decisions = Matcher::Full("sallyport_decision_seconds".to_owned());
            let builder = PrometheusBuilder::new().set_buckets_for_metric(decisions, DECISION_BUCKETS)?;
            let handle = builder.install_recorder().context("metrics cannot be recorded")?;
            describe();
            HANDLE.get_or_init(|| handle).clone()
        }
    };
    Ok(move || handle.render())
}

/// Does the metrics' housekeeping, for ever.
pub(crate) async fn keep() {
    loop {
        tokio::time::sleep(UPKEEP).await;
        if let Some(handle) = HANDLE.get() {
            handle.run_upkeep();
        }
    }
}

fn describe() {
    use metrics::{describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram};
    for (name, kind, words) in METRICS {
        match kind {
            Kind::Counter => counter!(*name, *words),
            Kind::Bytes => counter!(*name, Unit::Bytes, *words),
            Kind::Gauge => gauge!(*name, *words),
            Kind::Seconds => histogram!(*name, Unit::Seconds, *words),
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    /// A counter of bytes.
    Bytes,
    Gauge,
    /// A histogram of seconds.
    Seconds,
}

/// Everything that is counted anywhere in the gateway.
const METRICS: &[(&str, Kind, &str)] = &[
    (
        "sallyport_handshakes_total",
        Kind::Counter,
        "Connections by what their first words came to",
    ),
    (
        "sallyport_sessions_open",
        Kind::Gauge,
        "Sessions that are open, by target",
    ),
    (
        "sallyport_sessions_total",
        Kind::Counter,
        "Sessions that are over, by target and by who ended them",
    ),
    (
        "sallyport_commands_total",
        Kind::Counter,
        "Commands by target and by what policy decided",
    ),
    (
        "sallyport_commands_observed_total",
        Kind::Counter,
        "Commands that went on and that what only observes would have refused or held, by target and outcome",
    ),
    (
        "sallyport_decision_seconds",
        Kind::Seconds,
        "What a decision took that was not remembered",
    ),
    ("sallyport_holds_open", Kind::Gauge, "Commands that wait for people"),
    (
        "sallyport_holds_total",
        Kind::Counter,
        "Commands that waited for people, by target and by how it ended",
    ),
    (
        "sallyport_review_acts_total",
        Kind::Counter,
        "Acts of reviews: asked, approved, denied and so on",
    ),
    (
        "sallyport_recording_event_bytes_total",
        Kind::Bytes,
        "Bytes of events that recordings were given",
    ),
    (
        "sallyport_recording_errors_total",
        Kind::Counter,
        "Events that could not be recorded; each ends its session",
    ),
    (
        "sallyport_policy_loads_total",
        Kind::Counter,
        "Policies that were loaded while the gateway ran, or rejected",
    ),
    (
        "sallyport_policy_observing",
        Kind::Gauge,
        "Rules and targets that only observe, by kind",
    ),
    (
        "sallyport_policy_fetch_timestamp_seconds",
        Kind::Gauge,
        "When the policy's git host last answered, in seconds since 1970",
    ),
    (
        "sallyport_policy_fetch_failures_total",
        Kind::Counter,
        "Looks at the policy's branch after which its newest commit was not in force, by kind",
    ),
    (
        "sallyport_policy_commit_timestamp_seconds",
        Kind::Gauge,
        "When the policy's commit in force was made, in seconds since 1970",
    ),
    (
        "sallyport_api_responses_total",
        Kind::Counter,
        "Answers of the API by status",
    ),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::METRICS;

    const BOOK: &str = include_str!("../../../docs/src/operating.md");

    /// The names that follow these words in a text.
    fn names<'a>(text: &'a str, before: &[&str]) -> BTreeSet<&'a str> {
        let ends = |rest: &'a str| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
        let after = |word: &&str| text.split(*word).skip(1).filter_map(ends).collect::<Vec<_>>();
        before
            .iter()
            .flat_map(after)
            .filter(|name| name.starts_with("sallyport_"))
            .collect()
    }

    fn sources(dir: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let each = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
        each.filter(|path| path.extension().is_some_and(|end| end == "rs"))
            .collect()
    }

    #[test]
    fn every_metric_is_described_here_and_in_the_book_and_counted_somewhere() {
        let described: BTreeSet<&str> = METRICS.iter().map(|(name, _, _)| *name).collect();
        assert_eq!(
            names(BOOK, &["| `"]),
            described,
            "the book's table and what is described"
        );
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let texts: Vec<String> = sources(crates)
            .iter()
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        let macros = ["counter!(\"", "gauge!(\"", "histogram!(\""];
        let counted: BTreeSet<&str> = texts.iter().flat_map(|text| names(text, &macros)).collect();
        assert_eq!(counted, described, "what is counted and what is described");
    }
}
