//! The people file and the book say the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use super::{File, MAX_FILE_BYTES, People, PeopleError};

const BOOK: &str = include_str!("../../../../docs/src/identity.md");

/// The example in the book.
fn example() -> toml::Table {
    let (_, rest) = BOOK.split_once("## The people file").unwrap();
    let (_, rest) = rest.split_once("```toml\n").unwrap();
    let example = rest.split_once("```").unwrap().0;
    toml::from_str::<File>(example).unwrap();
    toml::from_str(example).unwrap()
}

/// The keys that a table may have, as the complaint about one that does not exist lists them.
fn accepted(table: &str) -> BTreeSet<String> {
    let error = toml::from_str::<File>(&table.replace("{}", "no-such-key = 1")).unwrap_err();
    let (_, expected) = error.message().split_once("expected").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn shown(tables: &toml::Value) -> BTreeSet<String> {
    let tables = tables.as_array().unwrap();
    tables
        .iter()
        .flat_map(|table| table.as_table().unwrap().keys().cloned())
        .collect()
}

#[test]
fn every_key_is_in_the_book_and_every_key_of_the_book_exists() {
    let book = example();
    assert_eq!(book.keys().cloned().collect::<BTreeSet<_>>(), accepted("{}"));
    for name in ["person", "authority"] {
        assert_eq!(shown(&book[name]), accepted(&format!("[[{name}]]\n{{}}")), "[[{name}]]");
    }
    let certificates = &book["person"][0]["certificates"];
    assert_eq!(
        shown(certificates),
        accepted("[[person]]\nid = \"a\"\ncertificates = [{ {} }]")
    );
}

#[test]
fn of_a_file_that_is_too_long_no_part_is_taken_for_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("people.toml");
    let person = "[[person]]\nid = \"alice\"\n";
    let padding = "#".repeat(usize::try_from(MAX_FILE_BYTES).unwrap() - person.len());
    let write = |text: &str| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        People::load(Path::new(&path))
    };
    assert!(write(&format!("{person}{padding}")).unwrap().get("alice").is_some());
    let longer = write(&format!("{person}{padding}\n[[person]]\nid = \"bob\"\n"));
    assert!(matches!(longer, Err(PeopleError::TooLong(_))));
}
