//! Facts by shape: served for other literals, they are what analysing the text would have found.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

mod snapshot;

use proptest::prelude::*;
use sallyport_sql::{Facts, Shaped, analyse, analyse_shaped, parse, shape};
use snapshot::{Known, catalogue, state};

fn key_of(text: &str) -> Option<String> {
    let mut key = String::new();
    shape(text, &mut key).map(str::to_owned)
}

/// What a text amounts to with its shape, if it has one and is understood.
fn shaped(text: &str) -> Option<(String, Shaped)> {
    let key = key_of(text)?;
    let parsed = parse(text).ok()?;
    let shaped = analyse_shaped(&parsed, &key, catalogue(), &state(), &Known::default()).ok()?;
    Some((key, shaped))
}

/// Facts without the places in the text, which are the text's own.
fn placeless(mut facts: Facts) -> Facts {
    for statement in &mut facts.statements {
        statement.span = 0..0;
    }
    facts
}

fn plain(text: &str) -> Facts {
    let parsed = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    placeless(analyse(&parsed, catalogue(), &state(), &Known::default()).unwrap())
}

const INTEGERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "7",
    "1600",
    "1971",
    "999999999",
    "2147483647",
    "007",
];
const BIG_INTEGERS: &[&str] = &["2147483648", "9223372036854775807", "0000000003000000000"];
#[rustfmt::skip]
const STRINGS: &[&str] = &[
    "''", "'a'", "'t'", "'f'", "'true'", "'off'", "'1'", "'%'", "'_'", "'a%'", "'infinity'", "'1970-01-01'",
    "'2030-01-01'", "'role'", "'search_path'", "'standard_conforming_strings'", "'wards'", "'national_id'", "'{1,2}'",
    "'it''s'", "'$1'", "'--'", "'/*'", "'SELECT 1'", "';'", "'\n'", "'(1,x)'", "'care.patients'", "'\"'",
];

/// The text of a shape with literals in their places, chosen by `pick`.
fn filled(key: &str, mut pick: impl FnMut(usize) -> usize) -> String {
    let mut pieces = key.split('$');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let values = match piece.as_bytes()[0] {
            b'i' => INTEGERS,
            b'l' => BIG_INTEGERS,
            b's' => STRINGS,
            other => panic!("{other}"),
        };
        text.push_str(values[pick(values.len())]);
        text.push_str(&piece[1..]);
    }
    text
}

/// Every literal in turn takes every value, and all of them together take random ones.
fn holds_for_other_literals(text: &str, seed: u64) -> Option<bool> {
    let (key, found) = shaped(text)?;
    assert_eq!(placeless(found.facts.clone()), plain(text), "{text}");
    if !found.shared {
        return Some(false);
    }
    let served = placeless(found.facts);
    let compare = |other: String| {
        assert_eq!(key_of(&other).as_deref(), Some(key.as_str()), "{other}");
        assert_eq!(plain(&other), served, "{text}\n{other}");
    };
    let literals = key.matches('$').count().min(12);
    for which in 0..literals {
        for value in 0..STRINGS.len() {
            let mut index = 0;
            compare(filled(&key, |count| {
                index += 1;
                if index == which + 1 { value % count } else { 1 }
            }));
        }
    }
    let mut state = seed;
    for _ in 0..16 {
        compare(filled(&key, |count| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % count
        }));
    }
    Some(true)
}

#[test]
fn literals_are_replaced_by_their_kinds() {
    for (text, key) in [
        (
            "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;",
            "SELECT abalance FROM pgbench_accounts WHERE aid = $i;",
        ),
        (
            "UPDATE t SET a=a+-17, b='x' WHERE c=3000000000",
            "UPDATE t SET a=a+-$i, b=$s WHERE c=$l",
        ),
        ("SELECT 'it''s', '', '--', '/*', '$1'", "SELECT $s, $s, $s, $s, $s"),
        (
            "SELECT \"a1\", t1, x_2 FROM \"T\"\"3\" WHERE a[1:2]=1",
            "SELECT \"a1\", t1, x_2 FROM \"T\"\"3\" WHERE a[$i:$i]=$i",
        ),
        (
            "SELECT 2147483647, 2147483648, 9223372036854775807",
            "SELECT $i, $l, $l",
        ),
        ("SELECT 0001, 1::int8, 'a'::text", "SELECT $i, $i::int8, $s::text"),
        ("SELECT 'a',\n'b'", "SELECT $s,\n$s"),
    ] {
        assert_eq!(key_of(text).as_deref(), Some(key), "{text}");
    }
}

#[test]
fn what_could_be_read_otherwise_has_no_shape() {
    for text in [
        "",
        "SELECT a FROM t",
        "SELECT $1, 1",
        "SELECT $tag$ ' $tag$, 1",
        "SELECT a$b, 1",
        "SELECT 'a\\'",
        "SELECT \\ 1",
        "SELECT 1 -- 'x'",
        "SELECT 1 /* ' */",
        "SELECT 1--'",
        "SELECT E'a', 1",
        "SELECT e'a'",
        "SELECT N'a'",
        "SELECT B'1'",
        "SELECT x'1F'",
        "SELECT U&'a'",
        "SELECT U&\"a\", 1",
        "SELECT a&'a'",
        "SELECT date'2020-01-01'",
        "SELECT 'a'\n'b'",
        "SELECT 'a' 'b'",
        "SELECT 'a'1",
        "SELECT 'a'x",
        "SELECT 'a'\"x\"",
        "SELECT \"x\"1",
        "SELECT \"x\"'a'",
        "SELECT 1'a'",
        "SELECT 1\"x\"",
        "SELECT 1a",
        "SELECT 1_000",
        "SELECT 1e5",
        "SELECT 1E5",
        "SELECT 0x1F",
        "SELECT 0o17",
        "SELECT 0b1",
        "SELECT 1.5",
        "SELECT .5",
        "SELECT 1.",
        "SELECT 1..2",
        "SELECT t.1",
        "SELECT 9223372036854775808",
        "SELECT 00000000000000000000000000001",
        "SELECT 'é', 1",
        "SELECT é, 1",
        "SELECT 'a', 1\u{b}",
        "SELECT 'a\u{1}'",
        "SELECT 1\0",
        "SELECT '1",
        "SELECT 1, \"a",
    ] {
        assert_eq!(key_of(text), None, "{text}");
    }
    assert_eq!(key_of(&format!("SELECT '{}'", "x".repeat(20_000))), None);
}

#[test]
fn look_alikes_have_shapes_of_their_own() {
    let texts = [
        "SELECT 1 + 1",
        "SELECT 1 + '1'",
        "SELECT '1' + 1",
        "SELECT 3000000000 + 1",
        "SELECT 1 +1",
        "SELECT 1",
        "SELECT '1'",
        "SELECT \"1\", 1",
    ];
    let keys: std::collections::BTreeSet<_> = texts.iter().map(|t| key_of(t).unwrap()).collect();
    assert_eq!(keys.len(), texts.len());
}

/// Statements that come again with other values, as programs send them.
const SHARED: &[&str] = &[
    "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;",
    "SELECT name FROM patients WHERE id = 5;",
    "SELECT name, national_id FROM patients WHERE id = 5 AND ward = 'a' LIMIT 10 OFFSET 20",
    "SELECT name FROM patients WHERE id = -5",
    "SELECT name FROM patients WHERE id IN (1, 2, 3) OR email = 'x@example.com'",
    "SELECT count(*) FROM visits WHERE cost > 5 AND at < '2020-01-01'",
    "SELECT name FROM patients WHERE name LIKE 'a%' ORDER BY name",
    "SELECT coalesce(ward, 'none') || '!', 1, 3000000000 FROM patients GROUP BY ward HAVING count(*) > 5",
    "UPDATE patients SET name = 'b', ward = 'c' WHERE id = 7",
    "UPDATE visits SET cost = cost + 12 WHERE id = 7;",
    "INSERT INTO visits (id, patient_id, cost, note) VALUES (1, 2, 3, 'four')",
    "INSERT INTO wards (code, beds) VALUES ('a', 1), ('b', 2) ON CONFLICT (code) DO UPDATE SET beds = 5",
    "DELETE FROM visits WHERE id = 9",
    "DELETE FROM visits WHERE patient_id IN (SELECT id FROM patients WHERE ward = 'x')",
    "MERGE INTO wards w USING (VALUES ('a', 1)) v(c, b) ON w.code = v.c WHEN MATCHED THEN UPDATE SET beds = 7",
    "WITH p AS (SELECT * FROM patients WHERE id = 4) SELECT p.name, v.note FROM p JOIN visits v ON v.patient_id = p.id",
    "SELECT \"name\" FROM \"care\".\"patients\" WHERE \"id\" = 4",
    "SELECT 1 FROM patients WHERE ward = 'a' UNION ALL SELECT 2 FROM wards WHERE code = 'b'",
    // the parser takes a parameter where these have a string
    "SELECT date '2020-01-01', interval '1' day, interval '2 days', extract('year' FROM at) FROM visits",
    "SELECT query_to_xml('SELECT 1', true, true, '')",
];

#[test]
fn statements_that_differ_in_values_share_their_facts() {
    for text in SHARED
        .iter()
        .filter(|t| !t.contains("DELETE FROM visits") || key_of(t).is_some())
    {
        assert_eq!(holds_for_other_literals(text, 1), Some(true), "{text}");
    }
}

#[test]
fn how_many_rows_are_asked_for_is_a_part_of_the_shape() {
    for (text, shape) in [
        (
            "SELECT name FROM patients WHERE id = 4 LIMIT 10",
            "SELECT name FROM patients WHERE id = $i LIMIT 10",
        ),
        (
            "SELECT name FROM patients WHERE id = 4 limit\t 10 OFFSET 7",
            "SELECT name FROM patients WHERE id = $i limit\t 10 OFFSET $i",
        ),
        (
            "SELECT name FROM patients WHERE id = 4 FETCH NEXT 3 ROWS ONLY",
            "SELECT name FROM patients WHERE id = $i FETCH NEXT 3 ROWS ONLY",
        ),
    ] {
        assert_eq!(key_of(text).as_deref(), Some(shape));
        assert_eq!(holds_for_other_literals(text, 1), Some(true), "{text}");
    }
    // Where the number is not recognised by its place, nothing is shared.
    for text in [
        "SELECT name FROM patients WHERE id = 4 LIMIT (10)",
        "SELECT name FROM patients WHERE id = 4 LIMIT(10)",
    ] {
        assert_eq!(holds_for_other_literals(text, 1), Some(false), "{text}");
    }
}

#[test]
fn statements_whose_values_matter_share_nothing() {
    for text in [
        // a number that means a column
        "SELECT name, id FROM patients ORDER BY 1",
        "SELECT name, count(*) FROM patients GROUP BY 1",
        "SELECT DISTINCT ON (1) name, id FROM patients",
        "SELECT name, ward, count(*) FROM patients GROUP BY GROUPING SETS ((1), (2))",
        "SELECT name, ward, count(*) FROM patients GROUP BY ROLLUP (1, 2)",
        "SELECT name FROM patients UNION SELECT title FROM wards ORDER BY 1",
        "SELECT * FROM (SELECT name, id FROM patients ORDER BY 2 LIMIT 5) q",
        "SELECT (SELECT national_id FROM patients ORDER BY 1 LIMIT 1)",
        // conditions that bound their target, or do not
        "DELETE FROM visits WHERE id > 5",
        "DELETE FROM visits WHERE 5 < id",
        "DELETE FROM visits WHERE id BETWEEN 5 AND 9",
        "DELETE FROM visits WHERE at >= '2020-01-01'",
        "DELETE FROM visits WHERE note LIKE 'a%'",
        "DELETE FROM visits WHERE 1 = 1",
        "DELETE FROM visits WHERE 1 = 2",
        "DELETE FROM visits WHERE id = 1 OR 1 = 1",
        "DELETE FROM visits WHERE id = 1 OR 1 = 2",
        "DELETE FROM visits WHERE 'f'::bool",
        "UPDATE visits SET cost = 1 WHERE id < 5",
        "DELETE FROM visits WHERE patient_id IN (SELECT id FROM patients WHERE id > 5)",
        "DELETE FROM visits v USING patients p WHERE p.id = v.patient_id AND p.id > 5",
        // functions that do what their arguments say
        "SELECT set_config('role', 'dba', false)",
        "SELECT set_config('search_path', 'other', false) FROM patients WHERE id = 1",
        "SELECT set_config(name, 'on', false) FROM pg_settings WHERE name = 'is_superuser'",
        // numbers that are a part of a type's name
        "SELECT name::varchar(10) FROM patients WHERE id = 1 AND ward = interval '1 day'::text",
        "SELECT interval(3) '1'",
        "SELECT float(5) '1'",
        "SELECT name::char(3) FROM patients WHERE id = 1",
        "SELECT CAST(id AS float(53)) FROM patients",
        "SELECT 1 FROM JSON_TABLE('{}', '$' COLUMNS (a int PATH '$.a')) j",
        // about other statements, objects or the session
        "SET work_mem = 5",
        "SET role = 'dba'",
        "SET search_path = 'other'",
        "COPY patients TO '/tmp/x'",
        "COPY (SELECT 1) TO STDOUT",
        "EXECUTE p (1)",
        "PREPARE p AS SELECT 1",
        "DECLARE c CURSOR FOR SELECT 1",
        "FETCH 5 FROM c",
        "MOVE 5 FROM c",
        "EXPLAIN SELECT 1",
        "EXPLAIN (ANALYZE 1) SELECT 1",
        "CREATE TABLE x AS SELECT 1",
        "SELECT 1 INTO x",
        "SELECT 1 INTO x UNION SELECT 2",
        "CREATE VIEW x AS SELECT 1",
        "CREATE ROLE x PASSWORD 'y'",
        "DO 'BEGIN END'",
        "CALL counted(1, NULL)",
        "NOTIFY a, 'b'",
        "LOAD 'x'",
        "SELECT 1; SELECT 2",
        "SELECT name FROM patients WHERE id = 1; DROP TABLE wards",
        "BEGIN; SELECT 1",
        "VACUUM (PARALLEL 2) wards",
    ] {
        let found = shaped(text);
        assert!(!found.is_some_and(|(_, f)| f.shared), "{text}");
    }
    // the traps are traps: the other value does change the facts
    assert_ne!(
        plain("DELETE FROM visits WHERE id > 5"),
        plain("DELETE FROM visits WHERE id > 0")
    );
    assert_ne!(
        plain("SELECT name, id FROM patients ORDER BY 1"),
        plain("SELECT name, id FROM patients ORDER BY 2")
    );
}

#[test]
fn functions_chosen_by_the_type_of_a_literal_are_told_apart() {
    // `pick(integer)` and `pick(numeric)`: a parameter could be either
    let (_, found) = shaped("SELECT pick(1)").unwrap();
    assert!(!found.shared);
    assert_ne!(key_of("SELECT pick(1)"), key_of("SELECT pick(3000000000)"));
}

/// The strings of a Rust source that are statements.
fn statements_in(source: &str) -> impl Iterator<Item = &str> {
    source
        .split('"')
        .filter(|s| !s.contains('\\') && s.contains(' ') && parse(s).is_ok())
}

#[test]
fn every_statement_of_the_other_tests_holds_for_other_literals() {
    let sources = [
        include_str!("facts.rs"),
        include_str!("restrict.rs"),
        include_str!("shape.rs"),
    ];
    let mut outcomes = [0, 0];
    for (index, text) in sources.iter().flat_map(|s| statements_in(s)).enumerate() {
        if let Some(shared) = holds_for_other_literals(text, index as u64) {
            outcomes[usize::from(shared)] += 1;
        }
    }
    assert!(outcomes.iter().all(|&count| count >= 40), "{outcomes:?}");
}

/// Expressions with literals in many places.
fn expression() -> impl Strategy<Value = String> {
    let literal = prop_oneof![
        proptest::sample::select(INTEGERS).prop_map(str::to_owned),
        proptest::sample::select(BIG_INTEGERS).prop_map(str::to_owned),
        proptest::sample::select(STRINGS).prop_map(str::to_owned),
    ];
    let column = proptest::sample::select(
        &[
            "p.id",
            "name",
            "p.national_id",
            "ward",
            "discharged",
            "p",
            "admitted",
            "v",
        ][..],
    );
    let leaf = prop_oneof![3 => literal, 2 => column.prop_map(str::to_owned), 1 => Just("NULL".to_owned()), 1 => Just("true".to_owned())];
    let operator = proptest::sample::select(
        &[
            "=",
            "<",
            ">",
            "<>",
            ">=",
            "+",
            "-",
            "||",
            "LIKE",
            "AND",
            "OR",
            "->>",
            "===",
            "IS DISTINCT FROM",
        ][..],
    );
    let cast = proptest::sample::select(
        &[
            "text",
            "int",
            "bool",
            "regclass",
            "name",
            "varchar(3)",
            "numeric(4,2)",
            "pair",
            "code",
            "int[]",
            "date",
        ][..],
    );
    let function = proptest::sample::select(
        &[
            "lower",
            "pick",
            "abs",
            "coalesce",
            "visit_cost",
            "run",
            "left",
            "set_config",
            "nextval",
            "pg_sleep",
            "to_jsonb",
            "count",
            "national_id",
        ][..],
    );
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let three = (inner.clone(), inner.clone(), inner.clone());
        prop_oneof![
            (inner.clone(), operator.clone(), inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner.clone(), cast.clone()).prop_map(|(a, t)| format!("({a})::{t}")),
            (function.clone(), inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            (function.clone(), inner.clone(), inner.clone()).prop_map(|(f, a, b)| format!("{f}({a}, {b})")),
            (function.clone(), three.clone()).prop_map(|(f, (a, b, c))| format!("{f}({a}, {b}, {c})")),
            three.clone().prop_map(|(a, b, c)| format!("({a} BETWEEN {b} AND {c})")),
            three.clone().prop_map(|(a, b, c)| format!("({a} IN ({b}, {c}))")),
            three.prop_map(|(a, b, c)| format!("CASE WHEN {a} THEN {b} ELSE {c} END")),
            inner.clone().prop_map(|a| format!("(-{a})")),
            inner.clone().prop_map(|a| format!("(NOT {a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(ARRAY[{a}])[{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(SELECT {a} FROM visits v WHERE {b})")),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("({a} = ANY (SELECT {b} FROM wards ORDER BY 1 LIMIT 2))")),
            (inner.clone(), inner)
                .prop_map(|(a, b)| format!("EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id AND {a} = {b})")),
        ]
    })
}

fn statement() -> impl Strategy<Value = String> {
    let e = || expression();
    prop_oneof![
        (e(), e()).prop_map(|(a, b)| format!("SELECT {a} FROM patients p WHERE {b}")),
        (e(), e(), e()).prop_map(|(a, b, c)| format!("SELECT {a}, {b} FROM patients p ORDER BY {c}, 2 LIMIT 3")),
        (e(), e(), e()).prop_map(|(a, b, c)| format!("SELECT {a}, 5 FROM patients p GROUP BY {b} HAVING {c}")),
        (e(), e(), e())
            .prop_map(|(a, b, c)| format!("SELECT {a} FROM patients p UNION SELECT {b} FROM patients p WHERE {c}")),
        (e(), e()).prop_map(|(a, b)| format!("DELETE FROM patients p WHERE {a} AND {b}")),
        (e(), e()).prop_map(|(a, b)| format!("DELETE FROM patients p WHERE {a} OR {b}")),
        (e(), e(), e())
            .prop_map(|(a, b, c)| format!("UPDATE patients p SET name = {a}, ward = {b} WHERE {c} RETURNING {a}")),
        (e(), e()).prop_map(|(a, b)| format!("INSERT INTO wards (code, beds) SELECT {a}, {b} FROM patients p")),
        (e(), e()).prop_map(|(a, b)| format!(
            "WITH q AS (SELECT {a} AS x FROM patients p WHERE {b}) DELETE FROM visits v USING q WHERE q.x = v.id"
        )),
        (e(), e()).prop_map(|(a, b)| format!(
            "MERGE INTO wards w USING patients p ON w.code = {a} WHEN MATCHED AND {b} THEN DELETE"
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn facts_of_a_shape_are_those_of_each_of_its_texts(text in statement(), seed in any::<u64>()) {
        holds_for_other_literals(&text, seed);
    }

    #[test]
    fn whatever_has_a_shape_is_its_shape_with_literals(text in "[a-e 0-9'\"$._+&E\n(,-]{0,24}") {
        if let Some(key) = key_of(&text) {
            // what is outside of literals is as it was, and other literals give the same shape
            let other = filled(&key, |count| count / 2);
            prop_assert_eq!(key_of(&other), Some(key));
        }
    }
}
