//! What is known of each command, as policy judges it.

mod alone;
mod file;
mod gated;
mod line;

use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use sallyport_policy::{Act, ActionName, Attributes, Classification, Value};
use sallyport_session::{Command, Phase, Shape, Unparsed};
use sallyport_ssh_transport::wire;
use serde_json::json;
use smol_str::SmolStr;

use crate::account::Account;
use crate::connection::{ClientOpen, ClientRequest, Listening, Pty, TargetOpen};
use crate::conversation::{OWN, Place, Setup, Start};

pub(crate) use alone::Alone;
pub(crate) use file::{RsyncRun, ScpRun, file, item, rsync};
pub(crate) use gated::gated;
pub(crate) use line::Carries;

/// The text of a shell as a command.
pub(crate) const SHELL: &[u8] = b"SHELL";

/// The facts of one act while they are collected.
struct Facts(Vec<(SmolStr, Value)>);

impl Facts {
    fn of(account: &Account) -> Self {
        Self(Vec::new()).text("login", &account.login)
    }

    fn with(mut self, name: &'static str, value: Value) -> Self {
        self.0.push((SmolStr::new_static(name), value));
        self
    }

    fn text(self, name: &'static str, value: &str) -> Self {
        self.with(name, Value::String(value.into()))
    }

    /// A fact that is not always known.
    fn number(self, name: &'static str, value: Option<u64>) -> Self {
        match value {
            Some(value) => self.with(name, Value::Long(i64::try_from(value).unwrap_or(i64::MAX))),
            None => self,
        }
    }

    fn flag(self, name: &'static str, value: bool) -> Self {
        self.with(name, Value::Bool(value))
    }

    fn texts<S: AsRef<str>>(self, name: &'static str, values: impl IntoIterator<Item = S>) -> Self {
        let values = values.into_iter().map(|value| SmolStr::new(value.as_ref()));
        self.with(name, Value::strings(values))
    }

    fn classes<S: AsRef<str>>(self, name: &'static str, values: impl IntoIterator<Item = S>) -> Self {
        let values = values.into_iter().map(|value| SmolStr::new(value.as_ref()));
        self.with(name, Value::entities("Classification", values))
    }

    fn act(self, action: &str) -> Act {
        Act::new(ActionName::new("Ssh", action), Attributes::from(self.0))
    }
}

/// A command of these acts.
fn command(
    acts: Vec<Act>,
    text: Bytes,
    state: Bytes,
    facts: &serde_json::Value,
    unparsed: Option<Unparsed>,
) -> Command {
    let shape = Shape {
        id: Shape::next_id(),
        acts,
        shows: Vec::new(),
        carries: Vec::new(),
        unparsed,
        empty: false,
        facts: facts.to_string(),
        recorded: OnceLock::new(),
    };
    Command {
        shape: Arc::new(shape),
        text,
        parameters: Bytes::new(),
        state,
        readable: None,
        phase: Phase::Run,
    }
}

/// What else decides what a command means: the account, the terminal, the environment. An approval is bound to it (I4).
fn state(account: &Account, setup: &Setup) -> Bytes {
    let mut state = BytesMut::new();
    wire::put_string(&mut state, account.login.as_bytes());
    state.put_u8(setup.pty.is_some().into());
    state.put_u8(setup.agent.is_some().into());
    for (name, value) in &setup.environment {
        wire::put_string(&mut state, name.as_bytes());
        wire::put_string(&mut state, value.as_bytes());
    }
    state.freeze()
}

/// What a session channel is to run, and what its streams then hold.
pub(crate) fn start(
    start: &Start,
    setup: &Setup,
    account: &Account,
    classification: &Classification,
) -> (Command, Carries) {
    let terminal = setup.pty.is_some();
    let state = state(account, setup);
    match start {
        Start::Exec(text) => {
            let setting = line::setting(account, setup, classification);
            line::line(text, terminal, state, account, &setting, &[])
        }
        Start::Shell => {
            let facts = Facts::of(account)
                .flag("terminal", terminal)
                .text("mode", account.shell.as_str())
                .text("name", "");
            let words = json!({ "shell": account.shell.as_str(), "terminal": terminal });
            let shell = command(vec![facts.act("shell")], Bytes::from_static(SHELL), state, &words, None);
            (shell, Carries::Text)
        }
        Start::Subsystem(name) => {
            let facts = Facts::of(account)
                .flag("terminal", terminal)
                .text("mode", "")
                .text("name", name);
            let text = Bytes::from(format!("SUBSYSTEM {}", sallyport_sftp::shown(name.as_bytes())));
            let subsystem = command(
                vec![facts.act("subsystem")],
                text,
                state,
                &json!({ "subsystem": name }),
                None,
            );
            let carries = if name == "sftp" { Carries::Files } else { Carries::Text };
            (subsystem, carries)
        }
    }
}

/// A line of a guarded shell, which runs where the line before left off.
pub(crate) fn guarded(
    text: &Bytes,
    setup: &Setup,
    place: &Place,
    account: &Account,
    classification: &Classification,
    is_masked: &dyn Fn(&str) -> bool,
) -> Command {
    let mut state = BytesMut::from(&*state(account, setup));
    wire::put_string(&mut state, place.directory.as_bytes());
    for variables in [&place.exports, &place.variables] {
        state.put_u64(variables.len() as u64);
        for (name, value) in variables {
            wire::put_string(&mut state, name.as_bytes());
            wire::put_string(&mut state, value.as_bytes());
        }
    }
    for option in &place.options {
        wire::put_string(&mut state, option.name().as_bytes());
    }
    wire::put_string(&mut state, place.mask.as_deref().unwrap_or_default().as_bytes());
    let mut setting = line::setting(account, setup, classification).within(&place.directory);
    if setup.pty.is_some() {
        // The wrapper says so to every pager.
        setting.pager = sallyport_shell::Pager::Secured;
    }
    // A value that a mask would change may not stand in facts, which people read: it is not known there.
    let shown = |value: &String| !is_masked(value);
    for (name, value) in &place.exports {
        setting = setting.exporting(name, Some(value.as_str()).filter(|_| shown(value)));
    }
    for (name, value) in &place.variables {
        setting = setting.holding(name, Some(value.as_str()).filter(|_| shown(value)));
    }
    let terminal = setup.pty.is_some();
    line::line(text, terminal, state.freeze(), account, &setting, &OWN).0
}

/// Where a forwarded connection leads.
pub(crate) fn forward(open: &ClientOpen, account: &Account) -> Command {
    let (action, host, port, socket) = match open {
        ClientOpen::Tcp { host, port, .. } => ("forward_local", host.as_str(), *port, ""),
        ClientOpen::Socket { path } => ("forward_socket", "", 0, path.as_str()),
        // Neither leads anywhere: what no rule can permit.
        ClientOpen::Session | ClientOpen::Unknown => ("forward_local", "", 0, ""),
    };
    let text = if socket.is_empty() {
        format!("FORWARD {}", endpoint(host, port))
    } else {
        format!("FORWARD {}", sallyport_sftp::shown(socket.as_bytes()))
    };
    forwarding(action, (host, port, socket), text, account)
}

/// Where the target is to listen.
pub(crate) fn listen(listening: &Listening, account: &Account) -> Command {
    match listening {
        Listening::Tcp { address, port } => {
            let text = format!("LISTEN {}", endpoint(address, *port));
            forwarding("forward_remote", (address, *port, ""), text, account)
        }
        Listening::Socket { path } => {
            let text = format!("LISTEN {}", sallyport_sftp::shown(path.as_bytes()));
            forwarding("forward_socket", ("", 0, path), text, account)
        }
    }
}

fn forwarding(action: &str, to: (&str, u32, &str), text: String, account: &Account) -> Command {
    let (host, port, socket) = to;
    let facts = Facts::of(account)
        .text("host", host)
        .with("port", Value::Long(port.into()))
        .text("socket", socket);
    let words = json!({ "host": host, "port": port, "socket": socket });
    let mut state = BytesMut::new();
    wire::put_string(&mut state, account.login.as_bytes());
    command(vec![facts.act(action)], text.into(), state.freeze(), &words, None)
}

fn endpoint(host: &str, port: u32) -> String {
    let host = sallyport_sftp::shown(host.as_bytes());
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Lending the client's agent.
pub(crate) fn agent(account: &Account) -> Command {
    let act = Facts::of(account).act("agent_forward");
    let mut state = BytesMut::new();
    wire::put_string(&mut state, account.login.as_bytes());
    command(
        vec![act],
        Bytes::from_static(b"AGENT"),
        state.freeze(),
        &json!({}),
        None,
    )
}

/// A connection that the target handed on, for the recording.
pub(crate) fn forwarded(open: &TargetOpen) -> serde_json::Value {
    match open {
        TargetOpen::Tcp {
            address,
            port,
            originator,
        } => json!({ "to": endpoint(address, *port), "from": endpoint(&originator.0, originator.1) }),
        TargetOpen::Socket { path } => json!({ "to": path }),
        TargetOpen::Agent => json!({ "to": "agent" }),
        TargetOpen::Unknown => json!({}),
    }
}

/// The terminal that a command begins with, for the recording.
pub(crate) fn terminal(seq: u64, pty: &Pty) -> Vec<u8> {
    let terminal = json!({ "term": pty.term, "columns": pty.size.columns, "rows": pty.size.rows });
    json!({ "command": seq, "terminal": terminal }).to_string().into_bytes()
}

/// From here on a full-screen program is shown under masks of its own, or is not any more; for the recording.
pub(crate) fn full_screen(seq: u64, on: bool) -> Vec<u8> {
    json!({ "command": seq, "full_screen": on }).to_string().into_bytes()
}

/// A line that was typed and not shown, for the recording: what it says is not.
pub(crate) fn unechoed(seq: u64) -> Vec<u8> {
    json!({ "command": seq, "typed": "no echo" }).to_string().into_bytes()
}

/// A request that was passed on while a command ran, for the recording.
pub(crate) fn request(seq: u64, request: &ClientRequest<'_>) -> Vec<u8> {
    let what = match request {
        ClientRequest::WindowChange(size) => json!({ "resize": { "columns": size.columns, "rows": size.rows } }),
        ClientRequest::Signal(signal) => json!({ "signal": signal }),
        ClientRequest::Break(length_ms) => json!({ "break_ms": length_ms }),
        ClientRequest::Pty(_)
        | ClientRequest::Env { .. }
        | ClientRequest::Shell
        | ClientRequest::Exec(_)
        | ClientRequest::Subsystem(_)
        | ClientRequest::AgentForwarding
        | ClientRequest::X11
        | ClientRequest::EndOfWrite
        | ClientRequest::KeepAlive
        | ClientRequest::Unknown => json!({}),
    };
    json!({ "command": seq, "request": what }).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sallyport_policy::Classification;

    use super::guarded;
    use crate::account::Account;
    use crate::conversation::{Place, Setup};

    /// What the facts of a line say, when it runs behind one that left these variables.
    fn facts(line: &'static str, is_masked: &dyn Fn(&str) -> bool) -> (String, Bytes) {
        let mut place = Place::at("/srv");
        place.variables.insert("own".to_owned(), "4111".to_owned());
        place.exports.insert("given".to_owned(), "4222".to_owned());
        let (account, setup) = (Account::for_tests("deploy"), Setup::default());
        let text = Bytes::from_static(line.as_bytes());
        let command = guarded(&text, &setup, &place, &account, &Classification::default(), is_masked);
        (command.shape.facts.clone(), command.state)
    }

    #[test]
    fn a_value_that_masks_would_change_is_in_no_fact() {
        let line = "echo $own $given";
        let (shown, _) = facts(line, &|_| false);
        assert!(shown.contains("4111") && shown.contains("4222"), "{shown}");
        let (hidden, _) = facts(line, &|_| true);
        assert!(!hidden.contains("4111") && !hidden.contains("4222"), "{hidden}");
        // What is not known is not taken for nothing.
        let (hidden, _) = facts("rm -rf /$own", &|_| true);
        assert!(hidden.contains("dynamic-argument"), "{hidden}");
    }

    #[test]
    fn an_approval_is_bound_to_what_the_line_before_left() {
        let state = |place: &Place| {
            let (account, setup) = (Account::for_tests("deploy"), Setup::default());
            let text = Bytes::from_static(b"ls");
            guarded(&text, &setup, place, &account, &Classification::default(), &|_| false).state
        };
        let plain = Place::at("/srv");
        let mut others = vec![plain.clone(); 4];
        for (number, other) in others.iter_mut().enumerate() {
            match number {
                0 => drop(other.variables.insert("a".to_owned(), "1".to_owned())),
                1 => drop(other.exports.insert("a".to_owned(), "1".to_owned())),
                2 => drop(other.options.insert(crate::conversation::ShellOption::NoGlob)),
                _ => other.mask = Some("0000".to_owned()),
            }
        }
        let mut states: Vec<_> = others.iter().map(state).collect();
        states.push(state(&plain));
        states.sort();
        states.dedup();
        assert_eq!(states.len(), 5);
    }
}
