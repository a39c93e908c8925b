//! The machine between an SFTP client and its target, with either of them saying anything: nothing reaches the target
//! that was not permitted but the machine's own questions, and the client gets one answer to each request.

use std::collections::{HashMap, HashSet};

use bytes::{Buf, BytesMut};
use sallyport_sftp::{AskId, Cause, Limits, Out, Sftp, Verdict};

const INIT: u8 = 1;
const LSTAT: u8 = 7;
const REALPATH: u8 = 16;
const STATUS: u8 = 101;
const EXTENDED: u8 = 200;

/// Types that a client may send, most of them.
const REQUESTS: &[u8] = &[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 200];

/// Types that a target may send.
const REPLIES: &[u8] = &[101, 102, 103, 104, 105, 201, 2];

/// Paths of requests and of answers.
const PATHS: &[&[u8]] = &[b"/", b"/a", b"/a/b", b"/a/b/c", b"a", b"../a", b"/a/../b/", b"/tmp"];

struct Play<'a> {
    script: &'a [u8],
    sftp: Sftp,
    out: Out,
    client: BytesMut,
    target: BytesMut,
    /// Ids of the machine that the target has not answered.
    outstanding: Vec<(u8, u32)>,
    /// Ids of the client, and how many answers to each are owed: some are not read yet.
    owed: HashMap<u32, usize>,
    permitted: HashSet<AskId>,
    open: Vec<AskId>,
}

/// One input.
pub fn run(data: &[u8]) {
    let limits = Limits { requests: 40, paths: 12, handles: 4, waiting: 4000, early: 2000, ..Limits::default() };
    let mut play = Play {
        script: data,
        sftp: Sftp::new(limits),
        out: Out::default(),
        client: packet(INIT, 3, &[]),
        target: BytesMut::new(),
        outstanding: Vec::new(),
        owed: HashMap::new(),
        permitted: HashSet::new(),
        open: Vec::new(),
    };
    if play.greet() {
        while let Some(step) = play.byte() {
            if !play.step(step) {
                break;
            }
        }
    }
    play.sftp.over(&mut play.out);
    play.check();
}

impl Play<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.script.split_first()?;
        self.script = rest;
        Some(*first)
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = usize::from(self.byte().unwrap_or(0)).min(self.script.len());
        let (bytes, rest) = self.script.split_at(len);
        self.script = rest;
        bytes.to_vec()
    }

    /// The handshake, and the machine's questions after it, answered well: by the script, links are followed or not.
    fn greet(&mut self) -> bool {
        let mut fine = self.sftp.from_client(&mut self.client, &mut self.out).is_ok();
        self.out.to_target.clear();
        self.out.spans.clear();
        let (kind, list) = self.answer(0);
        self.target.unsplit(packet(kind, 3, &list));
        fine &= self.sftp.from_target(&mut self.target, &mut self.out).is_ok();
        self.check();
        while let Some((asked, id)) = self.outstanding.pop() {
            let (kind, body) = self.answer(asked);
            self.target.unsplit(packet(kind, id, &body));
            fine &= self.sftp.from_target(&mut self.target, &mut self.out).is_ok();
            self.check();
        }
        fine
    }

    /// A request as it should be, with one of a few paths and handles.
    fn request(&mut self, kind: u8) -> Vec<u8> {
        let (name, number) = (self.byte().unwrap_or(0), self.byte().unwrap_or(0));
        let path = string(PATHS[usize::from(name) % PATHS.len()]);
        let other = string(PATHS[usize::from(name / 8) % PATHS.len()]);
        let handle = string(&[name % 4]);
        let number64 = [0, 0, 0, 0, 0, 0, 0, number];
        match kind {
            3 => [path, vec![0, 0, 0, number & 0x3f], vec![0; 4]].concat(),
            4 | 8 | 12 => handle,
            5 => [handle, number64.to_vec(), vec![0, 0, 0, name]].concat(),
            6 => [handle, number64.to_vec(), string(b"data")].concat(),
            9 | 14 => [path, vec![0, 0, 0, 4, 0, 0, 1, number]].concat(),
            10 => [handle, vec![0, 0, 0, 4, 0, 0, number, 0]].concat(),
            18 | 20 => [path, other].concat(),
            200 => match number % 4 {
                0 => [string(b"posix-rename@openssh.com"), path, other].concat(),
                1 => [string(b"hardlink@openssh.com"), path, other].concat(),
                2 => [string(b"copy-data"), handle, vec![0; 16], string(&[name / 8 % 4]), vec![0; 8]].concat(),
                _ => [string(b"expand-path@openssh.com"), path].concat(),
            },
            _ => path,
        }
    }

    /// An answer as it should be to a request of the machine.
    fn answer(&mut self, asked: u8) -> (u8, Vec<u8>) {
        let choice = self.byte().unwrap_or(0);
        let status = (STATUS, [vec![0, 0, 0, choice % 9], string(b""), string(b"")].concat());
        let path = string(PATHS[usize::from(choice) % PATHS.len()]);
        match asked {
            _ if choice > 200 => status,
            0 => {
                let known = [&b"posix-rename@openssh.com"[..], b"hardlink@openssh.com", b"copy-data", b"expand-path@openssh.com"];
                (2, known.iter().flat_map(|name| [string(name), string(b"1")].concat()).collect())
            }
            3 | 11 => (102, string(&[choice % 4])),
            5 => (103, string(&vec![7; usize::from(choice % 64)])),
            LSTAT | 17 | 8 => (105, vec![0, 0, 0, 4, 0, 0, [0x81, 0x41, 0xa1][usize::from(choice) % 3], 0xff]),
            REALPATH | 19 | EXTENDED => (104, [vec![0, 0, 0, 1], path.clone(), path, vec![0; 4]].concat()),
            12 => (104, vec![0; 4]),
            _ => (STATUS, [vec![0; 4], string(b""), string(b"")].concat()),
        }
    }

    /// False when a side broke the protocol.
    fn step(&mut self, step: u8) -> bool {
        let choice = usize::from(step >> 2);
        let fine = match step & 3 {
            0 => {
                let id = u32::from(self.byte().unwrap_or(0));
                let kind = REQUESTS[choice % REQUESTS.len()];
                let garbled = self.script.len().is_multiple_of(61);
                let body = if garbled { self.bytes() } else { self.request(kind) };
                *self.owed.entry(id).or_default() += 1;
                self.client.unsplit(packet(kind, id, &body));
                self.sftp.from_client(&mut self.client, &mut self.out)
            }
            1 => {
                let nth = usize::from(self.byte().unwrap_or(0));
                let (asked, id) = match self.outstanding.len() {
                    0 => (0, 3),
                    some => self.outstanding.remove(nth % some),
                };
                let (kind, body) = if self.script.len().is_multiple_of(61) {
                    (REPLIES[choice % REPLIES.len()], self.bytes())
                } else {
                    self.answer(asked)
                };
                self.target.unsplit(packet(kind, id, &body));
                self.sftp.from_target(&mut self.target, &mut self.out)
            }
            2 if !self.open.is_empty() => {
                let ask = self.open.remove(choice % self.open.len());
                let verdict = if step & 4 == 0 {
                    self.permitted.insert(ask);
                    let max_size = (step & 8 != 0).then_some(u64::from(step));
                    Verdict::Permitted { max_size, again: step & 16 != 0 }
                } else {
                    Verdict::Refused { message: "no".to_owned() }
                };
                self.sftp.answer(ask, &verdict, &mut self.out)
            }
            _ => self.sftp.from_client(&mut self.client, &mut self.out),
        };
        self.check();
        fine.is_ok()
    }

    fn check(&mut self) {
        self.open.extend(self.out.asks.drain(..).map(|ask| ask.id));
        for span in self.out.spans.drain(..) {
            let mut packets = self.out.to_target.split_to(span.len);
            while !packets.is_empty() {
                let (kind, id) = next(&mut packets);
                match span.cause {
                    Cause::Asked(ask) => assert!(self.permitted.contains(&ask), "{kind} without a permit"),
                    Cause::Resolving => assert!(matches!(kind, REALPATH | LSTAT | EXTENDED), "{kind} as a question"),
                    Cause::Greeting => assert_eq!(kind, EXTENDED),
                }
                self.outstanding.push((kind, id));
            }
        }
        assert!(self.out.to_target.is_empty(), "bytes without a cause");
        while !self.out.to_client.is_empty() {
            let (kind, id) = next(&mut self.out.to_client);
            if kind != 2 {
                let owed = self.owed.get_mut(&id).filter(|owed| **owed > 0);
                *owed.unwrap_or_else(|| panic!("an answer of type {kind} to nothing")) -= 1;
            }
            assert!(kind >= STATUS || kind == 2);
        }
        for ended in self.out.ended.drain(..) {
            assert!(self.permitted.remove(&ended.ask), "{ended:?} does not run");
        }
        self.out.done.clear();
        self.out.refused.clear();
    }
}

/// Takes a packet off; its type and id.
fn next(bytes: &mut BytesMut) -> (u8, u32) {
    let len = bytes.get_u32();
    let mut packet = bytes.split_to(usize::try_from(len).unwrap_or(0));
    (packet.get_u8(), packet.get_u32())
}

fn string(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap_or(0).to_be_bytes()[..], text].concat()
}

fn packet(kind: u8, id: u32, body: &[u8]) -> BytesMut {
    let len = u32::try_from(body.len() + 5).unwrap_or(0);
    BytesMut::from([&len.to_be_bytes()[..], &[kind], &id.to_be_bytes(), body].concat().as_slice())
}
