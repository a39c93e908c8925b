//! What the columns of a copied query are.
//!
//! `CopyOutResponse` says how many columns come, but not what they are, and a mask must give a value of the column's
//! type. For a table the catalogue knows. For a query the target is asked before the COPY goes to it: the query alone
//! is prepared and described, which runs nothing, under a name that is the gateway's.

use std::sync::{Arc, OnceLock};

use bytes::BytesMut;
use sallyport_session::{Effects, Housekeeping};

use super::PostgresConversation;
use super::expect::Expect;
use super::own::close_statement;
use super::results::Described;
use crate::understanding::Understood;
use crate::wire::frontend::{self, Subject};

/// What the target says of each query that a command copies out, by the number of its statement.
#[derive(Debug, Default)]
pub(super) struct Copied(Vec<(usize, Arc<OnceLock<Described>>)>);

impl Copied {
    /// Whether the target has said what it was asked.
    pub(super) fn is_answered(&self) -> bool {
        self.0.iter().all(|(_, described)| described.get().is_some())
    }

    /// The columns of a statement's query.
    pub(super) fn of(&self, statement: usize) -> Option<&Described> {
        let (_, described) = self.0.iter().find(|(number, _)| *number == statement)?;
        described.get()
    }
}

impl PostgresConversation {
    /// Asks for the columns of the queries that a command copies out. Nothing is asked when nothing is masked, or when
    /// the transaction has failed.
    pub(super) fn ask_copied(&mut self, understood: &Arc<Understood>, alone: bool, out: &mut Effects) -> Copied {
        if self.masks.are_needless() || self.aborted {
            return Copied::default();
        }
        let mut copied = Vec::new();
        let mut bytes = BytesMut::new();
        for (statement, query) in understood.copied_queries() {
            let Some(text) = self.settings.write(query) else {
                continue;
            };
            self.question(&text, &mut bytes);
            let described = Arc::new(OnceLock::new());
            copied.push((statement, Arc::clone(&described)));
            self.awaited.push(Expect::OwnTypes {
                understood: Arc::clone(understood),
                described,
                closes: 2,
                alone,
            });
        }
        if !bytes.is_empty() {
            out.tend(Housekeeping::Own, &bytes);
        }
        Copied(copied)
    }

    fn question(&self, text: &[u8], bytes: &mut BytesMut) {
        let name = self.scope.own_name();
        close_statement(name, bytes);
        frontend::Parse {
            name,
            text,
            parameter_types: Vec::new(),
        }
        .encode(bytes);
        frontend::Describe {
            subject: Subject::Statement,
            name,
        }
        .encode(bytes);
        close_statement(name, bytes);
    }

    /// Has the target answer what [`Self::ask_copied`] asked, when no other message will.
    pub(super) fn settle_copied(&mut self, out: &mut Effects) {
        let mut bytes = BytesMut::new();
        if self.unsynced {
            frontend::flush(&mut bytes);
        } else {
            frontend::sync(&mut bytes);
            self.awaited.push(Expect::OwnSync);
        }
        out.tend(Housekeeping::Own, &bytes);
    }
}
