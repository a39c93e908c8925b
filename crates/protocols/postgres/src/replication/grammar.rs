//! The grammar of the commands: PostgreSQL's `repl_gram.y` of version 15, with what 16 and 17 added, and the older
//! forms of options without parentheses.

use super::scan::{ScanError, Token, first_word, tokens};
use super::{Command, Setting};

/// Why a text that begins like a command is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotACommand {
    /// Its words are not words.
    #[error(transparent)]
    Words(#[from] Scan),
    /// They are in no order that the grammar has.
    #[error("this is not a replication command that the gateway knows")]
    Grammar,
}

/// What is wrong with a command's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Scan(ScanError);

/// The words that a command begins with. `SHOW` begins a statement of SQL too, the others none.
const FIRST_WORDS: &[&str] = &[
    "identify_system",
    "base_backup",
    "start_replication",
    "create_replication_slot",
    "alter_replication_slot",
    "drop_replication_slot",
    "read_replication_slot",
    "timeline_history",
    "upload_manifest",
    "show",
];

/// The command that `text` is; `None` when a server would take it for SQL.
///
/// # Errors
/// When a server would take it for a command, and it is none that is known here.
pub(crate) fn parse(text: &str) -> Result<Option<Command>, NotACommand> {
    if !first_word(text).is_some_and(|word| FIRST_WORDS.contains(&word.as_str())) {
        return Ok(None);
    }
    let tokens = tokens(text).map_err(Scan)?;
    let mut reader = Reader { tokens: &tokens };
    let command = reader.command().ok_or(NotACommand::Grammar)?;
    reader.mark(';');
    if reader.tokens.is_empty() {
        Ok(Some(command))
    } else {
        Err(NotACommand::Grammar)
    }
}

/// Tokens that are still to be read. What does not fit is `None`, and ends the reading.
struct Reader<'t> {
    tokens: &'t [Token],
}

impl Reader<'_> {
    fn command(&mut self) -> Option<Command> {
        let Token::Word(first) = self.next()? else { return None };
        match first.as_str() {
            "identify_system" => Some(Command::IdentifySystem),
            "show" => self.dotted_name().map(|_| Command::Show),
            "timeline_history" => self.number().filter(|n| *n > 0).map(|_| Command::TimelineHistory),
            "read_replication_slot" => self.dotted_name().map(|slot| Command::ReadSlot { slot }),
            "create_replication_slot" => self.create_slot(),
            "alter_replication_slot" => {
                let slot = self.name()?;
                let options = self.options()?;
                Some(Command::AlterSlot { slot, options })
            }
            "drop_replication_slot" => {
                let slot = self.name()?;
                self.word("wait");
                Some(Command::DropSlot { slot })
            }
            "start_replication" => self.start(),
            "base_backup" => self.base_backup(),
            _ => None,
        }
    }

    fn create_slot(&mut self) -> Option<Command> {
        let slot = self.name()?;
        let temporary = self.word("temporary");
        let plugin = if self.word("physical") {
            None
        } else {
            if !self.word("logical") {
                return None;
            }
            Some(self.name()?)
        };
        let options = if self.is_mark('(') {
            self.options()?
        } else {
            const OLDER: &[&str] = &[
                "export_snapshot",
                "noexport_snapshot",
                "use_snapshot",
                "reserve_wal",
                "two_phase",
            ];
            let mut options = Vec::new();
            while let Some(name) = self.word_of(OLDER) {
                options.push(Setting { name, value: None });
            }
            options
        };
        Some(Command::CreateSlot {
            slot,
            temporary,
            plugin,
            options,
        })
    }

    fn start(&mut self) -> Option<Command> {
        let slot = if self.word("slot") { Some(self.name()?) } else { None };
        if let Some(slot) = slot.clone().filter(|_| self.word("logical")) {
            self.position()?;
            let options = if self.is_mark('(') { self.options()? } else { Vec::new() };
            return Some(Command::StreamLogical { slot, options });
        }
        self.word("physical");
        self.position()?;
        if self.word("timeline") {
            self.number()?;
        }
        Some(Command::StreamPhysical { slot })
    }

    fn base_backup(&mut self) -> Option<Command> {
        if self.is_mark('(') {
            return self.options().map(|options| Command::BaseBackup { options });
        }
        const FLAGS: &[&str] = &[
            "progress",
            "fast",
            "wal",
            "nowait",
            "tablespace_map",
            "noverify_checksums",
        ];
        const TEXTS: &[&str] = &["label", "manifest", "manifest_checksums"];
        let mut options = Vec::new();
        loop {
            let (name, value) = if let Some(name) = self.word_of(FLAGS) {
                (name, None)
            } else if let Some(name) = self.word_of(TEXTS) {
                (name, Some(self.text()?))
            } else if self.word("max_rate") {
                ("max_rate".to_owned(), Some(self.number()?.to_string()))
            } else {
                return Some(Command::BaseBackup { options });
            };
            options.push(Setting { name, value });
        }
    }

    /// `(name [value], …)`.
    fn options(&mut self) -> Option<Vec<Setting>> {
        if !self.mark('(') {
            return None;
        }
        let mut options = Vec::new();
        loop {
            let name = self.name()?.to_ascii_lowercase();
            let value = self.value();
            options.push(Setting { name, value });
            if self.mark(')') {
                return Some(options);
            }
            if !self.mark(',') {
                return None;
            }
        }
    }

    fn value(&mut self) -> Option<String> {
        let (token, rest) = self.tokens.split_first()?;
        let value = match token {
            Token::Word(value) | Token::Quoted(value) | Token::Text(value) => value.clone(),
            Token::Number(number) => number.to_string(),
            Token::Position | Token::Mark(_) => return None,
        };
        self.tokens = rest;
        Some(value)
    }

    fn next(&mut self) -> Option<&Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// A name. A word that servers take for a keyword where a name belongs is refused by them.
    fn name(&mut self) -> Option<String> {
        match self.next()? {
            Token::Word(name) | Token::Quoted(name) => Some(name.clone()),
            Token::Text(_) | Token::Number(_) | Token::Position | Token::Mark(_) => None,
        }
    }

    fn dotted_name(&mut self) -> Option<String> {
        let mut name = self.name()?;
        while self.mark('.') {
            name.push('.');
            name.push_str(&self.name()?);
        }
        Some(name)
    }

    fn text(&mut self) -> Option<String> {
        match self.next()? {
            Token::Text(text) => Some(text.clone()),
            Token::Word(_) | Token::Quoted(_) | Token::Number(_) | Token::Position | Token::Mark(_) => None,
        }
    }

    fn number(&mut self) -> Option<u32> {
        match self.next()? {
            Token::Number(number) => Some(*number),
            Token::Word(_) | Token::Quoted(_) | Token::Text(_) | Token::Position | Token::Mark(_) => None,
        }
    }

    fn position(&mut self) -> Option<()> {
        matches!(self.next()?, Token::Position).then_some(())
    }

    /// Takes this word if it comes next.
    fn word(&mut self, wanted: &str) -> bool {
        self.word_of(&[wanted]).is_some()
    }

    fn word_of(&mut self, wanted: &[&str]) -> Option<String> {
        let (first, rest) = self.tokens.split_first()?;
        let Token::Word(word) = first else { return None };
        let found = wanted.contains(&word.as_str()).then(|| word.clone())?;
        self.tokens = rest;
        Some(found)
    }

    fn is_mark(&self, wanted: char) -> bool {
        self.tokens.first() == Some(&Token::Mark(wanted))
    }

    fn mark(&mut self, wanted: char) -> bool {
        let is = self.is_mark(wanted);
        if is {
            self.tokens = self.tokens.get(1..).unwrap_or_default();
        }
        is
    }
}

#[cfg(test)]
mod tests;
