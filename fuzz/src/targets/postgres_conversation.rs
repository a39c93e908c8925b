//! The machine between a client and a target keeps its promises whatever the two say, in whatever order, however the
//! bytes are cut, and whatever the gate answers: nothing reaches the target that was not permitted, both sides get whole
//! messages, nothing grows without bound, no value that must be masked reaches the client, and bytes that arrive one by
//! one come to the same as bytes that arrive together.
//!
//! The input is a script: what the client sends (anything, or statements of a list), what the target sends (anything,
//! or what a real server would answer), and how the gate rules.

use crate::play::Play;
use crate::script::Script;

/// A card number that the honest target puts into every result, error and notice.
const NEEDLE: &[u8] = crate::server::SECRET.as_bytes();

/// One input.
pub fn run(data: &[u8]) {
    let Some(script) = Script::read(data) else { return };
    let whole = Play::run(&script, usize::MAX);
    let pieces = Play::run(&script, script.cut);
    assert_eq!(whole.broken, pieces.broken, "cut into pieces of {}", script.cut);
    // What the target said before it broke the protocol need not get through, if it arrived together with that.
    if whole.broken.is_none() {
        assert_eq!(whole.to_client, pieces.to_client, "cut into pieces of {}", script.cut);
    }
    assert_eq!(whole.to_target, pieces.to_target, "cut into pieces of {}", script.cut);
    if script.must_mask() {
        let found = whole.to_client.windows(NEEDLE.len()).any(|window| window == NEEDLE);
        assert!(!found, "a value that must be masked reached the client");
    }
}
