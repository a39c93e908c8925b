//! For the fuzzers: single files of a bundle. Never part of a gateway.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use crate::classify_file::ClassifyFile;
use crate::{Classification, Problem};

/// What a `classify.toml` says of a target, and the classes that lie within others, or not, by name.
///
/// # Errors
/// What is wrong with the file.
pub fn classify(text: &str, target: &str) -> Result<(Classification, BTreeSet<SmolStr>), Vec<Problem>> {
    let file = ClassifyFile::parse(text, None)?;
    // Every class becomes an entity that rules can name.
    let _entities = file.entities();
    Ok((file.on(target), file.classes.keys().cloned().collect()))
}
