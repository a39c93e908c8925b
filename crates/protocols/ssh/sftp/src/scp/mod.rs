//! The protocol of `scp -t` and `scp -f` (that of `rcp`; what OpenSSH's `scp -O` speaks), seen from between its two ends.
//!
//! One end, the *source*, has files and announces each with a line; the other, the *sink*, answers every line. The
//! machine keeps the line of a file or a directory until there is a verdict on it; a refusal is told to the source in the
//! sink's tongue, and it goes on with the next file.
//!
//! What the sink makes of a name depends on what is there: see [`Item::candidates`]. Symbolic links are followed by
//! the program on the target, and this protocol has no way to ask where they lead: what must not be reached by a
//! link should be refused here as a whole, and left to SFTP.

mod args;
mod item;
mod line;
#[cfg(test)]
mod tests;
mod word;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Buf, Bytes, BytesMut};

use crate::error::{SftpError, Side};
use crate::out::{AskId, Cause, Content, Direction, Ended, Outcome, add_span};
pub use args::ScpCommand;
pub use item::{Item, ScpAsk, ScpOut, ScpTransfer, ScpVerdict};
use line::{Line, Times};
use word::{Word, next_line, next_word};

/// How deep directories may be in each other.
const DEEPEST: usize = 128;

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The sink's first word.
    Start,
    /// The source's next line.
    Control,
    /// The verdict.
    Asked,
    /// The sink's answer to the times, which the source has had already.
    Times,
    /// The sink's answer to a file or directory.
    Announced,
    /// The source's bytes; how many.
    Data(u64),
    /// The source's word that they were all.
    Status,
    /// The sink's word on the file.
    Landed,
    /// The sink's answer to the end of a directory.
    Left,
    /// One end gave up.
    Over,
}

/// What is being announced or moved.
struct Current {
    ask: AskId,
    item: Item,
    /// The line, and the one with the times before it.
    line: Bytes,
    times: Option<Bytes>,
    digest: Context,
    moved: u64,
    failed: bool,
}

/// One run of `scp -t` or `scp -f`.
pub struct Scp {
    direction: Direction,
    state: State,
    times: Option<(Bytes, Times)>,
    current: Option<Current>,
    /// The directories that were entered, with their questions.
    inside: Vec<(Bytes, AskId)>,
    /// The directory that is being left.
    left: Option<AskId>,
    next: u64,
    /// What goes through files is told.
    contents: bool,
}

impl Scp {
    /// A run in which nobody has said anything: `Upload` is `scp -t`, `Download` is `scp -f`.
    #[must_use]
    pub const fn new(direction: Direction) -> Self {
        Self {
            direction,
            state: State::Start,
            times: None,
            current: None,
            inside: Vec::new(),
            left: None,
            next: 0,
            contents: false,
        }
    }

    /// The same, and what goes through files is told ([`ScpOut::contents`]).
    #[must_use]
    pub const fn telling_contents(mut self) -> Self {
        self.contents = true;
        self
    }

    /// Takes what the client sent; what is not taken stays in `bytes` until [`Self::wants_client`].
    ///
    /// # Errors
    /// When the client broke the protocol. The channel must be closed; `out` is to be delivered first.
    pub fn from_client(&mut self, bytes: &mut BytesMut, out: &mut ScpOut) -> Result<(), SftpError> {
        let result = match self.direction {
            Direction::Upload => self.source(bytes, out),
            Direction::Download => self.sink(bytes, out),
        };
        self.broken(result, Side::Client, out)
    }

    /// Takes what the target sent; what is not taken stays in `bytes` until [`Self::wants_target`].
    ///
    /// # Errors
    /// When the target broke the protocol. The channel must be closed; `out` is to be delivered first.
    pub fn from_target(&mut self, bytes: &mut BytesMut, out: &mut ScpOut) -> Result<(), SftpError> {
        let result = match self.direction {
            Direction::Upload => self.sink(bytes, out),
            Direction::Download => self.source(bytes, out),
        };
        self.broken(result, Side::Target, out)
    }

    /// After a word that nobody understands the run is over.
    fn broken(&mut self, result: Result<(), &'static str>, side: Side, out: &mut ScpOut) -> Result<(), SftpError> {
        if result.is_err() {
            self.over(out);
        }
        result.map_err(|what| SftpError { side, what })
    }

    /// Whether the client's bytes are taken now.
    #[must_use]
    pub const fn wants_client(&self) -> bool {
        matches!(self.direction, Direction::Download) || self.takes_source()
    }

    /// Whether the target's bytes are taken now.
    #[must_use]
    pub const fn wants_target(&self) -> bool {
        matches!(self.direction, Direction::Upload) || self.takes_source()
    }

    const fn takes_source(&self) -> bool {
        matches!(
            self.state,
            State::Control | State::Data(_) | State::Status | State::Over
        )
    }

    /// The answer to a question. Once the run is over it has no effect.
    ///
    /// # Errors
    /// When there is no such question: the fault of who calls.
    pub fn answer(&mut self, ask: AskId, verdict: &ScpVerdict, out: &mut ScpOut) -> Result<(), SftpError> {
        if self.state == State::Over {
            return Ok(());
        }
        let asked = self
            .current
            .as_ref()
            .filter(|current| current.ask == ask && self.state == State::Asked);
        let Some(current) = asked else {
            return Err(SftpError::gateway("a verdict on a question that is not open"));
        };
        match verdict {
            ScpVerdict::Permitted => match current.times.clone() {
                Some(times) => {
                    self.state = State::Times;
                    self.to_sink(&times, out);
                }
                None => self.announce(out),
            },
            ScpVerdict::Refused { message } => {
                let line = line::refusal(message);
                self.current = None;
                self.state = State::Control;
                self.to_source(&line, out);
                if self.direction == Direction::Download {
                    self.to_sink(&line, out);
                }
            }
        }
        Ok(())
    }

    /// The run is over: a file that was broken off is told, and what nobody knows the end of.
    pub fn over(&mut self, out: &mut ScpOut) {
        let state = std::mem::replace(&mut self.state, State::Over);
        match state {
            State::Data(_) | State::Status | State::Landed => self.landed(Outcome::Unknown, out),
            State::Times | State::Announced => self.declined(Outcome::Unknown, out),
            // What was not permitted does not end.
            State::Asked => self.current = None,
            State::Start | State::Control | State::Left | State::Over => {}
        }
        let entered = self.inside.drain(..).map(|(_, ask)| ask).rev();
        let left = self.left.take().into_iter().chain(entered);
        out.ended.extend(left.map(|ask| Ended {
            ask,
            outcome: Outcome::Unknown,
        }));
    }

    fn cause(&self) -> Cause {
        let directory = self.inside.last().map(|(_, ask)| *ask);
        self.current
            .as_ref()
            .map(|current| current.ask)
            .or(directory)
            .map_or(Cause::Greeting, Cause::Asked)
    }

    fn to_sink(&self, bytes: &[u8], out: &mut ScpOut) {
        match self.direction {
            Direction::Upload => self.to_target(bytes, out),
            Direction::Download => out.to_client.extend_from_slice(bytes),
        }
    }

    fn to_source(&self, bytes: &[u8], out: &mut ScpOut) {
        match self.direction {
            Direction::Upload => out.to_client.extend_from_slice(bytes),
            Direction::Download => self.to_target(bytes, out),
        }
    }

    fn to_target(&self, bytes: &[u8], out: &mut ScpOut) {
        out.to_target.extend_from_slice(bytes);
        add_span(&mut out.spans, self.cause(), bytes.len());
    }

    /// The sink gets the line that was permitted.
    fn announce(&mut self, out: &mut ScpOut) {
        if let Some(line) = self.current.as_ref().map(|current| current.line.clone()) {
            self.state = State::Announced;
            self.to_sink(&line, out);
        }
    }

    /// What the source says.
    fn source(&mut self, bytes: &mut BytesMut, out: &mut ScpOut) -> Result<(), &'static str> {
        loop {
            if bytes.is_empty() || !self.takes_source() {
                return Ok(());
            }
            match self.state {
                State::Control => {
                    if !bytes.first().is_some_and(|kind| line::begins(*kind)) {
                        return Err("a line that is none");
                    }
                    let Some(line) = next_line(bytes)? else {
                        return Ok(());
                    };
                    self.line(&line, out)?;
                }
                State::Data(left) => self.data(left, bytes, out),
                State::Status => {
                    let Some(word) = next_word(bytes)? else {
                        return Ok(());
                    };
                    self.state = State::Landed;
                    if let (Some(current), false) = (&mut self.current, word.is_fine()) {
                        current.failed = true;
                    }
                    self.to_sink(&word.bytes, out);
                    self.fatal(&word, out);
                }
                State::Over => bytes.clear(),
                State::Start | State::Asked | State::Times | State::Announced | State::Landed | State::Left => {
                    return Ok(());
                }
            }
        }
    }

    fn line(&mut self, line: &Bytes, out: &mut ScpOut) -> Result<(), &'static str> {
        match line::parse(line)? {
            Line::Times(times) => {
                if self.times.is_some() {
                    return Err("times of nothing");
                }
                self.times = Some((line.clone(), times));
                // The source goes on when it is answered; the sink gets them with what they are of.
                self.to_source(b"\0", out);
            }
            Line::Item {
                directory,
                mode,
                size,
                name,
            } => {
                if self.inside.len() >= DEEPEST {
                    return Err("too many directories in each other");
                }
                let inside = self.inside.iter().map(|(name, _)| name.clone()).collect();
                let (times, kept) = self.times.take().unzip();
                let item = Item {
                    direction: self.direction,
                    inside,
                    name,
                    directory,
                    mode,
                    size,
                    times: kept.map(|kept| (kept.change, kept.access)),
                };
                self.ask(item, line, times, out);
            }
            Line::End => {
                if self.times.is_some() {
                    return Err("times of nothing");
                }
                if self.inside.is_empty() {
                    return Err("the end of a directory that was not entered");
                }
                self.state = State::Left;
                self.to_sink(line, out);
                self.left = self.inside.pop().map(|(_, ask)| ask);
            }
            Line::Message { fatal } => {
                self.to_sink(line, out);
                if fatal {
                    self.state = State::Over;
                }
            }
        }
        Ok(())
    }

    fn ask(&mut self, item: Item, line: &Bytes, times: Option<Bytes>, out: &mut ScpOut) {
        self.next += 1;
        let ask = AskId(self.next);
        let request = times
            .as_deref()
            .unwrap_or_default()
            .iter()
            .chain(line.iter())
            .copied()
            .collect();
        self.state = State::Asked;
        out.asks.push_back(ScpAsk {
            id: ask,
            text: item.text(),
            item: item.clone(),
            request,
        });
        let digest = Context::new(&SHA256);
        self.current = Some(Current {
            ask,
            item,
            line: line.clone(),
            times,
            digest,
            moved: 0,
            failed: false,
        });
    }

    fn data(&mut self, left: u64, bytes: &mut BytesMut, out: &mut ScpOut) {
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let piece = bytes.get(..now).unwrap_or_default();
        if let Some(current) = &mut self.current {
            if self.contents {
                out.contents.push(Content {
                    ask: current.ask,
                    direction: self.direction,
                    offset: current.moved,
                    bytes: Bytes::copy_from_slice(piece),
                });
            }
            current.digest.update(piece);
            current.moved += now as u64;
        }
        self.to_sink(piece, out);
        bytes.advance(now);
        let left = left - now as u64;
        self.state = if left == 0 { State::Status } else { State::Data(left) };
    }

    /// What the sink says: only when it is asked, and word by word.
    fn sink(&mut self, bytes: &mut BytesMut, out: &mut ScpOut) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            if self.state == State::Over {
                bytes.clear();
                return Ok(());
            }
            let Some(word) = next_word(bytes)? else {
                return Ok(());
            };
            match self.state {
                State::Start => {
                    self.to_source(&word.bytes, out);
                    if word.is_fine() {
                        self.state = State::Control;
                    }
                }
                State::Times if word.is_fine() => self.announce(out),
                State::Times => {
                    self.state = State::Control;
                    self.to_source(&word.bytes, out);
                    self.declined(Outcome::Failed, out);
                }
                State::Announced => {
                    self.to_source(&word.bytes, out);
                    self.announced(word.is_fine(), out);
                }
                State::Landed => {
                    self.to_source(&word.bytes, out);
                    self.landed(word.outcome(), out);
                    self.state = State::Control;
                }
                State::Left => {
                    self.to_source(&word.bytes, out);
                    self.state = State::Control;
                    let outcome = word.outcome();
                    out.ended.extend(self.left.take().map(|ask| Ended { ask, outcome }));
                }
                State::Control | State::Asked | State::Data(_) | State::Status | State::Over => {
                    return Err("an answer to what was not said");
                }
            }
            self.fatal(&word, out);
        }
        Ok(())
    }

    fn announced(&mut self, fine: bool, out: &mut ScpOut) {
        self.state = State::Control;
        match &self.current {
            Some(current) if fine && current.item.directory => {
                self.inside.push((current.item.name.clone(), current.ask));
                self.current = None;
            }
            Some(current) if fine => {
                self.state = if current.item.size == 0 {
                    State::Status
                } else {
                    State::Data(current.item.size)
                };
            }
            Some(_) | None => self.declined(Outcome::Failed, out),
        }
    }

    /// The sink does not take what was announced.
    fn declined(&mut self, outcome: Outcome, out: &mut ScpOut) {
        let declined = self.current.take();
        out.ended
            .extend(declined.map(|Current { ask, .. }| Ended { ask, outcome }));
    }

    fn landed(&mut self, said: Outcome, out: &mut ScpOut) {
        let Some(current) = self.current.take() else {
            return;
        };
        let outcome = if current.failed { Outcome::Failed } else { said };
        out.ended.push(Ended {
            ask: current.ask,
            outcome,
        });
        let all = current.moved == current.item.size;
        let sha256 = all
            .then(|| current.digest.finish())
            .and_then(|digest| digest.as_ref().try_into().ok());
        out.done.push(ScpTransfer {
            ask: current.ask,
            item: current.item,
            bytes: current.moved,
            sha256,
            complete: outcome == Outcome::Completed && all,
        });
    }

    /// After a fatal word nobody says anything more.
    fn fatal(&mut self, word: &Word, out: &mut ScpOut) {
        if word.bytes.first() == Some(&2) {
            self.over(out);
        }
    }
}
