//! COPY to the client: its values are masked as those of a SELECT are, in every format.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use sallyport_tests::{Endpoint, Plan, Said, Stage, Wire, bundle, copied, mask, run};
use tempfile::TempDir;

/// Columns of every kind of type, with two rows of values.
const COLUMNS: &[(&str, &str, &str, &str)] = &[
    ("t", "text", "'4111 1111 1111 1111'", "E'a\\tb\\\\c\\n\"d\",e'"),
    ("vc", "varchar", "'anna@example.com'", "'n/a'"),
    ("bp", "char(12)", "'DE12 3456'", "'x'"),
    ("nm", "name", "'somebody'", "'else'"),
    ("i2", "int2", "1234", "-7"),
    ("i4", "int4", "123456", "-7"),
    ("i8", "int8", "4111111111111111", "-7"),
    ("f4", "float4", "1.5", "'NaN'"),
    ("f8", "float8", "-2.25e10", "0"),
    ("n", "numeric", "1234.567", "-0.001"),
    ("mo", "money", "12.34", "-5"),
    ("bo", "bool", "true", "false"),
    (
        "uu",
        "uuid",
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "'00000000-0000-0000-0000-000000000001'",
    ),
    ("ip", "inet", "'10.1.2.3/8'", "'fe80::1'"),
    ("ci", "cidr", "'10.1.0.0/16'", "'2001:db8::/32'"),
    ("ma", "macaddr", "'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'"),
    ("d", "date", "'1999-12-31'", "'0044-03-15 BC'"),
    ("ts", "timestamp", "'1999-12-31 23:59:59.5'", "'infinity'"),
    (
        "tz",
        "timestamptz",
        "'1999-12-31 23:59:59+02'",
        "'2020-02-29 00:00:00Z'",
    ),
    ("ti", "time", "'12:34:56'", "'00:00'"),
    ("iv", "interval", "'1 day 2 hours'", "'-3 months'"),
    (
        "js",
        "json",
        "'{\"card\": \"4111111111111111\", \"n\": [1, null]}'",
        "'\"anna@example.com\"'",
    ),
    (
        "jb",
        "jsonb",
        "'{\"card\": \"4111111111111111\", \"n\": [1, null]}'",
        "'\"anna@example.com\"'",
    ),
    ("by", "bytea", "'\\xdeadbeef'", "'abc'"),
    ("ta", "text[]", "'{\"a,b\",NULL,\"c \\\"d\\\"\"}'", "'[2:3]={x,y}'"),
    ("ia", "int[]", "'{{1,2},{3,4}}'", "'{}'"),
    ("en", "mood", "'sad'", "'happy'"),
    ("dm", "word", "'word in a domain'", "'other'"),
    ("di", "positive", "42", "7"),
    ("co", "pair", "'(\"a, b\",5)'", "'(,)'"),
    ("ir", "int4range", "'[1,10)'", "'empty'"),
    ("mr", "int4multirange", "'{[1,10),[20,30)}'", "'{}'"),
    ("bi", "bit(4)", "B'1010'", "B'0000'"),
    ("tv", "tsvector", "'a fat cat'", "'dog'"),
    ("hs", "hstore", "'card => 4111111111111111, n => NULL'", "'k => v'"),
];

const STRATEGIES: &[&str] = &[
    "redact",
    "keep-last(4)",
    "hash",
    "null",
    "zero",
    "year",
    "email",
    "card",
    "partial",
];

/// Options of COPY, and whether the data is text.
const FORMATS: &[&str] = &[
    "(FORMAT text)",
    "(FORMAT text, HEADER, DELIMITER '|', NULL 'nil')",
    "(FORMAT csv)",
    "(FORMAT csv, HEADER, DELIMITER ';', QUOTE '''', ESCAPE '/', NULL 'nil', FORCE_QUOTE *)",
    "(FORMAT binary)",
];

fn table(strategy: &str) -> String {
    format!("as_{}", strategy.replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
}

/// A policy under which each table's columns are masked in one of the ways.
fn policy() -> Result<TempDir> {
    let mut classes = String::new();
    let mut rules = String::new();
    for strategy in STRATEGIES {
        let class = table(strategy);
        let columns: Vec<_> = COLUMNS
            .iter()
            .map(|(name, ..)| format!("\"public.{class}.{name}\""))
            .collect();
        classes += &format!(
            "[[columns]]\ncolumn = [{}]\nclass = \"{class}\"\n\n",
            columns.join(", ")
        );
        rules += &mask(&class, strategy);
    }
    bundle(&classes, &rules)
}

fn tables() -> String {
    let mut sql = "CREATE EXTENSION hstore; CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN word AS text; \
                   CREATE DOMAIN positive AS int CHECK (VALUE >= 0); CREATE TYPE pair AS (name text, number int);\n"
        .to_owned();
    let columns: Vec<_> = COLUMNS
        .iter()
        .map(|(name, kind, ..)| format!("{name} {kind}"))
        .collect();
    let first: Vec<_> = COLUMNS
        .iter()
        .map(|(_, kind, value, _)| format!("({value})::{kind}"))
        .collect();
    let second: Vec<_> = COLUMNS
        .iter()
        .map(|(_, kind, _, value)| format!("({value})::{kind}"))
        .collect();
    for strategy in STRATEGIES {
        for name in [table(strategy), format!("copy_of_{}", table(strategy))] {
            sql += &format!("CREATE TABLE {name} (id int, {});", columns.join(", "));
            sql += &format!("ALTER TABLE {name} OWNER TO app;");
        }
        let name = table(strategy);
        sql += &format!(
            "INSERT INTO {name} VALUES (1, {}), (2, {}); INSERT INTO {name} (id) VALUES (3);\n",
            first.join(", "),
            second.join(", ")
        );
    }
    sql
}

fn psql(endpoint: &Endpoint, commands: &[&str]) -> Result<String> {
    let mut psql = endpoint.program("psql");
    psql.args(["-XAtq", "-P", "null=∅"]);
    for command in commands {
        psql.args(["-c", command]);
    }
    run(&mut psql)
}

/// What is copied out through the gateway goes in again at the server, and is then what a SELECT through the gateway
/// shows: so it parses as its types, and is masked in the same way.
#[test]
fn what_is_copied_is_masked_as_what_is_selected() -> Result<()> {
    let policy = policy()?;
    let stage = Stage::start(&Plan::with_bundle(&policy))?;
    stage.server.query("shop", &tables())?;
    let (direct, through) = (stage.direct(), stage.through("alice")?);
    let mut wire = Wire::open(&through)?;
    let file = policy.path().join("data");
    let mut simple = false;
    for strategy in STRATEGIES {
        let table = table(strategy);
        let select = format!("SELECT * FROM {table} ORDER BY id");
        let shown = psql(&through, &[&select])?;
        ensure!(shown != psql(&direct, &[&select])?, "{strategy} masks nothing: {shown}");
        for options in FORMATS {
            // The two protocols take turns.
            simple = !simple;
            for (source, simple) in [(table.clone(), simple), (format!("({select})"), !simple)] {
                let statement = format!("COPY {source} TO STDOUT WITH {options}");
                let answer = match simple {
                    true => wire.simple(&statement)?,
                    false => wire.extended(&statement, 0)?,
                };
                std::fs::write(&file, copied(&answer).with_context(|| statement.clone())?)?;
                let back = copy_in(&direct, &table, options, &file).with_context(|| statement.clone())?;
                ensure!(back == shown, "{strategy}: {statement}:\n{back}instead of\n{shown}");
            }
        }
        // The table that was loaded has no classified column.
        let mut binary = |table: &str| -> Result<Vec<Said>> {
            let answer = wire.extended(&format!("SELECT * FROM {table} ORDER BY id"), 1)?;
            Ok(answer
                .into_iter()
                .filter(|said| matches!(said.kind, b'D' | b'E'))
                .collect())
        };
        let (masked, loaded) = (binary(&table)?, binary(&format!("copy_of_{table}"))?);
        ensure!(
            masked == loaded,
            "{strategy} in binary: {masked:?}\ninstead of {loaded:?}"
        );
    }
    Ok(())
}

/// Loads the file into the table's copy, and shows what is there.
fn copy_in(direct: &Endpoint, table: &str, options: &str, file: &Path) -> Result<String> {
    let options = options.replace(", FORCE_QUOTE *", "");
    let load = format!("\\copy copy_of_{table} FROM '{}' WITH {options}", file.display());
    let select = format!("SELECT * FROM copy_of_{table} ORDER BY id");
    psql(direct, &[&format!("TRUNCATE copy_of_{table}"), &load, &select])
}

const PEOPLE: &str = "
    CREATE TABLE as_people (id int, card text, born date, twice text GENERATED ALWAYS AS (card || '!') STORED);
    INSERT INTO as_people VALUES (1, '4111111111111111', '1970-05-05');
    CREATE TABLE as_guarded (LIKE as_people INCLUDING GENERATED);
    ALTER TABLE as_guarded ENABLE ROW LEVEL SECURITY;
    CREATE POLICY everything ON as_guarded USING (true);
    INSERT INTO as_guarded SELECT id, card, born FROM as_people;
    GRANT ALL ON as_people, as_guarded TO app;";

fn people() -> Result<(Stage, TempDir)> {
    let classify = "[[columns]]\ncolumn = [\"public.as_people.card\", \"public.as_people.twice\", \
                    \"public.as_guarded.card\", \"public.as_guarded.twice\"]\nclass = \"cards\"\n\n\
                    [[columns]]\ncolumn = [\"public.as_people.born\", \"public.as_guarded.born\"]\nclass = \"dates\"\n";
    let policy = bundle(
        classify,
        &[mask("cards", "keep-last(4)"), mask("dates", "year")].concat(),
    )?;
    let stage = Stage::start(&Plan::with_bundle(&policy))?;
    stage.server.query("shop", PEOPLE)?;
    Ok((stage, policy))
}

fn data(answer: &[Said]) -> Result<String> {
    Ok(String::from_utf8_lossy(&copied(answer)?).into_owned())
}

#[test]
fn every_shape_of_copy_knows_its_columns() -> Result<()> {
    let (stage, _policy) = people()?;
    let mut wire = Wire::open(&stage.through("alice")?)?;
    let (card, born) = ("************1111", "1970-01-01");
    for (statement, wanted) in [
        ("COPY as_people TO STDOUT", format!("1\t{card}\t{born}\n")),
        ("COPY as_people (born, id) TO STDOUT", format!("{born}\t1\n")),
        ("COPY as_guarded (born, card) TO STDOUT", format!("{born}\t{card}\n")),
        (
            "COPY (TABLE as_people) TO STDOUT",
            format!("1\t{card}\t{born}\t{card}!\n"),
        ),
        (
            "COPY (SELECT born, born AS again FROM as_people WHERE card ~ '^(4|5).*)?$') TO STDOUT",
            String::new(),
        ),
        (
            "COPY (VALUES (1, ')'), (2, $$($$)) TO STDOUT",
            "1\t)\n2\t(\n".to_owned(),
        ),
        (
            "COPY (WITH a AS (SELECT born FROM as_people) SELECT * FROM a) TO STDOUT",
            format!("{born}\n"),
        ),
        (
            "COPY (UPDATE as_people SET id = id RETURNING id, born) TO STDOUT (FORMAT csv)",
            format!("1,{born}\n"),
        ),
        (
            "COPY (SELECT born FROM as_people) TO STDOUT; SELECT 1; COPY (SELECT 7, born FROM as_people) TO STDOUT",
            format!("{born}\n7\t{born}\n"),
        ),
        (
            "BEGIN; COPY (SELECT born FROM as_people) TO STDOUT; ROLLBACK",
            format!("{born}\n"),
        ),
        (
            "CREATE TEMP TABLE later AS SELECT 5 AS five; COPY (SELECT five FROM later) TO STDOUT",
            "5\n".to_owned(),
        ),
    ] {
        let answer = wire.simple(statement)?;
        if wanted.is_empty() {
            ensure!(answer.iter().any(|said| said.kind == b'E'), "{statement}: {answer:?}");
            continue;
        }
        ensure!(data(&answer)? == wanted, "{statement}: {}", data(&answer)?);
    }
    Ok(())
}

#[test]
fn a_copy_that_fails_fails_as_without_the_gateway() -> Result<()> {
    let (stage, _policy) = people()?;
    let mut wire = Wire::open(&stage.through("alice")?)?;
    let error = |answer: &[Said], code: u8| {
        let error = answer.iter().find(|said| said.kind == b'E');
        error.and_then(|error| error.field(code)).unwrap_or_default()
    };
    let wrong = "COPY (SELECT nothing_such FROM as_people) TO STDOUT";
    let answer = wire.simple(wrong)?;
    ensure!(
        error(&answer, b'C') == "42703" && error(&answer, b'P') == "14",
        "{answer:?}"
    );
    ensure!(
        data(&wire.simple("COPY (SELECT 1) TO STDOUT")?)? == "1\n",
        "the session goes on"
    );

    wire.simple("BEGIN")?;
    let answer = wire.simple(wrong)?;
    ensure!(error(&answer, b'C') == "42703", "{answer:?}");
    ensure!(answer.last().is_some_and(|ready| ready.body == b"E"), "{answer:?}");
    ensure!(error(&wire.simple("COPY (SELECT 1) TO STDOUT")?, b'C') == "25P02");
    wire.simple("ROLLBACK")?;

    let answer = wire.extended(wrong, 0)?;
    ensure!(error(&answer, b'C') == "42703", "{answer:?}");
    ensure!(
        answer.iter().filter(|said| said.kind == b'E').count() == 1,
        "{answer:?}"
    );
    ensure!(data(&wire.extended("COPY (SELECT born FROM as_people) TO STDOUT", 0)?)? == "1970-01-01\n");
    Ok(())
}
