//! What a client says after its startup packet.

mod bind;
mod close;
mod copy_fail;
mod describe;
mod execute;
mod function_call;
mod parse;
mod password;
mod query;

pub use bind::{Bind, each_parameter};
pub use close::Close;
pub use copy_fail::CopyFail;
pub use describe::Describe;
pub use execute::Execute;
pub use function_call::FunctionCall;
pub use parse::Parse;
pub use password::{Password, SaslInitialResponse, SaslResponse};
pub use query::Query;

use super::{
    Class, CopyData, WireError,
    encode::{Sink, message},
    frame,
};

/// The type of a client's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// Give a statement parameters: a portal.
    Bind,
    /// Forget a statement or portal.
    Close,
    /// A piece of COPY input.
    CopyData,
    /// The end of COPY input.
    CopyDone,
    /// COPY input given up.
    CopyFail,
    /// What a statement or portal takes and returns.
    Describe,
    /// Run a portal.
    Execute,
    /// Send what you have.
    Flush,
    /// Call a function by its OID ("fast path").
    FunctionCall,
    /// Make a prepared statement.
    Parse,
    /// An answer to an authentication request: password, SASL, GSS.
    Password,
    /// Run a string of statements.
    Query,
    /// End of a batch of the extended protocol.
    Sync,
    /// Goodbye.
    Terminate,
}

impl frame::Tag for Tag {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            b'B' => Self::Bind,
            b'C' => Self::Close,
            b'd' => Self::CopyData,
            b'c' => Self::CopyDone,
            b'f' => Self::CopyFail,
            b'D' => Self::Describe,
            b'E' => Self::Execute,
            b'H' => Self::Flush,
            b'F' => Self::FunctionCall,
            b'P' => Self::Parse,
            b'p' => Self::Password,
            b'Q' => Self::Query,
            b'S' => Self::Sync,
            b'X' => Self::Terminate,
            _ => return None,
        })
    }

    fn byte(self) -> u8 {
        match self {
            Self::Bind => b'B',
            Self::Close => b'C',
            Self::CopyData => b'd',
            Self::CopyDone => b'c',
            Self::CopyFail => b'f',
            Self::Describe => b'D',
            Self::Execute => b'E',
            Self::Flush => b'H',
            Self::FunctionCall => b'F',
            Self::Parse => b'P',
            Self::Password => b'p',
            Self::Query => b'Q',
            Self::Sync => b'S',
            Self::Terminate => b'X',
        }
    }

    fn class(self) -> Class {
        match self {
            Self::Parse | Self::Query => Class::Statement,
            Self::Bind | Self::CopyData | Self::FunctionCall => Class::Data,
            Self::Close
            | Self::CopyDone
            | Self::CopyFail
            | Self::Describe
            | Self::Execute
            | Self::Flush
            | Self::Password
            | Self::Sync
            | Self::Terminate => Class::Control,
        }
    }
}

/// A client's message, borrowed from the buffer it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Give a statement parameters.
    Bind(Bind<'a>),
    /// Forget a statement or portal.
    Close(Close<'a>),
    /// A piece of COPY input.
    CopyData(CopyData<'a>),
    /// The end of COPY input.
    CopyDone,
    /// COPY input given up.
    CopyFail(CopyFail<'a>),
    /// What a statement or portal takes and returns.
    Describe(Describe<'a>),
    /// Run a portal.
    Execute(Execute<'a>),
    /// Send what you have.
    Flush,
    /// Call a function by its OID.
    FunctionCall(FunctionCall<'a>),
    /// Make a prepared statement.
    Parse(Parse<'a>),
    /// An answer to an authentication request. Its content depends on what was asked, so it is not
    /// decoded here, nor shown by `Debug`.
    Password(Password<'a>),
    /// Run a string of statements.
    Query(Query<'a>),
    /// End of a batch.
    Sync,
    /// Goodbye.
    Terminate,
}

impl<'a> Message<'a> {
    /// Reads the body of a message of type `tag`.
    ///
    /// # Errors
    /// A [`WireError`] when the body is not what the type says.
    pub fn decode(tag: Tag, body: &'a [u8]) -> Result<Self, WireError> {
        Ok(match tag {
            Tag::Bind => Self::Bind(Bind::decode(body)?),
            Tag::Close => Self::Close(Close::decode(body)?),
            Tag::CopyData => Self::CopyData(CopyData::decode(body)),
            Tag::CopyDone => bare(body, Self::CopyDone)?,
            Tag::CopyFail => Self::CopyFail(CopyFail::decode(body)?),
            Tag::Describe => Self::Describe(Describe::decode(body)?),
            Tag::Execute => Self::Execute(Execute::decode(body)?),
            Tag::Flush => bare(body, Self::Flush)?,
            Tag::FunctionCall => Self::FunctionCall(FunctionCall::decode(body)?),
            Tag::Parse => Self::Parse(Parse::decode(body)?),
            Tag::Password => Self::Password(Password::new(body)),
            Tag::Query => Self::Query(Query::decode(body)?),
            Tag::Sync => bare(body, Self::Sync)?,
            Tag::Terminate => bare(body, Self::Terminate)?,
        })
    }
}

fn bare<'a>(body: &[u8], message: Message<'a>) -> Result<Message<'a>, WireError> {
    if body.is_empty() {
        Ok(message)
    } else {
        Err(WireError::Trailing)
    }
}

/// Appends a message that has no body.
macro_rules! bare_messages {
    ($($(#[$doc:meta])* $name:ident = $tag:literal;)*) => {
        $($(#[$doc])* pub fn $name<S: Sink>(out: &mut S) { message(out, $tag, |_| ()); })*
    };
}

bare_messages! {
    /// Appends CopyDone.
    copy_done = b'c';
    /// Appends Flush.
    flush = b'H';
    /// Appends Sync.
    sync = b'S';
    /// Appends Terminate.
    terminate = b'X';
}

/// What a Describe or Close is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A prepared statement.
    Statement,
    /// A portal.
    Portal,
}

impl Subject {
    fn from_code(code: u8) -> Result<Self, WireError> {
        match code {
            b'S' => Ok(Self::Statement),
            b'P' => Ok(Self::Portal),
            _ => Err(WireError::BadValue("subject: neither statement nor portal")),
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Statement => b'S',
            Self::Portal => b'P',
        }
    }
}
