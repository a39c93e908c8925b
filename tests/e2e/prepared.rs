//! Statements that were prepared before code ran that nobody can see into: what such code left alone goes on working,
//! and what it replaced is not taken for what it was.

use anyhow::{Result, ensure};
use sallyport_tests::{Plan, Said, Stage, Wire, bundle, mask, rows, text};

fn prepare(wire: &mut Wire, name: &str, sql: &str) -> Result<()> {
    wire.send(b'P', &[&text(name)[..], &text(sql), &[0; 2]].concat())?;
    wire.send(b'S', &[])?;
    rows(&wire.answer()?).map(drop)
}

/// Binds and runs a prepared statement, described before or not.
fn run(wire: &mut Wire, name: &str, describe: bool) -> Result<Vec<Said>> {
    if describe {
        wire.send(b'D', &[b"S", &text(name)[..]].concat())?;
    }
    wire.send(b'B', &[&text("")[..], &text(name), &[0; 6]].concat())?;
    wire.send(b'E', &[0; 5])?;
    wire.send(b'S', &[])?;
    wire.answer()
}

fn gives(answer: &[Said], value: &str) -> Result<()> {
    let rows = rows(answer)?;
    ensure!(rows == [[Some(value.to_owned())]], "{rows:?} instead of {value}");
    Ok(())
}

fn sqlstate(answer: &[Said]) -> Option<String> {
    answer.iter().find(|said| said.kind == b'E')?.field(b'C')
}

#[test]
fn unseen_code_leaves_prepared_statements_usable_and_is_not_trusted_with_them() -> Result<()> {
    for classify in ["", "[[columns]]\ncolumn = [\"public.none.none\"]\nclass = \"c\"\n"] {
        let policy = bundle(classify, "")?;
        let stage = Stage::start(&Plan::with_bundle(&policy))?;
        let mut wire = Wire::open(&stage.through("alice")?)?;
        for name in ["kept", "gone", "other"] {
            prepare(&mut wire, name, "SELECT 1")?;
        }
        rows(&wire.simple("PREPARE by_sql AS SELECT 3")?)?;

        rows(&wire.simple(
            "DO $$ BEGIN EXECUTE 'DEALLOCATE gone; DEALLOCATE other'; EXECUTE 'PREPARE other AS SELECT 2'; END $$",
        )?)?;
        gives(&run(&mut wire, "kept", false)?, "1")?;
        gives(&run(&mut wire, "kept", true)?, "1")?;
        gives(&wire.simple("EXECUTE by_sql")?, "3")?;
        for name in ["gone", "other"] {
            let answer = run(&mut wire, name, true)?;
            ensure!(sqlstate(&answer).as_deref() == Some("26000"), "{name}: {answer:?}");
        }

        rows(&wire.simple("DO $$ BEGIN PERFORM 1; END $$")?)?;
        gives(&run(&mut wire, "kept", true)?, "1")?;
    }
    Ok(())
}

#[test]
fn a_prepared_rollback_ends_a_transaction_in_which_unseen_code_failed() -> Result<()> {
    let policy = bundle("", "")?;
    let stage = Stage::start(&Plan::with_bundle(&policy))?;
    let mut wire = Wire::open(&stage.through("alice")?)?;
    prepare(&mut wire, "end", "ROLLBACK")?;
    prepare(&mut wire, "one", "SELECT 1")?;
    rows(&wire.simple("BEGIN")?)?;
    let failed = wire.simple("DO $$ BEGIN RAISE 'no'; END $$")?;
    ensure!(sqlstate(&failed).as_deref() == Some("P0001"), "{failed:?}");
    ensure!(sqlstate(&run(&mut wire, "one", false)?).is_some());
    rows(&run(&mut wire, "end", false)?)?;
    gives(&run(&mut wire, "one", false)?, "1")
}

/// Two results of the same type from one text: what may be seen of one says nothing of the other.
#[test]
fn statements_that_one_text_prepares_are_masked_each_for_itself() -> Result<()> {
    let classify = "[[columns]]\ncolumn = [\"public.people.card\"]\nclass = \"personal\"\n";
    let policy = bundle(classify, &mask("personal", "redact"))?;
    let stage = Stage::start(&Plan::with_bundle(&policy))?;
    let schema = "CREATE TABLE people (name text, card text); INSERT INTO people VALUES ('kim', 'secret');
                  GRANT SELECT ON people TO app";
    stage.server.query("shop", schema)?;
    let mut wire = Wire::open(&stage.through("alice")?)?;
    rows(&wire.simple("PREPARE a AS SELECT upper(name) FROM people; PREPARE b AS SELECT upper(card) FROM people")?)?;
    for _ in 0..2 {
        for describe in [true, false] {
            gives(&run(&mut wire, "a", describe)?, "KIM")?;
            gives(&run(&mut wire, "b", describe)?, "***")?;
        }
    }
    Ok(())
}
