//! `mask_at = "agent"`: the same masks, put on before values leave the target's network.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use sallyport_tests::{Behind, BehindPlan, Endpoint, ROLE, Wire, bundle, mask, psycopg_lines, rows};

const CLASSIFY: &str = "[[classes]]\nname = \"pii\"\n[[columns]]\ncolumn = [\"public.people.email\", \"public.people.born\"]\nclass = \"pii\"\n\
                        [[columns]]\ncolumn = [\"public.people.balance\"]\nclass = \"money\"\n\
                        [[detectors]]\nkind = \"credit_card\"\nclass = \"pci\"\n";

const TABLE: &str =
    "CREATE TABLE people (id int PRIMARY KEY, name text, email text, born date, balance numeric, note text);
    CREATE TYPE pair AS (a int, b text);
    INSERT INTO people SELECT i, 'name ' || i, 'p' || i || '@example.com', date '1970-01-01' + i, i * 1.5,
        CASE WHEN i % 3 = 0 THEN 'pays with 4111 1111 1111 1111' ELSE 'nothing' END FROM generate_series(1, 500) i;
    CREATE TABLE logged (id int);
    CREATE RULE two AS ON INSERT TO logged DO ALSO
        (SELECT 'x' WHERE false; SELECT email FROM people WHERE id = 1; SELECT id, email || '' FROM people WHERE id < 3);
    CREATE TABLE computed (id int);
    CREATE RULE one AS ON DELETE TO computed DO INSTEAD SELECT upper(email), note FROM people WHERE id < 4;
    CREATE VIEW seen AS SELECT id, upper(email) AS shouted, note FROM people;";

/// What is asked, and said alike wherever masks are put on.
const ALIKE: &[&str] = &[
    "SELECT * FROM people ORDER BY id LIMIT 20",
    "SELECT email, email || 'x', length(email), born, balance FROM people WHERE id < 4 ORDER BY id",
    "SELECT * FROM seen WHERE id < 7 ORDER BY id",
    "SELECT p FROM people p WHERE id < 4 ORDER BY id",
    "SELECT array_agg(email ORDER BY id), json_agg(note ORDER BY id), ROW(1, min(email)) FROM people WHERE id < 4",
    "SELECT id FROM people WHERE false",
    "SELECT 1; SELECT email FROM people WHERE id = 1; SELECT 2; SELECT note FROM people WHERE id = 3",
    "COPY people TO STDOUT",
    "COPY (SELECT id, email, note FROM people WHERE id < 30 ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)",
    "BEGIN; DECLARE c CURSOR FOR SELECT email, note FROM people ORDER BY id; FETCH 3 FROM c; FETCH 3 FROM c; MOVE 2 IN c; FETCH 1 FROM c; COMMIT",
    "PREPARE q AS SELECT email FROM people WHERE id = $1; EXECUTE q(3); EXECUTE q(4)",
    "INSERT INTO people VALUES (1000, 'n', 'new@example.com', now()::date, 1, '4111111111111111') RETURNING email, note",
    "UPDATE people SET name = name WHERE id < 3 RETURNING *",
    "INSERT INTO logged VALUES (1)",
    "INSERT INTO logged VALUES (1), (2); SELECT 1",
    "DELETE FROM computed",
    "SHOW timezone",
    "SELECT current_user",
];

/// What says more than it may: nothing of it comes through.
const TELLTALE: &[&str] = &[
    "INSERT INTO people SELECT 1, name, email FROM people WHERE id = 2",
    "SELECT email::int FROM people",
    "DO $$ BEGIN RAISE NOTICE 'card 4111 1111 1111 1111'; END $$",
    "DO $$ DECLARE e text; BEGIN SELECT email INTO e FROM people WHERE id = 7; RAISE NOTICE 'mail \"%\"', e; END $$",
    "SELECT 1/0 FROM people WHERE email IS NOT NULL",
];

fn start(target: &str, policy: &std::path::Path) -> Result<Behind> {
    let behind = Behind::start(&BehindPlan {
        policy: policy.to_owned(),
        target: target.to_owned(),
        ..BehindPlan::default()
    })?;
    behind
        .server
        .query(sallyport_tests::DATABASE, &format!("SET ROLE {ROLE}; {TABLE}"))?;
    Ok(behind)
}

/// All that psql says of statements, errors and notices too.
fn says(endpoint: &Endpoint, statements: &[&str]) -> Result<String> {
    let mut said = String::new();
    for statement in statements {
        let output = endpoint
            .program("psql")
            .args(["-X", "-A", "-v", "VERBOSITY=verbose", "-c", statement])
            .output()?;
        writeln!(
            said,
            "> {statement}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )?;
    }
    Ok(said)
}

/// A policy that masks each class.
fn masking() -> Result<tempfile::TempDir> {
    let rules = format!(
        "{}{}{}",
        mask("pii", "redact"),
        mask("money", "redact"),
        mask("pci", "keep-last(4)")
    );
    bundle(CLASSIFY, &rules)
}

/// What was said, without what was asked.
fn answers(said: &str) -> String {
    let lines = said.lines().filter(|line| !line.starts_with("> "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn results_are_masked_alike_in_the_agent_and_in_the_gateway() -> Result<()> {
    let policy = masking()?;
    let (there, here) = (start("mask_at = \"agent\"", policy.path())?, start("", policy.path())?);
    let (through, direct) = (there.through("alice")?, here.through("alice")?);
    let (masked, expected) = (says(&through, ALIKE)?, says(&direct, ALIKE)?);
    ensure!(
        masked == expected,
        "in the agent:\n{masked}\nin the gateway:\n{expected}"
    );
    let masked = answers(&masked);
    for value in ["example.com", "EXAMPLE.COM", "4111 1111"] {
        ensure!(!masked.contains(value), "`{value}` is in {masked}");
    }
    ensure!(masked.contains("1111"), "{masked}");
    let script = "import sys, psycopg\nwith psycopg.connect(sys.argv[1], autocommit=True) as c:\n  for b in (False, True):\n    for i in range(8):\n      for row in c.execute('SELECT email, born, balance, note FROM people WHERE id = %s', (i,), binary=b, prepare=i > 2):\n        print(row)\n";
    let (masked, expected) = (psycopg_lines(&through, script)?, psycopg_lines(&direct, script)?);
    ensure!(
        masked == expected,
        "in the agent:\n{masked}\nin the gateway:\n{expected}"
    );
    Ok(())
}

#[test]
fn what_a_target_says_beside_results_gives_nothing_away() -> Result<()> {
    let policy = masking()?;
    let behind = start("mask_at = \"agent\"", policy.path())?;
    let said = says(&behind.through("alice")?, TELLTALE)?;
    let said = answers(&said);
    for value in ["example.com", "4111 1111", "name 2"] {
        ensure!(!said.contains(value), "`{value}` is in {said}");
    }
    ensure!(said.contains("division by zero") && said.contains("NOTICE"), "{said}");
    Ok(())
}

/// Far more goes to the target at once than the way there holds, while each result waits for its plan.
#[test]
fn a_client_that_sends_far_ahead_gets_its_results() -> Result<()> {
    let policy = masking()?;
    let behind = start("mask_at = \"agent\"", policy.path())?;
    let script = "import sys, psycopg\nwith psycopg.connect(sys.argv[1], autocommit=True) as c:\n  with c.pipeline():\n    cursors = [c.execute('SELECT email, repeat(note, 600), length(%s) FROM people WHERE id = %s', ('x' * 3000, 1 + i % 400)) for i in range(3000)]\n    rows = [cursor.fetchone() for cursor in cursors]\n  print(len(rows), {row[0] for row in rows}, {row[2] for row in rows})\n  print(c.execute('SELECT email, length(%s) FROM people WHERE id = 1', ('x' * 40000000,)).fetchone())\n";
    let said = psycopg_lines(&behind.through("alice")?, script)?;
    ensure!(said == "3000 {'***'} {3000}\n('***', 40000000)\n", "{said}");
    Ok(())
}

/// What changes in the rules changes the masks of open sessions.
#[test]
fn a_changed_rule_changes_what_the_agent_masks() -> Result<()> {
    let policy = bundle(CLASSIFY, &mask("pii", "redact"))?;
    let behind = start("mask_at = \"agent\"", policy.path())?;
    let mut alice = Wire::open(&behind.through("alice")?)?;
    let mut note = || -> Result<String> {
        let said = rows(&alice.simple("SELECT note FROM people WHERE id = 3")?)?;
        let note = said.into_iter().flatten().flatten().next();
        note.context("no note")
    };
    ensure!(note()?.contains("4111 1111"));
    let rules = format!("{}{}", mask("pii", "redact"), mask("pci", "redact"));
    std::fs::write(behind.gateway.dir().join("policy/rules/more.cedar"), rules)?;
    let since = std::time::Instant::now();
    while note()?.contains("4111") {
        ensure!(since.elapsed().as_secs() < 20, "the change did not come");
    }
    Ok(())
}
