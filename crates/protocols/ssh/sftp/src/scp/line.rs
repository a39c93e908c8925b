//! The lines of a source, and refusals.

use bytes::Bytes;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// `T<change> <microseconds> <access> <microseconds>`
    Times(Times),
    /// `C<mode> <size> <name>` or `D<mode> <size> <name>`
    Item {
        directory: bool,
        mode: u32,
        size: u64,
        name: Bytes,
    },
    /// `E`
    End,
    /// A warning, or the reason why the source gives up.
    Message { fatal: bool },
}

/// Times in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) change: u64,
    pub(super) access: u64,
}

const WRONG: &str = "a line that is none";

/// Whether a line can begin so: what cannot be one need not be waited for.
pub(super) const fn begins(kind: u8) -> bool {
    matches!(kind, 1 | 2 | b'T' | b'C' | b'D' | b'E')
}

/// Takes a line apart, to its last byte: what a sink could take for something else is refused.
pub(super) fn parse(line: &Bytes) -> Result<Line, &'static str> {
    let (kind, rest) = line.split_first().ok_or(WRONG)?;
    if matches!(kind, 1 | 2) {
        return Ok(Line::Message { fatal: *kind == 2 });
    }
    let rest = rest.strip_suffix(b"\n").ok_or(WRONG)?;
    match kind {
        b'T' => times(rest),
        b'C' | b'D' => {
            let (mode, rest) = rest.split_first_chunk::<4>().ok_or(WRONG)?;
            let mode = mode
                .iter()
                .try_fold(0, |mode, digit| octal(*digit).map(|digit| mode << 3 | digit));
            let (size, name) = number(rest.strip_prefix(b" ").ok_or(WRONG)?)?;
            let name = name.strip_prefix(b" ").ok_or(WRONG)?;
            if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
                return Err("a name that is none");
            }
            let name = line.slice_ref(name);
            Ok(Line::Item {
                directory: *kind == b'D',
                mode: mode.ok_or(WRONG)?,
                size,
                name,
            })
        }
        b'E' if rest.is_empty() => Ok(Line::End),
        _ => Err(WRONG),
    }
}

fn octal(digit: u8) -> Option<u32> {
    matches!(digit, b'0'..=b'7').then(|| u32::from(digit - b'0'))
}

fn times(rest: &[u8]) -> Result<Line, &'static str> {
    let (change, rest) = number(rest)?;
    let (_, rest) = number(rest.strip_prefix(b" ").ok_or(WRONG)?)?;
    let (access, rest) = number(rest.strip_prefix(b" ").ok_or(WRONG)?)?;
    let (_, rest) = number(rest.strip_prefix(b" ").ok_or(WRONG)?)?;
    if rest.is_empty() {
        Ok(Line::Times(Times { change, access }))
    } else {
        Err(WRONG)
    }
}

/// Digits up to what a file's size can be, and what follows them.
fn number(text: &[u8]) -> Result<(u64, &[u8]), &'static str> {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end).ok_or(WRONG)?;
    let digits = std::str::from_utf8(digits).map_err(|_| WRONG)?;
    let number: u64 = digits.parse().map_err(|_| WRONG)?;
    if i64::try_from(number).is_ok() {
        Ok((number, rest))
    } else {
        Err(WRONG)
    }
}

/// A refusal as a warning: the source tells it and goes on with the next file.
pub(super) fn refusal(message: &str) -> Bytes {
    let printable = |letter: char| if letter.is_control() { '?' } else { letter };
    let message: String = message.chars().take(400).map(printable).collect();
    Bytes::from(format!("\u{1}scp: {message}\n"))
}
