//! A role of PostgreSQL for each session, made by whoever logs in.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sallyport_testbed::{Options, Person, Postgres, Role};
use sallyport_tests::{
    AGENT, Behind, BehindPlan, DATABASE, Endpoint, Plan, ROLE_PASSWORD, Said, Stage, Wire, bundle, mask, rows,
};
use tempfile::TempDir;

const LOGIN: &str =
    "user = \"maker\"\nephemeral = { grantable = [\"reader\", \"writer\"], owner = \"left_by_sessions\" }";
const GRANTS: &str = r#"
@id("readers") @grant("reader")
permit (principal in Group::"developers", action == Action::"connect", resource);
@id("writers") @grant("writer")
permit (principal in Group::"dba", action == Action::"connect", resource);
@id("greedy") @grant("pg_read_all_data")
permit (principal in Group::"greedy", action == Action::"connect", resource);
"#;
/// Every role that was made for a session.
const ROLES: &str = "SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'sp_') ORDER BY 1";

fn roles() -> Vec<Role> {
    let maker = Role {
        attributes: "CREATEROLE".to_owned(),
        ..Role::new("maker", ROLE_PASSWORD)
    };
    let others = ["reader", "writer", "left_by_sessions"].map(|name| Role::new(name, "nobody logs in as it"));
    std::iter::once(maker).chain(others).collect()
}

fn prepare(server: &Postgres) -> Result<()> {
    server.script(
        DATABASE,
        "GRANT left_by_sessions TO maker; GRANT ALL ON SCHEMA public TO left_by_sessions, writer;
         CREATE TABLE people (name text, card text); INSERT INTO people VALUES ('kim', 'secret');
         GRANT SELECT ON people TO reader; GRANT SELECT, INSERT ON people TO writer",
    )?;
    Ok(())
}

fn rules(more: &str) -> Result<TempDir> {
    let classify = "[[columns]]\ncolumn = [\"public.people.card\"]\nclass = \"personal\"\n";
    bundle(classify, &format!("{GRANTS}{}{more}", mask("personal", "redact")))
}

/// A gateway that makes the roles itself.
fn stage(policy: &TempDir) -> Result<(Stage, TempDir)> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    std::fs::write(&file, ROLE_PASSWORD)?;
    let mut plan = Plan {
        login: Some(format!("{LOGIN}\npassword_file = {file:?}")),
        server: Options {
            roles: roles(),
            log_statements: true,
            ..Options::default()
        },
        ..Plan::with_bundle(policy)
    };
    plan.people.extend([
        Person::new("both", &["developers", "dba"]),
        Person::new("greta", &["greedy"]),
        Person::new("sam|x=y+z:1@example.com", &["developers"]),
    ]);
    let stage = Stage::start(&plan)?;
    prepare(&stage.server)?;
    Ok((stage, dir))
}

fn behind(policy: &TempDir) -> Result<Behind> {
    let behind = Behind::start(&BehindPlan {
        policy: policy.path().to_owned(),
        login: Some(format!("{LOGIN}\npassword_file = \"password\"")),
        roles: roles(),
        ..BehindPlan::default()
    })?;
    prepare(&behind.server)?;
    Ok(behind)
}

fn one(wire: &mut Wire, statement: &str) -> Result<String> {
    let found = rows(&wire.simple(statement)?)?;
    let cell = found.into_iter().next().and_then(|row| row.into_iter().next());
    cell.flatten().context("nothing")
}

fn close(mut wire: Wire) -> Result<()> {
    wire.send(b'X', &[])?;
    ensure!(wire.message().is_err());
    Ok(())
}

/// Waits until the server says this, or gives the reason.
fn wait_for(server: &Postgres, statement: &str, wanted: &str, log: impl Fn() -> String) -> Result<()> {
    let start = Instant::now();
    loop {
        let said = server.query(DATABASE, statement)?;
        if said.trim() == wanted {
            return Ok(());
        }
        ensure!(
            start.elapsed() < Duration::from_secs(60),
            "{statement}: {said}\n{}",
            log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// No role of a session is left, and no note of one.
fn nothing_is_left(server: &Postgres, notes: &std::path::Path, log: impl Fn() -> String) -> Result<()> {
    wait_for(server, ROLES, "", &log)?;
    let start = Instant::now();
    while std::fs::read_dir(notes)?.next().is_some() {
        ensure!(start.elapsed() < Duration::from_secs(20), "notes are left: {}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn error(answer: &[Said]) -> Option<String> {
    answer.iter().find(|said| said.kind == b'E')?.field(b'C')
}

/// What each session has, whoever makes its role.
fn has_a_role_of_its_own(server: &Postgres, alice: &Endpoint, dana: &Endpoint) -> Result<()> {
    let (mut reading, mut writing) = (Wire::open(alice)?, Wire::open(dana)?);
    let (reader, writer) = (
        one(&mut reading, "SELECT current_user")?,
        one(&mut writing, "SELECT session_user")?,
    );
    ensure!(
        reader.starts_with("sp_alice_") && writer.starts_with("sp_dana_"),
        "{reader} {writer}"
    );
    let attributes = format!(
        "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls, rolconnlimit, \
         rolvaliduntil BETWEEN now() AND now() + interval '61 minutes', \
         (SELECT string_agg(g.rolname, ',') FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid) \
         FROM pg_roles r WHERE rolname = '{reader}'"
    );
    let said = server.query(DATABASE, &attributes)?;
    ensure!(said.trim() == "f|1|t|reader", "{said}");
    // It sees what it was granted, and masks are as ever.
    let seen = rows(&reading.simple("SELECT name, card FROM people")?)?;
    ensure!(seen == [[Some("kim".to_owned()), Some("***".to_owned())]], "{seen:?}");
    let refused = reading.simple("INSERT INTO people VALUES ('x', 'y')")?;
    ensure!(error(&refused).as_deref() == Some("42501"), "{refused:?}");
    rows(&writing.simple("INSERT INTO people VALUES ('lou', 'y')")?)?;
    // What it made outlives it, and it does not.
    rows(&writing.simple("CREATE TABLE made (a int); CREATE FUNCTION two() RETURNS int LANGUAGE sql AS 'SELECT 2'")?)?;
    close(writing)?;
    wait_for(
        server,
        &format!("SELECT count(*) FROM pg_roles WHERE rolname = '{writer}'"),
        "0",
        String::new,
    )?;
    let owners = "SELECT tableowner FROM pg_tables WHERE tablename = 'made' UNION ALL \
                  SELECT proowner::regrole::text FROM pg_proc WHERE proname = 'two'";
    let said = server.query(DATABASE, owners)?;
    ensure!(said.trim() == "left_by_sessions\nleft_by_sessions", "{said}");
    ensure!(one(&mut reading, "SELECT current_user")? == reader);
    close(reading)?;
    Ok(())
}

#[test]
fn a_session_has_a_role_of_its_own_that_the_gateway_makes_and_ends() -> Result<()> {
    let policy = rules("")?;
    let (stage, _dir) = stage(&policy)?;
    has_a_role_of_its_own(&stage.server, &stage.through("alice")?, &stage.through("dana")?)?;
    // The grants of all rules that let somebody in.
    let mut both = Wire::open(&stage.through("both")?)?;
    let member = "SELECT pg_has_role('reader', 'member') AND pg_has_role('writer', 'member')";
    ensure!(one(&mut both, member)? == "t");
    close(both)?;
    let notes = stage.gateway.dir().join("state/roles");
    nothing_is_left(&stage.server, &notes, || stage.gateway.log_tail())?;
    // Nobody reads a password in the server's log.
    let made = stage.server.statements()?;
    let made: Vec<_> = made
        .iter()
        .filter(|said| said.text.contains("CREATE ROLE \"sp_"))
        .collect();
    ensure!(made.len() >= 3);
    for said in made {
        ensure!(said.text.contains("PASSWORD E'SCRAM-SHA-256$4096:"), "{}", said.text);
    }
    Ok(())
}

#[test]
fn a_session_has_a_role_of_its_own_that_an_agent_makes_and_ends() -> Result<()> {
    let behind = behind(&rules("")?)?;
    has_a_role_of_its_own(&behind.server, &behind.through("alice")?, &behind.through("dana")?)?;
    let notes = behind.agent.dir().join("state/roles");
    nothing_is_left(&behind.server, &notes, || behind.agent.log())?;
    ensure!(behind.agent.log().contains("logged in") && AGENT == behind.options.name);
    Ok(())
}

#[test]
fn what_must_not_be_granted_is_refused_and_so_is_a_session_without_anything() -> Result<()> {
    let (stage, _dir) = stage(&rules("")?)?;
    for (person, why) in [
        ("greta", "`pg_read_all_data` is not among"),
        ("audrey", "grant it nothing"),
    ] {
        ensure!(Wire::open(&stage.through(person)?).is_err(), "{person} is in");
        let log = stage.gateway.log_tail();
        ensure!(log.contains(why), "{log}");
    }
    let made = stage.server.statements()?;
    ensure!(made.iter().all(|said| !said.text.contains("CREATE ROLE \"sp_")));
    Ok(())
}

#[test]
fn what_a_person_is_called_means_nothing_to_the_server() -> Result<()> {
    let (stage, _dir) = stage(&rules("")?)?;
    let mut wire = Wire::open(&stage.through("sam|x=y+z:1@example.com")?)?;
    let role = one(&mut wire, "SELECT current_user")?;
    ensure!(role.starts_with("sp_sam_x_y_z_1@example.com_"), "{role}");
    let comment = format!("SELECT shobj_description('\"{role}\"'::regrole, 'pg_authid')");
    let said = stage.server.query(DATABASE, &comment)?;
    ensure!(said.contains("sam|x=y+z:1@example.com"), "{said}");
    close(wire)?;
    let notes = stage.gateway.dir().join("state/roles");
    nothing_is_left(&stage.server, &notes, || stage.gateway.log_tail())
}

/// A session that does something at the server which goes on although the client's side is gone.
fn busy(endpoint: &Endpoint) -> Result<(Wire, String)> {
    let mut wire = Wire::open(endpoint)?;
    let role = one(&mut wire, "SELECT current_user")?;
    rows(&wire.simple("CREATE TABLE left_behind (a int)")?)?;
    rows(&wire.simple("BEGIN; LOCK TABLE left_behind")?)?;
    wire.send(b'Q', b"SELECT pg_sleep(600)\0")?;
    Ok((wire, role))
}

fn is_busy(server: &Postgres, role: &str) -> Result<()> {
    let sleeps = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' AND query LIKE '%pg_sleep%'");
    wait_for(server, &sleeps, "1", String::new)
}

#[test]
fn a_role_is_ended_after_its_agent_was_killed() -> Result<()> {
    let mut behind = behind(&rules("")?)?;
    let (_wire, role) = busy(&behind.through("dana")?)?;
    is_busy(&behind.server, &role)?;
    let server = &behind.server;
    let mut meanwhile = Ok(String::new());
    behind
        .agent
        .kill_and_start(|| meanwhile = server.query(DATABASE, ROLES))?;
    ensure!(meanwhile?.contains(&role), "it was gone before");
    let notes = behind.agent.dir().join("state/roles");
    nothing_is_left(&behind.server, &notes, || behind.agent.log())?;
    let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'left_behind'";
    ensure!(behind.server.query(DATABASE, owner)?.trim() == "left_by_sessions");
    Ok(())
}

#[test]
fn a_role_is_ended_after_its_gateway_was_killed_and_so_are_old_ones_that_nobody_knows() -> Result<()> {
    let policy = rules("")?;
    let (stage, _dir) = stage(&policy)?;
    let (_wire, role) = busy(&stage.through("dana")?)?;
    is_busy(&stage.server, &role)?;
    // What another gateway left, what is not that old, and what only looks like it.
    let ours = format!(
        "sallyport: {{\"database\":\"{DATABASE}\",\"session\":\"00000000-0000-0000-0000-000000000000\",\"principal\":\"x\"}}"
    );
    let set = [
        ("sp_old_1", "2020-01-01", ours.as_str()),
        ("sp_new_1", "2999-01-01", &ours),
        ("sp_theirs", "2020-01-01", "the app"),
    ];
    for (name, until, comment) in set {
        stage.server.query(
            DATABASE,
            &format!("CREATE ROLE {name} VALID UNTIL '{until}'; COMMENT ON ROLE {name} IS '{comment}'"),
        )?;
    }
    let gateway = stage.gateway.kill()?;
    ensure!(stage.server.query(DATABASE, ROLES)?.contains(&role));
    let gateway = gateway.start()?;
    wait_for(&stage.server, ROLES, "sp_new_1\nsp_theirs", || gateway.log_tail())?;
    Ok(())
}

#[test]
fn a_grant_that_is_taken_back_ends_the_session() -> Result<()> {
    let (stage, _dir) = stage(&rules("")?)?;
    let mut wire = Wire::open(&stage.through("alice")?)?;
    let rules = stage.gateway.dir().join("policy/rules/more.cedar");
    let text = std::fs::read_to_string(&rules)?;
    std::fs::write(&rules, text.replace("@grant(\"reader\")", "@grant(\"writer\")"))?;
    let last = loop {
        match wire.message() {
            Ok(said) if said.kind == b'E' => break said,
            Ok(_) => {}
            Err(error) => bail!("no word of why the session ended: {error}"),
        }
    };
    ensure!(
        last.field(b'M').unwrap_or_default().contains("does not grant any more"),
        "{last:?}"
    );
    let notes = stage.gateway.dir().join("state/roles");
    nothing_is_left(&stage.server, &notes, || stage.gateway.log_tail())
}
