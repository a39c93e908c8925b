//! What the target answers, to whom it goes, and what it says of the files.

use bytes::Bytes;

use super::flights::{Flight, Sent};
use super::handles::{Handle, Life};
use super::on_handle::TOO_LARGE;
use super::{Sftp, Stage};
use crate::error::SftpError;
use crate::out::{AskId, Content, Direction, Ended, Out, Outcome};
use crate::wire::{Body, Frame, Reply, code};

impl Sftp {
    /// One packet of the target.
    pub(super) fn reply(&mut self, frame: &Frame<'_>, out: &mut Out) -> Result<(), SftpError> {
        match self.stage {
            Stage::Init => return Err(SftpError::target("it spoke before it was spoken to")),
            Stage::Greeted => return self.version(frame, out),
            Stage::Open | Stage::Broken => {}
        }
        let (id, _) = frame.id().map_err(|_| SftpError::target("an answer without an id"))?;
        let sent = self
            .flights
            .get(id)
            .ok_or(SftpError::target("an answer to what was not asked"))?;
        let reply = Reply::parse(frame, sent.flight.expect()).map_err(SftpError::target)?;
        self.flights.remove(id);
        self.take(sent, &reply, out)
    }

    fn take(&mut self, sent: Sent, reply: &Reply<'_>, out: &mut Out) -> Result<(), SftpError> {
        match sent.flight {
            Flight::Path { op, .. } => return self.answered(op, reply, out),
            Flight::Resolve { op, second, nth, .. } => return self.resolving(op, (second, nth), reply, out),
            Flight::Measure { op } => return self.measured(op, reply, out),
            Flight::Probe { nth, .. } => return self.probed(nth, reply, out),
            Flight::Verify { op } => return self.verified(op, reply, out),
            Flight::Discard => return Ok(()),
            Flight::Limits => {
                if let Body::Limits(told) = reply.body {
                    self.limits(sent.client, told, out);
                    return Ok(());
                }
            }
            Flight::Read { handle, offset, .. } => {
                if !self.has_read(handle, offset, reply) {
                    self.say(sent.client, code::PERMISSION_DENIED, TOO_LARGE.as_bytes(), out);
                    self.landed(handle, out);
                    return Ok(());
                }
                self.tell_read(handle, offset, reply, out);
                self.landed(handle, out);
            }
            Flight::Write { handle, len, .. } => {
                self.has_written(handle, len, reply);
                self.landed(handle, out);
            }
            Flight::Close { handle } => {
                let open = self.handles.get_mut(handle);
                let cut_short = open.as_ref().is_some_and(|open| open.cut_short);
                if let Some(open) = open {
                    open.life = Life::Closed(succeeded(reply) && !cut_short);
                }
                self.landed(handle, out);
                if cut_short {
                    self.say(sent.client, code::PERMISSION_DENIED, TOO_LARGE.as_bytes(), out);
                    return Ok(());
                }
            }
            Flight::FStat { handle } => {
                if let (Body::Attributes(attributes), Some(open)) = (reply.body, self.handles.get_mut(handle))
                    && let Some(size) = attributes.size
                {
                    open.size = Some(size);
                }
                self.landed(handle, out);
            }
            Flight::OnHandle { handle, .. } => self.landed(handle, out),
            Flight::Judged { handle, ask } => {
                out.ended.push(reply.ended(ask));
                self.landed(handle, out);
            }
            Flight::Copy { from, to, ask } => {
                out.ended.push(reply.ended(ask));
                if let Some(open) = self.handles.get_mut(to).filter(|_| !succeeded(reply)) {
                    open.write_failed = true;
                }
                self.landed(from, out);
                self.landed(to, out);
            }
        }
        self.pass(sent.client, reply.kind, reply.rest, out);
        Ok(())
    }

    /// Something was read. False if it is more than was permitted: the client does not get it.
    fn has_read(&mut self, number: usize, offset: u64, reply: &Reply<'_>) -> bool {
        let Some(handle) = self.handles.get_mut(number) else {
            return true;
        };
        match reply.body {
            Body::Data(data) => handle.read(offset, data, &mut self.room),
            Body::Status { code: code::EOF, .. } => {
                handle.ends_at(offset);
                true
            }
            Body::Status { .. }
            | Body::Handle
            | Body::Names(_)
            | Body::Attributes(_)
            | Body::Limits(_)
            | Body::Other => true,
        }
    }

    /// What the client is about to get of a file.
    fn tell_read(&self, number: usize, offset: u64, reply: &Reply<'_>, out: &mut Out) {
        let handle = self.handles.get(number).filter(|_| self.contents);
        if let (Some(handle), Body::Data(data)) = (handle, reply.body) {
            out.contents.push(Content {
                ask: handle.ask,
                direction: Direction::Download,
                offset,
                bytes: Bytes::copy_from_slice(data),
            });
        }
    }

    fn has_written(&mut self, number: usize, len: u32, reply: &Reply<'_>) {
        let Some(handle) = self.handles.get_mut(number) else {
            return;
        };
        if succeeded(reply) {
            handle.taken += u64::from(len);
        } else {
            handle.write_failed = true;
        }
    }

    /// One answer less is outstanding on a handle.
    fn landed(&mut self, number: usize, out: &mut Out) {
        if let Some(handle) = self.handles.get_mut(number) {
            handle.in_flight = handle.in_flight.saturating_sub(1);
        }
        self.handles.settle(number, &mut self.room, out);
    }
}

impl Handle {
    fn read(&mut self, offset: u64, data: &[u8], room: &mut usize) -> bool {
        let Some(stream) = &mut self.download else {
            return false;
        };
        let end = offset.saturating_add(data.len() as u64);
        if self.exhausted || self.max_size.is_some_and(|most| end > most) {
            self.exhausted = true;
            return false;
        }
        stream.take(offset, data, room);
        true
    }

    fn ends_at(&mut self, offset: u64) {
        self.ends = Some(self.ends.map_or(offset, |known| known.min(offset)));
    }
}

impl Reply<'_> {
    /// That the request of this question is over by this answer.
    pub(super) fn ended(&self, ask: AskId) -> Ended {
        let failed = matches!(self.body, Body::Status { code: said, .. } if said != code::OK);
        let outcome = if failed { Outcome::Failed } else { Outcome::Completed };
        Ended { ask, outcome }
    }
}

fn succeeded(reply: &Reply<'_>) -> bool {
    matches!(reply.body, Body::Status { code: code::OK, .. })
}
