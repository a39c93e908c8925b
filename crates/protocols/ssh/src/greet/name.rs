//! What a client gives as its user name: the person, the account and the target.

/// The longest name.
const MAX_NAME: usize = 256;

/// `PERSON@TARGET`, or `PERSON@ACCOUNT@TARGET` for another account than the target's own. A person's name may hold an
/// `@` itself if an account is named, or if what is before the last one is the whole of it: an account never does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) person: String,
    pub(super) account: Option<String>,
    pub(super) target: String,
}

impl Name {
    pub(super) fn read(user: &str) -> Option<Self> {
        if user.len() > MAX_NAME || user.chars().any(char::is_control) {
            return None;
        }
        let (rest, target) = user.rsplit_once('@')?;
        let (person, account) = match rest.rsplit_once('@') {
            // An e-mail address has a dot in what follows its `@`; an account's name has none.
            Some((person, account)) if !account.contains('.') => (person, Some(account)),
            Some(_) | None => (rest, None),
        };
        let filled = !person.is_empty() && !target.is_empty() && account.is_none_or(|account| !account.is_empty());
        filled.then(|| Self {
            person: person.to_owned(),
            account: account.map(ToOwned::to_owned),
            target: target.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    fn read(user: &str) -> Option<(String, Option<String>, String)> {
        Name::read(user).map(|name| (name.person, name.account, name.target))
    }

    #[test]
    fn persons_accounts_and_targets_are_told_apart() {
        let name = |person: &str, account: Option<&str>, target: &str| {
            Some((person.to_owned(), account.map(ToOwned::to_owned), target.to_owned()))
        };
        assert_eq!(read("alice@web-1"), name("alice", None, "web-1"));
        assert_eq!(read("alice@root@web-1"), name("alice", Some("root"), "web-1"));
        assert_eq!(
            read("alice@example.com@web-1"),
            name("alice@example.com", None, "web-1")
        );
        assert_eq!(
            read("alice@example.com@root@web-1"),
            name("alice@example.com", Some("root"), "web-1")
        );
        for none in ["alice", "@web-1", "alice@", "alice@@web-1", "al\nice@web-1", ""] {
            assert_eq!(read(none), None, "{none:?}");
        }
    }
}
