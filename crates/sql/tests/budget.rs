//! Texts that ask for more than they are long: what is not bounded by their length is bounded by a budget.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "tests"
)]

mod snapshot;

use std::sync::OnceLock;
use std::time::Duration;

use sallyport_sql::{Catalog, Facts, Outputs, SessionState, SyntaxError, analyse, parse};
use snapshot::{Known, state};

/// The longest text there can be; less where nothing is optimised, so that the tests take seconds.
const LONG: usize = if cfg!(debug_assertions) { 1 << 18 } else { 1 << 20 };

/// The clinic, and `care.wide` with as many columns as the server lets a table have.
fn wide_catalogue() -> &'static Catalog {
    static CATALOGUE: OnceLock<Catalog> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        let mut rows: Vec<Vec<String>> = vec![
            ["relations", "90000", "care", "wide", "r", "p", "f", "f"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for n in 1..=1600 {
            rows.push(
                ["columns", "90000", &n.to_string(), &format!("c{n}"), "25", "f"]
                    .map(str::to_owned)
                    .to_vec(),
            );
        }
        snapshot::catalogue_with(&rows)
    })
}

/// What this thread has computed so far, however busy the machine is.
fn cpu_time() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let spent = times.split(' ').next().and_then(|n| n.parse().ok());
    Duration::from_nanos(spent.unwrap_or(0))
}

fn start(sql: &str) -> &str {
    &sql[..sql.len().min(80)]
}

fn understand(sql: &str) -> Result<Facts, SyntaxError> {
    let begun = cpu_time();
    let parsed = parse(sql).unwrap_or_else(|e| panic!("{}…: {e}", start(sql)));
    let parsing = cpu_time().saturating_sub(begun);
    let begun = cpu_time();
    let facts = analyse(&parsed, wide_catalogue(), &state(), &Known::default());
    let analysing = cpu_time().saturating_sub(begun);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    let outcome = if facts.is_ok() { "understood" } else { "refused" };
    // seen with --no-capture
    println!(
        "{:>8} bytes: parsed in {parsing:?}, {outcome} in {analysing:?}, {peak}: {}",
        sql.len(),
        start(sql)
    );
    facts
}

fn refused(sql: &str) {
    let error = understand(sql).expect_err(start(sql));
    assert!(error.message.contains("too large to understand"), "{error}");
}

fn understood(sql: &str) -> Facts {
    let facts = understand(sql).unwrap_or_else(|e| panic!("{}…: {e}", start(sql)));
    assert!(facts.statements.iter().all(|s| !s.unresolved()), "{}", start(sql));
    facts
}

/// Refused, or understood with names missing: either stops it where policy does not permit what is unresolved.
fn not_understood(sql: &str) {
    if let Ok(facts) = understand(sql) {
        assert!(facts.statements.iter().any(|s| s.unresolved()), "{}", start(sql));
    }
}

/// A long text of `part`s joined by `by`, between `before` and `after`.
fn fill(before: &str, part: &str, by: &str, after: &str) -> String {
    let count = (LONG - before.len() - after.len()) / (part.len() + by.len());
    numbered(before, count, by, after, |_| part.to_owned())
}

fn numbered(before: &str, count: usize, by: &str, after: &str, part: impl Fn(usize) -> String) -> String {
    let parts: Vec<String> = (0..count).map(part).collect();
    format!("{before}{}{after}", parts.join(by))
}

#[test]
fn stars_of_stars_are_refused() {
    let mut doubling = "SELECT * FROM patients".to_owned();
    for _ in 0..20 {
        doubling = format!("SELECT a.*, a.* FROM ({doubling}) a");
    }
    refused(&doubling);
    let mut chain = "WITH t0 AS (SELECT * FROM patients)".to_owned();
    for n in 1..=20 {
        let m = n - 1;
        chain.push_str(&format!(", t{n} AS (SELECT a.*, b.* FROM t{m} a, t{m} b)"));
    }
    refused(&format!("{chain} SELECT * FROM t20"));
    refused(&fill("SELECT ", "w.*", ",", " FROM wide w"));
    refused(&fill("SELECT 1 FROM (SELECT ", "w.*", ",", " FROM wide w) q"));
    refused(&fill("SELECT ROW(", "w.*", ",", ") FROM wide w"));
}

#[test]
fn a_query_has_as_many_columns_as_the_server_lets_it_have() {
    let list = |count| numbered("SELECT ", count, ",", " FROM wide", |n| format!("c{}", n % 1600 + 1));
    let facts = understood(&list(1664));
    assert!(matches!(&facts.statements[0].outputs, Outputs::Columns(columns) if columns.len() == 1664));
    let error = understand(&list(1665)).unwrap_err();
    assert!(error.message.contains("1664 columns"), "{error}");
    assert_eq!(error.position, None);
    understood("SELECT *, 1 FROM wide");
    refused("SELECT * FROM wide a, wide b");
    refused("SELECT EXISTS (SELECT a.*, b.* FROM wide a, wide b)");
    refused(&fill("VALUES (", "1", ",", ")"));
}

#[test]
fn sources_that_are_named_again_and_again_are_refused() {
    refused(&fill("SELECT 1 FROM ", "wide", ",", ""));
    refused(&fill("WITH t AS (SELECT * FROM wide) SELECT 1 FROM ", "t", ",", ""));
    refused(&numbered("SELECT 1 FROM ", 30_000, ",", "", |n| {
        format!("wide AS w{n}")
    }));
    not_understood(&fill("SELECT 1 FROM patients", " NATURAL JOIN patients", "", ""));
    not_understood(&fill("SELECT 1 FROM wide", " JOIN wide USING (c1)", "", ""));
    let joins = numbered("SELECT 1 FROM wide", 150, "", "", |n| {
        format!(" JOIN wide w{n} USING (c1)")
    });
    refused(&joins);
    let subqueries = numbered("SELECT ", 1600, ",", "", |_| {
        "(SELECT 1 FROM wide, wide, wide, wide, wide, wide)".to_owned()
    });
    refused(&subqueries);
    refused(&fill("", "TABLE wide", ";", ""));
    refused(&fill("", "TABLE patients", ";", ""));
    refused(&fill("PREPARE p AS TABLE wide;", "EXECUTE p", ";", ""));
    refused(&fill("DECLARE c CURSOR FOR TABLE wide;", "FETCH c", ";", ""));
}

#[test]
fn sets_of_origins_are_refused_when_they_grow_too_large() {
    refused(&fill("SELECT f(", "w", ",", ") FROM wide w"));
    refused(&numbered("SELECT ", 1600, ",", " FROM wide w, wide v", |_| {
        "w".to_owned()
    }));
    refused(&numbered("SELECT f(", 60_000, ",", ") FROM wide w, patients p", |n| {
        format!("w::text||p.{}", ["id", "name", "email", "ward"][n % 4])
    }));
    refused(&fill("SELECT 1 FROM wide", " UNION SELECT * FROM wide", "", ""));
    let unions = numbered("", 800, " UNION ", "", |_| "SELECT * FROM wide".to_owned());
    refused(&unions);
    refused(&fill("SELECT 1 FROM wide ORDER BY ", "c1600", ",", ""));
}

#[test]
fn changes_of_names_are_refused_when_they_are_too_many() {
    refused(&numbered("", 30_000, ";", "", |n| {
        format!("CREATE TABLE t{n} (LIKE wide)")
    }));
    refused(&numbered("", 30_000, ";", "", |n| {
        format!("SELECT * INTO t{n} FROM wide")
    }));
    refused(&numbered("ALTER TABLE wide ", 20_000, ",", "", |n| {
        format!("ADD COLUMN d{n} text")
    }));
    refused(&numbered("", 20_000, ";", "", |n| {
        format!("ALTER TABLE wide RENAME c1 TO d{n}")
    }));
    let path = numbered("SET search_path = care", 20_000, "", ";", |n| format!(", s{n}"));
    let facts = understand(&format!("{path}SELECT 1 FROM patients")).unwrap();
    assert!(facts.statements[1].unresolved());
}

#[test]
fn rows_in_rows_are_followed_as_deep_as_they_can_be_dropped() {
    let body = || {
        let nested = numbered(
            "WITH t0 AS (SELECT p AS r FROM patients p), ",
            20_000,
            ", ",
            " SELECT r FROM t20000",
            |n| format!("t{} AS (SELECT t{n} AS r FROM t{n})", n + 1),
        );
        not_understood(&nested);
        let nested = numbered(
            "WITH t0 AS (SELECT p AS r FROM patients p), ",
            200,
            ", ",
            " SELECT r FROM t200",
            |n| format!("t{} AS (SELECT t{n} AS r FROM t{n})", n + 1),
        );
        let facts = understood(&nested);
        let Outputs::Columns(columns) = &facts.statements[0].outputs else {
            panic!("{:?}", facts.statements[0].outputs);
        };
        // what is in there is still known together
        assert!(
            columns[0]
                .origins
                .iter()
                .any(|o| o.to_string() == "care.patients.national_id")
        );
    };
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(body)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn long_lists_are_understood() {
    understood(&numbered(
        "SELECT name FROM patients WHERE id IN (",
        100_000,
        ",",
        ")",
        |n| n.to_string(),
    ));
    understood(&fill("SELECT name FROM patients WHERE id IN (", "1", ",", ")"));
    understood(&numbered(
        "DELETE FROM patients WHERE id IN (",
        100_000,
        ",",
        ")",
        |n| n.to_string(),
    ));
    understood(&numbered(
        "INSERT INTO wards (code, beds) VALUES ",
        50_000,
        ",",
        "",
        |n| format!("('w{n}',{n})"),
    ));
    understood(&fill("INSERT INTO wards (beds) VALUES ", "(1)", ",", ""));
    understood(&fill("SELECT 1", " UNION SELECT 1", "", ""));
    understood(&numbered("SELECT name FROM patients WHERE ", 20_000, " OR ", "", |n| {
        format!("id = {n}")
    }));
    understood(&numbered("", 10_000, ";", "", |n| {
        format!("INSERT INTO wards (code, beds) VALUES ('w{n}', {n})")
    }));
    understood(&numbered("", 100, " UNION ", "", |_| {
        "SELECT * FROM patients, visits, wards".to_owned()
    }));
    understood(&format!("SELECT name{} FROM patients", " || 'x'".repeat(100_000)));
    understood(&numbered("SELECT ", 1600, ",", " FROM wide", |n| {
        format!("coalesce(c{}, '')", n + 1)
    }));
    understood(&numbered("SELECT 1 FROM ", 1000, ",", " WHERE w0.id = 1", |n| {
        format!("visits w{n}")
    }));
    let conditions = numbered("SELECT 1 FROM ", 1000, ",", "", |n| format!("visits w{n}"));
    let conditions = numbered(&format!("{conditions} WHERE w0.id = 1"), 999, "", "", |n| {
        format!(" AND w{n}.id = w{}.id", n + 1)
    });
    understood(&conditions);
}

#[test]
fn what_is_long_and_flat_is_understood_or_refused_at_once() {
    for sql in [
        fill("SELECT f(", "a", ",", ")"),
        fill("SELECT f(", "p", ",", ") FROM patients p"),
        fill("SELECT f(", "max(id)", ",", ") FROM patients p"),
        fill("SELECT 1 FROM patients p WHERE ", "id=1", " OR ", ""),
        fill("SELECT 1 FROM patients p WHERE ", "id=id", " AND ", ""),
        fill("DELETE FROM patients p WHERE ", "(id>2 AND id>3)", " OR ", ""),
        fill("SELECT 1 FROM ", "(SELECT 1)q", ",", ""),
        fill("SELECT 1 FROM ", "f()", ",", ""),
        fill("", "SELECT 1", ";", ""),
        fill("", "BEGIN", ";", ""),
        fill("", "DELETE FROM orders_of", ";", ""),
        fill("CREATE TEMP TABLE t ();", "DISCARD TEMP", ";", ""),
        fill("", "CREATE TABLE t ()", ";", ""),
        fill("", "ALTER SCHEMA care RENAME TO b", ";", ""),
        fill("CREATE TABLE t (", "a int", ",", ")"),
        fill("INSERT INTO wide (", "c1", ",", ") VALUES (1)"),
        fill("UPDATE wide SET ", "c1600=1", ",", ""),
        fill("GRANT SELECT ON ", "wide", ",", " TO alice"),
        fill("LOCK TABLE ", "wide", ",", ""),
        fill("DROP TABLE ", "wide", ",", ""),
        fill("TRUNCATE ", "wide", ",", ""),
        fill("CREATE INDEX ON wide (", "c1600", ",", ")"),
        fill("COPY wide (", "c1600", ",", ") TO STDOUT"),
        fill("ALTER TABLE wide ADD UNIQUE (", "c1600", ",", ")"),
        fill("SELECT 1 FROM wide GROUP BY ", "c1600", ",", ""),
        fill("SELECT c1600 AS x FROM wide GROUP BY ", "x", ",", ""),
        fill("WITH ", "t AS (SELECT 1)", ",", " SELECT 1"),
        numbered("WITH ", 20_000, ",", " SELECT 1", |n| {
            format!("t{n} AS (SELECT 1 FROM (SELECT 1) q)")
        }),
        numbered("WITH t0 AS (SELECT 1 a)", 20_000, "", " SELECT 1", |n| {
            format!(",t{} AS (SELECT a FROM t{n})", n + 1)
        }),
        numbered("SELECT 1 FROM ", 12_000, ",", "", |n| format!("visits w{n}")),
        numbered("SELECT ", 1600, ",", "", |n| {
            format!("(SELECT a.c{n} FROM wide a, wide b)")
        }),
        fill("SELECT (p", ".a", "", ") FROM patients p"),
        fill("SELECT p", "[1]", "", " FROM patients p"),
        fill("SELECT 1", "::text", "", ""),
        fill("SELECT ", "CASE WHEN true THEN 1 ELSE ", "", "1") + &" END".repeat(LONG / 40),
        fill("EXPLAIN ", "SELECT 1 UNION ", "", "SELECT 1"),
        fill("SELECT 1 FROM patients WINDOW ", "w AS (ORDER BY id)", ",", ""),
        fill("SELECT 1 FROM JSON_TABLE('{}', '$' COLUMNS (", "a int", ",", ")) j"),
        fill(
            "SELECT a FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS ",
            "a int",
            ",",
            ") x",
        ),
        fill("SELECT 1 FROM ROWS FROM (", "jsonb_each('{}')", ",", ") x"),
        fill("DELETE FROM wide RETURNING ", "c1600", ",", ""),
        fill("SELECT 1 FROM patients WHERE (", "id", ",", ") = (1)"),
        fill("SELECT 1 FROM patients WHERE id = ANY (ARRAY[", "1", ",", "])"),
        fill("SELECT 1 FROM patients WHERE ", "(SELECT id=1)", " AND ", ""),
    ] {
        let Ok(parsed) = parse(&sql) else { continue };
        drop(parsed);
        let _either = understand(&sql);
    }
}

#[test]
fn views_have_a_budget_of_their_own() {
    let definition = numbered("SELECT 1 AS a FROM ", 3000, ",", "", |_| "wide".to_owned());
    let rows: Vec<Vec<String>> = vec![
        ["relations", "90001", "care", "huge", "v", "p", "f", "f"]
            .map(str::to_owned)
            .to_vec(),
        ["columns", "90001", "1", "a", "23", "f"].map(str::to_owned).to_vec(),
        ["relations", "90000", "care", "wide", "r", "p", "f", "f"]
            .map(str::to_owned)
            .to_vec(),
        vec!["views".to_owned(), "90001".to_owned(), definition],
    ];
    let mut all = rows;
    for n in 1..=1600 {
        all.push(
            ["columns", "90000", &n.to_string(), &format!("c{n}"), "25", "f"]
                .map(str::to_owned)
                .to_vec(),
        );
    }
    let catalogue = snapshot::catalogue_with(&all);
    let path = SessionState { ..state() };
    let facts = analyse(
        &parse("SELECT a FROM huge").unwrap(),
        &catalogue,
        &path,
        &Known::default(),
    )
    .unwrap();
    assert!(facts.statements[0].unresolved());
    assert!(matches!(facts.statements[0].outputs, Outputs::Unknown { .. }));
}
