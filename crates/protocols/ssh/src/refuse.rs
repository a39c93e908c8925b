//! Refusals and holds in the words that a person at a terminal reads.

use std::fmt::Write;

use sallyport_identity::oidc::flow::DeviceCode;
use sallyport_session::{HoldInfo, Refusal};

/// Reasons of a disconnection (RFC 4253, section 11.1).
pub(crate) const PROTOCOL_ERROR: u32 = 2;
pub(crate) const BY_APPLICATION: u32 = 11;
pub(crate) const NO_MORE_METHODS: u32 = 14;

/// A refusal, over several lines.
pub(crate) fn words(refusal: &Refusal) -> String {
    let mut words = format!("sallyport: {}\n", printable(&refusal.message));
    if !refusal.rules.is_empty() {
        let _ = writeln!(words, "  rule: {}", printable(&refusal.rules.join(", ")));
    }
    if let Some(hint) = &refusal.hint {
        let _ = writeln!(words, "  hint: {}", printable(hint));
    }
    words
}

/// The same on one line, where a protocol has room for one.
pub(crate) fn line(refusal: &Refusal) -> String {
    let mut words = printable(&refusal.message);
    if !refusal.rules.is_empty() {
        let _ = write!(words, " (rule {})", printable(&refusal.rules.join(", ")));
    }
    words
}

/// What a person is told while a command waits.
pub(crate) fn held(hold: &HoldInfo) -> String {
    let reason = hold.message.as_deref().unwrap_or("this command waits for approval");
    let groups = if hold.groups.is_empty() {
        "a reviewer".to_owned()
    } else {
        hold.groups.join(", ")
    };
    if !hold.watch.is_empty() {
        let also = if hold.groups.is_empty() {
            String::new()
        } else {
            format!("{}, and for ", printable(&groups))
        };
        return format!(
            "sallyport: {}\n  request {} waits for {also}somebody of {} to watch: `sallyport sessions watch {}`\n  Ctrl-C gives it up\n",
            printable(reason),
            printable(&hold.request),
            printable(&hold.watch.join(" and ")),
            printable(&hold.session),
        );
    }
    format!(
        "sallyport: {}\n  request {} waits for {}; `sallyport requests {}` shows it\n  Ctrl-C gives it up\n",
        printable(reason),
        printable(&hold.request),
        printable(&groups),
        printable(&hold.request),
    )
}

/// How a login is completed with a browser.
pub(crate) fn browse(person: &str, code: &DeviceCode) -> String {
    let mut words = format!(
        "To log in as {}, go to\n\n  {}\n\nwithin {} minutes and type the code\n\n  {}\n",
        printable(person),
        code.page,
        code.expires_in.as_secs() / 60,
        printable(&code.code),
    );
    if let Some(page) = &code.page_with_code {
        let _ = write!(words, "\nor, with the code in it, to\n\n  {page}\n");
    }
    words.push_str("\nNobody else may give you a code to type there: it would log them in as you.\n");
    words
}

/// What a person is told who gave up.
pub(crate) fn withdrawn(terminal: bool) -> &'static str {
    if terminal {
        "^C\r\nsallyport: the request for approval is withdrawn\r\n"
    } else {
        "sallyport: the request for approval is withdrawn\n"
    }
}

/// The text without anything that a terminal would act on.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use sallyport_session::{Reason, Refusal};

    #[test]
    fn what_others_wrote_cannot_steer_a_terminal() {
        let mut refusal = Refusal::new(Reason::Denied, "no\x1b]0;owned\x07").with_hint("a\nb");
        refusal.rules = vec!["r".to_owned()];
        let words = super::words(&refusal);
        assert_eq!(
            words,
            "sallyport: no\u{fffd}]0;owned\u{fffd}\n  rule: r\n  hint: a\u{fffd}b\n"
        );
        assert_eq!(super::line(&refusal), "no\u{fffd}]0;owned\u{fffd} (rule r)");
    }
}
