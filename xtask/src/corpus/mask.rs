//! The masking corpora: each value goes through the gateway inside a real result.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sallyport_testbed::Postgres;
use serde::Deserialize;

use super::bundle::{self, Profile};
use super::case::{Formats, Parameter, Step, Verdict};
use super::cutter::Cutter;
use super::report::{self, Outcome};
use super::through::{Claim, Door};
use super::wire::{Connection, Fields, Message, cells};
use super::{Options, cluster, read, step};

/// A case of the masking corpora.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct MaskCase {
    id: String,
    class: String,
    carrier: String,
    verdict: Verdict,
    #[serde(default)]
    types: Vec<String>,
    input: Option<String>,
    input_b64: Option<String>,
    expected: Option<String>,
    expected_b64: Option<String>,
    sql: Option<String>,
    expected_sql: Option<String>,
    #[serde(default)]
    result_format: u16,
    expected_hex: Option<String>,
    #[serde(default)]
    segments_hex: Vec<String>,
    #[serde(default)]
    columns: BTreeMap<String, String>,
}

/// Text that only a terminal carries comes with the protocol that has terminals.
const TERMINAL: &str = "terminal_stream";
/// Who the cases' statements run as at the target.
const ROLE: &str = "app";
const DATABASE: &str = "shop";

/// Runs a corpus of masking cases; whether all passed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut cases: Vec<MaskCase> = read(&options.file)?;
    cases.retain(|case| options.wants(&case.id, &case.class));
    let all = cases.len();
    cases.retain(|case| case.carrier != TERMINAL);
    let skipped = all - cases.len();
    let all = cases.len();
    cases.retain(|case| case.verdict != Verdict::Either);
    let unscored = all - cases.len();

    let postgres = cluster::start_anywhere()?;
    let server = SocketAddr::from(([127, 0, 0, 1], postgres.port()));
    let cutters = cutters(&cases, server)?;
    for case in &cases {
        lay_table(case, &postgres)?;
    }
    let profiles: Vec<Profile> = cases.iter().map(|case| profile(case, server, &cutters)).collect();
    let door = match options.program()? {
        Some(program) => Door::gateway(&program, bundle::write(&profiles)?.path(), &bundle::targets(&profiles))?,
        None => Door::direct(server),
    };
    let outcomes: Vec<Outcome> = cases.iter().map(|case| judge(case, &door, server)).collect();
    let mut notes = report::unscored(unscored);
    notes.extend((skipped > 0).then(|| format!("{skipped} skipped (they are about terminals)")));
    Ok(report::print(&outcomes, ["masked", "left alone"], &notes))
}

/// A relay in front of the server for each case that says how the server's bytes are cut.
fn cutters(cases: &[MaskCase], server: SocketAddr) -> Result<BTreeMap<String, Cutter>> {
    let mut cutters = BTreeMap::new();
    for case in cases.iter().filter(|case| !case.segments_hex.is_empty()) {
        let segments = case
            .segments_hex
            .iter()
            .map(|digits| step::hex(digits))
            .collect::<Result<Vec<_>>>()?;
        cutters.insert(case.id.clone(), Cutter::start(server, segments)?);
    }
    Ok(cutters)
}

/// A rule on a result's column needs a column to stand on, so the statement becomes a table.
fn lay_table(case: &MaskCase, postgres: &Postgres) -> Result<()> {
    let (false, Some(sql)) = (case.columns.is_empty(), &case.sql) else {
        return Ok(());
    };
    let table = table(case);
    let text = format!("CREATE TABLE public.{table} AS {sql}; ALTER TABLE public.{table} OWNER TO {ROLE}");
    postgres.query(DATABASE, &text)?;
    Ok(())
}

fn table(case: &MaskCase) -> String {
    format!("case_{}", case.id.replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
}

/// The target of a case: what is looked for in its results.
fn profile(case: &MaskCase, server: SocketAddr, cutters: &BTreeMap<String, Cutter>) -> Profile {
    let column = |(name, strategy): (&String, &String)| (format!("public.{}.{name}", table(case)), strategy.clone());
    let detectors = if case.columns.is_empty() {
        case.types.iter().cloned().collect()
    } else {
        BTreeSet::new()
    };
    Profile {
        target: case.id.clone(),
        address: cutters.get(&case.id).map_or(server, Cutter::address),
        user: ROLE.to_owned(),
        database: DATABASE.to_owned(),
        detectors,
        columns: case.columns.iter().map(column).collect(),
    }
}

fn judge(case: &MaskCase, door: &Door, server: SocketAddr) -> Outcome {
    let judged = if case.sql.is_some() {
        judge_result(case, door, server)
    } else {
        judge_text(case, door)
    };
    Outcome::of(&case.id, &case.class, case.verdict, judged)
}

/// A text goes in as a parameter and comes back as a result.
fn judge_text(case: &MaskCase, door: &Door) -> Result<Option<String>> {
    let input = plain(case.input.as_ref(), case.input_b64.as_ref()).context("the case has no input")?;
    let expected = plain(case.expected.as_ref(), case.expected_b64.as_ref()).context("the case expects nothing")?;
    let mut connection = open(&door.address(), &door.claim(&case.id, ROLE, DATABASE))?;
    let parse = Step {
        op: "P".to_owned(),
        sql: Some("SELECT $1::text".to_owned()),
        ..Step::default()
    };
    let bind = Step {
        op: "B".to_owned(),
        params: vec![Parameter::Text(input)],
        ..Step::default()
    };
    let messages = extended(&mut connection, parse, bind)?;
    let row = messages
        .iter()
        .find(|message| message.kind == b'D')
        .context("no row came back")?;
    let cell = cells(&row.body)
        .into_iter()
        .next()
        .flatten()
        .context("the value came back as null")?;
    let got = String::from_utf8_lossy(&cell);
    Ok((got != expected).then(|| format!("{got:?} instead of {expected:?} ({})", case.types.join(", "))))
}

/// A statement's result through the gateway equals that of the expected statement without it.
fn judge_result(case: &MaskCase, door: &Door, server: SocketAddr) -> Result<Option<String>> {
    let sql = case.sql.clone().context("the case has no statement")?;
    let sql = if case.columns.is_empty() {
        sql
    } else {
        format!("SELECT * FROM public.{}", table(case))
    };
    let got = result(
        &door.address(),
        &door.claim(&case.id, ROLE, DATABASE),
        &sql,
        case.result_format,
    )?;
    let wanted = match (&case.expected_hex, &case.expected_sql) {
        (Some(digits), _) => step::hex(digits)?,
        (None, Some(sql)) => {
            let direct = Claim {
                user: ROLE.to_owned(),
                database: DATABASE.to_owned(),
                password: None,
            };
            result(&server, &direct, sql, case.result_format)?
        }
        (None, None) => bail!("the case expects nothing"),
    };
    let (got, wanted) = (rejoin(&got), rejoin(&wanted));
    let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(200).collect::<String>();
    Ok((got != wanted).then(|| format!("{:?} instead of {:?}: {sql}", show(&got), show(&wanted))))
}

/// The rows, or the data of a copy, of one statement.
fn result(address: &SocketAddr, claim: &Claim, sql: &str, format: u16) -> Result<Vec<u8>> {
    let mut connection = open(address, claim)?;
    let messages = if sql.trim_start().to_ascii_uppercase().starts_with("COPY") {
        let query = Step {
            op: "Q".to_owned(),
            sql: Some(sql.to_owned()),
            ..Step::default()
        };
        exchange(&mut connection, &[query])?
    } else {
        let parse = Step {
            op: "P".to_owned(),
            sql: Some(sql.to_owned()),
            ..Step::default()
        };
        let formats = (format != 0).then_some(Formats::Many(vec![format]));
        extended(
            &mut connection,
            parse,
            Step {
                op: "B".to_owned(),
                rfmt: formats,
                ..Step::default()
            },
        )?
    };
    let data = messages.iter().filter(|message| matches!(message.kind, b'D' | b'd'));
    Ok(data
        .flat_map(|message| super::wire::packet(message.kind, &message.body))
        .collect())
}

fn open(address: &SocketAddr, claim: &Claim) -> Result<Connection> {
    let parameters =
        [("user", &claim.user), ("database", &claim.database)].map(|(name, value)| (name.to_owned(), value.clone()));
    let connection = Connection::open(*address, &parameters, claim.password.as_deref())?;
    if connection.dead {
        let error = connection.startup.iter().find(|message| message.kind == b'E');
        bail!(
            "no session: {}",
            error.map_or_else(String::new, |error| Fields::of(&error.body).message())
        );
    }
    Ok(connection)
}

fn extended(connection: &mut Connection, parse: Step, bind: Step) -> Result<Vec<Message>> {
    let plain = |op: &str| Step {
        op: op.to_owned(),
        ..Step::default()
    };
    let describe = Step {
        kind: Some("P".to_owned()),
        ..plain("D")
    };
    exchange(connection, &[parse, bind, describe, plain("E"), plain("S")])
}

/// Sends the steps at once, and reads to the end of the answer.
fn exchange(connection: &mut Connection, steps: &[Step]) -> Result<Vec<Message>> {
    let mut bytes = Vec::new();
    for one in steps {
        let mut no_function = |_: &str| bail!("no function is called here");
        bytes.extend(step::encode(one, &mut no_function)?.bytes);
    }
    connection.send(&bytes, None, Duration::ZERO);
    connection.wait(b"Z", Duration::from_secs(20)).context("no answer")?;
    let messages = std::mem::take(&mut connection.messages);
    connection.close();
    if let Some(error) = messages.iter().find(|message| message.kind == b'E') {
        bail!("an error: {}", Fields::of(&error.body).message());
    }
    Ok(messages)
}

/// The messages with the pieces of a copy put together: where they are cut means nothing.
fn rejoin(bytes: &[u8]) -> Vec<u8> {
    let (mut rows, mut copy) = (Vec::new(), Vec::new());
    let mut rest = bytes;
    while let Some((head, body)) = rest.split_first_chunk::<5>() {
        let [kind, length @ ..] = *head;
        let size = (u32::from_be_bytes(length) as usize).saturating_sub(4);
        let (body, after) = body.split_at_checked(size).unwrap_or((body, &[]));
        if kind == b'd' {
            copy.extend(body);
        } else {
            rows.extend(head);
            rows.extend(body);
        }
        rest = after;
    }
    [rows, copy].concat()
}

fn plain(text: Option<&String>, base64: Option<&String>) -> Option<String> {
    match (text, base64) {
        (Some(text), _) => Some(text.clone()),
        (None, Some(digits)) => String::from_utf8(decode_base64(digits)).ok(),
        (None, None) => None,
    }
}

fn decode_base64(digits: &str) -> Vec<u8> {
    let value = |digit: u8| match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for digit in digits.bytes().filter_map(value) {
        bits = ((bits << 6) | u32::from(digit)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).unwrap_or_default());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_is_decoded() {
        for (digits, text) in [
            ("", ""),
            ("QQ==", "A"),
            ("QUI=", "AB"),
            ("QUJD", "ABC"),
            ("w6k+Pw==", "é>?"),
        ] {
            assert_eq!(decode_base64(digits), text.as_bytes(), "{digits}");
        }
    }

    #[test]
    fn the_pieces_of_a_copy_are_one_and_rows_stay_apart() {
        let piece = |kind, body: &[u8]| super::super::wire::packet(kind, body);
        let cut = [piece(b'd', b"ab"), piece(b'd', b"c")].concat();
        assert_eq!(rejoin(&cut), rejoin(&piece(b'd', b"abc")));
        let rows = [piece(b'D', b"ab"), piece(b'D', b"c")].concat();
        assert_ne!(rejoin(&rows), rejoin(&piece(b'D', b"abc")));
    }
}
