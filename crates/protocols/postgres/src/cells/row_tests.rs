#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::Strategy as _;
use sallyport_mask::{Detector, MaskKey, Rule, Scanner, Strategy};
use secrecy::SecretSlice;

use super::super::{CellError, ColumnPlan, Format, RowMasker, TypeKind, TypeMap};

pub(super) fn key() -> MaskKey {
    MaskKey::new(&SecretSlice::from(vec![7; 32]))
}

pub(super) fn types() -> TypeMap {
    let mut types = TypeMap::builtin();
    types.insert(90_001, TypeKind::Word);
    types.insert(90_002, TypeKind::Domain(20));
    types.insert(90_003, TypeKind::Composite(Some(Arc::from([20, 25]))));
    types.insert(90_004, TypeKind::Hstore);
    types.insert(90_005, TypeKind::array_of(90_003));
    types
}

pub(super) fn scanner() -> Arc<Scanner> {
    let rules = Detector::ALL.map(|detector| (detector, Strategy::Partial));
    Arc::new(Scanner::new(&rules, &key()))
}

pub(super) fn masker(columns: Vec<ColumnPlan>) -> RowMasker {
    RowMasker::new(columns, scanner(), Arc::new(key()), Arc::new(types()))
}

pub(super) fn message(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [b"D", &length.to_be_bytes()[..], body].concat()
}

pub(super) fn body(cells: &[Option<&[u8]>]) -> Vec<u8> {
    let mut out = i16::try_from(cells.len()).unwrap().to_be_bytes().to_vec();
    for cell in cells {
        let length = cell.map_or(-1, |cell| i32::try_from(cell.len()).unwrap());
        out.extend(length.to_be_bytes());
        out.extend(cell.unwrap_or_default());
    }
    out
}

/// What becomes of one cell: `None` for NULL.
fn cell(plan: ColumnPlan, value: &[u8]) -> Option<Vec<u8>> {
    let body = body(&[Some(value)]);
    let mut out = Vec::new();
    if !masker(vec![plan]).row(&body, &mut out).unwrap() {
        assert!(out.is_empty());
        return Some(value.to_vec());
    }
    assert_eq!(out[0], b'D');
    let length = u32::from_be_bytes(out[1..5].try_into().unwrap());
    assert_eq!(length as usize, out.len() - 1);
    assert_eq!(out[5..7], [0, 1]);
    match i32::from_be_bytes(out[7..11].try_into().unwrap()) {
        -1 => None,
        length => {
            assert_eq!(usize::try_from(length).unwrap(), out.len() - 11);
            Some(out[11..].to_vec())
        }
    }
}

fn text(type_oid: u32, value: &str) -> Option<String> {
    let plan = ColumnPlan {
        rule: None,
        type_oid,
        format: Format::Text,
    };
    cell(plan, value.as_bytes()).map(|cell| String::from_utf8(cell).unwrap())
}

fn ruled(strategy: Strategy, type_oid: u32, value: &str) -> Option<String> {
    let plan = ColumnPlan {
        rule: Some(strategy),
        type_oid,
        format: Format::Text,
    };
    cell(plan, value.as_bytes()).map(|cell| String::from_utf8(cell).unwrap())
}

fn binary(rule: Option<Strategy>, type_oid: u32, value: &[u8]) -> Option<Vec<u8>> {
    cell(
        ColumnPlan {
            rule,
            type_oid,
            format: Format::Binary,
        },
        value,
    )
}

#[test]
fn scalars_that_hold_a_value_become_null() {
    assert_eq!(text(20, "4111111111111111"), None);
    assert_eq!(text(1700, "4111111111111111.00"), None);
    assert_eq!(text(90_002, "4111111111111111"), None, "a domain over int8");
    assert_eq!(text(869, "203.0.113.7"), None);
    assert_eq!(text(90_001, "532-71-9001"), None, "an enum's label");
    assert_eq!(text(77_777, "ada@example.com"), None, "a type that nobody described");
    assert_eq!(text(20, "4111111111111112").as_deref(), Some("4111111111111112"));
    assert_eq!(
        text(1184, "2026-11-20 11:55:00+00").as_deref(),
        Some("2026-11-20 11:55:00+00")
    );
    let number = 4_111_111_111_111_111_i64.to_be_bytes();
    assert_eq!(binary(None, 20, &number), None);
    let numeric: Vec<u8> = [4_u16, 3, 0, 0, 4111, 1111, 1111, 1111]
        .iter()
        .flat_map(|w| w.to_be_bytes())
        .collect();
    assert_eq!(binary(None, 1700, &numeric), None);
}

#[test]
fn padding_and_names_keep_their_length() {
    assert_eq!(text(1042, "ada@example.com     ").unwrap(), "a***@example.com    ");
    assert_eq!(text(25, "ada@example.com ").unwrap(), "a***@example.com ");
    let long = format!("a@{}.com", "b".repeat(57));
    assert_eq!(text(19, &long).unwrap().len(), 63);
}

#[test]
fn arrays_keep_their_shape() {
    assert_eq!(text(1009, "{532-71-9001,x,NULL}").unwrap(), "{***-**-****,x,NULL}");
    assert_eq!(
        text(1009, r#"{{"a, ada@x.io","q\"\\"},{NULL,"NULL"}}"#).unwrap(),
        r#"{{"a, a***@x.io","q\"\\"},{NULL,"NULL"}}"#
    );
    assert_eq!(text(1016, "[0:1]={4111111111111111,42}").unwrap(), "[0:1]={NULL,42}");
    assert_eq!(text(1009, "{").as_deref(), Some("{"));
    assert_eq!(
        ruled(Strategy::Redact, 1009, "{Ada,\"B C\",NULL}").unwrap(),
        "{***,***,NULL}"
    );
    assert_eq!(ruled(Strategy::Zero, 1007, "{1,2}").unwrap(), "{0,0}");
    assert_eq!(
        text(90_005, r#"{"(4111111111111111,ada@x.io)"}"#).unwrap(),
        r#"{"(,a***@x.io)"}"#
    );
}

#[test]
fn composites_and_hstore_keep_their_quotes() {
    assert_eq!(
        text(2249, r#"(1,532-71-9001,"a,b",)"#).unwrap(),
        r#"(1,***-**-****,"a,b",)"#
    );
    assert_eq!(
        text(2249, r#"("x ""q"" ada@x.io")"#).unwrap(),
        r#"("x ""q"" a***@x.io")"#
    );
    assert_eq!(text(90_003, "(4111111111111111,x)").unwrap(), "(,x)");
    assert_eq!(
        text(90_004, r#""a"=>"ada@x.io", "532-71-9001"=>NULL"#).unwrap(),
        r#""a"=>"a***@x.io", "***-**-****"=>NULL"#
    );
}

#[test]
fn binary_containers_get_new_lengths() {
    let record = |number: &[u8], text: &[u8]| {
        let mut out = 2_i32.to_be_bytes().to_vec();
        for (oid, value) in [(20_u32, number), (25, text)] {
            out.extend(oid.to_be_bytes());
            let length = if value.is_empty() {
                -1
            } else {
                i32::try_from(value.len()).unwrap()
            };
            out.extend(length.to_be_bytes());
            out.extend(value);
        }
        out
    };
    let number = 4_111_111_111_111_111_i64.to_be_bytes();
    assert_eq!(
        binary(None, 2249, &record(&number, b"ada@x.io")).unwrap(),
        record(b"", b"a***@x.io")
    );
    let range: Vec<u8> = [&[2_u8, 0, 0, 0, 8][..], &number, &[0, 0, 0, 8], &number].concat();
    assert_eq!(binary(None, 3926, &range), None);
    let mut jsonb = vec![1];
    jsonb.extend(b"{\"n\": 4111111111111111}");
    assert_eq!(binary(None, 3802, &jsonb).unwrap(), b"\x01{\"n\": null}");
}

#[test]
fn rules_give_values_of_the_type() {
    assert_eq!(ruled(Strategy::Redact, 25, "Ada").unwrap(), "***");
    assert_eq!(ruled(Strategy::Redact, 23, "42"), None);
    assert_eq!(ruled(Strategy::Zero, 1700, "52000.50").unwrap(), "0.00");
    assert_eq!(ruled(Strategy::Zero, 790, "-$1,234.56").unwrap(), "$0.00");
    assert_eq!(ruled(Strategy::Year, 1082, "1980-05-17").unwrap(), "1980-01-01");
    assert_eq!(ruled(Strategy::Year, 1082, "0044-03-15 BC").unwrap(), "0044-01-01 BC");
    assert_eq!(ruled(Strategy::Year, 1082, "17.05.1980"), None, "another DateStyle");
    assert_eq!(
        ruled(Strategy::Year, 1184, "1980-05-17 10:11:12.5+02").unwrap(),
        "1980-01-01 00:00:00+02"
    );
    assert_eq!(ruled(Strategy::Redact, 3802, "{\"a\": 1}").unwrap(), "\"***\"");
    assert_eq!(ruled(Strategy::Redact, 17, "\\x00ff").unwrap(), "\\x2a2a2a");
    assert_eq!(ruled(Strategy::Null, 25, "Ada"), None);
    let card = ruled(Strategy::Card, 20, "4111111111111111").unwrap();
    assert!(card.starts_with('4') && card.len() == 16 && card != "4111111111111111");
    let uuid = ruled(Strategy::Hash, 2950, "a1b2c3d4-0000-4000-8000-000000000001").unwrap();
    assert_eq!((uuid.len(), &uuid[14..15]), (36, "8"));
    assert!(
        ruled(Strategy::Hash, 869, "10.0.0.1")
            .unwrap()
            .parse::<std::net::Ipv4Addr>()
            .is_ok()
    );
}

#[test]
fn rules_give_the_same_in_both_formats() {
    for number in [7_i64, 4_111_111_111_111_111, -5] {
        let in_text = ruled(Strategy::Hash, 20, &number.to_string()).unwrap();
        let in_binary = binary(Some(Strategy::Hash), 20, &number.to_be_bytes()).unwrap();
        assert_eq!(in_text, i64::from_be_bytes(in_binary.try_into().unwrap()).to_string());
    }
}

#[test]
fn null_and_empty_stay() {
    let plan = ColumnPlan {
        rule: Some(Strategy::Redact),
        type_oid: 25,
        format: Format::Text,
    };
    let mut masker = masker(vec![plan, plan]);
    let mut out = Vec::new();
    assert_eq!(masker.row(&body(&[None, Some(b"")]), &mut out), Ok(false));
    assert!(out.is_empty());
}

#[test]
fn columns_without_anything_to_find_need_no_look() {
    let plan = |type_oid, rule| ColumnPlan {
        rule,
        type_oid,
        format: Format::Binary,
    };
    let plain: Vec<_> = [16, 21, 23, 701, 1082, 1184, 2950].map(|oid| plan(oid, None)).to_vec();
    assert!(masker(plain).untouched());
    assert!(!masker(vec![plan(23, Some(Strategy::Zero))]).untouched());
    assert!(!masker(vec![plan(25, None)]).untouched());
}

#[test]
fn users_expressions_reach_every_type() {
    let custom = Rule::Custom {
        name: "year".to_owned(),
        regex: "1980".to_owned(),
    };
    let scanner = Scanner::with_rules(&[(custom, Strategy::Partial)], &key()).unwrap();
    let plan = |type_oid| ColumnPlan {
        rule: None,
        type_oid,
        format: Format::Text,
    };
    let mut masker = RowMasker::new(
        vec![plan(25), plan(23), plan(1082)],
        Arc::new(scanner),
        Arc::new(key()),
        Arc::new(TypeMap::builtin()),
    );
    let mut out = Vec::new();
    let row = body(&[Some(b"in 1980."), Some(b"1980"), Some(b"1980-05-17")]);
    assert_eq!(masker.row(&row, &mut out), Ok(true));
    assert_eq!(out[5..], body(&[Some(b"in [REDACTED:year]."), None, None]));
}

#[test]
fn rows_that_do_not_add_up_are_refused() {
    let plan = ColumnPlan::unknown(Format::Text);
    let good = body(&[Some(b"a"), None]);
    let mut cases: Vec<Vec<u8>> = (0..good.len()).map(|end| good[..end].to_vec()).collect();
    cases.push([&good[..], b"x"].concat());
    cases.push(vec![0, 2, 0xFF, 0xFF, 0xFF, 0xFE, 0, 0, 0, 0]);
    for case in cases {
        let result = masker(vec![plan, plan]).row(&case, &mut Vec::new());
        assert!(matches!(result, Err(CellError::Malformed(_))), "{case:?}");
    }
    let result = masker(vec![plan]).row(&good, &mut Vec::new());
    assert_eq!(result, Err(CellError::Columns { expected: 1, got: 2 }));
}

/// Texts in which detectors start at the edges, so that what lies around a cell would show.
pub(super) fn edge() -> impl proptest::strategy::Strategy<Value = String> {
    let value = prop_oneof![
        Just("4111111111111111"),
        Just("532-71-9001"),
        Just("ada@example.com"),
        Just("203.0.113.7"),
        Just("+14155550132"),
        Just(""),
    ];
    (value, "[ a-c0-9.]{0,60}", any::<bool>()).prop_map(|(value, pad, first)| {
        if first {
            value.to_owned() + " " + &pad
        } else {
            pad + " " + value
        }
    })
}

#[test]
fn a_day_beyond_all_timestamps_is_masked_as_any() {
    for days in [
        100_000_512_i32,
        106_751_991,
        106_751_992,
        -106_751_993,
        i32::MAX - 1,
        i32::MIN + 1,
    ] {
        let value = days.to_be_bytes();
        for rule in [Strategy::Redact, Strategy::Hash, Strategy::Year] {
            assert_ne!(
                binary(Some(rule), 1082, &value).as_deref(),
                Some(&value[..]),
                "{days} {rule}"
            );
        }
    }
}

proptest! {
    #[test]
    fn a_row_is_masked_as_its_cells_are(values in proptest::collection::vec(edge(), 1..9)) {
        let plan = ColumnPlan { rule: None, type_oid: 25, format: Format::Text };
        let cells: Vec<_> = values.iter().map(|value| Some(value.as_bytes())).collect();
        let row = body(&cells);
        let mut out = Vec::new();
        let changed = masker(vec![plan; values.len()]).row(&row, &mut out).unwrap();
        let got = if changed { out[5..].to_vec() } else { row };
        let single: Vec<_> = values.iter().map(|value| cell(plan, value.as_bytes())).collect();
        let want: Vec<_> = single.iter().map(Option::as_deref).collect();
        prop_assert_eq!(got, body(&want));
    }

    #[test]
    fn noise_of_any_type_never_panics(
        value in proptest::collection::vec(any::<u8>(), 1..80),
        oid in proptest::sample::select(vec![
            0_u32, 16, 17, 18, 19, 20, 21, 23, 25, 114, 142, 650, 700, 701, 790, 869, 1009, 1016,
            1042, 1082, 1114, 1184, 1700, 2249, 2950, 3614, 3802, 3926, 4536, 90_003, 90_004, 90_005,
        ]),
        format in proptest::sample::select(vec![Format::Text, Format::Binary]),
        rule in proptest::sample::select(vec![
            None,
            Some(Strategy::Redact),
            Some(Strategy::KeepLast(4)),
            Some(Strategy::Hash),
            Some(Strategy::Zero),
            Some(Strategy::Year),
            Some(Strategy::Card),
            Some(Strategy::Email),
        ]),
    ) {
        let _ = cell(ColumnPlan { rule, type_oid: oid, format }, &value);
    }
}
