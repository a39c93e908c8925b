//! The machine between the two, with the gate played by the script.

use std::collections::HashSet;

use bytes::BytesMut;
use sallyport_postgres::PostgresConversation;
use sallyport_postgres::testing::{OWN_NAME, conversation, own_statements};
use sallyport_postgres::wire::{Limits, Tag, backend, frontend, next_frame};
use sallyport_session::testing::{self, Taken};
use sallyport_session::{AskId, Command, Conversation, Effects, Reason, Refusal, Ruling, Side, WireError};
use sallyport_sql::{Catalog, NoNames, SessionState, analyse, parse};

use crate::script::{Policy, Says, Script, Step, terms};
use crate::server::Server;

/// What a message may make the machine say beyond the message itself: its questions about names, for the most part.
const SLACK: usize = 64 << 10;

/// A run of a script.
pub struct Play<'a> {
    script: &'a Script,
    machine: PostgresConversation,
    out: Effects,
    server: Server,
    from_client: BytesMut,
    from_target: BytesMut,
    pub to_client: BytesMut,
    pub to_target: BytesMut,
    checked: (usize, usize),
    held: Option<(AskId, Command)>,
    permitted: HashSet<Vec<u8>>,
    /// The queries that permitted commands copy out: the machine has them described, under a name of its own.
    copied: HashSet<Vec<u8>>,
    /// The statement of that name is one of them, which nobody permitted to run by itself.
    described: bool,
    permits: usize,
    used: usize,
    asked: usize,
    arrived: usize,
    over: bool,
    pub broken: Option<WireError>,
}

impl<'a> Play<'a> {
    /// Plays the script, with at most `chunk` bytes arriving at a time.
    pub fn run(script: &'a Script, chunk: usize) -> Self {
        let (classification, reveals) = terms(script.policy);
        let machine = conversation(&classification, reveals);
        let mut play = Self {
            script,
            machine,
            out: testing::effects(classification, 1, script.policy != Policy::Nothing),
            server: Server::default(),
            from_client: BytesMut::new(),
            from_target: BytesMut::new(),
            to_client: BytesMut::new(),
            to_target: BytesMut::new(),
            checked: (0, 0),
            held: None,
            permitted: HashSet::new(),
            copied: HashSet::new(),
            described: false,
            permits: 0,
            used: 0,
            asked: 0,
            arrived: 0,
            over: false,
            broken: None,
        };
        for step in &script.steps {
            play.step(step, chunk);
            play.check();
            if play.broken.is_some() || play.over {
                break;
            }
        }
        play
    }

    fn step(&mut self, step: &Step, chunk: usize) {
        match step {
            Step::Client(bytes) => self.arrive(Side::Client, bytes, chunk),
            Step::Target(bytes) => self.arrive(Side::Target, bytes, chunk),
            Step::Serve => self.serve(chunk),
            Step::Aside(which) => {
                self.server.aside(*which);
                let said = self.server.output.split();
                self.arrive(Side::Target, &said, chunk);
            }
            Step::Approve => self.rule(Says::Permit),
            Step::Deny => self.rule(Says::Refuse),
            Step::Interrupt => {
                self.machine.interrupt(&mut self.out);
                self.take();
            }
        }
        // What the client sent before and nobody could look at.
        self.read(Side::Client);
    }

    /// The target answers until there is nothing to answer.
    fn serve(&mut self, chunk: usize) {
        for _ in 0..64 {
            self.server.serve();
            if self.server.output.is_empty() || self.broken.is_some() {
                return;
            }
            let said = self.server.output.split();
            self.arrive(Side::Target, &said, chunk);
            self.read(Side::Client);
        }
    }

    fn arrive(&mut self, side: Side, bytes: &[u8], chunk: usize) {
        self.arrived += bytes.len();
        for part in bytes.chunks(chunk.min(bytes.len().max(1))) {
            match side {
                Side::Client => self.from_client.extend_from_slice(part),
                Side::Target => self.from_target.extend_from_slice(part),
            }
            self.read(side);
        }
    }

    fn read(&mut self, side: Side) {
        loop {
            if self.broken.is_some() || self.over || (side == Side::Client && !self.machine.wants_client()) {
                return;
            }
            let bytes = match side {
                Side::Client => &mut self.from_client,
                Side::Target => &mut self.from_target,
            };
            if let Err(error) = self.machine.read(side, bytes, &mut self.out) {
                self.broken = Some(error);
            }
            if !self.take() {
                return;
            }
        }
    }

    /// Takes the effects. True when a question was answered.
    fn take(&mut self) -> bool {
        let Taken {
            client,
            target,
            ask,
            withdrawn,
            over,
            ..
        } = testing::take(&mut self.out);
        self.to_client.unsplit(client);
        self.server.input.extend_from_slice(&target);
        self.to_target.unsplit(target);
        self.over |= over;
        if let Some(id) = withdrawn {
            self.held.take_if(|(held, _)| *held == id);
        }
        let Some(ask) = ask else { return false };
        assert!(self.held.is_none(), "one question at a time");
        self.held = Some((ask.id, ask.command));
        let says = self.script.rulings[self.asked % self.script.rulings.len()];
        self.asked += 1;
        match says {
            Says::Hold => false,
            Says::Permit | Says::Refuse => {
                self.rule(says);
                true
            }
        }
    }

    fn rule(&mut self, says: Says) {
        let Some((id, command)) = self.held.take() else { return };
        let ruling = match says {
            Says::Permit => {
                self.permits += 1;
                self.copied.extend(copied(&command.text));
                self.permitted.insert(command.text.to_vec());
                let (_, reveals) = terms(self.script.policy);
                let seq = u64::try_from(self.asked).unwrap();
                Ruling::Permitted {
                    permit: testing::permit(seq),
                    reveals,
                    room: None,
                }
            }
            Says::Refuse | Says::Hold => {
                let refusal = Refusal::new(Reason::Denied, "no rule permits this");
                Ruling::Refused { seq: 1, refusal }
            }
        };
        self.machine.answer(id, ruling, &mut self.out);
        self.take();
    }

    /// What was said to either side since the last look.
    fn check(&mut self) {
        let to_target = self.to_target.clone();
        let end = frames::<frontend::Tag>(&to_target[self.checked.1..], |tag, body| {
            self.check_forwarded(tag, body)
        });
        assert_eq!(end + self.checked.1, to_target.len(), "half a message to the target");
        let end = frames::<backend::Tag>(&self.to_client[self.checked.0..], |_, _| {});
        assert_eq!(
            end + self.checked.0,
            self.to_client.len(),
            "half a message to the client"
        );
        self.checked = (self.to_client.len(), self.to_target.len());
        assert!(
            self.used <= self.permits,
            "{} commands went out under {} permits",
            self.used,
            self.permits
        );
        let most = 4 * self.arrived + SLACK * (1 + self.arrived / 5);
        assert!(
            self.to_client.len().max(self.to_target.len()) <= most,
            "more than was asked for"
        );
    }

    fn check_forwarded(&mut self, tag: frontend::Tag, body: &[u8]) {
        use frontend::Tag;
        let own = |text: &[u8]| own_statements().any(|own| own.as_bytes() == text);
        match tag {
            Tag::Query => {
                let text = body.strip_suffix(b"\0").unwrap_or(body);
                if own(text) {
                    return;
                }
                self.used += 1;
                let permitted = self.permitted.contains(text) || self.permitted.contains(body);
                assert!(permitted, "{:?} was not permitted", String::from_utf8_lossy(text));
            }
            Tag::Parse => {
                let parse = frontend::Parse::decode(body).expect("what is forwarded can be read");
                if parse.name == OWN_NAME.as_bytes() {
                    self.described = !own(parse.text);
                    let permitted = !self.described || self.copied.contains(parse.text);
                    return assert!(permitted, "{:?}", String::from_utf8_lossy(parse.text));
                }
                self.used += 1;
                let permitted = self.permitted.contains(parse.text);
                assert!(permitted, "{:?} was not permitted", String::from_utf8_lossy(parse.text));
            }
            Tag::Bind => {
                let bind = frontend::Bind::decode(body).expect("what is forwarded can be read");
                let own = bind.statement == OWN_NAME.as_bytes();
                assert!(!(own && self.described), "what is only described is run");
                self.used += usize::from(bind.portal != OWN_NAME.as_bytes());
            }
            Tag::FunctionCall => self.used += 1,
            Tag::Password => panic!("a password went to the target"),
            Tag::Execute | Tag::Describe | Tag::Close | Tag::Sync | Tag::Flush | Tag::Terminate => {}
            Tag::CopyData | Tag::CopyDone | Tag::CopyFail => assert!(self.permits > 0, "data without a command"),
        }
    }
}

/// The queries that the statements of a text copy out.
fn copied(text: &[u8]) -> Vec<Vec<u8>> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| parse(text).ok());
    let facts = parsed.and_then(|parsed| {
        let catalog = Catalog::builder().build();
        analyse(&parsed, &catalog, &SessionState::default(), &NoNames).ok()
    });
    let statements = facts.map(|facts| facts.statements).unwrap_or_default();
    let queries = statements
        .iter()
        .filter_map(|s| s.effects.copy.as_ref()?.query.as_ref());
    queries.map(|query| query.as_bytes().to_vec()).collect()
}

/// Calls `each` for every message that `bytes` begin with; where they end.
fn frames<T: Tag>(bytes: &[u8], mut each: impl FnMut(T, &[u8])) -> usize {
    let mut at = 0;
    while let Ok(Some(frame)) = next_frame::<T>(&bytes[at..], &Limits::default()) {
        each(frame.tag, &bytes[at + 5..at + frame.total_len]);
        at += frame.total_len;
    }
    at
}
