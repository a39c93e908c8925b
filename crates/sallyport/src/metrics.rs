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
    counter!(
        "sallyport_handshakes_total",
        "Connections by what their first words came to"
    );
    gauge!("sallyport_sessions_open", "Sessions that are open, by target");
    counter!(
        "sallyport_sessions_total",
        "Sessions that are over, by target and by who ended them"
    );
    counter!(
        "sallyport_commands_total",
        "Commands by target and by what policy decided"
    );
    histogram!(
        "sallyport_decision_seconds",
        Unit::Seconds,
        "What a decision took that was not remembered"
    );
    gauge!("sallyport_holds_open", "Commands that wait for people");
    counter!(
        "sallyport_holds_total",
        "Commands that waited for people, by target and by how it ended"
    );
    counter!(
        "sallyport_recording_event_bytes_total",
        Unit::Bytes,
        "Bytes of events that recordings were given"
    );
    counter!(
        "sallyport_recording_errors_total",
        "Events that could not be recorded; each ends its session"
    );
    counter!(
        "sallyport_policy_loads_total",
        "Policies that were loaded while the gateway ran, or rejected"
    );
}
