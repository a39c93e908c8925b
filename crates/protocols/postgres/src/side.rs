//! A connection of the gateway's own to a target, beside the sessions: small questions, whole answers.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sallyport_credential::Hold;
use sallyport_listen::Wire;
use sallyport_session::{DialError as NoLogin, Door, LOST};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::dial::{Dialer, Order, Purpose, Upstream};
use crate::wire::backend::{DataRow, Tag};
use crate::wire::{Diagnostic, HEADER_LEN, Limits, frontend, next_frame};

/// What a target may answer in one message.
const LIMITS: Limits = Limits {
    control: 64 * 1024,
    statement: 1 << 20,
    data: 1 << 20,
};
/// What a target may answer to one question, in bytes.
const MAX_ANSWER: usize = 4 << 20;
/// How long the target may take over one question.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a question has no answer. Free of what the target says, which may be data.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// The target was not reached, or did not let the gateway in.
    #[error(transparent)]
    Dial(#[from] NoLogin),
    /// The connection broke.
    #[error("the connection beside the sessions broke: {0}")]
    Io(#[from] std::io::Error),
    /// The target broke the protocol.
    #[error("the target broke the protocol: {0}")]
    Wire(#[from] crate::wire::WireError),
    /// The target answered with an error.
    #[error("the target answered with SQLSTATE {0}")]
    Refused(String),
    /// What it logged in with is over.
    #[error("{LOST}")]
    Lost,
    /// A row is not what was asked for.
    #[error("the target's answer has another shape than its question")]
    Shape,
    /// The answer is longer than any question here has.
    #[error("the target's answer has no end")]
    TooLong,
    /// The answer did not come in time.
    #[error("the target did not answer in time")]
    Late,
}

/// One row, in text.
pub(crate) type Row = Vec<Option<String>>;
/// Takes the rows of an answer, one after the other.
type Take<'a> = dyn FnMut(&[Option<&str>]) -> Result<(), SideError> + Send + 'a;

/// A connection of the gateway's own.
#[derive(Debug)]
pub(crate) struct SideLine {
    wire: Wire,
    input: BytesMut,
    /// Keeps the credential that it logged in with.
    hold: Option<Hold>,
    /// How long the target may take over one question.
    patience: Duration,
}

impl SideLine {
    /// Logs in through `door`, for this.
    pub(crate) async fn open(door: &Door<Dialer>, purpose: Purpose) -> Result<Self, SideError> {
        let upstream = door.log_in(Order::beside().with_purpose(purpose)).await?;
        Ok(Self::over(upstream, PATIENCE))
    }

    /// Over a login that is there.
    pub(crate) fn over(upstream: Upstream, patience: Duration) -> Self {
        Self {
            wire: upstream.wire,
            input: BytesMut::with_capacity(4096),
            hold: upstream.hold,
            patience,
        }
    }

    /// Asks with a string of statements. After an error other than [`SideError::Refused`] the line is of no more use.
    pub(crate) async fn ask(&mut self, text: &str) -> Result<Vec<Row>, SideError> {
        let mut out = BytesMut::new();
        frontend::Query { text: text.as_bytes() }.encode(&mut out);
        self.exchange(&out).await
    }

    /// Sends messages that end with one that the target answers with `ReadyForQuery`, and gives the rows of the answer.
    pub(crate) async fn exchange(&mut self, messages: &[u8]) -> Result<Vec<Row>, SideError> {
        let (mut rows, mut bytes) = (Vec::new(), 0_usize);
        self.exchange_each(messages, &mut |row| {
            bytes += row.iter().map(|cell| 32 + cell.map_or(0, str::len)).sum::<usize>();
            if bytes > MAX_ANSWER {
                return Err(SideError::TooLong);
            }
            rows.push(row.iter().map(|cell| cell.map(str::to_owned)).collect());
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    /// Asks with a string of statements, and gives each row to `take` as it comes, which bounds how many there are.
    pub(crate) async fn ask_each(&mut self, text: &str, take: &mut Take<'_>) -> Result<(), SideError> {
        let mut out = BytesMut::new();
        frontend::Query { text: text.as_bytes() }.encode(&mut out);
        self.exchange_each(&out, take).await
    }

    async fn exchange_each(&mut self, messages: &[u8], take: &mut Take<'_>) -> Result<(), SideError> {
        if self.hold.as_ref().is_some_and(Hold::is_lost) {
            return Err(SideError::Lost);
        }
        timeout(self.patience, self.answer(messages, take))
            .await
            .map_err(|_elapsed| SideError::Late)?
    }

    async fn answer(&mut self, messages: &[u8], take: &mut Take<'_>) -> Result<(), SideError> {
        self.wire.write_all(messages).await?;
        self.wire.flush().await?;
        let mut refused = None;
        loop {
            let (tag, body) = self.message().await?;
            if tag == Tag::DataRow {
                let words = |value: Option<&'_ [u8]>| value.map(|v| String::from_utf8_lossy(v).into_owned());
                let row = DataRow::decode(&body)?;
                let row: Row = row.columns().map(|v| v.map(words)).collect::<Result<_, _>>()?;
                take(&row.iter().map(Option::as_deref).collect::<Vec<_>>())?;
            } else if tag == Tag::ErrorResponse {
                refused = Some(Diagnostic::decode(&body)?.sqlstate().into_owned());
            } else if tag == Tag::ReadyForQuery {
                return refused.map_or(Ok(()), |state| Err(SideError::Refused(state)));
            }
        }
    }

    async fn message(&mut self) -> Result<(Tag, Bytes), SideError> {
        loop {
            if let Some(frame) = next_frame::<Tag>(&self.input, &LIMITS)? {
                let whole = self.input.split_to(frame.total_len).freeze();
                return Ok((frame.tag, whole.slice(HEADER_LEN..)));
            }
            if self.wire.read_buf(&mut self.input).await? == 0 {
                return Err(SideError::Io(std::io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}
