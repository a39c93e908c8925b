//! A recording in words: what each of its events says to people, whatever protocol its session spoke.

use sallyport_api::ports::{Observed, TranscriptOptions, What};
use sallyport_ledger::{Event, SessionHeader};
use sallyport_session::Protocol;
use serde_json::Value;

/// The events of one recording, turned into words.
pub(crate) struct Transcript {
    header: SessionHeader,
    options: TranscriptOptions,
    responses: Responses,
}

/// What knows how to read responses.
enum Responses {
    Postgres(Box<sallyport_postgres::Transcript>),
    Ssh(sallyport_ssh::Transcript),
}

impl Transcript {
    /// Of the recording with this header.
    pub(crate) fn of(header: SessionHeader, options: TranscriptOptions) -> Self {
        let responses = if header.protocol == sallyport_ssh::Ssh::NAME {
            Responses::Ssh(sallyport_ssh::Transcript::default())
        } else {
            Responses::Postgres(Box::default())
        };
        Self {
            header,
            options,
            responses,
        }
    }

    /// What an event says to people.
    pub(crate) fn event(&mut self, event: Event<'_>, tell: &mut dyn FnMut(What)) {
        match event {
            Event::Command {
                seq,
                text: command,
                detail,
            } => {
                if let Responses::Ssh(transcript) = &mut self.responses {
                    transcript.command(seq, command);
                }
                let parameters = strings(&json(detail), "parameters");
                tell(What::Command {
                    text: text(command),
                    parameters,
                });
            }
            Event::Decision { detail, .. } => tell(decision(&json(detail), &self.header)),
            Event::Hold { detail, .. } => {
                let detail = json(detail);
                let request = string(&detail, "request").unwrap_or_default();
                tell(What::Hold {
                    request,
                    waits_for: strings(&detail, "groups"),
                });
            }
            Event::Review { detail, .. } => {
                let detail = json(detail);
                tell(What::Review {
                    outcome: string(&detail, "outcome").unwrap_or_default(),
                    request: string(&detail, "request"),
                    approved_by: strings(&detail, "approved_by"),
                    message: string(&detail, "message"),
                });
            }
            Event::Input { seq, bytes } => {
                tell(What::Input { text: text(bytes) });
                if let Responses::Ssh(transcript) = &mut self.responses {
                    for text in transcript.input(seq, bytes) {
                        tell(What::Typed { text });
                    }
                }
            }
            Event::Response { seq, bytes } => self.response(seq, bytes, tell),
            Event::Notice { detail } => {
                if let Responses::Ssh(transcript) = &mut self.responses {
                    transcript.notice(detail);
                }
                tell(What::Notice { text: text(detail) });
            }
            Event::Ended { detail, .. } => tell(What::Ended {
                how: ended(&json(detail)),
                rows: None,
            }),
            Event::Closed { detail } => tell(What::Closed {
                reason: string(&json(detail), "ending").unwrap_or_default(),
            }),
        }
    }

    fn response(&mut self, seq: u64, bytes: &[u8], tell: &mut dyn FnMut(What)) {
        use sallyport_postgres::Told;
        let rows = self.options.rows;
        match &mut self.responses {
            Responses::Postgres(transcript) => transcript.response(bytes, &mut |told| match told {
                Told::Columns(names) => tell(What::Columns { names }),
                Told::Row(values) if rows => tell(What::Row { values }),
                Told::Row(_) => {}
                Told::Line { kind: "copy", .. } if !rows => {}
                Told::Line { kind, words } => tell(What::Output {
                    name: kind.to_owned(),
                    text: words,
                }),
            }),
            Responses::Ssh(transcript) => {
                if let Some((stream, text)) = transcript.response(seq, bytes) {
                    let name = stream.to_owned();
                    tell(What::Output { name, text });
                }
            }
        }
    }
}

/// How a command ended, in words.
fn ended(detail: &Value) -> String {
    let mut words = string(detail, "outcome").unwrap_or_default();
    for (name, value) in detail.as_object().into_iter().flatten() {
        match value {
            _ if name == "outcome" => {}
            Value::Null => {}
            Value::String(text) => words += &format!(", {} {text}", name.replace('_', " ")),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                words += &format!(", {} {value}", name.replace('_', " "));
            }
        }
    }
    words
}

/// A decision. One that names no policy is of the one that the header names.
fn decision(detail: &Value, header: &SessionHeader) -> What {
    let policy = string(detail, "policy");
    let commit = match policy {
        Some(_) => string(detail, "commit"),
        None => header.policy_commit.clone(),
    };
    What::Decision {
        outcome: string(detail, "outcome").unwrap_or_default(),
        rules: strings(detail, "rules"),
        message: string(detail, "message"),
        policy: Some(policy.unwrap_or_else(|| header.policy_digest.clone())),
        commit,
        request: string(detail, "request"),
        observed: detail.get("observed").map(observed),
    }
}

fn observed(detail: &Value) -> Observed {
    Observed {
        outcome: string(detail, "outcome").unwrap_or_default(),
        rules: strings(detail, "rules"),
        message: string(detail, "message"),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

fn string(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(ToOwned::to_owned)
}

fn strings(value: &Value, name: &str) -> Vec<String> {
    let list = value.get(name).and_then(Value::as_array);
    list.map(|l| l.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect())
        .unwrap_or_default()
}
