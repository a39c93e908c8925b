//! An agent that masks: whatever gateway and target send, nothing panics, and nothing of the target passes before the
//! gateway has said what is hidden.

use sallyport_postgres::testing::veil;

/// One input: pieces, each with a byte that says how long it is and whose.
pub fn run(data: &[u8]) {
    let (mut parts, mut rest) = (Vec::new(), data);
    while let [head, after @ ..] = rest {
        let len = usize::from(head >> 1).min(after.len());
        let (part, after) = after.split_at(len);
        parts.push((head & 1 == 1, part));
        rest = after;
    }
    let passed = veil(&parts);
    if parts.iter().all(|(of_gateway, _)| !of_gateway) {
        assert!(passed.is_empty(), "nobody said what is hidden");
    }
}
