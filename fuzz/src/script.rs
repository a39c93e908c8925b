//! A fuzzer's bytes as a script of what happens.

use std::sync::{Arc, OnceLock};

use sallyport_policy::{Bundle, Classification, Reveal, SchemaFragment};
use sallyport_postgres::Postgres;
use sallyport_postgres::testing::OWN_NAME;
use sallyport_session::{Protocol, Reveals, testing};

use crate::server::SECRET;

/// Statements that make the machine, or a server, do something of its own.
const STATEMENTS: [&str; 32] = [
    "SELECT 1",
    "SELECT name, card_number FROM customers",
    "SELECT to_jsonb(c) FROM customers c",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "ROLLBACK TO a",
    "SELECT error",
    "SELECT 1; SELECT 2",
    "",
    "COPY customers TO STDOUT",
    "COPY customers FROM STDIN",
    "COPY (SELECT card_number FROM customers) TO STDOUT (FORMAT binary)",
    "COPY customers TO STDOUT (FORMAT csv, HEADER)",
    "PREPARE s AS SELECT card_number FROM customers",
    "EXECUTE s",
    "DEALLOCATE s",
    "DEALLOCATE ALL",
    "DECLARE c CURSOR FOR SELECT card_number FROM customers",
    "FETCH ALL FROM c",
    "CLOSE c",
    "SET search_path = other",
    "SET standard_conforming_strings = off",
    "SELECT 'a\\'",
    "DISCARD ALL",
    "CREATE TEMP TABLE customers (id int)",
    "DROP TABLE customers",
    "DO $$ BEGIN END $$",
    "EXPLAIN SELECT 1",
    "not a statement",
    "LISTEN c",
];

/// One thing that happens.
#[derive(Debug)]
pub enum Step {
    /// The client sends bytes.
    Client(Vec<u8>),
    /// The target sends bytes that nobody need have asked for.
    Target(Vec<u8>),
    /// The target answers everything that it has got.
    Serve,
    /// The target says something of its own accord: a notice, a notification, a setting.
    Aside(u8),
    /// A held command is approved.
    Approve,
    /// A held command is denied.
    Deny,
    /// The client cancels.
    Interrupt,
}

/// What the gate says when it is asked.
#[derive(Clone, Copy, Debug)]
pub enum Says {
    Permit,
    Refuse,
    Hold,
}

/// What is classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Nothing, and no rule reads what names mean.
    Nothing,
    /// Nothing, but rules read what names mean.
    Names,
    /// What the example policy classifies; all of it is redacted.
    Example,
}

/// The script.
#[derive(Debug)]
pub struct Script {
    pub policy: Policy,
    /// Bytes that arrive at a time in the second run.
    pub cut: usize,
    /// What the gate says, over and over.
    pub rulings: Vec<Says>,
    pub steps: Vec<Step>,
    /// Neither the target nor the client says anything but what real ones do.
    honest: bool,
}

impl Script {
    /// Reads a script; none for bytes that use a name that only the gateway has.
    pub fn read(data: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(data);
        let head = bytes.take(3)?;
        let &[policy, cut, rulings] = head else { return None };
        let contains = |needle: &[u8]| data.windows(needle.len()).any(|window| window == needle);
        if contains(OWN_NAME.as_bytes()) {
            return None;
        }
        let mut script = Self {
            policy: [Policy::Nothing, Policy::Names, Policy::Example][usize::from(policy % 3)],
            cut: usize::from(cut).max(1),
            rulings: rulings_of(rulings),
            steps: Vec::new(),
            honest: !contains(&SECRET.as_bytes()[..8]),
        };
        while let Some(&[what]) = bytes.take(1) {
            let step = script.step(what, &mut bytes)?;
            script.steps.push(step);
            if script.steps.len() == 200 {
                break;
            }
        }
        Some(script)
    }

    /// Whether no run of this script may show the target's secret.
    pub fn must_mask(&self) -> bool {
        self.honest && self.policy == Policy::Example
    }

    fn step(&mut self, what: u8, bytes: &mut Bytes<'_>) -> Option<Step> {
        Some(match what % 16 {
            0 => Step::Client(bytes.run()?.to_vec()),
            1 => {
                self.honest = false;
                Step::Target(bytes.run()?.to_vec())
            }
            2..=4 => Step::Serve,
            5 => Step::Aside(bytes.take(1)?[0]),
            6 => Step::Approve,
            7 => Step::Deny,
            8 => Step::Interrupt,
            9 | 10 => Step::Client(simple(bytes.statement()?)),
            11 => Step::Client(message(
                b'P',
                &[&bytes.name()?, bytes.statement()?.as_bytes(), b"\0\0\0"],
            )),
            12 => Step::Client(message(
                b'B',
                &[&bytes.name()?, &bytes.name()?, b"\0\0\0\0", bytes.formats()?],
            )),
            13 => Step::Client(message(b'E', &[&bytes.name()?, &[0, 0, 0, bytes.take(1)?[0] % 3]])),
            14 => {
                let kind = bytes.kind()?;
                Step::Client(message(
                    if what & 16 == 0 { b'D' } else { b'C' },
                    &[kind, &bytes.name()?],
                ))
            }
            _ => Step::Client(match bytes.take(1)?[0] % 4 {
                0 => message(b'S', &[]),
                1 => message(b'H', &[]),
                2 => message(b'd', &[b"1\tx\n"]),
                _ => message(b'c', &[]),
            }),
        })
    }
}

fn rulings_of(byte: u8) -> Vec<Says> {
    let two = |shift: u8| match (byte >> shift) & 3 {
        0 | 1 => Says::Permit,
        2 => Says::Refuse,
        _ => Says::Hold,
    };
    vec![two(0), two(2), two(4), two(6)]
}

fn simple(statement: &str) -> Vec<u8> {
    message(b'Q', &[statement.as_bytes(), b"\0"])
}

fn message(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), &body].concat()
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Bytes with their number before them.
    fn run(&mut self) -> Option<&'a [u8]> {
        let &[high, low] = self.take(2)? else { return None };
        let count = usize::from(u16::from_be_bytes([high, low])).min(self.0.len());
        self.take(count)
    }

    fn statement(&mut self) -> Option<&'static str> {
        let which = self.take(1)?[0];
        Some(STATEMENTS[usize::from(which) % STATEMENTS.len()])
    }

    fn name(&mut self) -> Option<Vec<u8>> {
        Some(match self.take(1)?[0] % 3 {
            0 => b"\0".to_vec(),
            1 => b"s\0".to_vec(),
            _ => b"c\0".to_vec(),
        })
    }

    fn formats(&mut self) -> Option<&'static [u8]> {
        Some(if self.take(1)?[0] & 1 == 0 {
            b"\0\0"
        } else {
            b"\0\x01\0\x01"
        })
    }

    fn kind(&mut self) -> Option<&'static [u8]> {
        Some(if self.take(1)?[0] & 1 == 0 { b"S" } else { b"P" })
    }
}

/// What a policy classifies, and what may be seen of it.
pub fn terms(policy: Policy) -> (Arc<Classification>, Arc<Reveals>) {
    if policy != Policy::Example {
        let none = std::iter::empty::<(smol_str::SmolStr, Reveal)>();
        return (Arc::default(), testing::reveals(1, none));
    }
    static EXAMPLE: OnceLock<Arc<Classification>> = OnceLock::new();
    let classification = EXAMPLE.get_or_init(|| {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy");
        let ssh = include_str!("../../crates/protocols/ssh/src/schema.cedarschema");
        let schemas = [
            SchemaFragment::new("postgres", Postgres::SCHEMA),
            SchemaFragment::new("ssh", ssh),
        ];
        let bundle = Bundle::load(std::path::Path::new(dir), &schemas).expect("the example policy is valid");
        bundle.classification("orders")
    });
    let masked = |class| (class, Reveal::Mask("redact".into()));
    let classes = classification.all_classes().into_iter().map(masked);
    (Arc::clone(classification), testing::reveals(1, classes))
}
