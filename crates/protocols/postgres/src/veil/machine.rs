//! The agent's machine: bytes of the gateway and of the target in, bytes for the other side out. No sockets.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};
use sallyport_mask::{MaskKey, Scanner};
use secrecy::SecretSlice;

use super::plan::{Masker, Plan};
use super::{Down, TYPE, Up, decode, encode};
use crate::cells::{CellError, mask_value};
use crate::scrub;
use crate::settings::Settings;
use crate::wire::backend::{FunctionCallResponse, NotificationResponse, ParameterStatus, Tag};
use crate::wire::{CopyData, Diagnostic, Frame, HEADER_LEN, Limits, WireError, peek_frame};

/// Texts of statements that are remembered, for errors that quote them.
const MAX_TEXTS: usize = 16;
/// How much of each.
const MAX_TEXT: usize = 16 * 1024;
/// The longest message that is held whole.
pub(super) const MAX_WHOLE: usize = 128 << 20;

/// What cannot be masked, or makes no sense. Says no value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VeilError {
    /// The target broke the protocol.
    #[error("the target broke the protocol: {0}")]
    Wire(#[from] WireError),
    /// A value cannot be masked.
    #[error("a value that cannot be masked: {0}")]
    Cell(#[from] CellError),
    /// A message is too long to be held, and would have to be.
    #[error("a message of {0} bytes, which is too long to be masked")]
    TooLong(usize),
    /// The gateway's plan is for another kind of result.
    #[error("a plan that is for another kind of result")]
    OtherPlan,
    /// The gateway sends more than the target takes, and more than it may.
    #[error("more from the gateway than the target takes")]
    TooMuch,
    /// A message between gateway and agent that makes no sense.
    #[error("a message between gateway and agent that makes no sense")]
    Nonsense,
}

/// What the gateway said that holds for everything.
struct Standing {
    scanner: Arc<Scanner>,
    key: Arc<MaskKey>,
    hides_columns: bool,
}

/// Masks what a target says, as the gateway decided.
#[derive(Default)]
pub(crate) struct Veil {
    standing: Option<Standing>,
    /// Messages of the target that were passed, rows and COPY data apart.
    seen: u64,
    /// How many there were when the last result ended.
    ended: u64,
    /// The newest plan, and how many messages the gateway had read.
    plan: Option<(u64, Plan)>,
    /// What masks the result that is under way.
    active: Option<Masker>,
    asked: bool,
    /// Bytes of a message that passes in pieces, from the target and from the gateway.
    left: usize,
    left_down: usize,
    texts: VecDeque<Vec<u8>>,
    scratch: Vec<u8>,
}

impl Veil {
    /// Takes what the gateway sends: its own words to this machine, and the client's messages for the target.
    ///
    /// # Errors
    /// When a word makes no sense.
    pub(crate) fn take_from_gateway(&mut self, input: &mut BytesMut, target: &mut BytesMut) -> Result<(), VeilError> {
        loop {
            let passing = self.left_down.min(input.len());
            target.put_slice(input.get(..passing).unwrap_or_default());
            input.advance(passing);
            self.left_down -= passing;
            match input.first() {
                None => return Ok(()),
                Some(&TYPE) => match decode::<Down>(input)? {
                    None => return Ok(()),
                    Some((len, down)) => {
                        input.advance(len);
                        self.take(down);
                    }
                },
                Some(&kind) => {
                    let Some(len) = input.get(1..HEADER_LEN).and_then(|len| len.first_chunk::<4>()) else {
                        return Ok(());
                    };
                    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| VeilError::Nonsense)?;
                    if len < 4 {
                        return Err(VeilError::Nonsense);
                    }
                    if matches!(kind, b'Q' | b'P') {
                        self.remember(input.get(HEADER_LEN..).unwrap_or_default(), len - 4);
                    }
                    self.left_down = len + 1;
                }
            }
        }
    }

    fn take(&mut self, down: Down) {
        match down {
            Down::Standing(standing) => {
                let key = MaskKey::new(&SecretSlice::from(standing.key));
                self.standing = Some(Standing {
                    scanner: Arc::new(Scanner::new(&standing.detectors, &key)),
                    key: Arc::new(key),
                    hides_columns: standing.hides_columns,
                });
            }
            Down::Plan { at, plan } => self.plan = Some((at, plan)),
        }
    }

    /// What is there of a statement's text: names in it may stand in errors.
    fn remember(&mut self, text: &[u8], len: usize) {
        if self.texts.len() >= MAX_TEXTS {
            self.texts.pop_front();
        }
        let text = text.get(..len.min(text.len()).min(MAX_TEXT)).unwrap_or_default();
        self.texts.push_back(text.to_vec());
    }

    /// Takes what the target says, as far as it is known how it is masked.
    ///
    /// # Errors
    /// When something cannot be masked: nothing more may pass.
    pub(crate) fn take_from_target(&mut self, input: &mut BytesMut, gateway: &mut BytesMut) -> Result<(), VeilError> {
        // Before the gateway has said what is looked for, nothing passes.
        while self.standing.is_some() {
            if self.left > 0 {
                let passing = self.left.min(input.len());
                gateway.put_slice(input.get(..passing).unwrap_or_default());
                input.advance(passing);
                self.left -= passing;
                if self.left > 0 {
                    return Ok(());
                }
            }
            let Some(frame) = peek_frame::<Tag>(input, &Limits::default())? else {
                return Ok(());
            };
            if !self.message(frame, input, gateway)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// One message, or a run of rows. False if more must come first.
    fn message(&mut self, frame: Frame<Tag>, input: &mut BytesMut, gateway: &mut BytesMut) -> Result<bool, VeilError> {
        let whole = frame.is_whole(input);
        match frame.tag {
            Tag::DataRow | Tag::CopyData | Tag::FunctionCallResponse => {
                if !self.has_masker(gateway) {
                    return Ok(false);
                }
                if matches!(self.active, Some(Masker::Clear)) {
                    if frame.tag == Tag::FunctionCallResponse {
                        self.seen += 1;
                    }
                    self.left = frame.total_len;
                    return Ok(true);
                }
                if !whole {
                    return self.wait_for(frame);
                }
                self.mask(frame, input, gateway)
            }
            _ if !whole => self.wait_for(frame),
            Tag::CopyDone => {
                if let Some(Masker::Copy(masker)) = &mut self.active {
                    self.scratch.clear();
                    masker.finish(&mut self.scratch)?;
                    copy_data(&self.scratch, gateway);
                }
                Ok(self.pass(frame, input, gateway))
            }
            Tag::ErrorResponse | Tag::NoticeResponse | Tag::NotificationResponse | Tag::ParameterStatus => {
                self.seen += 1;
                self.clean(
                    frame,
                    input.get(HEADER_LEN..frame.total_len).unwrap_or_default(),
                    gateway,
                )?;
                input.advance(frame.total_len);
                if frame.tag == Tag::ErrorResponse {
                    self.end_result();
                }
                Ok(true)
            }
            // One statement may return several results without a word between them: rules on tables add them.
            Tag::RowDescription
            | Tag::CopyOutResponse
            | Tag::CommandComplete
            | Tag::PortalSuspended
            | Tag::EmptyQueryResponse
            | Tag::ReadyForQuery => {
                let passed = self.pass(frame, input, gateway);
                self.end_result();
                Ok(passed)
            }
            Tag::Authentication
            | Tag::BackendKeyData
            | Tag::BindComplete
            | Tag::CloseComplete
            | Tag::CopyBothResponse
            | Tag::CopyInResponse
            | Tag::NegotiateProtocolVersion
            | Tag::NoData
            | Tag::ParameterDescription
            | Tag::ParseComplete => Ok(self.pass(frame, input, gateway)),
        }
    }

    fn wait_for(&self, frame: Frame<Tag>) -> Result<bool, VeilError> {
        if frame.total_len > MAX_WHOLE {
            return Err(VeilError::TooLong(frame.total_len));
        }
        Ok(false)
    }

    fn pass(&mut self, frame: Frame<Tag>, input: &mut BytesMut, gateway: &mut BytesMut) -> bool {
        self.seen += 1;
        gateway.put_slice(input.get(..frame.total_len).unwrap_or_default());
        input.advance(frame.total_len);
        true
    }

    /// Whether a message of the agent's own may follow what has passed.
    pub(super) fn is_between_messages(&self) -> bool {
        self.left == 0
    }

    /// Whether nothing more of the target passes before the gateway has said something.
    pub(crate) fn waits(&self) -> bool {
        self.standing.is_none() || (self.asked && self.active.is_none() && self.plan.is_none())
    }

    fn end_result(&mut self) {
        self.ended = self.seen;
        self.active = None;
        self.asked = false;
    }

    /// Whether it is known how the result that is under way is masked; if not, the gateway is asked.
    fn has_masker(&mut self, gateway: &mut BytesMut) -> bool {
        let Some(standing) = &self.standing else { return false };
        if self.active.is_none()
            && let Some((at, plan)) = self.plan.take()
            && at >= self.ended
        {
            self.active = Some(plan.masker(&standing.scanner, &standing.key));
        }
        if self.active.is_none() && !std::mem::replace(&mut self.asked, true) {
            encode(&Up::Ask, gateway);
        }
        self.active.is_some()
    }

    fn mask(&mut self, frame: Frame<Tag>, input: &mut BytesMut, gateway: &mut BytesMut) -> Result<bool, VeilError> {
        self.scratch.clear();
        let mut taken = frame.total_len;
        match (&mut self.active, frame.tag) {
            (Some(Masker::Rows(masker)), Tag::DataRow) => {
                let rows = masker.rows(input, &mut self.scratch)?;
                taken = rows.taken;
                gateway.put_slice(match rows.changed {
                    true => &self.scratch,
                    false => input.get(..taken).unwrap_or_default(),
                });
                if rows.count == 0 {
                    return Err(CellError::Malformed("DataRow").into());
                }
            }
            (Some(Masker::Copy(masker)), Tag::CopyData) => {
                let rows = masker.messages(input, &mut self.scratch)?;
                if rows.count > 0 {
                    taken = rows.taken;
                    gateway.put_slice(match rows.changed {
                        true => &self.scratch,
                        false => input.get(..taken).unwrap_or_default(),
                    });
                } else {
                    self.scratch.clear();
                    masker.data(frame.body(input).unwrap_or_default(), &mut self.scratch)?;
                    copy_data(&self.scratch, gateway);
                }
            }
            (Some(Masker::Value(masker)), Tag::FunctionCallResponse) => {
                self.seen += 1;
                let value = FunctionCallResponse::decode(frame.body(input).unwrap_or_default())?.value;
                let value = mask_value(masker, value)?;
                FunctionCallResponse {
                    value: value.as_deref(),
                }
                .encode(gateway);
            }
            _ => return Err(VeilError::OtherPlan),
        }
        input.advance(taken);
        Ok(true)
    }

    /// Texts of the target, without values.
    fn clean(&mut self, frame: Frame<Tag>, body: &[u8], gateway: &mut BytesMut) -> Result<(), VeilError> {
        let Some(standing) = &self.standing else {
            return Err(VeilError::Nonsense);
        };
        let clean = |text: &[u8]| -> Vec<u8> {
            let mut clean = Vec::new();
            match standing.scanner.scan(text, &mut clean) {
                true => clean,
                false => text.to_vec(),
            }
        };
        match frame.tag {
            Tag::NotificationResponse => {
                let notification = NotificationResponse::decode(body)?;
                NotificationResponse {
                    channel: &clean(notification.channel),
                    payload: &clean(notification.payload),
                    ..notification
                }
                .encode(gateway);
            }
            Tag::ParameterStatus => {
                let setting = ParameterStatus::decode(body)?;
                let value: Cow<'_, [u8]> = match Settings::follows(setting.name) {
                    true => setting.value.into(),
                    false => clean(setting.value).into(),
                };
                ParameterStatus {
                    name: setting.name,
                    value: &value,
                }
                .encode(gateway);
            }
            Tag::ErrorResponse | Tag::NoticeResponse => return self.clean_words(frame, body, gateway),
            Tag::Authentication
            | Tag::BackendKeyData
            | Tag::BindComplete
            | Tag::CloseComplete
            | Tag::CommandComplete
            | Tag::CopyBothResponse
            | Tag::CopyData
            | Tag::CopyDone
            | Tag::CopyInResponse
            | Tag::CopyOutResponse
            | Tag::DataRow
            | Tag::EmptyQueryResponse
            | Tag::FunctionCallResponse
            | Tag::NegotiateProtocolVersion
            | Tag::NoData
            | Tag::ParameterDescription
            | Tag::ParseComplete
            | Tag::PortalSuspended
            | Tag::ReadyForQuery
            | Tag::RowDescription => return Err(VeilError::Nonsense),
        }
        Ok(())
    }

    /// An error or a notice, without values.
    fn clean_words(&self, frame: Frame<Tag>, body: &[u8], gateway: &mut BytesMut) -> Result<(), VeilError> {
        let Some(standing) = &self.standing else {
            return Err(VeilError::Nonsense);
        };
        let mut words = Diagnostic::decode(body)?;
        if standing.hides_columns {
            let known = |name: &str| self.texts.iter().any(|text| scrub::contains(text, name.as_bytes()));
            scrub::take_out_values(&mut words, known);
        }
        scrub::find_values(&mut words, |text| {
            let mut clean = Vec::new();
            standing.scanner.scan(text, &mut clean).then_some(clean)
        });
        if frame.tag == Tag::ErrorResponse {
            words.encode_error(gateway);
        } else {
            words.encode_notice(gateway);
        }
        Ok(())
    }
}

fn copy_data(data: &[u8], gateway: &mut BytesMut) {
    if !data.is_empty() {
        CopyData { data }.encode(gateway);
    }
}
