//! Rebuilds the crate when a migration is added or changed: they are compiled in.

#[expect(clippy::print_stdout, reason = "the way to talk to cargo")]
fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
