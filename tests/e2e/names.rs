//! What names mean is what they mean when a session begins, whatever earlier sessions knew.

use anyhow::{Result, ensure};
use sallyport_tests::{Plan, Stage, Wire, bundle, mask, rows};

#[test]
fn a_session_sees_what_was_changed_beside_the_gateway_since_the_last_one() -> Result<()> {
    let classify = "[[columns]]\ncolumn = [\"public.people.card\"]\nclass = \"personal\"\n";
    let policy = bundle(classify, &mask("personal", "redact"))?;
    let stage = Stage::start(&Plan::with_bundle(&policy))?;
    let schema = "CREATE TABLE people (name text, card text); INSERT INTO people VALUES ('kim', 'secret');
                  CREATE VIEW shown AS SELECT name AS x FROM people; GRANT SELECT ON people, shown TO app";
    stage.server.query("shop", schema)?;
    let endpoint = stage.through("alice")?;
    let one = |value: &str| vec![vec![Some(value.to_owned())]];
    for (column, expected) in [("name", "kim"), ("card", "***"), ("name", "kim"), ("card", "***")] {
        let view = format!("CREATE OR REPLACE VIEW shown AS SELECT {column} AS x FROM people");
        stage.server.query("shop", &view)?;
        let mut wire = Wire::open(&endpoint)?;
        let found = rows(&wire.simple("SELECT x FROM shown")?)?;
        ensure!(found == one(expected), "{column}: {found:?}");
        // The gateway has ended the session when it closes the connection.
        wire.send(b'X', &[])?;
        ensure!(wire.message().is_err());
    }
    Ok(())
}

#[test]
fn a_transaction_that_sees_the_past_shows_nothing_that_others_made_of_its_names() -> Result<()> {
    let classify = "[[columns]]\ncolumn = [\"public.people.card\"]\nclass = \"personal\"\n";
    let policy = bundle(classify, &mask("personal", "redact"))?;
    let stage = Stage::start(&Plan::with_bundle(&policy))?;
    let schema =
        "SET ROLE app; CREATE TABLE people (name text, card text); INSERT INTO people VALUES ('kim', 'secret');
                  CREATE VIEW shown AS SELECT name AS x FROM people";
    stage
        .server
        .query("shop", &format!("GRANT ALL ON SCHEMA public TO app; {schema}"))?;
    let endpoint = stage.through("alice")?;
    let (mut past, mut present) = (Wire::open(&endpoint)?, Wire::open(&endpoint)?);
    // It does not touch the view, which its lock would keep as it is.
    past.simple("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM people")?;
    // The rows are those of the past, what `shown` stands for is not.
    present.simple("CREATE OR REPLACE VIEW shown AS SELECT card AS x FROM people")?;
    let answer = past.simple("SELECT x FROM shown")?;
    let bytes: Vec<u8> = answer.iter().flat_map(|message| message.body.clone()).collect();
    ensure!(!bytes.windows(6).any(|window| window == b"secret"));
    let found = rows(&answer)?;
    ensure!(found == [[Some("***".to_owned())]], "{found:?}");
    Ok(())
}

#[test]
fn a_transaction_with_changes_of_its_own_sees_those_of_others() -> Result<()> {
    let classify = "[[columns]]\ncolumn = [\"public.people.card\"]\nclass = \"personal\"\n";
    let policy = bundle(classify, &mask("personal", "redact"))?;
    let stage = Stage::start(&Plan::with_bundle(&policy))?;
    let schema =
        "SET ROLE app; CREATE TABLE people (name text, card text); INSERT INTO people VALUES ('kim', 'secret');
                  CREATE VIEW shown AS SELECT name AS x FROM people; CREATE SCHEMA first";
    stage.server.query(
        "shop",
        &format!("GRANT ALL ON SCHEMA public TO app; GRANT CREATE ON DATABASE shop TO app; {schema}"),
    )?;
    let endpoint = stage.through("alice")?;
    let (mut one, mut other) = (Wire::open(&endpoint)?, Wire::open(&endpoint)?);
    one.simple("SET search_path = first, public")?;
    one.simple("BEGIN")?;
    one.simple("CREATE TEMP TABLE mine (a int)")?;
    one.simple("SELECT a FROM mine")?;
    // Another `shown` comes before the one that it knows.
    other.simple("CREATE VIEW first.shown AS SELECT card AS x FROM people")?;
    let found = rows(&one.simple("SELECT x || '' FROM shown")?)?;
    ensure!(found == [[Some("***".to_owned())]], "{found:?}");
    Ok(())
}
