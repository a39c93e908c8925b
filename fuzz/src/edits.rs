//! A fuzzer's bytes as edits to a file.

/// Applies edits of five bytes each: what to do, where, and with what.
pub fn edited(original: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for edit in edits.chunks_exact(5).take(64) {
        let [what, high, low, length, value] = *edit else {
            continue;
        };
        let at = usize::from(u16::from_be_bytes([high, low])).min(bytes.len());
        let end = (at + usize::from(length)).min(bytes.len());
        match what % 6 {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => bytes
                .splice(at..at, std::iter::repeat_n(value, usize::from(length)))
                .for_each(drop),
            3 => {
                let copied = bytes[at..end].to_vec();
                let to = (at + 7 * usize::from(value)).min(bytes.len());
                bytes.splice(to..to, copied).for_each(drop);
            }
            4 => bytes.extend(std::iter::repeat_n(value, usize::from(length))),
            _ => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= value),
        }
    }
    bytes
}
