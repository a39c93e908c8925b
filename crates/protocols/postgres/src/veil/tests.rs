#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use sallyport_mask::Strategy as Mask;

use super::*;
use crate::cells::{ColumnPlan, Format, TypeMap};
use crate::wire::backend::DataRow;

fn down(message: &Down) -> BytesMut {
    let mut bytes = BytesMut::new();
    encode(message, &mut bytes);
    bytes
}

fn standing() -> BytesMut {
    down(&Down::Standing(Standing {
        detectors: vec![("credit_card".parse().unwrap(), Mask::Redact)],
        key: vec![7; 32],
        hides_columns: true,
    }))
}

fn redacted(at: u64) -> BytesMut {
    let column = ColumnPlan {
        rule: Some(Mask::Redact),
        type_oid: 25,
        format: Format::Text,
    };
    let plan = Plan::Rows(Columns::of(&[column], &TypeMap::builtin()));
    down(&Down::Plan { at, plan })
}

fn message(tag: u8, body: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u8(tag);
    bytes.put_u32(u32::try_from(body.len()).unwrap() + 4);
    bytes.put_slice(body);
    bytes
}

fn row(value: &str) -> BytesMut {
    let mut bytes = Vec::new();
    DataRow::encode(&mut bytes, &[Some(value.as_bytes())]);
    BytesMut::from(&bytes[..])
}

/// A veil, and what has come through it.
#[derive(Default)]
struct Stage {
    veil: Veil,
    input: BytesMut,
    gateway: BytesMut,
    target: BytesMut,
}

impl Stage {
    fn gateway(&mut self, bytes: &BytesMut) {
        let mut bytes = bytes.clone();
        self.veil.take_from_gateway(&mut bytes, &mut self.target).unwrap();
        assert!(bytes.is_empty());
        self.target(&BytesMut::new());
    }

    fn target(&mut self, bytes: &BytesMut) {
        self.input.extend_from_slice(bytes);
        self.veil.take_from_target(&mut self.input, &mut self.gateway).unwrap();
    }

    fn shows(&self, text: &str) -> bool {
        self.gateway.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

#[test]
fn nothing_passes_before_the_gateway_has_said_what_is_hidden() {
    let mut stage = Stage::default();
    stage.target(&message(b'N', b"SNOTICE\0Mcard 4111 1111 1111 1111\0\0"));
    assert!(stage.gateway.is_empty());
    stage.gateway(&standing());
    assert!(stage.shows("NOTICE") && !stage.shows("4111"));
}

#[test]
fn rows_wait_for_their_own_plan_and_for_no_other() {
    let mut stage = Stage::default();
    stage.gateway(&standing());
    // Described, and empty: the plan comes when the result is over, and is for no later one.
    stage.target(&message(b'T', &[0, 0]));
    stage.target(&message(b'C', b"SELECT 0\0"));
    stage.gateway(&down(&Down::Plan {
        at: 1,
        plan: Plan::Clear,
    }));
    stage.target(&row("secret"));
    assert!(!stage.shows("secret"));
    let mut ask = BytesMut::new();
    encode(&Up::Ask, &mut ask);
    assert!(stage.gateway.ends_with(&ask) && stage.veil.waits());
    stage.gateway(&redacted(2));
    assert!(!stage.shows("secret") && stage.shows("***") && !stage.veil.waits());
    // Of the same result.
    stage.target(&row("another"));
    assert!(!stage.shows("another"));
    stage.target(&message(b'C', b"SELECT 2\0"));
    stage.target(&row("third"));
    assert!(stage.veil.waits() && !stage.shows("third"));
    stage.gateway(&down(&Down::Plan {
        at: 3,
        plan: Plan::Clear,
    }));
    assert!(stage.shows("third"));
}

#[test]
fn a_plan_for_another_kind_of_result_ends_it() {
    let mut stage = Stage::default();
    stage.gateway(&standing());
    stage.gateway(&redacted(0));
    stage.input.extend_from_slice(&message(b'd', b"secret\n"));
    let ended = stage.veil.take_from_target(&mut stage.input, &mut stage.gateway);
    assert!(matches!(ended, Err(VeilError::OtherPlan)) && !stage.shows("secret"));
}

#[test]
fn errors_keep_what_the_client_said_and_lose_what_it_did_not() {
    let mut stage = Stage::default();
    stage.gateway(&standing());
    stage.gateway(&message(b'Q', b"SELECT mine FROM t\0"));
    assert!(stage.target.ends_with(b"SELECT mine FROM t\0"));
    stage.target(&message(
        b'E',
        b"SERROR\0C22P02\0Mcolumn \"mine\" has \"theirs\"\0DFailing row contains (theirs)\0Htheirs\0Wtheirs\0\0",
    ));
    assert!(stage.shows("22P02") && stage.shows("mine") && !stage.shows("theirs"));
}

#[test]
fn lengths_out_of_bounds_end_it() {
    for bytes in [
        &[TYPE, 0xff, 0xff, 0xff, 0xff][..],
        &[TYPE, 0, 0, 0, 3],
        &[b'Q', 0, 0, 0, 3],
        &[TYPE, 0, 0, 0, 5, b'!'],
    ] {
        let mut input = BytesMut::from(bytes);
        assert!(
            Veil::default()
                .take_from_gateway(&mut input, &mut BytesMut::new())
                .is_err(),
            "{bytes:?}"
        );
    }
}

proptest! {
    /// However the bytes are cut, the same comes out; whatever they are, no value passes that no plan shows.
    #[test]
    fn cuts_change_nothing(cuts in proptest::collection::vec(1_usize..40, 0..40), rows in 1_usize..6) {
        let mut said = message(b'T', &[0, 0]);
        for number in 0..rows {
            said.extend_from_slice(&row(&format!("secret {number}")));
        }
        said.extend_from_slice(&message(b'C', b"SELECT\0"));
        said.extend_from_slice(&message(b'Z', b"I"));
        let whole = {
            let mut stage = Stage::default();
            stage.gateway(&standing());
            stage.gateway(&redacted(1));
            stage.target(&said);
            stage.gateway
        };
        let mut stage = Stage::default();
        let mut words = standing();
        words.extend_from_slice(&redacted(1));
        let (mut at, mut come) = (0, BytesMut::new());
        for cut in cuts.iter().chain(std::iter::repeat(&7)) {
            if at >= said.len() && words.is_empty() {
                break;
            }
            come.extend_from_slice(&words.split_to((*cut).min(words.len())));
            stage.veil.take_from_gateway(&mut come, &mut stage.target).unwrap();
            let end = (at + cut).min(said.len());
            stage.target(&BytesMut::from(&said[at..end]));
            at = end;
            prop_assert!(!stage.shows("secret"));
        }
        // Where the plan came late it was asked for, which says nothing.
        let mut ask = BytesMut::new();
        encode(&Up::Ask, &mut ask);
        let asked = stage.gateway.windows(ask.len()).position(|window| window == &ask[..]);
        if let Some(at) = asked {
            let rest = stage.gateway.split_off(at);
            stage.gateway.extend_from_slice(&rest[ask.len()..]);
        }
        prop_assert_eq!(stage.gateway, whole);
    }

    #[test]
    fn no_bytes_whatever_make_it_panic(gateway in proptest::collection::vec(any::<u8>(), 0..300), target in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut stage = Stage::default();
        stage.gateway(&standing());
        let mut bytes = BytesMut::from(&gateway[..]);
        let _ = stage.veil.take_from_gateway(&mut bytes, &mut stage.target);
        stage.input.extend_from_slice(&target);
        let _ = stage.veil.take_from_target(&mut stage.input, &mut stage.gateway);
    }
}
