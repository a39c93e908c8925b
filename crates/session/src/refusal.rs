//! Why a command or a session was refused, in words for the person who sent it.

use serde::Serialize;

/// A refusal. The protocol says it in its own error tongue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Which kind of refusal it is.
    pub reason: Reason,
    /// The ids of the rules that refused; empty when no rule permitted.
    pub rules: Vec<String>,
    /// One sentence for a person: what happened.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Where in the command the offence is: 1-based characters, if known.
    pub position: Option<usize>,
    /// The session ends with it: what the client sends next assumes that the command took effect.
    pub ends: bool,
}

/// The kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A rule forbids it, or no rule permits it.
    Denied,
    /// The parser does not understand it, and nothing permits what is not understood.
    Unparsed,
    /// The result carries what this person may not see, and no rule says how to mask it.
    Withheld,
    /// A reviewer said no.
    ReviewerDenied,
    /// Nobody answered in time.
    Expired,
    /// The person who asked gave up.
    Withdrawn,
    /// It is more than the gateway takes.
    TooMuch,
    /// The record could not be written, or something of the gateway's own failed.
    Unavailable,
}

impl Refusal {
    /// A refusal of kind `reason` with a sentence and nothing else.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            rules: Vec::new(),
            message: message.into(),
            hint: None,
            position: None,
            ends: false,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
