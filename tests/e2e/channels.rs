//! Everything else that a target sends: errors, notices, notifications, settings, names. A masked value is in none.

use anyhow::{Result, ensure};
use sallyport_tests::{Plan, Said, Stage, Wire, bundle, mask};

const CLASSIFY: &str = r#"
[[columns]]
column = ["public.people.card", "public.people.born", "public.people.kind", "public.people.word"]
class = "personal"

[[detectors]]
kind = "credit_card"
class = "found"

[[detectors]]
kind = "email"
class = "found"
"#;

/// What is sent on, set or stored could not be masked where it comes out again.
const COPIES: &str = r#"
@id("no-copies")
forbid (principal, action in Sql::Action::"any", resource)
when { context.copied_classes.contains(Classification::"personal") };
"#;

const SCHEMA: &str = "
    CREATE DOMAIN short AS text CHECK (length(VALUE) < 3);
    CREATE TABLE people (id int PRIMARY KEY, card text UNIQUE, born date, kind text, word text CHECK (word <> 'never'));
    INSERT INTO people VALUES
        (1, 'secret-one-4711', '1977-07-17', 'zebra-kind', 'hidden-word'),
        (2, 'secret-two-4712', '1988-08-18', 'yak-kind', 'other-word');
    CREATE TABLE follows (card text REFERENCES people (card) DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE narrow (c varchar(4), n int, EXCLUDE USING btree (c WITH =));
    GRANT ALL ON people, follows, narrow TO app;";

/// What must reach nobody.
const NEEDLES: [&str; 10] = [
    "secret-one",
    "secret-two",
    "4711",
    "4712",
    "1977-07-17",
    "1988-08-18",
    "zebra",
    "yak-kind",
    "hidden-word",
    "other-word",
];

/// Statements whose errors or notices quote values: in the message, the detail, the hint, the context, or a name.
const STATEMENTS: [&str; 30] = [
    "INSERT INTO people SELECT id + 10, card FROM people",
    "UPDATE people SET word = 'never' WHERE id = 1",
    "UPDATE people SET id = NULL WHERE id = 1",
    "SELECT card::int FROM people",
    "SELECT kind::date FROM people",
    "SELECT kind::inet, word::uuid FROM people",
    "SELECT word::json FROM people",
    "SELECT card::short FROM people",
    "SELECT (card || '{')::int[] FROM people",
    "SELECT ('{' || card)::point FROM people",
    "SELECT card::regclass FROM people",
    "SELECT to_date(kind, 'YYYY') FROM people",
    "SELECT to_timestamp(word, 'YYYY-MM') FROM people",
    "SELECT xmlparse(document card) FROM people",
    "SELECT word::tsquery, (word || ' & &')::tsquery FROM people",
    "SELECT set_config('application_name', card, false) FROM people",
    "SELECT set_config(kind || '.' || word, '1', false) FROM people",
    "SELECT current_setting(card) FROM people",
    "SELECT pg_notify('leak', card) FROM people",
    "SELECT pg_notify(kind, 'x') FROM people",
    "SELECT convert_from(card::bytea, word) FROM people",
    "SELECT word ~ ('(' || card) FROM people",
    "SELECT encode(card::bytea, word) FROM people",
    "SELECT nextval(card) FROM people",
    "INSERT INTO follows SELECT 'x' || card FROM people",
    "INSERT INTO narrow SELECT card FROM people",
    "INSERT INTO narrow (n) SELECT 1000000000 * extract(year FROM born)::int FROM people",
    "SELECT format(card || '%s %q', kind) FROM people",
    "CREATE TABLE made (a text DEFAULT (SELECT card FROM people LIMIT 1))",
    "COPY (SELECT card::int FROM people) TO STDOUT",
];

fn leaks(answer: &[Said]) -> Vec<String> {
    let mut found = Vec::new();
    for said in answer {
        let text = String::from_utf8_lossy(&said.body);
        found.extend(
            NEEDLES
                .iter()
                .filter(|needle| text.contains(**needle))
                .map(|needle| format!("{needle} in {}: {text:?}", char::from(said.kind))),
        );
    }
    found
}

#[test]
fn no_message_of_the_target_quotes_a_masked_value() -> Result<()> {
    let policy = bundle(
        CLASSIFY,
        &[COPIES, &mask("personal", "redact"), &mask("found", "partial")].concat(),
    )?;
    let stage = Stage::start(&Plan::with_bundle(&policy))?;
    stage.server.query("shop", SCHEMA)?;
    let mut wire = Wire::open(&stage.through("alice")?)?;
    wire.simple("LISTEN leak")?;
    let mut leaked = Vec::new();
    let mut failed = 0;
    for statement in STATEMENTS {
        for extended in [false, true] {
            let answer = match extended {
                true => wire.extended(statement, 0)?,
                false => wire.simple(statement)?,
            };
            let words = answer
                .iter()
                .find(|said| said.kind == b'E')
                .and_then(|said| said.field(b'M'));
            failed += usize::from(words.is_some_and(|words| !words.contains("no-copies")));
            leaked.extend(leaks(&answer).into_iter().map(|leak| format!("{statement}: {leak}")));
        }
    }
    ensure!(leaked.is_empty(), "{}", leaked.join("\n"));
    ensure!(failed >= STATEMENTS.len(), "only {failed} errors were the target's");
    Ok(())
}

#[test]
fn what_detectors_find_is_in_no_message_of_the_target() -> Result<()> {
    let policy = bundle(
        CLASSIFY,
        &[mask("personal", "redact"), mask("found", "partial")].concat(),
    )?;
    let stage = Stage::start(&Plan::with_bundle(&policy))?;
    let mut wire = Wire::open(&stage.through("alice")?)?;
    // Put together at the target, so that no word of it is the client's own.
    let card = "('411111111111' || '1111')";
    for statement in [
        format!("SELECT {card}::date"),
        format!("SELECT {card}::int"),
        format!("DO $$ BEGIN RAISE NOTICE 'it is %', {card}; END $$"),
        format!("DO $$ BEGIN RAISE EXCEPTION 'no' USING DETAIL = {card}, HINT = {card}; END $$"),
        format!(
            "DO $$ BEGIN RAISE EXCEPTION 'no' USING COLUMN = {card}, CONSTRAINT = {card}, DATATYPE = {card}; END $$"
        ),
        format!("DO $$ BEGIN RAISE EXCEPTION 'no' USING TABLE = {card}, SCHEMA = {card}; END $$"),
        format!("SELECT set_config('application_name', {card}, false)"),
        format!("LISTEN l; SELECT pg_notify('l', {card})"),
        format!("DO $$ BEGIN EXECUTE 'SELECT 1 AS \"' || {card} || '\"'; END $$"),
        format!("DO $$ BEGIN EXECUTE 'CREATE TEMP TABLE t (\"' || {card} || '\" int)'; END $$; SELECT * FROM t"),
        format!("DO $$ BEGIN EXECUTE 'LISTEN \"' || {card} || '\"'; PERFORM pg_notify({card}, ''); END $$"),
    ] {
        for said in wire.simple(&statement)? {
            let text = String::from_utf8_lossy(&said.body);
            ensure!(
                !text.contains("4111111111111111"),
                "{statement}: {}: {text}",
                char::from(said.kind)
            );
        }
    }
    Ok(())
}
