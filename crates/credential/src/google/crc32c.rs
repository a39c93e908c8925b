//! The checksum of [RFC 3720](https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4), with which Google guards secrets against
//! broken wires.

/// The polynomial of Castagnoli, with its bits in reverse.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// The checksum of some bytes. They are few: one bit after the other is fast enough.
pub(super) fn of(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for &byte in bytes {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            let odd = sum & 1;
            sum >>= 1;
            if odd == 1 {
                sum ^= POLYNOMIAL;
            }
        }
    }
    !sum
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_gives_the_sums_of_the_rfc() {
        let rising: Vec<u8> = (0..32).collect();
        let falling: Vec<u8> = (0..32).rev().collect();
        for (bytes, sum) in [
            (vec![0; 32], 0x8A91_36AA_u32),
            (vec![0xFF; 32], 0x62A8_AB43),
            (rising, 0x46DD_794E),
            (falling, 0x113F_DB5C),
            (b"123456789".to_vec(), 0xE306_9283),
        ] {
            assert_eq!(super::of(&bytes), sum);
        }
    }
}
