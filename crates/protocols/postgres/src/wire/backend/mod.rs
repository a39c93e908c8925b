//! What a server says after its answer to an SSLRequest.

mod authentication;
mod backend_key;
mod command_complete;
mod copy_response;
mod data_row;
mod function_result;
mod negotiate;
mod notification;
mod parameter_description;
mod parameter_status;
mod ready;
mod row_description;

pub use authentication::Authentication;
pub use backend_key::BackendKeyData;
pub use command_complete::CommandComplete;
pub use copy_response::CopyResponse;
pub use data_row::{Columns, DataRow};
pub use function_result::FunctionCallResponse;
pub use negotiate::NegotiateProtocolVersion;
pub use notification::NotificationResponse;
pub use parameter_description::ParameterDescription;
pub use parameter_status::ParameterStatus;
pub use ready::{ReadyForQuery, TransactionStatus};
pub use row_description::{ColumnDescription, RowDescription};

use super::{
    Class, CopyData, Diagnostic, WireError,
    encode::{Sink, message},
    frame,
};

/// The type of a server's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// A step of the login.
    Authentication,
    /// The key to cancel with.
    BackendKeyData,
    /// Bind is done.
    BindComplete,
    /// Close is done.
    CloseComplete,
    /// A statement is done.
    CommandComplete,
    /// COPY in both directions begins (replication).
    CopyBothResponse,
    /// A piece of COPY output.
    CopyData,
    /// The end of COPY output.
    CopyDone,
    /// The server waits for COPY input.
    CopyInResponse,
    /// COPY output begins.
    CopyOutResponse,
    /// A row.
    DataRow,
    /// The statement was empty.
    EmptyQueryResponse,
    /// An error.
    ErrorResponse,
    /// The result of a function call.
    FunctionCallResponse,
    /// The server speaks an older minor version, or does not know some options.
    NegotiateProtocolVersion,
    /// The statement returns no rows.
    NoData,
    /// A remark.
    NoticeResponse,
    /// A notification from NOTIFY.
    NotificationResponse,
    /// The types of a statement's parameters.
    ParameterDescription,
    /// The value of a setting.
    ParameterStatus,
    /// Parse is done.
    ParseComplete,
    /// Execute has reached its row limit.
    PortalSuspended,
    /// The server waits for the next command.
    ReadyForQuery,
    /// The columns of the rows that follow.
    RowDescription,
}

impl frame::Tag for Tag {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            b'R' => Self::Authentication,
            b'K' => Self::BackendKeyData,
            b'2' => Self::BindComplete,
            b'3' => Self::CloseComplete,
            b'C' => Self::CommandComplete,
            b'W' => Self::CopyBothResponse,
            b'd' => Self::CopyData,
            b'c' => Self::CopyDone,
            b'G' => Self::CopyInResponse,
            b'H' => Self::CopyOutResponse,
            b'D' => Self::DataRow,
            b'I' => Self::EmptyQueryResponse,
            b'E' => Self::ErrorResponse,
            b'V' => Self::FunctionCallResponse,
            b'v' => Self::NegotiateProtocolVersion,
            b'n' => Self::NoData,
            b'N' => Self::NoticeResponse,
            b'A' => Self::NotificationResponse,
            b't' => Self::ParameterDescription,
            b'S' => Self::ParameterStatus,
            b'1' => Self::ParseComplete,
            b's' => Self::PortalSuspended,
            b'Z' => Self::ReadyForQuery,
            b'T' => Self::RowDescription,
            _ => return None,
        })
    }

    fn byte(self) -> u8 {
        match self {
            Self::Authentication => b'R',
            Self::BackendKeyData => b'K',
            Self::BindComplete => b'2',
            Self::CloseComplete => b'3',
            Self::CommandComplete => b'C',
            Self::CopyBothResponse => b'W',
            Self::CopyData => b'd',
            Self::CopyDone => b'c',
            Self::CopyInResponse => b'G',
            Self::CopyOutResponse => b'H',
            Self::DataRow => b'D',
            Self::EmptyQueryResponse => b'I',
            Self::ErrorResponse => b'E',
            Self::FunctionCallResponse => b'V',
            Self::NegotiateProtocolVersion => b'v',
            Self::NoData => b'n',
            Self::NoticeResponse => b'N',
            Self::NotificationResponse => b'A',
            Self::ParameterDescription => b't',
            Self::ParameterStatus => b'S',
            Self::ParseComplete => b'1',
            Self::PortalSuspended => b's',
            Self::ReadyForQuery => b'Z',
            Self::RowDescription => b'T',
        }
    }

    fn class(self) -> Class {
        match self {
            Self::CopyData | Self::DataRow | Self::FunctionCallResponse => Class::Data,
            // A server quotes values and statements in what it reports.
            Self::ErrorResponse | Self::NoticeResponse | Self::RowDescription => Class::Statement,
            Self::Authentication
            | Self::BackendKeyData
            | Self::BindComplete
            | Self::CloseComplete
            | Self::CommandComplete
            | Self::CopyBothResponse
            | Self::CopyDone
            | Self::CopyInResponse
            | Self::CopyOutResponse
            | Self::EmptyQueryResponse
            | Self::NegotiateProtocolVersion
            | Self::NoData
            | Self::NotificationResponse
            | Self::ParameterDescription
            | Self::ParameterStatus
            | Self::ParseComplete
            | Self::PortalSuspended
            | Self::ReadyForQuery => Class::Control,
        }
    }
}

/// A server's message, borrowed from the buffer it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A step of the login.
    Authentication(Authentication<'a>),
    /// The key to cancel with.
    BackendKeyData(BackendKeyData<'a>),
    /// Bind is done.
    BindComplete,
    /// Close is done.
    CloseComplete,
    /// A statement is done.
    CommandComplete(CommandComplete<'a>),
    /// COPY in both directions begins.
    CopyBothResponse(CopyResponse),
    /// A piece of COPY output.
    CopyData(CopyData<'a>),
    /// The end of COPY output.
    CopyDone,
    /// The server waits for COPY input.
    CopyInResponse(CopyResponse),
    /// COPY output begins.
    CopyOutResponse(CopyResponse),
    /// A row.
    DataRow(DataRow<'a>),
    /// The statement was empty.
    EmptyQueryResponse,
    /// An error.
    ErrorResponse(Diagnostic<'a>),
    /// The result of a function call.
    FunctionCallResponse(FunctionCallResponse<'a>),
    /// The server speaks an older minor version, or does not know some options.
    NegotiateProtocolVersion(NegotiateProtocolVersion<'a>),
    /// The statement returns no rows.
    NoData,
    /// A remark.
    NoticeResponse(Diagnostic<'a>),
    /// A notification from NOTIFY.
    NotificationResponse(NotificationResponse<'a>),
    /// The types of a statement's parameters.
    ParameterDescription(ParameterDescription),
    /// The value of a setting.
    ParameterStatus(ParameterStatus<'a>),
    /// Parse is done.
    ParseComplete,
    /// Execute has reached its row limit.
    PortalSuspended,
    /// The server waits for the next command.
    ReadyForQuery(ReadyForQuery),
    /// The columns of the rows that follow.
    RowDescription(RowDescription<'a>),
}

impl<'a> Message<'a> {
    /// Reads the body of a message of type `tag`.
    ///
    /// # Errors
    /// A [`WireError`] when the body is not what the type says.
    pub fn decode(tag: Tag, body: &'a [u8]) -> Result<Self, WireError> {
        Ok(match tag {
            Tag::Authentication => Self::Authentication(Authentication::decode(body)?),
            Tag::BackendKeyData => Self::BackendKeyData(BackendKeyData::decode(body)?),
            Tag::BindComplete => bare(body, Self::BindComplete)?,
            Tag::CloseComplete => bare(body, Self::CloseComplete)?,
            Tag::CommandComplete => Self::CommandComplete(CommandComplete::decode(body)?),
            Tag::CopyBothResponse => Self::CopyBothResponse(CopyResponse::decode(body)?),
            Tag::CopyData => Self::CopyData(CopyData::decode(body)),
            Tag::CopyDone => bare(body, Self::CopyDone)?,
            Tag::CopyInResponse => Self::CopyInResponse(CopyResponse::decode(body)?),
            Tag::CopyOutResponse => Self::CopyOutResponse(CopyResponse::decode(body)?),
            Tag::DataRow => Self::DataRow(DataRow::decode(body)?),
            Tag::EmptyQueryResponse => bare(body, Self::EmptyQueryResponse)?,
            Tag::ErrorResponse => Self::ErrorResponse(Diagnostic::decode(body)?),
            Tag::FunctionCallResponse => Self::FunctionCallResponse(FunctionCallResponse::decode(body)?),
            Tag::NegotiateProtocolVersion => Self::NegotiateProtocolVersion(NegotiateProtocolVersion::decode(body)?),
            Tag::NoData => bare(body, Self::NoData)?,
            Tag::NoticeResponse => Self::NoticeResponse(Diagnostic::decode(body)?),
            Tag::NotificationResponse => Self::NotificationResponse(NotificationResponse::decode(body)?),
            Tag::ParameterDescription => Self::ParameterDescription(ParameterDescription::decode(body)?),
            Tag::ParameterStatus => Self::ParameterStatus(ParameterStatus::decode(body)?),
            Tag::ParseComplete => bare(body, Self::ParseComplete)?,
            Tag::PortalSuspended => bare(body, Self::PortalSuspended)?,
            Tag::ReadyForQuery => Self::ReadyForQuery(ReadyForQuery::decode(body)?),
            Tag::RowDescription => Self::RowDescription(RowDescription::decode(body)?),
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

macro_rules! bare_messages {
    ($($(#[$doc:meta])* $name:ident = $tag:literal;)*) => {
        $($(#[$doc])* pub fn $name<S: Sink>(out: &mut S) { message(out, $tag, |_| ()); })*
    };
}

bare_messages! {
    /// Appends BindComplete.
    bind_complete = b'2';
    /// Appends CloseComplete.
    close_complete = b'3';
    /// Appends CopyDone.
    copy_done = b'c';
    /// Appends EmptyQueryResponse.
    empty_query_response = b'I';
    /// Appends NoData.
    no_data = b'n';
    /// Appends ParseComplete.
    parse_complete = b'1';
    /// Appends PortalSuspended.
    portal_suspended = b's';
}
