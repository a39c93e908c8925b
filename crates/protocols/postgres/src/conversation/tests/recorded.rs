//! Real traffic: psql and pgbench speak with a real server through the machine. What both sides said is kept, and said
//! again to a fresh machine in pieces of every size: it must come to the same.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command as Program, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::BytesMut;
use sallyport_mask::MaskKey;
use sallyport_policy::{Classification, Reveal};
use sallyport_session::testing::{self, Taken};
use sallyport_session::{Conversation, Effects, Ruling, Side, WireError};
use sallyport_testbed::{Auth, Options, Postgres, find_postgres};

use crate::conversation::{Masks, PostgresConversation, Scope, SharedNames, Start};
use crate::settings::Settings;
use crate::wire::{Limits, backend, next_frame};

/// Something that one side said. Nothing says that the side has closed.
type Said = (Side, Vec<u8>);

struct Machine {
    conversation: PostgresConversation,
    out: Effects,
    from_client: BytesMut,
    from_target: BytesMut,
    to_client: BytesMut,
    to_target: BytesMut,
    seq: u64,
}

impl Machine {
    fn new(needs_names: bool) -> Self {
        let classification = Arc::new(Classification::default());
        let none = || testing::reveals(1, std::iter::empty::<(smol_str::SmolStr, Reveal)>());
        let key = MaskKey::new(&secrecy::SecretBox::new(vec![7; 32].into_boxed_slice()));
        Self {
            conversation: PostgresConversation::new(Start {
                veiled: None,
                scope: Scope::new(Arc::new(SharedNames::default()), "own name"),
                settings: Settings::default(),
                masks: Masks::new(none(), &classification, Arc::new(key)),
                database: "postgres".into(),
                limits: Limits::default(),
                walsender: None,
            }),
            out: testing::effects(classification, 1, needs_names),
            from_client: BytesMut::new(),
            from_target: BytesMut::new(),
            to_client: BytesMut::new(),
            to_target: BytesMut::new(),
            seq: 0,
        }
    }

    /// Takes what one side said, in pieces.
    fn hear(&mut self, side: Side, bytes: &[u8], piece: usize) -> Result<(), WireError> {
        for part in bytes.chunks(piece) {
            match side {
                Side::Client => self.from_client.extend_from_slice(part),
                Side::Target => self.from_target.extend_from_slice(part),
            }
            self.read(side)?;
        }
        self.read(Side::Client)
    }

    fn read(&mut self, side: Side) -> Result<(), WireError> {
        while side == Side::Target || self.conversation.wants_client() {
            let bytes = match side {
                Side::Client => &mut self.from_client,
                Side::Target => &mut self.from_target,
            };
            self.conversation.read(side, bytes, &mut self.out)?;
            if !self.take() {
                break;
            }
        }
        Ok(())
    }

    /// Takes the effects, and permits whatever is asked for. True when something was.
    fn take(&mut self) -> bool {
        let Taken {
            client, target, ask, ..
        } = testing::take(&mut self.out);
        self.to_client.unsplit(client);
        self.to_target.unsplit(target);
        let Some(ask) = ask else { return false };
        self.seq += 1;
        let ruling = Ruling::Permitted {
            permit: testing::permit(self.seq),
            reveals: testing::reveals(1, std::iter::empty::<(smol_str::SmolStr, Reveal)>()),
            room: None,
        };
        self.conversation.answer(ask.id, ruling, &mut self.out);
        self.take();
        true
    }
}

/// What was said in a session, and what the machine sent to the client and to the target.
type Session = (Vec<Said>, BytesMut, BytesMut);

/// Lets a program speak with the server through the machine, in as many sessions, one after the other, as it likes.
fn record(server: &Postgres, needs_names: bool, run: impl FnOnce(u16) + Send + 'static) -> Vec<Session> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let program = std::thread::spawn(move || {
        run(port);
        // A connection that says nothing is the end.
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    });
    let mut sessions = Vec::new();
    loop {
        let (mut client, _) = listener.accept().unwrap();
        let mut target = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        if log_in(&mut client, &mut target).is_err() {
            break;
        }
        let (sender, heard) = channel();
        listen_to(Side::Client, &client, sender.clone());
        listen_to(Side::Target, &target, sender);
        sessions.push(relay(&heard, needs_names, &mut client, &mut target));
    }
    program.join().unwrap();
    sessions
}

fn relay(heard: &Receiver<Said>, needs_names: bool, client: &mut TcpStream, target: &mut TcpStream) -> Session {
    let mut machine = Machine::new(needs_names);
    let (mut said, mut sent) = (Vec::new(), (0, 0));
    for (side, bytes) in heard {
        if bytes.is_empty() {
            break;
        }
        machine.hear(side, &bytes, usize::MAX).unwrap();
        said.push((side, bytes));
        client.write_all(&machine.to_client[sent.0..]).unwrap();
        target.write_all(&machine.to_target[sent.1..]).unwrap();
        sent = (machine.to_client.len(), machine.to_target.len());
    }
    (said, machine.to_client, machine.to_target)
}

/// Passes the startup packet on, and the target's answer up to its first `ReadyForQuery`.
fn log_in(client: &mut TcpStream, target: &mut TcpStream) -> io::Result<()> {
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let mut packet = vec![0; u32::from_be_bytes(length) as usize - 4];
    client.read_exact(&mut packet)?;
    target.write_all(&[&length[..], &packet].concat())?;
    loop {
        let mut head = [0; 5];
        target.read_exact(&mut head)?;
        let mut body = vec![0; u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4];
        target.read_exact(&mut body)?;
        client.write_all(&[&head[..], &body].concat())?;
        if head[0] == b'Z' {
            return Ok(());
        }
    }
}

/// Sends on what comes; nothing when the peer has closed.
fn listen_to(side: Side, stream: &TcpStream, sender: Sender<Said>) {
    let mut stream = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count) = stream.read(&mut buffer) {
            if sender.send((side, buffer[..count].to_vec())).is_err() || count == 0 {
                return;
            }
        }
    });
}

/// Runs a program of libpq against a port.
fn libpq(program: &str, port: u16, arguments: &[&str], input: &str) {
    let bin = find_postgres().unwrap();
    let mut child = Program::new(bin.join(program))
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "postgres"])
        .args(arguments)
        .env("PGSSLMODE", "disable")
        .env("PGDATABASE", "postgres")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait().unwrap();
}

/// Bytes that arrive at a time.
const PIECES: [usize; 8] = [1, 2, 3, 5, 7, 13, 64, 1000];

const SCRIPT: &str = "
    CREATE TABLE t (id int PRIMARY KEY, name text);
    INSERT INTO t SELECT g, repeat('x', g) FROM generate_series(1, 300) g;
    SELECT * FROM t ORDER BY id;
    \\d t
    SELECT 1 AS a \\; SELECT 2 AS b;
    BEGIN; INSERT INTO t VALUES (1, 'twice'); SELECT 'skipped'; ROLLBACK;
    COPY t TO STDOUT;
    COPY t FROM STDIN;
1001\tfrom the script
1002\tand another
\\.
    SET search_path = pg_catalog; SELECT relname FROM pg_class LIMIT 1; RESET search_path;
    PREPARE p (int) AS SELECT name FROM t WHERE id = $1; EXECUTE p (7); DEALLOCATE p;
    BEGIN; DECLARE c CURSOR FOR SELECT id FROM t; FETCH 5 FROM c; MOVE 2 FROM c; COMMIT;
    DO $$ BEGIN RAISE NOTICE 'a notice'; END $$;
    LISTEN c; NOTIFY c, 'hello'; SELECT 1/0; SELECT '';
    DROP TABLE t;
";

#[test]
fn real_traffic_comes_to_the_same_however_it_is_cut() {
    let server = Postgres::start(&Options {
        auth: Auth::Trust,
        ..Options::default()
    })
    .unwrap();
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        script.path(),
        "\\set n random(1, 1000)\nSELECT :n + 1;\nBEGIN;\nSELECT pg_catalog.repeat('y', :n);\nEND;\n",
    )
    .unwrap();
    for needs_names in [false, true] {
        let mut sessions = vec![(
            "psql",
            record(&server, needs_names, |port| libpq("psql", port, &["-X"], SCRIPT)),
        )];
        for mode in ["simple", "extended", "prepared"] {
            let file = script.path().to_owned();
            let pgbench = move |port| {
                let file = file.to_str().unwrap();
                libpq("pgbench", port, &["-n", "-t", "10", "-M", mode, "-f", file], "");
            };
            sessions.push((mode, record(&server, needs_names, pgbench)));
        }
        for (name, sessions) in sessions {
            let ends = sessions
                .iter()
                .map(|s| count(&s.1, backend::Tag::CommandComplete))
                .max();
            assert!(ends > Some(20), "{name} ran only {ends:?} commands");
            for (piece, session) in PIECES
                .iter()
                .flat_map(|piece| sessions.iter().map(move |s| (*piece, s)))
            {
                let (said, to_client, to_target) = session;
                let mut machine = Machine::new(needs_names);
                for (side, bytes) in said {
                    machine.hear(*side, bytes, piece).unwrap();
                }
                assert!(
                    machine.to_client == to_client,
                    "{name}, names {needs_names}, by {piece}"
                );
                assert!(
                    machine.to_target == to_target,
                    "{name}, names {needs_names}, by {piece}"
                );
            }
        }
    }
}

/// How many messages of a kind the client got.
fn count(mut bytes: &[u8], tag: backend::Tag) -> usize {
    let mut found = 0;
    while let Some(frame) = next_frame::<backend::Tag>(bytes, &Limits::default()).unwrap() {
        found += usize::from(frame.tag == tag);
        bytes = &bytes[frame.total_len..];
    }
    found
}
