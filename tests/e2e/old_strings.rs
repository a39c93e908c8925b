//! Sessions with `standard_conforming_strings = off`: text is read as the server reads it.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use sallyport_testbed::{Options, Postgres, Role};
use sallyport_tests::{Endpoint, Plan, Stage, Wire, bundle, mask, rows};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

const SETTINGS: [&str; 2] = ["SET standard_conforming_strings = off", "SET backslash_quote = on"];

/// Pieces that the texts of the comparison are made of.
const PIECES: &[&str] = &[
    "'", "'", "''", "\\", "\\'", "\\\\", "\\n", "\\x41", "\\101", "\\u0041", "E'", "e'", "b'", "B'1'", "x'", "X'f'",
    "n'", "U&'", "u&\"", "\"", "\"\"", "$$", "$a$", "$1", "$", "--", "--'", "\n", "\r", " ", "\t", "/*", "*/", ",",
    "||", "::text", "a", "b", "c1", "1", "1.5", "1e", "e5", "(", ")", ";", "SELECT", "é", "\u{a0}", ".", "+", "-", "/",
    "*",
];

/// A small generator of numbers: the same texts each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }

    fn text(&mut self) -> String {
        let mut text = String::from("SELECT '");
        for _ in 0..=self.below(12) {
            text.push_str(PIECES.get(self.below(PIECES.len())).copied().unwrap_or_default());
        }
        if self.below(2) == 0 {
            text.push('\'');
        }
        text
    }
}

/// What a server answers: values and the codes of errors, but not where in the text they are.
async fn answer(client: &Client, text: &str) -> String {
    match client.simple_query(text).await {
        Err(error) => format!("{:?}", error.code()),
        Ok(messages) => messages.iter().fold(String::new(), |mut words, message| {
            if let SimpleQueryMessage::Row(row) = message {
                let cells: Vec<_> = (0..row.len()).map(|i| row.get(i)).collect();
                let _infallible = write!(words, "{cells:?}");
            } else {
                words.push('|');
            }
            words
        }),
    }
}

async fn connect(server: &Postgres) -> Result<Client> {
    let words = format!(
        "host=127.0.0.1 port={} user=app password=secret dbname=shop",
        server.port()
    );
    let (client, connection) = tokio_postgres::connect(&words, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A text and what the gateway reads of it are the same to a server, the one with the setting off, the other with it on.
#[test]
fn what_is_read_with_the_setting_on_is_what_a_server_reads_with_it_off() -> Result<()> {
    let options = Options {
        roles: vec![Role::new("app", "secret")],
        databases: vec!["shop".to_owned()],
        ..Options::default()
    };
    let server = Postgres::start(&options)?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let (old, new) = (connect(&server).await?, connect(&server).await?);
        old.simple_query(&SETTINGS.join("; ")).await?;
        let (mut random, mut read, mut rows) = (Random(7), 0, 0);
        for _ in 0..20_000 {
            let text = random.text();
            let Some(marked) = sallyport_sql::marked(&text) else {
                continue;
            };
            let (wanted, found) = (answer(&old, &text).await, answer(&new, &marked).await);
            ensure!(wanted == found, "`{text}` gives {wanted}, `{marked}` gives {found}");
            read += 1;
            rows += usize::from(wanted.contains('['));
        }
        ensure!(
            read > 2000 && rows > 500,
            "{read} texts were read, {rows} had rows: the comparison says little"
        );
        Ok(())
    })
}

/// What the server itself answers, text by text.
fn directly(endpoint: &Endpoint, text: &str) -> Result<Vec<Vec<Option<String>>>> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let (client, connection) = tokio_postgres::connect(&endpoint.dsn(), NoTls).await?;
        tokio::spawn(connection);
        for setting in SETTINGS {
            client.simple_query(setting).await?;
        }
        let mut rows = Vec::new();
        for message in client.simple_query(text).await? {
            if let SimpleQueryMessage::Row(row) = message {
                rows.push((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect());
            }
        }
        Ok(rows)
    })
}

#[test]
fn a_session_with_the_setting_off_works_and_hides_nothing() -> Result<()> {
    let classify = "[[columns]]\ncolumn = \"public.cards.number\"\nclass = \"pci\"\n";
    let policy = bundle(classify, &mask("pci", "redact"))?;
    let stage = Stage::start(&Plan::with_bundle(&policy))?;
    let cards =
        "CREATE TABLE cards (number text); INSERT INTO cards VALUES ('4111111111111111'); GRANT ALL ON cards TO app";
    stage.server.query("shop", cards)?;
    let mut through = Wire::open(&stage.through("alice")?)?;
    for setting in SETTINGS {
        rows(&through.simple(setting)?)?;
    }
    for text in [
        r"SELECT 'a\tb\\c', 'it''s', E'\x41'",
        r"SELECT 'x\', (SELECT number FROM cards) --'",
        r"SELECT length('\\\'')",
    ] {
        let wanted = directly(&stage.direct(), text)?;
        for answer in [through.simple(text)?, through.extended(text, 0)?] {
            let found = rows(&answer)?;
            ensure!(
                found == wanted && wanted.len() == 1,
                "{text}: {found:?}, not {wanted:?}"
            );
        }
    }
    // The old reading ends the string early, and a column follows.
    let leak = r"SELECT 'x\\', number || '', 'y' FROM cards";
    let found = rows(&through.simple(leak)?)?;
    let row = found.first().context("no row")?;
    ensure!(!format!("{row:?}").contains("4111111111111111"), "{row:?}");
    // What could be read in two ways goes nowhere.
    let answer = through.simple("SELECT 'x\\'\n'y'")?;
    let error = answer.iter().find(|said| said.kind == b'E').context("no error")?;
    let words = error.field(b'M').unwrap_or_default();
    ensure!(words.contains("standard_conforming_strings"), "{words}");
    Ok(())
}
