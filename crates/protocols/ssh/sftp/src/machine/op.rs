//! A request that has a verdict of its own, from its arrival until the target answered it.

use bytes::{Bytes, BytesMut};

use super::verify::Check;
use crate::act::{Attributes, FileAct, Place};
use crate::out::AskId;
use crate::path;
use crate::resolve::{Failure, Follow, Resolve};
use crate::wire::{Cursor, Verb, open};

/// One of the two strings of a request.
#[derive(Debug)]
pub(super) enum Part {
    /// A path.
    Path(Resolve),
    /// What a link shall hold: where it leads is asked for as soon as the link's directory is known.
    Held(Bytes, Option<Resolve>),
    /// Something else than a path.
    Plain(Bytes),
}

impl Part {
    pub(super) const fn resolve(&mut self) -> Option<&mut Resolve> {
        match self {
            Self::Path(resolve) | Self::Held(_, Some(resolve)) => Some(resolve),
            Self::Held(_, None) | Self::Plain(_) => None,
        }
    }

    const fn outcome(&self) -> Option<&Result<Bytes, Failure>> {
        match self {
            Self::Path(resolve) | Self::Held(_, Some(resolve)) => resolve.outcome(),
            Self::Held(_, None) | Self::Plain(_) => None,
        }
    }

    const fn written(&self) -> &Bytes {
        match self {
            Self::Path(resolve) => resolve.written(),
            Self::Held(text, _) | Self::Plain(text) => text,
        }
    }

    /// Where it leads; by its text from `home` if the target could not say.
    fn place(&self, home: &[u8]) -> Place {
        let written = self.written().clone();
        match self.outcome() {
            Some(Ok(path)) => Place {
                path: path.clone(),
                written,
                resolved: true,
            },
            Some(Err(_)) | None => {
                let text = match self {
                    Self::Held(_, Some(resolve)) => resolve.written(),
                    Self::Path(_) | Self::Held(_, None) | Self::Plain(_) => &written,
                };
                Place {
                    path: path::by_text(home, text),
                    written,
                    resolved: false,
                }
            }
        }
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Requests before it are not done.
    Waiting,
    /// The target is asked where its paths lead; `again` after the verdict.
    Resolving { again: bool },
    /// It waits for the verdict.
    Asked,
    /// The target has it.
    Sent,
}

/// One request.
#[derive(Debug)]
pub(super) struct Op {
    /// Its place in the order of requests, and the number of its question.
    pub(super) seq: u64,
    pub(super) client: u32,
    pub(super) verb: Verb,
    pub(super) first: Part,
    pub(super) second: Option<Part>,
    pub(super) state: State,
    /// Questions to the target that are not answered.
    pub(super) pending: u32,
    pub(super) max_size: Option<u64>,
    /// The size of the file that is to be opened, once it is known.
    pub(super) size: Option<u64>,
    /// The target was asked for it.
    pub(super) measured: bool,
    /// What was judged.
    pub(super) judged: Option<(Place, Option<Place>)>,
    /// The target's answer, when it was already got by asking where the path leads.
    pub(super) reply: Option<(u8, Bytes)>,
    /// For what is opened: whether it is what was judged.
    pub(super) check: Check,
}

impl Op {
    pub(super) fn new(seq: u64, client: u32, verb: Verb, first: &[u8], second: Option<&[u8]>) -> Self {
        let copy = Bytes::copy_from_slice;
        let part = |follow: Option<Follow>, text: &[u8]| match follow {
            Some(follow) => Part::Path(Resolve::new(follow, copy(text))),
            None => Part::Plain(copy(text)),
        };
        let here = matches!(verb, Verb::RealPath | Verb::ExpandPath) && first.is_empty();
        let first = part(verb.follows().0, if here { b"." } else { first });
        let held = verb == Verb::Symlink;
        let second = second.map(|text| {
            if held {
                Part::Held(copy(text), None)
            } else {
                part(verb.follows().1, text)
            }
        });
        Self {
            seq,
            client,
            verb,
            first,
            second,
            state: State::Waiting,
            pending: 0,
            max_size: None,
            size: None,
            measured: false,
            judged: None,
            reply: None,
            check: Check::None,
        }
    }

    pub(super) const fn ask(&self) -> AskId {
        AskId(self.seq)
    }

    /// Whether its question was answered with a permission.
    pub(super) const fn is_permitted(&self) -> bool {
        match self.state {
            State::Resolving { again } => again,
            State::Sent => true,
            State::Waiting | State::Asked => false,
        }
    }

    pub(super) const fn part(&mut self, second: bool) -> Option<&mut Part> {
        if second {
            self.second.as_mut()
        } else {
            Some(&mut self.first)
        }
    }

    /// The file to be measured, if that was not done.
    pub(super) fn unmeasured(&mut self) -> Option<Bytes> {
        let opens = matches!(self.verb, Verb::Open { .. });
        let Some(Ok(path)) = self.first.outcome().filter(|_| opens && !self.measured) else {
            return None;
        };
        let path = path.clone();
        self.measured = true;
        self.pending += 1;
        Some(path)
    }

    /// Takes the size that the file has now.
    pub(super) fn measured(&mut self, size: u64) {
        self.pending = self.pending.saturating_sub(1);
        let anew = matches!(self.verb, Verb::Open { flags, .. } if flags & open::TRUNCATE != 0);
        self.size = Some(if anew { 0 } else { size });
    }

    /// What a symbolic link would hold, as a path whose meaning can be asked for: from the link's own directory.
    pub(super) fn held_path(&self, home: &[u8]) -> Option<Bytes> {
        let (Verb::Symlink, Some(Part::Held(text, None))) = (self.verb, &self.second) else {
            return None;
        };
        if text.first() == Some(&b'/') {
            return Some(text.clone());
        }
        let link = self.first.place(home).path;
        let (parent, _) = path::split(&link)?;
        Some(path::join(parent, text))
    }

    pub(super) fn places(&self, home: &[u8]) -> (Place, Option<Place>) {
        (
            self.first.place(home),
            self.second.as_ref().map(|part| part.place(home)),
        )
    }

    /// Why it cannot run, if the target could not say where a path leads. Where a link leads need not exist.
    pub(super) fn failure(&self) -> Option<&Failure> {
        let second = self.second.as_ref().filter(|_| self.verb != Verb::Symlink);
        let failed = |part: &'_ Part| matches!(part.outcome(), Some(Err(_)));
        [Some(&self.first), second]
            .into_iter()
            .flatten()
            .find(|part| failed(part))
            .and_then(|part| match part.outcome() {
                Some(Err(failure)) => Some(failure),
                Some(Ok(_)) | None => None,
            })
    }

    /// The act, from where the paths lead.
    pub(super) fn act(&self, at: Place, second: Option<Place>) -> FileAct {
        let two = |second: Option<Place>| second.unwrap_or_else(|| at.clone());
        match self.verb {
            Verb::Open { flags, attributes } => opened(at, flags, &attributes),
            Verb::OpenDir => FileAct::List { at },
            Verb::Stat => FileAct::Stat { at },
            Verb::LinkStat => FileAct::LinkStat { at },
            Verb::SetStat(attributes) => FileAct::Attributes {
                at,
                link: false,
                handle: false,
                attributes,
            },
            Verb::LinkSetStat(attributes) => FileAct::Attributes {
                at,
                link: true,
                handle: false,
                attributes,
            },
            Verb::Remove => FileAct::Remove { at },
            Verb::MakeDir(attributes) => FileAct::MakeDirectory {
                at,
                mode: attributes.mode,
            },
            Verb::RemoveDir => FileAct::RemoveDirectory { at },
            Verb::RealPath | Verb::ExpandPath => FileAct::RealPath { at },
            Verb::ReadLink => FileAct::ReadLink { at },
            Verb::Rename | Verb::PosixRename => FileAct::Rename {
                to: two(second),
                from: at,
                overwrite: self.verb == Verb::PosixRename,
            },
            Verb::Symlink => FileAct::Symlink { to: two(second), at },
            Verb::Hardlink => FileAct::Hardlink {
                new: two(second),
                existing: at,
            },
            Verb::FileSystem => FileAct::FileSystem { at },
            Verb::Home => FileAct::Home { user: at.written },
            Verb::Names => FileAct::Names {
                users: numbers(&at.written),
                groups: second.map_or_else(Vec::new, |place| numbers(&place.written)),
            },
        }
    }

    /// Writes the request as the target gets it: the paths as they were judged.
    pub(super) fn encode(&self, to: &mut BytesMut, id: u32) -> usize {
        let Some((first, second)) = &self.judged else {
            return 0;
        };
        let first = match &self.first {
            Part::Path(_) => self.verb.slashed(first),
            Part::Held(..) | Part::Plain(_) => first.written.clone(),
        };
        let second = match (&self.second, second) {
            (Some(Part::Path(_)), Some(place)) => place.path.clone(),
            (Some(Part::Held(..) | Part::Plain(_)), Some(place)) => place.written.clone(),
            (_, None) | (None, Some(_)) => Bytes::new(),
        };
        self.verb.encode(to, id, &first, &second)
    }
}

fn opened(at: Place, flags: u32, attributes: &Attributes) -> FileAct {
    let has = |flag: u32| flags & flag != 0;
    if flags & !open::READ == 0 {
        return FileAct::Read { at };
    }
    FileAct::Write {
        at,
        reads: Verb::reads(flags),
        create: has(open::CREATE),
        truncate: has(open::TRUNCATE),
        append: has(open::APPEND),
        exclusive: has(open::EXCLUSIVE),
        mode: attributes.mode,
    }
}

fn numbers(list: &[u8]) -> Vec<u32> {
    let mut cursor = Cursor::new(list);
    std::iter::from_fn(|| cursor.u32().ok()).collect()
}
