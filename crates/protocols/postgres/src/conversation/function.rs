//! Functions that are called by number.

use std::sync::Arc;

use bytes::BytesMut;
use sallyport_session::{Effects, Phase, WireError};
use sallyport_sql::StatementFacts;

use super::client::{Step, client_error};
use super::expect::Expect;
use super::results::Column;
use super::ruling::What;
use super::target::{Verdict, target_error, unexpected};
use super::{PostgresConversation, owned};
use crate::fast_path;
use crate::understanding::Understood;
use crate::wire::backend::{FunctionCallResponse, Tag};
use crate::wire::frontend;

impl PostgresConversation {
    pub(super) fn on_function(&mut self, whole: &[u8], body: &[u8], out: &mut Effects) -> Result<Step, WireError> {
        let call = frontend::FunctionCall::decode(body).map_err(client_error)?;
        if !self.names_are_known(out) {
            return Ok(Step::Stall);
        }
        let mut result = Column::untyped(call.result_format);
        let understood = match fast_path::call(call.function, &self.view.catalog) {
            Some(call) => {
                result.type_oid = call.result;
                self.understand(call.text.as_bytes(), out)
            }
            None => {
                let text = owned(format!("function with OID {}", call.function).as_bytes());
                self.not_understood(text, "no function with this number is known here; use SELECT")
            }
        };
        let parameters = owned(body);
        let what = What::Function {
            understood: Arc::clone(&understood),
            result,
        };
        self.ask(whole, what, &understood, Phase::Run, parameters, out);
        Ok(Step::Done)
    }

    pub(super) fn on_function_result(&mut self) -> Result<Verdict, WireError> {
        match self.awaited.front() {
            Some(Expect::Function { run, .. }) => {
                let (seq, understood) = (run.spent.seq(), Arc::clone(&run.understood));
                self.took_effect(understood.facts.statements.first(), &understood);
                Ok(if self.masks.are_needless() || self.veiled.is_some() {
                    Verdict::Pass(seq)
                } else {
                    Verdict::Rewrite(seq)
                })
            }
            _ => Err(unexpected(Tag::FunctionCallResponse)),
        }
    }

    pub(super) fn mask_function_result(&mut self, seq: u64, body: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let value = FunctionCallResponse::decode(body).map_err(target_error)?.value;
        let Some(Expect::Function { run, result }) = self.awaited.front() else {
            return Err(unexpected(Tag::FunctionCallResponse));
        };
        let (understood, column) = (Arc::clone(&run.understood), [*result]);
        let cell = self
            .masks
            .cell(vouched_for(&understood), &column, &self.plan_sources(), value);
        let cell = cell.map_err(|e| WireError::target(format!("a result that cannot be masked ({e})")))?;
        let mut message = BytesMut::new();
        FunctionCallResponse { value: cell.as_deref() }.encode(&mut message);
        out.show(seq, &message);
        Ok(())
    }
}

/// What a function's call says of its result. What code returns that nobody vouches for may come from anywhere.
pub(super) fn vouched_for(understood: &Understood) -> Option<&StatementFacts> {
    let statement = understood.facts.statements.first();
    statement.filter(|_| !understood.runs_unknown_code)
}
