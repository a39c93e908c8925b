//! The numbers of SSH's messages and of the reasons that they give.
//!
//! RFC 4250 section 4.1 has the plan: 1 to 19 the transport, 20 to 29 the key exchange, 30 to 49 the method of
//! the key exchange, 50 to 79 authentication, 80 to 127 the connection, 192 to 255 local extensions.

/// RFC 4253 section 11.1.
pub const DISCONNECT: u8 = 1;
/// RFC 4253 section 11.2.
pub const IGNORE: u8 = 2;
/// RFC 4253 section 11.4.
pub const UNIMPLEMENTED: u8 = 3;
/// RFC 4253 section 11.3.
pub const DEBUG: u8 = 4;
/// RFC 4253 section 10.
pub const SERVICE_REQUEST: u8 = 5;
/// RFC 4253 section 10.
pub const SERVICE_ACCEPT: u8 = 6;
/// RFC 8308 section 2.3.
pub const EXT_INFO: u8 = 7;
/// RFC 4253 section 7.1.
pub const KEXINIT: u8 = 20;
/// RFC 4253 section 7.3.
pub const NEWKEYS: u8 = 21;
/// RFC 5656 section 4; the hybrid methods use the same number.
pub const KEX_ECDH_INIT: u8 = 30;
/// RFC 5656 section 4; the hybrid methods use the same number.
pub const KEX_ECDH_REPLY: u8 = 31;

/// RFC 4252 section 5.
pub const USERAUTH_REQUEST: u8 = 50;
/// RFC 4252 section 5.1.
pub const USERAUTH_FAILURE: u8 = 51;
/// RFC 4252 section 5.1.
pub const USERAUTH_SUCCESS: u8 = 52;
/// RFC 4252 section 5.4.
pub const USERAUTH_BANNER: u8 = 53;
/// RFC 4252 section 7, when the method is `publickey`.
pub const USERAUTH_PK_OK: u8 = 60;
/// RFC 4252 section 8, when the method is `password`.
pub const USERAUTH_PASSWD_CHANGEREQ: u8 = 60;
/// RFC 4256 section 3.2, when the method is `keyboard-interactive`.
pub const USERAUTH_INFO_REQUEST: u8 = 60;
/// RFC 4256 section 3.4.
pub const USERAUTH_INFO_RESPONSE: u8 = 61;

/// RFC 4254 section 4.
pub const GLOBAL_REQUEST: u8 = 80;
/// RFC 4254 section 4.
pub const REQUEST_SUCCESS: u8 = 81;
/// RFC 4254 section 4.
pub const REQUEST_FAILURE: u8 = 82;
/// RFC 4254 section 5.1.
pub const CHANNEL_OPEN: u8 = 90;
/// RFC 4254 section 5.1.
pub const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
/// RFC 4254 section 5.1.
pub const CHANNEL_OPEN_FAILURE: u8 = 92;
/// RFC 4254 section 5.2.
pub const CHANNEL_WINDOW_ADJUST: u8 = 93;
/// RFC 4254 section 5.2.
pub const CHANNEL_DATA: u8 = 94;
/// RFC 4254 section 5.2.
pub const CHANNEL_EXTENDED_DATA: u8 = 95;
/// RFC 4254 section 5.3.
pub const CHANNEL_EOF: u8 = 96;
/// RFC 4254 section 5.3.
pub const CHANNEL_CLOSE: u8 = 97;
/// RFC 4254 section 5.4.
pub const CHANNEL_REQUEST: u8 = 98;
/// RFC 4254 section 5.4.
pub const CHANNEL_SUCCESS: u8 = 99;
/// RFC 4254 section 5.4.
pub const CHANNEL_FAILURE: u8 = 100;

/// Why a connection ends, in a DISCONNECT (RFC 4253 section 11.1).
pub mod disconnect {
    /// The peer may not connect from where it is.
    pub const HOST_NOT_ALLOWED_TO_CONNECT: u32 = 1;
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: u32 = 2;
    /// No algorithms in common, or the key exchange went wrong.
    pub const KEY_EXCHANGE_FAILED: u32 = 3;
    /// A packet is not what the peer sealed.
    pub const MAC_ERROR: u32 = 5;
    /// The service asked for is not served here.
    pub const SERVICE_NOT_AVAILABLE: u32 = 7;
    /// The peer speaks another version of the protocol.
    pub const PROTOCOL_VERSION_NOT_SUPPORTED: u32 = 8;
    /// The host's key is not one that is trusted.
    pub const HOST_KEY_NOT_VERIFIABLE: u32 = 9;
    /// The connection is gone.
    pub const CONNECTION_LOST: u32 = 10;
    /// The application is done, or ended it.
    pub const BY_APPLICATION: u32 = 11;
    /// Too many connections.
    pub const TOO_MANY_CONNECTIONS: u32 = 12;
    /// The person cancelled the login.
    pub const AUTH_CANCELLED_BY_USER: u32 = 13;
    /// No way to authenticate is left.
    pub const NO_MORE_AUTH_METHODS_AVAILABLE: u32 = 14;
    /// No such user.
    pub const ILLEGAL_USER_NAME: u32 = 15;
}

/// Why a channel was not opened, in a CHANNEL_OPEN_FAILURE (RFC 4254 section 5.1).
pub mod open_failure {
    /// Policy does not permit it.
    pub const ADMINISTRATIVELY_PROHIBITED: u32 = 1;
    /// What the channel should lead to cannot be reached.
    pub const CONNECT_FAILED: u32 = 2;
    /// No such kind of channel here.
    pub const UNKNOWN_CHANNEL_TYPE: u32 = 3;
    /// Too many channels.
    pub const RESOURCE_SHORTAGE: u32 = 4;
}

/// The kind of CHANNEL_EXTENDED_DATA that is standard error (RFC 4254 section 5.2).
pub const EXTENDED_DATA_STDERR: u32 = 1;
