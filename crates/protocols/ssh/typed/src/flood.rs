//! Which screen is shown, told from output that nobody looks at otherwise.

/// The longest sequence that says it.
const LONGEST: usize = 8;
const ESCAPE: u8 = 0x1b;

/// Follows what switches between the two screens, at the speed of a search for ESC.
#[derive(Debug, Default)]
pub(crate) struct Flood {
    pub(crate) alternate: bool,
    /// A sequence that has begun.
    begun: Vec<u8>,
}

impl Flood {
    pub(crate) fn new(alternate: bool) -> Self {
        Self {
            alternate,
            begun: Vec::new(),
        }
    }

    pub(crate) fn pass(&mut self, mut bytes: &[u8]) {
        loop {
            if self.begun.is_empty() {
                let Some(at) = bytes.iter().position(|byte| *byte == ESCAPE) else {
                    return;
                };
                bytes = bytes.get(at..).unwrap_or_default();
            }
            let Some((byte, rest)) = bytes.split_first() else {
                return;
            };
            if *byte == ESCAPE {
                self.begun.clear();
            }
            self.begun.push(*byte);
            bytes = rest;
            match self.begun.as_slice() {
                b"\x1bc" | b"\x1b[?1049l" | b"\x1b[?1047l" | b"\x1b[?47l" => self.alternate = false,
                b"\x1b[?1049h" | b"\x1b[?1047h" | b"\x1b[?47h" => self.alternate = true,
                begun if begun.len() < LONGEST && is_prefix(begun) => continue,
                _ => {}
            }
            self.begun.clear();
        }
    }
}

fn is_prefix(begun: &[u8]) -> bool {
    [&b"\x1b[?1049"[..], b"\x1b[?1047", b"\x1b[?47"]
        .iter()
        .any(|known| known.starts_with(begun))
}

#[cfg(test)]
mod tests {
    use super::Flood;

    #[test]
    fn screens_are_told_apart_however_the_output_was_cut() {
        let bytes = b"x\x1b[31mred\x1b\x1b[?1049hvi\x1b[?25l\x1b[?1049l\x1b[?47h\x1b[?104";
        for cut in 0..bytes.len() {
            let mut flood = Flood::default();
            let (one, two) = bytes.split_at(cut);
            flood.pass(one);
            flood.pass(two);
            assert!(flood.alternate, "cut at {cut}");
            flood.pass(b"7l");
            assert!(!flood.alternate, "cut at {cut}");
        }
    }
}
