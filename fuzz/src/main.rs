//! The fuzzer: libFuzzer around the target that `SALLYPORT_FUZZ` names. `cargo xtask fuzz` builds and runs it.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sallyport_fuzz::{TARGETS, Target};

/// The environment variable with the target's name.
const NAME: &str = "SALLYPORT_FUZZ";

fn target() -> &'static Target {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        // The analysis survives a panic of the tree's library on text that is not UTF-8. The fuzzer's own hook would end
        // the process there; a panic that nobody catches still does.
        drop(std::panic::take_hook());
        let name = std::env::var(NAME).unwrap_or_default();
        let target = TARGETS.iter().find(|target| target.name == name);
        target.unwrap_or_else(|| panic!("{NAME} must name a target, not `{name}`"))
    })
}

fuzz_target!(|data: &[u8]| (target().run)(data));
