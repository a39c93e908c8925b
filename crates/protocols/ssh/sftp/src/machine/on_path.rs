//! Requests about paths: their order, where their paths lead, their questions.

use bytes::{Bytes, BytesMut};

use super::Sftp;
use super::flights::Flight;
use super::op::{Op, Part, State};
use crate::error::SftpError;
use crate::out::{Ask, AskId, Cause, Ended, Out, Outcome, Verdict};
use crate::path::shown;
use crate::resolve::{Answer, Failure, Follow, Question, Resolve};
use crate::wire::{Body, Expect, Extension, Reply, Verb, code, kind, packet, put_string, question};

/// A link that leads elsewhere since it was judged.
const CHANGED: &[u8] = b"the path leads elsewhere than when this was decided: ask again";

impl Sftp {
    /// A new request.
    pub(super) fn on_path(
        &mut self,
        id: u32,
        verb: Verb,
        first: &[u8],
        second: Option<&[u8]>,
        out: &mut Out,
    ) -> Result<(), SftpError> {
        if let Some(extension) = verb.extension()
            && !self.known.has(extension)
        {
            self.say(
                id,
                code::OP_UNSUPPORTED,
                b"the target does not know this extension",
                out,
            );
            return Ok(());
        }
        if let Some((code, why)) = self.objection(verb, first, second) {
            let paths = [Some(first), second]
                .into_iter()
                .flatten()
                .map(|path| shown(path.get(..512).unwrap_or(path)));
            let text = format!("{} {}", verb.word(), paths.collect::<Vec<_>>().join(" "));
            self.refuse(id, code, text, why, out);
            return Ok(());
        }
        let seq = self.number();
        self.ops.push_back(Op::new(seq, id, verb, first, second));
        self.advance(out)
    }

    fn objection(&self, verb: Verb, first: &[u8], second: Option<&[u8]>) -> Option<(u32, &'static str)> {
        // In which order a server takes the two paths is known of those that speak OpenSSH's extensions only.
        if verb == Verb::Symlink && !self.known.has(Extension::PosixRename) {
            return Some((code::OP_UNSUPPORTED, "this target's symbolic links are not understood"));
        }
        let opens = |verb: Verb| matches!(verb, Verb::Open { .. } | Verb::OpenDir);
        let opening = self.ops.iter().filter(|op| opens(op.verb)).count();
        if opens(verb) && self.handles.len() + opening >= self.limits.handles {
            return Some((code::FAILURE, "too many files are open"));
        }
        verb.objection(first, second)
    }

    /// Begins with every request whose turn it is. One that changes what names mean is alone: it waits for all before
    /// it, and all behind it wait.
    pub(super) fn advance(&mut self, out: &mut Out) -> Result<(), SftpError> {
        if !self.greeting.is_over() {
            return Ok(());
        }
        let mut nth = 0;
        while let Some(op) = self.ops.get(nth) {
            let (waits, renames, seq) = (op.state == State::Waiting, op.verb.renames(), op.seq);
            if renames && nth > 0 {
                break;
            }
            if waits {
                self.resolve(seq, false, out)?;
            }
            if renames {
                break;
            }
            nth += 1;
        }
        Ok(())
    }

    fn place_of(&self, seq: u64) -> Option<usize> {
        self.ops.binary_search_by_key(&seq, |op| op.seq).ok()
    }

    pub(super) fn op(&mut self, seq: u64) -> Option<&mut Op> {
        let place = self.place_of(seq)?;
        self.ops.get_mut(place)
    }

    /// Asks the target where the paths of a request lead.
    fn resolve(&mut self, seq: u64, again: bool, out: &mut Out) -> Result<(), SftpError> {
        let Some(op) = self.op(seq) else { return Ok(()) };
        op.state = State::Resolving { again };
        if let Some(Part::Held(_, resolve)) = &mut op.second {
            *resolve = None;
        }
        let begin = |part: Option<&mut Part>| part.and_then(Part::resolve).map(Resolve::begin).unwrap_or_default();
        let (first, second) = (begin(op.part(false)), begin(op.part(true)));
        self.put_questions(seq, false, first, out)?;
        self.put_questions(seq, true, second, out)?;
        self.resolved(seq, out)
    }

    fn put_questions(
        &mut self,
        seq: u64,
        second: bool,
        questions: Vec<Question>,
        out: &mut Out,
    ) -> Result<(), SftpError> {
        for ask in questions {
            if let Some(op) = self.op(seq) {
                op.pending += 1;
            }
            let (nth, expect) = match &ask {
                Question::Look(_, nth) => (*nth, Expect::Attributes),
                Question::Real(_) | Question::Expand(_) => (0, Expect::OneName),
            };
            let flight = Flight::Resolve {
                op: seq,
                second,
                nth,
                expect,
            };
            self.send(0, flight, Cause::Resolving, out, |to, id| put_question(to, id, &ask))?;
        }
        Ok(())
    }

    /// The target said something about where a path leads.
    pub(super) fn resolving(
        &mut self,
        seq: u64,
        (second, nth): (bool, u8),
        reply: &Reply<'_>,
        out: &mut Out,
    ) -> Result<(), SftpError> {
        let links = self.greeting.follows_links();
        let Some(op) = self.op(seq) else {
            return Ok(());
        };
        op.pending = op.pending.saturating_sub(1);
        let asks_path = matches!(op.verb, Verb::RealPath | Verb::ExpandPath);
        let answer = match reply.body {
            Body::Names(path) => {
                if asks_path && op.first.resolve().is_some_and(|resolve| resolve.asks_whole()) {
                    op.reply = Some((reply.kind, Bytes::copy_from_slice(reply.rest)));
                }
                Answer::Path(Bytes::copy_from_slice(path))
            }
            Body::Attributes(attributes) => Answer::Link(attributes.is_link()),
            Body::Status { code, message } => Answer::Status(Failure {
                code,
                message: Bytes::copy_from_slice(message),
            }),
            Body::Handle | Body::Data(_) | Body::Limits(_) | Body::Other => {
                return Err(SftpError::gateway("a question was answered with something else"));
            }
        };
        // What `REALPATH` shows the client is its own text: nothing is reached by it.
        let resolve = op.part(second).and_then(Part::resolve);
        let questions = resolve
            .map(|resolve| resolve.answer(answer, nth, links || asks_path))
            .unwrap_or_default();
        self.put_questions(seq, second, questions, out)?;
        self.resolved(seq, out)
    }

    /// If nothing is left to be asked: the question, or after a verdict the request itself.
    fn resolved(&mut self, seq: u64, out: &mut Out) -> Result<(), SftpError> {
        let home = self.greeting.home.clone();
        let measures = self.measures;
        let Some(op) = self.op(seq) else {
            return Ok(());
        };
        let State::Resolving { again } = op.state else {
            return Ok(());
        };
        if op.pending > 0 {
            return Ok(());
        }
        if let Some(path) = op.held_path(&home) {
            let mut resolve = Resolve::new(Follow::Whole, path);
            let questions = resolve.begin();
            if let Some(Part::Held(_, held)) = &mut op.second {
                *held = Some(resolve);
            }
            return self.put_questions(seq, true, questions, out);
        }
        let places = op.places(&home);
        if again {
            if op.judged.as_ref() == Some(&places) {
                return self.run(seq, out);
            }
            let client = op.client;
            self.say(client, code::PERMISSION_DENIED, CHANGED, out);
            return self.ended_on_path(seq, Outcome::Failed, out);
        }
        if let Some(path) = measures.then(|| op.unmeasured()).flatten() {
            let flight = Flight::Measure { op: seq };
            return self.send(0, flight, Cause::Resolving, out, |to, id| {
                question(to, kind::STAT, id, &path)
            });
        }
        op.state = State::Asked;
        op.judged = Some(places.clone());
        let act = op.act(places.0, places.1);
        let mut request = BytesMut::new();
        op.encode(&mut request, 0);
        let request = request.split_off(4).freeze();
        out.asks.push_back(Ask {
            id: op.ask(),
            text: act.text(),
            act,
            size: op.size,
            request,
        });
        Ok(())
    }

    /// The target said how large a file is.
    pub(super) fn measured(&mut self, seq: u64, reply: &Reply<'_>, out: &mut Out) -> Result<(), SftpError> {
        let size = match reply.body {
            Body::Attributes(attributes) => attributes.size.unwrap_or(u64::MAX),
            Body::Status {
                code: code::NO_SUCH_FILE,
                ..
            } => 0,
            Body::Status { .. } | Body::Handle | Body::Names(_) | Body::Data(_) | Body::Limits(_) | Body::Other => {
                u64::MAX
            }
        };
        if let Some(op) = self.op(seq) {
            op.measured(size);
        }
        self.resolved(seq, out)
    }

    /// The verdict on a request.
    pub(super) fn answer_on_path(&mut self, ask: AskId, verdict: &Verdict, out: &mut Out) -> Result<(), SftpError> {
        let Some(op) = self.op(ask.0).filter(|op| op.state == State::Asked) else {
            return Err(SftpError::gateway("a verdict on a question that is not open"));
        };
        match verdict {
            Verdict::Refused { message } => {
                let client = op.client;
                self.say(client, code::PERMISSION_DENIED, message.as_bytes(), out);
                self.finished(ask.0, out)
            }
            Verdict::Permitted { max_size, again } => {
                op.max_size = *max_size;
                if *again && !matches!(op.verb, Verb::Home | Verb::Names) {
                    return self.resolve(ask.0, true, out);
                }
                self.run(ask.0, out)
            }
        }
    }

    /// Forwards a request that was permitted; or says why it cannot be.
    fn run(&mut self, seq: u64, out: &mut Out) -> Result<(), SftpError> {
        let Some(place) = self.place_of(seq) else {
            return Ok(());
        };
        let Some(op) = self.ops.get_mut(place) else {
            return Ok(());
        };
        let client = op.client;
        if let Some(failure) = op.failure().cloned() {
            self.say(client, failure.code, &failure.message, out);
            return self.ended_on_path(seq, Outcome::Failed, out);
        }
        if let Some((kind, rest)) = op.reply.take() {
            self.pass(client, kind, &rest, out);
            return self.ended_on_path(seq, Outcome::Completed, out);
        }
        op.state = State::Sent;
        let flight = Flight::Path {
            op: seq,
            expect: op.verb.expect(),
        };
        let id = self
            .flights
            .add(super::Sent { client, flight })
            .ok_or(SftpError::gateway("more requests are outstanding than have ids"))?;
        let Some(op) = self.ops.get(place) else {
            return Ok(());
        };
        let len = op.encode(&mut out.to_target, id);
        out.caused(Cause::Asked(op.ask()), len);
        self.verify(seq, out)
    }

    /// A permitted request is over, and the client has its answer.
    pub(super) fn ended_on_path(&mut self, seq: u64, outcome: Outcome, out: &mut Out) -> Result<(), SftpError> {
        let ask = AskId(seq);
        out.ended.push(Ended { ask, outcome });
        self.finished(seq, out)
    }

    /// The client has its answer: the next ones may have their turn.
    pub(super) fn finished(&mut self, seq: u64, out: &mut Out) -> Result<(), SftpError> {
        if let Some(place) = self.place_of(seq) {
            self.ops.remove(place);
        }
        self.advance(out)
    }

    /// The request itself is answered.
    pub(super) fn answered(&mut self, seq: u64, reply: &Reply<'_>, out: &mut Out) -> Result<(), SftpError> {
        let Some(op) = self.op(seq) else {
            return Ok(());
        };
        let client = op.client;
        if matches!(reply.body, Body::Handle) {
            return self.opened(seq, reply.rest, out);
        }
        self.pass(client, reply.kind, reply.rest, out);
        out.ended.push(reply.ended(AskId(seq)));
        self.finished(seq, out)
    }
}

fn put_question(to: &mut BytesMut, id: u32, ask: &Question) -> usize {
    match ask {
        Question::Real(path) => question(to, kind::REALPATH, id, path),
        Question::Look(path, _) => question(to, kind::LSTAT, id, path),
        Question::Expand(path) => packet(to, kind::EXTENDED, id, |to| {
            put_string(to, Extension::ExpandPath.name());
            put_string(to, path);
        }),
    }
}
