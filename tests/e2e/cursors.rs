//! Cursors that SQL declared and the extended protocol fetches from: what comes is masked as the query's own rows.

use anyhow::{Context, Result, ensure};
use sallyport_tests::{Plan, Said, Stage, Wire, bundle, mask, rows, text};

const CLASSIFY: &str = r#"
[[columns]]
column = ["public.people.card", "public.people.born"]
class = "personal"
"#;

const SCHEMA: &str = "
    CREATE TABLE people (id int, card text, born date);
    INSERT INTO people SELECT n, '411111111111' || lpad(n::text, 4, '0'), date '1970-05-05' + n FROM generate_series(1, 9) n;
    GRANT SELECT ON people TO app;";

/// `Execute` of a cursor for so many rows, described before or not.
fn execute(wire: &mut Wire, cursor: &str, max_rows: u32, describe: bool) -> Result<Vec<Said>> {
    if describe {
        wire.send(b'D', &[b"P", &text(cursor)[..]].concat())?;
    }
    wire.send(b'E', &[&text(cursor)[..], &max_rows.to_be_bytes()].concat())?;
    wire.send(b'S', &[])?;
    wire.answer()
}

fn shows(answer: &[Said], wanted: &[&str]) -> Result<()> {
    let rows = rows(answer)?;
    let cards: Vec<_> = rows.iter().map(|row| row.get(1).cloned().flatten()).collect();
    let wanted: Vec<_> = wanted.iter().map(|card| Some((*card).to_owned())).collect();
    ensure!(cards == wanted, "{rows:?} instead of {wanted:?}");
    Ok(())
}

#[test]
fn execute_of_a_declared_cursor_gives_masked_rows() -> Result<()> {
    let policy = bundle(CLASSIFY, &mask("personal", "keep-last(4)"))?;
    let stage = Stage::start(&Plan::with_bundle(&policy))?;
    stage.server.query("shop", SCHEMA)?;
    let mut wire = Wire::open(&stage.through("alice")?)?;

    rows(&wire.simple("BEGIN; DECLARE c CURSOR FOR SELECT id, card FROM people ORDER BY id")?)?;
    for describe in [false, true] {
        let answer = execute(&mut wire, "c", 1, describe)?;
        let expected = if describe {
            "************0002"
        } else {
            "************0001"
        };
        shows(&answer, &[expected])?;
        ensure!(answer.iter().any(|said| said.kind == b's'), "suspended: {answer:?}");
    }
    shows(
        &wire.simple("FETCH 2 FROM c")?,
        &["************0003", "************0004"],
    )?;
    let rest = execute(&mut wire, "c", 0, false)?;
    ensure!(
        rows(&rest)?.len() == 5 && rest.iter().any(|said| said.kind == b'C'),
        "{rest:?}"
    );
    rows(&wire.simple("COMMIT")?)?;
    let gone = execute(&mut wire, "c", 0, false)?;
    ensure!(rows(&gone).is_err(), "{gone:?}");
    Ok(())
}

#[test]
fn a_binary_cursor_and_one_that_outlives_its_transaction_give_masked_rows() -> Result<()> {
    let policy = bundle(CLASSIFY, &mask("personal", "year"))?;
    let stage = Stage::start(&Plan::with_bundle(&policy))?;
    stage.server.query("shop", SCHEMA)?;
    let mut wire = Wire::open(&stage.through("alice")?)?;
    let first_of_1970 = (-30_i32 * 365 - 7).to_be_bytes();

    rows(&wire.simple("BEGIN; DECLARE b BINARY CURSOR FOR SELECT id, born FROM people ORDER BY id")?)?;
    // `Execute` writes text all the same; FETCH does as the cursor says.
    shows(&execute(&mut wire, "b", 1, false)?, &["1970-01-01"])?;
    let answer = wire.simple("FETCH 2 FROM b")?;
    let found: Vec<_> = answer
        .iter()
        .filter(|said| said.kind == b'D')
        .map(Said::cells)
        .collect::<Result<_>>()?;
    ensure!(found.len() == 2, "{answer:?}");
    for row in &found {
        let born = row.get(1).cloned().flatten().context("no date")?;
        ensure!(born == first_of_1970, "{born:?}");
    }
    rows(&wire.simple("DECLARE h CURSOR WITH HOLD FOR SELECT id, born FROM people ORDER BY id; COMMIT")?)?;
    shows(&execute(&mut wire, "h", 1, false)?, &["1970-01-01"])?;
    shows(&wire.extended("FETCH 1 FROM h", 0)?, &["1970-01-01"])?;
    ensure!(rows(&execute(&mut wire, "h", 0, true)?)?.len() == 7);
    Ok(())
}
