//! The single pass: windows, candidates, verification.

use std::ops::Range;

use super::candidates::{STRIDE, Window, look};
use super::classes::SEEN;
use super::jwt::Headers;
use super::spans::{Found, Span};
use super::{Scanner, card, email, iban, ip, jwt, numbers, pem, tokens, vendors};
use crate::Detector;

/// So many bytes are looked at before what could be in them is verified: few enough for the fastest cache.
const CHUNK: usize = STRIDE * 80;

pub(super) struct Search<'a> {
    scanner: &'a Scanner,
    text: &'a [u8],
    spans: &'a mut Vec<Span>,
    headers: &'a mut Headers,
    /// Up to here the kinds of which one value can look like many need no second look.
    card_end: usize,
    email_end: usize,
    v6_end: usize,
    pem_end: usize,
    slack_end: usize,
    /// Up to here everything is part of a token, but for what a hyphen or dot in it begins and that goes on behind it.
    jwt_end: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        scanner: &'a Scanner,
        text: &'a [u8],
        spans: &'a mut Vec<Span>,
        headers: &'a mut Headers,
    ) -> Self {
        Self {
            scanner,
            text,
            spans,
            headers,
            card_end: 0,
            email_end: 0,
            v6_end: 0,
            pem_end: 0,
            slack_end: 0,
            jwt_end: 0,
        }
    }

    /// Finds everything, and says whether the text holds bytes that are not ASCII.
    pub(super) fn run(mut self, windows: &mut Vec<Window>) -> bool {
        let mut high = false;
        let mut chunk = 0;
        while chunk < self.text.len() {
            let end = (chunk + CHUNK).min(self.text.len());
            // As much more as the last window shows. Windows that start there come again with the next chunk.
            let bytes = self.text.get(chunk..(end + SEEN - STRIDE).min(self.text.len()));
            windows.clear();
            high |= look(
                self.scanner.level,
                bytes.unwrap_or_default(),
                &self.scanner.wanted,
                windows,
            );
            for window in windows.iter().filter(|window| chunk + window.at < end) {
                self.verify(chunk + window.at, window, u64::MAX);
            }
            chunk = end;
        }
        high
    }

    /// Looks at the candidates in `mask` of a window that starts at `base`, which wraps if it starts before the text.
    #[inline]
    pub(super) fn verify(&mut self, base: usize, window: &Window, mask: u64) {
        let mut bits = window.any & mask;
        while bits != 0 {
            let bit = bits.trailing_zeros();
            bits &= bits - 1;
            self.verify_at(base.wrapping_add(bit as usize), window, bit);
        }
    }

    /// The byte says what can be there.
    #[inline]
    fn verify_at(&mut self, at: usize, window: &Window, bit: u32) {
        let Some(byte) = self.text.get(at) else {
            return;
        };
        match byte {
            b'@' => {
                if let Some(range) = email::find(self.text, self.email_end, at) {
                    self.email_end = range.end;
                    self.push(Detector::Email, range);
                }
            }
            b'-' => self.verify_pem(at),
            b'g' => {
                self.add(Detector::GitlabToken, tokens::gitlab_token(self.text, at + 5));
                self.add_found(vendors::at_letter(self.text, at));
            }
            b'.' => self.verify_dot(at),
            _ if at < self.jwt_end => {}
            b'0'..=b'9' => self.verify_number(at, window, bit),
            b'_' => self.verify_underscore(at),
            b':' => self.verify_colon(at, window.ip6 >> bit & 1 == 1),
            b'+' | b'(' => self.add(Detector::Phone, numbers::phone_marked(self.text, at)),
            b'i' | b'k' | b'd' => self.add_found(vendors::at_letter(self.text, at)),
            b'p' | b'{' => {}
            b'y' => {
                self.add_found(vendors::at_letter(self.text, at));
                if let Some(range) = jwt::find(self.text, at + 1, self.headers) {
                    if self.scanner.looks_for(Detector::Jwt) {
                        self.jwt_end = range.end;
                    }
                    self.push(Detector::Jwt, range);
                }
            }
            b'x' => self.verify_slack(at + 4),
            _ => self.verify_capital(at),
        }
    }

    fn verify_number(&mut self, at: usize, window: &Window, bit: u32) {
        let is = |set: u64| set >> bit & 1 == 1;
        if is(window.card)
            && at >= self.card_end
            && let Some(range) = card::find(self.text, at)
        {
            self.card_end = range.end;
            self.push(Detector::CreditCard, range);
        }
        if is(window.ssn) {
            self.add(Detector::Ssn, numbers::ssn(self.text, at));
        }
        if is(window.phone) {
            self.add(Detector::Phone, numbers::phone_plain(self.text, at));
        }
    }

    fn verify_colon(&mut self, at: usize, ip6: bool) {
        if self.text.get(at + 1) == Some(&b'/') && self.text.get(at + 2) == Some(&b'/') {
            self.add(Detector::UrlPassword, tokens::url_password(self.text, at));
            self.add(Detector::SlackWebhook, tokens::slack_webhook(self.text, at));
        }
        if ip6
            && at >= self.v6_end
            && let Some(range) = ip::v6(self.text, at)
        {
            self.v6_end = range.end;
            self.push(Detector::Ip, range);
        }
    }

    fn verify_capital(&mut self, at: usize) {
        if self.text.get(at + 2).is_some_and(u8::is_ascii_digit) {
            self.add(Detector::Iban, iban::find(self.text, at));
        } else {
            self.add(Detector::AwsAccessKey, tokens::aws_access_key(self.text, at));
            self.add(Detector::GcpApiKey, tokens::gcp_api_key(self.text, at));
        }
        self.add_found(vendors::at_capital(self.text, at));
    }

    /// The hyphen of a Slack token is at `at`.
    fn verify_slack(&mut self, at: usize) {
        if at < self.slack_end {
            return;
        }
        match tokens::slack_token(self.text, at) {
            Some(Ok(range)) => self.push(Detector::SlackToken, range),
            Some(Err(end)) => self.slack_end = end,
            None => {}
        }
    }

    /// A dot of an IPv4 address, or the last of a key's prefix.
    fn verify_dot(&mut self, at: usize) {
        if at >= self.jwt_end {
            self.add(Detector::Ip, ip::v4(self.text, at));
        }
        self.add_found(vendors::at_dot(self.text, at));
    }

    /// The first of five hyphens is at `start`.
    fn verify_pem(&mut self, start: usize) {
        if start >= self.pem_end
            && self.scanner.looks_for(Detector::PrivateKey)
            && let Some(range) = pem::find(self.text, start)
        {
            self.pem_end = range.end;
            self.push(Detector::PrivateKey, range);
        }
    }

    /// The letter before an underscore says which prefix it can end.
    fn verify_underscore(&mut self, at: usize) {
        let before = at.checked_sub(1).and_then(|last| self.text.get(last));
        let text = self.text;
        match before {
            Some(b'p' | b'o' | b'u' | b'r' | b'b') => {
                self.add(Detector::GithubToken, tokens::github_token(text, at));
            }
            Some(b's' | b'S') => {
                self.add(Detector::GithubToken, tokens::github_token(text, at));
                self.add(Detector::AwsSecretKey, tokens::aws_secret_key(text, at));
            }
            Some(b'm') => {
                let npm = |prefix: &[u8]| prefix == b"npm";
                self.add(Detector::NpmToken, tokens::three_letters(text, at, npm));
            }
            Some(b'k') => self.add(Detector::StripeKey, tokens::stripe_key(text, at)),
            Some(_) | None => {}
        }
        if matches!(
            before,
            Some(b'p' | b'o' | b'r' | b't' | b'a' | b's' | b'f' | b'i' | b'c')
        ) {
            self.add_found(vendors::at_underscore(text, at));
        }
    }

    fn add_found(&mut self, found: Option<(Detector, Range<usize>)>) {
        if let Some((detector, range)) = found {
            self.push(detector, range);
        }
    }

    fn add(&mut self, detector: Detector, range: Option<Range<usize>>) {
        if let Some(range) = range {
            self.push(detector, range);
        }
    }

    fn push(&mut self, detector: Detector, range: Range<usize>) {
        if !self.scanner.looks_for(detector) {
            return;
        }
        let strategy = self.scanner.strategies.get(detector.index()).copied();
        self.spans.push(Span {
            start: range.start,
            end: range.end,
            found: Found::Builtin(detector),
            strategy: strategy.unwrap_or(crate::Strategy::Redact),
        });
    }
}
