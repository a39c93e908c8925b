//! The bundles of the repository are valid, and decide what their pages say.

use std::path::{Path, PathBuf};
use sallyport_policy::{Bundle, SchemaFragment};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
fn sql() -> SchemaFragment {
    let path = root().join("crates/protocols/postgres/src/schema.cedarschema");
    SchemaFragment::new("postgres", std::fs::read_to_string(path).unwrap())
}
#[test]
fn loads() {
    for dir in ["policy", "tests/policies/corpus-sql", "tests/policies/permit-all"] {
        if let Err(e) = Bundle::load(&root().join(dir), &[sql()]) { panic!("{e}") }
    }
}
