//! Who broke the protocol, and how.

/// Which side of the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The person's or program's side.
    Client,
    /// The server behind the gateway.
    Target,
    /// The gateway itself: an answer to a question that nobody asked.
    Gateway,
}

/// A side broke the protocol in a way that leaves no safe next byte. The channel ends.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("the {who} broke the file transfer protocol: {what}", who = match side {
    Side::Client => "client",
    Side::Target => "target",
    Side::Gateway => "gateway",
})]
pub struct SftpError {
    /// Who broke it.
    pub side: Side,
    /// What was wrong, without contents.
    pub what: &'static str,
}

impl SftpError {
    pub(crate) const fn client(what: &'static str) -> Self {
        Self {
            side: Side::Client,
            what,
        }
    }

    pub(crate) const fn target(what: &'static str) -> Self {
        Self {
            side: Side::Target,
            what,
        }
    }

    pub(crate) const fn gateway(what: &'static str) -> Self {
        Self {
            side: Side::Gateway,
            what,
        }
    }
}
