//! Questions about open handles: setting what opening them did not say, and copying within the target.

use bytes::{Bytes, BytesMut};

use super::flights::Flight;
use super::on_handle::frame_of;
use super::{Sftp, keep};
use crate::act::FileAct;
use crate::error::SftpError;
use crate::out::{Ask, AskId, Cause, Out, Verdict};
use crate::wire::{Extension, Frame, Request, again, code, kind, packet, put_attrs, put_string};

/// A request about handles that waits for its verdict. The handles are blocked meanwhile.
pub(super) struct HandleAsk {
    client: u32,
    /// Type and body.
    packet: Bytes,
    first: usize,
    second: Option<usize>,
}

impl Sftp {
    /// Asks, and blocks the handles until there is an answer.
    pub(super) fn ask_on_handle(
        &mut self,
        client: u32,
        frame: &Frame<'_>,
        act: FileAct,
        (first, second): (usize, Option<usize>),
        out: &mut Out,
    ) {
        self.block(first, true);
        second.iter().for_each(|number| self.block(*number, true));
        let seq = self.number();
        self.asks.insert(
            seq,
            HandleAsk {
                client,
                packet: keep(frame),
                first,
                second,
            },
        );
        out.asks.push_back(Ask {
            id: AskId(seq),
            text: act.text(),
            request: by_path(&act),
            act,
            size: None,
        });
    }

    /// The verdict on a request about handles.
    pub(super) fn answer_on_handle(
        &mut self,
        ask: AskId,
        held: HandleAsk,
        verdict: &Verdict,
        out: &mut Out,
    ) -> Result<(), SftpError> {
        let HandleAsk {
            client,
            packet,
            first,
            second,
        } = held;
        self.block(first, false);
        second.iter().for_each(|number| self.block(*number, false));
        match verdict {
            Verdict::Refused { message } => {
                self.say(client, code::PERMISSION_DENIED, message.as_bytes(), out);
            }
            Verdict::Permitted { .. } => {
                let frame = frame_of(&packet)?;
                self.note_asked(&Request::parse(&frame).map_err(SftpError::client)?, first, second);
                for number in [Some(first), second].into_iter().flatten() {
                    if let Some(handle) = self.handles.get_mut(number) {
                        handle.in_flight += 1;
                    }
                }
                let flight = match second {
                    None => Flight::Judged { handle: first, ask },
                    Some(second) => Flight::Copy {
                        from: first,
                        to: second,
                        ask,
                    },
                };
                let rest = frame.body.get(4..).unwrap_or_default();
                let write = |to: &mut BytesMut, id| again(to, frame.kind, id, rest);
                self.send(client, flight, Cause::Asked(ask), out, write)?;
            }
        }
        self.drain(first, out)?;
        second.map_or(Ok(()), |number| self.drain(number, out))
    }

    /// What a permitted request about handles does to what is known of them.
    fn note_asked(&mut self, request: &Request<'_>, first: usize, second: Option<usize>) {
        match request {
            Request::FSetStat { attributes, .. } => self.resized(first, attributes),
            Request::Copy { len, at, .. } => {
                if let Some(number) = second
                    && let Some(handle) = self.handles.get_mut(number)
                {
                    let end = handle.end_of(*at, *len);
                    handle.given = handle.given.saturating_add(*len);
                    if let Some(stream) = &mut handle.upload {
                        stream.give_up(&mut self.room);
                    }
                    self.handles.extend(number, *len, end);
                }
            }
            Request::Path { .. }
            | Request::Close { .. }
            | Request::Read { .. }
            | Request::Write { .. }
            | Request::FStat { .. }
            | Request::ReadDir { .. }
            | Request::FStatVfs { .. }
            | Request::FSync { .. }
            | Request::Limits
            | Request::Unknown { .. } => {}
        }
    }
}

/// The request with paths in place of the handles, which are others each time.
fn by_path(act: &FileAct) -> Bytes {
    let mut request = BytesMut::new();
    match act {
        FileAct::Attributes { at, attributes, .. } => packet(&mut request, kind::FSETSTAT, 0, |to| {
            put_string(to, &at.path);
            put_attrs(to, attributes);
        }),
        FileAct::Copy {
            from,
            to,
            length,
            offset,
            at,
        } => packet(&mut request, kind::EXTENDED, 0, |packet| {
            put_string(packet, Extension::CopyData.name());
            put_string(packet, &from.path);
            packet.extend_from_slice(&offset.to_be_bytes());
            packet.extend_from_slice(&length.unwrap_or(0).to_be_bytes());
            put_string(packet, &to.path);
            packet.extend_from_slice(&at.to_be_bytes());
        }),
        FileAct::Read { .. }
        | FileAct::Write { .. }
        | FileAct::List { .. }
        | FileAct::Stat { .. }
        | FileAct::LinkStat { .. }
        | FileAct::Remove { .. }
        | FileAct::MakeDirectory { .. }
        | FileAct::RemoveDirectory { .. }
        | FileAct::Rename { .. }
        | FileAct::Symlink { .. }
        | FileAct::Hardlink { .. }
        | FileAct::ReadLink { .. }
        | FileAct::RealPath { .. }
        | FileAct::FileSystem { .. }
        | FileAct::Home { .. }
        | FileAct::Names { .. } => return Bytes::new(),
    };
    request.split_off(4).freeze()
}
