//! The single pass: windows, candidates, verification.

use std::ops::Range;

use super::candidates::{Candidates, positions};
use super::classes::{Classes, STRIDE, WINDOW};
use super::spans::{Found, Span};
use super::{Scanner, card, email, iban, ip, jwt, numbers, pem, tokens};
use crate::Detector;

pub(super) struct Search<'a> {
    scanner: &'a Scanner,
    text: &'a [u8],
    spans: &'a mut Vec<Span>,
    /// Up to here the kinds of which one value can look like many need no second look.
    card_end: usize,
    v6_end: usize,
    pem_end: usize,
    slack_end: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(scanner: &'a Scanner, text: &'a [u8], spans: &'a mut Vec<Span>) -> Self {
        Self { scanner, text, spans, card_end: 0, v6_end: 0, pem_end: 0, slack_end: 0 }
    }

    /// Finds everything, and says whether the text holds bytes that are not ASCII.
    pub(super) fn run(mut self) -> bool {
        let mut classes = Classes::first(self.text);
        let mut base = 0;
        let mut high = 0;
        loop {
            high |= classes.high;
            let candidates = Candidates::of(&classes, self.scanner.wanted);
            if !candidates.none() {
                self.verify(base, &candidates);
            }
            base += STRIDE;
            if base >= self.text.len() {
                return high != 0;
            }
            let rest = self.text.get(base + WINDOW - STRIDE..).unwrap_or_default();
            classes = classes.next(rest);
        }
    }

    fn verify(&mut self, base: usize, found: &Candidates) {
        self.verify_numbers(base, found);
        for at in positions(found.email) {
            self.add(Detector::Email, email::find(self.text, base + at));
        }
        if found.ip4 | found.ip6 | found.iban | found.url != 0 {
            self.verify_addresses(base, found);
        }
        let tokens =
            found.jwt | found.pem | found.aws | found.gcp | found.underscore | found.slack;
        if tokens | found.gitlab != 0 {
            self.verify_tokens(base, found);
        }
    }

    fn verify_numbers(&mut self, base: usize, found: &Candidates) {
        for at in positions(found.card) {
            if base + at < self.card_end {
                continue;
            }
            if let Some(range) = card::find(self.text, base + at) {
                self.card_end = range.end;
                self.push(Detector::CreditCard, range);
            }
        }
        for at in positions(found.ssn) {
            self.add(Detector::Ssn, numbers::ssn(self.text, base + at));
        }
        for at in positions(found.phone) {
            self.add(Detector::Phone, numbers::phone_plain(self.text, base + at));
        }
        for at in positions(found.phone_mark) {
            self.add(Detector::Phone, numbers::phone_marked(self.text, base + at));
        }
    }

    fn verify_addresses(&mut self, base: usize, found: &Candidates) {
        for at in positions(found.ip4) {
            self.add(Detector::Ip, ip::v4(self.text, base + at));
        }
        for at in positions(found.ip6) {
            if base + at < self.v6_end {
                continue;
            }
            if let Some(range) = ip::v6(self.text, base + at) {
                self.v6_end = range.end;
                self.push(Detector::Ip, range);
            }
        }
        for at in positions(found.iban) {
            self.add(Detector::Iban, iban::find(self.text, base + at));
        }
        for at in positions(found.url) {
            if self.scanner.looks_for(Detector::UrlPassword) {
                self.add(Detector::UrlPassword, tokens::url_password(self.text, base + at));
            }
            if self.scanner.looks_for(Detector::SlackWebhook) {
                self.add(Detector::SlackWebhook, tokens::slack_webhook(self.text, base + at));
            }
        }
    }

    fn verify_tokens(&mut self, base: usize, found: &Candidates) {
        for at in positions(found.jwt) {
            self.add(Detector::Jwt, jwt::find(self.text, base + at));
        }
        for at in positions(found.pem) {
            if base + at < self.pem_end {
                continue;
            }
            if let Some(range) = pem::find(self.text, base + at) {
                self.pem_end = range.end;
                self.push(Detector::PrivateKey, range);
            }
        }
        for at in positions(found.aws) {
            self.add(Detector::AwsAccessKey, tokens::aws_access_key(self.text, base + at));
        }
        for at in positions(found.gcp) {
            self.add(Detector::GcpApiKey, tokens::gcp_api_key(self.text, base + at));
        }
        for at in positions(found.underscore) {
            self.verify_underscore(base + at);
        }
        for at in positions(found.slack) {
            if base + at < self.slack_end {
                continue;
            }
            match tokens::slack_token(self.text, base + at) {
                Some(Ok(range)) => self.push(Detector::SlackToken, range),
                Some(Err(end)) => self.slack_end = end,
                None => {}
            }
        }
        for at in positions(found.gitlab) {
            self.add(Detector::GitlabToken, tokens::gitlab_token(self.text, base + at));
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
