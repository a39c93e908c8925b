//! Reading frames back: each is checked against the chain before it is believed.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{Aad, LessSafeKey};

use crate::damage::Damage;
use crate::error::LedgerError;
use crate::frame::output::MAX_MAPPED_BYTES;
use crate::frame::preamble::{Content, PREAMBLE_BYTES, Preamble};
use crate::frame::writer::Place;
use crate::frame::{CHAIN_BYTES, FrameHeader, FrameKind, HEADER_BYTES, PREFIX_BYTES, WORD_BYTES, nonce};
use crate::key::{RecordingKey, aead_key};

/// Reads the frames of one file, in order, holding one at a time.
pub(crate) struct FrameReader<R = BufReader<File>> {
    source: R,
    path: PathBuf,
    /// The file's data key; absent when only the chain is followed.
    key: Option<LessSafeKey>,
    /// The key of the stretch that the reader is in, if it has one of its own.
    segment_key: Option<LessSafeKey>,
    place: Place,
    /// Chain value, header, body: as the writer laid it out.
    buffer: Vec<u8>,
    /// Whether the file's end may have been reserved and not used.
    reserves: bool,
    /// While the file is written: where its whole frames end. Nothing behind it is looked at.
    written: Option<u64>,
}

/// What is at the reader's place.
pub(crate) enum Next<'a> {
    /// A whole frame, checked, and where it began.
    Frame {
        kind: FrameKind,
        at: Place,
        plain: &'a [u8],
    },
    /// The file ends here, cleanly.
    End,
    /// The file ends within a frame, `bytes` after its beginning.
    Torn { bytes: u64 },
}

impl FrameReader {
    /// Opens `path` and reads its preamble. Without a master key only the chain can be followed.
    pub(crate) fn open(
        path: &Path,
        content: Content,
        master: Option<&RecordingKey>,
    ) -> Result<(Self, Preamble), LedgerError> {
        let file = File::open(path).map_err(|source| LedgerError::io("open", path, source))?;
        Self::from_source(BufReader::with_capacity(16 << 10, file), path, content, master)
    }
}

impl<R: Read + Seek> FrameReader<R> {
    /// Reads the preamble from `source`; `path` is for messages.
    pub(crate) fn from_source(
        mut source: R,
        path: &Path,
        content: Content,
        master: Option<&RecordingKey>,
    ) -> Result<(Self, Preamble), LedgerError> {
        let mut bytes = [0; PREAMBLE_BYTES];
        let read = read_up_to(&mut source, &mut bytes).map_err(|source| LedgerError::io("read", path, source))?;
        if read < PREAMBLE_BYTES {
            return Err(Damage::NotARecording.into());
        }
        let preamble = Preamble::read(bytes, content, master)?;
        let key = master.map(|_| aead_key(&preamble.data_key)).transpose()?;
        let place = Place {
            offset: PREAMBLE_BYTES as u64,
            sequence: 0,
            chain: preamble.chain(),
        };
        Ok((
            Self {
                source,
                path: path.to_owned(),
                key,
                segment_key: None,
                place,
                buffer: Vec::new(),
                reserves: content == Content::Session,
                written: None,
            },
            preamble,
        ))
    }

    /// Where the next frame is expected.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Goes to a place that the index named.
    pub(crate) fn seek(&mut self, place: Place) -> Result<(), LedgerError> {
        self.source
            .seek(SeekFrom::Start(place.offset))
            .map_err(|source| LedgerError::io("seek in", &self.path, source))?;
        self.place = place;
        Ok(())
    }

    /// Reads on from where it is, up to `written` while the file grows. What was read ahead is read again.
    pub(crate) fn read_on(&mut self, written: Option<u64>) -> Result<(), LedgerError> {
        self.written = written;
        self.seek(self.place)
    }

    /// Replaces the key, from the next frame on; frames that start a segment stay under the data key.
    pub(crate) fn set_segment_key(&mut self, key: LessSafeKey) {
        self.segment_key = Some(key);
    }

    /// Reads `bytes.len()` bytes that are no frame, or fewer at the file's end.
    pub(crate) fn read_raw(&mut self, bytes: &mut [u8]) -> Result<usize, LedgerError> {
        read_up_to(&mut self.source, bytes).map_err(|source| LedgerError::io("read", &self.path, source))
    }

    /// How many bytes are left in the file; the reader is at its end afterwards.
    pub(crate) fn count_rest(&mut self) -> Result<u64, LedgerError> {
        let io = |source| LedgerError::io("read", &self.path, source);
        let here = self.source.stream_position().map_err(io)?;
        Ok(self.source.seek(SeekFrom::End(0)).map_err(io)?.saturating_sub(here))
    }

    /// Reads the next frame and checks it.
    pub(crate) fn next_frame(&mut self) -> Result<Next<'_>, LedgerError> {
        let at = self.place;
        if self.written.is_some_and(|written| at.offset >= written) {
            return Ok(Next::End);
        }
        let io = |source| LedgerError::io("read", &self.path, source);
        let mut bytes = [0; HEADER_BYTES];
        match read_up_to(&mut self.source, &mut bytes).map_err(io)? {
            0 => return Ok(Next::End),
            HEADER_BYTES => {}
            short => {
                return match bytes.get(..short) {
                    Some(start) if self.reserves && start.iter().all(|byte| *byte == 0) => Ok(Next::End),
                    _ => Ok(Next::Torn { bytes: short as u64 }),
                };
            }
        }
        if self.reserves && bytes.starts_with(&[0; WORD_BYTES]) {
            return self.reserved(at, &bytes);
        }
        let header = FrameHeader::decode(&bytes).ok_or(Damage::FrameHeader { offset: at.offset })?;
        if header.sequence != at.sequence {
            let (offset, expected, found) = (at.offset, at.sequence, header.sequence);
            return Err(Damage::Sequence {
                offset,
                expected,
                found,
            }
            .into());
        }
        self.buffer.resize(PREFIX_BYTES + header.body_len, 0);
        let altered = || Damage::Altered {
            offset: at.offset,
            frame: at.sequence,
        };
        let (prefix, body) = self
            .buffer
            .split_first_chunk_mut::<PREFIX_BYTES>()
            .ok_or_else(altered)?;
        let (chain, header_slot) = prefix.split_at_mut(CHAIN_BYTES);
        chain.copy_from_slice(&at.chain);
        header_slot.copy_from_slice(&bytes);
        let read = read_up_to(&mut self.source, body).map_err(io)?;
        if read < header.body_len {
            return Ok(Next::Torn {
                bytes: (HEADER_BYTES + read) as u64,
            });
        }
        let frame_bytes = (HEADER_BYTES + header.body_len) as u64;
        let chain = *blake3::hash(&self.buffer).as_bytes();
        self.place = Place {
            offset: at.offset + frame_bytes,
            sequence: at.sequence + 1,
            chain,
        };
        let (prefix, body) = self.buffer.split_at_mut_checked(PREFIX_BYTES).ok_or_else(altered)?;
        let key = key_for(header.kind, self.key.as_ref(), self.segment_key.as_ref());
        let plain: &[u8] = match key {
            Some(key) => key
                .open_in_place(nonce(at.sequence), Aad::from(&*prefix), body)
                .map_err(|_| altered())?,
            None => &[],
        };
        Ok(Next::Frame {
            kind: header.kind,
            at,
            plain,
        })
    }

    /// The end of a file that was reserved ahead: from `at` on there is nothing but zeros, or a frame that was not put
    /// whole, of which `start` was read.
    fn reserved(&mut self, at: Place, start: &[u8; HEADER_BYTES]) -> Result<Next<'_>, LedgerError> {
        // A small frame may have got there in any order, a larger one from its beginning on.
        let most = FrameHeader::without_word(start).map_or(0, |header| HEADER_BYTES + header.body_len);
        let most = most.max(MAX_MAPPED_BYTES);
        let mut last = start.iter().rposition(|byte| *byte != 0);
        let mut offset = start.len();
        let mut bytes = [0; 4096];
        loop {
            let read = read_up_to(&mut self.source, &mut bytes)
                .map_err(|source| LedgerError::io("read", &self.path, source))?;
            let found = bytes
                .get(..read)
                .unwrap_or_default()
                .iter()
                .rposition(|byte| *byte != 0);
            last = found.map(|place| offset + place).or(last);
            if last.is_some_and(|last| last >= most) {
                return Err(Damage::FrameHeader { offset: at.offset }.into());
            }
            if read == 0 {
                return Ok(last.map_or(Next::End, |last| Next::Torn { bytes: last as u64 + 1 }));
            }
            offset += read;
        }
    }
}

/// The key of a frame: those that start a segment are under the file's own.
fn key_for<'a>(
    kind: FrameKind,
    file: Option<&'a LessSafeKey>,
    segment: Option<&'a LessSafeKey>,
) -> Option<&'a LessSafeKey> {
    match kind {
        FrameKind::Segment => file,
        FrameKind::Header | FrameKind::Events | FrameKind::Seal => segment.or(file),
    }
}

/// Reads until `bytes` is full or the source ends; says how many came.
fn read_up_to(source: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
