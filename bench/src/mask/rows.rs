//! Rows as they come out of databases, made by arithmetic so that every run has the same.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sallyport_mask::Strategy;

/// Rows of one result.
pub(crate) struct Rows {
    pub(crate) name: &'static str,
    /// The types of the columns.
    pub(crate) columns: Vec<u32>,
    /// How values of columns are replaced whatever they are.
    pub(crate) rules: Vec<Option<Strategy>>,
    pub(crate) count: usize,
    /// The rows as lines with tabs between the cells.
    pub(crate) text: Vec<u8>,
    /// The same cells as `DataRow` messages.
    pub(crate) messages: Vec<u8>,
    /// The same lines as messages of a COPY.
    pub(crate) copied: Vec<u8>,
    /// How long each cell is, row by row.
    pub(crate) cells: Vec<usize>,
}

const BOOL: u32 = 16;
const INT8: u32 = 20;
const INT4: u32 = 23;
const TEXT: u32 = 25;
const VARCHAR: u32 = 1043;
const TIMESTAMPTZ: u32 = 1184;
const NUMERIC: u32 = 1700;

/// About so many bytes of text: they stay in the second cache, as what was just received does.
const SIZE: usize = 256 * 1024;

/// Something to find in almost every cell.
pub(crate) fn heavy() -> Rows {
    let columns = vec![
        INT8,
        TIMESTAMPTZ,
        TEXT,
        VARCHAR,
        TEXT,
        TEXT,
        TEXT,
        TEXT,
        TEXT,
        TEXT,
        TEXT,
    ];
    Rows::new("heavy: personal data and keys in every row", columns, |dice, row| {
        let name = dice.one_of(&NAMES);
        let domain = dice.one_of(&DOMAINS);
        vec![
            row.to_string(),
            time(dice),
            format!("{name} {}", dice.one_of(&SURNAMES)),
            format!("{}.{row}@{domain}", name.to_lowercase()),
            card(dice),
            format!(
                "{:03}-{:02}-{:04}",
                dice.below(665) + 1,
                dice.below(98) + 1,
                dice.below(9998) + 1
            ),
            format!(
                "{}.{}.{}.{}",
                11 + dice.below(200),
                dice.below(256),
                dice.below(256),
                dice.below(256)
            ),
            format!(
                "+1 {} {} {:04}",
                200 + dice.below(700),
                200 + dice.below(700),
                dice.below(10_000)
            ),
            format!("AKIA{}", dice.letters(BASE32, 16)),
            jwt(dice, row),
            format!("{} {name}@{domain}, {}", dice.words(4), dice.words(4)),
        ]
    })
}

/// Something to find in one row of fifty.
pub(crate) fn light() -> Rows {
    let columns = vec![INT8, TIMESTAMPTZ, TEXT, VARCHAR, NUMERIC, TEXT, TEXT];
    Rows::new("light: an address in one row of fifty", columns, |dice, row| {
        let address = if row % 50 == 7 { " ada@example.com" } else { "" };
        vec![
            row.to_string(),
            time(dice),
            format!("{} {}", dice.one_of(&NAMES), dice.one_of(&SURNAMES)),
            dice.words(1),
            format!("{}.{:02}", dice.below(5000), dice.below(100)),
            format!("ORD-{:06}/{}", dice.below(1_000_000), dice.letters(BASE32, 2)),
            format!("{}{address}", dice.words(9)),
        ]
    })
}

/// Numbers and short texts, nothing to find: what most results are.
pub(crate) fn narrow() -> Rows {
    let columns = vec![INT4, INT4, BOOL, VARCHAR, TEXT, NUMERIC, INT4, INT8];
    Rows::new("narrow: numbers and short texts", columns, |dice, row| {
        vec![
            row.to_string(),
            dice.below(100_000).to_string(),
            if dice.below(2) == 0 { "t" } else { "f" }.to_owned(),
            dice.words(1),
            format!("{} {}", dice.one_of(&NAMES), dice.one_of(&SURNAMES)),
            format!("{}.{:02}", dice.below(5000), dice.below(100)),
            dice.below(1000).to_string(),
            dice.below(1_000_000_000).to_string(),
        ]
    })
}

/// Three of six columns are classified, as in the table that `cargo xtask bench postgres` reads.
pub(crate) fn ruled() -> Rows {
    let columns = vec![INT4, TEXT, TEXT, TEXT, TEXT, TEXT];
    let mut rows = Rows::new("ruled: three of six columns are replaced", columns, |dice, row| {
        vec![
            row.to_string(),
            format!("Customer {row}"),
            format!("user{row}@example.com"),
            card(dice).replace(' ', ""),
            format!("{:03}-12-3456", dice.below(899) + 1),
            format!("A note of usual length about customer {row}, who lives at the corner"),
        ]
    });
    let rules = [Strategy::Partial, Strategy::KeepLast(4), Strategy::Redact];
    for (slot, rule) in rows.rules.iter_mut().skip(2).zip(rules) {
        *slot = Some(rule);
    }
    rows
}

impl Rows {
    fn new(name: &'static str, columns: Vec<u32>, row: impl Fn(&mut Dice, usize) -> Vec<String>) -> Rows {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        let mut rows = Rows {
            name,
            rules: vec![None; columns.len()],
            columns,
            count: 0,
            text: Vec::new(),
            messages: Vec::new(),
            copied: Vec::new(),
            cells: Vec::new(),
        };
        while rows.text.len() < SIZE {
            let cells = row(&mut dice, rows.count + 100_000);
            rows.add(&cells);
        }
        rows
    }

    fn add(&mut self, cells: &[String]) {
        let length = 6 + cells.iter().map(|cell| 4 + cell.len()).sum::<usize>();
        self.messages.push(b'D');
        self.messages.extend((length as u32).to_be_bytes());
        self.messages.extend((cells.len() as u16).to_be_bytes());
        let line = self.text.len();
        for cell in cells {
            self.messages.extend((cell.len() as u32).to_be_bytes());
            self.messages.extend(cell.as_bytes());
            self.text.extend(cell.as_bytes());
            self.text.push(b'\t');
            self.cells.push(cell.len());
        }
        if let Some(last) = self.text.last_mut() {
            *last = b'\n';
        }
        let line = self.text.get(line..).unwrap_or_default();
        self.copied.push(b'd');
        self.copied.extend((4 + line.len() as u32).to_be_bytes());
        self.copied.extend(line);
        self.count += 1;
    }
}

const NAMES: [&str; 8] = ["Ada", "Grace", "Edsger", "Barbara", "Donald", "Frances", "Ken", "Radia"];
const SURNAMES: [&str; 8] = [
    "Lovelace", "Hopper", "Dijkstra", "Liskov", "Knuth", "Allen", "Thompson", "Perlman",
];
const DOMAINS: [&str; 5] = [
    "example.com",
    "mail.example.org",
    "corp.example.co.uk",
    "example.de",
    "post.example.net",
];
const WORDS: [&str; 16] = [
    "delivery", "late", "the", "customer", "asked", "for", "a", "refund", "shipped", "with", "blue", "paper", "on",
    "Monday", "invoice", "open",
];
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn time(dice: &mut Dice) -> String {
    format!(
        "2026-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00",
        1 + dice.below(12),
        1 + dice.below(28),
        dice.below(24),
        dice.below(60),
        dice.below(60),
        dice.below(1_000_000)
    )
}

/// A number with a right check digit, in groups or in one piece.
fn card(dice: &mut Dice) -> String {
    let mut digits: Vec<usize> = std::iter::once(4).chain((0..14).map(|_| dice.below(10))).collect();
    let doubled = |(at, digit): (usize, &usize)| match (at % 2, *digit * 2) {
        (0, twice) if twice > 9 => twice - 9,
        (0, twice) => twice,
        _ => *digit,
    };
    let sum: usize = digits.iter().enumerate().map(doubled).sum();
    digits.push((10 - sum % 10) % 10);
    let grouped = dice.below(2) == 0;
    let mut out = String::new();
    for (at, digit) in digits.iter().enumerate() {
        if grouped && at > 0 && at % 4 == 0 {
            out.push(' ');
        }
        let _written = write!(out, "{digit}");
    }
    out
}

fn jwt(dice: &mut Dice, row: usize) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let until = 1_790_000_000 + dice.below(10_000_000);
    let payload = URL_SAFE_NO_PAD.encode(format!(
        r#"{{"sub":"{row}","iss":"https://login.example.com","exp":{until}}}"#
    ));
    format!("{header}.{payload}.{}", dice.letters(BASE64, 43))
}

/// Numbers that look random and are the same in every run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices.get(self.below(choices.len())).copied().unwrap_or_default()
    }

    fn letters(&mut self, alphabet: &[u8], count: usize) -> String {
        (0..count)
            .filter_map(|_| alphabet.get(self.below(alphabet.len())).copied().map(char::from))
            .collect()
    }

    fn words(&mut self, count: usize) -> String {
        let words: Vec<_> = (0..count).map(|_| self.one_of(&WORDS)).collect();
        words.join(" ")
    }
}
