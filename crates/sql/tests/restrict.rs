//! Which conditions restrict what a statement writes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod snapshot;

use sallyport_sql::{Bound, Facts, Parameters, analyse_bound, parse};
use snapshot::{Known, catalogue, facts_in, last, state, strings};

/// Conditions on `patients` that restrict it.
const RESTRICTING: &[&str] = &[
    "id = 1",
    "patients.id = $1",
    "$1 = id",
    "id IN (1, 2, $3)",
    "id = ANY ($1)",
    "id = ANY (ARRAY[1, 2])",
    "id BETWEEN 5 AND 9",
    "email = lower('X@EXAMPLE.COM')",
    "lower(email) = 'x'",
    "admitted < now() - interval '30 days'",
    "admitted < DATE '2024-01-01'",
    "admitted < '2026-03-01'",
    "name LIKE 'Ada%'",
    "(id, ward) = (1, 'a')",
    "id = 1 AND true",
    "(id = 1) IS TRUE",
    "id = 1 OR id = 2",
    "id = 1 OR name LIKE 'x%'",
    "id = 1 OR id > 100",
    "extract(year FROM admitted) = 2024",
    "ward = 'nowhere' OR 1 = 2",
    "false",
    "id = (SELECT max(id) FROM visits)",
    "id IN (VALUES (1), (2))",
    "id IN (SELECT patient_id FROM visits WHERE id = 3)",
    "id = ANY (ARRAY(SELECT patient_id FROM visits WHERE id = 3))",
    "EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = patients.id AND v.id = 3)",
    "discharged AND ward = 'b'",
    "ctid = '(0,1)'",
    "id > 3 + 4",
    "admitted >= DATE '2020-01-01' + 30",
    "admitted > current_date - 30",
    "admitted < $1",
    "admitted BETWEEN now() - interval '2 months' AND now() - interval '1 month'",
    "(id, ward) IN ((1, 'a'), (2, 'b'))",
    "admitted < '2024-01-31 12:30:00+02'",
    "admitted >= '20240131'",
    "admitted > 'yesterday'",
    "admitted > date_trunc('quarter', now())",
    "admitted >= to_date('2024-01-31', 'YYYY-MM-DD')",
    "name LIKE $1",
    "name ILIKE $1::text",
    "admitted > now() - interval '30' day",
    "admitted > now() - interval '1' year",
    "admitted > now() - interval '36' hour",
    "admitted > now() - make_interval(days => 30)",
    "admitted > now() - make_interval(0, 2, 1)",
    "admitted > now() - pg_catalog.make_interval(days => $1)",
    "admitted > now() - 3 * make_interval(months => 1)",
];

/// Conditions on `patients` that do not, or not provably.
const NOT_RESTRICTING: &[&str] = &[
    // from a year that has not come
    "admitted < '2027-01-01'",
    "admitted <= DATE '2099-12-31'",
    "admitted BETWEEN '1900-01-01' AND '2050-01-01'",
    "admitted < make_date(2027, 1, 1)",
    "admitted < to_timestamp(4000000000)",
    "admitted < to_date('2030-01-31', 'YYYY-MM-DD')",
    "true",
    "1 = 1",
    "NOT false",
    "$1",
    "$1::int = $2::int",
    "id = id",
    "id = id + 0",
    "id::text = id::text",
    "lower(name) = lower(name)",
    "id IS NOT NULL",
    "ward IS NULL",
    "id = 1 OR true",
    "id = 1 OR NOT id = 1",
    "id = 1 OR id <> 1",
    "id < 5 OR id >= 5",
    "discharged OR NOT discharged",
    "id = 7 OR id < 5 OR id >= 5",
    "(ward = 'a' AND id < 5) OR (ward <> 'a' AND id >= 5) OR id >= 5",
    "discharged = true OR discharged = false",
    "discharged IN (true, false)",
    "id > -2147483648",
    "id >= 0",
    "id < 2147483647",
    "id BETWEEN -2147483648 AND 2147483647",
    "name LIKE '%'",
    "name >= ''",
    "id = nextval('care.numbers')",
    "id IN (nextval('care.numbers'))",
    "id = ANY (ARRAY[nextval('care.numbers')])",
    "(id, ward) = (nextval('care.numbers'), ward)",
    "id = 1 + floor(random())",
    "admitted > '2024-01-01 BC'",
    "admitted > '20240101 BC'",
    "admitted > 'J2000'",
    "admitted > 'Jan 1 0001'",
    "admitted > '01/01/0001'",
    "admitted > '1 Jan 1900'",
    "admitted > '2024'",
    "admitted > to_date('1', 'J')",
    "admitted > to_date('2024', 'Y')",
    "admitted > to_date('9999 0001', '\"9999\" YYYY')",
    "admitted > to_date('2024-01-01 BC', 'YYYY-MM-DD BC')",
    "admitted > date_trunc('millennium', now())",
    "admitted > date_trunc('century', now()) - interval '1 day'",
    "admitted > now() - interval '100' year",
    "admitted > now() - interval '999999' day",
    "admitted > now() - interval '1-2' year to month",
    "admitted > now() - make_interval(years => 100)",
    "admitted > now() - make_interval(100)",
    "admitted > now() - make_interval(days => 1, years => 99)",
    "admitted > now() - make_interval(days => id)",
    "admitted > now() - care.make_interval(days => 1)",
    "admitted > '-infinity'",
    "admitted >= '1900-01-01'",
    "now() > '2000-01-01'",
    "length('x') = 1",
    "(id = 1) IS NOT NULL",
    "(id = id) IS NOT FALSE",
    "tableoid = 'care.patients'::regclass",
    "xmin IS NOT NULL",
    "id * 0 = 0",
    "coalesce(ward, '') = ''",
    "id IN (SELECT id FROM patients)",
    "id IN (SELECT patients.id FROM visits WHERE visits.id = 1)",
    "id IN (SELECT generate_series(1, 100))",
    "id = ANY (ARRAY(SELECT id FROM patients))",
    "id = (SELECT p.id FROM patients p WHERE p.id = patients.id)",
    "EXISTS (SELECT 1)",
    "EXISTS (SELECT 1 FROM visits WHERE visits.id = 1)",
    "EXISTS (SELECT 1 FROM patients p WHERE p.id = patients.id)",
    "NOT EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = patients.id)",
    "(SELECT count(*) FROM visits) >= 0",
    "id OPERATOR(pg_catalog.=) id",
    "patients.* IS DISTINCT FROM NULL",
    "id = CASE WHEN true THEN id END",
    // both truth values, however they are spelt
    "discharged = ANY ('{t,f}')",
    "discharged IN ('t', 'f')",
    "discharged = 't' OR discharged = 'f'",
    "discharged::text IN ('true', 'false')",
    "discharged::int BETWEEN 0 AND 1",
    "discharged >= false",
    "discharged IN (SELECT v.b FROM (VALUES (true), (false)) v(b))",
    "EXISTS (SELECT 1 FROM (VALUES (true), (false)) v(b) WHERE v.b = patients.discharged)",
    // rows made of the outer row
    "id IN (SELECT i FROM (SELECT patients.id AS i) l)",
    "id IN (SELECT i FROM (VALUES (patients.id)) l(i))",
    "id IN (SELECT l.i FROM visits v, LATERAL (SELECT patients.id AS i) l WHERE v.id = 1)",
    "id = ANY (ARRAY(SELECT i FROM (SELECT patients.id AS i) l))",
    "EXISTS (SELECT 1 FROM (VALUES (patients.id)) l(i) WHERE l.i = patients.id)",
    "id IN (WITH w AS (SELECT patients.id AS i) SELECT i FROM w)",
    "id BETWEEN SYMMETRIC 2000000000 AND 0",
    "admitted < 'tomorrow'",
    // an aggregate has a row also where its source has none
    "EXISTS (SELECT count(*) FROM visits v WHERE v.patient_id = patients.id AND v.id = 3)",
    "EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = patients.id AND v.id = 3 HAVING true)",
    "EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = patients.id AND v.id = 3 GROUP BY GROUPING SETS (()))",
    // bounds that leave nothing out, or nobody knows what
    "ctid >= '(0,0)'",
    "id < 2000000000 + 1",
    "id > 1 - 2",
    "id > length('') - 1",
    "id >= least(0, 1)",
    "id < power(10, 8)::int",
    "admitted >= 'epoch'",
    "admitted > to_timestamp(0)",
    "admitted < now() + interval '1 day'",
    "admitted > now() - interval '200 years'",
    "admitted > now() - 100 * interval '12 months'",
    "extract(century FROM admitted) = 21",
    "extract(epoch FROM admitted) > 5",
    "(id, ward) IN ((1, ward), (id, 'b'))",
];

/// Whole statements, and whether what they write is restricted.
const STATEMENTS: &[(&str, bool)] = &[
    ("DELETE FROM patients", false),
    (
        "UPDATE visits v SET cost = 1 FROM patients p WHERE p.id = v.patient_id AND p.ward = 'b'",
        true,
    ),
    (
        "UPDATE visits v SET cost = 1 FROM patients p JOIN wards w ON w.code = p.ward WHERE p.id = v.patient_id AND w.code = 'b'",
        true,
    ),
    (
        "UPDATE visits v SET cost = 1 FROM patients p WHERE p.id = v.patient_id",
        false,
    ),
    ("DELETE FROM patients USING visits WHERE visits.id = 1", false),
    ("DELETE FROM patients p USING visits v WHERE v.id = v.id", false),
    (
        "WITH ids AS (SELECT id FROM patients) DELETE FROM patients p USING ids WHERE p.id = ids.id",
        false,
    ),
    (
        "WITH ids AS (SELECT id FROM patients WHERE ward = 'b') DELETE FROM patients p USING ids WHERE p.id = ids.id",
        true,
    ),
    (
        "WITH ids(id) AS (VALUES (1)) DELETE FROM patients p USING ids WHERE p.id = ids.id",
        true,
    ),
    (
        "DELETE FROM patients p USING generate_series(1, 9) g WHERE p.id = g",
        false,
    ),
    ("DELETE FROM everyone", false),
    ("DELETE FROM everyone WHERE id = 4", true),
    ("DELETE FROM known_numbers WHERE id IS NOT NULL", false),
    (
        "MERGE INTO wards w USING (VALUES ('a', 1)) v(code, beds) ON w.code = v.code WHEN MATCHED THEN UPDATE SET beds = v.beds",
        true,
    ),
    (
        "MERGE INTO wards w USING patients p ON w.code = p.ward WHEN MATCHED THEN DELETE",
        false,
    ),
    (
        "MERGE INTO wards w USING patients p ON w.code = p.ward WHEN MATCHED AND w.code = 'a' THEN DELETE",
        true,
    ),
    (
        "MERGE INTO wards w USING (VALUES (1)) v(x) ON w.code IS NOT NULL WHEN MATCHED THEN UPDATE SET beds = 0",
        false,
    ),
    (
        "MERGE INTO wards w USING (VALUES ('a')) v(x) ON w.code = v.x WHEN NOT MATCHED THEN INSERT VALUES ('b')",
        true,
    ),
    (
        "MERGE INTO wards w USING (VALUES ('a')) v(x) ON w.code = v.x WHEN NOT MATCHED BY SOURCE THEN DELETE",
        false,
    ),
    (
        "INSERT INTO wards VALUES ('a', 'b', 1) ON CONFLICT (code) DO UPDATE SET beds = excluded.beds",
        true,
    ),
    (
        "INSERT INTO wards SELECT ward FROM patients ON CONFLICT (code) DO UPDATE SET beds = 0",
        false,
    ),
    (
        "INSERT INTO wards SELECT ward FROM patients WHERE id = 1 ON CONFLICT (code) DO UPDATE SET beds = 0",
        true,
    ),
    (
        "INSERT INTO wards SELECT ward FROM patients ON CONFLICT (code) DO UPDATE SET beds = 0 WHERE wards.code = 'a'",
        true,
    ),
    (
        "INSERT INTO wards SELECT ward FROM patients ON CONFLICT DO NOTHING",
        true,
    ),
    ("INSERT INTO wards SELECT ward FROM patients", true),
    ("WITH d AS (DELETE FROM wards RETURNING 1) SELECT * FROM d", false),
    ("EXPLAIN ANALYZE UPDATE wards SET beds = 0", false),
    ("EXPLAIN UPDATE wards SET beds = 0", true),
    ("PREPARE d AS DELETE FROM wards WHERE $1", false),
    ("PREPARE d AS DELETE FROM wards WHERE code = $1", true),
    ("DELETE FROM visits WHERE CURRENT OF c", true),
    (
        "WITH i AS (INSERT INTO events SELECT id, 'a' FROM patients RETURNING id) DELETE FROM patients p USING i WHERE p.id = i.id",
        false,
    ),
    (
        "WITH i AS (INSERT INTO events VALUES (1, 'a') RETURNING id) DELETE FROM patients p USING i WHERE p.id = i.id",
        true,
    ),
    (
        "DELETE FROM patients p USING (VALUES (true), (false)) v(b) WHERE p.discharged = v.b",
        false,
    ),
    (
        "MERGE INTO patients p USING (VALUES (true), (false)) v(b) ON p.discharged = v.b WHEN MATCHED THEN DELETE",
        false,
    ),
];

#[test]
fn conditions_that_restrict_are_seen() {
    for condition in RESTRICTING {
        for sql in [
            format!("DELETE FROM patients WHERE {condition}"),
            format!("UPDATE patients SET ward = 'x' WHERE {condition}"),
        ] {
            let facts = last(&sql);
            assert!(
                facts.unrestricted.is_empty() && !facts.unresolved(),
                "{sql}: {:?}",
                facts.hazards
            );
        }
    }
}

#[test]
fn conditions_that_do_not_restrict_are_seen() {
    for condition in NOT_RESTRICTING {
        let sql = format!("DELETE FROM patients WHERE {condition}");
        assert_eq!(strings(&last(&sql).unrestricted), ["care.patients"], "{sql}");
    }
}

/// How values are ordered depends on their type: what leaves something out of numbers may leave nothing out of texts.
#[test]
fn a_bound_leaves_something_out_in_the_order_of_its_type() {
    let table = "CREATE TEMP TABLE v (b bytea, i inet, t time, m money, u uuid, d interval, n text, c bigint, p date)";
    for (condition, restricts) in [
        ("c > 100", true),
        ("c > '100'", true),
        ("c > '0x0'", false),
        ("m > 100", true),
        ("m >= '-$999'", false),
        ("p >= '2024-01-01'", true),
        ("p >= '1900-01-01'", false),
        ("extract(year FROM p) > 2020", true),
        ("n > 'Kim'", true),
        ("n < 'kim'", true),
        ("n >= 'a'", false),
        ("n >= '!'", false),
        ("n >= E'\\x01'", false),
        ("n >= '5'", false),
        ("n >= '2024-01-01'", false),
        ("n <= 'zz'", false),
        ("n < '~'", false),
        ("lower(n) >= '1971'", false),
        ("n::date >= '2024-01-01'", true),
        ("c::text > '10'", false),
        ("n BETWEEN '!' AND '~'", false),
        ("n BETWEEN 'b' AND 'c'", true),
        ("b >= '\\x'", false),
        ("b > '\\x00'", false),
        ("b LIKE '\\x25'", false),
        ("b LIKE '\\045'", false),
        ("b LIKE 'x5%'", true),
        ("b = '\\x25'", true),
        ("n LIKE '\\x25'", false),
        ("n LIKE 'Ada\\%'", true),
        ("i >= '0.0.0.0'", false),
        ("i >= inet '0.0.0.0' + 1", false),
        ("i = '10.0.0.1'", true),
        ("t >= '00:00'", false),
        ("u >= '00000000-0000-0000-0000-000000000000'", false),
        ("d >= '-100 years'", false),
        ("d > '1.5'", false),
    ] {
        let sql = format!("{table}; DELETE FROM v WHERE {condition}");
        assert_eq!(last(&sql).unrestricted.is_empty(), restricts, "{condition}");
    }
    // and so it does for what is bound
    for (condition, value, restricts) in [
        ("name > $1", "5", false),
        ("name > $1", "2024-01-01", false),
        ("name > $1", "kim", true),
        ("name LIKE $1", "\\x25", false),
    ] {
        let facts = bound(
            &format!("DELETE FROM patients WHERE {condition}"),
            vec![text(value)],
            &[],
        );
        assert_eq!(
            facts.statements[0].unrestricted.is_empty(),
            restricts,
            "{condition} with {value}"
        );
    }
}

#[test]
fn statements_are_judged_by_what_reaches_their_target() {
    for (sql, restricted) in STATEMENTS {
        assert_eq!(
            last(sql).unrestricted.is_empty(),
            *restricted,
            "{sql}: {:?}",
            last(sql).unrestricted
        );
    }
    // a view stands for the tables behind it
    assert_eq!(
        strings(&last("DELETE FROM everyone").unrestricted),
        ["care.everyone", "care.patients"]
    );
}

fn bound(sql: &str, values: Vec<Bound>, types: &[u32]) -> Facts {
    let types = types.to_vec();
    let parameters = Parameters { values, types };
    analyse_bound(
        &parse(sql).unwrap(),
        parameters,
        catalogue(),
        &state(),
        &Known::default(),
    )
    .unwrap()
}

fn text(value: &str) -> Bound {
    Bound::Text(value.to_owned())
}

#[test]
fn bound_values_are_weighed_as_literals_are() {
    for (condition, value, restricts) in [
        ("id > $1", text("100"), true),
        ("id > $1", text("0"), false),
        ("id > $1", text("-1"), false),
        ("id >= $1::int", text("1"), false),
        ("$1 < id", text(" 0"), false),
        ("id < $1", text("2147483647"), false),
        ("id > $1", Bound::Unknown, false),
        ("id > $1", Bound::Binary(100_i32.to_be_bytes().into()), true),
        ("id > $1", Bound::Binary(0_i32.to_be_bytes().into()), false),
        ("id > $1::int8", Bound::Binary(100_i64.to_be_bytes().into()), true),
        // the bytes of a number are those of a text of spaces as well
        ("id::text > $1", Bound::Binary(100_i32.to_be_bytes().into()), false),
        ("admitted < $1", text("2024-01-01"), true),
        ("admitted < $1", text("9999-12-31"), false),
        ("admitted < $1", text("10000-01-01"), false),
        ("admitted < $1", text("infinity"), false),
        ("admitted > $1", text("1970-01-01"), false),
        ("admitted > now() - $1::interval", text("30 days"), true),
        ("admitted > now() - $1::interval", text("100 years"), false),
        ("name > $1", text(""), false),
        ("name LIKE $1", text("%"), false),
        ("name LIKE $1", text("%_%"), false),
        ("name LIKE $1", text("Ada%"), true),
        ("name LIKE $1::text", text("Ada%"), true),
        ("name LIKE $1::varchar(1)", text("%Ada"), false),
        ("name LIKE $1", Bound::Binary((*b"Ada%").into()), true),
        ("name LIKE $1", Bound::Binary((*b"%%").into()), false),
        ("name LIKE $1", Bound::Unknown, false),
        ("NOT name LIKE $1", text("Ada%"), false),
        ("name LIKE $1 OR true", text("Ada%"), false),
        ("admitted > now() - make_interval(days => $1)", text("30"), true),
        ("admitted > now() - make_interval(days => $1)", text("99999"), false),
        ("id BETWEEN $1 AND 2147483647", text("0"), false),
        ("id BETWEEN $1 AND 2147483647", text("100"), true),
        ("id = $1", text("0"), true),
        ("id = $1 OR id > $2", text("0"), false),
    ] {
        let sql = format!("DELETE FROM patients WHERE {condition}");
        let facts = bound(&sql, vec![value.clone()], &[]);
        assert_eq!(
            facts.statements[0].unrestricted.is_empty(),
            restricts,
            "{sql} with {value:?}"
        );
    }
}

#[test]
fn what_waits_for_values_says_so_and_what_it_is_at_worst() {
    for (sql, weighs) in [
        ("DELETE FROM patients WHERE id > $1", true),
        // what is only read need not be restricted
        ("SELECT name FROM patients WHERE id > $1", false),
        ("EXPLAIN ANALYZE DELETE FROM patients WHERE id > $1", true),
        ("DELETE FROM patients WHERE id = $1", false),
        ("UPDATE patients SET ward = $2 WHERE id IN ($1, $3)", false),
        ("INSERT INTO wards VALUES ($1)", false),
        // nothing runs, and the parameters are not those of this statement
        ("PREPARE p AS DELETE FROM patients WHERE id > $1", false),
    ] {
        let facts = last(sql);
        assert!(facts.unrestricted.is_empty(), "{sql}");
        assert_eq!(facts.at_worst.is_some(), weighs, "{sql}");
    }
    let worst = last("DELETE FROM patients WHERE id > $1").at_worst.unwrap();
    assert_eq!(strings(&worst.unrestricted), ["care.patients"]);
    assert_eq!(
        bound("DELETE FROM patients WHERE id > $1", vec![text("5")], &[]).statements[0].at_worst,
        None
    );
}

#[test]
fn a_type_that_the_client_names_decides_what_bytes_mean() {
    let sql = "DELETE FROM patients WHERE id > $1";
    let half = Bound::Binary(0.5_f64.to_be_bytes().into());
    for types in [&[701][..], &[0], &[23]] {
        assert!(
            !bound(sql, vec![half.clone()], types).statements[0]
                .unrestricted
                .is_empty(),
            "{types:?}"
        );
    }
    let far = Bound::Binary(100.5_f64.to_be_bytes().into());
    assert!(bound(sql, vec![far], &[701]).statements[0].unrestricted.is_empty());
}

#[test]
fn execute_of_what_the_protocol_prepared_counts_what_decides_as_not_restricting() {
    let prepared = |sql: &str| {
        let mut known = Known::default();
        known.0.insert("p".to_owned(), last(sql).into());
        known
    };
    for (sql, execute, restricted) in [
        ("DELETE FROM patients WHERE id > $1", "EXECUTE p(0)", false),
        (
            "DELETE FROM patients WHERE id > $1",
            "EXPLAIN ANALYZE EXECUTE p(0)",
            false,
        ),
        ("DELETE FROM patients WHERE id = $1", "EXECUTE p(0)", true),
        ("DELETE FROM patients WHERE id > $1", "EXECUTE p(100)", false),
    ] {
        let facts = facts_in(execute, &state(), &prepared(sql));
        assert_eq!(
            facts.statements[0].unrestricted.is_empty(),
            restricted,
            "{sql}; {execute}"
        );
    }
}

/// What an argument is once it has the parameter's type is not always what is written.
#[test]
fn arguments_of_execute_are_weighed_as_literals_are() {
    for (prepare, execute, restricted) in [
        ("PREPARE p AS DELETE FROM patients WHERE id > $1", "EXECUTE p(0)", false),
        (
            "PREPARE p AS DELETE FROM patients WHERE id > $1",
            "EXECUTE p(-5)",
            false,
        ),
        (
            "PREPARE p AS DELETE FROM patients WHERE id > $1",
            "EXECUTE p(100)",
            true,
        ),
        (
            "PREPARE p (int) AS DELETE FROM patients WHERE id > $1",
            "EXECUTE p('100')",
            true,
        ),
        (
            "PREPARE p (int) AS DELETE FROM patients WHERE id >= $1",
            "EXECUTE p(1.4)",
            false,
        ),
        (
            "PREPARE p (int) AS DELETE FROM patients WHERE id > $1",
            "EXECUTE p(100::bigint)",
            true,
        ),
        (
            "PREPARE p (int) AS DELETE FROM patients WHERE id > $1",
            "EXECUTE p('100'::varchar(1)::int)",
            false,
        ),
        (
            "PREPARE p (int) AS DELETE FROM patients WHERE id > $1",
            "EXECUTE p('100'::varchar(1))",
            false,
        ),
        (
            "PREPARE p (int) AS DELETE FROM patients WHERE id > $1",
            "EXECUTE p(length(''))",
            false,
        ),
        (
            "PREPARE p (int) AS DELETE FROM patients WHERE id > $1",
            "EXECUTE p(100 - 100)",
            false,
        ),
        (
            "PREPARE p (int, int) AS DELETE FROM patients WHERE id > $2",
            "EXECUTE p(100, 0)",
            false,
        ),
        (
            "PREPARE p (int, int) AS DELETE FROM patients WHERE id > $2",
            "EXECUTE p(100)",
            false,
        ),
        (
            "PREPARE p (text) AS DELETE FROM patients WHERE name LIKE $1",
            "EXECUTE p('Ada%')",
            true,
        ),
        (
            "PREPARE p (text) AS DELETE FROM patients WHERE name LIKE $1",
            "EXECUTE p('%')",
            false,
        ),
        (
            "PREPARE p (date) AS DELETE FROM patients WHERE admitted < $1",
            "EXECUTE p('2020-01-01')",
            true,
        ),
        (
            "PREPARE p (date) AS DELETE FROM patients WHERE admitted < $1",
            "EXECUTE p('infinity')",
            false,
        ),
        (
            "PREPARE p (date) AS DELETE FROM patients WHERE admitted < $1",
            "EXECUTE p(DATE '2020-01-01')",
            true,
        ),
        (
            "PREPARE p AS DELETE FROM patients WHERE id > $1",
            "EXPLAIN ANALYZE EXECUTE p(0)",
            false,
        ),
        (
            "PREPARE p AS DELETE FROM patients WHERE id > $1",
            "EXPLAIN ANALYZE EXECUTE p(100)",
            true,
        ),
        // another statement of the same name, or none any more
        (
            "PREPARE p AS DELETE FROM patients WHERE id > $1; DEALLOCATE p; PREPARE p AS DELETE FROM patients",
            "EXECUTE p(100)",
            false,
        ),
    ] {
        // in the same string, and in a later one
        let facts = last(&format!("{prepare}; {execute}"));
        assert_eq!(facts.unrestricted.is_empty(), restricted, "{prepare}; {execute}");
        let (_, inner) = last(prepare).effects.prepares.unwrap();
        let mut known = Known::default();
        known.0.insert("p".to_owned(), inner);
        let facts = facts_in(execute, &state(), &known);
        assert_eq!(
            facts.statements[0].unrestricted.is_empty(),
            restricted,
            "{prepare}; {execute}, apart"
        );
    }
}
