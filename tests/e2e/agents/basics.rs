//! What works through an agent as it works without.

use anyhow::{Result, ensure};
use sallyport_tests::{Behind, BehindPlan, ROLE};
use serde_json::Value;

use super::ask;

#[test]
fn a_statement_runs_through_an_agent_and_its_recording_names_it() -> Result<()> {
    let behind = Behind::start(&BehindPlan::default())?;
    let alice = behind.through("alice")?;
    let said = ask(
        &alice,
        "SELECT current_user, inet_client_addr() IS NOT NULL, generate_series(1, 3)",
    )?;
    ensure!(
        said.lines().count() == 3 && said.starts_with(ROLE),
        "{said} {}",
        behind.agent.log()
    );
    let agents = behind.gateway.api().get("/v1/agents", Some(&behind.admin))?;
    let serves = agents
        .body
        .pointer("/0/connected/serves")
        .and_then(Value::as_array)
        .cloned();
    ensure!(serves == Some(vec!["orders".into()]), "{agents:?}");
    Ok(())
}
