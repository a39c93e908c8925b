//! The gateway's own questions on the session's connection, in the extended protocol so that they take part in the
//! client's transaction and touch none of its names.

use bytes::BytesMut;
use sallyport_session::{Effects, Housekeeping, WireError};

use super::PostgresConversation;
use super::expect::Expect;
use crate::replication::Walsender;
use crate::wire::backend::DataRow;
use crate::wire::frontend::{self, Subject};

impl PostgresConversation {
    /// Takes up the view of what names mean now under today's policy.
    fn renew_view(&mut self, out: &Effects) {
        let made_for = (self.scope.version(), out.generation());
        if self.view_made_for != made_for {
            self.view_made_for = made_for;
            self.view = self.scope.view(out.classification(), out.generation());
            self.plans.clear();
        }
    }

    /// Makes sure that names, and how text is read, are known before a statement is judged. False when the target must
    /// answer first.
    pub(super) fn names_are_known(&mut self, out: &mut Effects) -> bool {
        let needed = out.needs_names();
        let unsure = if needed {
            self.awaited.may_change_names()
        } else {
            self.awaited.may_unsettle()
        };
        if unsure {
            self.hurry(out);
            return false;
        }
        let doubtful = self.settings.are_doubtful() || self.names.are_doubted();
        let stale = doubtful || (needed && self.scope.is_stale());
        if !stale || self.cannot_ask() {
            self.renew_view(out);
            return true;
        }
        if self.awaited.is_empty() {
            self.ask_names(out);
        } else {
            self.hurry(out);
        }
        false
    }

    /// In a failed transaction the target answers nothing, and runs nothing but its end; where there is no database there
    /// are no names.
    fn cannot_ask(&self) -> bool {
        self.aborted || self.walsender == Some(Walsender::Physical)
    }

    /// Whether statements are judged by names that may be out of date.
    pub(super) fn names_are_stale(&mut self) -> bool {
        self.cannot_ask() && self.scope.is_stale()
    }

    /// Has the target send what it holds back until the end of the batch.
    pub(super) fn hurry(&mut self, out: &mut Effects) {
        if self.unsynced {
            let mut flush = BytesMut::new();
            frontend::flush(&mut flush);
            out.tend(Housekeeping::Boundary, &flush);
        }
    }

    fn ask_names(&mut self, out: &mut Effects) {
        let mut bytes = BytesMut::new();
        let queries = self.scope.begin_refresh(out.needs_names(), self.names.are_doubted());
        if self.walsender.is_some() {
            return self.ask_names_simply(&queries, out);
        }
        let count = queries.len();
        let name = self.scope.own_name().to_vec();
        for (index, text) in queries.into_iter().enumerate() {
            // One that was cut short in the middle has left the name behind.
            close_statement(&name, &mut bytes);
            frontend::Parse {
                name: &name,
                text: text.as_bytes(),
                parameter_types: Vec::new(),
            }
            .encode(&mut bytes);
            let bind = frontend::Bind {
                portal: &name,
                statement: &name,
                parameter_formats: Vec::new(),
                parameters: Vec::new(),
                result_formats: Vec::new(),
            };
            bind.encode(&mut bytes);
            frontend::Execute {
                portal: &name,
                max_rows: 0,
            }
            .encode(&mut bytes);
            frontend::Close {
                subject: Subject::Portal,
                name: &name,
            }
            .encode(&mut bytes);
            close_statement(&name, &mut bytes);
            let last = index + 1 == count && self.unsynced;
            self.awaited.push(Expect::Own { closes: 3, last });
        }
        if self.unsynced {
            frontend::flush(&mut bytes);
        } else {
            frontend::sync(&mut bytes);
            self.awaited.push(Expect::OwnSync);
        }
        out.tend(Housekeeping::Own, &bytes);
    }

    /// A row of an answer to the gateway's own question.
    pub(super) fn own_row(&mut self, body: &[u8]) -> Result<(), WireError> {
        let row = DataRow::decode(body).map_err(|e| WireError::target(e.to_string()))?;
        let mut values = Vec::new();
        for value in row.columns() {
            let value = value.map_err(|e| WireError::target(e.to_string()))?;
            values.push(value.map(|bytes| std::str::from_utf8(bytes).unwrap_or_default()));
        }
        if self.scope.asks_prepared() {
            self.names.found(&values);
            return Ok(());
        }
        self.scope.refresh_row(&values)
    }

    /// The gateway's questions are over: with answers, or cut short by an error.
    pub(super) fn own_ended(&mut self) {
        if let Some(now) = self.scope.end_refresh(self.in_transaction()) {
            self.settings
                .set(b"standard_conforming_strings", now.strings.as_bytes());
            self.settings.set(b"client_encoding", now.encoding.as_bytes());
            self.settings.are_sure();
            self.names.settle();
        }
    }
}

/// Closes a statement, if there is one of this name.
pub(super) fn close_statement(name: &[u8], bytes: &mut BytesMut) {
    let close = frontend::Close {
        subject: Subject::Statement,
        name,
    };
    close.encode(bytes);
}
