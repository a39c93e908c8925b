//! What runs on a channel by a permit.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use sallyport_mask::{Medium, Scanner};
use sallyport_session::Spent;
use serde_json::{Value, json};

use super::files::Files;
use super::gated::Gated;
use super::masked::{Masked, Masks};
use crate::veil::Kind;

/// A permitted command on its channel.
pub(crate) struct Running {
    pub(crate) spent: Spent,
    pub(crate) what: What,
    pub(crate) exit: Exit,
    /// Bytes of the client, and of the target.
    pub(crate) flow: Flow,
    /// It is a shell whose lines wait for a decision.
    pub(crate) gated: Option<Box<Gated>>,
}

/// What is known of the bytes.
pub(crate) enum What {
    /// A command or a shell: what both sides say is recorded, and what the target says is masked.
    Streams(Box<Streams>),
    /// A protocol of files: what goes through is recorded as a digest for each direction.
    Transfer(Box<Transfer>),
    /// SFTP and scp, of which every request is a command of its own, and rsync whose arguments are one.
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
            gated: None,
        }
    }

    /// Bytes that wait within it.
    pub(crate) fn keeps(&self) -> usize {
        let held = self.gated.as_ref().map_or(0, |gated| gated.keeps());
        self.files().map_or(held, Files::keeps)
    }

    /// It, and the line that runs in it.
    pub(crate) fn commands(&self) -> Vec<Spent> {
        let line = self.gated.as_ref().and_then(|gated| gated.line());
        std::iter::once(self.spent).chain(line).collect()
    }

    /// The protocol of files, if it is one.
    pub(crate) fn files(&self) -> Option<&Files> {
        match &self.what {
            What::Files(files) => Some(files),
            What::Streams(_) | What::Transfer(_) | What::Opaque => None,
        }
    }

    /// Whether something waits for silence, and whether on a terminal: what masks hold back, or a line for its echo.
    pub(crate) fn holds_text(&self) -> Option<bool> {
        match &self.what {
            What::Streams(_) if self.gated.as_ref().is_some_and(|gated| gated.wants_quiet()) => Some(true),
            What::Streams(streams) if streams.is_holding() => Some(streams.has_terminal()),
            What::Transfer(transfer) if transfer.err.is_holding() => Some(false),
            What::Files(files) if files.is_holding() => Some(false),
            What::Streams(_) | What::Transfer(_) | What::Files(_) | What::Opaque => None,
        }
    }

    /// All that masks hold back on `stream`.
    pub(crate) fn rest(&mut self, stream: u32) -> &[u8] {
        match &mut self.what {
            What::Streams(streams) => streams.rest(stream),
            What::Transfer(transfer) if stream != 0 => transfer.err.rest(),
            What::Files(files) if stream != 0 => files.rest(),
            What::Transfer(_) | What::Files(_) | What::Opaque => &[],
        }
    }

    /// From now on these masks hold. What was held back was shown before.
    pub(crate) fn change(&mut self, masks: &Masks) {
        match &mut self.what {
            What::Streams(streams) => streams.change(masks),
            What::Transfer(transfer) => transfer.change(masks),
            What::Files(files) => files.change(masks),
            What::Opaque => {}
        }
    }

    /// How it ended, for the recording.
    pub(crate) fn ending(&self) -> Vec<u8> {
        let mut detail = BTreeMap::from([
            ("from_client", json!(self.flow.from_client)),
            ("from_target", json!(self.flow.from_target)),
        ]);
        let outcome = match (&self.what, &self.exit) {
            (_, Exit::Status(0)) | (What::Files(_) | What::Opaque, Exit::Unsaid) => "completed",
            (_, Exit::Status(status)) => {
                detail.insert("exit_status", json!(status));
                "failed"
            }
            (_, Exit::Signal { signal, core_dumped }) => {
                detail.insert("signal", json!(signal));
                detail.insert("core_dumped", json!(core_dumped));
                "failed"
            }
            (What::Streams(_) | What::Transfer(_), Exit::Unsaid) => "unknown",
        };
        if let What::Transfer(transfer) = &self.what {
            let (up, down) = transfer.digests();
            detail.insert("from_client_sha256", Value::from(up));
            detail.insert("from_target_sha256", Value::from(down));
            detail.insert("masked", Value::from(false));
        }
        detail.insert("outcome", Value::from(outcome));
        json!(detail).to_string().into_bytes()
    }
}

/// A protocol of files that is not taken apart.
pub(crate) struct Transfer {
    up: Context,
    down: Context,
    err: Masked,
}

impl Transfer {
    pub(crate) fn new(scanner: &Arc<Scanner>) -> Self {
        Self {
            up: Context::new(&SHA256),
            down: Context::new(&SHA256),
            err: Masked::new(scanner, Medium::Bytes),
        }
    }

    pub(crate) fn sent(&mut self, data: &[u8]) {
        self.up.update(data);
    }

    pub(crate) fn received(&mut self, data: &[u8]) {
        self.down.update(data);
    }

    /// From now on these masks hold.
    fn change(&mut self, masks: &Masks) {
        self.err.change(Masked::new(&masks.plain, Medium::Bytes));
    }

    /// What of its words beside the protocol can be shown.
    pub(crate) fn said<'p>(&'p mut self, piece: &'p [u8]) -> &'p [u8] {
        self.err.take(piece, false)
    }

    fn digests(&self) -> (String, String) {
        let finish = |context: &Context| hex(context.clone().finish().as_ref());
        (finish(&self.up), finish(&self.down))
    }
}

/// Bytes as people compare them.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes whatever is written.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The output of a command or a shell.
pub(crate) struct Streams {
    out: Masked,
    err: Masked,
    kind: Kind,
    /// Bytes that the client sent since the target last said something: as many are an echo.
    typed: usize,
}

/// The longest piece that is taken for the echo of what was typed, in bytes for each byte that was typed: a line editor
/// draws a little around it.
const ECHO: usize = 16;

/// The standard streams in a recording: a byte before the bytes of each piece.
pub(crate) const STDOUT: u8 = 1;
pub(crate) const STDERR: u8 = 2;
/// In the recording of a file, before each piece of it: behind it stand the place in the file in eight bytes, and the
/// length of the piece in four.
pub(crate) const CONTENT: u8 = 3;

impl Streams {
    /// `columns` are those of its terminal, if it has one.
    pub(crate) fn new(masks: &Masks, columns: Option<u32>) -> Self {
        Self::of(columns.map_or(Kind::Text, |columns| Kind::Terminal { columns }), masks)
    }

    /// What is recorded as it is, because it is no text.
    pub(crate) fn unmasked() -> Self {
        Self {
            out: Masked::unmasked(),
            err: Masked::unmasked(),
            kind: Kind::Data,
            typed: 0,
        }
    }

    pub(crate) fn of(kind: Kind, masks: &Masks) -> Self {
        let text = || Masked::new(&masks.plain, Medium::Bytes);
        let (out, err) = match kind {
            Kind::Text => (text(), text()),
            Kind::Terminal { columns } => (Masked::terminal(masks, columns), Masked::terminal(masks, columns)),
            Kind::Data => (Masked::unmasked(), Masked::unmasked()),
            Kind::DataAndWords => (Masked::unmasked(), text()),
        };
        Self {
            out,
            err,
            kind,
            typed: 0,
        }
    }

    pub(crate) fn has_terminal(&self) -> bool {
        matches!(self.kind, Kind::Terminal { .. })
    }

    /// The terminal has so many columns.
    pub(crate) fn resize(&mut self, columns: u32) {
        if self.has_terminal() {
            self.kind = Kind::Terminal { columns };
        }
        for masked in [&mut self.out, &mut self.err] {
            masked.resize(columns);
        }
    }

    /// From now on these masks hold. What was held back was shown before.
    pub(crate) fn change(&mut self, masks: &Masks) {
        let fresh = Self::of(self.kind, masks);
        self.out.change(fresh.out);
        self.err.change(fresh.err);
    }

    /// When a full-screen program began or ended to draw under masks of its own.
    pub(crate) fn turns(&mut self) -> impl Iterator<Item = bool> + use<> {
        self.out.turns()
    }

    pub(crate) fn typed(&mut self, bytes: usize) {
        self.typed = self.typed.saturating_add(bytes);
    }

    /// What of `piece`, and of what was held back before, can be shown. `stream` 0 is the standard output.
    pub(crate) fn said<'p>(&'p mut self, stream: u32, piece: &'p [u8]) -> &'p [u8] {
        // The answer to a line is none.
        let short = piece.len() <= self.typed.saturating_mul(ECHO).min(256);
        let echo = self.has_terminal() && short && !piece.contains(&b'\n');
        self.typed = 0;
        self.masked(stream).take(piece, echo)
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
