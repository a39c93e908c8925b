//! Many messages at once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::Strategy as _;
use sallyport_mask::Strategy;

use super::super::batch::{CHUNK, LOOK_LIMIT};
use super::super::masker::{Masker, Outcome};
use super::super::{CellError, ColumnPlan, Format, Rows};
use super::tests::{body, edge, key, masker, message, scanner, types};

/// What becomes of rows if each value is looked at by itself, as messages.
fn slowly(plans: &[ColumnPlan], rows: &[Vec<Option<Vec<u8>>>]) -> Vec<u8> {
    let mut masker = Masker::new(scanner(), Arc::new(key()), Arc::new(types()));
    let mut out = Vec::new();
    for row in rows {
        let cells = plans.iter().zip(row).map(|(plan, value)| {
            let (value, mut new) = (value.clone()?, Vec::new());
            if plan.rule.is_none() && !masker.can_change(plan.type_oid) {
                return Some(value);
            }
            match masker.value(plan.rule, plan.type_oid, plan.format, &value, &mut new) {
                Outcome::Same => Some(value),
                Outcome::Changed => Some(new),
                Outcome::Null => None,
            }
        });
        let cells: Vec<_> = cells.collect();
        let cells: Vec<_> = cells.iter().map(Option::as_deref).collect();
        out.extend(message(&body(&cells)));
    }
    out
}

fn unmasked(rows: &[Vec<Option<Vec<u8>>>]) -> Vec<u8> {
    let row = |row: &Vec<Option<Vec<u8>>>| message(&body(&row.iter().map(Option::as_deref).collect::<Vec<_>>()));
    rows.iter().flat_map(row).collect()
}

#[test]
fn only_whole_messages_of_rows_are_taken() {
    let plan = ColumnPlan::unknown(Format::Text);
    let row = message(&body(&[Some(b"ada@example.com")]));
    let rest = b"C\0\0\0\x0dSELECT 2\0";
    for end in 0..row.len() {
        let input = [&row[..], &row[..end]].concat();
        let mut out = b"kept".to_vec();
        let rows = masker(vec![plan]).rows(&input, &mut out).unwrap();
        let (taken, count, changed) = (row.len(), 1, true);
        assert_eq!(rows, Rows { taken, count, changed });
        assert_eq!(
            out,
            [b"kept", &message(&body(&[Some(b"a***@example.com")]))[..]].concat()
        );
    }
    let rows = masker(vec![plan]).rows(rest, &mut Vec::new()).unwrap();
    assert_eq!((rows.taken, rows.count, rows.changed), (0, 0, false));
    let rows = masker(vec![plan])
        .rows(&[&row[..], rest].concat(), &mut Vec::new())
        .unwrap();
    assert_eq!(rows.taken, row.len());
}

#[test]
fn rows_that_stay_are_not_copied_until_one_changes() {
    let plan = ColumnPlan::unknown(Format::Text);
    let quiet = message(&body(&[Some(&[b'x'; 100])]));
    let address = message(&body(&[Some(b"ada@example.com")]));
    let masked = message(&body(&[Some(b"a***@example.com")]));
    let many = quiet.repeat(3 * CHUNK / quiet.len());
    let mut out = Vec::new();
    assert!(!masker(vec![plan]).rows(&many, &mut out).unwrap().changed);
    assert!(out.is_empty());
    let input = [&many[..], &address, &many, &address, &quiet].concat();
    let rows = masker(vec![plan]).rows(&input, &mut out).unwrap();
    assert_eq!((rows.taken, rows.changed), (input.len(), true));
    assert_eq!(out, [&many[..], &masked, &many, &masked, &quiet].concat());
}

#[test]
fn a_row_that_does_not_add_up_stops_those_before_it() {
    let plan = ColumnPlan::unknown(Format::Text);
    let address = message(&body(&[Some(b"ada@example.com")]));
    let many = address.repeat(2 * CHUNK / address.len());
    let mut out = b"kept".to_vec();
    let two = message(&body(&[None, None]));
    let result = masker(vec![plan]).rows(&[&many[..], &two].concat(), &mut out);
    assert_eq!(result, Err(CellError::Columns { expected: 1, got: 2 }));
    assert_eq!(out, b"kept");
    // A length that cannot be one is no whole message, however long the input.
    let result = masker(vec![plan]).rows(b"D\0\0\0\x03\0\0\0\0", &mut out).unwrap();
    assert_eq!(result.taken, 0);
}

#[test]
fn a_long_row_is_masked_among_short_ones() {
    let plan = ColumnPlan {
        rule: None,
        type_oid: 25,
        format: Format::Text,
    };
    let long = [&vec![b' '; 2 * LOOK_LIMIT][..], b"ada@example.com"].concat();
    let rows: Vec<_> = [b"532-71-9001".to_vec(), long, b"x".to_vec(), b"10.0.0.1".to_vec()]
        .map(|value| vec![Some(value)])
        .to_vec();
    let mut out = Vec::new();
    assert!(masker(vec![plan]).rows(&unmasked(&rows), &mut out).unwrap().changed);
    assert_eq!(out, slowly(&[plan], &rows));
}

/// Values of types that are looked at in different ways, and what may stand in them.
fn value() -> impl proptest::strategy::Strategy<Value = Option<Vec<u8>>> {
    let number = prop_oneof![
        Just("4111111111111111".to_owned()),
        Just("4.111111111111111e15".to_owned()),
        Just("-1.5".to_owned()),
        "[0-9]{1,17}",
    ];
    prop_oneof![
        1 => Just(None),
        4 => edge().prop_map(|text| Some(text.into_bytes())),
        2 => number.prop_map(|text| Some(text.into_bytes())),
        1 => "[a-zé٤١\u{2011}0-9-]{0,30}".prop_map(|text| Some(text.into_bytes())),
        1 => proptest::collection::vec(any::<u8>(), 0..24).prop_map(Some),
    ]
}

fn plan() -> impl proptest::strategy::Strategy<Value = ColumnPlan> {
    let oid = proptest::sample::select(vec![
        0_u32, 17, 18, 19, 20, 23, 25, 114, 869, 1009, 1042, 1043, 1184, 1700, 2950, 3614, 90_001, 90_002, 77_777,
    ]);
    let rule = prop_oneof![
        8 => Just(None),
        1 => Just(Some(Strategy::Redact)),
        1 => Just(Some(Strategy::Null)),
    ];
    let format = prop_oneof![4 => Just(Format::Text), 1 => Just(Format::Binary)];
    (oid, rule, format).prop_map(|(type_oid, rule, format)| ColumnPlan { rule, type_oid, format })
}

proptest! {
    #[test]
    fn many_rows_at_once_are_masked_as_each_value_is(
        (plans, rows) in proptest::collection::vec(plan(), 1..6).prop_flat_map(|plans| {
            let row = proptest::collection::vec(value(), plans.len());
            (Just(plans), proptest::collection::vec(row, 1..60))
        }),
    ) {
        let input = unmasked(&rows);
        let mut out = Vec::new();
        let done = masker(plans.clone()).rows(&input, &mut out).unwrap();
        prop_assert_eq!((done.taken, done.count), (input.len(), rows.len()));
        let want = slowly(&plans, &rows);
        if done.changed {
            prop_assert_eq!(&out, &want);
        } else {
            prop_assert!(out.is_empty());
            prop_assert_eq!(&input, &want);
        }
    }
}
