//! What the target says.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use sallyport_session::{Effects, Finish, Housekeeping, Reveals, WireError};

use super::PostgresConversation;
use super::expect::{Expect, Run, finish};
use super::results::{self, Described, Masking};
use crate::scrub::Scrubber;
use crate::settings::Settings;
use crate::veil;
use crate::wire::backend::{
    NotificationResponse, ParameterStatus, ReadyForQuery, RowDescription, Tag, TransactionStatus,
};
use crate::wire::{Diagnostic, Frame, Limits, peek_frame};

/// Memory for rows that are written anew that a session keeps between results.
const MAX_IDLE_SCRATCH: usize = 8 * 1024;

/// What becomes of a message of the target.
pub(super) enum Verdict {
    /// It goes to the client as it is, as part of the response of this command.
    Pass(u64),
    /// It goes to the client as it is; what the recording holds of it is told elsewhere.
    Unrecorded,
    /// It was for the gateway alone.
    Swallow,
    /// It is written anew by [`PostgresConversation::rewrite`], as part of the response of this command.
    Rewrite(u64),
}

impl Verdict {
    /// The command whose response is recorded with the message.
    fn seq(&self) -> Option<u64> {
        match self {
            Self::Pass(seq) | Self::Rewrite(seq) => Some(*seq),
            Self::Unrecorded | Self::Swallow => None,
        }
    }
}

impl PostgresConversation {
    pub(super) fn read_target(&mut self, bytes: &mut BytesMut, out: &mut Effects) -> Result<(), WireError> {
        self.stalled = false;
        if self.pass_on(bytes, out) {
            return Ok(());
        }
        // The first `run` bytes are whole messages that pass as they are, all part of one command's response, or of what
        // the recording does not hold.
        let (mut run, mut seq) = (0, Some(0));
        loop {
            let rest = bytes.get(run..).unwrap_or_default();
            if self.veiled.is_some() && rest.first() == Some(&veil::TYPE) {
                send(seq, bytes, std::mem::take(&mut run), out);
                match self.hear_agent(bytes, out)? {
                    Some(()) => continue,
                    None => break,
                }
            }
            let frame = peek_frame::<Tag>(rest, &Limits::default()).map_err(|e| WireError::target(e.to_string()))?;
            let Some(frame) = frame else { break };
            if !frame.is_whole(rest) {
                send(seq, bytes, std::mem::take(&mut run), out);
                self.begin_passing(frame, bytes, out)?;
                break;
            }
            self.count(frame.tag);
            let body = frame.body(rest).unwrap_or_default();
            let verdict = self.judge(frame.tag, body, out)?;
            match verdict {
                Verdict::Pass(_) | Verdict::Unrecorded => {
                    let of = verdict.seq();
                    if of != seq {
                        send(seq, bytes, run, out);
                        (run, seq) = (0, of);
                    }
                    run += frame.total_len;
                }
                Verdict::Swallow => {
                    send(seq, bytes, run, out);
                    run = 0;
                    bytes.advance(frame.total_len.min(bytes.len()));
                }
                Verdict::Rewrite(of) => {
                    send(seq, bytes, run, out);
                    run = 0;
                    let taken = if frame.tag == Tag::DataRow {
                        self.mask_rows(of, bytes, out)?
                    } else {
                        frame.tag == Tag::CopyData && self.mask_copied_rows(of, bytes, out)?
                    };
                    if !taken {
                        self.rewrite(of, frame, bytes, out)?;
                        bytes.advance(frame.total_len.min(bytes.len()));
                    }
                }
            }
        }
        if run > 0 {
            send(seq, bytes, run, out);
        }
        self.resume(out);
        Ok(())
    }

    /// Follows the target's state and says what becomes of the message.
    fn judge(&mut self, tag: Tag, body: &[u8], out: &mut Effects) -> Result<Verdict, WireError> {
        if let Some(verdict) = self.judge_on_walsender(tag, body, out) {
            return verdict;
        }
        match tag {
            Tag::DataRow => self.on_row(body, out),
            Tag::CommandComplete => self.on_complete(out),
            Tag::ReadyForQuery => self.on_ready(body, out),
            Tag::RowDescription => {
                let verdict = self.on_description(Some(body), out)?;
                self.with_titles(verdict, body)
            }
            Tag::NoData => self.on_description(None, out),
            Tag::ParseComplete => self.on_parsed(),
            Tag::BindComplete => self.on_bound(),
            Tag::CloseComplete => self.on_closed(),
            Tag::ParameterDescription => self.on_parameters(body),
            Tag::EmptyQueryResponse => self.on_end_of_execute(out, true),
            Tag::PortalSuspended => self.on_end_of_execute(out, false),
            Tag::CopyInResponse => {
                // A target that takes COPY data swallows whatever else comes, so nothing may be on its way.
                if !self.awaited.drop_ignored_in_copy() {
                    return Err(WireError::client("messages behind a COPY that has not ended"));
                }
                self.unsynced = matches!(self.awaited.front(), Some(Expect::Execute { .. }));
                self.on_copy_in()
            }
            Tag::CopyOutResponse => self.on_copy_out(body, out),
            Tag::CopyData => self.on_copy_data(),
            Tag::CopyDone => self.on_copy_done(),
            Tag::FunctionCallResponse => self.on_function_result(),
            Tag::ErrorResponse => Ok(Verdict::Rewrite(self.current())),
            Tag::NoticeResponse | Tag::NotificationResponse | Tag::ParameterStatus => {
                Ok(Verdict::Rewrite(self.current()))
            }
            Tag::CopyBothResponse | Tag::Authentication | Tag::BackendKeyData | Tag::NegotiateProtocolVersion => {
                Err(unexpected(tag))
            }
        }
    }

    /// The command that the target is answering.
    fn current(&mut self) -> u64 {
        self.awaited.front().map_or(0, |e| e.seq())
    }

    pub(super) fn on_row(&mut self, body: &[u8], out: &mut Effects) -> Result<Verdict, WireError> {
        match self.awaited.front() {
            Some(Expect::Own { .. }) => {
                self.own_row(body)?;
                Ok(Verdict::Swallow)
            }
            Some(Expect::Execute { run, portal }) => {
                if matches!(run.masking, Masking::Undecided) {
                    if self.veiled.is_some() {
                        return Err(WireError::target("rows that the agent was not told how to mask"));
                    }
                    // A cursor that SQL declared has no portal here; what it returns was asked just before.
                    let columns = match portal {
                        Some(portal) => portal.columns(),
                        None => self.cursor_described.take(),
                    };
                    self.plan_execute(columns.as_deref(), out);
                }
                Ok(self.verdict_on_row())
            }
            Some(Expect::Query { .. }) => Ok(self.verdict_on_row()),
            _ => Err(unexpected(Tag::DataRow)),
        }
    }

    fn verdict_on_row(&mut self) -> Verdict {
        match self.awaited.front().and_then(Expect::run) {
            Some(run) if matches!(run.masking, Masking::Clear) => Verdict::Pass(run.spent.seq()),
            Some(run) => Verdict::Rewrite(run.spent.seq()),
            None => Verdict::Rewrite(0),
        }
    }

    /// How the result that begins is masked.
    pub(super) fn plan(&mut self, columns: &[results::Column], out: &mut Effects) -> Masking {
        if self.veiled.is_some() {
            return self.plan_at_agent(columns, out);
        }
        let Some(run) = self.awaited.front().and_then(Expect::run) else {
            return Masking::Undecided;
        };
        let sources = results::Sources {
            classification: &self.masks.classification,
            catalog: &self.view.catalog,
            types: &self.view.types,
        };
        // A second result of one statement (a rule added it) is none that the statement's text announces.
        if run.described {
            return self.masks.rows(None, columns, &sources);
        }
        let statement = run.understood.facts.statements.get(run.statement);
        let make = || self.masks.rows(statement, columns, &sources);
        self.plans.take(&run.result(), columns, make)
    }

    /// The current result has been read.
    fn end_result(&mut self) {
        if self.scratch.capacity() > MAX_IDLE_SCRATCH {
            self.scratch = Vec::new();
        }
        if let Some(run) = self.awaited.front().and_then(Expect::run) {
            let used = std::mem::replace(&mut run.masking, Masking::Undecided);
            if !run.described_again {
                self.plans.give_back(&run.result(), used);
            }
        }
    }

    pub(super) fn plan_sources(&self) -> results::Sources<'_> {
        results::Sources {
            classification: &self.masks.classification,
            catalog: &self.view.catalog,
            types: &self.view.types,
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "`judge` names each message; any that it does not send here ends the session"
    )]
    /// Writes a message anew: rows with masks, errors and notices without what they give away.
    fn rewrite(&mut self, seq: u64, frame: Frame<Tag>, bytes: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let body = frame.body(bytes).unwrap_or_default();
        match frame.tag {
            Tag::RowDescription => self.mask_titles(seq, body, out),
            Tag::CopyData => self.mask_copy(seq, body, out),
            Tag::CopyDone => self.mask_copy_end(seq, out),
            Tag::FunctionCallResponse => self.mask_function_result(seq, body, out),
            Tag::ErrorResponse => self.on_error(seq, body, out),
            Tag::NoticeResponse => {
                let mut notice = Diagnostic::decode(body).map_err(target_error)?;
                self.scrubber().notice(&mut notice);
                let mut message = BytesMut::new();
                notice.encode_notice(&mut message);
                out.show(seq, &message);
                Ok(())
            }
            Tag::NotificationResponse => {
                let notification = NotificationResponse::decode(body).map_err(target_error)?;
                let payload = self.masks.clean(notification.payload);
                let channel = self.masks.clean(notification.channel);
                let mut message = BytesMut::new();
                NotificationResponse {
                    channel: &channel,
                    payload: &payload,
                    ..notification
                }
                .encode(&mut message);
                out.show(seq, &message);
                Ok(())
            }
            Tag::ParameterStatus => self.on_setting(seq, body, out),
            other => Err(unexpected(other)),
        }
    }

    fn on_complete(&mut self, out: &mut Effects) -> Result<Verdict, WireError> {
        match self.awaited.front() {
            Some(Expect::Own { .. }) => {
                self.scope.refresh_next();
                Ok(Verdict::Swallow)
            }
            Some(Expect::Query { .. }) => {
                self.end_result();
                let Some(run) = front_run(self) else {
                    return Err(unexpected(Tag::CommandComplete));
                };
                let (seq, index) = (run.spent.seq(), run.statement);
                let understood = Arc::clone(&run.understood);
                run.statement += 1;
                run.described = false;
                run.described_again = false;
                let last = index + 1 >= understood.facts.statements.len();
                self.took_effect(understood.facts.statements.get(index), &understood);
                if last {
                    out.finished(seq, Finish::Completed);
                }
                Ok(Verdict::Pass(seq))
            }
            Some(Expect::Execute { .. }) => self.on_end_of_execute(out, true),
            _ => Err(unexpected(Tag::CommandComplete)),
        }
    }

    fn on_end_of_execute(&mut self, out: &mut Effects, complete: bool) -> Result<Verdict, WireError> {
        match self.awaited.front() {
            Some(Expect::Query { run }) => return Ok(Verdict::Pass(run.spent.seq())),
            Some(Expect::Execute { .. }) => {}
            _ => return Err(unexpected(Tag::CommandComplete)),
        }
        self.end_result();
        let Some(Expect::Execute { run, .. }) = self.awaited.pop() else {
            return Err(unexpected(Tag::CommandComplete));
        };
        if complete {
            self.took_effect(run.understood.facts.statements.first(), &run.understood);
            out.finished(run.spent.seq(), finish(&run));
        }
        Ok(Verdict::Pass(run.spent.seq()))
    }

    fn on_ready(&mut self, body: &[u8], out: &mut Effects) -> Result<Verdict, WireError> {
        let ready = ReadyForQuery::decode(body).map_err(target_error)?;
        let entry = self.awaited.pop();
        self.copy_in = None;
        self.status = ready.status;
        self.aborted = ready.status == TransactionStatus::Failed;
        self.settings.are_sure();
        if ready.status == TransactionStatus::Idle {
            self.names.end_transaction(self.first_unfinished_batch());
            self.scope.batch_ended();
        }
        match entry {
            Some(Expect::Sync) => Ok(Verdict::Pass(0)),
            Some(Expect::Query { run } | Expect::Function { run, .. }) => Ok(Verdict::Pass(run.spent.seq())),
            Some(Expect::Poison { simple: true, seq, .. }) => Ok(Verdict::Pass(seq)),
            Some(Expect::Replicate { run, stream }) => {
                self.end_replication(&run, stream, out);
                Ok(Verdict::Pass(run.spent.seq()))
            }
            Some(Expect::OwnSync | Expect::OwnQuery) => {
                self.own_ended();
                Ok(Verdict::Swallow)
            }
            _ => Err(unexpected(Tag::ReadyForQuery)),
        }
    }

    fn on_description(&mut self, body: Option<&[u8]>, out: &mut Effects) -> Result<Verdict, WireError> {
        let description = body.map(RowDescription::decode).transpose().map_err(target_error)?;
        let described = Arc::new(Described::of(description.as_ref()));
        match self.awaited.front() {
            Some(Expect::Query { .. }) => {
                self.plan_query(&described, out);
                return Ok(Verdict::Pass(self.current()));
            }
            Some(Expect::OwnTypes { described, .. }) => {
                let _ = described.set(Described::of(description.as_ref()));
                return Ok(Verdict::Swallow);
            }
            Some(Expect::DescribeStatement { .. } | Expect::DescribePortal { .. } | Expect::OwnDescribe { .. }) => {}
            _ => return Err(unexpected(Tag::RowDescription)),
        }
        match self.awaited.pop() {
            Some(Expect::DescribeStatement { statement, .. }) => {
                if let Some(statement) = statement {
                    let _ = statement.described.set(described);
                }
                Ok(Verdict::Pass(0))
            }
            Some(Expect::DescribePortal { portal }) => {
                let seq = portal.as_ref().map_or(0, |p| p.spent.seq());
                if let Some(portal) = portal {
                    let _ = portal.described.set(described);
                }
                Ok(Verdict::Pass(seq))
            }
            Some(Expect::OwnDescribe { portal }) => {
                match portal {
                    Some(portal) => drop(portal.described.set(described)),
                    None => self.cursor_described = Some(described),
                }
                Ok(Verdict::Swallow)
            }
            _ => Err(unexpected(Tag::RowDescription)),
        }
    }

    /// A result of a simple query begins.
    fn plan_query(&mut self, described: &Described, out: &mut Effects) {
        let masking = self.plan(&described.columns, out);
        if let Some(run) = front_run(self) {
            run.masking = masking;
            run.described_again = run.described;
            run.described = true;
        }
    }

    fn on_setting(&mut self, seq: u64, body: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let setting = ParameterStatus::decode(body).map_err(target_error)?;
        self.settings.set(setting.name, setting.value);
        let value = if Settings::follows(setting.name) {
            setting.value.into()
        } else {
            self.masks.clean(setting.value)
        };
        let mut message = BytesMut::new();
        ParameterStatus {
            name: setting.name,
            value: &value,
        }
        .encode(&mut message);
        out.show(seq, &message);
        Ok(())
    }

    /// The number of the first batch that the target has not finished.
    fn first_unfinished_batch(&self) -> u64 {
        self.batch
            .saturating_sub(u64::try_from(self.awaited.unfinished_batches()).unwrap_or(u64::MAX))
    }

    pub(super) fn scrubber(&mut self) -> Scrubber<'_> {
        let understood = self.awaited.front().and_then(|e| e.understood().cloned());
        Scrubber::new(understood, &self.masks, &self.view.catalog)
    }

    /// Makes masks for today's policy, if they are not.
    pub(super) fn renew_masks(&mut self, reveals: Arc<Reveals>, out: &mut Effects) {
        if self.masks.reveals.generation != reveals.generation || !Arc::ptr_eq(&self.masks.reveals, &reveals) {
            let key = Arc::clone(self.masks.key());
            self.masks = results::Masks::new(reveals, out.classification(), key);
            self.plans.clear();
            self.plain_titles.clear();
            if let Some(standing) = self.standing() {
                out.tend(Housekeeping::Own, &standing);
            }
        }
    }
}

/// Sends the first `len` bytes as they are: as part of a command's response, or without recording them.
fn send(seq: Option<u64>, bytes: &mut BytesMut, len: usize, out: &mut Effects) {
    match seq {
        Some(seq) => out.show_run(seq, bytes, len),
        None => out.tell_run(bytes, len),
    }
}

pub(super) fn target_error(error: crate::wire::WireError) -> WireError {
    WireError::target(error.to_string())
}

pub(super) fn unexpected(tag: Tag) -> WireError {
    WireError::target(format!("{tag:?} where it has no place"))
}

/// A run of the front, for the folder's other files.
pub(super) fn front_run(conversation: &mut PostgresConversation) -> Option<&mut Run> {
    conversation.awaited.front().and_then(Expect::run)
}
