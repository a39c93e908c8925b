//! Texts meant to break the parser or the binder.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod snapshot;

use std::time::{Duration, Instant};

use proptest::prelude::*;
use sallyport_sql::{analyse, parse};
use snapshot::{Known, catalogue, last, state};

/// Runs on a thread with the stack that a runtime's worker has.
fn on_a_small_stack(body: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(body)
        .unwrap()
        .join()
        .unwrap();
}

/// Analyses a text that may be refused, by the parser or as too large, and must not hang.
fn survive(sql: &str) -> Option<bool> {
    let begun = Instant::now();
    let facts = parse(sql).and_then(|p| analyse(&p, catalogue(), &state(), &Known::default()));
    let unresolved = |f: sallyport_sql::Facts| f.statements.iter().any(sallyport_sql::StatementFacts::unresolved);
    let unresolved = facts.ok().map(unresolved);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{} bytes took {:?}",
        sql.len(),
        begun.elapsed()
    );
    unresolved
}

#[test]
fn deep_nesting_is_bounded_on_a_small_stack() {
    on_a_small_stack(|| {
        for depth in [100, 1_000, 20_000] {
            let nest = |open: &str, inner: &str, close: &str| {
                format!("SELECT {}{inner}{}", open.repeat(depth), close.repeat(depth))
            };
            for sql in [
                nest("(", "1", ")"),
                nest("- ", "1", ""),
                nest("NOT ", "true", ""),
                nest("abs(", "1", ")"),
                nest("(SELECT ", "1", ")"),
                nest("ARRAY[", "1", "]"),
                nest("", "1", "::text"),
                nest("", "'a'", " || 'b'"),
                nest("CASE WHEN true THEN ", "1", " END"),
                nest("", "1", " UNION ALL SELECT 1"),
                nest("(SELECT 1 UNION ALL ", "SELECT 1", ")"),
                nest("", "1", " COLLATE \"C\""),
                format!(
                    "DELETE FROM wards WHERE {}code = 'a'{}",
                    "(true AND ".repeat(depth),
                    ")".repeat(depth)
                ),
                format!("DELETE FROM wards WHERE code = 'a'{}", " || 'b'".repeat(depth)),
                format!(
                    "SELECT * FROM {}wards{}",
                    "(SELECT * FROM ".repeat(depth),
                    ") q".repeat(depth)
                ),
                format!("SELECT * FROM wards{}", " CROSS JOIN wards".repeat(depth.min(500))),
            ] {
                survive(&sql);
            }
        }
    });
}

#[test]
fn nesting_that_is_not_followed_is_unresolved() {
    let deep = format!("SELECT {}1{}", "abs(".repeat(2_000), ")".repeat(2_000));
    assert_eq!(survive(&deep), Some(true));
    let usual = format!(
        "SELECT {}name{} FROM patients",
        "replace(".repeat(40),
        ", 'a', 'b')".repeat(40)
    );
    assert_eq!(survive(&usual), Some(false));
    let chain = format!("SELECT name{} FROM patients", " || 'x'".repeat(2_000));
    assert_eq!(survive(&chain), Some(false));
    let union = vec!["SELECT id FROM patients"; 500].join(" UNION ALL ");
    assert_eq!(survive(&union), Some(false));
}

#[test]
fn repeated_work_is_bounded() {
    let mut recursive = "SELECT 1 AS a".to_owned();
    for _ in 0..12 {
        recursive = format!("WITH RECURSIVE t AS ({recursive} UNION ALL SELECT a FROM t) SELECT a FROM t");
    }
    survive(&recursive);
    let mut nested = "SELECT 1".to_owned();
    for _ in 0..40 {
        nested = format!("SELECT id FROM patients WHERE id IN ({nested})");
    }
    assert_eq!(survive(&nested), Some(false));
}

#[test]
fn names_of_result_columns_are_found_in_one_pass() {
    let mut nested = "SELECT id FROM patients".to_owned();
    for _ in 0..36 {
        nested = format!("SELECT ({nested})::text");
    }
    assert_eq!(survive(&nested), Some(false));
    let sallyport_sql::Outputs::Columns(columns) = last(&nested).outputs else {
        panic!("{nested}");
    };
    assert_eq!(columns[0].name, "id");
}

#[test]
fn texts_beyond_the_bounds_are_refused() {
    assert!(parse(&format!("SELECT '{}'", "x".repeat(2 << 20))).is_err());
    assert!(parse("SELECT 1\0; DROP TABLE wards").is_err());
}

#[test]
fn syntax_errors_say_where() {
    for (sql, position) in [
        ("SELECT FROM FROM", Some(13)),
        ("SELEC 1", Some(1)),
        ("SELECT 'é' +", Some(13)),
        ("SELECT 1 1 1", Some(10)),
    ] {
        assert_eq!(
            parse(sql).unwrap_err().position,
            position,
            "{sql}: {}",
            parse(sql).unwrap_err()
        );
    }
}

/// Pieces that mutated statements are made of.
const PIECES: &[&str] = &[
    "SELECT",
    "*",
    "FROM",
    "patients",
    "p",
    ".",
    "(",
    ")",
    ",",
    "national_id",
    "WHERE",
    "id",
    "=",
    "1",
    "$1",
    "'x'",
    "UNION",
    "ALL",
    "WITH",
    "t",
    "AS",
    "RECURSIVE",
    "DELETE",
    "UPDATE",
    "SET",
    "INSERT INTO",
    "VALUES",
    "RETURNING",
    "MERGE INTO",
    "USING",
    "ON",
    "WHEN MATCHED THEN",
    "EXPLAIN",
    "ANALYZE",
    "COPY",
    "TO STDOUT",
    "CREATE",
    "TABLE",
    "VIEW",
    "TEMP",
    "DROP",
    "ALTER",
    "RENAME TO",
    ";",
    "PREPARE",
    "EXECUTE",
    "DECLARE c CURSOR FOR",
    "FETCH c",
    "JOIN",
    "NATURAL",
    "LATERAL",
    "unnest",
    "ARRAY[",
    "]",
    "::text",
    "lower",
    "ORDER BY",
    "GROUP BY",
    "LIMIT",
    "IN",
    "EXISTS",
    "NOT",
    "AND",
    "OR",
    "CASE WHEN",
    "THEN",
    "END",
    "é",
    "\"",
    "--",
    "/*",
    "*/",
    "U&'",
    "E'\\x",
    "OVER",
    "FILTER",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,80}") {
        survive(&text);
    }

    #[test]
    fn shuffled_statements_never_panic(picks in proptest::collection::vec(0..PIECES.len(), 1..24)) {
        let words: Vec<&str> = picks.iter().map(|&i| PIECES[i]).collect();
        survive(&words.join(" "));
    }

    #[test]
    fn cut_statements_never_panic(which in 0..4usize, from in 0..120usize, len in 0..40usize) {
        let base = [
            "WITH a AS (SELECT p.*, count(*) OVER (PARTITION BY ward) c FROM patients p) SELECT a.name, (a).id FROM a JOIN visits v ON v.patient_id = a.id WHERE v.cost > 10",
            "INSERT INTO wards (code, beds) SELECT ward, count(*) FROM patients GROUP BY 1 ON CONFLICT (code) DO UPDATE SET beds = excluded.beds RETURNING *",
            "MERGE INTO wards w USING (VALUES ('a', 1)) v(c, b) ON w.code = v.c WHEN MATCHED THEN UPDATE SET beds = v.b WHEN NOT MATCHED THEN INSERT VALUES (v.c)",
            "CREATE TEMP TABLE t AS SELECT jsonb_agg(p) FROM patients p; SELECT * FROM t; DROP TABLE t",
        ][which];
        let cut: String = base.chars().enumerate().filter(|(i, _)| *i < from || *i >= from + len).map(|(_, c)| c).collect();
        survive(&cut);
    }
}

#[test]
fn a_statement_that_selects_nothing_is_no_row() {
    assert_eq!(
        last("SELECT FROM wards").outputs,
        sallyport_sql::Outputs::Columns(Vec::new())
    );
}

#[test]
fn a_catalogue_without_end_is_refused() {
    let mut builder = sallyport_sql::Catalog::builder();
    let name = "n".repeat(64 << 20);
    let fed = (0..9).map(|_| builder.feed("schemas", &[Some(&name)]));
    let fed: Vec<bool> = fed.map(|fed| fed.is_ok()).collect();
    assert_eq!(fed.iter().filter(|fed| **fed).count(), 7, "{fed:?}");
}
