//! The machine between a client that is written down and the server of these tests; the gate's part is played.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sallyport_mask::MaskKey;
use sallyport_policy::{Classification, Reveal};
use sallyport_session::testing::{self, Taken};
use sallyport_session::{
    AskId, Command, Conversation, Effects, Finish, Phase, Reason, Refusal, Ruling, Side, WireError,
};

use super::server::Server;
use crate::conversation::{Masks, PostgresConversation, Scope, SharedNames, Start};
use crate::replication::Walsender;
use crate::settings::Settings;
use crate::wire::frontend::{self, Subject};
use crate::wire::{Format, Limits, backend, next_frame};

/// The longest message of the client here.
pub(super) const MAX_MESSAGE: u32 = 2 << 20;

/// What the gate says of a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    Permit,
    Refuse,
    /// Waits for [`Play::approve`].
    Hold,
}

pub(super) struct Play {
    pub(super) machine: PostgresConversation,
    pub(super) names: Arc<SharedNames>,
    out: Effects,
    pub(super) server: Server,
    from_client: BytesMut,
    from_server: BytesMut,
    /// What the client has received.
    pub(super) received: BytesMut,
    rule: fn(&Command) -> Says,
    /// Every command that was put to the gate and permitted.
    pub(super) permitted: Vec<(String, Phase)>,
    pub(super) asked: Vec<Command>,
    pub(super) held: Option<(AskId, Command)>,
    pub(super) withdrawn: Vec<AskId>,
    pub(super) finished: Vec<(u64, Finish)>,
    /// What the recording is told beside bytes.
    pub(super) remarks: Vec<Vec<u8>>,
    seq: u64,
    /// The server does nothing while this is set.
    pub(super) server_sleeps: bool,
    /// Bytes that arrive at once; 0 for all.
    pub(super) chunk: usize,
    pub(super) broken: Option<WireError>,
}

/// A rule that holds what deletes, refuses what drops, and permits the rest.
pub(super) fn house_rule(command: &Command) -> Says {
    let text = String::from_utf8_lossy(&command.text).to_uppercase();
    let does = |name: &str| {
        command
            .shape
            .acts
            .iter()
            .any(|act| act.action.to_string().contains(name))
    };
    if text.contains("DROP") {
        Says::Refuse
    } else if does("delete") && command.phase == Phase::Run {
        Says::Hold
    } else {
        Says::Permit
    }
}

impl Play {
    pub(super) fn new(needs_names: bool, rule: fn(&Command) -> Says) -> Self {
        Self::on(None, needs_names, rule)
    }

    /// On a replication connection, if it is one.
    pub(super) fn on(walsender: Option<Walsender>, needs_names: bool, rule: fn(&Command) -> Says) -> Self {
        let classification = Arc::new(Classification::default());
        let reveals = testing::reveals(1, std::iter::empty::<(smol_str::SmolStr, Reveal)>());
        let names = Arc::new(SharedNames::default());
        let machine = PostgresConversation::new(Start {
            veiled: None,
            scope: Scope::new(Arc::clone(&names), "own name"),
            settings: Settings::default(),
            masks: Masks::new(
                reveals,
                &classification,
                Arc::new(MaskKey::new(&secrecy::SecretBox::new(vec![7; 32].into_boxed_slice()))),
            ),
            database: "orders".into(),
            limits: Limits::default().at_most(MAX_MESSAGE),
            walsender,
        });
        Self {
            machine,
            names,
            out: testing::effects(classification, 1, needs_names),
            server: Server::new(),
            from_client: BytesMut::new(),
            from_server: BytesMut::new(),
            received: BytesMut::new(),
            rule,
            permitted: Vec::new(),
            asked: Vec::new(),
            held: None,
            withdrawn: Vec::new(),
            finished: Vec::new(),
            remarks: Vec::new(),
            seq: 0,
            server_sleeps: false,
            chunk: 0,
            broken: None,
        }
    }

    /// The client sends.
    pub(super) fn send(&mut self, bytes: &[u8]) -> &mut Self {
        let chunk = if self.chunk == 0 {
            bytes.len().max(1)
        } else {
            self.chunk
        };
        for part in bytes.chunks(chunk) {
            self.from_client.extend_from_slice(part);
            self.read(Side::Client);
            self.settle();
        }
        self
    }

    /// Bytes of the client that are kept because they are not dealt with.
    pub(super) fn waiting(&self) -> usize {
        self.from_client.len()
    }

    /// The server runs what it has got.
    pub(super) fn wake(&mut self) -> &mut Self {
        self.server_sleeps = false;
        self.settle();
        self
    }

    /// The target says something of its own accord.
    pub(super) fn target_says(&mut self, bytes: &[u8]) -> &mut Self {
        self.server.output.extend_from_slice(bytes);
        self.settle();
        self
    }

    /// The session is over.
    pub(super) fn over(&mut self) {
        self.machine.over(&mut self.out);
        self.take();
    }

    /// The held command is approved.
    pub(super) fn approve(&mut self) -> &mut Self {
        let (ask, command) = self.held.take().expect("a held command");
        let ruling = self.permit(&command);
        self.machine.answer(ask, ruling, &mut self.out);
        self.take();
        self.settle();
        self
    }

    /// The client cancels. Whether a held command was given up.
    pub(super) fn interrupt(&mut self) -> bool {
        let gave_up = self.machine.interrupt(&mut self.out);
        self.take();
        self.read(Side::Client);
        self.settle();
        gave_up
    }

    fn permit(&mut self, command: &Command) -> Ruling {
        self.seq += 1;
        self.permitted
            .push((String::from_utf8_lossy(&command.text).into_owned(), command.phase));
        let reveals = testing::reveals(1, std::iter::empty::<(smol_str::SmolStr, Reveal)>());
        Ruling::Permitted {
            permit: testing::permit(self.seq),
            reveals,
            room: None,
        }
    }

    fn read(&mut self, side: Side) {
        if self.broken.is_some() || (side == Side::Client && !self.machine.wants_client()) {
            return;
        }
        let bytes = if side == Side::Client {
            &mut self.from_client
        } else {
            &mut self.from_server
        };
        if let Err(error) = self.machine.read(side, bytes, &mut self.out) {
            self.broken = Some(error);
        }
        if self.take() {
            self.read(side);
        }
    }

    /// Takes the effects. True when a question was answered.
    fn take(&mut self) -> bool {
        let Taken {
            client,
            target,
            ask,
            withdrawn,
            finished,
            remarks,
            ..
        } = testing::take(&mut self.out);
        self.received.unsplit(client);
        self.server.input.unsplit(target);
        self.finished.extend(finished);
        self.remarks.extend(remarks);
        if let Some(id) = withdrawn {
            self.withdrawn.push(id);
            self.held.take_if(|(held, _)| *held == id);
        }
        let Some(ask) = ask else { return false };
        self.asked.push(ask.command.clone());
        let ruling = match (self.rule)(&ask.command) {
            Says::Permit => self.permit(&ask.command),
            Says::Refuse => {
                self.seq += 1;
                Ruling::Refused {
                    seq: self.seq,
                    refusal: Refusal::new(Reason::Denied, "no rule permits this"),
                }
            }
            Says::Hold => {
                self.held = Some((ask.id, ask.command));
                return false;
            }
        };
        self.machine.answer(ask.id, ruling, &mut self.out);
        self.take();
        true
    }

    fn settle(&mut self) {
        loop {
            if !self.server_sleeps {
                self.server.run();
            }
            if self.server.output.is_empty() {
                return;
            }
            let output = self.server.output.split();
            let chunk = if self.chunk == 0 { output.len() } else { self.chunk };
            for part in output.chunks(chunk) {
                self.from_server.extend_from_slice(part);
                self.read(Side::Target);
                self.read(Side::Client);
            }
        }
    }

    /// What the client received: type bytes, with the words of errors.
    pub(super) fn answers(&self) -> String {
        answers(&self.received)
    }

    /// Nothing ran that was not permitted as what it is.
    pub(super) fn check(&self) {
        for ran in &self.server.ran {
            let permitted = |(text, phase): &(String, Phase)| *phase == Phase::Run && text.contains(ran.as_str());
            assert!(
                self.permitted.iter().any(permitted),
                "`{ran}` ran, permitted were {:?}",
                self.permitted
            );
        }
    }
}

/// Type bytes, with the words of errors in parentheses. Settings are left out.
pub(super) fn answers(mut bytes: &[u8]) -> String {
    let mut words = String::new();
    while let Some(frame) = next_frame::<backend::Tag>(bytes, &Limits::default()).unwrap() {
        let body = frame.body(bytes).unwrap();
        if bytes[0] != b'S' {
            words.push(char::from(bytes[0]));
        }
        if frame.tag == backend::Tag::ErrorResponse {
            let error = crate::wire::Diagnostic::decode(body).unwrap();
            words.push_str(&format!("({})", error.text(crate::wire::Field::Message)));
        }
        bytes = &bytes[frame.total_len..];
    }
    assert!(bytes.is_empty(), "half a message");
    words
}

pub(super) fn query(text: &str) -> Bytes {
    encode(|out| frontend::Query { text: text.as_bytes() }.encode(out))
}

pub(super) fn parse(name: &str, text: &str) -> Bytes {
    typed_parse(name, text, &[])
}

pub(super) fn typed_parse(name: &str, text: &str, types: &[u32]) -> Bytes {
    let parse = frontend::Parse {
        name: name.as_bytes(),
        text: text.as_bytes(),
        parameter_types: types.to_vec(),
    };
    encode(|out| parse.encode(out))
}

pub(super) fn bind(portal: &str, statement: &str) -> Bytes {
    bind_values(portal, statement, Format::Text, &[])
}

/// Binds values that are all in one format.
pub(super) fn bind_values(portal: &str, statement: &str, format: Format, values: &[Option<&[u8]>]) -> Bytes {
    let bind = frontend::Bind {
        portal: portal.as_bytes(),
        statement: statement.as_bytes(),
        parameter_formats: vec![format],
        parameters: values.to_vec(),
        result_formats: Vec::new(),
    };
    encode(|out| bind.encode(out))
}

pub(super) fn execute(portal: &str) -> Bytes {
    encode(|out| {
        frontend::Execute {
            portal: portal.as_bytes(),
            max_rows: 0,
        }
        .encode(out);
    })
}

pub(super) fn describe(portal: &str) -> Bytes {
    encode(|out| {
        frontend::Describe {
            subject: Subject::Portal,
            name: portal.as_bytes(),
        }
        .encode(out);
    })
}

pub(super) fn describe_statement(name: &str) -> Bytes {
    encode(|out| {
        frontend::Describe {
            subject: Subject::Statement,
            name: name.as_bytes(),
        }
        .encode(out);
    })
}

pub(super) fn close(statement: &str) -> Bytes {
    encode(|out| {
        frontend::Close {
            subject: Subject::Statement,
            name: statement.as_bytes(),
        }
        .encode(out);
    })
}

pub(super) fn sync() -> Bytes {
    encode(frontend::sync)
}

pub(super) fn flush() -> Bytes {
    encode(frontend::flush)
}

pub(super) fn copy_data() -> Bytes {
    encode(|out| crate::wire::CopyData { data: b"1\tx\n" }.encode(out))
}

pub(super) fn copy_done() -> Bytes {
    Bytes::from_static(b"c\0\0\0\x04")
}

fn encode(write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    write(&mut out);
    out.freeze()
}

/// The whole of a statement in the extended protocol, without the end of its batch.
pub(super) fn run(text: &str) -> Bytes {
    [parse("", text), bind("", ""), describe(""), execute("")]
        .concat()
        .into()
}
