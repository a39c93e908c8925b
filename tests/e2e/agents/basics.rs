//! What works through an agent as it works without.

use anyhow::{Result, ensure};
use sallyport_tests::{Behind, BehindPlan, DATABASE, ROLE};
use serde_json::Value;

use super::{ask, said};

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

/// What a person can do something about is told, wherever the login was tried; whom the gateway is there is not.
#[test]
fn a_person_is_told_why_a_target_takes_nobody() -> Result<()> {
    let behind = Behind::start(&BehindPlan::default())?;
    let alice = behind.through("alice")?;
    let psql = |options: &str| -> Result<String> {
        let mut psql = alice.program("psql");
        let (ok, words) = said(psql.env("PGOPTIONS", options).args(["-X", "-c", "SELECT 1"]))?;
        ensure!(!ok, "{words}");
        Ok(words)
    };
    let words = psql("-c role=postgres")?;
    ensure!(
        words.contains("`role`") && words.contains("startup_settings"),
        "{words}"
    );
    let words = psql("-c TimeZone=Nowhere/AtAll")?;
    ensure!(words.contains("invalid value for parameter"), "{words}");
    let server = &behind.server;
    server.query(DATABASE, &format!("ALTER ROLE {ROLE} CONNECTION LIMIT 0"))?;
    let words = psql("")?;
    ensure!(words.contains("too many connections"), "{words}");
    server.query(DATABASE, &format!("ALTER ROLE {ROLE} CONNECTION LIMIT -1 NOLOGIN"))?;
    let words = psql("")?;
    ensure!(words.contains("is not available") && !words.contains(ROLE), "{words}");
    Ok(())
}
