//! Writing frames: plaintext gathers in one buffer, which is encrypted in place and written whole.

use aws_lc_rs::aead::{Aad, LessSafeKey};

use crate::error::LedgerError;
use crate::frame::output::Output;
use crate::frame::pool::{Pool, SMALL_BYTES};
use crate::frame::{
    CHAIN_BYTES, FrameHeader, FrameKind, HEADER_BYTES, MAX_PLAIN_BYTES, PREFIX_BYTES, TAG_BYTES, nonce,
};

/// Writes the frames of one file.
///
/// The buffer holds the chain value, room for the header, then plaintext. So the associated data, the bytes to
/// hash and the bytes to write are each one slice of it, and nothing is copied.
pub(crate) struct FrameWriter {
    output: Output,
    key: LessSafeKey,
    sequence: u64,
    /// INVARIANT: at least `PREFIX_BYTES` long, and the first `CHAIN_BYTES` are the chain value so far.
    buffer: Vec<u8>,
    /// The small buffer, while a large one is in use.
    small: Option<Vec<u8>>,
    pool: Pool,
    /// Why the file takes nothing more.
    failed: Option<String>,
}

/// A place between two frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) sequence: u64,
    pub(crate) chain: [u8; CHAIN_BYTES],
}

impl FrameWriter {
    /// Continues a file at `place`, where `output` is.
    pub(crate) fn new(output: Output, key: LessSafeKey, place: Place, pool: Pool) -> Self {
        let mut buffer = Vec::with_capacity(SMALL_BYTES);
        start_buffer(&mut buffer, &place.chain);
        Self {
            output,
            key,
            sequence: place.sequence,
            buffer,
            small: None,
            pool,
            failed: None,
        }
    }

    /// Where the next frame will begin.
    pub(crate) fn place(&self) -> Place {
        let chain = self.buffer.first_chunk().copied().unwrap_or_default();
        Place {
            offset: self.output.end(),
            sequence: self.sequence,
            chain,
        }
    }

    /// Where the last frame ends.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.output.end()
    }

    /// Plaintext bytes that the open frame still takes.
    pub(crate) fn room(&self) -> usize {
        (PREFIX_BYTES + MAX_PLAIN_BYTES).saturating_sub(self.buffer.len())
    }

    /// Whether the open frame holds nothing yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.len() <= PREFIX_BYTES
    }

    /// Adds plaintext, closing full frames on the way.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<(), LedgerError> {
        self.check()?;
        loop {
            let (now, later) = bytes.split_at(bytes.len().min(self.room()));
            self.grow_for(now.len());
            self.buffer.extend_from_slice(now);
            if later.is_empty() {
                return Ok(());
            }
            self.close(FrameKind::Events)?;
            bytes = later;
        }
    }

    /// Encrypts the open frame, chains it and hands it to the operating system. Nothing
    /// happens if it is empty.
    pub(crate) fn close(&mut self, kind: FrameKind) -> Result<(), LedgerError> {
        self.check()?;
        if self.is_empty() {
            return Ok(());
        }
        let result = self.write_frame(kind);
        if let Err(error) = &result {
            self.failed = Some(error.to_string());
        }
        if let Some(small) = self.small.take() {
            self.pool.give(std::mem::replace(&mut self.buffer, small));
        }
        let chain = result?;
        self.buffer.clear();
        start_buffer(&mut self.buffer, &chain);
        Ok(())
    }

    /// Replaces the key, from the next frame on.
    pub(crate) fn set_key(&mut self, key: LessSafeKey) {
        self.key = key;
    }

    /// From now on the file may end in zeros that were reserved, up to [`FrameWriter::settle`].
    pub(crate) fn reserve_ahead(&mut self) {
        self.output.reserve_ahead();
    }

    /// Gives memory back that a file at rest does not need.
    pub(crate) fn rest(&mut self) -> Result<(), LedgerError> {
        self.output.rest().map_err(|error| self.fail(&error.to_string()))
    }

    /// Cuts off what was reserved and not used.
    pub(crate) fn settle(&mut self) -> Result<(), LedgerError> {
        self.output.settle().map_err(|error| self.fail(&error.to_string()))
    }

    /// Writes bytes that are no frame, after the last one.
    pub(crate) fn write_raw(&mut self, bytes: &[u8]) -> Result<(), LedgerError> {
        self.check()?;
        self.output.put(bytes).map_err(|error| self.fail(&error.to_string()))
    }

    fn write_frame(&mut self, kind: FrameKind) -> Result<[u8; CHAIN_BYTES], LedgerError> {
        let failed = || LedgerError::Crypto("encrypting a frame");
        let body_len = self.buffer.len() - PREFIX_BYTES + TAG_BYTES;
        let header = FrameHeader {
            kind,
            body_len,
            sequence: self.sequence,
        }
        .encode();
        let (prefix, plain) = self.buffer.split_at_mut_checked(PREFIX_BYTES).ok_or_else(failed)?;
        *prefix.last_chunk_mut::<HEADER_BYTES>().ok_or_else(failed)? = header;
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(self.sequence), Aad::from(&*prefix), plain)
            .map_err(|_| failed())?;
        self.buffer.extend_from_slice(tag.as_ref());
        let chain = *blake3::hash(&self.buffer).as_bytes();
        let frame = self.buffer.get(CHAIN_BYTES..).ok_or_else(failed)?;
        self.output
            .put(frame)
            .map_err(|error| LedgerError::Failed(error.to_string()))?;
        self.sequence += 1;
        Ok(chain)
    }

    /// Moves to a large buffer if the small one does not take `more` bytes and a tag.
    fn grow_for(&mut self, more: usize) {
        if self.small.is_none() && self.buffer.len() + more + TAG_BYTES > SMALL_BYTES {
            let mut large = self.pool.take();
            large.extend_from_slice(&self.buffer);
            self.small = Some(std::mem::replace(&mut self.buffer, large));
        }
    }

    /// Why nothing more is taken, if so.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    fn check(&self) -> Result<(), LedgerError> {
        match &self.failed {
            Some(reason) => Err(LedgerError::Failed(reason.clone())),
            None => Ok(()),
        }
    }

    fn fail(&mut self, reason: &str) -> LedgerError {
        self.failed = Some(reason.to_owned());
        LedgerError::Failed(reason.to_owned())
    }
}

/// Puts the chain value and room for a header at the start of an empty buffer.
fn start_buffer(buffer: &mut Vec<u8>, chain: &[u8; CHAIN_BYTES]) {
    buffer.extend_from_slice(chain);
    buffer.extend_from_slice(&[0; HEADER_BYTES]);
}
