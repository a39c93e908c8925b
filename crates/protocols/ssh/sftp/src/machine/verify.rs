//! A file is opened by the path that was judged. Somebody with another way to the target could have exchanged a directory of
//! it in between; so the target is asked once more, right behind the opening, and the client gets the handle only if the
//! path still leads where it was judged to lead.

use bytes::Bytes;

use super::Sftp;
use super::flights::Flight;
use super::op::Op;
use crate::error::SftpError;
use crate::out::{AskId, Cause, Out, Outcome, Refused};
use crate::wire::{Body, Reply, Verb, again, code, kind, question};

/// What is known of a file that is being opened.
#[derive(Debug, Default)]
pub(super) enum Check {
    /// The path need not be looked at again.
    #[default]
    None,
    /// It was opened and asked for, and neither is answered.
    Asked,
    /// It is open: what the target answered after the id.
    Opened(Bytes),
    /// The path leads where it was judged to lead, or not.
    Told(bool),
}

const ELSEWHERE: &str = "the path led elsewhere while it was opened";

impl Sftp {
    /// Asks again where the path of what is being opened leads, if the target's answer says anything.
    pub(super) fn verify(&mut self, seq: u64, out: &mut Out) -> Result<(), SftpError> {
        let follows = self.greeting.follows_links();
        let Some(op) = self
            .op(seq)
            .filter(|op| follows && matches!(op.verb, Verb::Open { .. } | Verb::OpenDir))
        else {
            return Ok(());
        };
        let Some((at, _)) = &op.judged else {
            return Ok(());
        };
        let path = at.path.clone();
        op.check = Check::Asked;
        let ask = |to: &mut _, id| question(to, kind::REALPATH, id, &path);
        self.send(0, Flight::Verify { op: seq }, Cause::Resolving, out, ask)
    }

    /// Where it leads now. If the opening failed meanwhile, nobody waits for this.
    pub(super) fn verified(&mut self, seq: u64, reply: &Reply<'_>, out: &mut Out) -> Result<(), SftpError> {
        let Some(op) = self.op(seq) else {
            return Ok(());
        };
        let judged = op.judged.as_ref().map(|(at, _)| at.path.as_ref());
        let same = matches!(reply.body, Body::Names(path) if Some(path) == judged);
        match std::mem::replace(&mut op.check, Check::Told(same)) {
            Check::Opened(rest) => self.opened(seq, &rest, out),
            Check::None | Check::Asked | Check::Told(_) => Ok(()),
        }
    }

    /// The target opened it: the client gets the handle once the path is known to be the one that was judged.
    pub(super) fn opened(&mut self, seq: u64, rest: &[u8], out: &mut Out) -> Result<(), SftpError> {
        let Some(op) = self.op(seq) else {
            return Ok(());
        };
        match op.check {
            Check::Asked => {
                op.check = Check::Opened(Bytes::copy_from_slice(rest));
                return Ok(());
            }
            Check::Told(false) => return self.discard(seq, rest, out),
            Check::None | Check::Told(true) | Check::Opened(_) => {}
        }
        let client = op.client;
        let handle = handle(op, rest.get(4..).unwrap_or_default());
        if !handle.is_some_and(|handle| self.handles.insert(handle)) {
            return Err(SftpError::target("it gave a handle that is in use"));
        }
        self.pass(client, kind::HANDLE, rest, out);
        self.finished(seq, out)
    }

    /// What was opened is not what was judged: it is closed, and the client never hears of it.
    fn discard(&mut self, seq: u64, rest: &[u8], out: &mut Out) -> Result<(), SftpError> {
        let Some(op) = self.op(seq) else {
            return Ok(());
        };
        let client = op.client;
        let text = op.judged.clone().map(|(at, second)| op.act(at, second).text());
        self.send(0, Flight::Discard, Cause::Asked(AskId(seq)), out, |to, id| {
            again(to, kind::CLOSE, id, rest)
        })?;
        self.say(client, code::PERMISSION_DENIED, ELSEWHERE.as_bytes(), out);
        out.refused.push(Refused {
            text: text.unwrap_or_default(),
            why: ELSEWHERE,
        });
        self.ended_on_path(seq, Outcome::Failed, out)
    }
}

/// What the target opened for a request.
fn handle(op: &Op, name: &[u8]) -> Option<super::handles::Handle> {
    let (at, _) = op.judged.clone()?;
    Some(super::handles::Handle::opened(
        name,
        op.ask(),
        at,
        op.verb,
        op.max_size,
        op.size,
    ))
}
