//! Messages of the target that pass in the pieces that they come in, and bounds for those that must be held whole.

use bytes::BytesMut;
use sallyport_session::{Effects, WireError};

use super::PostgresConversation;
use super::expect::Expect;
use super::results::Masking;
use super::target::Verdict;
use crate::refuse;
use crate::wire::backend::Tag;
use crate::wire::{Frame, WireError as Offence};

/// Shorter messages are waited for: they are looked at whole.
const LONG: usize = 64 * 1024;

/// A message that passes as it is, and of which more is to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passing {
    seq: u64,
    left: usize,
}

impl PostgresConversation {
    /// Passes what has come of a message that passes in pieces. True while more of it is to come.
    pub(super) fn pass_on(&mut self, bytes: &mut BytesMut, out: &mut Effects) -> bool {
        let Some(Passing { seq, left }) = self.passing else {
            return false;
        };
        let len = left.min(bytes.len());
        out.show_run(seq, bytes, len);
        self.passing = (len < left).then_some(Passing { seq, left: left - len });
        self.passing.is_some()
    }

    /// The first message in `bytes` has not come whole. If it is long, and nothing of it will be looked at, it begins to
    /// pass.
    ///
    /// # Errors
    /// When it is longer than the gateway keeps, and would have to be kept. The client has been told.
    pub(super) fn begin_passing(
        &mut self,
        frame: Frame<Tag>,
        bytes: &mut BytesMut,
        out: &mut Effects,
    ) -> Result<(), WireError> {
        if frame.total_len > LONG
            && let Some(seq) = self.passes_unseen(frame.tag, out)
        {
            self.passing = Some(Passing {
                seq,
                left: frame.total_len,
            });
            self.pass_on(bytes, out);
            return Ok(());
        }
        match self.limits.check(frame) {
            Ok(()) => Ok(()),
            Err(offence) => Err(self.too_long(&offence, out)),
        }
    }

    /// The command whose response a message of this type is, if it passes whatever is in it.
    fn passes_unseen(&mut self, tag: Tag, out: &mut Effects) -> Option<u64> {
        let verdict = match (tag, self.awaited.front()) {
            (Tag::DataRow, Some(Expect::Execute { .. } | Expect::Query { .. })) => self.on_row(&[], out).ok()?,
            (Tag::CopyData, Some(Expect::Execute { .. } | Expect::Query { .. })) => self.on_copy_data().ok()?,
            _ => return None,
        };
        let clear = |run: &mut super::expect::Run| matches!(run.masking, Masking::Clear);
        match (verdict, self.awaited.front().and_then(Expect::run).map(clear)) {
            (Verdict::Pass(seq), Some(true)) => Some(seq),
            _ => None,
        }
    }

    fn too_long(&mut self, offence: &Offence, out: &mut Effects) -> WireError {
        if let Offence::TooLong { len, limit, .. } = *offence {
            let message = format!("the target sent a message of {len} bytes, of which the gateway must look at all");
            let hint = format!(
                "It takes {limit} bytes: the setting `limits.max_message_mib` is the limit for values that may be masked. \
                 Select less at once, or parts of the value."
            );
            out.tell(&refuse::last_word("54000", &message, &hint));
            self.fatal = true;
        }
        WireError::target(offence.to_string())
    }
}
