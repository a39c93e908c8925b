//! The protocols of files that are understood, as one: what each machine wants done, and how its requests came out.

use std::sync::Arc;

use bytes::BytesMut;
use sallyport_policy::Classification;
use sallyport_session::Command;
use sallyport_sftp::scp::{Scp, ScpAsk, ScpOut, ScpTransfer, ScpVerdict};
use sallyport_sftp::{
    Ask, AskId, Content, Direction, Ended, Limits, Out, Outcome, Sftp, SftpError, Span, Transfer, Verdict, shown,
};
use serde_json::{Map, Value, json};

use super::secluded::Secluded;
use crate::account::Account;
use crate::conversation::running::hex;
use crate::facts::{self, RsyncRun, ScpRun};

/// One run of a protocol.
pub(super) enum Machine {
    Sftp {
        machine: Box<Sftp>,
        out: Out,
    },
    Scp {
        machine: Box<Scp>,
        run: Arc<ScpRun>,
        out: ScpOut,
    },
    Rsync(Box<Secluded>),
}

/// A request that waits for a verdict.
pub(super) enum Wanted {
    Sftp(Ask),
    Scp(ScpAsk, Arc<ScpRun>),
    Rsync(Box<RsyncRun>),
}

/// The verdict on one.
pub(super) enum Word {
    /// `again`: it took time. `room`: how large the file may be.
    Permitted {
        again: bool,
        room: Option<u64>,
    },
    Refused(String),
}

/// What a machine wants done.
#[derive(Default)]
pub(super) struct Deeds {
    pub(super) to_client: BytesMut,
    pub(super) to_target: BytesMut,
    /// What the bytes in `to_target` are, in order.
    pub(super) spans: Vec<Span>,
    /// What of files is in them, if it is recorded.
    pub(super) contents: Vec<Content>,
    pub(super) asks: Vec<(AskId, Wanted)>,
    /// Permitted requests that are over, and what the recording says of them.
    pub(super) ended: Vec<(AskId, Vec<u8>)>,
    /// Other things for the recording.
    pub(super) remarks: Vec<Vec<u8>>,
}

impl Machine {
    pub(super) fn sftp(contents: bool) -> Self {
        let machine = Sftp::new(Limits::default());
        Self::Sftp {
            machine: Box::new(if contents { machine.telling_contents() } else { machine }),
            out: Out::default(),
        }
    }

    pub(super) fn scp(run: &Arc<ScpRun>, contents: bool) -> Self {
        let machine = Scp::new(run.command.direction);
        Self::Scp {
            machine: Box::new(if contents { machine.telling_contents() } else { machine }),
            run: Arc::clone(run),
            out: ScpOut::default(),
        }
    }

    /// Whether files are measured before they are opened. scp announces their size by itself.
    pub(super) fn measure(&mut self, measures: bool) {
        if let Self::Sftp { machine, .. } = self {
            machine.measure(measures);
        }
    }

    pub(super) fn client_said(&mut self, bytes: &mut BytesMut, deeds: &mut Deeds) -> Result<(), SftpError> {
        let done = match self {
            Self::Sftp { machine, out } => machine.from_client(bytes, out),
            Self::Scp { machine, out, .. } => machine.from_client(bytes, out),
            Self::Rsync(secluded) => secluded.client_said(bytes, deeds),
        };
        self.take(deeds);
        done
    }

    pub(super) fn target_said(&mut self, bytes: &mut BytesMut, deeds: &mut Deeds) -> Result<(), SftpError> {
        let done = match self {
            Self::Sftp { machine, out } => machine.from_target(bytes, out),
            Self::Scp { machine, out, .. } => machine.from_target(bytes, out),
            Self::Rsync(secluded) => {
                secluded.target_said(bytes, deeds);
                Ok(())
            }
        };
        self.take(deeds);
        done
    }

    pub(super) fn answer(&mut self, ask: AskId, word: Word, deeds: &mut Deeds) -> Result<(), SftpError> {
        let done = match self {
            Self::Sftp { machine, out } => {
                let verdict = match word {
                    Word::Permitted { again, room } => Verdict::Permitted { max_size: room, again },
                    Word::Refused(message) => Verdict::Refused { message },
                };
                machine.answer(ask, &verdict, out)
            }
            Self::Scp { machine, out, .. } => {
                let verdict = match word {
                    // Where a path leads cannot be asked in this protocol.
                    Word::Permitted { .. } => ScpVerdict::Permitted,
                    Word::Refused(message) => ScpVerdict::Refused { message },
                };
                machine.answer(ask, &verdict, out)
            }
            Self::Rsync(secluded) => {
                secluded.answer(matches!(word, Word::Permitted { .. }), deeds);
                Ok(())
            }
        };
        self.take(deeds);
        done
    }

    /// The channel is over; `outcome` is what the program at the target said of itself.
    pub(super) fn over(&mut self, outcome: Outcome, deeds: &mut Deeds) {
        match self {
            Self::Sftp { machine, out } => machine.over(out),
            Self::Scp { machine, out, .. } => machine.over(out),
            Self::Rsync(secluded) => secluded.over(outcome, deeds),
        }
        self.take(deeds);
    }

    /// Whether nothing of what the client said is still to reach the target. `left` are bytes that were not taken.
    pub(super) fn is_through(&self, left: usize) -> bool {
        match self {
            Self::Sftp { machine, .. } => machine.is_idle() && (left == 0 || machine.wants_client()),
            Self::Scp { machine, .. } => left == 0 || machine.wants_client(),
            Self::Rsync(secluded) => secluded.is_through(),
        }
    }

    /// Whether the one request was refused without which nothing goes on.
    pub(super) fn is_refused(&self) -> bool {
        match self {
            Self::Rsync(secluded) => secluded.is_refused(),
            Self::Sftp { .. } | Self::Scp { .. } => false,
        }
    }

    /// Whether the program at the target speaks to people beside its protocol: that of SFTP does to its operator.
    pub(super) fn has_words(&self) -> bool {
        !matches!(self, Self::Sftp { .. })
    }

    /// Takes what the machine gave.
    fn take(&mut self, deeds: &mut Deeds) {
        match self {
            Self::Sftp { out, .. } => {
                move_bytes(&mut out.to_client, &mut deeds.to_client);
                move_bytes(&mut out.to_target, &mut deeds.to_target);
                deeds.spans.append(&mut out.spans);
                deeds.contents.append(&mut out.contents);
                let asks = out.asks.drain(..).map(|ask| (ask.id, Wanted::Sftp(ask)));
                deeds.asks.extend(asks);
                let refused = out.refused.drain(..);
                let words = refused.map(|refused| json!({ "sftp_refused": refused.text, "why": refused.why }));
                deeds.remarks.extend(words.map(|words| words.to_string().into_bytes()));
                for ended in out.ended.drain(..) {
                    let files = out.done.iter().filter(|done| done.ask == ended.ask).map(moved);
                    deeds.ended.push((ended.ask, detail(ended, files)));
                }
                out.done.clear();
            }
            Self::Scp { out, run, .. } => {
                move_bytes(&mut out.to_client, &mut deeds.to_client);
                move_bytes(&mut out.to_target, &mut deeds.to_target);
                deeds.spans.append(&mut out.spans);
                deeds.contents.append(&mut out.contents);
                let asks = out
                    .asks
                    .drain(..)
                    .map(|ask| (ask.id, Wanted::Scp(ask, Arc::clone(run))));
                deeds.asks.extend(asks);
                for ended in out.ended.drain(..) {
                    let files = out.done.iter().filter(|done| done.ask == ended.ask);
                    let files = files.map(|transfer| moved_by_scp(transfer, run));
                    deeds.ended.push((ended.ask, detail(ended, files)));
                }
                out.done.clear();
            }
            Self::Rsync(_) => {}
        }
    }
}

impl Wanted {
    /// The command that it is.
    pub(super) fn command(&self, account: &Account, classification: &Classification) -> Command {
        match self {
            Self::Sftp(ask) => facts::file(ask, account, classification),
            Self::Scp(ask, run) => facts::item(ask, run, account, classification),
            Self::Rsync(run) => facts::rsync(run, account, classification),
        }
    }
}

impl Deeds {
    pub(super) fn is_empty(&self) -> bool {
        self.to_client.is_empty()
            && self.to_target.is_empty()
            && self.asks.is_empty()
            && self.ended.is_empty()
            && self.remarks.is_empty()
    }
}

/// Without a copy when nothing waits before it.
fn move_bytes(from: &mut BytesMut, to: &mut BytesMut) {
    if to.is_empty() {
        std::mem::swap(from, to);
    } else {
        to.extend_from_slice(from);
    }
    from.clear();
}

/// What the recording says of a request that is over. A file that was read and written has two parts.
fn detail(ended: Ended, files: impl Iterator<Item = Map<String, Value>>) -> Vec<u8> {
    let mut files: Vec<_> = files.collect();
    let mut detail = files.pop().unwrap_or_default();
    if let Some(read) = files.pop() {
        detail.insert("read".to_owned(), read.into());
    }
    detail.insert("outcome".to_owned(), word(ended.outcome).into());
    Value::from(detail).to_string().into_bytes()
}

fn moved(transfer: &Transfer) -> Map<String, Value> {
    let mut moved = file(
        transfer.direction,
        &shown(&transfer.at.path),
        transfer.bytes,
        transfer.sha256,
    );
    moved.insert("complete".to_owned(), transfer.complete.into());
    moved.insert("sequential".to_owned(), transfer.sequential.into());
    moved
}

fn moved_by_scp(transfer: &ScpTransfer, run: &ScpRun) -> Map<String, Value> {
    let path = run.shown(&transfer.item);
    let mut moved = file(transfer.item.direction, &path, transfer.bytes, transfer.sha256);
    moved.insert("complete".to_owned(), transfer.complete.into());
    moved
}

fn file(direction: Direction, path: &str, bytes: u64, sha256: Option<[u8; 32]>) -> Map<String, Value> {
    let direction = match direction {
        Direction::Download => "download",
        Direction::Upload => "upload",
    };
    let fields = [
        ("direction", direction.into()),
        ("path", path.into()),
        ("bytes", bytes.into()),
        ("sha256", sha256.map(|digest| hex(&digest)).into()),
    ];
    fields
        .map(|(name, value): (_, Value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

pub(super) const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
    }
}
