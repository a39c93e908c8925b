//! The agent's machine: payloads of the gateway and of the host in, payloads for the gateway out. No sockets.

use std::collections::BTreeMap;
use std::sync::Arc;

use sallyport_mask::{MaskKey, Scanner};
use sallyport_ssh_transport::TransportError;
use sallyport_ssh_transport::wire::WireError;
use secrecy::SecretSlice;

use super::{Down, Kind, Masked, Standing, Up, WORDS, words};
use crate::connection::{MAX_PACKET, Packet};
use crate::conversation::{Masks, Streams};

/// Channels that can be open at once.
const MAX_CHANNELS: usize = 1024;

/// What makes no sense, or would let something through. Says no value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VeilError {
    /// The host says something on a channel of which the agent was not told what it is.
    #[error("the host speaks on a channel of which it is not known what it is")]
    Unplanned,
    /// A message that makes no sense.
    #[error("a message between gateway and agent that makes no sense")]
    Nonsense,
    /// Too many channels.
    #[error("more than {MAX_CHANNELS} channels")]
    Channels,
    /// The host broke the protocol.
    #[error("the host broke the protocol: {0}")]
    Wire(#[from] WireError),
    /// What is to be sent cannot be.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// Takes one payload, in parts, for the gateway.
pub(crate) type Send<'s> = &'s mut dyn FnMut(&[&[u8]]) -> Result<(), TransportError>;

/// Masks what a host says, as the gateway decided.
#[derive(Default)]
pub(crate) struct Veil {
    masks: Option<Masks>,
    /// By the gateway's numbers.
    channels: BTreeMap<u32, Channel>,
}

struct Channel {
    theirs: Option<u32>,
    kind: Kind,
    streams: Streams,
}

impl Veil {
    /// Takes what the gateway says. True when it was a word to this machine; all else is the host's.
    pub(crate) fn take_from_gateway(&mut self, payload: &[u8], send: Send<'_>) -> Result<bool, VeilError> {
        if payload.first() == Some(&WORDS) {
            let down = serde_json::from_slice(payload.get(1..).unwrap_or_default());
            self.told(down.map_err(|_| VeilError::Nonsense)?, send)?;
            return Ok(true);
        }
        if let Some(Packet::Data { channel, data, .. }) = Packet::read(payload)? {
            let typed = self.channels.values_mut().find(|known| known.theirs == Some(channel));
            if let Some(typed) = typed {
                typed.streams.typed(data.len());
            }
        }
        Ok(false)
    }

    fn told(&mut self, down: Down, send: Send<'_>) -> Result<(), VeilError> {
        match down {
            Down::Standing(standing) => {
                let masks = standing.masks();
                // Twice, for a part of a character waits for one more pause.
                for _ in 0..2 {
                    self.let_all_go(send)?;
                }
                for channel in self.channels.values_mut() {
                    channel.streams.change(&masks);
                }
                self.masks = Some(masks);
            }
            Down::Channel { number, theirs, kind } => {
                if self.channels.len() >= MAX_CHANNELS && !self.channels.contains_key(&number) {
                    return Err(VeilError::Channels);
                }
                let streams = match (kind, &self.masks) {
                    (Kind::Data, _) => Streams::unmasked(),
                    (_, Some(masks)) => Streams::of(kind, masks),
                    (_, None) => return Err(VeilError::Nonsense),
                };
                self.channels.insert(number, Channel { theirs, kind, streams });
            }
            Down::Columns { number, columns } => {
                if let Some(channel) = self.channels.get_mut(&number) {
                    channel.streams.resize(columns);
                }
            }
        }
        Ok(())
    }

    /// Takes what the host says.
    ///
    /// # Errors
    /// When it is not known how it is masked: nothing more may pass.
    pub(crate) fn take_from_host(&mut self, payload: &[u8], send: Send<'_>) -> Result<(), VeilError> {
        match Packet::read(payload)? {
            Some(Packet::Data { channel, stream, data }) => {
                let known = self.channels.get_mut(&channel).ok_or(VeilError::Unplanned)?;
                known.said(channel, stream, data, send)
            }
            Some(Packet::Eof { channel } | Packet::Request { channel, .. }) => {
                self.let_go(channel, send)?;
                Ok(send(&[payload])?)
            }
            Some(Packet::Close { channel }) => {
                self.let_go(channel, send)?;
                self.channels.remove(&channel);
                Ok(send(&[payload])?)
            }
            Some(
                Packet::GlobalRequest { .. }
                | Packet::RequestSuccess(_)
                | Packet::RequestFailure
                | Packet::Open { .. }
                | Packet::OpenConfirmation { .. }
                | Packet::OpenFailure { .. }
                | Packet::WindowAdjust { .. }
                | Packet::Success { .. }
                | Packet::Failure { .. },
            ) => Ok(send(&[payload])?),
            // It has no place in a connection, and could be taken for a word of the agent's.
            None => Err(VeilError::Nonsense),
        }
    }

    /// Whether masks hold something back, and whether on a terminal.
    pub(crate) fn holds_text(&self) -> Option<bool> {
        let holding = self.channels.values().filter(|channel| channel.streams.is_holding());
        let terminals = holding.map(|channel| channel.streams.has_terminal());
        terminals.reduce(|one, other| one || other)
    }

    /// Nothing was said for a while: what is held back goes on.
    pub(crate) fn quiet(&mut self, send: Send<'_>) -> Result<(), VeilError> {
        self.let_all_go(send)
    }

    fn let_all_go(&mut self, send: Send<'_>) -> Result<(), VeilError> {
        let numbers: Vec<u32> = self.channels.keys().copied().collect();
        numbers.into_iter().try_for_each(|number| self.let_go(number, send))
    }

    fn let_go(&mut self, number: u32, send: Send<'_>) -> Result<(), VeilError> {
        let Some(channel) = self.channels.get_mut(&number) else {
            return Ok(());
        };
        for stream in [0, 1] {
            show(number, stream, 0, channel.streams.rest(stream), send)?;
        }
        Ok(())
    }
}

impl Channel {
    fn said(&mut self, number: u32, stream: u32, piece: &[u8], send: Send<'_>) -> Result<(), VeilError> {
        let raw = u32::try_from(piece.len()).map_err(|_| VeilError::Nonsense)?;
        let data = match (self.kind, stream) {
            (Kind::Data, _) | (Kind::DataAndWords, 0) => piece,
            _ => self.streams.said(stream, piece),
        };
        show(number, stream, raw, data, send)?;
        for on in self.streams.turns() {
            send(&[&words(&Up::Turn { number, on })])?;
        }
        Ok(())
    }
}

/// Sends what can be shown, in messages of a good length; the first says how much of the host's it stands for.
fn show(channel: u32, stream: u32, mut raw: u32, data: &[u8], send: Send<'_>) -> Result<(), VeilError> {
    let longest = usize::try_from(MAX_PACKET).unwrap_or(usize::MAX);
    let mut rest = data;
    while raw > 0 || !rest.is_empty() {
        let (data, behind) = rest.split_at_checked(longest).unwrap_or((rest, &[]));
        rest = behind;
        let masked = Masked {
            channel,
            stream,
            raw: std::mem::take(&mut raw),
            data,
        };
        send(&[&masked.head(), data])?;
    }
    Ok(())
}

impl Standing {
    fn masks(self) -> Masks {
        let key = MaskKey::new(&SecretSlice::from(self.key));
        let scanner = |detectors: &[_]| Arc::new(Scanner::new(detectors, &key));
        Masks {
            plain: scanner(&self.detectors),
            full_screen: self.full_screen.as_deref().map(scanner),
        }
    }
}
