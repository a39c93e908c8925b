//! What statements do, against the clinic's catalogue.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod snapshot;

use std::collections::BTreeSet;
use std::sync::Arc;

use sallyport_sql::{CopyFormat, CopyPeer, Discard, Hazard, How, OneOrAll, Outputs, Transaction};
use snapshot::{Known, facts, facts_in, hazards, hows, last, outputs, state, strings};

const SECRET: &str = "care.patients.national_id";

fn only(how: How) -> BTreeSet<How> {
    BTreeSet::from([how])
}

#[test]
fn values_are_followed_to_the_columns_they_come_from() {
    // a scan of the table also returns the rows of its child
    let own = "care.archived.national_id+care.patients.national_id";
    for (sql, expected) in [
        ("SELECT national_id FROM patients", format!("national_id={own}")),
        ("SELECT p.national_id AS name FROM patients p", format!("name={own}")),
        ("SELECT q.x FROM (SELECT national_id FROM patients) q(x)", format!("x={own}")),
        ("SELECT x FROM patients AS p(a, b, c, x)", format!("x={own}")),
        ("WITH t(a, b) AS (SELECT id, national_id FROM patients) SELECT b FROM t", format!("b={own}")),
        ("SELECT (p).national_id FROM patients p", format!("national_id={own}")),
        ("SELECT national_id(p) FROM patients p", format!("national_id={own}")),
        ("SELECT left(national_id, 3) FROM patients", format!("left<{own}")),
        ("SELECT ARRAY[national_id] FROM patients", format!("array<{own}")),
        ("SELECT v FROM patients p, LATERAL (VALUES (p.national_id)) t(v)", format!("v={own}")),
        ("SELECT (SELECT national_id FROM patients LIMIT 1)", format!("national_id={own}")),
        ("SELECT min(national_id) FROM patients", format!("min<{own}")),
        ("SELECT CASE WHEN national_id > '5' THEN 1 ELSE 0 END FROM patients", format!("case<{own}")),
        ("SELECT coalesce(ward, national_id) FROM patients", "coalesce<care.archived.national_id+care.archived.ward+care.patients.national_id+care.patients.ward".to_string()),
        ("SELECT title FROM wards UNION ALL SELECT national_id FROM patients", format!("title={}+care.wards.title", own)),
        ("SELECT u FROM patients p, unnest(ARRAY[p.national_id]) u", format!("u<{own}")),
        ("SELECT n FROM export_of_export", "n=care.archived.national_id+care.export_of_export.n+care.patient_export.tax_number+care.patients.national_id".to_owned()),
        ("SELECT k FROM patient_cache", "k=care.archived.national_id+care.patient_cache.k+care.patients.national_id".to_owned()),
        ("SELECT id_hint FROM patients_masked", "id_hint=care.patients_masked.id_hint".to_owned()),
        ("TABLE other.patients", "id=other.patients.id|national_id=other.patients.national_id".to_owned()),
        ("WITH RECURSIVE t AS (SELECT id, national_id AS n FROM patients UNION ALL SELECT id, n FROM t) SELECT n FROM t", format!("n={own}")),
        ("WITH RECURSIVE a AS (SELECT n FROM b), b AS (SELECT national_id AS n FROM patients) SELECT n FROM a", format!("n={own}")),
        ("UPDATE patients SET ward = 'b' WHERE id = 1 RETURNING national_id", format!("national_id={own}")),
        ("COPY patients (id, national_id) TO STDOUT", format!("id=care.archived.id+care.patients.id|national_id={own}")),
        ("SELECT count(*) FROM patients", "count<".to_owned()),
        ("SELECT code, 1 FROM wards", "code=care.wards.code|?column?<".to_owned()),
        ("SELECT * FROM wards w JOIN visits v ON v.id = w.beds", "code=care.wards.code|title=care.wards.title|beds=care.wards.beds|id=care.visits.id|patient_id=care.visits.patient_id|cost=care.visits.cost|note=care.visits.note|at=care.visits.at".to_owned()),
    ] {
        assert_eq!(outputs(sql).join("|"), expected, "{sql}");
    }
}

#[test]
fn a_number_bounds_the_rows_that_come_back() {
    for (sql, rows) in [
        ("SELECT * FROM patients LIMIT 10", Some(10)),
        ("SELECT * FROM patients OFFSET 5 LIMIT (0)", Some(0)),
        ("SELECT 1 UNION SELECT 2 FETCH FIRST 3 ROWS ONLY", Some(3)),
        ("(SELECT 1 LIMIT 2)", Some(2)),
        ("COPY (SELECT * FROM patients LIMIT 4) TO STDOUT", Some(4)),
        ("DECLARE c CURSOR FOR SELECT * FROM patients LIMIT 5", Some(5)),
        (
            "DECLARE c CURSOR FOR SELECT * FROM patients LIMIT 5; FETCH ALL FROM c",
            Some(5),
        ),
        ("DECLARE c CURSOR FOR SELECT * FROM patients; FETCH 7 FROM c", Some(7)),
        (
            "DECLARE c CURSOR FOR SELECT * FROM patients; FETCH BACKWARD 7 FROM c",
            Some(7),
        ),
        ("DECLARE c CURSOR FOR SELECT * FROM patients; FETCH 0 FROM c", Some(1)),
        (
            "DECLARE c CURSOR FOR SELECT * FROM patients; FETCH ABSOLUTE 70 FROM c",
            Some(1),
        ),
        (
            "DECLARE c CURSOR FOR SELECT * FROM patients; FETCH LAST FROM c",
            Some(1),
        ),
        ("PREPARE p AS SELECT * FROM patients LIMIT 8; EXECUTE p", Some(8)),
        ("SELECT * FROM patients", None),
        ("SELECT * FROM (SELECT * FROM patients LIMIT 3) s, patients", None),
        (
            "WITH w AS (SELECT * FROM patients LIMIT 3) SELECT * FROM w, patients",
            None,
        ),
        ("SELECT 1 LIMIT 2 + 3", None),
        ("SELECT 1 LIMIT '5'", None),
        ("SELECT 1 LIMIT ALL", None),
        ("SELECT 1 LIMIT NULL", None),
        ("SELECT 1 LIMIT $1", None),
        ("SELECT * FROM patients ORDER BY id FETCH FIRST 3 ROWS WITH TIES", None),
        ("SELECT * FROM patients LIMIT 5000000000", None),
        ("DECLARE c CURSOR FOR SELECT * FROM patients; FETCH ALL FROM c", None),
        ("DECLARE c CURSOR FOR SELECT * FROM patients", None),
        ("COPY patients TO STDOUT", None),
    ] {
        assert_eq!(last(sql).max_rows, rows, "{sql}");
    }
}

#[test]
fn whole_rows_carry_every_column() {
    for sql in [
        "SELECT p FROM patients p",
        "SELECT patients FROM patients",
        "SELECT (p.*)::text FROM patients p",
        "SELECT ROW(p.*) FROM patients p",
        "SELECT to_jsonb(p) FROM patients p",
        "SELECT p.to_jsonb FROM patients p",
        "SELECT to_jsonb(p)->>'name' FROM patients p",
        "SELECT hstore(p) FROM patients p",
        "SELECT e FROM patients p, jsonb_each_text(to_jsonb(p)) e",
        "SELECT value FROM patients p, jsonb_each_text(to_jsonb(p))",
        "SELECT p FROM patients_masked m JOIN patients p USING (id)",
        "SELECT ARRAY(SELECT p FROM everyone p)",
        "SELECT (jsonb_populate_recordset(NULL::patients, jsonb_agg(p))).* FROM patients p",
    ] {
        assert!(hows(sql, SECRET).contains(&How::Derived), "{sql}");
    }
    // a field of a row is that column only, and counting rows looks at none
    assert!(hows("SELECT (p).name FROM patients p", SECRET).is_empty());
    assert!(hows("SELECT count(p) FROM patients p", SECRET).is_empty());
}

#[test]
fn columns_that_decide_are_inferred() {
    for sql in [
        "SELECT name FROM patients WHERE national_id = '1'",
        "SELECT name FROM patients ORDER BY national_id",
        "SELECT count(*) FROM patients GROUP BY national_id",
        "SELECT count(*) FROM patients GROUP BY ward HAVING max(national_id) > '1'",
        "SELECT count(*) FILTER (WHERE national_id > '1') FROM patients",
        "SELECT count(national_id) FROM patients",
        "SELECT p.id FROM patients p JOIN wards w ON w.code = p.national_id",
        "SELECT 1 FROM patients p WHERE EXISTS (SELECT 1 FROM wards w WHERE w.code = p.national_id)",
        "SELECT id FROM (SELECT id, 1 / length(national_id) AS x FROM patients) q",
        "SELECT id FROM known_numbers",
        "EXPLAIN SELECT name FROM patients WHERE national_id = '1'",
        "EXPLAIN ANALYZE SELECT 1 / length(national_id) FROM patients",
        "CREATE UNIQUE INDEX ON patients (national_id)",
        "ALTER TABLE patients ADD UNIQUE (national_id)",
        "SELECT id FROM patients NATURAL JOIN (SELECT national_id FROM other.patients) o",
        "SELECT sum(beds) FROM wards, generate_series(1, (SELECT length(national_id) FROM patients LIMIT 1)) g",
    ] {
        assert_eq!(hows(sql, SECRET), only(How::Inferred), "{sql}");
    }
    for sql in [
        "SELECT name FROM patients WHERE ward = 'a'",
        "SELECT name FROM (SELECT * FROM patients) q",
        "SELECT count(*) FROM patients",
        "SELECT full_name FROM patient_export",
        "SELECT * FROM patients_masked",
        "SELECT national_id FROM other.patients",
        "SELECT national_id FROM (SELECT email AS national_id FROM patients) q",
        "EXPLAIN ANALYZE SELECT name FROM patients WHERE id = 1",
        "SELECT p.id FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.patient_id = p.id)",
        "INSERT INTO wards SELECT ward, name FROM patients",
    ] {
        assert!(hows(sql, SECRET).is_empty(), "{sql}");
    }
}

#[test]
fn what_is_computed_unseen_tells_by_failing() {
    for sql in [
        "SELECT EXISTS (SELECT 1 / ascii(national_id) FROM patients OFFSET 0)",
        "SELECT count(q) FROM (SELECT national_id::date FROM patients OFFSET 0) q",
        "WITH x AS MATERIALIZED (SELECT ROW(national_id::date) AS r, id FROM patients) SELECT id FROM x",
        "WITH u AS (UPDATE patients SET ward = 'a' WHERE id = 1 RETURNING national_id::date) SELECT 1",
        "UPDATE patients SET national_id = replace(national_id, '1', 'x') WHERE id = 1",
        "CREATE UNIQUE INDEX ON patient_cache (k)",
        "ALTER TABLE patients ADD EXCLUDE USING btree ((national_id || '') WITH =)",
        "CREATE STATISTICS s ON (national_id::date), id FROM patients",
    ] {
        assert!(hows(sql, SECRET).contains(&How::Inferred), "{sql}");
    }
    for sql in [
        "SELECT EXISTS (SELECT * FROM patients WHERE id = 1)",
        "SELECT count(p), count(p.*) FROM patients p",
        "SELECT count(q) FROM (SELECT * FROM patients OFFSET 0) q",
        "WITH x AS (SELECT p, id FROM patients p) SELECT id FROM x",
    ] {
        assert_eq!(hows(sql, SECRET), BTreeSet::new(), "{sql}");
    }
}

#[test]
fn views_take_along_what_is_behind_them() {
    for sql in [
        "ALTER VIEW patients_masked RENAME TO m; ALTER VIEW everyone RENAME TO patients_masked",
        "ALTER VIEW export_of_export SET SCHEMA other",
        "ALTER MATERIALIZED VIEW patient_cache RENAME TO patients_masked",
    ] {
        assert!(hows(sql, SECRET).contains(&How::Copied), "{sql}");
    }
    assert_eq!(hows("ALTER VIEW patients_masked RENAME TO m", SECRET), BTreeSet::new());
}

#[test]
fn a_path_goes_with_its_transaction() {
    // in `other`, the table of that name holds nothing secret
    for sql in [
        "BEGIN; SET search_path = other; ROLLBACK; SELECT left(national_id, 3) FROM patients",
        "BEGIN; SET LOCAL search_path = other; COMMIT; SELECT left(national_id, 3) FROM patients",
        "BEGIN; SAVEPOINT s; SET search_path = other; ROLLBACK TO s; SELECT left(national_id, 3) FROM patients",
        "BEGIN; SET LOCAL search_path = other; COMMIT AND CHAIN; SELECT left(national_id, 3) FROM patients",
        "SET search_path = other; COMMIT; SELECT left(national_id, 3) FROM patients",
    ] {
        let facts = facts(sql);
        let select = facts.statements.last().unwrap();
        let known = hows(sql, SECRET).contains(&How::Derived);
        assert!(known || select.unresolved(), "{sql}");
    }
    let after = "BEGIN; SET LOCAL search_path = other; SELECT 1; COMMIT; SELECT name FROM patients";
    assert!(!last(after).unresolved(), "{after}");
}

#[test]
fn types_that_cannot_hold_every_value_erase() {
    for (sql, erases) in [
        ("ALTER TABLE visits ALTER cost TYPE int8", true),
        ("ALTER TABLE visits ALTER at TYPE date", true),
        ("ALTER TABLE visits ALTER at TYPE timestamp", true),
        ("ALTER TABLE visits ALTER patient_id TYPE int8", false),
        ("ALTER TABLE visits ALTER cost TYPE numeric", false),
        ("ALTER TABLE patients ALTER admitted TYPE timestamptz", false),
        ("ALTER TABLE visits ALTER note TYPE varchar", false),
    ] {
        assert_eq!(last(sql).hazards.contains(&Hazard::ErasesData), erases, "{sql}");
    }
}

#[test]
fn maintenance_runs_the_code_of_indexes() {
    let mut builder = sallyport_sql::Catalog::builder();
    let (mut table, mut function) = (None, None);
    for line in include_str!("fixture/catalogue.jsonl").lines() {
        let cells: Vec<Option<String>> = serde_json::from_str(line).unwrap();
        let cells: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
        match cells.as_slice() {
            [Some("relations"), oid, _, Some("traps"), ..] => table = oid.map(str::to_owned),
            [Some("functions"), oid, _, Some("trap_ok"), ..] => function = oid.map(str::to_owned),
            _ => {}
        }
        builder.feed(cells[0].unwrap(), &cells[1..]).unwrap();
    }
    let index = [Some("index"), table.as_deref(), Some("traps_ok"), function.as_deref()];
    builder.feed("attached", &index).unwrap();
    let catalogue = builder.build();
    for (sql, runs) in [
        ("ANALYZE traps", true),
        ("ANALYZE", true),
        ("VACUUM FULL traps", true),
        ("REINDEX TABLE traps", true),
        ("REINDEX INDEX traps_ok", true),
        ("REINDEX SCHEMA care", true),
        ("CLUSTER", true),
        ("ANALYZE wards", false),
    ] {
        let parsed = sallyport_sql::parse(sql).unwrap();
        let facts = sallyport_sql::analyse(&parsed, &catalogue, &state(), &Known::default()).unwrap();
        let code = &facts.statements[0].code;
        assert_eq!(code.iter().any(|c| c.contains("trap_ok")), runs, "{sql}");
    }
}

#[test]
fn triggers_of_replicas_do_not_fire() {
    for sql in [
        "ALTER TABLE traps ENABLE REPLICA TRIGGER on_insert",
        "ALTER TABLE traps DISABLE TRIGGER ALL",
    ] {
        assert!(last(sql).hazards.contains(&Hazard::DisablesTriggers), "{sql}");
    }
    let enabled = last("ALTER TABLE traps ENABLE TRIGGER on_insert");
    assert!(!enabled.hazards.contains(&Hazard::DisablesTriggers));
}

#[test]
fn checks_of_domains_run_wherever_a_value_is_made() {
    for sql in [
        "SELECT '{x}'::care.code[]",
        "SELECT * FROM json_to_record('{}') AS t(a care.code)",
        "SELECT * FROM XMLTABLE('/x' PASSING '<x/>' COLUMNS a care.code)",
        "PREPARE p(care.code) AS SELECT $1",
    ] {
        assert!(last(sql).code.iter().any(|c| c.contains("trap_ok")), "{sql}");
    }
    let prepared = last("PREPARE p(care.code) AS SELECT $1").effects.prepares.unwrap().1;
    assert!(prepared.code.iter().any(|c| c.contains("trap_ok")));
}

#[test]
fn copies_are_seen_where_they_are_made() {
    for sql in [
        "CREATE TABLE t2 AS TABLE patients",
        "SELECT * INTO t2 FROM patients",
        "CREATE VIEW v AS SELECT national_id FROM patients",
        "CREATE MATERIALIZED VIEW v AS SELECT k FROM patient_cache",
        "INSERT INTO wards (code) SELECT national_id FROM patients",
        "UPDATE visits SET note = p.national_id FROM patients p WHERE p.id = patient_id AND p.id = 1",
        "UPDATE patients SET ward = national_id WHERE id = 1",
        "MERGE INTO wards w USING patients p ON w.code = p.ward WHEN NOT MATCHED THEN INSERT VALUES (p.national_id)",
        "SELECT set_config('my.x', national_id, false) FROM patients",
        "SELECT setval('tickets', (SELECT national_id::bigint FROM patients LIMIT 1))",
        "SELECT pg_notify('c', national_id) FROM patients",
        "COPY patients TO '/tmp/x'",
        "ALTER TABLE patients RENAME COLUMN national_id TO nickname",
        "ALTER TABLE patients RENAME TO people",
        "ALTER TABLE patients SET SCHEMA other",
        "ALTER SCHEMA care RENAME TO cure",
        "ALTER TABLE events ATTACH PARTITION patients FOR VALUES IN ('b')",
        "PREPARE p AS SELECT national_id FROM patients; CREATE TABLE t2 AS EXECUTE p",
        "CREATE TEMP TABLE t2 AS SELECT 1; WITH x AS (INSERT INTO t2 SELECT length(national_id) FROM patients RETURNING 1) SELECT 1",
    ] {
        assert!(hows(sql, SECRET).contains(&How::Copied), "{sql}");
    }
    assert_eq!(
        hows("UPDATE patients SET national_id = national_id WHERE id = 1", SECRET),
        only(How::Written)
    );
    assert_eq!(
        hows("INSERT INTO patients (id, national_id) VALUES (1, 'x')", SECRET),
        only(How::Written)
    );
}

#[test]
fn what_a_string_makes_is_known_to_its_later_statements() {
    assert_eq!(
        outputs("CREATE TEMP TABLE t AS SELECT national_id AS x FROM other.patients; SELECT x FROM t")[0]
            .split('=')
            .next(),
        Some("x")
    );
    assert!(
        hows(
            "CREATE TEMP TABLE t AS SELECT k AS x FROM patient_cache; SELECT x FROM t",
            "care.patient_cache.k"
        )
        .contains(&How::Shown)
    );
    // a temporary table hides the real one, until it is gone
    let shadowed =
        facts("CREATE TEMP TABLE patients (id int); DELETE FROM patients; DROP TABLE patients; DELETE FROM patients");
    assert!(shadowed.statements[1].unrestricted.iter().all(|r| r.is_temporary()));
    assert_eq!(strings(&shadowed.statements[2].actions), ["drop_temporary"]);
    assert!(strings(&shadowed.statements[3].unrestricted).contains(&"care.patients".to_owned()));
    assert!(shadowed.statements[0].hazards.contains(&Hazard::TemporaryShadow));
    let discarded = facts("CREATE TEMP TABLE patients (id int); DISCARD TEMP; DELETE FROM patients");
    assert_eq!(strings(&discarded.statements[2].unrestricted), ["care.patients"]);
    assert_eq!(
        strings(&last("SET search_path = other; SELECT national_id FROM patients").reads),
        ["other.patients"]
    );
    assert_eq!(
        strings(&last("ALTER TABLE wards RENAME TO w2; SELECT * FROM w2").reads),
        ["care.w2"]
    );
    // what cannot be followed makes names unresolved
    assert!(last("DO $$ BEGIN END $$; SELECT * FROM patients").unresolved());
    assert!(last("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT f()").unresolved());
    assert!(last("BEGIN; CREATE TABLE x (id int); ROLLBACK; SELECT * FROM wards").unresolved());
    let mut open = state();
    open.uncommitted = true;
    assert!(facts_in("ROLLBACK; SELECT * FROM wards", &open, &Known::default()).statements[1].unresolved());
}

#[test]
fn functions_are_resolved_by_path_and_types() {
    let calls = |sql: &str| strings(&last(sql).functions);
    assert_eq!(calls("SELECT lower(name) FROM patients"), ["pg_catalog.lower"]);
    assert_eq!(
        strings(&last("SELECT visit_cost(1)").code),
        ["care.visit_cost(integer)"]
    );
    assert_eq!(strings(&last("SELECT pick(1)").code), ["care.pick(integer)"]);
    // the type of a parameter is not known: it may be either
    assert_eq!(last("SELECT pick($1)").code.len(), 2);
    let mut other = state();
    other.search_path = ["other", "pg_catalog"].map(Into::into).to_vec();
    let shadow = facts_in("SELECT lower('A'::text)", &other, &Known::default());
    assert_eq!(strings(&shadow.statements[0].code), ["other.lower(text)"]);
    assert!(last("SELECT no_such_function(1)").unresolved());
    assert!(last("SELECT no_such_column FROM wards").unresolved());
    assert!(matches!(
        last("SELECT * FROM no_such_table").outputs,
        Outputs::Unknown { .. }
    ));
    assert_eq!(
        snapshot::catalogue().function_digest("care.run(text)").map(str::len),
        Some(64)
    );
    assert_eq!(snapshot::catalogue().function_digest("pg_catalog.lower"), None);
}

#[test]
fn code_that_hides_is_found() {
    for (sql, code) in [
        ("INSERT INTO traps VALUES (1)", "care.trap()"),
        ("INSERT INTO checked VALUES (1, 'x')", "care.trap_ok(text)"),
        ("DELETE FROM ruled WHERE id = 1", "rule care.ruled.away"),
        ("SELECT * FROM guarded", "care.trap_ok(text)"),
        ("SELECT 'x'::code", "care.trap_ok(text)"),
        ("SELECT ROW(1, 'a')::pair::text", "care.pair_text(care.pair)"),
        (
            "SELECT ROW(1, 'a')::pair === ROW(1, 'a')::pair",
            "care.pair_eq(care.pair,care.pair)",
        ),
        ("CALL tidy()", "care.tidy()"),
        ("EXPLAIN SELECT run('x')", "care.run(text)"),
        (
            "SELECT 1 FROM wards WHERE visit_cost(beds) > 1",
            "care.visit_cost(integer)",
        ),
        ("COPY traps FROM STDIN", "care.trap()"),
        ("CREATE TABLE t (a text DEFAULT pick(1))", "care.pick(integer)"),
    ] {
        assert!(
            strings(&last(sql).code).contains(&code.to_owned()),
            "{sql}: {:?}",
            last(sql).code
        );
    }
    for sql in [
        "UPDATE traps SET payload = 'x' WHERE id = 1",
        "SELECT * FROM ruled",
        "SELECT hstore('a', 'b')",
        "SELECT md5(name) FROM patients",
    ] {
        assert!(last(sql).code.is_empty(), "{sql}: {:?}", last(sql).code);
    }
}

#[test]
fn dangerous_functions_and_relations_have_names() {
    for (sql, hazard) in [
        ("SELECT query_to_xml('select 1', true, false, '')", "dynamic_sql"),
        ("SELECT * FROM crosstab('select 1') AS t(a int)", "dynamic_sql"),
        ("SELECT word FROM ts_stat('select 1')", "dynamic_sql"),
        ("DO $$ BEGIN END $$", "dynamic_sql"),
        ("SELECT pg_read_file('x')", "server_file"),
        ("SELECT pg_ls_dir('.')", "server_file"),
        ("SELECT lo_import('x')", "server_file"),
        ("COPY wards TO '/tmp/x'", "server_file"),
        ("COPY wards FROM PROGRAM 'x'", "server_program"),
        ("LOAD 'x'", "server_program"),
        ("SELECT lo_get(1)", "large_object"),
        ("SELECT dblink_exec('x', 'y')", "network"),
        ("SELECT * FROM remote", "network"),
        ("SELECT get_raw_page('wards', 0)", "raw_storage"),
        ("SET ROLE bob", "session_identity"),
        ("SELECT set_config('role', 'bob', false)", "session_identity"),
        ("SELECT set_config(title, 'x', false) FROM wards", "session_identity"),
        ("SET standard_conforming_strings = off", "parser_setting"),
        ("SET client_encoding = 'SJIS'", "parser_setting"),
        ("SET session_replication_role = replica", "disables_triggers"),
        ("ALTER TABLE wards DISABLE TRIGGER ALL", "disables_triggers"),
        ("GRANT SELECT ON wards TO bob", "privileges"),
        ("ALTER TABLE wards OWNER TO bob", "privileges"),
        (
            "CREATE SCHEMA s CREATE TABLE t (id int) GRANT SELECT ON t TO bob",
            "privileges",
        ),
        (
            "UPDATE pg_authid SET rolsuper = true WHERE rolname = 'bob'",
            "catalog_write",
        ),
        ("SELECT * FROM pg_stats", "statistics"),
        ("SELECT s::text FROM pg_stats s", "statistics"),
        ("SELECT stavalues1 FROM pg_statistic", "statistics"),
        ("SELECT pg_logical_slot_get_changes('s', NULL, NULL)", "replication"),
        ("SELECT pg_terminate_backend(1)", "server_control"),
        ("NOTIFY c, 'x'", "notify"),
        ("ALTER TABLE wards DROP COLUMN title", "erases_data"),
        ("ALTER TABLE visits ALTER cost TYPE integer USING 0", "erases_data"),
        ("REFRESH MATERIALIZED VIEW patient_cache WITH NO DATA", "erases_data"),
    ] {
        assert!(hazards(sql).contains(hazard), "{sql}: {:?}", hazards(sql));
    }
    for sql in [
        "SELECT version(), current_user, now()",
        "SELECT nextval('tickets')",
        "SET statement_timeout = '5s'",
        "SET standard_conforming_strings = on",
        "SET client_encoding = 'UTF8'",
        "SHOW search_path",
        "SELECT tablename, n_distinct FROM pg_stats",
        "SET row_security = off",
        "RESET ALL",
        "SELECT relname FROM pg_class WHERE relkind = 'r'",
        "SELECT random(), gen_random_uuid(), clock_timestamp()",
        "ANALYZE wards",
        "LISTEN drop_channel",
        "SELECT pg_advisory_lock(1)",
        "ALTER TABLE wards ALTER beds TYPE bigint",
        "CREATE TABLE t (id serial PRIMARY KEY, at timestamptz DEFAULT now())",
    ] {
        assert!(hazards(sql).is_empty(), "{sql}: {:?}", hazards(sql));
    }
}

#[test]
fn every_nested_statement_is_an_action() {
    for (sql, expected) in [
        ("SELECT 1", "select"),
        (
            "WITH d AS (DELETE FROM wards RETURNING code) SELECT count(*) FROM d",
            "select,delete",
        ),
        ("COPY (DELETE FROM wards RETURNING code) TO STDOUT", "delete,copy_to"),
        ("EXPLAIN ANALYZE DELETE FROM wards", "delete,explain_analyze"),
        ("EXPLAIN (ANALYZE false) DELETE FROM wards", "explain"),
        ("PREPARE p AS DELETE FROM wards", "delete,prepare"),
        (
            "INSERT INTO wards VALUES ('a') ON CONFLICT (code) DO UPDATE SET beds = 1",
            "select,insert,update",
        ),
        ("DROP TABLE wards", "drop_table"),
        ("DROP TABLE scratch", "drop_temporary"),
        ("DROP TABLE scratch, wards", "drop_table"),
        ("TRUNCATE scratch", "drop_temporary"),
        ("TRUNCATE ONLY care.wards", "truncate"),
        ("CREATE TEMP TABLE t (id int)", "create_temporary"),
        ("ALTER TABLE wards DROP COLUMN title", "drop_column,alter_table"),
        ("SET SESSION AUTHORIZATION bob", "set_role"),
        ("DISCARD ALL", "discard"),
        ("REASSIGN OWNED BY bob TO eve", "alter_owner"),
    ] {
        assert_eq!(strings(&last(sql).actions).join(","), expected, "{sql}");
    }
}

#[test]
fn deleting_reaches_where_foreign_keys_lead() {
    assert_eq!(
        strings(&last("DELETE FROM orders_of WHERE id = 1").writes),
        ["care.lines_of", "care.orders_of"]
    );
    assert!(strings(&last("DELETE FROM orders_of WHERE id = 1").code).contains(&"care.trap()".to_owned()));
    assert_eq!(
        strings(&last("INSERT INTO orders_of VALUES (1)").writes),
        ["care.orders_of"]
    );
}

#[test]
fn one_setting_by_its_name_is_no_other() {
    let dump =
        "SELECT set_config(name, 'view', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'";
    assert_eq!(last(dump).effects.sets[0].name, "restrict_nonsystem_relation_kind");
    assert!(!hazards(dump).contains("session_identity"));
    assert!(
        hazards("SELECT set_config(name, 'bob', false) FROM pg_settings WHERE name = 'role'")
            .contains("session_identity")
    );
    assert!(
        hazards("SELECT set_config(name, 'bob', false) FROM pg_settings WHERE name <> 'x'")
            .contains("session_identity")
    );
    assert!(
        hazards("SELECT (SELECT set_config(name, 'x', false) FROM patients LIMIT 1) FROM pg_settings WHERE name = 'x'")
            .contains("session_identity")
    );
}

#[test]
fn effects_tell_the_session() {
    let effects = |sql: &str| last(sql).effects;
    assert_eq!(effects("BEGIN").transaction, Some(Transaction::Begin));
    assert_eq!(
        effects("COMMIT AND CHAIN").transaction,
        Some(Transaction::Commit { chain: true })
    );
    assert_eq!(
        effects("ROLLBACK TO a").transaction,
        Some(Transaction::RollbackTo("a".into()))
    );
    assert_eq!(effects("DEALLOCATE ALL").deallocates, Some(OneOrAll::All));
    assert_eq!(effects("CLOSE c").closes, Some(OneOrAll::One("c".into())));
    assert_eq!(effects("LISTEN c").listens.as_deref(), Some("c"));
    assert_eq!(effects("DISCARD TEMP").discards, Some(Discard::Temporary));
    let set = &effects("SET LOCAL search_path = a, b").sets[0];
    assert_eq!(
        (set.name.as_str(), set.value.as_deref(), set.local),
        ("search_path", Some("a, b"), true)
    );
    assert!(effects("SET search_path = a").changes_path && effects("CREATE TABLE x (id int)").changes_catalog);
    let copy = effects("COPY wards TO STDOUT (FORMAT csv, HEADER, DELIMITER ';', QUOTE '~')")
        .copy
        .unwrap();
    assert_eq!(
        (copy.peer, copy.format, copy.header),
        (CopyPeer::ToClient, CopyFormat::Csv, true)
    );
    assert_eq!(
        (
            copy.delimiter.as_str(),
            copy.quote.as_str(),
            copy.escape.as_str(),
            copy.null.as_str()
        ),
        (";", "~", "~", "")
    );
    assert_eq!(last("SELECT $1::int, $7").parameters, 7);
}

#[test]
fn prepared_statements_and_cursors_are_looked_up() {
    let mut known = Known::default();
    known
        .0
        .insert("p".into(), Arc::new(last("SELECT national_id FROM patients")));
    for sql in ["EXECUTE p", "FETCH ALL FROM p"] {
        let facts = facts_in(sql, &state(), &known);
        let Outputs::Columns(columns) = &facts.statements[0].outputs else {
            panic!("{sql}")
        };
        assert!(columns[0].direct, "{sql}");
    }
    assert_eq!(
        facts_in("MOVE 1 FROM p", &state(), &known).statements[0].outputs,
        Outputs::NoRows
    );
    assert!(facts_in("EXECUTE q", &state(), &known).statements[0].unresolved());
    assert!(facts_in("DEALLOCATE p; EXECUTE p", &state(), &known).statements[1].unresolved());
    assert!(facts_in("FETCH q", &state(), &known).statements[0].unresolved());
    let both = facts("BEGIN; DECLARE c CURSOR FOR SELECT national_id FROM patients; FETCH c");
    assert!(matches!(&both.statements[2].outputs, Outputs::Columns(c) if c.len() == 1));
    let ran = facts("PREPARE d AS DELETE FROM wards; EXPLAIN ANALYZE EXECUTE d");
    assert_eq!(strings(&ran.statements[1].unrestricted), ["care.wards"]);
}

#[test]
fn spans_cut_the_text_into_its_statements() {
    let text = "SELECT 1; -- ;\nSELECT ';';;";
    let spans: Vec<&str> = facts(text)
        .statements
        .iter()
        .map(|s| text.get(s.span.clone()).unwrap())
        .collect::<Vec<_>>();
    assert_eq!(spans.len(), 2);
    assert!(spans[1].contains("SELECT ';'"));
    assert!(facts("").statements.is_empty() && facts("-- nothing").statements.is_empty());
}

#[test]
fn calls_name_their_procedure() {
    let tidy = last("CALL tidy()");
    assert_eq!(tidy.outputs, Outputs::NoRows);
    assert!(!tidy.unresolved());
    // an argument for an OUT parameter is written, too
    assert_eq!(strings(&last("CALL counted(1, NULL)").code), ["care.counted(integer)"]);
    assert!(matches!(last("CALL counted(1, NULL)").outputs, Outputs::Unknown { .. }));
}

#[test]
fn ordinary_work_looks_harmless() {
    for sql in [
        "SELECT w.title, count(*) FROM patients p JOIN wards w ON w.code = p.ward GROUP BY w.title HAVING count(*) > 1 ORDER BY 2 DESC",
        "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t",
        "SELECT name, rank() OVER (PARTITION BY ward ORDER BY admitted) FROM patients",
        "SELECT m FROM patients_masked m",
        "SELECT json_agg(w) FROM wards w",
        "SELECT * FROM unnest(ARRAY[1, 2], ARRAY['a', 'b']) AS u(x, y)",
        "SELECT (ROW(1, 2)).f1, (ARRAY[1, 2])[1], 'a=>1'::hstore -> 'a'",
        "SELECT * FROM jsonb_to_recordset('[{\"a\": 1}]') AS t(a int)",
        "SELECT first_value(name) OVER w FROM patients WINDOW w AS (PARTITION BY ward ORDER BY id)",
        "CREATE TEMP TABLE t AS SELECT id, name FROM patients; SELECT * FROM t; DROP TABLE t",
        "BEGIN; DECLARE c CURSOR FOR SELECT id FROM visits; CLOSE c; COMMIT",
        "INSERT INTO wards VALUES ('a', 'b', 1) ON CONFLICT DO NOTHING RETURNING code",
        "COPY (SELECT * FROM patients_masked) TO STDOUT WITH (FORMAT csv)",
        "SET LOCAL statement_timeout = 100",
        "EXPLAIN (FORMAT JSON) SELECT national_id FROM patients",
        "COMMENT ON TABLE wards IS 'drop table'",
        "CREATE VIEW v AS SELECT id, ward FROM patients",
        "CHECKPOINT",
        "ALTER TABLE wards ADD COLUMN floor int CHECK (floor > 0), ADD CHECK (floor < beds)",
        "ALTER TABLE IF EXISTS no_such_table ADD CHECK (f > 1)",
    ] {
        for facts in facts(sql).statements {
            assert!(
                facts.hazards.is_empty() && facts.code.is_empty() && facts.unrestricted.is_empty(),
                "{sql}: {facts:?}"
            );
            let looked_at = facts
                .uses
                .iter()
                .filter(|u| u.column.to_string() == SECRET && u.how != How::Written);
            assert_eq!(looked_at.count(), 0, "{sql}");
        }
    }
}
