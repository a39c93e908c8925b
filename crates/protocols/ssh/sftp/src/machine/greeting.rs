//! The handshake (draft §4), and what the target is asked before any path: where the channel starts, and whether its
//! `REALPATH` follows symbolic links.

use bytes::{Bytes, BytesMut};

use super::flights::Flight;
use super::{Sftp, Stage};
use crate::error::SftpError;
use crate::out::{Cause, Out};
use crate::wire::{
    Body, Expect, Extension, Frame, Reply, VERSION, code, init, kind, packet, put_string, question, version,
};

/// Names that are symbolic links on common systems. Where one is, and `REALPATH` gives another path for it, `REALPATH`
/// follows links.
const LINKS: [&[u8]; 6] = [b"/proc/self", b"/var/run", b"/bin", b"/tmp", b"/etc", b"/etc/mtab"];

/// What came of it.
pub(super) struct Greeting {
    /// Answers that are outstanding.
    left: u8,
    /// Where relative paths start.
    pub(super) home: Bytes,
    /// Which of the names are links.
    links: u8,
    /// Which of the names lead elsewhere.
    led: u8,
    /// Which of the names lead to themselves.
    stayed: u8,
}

impl Default for Greeting {
    fn default() -> Self {
        Self {
            left: 0,
            home: Bytes::from_static(b"/"),
            links: 0,
            led: 0,
            stayed: 0,
        }
    }
}

impl Greeting {
    /// Whether all answers have come.
    pub(super) const fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Whether `REALPATH` follows links: it was seen to, and never seen not to.
    pub(super) const fn follows_links(&self) -> bool {
        self.is_over() && self.links & self.led != 0 && self.links & self.stayed == 0
    }
}

impl Sftp {
    /// The client's first packet. The target gets one without the client's extensions.
    pub(super) fn init(&mut self, frame: &Frame<'_>, out: &mut Out) -> Result<(), SftpError> {
        if frame.kind != kind::INIT {
            return Err(SftpError::client("a request before the handshake"));
        }
        let (version, _) = frame
            .id()
            .map_err(|_| SftpError::client("a handshake without a version"))?;
        if version < VERSION {
            return Err(SftpError::client("it speaks a version before 3"));
        }
        let len = init(&mut out.to_target);
        out.caused(Cause::Greeting, len);
        self.stage = Stage::Greeted;
        Ok(())
    }

    /// The target's first packet. The client hears of the extensions that are understood.
    pub(super) fn version(&mut self, frame: &Frame<'_>, out: &mut Out) -> Result<(), SftpError> {
        if frame.kind != kind::VERSION {
            return Err(SftpError::target("an answer before the handshake"));
        }
        let (known, list) = version(frame).map_err(SftpError::target)?;
        self.known = known;
        self.stage = Stage::Open;
        packet(&mut out.to_client, kind::VERSION, VERSION, |to| {
            to.extend_from_slice(&list);
        });
        self.greeting.left = 1;
        self.probe(0, Expect::OneName, kind::REALPATH, b".", out)?;
        for (nth, link) in (1u8..).zip(LINKS) {
            self.greeting.left += 2;
            self.probe(nth, Expect::Attributes, kind::LSTAT, link, out)?;
            self.probe(nth, Expect::OneName, kind::REALPATH, link, out)?;
        }
        Ok(())
    }

    fn probe(&mut self, nth: u8, expect: Expect, kind: u8, path: &[u8], out: &mut Out) -> Result<(), SftpError> {
        let ask = |to: &mut BytesMut, id| question(to, kind, id, path);
        self.send(0, Flight::Probe { nth, expect }, Cause::Resolving, out, ask)
    }

    /// The answer to one of these questions.
    pub(super) fn probed(&mut self, nth: u8, reply: &Reply<'_>, out: &mut Out) -> Result<(), SftpError> {
        let greeting = &mut self.greeting;
        greeting.left = greeting.left.saturating_sub(1);
        let bit = 1u8.checked_shl(u32::from(nth)).unwrap_or(0);
        match reply.body {
            Body::Names(path) if nth == 0 => greeting.home = Bytes::copy_from_slice(path),
            Body::Names(path) => {
                let asked = LINKS.get(usize::from(nth) - 1).copied().unwrap_or_default();
                let led = path != asked && path.first() == Some(&b'/');
                let seen = if led { &mut greeting.led } else { &mut greeting.stayed };
                *seen |= bit;
            }
            Body::Attributes(attributes) if attributes.is_link() == Some(true) => greeting.links |= bit,
            Body::Attributes(_)
            | Body::Status { .. }
            | Body::Handle
            | Body::Data(_)
            | Body::Limits(_)
            | Body::Other => {}
        }
        if greeting.is_over() { self.advance(out) } else { Ok(()) }
    }

    /// `limits@openssh.com` tells of the target and does nothing: it needs no verdict.
    pub(super) fn ask_limits(&mut self, id: u32, out: &mut Out) -> Result<(), SftpError> {
        if !self.known.has(Extension::Limits) {
            self.say(
                id,
                code::OP_UNSUPPORTED,
                b"the target does not know this extension",
                out,
            );
            return Ok(());
        }
        self.send(id, Flight::Limits, Cause::Greeting, out, |to, id| {
            packet(to, kind::EXTENDED, id, |to| put_string(to, Extension::Limits.name()))
        })
    }

    /// The target's limits, and no more than the machine's own.
    pub(super) fn limits(&mut self, id: u32, told: [u64; 4], out: &mut Out) {
        let at_most = |told: u64, own: usize| if told == 0 { own as u64 } else { told.min(own as u64) };
        let [packet_len, read, write, handles] = told;
        let data = self.limits.packet.saturating_sub(1024);
        let told = [
            at_most(packet_len, self.limits.packet),
            at_most(read, data),
            at_most(write, data),
            at_most(handles, self.limits.handles),
        ];
        packet(&mut out.to_client, kind::EXTENDED_REPLY, id, |to| {
            for limit in told {
                to.extend_from_slice(&limit.to_be_bytes());
            }
        });
        self.ids.remove(&id);
    }
}
