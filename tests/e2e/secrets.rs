//! No credential of a session is found in anything that the gateway writes or says.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use sallyport_testbed::PASSWORD;
use sallyport_tests::{Plan, ROLE_PASSWORD, Stage, run, transcripts};

#[test]
fn no_credential_is_found_in_logs_recordings_answers_or_errors() -> Result<()> {
    let mut plan = Plan::with_policy("policy");
    plan.settings = String::new();
    let stage = Stage::start(&plan)?;
    let endpoint = stage.through("alice")?;
    let login = stage.gateway.login("alice")?;
    let mut said = String::new();
    said += &run(endpoint.program("psql").args(["-XAtc", "SELECT 1"]))?;
    for statement in ["SELEC", "DROP TABLE nowhere", "SELECT 1/0", "SELECT * FROM nowhere"] {
        let output = endpoint
            .program("psql")
            .args(["-XAt", "-v", "VERBOSITY=verbose", "-c", statement])
            .output()?;
        said += &String::from_utf8_lossy(&output.stderr);
    }
    let mut wrong = endpoint.clone();
    wrong.password = format!("{}x", endpoint.password);
    let refused = wrong.program("psql").args(["-XAtc", "SELECT 1"]).output()?;
    ensure!(!refused.status.success(), "a wrong token is refused");
    said += &String::from_utf8_lossy(&refused.stderr);
    for path in [
        "/v1/me",
        "/v1/tokens",
        "/v1/sessions",
        "/v1/requests",
        "/v1/policy",
        "/metrics",
        "/v1/openapi.json",
    ] {
        said += &stage.gateway.api().get(path, Some(&login))?.body.to_string();
    }
    said += &serde_json::to_string(&transcripts(&stage.gateway, "audrey")?)?;
    said += &std::fs::read_to_string(stage.gateway.dir().join("log"))?;

    let secrets = [
        ("the role's password", ROLE_PASSWORD),
        ("the person's password", PASSWORD),
        ("the token", &endpoint.password),
        ("the login's token", &login),
    ];
    for (what, secret) in secrets {
        ensure!(!said.contains(secret), "{what} is in what the gateway said");
        let found = search(&stage.gateway.dir().join("state"), secret)?;
        ensure!(found.is_empty(), "{what} is in {found:?}");
    }
    Ok(())
}

/// The files below a directory that have the text in clear.
fn search(dir: &Path, text: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("`{}`", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(search(&path, text)?);
        } else {
            let bytes = std::fs::read(&path)?;
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    Ok(found)
}
