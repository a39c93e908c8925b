//! The machine between a client and a target: two connections, the channels that go through both, and the commands on
//! them. No sockets, no clock, no decisions.

mod channel;
mod client;
mod data;
mod files;
mod forward;
mod gated;
mod guard;
mod link;
mod listing;
mod masked;
mod running;
mod start;
mod target;
mod veiled;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use sallyport_mask::MaskKey;
use sallyport_session::{AskId, Command, Conversation, Effects, HoldInfo, Refusal, Reveals, Ruling, Side, WireError};
use sallyport_ssh_transport::{Step, Transport};
use smol_str::SmolStr;

pub(crate) use channel::{Setup, Start};
#[cfg(test)]
pub(crate) use guard::ShellOption;
pub(crate) use guard::{OWN, Place};
pub(crate) use masked::Masks;
pub(crate) use running::{CONTENT, STDERR, Streams};

use channel::{Channel, State};
use forward::Listens;
use link::{Authority, Link};
use veiled::Veiled;

use crate::account::Account;
use crate::connection::{Listening, Packet};
use crate::refuse;

/// Channels of one connection.
const MAX_CHANNELS: usize = 128;
/// How long a piece of a line waits on a terminal for what follows it, before it is shown as it is.
const TERMINAL_PATIENCE: Duration = Duration::from_millis(20);
/// The same without a terminal, where nobody waits for a prompt.
const STREAM_PATIENCE: Duration = Duration::from_millis(200);

/// How long what masks hold back waits for what follows it.
pub(crate) fn patience(terminal: bool) -> Duration {
    if terminal { TERMINAL_PATIENCE } else { STREAM_PATIENCE }
}

/// What a question to the gate is about.
#[derive(Debug)]
enum Question {
    /// What runs on a channel, or where a forwarded connection goes.
    Channel(usize),
    /// A request of a protocol of files.
    File { at: usize, ask: sallyport_sftp::AskId },
    /// Forwarding of the client's agent.
    Agent { at: usize, want_reply: bool },
    /// The target is to listen for the client.
    Listen { listening: Listening, want_reply: bool },
}

/// What a conversation begins with.
pub(crate) struct Begin {
    pub(crate) client: Transport,
    pub(crate) target: Transport,
    pub(crate) account: Account,
    pub(crate) reveals: Arc<Reveals>,
    pub(crate) mask_key: Arc<MaskKey>,
    /// The agents that mask what the target says, if they do and not the gateway.
    pub(crate) veiled: Option<SmolStr>,
}

/// A session of SSH.
pub struct SshConversation {
    client: Link,
    target: Link,
    channels: Vec<Option<Channel>>,
    questions: HashMap<AskId, Question>,
    /// What is asked for and may run for long.
    asked: HashMap<AskId, Command>,
    /// What of it runs, by the commands' numbers: judged again when another policy is in force.
    lasting: BTreeMap<u64, Command>,
    next_ask: u64,
    account: Account,
    mask_key: Arc<MaskKey>,
    /// What looks for values in output, made of what this person may see.
    masks: Option<(Arc<Reveals>, Masks)>,
    veiled: Option<Veiled>,
    reveals: Arc<Reveals>,
    /// Where the target listens for the client.
    listening: Vec<Listens>,
    /// The client said that it opens no further session.
    no_more_sessions: bool,
    over: bool,
}

impl SshConversation {
    pub(crate) fn new(begin: Begin) -> Self {
        Self {
            client: Link::new(Side::Client, begin.client),
            target: Link::new(Side::Target, begin.target),
            channels: Vec::new(),
            questions: HashMap::new(),
            asked: HashMap::new(),
            lasting: BTreeMap::new(),
            next_ask: 0,
            account: begin.account,
            mask_key: begin.mask_key,
            masks: None,
            veiled: begin.veiled.map(Veiled::by),
            reveals: begin.reveals,
            listening: Vec::new(),
            no_more_sessions: false,
            over: false,
        }
    }

    fn ask(&mut self, question: Question, command: Command, out: &mut Effects) -> AskId {
        let id = self.next_ask();
        self.note_question(id, question, &command);
        out.ask(id, command);
        id
    }

    fn next_ask(&mut self) -> AskId {
        let id = AskId(self.next_ask);
        self.next_ask += 1;
        id
    }

    fn note_question(&mut self, id: AskId, question: Question, command: &Command) {
        self.asked.insert(id, command.clone());
        self.questions.insert(id, question);
    }

    fn link(&mut self, side: Side) -> &mut Link {
        match side {
            Side::Client => &mut self.client,
            Side::Target => &mut self.target,
        }
    }

    /// A new channel in a free place.
    fn place(&mut self, state: State) -> Option<(usize, &mut Channel)> {
        let free = self.channels.iter().position(Option::is_none);
        let at = free.unwrap_or(self.channels.len());
        if at >= MAX_CHANNELS {
            return None;
        }
        if free.is_none() {
            self.channels.push(None);
        }
        let slot = self.channels.get_mut(at)?;
        Some((at, slot.insert(Channel::new(at, state))))
    }

    /// Whoever asked waits for the answer no more.
    fn forget_question(&mut self, ask: AskId, out: &mut Effects) {
        self.questions.remove(&ask);
        self.asked.remove(&ask);
        out.withdraw(ask);
    }

    /// The channel that a peer names by our number.
    fn find(&mut self, side: Side, number: u32) -> Result<(usize, &mut Channel), WireError> {
        let at = usize::try_from(number).ok();
        let known = at.and_then(|at| Some((at, self.channels.get_mut(at)?.as_mut()?)));
        let known = known.filter(|(_, channel)| channel.is_known_to(side));
        known.ok_or_else(|| fault(side, "a channel that is not open"))
    }

    /// Forgets a channel that is over on both sides, and notes how what ran on it ended.
    fn tidy(&mut self, at: usize, out: &mut Effects) {
        let Some(slot) = self.channels.get(at) else { return };
        if !slot.as_ref().is_some_and(Channel::is_over) {
            return;
        }
        self.end_files(at, out);
        if let Some(channel) = self.channels.get_mut(at).and_then(Option::take) {
            end_command(&channel.state, out);
            let agent = channel.agent_decision();
            for seq in channel.commands().iter().map(|spent| spent.seq()).chain(agent) {
                self.lasting.remove(&seq);
            }
        }
    }

    fn handle(&mut self, from: Side, payload: &[u8], out: &mut Effects) -> Result<(), WireError> {
        if from == Side::Target && self.veiled.is_some() && self.agent_says(payload, out)? {
            return Ok(());
        }
        let packet = Packet::read(payload).map_err(|error| fault(from, error.to_string()))?;
        let Some(packet) = packet else {
            let kind = payload.first().copied().unwrap_or_default();
            return Err(fault(
                from,
                format!("a message of type {kind}, which has no place here"),
            ));
        };
        match from {
            Side::Client => self.client_says(&packet, out),
            Side::Target => self.target_says(&packet, out),
        }
    }

    /// What is owed behind a change of a channel: data, last words, memory.
    fn pump(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let by = channel.authority();
        channel.client.flush(&mut self.client, Authority::Own, out)?;
        let held = matches!(
            channel.state,
            State::Deciding(_) | State::Idle(_) | State::Opening | State::Asked(_)
        );
        if !held || channel.client.closed {
            channel.target.flush(&mut self.target, by, out)?;
        }
        channel.grant(&mut self.client, &mut self.target, out)?;
        self.tidy(at, out);
        Ok(())
    }
}

impl Conversation for SshConversation {
    fn read(&mut self, from: Side, bytes: &mut BytesMut, out: &mut Effects) -> Result<(), WireError> {
        while !self.over {
            match self.link(from).read(bytes, out)? {
                Step::More => return Ok(()),
                Step::Ready => {}
                Step::Packet { payload, whole } => {
                    let packet = bytes.get(payload).unwrap_or_default();
                    let handled = self.handle(from, packet, out);
                    bytes.advance(whole.min(bytes.len()));
                    handled?;
                    self.gated_ticks(out)?;
                }
                Step::Disconnected { text, .. } => {
                    if from == Side::Target {
                        let words = format!("the target ended the connection: {}", refuse::printable(&text));
                        self.client.disconnect(refuse::BY_APPLICATION, &words, out);
                    }
                    self.over = true;
                    out.end();
                }
            }
        }
        bytes.clear();
        Ok(())
    }

    fn answer(&mut self, ask: AskId, ruling: Ruling, out: &mut Effects) {
        let asked = self.asked.remove(&ask);
        if let Ruling::Permitted { reveals, permit, .. } = &ruling {
            self.revealed(reveals, out);
            self.lasting.extend(asked.map(|command| (permit.seq(), command)));
        }
        let done = match self.questions.remove(&ask) {
            Some(Question::Channel(at)) => self.decided(at, ruling, out),
            Some(Question::File { at, ask }) => self.decided_file(at, ask, ruling, out),
            Some(Question::Agent { at, want_reply }) => {
                let decision = match ruling {
                    Ruling::Permitted { permit, .. } => Some(permit.seq()),
                    Ruling::Refused { .. } => None,
                };
                self.decided_agent(at, want_reply, decision, out)
            }
            Some(Question::Listen { listening, want_reply }) => self.decided_listen(listening, want_reply, ruling, out),
            None => Ok(()),
        };
        if let Err(error) = done {
            self.fail(&error, out);
        }
    }

    fn held(&mut self, ask: AskId, hold: &HoldInfo, out: &mut Effects) {
        let at = match self.questions.get(&ask) {
            Some(Question::Channel(at) | Question::Agent { at, .. }) => *at,
            Some(Question::File { at, ask }) => {
                let (at, ask) = (*at, *ask);
                self.held_file(at, ask);
                at
            }
            Some(Question::Listen { .. }) | None => return,
        };
        if let Err(error) = self.notice(at, &refuse::held(hold), out) {
            self.fail(&error, out);
        }
    }

    fn interrupt(&mut self, _out: &mut Effects) -> bool {
        // Nobody cancels over another connection: a client of SSH says it on the channel.
        false
    }

    fn named_facts(&self) -> &'static [&'static str] {
        &["size"]
    }

    fn wants_client(&self) -> bool {
        // What is for the target waits for its key exchange; the client's own exchange must go on meanwhile.
        !self.target.holds() || self.client.holds()
    }

    fn wants_target(&self) -> bool {
        !self.client.holds() || self.target.holds()
    }

    fn judges_target(&self) -> bool {
        true
    }

    fn lasting(&self) -> Vec<(u64, Command)> {
        let mut runs = self.unfinished();
        runs.extend(self.channels.iter().flatten().filter_map(Channel::agent_decision));
        let lasting = self.lasting.iter().filter(|(seq, _)| runs.contains(seq));
        lasting.map(|(seq, command)| (*seq, command.clone())).collect()
    }

    fn revealed(&mut self, reveals: &Arc<Reveals>, out: &mut Effects) {
        if let Err(error) = self.take_reveals(reveals, out) {
            self.fail(&error, out);
        }
    }

    fn revoke(&mut self, seq: u64, refusal: &Refusal, out: &mut Effects) {
        let on = |channel: &Channel| {
            let mut running = channel.commands().into_iter().chain(channel.files());
            running.any(|spent| spent.seq() == seq) || channel.agent_decision() == Some(seq)
        };
        let at: Vec<_> = (0..self.channels.len())
            .filter(|at| self.channels.get(*at).and_then(Option::as_ref).is_some_and(on))
            .collect();
        for at in at {
            if let Err(error) = self.end_channel(at, &refuse::words(refusal), out) {
                self.fail(&error, out);
            }
        }
        if let Some(listens) = self.listening.iter().find(|listens| listens.spent.seq() == seq) {
            let listening = listens.listening.clone();
            if let Err(error) = self.stop_listening(&listening, false, out) {
                self.fail(&error, out);
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        let holding = self.channels.iter().flatten().filter_map(Channel::holds_text);
        let terminal = holding.fold(None, |some: Option<bool>, terminal| {
            Some(terminal || some.unwrap_or(false))
        });
        terminal.map(patience)
    }

    fn quiet(&mut self, out: &mut Effects) {
        for at in 0..self.channels.len() {
            if let Err(error) = self.let_go(at, out).and_then(|()| self.gated_quiet(at, out)) {
                self.fail(&error, out);
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.channels.iter().flatten().all(Channel::is_idle) && self.questions.is_empty()
    }

    fn unfinished(&self) -> Vec<u64> {
        let channels = self.channels.iter().flatten();
        let running = channels.flat_map(|channel| channel.commands().into_iter().chain(channel.files()));
        let listening = self.listening.iter().map(|listens| listens.spent);
        running.chain(listening).map(sallyport_session::Spent::seq).collect()
    }

    fn over(&mut self, out: &mut Effects) {
        for at in 0..self.channels.len() {
            self.end_files(at, out);
        }
    }

    fn farewell(&mut self, refusal: &Refusal, out: &mut Effects) {
        let words = refuse::words(refusal);
        for at in 0..self.channels.len() {
            // What cannot be said on a channel is still said with the end of the connection.
            let _ = self.notice(at, &words, out).and_then(|()| self.kill(at, out));
        }
        self.client.disconnect(refuse::BY_APPLICATION, &refusal.message, out);
        self.target
            .disconnect(refuse::BY_APPLICATION, "the session is over", out);
        self.over = true;
    }
}

impl SshConversation {
    /// Ends what runs on a channel, with last words for whoever reads it.
    fn end_channel(&mut self, at: usize, words: &str, out: &mut Effects) -> Result<(), WireError> {
        self.let_go(at, out)?;
        self.notice(at, words, out)?;
        self.kill(at, out)?;
        self.withdraw_files(at, out);
        self.guard_withdraws(at, out)?;
        self.gated_withdraws(at, out);
        if matches!(
            self.channels.get(at),
            Some(Some(Channel {
                state: State::Listing(_),
                ..
            }))
        ) {
            return self.forget_listing(at, out);
        }
        self.finish(at, start::CANNOT_RUN, out)
    }

    /// Ends what runs at the host: a command without a terminal would outlive its channel.
    fn kill(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get(at) else {
            return Ok(());
        };
        let (Some(spent), Some(number)) = (channel.spent(), channel.target.number) else {
            return Ok(());
        };
        let mut signal = BytesMut::new();
        sallyport_ssh_transport::wire::put_string(&mut signal, b"KILL");
        let packet = Packet::Request {
            channel: number,
            name: b"signal",
            want_reply: false,
            rest: &signal,
        };
        self.target.packet(&packet, Authority::Of(spent), out)
    }

    /// A connection is broken: nothing that follows would be understood.
    fn fail(&mut self, error: &WireError, out: &mut Effects) {
        self.client.disconnect(refuse::PROTOCOL_ERROR, &error.to_string(), out);
        self.over = true;
        out.end();
    }
}

fn fault(side: Side, what: impl Into<String>) -> WireError {
    match side {
        Side::Client => WireError::client(what),
        Side::Target => WireError::target(what),
    }
}

/// Notes how the command of a channel ended, if one ran.
fn end_command(state: &State, out: &mut Effects) {
    match state {
        State::Running(running) => {
            if let Some(gated) = &running.gated {
                gated.ended(out);
            }
            out.ended(running.spent.seq(), running.ending());
        }
        State::Guarded(guard) => guard.ended(out),
        State::Listing(listing) => listing.ended(out),
        State::Asked(_) | State::Opening | State::Idle(_) | State::Deciding(_) | State::Over => {}
    }
}

/// Facts for the recording, in JSON.
fn remark(words: &BTreeMap<&str, serde_json::Value>) -> Vec<u8> {
    serde_json::json!(words).to_string().into_bytes()
}
