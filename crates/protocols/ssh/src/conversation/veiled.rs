//! Output that an agent masks: what the gateway tells it, and what comes of it.

use sallyport_policy::Classification;
use sallyport_session::{Effects, Side, WireError};
use smol_str::SmolStr;

use super::channel::State;
use super::link::Authority;
use super::{SshConversation, fault};
use crate::connection::{Size, window};
use crate::facts;
use crate::veil::{self, Down, Kind, Masked, Standing, Up};

/// How many times as long as what a host says its masked form may be.
const LONGER: usize = 16;

/// The agents that mask.
#[derive(Debug)]
pub(super) struct Veiled {
    agent: SmolStr,
}

impl Veiled {
    /// Those of this name.
    pub(super) fn by(agent: SmolStr) -> Self {
        Self { agent }
    }
}

impl SshConversation {
    /// What holds for everything that the host says.
    pub(super) fn standing(&self, classification: &Classification) -> Down {
        let agent = self.veiled.as_ref().map(|veiled| veiled.agent.as_str());
        Down::Standing(Standing {
            detectors: self.reveals.detectors(classification),
            full_screen: self.reveals.full_screen_detectors(classification),
            key: self.mask_key.for_agents(agent.unwrap_or_default()),
        })
    }

    /// The first word to the agent, if one masks: in front of everything else.
    pub(crate) fn first_word(&mut self, classification: &Classification) -> Option<bytes::BytesMut> {
        self.veiled.as_ref()?;
        let mut buffer = bytes::BytesMut::new();
        let standing = veil::words(&self.standing(classification));
        self.target.append_payload(&standing, &mut buffer).ok()?;
        Some(buffer)
    }

    pub(super) fn tell_agent(&mut self, down: &Down, out: &mut Effects) -> Result<(), WireError> {
        self.target.send(&[&veil::words(down)], Authority::Own, out)
    }

    /// Tells the agent, if one masks, what is about to begin on a channel.
    pub(super) fn tell_kind(&mut self, at: usize, kind: Kind, out: &mut Effects) -> Result<(), WireError> {
        let (Some(_), Some(Some(channel))) = (&self.veiled, self.channels.get(at)) else {
            return Ok(());
        };
        let down = Down::Channel {
            number: u32::try_from(at).unwrap_or(u32::MAX),
            theirs: channel.target.number,
            kind,
        };
        self.tell_agent(&down, out)
    }

    /// Tells the agent, if one masks, that a terminal has another size.
    pub(super) fn tell_size(&mut self, at: usize, size: Size, out: &mut Effects) -> Result<(), WireError> {
        if self.veiled.is_none() {
            return Ok(());
        }
        let down = Down::Columns {
            number: u32::try_from(at).unwrap_or(u32::MAX),
            columns: size.columns,
        };
        self.tell_agent(&down, out)
    }

    /// What the agent says of its own, or masked. False for the host's own messages, among which there is no data.
    pub(super) fn agent_says(&mut self, payload: &[u8], out: &mut Effects) -> Result<bool, WireError> {
        let nonsense = || fault(Side::Target, "a message of the agent that makes no sense");
        match payload.first() {
            Some(&veil::MASKED) => {
                let masked = Masked::read(payload).ok_or_else(nonsense)?;
                self.masked_data(&masked, out)?;
                Ok(true)
            }
            Some(&veil::WORDS) => {
                match serde_json::from_slice(payload.get(1..).unwrap_or_default()) {
                    Ok(Up::Turn { number, on }) => self.agent_saw_turn(number, on, out)?,
                    Ok(Up::Veiled) | Err(_) => return Err(nonsense()),
                }
                Ok(true)
            }
            Some(
                &(sallyport_ssh_transport::message::CHANNEL_DATA
                | sallyport_ssh_transport::message::CHANNEL_EXTENDED_DATA),
            ) => Err(fault(Side::Target, "data that the agent has not masked")),
            Some(_) | None => Ok(false),
        }
    }

    fn masked_data(&mut self, masked: &Masked<'_>, out: &mut Effects) -> Result<(), WireError> {
        let (at, channel) = self.find(Side::Target, masked.channel)?;
        channel
            .target
            .received(usize::try_from(masked.raw).unwrap_or(usize::MAX))
            .map_err(|_| fault(Side::Target, "more data than the window allows"))?;
        // The window counts what the host said; what is shown instead is longer, but not by this much.
        let most = usize::try_from(window(at)).unwrap_or(usize::MAX).saturating_mul(LONGER);
        if channel.client.queued() > most {
            return Err(fault(Side::Target, "more masked data than there can be"));
        }
        self.data_to_client(at, masked.stream, masked.data, out)
    }

    fn agent_saw_turn(&mut self, number: u32, on: bool, out: &mut Effects) -> Result<(), WireError> {
        let (_, channel) = self.find(Side::Target, number)?;
        if let State::Running(running) = &channel.state {
            out.remark(facts::full_screen(running.spent.seq(), on));
        }
        Ok(())
    }
}
