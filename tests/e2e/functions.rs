//! Functions called by number, without a statement.

use anyhow::{Context, Result, ensure};
use sallyport_tests::{Plan, Said, Stage, Wire, bundle, mask};

const CLASSIFY: &str = r#"
[[columns]]
column = ["public.people.card"]
class = "cards"

[[detectors]]
kind = "email"
class = "contacts"
"#;

const FILES: &str = r#"
@id("no-files")
@message("no files")
forbid (principal, action in Sql::Action::"any", resource)
when { context.hazards.contains("server_file") };
"#;

const SCHEMA: &str = "
    CREATE TABLE people (card text);
    INSERT INTO people VALUES ('4111111111111111');
    GRANT SELECT ON people TO app;
    CREATE FUNCTION peek() RETURNS text LANGUAGE sql AS 'SELECT card FROM public.people';
    CREATE TYPE \"odd \"\" name\" AS (a int);
    CREATE FUNCTION \"Odd \"\" one\"(\"odd \"\" name\") RETURNS text LANGUAGE sql AS 'SELECT ''odd''::text';
    GRANT pg_read_server_files TO app;";

/// Calls a function with text arguments.
fn call(wire: &mut Wire, function: u32, arguments: &[&str], binary: bool) -> Result<Vec<Said>> {
    let mut body = [&function.to_be_bytes()[..], &[0, 0]].concat();
    body.extend(u16::try_from(arguments.len())?.to_be_bytes());
    for argument in arguments {
        body.extend(u32::try_from(argument.len())?.to_be_bytes());
        body.extend(argument.as_bytes());
    }
    body.extend([0, u8::from(binary)]);
    wire.send(b'F', &body)?;
    wire.answer()
}

/// The result as text, or what was wrong.
fn outcome(answer: &[Said]) -> Result<String> {
    if let Some(error) = answer.iter().find(|said| said.kind == b'E') {
        let field = |code| error.field(code).unwrap_or_default();
        return Ok(format!("{} {}", field(b'M'), field(b'D')));
    }
    let result = answer.iter().find(|said| said.kind == b'V').context("no result")?;
    let (length, value) = result.body.split_first_chunk::<4>().context("a short result")?;
    Ok(match i32::from_be_bytes(*length) {
        -1 => "NULL".to_owned(),
        _ => String::from_utf8_lossy(value).into_owned(),
    })
}

#[test]
fn a_call_by_number_is_judged_and_masked_as_the_statement_that_calls_the_function() -> Result<()> {
    let rules = [FILES, &mask("cards", "keep-last(4)"), &mask("contacts", "partial")].concat();
    let policy = bundle(CLASSIFY, &rules)?;
    let stage = Stage::start(&Plan::with_bundle(&policy))?;
    stage.server.query("shop", SCHEMA)?;
    let number = |function: &str| -> Result<u32> {
        let answer = stage
            .server
            .query("shop", &format!("SELECT '{function}'::regprocedure::oid"))?;
        Ok(answer.trim().parse()?)
    };
    let mut wire = Wire::open(&stage.through("alice")?)?;
    let joined = number("textcat(text,text)")?;
    let mut said = |function, arguments: &[&str]| outcome(&call(&mut wire, function, arguments, false)?);

    ensure!(said(joined, &["ab", "c"])? == "abc");
    let masked = said(joined, &["ada@", "example.com"])?;
    ensure!(masked == "a***@example.com", "{masked}");
    let refused = said(number("pg_read_file(text)")?, &["PG_VERSION"])?;
    ensure!(refused.contains("no files"), "{refused}");
    let unknown = said(4_000_000_000, &[])?;
    ensure!(unknown.contains("no function with this number"), "{unknown}");
    let peeked = said(number("peek()")?, &[])?;
    ensure!(!peeked.contains("4111"), "{peeked}");
    let odd = said(number("\"Odd \"\" one\"(\"odd \"\" name\")")?, &["(1)"])?;
    ensure!(odd == "odd" || odd == "***", "{odd}");
    Ok(())
}

#[test]
fn a_call_by_number_keeps_the_form_of_its_result() -> Result<()> {
    let policy = bundle(
        CLASSIFY,
        &[mask("cards", "redact"), mask("contacts", "partial")].concat(),
    )?;
    let stage = Stage::start(&Plan::with_bundle(&policy))?;
    let mut wire = Wire::open(&stage.through("alice")?)?;
    // int8pl(bigint, bigint) in binary; in text; and of NULL, which no argument of a strict function may be.
    let answer = call(&mut wire, 463, &["40", "2"], true)?;
    ensure!(outcome(&answer)?.as_bytes() == 42_i64.to_be_bytes(), "{answer:?}");
    ensure!(outcome(&call(&mut wire, 463, &["40", "2"], false)?)? == "42");
    // An error in the function leaves the session as it was.
    let failed = outcome(&call(&mut wire, 463, &["40", "two"], false)?)?;
    ensure!(failed.contains("invalid input syntax"), "{failed}");
    ensure!(outcome(&call(&mut wire, 463, &["1", "2"], false)?)? == "3");
    Ok(())
}
