//! Where in a text a value could be: necessary conditions, in bit arithmetic.
//!
//! A set bit costs one verification; a missing one loses a value. So every condition here looks only at
//! bytes that belong to the value itself and at the one before it, and at no more than 16 of them.

use std::ops::{BitAnd, BitOr, Not, Shl, Shr};

use fearless_simd::{Level, Simd, SimdBase, SimdMask, dispatch, u64x8};

#[cfg(target_arch = "x86_64")]
use super::classes::by_64;
use super::classes::{BATCH, Classes, SEEN, by_16};
use crate::Detector;

/// How far a window moves: what starts in its first [`STRIDE`] bytes shows at least 16 bytes of itself.
pub(super) const STRIDE: usize = 48;

/// A window of a text in which something could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Where in the text it starts.
    pub(super) at: usize,
    /// Every position where something could be; the byte there says what, digits and colons apart.
    pub(super) any: u64,
    /// First digit of a card number.
    pub(super) card: u64,
    /// First digit of a social security number.
    pub(super) ssn: u64,
    /// First digit of `ddd-ddd-dddd`.
    pub(super) phone: u64,
    /// A colon of an IPv6 address.
    pub(super) ip6: u64,
    /// Bytes that are not ASCII.
    pub(super) high: u64,
}

const STARTS: u64 = (1 << STRIDE) - 1;

/// Which positions count, one set per way to look: all, or none where no detector wants them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    detectors: u64,
    card: u64,
    ssn: u64,
    phone: u64,
    marked_phone: u64,
    ip: u64,
    iban: u64,
    pem: u64,
    token: u64,
    /// Two capitals and a long word.
    capitals: u64,
    /// Capitals and a hyphen.
    dashed: u64,
    /// A dot and a long word.
    dotted: u64,
}

impl Wanted {
    pub(super) fn add(&mut self, detector: Detector) {
        self.detectors |= detector.bit();
        match detector {
            Detector::CreditCard => self.card = STARTS,
            Detector::Ssn => self.ssn = STARTS,
            Detector::Phone => (self.phone, self.marked_phone) = (STARTS, STARTS),
            Detector::Ip => self.ip = STARTS,
            Detector::Iban => self.iban = STARTS,
            Detector::PrivateKey => self.pem = STARTS,
            Detector::TwilioKey => (self.token, self.capitals) = (STARTS, STARTS),
            Detector::SendgridKey | Detector::VaultToken | Detector::TerraformToken => self.dotted = STARTS,
            Detector::GoogleOauth => (self.dotted, self.dashed) = (STARTS, STARTS),
            Detector::UrlPassword
            | Detector::SlackWebhook
            | Detector::Email
            | Detector::GithubToken
            | Detector::NpmToken
            | Detector::StripeKey
            | Detector::OpenaiKey
            | Detector::AnthropicKey
            | Detector::PypiToken
            | Detector::AzureKey
            | Detector::DigitaloceanToken
            | Detector::ShopifyToken
            | Detector::DatabricksToken
            | Detector::HuggingfaceToken
            | Detector::DockerToken
            | Detector::AwsSecretKey
            | Detector::Jwt
            | Detector::SlackToken
            | Detector::GitlabToken
            | Detector::AwsAccessKey
            | Detector::GcpApiKey => self.token = STARTS,
        }
    }

    pub(super) const fn has(&self, detector: Detector) -> bool {
        self.detectors & detector.bit() != 0
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.detectors == 0
    }
}

/// Appends the windows of `text` in which something could be, and says whether any byte is not ASCII.
pub(super) fn look(level: Level, text: &[u8], wanted: &Wanted, out: &mut Vec<Window>) -> bool {
    #[cfg(target_arch = "x86_64")]
    if matches!(level, Level::Avx512(_)) {
        return dispatch!(level, simd => windows::<_, true, false>(simd, text, &[], wanted, out));
    }
    dispatch!(level, simd => windows::<_, false, false>(simd, text, &[], wanted, out))
}

/// Appends the windows of `text` in which something could be or where bytes are not ASCII, as if only the bytes of
/// `live` were there: bit n of its word m is byte 64 m + n.
pub(super) fn look_at_live(level: Level, text: &[u8], live: &[u64], wanted: &Wanted, out: &mut Vec<Window>) {
    #[cfg(target_arch = "x86_64")]
    if matches!(level, Level::Avx512(_)) {
        dispatch!(level, simd => windows::<_, true, true>(simd, text, live, wanted, out));
        return;
    }
    dispatch!(level, simd => windows::<_, false, true>(simd, text, live, wanted, out));
}

/// Goes through a text with vectors of 64 bytes, or 16; looks only at the bytes of `live`, or at all.
#[inline(always)]
fn windows<S: Simd, const WIDE: bool, const LIVE: bool>(
    simd: S,
    text: &[u8],
    live: &[u64],
    wanted: &Wanted,
    out: &mut Vec<Window>,
) -> bool {
    let mut at = 0;
    let mut high = 0;
    let mut highs = u64x8::splat(simd, 0);
    let mut batch: Classes<[u64; BATCH]> = Classes::default();
    while let Some(bytes) = text.get(at..).and_then(<[u8]>::first_chunk::<BATCH_BYTES>) {
        for number in 0..BATCH {
            let from = number * STRIDE;
            let Some(window) = bytes.get(from..).and_then(<[u8]>::first_chunk) else {
                break;
            };
            let mut classes = classify::<S, WIDE>(simd, window);
            if LIVE {
                classes.keep(live_bits(live, at + from));
            }
            batch.set(number, &classes);
        }
        let classes = batch.vectors(simd);
        highs |= classes.high;
        let found = Found::of(&classes, wanted);
        let worth = if LIVE {
            found.any | classes.high & STARTS
        } else {
            found.any
        };
        let mut worthy = (!worth.simd_eq(u64x8::splat(simd, 0))).to_bitmask();
        while worthy != 0 {
            let number = worthy.trailing_zeros() as usize % BATCH;
            worthy &= worthy - 1;
            out.push(found.window(at + number * STRIDE, number, &classes.high));
        }
        at += BATCH * STRIDE;
    }
    while at < text.len() {
        let mut classes = classify::<S, WIDE>(simd, &last(text.get(at..).unwrap_or_default()));
        if LIVE {
            classes.keep(live_bits(live, at));
        }
        high |= classes.high;
        let found = Found::of(&classes, wanted);
        if found.any | if LIVE { classes.high & STARTS } else { 0 } != 0 {
            out.push(Window {
                at,
                any: found.any,
                card: found.card,
                ssn: found.ssn,
                phone: found.phone,
                ip6: found.ip6,
                high: classes.high & STARTS,
            });
        }
        at += STRIDE;
    }
    high != 0 || highs.simd_gt(u64x8::splat(simd, 0)).any_true()
}

/// The bytes of a batch of windows.
const BATCH_BYTES: usize = (BATCH - 1) * STRIDE + SEEN;

/// The first bytes, filled up with zeros.
#[inline(always)]
fn last(bytes: &[u8]) -> [u8; SEEN] {
    if let Some(window) = bytes.first_chunk() {
        return *window;
    }
    let mut padded = [0; SEEN];
    if let Some(front) = padded.get_mut(..bytes.len()) {
        front.copy_from_slice(bytes);
    }
    padded
}

#[inline(always)]
fn classify<S: Simd, const WIDE: bool>(simd: S, bytes: &[u8; SEEN]) -> Classes<u64> {
    #[cfg(target_arch = "x86_64")]
    if WIDE {
        return by_64(simd, bytes);
    }
    by_16(simd, bytes)
}

/// The 64 bits from bit `at` on.
#[inline(always)]
fn live_bits(live: &[u64], at: usize) -> u64 {
    let (number, by) = (at / 64, at % 64);
    let word = |number: usize| live.get(number).copied().unwrap_or_default();
    match by {
        0 => word(number),
        by => word(number) >> by | word(number + 1) << (64 - by),
    }
}

/// A bit set, or several.
trait Bits:
    Copy
    + BitAnd<Output = Self>
    + BitAnd<u64, Output = Self>
    + BitOr<Output = Self>
    + Not<Output = Self>
    + Shl<u32, Output = Self>
    + Shr<u32, Output = Self>
{
}

impl Bits for u64 {}
impl<S: Simd> Bits for u64x8<S> {}

/// What could be in the first [`STRIDE`] bytes of a window, or of several.
struct Found<B> {
    any: B,
    card: B,
    ssn: B,
    phone: B,
    ip6: B,
}

impl<B: Bits> Found<B> {
    #[inline(always)]
    fn of(c: &Classes<B>, wanted: &Wanted) -> Self {
        let Classes {
            digit,
            dash,
            dot,
            upper,
            ..
        } = *c;
        let two = digit & (digit >> 1);
        let three = two & (digit >> 2);
        let four = two & (two >> 2);
        let eight = four & (four >> 4);
        // Not right behind a digit or a hyphen; and not behind a dot either.
        let start = digit & !((digit | dash) << 1);
        let fresh = start & !(dot << 1);
        let gap = c.space | dash;
        let point = dot | dash;
        let card = fresh & ((eight & (eight >> 5)) | run14(digit | gap)) & wanted.card;
        let ssn = start & three & (gap >> 3) & (two >> 4) & (gap >> 6) & (four >> 7) & wanted.ssn;
        let phone = fresh & three & (point >> 3) & (three >> 4) & (point >> 7) & (four >> 8) & wanted.phone;
        let inner = dot & (digit >> 1);
        let ip4 = inner & near(inner & near(inner)) & wanted.ip;
        let marked = c.lead & (digit >> 1) & !(digit << 1);
        // Not in the middle of a word of capitals or of a number.
        let fresh_upper = upper & !((upper | digit) << 1);
        let iban = fresh_upper & (upper >> 1) & (digit >> 2) & (digit >> 3) & wanted.iban;
        let ip6 = colons(c.colon) & wanted.ip;
        let dashes = dash & (dash >> 1);
        let pem = dashes & (dashes >> 2) & (dash >> 4) & (upper >> 5) & wanted.pem;
        let capitals = fresh_upper & (upper >> 1) & (word12(!(c.space | c.colon | c.lead | dot | dash | upper)) >> 2);
        let four_upper = upper & (upper >> 1) & (upper >> 2) & (upper >> 3);
        let dashed = fresh_upper & four_upper & (upper >> 4) & (upper >> 5) & (dash >> 6) & wanted.dashed;
        let dotted = dot & (word12(!(c.space | c.colon | c.lead | dot)) >> 1) & wanted.dotted;
        let vendors = (capitals & wanted.capitals) | dashed | dotted;
        let numbers = card | ssn | phone | ip4 | (marked & wanted.marked_phone);
        let tokens = (c.token & wanted.token) | iban | pem | vendors;
        Self {
            any: numbers | tokens | ip6,
            card,
            ssn,
            phone,
            ip6,
        }
    }
}

impl<S: Simd> Found<u64x8<S>> {
    /// One of the windows.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "the number is taken modulo the batch's")]
    fn window(&self, at: usize, number: usize, high: &u64x8<S>) -> Window {
        let number = number % BATCH;
        Window {
            at,
            any: self.any[number],
            card: self.card[number],
            ssn: self.ssn[number],
            phone: self.phone[number],
            ip6: self.ip6[number],
            high: high[number] & STARTS,
        }
    }
}

/// Where fourteen set bits start.
#[inline(always)]
fn run14<B: Bits>(x: B) -> B {
    let two = x & (x >> 1);
    let four = two & (two >> 2);
    let eight = four & (four >> 4);
    eight & (eight >> 6)
}

/// Where twelve set bits start.
#[inline(always)]
fn word12<B: Bits>(x: B) -> B {
    let two = x & (x >> 1);
    let four = two & (two >> 2);
    four & (four >> 4) & (four >> 8)
}

/// Where a set bit follows two to four places later: the dots of an IPv4 address.
#[inline(always)]
fn near<B: Bits>(x: B) -> B {
    (x >> 2) | (x >> 3) | (x >> 4)
}

/// Where two colons touch, or a colon is followed by two more, each within five places.
#[inline(always)]
fn colons<B: Bits>(colon: B) -> B {
    let within_five = |x: B| {
        let two = x | (x >> 1);
        let four = two | (two >> 2);
        (four | (x >> 4)) >> 1
    };
    let pairs = colon & within_five(colon);
    (colon & (colon >> 1)) | (colon & within_five(pairs))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]

    use fearless_simd::Level;
    use proptest::prelude::*;

    use super::{SEEN, STRIDE, Wanted, Window, look, look_at_live};
    use crate::Detector;

    fn wanted() -> Wanted {
        let mut wanted = Wanted::default();
        for detector in Detector::ALL {
            wanted.add(detector);
        }
        wanted
    }

    fn found(level: Level, text: &[u8]) -> (Vec<Window>, bool) {
        let mut windows = Vec::new();
        let high = look(level, text, &wanted(), &mut windows);
        (windows, high)
    }

    /// The windows one by one.
    fn one_by_one(text: &[u8]) -> Vec<Window> {
        let mut all = Vec::new();
        for at in (0..text.len()).step_by(STRIDE) {
            let (windows, _) = found(Level::baseline(), &text[at..text.len().min(at + SEEN)]);
            all.extend(
                windows
                    .iter()
                    .filter(|window| window.at == 0)
                    .map(|w| Window { at, ..*w }),
            );
        }
        all
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            4 => b'0'..=b'9',
            2 => proptest::sample::select(b"--..  ::/+(@_AKSIyJxg".to_vec()),
            1 => any::<u8>(),
        ];
        proptest::collection::vec(byte, 0..1500)
    }

    proptest! {
        #[test]
        fn windows_in_batches_are_those_one_by_one(text in text()) {
            let (windows, high) = found(Level::new(), &text);
            prop_assert_eq!(&windows, &one_by_one(&text));
            prop_assert_eq!(high, !text.is_ascii());
            prop_assert_eq!((windows, high), found(Level::baseline(), &text));
        }

        #[test]
        fn what_is_not_live_is_not_there(
            text in text(),
            live in proptest::collection::vec(any::<u64>(), 24),
        ) {
            let is_live = |at: usize| live[at / 64] >> (at % 64) & 1 == 1;
            let rest: Vec<u8> = text.iter().enumerate().map(|(at, b)| if is_live(at) { *b } else { 0 }).collect();
            let mut windows = Vec::new();
            look_at_live(Level::new(), &text, &live, &wanted(), &mut windows);
            // A token may seem to go on where nothing is live; it is nowhere missing.
            let (want, _) = found(Level::new(), &rest);
            for want in want {
                let window = windows.iter().find(|window| window.at == want.at);
                prop_assert!(window.is_some_and(|window| want.any & !window.any == 0));
                prop_assert!(window.is_some_and(|w| (w.card, w.ssn, w.ip6) == (want.card, want.ssn, want.ip6)));
            }
            let live_only = |w: &Window| (0..STRIDE).all(|at| w.any >> at & 1 == 0 || is_live(w.at + at));
            prop_assert!(windows.iter().all(live_only));
            let high = windows.iter().flat_map(|w| (0..STRIDE).filter(|at| w.high >> at & 1 == 1).map(|at| w.at + at));
            let highs: Vec<usize> = (0..rest.len()).filter(|at| !rest[*at].is_ascii()).collect();
            prop_assert_eq!(high.collect::<Vec<_>>(), highs);
        }
    }
}
