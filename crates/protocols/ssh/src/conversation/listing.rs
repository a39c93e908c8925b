//! A question of the gateway's own to the host, for whoever sits at a guarded shell: which names a directory has. It is a
//! command like any other: judged, recorded, and run on a channel of its own, of which the client knows nothing.

use bytes::Bytes;
use sallyport_session::{AskId, Effects, Permit, Ruling, Spent, WireError};

use super::channel::{Reply, Setup, Start, State};
use super::running::{Exit, Running, What};
use super::{Question, SshConversation};
use crate::connection::ClientOpen;
use crate::facts;

/// A question of a guarded shell.
pub(crate) struct Listing {
    /// The channel of the shell.
    owner: usize,
    setup: Setup,
    line: Bytes,
    step: Step,
    answer: Vec<u8>,
    /// The most bytes of an answer.
    most: usize,
}

enum Step {
    /// Policy is asked.
    Asking(AskId),
    /// It may run as soon as the host has opened a channel for it.
    Opening(Permit),
    /// It runs; nobody waits for the answer any more if it was given up.
    Running { running: Box<Running>, given_up: bool },
    /// Nobody waits for it, and it has not run.
    GivenUp,
}

impl Listing {
    pub(super) fn spent(&self) -> Option<Spent> {
        match &self.step {
            Step::Running { running, .. } => Some(running.spent),
            Step::Asking(_) | Step::Opening(_) | Step::GivenUp => None,
        }
    }

    /// Whether policy has yet to say whether it may run.
    pub(super) fn is_undecided(&self) -> bool {
        matches!(self.step, Step::Asking(_))
    }

    pub(super) fn is_of(&self, owner: usize) -> bool {
        self.owner == owner
    }

    pub(super) fn exit(&mut self, exit: Exit) {
        if let Step::Running { running, .. } = &mut self.step {
            running.exit = exit;
        }
    }

    /// How it ended, for the recording, if it ran.
    pub(super) fn ended(&self, out: &mut Effects) {
        match &self.step {
            Step::Running { running, .. } => out.ended(running.spent.seq(), running.ending()),
            Step::Opening(permit) => out.ended(permit.seq(), br#"{"outcome":"skipped"}"#.to_vec()),
            Step::Asking(_) | Step::GivenUp => {}
        }
    }
}

impl SshConversation {
    /// Puts a question to policy, and if it may to the host. Gives the channel on which it runs; `None` when there is
    /// none free, or one of the same shell still runs.
    pub(super) fn ask_host(
        &mut self,
        owner: usize,
        setup: Setup,
        line: Bytes,
        most: usize,
        out: &mut Effects,
    ) -> Option<usize> {
        if self.listing_of(owner).is_some() {
            return None;
        }
        let start = Start::Exec(line.clone());
        let (command, _) = facts::start(&start, &setup, &self.account, out.classification());
        let ask = self.next_ask();
        let listing = Listing {
            owner,
            setup,
            line,
            step: Step::Asking(ask),
            answer: Vec::new(),
            most,
        };
        let (at, channel) = self.place(State::Listing(Box::new(listing)))?;
        // The client never hears of this channel, so it cannot name it either.
        channel.client.closed = true;
        self.note_question(ask, Question::Channel(at), &command);
        // Nobody is asked to approve a Tab.
        out.ask_without_waiting(ask, command);
        Some(at)
    }

    /// The channel on which a question of this shell runs.
    fn listing_of(&self, owner: usize) -> Option<usize> {
        self.channels.iter().position(|channel| {
            let state = channel.as_ref().map(|channel| &channel.state);
            matches!(state, Some(State::Listing(listing)) if listing.is_of(owner))
        })
    }

    fn listing(&mut self, at: usize) -> Option<&mut Listing> {
        match &mut self.channels.get_mut(at)?.as_mut()?.state {
            State::Listing(listing) => Some(listing),
            State::Asked(_)
            | State::Opening
            | State::Idle(_)
            | State::Deciding(_)
            | State::Running(_)
            | State::Guarded(_)
            | State::Over => None,
        }
    }

    /// The gate's word on a question.
    pub(super) fn decided_listing(&mut self, at: usize, ruling: Ruling, out: &mut Effects) -> Result<(), WireError> {
        match ruling {
            Ruling::Permitted { permit, .. } => {
                if let Some(listing) = self.listing(at) {
                    listing.step = Step::Opening(permit);
                }
                self.open_at_target(at, &ClientOpen::Session, out)
            }
            Ruling::Refused { .. } => self.forget_listing(at, out),
        }
    }

    /// The host has opened the channel: the question is put.
    pub(super) fn run_listing(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let (State::Listing(listing), Some(number)) = (&mut channel.state, channel.target.number) else {
            return Ok(());
        };
        match std::mem::replace(&mut listing.step, Step::GivenUp) {
            Step::Opening(permit) => {
                let start = Start::Exec(listing.line.clone());
                let (link, replies, setup) = (&mut self.target, &mut channel.replies, &listing.setup);
                let mut sent = Ok(());
                let spent = out.forward_with(permit, |buffer| {
                    sent = super::start::requests(number, setup, &start, replies, &mut |packet| {
                        link.append(packet, buffer)
                    });
                });
                sent?;
                channel.replies.push_back(Reply::Start { client: false });
                channel.target.end_data();
                // What it says goes to nobody as it is.
                let running = Box::new(Running::new(spent, What::Opaque));
                listing.step = Step::Running {
                    running,
                    given_up: false,
                };
            }
            step @ Step::Running { .. } => listing.step = step,
            Step::Asking(_) | Step::GivenUp => channel.target.end(),
        }
        self.pump(at, out)
    }

    /// What the host answers. Only names: what it says beside them is of no use.
    pub(super) fn listing_output(
        &mut self,
        at: usize,
        stream: u32,
        data: &[u8],
        out: &mut Effects,
    ) -> Result<(), WireError> {
        let mut too_long = false;
        if let Some(listing) = self.listing(at)
            && let Step::Running { running, given_up } = &mut listing.step
        {
            running.flow.from_target += data.len() as u64;
            if stream == 0 && !*given_up {
                too_long = listing.answer.len() + data.len() > listing.most;
                listing.answer.extend_from_slice(data);
            }
        }
        if too_long {
            return self.forget_listing(at, out);
        }
        self.pump(at, out)
    }

    /// The host has closed the channel: that was the answer.
    pub(super) fn listing_ended(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        channel.target.closed = true;
        channel.target.end();
        let State::Listing(listing) = &mut channel.state else {
            return Ok(());
        };
        let given_up = !matches!(listing.step, Step::Running { given_up: false, .. });
        let (owner, answer) = (listing.owner, std::mem::take(&mut listing.answer));
        self.pump(at, out)?;
        if given_up {
            return Ok(());
        }
        self.guard_learns(owner, at, Some(&answer), out)
    }

    /// A question is not answered: refused, too long an answer, or no channel for it. Whoever asked goes on.
    pub(super) fn forget_listing(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let owner = self.listing(at).map(|listing| listing.owner);
        self.give_up_listing(at, out)?;
        owner.map_or(Ok(()), |owner| self.guard_learns(owner, at, None, out))
    }

    /// Nobody waits for an answer any more.
    pub(super) fn give_up_listing(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(listing) = self.listing(at) else { return Ok(()) };
        listing.answer = Vec::new();
        match std::mem::replace(&mut listing.step, Step::GivenUp) {
            Step::Asking(ask) => self.forget_question(ask, out),
            // The channel is closed as soon as it is there.
            Step::Opening(permit) => out.ended(permit.seq(), br#"{"outcome":"skipped"}"#.to_vec()),
            Step::Running { running, .. } => {
                listing.step = Step::Running {
                    running,
                    given_up: true,
                };
                self.kill(at, out)?;
                if let Some(Some(channel)) = self.channels.get_mut(at) {
                    channel.target.end();
                }
            }
            Step::GivenUp => {}
        }
        self.pump(at, out)
    }

    /// The host opens no channel for a question.
    pub(super) fn listing_declined(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        if let Some(Some(channel)) = self.channels.get_mut(at) {
            channel.awaiting = false;
            channel.target.closed = true;
            channel.target.end();
        }
        self.forget_listing(at, out)
    }

    /// The host does not run it.
    pub(super) fn listing_failed(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        if self.listing(at).is_some_and(|listing| listing.spent().is_some()) {
            return self.forget_listing(at, out);
        }
        Ok(())
    }

    /// A shell is over: nobody waits for what it asked.
    pub(super) fn end_listings(&mut self, owner: usize, out: &mut Effects) -> Result<(), WireError> {
        match self.listing_of(owner) {
            Some(at) => self.give_up_listing(at, out),
            None => Ok(()),
        }
    }
}
