//! COPY in both directions.

use sallyport_session::{Effects, Housekeeping, WireError};
use sallyport_sql::{Copy, StatementFacts};

use super::PostgresConversation;
use super::client::Step;
use super::expect::Expect;
use super::results::{Column, Described, Masking};
use super::target::{Verdict, front_run, target_error, unexpected};
use crate::cells::{CopyFormat, CopyMasker, CsvOptions, Encoding, TextOptions};
use crate::wire::backend::{CopyResponse, Tag};
use crate::wire::frontend;

impl PostgresConversation {
    /// A message of the client while the target takes COPY data.
    pub(super) fn client_in_copy(
        &mut self,
        tag: frontend::Tag,
        whole: &[u8],
        body: &[u8],
        out: &mut Effects,
    ) -> Result<Step, WireError> {
        let Some(spent) = self.copy_in else {
            return Ok(Step::Done);
        };
        match tag {
            frontend::Tag::CopyData => {
                if self.is_reply(body) {
                    out.proceed(spent, whole);
                } else {
                    out.proceed_data(spent, whole, whole.len() - body.len());
                }
            }
            frontend::Tag::CopyDone | frontend::Tag::CopyFail => {
                out.proceed(spent, whole);
                self.copy_in = None;
            }
            // A server ignores these while it takes COPY data.
            frontend::Tag::Sync | frontend::Tag::Flush => {}
            frontend::Tag::Terminate => {
                out.tend(Housekeeping::Goodbye, whole);
                out.end();
            }
            frontend::Tag::Query
            | frontend::Tag::Parse
            | frontend::Tag::Bind
            | frontend::Tag::Describe
            | frontend::Tag::Execute
            | frontend::Tag::Close
            | frontend::Tag::FunctionCall
            | frontend::Tag::Password => return Err(WireError::client("another message in the middle of COPY data")),
        }
        Ok(Step::Done)
    }

    /// The target takes COPY data for the command it is running.
    pub(super) fn on_copy_in(&mut self) -> Result<Verdict, WireError> {
        let Some(run) = front_run(self) else {
            return Err(unexpected(Tag::CopyInResponse));
        };
        let spent = run.spent;
        if !run.understood.copies_in {
            return Err(WireError::target("it asks for COPY data for a command that takes none"));
        }
        if matches!(self.awaited.front(), Some(Expect::Execute { .. })) && !self.awaited.drop_ignored_in_copy() {
            return Err(WireError::client("messages behind a COPY that has not ended"));
        }
        self.copy_in = Some(spent);
        Ok(Verdict::Pass(spent.seq()))
    }

    /// COPY data is about to come: how it is masked depends on its format and its columns.
    pub(super) fn on_copy_out(&mut self, body: &[u8], out: &mut Effects) -> Result<Verdict, WireError> {
        let response = CopyResponse::decode(body).map_err(target_error)?;
        let Some(run) = front_run(self) else {
            return Err(unexpected(Tag::CopyOutResponse));
        };
        let seq = run.spent.seq();
        let understood = std::sync::Arc::clone(&run.understood);
        let statement = understood.facts.statements.get(run.statement);
        let columns = columns(&response, statement, run.copied.of(run.statement));
        let masking = if self.masks.are_needless() {
            match self.veiled {
                Some(_) => self.plan_copy_at_agent(None, &[], out),
                None => Masking::Clear,
            }
        } else {
            let options = statement.and_then(|s| s.effects.copy.as_ref());
            let Some(format) = options.and_then(|copy| format(copy, self.settings.encoding_name())) else {
                return Err(WireError::target("COPY data whose form is not known"));
            };
            if self.veiled.is_some() {
                let masking = self.plan_copy_at_agent(Some(format), &columns, out);
                if let Some(run) = front_run(self) {
                    run.masking = masking;
                }
                return Ok(Verdict::Pass(seq));
            }
            let plans = self.masks.columns(statement, &columns, &self.plan_sources());
            let types = std::sync::Arc::clone(&self.view.types);
            let masker = CopyMasker::new(
                format,
                plans,
                self.masks.scanner.clone(),
                self.masks.key().clone(),
                types,
            );
            Masking::Copy(Box::new(masker))
        };
        if let Some(run) = front_run(self) {
            run.masking = masking;
        }
        Ok(Verdict::Pass(seq))
    }

    pub(super) fn on_copy_data(&mut self) -> Result<Verdict, WireError> {
        match front_run(self) {
            Some(run) if matches!(run.masking, Masking::Clear) => Ok(Verdict::Pass(run.spent.seq())),
            Some(run) if matches!(run.masking, Masking::Copy(_)) => Ok(Verdict::Rewrite(run.spent.seq())),
            _ => Err(unexpected(Tag::CopyData)),
        }
    }

    pub(super) fn on_copy_done(&mut self) -> Result<Verdict, WireError> {
        self.on_copy_data()
    }
}

/// The columns of COPY data: `described` by the target if they come from a query, known by the catalogue if from a
/// table. What was said of another number of columns is said of another thing.
fn columns(response: &CopyResponse, statement: Option<&StatementFacts>, described: Option<&Described>) -> Vec<Column> {
    let untyped = response.columns.iter().map(|format| Column::untyped(*format));
    let described = described.map(|d| d.columns.as_slice()).unwrap_or_default();
    let resolved = statement
        .filter(|s| !s.unresolved())
        .and_then(|s| s.effects.copy.as_ref());
    let types = resolved.map(|copy| copy.types.as_slice()).unwrap_or_default();
    if described.len() == response.columns.len() {
        let in_format = |(column, untyped): (&Column, Column)| Column {
            format: untyped.format,
            ..*column
        };
        described.iter().zip(untyped).map(in_format).collect()
    } else if types.len() == response.columns.len() {
        let typed = |(oid, untyped): (&u32, Column)| Column {
            type_oid: *oid,
            ..untyped
        };
        types.iter().zip(untyped).map(typed).collect()
    } else {
        untyped.collect()
    }
}

/// The form of the data, from the statement's options. `None` when an option is not one byte as it must be.
fn format(copy: &Copy, client_encoding: &str) -> Option<CopyFormat> {
    let byte = |text: &str| match text.as_bytes() {
        [byte] => Some(*byte),
        _ => None,
    };
    let encoding = Encoding::named(copy.encoding.as_deref().unwrap_or(client_encoding));
    Some(match copy.format {
        sallyport_sql::CopyFormat::Binary => CopyFormat::Binary,
        sallyport_sql::CopyFormat::Text => CopyFormat::Text(TextOptions {
            delimiter: byte(&copy.delimiter)?,
            null: copy.null.as_bytes().to_vec(),
            header: copy.header,
            encoding,
        }),
        sallyport_sql::CopyFormat::Csv => CopyFormat::Csv(CsvOptions {
            delimiter: byte(&copy.delimiter)?,
            quote: byte(&copy.quote)?,
            escape: byte(&copy.escape)?,
            force_quote: copy.force_quote,
            null: copy.null.as_bytes().to_vec(),
            header: copy.header,
            encoding,
        }),
    })
}
