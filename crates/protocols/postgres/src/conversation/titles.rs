//! The names of result columns. They are the client's own words or names of the schema, unless code has made them of
//! values.

use std::borrow::Cow;

use bytes::BytesMut;
use sallyport_session::{Effects, WireError};

use super::PostgresConversation;
use super::target::{Verdict, target_error};
use crate::wire::backend::{ColumnDescription, RowDescription};

/// No detector finds anything in a shorter name.
const SHORTEST: usize = 7;
/// A longer description is looked at each time.
const MAX_REMEMBERED: usize = 1024;

impl PostgresConversation {
    /// What becomes of a description: it is written anew if a detector finds something in a name.
    pub(super) fn with_titles(&mut self, verdict: Verdict, body: &[u8]) -> Result<Verdict, WireError> {
        let Verdict::Pass(seq) = verdict else {
            return Ok(verdict);
        };
        if self.masks.finds_nothing() || (!body.is_empty() && self.plain_titles == body) {
            return Ok(verdict);
        }
        let description = RowDescription::decode(body).map_err(target_error)?;
        let tells = |column: &ColumnDescription<'_>| matches!(self.title(column.name), Cow::Owned(_));
        if description.columns.iter().any(tells) {
            return Ok(Verdict::Rewrite(seq));
        }
        if body.len() <= MAX_REMEMBERED {
            body.clone_into(&mut self.plain_titles);
        }
        Ok(verdict)
    }

    /// Sends a description without what detectors find in its names.
    pub(super) fn mask_titles(&mut self, seq: u64, body: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let description = RowDescription::decode(body).map_err(target_error)?;
        let titles: Vec<_> = description
            .columns
            .iter()
            .map(|column| self.title(column.name))
            .collect();
        let renamed = description.columns.iter().zip(&titles);
        let columns = renamed
            .map(|(column, title)| ColumnDescription { name: title, ..*column })
            .collect();
        let mut message = BytesMut::new();
        RowDescription { columns }.encode(&mut message);
        out.show(seq, &message);
        Ok(())
    }

    fn title<'n>(&self, name: &'n [u8]) -> Cow<'n, [u8]> {
        if name.len() < SHORTEST {
            Cow::Borrowed(name)
        } else {
            self.masks.clean(name)
        }
    }
}
