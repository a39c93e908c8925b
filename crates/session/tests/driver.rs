//! The driver between a client, a target, people who review, and whoever ends sessions.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use sallyport_ledger::{Durability, Event, RecordingKey, RecordingStore, SessionHeader};
use sallyport_policy::{Act, ActionName, Loader, Resource, Subject, SubjectKind, Watcher};
use sallyport_session::{
    AskId, Asking, Command, Conversation, Effects, Ending, Gate, Granted, HoldInfo, HoldOutcome, Housekeeping,
    Interrupt, Opened, Phase, Reason, Refusal, Reviewing, Rooms, Ruling, Sessions, Shape, Side, Signals, Spent,
    Standing, Unparsed, Waiting, WireError, relay,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};

const RULES: &str = r#"
@id("everything")
permit (principal, action, resource);

@id("ask-first")
@hold("dba")
forbid (principal, action == Action::"unparsed", resource)
unless { context.approved_by.contains(Group::"dba") };
"#;

/// A protocol of single bytes: `h` is held, `q` would be but does not wait, `d` says that the next byte is data of the command before it, and every
/// other byte is permitted and forwarded.
#[derive(Default)]
struct Bytewise {
    pending: Option<(AskId, u8)>,
    asks: u64,
    last: Option<Spent>,
}

impl Conversation for Bytewise {
    fn read(&mut self, from: Side, bytes: &mut BytesMut, out: &mut Effects) -> Result<(), WireError> {
        if from == Side::Target {
            let len = bytes.len();
            out.show_run(0, bytes, len);
            return Ok(());
        }
        while let (Some(of), Some(&[b'd', data])) = (self.last, bytes.first_chunk()) {
            out.proceed_data(of, &[b'd', data], 1);
            bytes.advance(2);
        }
        if self.pending.is_none() && !bytes.is_empty() {
            let byte = bytes.get_u8();
            self.asks += 1;
            let id = AskId(self.asks);
            self.pending = Some((id, byte));
            match byte {
                b'q' => out.ask_without_waiting(id, command(true)),
                byte => out.ask(id, command(byte == b'h')),
            }
        }
        Ok(())
    }

    fn answer(&mut self, _ask: AskId, ruling: Ruling, out: &mut Effects) {
        let (_, byte) = self.pending.take().expect("a question");
        match ruling {
            Ruling::Permitted { permit, .. } => {
                self.last = Some(out.forward(permit, &[byte]));
            }
            Ruling::Refused { .. } => out.tell(b"R"),
        }
    }

    fn held(&mut self, _ask: AskId, _hold: &HoldInfo, out: &mut Effects) {
        out.tell(b"w");
    }

    fn interrupt(&mut self, out: &mut Effects) -> bool {
        let Some((id, _)) = self.pending.take() else {
            return false;
        };
        out.withdraw(id);
        out.tell(b"c");
        true
    }

    fn named_facts(&self) -> &'static [&'static str] {
        &[]
    }

    fn wants_client(&self) -> bool {
        self.pending.is_none()
    }

    fn is_idle(&self) -> bool {
        self.pending.is_none()
    }

    fn unfinished(&self) -> Vec<u64> {
        Vec::new()
    }

    fn farewell(&mut self, _refusal: &Refusal, out: &mut Effects) {
        out.tell(b"F");
        out.tend(Housekeeping::Goodbye, b"X");
    }
}

fn command(held: bool) -> Command {
    let unparsed = held.then(|| Unparsed {
        message: "what is this".to_owned(),
        position: None,
    });
    let acts = if held {
        vec![Act::new(ActionName::unparsed(), Vec::new())]
    } else {
        Vec::new()
    };
    let shape = Shape {
        id: Shape::next_id(),
        acts,
        shows: Vec::new(),
        carries: Vec::new(),
        unparsed,
        empty: !held,
        facts: "{}".to_owned(),
        recorded: OnceLock::new(),
    };
    Command {
        shape: Arc::new(shape),
        text: Bytes::from_static(b"text"),
        parameters: Bytes::new(),
        state: Bytes::new(),
        readable: None,
        phase: Phase::Run,
    }
}

/// Reviews that the test answers; it learns of those that nobody waits for any more.
struct Desk {
    opened: mpsc::UnboundedSender<oneshot::Sender<HoldOutcome>>,
}

impl Reviewing for Desk {
    fn open(&self, asking: Asking) -> Waiting<Opened> {
        let opened = self.opened.clone();
        Box::pin(async move {
            let (answer, outcome) = oneshot::channel();
            let _ = opened.send(answer);
            let info = HoldInfo {
                request: "r1".to_owned(),
                watch: Vec::new(),
                session: String::new(),
                groups: vec!["dba".to_owned()],
                rules: asking.rules,
                message: asking.message,
            };
            Opened::Open(info, or_never(outcome))
        })
    }
}

fn or_never<T: Send + 'static>(value: oneshot::Receiver<T>) -> Waiting<T> {
    Box::pin(async move {
        match value.await {
            Ok(value) => value,
            Err(_) => std::future::pending().await,
        }
    })
}

struct Stage {
    client: DuplexStream,
    target: DuplexStream,
    interrupt: Arc<Interrupt>,
    end: Option<oneshot::Sender<Refusal>>,
    desk: mpsc::UnboundedReceiver<oneshot::Sender<HoldOutcome>>,
    relay: tokio::task::JoinHandle<(Ending, Gate)>,
    dir: tempfile::TempDir,
}

fn killed() -> Refusal {
    Refusal::new(Reason::Unavailable, "killed")
}

impl Stage {
    /// A session whose client has already sent `bytes` when it begins; `ended` when it is killed before it begins.
    async fn start(bytes: &[u8], ended: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (opened, desk) = mpsc::unbounded_channel();
        let gate = gate(dir.path(), Desk { opened });
        let (mut client, inner_client) = tokio::io::duplex(1024);
        let (target, inner_target) = tokio::io::duplex(1024);
        client.write_all(bytes).await.unwrap();
        let interrupt = Arc::new(Interrupt::default());
        let (end, ending) = oneshot::channel();
        let mut end = Some(end);
        if ended {
            end.take().unwrap().send(killed()).unwrap();
        }
        let signals = Signals {
            end: or_never(ending),
            closing: Box::pin(std::future::pending()),
            policy: Sessions::default().next_policy(),
            interrupt: Arc::clone(&interrupt),
            rooms: Rooms::new(1 << 30),
        };
        let relay = tokio::spawn(relay(Bytewise::default(), inner_client, inner_target, gate, signals));
        Self {
            client,
            target,
            interrupt,
            end,
            desk,
            relay,
            dir,
        }
    }

    async fn client_gets(&mut self, expected: &[u8]) {
        assert_eq!(gets(&mut self.client, expected.len()).await, expected);
    }

    async fn target_gets(&mut self, expected: &[u8]) {
        assert_eq!(gets(&mut self.target, expected.len()).await, expected);
    }
}

async fn gets(stream: &mut DuplexStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut bytes)).await;
    read.expect("nothing came").unwrap();
    bytes
}

fn gate(dir: &std::path::Path, desk: Desk) -> Gate {
    let rules = dir.join("policy/rules");
    std::fs::create_dir_all(&rules).unwrap();
    std::fs::write(rules.join("all.cedar"), RULES).unwrap();
    let policy = Arc::new(Watcher::start(&dir.join("policy"), Loader::new(&[])).unwrap());
    let standing = Standing {
        subject: Subject {
            kind: SubjectKind::User,
            id: "alice".to_owned(),
            groups: Vec::new(),
        },
        person: "alice".into(),
        target: Resource {
            name: "t".to_owned(),
            protocol: "bytes".to_owned(),
            environment: None,
            tags: Vec::new(),
        },
        database: "d".into(),
        task: None,
        source: None,
    };
    let id = uuid::Uuid::now_v7();
    let header = SessionHeader {
        id,
        started: time::OffsetDateTime::now_utc(),
        principal: sallyport_ledger::Caller {
            id: "alice".to_owned(),
            kind: "user".to_owned(),
            groups: Vec::new(),
            person: "alice".to_owned(),
        },
        target: "t".to_owned(),
        database: None,
        protocol: "bytes".to_owned(),
        client_address: None,
        task: None,
        client_tool: None,
        agent: None,
        policy_digest: policy.current().digest().to_owned(),
        policy_commit: None,
        gateway_version: "test".to_owned(),
    };
    let store = RecordingStore::open(dir, RecordingKey::new([1; 32]), Durability::WriteAhead).unwrap();
    Gate::new(
        standing,
        policy,
        store.create(&header).unwrap(),
        Arc::new(desk),
        &header,
    )
}

fn granted() -> HoldOutcome {
    HoldOutcome::Granted(Granted {
        request: "r1".to_owned(),
        approvers: vec!["dana".to_owned()],
        watchers: Vec::new(),
        groups: vec!["dba".to_owned()],
    })
}

#[tokio::test]
async fn an_approved_command_is_forwarded_and_then_what_came_behind_it() {
    let mut stage = Stage::start(b"ahb", false).await;
    stage.target_gets(b"a").await;
    stage.client_gets(b"w").await;
    stage.desk.recv().await.unwrap().send(granted()).unwrap();
    stage.target_gets(b"hb").await;
}

#[tokio::test]
async fn data_of_a_command_is_recorded_as_the_target_gets_it() {
    let mut stage = Stage::start(b"adxdybdz", false).await;
    stage.target_gets(b"adxdybdz").await;
    drop(stage.client);
    let (ending, gate) = stage.relay.await.unwrap();
    let id = gate.close(&ending).unwrap().id;
    let store = RecordingStore::open(stage.dir.path(), RecordingKey::new([1; 32]), Durability::WriteAhead).unwrap();
    let mut data = Vec::new();
    for event in store.read(id).unwrap().events() {
        if let Event::Input { seq, bytes } = event.unwrap().event() {
            data.push((seq, bytes.to_vec()));
        }
    }
    assert_eq!(data, [(1, b"x".to_vec()), (1, b"y".to_vec()), (2, b"z".to_vec())]);
}

#[tokio::test]
async fn a_cancelled_command_lets_what_came_behind_it_go_on() {
    let mut stage = Stage::start(b"hab", false).await;
    stage.client_gets(b"w").await;
    let mut answer = stage.desk.recv().await.unwrap();
    assert!(stage.interrupt.request());
    stage.client_gets(b"c").await;
    stage.target_gets(b"ab").await;
    answer.closed().await;
    assert!(!stage.interrupt.request(), "nothing is held any more");
}

#[tokio::test]
async fn a_question_that_is_worth_nobodys_time_is_refused_where_it_would_be_held() {
    let mut stage = Stage::start(b"qa", false).await;
    stage.client_gets(b"R").await;
    stage.target_gets(b"a").await;
    assert!(stage.desk.try_recv().is_err(), "somebody was asked");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_held_command_with_it() {
    let mut stage = Stage::start(b"h", false).await;
    let mut answer = stage.desk.recv().await.unwrap();
    drop(stage.client);
    answer.closed().await;
    assert_eq!(stage.relay.await.unwrap().0, Ending::Client);
}

#[tokio::test]
async fn a_client_that_leaves_with_much_behind_its_held_command_takes_it_with_it() {
    let mut stage = Stage::start(b"h", false).await;
    stage.client_gets(b"w").await;
    let mut answer = stage.desk.recv().await.unwrap();
    let much = [b'a'; 512 << 10];
    let sent = tokio::time::timeout(Duration::from_secs(10), stage.client.write_all(&much)).await;
    sent.expect("it is taken while the command is held").unwrap();
    drop(stage.client);
    let gave_up = tokio::time::timeout(Duration::from_secs(10), answer.closed()).await;
    gave_up.expect("the request is withdrawn");
    assert_eq!(stage.relay.await.unwrap().0, Ending::Client);
    assert_eq!(rest_of(stage.target).await, b"", "nothing reached the target");
}

#[tokio::test]
async fn what_waits_behind_a_held_command_is_bounded() {
    let mut stage = Stage::start(b"h", false).await;
    stage.client_gets(b"w").await;
    let mut answer = stage.desk.recv().await.unwrap();
    let (mut client, mut sending) = tokio::io::split(stage.client);
    let flood = tokio::spawn(async move { while sending.write_all(&[b'a'; 4096]).await.is_ok() {} });
    let (ending, _) = tokio::time::timeout(Duration::from_secs(60), stage.relay)
        .await
        .expect("it ends")
        .unwrap();
    assert!(
        matches!(&ending, Ending::Gateway(refusal) if refusal.reason == Reason::TooMuch),
        "{ending}"
    );
    answer.closed().await;
    let mut words = Vec::new();
    client.read_to_end(&mut words).await.unwrap();
    assert_eq!(words, b"F");
    assert_eq!(
        rest_of(stage.target).await,
        b"X",
        "nothing reached the target but the goodbye"
    );
    flood.await.unwrap();
}

async fn rest_of(mut stream: DuplexStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    rest
}

#[tokio::test]
async fn a_session_that_is_ended_forwards_nothing_more() {
    let mut stage = Stage::start(b"aaaa", true).await;
    let mut rest = Vec::new();
    stage.target.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"X");
    stage.client_gets(b"F").await;
    assert!(matches!(stage.relay.await.unwrap().0, Ending::Gateway(_)));
}

#[tokio::test]
async fn a_session_ends_though_its_client_does_not_read() {
    let mut stage = Stage::start(b"", false).await;
    let mut target = stage.target;
    let flood = tokio::spawn(async move {
        let mut sent = 0;
        while target.write_all(&[b'x'; 4096]).await.is_ok() {
            sent += 4096;
        }
        sent
    });
    // The client reads a little, so that the flood is under way, and then no more.
    gets(&mut stage.client, 512).await;
    stage.end.take().unwrap().send(killed()).unwrap();
    let (ending, _) = tokio::time::timeout(Duration::from_secs(60), stage.relay)
        .await
        .expect("it ends")
        .unwrap();
    assert!(matches!(ending, Ending::Gateway(_)));
    let sent = flood.await.unwrap();
    assert!(
        sent < 1 << 20,
        "{sent} bytes were taken from the target for a client that does not read"
    );
}

#[tokio::test]
async fn a_client_is_told_when_its_target_leaves() {
    let mut stage = Stage::start(b"h", false).await;
    stage.client_gets(b"w").await;
    let mut answer = stage.desk.recv().await.unwrap();
    drop(stage.target);
    assert_eq!(gets(&mut stage.client, 1).await, b"F");
    answer.closed().await;
    assert_eq!(stage.relay.await.unwrap().0, Ending::Target);
}

/// Run by the test below only, where files have a limit that stands for a full disk.
#[tokio::test]
#[ignore = "the other test starts it as a process of its own"]
async fn on_a_full_disk() {
    let mut stage = Stage::start(b"", false).await;
    let mut target = stage.target;
    let answer = tokio::spawn(async move {
        // One long answer: nobody pauses, and no command comes in between.
        for _ in 0..1024 {
            if target.write_all(&[b'x'; 4096]).await.is_err() {
                break;
            }
        }
        target
    });
    let mut received = Vec::new();
    let reading = stage.client.read_to_end(&mut received);
    tokio::time::timeout(Duration::from_secs(60), reading)
        .await
        .expect("the session ends")
        .unwrap();
    let (ending, _) = stage.relay.await.unwrap();
    assert!(
        matches!(&ending, Ending::Gateway(refusal) if refusal.reason == Reason::Unavailable),
        "{ending}"
    );
    let (last, shown) = received.split_last().expect("something came");
    assert_eq!((*last, shown.iter().find(|byte| **byte != b'x')), (b'F', None));
    // Whole frames are on the disk; one more was being filled, and fails.
    assert!(shown.len() > 256 << 10 && shown.len() < 1280 << 10, "{}", shown.len());
    answer.await.unwrap();
}

#[test]
fn a_response_that_cannot_be_recorded_goes_no_further() {
    let script = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" --exact on_a_full_disk --ignored --nocapture";
    let run = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&run.stderr)
    );
}
