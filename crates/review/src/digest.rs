//! What exactly a grant is for.

use aws_lc_rs::digest::{Context, SHA256};

const DOMAIN: &[u8] = b"sallyport command digest v1";

/// Everything that an approval is bound to (invariant I4).
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The statement's bytes, as they will be forwarded. For a statement that runs a prepared one, the prepared
    /// statement's bytes too.
    pub statement: &'a [u8],
    /// The bound parameters with their formats, in the protocol's own bytes; empty without parameters.
    pub parameters: &'a [u8],
    /// The session's state that changes what the statement means (search path, role, parser settings, client
    /// encoding), in one canonical form.
    pub state: &'a [u8],
    /// The principal that asks.
    pub principal: &'a str,
    /// The target.
    pub target: &'a str,
    /// The database, namespace or the like within the target.
    pub database: &'a str,
    /// The task of the session.
    pub task: Option<&'a str>,
    /// The digest of the policy that held the command.
    pub policy_digest: &'a str,
}

/// SHA-256 over a [`Binding`], each part prefixed by its length so that no two bindings share their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommandDigest([u8; 32]);

impl CommandDigest {
    /// The digest of `binding`.
    #[must_use]
    pub fn of(binding: &Binding<'_>) -> Self {
        let Binding {
            statement,
            parameters,
            state,
            principal,
            target,
            database,
            task,
            policy_digest,
        } = *binding;
        let mut context = Context::new(&SHA256);
        let mut part = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        part(DOMAIN);
        part(statement);
        part(parameters);
        part(state);
        part(principal.as_bytes());
        part(target.as_bytes());
        part(database.as_bytes());
        // A session without a task is not one with an empty task.
        part(if task.is_some() { b"task" } else { b"" });
        part(task.unwrap_or_default().as_bytes());
        part(policy_digest.as_bytes());
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// In hexadecimal.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl std::fmt::Debug for CommandDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CommandDigest({})", self.to_hex())
    }
}

impl std::fmt::Display for CommandDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Binding<'static> = Binding {
        statement: b"ALTER TABLE orders ADD note text",
        parameters: b"",
        state: b"public",
        principal: "alice",
        target: "orders",
        database: "orders",
        task: None,
        policy_digest: "p1",
    };

    #[test]
    fn every_part_changes_the_digest() {
        let base = CommandDigest::of(&BASE);
        assert_eq!(base, CommandDigest::of(&BASE));
        let others = [
            Binding {
                statement: b"ALTER TABLE orders ADD note text ",
                ..BASE
            },
            Binding {
                parameters: b"1",
                ..BASE
            },
            Binding {
                state: b"evil, public",
                ..BASE
            },
            Binding {
                principal: "bob",
                ..BASE
            },
            Binding {
                target: "payments",
                ..BASE
            },
            Binding {
                database: "other",
                ..BASE
            },
            Binding {
                task: Some("OPS-42"),
                ..BASE
            },
            Binding { task: Some(""), ..BASE },
            Binding {
                policy_digest: "p2",
                ..BASE
            },
        ];
        let mut seen = std::collections::HashSet::from([base]);
        for other in &others {
            assert!(seen.insert(CommandDigest::of(other)), "{other:?}");
        }
    }

    #[test]
    fn bytes_cannot_move_between_parts() {
        let one = Binding {
            statement: b"ab",
            parameters: b"c",
            ..BASE
        };
        let two = Binding {
            statement: b"a",
            parameters: b"bc",
            ..BASE
        };
        assert_ne!(CommandDigest::of(&one), CommandDigest::of(&two));
    }
}
