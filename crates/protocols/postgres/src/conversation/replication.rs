//! Replication connections: commands of the walsender beside SQL, and streams in both directions.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sallyport_session::{Effects, Finish, Housekeeping, Phase, Spent, WireError};

use super::client::Step;
use super::expect::{Expect, Run};
use super::results::Masking;
use super::ruling::What;
use super::target::{Verdict, unexpected};
use super::{PostgresConversation, owned};
use crate::refuse;
use crate::replication::{self, Carries, Command, Tally, Walsender};
use crate::understanding::Understood;
use crate::wire::backend::Tag;
use crate::wire::frontend::{self, Query};

/// A stream that answers a replication command.
#[derive(Debug)]
pub(super) struct Stream {
    carries: Carries,
    /// The target streams now.
    open: bool,
    tally: Tally,
}

impl Stream {
    pub(super) fn new(carries: Carries, seq: u64) -> Self {
        Self {
            carries,
            open: false,
            tally: Tally::new(seq),
        }
    }
}

impl PostgresConversation {
    /// Servers take nothing but simple queries on a replication connection.
    pub(super) fn refuse_extended(&mut self, tag: frontend::Tag, out: &mut Effects) -> Option<Step> {
        self.walsender?;
        let simple = match tag {
            frontend::Tag::Parse
            | frontend::Tag::Bind
            | frontend::Tag::Describe
            | frontend::Tag::Execute
            | frontend::Tag::Close => false,
            frontend::Tag::FunctionCall => true,
            frontend::Tag::Query
            | frontend::Tag::Sync
            | frontend::Tag::Flush
            | frontend::Tag::CopyData
            | frontend::Tag::CopyDone
            | frontend::Tag::CopyFail
            | frontend::Tag::Password
            | frontend::Tag::Terminate => return None,
        };
        if !self.awaited.is_empty() {
            return Some(Step::Stall);
        }
        let message = "only simple queries are taken on a replication connection";
        let error = refuse::plain("08P01", message, "Send the statement as a simple query.");
        self.refuse(simple, 0, &error, out);
        Some(Step::Done)
    }

    /// A simple query on a replication connection. `None` when it is SQL, and judged as such.
    pub(super) fn on_walsender_query(&mut self, whole: &[u8], body: &[u8], out: &mut Effects) -> Option<Step> {
        let walsender = self.walsender?;
        // One at a time: what a server does with a message behind a command that streams depends on how far it is.
        if !self.awaited.is_empty() {
            return Some(Step::Stall);
        }
        let query = Query::decode(body).ok()?;
        let command = match self.settings.read(query.text) {
            Ok(readable) => replication::parse(&readable).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let why = match (command, walsender) {
            // `SHOW` is as in SQL, and judged and masked as there; it takes no names.
            (Ok(Some(Command::Show)), _) | (Ok(None), Walsender::Database) => return None,
            (Ok(None), Walsender::Physical) => "SQL is not run on a connection for physical replication".to_owned(),
            (Ok(Some(command)), _) => {
                self.ask_replication(whole, query.text, &command, out);
                return Some(Step::Done);
            }
            (Err(why), _) => why,
        };
        let understood = self.not_understood(owned(query.text), &why);
        let what = What::Query {
            understood: Arc::clone(&understood),
        };
        self.ask(whole, what, &understood, Phase::Run, Bytes::new(), out);
        Some(Step::Done)
    }

    fn ask_replication(&mut self, whole: &[u8], text: &[u8], command: &Command, out: &mut Effects) {
        let under = self.view.under;
        let understood = replication::understood(owned(text), command, out.classification(), &self.database, under);
        let understood = Arc::new(understood);
        let what = What::Replicate {
            understood: Arc::clone(&understood),
            carries: command.carries(),
        };
        self.ask(whole, what, &understood, Phase::Run, Bytes::new(), out);
    }

    /// What becomes of a message while the target answers a replication command, or the gateway's own questions in a simple
    /// query. `None` for messages that mean the same everywhere.
    #[expect(clippy::wildcard_enum_match_arm, reason = "asks for two kinds of message")]
    pub(super) fn judge_on_walsender(
        &mut self,
        tag: Tag,
        body: &[u8],
        out: &mut Effects,
    ) -> Option<Result<Verdict, WireError>> {
        self.walsender?;
        if !matches!(
            tag,
            Tag::RowDescription
                | Tag::DataRow
                | Tag::CommandComplete
                | Tag::CopyOutResponse
                | Tag::CopyBothResponse
                | Tag::CopyData
                | Tag::CopyDone
        ) {
            return None;
        }
        match self.awaited.front()? {
            Expect::Replicate { .. } => Some(self.on_replication(tag, body, out)),
            Expect::OwnQuery => Some(self.on_own_query(tag, body)),
            _ => None,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "any other message ends the session")]
    fn on_own_query(&mut self, tag: Tag, body: &[u8]) -> Result<Verdict, WireError> {
        match tag {
            Tag::RowDescription => {}
            Tag::DataRow => self.own_row(body)?,
            Tag::CommandComplete => self.scope.refresh_next(),
            _ => return Err(unexpected(tag)),
        }
        Ok(Verdict::Swallow)
    }

    /// What the target says while it answers a replication command. Its form is fixed by the server, and holds no column
    /// of a table, but for what the command carries: that was permitted as it is.
    fn on_replication(&mut self, tag: Tag, body: &[u8], out: &mut Effects) -> Result<Verdict, WireError> {
        let Some(Expect::Replicate { run, stream }) = self.awaited.front() else {
            return Err(unexpected(tag));
        };
        let (spent, seq) = (run.spent, run.spent.seq());
        let sent = match (tag, stream.carries) {
            (Tag::RowDescription | Tag::DataRow | Tag::CommandComplete, _) if !stream.open => Verdict::Pass(seq),
            (Tag::CopyOutResponse, Carries::Backup) if !stream.open => {
                stream.open = true;
                Verdict::Pass(seq)
            }
            (Tag::CopyBothResponse, Carries::Log | Carries::Changes) if !stream.open => {
                stream.open = true;
                self.copy_in = Some(spent);
                Verdict::Pass(seq)
            }
            (Tag::CopyData, Carries::Backup | Carries::Log) if stream.open => {
                if let Some(told) = stream.tally.sent(body) {
                    out.remark(told);
                }
                Verdict::Unrecorded
            }
            (Tag::CopyData, Carries::Changes) if stream.open => Verdict::Pass(seq),
            (Tag::CopyDone, _) if stream.open => {
                stream.open = false;
                Verdict::Pass(seq)
            }
            _ => return Err(unexpected(tag)),
        };
        Ok(sent)
    }

    /// What the client says of the stream that it receives. What only says how far it is, is told of with the stream.
    pub(super) fn is_reply(&mut self, body: &[u8]) -> bool {
        match self.awaited.front() {
            Some(Expect::Replicate { stream, .. }) => stream.tally.replied(body),
            _ => false,
        }
    }

    /// A replication command has been answered to the end.
    pub(super) fn end_replication(&mut self, run: &Run, mut stream: Box<Stream>, out: &mut Effects) {
        if let Some(told) = stream.tally.rest() {
            out.remark(told);
        }
        if !run.failed {
            out.finished(run.spent.seq(), Finish::Completed);
        }
    }

    /// Tells of a stream that the session's end cuts off.
    pub(super) fn cut_off(&mut self, out: &mut Effects) {
        if let Some(Expect::Replicate { stream, .. }) = self.awaited.front()
            && let Some(told) = stream.tally.rest()
        {
            out.remark(told);
        }
    }

    pub(super) fn forwarded_replication(&mut self, spent: Spent, understood: Arc<Understood>, carries: Carries) {
        let stream = Box::new(Stream::new(carries, spent.seq()));
        let run = Run::new(spent, understood, Masking::Undecided);
        self.awaited.push(Expect::Replicate { run, stream });
        self.end_batch();
    }

    /// Asks the gateway's own questions in one simple query: a walsender takes no other.
    pub(super) fn ask_names_simply(&mut self, queries: &[&'static str], out: &mut Effects) {
        let mut bytes = BytesMut::new();
        let text = queries.join(";\n");
        Query { text: text.as_bytes() }.encode(&mut bytes);
        out.tend(Housekeeping::Own, &bytes);
        self.awaited.push(Expect::OwnQuery);
    }
}
