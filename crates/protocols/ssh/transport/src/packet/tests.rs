#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use bytes::{Buf, BytesMut};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;

/// Every way to protect packets.
fn suites() -> Vec<Suite> {
    let mut suites = Vec::new();
    for cipher in Cipher::ALL {
        if cipher.needs_mac() {
            suites.extend(Mac::ALL.map(|mac| Suite { cipher, mac: Some(mac) }));
        } else {
            suites.push(Suite { cipher, mac: None });
        }
    }
    suites
}

fn material(suite: Suite) -> KeyMaterial {
    let bytes = |count: usize, seed: u8| Zeroizing::new((0..count).map(|at| seed.wrapping_add(at as u8)).collect());
    KeyMaterial {
        // All ones, so that counters carry.
        iv: Zeroizing::new(vec![0xff; suite.cipher.iv_bytes()]),
        key: bytes(suite.cipher.key_bytes(), 1),
        mac: bytes(suite.mac.map_or(0, Mac::key_bytes), 101),
    }
}

fn pair(suite: Suite) -> (Sealer, Opener) {
    let (mut sealer, mut opener) = (Sealer::new(), Opener::new());
    sealer.replace(suite, &material(suite), true).unwrap();
    opener.replace(suite, &material(suite), true).unwrap();
    (sealer, opener)
}

#[test]
fn packets_arrive_whatever_protects_them_and_wherever_the_stream_is_cut() {
    for suite in suites() {
        let payloads: [&[u8]; 4] = [b"a", b"twelve bytes", &[7; 300], &[]];
        let (mut sealer, mut opener) = pair(suite);
        let mut wire = BytesMut::new();
        for payload in &payloads[..3] {
            sealer.seal(&[&payload[..1], &payload[1..]], &mut wire).unwrap();
        }
        let mut input = BytesMut::new();
        let mut arrived = Vec::new();
        for byte in &wire {
            input.put_u8(*byte);
            while let Some(opened) = opener.open(&mut input).unwrap() {
                assert_eq!(opened.sequence as usize, arrived.len());
                arrived.push(input[opened.payload].to_vec());
                input.advance(opened.whole);
            }
        }
        assert_eq!(arrived, payloads[..3], "{suite:?}");
        assert!(input.is_empty());
    }
}

/// No byte of a packet can be changed, and all changes are answered with the same error.
#[test]
fn a_packet_with_any_byte_changed_is_not_opened() {
    for suite in suites() {
        let (mut sealer, _) = pair(suite);
        let mut wire = BytesMut::new();
        sealer.seal(&[b"rm -rf precious"], &mut wire).unwrap();
        for at in 0..wire.len() {
            for bit in [0x01, 0x40, 0x80] {
                let (_, mut opener) = pair(suite);
                let mut input = wire.clone();
                input[at] ^= bit;
                // A length that was made longer waits for more, so more is there.
                input.resize(LENGTH_MAX + 100, 0);
                assert_eq!(opener.open(&mut input), Err(PacketError::Corrupt), "{suite:?} {at}");
            }
        }
    }
}

#[test]
fn packets_that_are_left_out_doubled_or_swapped_are_not_opened() {
    for suite in suites() {
        let (mut sealer, _) = pair(suite);
        let packets = [b"one", b"two"].map(|payload| {
            let mut wire = BytesMut::new();
            sealer.seal(&[payload], &mut wire).unwrap();
            wire
        });
        for order in [[1, 1], [0, 0]] {
            let (_, mut opener) = pair(suite);
            let mut failed = false;
            for index in order {
                let mut input = packets[index].clone();
                failed |= opener.open(&mut input).is_err();
            }
            assert!(failed, "{suite:?} {order:?}");
        }
    }
}

#[test]
fn lengths_beyond_the_bounds_are_refused_before_more_is_awaited() {
    for length in [0u32, 5, 11, 13, 35_004, 256 * 1024 + 4, u32::MAX] {
        let mut opener = Opener::new();
        let mut input = BytesMut::from(&length.to_be_bytes()[..]);
        assert_eq!(opener.open(&mut input), Err(PacketError::Corrupt), "{length}");
    }
    let suite = Suite {
        cipher: Cipher::Aes256Gcm,
        mac: None,
    };
    for length in [0u32, 8, 17, 256 * 1024 + 16, u32::MAX] {
        let (_, mut opener) = pair(suite);
        let mut input = BytesMut::from(&length.to_be_bytes()[..]);
        assert_eq!(opener.open(&mut input), Err(PacketError::Corrupt), "{length}");
    }
    let (_, mut opener) = pair(suite);
    let mut input = BytesMut::from(&(256u32 * 1024).to_be_bytes()[..]);
    assert_eq!(opener.open(&mut input), Ok(None));
    let (mut sealer, _) = pair(suite);
    let mut out = BytesMut::new();
    assert_eq!(
        sealer.seal(&[&[0; PAYLOAD_MAX], b"x"], &mut out),
        Err(PacketError::TooLong)
    );
    assert!(out.is_empty());
}

/// Padding that reaches into the length would make a payload of something else.
#[test]
fn padding_has_its_bounds() {
    for padding in [0u8, 3, 11, 12, 255] {
        let mut input = BytesMut::from(&[0, 0, 0, 12, padding][..]);
        input.resize(16, 1);
        assert_eq!(Opener::new().open(&mut input), Err(PacketError::Corrupt), "{padding}");
    }
    let mut input = BytesMut::from(&[0, 0, 0, 12, 10][..]);
    input.resize(16, 1);
    assert_eq!(Opener::new().open(&mut input).unwrap().unwrap().payload, 5..6);
}

#[test]
fn the_largest_packet_arrives() {
    for suite in suites() {
        let (mut sealer, mut opener) = pair(suite);
        let payload = vec![9; PAYLOAD_MAX];
        let mut wire = BytesMut::new();
        sealer.seal(&[&payload], &mut wire).unwrap();
        let opened = opener.open(&mut wire).unwrap().unwrap();
        assert_eq!(wire[opened.payload], payload);
    }
}

#[test]
fn keys_are_not_used_until_a_sequence_number_comes_again() {
    let (mut sealer, mut opener) = pair(Suite {
        cipher: Cipher::Aes256Gcm,
        mac: None,
    });
    sealer.usage.packets = u64::from(u32::MAX);
    opener.usage.packets = u64::from(u32::MAX);
    let mut wire = BytesMut::new();
    sealer.seal(&[b"last"], &mut wire).unwrap();
    assert_eq!(sealer.seal(&[b"one more"], &mut wire), Err(PacketError::Exhausted));
    let opened = opener.open(&mut wire).unwrap().unwrap();
    wire.advance(opened.whole);
    let (mut sealer, _) = pair(Suite {
        cipher: Cipher::Aes256Gcm,
        mac: None,
    });
    sealer.seal(&[b"one more"], &mut wire).unwrap();
    assert_eq!(opener.open(&mut wire), Err(PacketError::Exhausted));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), suite: prop::sample::Index) {
        let suites = suites();
        let suite = suites[suite.index(suites.len())];
        let (_, mut opener) = pair(suite);
        prop_assert!(!matches!(opener.open(&mut BytesMut::from(&bytes[..])), Ok(Some(_))));
        let _ = Opener::new().open(&mut BytesMut::from(&bytes[..]));
    }

    #[test]
    fn payloads_of_every_size_arrive(payload in proptest::collection::vec(any::<u8>(), 1..4000)) {
        for suite in suites() {
            let (mut sealer, mut opener) = pair(suite);
            let mut wire = BytesMut::new();
            sealer.seal(&[&payload], &mut wire).unwrap();
            let opened = opener.open(&mut wire).unwrap().unwrap();
            prop_assert_eq!(opened.whole, wire.len());
            prop_assert_eq!(&wire[opened.payload], &payload);
        }
    }
}
