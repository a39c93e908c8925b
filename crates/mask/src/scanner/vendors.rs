//! Keys and tokens of vendors whose prefixes end in a hyphen, a dot, an equals sign or nothing at all, and the longer
//! list of those that end in an underscore.
//!
//! Each search starts where a candidate was seen. What goes before a value ends it, and what is in one starts none: so
//! every byte is looked at a bounded number of times, whatever a peer makes up.

use std::ops::Range;

use crate::Detector;
use crate::words::{word_at, word_before, word_or_dash_at};

type Found = Option<(Detector, Range<usize>)>;

/// `GOCSPX-…` of Google, `SK…` and `AC…` of Twilio, and Azure's keys by the mark in them, from the capital at `at`.
pub(super) fn at_capital(text: &[u8], at: usize) -> Found {
    match text.get(at..at + 4)? {
        b"GOCS" => google_client_secret(text, at),
        [b'A', b'S' | b'C', ..] if let Some(range) = azure_marked(text, at) => Some((Detector::AzureKey, range)),
        [b'S', b'K', ..] | [b'A', b'C', ..] => twilio(text, at),
        _ => None,
    }
}

/// Keys whose prefix ends in the dot at `at`: `SG.`, `hvs.`, `ya29.`, `….atlasv1.`
pub(super) fn at_dot(text: &[u8], at: usize) -> Found {
    match at.checked_sub(1).and_then(|last| text.get(last))? {
        b'G' => sendgrid(text, at),
        b's' | b'b' | b'r' => vault(text, at),
        b'9' | b'c' | b'm' => google_access_token(text, at),
        b'1' => terraform(text, at),
        _ => None,
    }
}

/// Keys whose prefix has the two letters from `at` on: `sk-`, `pypi-`, `AccountKey=`, `sig=`, `dapi`.
pub(super) fn at_letter(text: &[u8], at: usize) -> Found {
    let next = text.get(at + 1);
    match text.get(at)? {
        b'k' => model_key(text, at + 1),
        b'i' => pypi(text, at + 1).map(|range| (Detector::PypiToken, range)),
        b'y' => azure_named(text, at + 1).map(|range| (Detector::AzureKey, range)),
        b'g' if next == Some(&b'=') => azure_signature(text, at + 1).map(|range| (Detector::AzureKey, range)),
        b'd' => databricks(text, at).map(|range| (Detector::DatabricksToken, range)),
        _ => None,
    }
}

/// A prefix that ends in an underscore, and what follows it.
struct Prefixed {
    detector: Detector,
    prefix: &'static [u8],
    /// How far into the prefix its first underscore is.
    underscore: usize,
    member: fn(u8) -> bool,
    shortest: usize,
    longest: usize,
}

const fn prefixed(
    detector: Detector,
    prefix: &'static [u8],
    underscore: usize,
    member: fn(u8) -> bool,
    (shortest, longest): (usize, usize),
) -> Prefixed {
    Prefixed {
        detector,
        prefix,
        underscore,
        member,
        shortest,
        longest,
    }
}

const ANY: usize = 300;

static PREFIXED: [Prefixed; 12] = [
    prefixed(Detector::DigitaloceanToken, b"dop_v1_", 3, hex, (64, 64)),
    prefixed(Detector::DigitaloceanToken, b"doo_v1_", 3, hex, (64, 64)),
    prefixed(Detector::DigitaloceanToken, b"dor_v1_", 3, hex, (64, 64)),
    prefixed(Detector::ShopifyToken, b"shpat_", 5, any_hex, (32, 32)),
    prefixed(Detector::ShopifyToken, b"shpca_", 5, any_hex, (32, 32)),
    prefixed(Detector::ShopifyToken, b"shppa_", 5, any_hex, (32, 32)),
    prefixed(Detector::ShopifyToken, b"shpss_", 5, any_hex, (32, 32)),
    prefixed(Detector::HuggingfaceToken, b"hf_", 2, alphanumeric, (34, 40)),
    prefixed(Detector::HuggingfaceToken, b"api_org_", 3, alphanumeric, (34, 40)),
    prefixed(Detector::DockerToken, b"dckr_pat_", 4, base64url, (20, ANY)),
    prefixed(Detector::DockerToken, b"dckr_oat_", 4, base64url, (20, ANY)),
    prefixed(Detector::StripeKey, b"whsec_", 5, base64, (32, ANY)),
];

/// The key around its first underscore at `at`.
pub(super) fn at_underscore(text: &[u8], at: usize) -> Found {
    PREFIXED.iter().find_map(|kind| {
        let start = at.checked_sub(kind.underscore)?;
        if !starts(text, start, kind.prefix) || word_before(text, start, b"") {
            return None;
        }
        let from = start + kind.prefix.len();
        let end = run(text, from, kind.longest + 1, kind.member);
        let length = end - from;
        (length >= kind.shortest && length <= kind.longest && !word_at(text, end))
            .then_some((kind.detector, start..end))
    })
}

/// Keys to models: `sk-ant-…` of Anthropic; `sk-…`, `sk-proj-…` and others of OpenAI and those who speak its API. `at`
/// is the first hyphen.
fn model_key(text: &[u8], at: usize) -> Found {
    let start = at.checked_sub(2)?;
    if !starts(text, start, b"sk-") || word_before(text, start, b"-") {
        return None;
    }
    let end = run(text, start, usize::MAX, base64url);
    let body = text.get(at + 1..end)?;
    if let Some(rest) = body.strip_prefix(b"ant-") {
        return (rest.len() >= 32 && mixed(rest)).then_some((Detector::AnthropicKey, start..end));
    }
    let kinds: [&[u8]; 5] = [b"proj-", b"svcacct-", b"admin-", b"service-", b"None-"];
    let kind = kinds.into_iter().find_map(|kind| body.strip_prefix(kind));
    let fits = match kind {
        Some(rest) => rest.len() >= 32 && mixed(rest),
        // Without a kind there is one word. A class of a style sheet has several.
        None => {
            let word = body.strip_prefix(b"or-v1-").unwrap_or(body);
            word.len() >= 32 && word.iter().all(u8::is_ascii_alphanumeric) && mixed(word)
        }
    };
    fits.then_some((Detector::OpenaiKey, start..end))
}

/// Letters and digits: what is drawn at random has both.
fn mixed(key: &[u8]) -> bool {
    key.iter().any(u8::is_ascii_digit) && key.iter().any(u8::is_ascii_alphabetic)
}

/// `pypi-AgE` around its hyphen at `at`, and at least seventy more: a macaroon for one of the two indexes.
fn pypi(text: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at.checked_sub(4)?;
    if !starts(text, start, b"pypi-AgE") || word_before(text, start, b"-") {
        return None;
    }
    let end = run(text, start, usize::MAX, base64url);
    (end - start >= 78).then_some(start..end)
}

/// `dapi` from `start` on, thirty-two hexadecimal digits, and perhaps a number.
fn databricks(text: &[u8], start: usize) -> Option<Range<usize>> {
    if !starts(text, start, b"dapi") || word_before(text, start, b"-") {
        return None;
    }
    let end = run(text, start + 4, 33, hex);
    let number = match text.get(end..end + 2) {
        Some([b'-', digit]) if digit.is_ascii_digit() => end + 2,
        Some(_) | None => end,
    };
    (end == start + 36 && !word_or_dash_at(text, number)).then_some(start..number)
}

/// `SG.`, twenty-two characters, a dot, forty-three characters; `at` is the first dot.
fn sendgrid(text: &[u8], at: usize) -> Found {
    let start = at.checked_sub(2)?;
    let second = at + 23;
    let end = second + 44;
    let fits = starts(text, start, b"SG.")
        && text.get(at + 1..second)?.iter().all(|byte| base64url(*byte))
        && text.get(second) == Some(&b'.')
        && text.get(second + 1..end)?.iter().all(|byte| base64url(*byte));
    (fits && !word_before(text, start, b"-") && !word_or_dash_at(text, end))
        .then_some((Detector::SendgridKey, start..end))
}

/// `hvs.`, `hvb.` or `hvr.` around the dot at `at`, and at least twenty-four characters.
fn vault(text: &[u8], at: usize) -> Found {
    let start = at.checked_sub(3)?;
    if !starts(text, start, b"hv") || word_before(text, start, b"-") {
        return None;
    }
    let end = run(text, at + 1, usize::MAX, base64url);
    (end - at > 24).then_some((Detector::VaultToken, start..end))
}

/// Fourteen characters, `.atlasv1` and the dot at `at`, and at least sixty characters.
fn terraform(text: &[u8], at: usize) -> Found {
    let mark = at.checked_sub(8)?;
    let start = mark.checked_sub(14)?;
    if !starts(text, mark, b".atlasv1.") || !text.get(start..mark)?.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    let end = run(text, at + 1, usize::MAX, |byte| base64url(byte) || byte == b'=');
    (end - at > 60 && !word_before(text, start, b"-")).then_some((Detector::TerraformToken, start..end))
}

/// `ya29.` or `ya29.c.` and its kin before or around the dot at `at`, and at least twenty characters.
fn google_access_token(text: &[u8], at: usize) -> Found {
    let start = [4, 6]
        .into_iter()
        .filter_map(|back| at.checked_sub(back))
        .find(|start| starts(text, *start, b"ya29."))?;
    // Behind a dot it may be inside another one, which was looked at.
    if word_before(text, start, b"-.") {
        return None;
    }
    let end = run(text, at + 1, usize::MAX, |byte| base64url(byte) || byte == b'.');
    (end - at > 20).then_some((Detector::GoogleOauth, start..end))
}

/// `GOCSPX-` and twenty-eight characters from the capital at `start`.
fn google_client_secret(text: &[u8], start: usize) -> Found {
    let end = start + 35;
    let fits = starts(text, start, b"GOCSPX-") && text.get(start..end)?.iter().all(|byte| base64url(*byte));
    (fits && !word_before(text, start, b"-") && !word_or_dash_at(text, end))
        .then_some((Detector::GoogleOauth, start..end))
}

/// `SK` or `AC` and thirty-two small hexadecimal digits, from the capital at `start`.
fn twilio(text: &[u8], start: usize) -> Found {
    let end = run(text, start + 2, 33, hex);
    let fits = end == start + 34 && mixed(text.get(start + 2..end)?);
    (fits && !word_before(text, start, b"-") && !word_or_dash_at(text, end))
        .then_some((Detector::TwilioKey, start..end))
}

/// A mark that Azure puts into its keys.
struct Mark {
    mark: &'static [u8],
    /// How far into the mark its first capital is.
    capital: usize,
    /// How many characters stand before the mark.
    before: usize,
    /// How many characters the key has, without its padding.
    body: usize,
    padding: &'static [u8],
}

const fn mark(mark: &'static [u8], capital: usize, before: usize, body: usize, padding: &'static [u8]) -> Mark {
    Mark {
        mark,
        capital,
        before,
        body,
        padding,
    }
}

/// Storage, Cosmos DB, Service Bus.
static AZURE_MARKS: [Mark; 3] = [
    mark(b"+ASt", 1, 76, 86, b"=="),
    mark(b"ACDb", 0, 76, 86, b"=="),
    mark(b"+ASb", 1, 33, 43, b"="),
];

/// A key of Azure's by its mark, whose first capital is at `at`.
fn azure_marked(text: &[u8], at: usize) -> Option<Range<usize>> {
    AZURE_MARKS.iter().find_map(|kind| {
        let place = at
            .checked_sub(kind.capital)
            .filter(|place| starts(text, *place, kind.mark))?;
        let start = place.checked_sub(kind.before)?;
        let end = start + kind.body + kind.padding.len();
        let before = start.checked_sub(1).and_then(|last| text.get(last));
        let alone = !before.is_some_and(|byte| base64(*byte)) && text.get(end) != Some(&b'=');
        let whole = run(text, start, kind.body + 1, base64) == start + kind.body;
        (whole && alone && starts(text, start + kind.body, kind.padding) && !word_at(text, end)).then_some(start..end)
    })
}

/// The key in `AccountKey=…` and `SharedAccessKey=…` of a connection string; `sign` is the equals sign.
fn azure_named(text: &[u8], sign: usize) -> Option<Range<usize>> {
    let names: [&[u8]; 2] = [b"accountkey", b"sharedaccesskey"];
    let named = names.iter().any(|name| {
        let before = sign.checked_sub(name.len()).and_then(|start| text.get(start..sign));
        before.is_some_and(|before| before.eq_ignore_ascii_case(name))
    });
    if !named || text.get(sign) != Some(&b'=') {
        return None;
    }
    let start = sign + 1 + usize::from(matches!(text.get(sign + 1), Some(b'"' | b'\'')));
    let body = run(text, start, 512, base64);
    let end = run(text, body, 2, |byte| byte == b'=');
    (body - start >= 40).then_some(start..end)
}

/// The signature of a shared access signature, in `?…&sig=…`; `sign` is the equals sign. It is forty-three characters
/// and a padding, as they are or as a URL has them.
fn azure_signature(text: &[u8], sign: usize) -> Option<Range<usize>> {
    let before = text.get(..sign)?.strip_suffix(b"sig")?;
    if !matches!(before.last(), Some(b'?' | b'&' | b';')) && !before.ends_with(b"\\u0026") {
        return None;
    }
    let start = sign + 1;
    let (mut at, mut characters) = (start, 0);
    while characters < 43 {
        at += match text.get(at..)? {
            [byte, ..] if base64(*byte) => 1,
            [b'%', b'2', b'B' | b'b' | b'F' | b'f', ..] => 3,
            _ => return None,
        };
        characters += 1;
    }
    match text.get(at..)? {
        [b'=', ..] => Some(start..at + 1),
        [b'%', b'3', b'D' | b'd', ..] => Some(start..at + 3),
        _ => None,
    }
}

fn hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

fn any_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// RFC 4648, section 4, without padding.
fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// RFC 4648, section 5, without padding.
fn base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Where the run of bytes of an alphabet that starts at `from` ends; at most `limit` bytes are looked at.
fn run(text: &[u8], from: usize, limit: usize, member: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().take(limit).take_while(|byte| member(**byte)).count()
}

fn starts(text: &[u8], at: usize, prefix: &[u8]) -> bool {
    text.get(at..).is_some_and(|rest| rest.starts_with(prefix))
}
