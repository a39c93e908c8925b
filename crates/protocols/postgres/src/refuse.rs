//! Refusals in PostgreSQL's own tongue: SQLSTATE, message, detail with the rule, hint with what to do.

use bytes::BytesMut;
use sallyport_session::{HoldInfo, Reason, Refusal};

use crate::wire::{Diagnostic, Field, Severity};

/// What stands for a refused message where the target must fail too: no grammar accepts it, so nothing runs.
pub(crate) const POISON: &str = "/* refused by the gateway */ sallyport";

/// An error for a refused statement.
pub(crate) fn error(refusal: &Refusal) -> BytesMut {
    let mut diagnostic = Diagnostic::error(sqlstate(refusal.reason), refusal.message.clone());
    if let Some(detail) = detail(refusal) {
        diagnostic = diagnostic.detail(detail);
    }
    if let Some(hint) = &refusal.hint {
        diagnostic = diagnostic.hint(hint.clone());
    }
    if let Some(position) = refusal.position {
        diagnostic = diagnostic.with(Field::Position, position.to_string());
    }
    encode_error(&diagnostic)
}

/// A login that is refused.
pub(crate) fn login(refusal: &Refusal) -> Diagnostic<'static> {
    let sqlstate = match refusal.reason {
        Reason::Unavailable => "57P03",
        Reason::TooMuch => "54000",
        Reason::Denied
        | Reason::Unparsed
        | Reason::Withheld
        | Reason::ReviewerDenied
        | Reason::Expired
        | Reason::Withdrawn => "28000",
    };
    let mut diagnostic = Diagnostic::fatal(sqlstate, refusal.message.clone());
    if let Some(detail) = detail(refusal) {
        diagnostic = diagnostic.detail(detail);
    }
    if let Some(hint) = &refusal.hint {
        diagnostic = diagnostic.hint(hint.clone());
    }
    diagnostic
}

/// The last words of a session that the gateway ends: because of a command that was refused, or from outside.
pub(crate) fn farewell(refusal: &Refusal) -> BytesMut {
    let sqlstate = if refusal.ends {
        sqlstate(refusal.reason)
    } else {
        "57P01"
    };
    let mut diagnostic = Diagnostic::fatal(sqlstate, refusal.message.clone());
    if let Some(detail) = detail(refusal) {
        diagnostic = diagnostic.detail(detail);
    }
    if let Some(hint) = &refusal.hint {
        diagnostic = diagnostic.hint(hint.clone());
    }
    encode_error(&diagnostic)
}

/// A fatal error of the gateway's own.
pub(crate) fn fatal(sqlstate: &'static str, message: &str) -> BytesMut {
    encode_error(&Diagnostic::fatal(sqlstate, message))
}

/// A fatal error of the gateway's own, with what to do about it.
pub(crate) fn last_word(sqlstate: &'static str, message: &str, hint: &str) -> BytesMut {
    encode_error(&Diagnostic::fatal(sqlstate, message).hint(hint))
}

/// An error of the gateway's own about a name or a message.
pub(crate) fn plain(sqlstate: &'static str, message: &str, hint: &str) -> BytesMut {
    encode_error(&Diagnostic::error(sqlstate, message).hint(hint))
}

/// The answer to a person who cancelled a held statement.
pub(crate) fn withdrawn() -> BytesMut {
    let words = "canceling statement due to user request";
    encode_error(&Diagnostic::error("57014", words).detail("The request for approval is withdrawn."))
}

/// The notice that a statement waits for people.
pub(crate) fn held(hold: &HoldInfo) -> BytesMut {
    let watchers = hold.watch.iter().map(|group| format!("somebody of {group} to watch"));
    let groups: Vec<String> = hold.groups.iter().cloned().chain(watchers).collect();
    let groups = groups.join(", ");
    let mut hint = String::new();
    if !hold.groups.is_empty() {
        hint += &format!("A reviewer runs: sallyport approve {}. ", hold.request);
    }
    if !hold.watch.is_empty() {
        hint += &format!("Who watches runs: sallyport sessions watch {}. ", hold.session);
    }
    let reason = hold
        .message
        .clone()
        .unwrap_or_else(|| "this statement needs an approval".to_owned());
    let notice = Diagnostic::new(Severity::Notice, "00000", format!("{reason}; waiting for {groups}"))
        .detail(format!(
            "Request {} was opened by rule {}.",
            hold.request,
            hold.rules.join(", ")
        ))
        .hint(format!("{hint}Cancel (Ctrl-C) to give it up."));
    let mut out = BytesMut::new();
    notice.encode_notice(&mut out);
    out
}

fn encode_error(diagnostic: &Diagnostic<'_>) -> BytesMut {
    let mut out = BytesMut::new();
    diagnostic.encode_error(&mut out);
    out
}

fn detail(refusal: &Refusal) -> Option<String> {
    match refusal.rules.as_slice() {
        [] => None,
        [rule] => Some(format!("Refused by rule `{rule}`.")),
        rules => Some(format!("Refused by rules `{}`.", rules.join("`, `"))),
    }
}

/// The SQLSTATE that drivers know how to handle.
fn sqlstate(reason: Reason) -> &'static str {
    match reason {
        Reason::Unparsed => "42601",
        Reason::Withdrawn | Reason::Expired => "57014",
        Reason::TooMuch => "54000",
        Reason::Unavailable => "57P03",
        Reason::Denied | Reason::Withheld | Reason::ReviewerDenied => "42501",
    }
}
