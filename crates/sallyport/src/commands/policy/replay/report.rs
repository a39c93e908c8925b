//! What a replay came to, by rule, person and target.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::super::report;
use super::change::{Change, Kind};
use super::past::{Came, Session};

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Group {
    pub(super) kind: Kind,
    /// The rules that make the difference, with commas; empty when none does.
    pub(super) rules: String,
    pub(super) principal: String,
    pub(super) target: String,
    pub(super) how: String,
}

/// How often, and the newest example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Found {
    pub(super) commands: u64,
    /// In how many of them the facts are read otherwise today than they were.
    pub(super) read_otherwise: u64,
    pub(super) session: String,
    pub(super) seq: u64,
    pub(super) text: String,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) sessions: u64,
    pub(super) commands: u64,
    pub(super) without_facts: u64,
    pub(super) read_otherwise: u64,
    pub(super) damaged: Vec<String>,
    pub(super) groups: BTreeMap<Group, Found>,
    /// The last line came: nothing was cut off.
    pub(super) complete: bool,
}

impl Report {
    /// Counts a command.
    pub(super) fn command(&mut self, session: &Session<'_>, seq: u64, text: &str, came: &Came) {
        match came {
            Came::Nothing => {}
            Came::WithoutFacts => self.without_facts += 1,
            Came::Decided {
                changes,
                differs,
                again,
            } => {
                self.commands += u64::from(!again);
                self.read_otherwise += u64::from(*differs && !again);
                for change in changes {
                    self.note(session, (seq, text), change, *differs);
                }
            }
        }
    }

    /// Counts what is otherwise in a whole session.
    pub(super) fn session(&mut self, session: &mut Session<'_>) {
        for change in session.found_changes() {
            self.note(session, (0, ""), &change, false);
        }
    }

    fn note(&mut self, session: &Session<'_>, (seq, text): (u64, &str), change: &Change, differs: bool) {
        let rules: Vec<&str> = change.rules.iter().map(|rule| rule.as_str()).collect();
        let group = Group {
            kind: change.kind,
            rules: rules.join(", "),
            principal: session.past.principal.clone(),
            target: session.past.target.clone(),
            how: change.how.clone(),
        };
        let found = self.groups.entry(group).or_insert_with(|| Found {
            commands: 0,
            read_otherwise: 0,
            session: session.past.id.clone(),
            seq,
            text: text.to_owned(),
        });
        found.commands += 1;
        found.read_otherwise += u64::from(differs);
    }

    /// How many commands are otherwise in this way.
    pub(super) fn count(&self, kind: Kind) -> u64 {
        let of_kind = self.groups.iter().filter(|(group, _)| group.kind == kind);
        of_kind.map(|(_, found)| found.commands).sum()
    }

    /// What was looked at, in one sentence.
    pub(super) fn summary(&self) -> String {
        let mut words = format!("{} commands of {} sessions decided again", self.commands, self.sessions);
        let counts = Kind::ALL
            .into_iter()
            .map(|kind| (kind, self.count(kind)))
            .filter(|(_, n)| *n > 0);
        let counts: Vec<String> = counts.map(|(kind, count)| format!("{count} {}", kind.word())).collect();
        words += &if counts.is_empty() {
            ": nothing is decided otherwise".to_owned()
        } else {
            format!(": {}", counts.join(", "))
        };
        words
    }

    /// What limits the answer, each in a sentence.
    pub(super) fn caveats(&self) -> Vec<String> {
        let mut caveats = Vec::new();
        if self.without_facts > 0 {
            let count = self.without_facts;
            caveats.push(format!(
                "{count} commands were not decided again: their recordings are older than recorded facts"
            ));
        }
        if self.read_otherwise > 0 {
            let count = self.read_otherwise;
            caveats.push(format!(
                "{count} commands would be understood otherwise today (marked *): they were decided by what was recorded"
            ));
        }
        caveats.extend(
            self.damaged
                .iter()
                .map(|damaged| format!("not all could be read: {damaged}")),
        );
        if !self.complete {
            caveats.push("the history was cut off: what is missing is not known".to_owned());
        }
        caveats
    }

    /// As a comment at a change. Texts of commands can hold values that nobody should be sent, so they are there only if asked for.
    pub(super) fn markdown(&self, texts: bool) -> String {
        let mut out = format!("**Replay of recorded commands.** {}.\n", self.summary());
        if !self.groups.is_empty() {
            out += "\n| | commands | rules | who | target | | example |\n|---|---|---|---|---|---|---|\n";
        }
        for (group, found) in &self.groups {
            let mark = if found.read_otherwise > 0 { " *" } else { "" };
            let example = if found.text.is_empty() || !texts {
                String::new()
            } else {
                format!("{} ", report::code(&found.text))
            };
            let _ = writeln!(
                out,
                "| {} | {}{mark} | {} | {} | {} | {} | {example}{} |",
                group.kind.word(),
                found.commands,
                report::markdown(&group.rules),
                report::markdown(&group.principal),
                report::markdown(&group.target),
                report::markdown(&group.how),
                report::markdown(&found.session),
            );
        }
        for caveat in self.caveats() {
            let _ = write!(out, "\n{}.\n", report::markdown(&caveat));
        }
        out
    }
}
