//! Where a target's credential is, in the gateway's file and in an agent's.

use std::fs;

use anyhow::{Result, bail, ensure};
use sallyport_testbed::{KeyKind, Options, Role, SshAuthority, SshKey};
use sallyport_tests::{
    Behind, BehindPlan, DATABASE, Endpoint, Plan, PlayedVault, ROLE, ROLE_PASSWORD, SshBed, SshPlan, Stage, Wire, root,
    rows, run, rvault,
};
use serde_json::json;

const WHO: &str = "SELECT current_user";
const DATABASE_ENGINE: &str = "credential = { source = \"vault-database\", store = \"prod\", role = \"orders-ro\" }";

fn ask(endpoint: &Endpoint, statement: &str) -> Result<String> {
    let said = run(endpoint.program("psql").args(["-X", "-A", "-t", "-c", statement]))?;
    Ok(said.trim().to_owned())
}

fn reader() -> Role {
    Role::new("reader", "nobody logs in as it")
}

fn plan(login: &str, stores: &str) -> Plan {
    Plan {
        login: Some(login.to_owned()),
        stores: stores.to_owned(),
        ..Plan::with_policy("tests/policies/permit-all")
    }
}

#[test]
fn a_command_gives_the_password_where_commands_may_run() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let said = dir.path().join("said");
    fs::write(&said, format!("{ROLE_PASSWORD}\n"))?;
    let login = format!("user = \"{ROLE}\"\ncredential = {{ source = \"command\", argv = [\"/bin/cat\", {said:?}] }}");
    let mut plan = plan(&login, "");
    let refused = Stage::start(&plan)?;
    let error = ask(&refused.through("alice")?, WHO);
    ensure!(error.is_err(), "whoever writes the policy ran a program: {error:?}");
    let log = refused.gateway.log_tail();
    ensure!(log.contains("not permitted"), "{log}");
    drop(refused);

    plan.settings = "[credentials]\ncommands = true\n".to_owned();
    let stage = Stage::start(&plan)?;
    let alice = stage.through("alice")?;
    ensure!(ask(&alice, WHO)? == ROLE);
    let mut open = Wire::open(&alice)?;
    // A rotation: the next login uses what is said now, and what is open goes on.
    stage
        .server
        .query(DATABASE, &format!("ALTER ROLE {ROLE} PASSWORD 'another'"))?;
    ensure!(ask(&alice, WHO).is_err());
    fs::write(&said, "another\n")?;
    ensure!(ask(&alice, WHO)? == ROLE);
    ensure!(rows(&open.simple(WHO)?)? == [[Some(ROLE.to_owned())]]);
    Ok(())
}

#[test]
fn a_rotated_file_is_used_by_the_next_session() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    fs::write(&file, ROLE_PASSWORD)?;
    let stage = Stage::start(&plan(
        &format!("user = \"{ROLE}\"\ncredential = {{ source = \"file\", path = {file:?} }}"),
        "",
    ))?;
    let alice = stage.through("alice")?;
    ensure!(ask(&alice, WHO)? == ROLE);
    stage
        .server
        .query(DATABASE, &format!("ALTER ROLE {ROLE} PASSWORD 'rotated'"))?;
    fs::write(&file, "rotated")?;
    ensure!(ask(&alice, WHO)? == ROLE);
    fs::remove_file(&file)?;
    // What was known of the password before is of no use.
    let error = ask(&alice, WHO).map_err(|error| error.to_string());
    ensure!(
        error.clone().is_err_and(|error| error.contains("is not available")),
        "{error:?}"
    );
    Ok(())
}

#[test]
fn a_secret_in_a_vault_by_others_is_used_and_so_is_its_user() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let Some(vault) = rvault(dir.path())? else {
        return Ok(());
    };
    let login = "credential = { source = \"vault-kv\", store = \"prod\", mount = \"kv\", path = \"db/orders\", \
                 version = 1, user_field = \"login\" }";
    vault.write("kv/db/orders", &json!({ "login": ROLE, "password": ROLE_PASSWORD }))?;
    let mut plan = plan(login, &vault.store);
    plan.server.roles.push(Role::new("other", "the-password-of-another"));
    let stage = Stage::start(&plan)?;
    let alice = stage.through("alice")?;
    ensure!(ask(&alice, WHO)? == ROLE);
    vault.write(
        "kv/db/orders",
        &json!({ "login": "other", "password": "the-password-of-another" }),
    )?;
    ensure!(ask(&alice, WHO)? == "other");
    drop(vault);
    ensure!(ask(&alice, WHO).is_err(), "a secret was kept");
    Ok(())
}

/// A user that is made for a session, is there as long as the session, and is the session's end when it ends.
fn lives_with_its_session(vault: &PlayedVault, alice: &Endpoint) -> Result<()> {
    let made = vault.made();
    let mut one = Wire::open(alice)?;
    let said = rows(&one.simple("SELECT current_user, pg_has_role('reader', 'member')")?)?;
    let [row] = said.as_slice() else { bail!("{said:?}") };
    let [Some(user), Some(member)] = row.as_slice() else {
        bail!("{said:?}")
    };
    ensure!(user.starts_with("v-token-orders-") && member == "t", "{said:?}");
    ensure!(vault.users().contains(user) && vault.made() > made);
    // Renewed, so that it is there after its first life.
    let mut two = Wire::open(alice)?;
    let other = rows(&two.simple(WHO)?)?;
    ensure!(other != [[Some(user.clone())]], "two sessions have one user: {other:?}");
    let start = std::time::Instant::now();
    while vault.renewed(user) < 2 {
        ensure!(start.elapsed().as_secs() < 30, "{user} is not renewed");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    ensure!(rows(&one.simple(WHO)?)? == [[Some(user.clone())]]);
    one.send(b'X', &[])?;
    ensure!(one.message().is_err());
    drop(one);
    let start = std::time::Instant::now();
    while vault.users().contains(user) {
        ensure!(start.elapsed().as_secs() < 30, "{user} outlives its session");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    ensure!(rows(&two.simple(WHO)?)? == other);

    vault.end_all()?;
    let last = loop {
        match two.message() {
            Ok(said) if said.kind == b'E' => break said,
            Ok(_) => {}
            Err(error) => bail!("no word of why the session ended: {error}"),
        }
    };
    let (why, kind) = (
        last.field(b'M').unwrap_or_default(),
        last.field(b'S').unwrap_or_default(),
    );
    ensure!(
        why.contains("the user that was made for this session") && kind == "FATAL",
        "{last:?}"
    );
    ensure!(two.message().is_err());
    Ok(())
}

#[test]
fn a_user_that_a_vault_makes_lives_with_its_session() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let vault = PlayedVault::start()?;
    vault.set_life(4);
    let mut plan = plan(DATABASE_ENGINE, &vault.store_with_token(dir.path())?);
    plan.server = Options {
        roles: vec![reader()],
        ..Options::default()
    };
    let stage = Stage::start(&plan)?;
    vault.administers(&stage.server, DATABASE);
    lives_with_its_session(&vault, &stage.through("alice")?)?;
    let log = stage.gateway.log_tail();
    ensure!(!log.contains("CANARY"), "{log}");
    // A session that is open when the gateway stops leaves no user.
    let open = Wire::open(&stage.through("alice")?)?;
    ensure!(!vault.users().is_empty());
    let mut kill = std::process::Command::new("kill");
    run(kill.args(["-TERM", &stage.gateway.pid().to_string()]))?;
    vault.wait_for_users(0)?;
    drop(open);
    Ok(())
}

#[test]
fn a_login_that_fails_leaves_no_user() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let vault = PlayedVault::start()?;
    let mut plan = plan(DATABASE_ENGINE, &vault.store_with_token(dir.path())?);
    plan.target = "tls = \"require\"".to_owned();
    plan.server = Options {
        roles: vec![reader()],
        ..Options::default()
    };
    let stage = Stage::start(&plan)?;
    vault.administers(&stage.server, DATABASE);
    ensure!(ask(&stage.through("alice")?, WHO).is_err());
    ensure!(vault.made() == 1);
    vault.wait_for_users(0)
}

#[test]
fn a_user_that_a_vault_makes_for_an_agent_lives_with_its_session() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let vault = PlayedVault::start()?;
    vault.set_life(4);
    let behind = Behind::start(&BehindPlan {
        login: Some(DATABASE_ENGINE.to_owned()),
        stores: vault.store_with_token(dir.path())?,
        roles: vec![reader()],
        policy: root().join("tests/policies/permit-all"),
        ..BehindPlan::default()
    })?;
    vault.administers(&behind.server, DATABASE);
    lives_with_its_session(&vault, &behind.through("alice")?)?;
    let logs = behind.agent.log() + &behind.gateway.log_tail();
    ensure!(!logs.contains("CANARY"), "{logs}");
    // A connection that the client does not close is closed with the agent, and its user ends.
    let open = Wire::open(&behind.through("alice")?)?;
    ensure!(!vault.users().is_empty());
    behind.agent.signal("TERM")?;
    drop(open);
    vault.wait_for_users(0)
}

#[test]
fn an_agent_runs_the_commands_of_its_own_file() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let said = dir.path().join("said");
    fs::write(&said, ROLE_PASSWORD)?;
    let behind = Behind::start(&BehindPlan {
        login: Some(format!(
            "user = \"{ROLE}\"\ncredential = {{ source = \"command\", argv = [\"/bin/cat\", {said:?}] }}"
        )),
        ..BehindPlan::default()
    })?;
    ensure!(ask(&behind.through("alice")?, WHO)? == ROLE);
    Ok(())
}

#[test]
fn a_host_takes_the_certificate_that_a_vault_makes_for_the_session() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let vault = PlayedVault::start()?;
    let authority = SshAuthority::generate(&dir.path().join("authority"))?;
    vault.signs_with(authority.key().path());
    let bed = SshBed::start(&SshPlan {
        login: Some("credential = { source = \"vault-ssh\", store = \"prod\", role = \"deploy\" }".to_owned()),
        stores: vault.store_with_token(dir.path())?,
        sshd: vec![format!(
            "TrustedUserCAKeys {}",
            authority.key().path().with_extension("pub").display()
        )],
        ..SshPlan::default()
    })?;
    let alice = bed.through("alice")?;
    let said = alice.exec("echo in").output()?;
    ensure!(said.stdout == b"in\n", "{said:?} {}", bed.logs());
    // A certificate for a key of somebody else's is not shown to the host.
    let other = SshKey::generate(&dir.path().join("other"), KeyKind::Ed25519)?;
    vault.signs_only(other.public());
    let said = alice.exec("echo in").output()?;
    ensure!(
        said.stdout.is_empty() && bed.gateway.log_tail().contains("another key"),
        "{said:?}"
    );
    Ok(())
}
