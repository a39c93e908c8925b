//! The lines of a shell that somebody else runs: whatever is typed and shown, a key that submits is never passed, and every
//! byte gets on.

use sallyport_typed::{Patience, Size, Step, Typed};

/// One input: pieces of up to 63 bytes, each behind a byte that says whose it is.
pub fn run(data: &[u8]) {
    let size = |byte: u8| Size {
        columns: u32::from(byte),
        rows: u32::from(byte % 50),
    };
    let mut typed = Typed::new(size(80), sallyport_shell::is_incomplete);
    let mut rest = data;
    while let Some((head, behind)) = rest.split_first() {
        let (piece, behind) = behind.split_at(usize::from(head & 63).min(behind.len()));
        rest = behind;
        match head >> 6 {
            0 | 1 => keys(&mut typed, piece),
            2 => typed.shown(piece),
            _ => {
                typed.quiet();
                if let Some(byte) = piece.first() {
                    typed.resize(size(*byte));
                }
            }
        }
        typed.is_at_prompt();
        typed.judge(Patience::Settled);
    }
}

fn keys(typed: &mut Typed, mut keys: &[u8]) {
    while !keys.is_empty() {
        let count = match typed.keys(keys) {
            Step::Pass(count) => {
                let submits = keys.iter().take(count).any(|byte| matches!(byte, b'\r' | b'\n' | 0x0f));
                assert!(!submits, "a line was submitted that nobody judged");
                count
            }
            Step::Swallow(count) => count,
            Step::Submit(count) => {
                typed.judge(Patience::Over);
                typed.submitted(&keys[..count]);
                count
            }
        };
        assert!(count > 0);
        keys = &keys[count..];
    }
}
