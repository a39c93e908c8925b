//! Where a path leads, in questions to the target. It knows nothing of packets or ids: it says what to ask, and is told
//! the answers.

use bytes::Bytes;

use crate::path;
use crate::wire::code;

/// What a request does with the last part of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// A link there is followed.
    Whole,
    /// The same, but by the target's own expansion of `~`.
    Expanded,
    /// The name itself is meant, a link or not. Only with a slash or dots at the end does it mean what they lead to.
    Link,
    /// The name itself is created, changed or removed; dots are not names.
    Name,
    /// The name must not exist; a link there counts as existing.
    NewName,
}

/// What to ask the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// `REALPATH`.
    Real(Bytes),
    /// `expand-path@openssh.com`.
    Expand(Bytes),
    /// `LSTAT`; the number says which of the directories on the way.
    Look(Bytes, u8),
}

/// What the target said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Path(Bytes),
    /// Whether it is a link, if it says so.
    Link(Option<bool>),
    Status(Failure),
}

/// Why there is no answer: a status of the target, or one that the machine gives itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: u32,
    pub(crate) message: Bytes,
}

impl Failure {
    const fn new(code: u32, message: &'static str) -> Self {
        Self {
            code,
            message: Bytes::from_static(message.as_bytes()),
        }
    }
}

const NO_NAME: Failure = Failure::new(code::FAILURE, "the path does not end in a name");
const EXISTS: Failure = Failure::new(code::FAILURE, "the name exists");
const TOO_DEEP: Failure = Failure::new(code::FAILURE, "the path is too deep");
const NOT_A_PATH: Failure = Failure::new(code::FAILURE, "the target's answer is not an absolute path");
const LINK: Failure = Failure::new(
    code::PERMISSION_DENIED,
    "the gateway cannot tell where a symbolic link leads on this target: name the file itself",
);
const UNKNOWN_TYPE: Failure = Failure::new(
    code::PERMISSION_DENIED,
    "the target does not tell whether a name is a symbolic link",
);
const DRIVE: Failure = Failure::new(
    code::PERMISSION_DENIED,
    "the name has signs that lead elsewhere on Windows",
);

/// One path on its way to being resolved.
#[derive(Debug)]
pub(crate) struct Resolve {
    follow: Follow,
    written: Bytes,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// Not begun.
    Begin,
    /// The whole path was asked for.
    Whole,
    /// Its directory was asked for: because the name is meant, or because the whole path failed with that.
    Parent {
        name: Bytes,
        instead: Option<Failure>,
    },
    /// The whole path failed, its directory did not: is there really no such name?
    Absent {
        path: Bytes,
        instead: Failure,
    },
    /// A name that must not exist: is it a link?
    New {
        path: Bytes,
    },
    /// The directories on the way are looked at.
    Walk {
        path: Bytes,
        left: u8,
        last: u8,
        failed: Option<Failure>,
    },
    Done(Result<Bytes, Failure>),
}

impl Resolve {
    pub(crate) const fn new(follow: Follow, written: Bytes) -> Self {
        Self {
            follow,
            written,
            step: Step::Begin,
        }
    }

    pub(crate) const fn written(&self) -> &Bytes {
        &self.written
    }

    /// Whether the whole path was asked for and nothing is answered yet.
    pub(crate) const fn asks_whole(&self) -> bool {
        matches!(self.step, Step::Whole)
    }

    /// The end, once there is one.
    pub(crate) const fn outcome(&self) -> Option<&Result<Bytes, Failure>> {
        match &self.step {
            Step::Done(outcome) => Some(outcome),
            Step::Begin
            | Step::Whole
            | Step::Parent { .. }
            | Step::Absent { .. }
            | Step::New { .. }
            | Step::Walk { .. } => None,
        }
    }

    /// The first question; also to begin again.
    pub(crate) fn begin(&mut self) -> Vec<Question> {
        let whole = match self.follow {
            Follow::Whole => true,
            Follow::Expanded => {
                self.step = Step::Whole;
                return vec![Question::Expand(self.written.clone())];
            }
            Follow::Link => path::ends_with_slash(&self.written) || path::split(&self.written).is_none(),
            Follow::Name | Follow::NewName => false,
        };
        if whole {
            self.step = Step::Whole;
            return vec![Question::Real(self.written.clone())];
        }
        self.ask_parent(None)
    }

    fn ask_parent(&mut self, instead: Option<Failure>) -> Vec<Question> {
        let Some((parent, name)) = path::split(&self.written) else {
            return self.end(Err(instead.unwrap_or(NO_NAME)));
        };
        let question = Question::Real(Bytes::copy_from_slice(parent));
        self.step = Step::Parent {
            name: Bytes::copy_from_slice(name),
            instead,
        };
        vec![question]
    }

    fn end(&mut self, outcome: Result<Bytes, Failure>) -> Vec<Question> {
        self.step = Step::Done(outcome);
        Vec::new()
    }

    /// An answer to one of the questions. `links` is whether the target's `REALPATH` is known to follow links.
    pub(crate) fn answer(&mut self, answer: Answer, nth: u8, links: bool) -> Vec<Question> {
        match std::mem::replace(&mut self.step, Step::Begin) {
            Step::Whole => match answer {
                Answer::Path(found) => self.found(&found, links),
                Answer::Status(failure) if self.follow == Follow::Whole => self.ask_parent(Some(failure)),
                Answer::Status(failure) => self.end(Err(failure)),
                Answer::Link(_) => self.end(Err(NOT_A_PATH)),
            },
            Step::Parent { name, instead } => self.parent(answer, &name, instead, links),
            Step::Absent { path, instead } => match answer {
                Answer::Status(failure) if failure.code == code::NO_SUCH_FILE => self.found(&path, links),
                Answer::Status(_) | Answer::Link(_) | Answer::Path(_) => self.end(Err(instead)),
            },
            Step::New { path } => match answer {
                Answer::Link(Some(false)) => self.found(&path, links),
                Answer::Status(failure) if failure.code == code::NO_SUCH_FILE => self.found(&path, links),
                Answer::Link(Some(true)) => self.end(Err(EXISTS)),
                Answer::Link(None) => self.end(Err(UNKNOWN_TYPE)),
                Answer::Status(failure) => self.end(Err(failure)),
                Answer::Path(_) => self.end(Err(NOT_A_PATH)),
            },
            Step::Walk {
                path,
                left,
                last,
                failed,
            } => self.looked(path, left, last, failed.or_else(|| self.seen(&answer, nth == last))),
            done @ (Step::Begin | Step::Done(_)) => {
                self.step = done;
                Vec::new()
            }
        }
    }

    fn parent(&mut self, answer: Answer, name: &Bytes, instead: Option<Failure>, links: bool) -> Vec<Question> {
        let parent = match answer {
            Answer::Path(parent) if path::is_plain(&parent) => parent,
            Answer::Path(_) | Answer::Link(_) => return self.end(Err(instead.unwrap_or(NOT_A_PATH))),
            Answer::Status(failure) => return self.end(Err(instead.unwrap_or(failure))),
        };
        if path::on_drive(&parent) && name.iter().any(|byte| matches!(byte, b'\\' | b':')) {
            return self.end(Err(DRIVE));
        }
        let path = path::join(&parent, name);
        match (instead, self.follow) {
            (Some(instead), _) => {
                self.step = Step::Absent {
                    path: path.clone(),
                    instead,
                }
            }
            (None, Follow::NewName) => self.step = Step::New { path: path.clone() },
            (None, Follow::Whole | Follow::Expanded | Follow::Link | Follow::Name) => return self.found(&path, links),
        }
        vec![Question::Look(path, 0)]
    }

    fn found(&mut self, path: &Bytes, links: bool) -> Vec<Question> {
        let path = path.slice_ref(path::without_trailing(path));
        if !path::is_plain(&path) {
            return self.end(Err(NOT_A_PATH));
        }
        if links || path.len() == 1 {
            return self.end(Ok(path));
        }
        let Some(count) = u8::try_from(path::prefixes(&path).count())
            .ok()
            .filter(|n| usize::from(*n) <= path::DEEPEST)
        else {
            return self.end(Err(TOO_DEEP));
        };
        let looks = path::prefixes(&path)
            .zip(0..count)
            .map(|(way, nth)| Question::Look(path.slice_ref(way), nth));
        let looks = looks.collect();
        self.step = Step::Walk {
            path,
            left: count,
            last: count.saturating_sub(1),
            failed: None,
        };
        looks
    }

    /// What one look says against the path.
    fn seen(&self, answer: &Answer, last: bool) -> Option<Failure> {
        let itself = matches!(self.follow, Follow::Link | Follow::Name | Follow::NewName)
            && !path::ends_with_slash(&self.written)
            && path::split(&self.written).is_some();
        match answer {
            Answer::Link(Some(false)) => None,
            Answer::Link(_) if last && itself => None,
            Answer::Link(Some(true)) => Some(LINK),
            Answer::Link(None) => Some(UNKNOWN_TYPE),
            Answer::Status(failure) if last && failure.code == code::NO_SUCH_FILE => None,
            Answer::Status(failure) => Some(failure.clone()),
            Answer::Path(_) => Some(NOT_A_PATH),
        }
    }

    fn looked(&mut self, path: Bytes, left: u8, last: u8, failed: Option<Failure>) -> Vec<Question> {
        if left > 1 {
            self.step = Step::Walk {
                path,
                left: left - 1,
                last,
                failed,
            };
            return Vec::new();
        }
        self.end(failed.map_or(Ok(path), Err))
    }
}
