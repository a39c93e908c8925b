//! A people file is understood or refused: everybody in it has a name, once, and groups within bounds.

use std::collections::HashSet;

use sallyport_identity::people::parsed;
use sallyport_identity::{MAX_GROUPS, check_id};

/// One input.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains("/dev") || text.contains("/proc") {
        return;
    }
    let Ok(people) = parsed(text) else { return };
    let mut names = HashSet::new();
    for (name, groups) in &people {
        assert!(check_id(name).is_ok(), "{name}");
        assert!(names.insert(name), "{name} is there twice");
        assert!(*groups <= MAX_GROUPS);
    }
}
