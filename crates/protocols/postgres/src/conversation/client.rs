//! What the client says.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use sallyport_session::{Effects, Housekeeping, Phase, WireError};
use sallyport_sql::Facts;

use super::expect::Expect;
use super::ruling::What;
use super::{Discarding, PostgresConversation, owned};
use crate::parameters;
use crate::refuse;
use crate::understanding;
use crate::wire::backend::{ReadyForQuery, TransactionStatus};
use crate::wire::frontend::{self, Subject, Tag};
use crate::wire::{Frame, next_frame};

/// What became of the first message in the buffer.
pub(super) enum Step {
    /// It is dealt with, or kept in a question; the next one may be looked at.
    Done,
    /// It stays where it is until the target has answered something.
    Stall,
}

impl PostgresConversation {
    pub(super) fn read_client(&mut self, bytes: &mut BytesMut, out: &mut Effects) -> Result<(), WireError> {
        while self.pending.is_none() && !self.stalled {
            if self.awaited.is_full() {
                self.hurry(out);
                self.stalled = true;
                return Ok(());
            }
            if self.skips(bytes) {
                return Ok(());
            }
            let frame = match next_frame::<Tag>(bytes, &self.limits) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(offence) => {
                    self.on_offence(&offence, out)?;
                    continue;
                }
            };
            match self.client_message(frame, bytes, out)? {
                Step::Done => bytes.advance(frame.total_len.min(bytes.len())),
                Step::Stall if self.awaited.is_empty() => {
                    return Err(WireError::client("a message that can never be answered"));
                }
                Step::Stall => self.stalled = true,
            }
        }
        Ok(())
    }

    fn client_message(&mut self, frame: Frame<Tag>, bytes: &[u8], out: &mut Effects) -> Result<Step, WireError> {
        let whole = bytes.get(..frame.total_len).unwrap_or_default();
        let body = frame.body(bytes).unwrap_or_default();
        if self.copy_in.is_some() {
            return self.client_in_copy(frame.tag, whole, body, out);
        }
        if self.discarding != Discarding::No && !matches!(frame.tag, Tag::Sync | Tag::Terminate) {
            return Ok(Step::Done);
        }
        if let Some(step) = self.without_names(frame.tag, out) {
            return Ok(step);
        }
        if let Some(step) = self.refuse_extended(frame.tag, out) {
            return Ok(step);
        }
        match frame.tag {
            Tag::Query => self.on_query(whole, body, out),
            Tag::Parse => self.on_parse(whole, body, out),
            Tag::Bind => self.on_bind(whole, body, out),
            Tag::Describe => self.on_describe(whole, body, out),
            Tag::Execute => self.on_execute(whole, body, out),
            Tag::Close => self.on_close(whole, body, out),
            Tag::FunctionCall => self.on_function(whole, body, out),
            Tag::Sync => {
                self.on_sync(whole, out);
                Ok(Step::Done)
            }
            Tag::Flush => {
                out.tend(Housekeeping::Boundary, whole);
                Ok(Step::Done)
            }
            // The target would ignore these outside a COPY; while one may be about to begin, wait and see.
            Tag::CopyData | Tag::CopyDone | Tag::CopyFail => Ok(if self.awaited.may_copy_in() {
                self.stall(out)
            } else {
                Step::Done
            }),
            // What was asked for before it is answered first, and recorded.
            Tag::Terminate if !self.awaited.is_empty() => Ok(self.stall(out)),
            Tag::Terminate => {
                out.tend(Housekeeping::Goodbye, whole);
                out.end();
                Ok(Step::Done)
            }
            Tag::Password => Err(WireError::client("a password outside of the login")),
        }
    }

    /// The message that waits for the target, which is made to answer what it has.
    fn stall(&mut self, out: &mut Effects) -> Step {
        self.hurry(out);
        Step::Stall
    }

    /// The target did not answer the gateway's questions: the command that needed them fails with the target's error.
    fn without_names(&mut self, tag: Tag, out: &mut Effects) -> Option<Step> {
        let simple = match tag {
            Tag::Query | Tag::FunctionCall => true,
            Tag::Parse | Tag::Bind | Tag::Execute => false,
            Tag::Describe
            | Tag::Close
            | Tag::Sync
            | Tag::Flush
            | Tag::CopyData
            | Tag::CopyDone
            | Tag::CopyFail
            | Tag::Terminate
            | Tag::Password => return None,
        };
        let error = self.own_error.take()?;
        self.refuse(simple, 0, &error, out);
        Some(Step::Done)
    }

    fn on_query(&mut self, whole: &[u8], body: &[u8], out: &mut Effects) -> Result<Step, WireError> {
        if let Some(step) = self.on_walsender_query(whole, body, out) {
            return Ok(step);
        }
        if !self.names_are_known(out) {
            return Ok(Step::Stall);
        }
        let understood = match frontend::Query::decode(body) {
            Ok(query) => self.understand(query.text, out),
            // A message that is whole but malformed is a command that nobody understands (I3).
            Err(error) => self.not_understood(owned(body), &error.to_string()),
        };
        if !self.is_sure(&understood) {
            return Ok(self.stall(out));
        }
        self.ask(
            whole,
            What::Query {
                understood: Arc::clone(&understood),
            },
            &understood,
            Phase::Run,
            Bytes::new(),
            out,
        );
        Ok(Step::Done)
    }

    fn on_parse(&mut self, whole: &[u8], body: &[u8], out: &mut Effects) -> Result<Step, WireError> {
        if !self.names_are_known(out) {
            return Ok(Step::Stall);
        }
        let parse = match frontend::Parse::decode(body) {
            Ok(parse) => parse,
            // As a query that is whole but malformed: refused, as the target would.
            Err(error) => {
                let understood = self.not_understood(owned(body), &error.to_string());
                let what = What::Parse {
                    name: Box::default(),
                    understood: Arc::clone(&understood),
                    types: Arc::default(),
                };
                self.ask(whole, what, &understood, Phase::Prepare, Bytes::new(), out);
                return Ok(Step::Done);
            }
        };
        if self.names.are_full() {
            return Ok(self.refuse_another("prepared statements", out));
        }
        let understood = if parse
            .parameter_types
            .iter()
            .any(|ty| self.view.catalog.type_runs_code(*ty))
        {
            let why = "the type of a parameter runs code of the database's users; cast the parameter instead";
            self.not_understood(owned(parse.text), why)
        } else {
            self.understand(parse.text, out)
        };
        if !self.is_sure(&understood) {
            return Ok(self.stall(out));
        }
        let types = parse.parameter_types.into();
        let what = What::Parse {
            name: parse.name.into(),
            understood: Arc::clone(&understood),
            types,
        };
        self.ask(whole, what, &understood, Phase::Prepare, Bytes::new(), out);
        Ok(Step::Done)
    }

    fn on_bind(&mut self, whole: &[u8], body: &[u8], out: &mut Effects) -> Result<Step, WireError> {
        let bind = frontend::Bind::decode(body).map_err(client_error)?;
        if self.names.are_doubted() && !self.names_are_known(out) {
            return Ok(Step::Stall);
        }
        let statement = self.names.statement(bind.statement);
        let failed = || self.names.end_of_failed(bind.statement).filter(|_| self.aborted);
        let Some(statement) = statement.or_else(failed).cloned() else {
            if self.awaited.may_change_names() {
                return Ok(self.stall(out));
            }
            return Ok(self.refuse_name("26000", "prepared statement", bind.statement, out));
        };
        if !statement.is_sure(self.batch) || !self.names_are_known(out) {
            return Ok(self.stall(out));
        }
        if self.names.are_full() {
            return Ok(self.refuse_another("portals", out));
        }
        let statement = self.today(bind.statement, statement, out);
        if !self.is_sure(&statement.understood) {
            return Ok(self.stall(out));
        }
        let parameters = parameters::of_bind(body, bind.portal, bind.statement);
        let understood = self.with_values(Arc::clone(&statement.understood), &statement, &parameters, out);
        let statement = if Arc::ptr_eq(&understood, &statement.understood) {
            statement
        } else {
            Arc::new(statement.again(Arc::clone(&understood)))
        };
        let what = What::Bind {
            name: bind.portal.into(),
            statement,
            formats: bind.result_formats,
            parameters: parameters.clone(),
        };
        self.ask(whole, what, &understood, Phase::Run, parameters, out);
        Ok(Step::Done)
    }

    fn on_describe(&mut self, whole: &[u8], body: &[u8], out: &mut Effects) -> Result<Step, WireError> {
        let describe = frontend::Describe::decode(body).map_err(client_error)?;
        if self.names.are_doubted() && !self.names_are_known(out) {
            return Ok(Step::Stall);
        }
        let (sure, expect) = match describe.subject {
            Subject::Statement => {
                let statement = self.names.statement(describe.name).cloned();
                let sure = statement.as_ref().map(|s| s.is_sure(self.batch));
                (
                    sure,
                    Expect::DescribeStatement {
                        statement,
                        parameters_seen: false,
                    },
                )
            }
            Subject::Portal => {
                let portal = self.names.portal(describe.name).cloned();
                let sure = portal.as_ref().map(|p| p.is_sure(self.batch));
                (
                    sure.or_else(|| self.names.has_cursor(describe.name).then_some(true)),
                    Expect::DescribePortal { portal },
                )
            }
        };
        match sure {
            Some(true) => {}
            Some(false) => return Ok(self.stall(out)),
            None if self.awaited.may_change_names() => return Ok(self.stall(out)),
            None => {
                let (sqlstate, kind) = match describe.subject {
                    Subject::Statement => ("26000", "prepared statement"),
                    Subject::Portal => ("34000", "portal"),
                };
                return Ok(self.refuse_name(sqlstate, kind, describe.name, out));
            }
        }
        out.tend(Housekeeping::Bookkeeping, whole);
        self.unsynced = true;
        self.awaited.push(expect);
        Ok(Step::Done)
    }

    fn on_execute(&mut self, whole: &[u8], body: &[u8], out: &mut Effects) -> Result<Step, WireError> {
        let execute = frontend::Execute::decode(body).map_err(client_error)?;
        let Some(portal) = self.names.portal(execute.portal).cloned() else {
            return self.on_execute_cursor(whole, &execute, out);
        };
        if !portal.is_sure(self.batch) || !self.names_are_known(out) {
            return Ok(self.stall(out));
        }
        let mut understood = Arc::clone(&portal.understood);
        if understood.depends_on_session || understood.under != self.view.under {
            let by_sql = portal.statement.as_ref().and_then(|s| s.by_sql.clone());
            understood = self.understand_again(&portal.understood, by_sql.as_deref(), out);
            if let Some(statement) = &portal.statement {
                understood = self.with_values(understood, statement, &portal.parameters, out);
            }
            if !self.is_sure(&understood) {
                return Ok(self.stall(out));
            }
        }
        let types = portal
            .statement
            .as_ref()
            .map(|s| Arc::clone(&s.parameter_types))
            .unwrap_or_default();
        if understood.depends_on_session && self.meaning(&understood, &types) != portal.meaning {
            return Ok(self.refuse_changed(out));
        }
        if portal.understood.under == self.view.under {
            self.execute(whole, &portal, out);
            return Ok(Step::Done);
        }
        // Something changed since it was bound: what runs must be what is permitted now.
        let parameters = portal.parameters.clone();
        let what = What::Execute {
            name: execute.portal.into(),
            understood: Arc::clone(&understood),
            portal: Some(portal),
            max_rows: execute.max_rows,
        };
        self.ask(whole, what, &understood, Phase::Run, parameters, out);
        Ok(Step::Done)
    }

    /// `Execute` of a cursor that SQL declared: the same as fetching from it.
    fn on_execute_cursor(
        &mut self,
        whole: &[u8],
        execute: &frontend::Execute<'_>,
        out: &mut Effects,
    ) -> Result<Step, WireError> {
        if self.awaited.may_change_names() || !self.names_are_known(out) {
            return Ok(self.stall(out));
        }
        let Some(facts) = self.names.cursor_facts(execute.portal) else {
            return Ok(self.refuse_name("34000", "portal", execute.portal, out));
        };
        let text = Bytes::from([b"FETCH FROM ", execute.portal].concat());
        let facts = Arc::new(Facts {
            statements: vec![(*facts).clone()],
        });
        let understood = Arc::new(understanding::of_facts(text, facts, &self.sources(out)));
        let what = What::Execute {
            name: execute.portal.into(),
            understood: Arc::clone(&understood),
            portal: None,
            max_rows: execute.max_rows,
        };
        self.ask(whole, what, &understood, Phase::Run, Bytes::new(), out);
        Ok(Step::Done)
    }

    fn on_close(&mut self, whole: &[u8], body: &[u8], out: &mut Effects) -> Result<Step, WireError> {
        let close = frontend::Close::decode(body).map_err(client_error)?;
        let expect = match close.subject {
            Subject::Statement => Expect::CloseStatement {
                name: close.name.into(),
                before: self.names.set_statement(close.name, None),
            },
            Subject::Portal => Expect::ClosePortal {
                name: close.name.into(),
                before: self.names.set_portal(close.name, None),
            },
        };
        out.tend(Housekeeping::Bookkeeping, whole);
        self.unsynced = true;
        self.awaited.push(expect);
        Ok(Step::Done)
    }

    fn on_sync(&mut self, whole: &[u8], out: &mut Effects) {
        if std::mem::replace(&mut self.discarding, Discarding::No) == Discarding::Alone {
            let mut ready = BytesMut::new();
            ReadyForQuery { status: self.status }.encode(&mut ready);
            out.tell(&ready);
            return;
        }
        out.tend(Housekeeping::Boundary, whole);
        self.awaited.push(Expect::Sync);
        self.end_batch();
    }

    fn refuse_name(&mut self, sqlstate: &'static str, kind: &str, name: &[u8], out: &mut Effects) -> Step {
        let name = String::from_utf8_lossy(name);
        let message = format!("{kind} \"{name}\" does not exist");
        let hint = "The gateway knows of no such name, or cannot be sure what it means; prepare or declare it again.";
        let error = refuse::plain(sqlstate, &message, hint);
        self.refuse(false, 0, &error, out);
        Step::Done
    }

    fn refuse_another(&mut self, what: &str, out: &mut Effects) -> Step {
        let message = format!("this session holds too much in its {what}");
        let error = refuse::plain("54000", &message, "Close or deallocate some of them.");
        self.refuse(false, 0, &error, out);
        Step::Done
    }

    fn refuse_changed(&mut self, out: &mut Effects) -> Step {
        let message = "what this portal runs has another meaning since it was bound";
        let error = refuse::plain("34000", message, "Bind the statement again.");
        self.refuse(false, 0, &error, out);
        Step::Done
    }

    /// Whether a transaction block is open, as far as the target has said.
    pub(super) fn in_transaction(&self) -> bool {
        self.status != TransactionStatus::Idle || self.unsynced
    }
}

pub(super) fn client_error(error: crate::wire::WireError) -> WireError {
    WireError::client(error.to_string())
}
