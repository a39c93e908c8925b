//! A target that behaves: as much of PostgreSQL as the machine can tell, and careless with a secret.

use std::collections::HashMap;

use bytes::{Buf, BufMut, BytesMut};
use sallyport_postgres::testing;
use sallyport_postgres::wire::backend::{self, TransactionStatus};
use sallyport_postgres::wire::{Diagnostic, Format, Limits, Sink, frontend, message, next_frame};

/// What is in every value, error and notice.
pub const SECRET: &str = "4111111111111111";

/// The server.
#[derive(Default)]
pub struct Server {
    pub input: BytesMut,
    pub output: BytesMut,
    skipping: bool,
    in_block: bool,
    failed: bool,
    copying: Option<bool>,
    /// The text of the last statement that was parsed for each name: near enough.
    texts: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, (String, Vec<Format>)>,
}

impl Server {
    /// Answers what has arrived.
    pub fn serve(&mut self) {
        while let Ok(Some(frame)) = next_frame::<frontend::Tag>(&self.input, &Limits::default()) {
            let body = self.input[5..frame.total_len].to_vec();
            self.input.advance(frame.total_len);
            self.message(frame.tag, &body);
        }
    }

    /// Says something that nobody asked for.
    pub fn aside(&mut self, which: u8) {
        let out = &mut self.output;
        let payload = format!("card {SECRET}");
        match which % 4 {
            0 => backend::NotificationResponse {
                pid: 1,
                channel: b"c",
                payload: payload.as_bytes(),
            }
            .encode(out),
            1 => Diagnostic::error("00000", payload).encode_notice(out),
            2 => backend::ParameterStatus {
                name: b"TimeZone",
                value: b"UTC",
            }
            .encode(out),
            _ => backend::ParameterStatus {
                name: b"client_encoding",
                value: b"UTF8",
            }
            .encode(out),
        }
    }

    fn message(&mut self, tag: frontend::Tag, body: &[u8]) {
        use frontend::Tag;
        if let Some(simple) = self.copying {
            return self.in_copy(tag, simple);
        }
        if self.skipping && tag != Tag::Sync {
            return;
        }
        match tag {
            Tag::Query => self.query(body),
            Tag::Sync => {
                self.skipping = false;
                self.ready();
            }
            Tag::FunctionCall => {
                message(&mut self.output, b'V', |out| out.put_value(Some(SECRET.as_bytes())));
                self.ready();
            }
            Tag::Parse => match frontend::Parse::decode(body) {
                Ok(parse) if parses(&lossy(parse.text)) => {
                    self.texts.insert(parse.name.to_vec(), lossy(parse.text));
                    backend::parse_complete(&mut self.output);
                }
                _ => self.fail(),
            },
            Tag::Bind => match frontend::Bind::decode(body) {
                Ok(bind) if self.texts.contains_key(bind.statement) => {
                    let text = self.texts[bind.statement].clone();
                    self.portals.insert(bind.portal.to_vec(), (text, bind.result_formats));
                    backend::bind_complete(&mut self.output);
                }
                _ => self.fail(),
            },
            Tag::Describe => self.describe(body),
            Tag::Execute => self.execute(body),
            Tag::Close => message(&mut self.output, b'3', |_| {}),
            Tag::Flush | Tag::CopyData | Tag::CopyDone | Tag::CopyFail | Tag::Terminate | Tag::Password => {}
        }
    }

    fn query(&mut self, body: &[u8]) {
        let text = lossy(body.strip_suffix(b"\0").unwrap_or(body));
        for statement in text.split(';') {
            match self.statement(statement.trim(), true) {
                Ok(false) => {}
                Ok(true) => return,
                Err(()) => {
                    self.fail();
                    self.skipping = false;
                    break;
                }
            }
        }
        self.ready();
    }

    fn describe(&mut self, body: &[u8]) {
        let Ok(describe) = frontend::Describe::decode(body) else {
            return self.fail();
        };
        let found = match describe.subject {
            frontend::Subject::Statement => self.texts.get(describe.name).cloned().map(|text| (text, Vec::new())),
            frontend::Subject::Portal => self.portals.get(describe.name).cloned(),
        };
        let Some((text, formats)) = found else {
            return self.fail();
        };
        if describe.subject == frontend::Subject::Statement {
            message(&mut self.output, b't', |out| out.put_count(0));
        }
        match columns(&text) {
            0 => message(&mut self.output, b'n', |_| {}),
            count => self.columns(count, formats.first().copied()),
        }
    }

    fn execute(&mut self, body: &[u8]) {
        let Ok(execute) = frontend::Execute::decode(body) else {
            return self.fail();
        };
        let Some((text, _)) = self.portals.get(execute.portal).cloned() else {
            return self.fail();
        };
        if self.statement(text.trim(), false).is_err() {
            self.fail();
        }
    }

    /// Runs a statement. True when it goes on taking COPY data.
    fn statement(&mut self, text: &str, simple: bool) -> Result<bool, ()> {
        if text.contains("error") || !parses(text) {
            return Err(());
        }
        if self.failed && !text.starts_with("ROLLBACK") && !text.starts_with("COMMIT") {
            return Err(());
        }
        let first = text.split(' ').next().unwrap_or_default();
        match first {
            "" => {
                message(&mut self.output, b'I', |_| {});
                return Ok(false);
            }
            "BEGIN" => self.in_block = true,
            "COMMIT" => (self.in_block, self.failed) = (false, false),
            "ROLLBACK" => {
                self.in_block &= text.contains("TO");
                self.failed = false;
            }
            "COPY" if text.contains("FROM STDIN") => {
                self.copy_response(b'G', text);
                self.copying = Some(simple);
                return Ok(true);
            }
            "COPY" => self.copy_out(text),
            "DO" => Diagnostic::error("00000", format!("noticed {SECRET}")).encode_notice(&mut self.output),
            _ => {}
        }
        let count = columns(text);
        if count > 0 {
            if simple {
                self.columns(count, None);
            }
            self.rows(text, count);
        }
        backend::CommandComplete { tag: first.as_bytes() }.encode(&mut self.output);
        Ok(false)
    }

    fn columns(&mut self, count: usize, format: Option<Format>) {
        let column = backend::ColumnDescription {
            name: b"c",
            table_oid: 0,
            attnum: 0,
            type_oid: 25,
            type_len: -1,
            type_modifier: -1,
            format: format.unwrap_or(Format::Text),
        };
        backend::RowDescription {
            columns: vec![column; count],
        }
        .encode(&mut self.output);
    }

    fn rows(&mut self, text: &str, count: usize) {
        let own: Vec<&str> = testing::own_statements().collect();
        let values: Vec<&str> = match own.iter().position(|statement| statement.trim() == text) {
            Some(0) => vec!["[\"pg_catalog\",\"public\"]", "public", "app", "app"],
            Some(1) => vec!["on", "UTF8"],
            Some(_) => return,
            None => vec![SECRET; count],
        };
        message(&mut self.output, b'D', |out| {
            out.put_count(values.len());
            for value in &values {
                out.put_value(Some(value.as_bytes()));
            }
        });
    }

    fn copy_response(&mut self, tag: u8, text: &str) {
        let binary = u8::from(text.contains("binary"));
        message(&mut self.output, tag, |out| out.put_slice(&[binary, 0, 1, 0, binary]));
    }

    fn copy_out(&mut self, text: &str) {
        self.copy_response(b'H', text);
        let data = if text.contains("binary") {
            let length = u32::try_from(SECRET.len()).unwrap().to_be_bytes();
            let header = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x01";
            [&header[..], &length, SECRET.as_bytes(), b"\xff\xff"].concat()
        } else {
            let header = if text.contains("HEADER") { "c\n" } else { "" };
            format!("{header}{SECRET}\n").into_bytes()
        };
        // A row may come in two messages.
        let (first, second) = data.split_at(data.len() / 2);
        for data in [first, second] {
            message(&mut self.output, b'd', |out| out.put_slice(data));
        }
        message(&mut self.output, b'c', |_| {});
    }

    fn in_copy(&mut self, tag: frontend::Tag, simple: bool) {
        use frontend::Tag;
        match tag {
            Tag::CopyData | Tag::Sync | Tag::Flush => return,
            Tag::CopyDone => {
                self.copying = None;
                backend::CommandComplete { tag: b"COPY 1" }.encode(&mut self.output);
            }
            _ => {
                self.copying = None;
                self.fail();
                self.skipping = !simple;
            }
        }
        if simple {
            self.ready();
        }
    }

    fn fail(&mut self) {
        self.skipping = true;
        self.failed |= self.in_block;
        Diagnostic::error("XX000", format!("no such value: {SECRET}")).encode_error(&mut self.output);
    }

    fn ready(&mut self) {
        let status = match (self.in_block, self.failed) {
            (false, _) => TransactionStatus::Idle,
            (true, false) => TransactionStatus::Open,
            (true, true) => TransactionStatus::Failed,
        };
        backend::ReadyForQuery { status }.encode(&mut self.output);
    }
}

/// Whether a grammar would take it. It takes no message that stands for a refused one.
fn parses(text: &str) -> bool {
    text != "not a statement" && Some(text) != testing::own_statements().nth(2)
}

/// How many columns a statement returns.
fn columns(text: &str) -> usize {
    let own: Vec<&str> = testing::own_statements().collect();
    match own.iter().position(|statement| statement.trim() == text.trim()) {
        Some(0) => 4,
        Some(1) => 2,
        Some(_) => 1,
        None if ["SELECT", "FETCH", "EXECUTE", "EXPLAIN"]
            .iter()
            .any(|word| text.starts_with(word)) =>
        {
            1 + usize::from(text.contains("name,"))
        }
        None => 0,
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
