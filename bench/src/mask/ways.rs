//! What is measured, and the anchors beside it.

use std::sync::Arc;

use regex::bytes::{Regex, RegexSet};
use sallyport_mask::{Detector, MaskKey, Scanner, Scratch, Strategy};
use sallyport_postgres::cells::{ColumnPlan, CopyFormat, CopyMasker, Format, RowMasker, TextOptions, TypeMap};

use crate::rows::Rows;

/// One way to go through the rows.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// How many bytes it takes.
    pub(crate) bytes: fn(&Rows) -> usize,
    /// Goes through all rows and gives a number that depends on all of them.
    pub(crate) run: Box<dyn FnMut(&Rows) -> usize>,
}

/// All ways; the first is the anchor of the ratios.
pub(crate) fn all(rows: &Rows) -> Vec<Way> {
    vec![
        text("touch every byte", |rows| {
            memchr::memchr3_iter(0x01, 0x02, 0x03, &rows.text).count()
        }),
        text("copy", copy()),
        text("mask, all rows at once", whole()),
        text("mask, row by row", row_by_row()),
        text("mask, cell by cell", cell_by_cell()),
        Way {
            name: "DataRow messages, one by one",
            bytes: |rows| rows.messages.len(),
            run: Box::new(messages(rows)),
        },
        Way {
            name: "DataRow messages, as they were received",
            bytes: |rows| rows.messages.len(),
            run: Box::new(runs(rows)),
        },
        Way {
            name: "COPY in text, as it was received",
            bytes: |rows| rows.copied.len(),
            run: Box::new(copied(rows)),
        },
        text("one regex of alternatives, finding only", alternation()),
        text("regex set, then each, finding only", set_then_each()),
    ]
}

fn text(name: &'static str, run: impl FnMut(&Rows) -> usize + 'static) -> Way {
    Way {
        name,
        bytes: |rows| rows.text.len(),
        run: Box::new(run),
    }
}

fn key() -> MaskKey {
    MaskKey::new(&vec![7; 32].into())
}

fn scanner() -> Scanner {
    Scanner::new(&Detector::ALL.map(|detector| (detector, Strategy::Partial)), &key())
}

fn copy() -> impl FnMut(&Rows) -> usize {
    let mut out = Vec::new();
    move |rows| {
        out.clear();
        out.extend_from_slice(&rows.text);
        out.len()
    }
}

fn whole() -> impl FnMut(&Rows) -> usize {
    let (scanner, mut scratch, mut out) = (scanner(), Scratch::default(), Vec::new());
    move |rows| {
        out.clear();
        scanner.scan_with(&rows.text, &mut scratch, &mut out);
        out.len()
    }
}

fn row_by_row() -> impl FnMut(&Rows) -> usize {
    let (scanner, mut scratch, mut out) = (scanner(), Scratch::default(), Vec::new());
    move |rows| {
        out.clear();
        for row in rows.text.split_inclusive(|byte| *byte == b'\n') {
            scanner.scan_with(row, &mut scratch, &mut out);
        }
        out.len()
    }
}

fn cell_by_cell() -> impl FnMut(&Rows) -> usize {
    let (scanner, mut scratch, mut out) = (scanner(), Scratch::default(), Vec::new());
    move |rows| {
        out.clear();
        let mut at = 0;
        for length in &rows.cells {
            let cell = rows.text.get(at..at + length).unwrap_or_default();
            scanner.scan_with(cell, &mut scratch, &mut out);
            at += length + 1;
        }
        out.len()
    }
}

fn plans(rows: &Rows) -> Vec<ColumnPlan> {
    let plan = |(type_oid, rule): (&u32, &Option<Strategy>)| ColumnPlan {
        rule: *rule,
        type_oid: *type_oid,
        format: Format::Text,
    };
    rows.columns.iter().zip(&rows.rules).map(plan).collect()
}

fn masker(rows: &Rows) -> RowMasker {
    RowMasker::new(
        plans(rows),
        Arc::new(scanner()),
        Arc::new(key()),
        Arc::new(TypeMap::builtin()),
    )
}

/// As a connection does: what does not change is sent on from where it was received.
fn messages(rows: &Rows) -> impl FnMut(&Rows) -> usize + use<> {
    let (mut masker, mut out) = (masker(rows), Vec::new());
    move |rows| {
        let mut rest = rows.messages.as_slice();
        let mut sent = 0;
        while let Some((head, _)) = rest.split_first_chunk::<5>() {
            let [_, length @ ..] = *head;
            let (message, next) = rest.split_at(1 + u32::from_be_bytes(length) as usize);
            rest = next;
            out.clear();
            let changed = masker.row(message.get(5..).unwrap_or_default(), &mut out);
            sent += if matches!(changed, Ok(true)) {
                out.len()
            } else {
                message.len()
            };
        }
        sent
    }
}

/// Sixteen kilobytes at a time, as one read of a socket gives.
fn runs(rows: &Rows) -> impl FnMut(&Rows) -> usize + use<> {
    let (mut masker, mut out) = (masker(rows), Vec::new());
    move |rows| {
        let mut at = 0;
        let mut sent = 0;
        while let Some(rest) = rows.messages.get(at..).filter(|rest| !rest.is_empty()) {
            let received = rest.get(..16 * 1024).unwrap_or(rest);
            out.clear();
            let Ok(done) = masker.rows(received, &mut out) else {
                return 0;
            };
            sent += if done.changed { out.len() } else { done.taken };
            at += done.taken;
        }
        sent
    }
}

/// The same for COPY.
fn copied(rows: &Rows) -> impl FnMut(&Rows) -> usize + use<> {
    let format = CopyFormat::Text(TextOptions::default());
    let (scanner, key, types) = (Arc::new(scanner()), Arc::new(key()), Arc::new(TypeMap::builtin()));
    let mut masker = CopyMasker::new(format, plans(rows), scanner, key, types);
    let mut out = Vec::new();
    move |rows| {
        let mut at = 0;
        let mut sent = 0;
        while let Some(rest) = rows.copied.get(at..).filter(|rest| !rest.is_empty()) {
            let received = rest.get(..16 * 1024).unwrap_or(rest);
            out.clear();
            let Ok(done) = masker.messages(received, &mut out) else {
                return 0;
            };
            if done.count == 0 {
                return 0;
            }
            sent += if done.changed { out.len() } else { done.taken };
            at += done.taken;
        }
        sent
    }
}

/// The shapes of what the detectors find, without what follows the look: check digits, ranges, neighbours.
const SHAPES: [&str; 16] = [
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY",
    r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",
    r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
    r"(?i:aws_secret_access_key)\W{1,6}[A-Za-z0-9/+]{40}",
    r"\bAIza[A-Za-z0-9_-]{35}",
    r"\b(?:gh[pousr]|npm)_[A-Za-z0-9]{36}\b",
    r"\bgithub_pat_[A-Za-z0-9_]{82}\b",
    r"\bglpat-[A-Za-z0-9_.-]{20,}",
    r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    r"\b[rs]k_live_[A-Za-z0-9]{24,}",
    r"[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/]*@",
    r"\b[A-Z]{2}\d\d(?: ?[A-Z0-9]){11,30}\b",
    r"\b\d(?:[ -]?\d){12,18}\b",
    r"\b\d{3}[- ]\d\d[- ]\d{4}\b",
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    r"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}|\b\d{3}[.-]\d{3}[.-]\d{4}\b|\b\d{1,3}(?:\.\d{1,3}){3}\b|[0-9a-fA-F:]*::?[0-9a-fA-F:]{2,}",
];

#[expect(clippy::expect_used, reason = "constants of this file")]
fn regex(pattern: &str) -> Regex {
    Regex::new(&ascii(pattern)).expect("a pattern of this file")
}

/// The patterns are for ASCII: Unicode classes would be slower still.
fn ascii(pattern: &str) -> String {
    format!("(?-u){pattern}")
}

fn alternation() -> impl FnMut(&Rows) -> usize {
    let regex = regex(&SHAPES.join("|"));
    move |rows| regex.find_iter(&rows.text).map(|found| found.len()).sum()
}

#[expect(clippy::expect_used, reason = "constants of this file")]
fn set_then_each() -> impl FnMut(&Rows) -> usize {
    let set = RegexSet::new(SHAPES.map(ascii)).expect("patterns of this file");
    let each = SHAPES.map(regex);
    move |rows| {
        let mut found = 0;
        for row in rows.text.split_inclusive(|byte| *byte == b'\n') {
            for regex in set.matches(row).iter().filter_map(|number| each.get(number)) {
                found += regex.find_iter(row).count();
            }
        }
        found
    }
}
