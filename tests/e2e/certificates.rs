//! Clients that log in with a certificate.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Result, ensure};
use sallyport_testbed::{Authority, Issued};
use sallyport_tests::{Plan, Stage};

/// psql with a client certificate and no password. What it printed and what it complained of.
fn psql(stage: &Stage, dir: &Path, user: &str, shown: &Issued) -> Result<(String, String)> {
    let (certificate, key) = shown.write(dir, "client")?;
    let mut endpoint = stage.through("alice")?;
    endpoint.tls = true;
    user.clone_into(&mut endpoint.user);
    let mut psql = endpoint.program("psql");
    psql.env_remove("PGPASSWORD")
        .env("PGSSLCERT", certificate)
        .env("PGSSLKEY", key);
    psql.args(["-wXAt", "-c", "SELECT 'let ' || 'in'"]).stdin(Stdio::null());
    let output = psql.output()?;
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Ok((words(&output.stdout), words(&output.stderr)))
}

/// The gateway knows the root only; what leads there is the client's to show.
#[test]
fn a_certificate_under_an_intermediate_authority_is_its_owners_login() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let root = Authority::new()?;
    let department = root.intermediate("Department")?.intermediate("Team")?;
    let stranger = Authority::new()?.intermediate("Department")?;
    let roots = dir.path().join("root.crt");
    std::fs::write(&roots, root.certificate())?;
    let mut plan = Plan::with_policy("tests/policies/permit-all");
    plan.settings = format!("[tls]\nclient_authorities = {roots:?}\n");
    if let Some(alice) = plan.people.iter_mut().find(|person| person.name == "alice") {
        alice.more = format!(
            "certificates = [{{ name = \"alice.laptop\", authority = \"corp\" }}]\n\
             [[authority]]\nname = \"corp\"\nfile = {roots:?}"
        );
    }
    let stage = Stage::start(&plan)?;

    let good = department.client("alice.laptop")?;
    let (out, error) = psql(&stage, dir.path(), "alice", &good)?;
    ensure!(out == "let in", "{out} {error}");

    let leaf = good.certificate.split_inclusive("-----END CERTIFICATE-----\n").next();
    let cut = Issued {
        certificate: leaf.unwrap_or_default().to_owned(),
        key: good.key.clone(),
    };
    for (user, shown, why) in [
        ("alice", cut, "the way to the root is not shown"),
        ("alice", stranger.client("alice.laptop")?, "another root's"),
        ("alice", department.client("somebody")?, "nobody's name"),
        ("alice", department.server(&["alice.laptop"])?, "a server's"),
        ("dana", good, "another person's"),
    ] {
        let (out, error) = psql(&stage, dir.path(), user, &shown)?;
        ensure!(out.is_empty() && !error.is_empty(), "{why}: {out} {error}");
    }
    Ok(())
}
