//! Rows of results and of COPY data on their way to the client: masked, as many at once as have come.

use bytes::{Buf, BytesMut};
use sallyport_session::{Effects, WireError};

use super::PostgresConversation;
use super::expect::Expect;
use super::results::Masking;
use super::target::{front_run, unexpected};
use crate::cells::{CellError, Rows};
use crate::wire::backend::{self, Tag};

/// Memory for rows that are written anew that a session keeps within a result.
const MAX_SCRATCH: usize = 1 << 20;

impl PostgresConversation {
    /// Masks all the rows that have come whole; they are of one result.
    pub(super) fn mask_rows(&mut self, seq: u64, bytes: &mut BytesMut, out: &mut Effects) -> Result<bool, WireError> {
        let Some(run) = self.awaited.front().and_then(Expect::run) else {
            return Err(unexpected(Tag::DataRow));
        };
        let Masking::Rows(masker) = &mut run.masking else {
            // Nothing has described this result, so nothing can be said of its cells: withheld.
            return Err(WireError::target("rows that were never described"));
        };
        self.scratch.clear();
        let rows = masker.rows(bytes, &mut self.scratch);
        let rows = rows.map_err(|e| WireError::target(format!("a row that cannot be masked ({e})")))?;
        if rows.count == 0 {
            return Err(unexpected(Tag::DataRow));
        }
        self.show_rows(seq, rows, bytes, out);
        Ok(true)
    }

    /// Masks all the messages of COPY data that have come and hold whole rows. False if the first one does not.
    pub(super) fn mask_copied_rows(
        &mut self,
        seq: u64,
        bytes: &mut BytesMut,
        out: &mut Effects,
    ) -> Result<bool, WireError> {
        let Some(Masking::Copy(masker)) = self.awaited.front().and_then(Expect::run).map(|run| &mut run.masking) else {
            return Err(unexpected(Tag::CopyData));
        };
        self.scratch.clear();
        let rows = masker.messages(bytes, &mut self.scratch).map_err(unmasked_copy)?;
        if rows.count == 0 {
            return Ok(false);
        }
        self.show_rows(seq, rows, bytes, out);
        Ok(true)
    }

    fn show_rows(&mut self, seq: u64, rows: Rows, bytes: &mut BytesMut, out: &mut Effects) {
        if rows.changed {
            out.show(seq, &self.scratch);
            bytes.advance(rows.taken.min(bytes.len()));
            if self.scratch.capacity() > MAX_SCRATCH {
                self.scratch = Vec::new();
            }
        } else {
            out.show_run(seq, bytes, rows.taken);
        }
    }

    /// Masks a message of COPY data that does not hold whole rows.
    pub(super) fn mask_copy(&mut self, seq: u64, body: &[u8], out: &mut Effects) -> Result<(), WireError> {
        let mut data = std::mem::take(&mut self.scratch);
        data.clear();
        let Some(Masking::Copy(masker)) = front_run(self).map(|run| &mut run.masking) else {
            return Err(unexpected(Tag::CopyData));
        };
        masker.data(body, &mut data).map_err(unmasked_copy)?;
        show_copy_data(seq, &data, out);
        if data.capacity() <= MAX_SCRATCH {
            self.scratch = data;
        }
        Ok(())
    }

    /// What is left of the data when it ends.
    pub(super) fn mask_copy_end(&mut self, seq: u64, out: &mut Effects) -> Result<(), WireError> {
        let Some(Masking::Copy(masker)) = front_run(self).map(|run| &mut run.masking) else {
            return Err(unexpected(Tag::CopyDone));
        };
        let mut data = Vec::new();
        masker.finish(&mut data).map_err(unmasked_copy)?;
        show_copy_data(seq, &data, out);
        let mut done = BytesMut::new();
        backend::copy_done(&mut done);
        out.show(seq, &done);
        Ok(())
    }
}

fn unmasked_copy(error: CellError) -> WireError {
    WireError::target(format!("COPY data that cannot be masked ({error})"))
}

fn show_copy_data(seq: u64, data: &[u8], out: &mut Effects) {
    if data.is_empty() {
        return;
    }
    out.show_with(seq, |message| crate::wire::CopyData { data }.encode(message));
}
