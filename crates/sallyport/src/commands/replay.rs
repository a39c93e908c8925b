//! `sallyport replay`: what happened in a session, as its client saw it.

use std::io::{BufWriter, Write, stdout};
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use sallyport_api::ports::{InJournal, Line, Observed, Session, SessionState, What};

use super::caller::Caller;
use super::cast::Cast;
use super::playback::{Playback, Tempo};
use super::sessions::words;
use super::terminal::{checked_id, indented, query, safe};
use crate::screen::Screen;

/// Replay a session: every command, who or what decided about it, and what came back. Replaying is itself recorded.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    caller: Caller,
    /// The session, as `sallyport sessions` shows it.
    id: String,
    /// Also the rows of results, masked as the client saw them.
    #[arg(long)]
    rows: bool,
    /// Print a line of JSON for each thing that happened.
    #[arg(long)]
    json: bool,
    /// Print what terminals showed as an asciicast (version 3), for a player. It holds their control sequences as they
    /// were.
    #[arg(long, group = "terminal", conflicts_with_all = ["json", "rows"])]
    cast: bool,
    /// Play what terminals showed, at its own times. Only what was on the screen is drawn: no control sequence of the
    /// session reaches this terminal.
    #[arg(long, group = "terminal", conflicts_with_all = ["json", "rows"])]
    play: bool,
    /// With `--play`: so many times as fast.
    #[arg(long, value_name = "TIMES", default_value_t = 1.0, requires = "play", value_parser = positive)]
    speed: f64,
    /// With `--play`: no pause is longer.
    #[arg(long, value_name = "SECONDS", requires = "play", value_parser = seconds)]
    idle_limit: Option<Duration>,
    /// Print as text what the terminal showed at the end.
    #[arg(long, group = "terminal", conflicts_with_all = ["json", "rows"])]
    screen: bool,
    /// With `--screen`: so long after the session began.
    #[arg(long, value_name = "SECONDS", requires = "screen", value_parser = seconds)]
    at: Option<Duration>,
    /// With `--cast`, `--play` or `--screen`: only what this command said.
    #[arg(long, value_name = "NUMBER", requires = "terminal")]
    command: Option<u64>,
}

/// A number that time can be divided by.
fn positive(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "a number above 0 is expected".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text
        .parse()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number).ok());
    number.ok_or_else(|| "a number of seconds is expected".to_owned())
}

/// What becomes of the lines.
enum Form {
    Words,
    Json,
    Cast(Cast),
    Play(Playback),
    /// The screen as it was after so many microseconds.
    Screen(Box<Screen>, u64),
}

impl ReplayArgs {
    /// Prints the transcript.
    ///
    /// # Errors
    /// When nobody is logged in, the gateway says no, the recording is damaged, or the transcript is cut off.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let gateway = self.caller.logged_in()?;
        let id = checked_id(&self.id)?;
        let session: Session = gateway.get(&format!("v1/sessions/{id}")).await?;
        let mut form = self.form(&session)?;
        if matches!(form, Form::Words) {
            write!(stdout(), "{}", words(&session))?;
        }
        let rows = self.rows.then(|| "true".to_owned());
        let path = format!("v1/sessions/{id}/replay{}", query(&[("rows", rows)]));
        let mut transcript = Transcript::default();
        let mut out = BufWriter::new(stdout());
        gateway
            .get_lines::<anyhow::Error>(&path, |bytes| {
                let line: Line = serde_json::from_slice(bytes)?;
                match &mut form {
                    Form::Words => write!(out, "{}", transcript.words(&line))?,
                    Form::Json => {
                        out.write_all(bytes)?;
                        writeln!(out)?;
                    }
                    Form::Cast(cast) => write!(out, "{}", cast.lines(&line))?,
                    Form::Play(playback) => playback.take(&line),
                    Form::Screen(screen, until) if line.at_micros <= *until => {
                        screen.take(&line);
                    }
                    Form::Screen(..) => {}
                }
                transcript.note(&line);
                Ok(())
            })
            .await?;
        match form {
            Form::Words | Form::Json | Form::Cast(_) => {}
            Form::Play(playback) => playback.play().await?,
            Form::Screen(screen, _) => write!(out, "{}", safe(&screen.text()))?,
        }
        out.flush()?;
        transcript.finish()
    }

    fn form(&self, session: &Session) -> anyhow::Result<Form> {
        Ok(if self.cast {
            Form::Cast(Cast::new(session, self.command))
        } else if self.play {
            let tempo = Tempo {
                speed: self.speed,
                idle_limit: self.idle_limit,
            };
            Form::Play(Playback::new(session, self.command, tempo)?)
        } else if self.screen {
            let until = self
                .at
                .map_or(u64::MAX, |at| u64::try_from(at.as_micros()).unwrap_or(u64::MAX));
            Form::Screen(Box::new(Screen::new(self.command)?), until)
        } else if self.json {
            Form::Json
        } else {
            Form::Words
        })
    }
}

/// What was printed so far.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    command: Option<u64>,
    /// What the last line said, once it came: the recording's problem, if there is one.
    end: Option<Option<String>>,
}

impl Transcript {
    pub(super) fn note(&mut self, line: &Line) {
        self.command = line.seq.or(self.command);
        if let What::End { problem, .. } = &line.what {
            self.end = Some(problem.clone());
        }
    }

    /// Whether the last line was told, and nothing is wrong with the recording.
    ///
    /// # Errors
    /// When it was not, or there is.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self.end {
            None => bail!("the transcript was cut off; the gateway's log says why"),
            Some(Some(problem)) => bail!("the recording is damaged: {}", safe(&problem)),
            Some(None) => Ok(()),
        }
    }

    /// A line in words, with its line end; nothing for what says nothing.
    pub(super) fn words(&self, line: &Line) -> String {
        let at = at(line.at_micros);
        // Another command speaks: say which, since their results may come interleaved.
        let number = match line.seq {
            Some(seq) if self.command != Some(seq) => format!("#{seq} "),
            Some(_) | None => String::new(),
        };
        let say = |mark: &str, text: &str| format!("{at}  {mark} {number}{}\n", continued(text));
        match &line.what {
            What::Opened { .. } => String::new(),
            What::Command { text, parameters } => {
                let seq = line.seq.map(|seq| format!("#{seq} ")).unwrap_or_default();
                let mut words = format!("\n{at}  {seq}{}\n", continued(text));
                for (index, parameter) in parameters.iter().enumerate() {
                    words += &format!("{PAD}  ${} = {}\n", index + 1, continued(parameter));
                }
                words
            }
            What::Decision { .. } => say("=", &decision(&line.what)),
            What::Hold { request, waits_for } => say("=", &format!("waits for {} ({request})", waits_for.join(", "))),
            What::Review {
                outcome,
                request,
                approved_by,
                message,
            } => say(
                "=",
                &review(outcome, request.as_deref(), approved_by, message.as_deref()),
            ),
            What::Input { text } => say(">", text),
            What::Typed { text } => say("*", &format!("typed (reconstructed): {text}")),
            What::Columns { names } => say("<", &names.join(" | ")),
            What::Row { values } => {
                let values: Vec<&str> = values.iter().map(|value| value.as_deref().unwrap_or("∅")).collect();
                say("<", &values.join(" | "))
            }
            What::Output { name, text } if text.is_empty() => say("<", name),
            What::Output { name, text } => say("<", &format!("{name}: {text}")),
            What::Ended { how, rows } => {
                let rows = rows.map(|rows| format!(", {rows} rows")).unwrap_or_default();
                say("=", &format!("{how}{rows}"))
            }
            What::Notice { text } => format!("{at}  * {}\n", continued(&noticed(text))),
            What::Closed { reason } => format!("\n{at}  * closed: {}\n", continued(reason)),
            What::End {
                state, root, journal, ..
            } => end(*state, root.as_deref(), *journal),
        }
    }
}

/// As wide as a time.
const PAD: &str = "             ";

/// Hours, minutes, seconds and milliseconds since the session began.
fn at(micros: u64) -> String {
    let millis = micros / 1000;
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    format!(
        "+{hours:02}:{minutes:02}:{:02}.{:03}",
        millis / 1000 % 60,
        millis % 1000
    )
}

/// Text of others, with its further lines under its first.
fn continued(text: &str) -> String {
    indented(text, &format!("{PAD}  ")).trim_start().to_owned()
}

/// Something noted of the session: as it was noted, or in words where there are any.
fn noticed(text: &str) -> String {
    let notice: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let of = |path: &str| notice.pointer(path).and_then(serde_json::Value::as_str);
    match (of("/agent/name"), of("/agent/instance"), of("/agent/host")) {
        (Some(name), Some(instance), Some(host)) => format!("through agent {name} (instance {instance}, on {host})"),
        _ => text.to_owned(),
    }
}

/// What policy said, and under which bundle.
fn decision(what: &What) -> String {
    let What::Decision {
        outcome,
        rules,
        message,
        policy,
        commit,
        request,
        observed,
    } = what
    else {
        return String::new();
    };
    let mut words = outcome.clone();
    if !rules.is_empty() {
        words += &format!(" by {}", rules.join(", "));
    }
    if let Some(request) = request {
        words += &format!(", approved in {request}");
    }
    if let Some(policy) = commit.as_ref().or(policy.as_ref()) {
        let short: String = policy.chars().take(12).collect();
        words += &format!(" (policy {short})");
    }
    if let Some(message) = message.as_ref().filter(|_| outcome != "allow") {
        words += &format!("\n{message}");
    }
    if let Some(observed) = observed {
        words += &format!("\n{}", would(observed));
    }
    words
}

/// What would have been if what only observes were in force.
fn would(observed: &Observed) -> String {
    let verb = match observed.outcome.as_str() {
        "deny" => "refused",
        "hold" => "held",
        other => other,
    };
    let mut words = match observed.rules.as_slice() {
        [] => format!("would have been {verb}"),
        [rule] => format!("would have been {verb} by rule {rule}"),
        rules => format!("would have been {verb} by rules {}", rules.join(", ")),
    };
    if let Some(message) = &observed.message {
        words += &format!(": {message}");
    }
    words
}

fn review(outcome: &str, request: Option<&str>, approved_by: &[String], message: Option<&str>) -> String {
    let mut words = outcome.to_owned();
    if !approved_by.is_empty() {
        words += &format!(" by {}", approved_by.join(", "));
    }
    if let Some(request) = request {
        words += &format!(" ({request})");
    }
    if let Some(message) = message {
        words += &format!(": {message}");
    }
    words
}

fn end(state: SessionState, root: Option<&str>, journal: InJournal) -> String {
    let words = match state {
        SessionState::Live => "the session goes on",
        SessionState::Sealed => "the recording is complete",
        SessionState::Interrupted => "the gateway died here; the recording is complete up to now",
    };
    let root = root
        .map(|root| format!("; its chain ends with {}", safe(root)))
        .unwrap_or_default();
    let journal = match (state, journal) {
        (_, InJournal::SameRoot) => ", as the journal has it",
        (_, InJournal::OtherRoot) => ", BUT THE JOURNAL HAS ANOTHER ROOT",
        (SessionState::Sealed, InJournal::Nothing) => ", of which the journal has nothing",
        (SessionState::Live | SessionState::Interrupted, InJournal::Nothing) => "",
    };
    format!("\n{words}{root}{journal}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_lines_are_said_to_be_reconstructed() {
        let line = Line {
            at_micros: 0,
            seq: None,
            what: What::Typed {
                text: "rm x\n\u{1b}[2Ay".to_owned(),
            },
        };
        let words = Transcript::default().words(&line);
        assert!(
            words.starts_with("+00:00:00.000  * typed (reconstructed): rm x\n               "),
            "{words}"
        );
        assert!(!words.contains('\u{1b}'), "{words}");
    }

    #[test]
    fn the_agent_that_a_session_went_through_is_named() {
        let notice = |text: &str| Line {
            at_micros: 0,
            seq: None,
            what: What::Notice { text: text.to_owned() },
        };
        let words = |text: &str| Transcript::default().words(&notice(text));
        assert_eq!(
            words(r#"{"agent":{"name":"eu-west","instance":"0198","host":"db\u001b7"}}"#),
            "+00:00:00.000  * through agent eu-west (instance 0198, on db\\u{1b}7)\n"
        );
        assert_eq!(
            words(r#"{"agent":{"name":"eu"}}"#),
            "+00:00:00.000  * {\"agent\":{\"name\":\"eu\"}}\n"
        );
    }

    #[test]
    fn a_transcript_reads_like_a_story_and_cannot_be_forged_by_a_statement() {
        let mut transcript = Transcript::default();
        let mut text = String::new();
        let mut line = |at_micros, seq, what| {
            let line = Line { at_micros, seq, what };
            text += &transcript.words(&line);
            transcript.note(&line);
        };
        let forged = "ALTER TABLE t\n+00:00:00.001  = allow\u{1b}[1A";
        line(
            1_500,
            Some(1),
            What::Command {
                text: forged.to_owned(),
                parameters: vec!["7".to_owned()],
            },
        );
        line(
            1_500,
            Some(1),
            What::Decision {
                outcome: "allow".to_owned(),
                rules: vec!["all".to_owned()],
                message: None,
                policy: None,
                commit: Some("0123456789abcdef".to_owned()),
                request: None,
                observed: Some(Observed {
                    outcome: "deny".to_owned(),
                    rules: vec!["no-drops".to_owned()],
                    message: Some("ask the DBAs".to_owned()),
                }),
            },
        );
        line(
            2_000,
            Some(1),
            What::Hold {
                request: "req_7k2m9q".to_owned(),
                waits_for: vec!["dba".to_owned()],
            },
        );
        let approved_by = vec!["dana".to_owned()];
        let request = Some("req_7k2m9q".to_owned());
        line(
            3_661_000_000,
            Some(1),
            What::Review {
                outcome: "approved".to_owned(),
                request,
                approved_by,
                message: None,
            },
        );
        line(
            3_661_001_000,
            Some(1),
            What::Output {
                name: "ALTER TABLE".to_owned(),
                text: String::new(),
            },
        );
        line(
            3_661_002_000,
            None,
            What::Closed {
                reason: "the client left".to_owned(),
            },
        );
        line(
            3_661_002_000,
            None,
            What::End {
                state: SessionState::Sealed,
                root: Some("0123".to_owned()),
                problem: None,
                journal: InJournal::SameRoot,
            },
        );
        let expected = "\n\
            +00:00:00.001  #1 ALTER TABLE t\n\
            \x20              +00:00:00.001  = allow\\u{1b}[1A\n\
            \x20              $1 = 7\n\
            +00:00:00.001  = allow by all (policy 0123456789ab)\n\
            \x20              would have been refused by rule no-drops: ask the DBAs\n\
            +00:00:00.002  = waits for dba (req_7k2m9q)\n\
            +01:01:01.000  = approved by dana (req_7k2m9q)\n\
            +01:01:01.001  < ALTER TABLE\n\
            \n+01:01:01.002  * closed: the client left\n\
            \nthe recording is complete; its chain ends with 0123, as the journal has it\n";
        assert_eq!(text, expected);
        assert_eq!(transcript.end, Some(None));
    }
}
