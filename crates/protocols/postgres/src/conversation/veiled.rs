//! Results that an agent masks: what the gateway tells it, and what it asks.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use sallyport_session::{Effects, Housekeeping, WireError};
use smol_str::SmolStr;

use super::PostgresConversation;
use super::expect::Expect;
use super::function::vouched_for;
use super::results::{Column, Described, Masking};
use super::target::{front_run, unexpected};
use crate::cells::CopyFormat;
use crate::understanding::Understood;
use crate::veil::{self, Columns, Down, Plan, Standing, Up};
use crate::wire::backend::Tag;

/// The agent that masks, and how far its target has been read.
#[derive(Debug)]
pub(crate) struct Veiled {
    agent: SmolStr,
    /// Messages of the target, rows and COPY data apart.
    seen: u64,
    /// Bytes that were sent, and how many of them the agent has taken.
    sent: u64,
    taken: u64,
    /// Bytes of plans that were given for the agent since nothing waited for it.
    told: usize,
}

impl Veiled {
    /// By the agents of this name.
    pub(crate) fn by(agent: SmolStr) -> Self {
        Self {
            agent,
            seen: 0,
            sent: 0,
            taken: 0,
            told: 0,
        }
    }

    /// Whether the client waits: the agent has more on its way than the target takes.
    pub(super) fn is_full(&self) -> bool {
        self.sent.saturating_sub(self.taken) >= veil::MAX_ON_THE_WAY
    }
}

impl PostgresConversation {
    /// A message of the target has been read.
    pub(super) fn count(&mut self, tag: Tag) {
        if let Some(veiled) = &mut self.veiled
            && !matches!(tag, Tag::DataRow | Tag::CopyData)
        {
            veiled.seen += 1;
        }
    }

    /// What the agent says at the start of `bytes`, taken off. `None` while it has not come whole.
    pub(super) fn hear_agent(&mut self, bytes: &mut BytesMut, out: &mut Effects) -> Result<Option<()>, WireError> {
        let heard = veil::decode::<Up>(bytes).map_err(|e| WireError::target(e.to_string()))?;
        let Some((len, up)) = heard else { return Ok(None) };
        bytes.advance(len.min(bytes.len()));
        match up {
            Up::Ask => self.answer_agent(out).map(Some),
            Up::Taken { bytes } => {
                if let Some(veiled) = &mut self.veiled {
                    veiled.taken = bytes;
                }
                Ok(Some(()))
            }
            Up::Failed { why } => Err(WireError::target(format!("the agent cannot mask what it sent: {why}"))),
            Up::Veiled => Err(WireError::target("the agent begins once more")),
        }
    }

    /// Follows how much is on its way to the agent.
    ///
    /// # Errors
    /// When the agent does not read how results are masked, whatever it says of that.
    pub(super) fn follow_agent(&mut self, out: &Effects) -> Result<(), WireError> {
        let Some(veiled) = &mut self.veiled else { return Ok(()) };
        veiled.sent = out.target_total();
        if out.target_len() == 0 {
            veiled.told = 0;
        }
        if veiled.told > veil::MAX_UNREAD {
            return Err(WireError::target("the agent does not read how results are masked"));
        }
        Ok(())
    }

    /// A result begins whose plan the agent does not have.
    fn answer_agent(&mut self, out: &mut Effects) -> Result<(), WireError> {
        let unplanned = |run: &super::expect::Run| matches!(run.masking, Masking::Undecided);
        match self.awaited.front() {
            Some(Expect::Own { .. }) => {
                self.tell_plan(Plan::Clear, out);
                Ok(())
            }
            Some(Expect::Execute { run, portal }) if unplanned(run) => {
                let columns = match portal {
                    Some(portal) => portal.columns(),
                    None => self.cursor_described.take(),
                };
                self.plan_execute(columns.as_deref(), out);
                match front_run(self) {
                    Some(run) if !unplanned(run) => Ok(()),
                    _ => Err(unmaskable()),
                }
            }
            Some(Expect::Query { run }) if unplanned(run) => Err(unmaskable()),
            Some(Expect::Function { run, result }) => {
                let (understood, result) = (Arc::clone(&run.understood), *result);
                let plan = self.plan_of_function(&understood, result);
                self.tell_plan(plan, out);
                Ok(())
            }
            // It was told with the description, and the two met on the way.
            Some(Expect::Execute { .. } | Expect::Query { .. }) => Ok(()),
            _ => Err(unexpected(Tag::DataRow)),
        }
    }

    fn plan_of_function(&self, understood: &Understood, result: Column) -> Plan {
        if self.masks.are_needless() {
            return Plan::Clear;
        }
        let plans = self
            .masks
            .columns(vouched_for(understood), &[result], &self.plan_sources());
        Plan::Value(Columns::of(&plans, &self.view.types))
    }

    /// Tells the agent how the result that begins is masked. It comes masked, so nothing is left to be done.
    pub(super) fn plan_at_agent(&mut self, columns: &[Column], out: &mut Effects) -> Masking {
        let Some(run) = self.awaited.front().and_then(Expect::run) else {
            return Masking::Undecided;
        };
        let (described, statement, understood) = (run.described, run.statement, run.understood.clone());
        let plan = if self.masks.are_needless() {
            Plan::Clear
        } else {
            // A second result of one statement is none that the statement's text announces.
            let statement = understood.facts.statements.get(statement).filter(|_| !described);
            let plans = self.masks.columns(statement, columns, &self.plan_sources());
            match self.masks.leave_alone(&plans, &self.view.types) {
                true => Plan::Clear,
                false => Plan::Rows(Columns::of(&plans, &self.view.types)),
            }
        };
        self.tell_plan(plan, out)
    }

    /// The same of COPY data.
    pub(super) fn plan_copy_at_agent(
        &mut self,
        format: Option<CopyFormat>,
        columns: &[Column],
        out: &mut Effects,
    ) -> Masking {
        let Some(format) = format else {
            return self.tell_plan(Plan::Clear, out);
        };
        let statement = self.awaited.front().and_then(Expect::run);
        let statement = statement.map(|run| (run.understood.clone(), run.statement));
        let statement = statement.as_ref().and_then(|(u, index)| u.facts.statements.get(*index));
        let plans = self.masks.columns(statement, columns, &self.plan_sources());
        self.tell_plan(Plan::Copy(format, Columns::of(&plans, &self.view.types)), out)
    }

    /// What holds for everything that the target says.
    pub(crate) fn standing(&self) -> Option<BytesMut> {
        let veiled = self.veiled.as_ref()?;
        let mut message = BytesMut::new();
        let standing = Standing {
            detectors: self.masks.reveals.detectors(&self.masks.classification),
            key: self.masks.key().for_agents(&veiled.agent),
            hides_columns: self.masks.hide_columns(),
        };
        veil::encode(&Down::Standing(standing), &mut message);
        Some(message)
    }

    /// What is left to be done here: nothing, if the agent can be told.
    fn tell_plan(&mut self, plan: Plan, out: &mut Effects) -> Masking {
        let Some(veiled) = &mut self.veiled else {
            return Masking::Undecided;
        };
        let mut message = BytesMut::new();
        veil::encode(&Down::Plan { at: veiled.seen, plan }, &mut message);
        if message.len() > veil::MAX {
            return Masking::Undecided;
        }
        veiled.told += message.len();
        out.tend(Housekeeping::Own, &message);
        Masking::Clear
    }

    pub(super) fn plan_execute(&mut self, described: Option<&Described>, out: &mut Effects) {
        let masking = match described {
            Some(described) => self.plan(&described.columns, out),
            None if self.masks.are_needless() && self.veiled.is_some() => self.plan_at_agent(&[], out),
            None if self.masks.are_needless() => Masking::Clear,
            None => Masking::Undecided,
        };
        if let Some(run) = front_run(self) {
            run.masking = masking;
        }
    }
}

fn unmaskable() -> WireError {
    WireError::target("a result that the agent cannot be told how to mask")
}
