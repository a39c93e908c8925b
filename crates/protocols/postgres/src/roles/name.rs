//! Names and texts, so that nothing of what a person is called means anything to a server.

use std::fmt::Write;

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest name, in bytes: a server would cut a longer one.
const MAX: usize = 63;
/// Bytes of chance in a name.
const CHANCE: usize = 6;

/// `prefix_person_chance`, of letters, digits and few signs. `None` without random bytes.
pub(super) fn role(prefix: &str, person: &str) -> Option<String> {
    let chance = random(CHANCE)?;
    let fits = MAX.saturating_sub(prefix.len() + chance.len() + 2);
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '@') {
            c
        } else {
            '_'
        }
    };
    let person: String = person.chars().map(plain).take(fits).collect();
    Some(format!("{prefix}_{person}_{chance}"))
}

/// Random bytes, in hexadecimal.
pub(super) fn random(bytes: usize) -> Option<String> {
    let mut random = vec![0; bytes];
    rand::fill(&mut random).ok()?;
    let mut text = String::with_capacity(bytes * 2);
    for byte in random {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}

/// A name as an identifier. A zero byte, which no name has, is left out.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}

/// A text as a literal, whatever `standard_conforming_strings` is.
pub(super) fn literal(text: &str) -> String {
    format!(
        "E'{}'",
        text.replace('\0', "").replace('\\', "\\\\").replace('\'', "''")
    )
}

/// What is said of a role at the server, so that anybody can tell whose it is, and others of us can end it.
#[derive(Serialize)]
pub(super) struct Comment<'a> {
    pub(super) database: &'a str,
    pub(super) session: Uuid,
    pub(super) principal: &'a str,
}

#[derive(Deserialize)]
struct Read {
    database: String,
    #[serde(rename = "session")]
    _session: Uuid,
}

/// How such a comment begins.
const OURS: &str = "sallyport: ";

impl Comment<'_> {
    pub(super) fn text(&self) -> String {
        // Strings: there is nothing in them that JSON cannot say.
        format!("{OURS}{}", serde_json::to_string(self).unwrap_or_default())
    }
}

/// The database that a role of ours was made for, by its comment.
pub(super) fn database(comment: &str) -> Option<String> {
    let read: Read = serde_json::from_str(comment.strip_prefix(OURS)?).ok()?;
    Some(read.database)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_says_who_and_nothing_else() {
        let name = role("sp", "alice@example.com").unwrap();
        assert!(name.starts_with("sp_alice@example.com_") && name.len() == 33, "{name}");
        let name = role("sp", "\"; drop role x; --").unwrap();
        assert!(name.starts_with("sp____drop_role_x__--_"), "{name}");
        assert_ne!(role("sp", "alice"), role("sp", "alice"));
    }

    proptest! {
        #[test]
        fn a_name_is_never_cut_by_the_server(prefix in "[a-z][a-z0-9]{0,15}", person in "\\PC{0,200}") {
            let name = role(&prefix, &person).unwrap();
            prop_assert!(name.len() <= MAX && name.is_ascii());
            prop_assert!(!name.contains(['"', '\'', '\\', ' ', ';']));
        }

        /// Read as a server reads it, what is quoted is what was quoted.
        #[test]
        fn quoting_ends_where_it_should(text in "[ -~\\n]{0,40}") {
            let quoted = identifier(&text);
            let inner = quoted.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            prop_assert_eq!(inner.replace("\"\"", "\u{1}").contains('"'), false);
            let quoted = literal(&text);
            let inner = quoted.strip_prefix("E'").unwrap().strip_suffix('\'').unwrap();
            let mut chars = inner.chars();
            let mut read = String::new();
            while let Some(c) = chars.next() {
                let escape = matches!(c, '\'' | '\\');
                prop_assert!(!escape || chars.next() == Some(c));
                read.push(c);
            }
            prop_assert_eq!(read, text);
        }
    }

    #[test]
    fn a_comment_is_known_again_and_others_are_not() {
        let comment = Comment {
            database: "it's \\ \"shop\"",
            session: Uuid::nil(),
            principal: "alice",
        };
        assert_eq!(database(&comment.text()).unwrap(), "it's \\ \"shop\"");
        for other in ["", "the app", "sallyport: ", "sallyport: {}", "{\"database\":\"x\"}"] {
            assert!(database(other).is_none(), "{other}");
        }
    }
}
