//! Why the branch's newest commit is not in force.

use std::fmt;

use sallyport_policy::Problem;

/// What kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The git program is missing, too old, or does not run.
    Program,
    /// The host cannot be reached, or lets nobody in.
    Unreachable,
    /// The host has no such branch.
    Branch,
    /// What the host sends cannot be taken.
    Fetch,
    /// The branch went back, or to another line.
    Rewind,
    /// A commit is not signed, or by somebody else.
    Signature,
    /// The commit has what no bundle has: links, submodules, files that are too large.
    Content,
    /// The bundle is not valid.
    Invalid,
    /// The bundle could not be kept.
    Keep,
}

impl Kind {
    /// A word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Unreachable => "unreachable",
            Self::Branch => "branch",
            Self::Fetch => "fetch",
            Self::Rewind => "rewind",
            Self::Signature => "signature",
            Self::Content => "content",
            Self::Invalid => "invalid",
            Self::Keep => "keep",
        }
    }

    /// Whether there is a newer commit, and it was refused; otherwise nothing is known of the branch.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        match self {
            Self::Program | Self::Unreachable | Self::Branch | Self::Fetch => false,
            Self::Rewind | Self::Signature | Self::Content | Self::Invalid | Self::Keep => true,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the branch's newest commit is not in force.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// What kind.
    pub kind: Kind,
    /// What is wrong and what to do, in words.
    pub message: String,
    /// The commit that it is about.
    pub commit: Option<String>,
    /// What is wrong with the bundle, each with its place.
    pub problems: Vec<Problem>,
}

impl Trouble {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            commit: None,
            problems: Vec::new(),
        }
    }

    pub(crate) fn with_problems(mut self, problems: Vec<Problem>) -> Self {
        self.problems = problems;
        self
    }

    pub(crate) fn about(mut self, commit: &str) -> Self {
        self.commit = Some(commit.to_owned());
        self
    }

    /// Whether somebody who knows of the one need not be told of the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let places = |trouble: &Self| trouble.problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        // What a host or the network says varies from time to time without saying anything new.
        self.kind == other.kind
            && self.commit == other.commit
            && (!self.kind.is_refusal() || (&self.message, places(self)) == (&other.message, places(other)))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(commit) = &self.commit {
            write!(f, "commit {commit}: ")?;
        }
        f.write_str(&self.message)?;
        for problem in &self.problems {
            write!(f, "; {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Trouble {}
