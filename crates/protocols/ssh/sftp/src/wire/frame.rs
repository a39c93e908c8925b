//! One packet after the other: a length in four bytes, a type, a body (draft §3).

use super::cursor::Malformed;

/// A whole packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    /// What follows the type; at least four bytes: a request id, or a version.
    pub(crate) body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first four bytes of the body, and what follows them.
    pub(crate) fn id(&self) -> Result<(u32, &'a [u8]), Malformed> {
        let (id, rest) = self.body.split_first_chunk().ok_or(Malformed)?;
        Ok((u32::from_be_bytes(*id), rest))
    }

    /// How many bytes it takes on the wire.
    pub(crate) const fn wire_len(&self) -> usize {
        self.body.len() + 5
    }
}

/// The packet that `bytes` begin with; `None` if it has not come whole. `longest` is the length field's upper bound.
pub(crate) fn next_frame(bytes: &[u8], longest: usize) -> Result<Option<Frame<'_>>, &'static str> {
    let Some((len, rest)) = bytes.split_first_chunk() else {
        return Ok(None);
    };
    let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
    if len > longest {
        return Err("a packet is longer than is allowed");
    }
    if len < 5 {
        return Err("a packet is too short to be one");
    }
    Ok(rest
        .get(..len)
        .and_then(<[u8]>::split_first)
        .map(|(kind, body)| Frame { kind: *kind, body }))
}
