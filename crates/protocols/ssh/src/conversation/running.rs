//! What runs on a channel by a permit.

use std::collections::BTreeMap;
use std::sync::Arc;

use sallyport_mask::{Medium, Scanner, TextStream};
use sallyport_session::Spent;
use serde_json::{Value, json};

use super::files::Files;

/// A permitted command on its channel.
pub(crate) struct Running {
    pub(crate) spent: Spent,
    pub(crate) what: What,
    pub(crate) exit: Exit,
    /// Bytes of the client, and of the target.
    pub(crate) flow: Flow,
}

/// What is known of the bytes.
pub(crate) enum What {
    /// A command or a shell: what both sides say is recorded, and what the target says is masked.
    Streams(Streams),
    /// SFTP: every request is a command of its own.
    Files(Box<Files>),
    /// A forwarded connection: only how much flows is known.
    Opaque,
}

/// How much went which way.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) from_client: u64,
    pub(crate) from_target: u64,
}

/// How the target says that it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exit {
    Unsaid,
    Status(u32),
    Signal { signal: String, core_dumped: bool },
}

impl Running {
    pub(crate) fn new(spent: Spent, what: What) -> Self {
        Self {
            spent,
            what,
            exit: Exit::Unsaid,
            flow: Flow::default(),
        }
    }

    /// Bytes that wait within it.
    pub(crate) fn keeps(&self) -> usize {
        match &self.what {
            What::Files(files) => files.keeps(),
            What::Streams(_) | What::Opaque => 0,
        }
    }

    /// How it ended, for the recording.
    pub(crate) fn ending(&self) -> Vec<u8> {
        let mut detail = BTreeMap::from([
            ("from_client", json!(self.flow.from_client)),
            ("from_target", json!(self.flow.from_target)),
        ]);
        let outcome = match (&self.what, &self.exit) {
            (What::Streams(_) | What::Files(_), Exit::Status(0)) | (What::Files(_) | What::Opaque, Exit::Unsaid) => "completed",
            (_, Exit::Status(status)) => {
                detail.insert("exit_status", json!(status));
                "failed"
            }
            (_, Exit::Signal { signal, core_dumped }) => {
                detail.insert("signal", json!(signal));
                detail.insert("core_dumped", json!(core_dumped));
                "failed"
            }
            (What::Streams(_), Exit::Unsaid) => "unknown",
        };
        detail.insert("outcome", Value::from(outcome));
        json!(detail).to_string().into_bytes()
    }
}

/// The output of a command or a shell.
pub(crate) struct Streams {
    out: Masked,
    err: Masked,
    /// It has a terminal: what a person types comes back at once.
    pub(crate) terminal: bool,
    /// Bytes that the client sent since the target last said something: as many are an echo.
    typed: usize,
}

/// The longest piece that is taken for the echo of what was typed, in bytes for each byte that was typed: a line editor
/// draws a little around it.
const ECHO: usize = 16;

/// The standard streams in a recording: a byte before the bytes of each piece.
pub(crate) const STDOUT: u8 = 1;
pub(crate) const STDERR: u8 = 2;

impl Streams {
    pub(crate) fn new(scanner: &Arc<Scanner>, terminal: bool) -> Self {
        let medium = if terminal { Medium::Terminal } else { Medium::Bytes };
        Self {
            out: Masked::new(scanner, medium),
            err: Masked::new(scanner, medium),
            terminal,
            typed: 0,
        }
    }

    /// The terminal has so many columns from now on; 0 if nobody knows.
    pub(crate) fn resize(&mut self, columns: u32) {
        let columns = usize::try_from(columns).unwrap_or_default();
        for stream in [&mut self.out, &mut self.err] {
            if let Some(text) = &mut stream.text {
                text.resize(columns);
            }
        }
    }

    pub(crate) fn typed(&mut self, bytes: usize) {
        self.typed = self.typed.saturating_add(bytes);
    }

    /// What of `piece`, and of what was held back before, can be shown. `stream` 0 is the standard output.
    pub(crate) fn said<'p>(&'p mut self, stream: u32, piece: &'p [u8]) -> &'p [u8] {
        let echo = self.terminal && piece.len() <= self.typed.saturating_mul(ECHO).min(256);
        self.typed = 0;
        let terminal = self.terminal;
        self.masked(stream).take(piece, terminal, echo)
    }

    /// All that is held back on `stream`.
    pub(crate) fn rest(&mut self, stream: u32) -> &[u8] {
        self.masked(stream).rest()
    }

    pub(crate) fn is_holding(&self) -> bool {
        self.out.is_holding() || self.err.is_holding()
    }

    fn masked(&mut self, stream: u32) -> &mut Masked {
        if stream == 0 { &mut self.out } else { &mut self.err }
    }
}

/// One stream of text, masked.
struct Masked {
    /// `None` when nothing is looked for.
    text: Option<TextStream>,
    shown: Vec<u8>,
}

impl Masked {
    fn new(scanner: &Arc<Scanner>, medium: Medium) -> Self {
        Self {
            text: (!scanner.is_empty()).then(|| TextStream::new(Arc::clone(scanner), medium)),
            shown: Vec::new(),
        }
    }

    fn take<'p>(&'p mut self, piece: &'p [u8], terminal: bool, echo: bool) -> &'p [u8] {
        let Some(text) = &mut self.text else { return piece };
        self.shown.clear();
        text.push(piece, &mut self.shown);
        if echo {
            text.flush_echo(&mut self.shown);
        } else if terminal && piece.len() <= SMALL && is_harmless(text.held()) {
            text.flush(&mut self.shown);
        }
        &self.shown
    }

    fn rest(&mut self) -> &[u8] {
        self.shown.clear();
        if let Some(text) = &mut self.text {
            text.flush(&mut self.shown);
        }
        &self.shown
    }

    fn is_holding(&self) -> bool {
        self.text.as_ref().is_some_and(TextStream::is_holding)
    }
}

/// A longer piece was cut by a buffer's end, not by a program that waits: what its last word is will be known soon.
const SMALL: usize = 256;

/// The last word of a small piece is shown at once on a terminal unless a value may have begun in it: prompts, progress
/// bars and menus do not wait.
fn is_harmless(tail: &[u8]) -> bool {
    const LOOK_BACK: usize = 64;
    const MANY_DIGITS: usize = 4;
    const LONG_WORD: usize = 12;
    let tail = tail.get(tail.len().saturating_sub(LOOK_BACK)..).unwrap_or_default();
    let digits = tail.iter().filter(|byte| byte.is_ascii_digit()).count();
    let word = tail.iter().rev().take_while(|byte| byte.is_ascii_graphic()).count();
    digits < MANY_DIGITS && word < LONG_WORD && !tail.contains(&b'@')
}
