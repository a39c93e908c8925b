//! Prometheus metrics.

use std::sync::OnceLock;

use anyhow::Context;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Installs the process's recorder, once; the returned function renders it.
///
/// # Errors
/// When another recorder is installed.
pub fn install() -> anyhow::Result<impl Fn() -> String + Send + Sync> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = match HANDLE.get() {
        Some(handle) => handle.clone(),
        None => {
            let handle = PrometheusBuilder::new().install_recorder().context("metrics cannot be recorded")?;
            HANDLE.get_or_init(|| handle).clone()
        }
    };
    Ok(move || handle.render())
}
