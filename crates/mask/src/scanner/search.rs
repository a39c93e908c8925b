//! The single pass: windows, candidates, verification.

use std::ops::Range;

use super::candidates::{Candidates, positions};
use super::classes::{Classes, STRIDE, WINDOW, classify, window};
use super::spans::{Found, Span};
use super::{Scanner, card, email, iban, ip, jwt, numbers, pem, tokens};
use crate::Detector;

/// So many bytes are classified before they are searched: whole blocks and whole windows, few enough for the
/// fastest cache.
const CHUNK: usize = 20 * STRIDE * 4;

pub(super) struct Search<'a> {
    scanner: &'a Scanner,
    text: &'a [u8],
    spans: &'a mut Vec<Span>,
    /// Up to here the kinds of which one value can look like many need no second look.
    card_end: usize,
    email_end: usize,
    v6_end: usize,
    pem_end: usize,
    slack_end: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(scanner: &'a Scanner, text: &'a [u8], spans: &'a mut Vec<Span>) -> Self {
        Self {
            scanner,
            text,
            spans,
            card_end: 0,
            email_end: 0,
            v6_end: 0,
            pem_end: 0,
            slack_end: 0,
        }
    }

    /// Finds everything, and says whether the text holds bytes that are not ASCII.
    pub(super) fn run(mut self, blocks: &mut Vec<Classes>) -> bool {
        let mut high = false;
        let mut chunk = 0;
        while chunk < self.text.len() {
            let end = (chunk + CHUNK).min(self.text.len());
            // One block more: the last windows reach into it.
            let bytes = self.text.get(chunk..(end + WINDOW).min(self.text.len()));
            blocks.clear();
            high |= classify(self.scanner.level, bytes.unwrap_or_default(), blocks);
            let mut at = chunk;
            while at < end {
                let candidates = Candidates::of(&window(blocks, at - chunk), &self.scanner.wanted);
                if candidates.any() != 0 {
                    self.verify(at, &candidates);
                }
                at += STRIDE;
            }
            chunk = end;
        }
        high
    }

    /// Looks at candidates of a window that starts at `base`, which wraps if it starts before the text.
    #[inline]
    pub(super) fn verify(&mut self, base: usize, found: &Candidates) {
        if found.card | found.ssn | found.phone | found.ip4 != 0 {
            self.verify_numbers(base, found);
        }
        for at in positions(found.mark) {
            self.verify_mark(base.wrapping_add(at));
        }
        if found.ip6 | found.iban | found.url | found.dash | found.capitals != 0 {
            self.verify_others(base, found);
        }
    }

    fn verify_numbers(&mut self, base: usize, found: &Candidates) {
        for at in positions(found.card).map(|at| base.wrapping_add(at)) {
            if at < self.card_end {
                continue;
            }
            if let Some(range) = card::find(self.text, at) {
                self.card_end = range.end;
                self.push(Detector::CreditCard, range);
            }
        }
        for at in positions(found.ssn).map(|at| base.wrapping_add(at)) {
            self.add(Detector::Ssn, numbers::ssn(self.text, at));
        }
        for at in positions(found.phone).map(|at| base.wrapping_add(at)) {
            self.add(Detector::Phone, numbers::phone_plain(self.text, at));
        }
        for at in positions(found.ip4).map(|at| base.wrapping_add(at)) {
            self.add(Detector::Ip, ip::v4(self.text, at));
        }
    }

    fn verify_mark(&mut self, at: usize) {
        match self.text.get(at) {
            Some(b'@') => {
                if let Some(range) = email::find(self.text, self.email_end, at) {
                    self.email_end = range.end;
                    self.push(Detector::Email, range);
                }
            }
            Some(b'_') => self.verify_underscore(at),
            Some(b'J') => self.add(Detector::Jwt, jwt::find(self.text, at)),
            Some(_) => self.add(Detector::Phone, numbers::phone_marked(self.text, at)),
            None => {}
        }
    }

    fn verify_others(&mut self, base: usize, found: &Candidates) {
        for at in positions(found.ip6).map(|at| base.wrapping_add(at)) {
            if at < self.v6_end {
                continue;
            }
            if let Some(range) = ip::v6(self.text, at) {
                self.v6_end = range.end;
                self.push(Detector::Ip, range);
            }
        }
        for at in positions(found.iban).map(|at| base.wrapping_add(at)) {
            self.add(Detector::Iban, iban::find(self.text, at));
        }
        for at in positions(found.capitals).map(|at| base.wrapping_add(at)) {
            self.add(Detector::AwsAccessKey, tokens::aws_access_key(self.text, at));
            self.add(Detector::GcpApiKey, tokens::gcp_api_key(self.text, at));
        }
        for at in positions(found.url).map(|at| base.wrapping_add(at)) {
            if self.text.get(at + 1) == Some(&b'/') && self.text.get(at + 2) == Some(&b'/') {
                self.add(Detector::UrlPassword, tokens::url_password(self.text, at));
                self.add(Detector::SlackWebhook, tokens::slack_webhook(self.text, at));
            }
        }
        for at in positions(found.dash).map(|at| base.wrapping_add(at)) {
            self.verify_dash(at);
        }
    }

    /// The letters around a hyphen say what it can be part of.
    fn verify_dash(&mut self, at: usize) {
        let before = at.checked_sub(1).and_then(|last| self.text.get(last));
        match before {
            Some(b'-') if self.text.get(at + 1) == Some(&b'B') => self.verify_pem(at),
            Some(b't') => self.add(Detector::GitlabToken, tokens::gitlab_token(self.text, at)),
            Some(b'a' | b'b' | b'p' | b'r' | b's') if at >= self.slack_end => {
                match tokens::slack_token(self.text, at) {
                    Some(Ok(range)) => self.push(Detector::SlackToken, range),
                    Some(Err(end)) => self.slack_end = end,
                    None => {}
                }
            }
            Some(_) | None => {}
        }
    }

    fn verify_pem(&mut self, at: usize) {
        let Some(start) = at.checked_sub(4).filter(|start| *start >= self.pem_end) else {
            return;
        };
        if self.scanner.looks_for(Detector::PrivateKey)
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
