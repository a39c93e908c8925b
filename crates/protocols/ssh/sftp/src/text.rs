//! An act as one line, for people, recordings and chat: exact, unambiguous, printable.

use std::fmt::Write as _;

use crate::act::{Attributes, FileAct, Place};
use crate::path::shown;

impl FileAct {
    /// The line. What is in brackets after a path belongs to it; paths that could be mistaken are quoted.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Read { at } => one("get", at),
            Self::Write { at, .. } => format!("{}{}", one("put", at), self.writing()),
            Self::List { at } => one("ls", at),
            Self::Stat { at } => one("stat", at),
            Self::LinkStat { at } => one("lstat", at),
            Self::Attributes {
                at,
                link,
                handle,
                attributes,
            } => {
                let verb = if *link {
                    "lsetstat"
                } else if *handle {
                    "fsetstat"
                } else {
                    "setstat"
                };
                format!("{}{}", one(verb, at), listed(&attributes.words()))
            }
            Self::Remove { at } => one("rm", at),
            Self::MakeDirectory { at, mode } => format!("{}{}", one("mkdir", at), listed(&mode_words(*mode))),
            Self::RemoveDirectory { at } => one("rmdir", at),
            Self::Rename {
                from,
                to,
                overwrite: false,
            } => two("rename", from, to),
            Self::Rename {
                from,
                to,
                overwrite: true,
            } => two("replace", from, to),
            Self::Symlink { at, to } => two("symlink", at, to),
            Self::Hardlink { existing, new } => two("hardlink", existing, new),
            Self::Copy {
                from,
                to,
                length,
                offset,
                at,
            } => {
                let length = length.map_or_else(|| "all".to_owned(), |length| format!("{length} bytes"));
                format!("{} ({length}, from {offset} to {at})", two("copy", from, to))
            }
            Self::ReadLink { at } => one("readlink", at),
            Self::RealPath { at } => one("realpath", at),
            Self::FileSystem { at } => one("statvfs", at),
            Self::Home { user } => format!("home {}", shown(user)),
            Self::Names { users, groups } => format!("names users {users:?} groups {groups:?}"),
        }
    }

    fn writing(&self) -> String {
        let Self::Write {
            reads,
            create,
            truncate,
            append,
            exclusive,
            mode,
            ..
        } = self
        else {
            return String::new();
        };
        let flags = [
            (*reads, "read"),
            (*create, "create"),
            (*truncate, "truncate"),
            (*append, "append"),
            (*exclusive, "exclusive"),
        ];
        let mut words: Vec<String> = flags
            .into_iter()
            .filter(|(set, _)| *set)
            .map(|(_, word)| word.to_owned())
            .collect();
        words.extend(mode_words(*mode));
        listed(&words)
    }
}

impl Attributes {
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        words.extend(self.size.map(|size| format!("size {size}")));
        words.extend(self.owner.map(|(user, group)| format!("owner {user}:{group}")));
        words.extend(mode_words(self.mode));
        words.extend(self.times.map(|(access, change)| format!("times {access} {change}")));
        words
    }
}

fn mode_words(mode: Option<u32>) -> Vec<String> {
    mode.map(|mode| format!("mode {:04o}", mode & 0o7777))
        .into_iter()
        .collect()
}

fn listed(words: &[String]) -> String {
    if words.is_empty() {
        String::new()
    } else {
        format!(" ({})", words.join(", "))
    }
}

fn one(verb: &str, at: &Place) -> String {
    format!("{verb} {}", place(at))
}

fn two(verb: &str, first: &Place, second: &Place) -> String {
    format!("{verb} {} {}", place(first), place(second))
}

fn place(place: &Place) -> String {
    let mut text = shown(&place.path);
    if place.path != place.written {
        let _ = write!(text, " (written {})", shown(&place.written));
    }
    if !place.resolved {
        text.push_str(" (not resolved)");
    }
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::act::{Attributes, FileAct, Place};

    fn at(path: &'static str, written: &'static str) -> Place {
        Place {
            path: Bytes::from(path),
            written: Bytes::from(written),
            resolved: true,
        }
    }

    #[test]
    fn a_line_says_everything() {
        let text = |act: FileAct| act.text();
        assert_eq!(
            text(FileAct::Read {
                at: at("/etc/hosts", "/etc/hosts")
            }),
            "get /etc/hosts"
        );
        assert_eq!(
            text(FileAct::Read {
                at: at("/etc/shadow", "a b")
            }),
            "get /etc/shadow (written \"a b\")"
        );
        let (create, truncate, append, exclusive, reads) = (true, true, false, false, false);
        let put = FileAct::Write {
            at: at("/a", "/a"),
            reads,
            create,
            truncate,
            append,
            exclusive,
            mode: Some(0o104_755),
        };
        assert_eq!(text(put), "put /a (create, truncate, mode 4755)");
        let (from, to) = (
            at("/a", "/a"),
            Place {
                resolved: false,
                ..at("/b", "b")
            },
        );
        let rename = FileAct::Rename {
            from,
            to,
            overwrite: true,
        };
        assert_eq!(text(rename), "replace /a /b (written b) (not resolved)");
        let attributes = Attributes {
            size: Some(0),
            owner: Some((0, 7)),
            mode: None,
            times: Some((1, 2)),
        };
        let set = FileAct::Attributes {
            at: at("/a", "/a"),
            link: false,
            handle: true,
            attributes,
        };
        assert_eq!(text(set), "fsetstat /a (size 0, owner 0:7, times 1 2)");
    }
}
