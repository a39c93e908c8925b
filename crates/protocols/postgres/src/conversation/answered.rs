//! What the target says of statements and portals: that they are made, or gone.

use std::sync::atomic::Ordering;

use sallyport_session::WireError;

use super::PostgresConversation;
use super::expect::Expect;
use super::target::{Verdict, target_error, unexpected};
use crate::wire::backend::{ParameterDescription, Tag};

impl PostgresConversation {
    pub(super) fn on_parsed(&mut self) -> Result<Verdict, WireError> {
        match self.awaited.front() {
            Some(Expect::Own { .. } | Expect::OwnTypes { .. }) => Ok(Verdict::Swallow),
            Some(Expect::Parse { .. }) => match self.awaited.pop() {
                Some(Expect::Parse { statement, seq, .. }) => {
                    statement.confirm();
                    Ok(Verdict::Pass(seq))
                }
                _ => Err(unexpected(Tag::ParseComplete)),
            },
            _ => Err(unexpected(Tag::ParseComplete)),
        }
    }

    pub(super) fn on_bound(&mut self) -> Result<Verdict, WireError> {
        match self.awaited.front() {
            Some(Expect::Own { .. }) => Ok(Verdict::Swallow),
            Some(Expect::Bind { .. }) => match self.awaited.pop() {
                Some(Expect::Bind { portal, .. }) => {
                    portal.confirmed.store(true, Ordering::Relaxed);
                    Ok(Verdict::Pass(portal.spent.seq()))
                }
                _ => Err(unexpected(Tag::BindComplete)),
            },
            _ => Err(unexpected(Tag::BindComplete)),
        }
    }

    pub(super) fn on_closed(&mut self) -> Result<Verdict, WireError> {
        match self.awaited.front() {
            Some(Expect::Own { closes, last }) => {
                *closes = closes.saturating_sub(1);
                let (over, last) = (*closes == 0, *last);
                if over {
                    self.awaited.pop();
                }
                if over && last {
                    self.own_ended();
                }
                Ok(Verdict::Swallow)
            }
            Some(Expect::OwnTypes { closes, .. }) => {
                *closes = closes.saturating_sub(1);
                if *closes == 0 {
                    self.awaited.pop();
                }
                Ok(Verdict::Swallow)
            }
            Some(Expect::CloseStatement { .. } | Expect::ClosePortal { .. }) => {
                self.awaited.pop();
                Ok(Verdict::Pass(0))
            }
            _ => Err(unexpected(Tag::CloseComplete)),
        }
    }

    pub(super) fn on_parameters(&mut self, body: &[u8]) -> Result<Verdict, WireError> {
        let told = ParameterDescription::decode(body).map_err(target_error)?;
        match self.awaited.front() {
            Some(Expect::DescribeStatement {
                parameters_seen,
                statement,
            }) if !*parameters_seen => {
                *parameters_seen = true;
                if let Some(statement) = statement {
                    let _ = statement.told_types.set(told.types.into());
                }
                Ok(Verdict::Pass(0))
            }
            Some(Expect::OwnTypes { .. }) => Ok(Verdict::Swallow),
            _ => Err(unexpected(Tag::ParameterDescription)),
        }
    }
}
