//! Data on channels: recorded, masked, and passed on as windows allow.

use sallyport_session::{Effects, WireError};

use super::SshConversation;
use super::channel::{Channel, State};
use super::link::Authority;
use super::masked::Masks;
use super::running::{Running, STDERR, STDOUT, Streams, What};
use crate::connection::Size;
use crate::facts;

impl SshConversation {
    /// Data of the client for what runs.
    pub(super) fn data_to_target(&mut self, at: usize, data: &[u8], out: &mut Effects) -> Result<(), WireError> {
        if self.gated(at).is_some() {
            return self.gated_input(at, data, out);
        }
        self.send_on(at, data, out)
    }

    /// Sends what belongs to what runs.
    pub(super) fn send_on(&mut self, at: usize, data: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let State::Running(running) = &mut channel.state else {
            return Ok(());
        };
        let spent = running.spent;
        running.flow.from_client += data.len() as u64;
        match &mut running.what {
            What::Streams(streams) => {
                streams.typed(data.len());
                out.sent_as(spent.seq(), &[data]);
            }
            What::Transfer(transfer) => transfer.sent(data),
            What::Opaque => {}
            What::Files(_) => return self.files_from_client(at, data, out),
        }
        channel
            .target
            .send(0, data, &mut self.target, Authority::Of(spent), out)?;
        channel.grant(&mut self.client, &mut self.target, out)
    }

    /// Data of the target. `stream` 0 is the standard output, 1 the standard error.
    pub(super) fn data_to_client(
        &mut self,
        at: usize,
        stream: u32,
        data: &[u8],
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let running = match &mut channel.state {
            State::Running(running) => running,
            State::Guarded(_) => return self.guard_output(at, stream, data, out),
            State::Listing(_) => return self.listing_output(at, stream, data, out),
            State::Asked(_) | State::Opening | State::Idle(_) | State::Deciding(_) | State::Over => {
                return Err(WireError::target("data on a channel where nothing runs"));
            }
        };
        running.flow.from_target += data.len() as u64;
        let shown = match &mut running.what {
            What::Streams(streams) => {
                let shown = streams.said(stream, data);
                if !shown.is_empty() {
                    out.shown_as(running.spent.seq(), &[&[tag(stream)], shown]);
                }
                shown
            }
            What::Transfer(transfer) if stream == 0 => {
                transfer.received(data);
                data
            }
            // Beside its protocol it speaks to people.
            What::Transfer(transfer) => {
                let shown = transfer.said(data);
                out.shown_as(running.spent.seq(), &[&[tag(stream)], shown]);
                shown
            }
            What::Files(_) if stream == 0 => return self.files_from_target(at, data, out),
            What::Files(files) => {
                let shown = files.said(data);
                if !shown.is_empty() {
                    out.shown_as(running.spent.seq(), &[&[tag(stream)], shown]);
                }
                shown
            }
            What::Opaque if stream == 0 => data,
            What::Opaque => &[],
        };
        channel
            .client
            .send(stream, shown, &mut self.client, Authority::Own, out)?;
        if let What::Streams(streams) = &mut running.what {
            note_turns(streams, running.spent.seq(), out);
        }
        channel.grant(&mut self.client, &mut self.target, out)?;
        self.gated_shown(at, data, out)
    }

    /// Shows what masks held back for more to come.
    pub(super) fn let_go(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        for stream in [0, 1] {
            let Some((seq, rest)) = channel.state.rest(stream).filter(|(_, rest)| !rest.is_empty()) else {
                continue;
            };
            out.shown_as(seq, &[&[tag(stream)], rest]);
            channel
                .client
                .send(stream, rest, &mut self.client, Authority::Own, out)?;
        }
        Ok(())
    }

    /// Says something of the gateway's own on a channel: on the standard error, as its recording has it too.
    pub(super) fn notice(&mut self, at: usize, words: &str, out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let terminal = match &channel.state {
            State::Deciding(deciding) => deciding.setup.pty.is_some(),
            State::Running(running) if running.gated.is_some() => return self.gated_words(at, words, out),
            State::Running(running) => match &running.what {
                What::Streams(streams) => streams.has_terminal(),
                What::Transfer(_) | What::Files(_) => false,
                What::Opaque => return Ok(()),
            },
            State::Guarded(_) => return self.guard_words(at, words, out),
            State::Asked(_) | State::Opening | State::Idle(_) | State::Listing(_) | State::Over => return Ok(()),
        };
        let words = match &mut channel.state {
            State::Running(running) => match &mut running.what {
                What::Files(files) => files.own_words(words),
                What::Streams(_) | What::Transfer(_) | What::Opaque => words,
            },
            State::Asked(_)
            | State::Opening
            | State::Idle(_)
            | State::Deciding(_)
            | State::Guarded(_)
            | State::Listing(_)
            | State::Over => words,
        };
        // A terminal in raw mode does not return to the start of the line by itself.
        let words = if terminal {
            words.replace('\n', "\r\n")
        } else {
            words.to_owned()
        };
        channel
            .client
            .send(1, words.as_bytes(), &mut self.client, Authority::Own, out)?;
        Ok(())
    }
}

impl Channel {
    /// From now on these masks hold. What was held back was shown before.
    pub(super) fn change_masks(&mut self, masks: &Masks) {
        if let Some(running) = self.state.running_mut() {
            running.change(masks);
        }
    }

    /// The terminal of what runs has another size: values and typed lines that go on in the next row are seen by it.
    pub(super) fn resized(&mut self, size: Size) {
        let Some(running) = self.state.running_mut() else {
            return;
        };
        if let What::Streams(streams) = &mut running.what {
            streams.resize(size.columns);
        }
        if let Some(gated) = &mut running.gated {
            gated.resize(size);
        }
    }

    /// Whether masks hold something back, and whether on a terminal.
    pub(super) fn holds_text(&self) -> Option<bool> {
        match &self.state {
            State::Running(running) => running.holds_text(),
            State::Guarded(guard) => guard.running().and_then(Running::holds_text),
            State::Asked(_)
            | State::Opening
            | State::Idle(_)
            | State::Deciding(_)
            | State::Listing(_)
            | State::Over => None,
        }
    }
}

impl State {
    /// The command that runs: of a guarded shell its line.
    fn running_mut(&mut self) -> Option<&mut Running> {
        match self {
            Self::Running(running) => Some(running),
            Self::Guarded(guard) => guard.running_mut(),
            Self::Listing(_) | Self::Asked(_) | Self::Opening | Self::Idle(_) | Self::Deciding(_) | Self::Over => None,
        }
    }

    /// What masks hold back on `stream`, and the number of the command that said it.
    fn rest(&mut self, stream: u32) -> Option<(u64, &[u8])> {
        match self {
            Self::Running(running) => Some((running.spent.seq(), running.rest(stream))),
            Self::Guarded(guard) => guard
                .streams()
                .map(|(spent, streams)| (spent.seq(), streams.rest(stream))),
            Self::Asked(_) | Self::Opening | Self::Idle(_) | Self::Deciding(_) | Self::Listing(_) | Self::Over => None,
        }
    }
}

/// Records where a full-screen program is shown under masks of its own.
pub(super) fn note_turns(streams: &mut Streams, seq: u64, out: &mut Effects) {
    for on in streams.turns() {
        out.remark(facts::full_screen(seq, on));
    }
}

pub(super) fn tag(stream: u32) -> u8 {
    if stream == 0 { STDOUT } else { STDERR }
}
