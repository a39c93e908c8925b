//! Whatever changes what names mean changes their fingerprint, on a real server.

#![allow(clippy::unwrap_used, reason = "tests")]

use sallyport_sql::Catalog;
use sallyport_testbed::{Options, Postgres, Template};

/// One change after the other; each is seen.
const CHANGES: &[&str] = &[
    "CREATE SCHEMA care",
    "CREATE TABLE care.people (id int PRIMARY KEY, name text)",
    "ALTER TABLE care.people RENAME COLUMN name TO card",
    "ALTER TABLE care.people ALTER COLUMN id TYPE bigint",
    "ALTER TABLE care.people ALTER COLUMN card SET DEFAULT lower('X')",
    "ALTER TABLE care.people ADD CHECK (id > 0)",
    "ALTER TABLE care.people ENABLE ROW LEVEL SECURITY",
    "CREATE VIEW care.shown AS SELECT id FROM care.people",
    "CREATE OR REPLACE VIEW care.shown AS SELECT id + 0 AS id FROM care.people",
    "CREATE RULE nothing AS ON DELETE TO care.people DO INSTEAD NOTHING",
    "DROP RULE nothing ON care.people",
    "CREATE FUNCTION care.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * n'",
    "CREATE OR REPLACE FUNCTION care.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n + n'",
    "ALTER FUNCTION care.twice(int) VOLATILE",
    "CREATE FUNCTION care.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER noted BEFORE INSERT ON care.people FOR EACH ROW EXECUTE FUNCTION care.noted()",
    "ALTER TABLE care.people DISABLE TRIGGER noted",
    "CREATE POLICY own ON care.people USING (care.twice(id::int) > 0)",
    "ALTER POLICY own ON care.people USING (true)",
    "CREATE INDEX ON care.people ((care.twice(1) + id))",
    "CREATE STATISTICS care.told ON (lower(card)), id FROM care.people",
    "CREATE TYPE care.mood AS ENUM ('well')",
    "CREATE DOMAIN care.small AS int CHECK (VALUE < 10)",
    "CREATE OPERATOR care.<<< (FUNCTION = int4pl, LEFTARG = int, RIGHTARG = int)",
    "CREATE CAST (care.mood AS text) WITH INOUT",
    "CREATE AGGREGATE care.total(int) (SFUNC = int4pl, STYPE = int)",
    "CREATE EXTENSION hstore",
    "ALTER EXTENSION hstore ADD FUNCTION care.twice(int)",
    "ALTER EXTENSION hstore DROP FUNCTION care.twice(int)",
    "CREATE TABLE care.children () INHERITS (care.people)",
    "ALTER TABLE care.children NO INHERIT care.people",
    "ALTER TABLE care.people RENAME TO persons",
    "ALTER SCHEMA care RENAME TO cure",
    "CREATE FUNCTION cure.seen() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
    "CREATE EVENT TRIGGER seen ON ddl_command_start EXECUTE FUNCTION cure.seen()",
    "DROP SCHEMA cure CASCADE",
];

#[test]
fn it_changes_with_every_change_of_a_name() {
    let server = Postgres::start(&Options::default()).unwrap();
    let print = || server.query("postgres", Catalog::fingerprint_query()).unwrap();
    let mut before = print();
    assert_eq!(before, print(), "without a change it stays");
    for change in CHANGES {
        server.query("postgres", change).unwrap();
        let now = print();
        assert_ne!(before, now, "`{change}` is not seen");
        before = now;
    }
}

/// A server that was restored goes on counting where the copy was made, so other changes look alike.
#[test]
fn copies_of_one_server_are_told_apart() {
    let template = Template::empty("postgres").unwrap();
    let print = |body: &str| {
        let server = Postgres::from_template(&template, &Options::default()).unwrap();
        let change = format!("CREATE FUNCTION same() RETURNS int LANGUAGE sql AS 'SELECT {body}'");
        server.query("postgres", &change).unwrap();
        let place = "SELECT ctid, xmin, oid FROM pg_proc WHERE proname = 'same'";
        let place = server.query("postgres", place).unwrap();
        (place, server.query("postgres", Catalog::fingerprint_query()).unwrap())
    };
    let (one, other) = (print("1"), print("2"));
    assert_eq!(one.0, other.0, "as a row they look alike");
    assert_ne!(one.1, other.1);
}
