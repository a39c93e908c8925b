//! Real drivers must not notice the gateway: what they see through it is what they see without it.

use anyhow::{Context, Result, ensure};
use sallyport_testbed::Options;
use sallyport_tests::{
    Endpoint, Plan, Stage, asyncpg, jdbc, node_postgres, pgbench, psql, psycopg, psycopg_refusal, run, sqlx,
};

/// Everything is permitted, so every difference is the gateway's own.
fn stage() -> Result<Stage> {
    Stage::start(&Plan::with_policy("tests/policies/permit-all"))
}

fn notices_nothing(driver: fn(&Endpoint) -> Result<String>, last: &str) -> Result<()> {
    let stage = stage()?;
    let expected = driver(&stage.direct()).context("without the gateway")?;
    ensure!(
        expected.trim_end().ends_with(last),
        "the program did not come to its end: {expected}"
    );
    let got = driver(&stage.through("alice")?).with_context(|| stage.gateway.log_tail())?;
    same(&expected, &got)
}

fn same(expected: &str, got: &str) -> Result<()> {
    for (number, (wanted, got)) in expected.lines().zip(got.lines()).enumerate() {
        ensure!(wanted == got, "line {}: {got:?} instead of {wanted:?}", number + 1);
    }
    ensure!(expected == got, "one transcript is longer than the other");
    Ok(())
}

#[test]
fn psycopg_notices_nothing() -> Result<()> {
    notices_nothing(psycopg, "done")
}

#[test]
fn asyncpg_notices_nothing() -> Result<()> {
    notices_nothing(asyncpg, "done")
}

#[test]
fn node_postgres_notices_nothing() -> Result<()> {
    notices_nothing(node_postgres, "done")
}

#[test]
fn jdbc_notices_nothing() -> Result<()> {
    notices_nothing(jdbc, "done")
}

#[test]
fn sqlx_notices_nothing() -> Result<()> {
    notices_nothing(sqlx, "done")
}

#[test]
fn psql_notices_nothing() -> Result<()> {
    notices_nothing(psql, "DROP TABLE")
}

/// The same where the policy has names asked for and results looked at.
fn notices_no_mask(driver: fn(&Endpoint) -> Result<String>) -> Result<()> {
    let stage = Stage::start(&Plan::with_policy("tests/policies/permit-all-and-mask"))?;
    let expected = driver(&stage.direct()).context("without the gateway")?;
    let got = driver(&stage.through("alice")?).with_context(|| stage.gateway.log_tail())?;
    same(&expected, &got)
}

#[test]
fn psycopg_notices_no_mask_of_others() -> Result<()> {
    notices_no_mask(psycopg)
}

#[test]
fn asyncpg_notices_no_mask_of_others() -> Result<()> {
    notices_no_mask(asyncpg)
}

#[test]
fn node_postgres_notices_no_mask_of_others() -> Result<()> {
    notices_no_mask(node_postgres)
}

#[test]
fn jdbc_notices_no_mask_of_others() -> Result<()> {
    notices_no_mask(jdbc)
}

#[test]
fn sqlx_notices_no_mask_of_others() -> Result<()> {
    notices_no_mask(sqlx)
}

#[test]
fn psql_notices_no_mask_of_others() -> Result<()> {
    notices_no_mask(psql)
}

/// What psycopg sees where the server itself fails at the same place: the batch fails, and nothing else.
const REFUSED_IN_A_PIPELINE: &str = "refused 42501 True
state INERROR
left []
refused ['42501'] left [3, 5]
one of a thousand 42501
alive ('yes',) TUPLES_OK
done
";

#[test]
fn a_refusal_in_a_pipeline_fails_its_batch_and_nothing_else() -> Result<()> {
    let stage = Stage::start(&Plan::with_policy("policy"))?;
    let table = "CREATE TABLE notes (id int PRIMARY KEY, text text); ALTER TABLE notes OWNER TO app";
    stage.server.query("shop", table)?;
    let got = psycopg_refusal(&stage.through("alice")?).with_context(|| stage.gateway.log_tail())?;
    same(REFUSED_IN_A_PIPELINE, &got)
}

#[test]
fn tls_stands_on_both_sides() -> Result<()> {
    let mut plan = Plan::with_policy("tests/policies/permit-all");
    plan.server = Options {
        tls_only: true,
        ..Options::default()
    };
    plan.target = "tls = \"verify-full\"\nca_file = \"{ca}\"\nchannel_binding = \"require\"".to_owned();
    let stage = Stage::start(&plan)?;
    let mut through = stage.through("alice")?;
    through.tls = true;
    // psql shows its own connection's TLS; the server shows that of the connection to it.
    let said = run(through
        .program("psql")
        .args(["-XAt", "-c", "\\conninfo", "-c", SERVER_TLS]))
    .with_context(|| stage.gateway.log_tail())?;
    ensure!(
        said.contains("SSL connection (protocol: TLSv1.3") && said.trim_end().ends_with('t'),
        "{said}"
    );
    let transcript = psycopg(&through).with_context(|| stage.gateway.log_tail())?;
    ensure!(transcript.trim_end().ends_with("done"), "{transcript}");
    Ok(())
}

const SERVER_TLS: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

#[test]
fn pgbench_runs_in_its_three_modes() -> Result<()> {
    let stage = stage()?;
    let through = stage.through("alice")?;
    run(through.program("pgbench").args(["-i", "-q", "-s", "1"])).context("initialising")?;
    for mode in ["simple", "extended", "prepared"] {
        for clients in [1, 8] {
            let transactions = pgbench(&through, mode, clients).with_context(|| stage.gateway.log_tail())?;
            ensure!(transactions > 0, "no transaction in mode {mode} with {clients} clients");
        }
    }
    let accounts = stage.server.query(
        "shop",
        "SELECT sum(abalance) = (SELECT sum(delta) FROM pgbench_history) FROM pgbench_accounts",
    )?;
    ensure!(accounts == "t", "the balances do not match the history");
    Ok(())
}

#[test]
fn a_dump_through_the_gateway_is_the_same_and_restores_through_it() -> Result<()> {
    let stage = stage()?;
    let (direct, through) = (stage.direct(), stage.through("alice")?);
    run(direct.program("pgbench").args(["-i", "-q", "-s", "1"]))?;
    let plain = dump(&direct)?;
    let dumped = dump(&through).with_context(|| stage.gateway.log_tail())?;
    same(&plain, &dumped)?;
    let dir = tempfile::tempdir()?;
    let archive = dir.path().join("dump");
    run(through.program("pg_dump").args(["-Fd", "-j", "2", "-f"]).arg(&archive))?;
    run(through
        .program("pg_restore")
        .args(["--clean", "--if-exists", "-j", "2", "-d", &through.database])
        .arg(&archive))
    .with_context(|| stage.gateway.log_tail())?;
    same(&plain, &dump(&direct)?)
}

/// A plain dump without the key that pg_dump makes up for each.
fn dump(endpoint: &Endpoint) -> Result<String> {
    let text = run(&mut endpoint.program("pg_dump"))?;
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}
