use thiserror::Error;

use crate::host::HostError;
use crate::keys::KeyError;
use crate::message::disconnect;
use crate::packet::PacketError;
use crate::wire::WireError;

/// Why a connection ended. But for [`Closed`](TransportError::Closed) and what the caller did, it is the peer who
/// broke the rules, or somebody between.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransportError {
    /// The peer does not speak SSH 2.
    #[error("the peer did not introduce itself as one that speaks SSH 2: {0}")]
    Identification(&'static str),
    /// A packet was changed on its way, or does not keep to the form of packets. Which of the two is not said.
    #[error("a packet is not what the peer sealed")]
    Packet,
    /// A message is not well formed.
    #[error("a message of type {number} is malformed: {error}")]
    Malformed {
        /// The message's number.
        number: u8,
        /// What is wrong with it.
        error: WireError,
    },
    /// A message came when the protocol has no place for it.
    #[error("a message of type {0} came out of place")]
    Unexpected(u8),
    /// With strict key exchange nothing comes before or between the messages of the first key exchange. Something
    /// did: packets were slipped in.
    #[error("a message of type {0} was slipped into the key exchange")]
    Strict(u8),
    /// No algorithm in common.
    #[error("no {what} in common; the peer offers `{offered}`")]
    NoneInCommon {
        /// What is missing, such as `cipher`.
        what: &'static str,
        /// The peer's list, cut to its first 512 characters.
        offered: String,
    },
    /// The peer lacks strict key exchange and wants what is weak without (CVE-2023-48795).
    #[error("the peer wants `{0}` without strict key exchange, which is open to attack (CVE-2023-48795): update it")]
    Terrapin(&'static str),
    /// The peer's share of the key exchange is no good.
    #[error("the peer's part of the key exchange is not valid")]
    KeyExchange,
    /// The host's key is not trusted.
    #[error("the host is not the one that is meant: {0}")]
    Host(#[from] HostError),
    /// The host's signature over the key exchange is wrong: somebody stands between.
    #[error("the host did not prove to hold its key: {0}")]
    HostSignature(KeyError),
    /// The host's own key cannot sign.
    #[error("this host's key cannot sign: {0}")]
    OwnKey(KeyError),
    /// Too many messages without a meaning before the login.
    #[error("the peer sent too many messages that mean nothing before it logged in")]
    TooManyIgnored,
    /// More packets under one key than can be told apart.
    #[error("the keys were used for too many packets")]
    Exhausted,
    /// The caller's payload does not fit into a packet, is empty, or is a message that is not the caller's to send.
    #[error("this cannot be sent: it is empty, too long or a message of the transport's own")]
    NotSendable,
    /// Too much waits for the end of a key exchange that the peer does not go on with.
    #[error("the peer does not go on with a key exchange, and too much waits for its end")]
    Stalled,
    /// Nothing can be sent before the first key exchange is done.
    #[error("nothing can be sent before the first key exchange is done")]
    NotReady,
    /// The connection was ended before.
    #[error("the connection was ended before")]
    Closed,
    /// The cryptographic library failed, such as for want of randomness.
    #[error("the cryptographic library failed")]
    Library,
}

impl TransportError {
    /// What a DISCONNECT says for it (RFC 4253 section 11.1).
    pub fn reason(&self) -> u32 {
        match self {
            Self::Identification(_) => disconnect::PROTOCOL_VERSION_NOT_SUPPORTED,
            Self::Packet => disconnect::MAC_ERROR,
            Self::Malformed { .. } | Self::Unexpected(_) | Self::Strict(_) | Self::TooManyIgnored | Self::Stalled => {
                disconnect::PROTOCOL_ERROR
            }
            Self::NoneInCommon { .. } | Self::Terrapin(_) | Self::KeyExchange | Self::OwnKey(_) => {
                disconnect::KEY_EXCHANGE_FAILED
            }
            Self::Host(_) | Self::HostSignature(_) => disconnect::HOST_KEY_NOT_VERIFIABLE,
            Self::Exhausted | Self::NotSendable | Self::NotReady | Self::Closed | Self::Library => {
                disconnect::BY_APPLICATION
            }
        }
    }

    pub(crate) fn malformed(number: u8) -> impl FnOnce(WireError) -> Self {
        move |error| Self::Malformed { number, error }
    }
}

impl From<PacketError> for TransportError {
    fn from(error: PacketError) -> Self {
        match error {
            PacketError::Corrupt => Self::Packet,
            PacketError::TooLong => Self::NotSendable,
            PacketError::Exhausted => Self::Exhausted,
            PacketError::Library => Self::Library,
        }
    }
}
