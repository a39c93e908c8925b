//! What somebody would try who wants to see more than the policy lets them.

use std::process::Stdio;

use anyhow::{Result, ensure};
use sallyport_tests::{Plan, Stage};

const TABLE: &str = "
    CREATE TABLE nobody_reads_this (id int, secret text UNIQUE DEFERRABLE INITIALLY DEFERRED);
    INSERT INTO nobody_reads_this VALUES (1, 'the-hidden-value');
    INSERT INTO nobody_reads_this VALUES (2, 'another');
    ALTER TABLE nobody_reads_this OWNER TO app;";

/// A constraint that is checked when the transaction ends quotes the row, though the statement that ends it names no
/// table.
#[test]
fn the_end_of_a_transaction_tells_no_masked_value() -> Result<()> {
    let stage = Stage::start(&Plan::with_policy("tests/policies/permit-all-and-mask"))?;
    stage.server.query("shop", TABLE)?;
    for end in ["COMMIT", "SET CONSTRAINTS ALL IMMEDIATE"] {
        let copy = "UPDATE nobody_reads_this SET secret = (SELECT secret FROM nobody_reads_this WHERE id = 1)";
        let mut psql = stage.through("alice")?.program("psql");
        psql.args(["-XAt", "-c", "BEGIN", "-c", copy, "-c", end]);
        let output = psql.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(said.contains("duplicate key value"), "{said}");
        ensure!(!said.contains("the-hidden-value"), "{said}");
    }
    Ok(())
}
