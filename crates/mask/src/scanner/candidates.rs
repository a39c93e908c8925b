//! Where in a window a value could start: necessary conditions, in bit arithmetic.
//!
//! A set bit costs one verification; a missing one loses a value. So every condition here looks only at
//! bytes that belong to the value itself, and at no more than 16 of them.

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
    /// `+` or `(` of a phone number.
    pub(super) phone_mark: u64,
    /// First dot of an IPv4 address.
    pub(super) ip4: u64,
    /// A colon of an IPv6 address.
    pub(super) ip6: u64,
    /// `@` of an address.
    pub(super) email: u64,
    /// First capital of an IBAN.
    pub(super) iban: u64,
    /// `://`.
    pub(super) url: u64,
    /// The `y` of `eyJ`.
    pub(super) jwt: u64,
    /// `-----`.
    pub(super) pem: u64,
    /// First capital of an AWS access key id.
    pub(super) aws: u64,
    /// First capital of `AIza`.
    pub(super) gcp: u64,
    /// `_` in a token's prefix.
    pub(super) underscore: u64,
    /// `xox`.
    pub(super) slack: u64,
    /// `-` in `glpat-`.
    pub(super) gitlab: u64,
}

const STARTS: u64 = (1 << STRIDE) - 1;

const UNDERSCORE_TOKENS: u32 = Detector::GithubToken.bit()
    | Detector::NpmToken.bit()
    | Detector::StripeKey.bit()
    | Detector::AwsSecretKey.bit();
const URLS: u32 = Detector::UrlPassword.bit() | Detector::SlackWebhook.bit();

impl Candidates {
    /// What could start in the first [`STRIDE`] bytes of the window, for the detectors in `wanted`.
    #[inline]
    pub(super) fn of(c: &Classes, wanted: u32) -> Self {
        let on = |detectors: u32| if wanted & detectors != 0 { STARTS } else { 0 };
        let mut found = Self::default();
        found.numbers(c, wanted);
        found.email = c.at & on(Detector::Email.bit());
        found.jwt = c.small_y & (c.upper >> 1) & on(Detector::Jwt.bit());
        found.underscore = c.underscore & on(UNDERSCORE_TOKENS);
        found.slack = c.small_x & (c.small_x >> 2) & on(Detector::SlackToken.bit());
        let two_capitals = c.upper & (c.upper >> 1);
        found.gcp = two_capitals & (c.small_z >> 2) & on(Detector::GcpApiKey.bit());
        found.iban =
            two_capitals & (c.digit >> 2) & (c.digit >> 3) & on(Detector::Iban.bit());
        let runs = run16(c.upper | c.digit);
        found.aws =
            runs & !(runs << 1) & two_capitals & on(Detector::AwsAccessKey.bit());
        if c.colon != 0 {
            found.url = c.colon & (c.slash >> 1) & (c.slash >> 2) & on(URLS);
            found.ip6 = colons(c.colon) & on(Detector::Ip.bit());
        }
        if c.dash != 0 {
            found.pem = run4(c.dash) & (c.dash >> 4) & on(Detector::PrivateKey.bit());
            found.gitlab = c.dash & !(c.digit << 1) & on(Detector::GitlabToken.bit());
        }
        found
    }

    /// Digits with their separators.
    #[inline]
    fn numbers(&mut self, c: &Classes, wanted: u32) {
        let on = |detector: Detector| if wanted & detector.bit() != 0 { STARTS } else { 0 };
        self.phone_mark = c.plus & ((c.digit | c.plus) >> 1) & on(Detector::Phone);
        if c.digit == 0 {
            return;
        }
        let gap = c.space | c.dash;
        let first = c.digit & !(c.digit << 1);
        let two = c.digit & (c.digit >> 1);
        let three = two & (c.digit >> 2);
        let four = two & (two >> 2);
        self.card = first & run13(c.digit | gap) & on(Detector::CreditCard);
        self.ssn = three & (gap >> 3) & (two >> 4) & (gap >> 6) & (four >> 7) & on(Detector::Ssn);
        let point = c.dot | c.dash;
        self.phone =
            three & (point >> 3) & (three >> 4) & (point >> 7) & (four >> 8) & on(Detector::Phone);
        if c.dot != 0 {
            let inner = c.dot & (c.digit >> 1);
            let last_two = inner & near(inner);
            self.ip4 = inner & near(last_two) & on(Detector::Ip);
        }
    }

    /// Whether nothing can start in this window.
    #[inline]
    pub(super) fn none(&self) -> bool {
        (self.card
            | self.ssn
            | self.phone
            | self.phone_mark
            | self.ip4
            | self.ip6
            | self.email
            | self.iban
            | self.url
            | self.jwt
            | self.pem
            | self.aws
            | self.gcp
            | self.underscore
            | self.slack
            | self.gitlab)
            == 0
    }
}

/// Where four set bits start.
fn run4(x: u64) -> u64 {
    let two = x & (x >> 1);
    two & (two >> 2)
}

/// Where thirteen set bits start.
fn run13(x: u64) -> u64 {
    let eight = {
        let four = run4(x);
        four & (four >> 4)
    };
    eight & (eight >> 5)
}

/// Where sixteen set bits start.
fn run16(x: u64) -> u64 {
    let four = run4(x);
    let eight = four & (four >> 4);
    eight & (eight >> 8)
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
