//! The gated shell: the host's own, where each line waits at Enter for a decision on what can be seen of it from outside.
//!
//! What is typed before Enter goes to the host at once, by the shell's permit. Enter, and what is typed behind it, waits
//! until the line is known as well as it can be, and goes by the permit of the line. A line that is refused is given up at
//! the host. Without a terminal the lines of the script are what is judged, and nothing is guessed.

mod decide;

use bytes::{Buf, BytesMut};
use sallyport_prompt::{LineReader, ReadError};
use sallyport_session::{AskId, Effects, Spent, WireError};
use sallyport_target::ShellMode;
use sallyport_typed::{Line, Patience, Step, Typed, Verdict};

use super::SshConversation;
use super::channel::{Reply, Setup, State};
use super::link::Authority;
use crate::connection::{Packet, Size};

const INTERRUPT: u8 = 3;
/// Silences, of [`TERMINAL_PATIENCE`](super::TERMINAL_PATIENCE) each, after which the host has answered what was typed.
const SETTLED: u32 = 2;
/// Silences after which nobody waits for an answer any more.
const OVER: u32 = 25;
/// Messages of any channel after which a host that is never silent is taken for one that is.
const RESTLESS: u32 = 4096;

/// A gated shell on its channel.
pub(crate) struct Gated {
    reading: Reading,
    setup: Setup,
    phase: Phase,
    /// What was typed and did not go to the host: it begins with the key that submits the line.
    held: BytesMut,
    /// The line that runs, as far as anybody knows.
    line: Option<Spent>,
    /// Silences since a line was given up at the host, while no prompt has come of it.
    abandoned: Option<u32>,
    /// The client sends no more.
    input_ended: bool,
    /// How often the host was asked whether it has got what was typed.
    questions: u32,
}

/// How lines are read.
enum Reading {
    Terminal(Box<Typed>),
    Stream(LineReader),
}

enum Phase {
    /// A line is being typed.
    Typing,
    /// It was submitted, and what the host shows of it has not all come.
    Settling(Settling),
    /// Policy is asked about it. `text` is what goes to the host.
    Deciding { ask: AskId, text: Vec<u8> },
    /// What was given as lines is none: nothing more goes to the host.
    Over,
}

/// How long an answer of the host was waited for.
#[derive(Default)]
struct Settling {
    barrier: Barrier,
    silences: u32,
    messages: u32,
}

/// A question to the host behind what was typed: its answer says that nothing of that is on its way any more.
#[derive(Default, PartialEq, Eq)]
enum Barrier {
    #[default]
    None,
    Asked(u32),
    Heard,
}

impl Settling {
    fn patience(&self) -> Patience {
        let heard = self.barrier == Barrier::Heard;
        match self.silences {
            silences if silences >= OVER || self.messages >= RESTLESS => Patience::Over,
            silences if silences >= SETTLED && heard => Patience::Settled,
            _ => Patience::Fresh,
        }
    }
}

impl Gated {
    pub(crate) fn new(setup: Setup) -> Self {
        let reading = match &setup.pty {
            Some(pty) => Reading::Terminal(Box::new(Typed::new(
                typed_size(pty.size),
                sallyport_shell::is_incomplete,
            ))),
            None => Reading::Stream(LineReader::new(sallyport_shell::is_incomplete)),
        };
        Self {
            reading,
            setup,
            phase: Phase::Typing,
            held: BytesMut::new(),
            line: None,
            abandoned: None,
            input_ended: false,
            questions: 0,
        }
    }

    /// Bytes that wait within.
    pub(crate) fn keeps(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn line(&self) -> Option<Spent> {
        self.line
    }

    /// Whether silence would say something.
    pub(crate) fn wants_quiet(&self) -> bool {
        let Reading::Terminal(typed) = &self.reading else {
            return false;
        };
        match self.phase {
            Phase::Typing => typed.wants_quiet() || self.abandoned.is_some(),
            Phase::Settling(_) => true,
            Phase::Deciding { .. } | Phase::Over => false,
        }
    }

    pub(crate) fn resize(&mut self, size: Size) {
        if let Reading::Terminal(typed) = &mut self.reading {
            typed.resize(typed_size(size));
        }
    }

    /// The shell is over, and so is its line.
    pub(crate) fn ended(&self, out: &mut Effects) {
        if let Some(line) = self.line {
            out.ended(line.seq(), ENDED.to_vec());
        }
    }
}

/// How a line ended, nobody knows: it is the host's own shell that saw it.
const ENDED: &[u8] = br#"{"outcome":"submitted"}"#;

fn typed_size(size: Size) -> sallyport_typed::Size {
    sallyport_typed::Size {
        columns: size.columns,
        rows: size.rows,
    }
}

impl SshConversation {
    /// What the client typed.
    pub(super) fn gated_input(&mut self, at: usize, data: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let Some(gated) = self.gated(at) else { return Ok(()) };
        if matches!(gated.phase, Phase::Over) {
            return self.gated_rests(at, out);
        }
        let waits = !matches!(gated.phase, Phase::Typing);
        let gives_up = data.iter().rposition(|byte| *byte == INTERRUPT);
        if let (true, Reading::Terminal(_), Some(last)) = (waits, &gated.reading, gives_up) {
            let rest = data.get(last + 1..).unwrap_or_default().to_vec();
            self.gated_gives_up(at, out)?;
            return self.gated_input(at, &rest, out);
        }
        gated.abandoned = None;
        gated.held.extend_from_slice(data);
        self.gated_work(at, out)
    }

    /// Works on what was typed until a line waits.
    fn gated_work(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        loop {
            let Some(gated) = self.gated(at) else { return Ok(()) };
            if !matches!(gated.phase, Phase::Typing) {
                break;
            }
            if gated.held.is_empty() && !matches!((&gated.reading, gated.input_ended), (Reading::Stream(_), true)) {
                break;
            }
            match &mut gated.reading {
                Reading::Terminal(typed) => match typed.keys(&gated.held) {
                    Step::Pass(count) => {
                        let keys = gated.held.split_to(count.min(gated.held.len()));
                        self.send_on(at, &keys, out)?;
                    }
                    Step::Swallow(count) => {
                        gated.held.advance(count.min(gated.held.len()));
                        self.gated_shows(at, b"\x07", out)?;
                    }
                    Step::Submit(_) => {
                        gated.phase = Phase::Settling(Settling::default());
                        self.gated_settle(at, out)?;
                    }
                },
                Reading::Stream(lines) => match next_line(lines, &mut gated.held, gated.input_ended) {
                    Ok(Some(line)) => self.gated_script_line(at, line, out)?,
                    Ok(None) => break,
                    Err(error) => return self.gated_fails(at, &error.to_string(), out),
                },
            }
        }
        self.gated_rests(at, out)
    }

    /// Nothing more can be done now with what was typed.
    fn gated_rests(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(gated) = self.gated(at) else { return Ok(()) };
        let ended = gated.input_ended && gated.held.is_empty() && matches!(gated.phase, Phase::Typing);
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        if ended {
            channel.target.end_data();
            return self.pump(at, out);
        }
        channel.grant(&mut self.client, &mut self.target, out)
    }

    /// A line of a script.
    fn gated_script_line(&mut self, at: usize, line: String, out: &mut Effects) -> Result<(), WireError> {
        let text = format!("{line}\n").into_bytes();
        if line.trim().is_empty() {
            return self.send_on(at, &text, out);
        }
        let line = Line {
            keys: Some(line),
            screen: None,
        };
        self.gated_asks(at, &line, text, out)
    }

    /// Goes on with a line that waited for the host.
    fn gated_resumes(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        self.gated_settle(at, out)?;
        self.gated_work(at, out)
    }

    /// Looks whether the line that was submitted is known by now.
    fn gated_settle(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(gated) = self.gated(at) else { return Ok(()) };
        let (Phase::Settling(settling), Reading::Terminal(typed)) = (&mut gated.phase, &mut gated.reading) else {
            return Ok(());
        };
        match typed.judge(settling.patience()) {
            Verdict::Wait => {
                if settling.barrier == Barrier::None {
                    gated.questions = gated.questions.wrapping_add(1);
                    let question = gated.questions;
                    settling.barrier = Barrier::Asked(question);
                    self.gated_asks_host(at, question, out)?;
                }
                Ok(())
            }
            Verdict::Empty | Verdict::FullScreen | Verdict::GoesOn => self.gated_passes(at, out),
            Verdict::NoEcho => {
                let spent = self.channels.get(at).and_then(Option::as_ref).and_then(|c| c.spent());
                if let Some(spent) = spent {
                    out.remark(crate::facts::unechoed(spent.seq()));
                }
                self.gated_passes(at, out)
            }
            Verdict::ShownEmpty => {
                gated.held.advance(gated.held.len().min(1));
                self.gated_abandons(at, out)
            }
            Verdict::Unknown => {
                let words = "sallyport: this line cannot be told from what the terminal shows, and is given up\n  \
                             hint: wait for the prompt, or type the line\n";
                self.gated_words(at, words, out)?;
                self.gated_drops(at, out)
            }
            Verdict::Line(line) => {
                let key = gated.held.first().copied().into_iter().collect();
                self.gated_asks(at, &line, key, out)
            }
        }
    }

    /// Asks the host for an answer to nothing, behind what was typed.
    fn gated_asks_host(&mut self, at: usize, question: u32, out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let (Some(number), by) = (channel.target.number, channel.authority()) else {
            return Ok(());
        };
        channel.replies.push_back(Reply::Heard(question));
        let packet = Packet::Request {
            channel: number,
            name: b"keepalive@openssh.com",
            want_reply: true,
            rest: b"",
        };
        self.target.packet(&packet, by, out)
    }

    /// The host has answered.
    pub(super) fn gated_heard(&mut self, at: usize, question: u32) {
        if let Some(gated) = self.gated(at)
            && let Phase::Settling(settling) = &mut gated.phase
            && settling.barrier == Barrier::Asked(question)
        {
            settling.barrier = Barrier::Heard;
            settling.silences = 0;
        }
    }

    /// The host showed something.
    pub(super) fn gated_shown(&mut self, at: usize, data: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let Some(gated) = self.gated(at) else { return Ok(()) };
        let Reading::Terminal(typed) = &mut gated.reading else {
            return Ok(());
        };
        typed.shown(data);
        if let Phase::Settling(settling) = &mut gated.phase {
            settling.silences = 0;
            return self.gated_resumes(at, out);
        }
        Ok(())
    }

    /// Both sides are silent.
    pub(super) fn gated_quiet(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(gated) = self.gated(at) else { return Ok(()) };
        let Reading::Terminal(typed) = &mut gated.reading else {
            return Ok(());
        };
        match &mut gated.phase {
            Phase::Typing => {
                typed.quiet();
                if typed.is_at_prompt() {
                    gated.abandoned = None;
                    self.gated_line_ends(at, out);
                    return Ok(());
                }
                match &mut gated.abandoned {
                    None => Ok(()),
                    Some(silences) if *silences < OVER => {
                        *silences += 1;
                        Ok(())
                    }
                    Some(_) => {
                        gated.abandoned = None;
                        self.send_on(at, &[INTERRUPT], out)
                    }
                }
            }
            Phase::Settling(settling) => {
                settling.silences += 1;
                self.gated_resumes(at, out)
            }
            Phase::Deciding { .. } | Phase::Over => Ok(()),
        }
    }

    /// Something was said on any channel: a line does not wait for ever for silence.
    pub(super) fn gated_ticks(&mut self, out: &mut Effects) -> Result<(), WireError> {
        if self.account.shell != ShellMode::Gated {
            return Ok(());
        }
        for at in 0..self.channels.len() {
            let Some(gated) = self.gated(at) else { continue };
            if let Phase::Settling(settling) = &mut gated.phase {
                settling.messages = settling.messages.saturating_add(1);
                if settling.messages == RESTLESS {
                    self.gated_resumes(at, out)?;
                }
            }
        }
        Ok(())
    }

    /// The client sends no more.
    pub(super) fn gated_input_ended(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        if let Some(gated) = self.gated(at) {
            gated.input_ended = true;
        }
        self.gated_work(at, out)
    }

    /// What waits is given up because nobody is there any more.
    pub(super) fn gated_withdraws(&mut self, at: usize, out: &mut Effects) {
        let Some(gated) = self.gated(at) else { return };
        gated.held.clear();
        if let Phase::Deciding { ask, .. } = std::mem::replace(&mut gated.phase, Phase::Typing) {
            self.forget_question(ask, out);
        }
    }

    /// Words of the gateway's own for whoever sits at the shell.
    pub(super) fn gated_words(&mut self, at: usize, words: &str, out: &mut Effects) -> Result<(), WireError> {
        let Some(gated) = self.gated(at) else { return Ok(()) };
        match gated.reading {
            // The cursor stands behind the line.
            Reading::Terminal(_) => {
                let words = format!("\r\n{}", words.replace('\n', "\r\n"));
                self.gated_shows(at, words.as_bytes(), out)
            }
            Reading::Stream(_) => self.gated_says(at, 1, words.as_bytes(), out),
        }
    }

    fn gated_shows(&mut self, at: usize, shown: &[u8], out: &mut Effects) -> Result<(), WireError> {
        self.gated_says(at, 0, shown, out)
    }

    /// What the gateway says, recorded as the shell's own output.
    fn gated_says(&mut self, at: usize, stream: u32, said: &[u8], out: &mut Effects) -> Result<(), WireError> {
        self.let_go(at, out)?;
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let Some(spent) = channel.spent() else { return Ok(()) };
        out.shown_as(spent.seq(), &[&[super::data::tag(stream)], said]);
        channel.client.send(stream, said, &mut self.client, Authority::Own, out)
    }

    pub(super) fn gated(&mut self, at: usize) -> Option<&mut Gated> {
        match &mut self.channels.get_mut(at)?.as_mut()?.state {
            State::Running(running) => running.gated.as_deref_mut(),
            State::Asked(_)
            | State::Opening
            | State::Idle(_)
            | State::Deciding(_)
            | State::Guarded(_)
            | State::Listing(_)
            | State::Over => None,
        }
    }
}

/// The next line of a script, if all of it has come.
fn next_line(lines: &mut LineReader, bytes: &mut BytesMut, ended: bool) -> Result<Option<String>, ReadError> {
    let (taken, line) = lines.read(bytes)?;
    bytes.advance(taken.min(bytes.len()));
    match line {
        None if ended && bytes.is_empty() => lines.end(),
        line => Ok(line),
    }
}
