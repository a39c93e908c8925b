//! Where in a window a value could start: necessary conditions, in bit arithmetic.
//!
//! A set bit costs one verification; a missing one loses a value. So every condition here looks only at
//! bytes that belong to the value itself and at the one before it, and at no more than 16 of them.

use super::classes::{Classes, STRIDE};
use crate::Detector;

/// Positions in a window, one bit set per way to verify.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Candidates {
    /// First digit of a card number.
    pub(super) card: u64,
    /// First digit of a social security number.
    pub(super) ssn: u64,
    /// First digit of `ddd-ddd-dddd`.
    pub(super) phone: u64,
    /// First dot of an IPv4 address.
    pub(super) ip4: u64,
    /// A colon of an IPv6 address.
    pub(super) ip6: u64,
    /// First capital of an IBAN.
    pub(super) iban: u64,
    /// The colon of `://`.
    pub(super) url: u64,
    /// `@`, `_`, `+`, `(` or `J` of an address or token.
    pub(super) mark: u64,
    /// A hyphen that is not behind a digit: in a token, or the fifth of `-----BEGIN`.
    pub(super) dash: u64,
    /// Two capitals of `AKIA`, `ASIA` or `AIza`.
    pub(super) capitals: u64,
}

const STARTS: u64 = (1 << STRIDE) - 1;

/// Which positions count, one set per field of [`Candidates`]: all, or none where no detector wants them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    detectors: u32,
    on: Candidates,
}

impl Wanted {
    pub(super) fn add(&mut self, detector: Detector) {
        self.detectors |= detector.bit();
        let on = &mut self.on;
        match detector {
            Detector::CreditCard => on.card = STARTS,
            Detector::Ssn => on.ssn = STARTS,
            Detector::Phone => (on.phone, on.mark) = (STARTS, STARTS),
            Detector::Ip => (on.ip4, on.ip6) = (STARTS, STARTS),
            Detector::Iban => on.iban = STARTS,
            Detector::UrlPassword | Detector::SlackWebhook => on.url = STARTS,
            Detector::Email
            | Detector::Jwt
            | Detector::GithubToken
            | Detector::NpmToken
            | Detector::StripeKey
            | Detector::AwsSecretKey => on.mark = STARTS,
            Detector::SlackToken | Detector::GitlabToken | Detector::PrivateKey => {
                on.dash = STARTS;
            }
            Detector::AwsAccessKey | Detector::GcpApiKey => on.capitals = STARTS,
        }
    }

    pub(super) const fn has(&self, detector: Detector) -> bool {
        self.detectors & detector.bit() != 0
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.detectors == 0
    }
}

impl Candidates {
    /// What could start in the first [`STRIDE`] bytes of the window, for the detectors in `wanted`.
    #[inline]
    pub(super) fn of(c: &Classes, wanted: &Wanted) -> Self {
        let on = &wanted.on;
        let mut found = Self {
            mark: c.mark & on.mark,
            ..Self::default()
        };
        if c.digit != 0 {
            found.numbers(c, on);
        }
        let two_capitals = c.upper & (c.upper >> 1);
        if two_capitals != 0 {
            found.iban = two_capitals & (c.digit >> 2) & (c.digit >> 3) & on.iban;
            // Not in the middle of a word of capitals.
            found.capitals = two_capitals & !(c.upper << 1) & !(c.digit >> 2) & on.capitals;
        }
        if c.colon != 0 {
            found.url = c.colon & !(c.digit >> 1) & on.url;
            found.ip6 = colons(c.colon) & on.ip6;
        }
        let dash = c.gap & c.point;
        if dash != 0 {
            found.dash = dash & !(c.digit << 1) & on.dash;
        }
        found
    }

    /// Digits with their separators.
    #[inline]
    fn numbers(&mut self, c: &Classes, on: &Self) {
        let two = c.digit & (c.digit >> 1);
        let four = two & (two >> 2);
        let eight = four & (four >> 4);
        // Not right behind a digit or a hyphen; and not behind a dot either.
        let start = c.digit & !((c.digit | (c.gap & c.point)) << 1);
        let fresh = start & !(c.point << 1);
        let mixed = c.digit | c.gap;
        self.card = fresh & ((eight & (eight >> 5)) | run14(mixed)) & on.card;
        let three = two & (c.digit >> 2);
        self.ssn = start & three & (c.gap >> 3) & (two >> 4) & (c.gap >> 6) & (four >> 7) & on.ssn;
        self.phone = fresh & three & (c.point >> 3) & (three >> 4) & (c.point >> 7) & (four >> 8) & on.phone;
        let inner = c.point & (c.digit >> 1);
        self.ip4 = inner & near(inner & near(inner)) & on.ip4;
    }

    /// Every position where anything can start.
    #[inline]
    pub(super) fn any(&self) -> u64 {
        let numbers = self.card | self.ssn | self.phone | self.ip4 | self.ip6 | self.iban;
        numbers | self.url | self.mark | self.dash | self.capitals
    }

    /// Those of the positions in `mask`.
    pub(super) fn within(&self, mask: u64) -> Self {
        Self {
            card: self.card & mask,
            ssn: self.ssn & mask,
            phone: self.phone & mask,
            ip4: self.ip4 & mask,
            ip6: self.ip6 & mask,
            iban: self.iban & mask,
            url: self.url & mask,
            mark: self.mark & mask,
            dash: self.dash & mask,
            capitals: self.capitals & mask,
        }
    }
}

/// Where fourteen set bits start.
fn run14(x: u64) -> u64 {
    let two = x & (x >> 1);
    let four = two & (two >> 2);
    let eight = four & (four >> 4);
    eight & (eight >> 6)
}

/// Where a set bit follows two to four places later: the dots of an IPv4 address.
fn near(x: u64) -> u64 {
    (x >> 2) | (x >> 3) | (x >> 4)
}

/// Where two colons touch, or a colon is followed by two more, each within five places.
fn colons(colon: u64) -> u64 {
    let within_five = |x: u64| {
        let two = x | (x >> 1);
        let four = two | (two >> 2);
        (four | (x >> 4)) >> 1
    };
    let pairs = colon & within_five(colon);
    (colon & (colon >> 1)) | (colon & within_five(pairs))
}

/// The positions of the set bits, lowest first.
#[inline]
pub(super) fn positions(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if bits == 0 {
            return None;
        }
        let at = bits.trailing_zeros() as usize;
        bits &= bits - 1;
        Some(at)
    })
}
