//! Commands of the past, read from recordings: what was asked, and how it was decided.

use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;
use std::time::SystemTime;

use sallyport_api::ports::{Past, PastSession, Period, RecordingsError};
use sallyport_ledger::{Event, LedgerError, RecordingStore, SessionHeader};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

/// Recordings that are listed at once.
const PAGE: usize = 1000;
/// How much of a command's text goes along, in bytes.
const MAX_TEXT: usize = 300;

/// Takes the lines of a history.
type TakeLine<'a> = dyn FnMut(&[u8]) -> ControlFlow<()> + 'a;

/// Gives the commands of a period to `line`, newest sessions first.
///
/// # Errors
/// When the recordings cannot be listed.
pub(crate) fn read(
    recordings: &RecordingStore,
    period: &Period,
    line: &mut TakeLine<'_>,
) -> Result<(), RecordingsError> {
    let unreadable = |error: LedgerError| RecordingsError(error.to_string());
    let (mut before, mut sessions) = (None, 0);
    loop {
        let ids = recordings.list(before, PAGE).map_err(unreadable)?;
        for id in &ids {
            if !may_reach(recordings, *id, period) {
                continue;
            }
            match session(recordings, *id, period, line) {
                ControlFlow::Continue(true) => sessions += 1,
                ControlFlow::Continue(false) => {}
                ControlFlow::Break(()) => return Ok(()),
            }
        }
        before = ids.last().copied();
        if before.is_none() {
            // A reader that is gone needs no last line.
            let _ = say(&Past::End { sessions }, line);
            return Ok(());
        }
    }
}

/// Whether a recording may have commands of the period: it was written to since then, and begun before its end.
fn may_reach(recordings: &RecordingStore, id: Uuid, period: &Period) -> bool {
    let begun = id.get_timestamp().map(|at| at.to_unix().0);
    let begun = begun.and_then(|seconds| OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok());
    if let (Some(begun), Some(until)) = (begun, period.until)
        && begun > until
    {
        return false;
    }
    let written = recordings
        .path(id)
        .ok()
        .and_then(|path| fs::metadata(path).ok()?.modified().ok());
    // What cannot be looked at is read, and its damage named.
    written.is_none_or(|written| written >= SystemTime::from(period.since))
}

/// The commands of one session; whether it is of this period's principal and target.
fn session(recordings: &RecordingStore, id: Uuid, period: &Period, line: &mut TakeLine<'_>) -> ControlFlow<(), bool> {
    let reader = match recordings.read(id) {
        Ok(reader) => reader,
        Err(error) => {
            say(&Past::Damaged(format!("session {id}: {error}")), line)?;
            return ControlFlow::Continue(false);
        }
    };
    let header = reader.header();
    let other = |wanted: &Option<String>, has: &str| wanted.as_ref().is_some_and(|wanted| wanted != has);
    if other(&period.principal, &header.principal.id) || other(&period.target, &header.target) {
        return ControlFlow::Continue(false);
    }
    say(&Past::Session(past(header)), line)?;
    let mut commands = Commands::new(header, period);
    for event in reader.events() {
        match event {
            Ok(event) => commands.event(event.at_micros, event.event(), line)?,
            Err(error) => say(&Past::Damaged(format!("session {id}: {error}")), line)?,
        }
    }
    ControlFlow::Continue(true)
}

fn past(header: &SessionHeader) -> PastSession {
    PastSession {
        id: header.id.to_string(),
        started: header.started,
        principal: header.principal.id.clone(),
        kind: header.principal.kind.clone(),
        groups: header.principal.groups.clone(),
        target: header.target.clone(),
        protocol: header.protocol.clone(),
        source: header.client_address.clone(),
        task: header.task.clone(),
        version: header.gateway_version.clone(),
        policy: header.policy_digest.clone(),
    }
}

/// The commands of one recording.
struct Commands {
    /// Microseconds after the session began.
    from: u64,
    to: u64,
    /// The newest command.
    newest: Option<Newest>,
    /// Those that wait for people: their approval may come after other commands.
    held: HashMap<u64, Newest>,
    buffer: Vec<u8>,
}

/// A command that was read last.
struct Newest {
    seq: u64,
    /// The beginning of its text, in JSON.
    text: Vec<u8>,
    cut: bool,
    prepare: bool,
}

impl Commands {
    fn new(header: &SessionHeader, period: &Period) -> Self {
        let micros = |time: OffsetDateTime| {
            let after = (time - header.started).whole_microseconds();
            u64::try_from(after).unwrap_or(if after < 0 { 0 } else { u64::MAX })
        };
        Self {
            from: micros(period.since),
            to: period.until.map_or(u64::MAX, micros),
            newest: None,
            held: HashMap::new(),
            buffer: Vec::new(),
        }
    }

    fn event(&mut self, at_micros: u64, event: Event<'_>, line: &mut TakeLine<'_>) -> ControlFlow<()> {
        match event {
            Event::Command { seq, text, detail } => {
                let beginning = String::from_utf8_lossy(text.get(..MAX_TEXT).unwrap_or(text));
                self.newest = Some(Newest {
                    seq,
                    // A string: there is nothing in it that JSON cannot say.
                    text: serde_json::to_vec(&beginning).unwrap_or_default(),
                    cut: text.len() > MAX_TEXT,
                    prepare: is_prepared(detail),
                });
                ControlFlow::Continue(())
            }
            Event::Decision { seq, detail } => self.decided(seq, at_micros, detail, line),
            Event::Notice { detail } => match task(detail) {
                Some(task) => say(&Past::Task(task), line),
                None => ControlFlow::Continue(()),
            },
            Event::Hold { seq, .. } => {
                if let Some(newest) = self.newest.take_if(|newest| newest.seq == seq) {
                    self.held.insert(seq, newest);
                }
                ControlFlow::Continue(())
            }
            Event::Ended { seq, .. } => {
                self.held.remove(&seq);
                ControlFlow::Continue(())
            }
            Event::Input { .. } | Event::Response { .. } | Event::Review { .. } | Event::Closed { .. } => {
                ControlFlow::Continue(())
            }
        }
    }

    /// A line of [`Past::Command`]. The facts of a number are in the first decision that has it, whenever that was.
    fn decided(&mut self, seq: u64, at_micros: u64, detail: &[u8], line: &mut TakeLine<'_>) -> ControlFlow<()> {
        use std::io::Write;
        let newest = self.newest.as_ref().filter(|newest| newest.seq == seq);
        let known = newest.or_else(|| self.held.get(&seq));
        let text = known.map_or(&b"\"\""[..], |newest| &newest.text);
        let (cut, prepare) = known.map_or((true, false), |newest| (newest.cut, newest.prepare));
        let within = (self.from..=self.to).contains(&at_micros);
        if !within && !has_more(detail) {
            return ControlFlow::Continue(());
        }
        self.buffer.clear();
        // Into memory: it does not fail.
        let _ = write!(
            self.buffer,
            r#"{{"command":{{"seq":{seq},"at_micros":{at_micros},"prepare":{prepare},"cut":{cut},"#
        );
        if !within {
            self.buffer.extend_from_slice(br#""outside":true,"#);
        }
        self.buffer.extend_from_slice(br#""text":"#);
        self.buffer.extend_from_slice(text);
        self.buffer.extend_from_slice(br#","decision":"#);
        self.buffer.extend_from_slice(detail);
        self.buffer.extend_from_slice(b"}}");
        line(&self.buffer)
    }
}

/// Whether a decision carries what later ones refer to.
fn has_more(detail: &[u8]) -> bool {
    let has = |word: &[u8]| detail.windows(word.len()).any(|window| window == word);
    has(b"\"facts\":") || has(b"\"reveals\":")
}

fn is_prepared(detail: &[u8]) -> bool {
    detail.ends_with(b"\"prepare\":true}")
}

/// The task that a session took up.
fn task(detail: &[u8]) -> Option<String> {
    let notice: Value = serde_json::from_slice(detail)
        .ok()
        .filter(|_| detail.starts_with(b"{\"task\""))?;
    Some(notice.get("task")?.as_str()?.to_owned())
}

fn say(past: &Past, line: &mut TakeLine<'_>) -> ControlFlow<()> {
    // Texts and times: there is nothing in them that JSON cannot say.
    line(&serde_json::to_vec(past).unwrap_or_default())
}
