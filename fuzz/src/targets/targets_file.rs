//! A `targets.toml` is understood or refused, and each target in it can be found by its name.

use std::path::Path;
use std::sync::Arc;

use sallyport_target::{Broker, Catalogue};

/// One input.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // The file is its operator's, who may name files without an end. The fuzzer is not to read them.
    if text.contains("/dev") || text.contains("/proc") {
        return;
    }
    let Ok(catalogue) = Catalogue::parse(text, "targets.toml", Path::new("/nonexistent"), &Broker::elsewhere()) else {
        return;
    };
    for target in catalogue.targets() {
        let found = catalogue.get(&target.name);
        assert!(found.is_some_and(|found| Arc::ptr_eq(found, target)), "{}", target.name);
    }
}
