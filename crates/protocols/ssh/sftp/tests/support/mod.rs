//! OpenSSH's own server and client with the machine between them: threads that pump bytes, and a judge.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use bytes::{Bytes, BytesMut};
use sallyport_sftp::{Ask, AskId, Cause, Ended, Limits, Out, Refused, Sftp, SftpError, Transfer, Verdict};

pub(crate) const SERVER: &str = "/usr/lib/openssh/sftp-server";

/// What happened.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) asks: Vec<Ask>,
    pub(crate) done: Vec<Transfer>,
    pub(crate) refused: Vec<Refused>,
    /// What was permitted and has not ended.
    pub(crate) running: HashSet<AskId>,
    pub(crate) ended: Vec<Ended>,
    pub(crate) error: Option<SftpError>,
    /// What each side said, in order, for replaying.
    pub(crate) said: Vec<(Said, Bytes)>,
    /// The most that waited for the machine to want it.
    pub(crate) left_over: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Client,
    Target,
}

impl Log {
    fn answered(&mut self, ask: AskId, verdict: &Verdict) {
        if matches!(verdict, Verdict::Permitted { .. }) {
            self.running.insert(ask);
        }
    }

    fn take(&mut self, out: &mut Out) {
        self.done.append(&mut out.done);
        self.refused.append(&mut out.refused);
        for ended in out.ended.drain(..) {
            assert!(self.running.remove(&ended.ask), "{ended:?} did not run");
            self.ended.push(ended);
        }
    }

    pub(crate) fn texts(&self) -> Vec<&str> {
        self.asks.iter().map(|ask| ask.text.as_str()).collect()
    }
}

enum Event {
    Client(Bytes),
    ClientEnd,
    Target(Bytes),
    TargetEnd,
    Verdict(AskId, Verdict),
}

/// A running channel.
pub(crate) struct Channel {
    log: Arc<(Mutex<Log>, Condvar)>,
    events: Sender<Event>,
    pump: JoinHandle<()>,
}

impl Channel {
    /// Answers a question that the judge left open.
    pub(crate) fn answer(&self, ask: AskId, verdict: Verdict) {
        self.events.send(Event::Verdict(ask, verdict)).unwrap();
    }

    /// Waits until a question with this text has been asked.
    pub(crate) fn asked(&self, text: &str) -> AskId {
        let (log, changed) = &*self.log;
        let mut log = log.lock().unwrap();
        loop {
            if let Some(ask) = log.asks.iter().find(|ask| ask.text == text) {
                return ask.id;
            }
            log = changed.wait(log).unwrap();
        }
    }

    /// How many questions have been asked.
    pub(crate) fn count(&self) -> usize {
        self.log.0.lock().unwrap().asks.len()
    }

    /// Waits for the end.
    pub(crate) fn end(self) -> Log {
        self.pump.join().unwrap();
        std::mem::take(&mut *self.log.0.lock().unwrap())
    }
}

pub(crate) type Judge = Box<dyn FnMut(&Ask) -> Option<Verdict> + Send>;

pub(crate) fn permitted() -> Verdict {
    Verdict::Permitted {
        max_size: None,
        again: false,
    }
}

pub(crate) fn refused() -> Verdict {
    Verdict::Refused {
        message: "no-secrets: secrets stay where they are".to_owned(),
    }
}

/// A judge that permits everything.
pub(crate) fn permit_all() -> Judge {
    Box::new(|_| Some(permitted()))
}

/// A judge that refuses every act on a path below `protected`, whichever of its paths it is, and permits the rest.
pub(crate) fn protect(protected: &Path) -> Judge {
    let protected = fs::canonicalize(protected).unwrap();
    Box::new(move |ask| {
        let (first, second) = ask.act.places();
        let inside = |path: &[u8]| {
            use std::os::unix::ffi::OsStrExt as _;
            Path::new(std::ffi::OsStr::from_bytes(path)).starts_with(&protected)
        };
        let hit = [first, second].into_iter().flatten().any(|place| inside(&place.path));
        Some(if hit { refused() } else { permitted() })
    })
}

/// Puts a machine and a real server behind two streams.
pub(crate) fn serve(
    client: impl Read + Send + 'static,
    to_client: impl Write + Send + 'static,
    start: &Path,
    limits: Limits,
    judge: Judge,
) -> Channel {
    let mut server = Command::new(SERVER)
        .args(["-e", "-d"])
        .arg(start)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("OpenSSH's sftp-server is installed");
    let (events, inbox) = channel();
    pour(client, events.clone(), Event::Client, || Event::ClientEnd);
    pour(server.stdout.take().unwrap(), events.clone(), Event::Target, || {
        Event::TargetEnd
    });
    let log = Arc::new((Mutex::new(Log::default()), Condvar::new()));
    let shared = Arc::clone(&log);
    let pump = thread::spawn(move || pump(&mut server, &inbox, Box::new(to_client), limits, judge, &shared));
    Channel { log, events, pump }
}

fn pour(mut from: impl Read + Send + 'static, to: Sender<Event>, one: fn(Bytes) -> Event, end: fn() -> Event) {
    thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok(len) = from.read(&mut buffer) {
            if len == 0 || to.send(one(Bytes::copy_from_slice(&buffer[..len]))).is_err() {
                break;
            }
        }
        let _ = to.send(end());
    });
}

fn pump(
    server: &mut Child,
    inbox: &Receiver<Event>,
    to_client: Box<dyn Write + Send>,
    limits: Limits,
    mut judge: Judge,
    shared: &(Mutex<Log>, Condvar),
) {
    let mut to_client = Some(to_client);
    let mut to_target = server.stdin.take();
    let (mut sftp, mut out) = (Sftp::new(limits), Out::default());
    let (mut client, mut target) = (BytesMut::new(), BytesMut::new());
    for event in inbox.iter() {
        let result = match event {
            Event::Client(bytes) => {
                shared.0.lock().unwrap().said.push((Said::Client, bytes.clone()));
                client.extend_from_slice(&bytes);
                Ok(())
            }
            Event::Target(bytes) => {
                shared.0.lock().unwrap().said.push((Said::Target, bytes.clone()));
                target.extend_from_slice(&bytes);
                sftp.from_target(&mut target, &mut out)
            }
            Event::ClientEnd => {
                to_target = None;
                Ok(())
            }
            Event::TargetEnd => break,
            Event::Verdict(ask, verdict) => {
                shared.0.lock().unwrap().answered(ask, &verdict);
                sftp.answer(ask, &verdict, &mut out)
            }
        };
        let result = result.and_then(|()| settle(&mut sftp, &mut client, &mut out, &mut judge, shared));
        deliver(&mut out, &mut to_client, &mut to_target);
        let mut log = shared.0.lock().unwrap();
        log.left_over = log.left_over.max(client.len());
        if let Err(error) = result {
            log.error = Some(error);
            drop(log);
            break;
        }
    }
    drop((to_client.take(), to_target.take()));
    sftp.over(&mut out);
    let mut log = shared.0.lock().unwrap();
    log.take(&mut out);
    assert!(log.running.is_empty(), "what runs ends: {:?}", log.running);
    drop(log);
    shared.1.notify_all();
    let _ = server.kill();
    server.wait().unwrap();
}

/// Lets the machine take what it wants and the judge answer, until neither has more to do.
fn settle(
    sftp: &mut Sftp,
    client: &mut BytesMut,
    out: &mut Out,
    judge: &mut Judge,
    shared: &(Mutex<Log>, Condvar),
) -> Result<(), SftpError> {
    loop {
        let before = (client.len(), out.asks.len());
        let result = sftp.from_client(client, out);
        shared.0.lock().unwrap().take(out);
        result?;
        let asks: Vec<Ask> = out.asks.drain(..).collect();
        if asks.is_empty() && before == (client.len(), 0) {
            return Ok(());
        }
        for ask in asks {
            let (id, verdict) = (ask.id, judge(&ask));
            shared.0.lock().unwrap().asks.push(ask);
            shared.1.notify_all();
            if let Some(verdict) = verdict {
                shared.0.lock().unwrap().answered(id, &verdict);
                sftp.answer(id, &verdict, out)?;
            }
        }
    }
}

fn deliver(out: &mut Out, to_client: &mut Option<Box<dyn Write + Send>>, to_target: &mut Option<impl Write>) {
    let spans: usize = out.spans.drain(..).map(|span| span.len).sum();
    assert_eq!(spans, out.to_target.len(), "every byte for the target has a cause");
    if let Some(client) = to_client {
        let _ = client.write_all(&out.to_client);
        let _ = client.flush();
    }
    if let Some(target) = to_target {
        let _ = target.write_all(&out.to_target);
        let _ = target.flush();
    }
    out.to_client.clear();
    out.to_target.clear();
}

/// OpenSSH's client runs `batch` in `local`; the server starts in `remote`.
pub(crate) fn sftp(local: &Path, remote: &Path, batch: &str, judge: Judge) -> (Output, Log) {
    let pipes = tempfile::tempdir().unwrap();
    let path = |name: &str| pipes.path().join(name);
    let made = Command::new("mkfifo")
        .args([path("up"), path("down")])
        .status()
        .unwrap();
    assert!(made.success());
    fs::write(path("batch"), batch).unwrap();
    let script = format!("#!/bin/sh\ncat {0}/down &\nexec cat > {0}/up\n", pipes.path().display());
    fs::write(path("server"), script).unwrap();
    fs::set_permissions(path("server"), fs::Permissions::from_mode(0o755)).unwrap();
    let client = Command::new("sftp")
        .current_dir(local)
        .arg("-b")
        .arg(path("batch"))
        .arg("-D")
        .arg(path("server"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("OpenSSH's sftp is installed");
    let (up, down) = (
        File::open(path("up")).unwrap(),
        File::options().write(true).open(path("down")).unwrap(),
    );
    let channel = serve(up, down, remote, Limits::default(), judge);
    let output = client.wait_with_output().unwrap();
    (output, channel.end())
}

/// A client that says exactly what a test wants.
pub(crate) struct Raw {
    writer: Option<PipeWriter>,
    reader: PipeReader,
    buffer: BytesMut,
    next: u32,
    early: HashMap<u32, Packet>,
}

/// An answer: its type and what follows the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) kind: u8,
    pub(crate) rest: Bytes,
}

impl Packet {
    /// The code of a status.
    pub(crate) fn code(&self) -> u32 {
        assert_eq!(self.kind, 101, "{self:?}");
        u32::from_be_bytes(self.rest[..4].try_into().unwrap())
    }

    /// The first string: of a handle, of data.
    pub(crate) fn string(&self) -> Bytes {
        let len = u32::from_be_bytes(self.rest[..4].try_into().unwrap()) as usize;
        self.rest.slice(4..4 + len)
    }

    /// The message of a status.
    pub(crate) fn message(&self) -> String {
        let len = u32::from_be_bytes(self.rest[4..8].try_into().unwrap()) as usize;
        String::from_utf8(self.rest[8..8 + len].to_vec()).unwrap()
    }

    /// The first name of a list.
    pub(crate) fn name(&self) -> Bytes {
        assert_eq!(self.kind, 104, "{self:?}");
        let len = u32::from_be_bytes(self.rest[4..8].try_into().unwrap()) as usize;
        self.rest.slice(8..8 + len)
    }
}

/// Fields of a request.
pub(crate) enum Field<'a> {
    Text(&'a [u8]),
    U32(u32),
    U64(u64),
}

pub(crate) fn text(text: &(impl AsRef<[u8]> + ?Sized)) -> Field<'_> {
    Field::Text(text.as_ref())
}

pub(crate) fn body(fields: &[Field<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for field in fields {
        match field {
            Field::Text(text) => {
                body.extend_from_slice(&(text.len() as u32).to_be_bytes());
                body.extend_from_slice(text);
            }
            Field::U32(number) => body.extend_from_slice(&number.to_be_bytes()),
            Field::U64(number) => body.extend_from_slice(&number.to_be_bytes()),
        }
    }
    body
}

impl Raw {
    pub(crate) fn connect(remote: &Path, limits: Limits, judge: Judge) -> (Self, Channel) {
        let (client_end, up) = std::io::pipe().unwrap();
        let (down, server_end) = std::io::pipe().unwrap();
        let channel = serve(client_end, server_end, remote, limits, judge);
        let mut raw = Self {
            writer: Some(up),
            reader: down,
            buffer: BytesMut::new(),
            next: 0,
            early: HashMap::new(),
        };
        raw.write(1, 3, &[]);
        let (kind, version, _) = raw.read().unwrap();
        assert_eq!((kind, version), (2, 3));
        (raw, channel)
    }

    pub(crate) fn write(&mut self, kind: u8, id: u32, rest: &[u8]) {
        let mut packet = ((rest.len() + 5) as u32).to_be_bytes().to_vec();
        packet.push(kind);
        packet.extend_from_slice(&id.to_be_bytes());
        packet.extend_from_slice(rest);
        self.writer.as_mut().unwrap().write_all(&packet).unwrap();
    }

    /// Sends a request and does not wait.
    pub(crate) fn send(&mut self, kind: u8, fields: &[Field<'_>]) -> u32 {
        self.next += 1;
        self.write(kind, self.next, &body(fields));
        self.next
    }

    fn read(&mut self) -> Option<(u8, u32, Bytes)> {
        loop {
            if self.buffer.len() >= 4 {
                let len = u32::from_be_bytes(self.buffer[..4].try_into().unwrap()) as usize;
                if self.buffer.len() >= 4 + len {
                    let packet = self.buffer.split_to(4 + len).freeze();
                    let id = u32::from_be_bytes(packet[5..9].try_into().unwrap());
                    return Some((packet[4], id, packet.slice(9..)));
                }
            }
            let mut some = [0; 65536];
            match self.reader.read(&mut some) {
                Ok(0) | Err(_) => return None,
                Ok(len) => self.buffer.extend_from_slice(&some[..len]),
            }
        }
    }

    /// The answer to a request.
    pub(crate) fn wait(&mut self, id: u32) -> Packet {
        self.answer(id).expect("the channel is open")
    }

    /// The answer to a request; `None` if the channel ends.
    pub(crate) fn answer(&mut self, id: u32) -> Option<Packet> {
        loop {
            if let Some(packet) = self.early.remove(&id) {
                return Some(packet);
            }
            let (kind, id, rest) = self.read()?;
            self.early.insert(id, Packet { kind, rest });
        }
    }

    /// Whether the answer is there without waiting for it, once all requests up to now were looked at.
    pub(crate) fn has(&self, id: u32) -> bool {
        self.early.contains_key(&id)
    }

    pub(crate) fn ask(&mut self, kind: u8, fields: &[Field<'_>]) -> Packet {
        let id = self.send(kind, fields);
        self.wait(id)
    }

    pub(crate) fn open(&mut self, path: &(impl AsRef<[u8]> + ?Sized), flags: u32) -> Packet {
        self.ask(3, &[text(path), Field::U32(flags), Field::U32(0)])
    }

    pub(crate) fn close(&mut self) {
        self.writer = None;
    }
}

/// Whether a span is the machine's own.
pub(crate) fn own(cause: Cause) -> bool {
    matches!(cause, Cause::Greeting | Cause::Resolving)
}
