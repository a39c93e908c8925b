//! The guarded shell: the gateway reads the lines, and each line that is permitted runs as a command of its own at the
//! host. What was not permitted cannot run, whatever is typed, because no shell at the host ever reads it.

mod completion;
mod left;
mod lines;
mod marker;
mod place;
mod wrapper;

use bytes::{Bytes, BytesMut};
use sallyport_prompt::{Editor, Event, LineReader, ReadError};
use sallyport_session::{AskId, Effects, Permit, Spent, WireError};

use super::channel::{Setup, State};
use super::link::Authority;
use super::running::{Exit, Running, Streams, What};
use super::{Question, SshConversation};
use crate::connection::Size;
use crate::{facts, refuse};
use completion::{Names, Wanted};
use marker::Marker;
pub(crate) use place::{Place, ShellOption};
pub(crate) use wrapper::OWN;

/// What Ctrl-C sends.
const INTERRUPT: u8 = 3;

/// Bytes that are remembered of what was typed for a line, which may leave them unread.
const MAX_TYPED: usize = 8 * 1024;

/// A guarded shell on its channel.
pub(crate) struct Guard {
    /// The permit of the shell itself: its prompts are recorded under it.
    shell: Spent,
    reading: Reading,
    setup: Setup,
    place: Place,
    phase: Phase,
    /// Bytes of the client that nobody has worked on.
    ahead: BytesMut,
    /// The client sends no more.
    input_ended: bool,
    /// The host's names, as far as it was asked.
    names: Names,
}

/// How lines are read.
enum Reading {
    Terminal(Box<Editor>),
    Stream(LineReader),
}

enum Phase {
    /// A line is being written.
    Prompt,
    /// The host is asked, on the channel `at`, how the line may go on.
    Completing { at: usize, wanted: Box<Wanted> },
    /// Policy is asked about one.
    Deciding { ask: AskId, line: String },
    /// It may run as soon as the host has opened a channel for it.
    Opening { permit: Permit, line: String },
    /// It runs.
    Running {
        running: Box<Running>,
        marker: Marker,
        /// The end of what was typed for it.
        typed: Vec<u8>,
    },
}

impl Guard {
    pub(crate) fn spent(&self) -> Spent {
        match &self.phase {
            Phase::Running { running, .. } => running.spent,
            Phase::Prompt | Phase::Completing { .. } | Phase::Deciding { .. } | Phase::Opening { .. } => self.shell,
        }
    }

    /// The command that runs now.
    pub(crate) fn running(&self) -> Option<&Running> {
        match &self.phase {
            Phase::Running { running, .. } => Some(running),
            Phase::Prompt | Phase::Completing { .. } | Phase::Deciding { .. } | Phase::Opening { .. } => None,
        }
    }

    pub(crate) fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.phase {
            Phase::Running { running, .. } => Some(running),
            Phase::Prompt | Phase::Completing { .. } | Phase::Deciding { .. } | Phase::Opening { .. } => None,
        }
    }

    /// The shell, and the line that runs in it.
    pub(crate) fn commands(&self) -> Vec<Spent> {
        let line = self.running().map(|running| running.spent);
        std::iter::once(self.shell).chain(line).collect()
    }

    /// The shell is over.
    pub(crate) fn ended(&self, out: &mut Effects) {
        if let Some(running) = self.running() {
            out.ended(running.spent.seq(), running.ending());
        }
        out.ended(self.shell.seq(), br#"{"outcome":"completed"}"#.to_vec());
    }

    pub(crate) fn streams(&mut self) -> Option<(Spent, &mut Streams)> {
        match &mut self.phase {
            Phase::Running { running, .. } => match &mut running.what {
                What::Streams(streams) => Some((running.spent, streams)),
                What::Transfer(_) | What::Files(_) | What::Opaque => None,
            },
            Phase::Prompt | Phase::Completing { .. } | Phase::Deciding { .. } | Phase::Opening { .. } => None,
        }
    }

    /// Bytes that wait within.
    pub(crate) fn keeps(&self) -> usize {
        self.ahead.len()
    }

    pub(crate) fn has_terminal(&self) -> bool {
        matches!(self.reading, Reading::Terminal(_))
    }

    pub(crate) fn exit(&mut self, exit: Exit) {
        if let Phase::Running { running, .. } = &mut self.phase {
            running.exit = exit;
        }
    }
}

impl SshConversation {
    /// Begins a guarded shell that policy has permitted.
    pub(super) fn guard(
        &mut self,
        at: usize,
        setup: Setup,
        want_reply: bool,
        permit: Permit,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        self.answer_request(at, want_reply, true, out)?;
        // Nothing of the shell itself reaches the host.
        let shell = out.forward(permit, &[]);
        if let Some(pty) = &setup.pty {
            out.remark(facts::terminal(shell.seq(), pty));
        }
        let reading = match &setup.pty {
            Some(pty) => Reading::Terminal(Box::new(editor(pty.size))),
            None => Reading::Stream(LineReader::new(sallyport_shell::is_incomplete)),
        };
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        // What the client said before it knew is for the shell.
        let input_ended = channel.target.take_end_data();
        let mut ahead = BytesMut::new();
        for early in channel.target.take_queue() {
            ahead.extend_from_slice(&early);
        }
        channel.agent = setup.agent;
        channel.state = State::Guarded(Box::new(Guard {
            shell,
            reading,
            setup,
            place: Place::at(self.account.home.as_deref().unwrap_or("/")),
            phase: Phase::Prompt,
            ahead,
            input_ended,
            names: Names::default(),
        }));
        self.prompt(at, false, out)
    }

    /// Shows the prompt, on a line of its own behind what `ran`, and goes on with what was typed ahead.
    fn prompt(&mut self, at: usize, ran: bool, out: &mut Effects) -> Result<(), WireError> {
        let (login, target) = (self.account.login.clone(), self.account.target.clone());
        let home = self.account.home.clone().unwrap_or_default();
        let Some(guard) = self.guarded(at) else { return Ok(()) };
        guard.phase = Phase::Prompt;
        guard.names.begin();
        let mut shown = Vec::new();
        if let Reading::Terminal(editor) = &mut guard.reading {
            let sign = if login == "root" { '#' } else { '$' };
            let directory = match guard.place.directory.strip_prefix(&home) {
                Some(rest) if !home.is_empty() && (rest.is_empty() || rest.starts_with('/')) => format!("~{rest}"),
                Some(_) | None => guard.place.directory.clone(),
            };
            if ran {
                editor.fresh_line(&mut shown);
            }
            editor.begin(
                &format!("{login}@{target}:{}{sign} ", refuse::printable(&directory)),
                &mut shown,
            );
        }
        self.guard_says(at, &shown, out)?;
        self.read_lines(at, out)
    }

    /// What the client typed.
    pub(super) fn guard_input(&mut self, at: usize, data: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let Some(guard) = self.guarded(at) else { return Ok(()) };
        if let Phase::Completing { .. } = guard.phase {
            return self.completion_input(at, data, out);
        }
        let gives_up = match &guard.phase {
            Phase::Deciding { ask, .. } if data.contains(&INTERRUPT) => Some(*ask),
            Phase::Running { running, .. } => {
                let spent = running.spent;
                return self.guard_passes(at, spent, data, out);
            }
            Phase::Prompt | Phase::Completing { .. } | Phase::Deciding { .. } | Phase::Opening { .. } => None,
        };
        let Some(ask) = gives_up else {
            guard.ahead.extend_from_slice(data);
            return self.read_lines(at, out);
        };
        guard.ahead.clear();
        guard.place.status = 130;
        self.forget_question(ask, out);
        self.guard_says(at, refuse::withdrawn(true).as_bytes(), out)?;
        self.prompt(at, false, out)
    }

    /// Keys for the program that runs.
    fn guard_passes(&mut self, at: usize, spent: Spent, data: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let State::Guarded(guard) = &mut channel.state else {
            return Ok(());
        };
        if let Phase::Running { running, marker, typed } = &mut guard.phase {
            if marker.has_begun() && !data.contains(&INTERRUPT) {
                // It said that it has ended: this is for the next line, but for what stops one that only said so.
                guard.ahead.extend_from_slice(data);
                return Ok(());
            }
            running.flow.from_client += data.len() as u64;
            typed.extend_from_slice(data);
            let surplus = typed.len().saturating_sub(MAX_TYPED);
            typed.drain(..surplus);
        }
        match &guard.reading {
            Reading::Terminal(_) => {}
            // The input is the lines themselves: a program does not read them.
            Reading::Stream(_) => {
                guard.ahead.extend_from_slice(data);
                return Ok(());
            }
        }
        if let Some((_, streams)) = guard.streams() {
            streams.typed(data.len());
        }
        out.sent_as(spent.seq(), &[data]);
        channel
            .target
            .send(0, data, &mut self.target, Authority::Of(spent), out)?;
        channel.grant(&mut self.client, &mut self.target, out)
    }

    /// Works on what was typed until a line is there.
    fn read_lines(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        loop {
            let Some(guard) = self.guarded(at) else { return Ok(()) };
            if !matches!(guard.phase, Phase::Prompt) {
                return Ok(());
            }
            let mut shown = Vec::new();
            let event = match &mut guard.reading {
                Reading::Terminal(editor) => {
                    let (taken, event) = editor.keys(&guard.ahead, &mut shown);
                    let _ = guard.ahead.split_to(taken.min(guard.ahead.len()));
                    event
                }
                Reading::Stream(lines) => match next_line(lines, &mut guard.ahead, guard.input_ended) {
                    Ok(line) => line.map(Event::Line),
                    Err(error) => return self.guard_fails(at, &error.to_string(), out),
                },
            };
            let ended = guard.input_ended && guard.ahead.is_empty() && event.is_none();
            self.guard_says(at, &shown, out)?;
            match event {
                Some(Event::Line(line)) => self.guard_line(at, line, out)?,
                Some(Event::Interrupt | Event::Unfinished) => return self.prompt(at, false, out),
                Some(Event::EndOfInput) => return self.guard_leaves(at, out),
                Some(Event::Complete { line, cursor }) => self.guard_completes(at, &line, cursor, out)?,
                None if ended => return self.guard_leaves(at, out),
                None => {
                    let Some(Some(channel)) = self.channels.get_mut(at) else {
                        return Ok(());
                    };
                    return channel.grant(&mut self.client, &mut self.target, out);
                }
            }
        }
    }

    /// A whole line: what the shell does itself, or a question to policy.
    fn guard_line(&mut self, at: usize, line: String, out: &mut Effects) -> Result<(), WireError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => return self.prompt(at, false, out),
            ["exit" | "logout"] => return self.guard_leaves(at, out),
            _ => {}
        }
        let account = self.account.clone();
        let scanner = self.masks(out).plain;
        let Some(guard) = self.guarded(at) else { return Ok(()) };
        if let Reading::Terminal(editor) = &mut guard.reading {
            editor.add_history(&line);
        }
        let text = Bytes::copy_from_slice(line.as_bytes());
        let command = facts::guarded(
            &text,
            &guard.setup,
            &guard.place,
            &account,
            out.classification(),
            &|value| super::masked::is_masked(&scanner, value),
        );
        let ask = self.ask(Question::Channel(at), command, out);
        if let Some(guard) = self.guarded(at) {
            guard.phase = Phase::Deciding { ask, line };
        }
        Ok(())
    }

    /// The client sends no more.
    pub(super) fn guard_input_ended(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(guard) = self.guarded(at) else { return Ok(()) };
        guard.input_ended = true;
        self.read_lines(at, out)
    }

    /// The terminal has another size.
    pub(super) fn guard_resized(&mut self, at: usize, size: Size, out: &mut Effects) -> Result<(), WireError> {
        let Some(guard) = self.guarded(at) else { return Ok(()) };
        if let Some(pty) = &mut guard.setup.pty {
            pty.size = size;
        }
        let mut shown = Vec::new();
        let prompting = matches!(guard.phase, Phase::Prompt | Phase::Completing { .. });
        if let Reading::Terminal(editor) = &mut guard.reading {
            editor.resize(editor_size(size), &mut shown);
        }
        if prompting {
            self.guard_says(at, &shown, out)
        } else {
            Ok(())
        }
    }

    /// What waits for people is given up because nobody is there any more.
    pub(super) fn guard_withdraws(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(guard) = self.guarded(at) else { return Ok(()) };
        if let Phase::Deciding { ask, .. } = guard.phase {
            self.forget_question(ask, out);
        }
        self.end_listings(at, out)
    }

    /// What was given as lines is none: nothing that follows can be told from the rest of it.
    fn guard_fails(&mut self, at: usize, why: &str, out: &mut Effects) -> Result<(), WireError> {
        self.guard_words(at, &format!("sallyport: {why}\n"), out)?;
        if let Some(guard) = self.guarded(at) {
            guard.place.status = 2;
        }
        self.guard_leaves(at, out)
    }

    fn guard_leaves(&mut self, at: usize, out: &mut Effects) -> Result<(), WireError> {
        let Some(guard) = self.guarded(at) else { return Ok(()) };
        let (status, shell) = (guard.place.status, guard.shell);
        out.ended(shell.seq(), br#"{"outcome":"completed"}"#.to_vec());
        if let Some(Some(channel)) = self.channels.get_mut(at) {
            channel.state = State::Over;
        }
        self.finish(at, status, out)
    }

    /// Words of the gateway's own for whoever sits at the shell.
    pub(super) fn guard_words(&mut self, at: usize, words: &str, out: &mut Effects) -> Result<(), WireError> {
        let Some(guard) = self.guarded(at) else { return Ok(()) };
        if guard.has_terminal() {
            let words = words.replace('\n', "\r\n");
            return self.guard_says(at, words.as_bytes(), out);
        }
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        channel
            .client
            .send(1, words.as_bytes(), &mut self.client, Authority::Own, out)
    }

    /// What the shell itself shows, which is recorded as its own output.
    fn guard_says(&mut self, at: usize, shown: &[u8], out: &mut Effects) -> Result<(), WireError> {
        if shown.is_empty() {
            return Ok(());
        }
        let Some(Some(channel)) = self.channels.get_mut(at) else {
            return Ok(());
        };
        let State::Guarded(guard) = &channel.state else {
            return Ok(());
        };
        out.shown_as(guard.shell.seq(), &[&[super::data::tag(0)], shown]);
        channel.client.send(0, shown, &mut self.client, Authority::Own, out)
    }

    fn guarded(&mut self, at: usize) -> Option<&mut Guard> {
        match &mut self.channels.get_mut(at)?.as_mut()?.state {
            State::Guarded(guard) => Some(guard),
            State::Asked(_)
            | State::Opening
            | State::Idle(_)
            | State::Deciding(_)
            | State::Running(_)
            | State::Listing(_)
            | State::Over => None,
        }
    }
}

/// The next line of a script, if all of it has come.
fn next_line(lines: &mut LineReader, bytes: &mut BytesMut, ended: bool) -> Result<Option<String>, ReadError> {
    let (taken, line) = lines.read(bytes)?;
    let _ = bytes.split_to(taken.min(bytes.len()));
    match line {
        None if ended && bytes.is_empty() => lines.end(),
        line => Ok(line),
    }
}

fn editor(size: Size) -> Editor {
    Editor::new(editor_size(size), true, sallyport_shell::is_incomplete)
}

fn editor_size(size: Size) -> sallyport_prompt::Size {
    sallyport_prompt::Size {
        columns: size.columns,
        rows: size.rows,
    }
}
