//! As much of a PostgreSQL server as the machine can tell: batches, implicit transactions, names, and what it skips.

use std::collections::HashMap;

use bytes::{Buf, BytesMut};
use sallyport_sql::Catalog;

use crate::wire::backend::{self, ReadyForQuery, TransactionStatus};
use crate::wire::frontend::{self, Subject, Tag};
use crate::wire::{Diagnostic, Limits, message, next_frame};

/// The server, its input and output, and what it ran for the client.
#[derive(Default)]
pub(super) struct Server {
    pub(super) input: BytesMut,
    pub(super) output: BytesMut,
    /// Answers that wait for a flush.
    buffered: BytesMut,
    /// Texts that ran, the gateway's own questions apart.
    pub(super) ran: Vec<String>,
    statements: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, String>,
    skipping: bool,
    in_block: bool,
    failed: bool,
    copying: Option<bool>,
    /// `standard_conforming_strings`.
    strings: &'static str,
    /// The current role.
    pub(super) role: &'static str,
    /// `transaction_isolation`.
    pub(super) isolation: &'static str,
    /// The fingerprint of the names that it has; the names themselves are none.
    pub(super) print: &'static str,
    /// The gateway's own questions, as they ran.
    pub(super) asked: Vec<String>,
    /// The types of parameters, as it describes every statement.
    pub(super) parameter_types: Vec<u32>,
    /// The gateway's own questions fail.
    pub(super) refuses_questions: bool,
}

impl Server {
    pub(super) fn new() -> Self {
        Self {
            strings: "on",
            role: "app",
            isolation: "read committed",
            print: "first",
            ..Self::default()
        }
    }

    pub(super) fn run(&mut self) {
        while let Some(frame) = next_frame::<Tag>(&self.input, &Limits::default()).unwrap() {
            let body = self.input[5..frame.total_len].to_vec();
            self.input.advance(frame.total_len);
            self.message(frame.tag, &body);
        }
    }

    fn message(&mut self, tag: Tag, body: &[u8]) {
        if let Some(simple) = self.copying {
            return self.in_copy(tag, simple);
        }
        if self.skipping && tag != Tag::Sync {
            return;
        }
        match tag {
            Tag::Query => {
                let text = text(frontend::Query::decode(body).unwrap().text);
                let done = if text.contains("refused by the gateway") {
                    Err("syntax error")
                } else {
                    self.statement(&text, true, true)
                };
                match done {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => self.error(error),
                }
                self.ready();
            }
            Tag::Sync => {
                self.skipping = false;
                self.ready();
            }
            Tag::Flush => self.flush(),
            Tag::Terminate | Tag::CopyData | Tag::CopyDone | Tag::CopyFail | Tag::Password => {}
            Tag::FunctionCall => {
                message(&mut self.buffered, b'V', |out| bytes::BufMut::put_i32(out, -1));
                self.ready();
            }
            Tag::Parse | Tag::Bind | Tag::Describe | Tag::Execute | Tag::Close => {
                if let Err(error) = self.extended(tag, body) {
                    self.skipping = true;
                    self.error(error);
                }
            }
        }
    }

    fn extended(&mut self, tag: Tag, body: &[u8]) -> Result<(), &'static str> {
        match tag {
            Tag::Parse => {
                let parse = frontend::Parse::decode(body).unwrap();
                let text = text(parse.text);
                if text.contains("refused by the gateway") || text.contains("unknown_function") {
                    return Err("syntax error");
                }
                self.usable(&text)?;
                if self.refuses_questions && parse.name.starts_with(b"own") {
                    return Err("canceling statement due to statement timeout");
                }
                if !parse.name.is_empty() && self.statements.contains_key(parse.name) {
                    return Err("prepared statement already exists");
                }
                self.statements.insert(parse.name.to_vec(), text);
                message(&mut self.buffered, b'1', |_| {});
            }
            Tag::Bind => {
                let bind = frontend::Bind::decode(body).unwrap();
                let statement = self.statements.get(bind.statement).ok_or("no such statement")?.clone();
                self.usable(&statement)?;
                self.portals.insert(bind.portal.to_vec(), statement);
                message(&mut self.buffered, b'2', |_| {});
            }
            Tag::Describe => {
                let describe = frontend::Describe::decode(body).unwrap();
                let text = match describe.subject {
                    Subject::Statement => {
                        let types = &self.parameter_types;
                        message(&mut self.buffered, b't', |out| {
                            bytes::BufMut::put_u16(out, u16::try_from(types.len()).unwrap());
                            types.iter().for_each(|ty| bytes::BufMut::put_u32(out, *ty));
                        });
                        self.statements.get(describe.name).ok_or("no such statement")?.clone()
                    }
                    Subject::Portal => self.portals.get(describe.name).ok_or("no such portal")?.clone(),
                };
                self.describe(&text);
            }
            Tag::Execute => {
                let execute = frontend::Execute::decode(body).unwrap();
                let text = self.portals.get(execute.portal).ok_or("no such portal")?.clone();
                let own = execute.portal.starts_with(b"own");
                if own {
                    self.asked.push(text.clone());
                }
                self.statement(&text, false, !own)?;
            }
            _ => {
                let close = frontend::Close::decode(body).unwrap();
                match close.subject {
                    Subject::Statement => drop(self.statements.remove(close.name)),
                    Subject::Portal => drop(self.portals.remove(close.name)),
                }
                message(&mut self.buffered, b'3', |_| {});
            }
        }
        Ok(())
    }

    fn usable(&self, text: &str) -> Result<(), &'static str> {
        if self.failed && text != "ROLLBACK" {
            Err("current transaction is aborted")
        } else {
            Ok(())
        }
    }

    fn describe(&mut self, text: &str) {
        if text.starts_with("SELECT") {
            let column = backend::ColumnDescription {
                name: b"c",
                table_oid: 0,
                attnum: 0,
                type_oid: 25,
                type_len: -1,
                type_modifier: -1,
                format: crate::wire::Format::Text,
            };
            backend::RowDescription {
                columns: vec![column; columns(text)],
            }
            .encode(&mut self.buffered);
        } else {
            message(&mut self.buffered, b'n', |_| {});
        }
    }

    /// Runs a text. True when it goes on taking COPY data.
    fn statement(&mut self, text: &str, simple: bool, for_client: bool) -> Result<bool, &'static str> {
        self.usable(text)?;
        if for_client {
            self.ran.push(text.to_owned());
        }
        let mut words = text.split(' ');
        let (first, second) = (words.next().unwrap(), words.next().unwrap_or_default());
        match first {
            "SELECT" if text.contains("1/0") => return Err("division by zero"),
            "SELECT" => {
                if simple {
                    self.describe(text);
                }
                self.rows(text);
            }
            "BEGIN" => self.in_block = true,
            "COMMIT" | "ROLLBACK" if second.is_empty() => {
                (self.in_block, self.failed) = (false, false);
                self.portals.clear();
            }
            "PREPARE" => {
                let inner = text.split_once(" AS ").unwrap().1.to_owned();
                if self.statements.insert(second.as_bytes().to_vec(), inner).is_some() {
                    return Err("prepared statement already exists");
                }
            }
            "DEALLOCATE" => drop(self.statements.remove(second.as_bytes())),
            "EXECUTE" => {
                let inner = self
                    .statements
                    .get(second.as_bytes())
                    .ok_or("no such statement")?
                    .clone();
                if simple {
                    return self.statement(&inner, true, for_client);
                }
                self.ran.push(inner);
            }
            "COPY" => {
                self.flush();
                message(&mut self.output, b'G', |out| {
                    bytes::BufMut::put_u8(out, 0);
                    bytes::BufMut::put_u16(out, 0);
                });
                self.copying = Some(simple);
                return Ok(true);
            }
            "SET" => self.strings = if text.ends_with("off") { "off" } else { "on" },
            _ => {}
        }
        backend::CommandComplete { tag: first.as_bytes() }.encode(&mut self.buffered);
        Ok(false)
    }

    fn rows(&mut self, text: &str) {
        let values: Vec<Option<&[u8]>> = if text.contains("current_schemas") && text.contains("session_user") {
            vec![
                Some(b"[\"pg_catalog\",\"public\"]"),
                Some(b"public"),
                Some(self.role.as_bytes()),
                Some(b"app"),
                Some(b"2026"),
            ]
        } else if text.contains("current_setting") {
            vec![
                Some(self.strings.as_bytes()),
                Some(b"UTF8"),
                Some(self.isolation.as_bytes()),
            ]
        } else if text == Catalog::fingerprint_query() {
            vec![Some(self.print.as_bytes())]
        } else if text.contains("pg_catalog.") {
            return;
        } else {
            vec![Some(text.as_bytes())]
        };
        message(&mut self.buffered, b'D', |out| {
            bytes::BufMut::put_u16(out, u16::try_from(values.len()).unwrap());
            for value in values {
                crate::wire::Sink::put_value(out, value);
            }
        });
    }

    fn in_copy(&mut self, tag: Tag, simple: bool) {
        match tag {
            Tag::CopyData | Tag::Sync | Tag::Flush => return,
            Tag::CopyDone => {
                self.copying = None;
                backend::CommandComplete { tag: b"COPY 1" }.encode(&mut self.buffered);
            }
            _ => {
                self.copying = None;
                self.skipping = !simple;
                self.error("COPY from stdin failed");
            }
        }
        if simple {
            self.ready();
        }
    }

    fn error(&mut self, words: &'static str) {
        self.failed |= self.in_block;
        Diagnostic::error("XX000", words).encode_error(&mut self.buffered);
        self.flush();
    }

    fn ready(&mut self) {
        let status = match (self.in_block, self.failed) {
            (false, _) => TransactionStatus::Idle,
            (true, false) => TransactionStatus::Open,
            (true, true) => TransactionStatus::Failed,
        };
        if status == TransactionStatus::Idle {
            self.portals.clear();
        }
        let strings = self.strings.as_bytes();
        backend::ParameterStatus {
            name: b"standard_conforming_strings",
            value: strings,
        }
        .encode(&mut self.buffered);
        ReadyForQuery { status }.encode(&mut self.buffered);
        self.flush();
    }

    fn flush(&mut self) {
        self.output.unsplit(self.buffered.split());
    }
}

fn columns(text: &str) -> usize {
    if text.contains("current_schemas") && text.contains("session_user") {
        5
    } else if text.contains("current_setting") {
        3
    } else {
        1
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
