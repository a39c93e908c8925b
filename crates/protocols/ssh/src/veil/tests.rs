#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use bytes::BytesMut;
use proptest::prelude::*;
use sallyport_mask::Strategy as Mask;

use super::*;
use crate::connection::{MAX_PACKET, Packet};

const CARD: &str = "4111 1111 1111 1111";

/// A veil, and what has come through it.
#[derive(Default)]
struct Stage {
    veil: Veil,
    passed: Vec<Vec<u8>>,
}

impl Stage {
    fn told(&mut self, down: &Down) {
        let passed = &mut self.passed;
        let mut send = |parts: &[&[u8]]| {
            passed.push(parts.concat());
            Ok(())
        };
        assert!(self.veil.take_from_gateway(&words(down), &mut send).unwrap());
    }

    fn host(&mut self, packet: &Packet<'_>) -> Result<(), VeilError> {
        let mut payload = BytesMut::new();
        packet.write(&mut payload);
        let passed = &mut self.passed;
        self.veil.take_from_host(&payload, &mut |parts| {
            passed.push(parts.concat());
            Ok(())
        })
    }

    fn says(&mut self, text: &str) {
        let data = text.as_bytes();
        self.host(&Packet::Data {
            channel: 3,
            stream: 0,
            data,
        })
        .unwrap();
    }

    /// What was shown, and how many bytes of the host's that stands for.
    fn shown(&self) -> (String, usize) {
        let masked = self.passed.iter().filter(|payload| payload.first() == Some(&MASKED));
        masked
            .map(|payload| Masked::read(payload).unwrap())
            .fold((String::new(), 0), |(text, raw), masked| {
                let more = std::str::from_utf8(masked.data).unwrap();
                (text + more, raw + masked.raw as usize)
            })
    }
}

fn standing(strategy: &str) -> Down {
    Down::Standing(Standing {
        detectors: vec![("credit_card".parse().unwrap(), strategy.parse::<Mask>().unwrap())],
        full_screen: None,
        key: vec![7; 32],
    })
}

fn channel(kind: Kind) -> Down {
    Down::Channel {
        number: 3,
        theirs: Some(9),
        kind,
    }
}

#[test]
fn nothing_is_said_on_a_channel_of_which_nobody_knows_what_it_is() {
    let mut stage = Stage::default();
    let said = Packet::Data {
        channel: 3,
        stream: 0,
        data: CARD.as_bytes(),
    };
    assert!(matches!(stage.host(&said), Err(VeilError::Unplanned)));
    stage.told(&standing("redact"));
    assert!(matches!(stage.host(&said), Err(VeilError::Unplanned)));
    stage.told(&channel(Kind::Text));
    stage.host(&said).unwrap();
    stage.host(&Packet::Close { channel: 3 }).unwrap();
    assert!(matches!(stage.host(&said), Err(VeilError::Unplanned)), "it is over");
    assert_eq!(stage.shown(), ("***".to_owned(), CARD.len()));
}

#[test]
fn text_without_masks_is_an_error_and_so_are_words_that_are_the_agents() {
    let mut stage = Stage::default();
    let mut send = |_: &[&[u8]]| Ok(());
    assert!(
        stage
            .veil
            .take_from_gateway(&words(&channel(Kind::Text)), &mut send)
            .is_err()
    );
    assert!(stage.veil.take_from_gateway(&[WORDS, b'{'], &mut send).is_err());
    for kind in [WORDS, MASKED, 80 + 50] {
        assert!(stage.veil.take_from_host(&[kind, 0, 0], &mut send).is_err(), "{kind}");
    }
}

#[test]
fn what_is_held_back_comes_before_what_follows_it() {
    let mut stage = Stage::default();
    stage.told(&standing("redact"));
    stage.told(&channel(Kind::Text));
    stage.says("card 4111 1111 ");
    assert_eq!(stage.veil.holds_text(), Some(false));
    stage.says("1111 1111");
    let status = Packet::Request {
        channel: 3,
        name: b"exit-status",
        want_reply: false,
        rest: &[0; 4],
    };
    stage.host(&status).unwrap();
    assert_eq!(stage.shown(), ("card ***".to_owned(), 24));
    assert_ne!(stage.passed.last().unwrap().first(), Some(&MASKED));
    assert_eq!(stage.veil.holds_text(), None);
}

#[test]
fn other_masks_hold_at_once_and_data_is_nobodys_text() {
    let mut stage = Stage::default();
    stage.told(&standing("keep-last(4)"));
    stage.told(&channel(Kind::Terminal { columns: 80 }));
    stage.says(&format!("{CARD}\r\n"));
    stage.told(&standing("redact"));
    stage.says(&format!("{CARD}\r\n"));
    let (shown, _) = stage.shown();
    assert!(
        shown.contains("1111\r\n") && shown.contains("***\r\n") && !shown.contains(CARD),
        "{shown:?}"
    );
    for (kind, stream, clear) in [
        (Kind::Data, 0, true),
        (Kind::Data, 1, true),
        (Kind::DataAndWords, 0, true),
        (Kind::DataAndWords, 1, false),
    ] {
        stage.told(&channel(kind));
        stage.passed.clear();
        let data = format!("{CARD}\n");
        let data = data.as_bytes();
        stage
            .host(&Packet::Data {
                channel: 3,
                stream,
                data,
            })
            .unwrap();
        stage.veil.quiet(&mut |_| Ok(())).unwrap();
        assert_eq!(stage.shown().0.contains(CARD), clear, "{kind:?} {stream}");
    }
}

proptest! {
    /// Whatever a gateway and a host send, nothing panics, and before it is known what a channel is no data of it passes.
    #[test]
    fn nothing_of_a_hosts_passes_before_its_channel_is_known(
        payloads in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..60)), 0..30)
    ) {
        let mut stage = Stage::default();
        for (of_gateway, payload) in payloads {
            let passed = &mut stage.passed;
            let mut send = |parts: &[&[u8]]| {
                passed.push(parts.concat());
                Ok(())
            };
            let took = if of_gateway {
                stage.veil.take_from_gateway(&payload, &mut send).map(drop)
            } else {
                stage.veil.take_from_host(&payload, &mut send)
            };
            if took.is_err() {
                break;
            }
        }
        let data = |payload: &Vec<u8>| matches!(payload.first(), Some(&(MASKED | 94 | 95)));
        prop_assert!(!stage.passed.iter().any(data));
    }

    /// However a host cuts what it says, the same is shown, and no value.
    #[test]
    fn cuts_change_nothing(cuts in prop::collection::vec(1usize..30, 1..40)) {
        let text = format!("a {CARD} b\n{CARD}\nnothing {CARD} ").repeat(3);
        let mut stage = Stage::default();
        stage.told(&standing("redact"));
        stage.told(&channel(Kind::Text));
        let (mut rest, mut cuts) = (text.as_str(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            stage.says(piece);
            rest = behind;
        }
        stage.host(&Packet::Eof { channel: 3 }).unwrap();
        prop_assert_eq!(stage.shown(), (text.replace(CARD, "***"), text.len()));
    }
}

#[test]
fn long_texts_come_in_packets_that_count_what_they_stand_for_once() {
    let mut stage = Stage::default();
    stage.told(&standing("redact"));
    stage.told(&channel(Kind::Data));
    let text = "x".repeat(3 * MAX_PACKET as usize + 5);
    stage.says(&text);
    assert_eq!(stage.passed.len(), 4);
    assert_eq!(stage.shown(), (text.clone(), text.len()));
}
