//! What the formats of RSA private keys leave out of each other.

use zeroize::Zeroizing;

use super::der::{self, Der};
use super::{KeyError, SignatureAlgorithm};

/// The numbers of an RSA private key, big-endian without zeros in front.
pub(super) struct RsaNumbers<'a> {
    pub(super) modulus: &'a [u8],
    pub(super) public_exponent: &'a [u8],
    pub(super) private_exponent: &'a [u8],
    /// `q`'s inverse modulo `p`.
    pub(super) coefficient: &'a [u8],
    pub(super) p: &'a [u8],
    pub(super) q: &'a [u8],
}

impl<'a> RsaNumbers<'a> {
    /// From an `RSAPrivateKey` (RFC 8017 appendix A.1.2).
    pub(super) fn from_pkcs1(bytes: &'a [u8]) -> Result<Self, KeyError> {
        let mut numbers = Der::new(bytes).sequence()?;
        if !numbers.integer()?.is_empty() {
            return Err(KeyError::Invalid);
        }
        let [modulus, public_exponent, private_exponent, p, q] = [
            numbers.integer()?,
            numbers.integer()?,
            numbers.integer()?,
            numbers.integer()?,
            numbers.integer()?,
        ];
        numbers.integer()?;
        numbers.integer()?;
        Ok(Self {
            modulus,
            public_exponent,
            private_exponent,
            coefficient: numbers.integer()?,
            p,
            q,
        })
    }

    /// An `RSAPrivateKey`. OpenSSH's format lacks the exponents modulo `p - 1` and `q - 1`: they are computed.
    pub(super) fn to_pkcs1(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let exponent_p = remainder(self.private_exponent, &less_one(self.p)?)?;
        let exponent_q = remainder(self.private_exponent, &less_one(self.q)?)?;
        Ok(der::integers(&[
            &[],
            self.modulus,
            self.public_exponent,
            self.private_exponent,
            self.p,
            self.q,
            &exponent_p,
            &exponent_q,
            self.coefficient,
        ]))
    }
}

/// The library's name for how RSA signs.
pub(super) fn encoding(algorithm: SignatureAlgorithm) -> Option<&'static dyn aws_lc_rs::signature::RsaEncoding> {
    match algorithm {
        SignatureAlgorithm::RsaSha256 => Some(&aws_lc_rs::signature::RSA_PKCS1_SHA256),
        SignatureAlgorithm::RsaSha512 => Some(&aws_lc_rs::signature::RSA_PKCS1_SHA512),
        SignatureAlgorithm::Ed25519
        | SignatureAlgorithm::Ecdsa(_)
        | SignatureAlgorithm::SkEd25519
        | SignatureAlgorithm::SkEcdsa => None,
    }
}

/// An odd number less one.
fn less_one(prime: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut number = Zeroizing::new(prime.to_vec());
    match number.last_mut() {
        Some(last) if *last & 1 == 1 => *last &= 0xfe,
        _ => return Err(KeyError::Invalid),
    }
    Ok(number)
}

/// `value` modulo `modulus`, both big-endian, in steps that depend on their lengths only: shift a bit in,
/// subtract, keep whichever of the two is not negative.
fn remainder(value: &[u8], modulus: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if modulus.first().is_none_or(|first| *first == 0) || modulus.len() > 1024 || value.len() > 1024 {
        return Err(KeyError::Invalid);
    }
    // One byte more than the modulus, because the shifted rest can be twice as large.
    let size = modulus.len() + 1;
    let mut rest = Zeroizing::new(vec![0u8; size]);
    let mut less = Zeroizing::new(vec![0u8; size]);
    for byte in value {
        for bit in (0..8).rev() {
            let mut carry = (byte >> bit) & 1;
            for digit in rest.iter_mut().rev() {
                let next = *digit >> 7;
                *digit = (*digit << 1) | carry;
                carry = next;
            }
            let mut borrow = 0u16;
            let divisor = modulus.iter().rev().chain(std::iter::once(&0));
            for ((less, digit), divisor) in less.iter_mut().rev().zip(rest.iter().rev()).zip(divisor) {
                let difference = u16::from(*digit).wrapping_sub(u16::from(*divisor)).wrapping_sub(borrow);
                let [high, low] = difference.to_be_bytes();
                *less = low;
                borrow = u16::from(high & 1);
            }
            // All ones where the subtraction borrowed: the rest stays as it is.
            let keep = std::hint::black_box(0u8.wrapping_sub(u8::from(borrow != 0)));
            for (digit, less) in rest.iter_mut().zip(less.iter()) {
                *digit = (*digit & keep) | (*less & !keep);
            }
        }
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_remainder_is_that_of_division(value: u128, modulus in 1u128..) {
            let modulus_bytes = modulus.to_be_bytes();
            let zeros = modulus_bytes.iter().take_while(|byte| **byte == 0).count();
            let rest = remainder(&value.to_be_bytes(), modulus_bytes.get(zeros..).unwrap()).unwrap();
            let rest = rest.iter().fold(0u128, |rest, byte| (rest << 8) | u128::from(*byte));
            prop_assert_eq!(rest, value % modulus);
        }
    }

    #[test]
    fn a_modulus_of_zero_is_refused() {
        assert!(remainder(&[1], &[]).is_err());
        assert!(remainder(&[1], &[0, 3]).is_err());
        assert!(less_one(&[4]).is_err() && less_one(&[]).is_err());
    }
}
