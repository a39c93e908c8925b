//! What the gateway's recordings say, asked by an auditor.

use anyhow::{Context, Result, ensure};
use sallyport_ledger::{Entries, Entry, RecordingKey};
use sallyport_testbed::Gateway;
use serde_json::Value;

/// The lines of every session's transcript, rows included.
///
/// # Errors
/// When the API refuses or a transcript is cut off.
pub fn transcripts(gateway: &Gateway, auditor: &str) -> Result<Vec<Vec<Value>>> {
    let token = gateway.login(auditor)?;
    let mut transcripts = Vec::new();
    let mut before = String::new();
    loop {
        let path = format!("/v1/sessions?limit=100{before}");
        let reply = gateway.api().get(&path, Some(&token))?;
        ensure!(reply.status == 200, "the sessions: {reply:?}");
        let sessions = reply.body.as_array().context("no list of sessions")?.clone();
        let Some(last) = sessions.last() else {
            return Ok(transcripts);
        };
        before = format!("&before={}", id(last)?);
        for session in &sessions {
            transcripts.push(transcript(gateway, &token, id(session)?)?);
        }
    }
}

/// The lines of one session's transcript, rows included.
///
/// # Errors
/// When the API refuses or the transcript is cut off.
pub fn transcript(gateway: &Gateway, token: &str, session: &str) -> Result<Vec<Value>> {
    let reply = gateway
        .api()
        .get(&format!("/v1/sessions/{session}/replay?rows=true"), Some(token))?;
    ensure!(reply.status == 200, "the transcript of {session}: {reply:?}");
    let lines: Vec<Value> = match &reply.body {
        Value::String(text) => text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            vec![reply.body.clone()]
        }
    };
    let last = lines.last().context("an empty transcript")?;
    ensure!(
        last.get("kind").is_some_and(|kind| kind == "end"),
        "the transcript of {session} was cut off: {last}"
    );
    Ok(lines)
}

/// The texts of the commands in some transcripts.
pub fn commands(transcripts: &[Vec<Value>]) -> Vec<String> {
    let lines = transcripts
        .iter()
        .flatten()
        .filter(|line| line.get("kind").is_some_and(|kind| kind == "command"));
    lines
        .filter_map(|line| line.get("text")?.as_str().map(str::to_owned))
        .collect()
}

/// What the gateway's journal says.
///
/// # Errors
/// When it cannot be read.
pub fn journal(gateway: &Gateway) -> Result<Vec<Entry>> {
    let state = gateway.dir().join("state");
    let key = RecordingKey::load_or_create(&state.join("keys/recording.key"))?;
    Ok(Entries::of(&state, &key)?.collect::<Result<_, _>>()?)
}

fn id(session: &Value) -> Result<&str> {
    session
        .get("id")
        .and_then(Value::as_str)
        .context("a session without an id")
}
