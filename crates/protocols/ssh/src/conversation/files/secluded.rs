//! `rsync --server -s`: what it is to do comes in its stream, which waits until that is permitted. What follows is not
//! taken apart.

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};
use sallyport_sftp::rsync::{RsyncArgs, RsyncCommand};
use sallyport_sftp::{AskId, Cause, Content, Direction, Outcome, SftpError, Side, Span};
use serde_json::json;

use super::machine::{Deeds, Wanted, word};
use crate::conversation::running::hex;
use crate::facts::RsyncRun;

/// The one question.
const ASK: AskId = AskId(1);

enum State {
    Reading(RsyncArgs),
    /// The bytes that the arguments were.
    Asked(Bytes),
    Flowing,
    Refused,
    Over,
}

/// One run.
pub(super) struct Secluded {
    /// The arguments of the command line.
    args: Vec<Bytes>,
    state: State,
    up: Stream,
    down: Stream,
    /// What goes through is told.
    contents: bool,
}

struct Stream {
    bytes: u64,
    digest: Context,
}

impl Secluded {
    pub(super) fn new(args: &[Bytes], contents: bool) -> Self {
        let stream = || Stream {
            bytes: 0,
            digest: Context::new(&SHA256),
        };
        Self {
            args: args.to_vec(),
            state: State::Reading(RsyncArgs::default()),
            up: stream(),
            down: stream(),
            contents,
        }
    }

    pub(super) fn client_said(&mut self, bytes: &mut BytesMut, deeds: &mut Deeds) -> Result<(), SftpError> {
        match &mut self.state {
            State::Reading(args) => {
                let Some((args, raw)) = args.read(bytes)? else {
                    return Ok(());
                };
                let command = RsyncCommand::with(&self.args, &args).ok_or(SftpError {
                    side: Side::Client,
                    what: "arguments of rsync that are not understood",
                })?;
                let run = RsyncRun {
                    command,
                    raw: raw.clone(),
                };
                deeds.asks.push((ASK, Wanted::Rsync(Box::new(run))));
                self.state = State::Asked(raw);
            }
            State::Flowing => {
                let piece = bytes.split();
                self.give(&piece, deeds);
            }
            State::Asked(_) => {}
            State::Refused | State::Over => bytes.clear(),
        }
        Ok(())
    }

    /// Before it knows its arguments a server has nothing to say.
    pub(super) fn target_said(&mut self, bytes: &mut BytesMut, deeds: &mut Deeds) {
        match &self.state {
            State::Flowing => {
                self.tell(Direction::Download, bytes, deeds);
                self.down.take(bytes);
                deeds.to_client.extend_from_slice(bytes);
                bytes.clear();
            }
            State::Reading(_) | State::Asked(_) => {}
            State::Refused | State::Over => bytes.clear(),
        }
    }

    pub(super) fn answer(&mut self, permitted: bool, deeds: &mut Deeds) {
        match std::mem::replace(&mut self.state, State::Refused) {
            State::Asked(raw) if permitted => {
                self.state = State::Flowing;
                self.give(&raw, deeds);
            }
            State::Asked(_) | State::Refused => {}
            state @ (State::Reading(_) | State::Flowing | State::Over) => self.state = state,
        }
    }

    pub(super) fn over(&mut self, outcome: Outcome, deeds: &mut Deeds) {
        if let State::Flowing = std::mem::replace(&mut self.state, State::Over) {
            let detail = json!({
                "outcome": word(outcome),
                "from_client": self.up.bytes,
                "from_target": self.down.bytes,
                "from_client_sha256": self.up.hex(),
                "from_target_sha256": self.down.hex(),
                "masked": false,
            });
            deeds.ended.push((ASK, detail.to_string().into_bytes()));
        }
    }

    pub(super) fn is_through(&self) -> bool {
        !matches!(self.state, State::Asked(_))
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused)
    }

    fn give(&mut self, piece: &[u8], deeds: &mut Deeds) {
        self.tell(Direction::Upload, piece, deeds);
        self.up.take(piece);
        deeds.to_target.extend_from_slice(piece);
        deeds.spans.push(Span {
            cause: Cause::Asked(ASK),
            len: piece.len(),
        });
    }

    fn tell(&self, direction: Direction, piece: &[u8], deeds: &mut Deeds) {
        let stream = match direction {
            Direction::Upload => &self.up,
            Direction::Download => &self.down,
        };
        if self.contents {
            deeds.contents.push(Content {
                ask: ASK,
                direction,
                offset: stream.bytes,
                bytes: Bytes::copy_from_slice(piece),
            });
        }
    }
}

impl Stream {
    fn take(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.digest.update(piece);
    }

    fn hex(&self) -> String {
        hex(self.digest.clone().finish().as_ref())
    }
}
