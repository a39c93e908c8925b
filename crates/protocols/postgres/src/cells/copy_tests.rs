#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use proptest::prelude::*;
use sallyport_mask::{Detector, MaskKey, Scanner, Strategy};
use secrecy::SecretSlice;

use super::super::{CellError, ColumnPlan, CopyFormat, CopyMasker, CsvOptions, Encoding, Format, TextOptions, TypeMap};

pub(super) fn masker(format: CopyFormat, columns: Vec<ColumnPlan>) -> CopyMasker {
    let key = MaskKey::new(&SecretSlice::from(vec![7; 32]));
    let rules = Detector::ALL.map(|detector| (detector, Strategy::Partial));
    let scanner = Scanner::new(&rules, &key);
    CopyMasker::new(
        format,
        columns,
        Arc::new(scanner),
        Arc::new(key),
        Arc::new(TypeMap::builtin()),
    )
}

pub(super) fn column(type_oid: u32, rule: Option<Strategy>) -> ColumnPlan {
    ColumnPlan {
        rule,
        type_oid,
        format: Format::Text,
    }
}

fn through(mut masker: CopyMasker, pieces: &[&[u8]]) -> Result<Vec<u8>, CellError> {
    let mut out = Vec::new();
    for piece in pieces {
        masker.data(piece, &mut out)?;
    }
    masker.finish(&mut out)?;
    Ok(out)
}

fn text(columns: Vec<ColumnPlan>, data: &[u8]) -> String {
    let masker = masker(CopyFormat::Text(TextOptions::default()), columns);
    String::from_utf8(through(masker, &[data]).unwrap()).unwrap()
}

fn csv(columns: Vec<ColumnPlan>, data: &[u8]) -> String {
    let masker = masker(CopyFormat::Csv(CsvOptions::default()), columns);
    String::from_utf8(through(masker, &[data]).unwrap()).unwrap()
}

/// The binary COPY of one row.
pub(super) fn tuple(fields: &[Option<&[u8]>]) -> Vec<u8> {
    let mut out = i16::try_from(fields.len()).unwrap().to_be_bytes().to_vec();
    for field in fields {
        match field {
            None => out.extend((-1_i32).to_be_bytes()),
            Some(bytes) => {
                out.extend(i32::try_from(bytes.len()).unwrap().to_be_bytes());
                out.extend(*bytes);
            }
        }
    }
    out
}

pub(super) const HEADER: &[u8] = b"PGCOPY\n\xFF\r\n\0\0\0\0\0\0\0\0\0";

fn binary(rows: &[Vec<u8>]) -> Vec<u8> {
    [HEADER.to_vec(), rows.concat(), vec![0xFF, 0xFF]].concat()
}

#[test]
fn text_rows_with_escapes_and_nulls() {
    assert_eq!(text(vec![], b"1\ta\\tb\\n532-71-9001\n"), "1\ta\\tb\\n***-**-****\n");
    assert_eq!(text(vec![], b"\\N\tada@example.com\n"), "\\N\ta***@example.com\n");
    assert_eq!(text(vec![column(20, None)], b"4111111111111111\n"), "\\N\n");
    let json = b"{\"a\": \"\\\\u0035\\\\u0033\\\\u0032-71-9001\"}\n";
    assert_eq!(text(vec![column(114, None)], json), "{\"a\": \"***-**-****\"}\n");
    assert_eq!(
        text(vec![column(17, None)], b"\\\\x3533322d37312d39303031\n"),
        "\\\\x2a2a2a2d2a2a2d2a2a2a2a\n"
    );
}

#[test]
fn rules_reach_their_column_only() {
    let columns = || vec![column(25, None), column(25, Some(Strategy::Redact))];
    assert_eq!(text(columns(), b"Ada\tByron\nBob\t\\N\n"), "Ada\t***\nBob\t\\N\n");
    assert_eq!(
        csv(columns(), b"Ada,Byron\nBob,\nEve,\"\"\n"),
        "Ada,***\nBob,\nEve,\"\"\n"
    );
}

#[test]
fn rows_with_other_columns_are_refused() {
    let masker = masker(CopyFormat::Text(TextOptions::default()), vec![column(25, None)]);
    let result = through(masker, &[b"a\\b\tb\n"]);
    assert_eq!(result, Err(CellError::Columns { expected: 1, got: 2 }));
}

#[test]
fn csv_fields_keep_their_quotes() {
    assert_eq!(
        csv(vec![], b"\"say \"\"hi\"\", ada@example.com\",2\n"),
        "\"say \"\"hi\"\", a***@example.com\",2\n"
    );
    assert_eq!(
        csv(vec![], b"\"two\nlines 532-71-9001\",x\n"),
        "\"two\nlines ***-**-****\",x\n"
    );
    assert_eq!(csv(vec![column(20, None)], b"4111111111111111\n"), "\n");
}

#[test]
fn the_names_in_a_header_are_no_values() {
    for format in with_header() {
        let masker = masker(format, vec![column(25, Some(Strategy::Redact))]);
        let out = through(masker, &[b"name\nAda\n"]).unwrap();
        assert_eq!(out, b"name\n***\n");
    }
}

#[test]
fn a_value_that_stands_where_a_name_should_is_found() {
    for format in with_header() {
        // Nothing would be looked for in a column of this type.
        for columns in [vec![column(16, None)], vec![column(25, Some(Strategy::Redact))], vec![]] {
            let ends = [&b"532-71-9001\n"[..], b"532-71-9001"];
            for header in ends {
                let masker = masker(format.clone(), columns.clone());
                assert!(!masker.untouched());
                let out = through(masker, &[header]).unwrap();
                assert!(out.starts_with(b"***-**-****"), "{format:?} {columns:?}");
            }
        }
    }
}

fn with_header() -> [CopyFormat; 2] {
    [
        CopyFormat::Csv(CsvOptions {
            header: true,
            ..CsvOptions::default()
        }),
        CopyFormat::Text(TextOptions {
            header: true,
            ..TextOptions::default()
        }),
    ]
}

#[test]
fn a_trail_byte_that_looks_like_a_backslash_hides_no_delimiter() {
    let options = TextOptions {
        encoding: Encoding::Sjis,
        ..TextOptions::default()
    };
    let columns = vec![column(25, None), column(25, Some(Strategy::Redact))];
    let masker = masker(CopyFormat::Text(options), columns);
    let out = through(masker, &[b"\x95\\\tsecret\n"]).unwrap();
    assert_eq!(out, b"\x95\\\t***\n");
}

#[test]
fn binary_fields_get_their_new_lengths() {
    let number = 4_111_111_111_111_111_i64.to_be_bytes();
    let data = binary(&[tuple(&[Some(b"532-71-9001 and more"), None, Some(&number)])]);
    let want = binary(&[tuple(&[Some(b"***-**-**** and more"), None, None])]);
    assert_eq!(through(masker(CopyFormat::Binary, vec![]), &[&data]).unwrap(), want);
}

#[test]
fn nonsense_in_binary_is_refused() {
    let good = binary(&[tuple(&[Some(b"x")])]);
    let cases: Vec<Vec<u8>> = vec![
        b"PGCOPX\n".to_vec(),
        [HEADER, &[0xFF, 0xFE]].concat(),
        [HEADER, &tuple(&[Some(b"x")])[..5]].concat(),
        [&good[..], b"after"].concat(),
        [&HEADER[..11], &[0, 1, 0, 0, 0, 0, 0, 0]].concat(),
    ];
    for case in cases {
        assert!(
            through(masker(CopyFormat::Binary, vec![]), &[&case]).is_err(),
            "{case:?}"
        );
    }
}

#[test]
fn a_row_without_end_is_refused() {
    let mut masker = masker(CopyFormat::Text(TextOptions::default()), vec![]);
    masker.limit = 1000;
    let mut out = Vec::new();
    masker.data(&[b'x'; 900], &mut out).unwrap();
    assert_eq!(
        masker.data(&[b'x'; 900], &mut out),
        Err(CellError::TooLong { limit: 1000 })
    );
    assert!(out.is_empty());
}

/// Values that are masked, that nearly are, and that are nothing.
fn value() -> impl proptest::strategy::Strategy<Value = String> {
    prop_oneof![
        Just("532-71-9001".to_owned()),
        Just("ada@example.com".to_owned()),
        Just("4111111111111111".to_owned()),
        Just("say \"hi\"\\ twice\t, or\nmore".to_owned()),
        Just(String::new()),
        "[ -~]{0,20}",
    ]
}

pub(super) fn csv_field(value: &str) -> String {
    format!("\"{}\"", value.replace('"', "\"\""))
}

pub(super) fn text_field(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n")
}

proptest! {
    #[test]
    fn every_cut_gives_the_same_csv(
        rows in proptest::collection::vec((value(), value()), 1..5),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let data: String =
            rows.iter().map(|(a, b)| format!("{},{}\n", csv_field(a), csv_field(b))).collect();
        let make = || masker(CopyFormat::Csv(CsvOptions::default()), vec![]);
        same_in_pieces(make, data.as_bytes(), &cuts)?;
    }

    #[test]
    fn every_cut_gives_the_same_text(
        rows in proptest::collection::vec((value(), value()), 1..5),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let data: String =
            rows.iter().map(|(a, b)| format!("{}\t{}\n", text_field(a), text_field(b))).collect();
        let make = || masker(CopyFormat::Text(TextOptions::default()), vec![]);
        same_in_pieces(make, data.as_bytes(), &cuts)?;
    }

    #[test]
    fn every_cut_gives_the_same_binary(
        rows in proptest::collection::vec((value(), value()), 1..5),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let rows: Vec<_> =
            rows.iter().map(|(a, b)| tuple(&[Some(a.as_bytes()), None, Some(b.as_bytes())])).collect();
        same_in_pieces(|| masker(CopyFormat::Binary, vec![]), &binary(&rows), &cuts)?;
    }

    #[test]
    fn noise_never_panics(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        for format in [
            CopyFormat::Binary,
            CopyFormat::Text(TextOptions { encoding: Encoding::Gb18030, ..TextOptions::default() }),
            CopyFormat::Csv(CsvOptions { escape: b'\\', ..CsvOptions::default() }),
        ] {
            let mut masker = masker(format, vec![]);
            let mut out = Vec::new();
            let _ = masker.data(&data, &mut out);
            let _ = masker.finish(&mut out);
        }
    }
}

/// The pieces give what the whole gives, and neither shows a value.
fn same_in_pieces(
    make: impl Fn() -> CopyMasker,
    data: &[u8],
    cuts: &[proptest::sample::Index],
) -> Result<(), TestCaseError> {
    let whole = through(make(), &[data]).unwrap();
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(data.len())).collect();
    cuts.extend([0, data.len()]);
    cuts.sort_unstable();
    let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &data[pair[0]..pair[1]]).collect();
    prop_assert_eq!(&through(make(), &pieces).unwrap(), &whole);
    for value in ["532-71-9001", "ada@example.com", "4111111111111111"] {
        prop_assert!(memchr::memmem::find(&whole, value.as_bytes()).is_none());
    }
    Ok(())
}
