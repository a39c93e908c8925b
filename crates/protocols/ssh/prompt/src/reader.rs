//! Lines from a program instead of a terminal.

use thiserror::Error;

use crate::editor::Incomplete;
use crate::{MAX_LINE, MAX_ROWS};

/// Takes the lines of a shell without a terminal: what a program writes to it. Nothing is shown.
#[derive(Debug)]
pub struct LineReader {
    incomplete: Incomplete,
    bytes: Vec<u8>,
    rows: usize,
    failed: Option<ReadError>,
}

/// Why no more lines are read. What follows might be the rest of a command that was not understood, so nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReadError {
    /// More than [`MAX_LINE`] bytes or [`MAX_ROWS`] lines.
    #[error("the command is longer than {MAX_LINE} bytes or {MAX_ROWS} lines")]
    TooLong,
    /// Bytes that are no UTF-8, or a zero byte.
    #[error("the command is not text in UTF-8")]
    NotText,
    /// The input ended within a command.
    #[error("the input ends within a command")]
    Unfinished,
}

impl LineReader {
    /// A reader that has read nothing.
    pub fn new(incomplete: Incomplete) -> Self {
        Self {
            incomplete,
            bytes: Vec::new(),
            rows: 0,
            failed: None,
        }
    }

    /// Takes bytes up to the end of a command, and gives how many, with the command if it is whole. The rest is the
    /// next command, or the input of this one.
    ///
    /// # Errors
    /// What was read is no command. Every further call says so again.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(usize, Option<String>), ReadError> {
        let mut taken = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if let Some(failed) = self.failed {
                return Err(failed);
            }
            taken += line.len();
            if self.bytes.len() + line.len() > MAX_LINE {
                return Err(self.fail(ReadError::TooLong));
            }
            self.bytes.extend_from_slice(line);
            if line.ends_with(b"\n")
                && let Some(command) = self.end_of_line()?
            {
                return Ok((taken, Some(command)));
            }
        }
        self.failed.map_or(Ok((taken, None)), Err)
    }

    /// The input has ended: gives what stands in the last line without a newline.
    ///
    /// # Errors
    /// What was read is no command, or not the whole of one.
    pub fn end(&mut self) -> Result<Option<String>, ReadError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        if self.bytes.is_empty() {
            return Ok(None);
        }
        match self.end_of_line()? {
            Some(command) => Ok(Some(command)),
            None => Err(self.fail(ReadError::Unfinished)),
        }
    }

    fn end_of_line(&mut self) -> Result<Option<String>, ReadError> {
        let command = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let command = match std::str::from_utf8(command) {
            Ok(command) if !command.contains('\0') => command,
            Ok(_) | Err(_) => return Err(self.fail(ReadError::NotText)),
        };
        if !(self.incomplete)(command) {
            let command = command.to_owned();
            self.bytes.clear();
            self.rows = 0;
            return Ok(Some(command));
        }
        self.rows += 1;
        if self.rows >= MAX_ROWS {
            return Err(self.fail(ReadError::TooLong));
        }
        Ok(None)
    }

    fn fail(&mut self, error: ReadError) -> ReadError {
        self.bytes = Vec::new();
        self.failed = Some(error);
        error
    }
}
