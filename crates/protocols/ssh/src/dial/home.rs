//! Where an account's shell begins: without it no relative path means anything.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use sallyport_session::Door;
use sallyport_ssh_transport::wire;
use sallyport_target::LoginShell;
use tokio::time::timeout;

use crate::connection::{MAX_PACKET, Packet};
use crate::dial::{Dialer, Upstream};
use crate::exchange::{Exchange, ExchangeError};
use crate::veil::{self, Down, Kind, Masked};

/// How long what a host said is believed. It changes when an account is moved, which people cannot do themselves.
const BELIEVED: Duration = Duration::from_secs(300);
/// Accounts that are remembered.
const MAX_ACCOUNTS: usize = 4096;
/// How long the host may take over the answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer.
const MAX_ANSWER: usize = 8 * 1024;
/// Messages that a host may send before it has answered.
const MAX_MESSAGES: usize = 64;

/// What is asked: which shell reads it, and where that begins. The directory must also be where `~` leads, or nothing is
/// believed.
const QUESTION: &str = "printf '%s\\n' \"${BASH_VERSION:+bash}${ZSH_VERSION:+zsh}${KSH_VERSION:+ksh}\" \"$HOME\"; \
                        pwd -P; cd && pwd -P";

/// Where an account's shell begins.
pub(crate) struct Home {
    /// `None` when the host does not say it, or reads lines with another shell than it should.
    pub(crate) path: Option<String>,
    /// The host was asked for it on this connection.
    asked: bool,
}

impl Home {
    /// What was asked, and what was understood of the answer, for the recording.
    pub(crate) fn remark(&self) -> String {
        let asked = self.asked.then_some(QUESTION);
        serde_json::json!({ "asked_of_host": asked, "home": self.path }).to_string()
    }
}

/// By the target's name and address, and the account there.
type Key = (String, String, String);

/// The homes of accounts, by what their hosts said.
#[derive(Debug, Default)]
pub(crate) struct Homes {
    known: Mutex<HashMap<Key, (Instant, String)>>,
}

impl Homes {
    /// The home of the account that `upstream` is logged in to through `door`, where `shell` reads lines.
    pub(crate) async fn of(
        &self,
        door: &Door<Dialer>,
        shell: LoginShell,
        upstream: Upstream,
    ) -> Result<(Home, Upstream), ExchangeError> {
        let key = (
            door.target().name.to_string(),
            door.leads_to(),
            door.place().to_string(),
        );
        if let Some(home) = self.known(&key) {
            let home = Home {
                path: Some(home),
                asked: false,
            };
            return Ok((home, upstream));
        }
        let mut exchange = Exchange::resume(upstream.wire, upstream.transport);
        let answer = timeout(PATIENCE, ask(&mut exchange, upstream.veiled)).await;
        let answer = answer.map_err(|_elapsed| ExchangeError::Unexpected("no answer in time".to_owned()))??;
        let home = read(&answer, shell);
        if let Some(home) = &home {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MAX_ACCOUNTS {
                known.clear();
            }
            known.insert(key, (Instant::now(), home.clone()));
        }
        let (wire, transport) = exchange.into_parts();
        let home = Home {
            path: home,
            asked: true,
        };
        let veiled = upstream.veiled;
        Ok((
            home,
            Upstream {
                wire,
                transport,
                veiled,
            },
        ))
    }

    fn known(&self, key: &Key) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, home) = known.get(key)?;
        (said.elapsed() < BELIEVED).then(|| home.clone())
    }
}

/// Where the shell begins, if that is also where `HOME` leads, and if it is the shell that `targets.toml` says: another
/// would read a line otherwise than it is understood.
fn read(answer: &[u8], expected: LoginShell) -> Option<String> {
    let text = std::str::from_utf8(answer).ok()?;
    let [shell, home, begins, again] = <[&str; 4]>::try_from(text.lines().collect::<Vec<_>>()).ok()?;
    let known = match expected {
        LoginShell::Bash => shell == "bash",
        // What only bash understands is refused then, so bash itself may read it.
        LoginShell::Sh => matches!(shell, "" | "bash"),
    };
    // A `HOME` that is a link would make `~/x` and `x` two spellings of one path.
    let plain = begins.starts_with('/') && !begins.chars().any(char::is_control);
    (known && plain && home == begins && begins == again).then(|| begins.to_owned())
}

/// Asks on a channel of its own, which is closed again. An agent that masks is told that the answer is for the gateway.
async fn ask(exchange: &mut Exchange, veiled: bool) -> Result<Vec<u8>, ExchangeError> {
    const OURS: u32 = 0;
    if veiled {
        let ours = Down::Channel {
            number: OURS,
            theirs: None,
            kind: Kind::Data,
        };
        exchange.send(&veil::words(&ours)).await?;
    }
    send(
        exchange,
        &Packet::Open {
            kind: b"session",
            sender: OURS,
            window: MAX_PACKET,
            max_packet: MAX_PACKET,
            rest: b"",
        },
    )
    .await?;
    let (mut answer, mut theirs) = (Vec::new(), None);
    for _ in 0..MAX_MESSAGES {
        let received = exchange.receive().await?;
        let heard = Heard::read(exchange.payload(&received), &mut answer);
        exchange.done(&received);
        match heard? {
            Heard::Opened(number) if theirs.is_none() => {
                theirs = Some(number);
                let mut line = BytesMut::new();
                wire::put_string(&mut line, QUESTION.as_bytes());
                let exec = Packet::Request {
                    channel: number,
                    name: b"exec",
                    want_reply: false,
                    rest: &line,
                };
                send(exchange, &exec).await?;
                send(exchange, &Packet::Eof { channel: number }).await?;
            }
            Heard::Declined => return Ok(Vec::new()),
            Heard::Closed => {
                if let Some(channel) = theirs {
                    send(exchange, &Packet::Close { channel }).await?;
                }
                return Ok(answer);
            }
            Heard::WantsReply => send(exchange, &Packet::RequestFailure).await?,
            Heard::Opened(_) | Heard::Other => {}
        }
    }
    Err(ExchangeError::Unexpected("no end of an answer".to_owned()))
}

async fn send(exchange: &mut Exchange, packet: &Packet<'_>) -> Result<(), ExchangeError> {
    let mut payload = BytesMut::new();
    packet.write(&mut payload);
    exchange.send(&payload).await
}

enum Heard {
    Opened(u32),
    Declined,
    Closed,
    /// A request that has nothing to do with it.
    WantsReply,
    Other,
}

impl Heard {
    fn read(payload: &[u8], answer: &mut Vec<u8>) -> Result<Self, ExchangeError> {
        if payload.first() == Some(&veil::MASKED) {
            let masked = Masked::read(payload).filter(|masked| masked.stream == 0);
            return take(masked.map_or(&[], |masked| masked.data), answer);
        }
        let packet = Packet::read(payload).map_err(|error| ExchangeError::Unexpected(error.to_string()))?;
        let Some(packet) = packet else {
            return Err(ExchangeError::Unexpected("a message that has no place here".to_owned()));
        };
        Ok(match packet {
            Packet::OpenConfirmation { sender, .. } => Self::Opened(sender),
            Packet::OpenFailure { .. } => Self::Declined,
            Packet::Close { .. } => Self::Closed,
            Packet::GlobalRequest { want_reply: true, .. } => Self::WantsReply,
            Packet::Data { stream: 0, data, .. } => return take(data, answer),
            Packet::Open { .. } => {
                return Err(ExchangeError::Unexpected("a channel that nobody asked for".to_owned()));
            }
            Packet::GlobalRequest { .. }
            | Packet::RequestSuccess(_)
            | Packet::RequestFailure
            | Packet::WindowAdjust { .. }
            | Packet::Data { .. }
            | Packet::Eof { .. }
            | Packet::Request { .. }
            | Packet::Success { .. }
            | Packet::Failure { .. } => Self::Other,
        })
    }
}

fn take(data: &[u8], answer: &mut Vec<u8>) -> Result<Heard, ExchangeError> {
    if answer.len() + data.len() > MAX_ANSWER {
        return Err(ExchangeError::Unexpected("too long an answer".to_owned()));
    }
    answer.extend_from_slice(data);
    Ok(Heard::Other)
}

#[cfg(test)]
mod tests {
    use sallyport_target::LoginShell;

    use super::read;

    #[test]
    fn only_a_home_that_is_where_the_right_shell_begins_is_believed() {
        let root = Some("/root".to_owned());
        assert_eq!(read(b"bash\n/root\n/root\n/root\n", LoginShell::Bash), root);
        assert_eq!(read(b"\n/root\n/root\n/root\n", LoginShell::Sh), root);
        assert_eq!(read(b"bash\n/root\n/root\n/root\n", LoginShell::Sh), root);
        for odd in [
            &b"bash\n/data/a\n/srv/a\n/srv/a\n"[..],
            b"zsh\n/root\n/root\n/root\n",
            b"ksh\n/root\n/root\n/root\n",
            b"bash\n/root\n/root\n",
            b"hello\nbash\n/root\n/root\n/root\n",
            b"bash\nx\nx\nx\n",
            b"",
            b"bash\n/r\x1b\n/r\x1b\n/r\x1b\n",
        ] {
            assert_eq!(read(odd, LoginShell::Bash), None);
            assert_eq!(read(odd, LoginShell::Sh), None);
        }
        assert_eq!(read(b"\n/root\n/root\n/root\n", LoginShell::Bash), None);
    }
}
