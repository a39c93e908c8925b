//! Clients that log in with a certificate.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

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

fn plan(roots: &Path, tls: &str) -> Plan {
    let mut plan = Plan::with_policy("tests/policies/permit-all");
    plan.settings = format!("[tls]\nclient_authorities = {roots:?}\n{tls}");
    if let Some(alice) = plan.people.iter_mut().find(|person| person.name == "alice") {
        alice.more = format!(
            "certificates = [{{ name = \"alice.laptop\", authority = \"corp\" }}]\n\
             [[authority]]\nname = \"corp\"\nfile = {roots:?}"
        );
    }
    plan
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
    let stage = Stage::start(&plan(&roots, ""))?;

    let good = department.client("alice.laptop")?;
    let (out, error) = psql(&stage, dir.path(), "alice", &good)?;
    ensure!(out == "let in", "{out} {error}");

    for (user, shown, why) in [
        ("alice", good.without_path(), "the way to the root is not shown"),
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

/// Revoked is revoked, by the authority of the person's certificate or by the one above; and what no list in force speaks of
/// is not let in either. A list that makes no sense changes nothing.
#[test]
fn a_revoked_certificate_is_out_as_soon_as_the_list_says_so() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let root = Authority::new()?;
    let team = root.intermediate("Team")?;
    let (roots, list) = (dir.path().join("root.crt"), dir.path().join("clients.crl"));
    std::fs::write(&roots, root.certificate())?;
    let (lost, found) = (team.client("alice.laptop")?, team.client("alice.laptop")?);
    // Renamed into place, so that no half of it is read.
    let publish = |lists: String| -> Result<()> {
        std::fs::write(dir.path().join("draft"), lists)?;
        Ok(std::fs::rename(dir.path().join("draft"), &list)?)
    };
    let day = 24;
    let of_root = root.revoked(&[], day)?;
    publish(format!("{of_root}{}", team.revoked(&[], day)?))?;
    let stage = Stage::start(&plan(&roots, &format!("client_crl = {list:?}\n")))?;
    let is_in = |shown: &Issued| -> Result<bool> {
        let (out, error) = psql(&stage, dir.path(), "alice", shown)?;
        ensure!((out == "let in") == error.is_empty(), "{out} {error}");
        Ok(out == "let in")
    };
    ensure!(is_in(&lost)? && is_in(&found)?);

    publish(format!("{of_root}{}", team.revoked(&[&lost], day)?))?;
    eventually("the revocation", || Ok(!is_in(&lost)?))?;
    ensure!(is_in(&found)?, "the other one is still good");

    publish("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n".to_owned())?;
    eventually("the complaint", || {
        Ok(std::fs::read_to_string(stage.gateway.dir().join("log"))?.contains("those before stay"))
    })?;
    ensure!(!is_in(&lost)? && is_in(&found)?, "the list before is in force");

    for (lists, why) in [
        (team.revoked(&[], day)?, "nothing is said of the authority above"),
        (format!("{of_root}{}", team.revoked(&[], 1)?), "the list is out of date"),
    ] {
        publish(format!("{of_root}{}", team.revoked(&[], day)?))?;
        eventually("the good list", || is_in(&found))?;
        publish(lists)?;
        eventually(why, || Ok(!is_in(&found)?))?;
    }
    Ok(())
}

/// Asks until it is so: the gateway looks at its files once a second.
fn eventually(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_so()? {
        ensure!(start.elapsed() < Duration::from_secs(30), "{what}: not within 30 s");
    }
    Ok(())
}
