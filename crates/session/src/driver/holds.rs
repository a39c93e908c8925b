//! Questions to the gate, and those of them that wait for people.

use std::task::{Context, Poll};

use sallyport_ledger::Event;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Ending, Relay};
use crate::conversation::{Ask, AskId, Conversation, HoldInfo};
use crate::gate::{Asked, Ruling};
use crate::hold::{HoldOutcome, HoldStep};
use crate::refusal::{Reason, Refusal};

/// Commands of one session that may wait for people at the same time.
const MAX_HOLDS: usize = 16;

impl<C, K, T> Relay<C, K, T>
where
    C: Conversation,
    K: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn poll_holds(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let mut moved = false;
        let mut at = 0;
        while let Some((id, hold)) = self.holds.get_mut(at) {
            let id = *id;
            match hold.poll_step(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(HoldStep::Opened(info)) => {
                    moved = true;
                    let detail = serde_json::json!({ "request": info.request, "groups": waited_for(&info), "rules": info.rules });
                    self.gate.record().note(Event::Hold {
                        seq: hold.seq(),
                        detail: detail.to_string().as_bytes(),
                    });
                    self.conversation.held(id, &info, &mut self.out);
                    self.settle()?;
                }
                Poll::Ready(HoldStep::Ended(outcome)) => {
                    moved = true;
                    self.end_hold(at, outcome)?;
                }
            }
        }
        Ok(moved)
    }

    fn end_hold(&mut self, at: usize, outcome: HoldOutcome) -> Result<(), Ending> {
        let (id, hold) = self.holds.remove(at);
        self.note_holds();
        let ruling = self.gate.resume(*hold, outcome);
        self.answer(id, ruling)?;
        self.settle()?;
        self.advance_client()
    }

    /// Records what happened, and puts the questions that wait to the gate. True when one was answered.
    pub(super) fn settle(&mut self) -> Result<bool, Ending> {
        let mut answered = false;
        loop {
            self.record()?;
            self.withdraw();
            if let Some(task) = self.out.task.take() {
                self.gate.work_on(task);
            }
            let Some(Ask { id, command, waits }) = self.out.asks.pop_front() else {
                return Ok(answered);
            };
            match self.gate.ask(command) {
                Asked::Ruled(ruling) => {
                    self.answer(id, ruling)?;
                    answered = true;
                }
                Asked::Held(hold) if !waits => {
                    // The hold was never polled, so nobody was told of it.
                    let refusal = Refusal::new(Reason::Withdrawn, "nobody is asked for this");
                    let ruling = self.gate.resume(*hold, HoldOutcome::Refused(refusal));
                    self.answer(id, ruling)?;
                    answered = true;
                }
                Asked::Held(hold) if self.holds.len() < MAX_HOLDS => {
                    self.holds.push((id, hold));
                    self.interrupted = None;
                    self.signals.interrupt.begin();
                }
                Asked::Held(hold) => {
                    let words = format!("{MAX_HOLDS} commands of this session wait for approval already");
                    let refusal = Refusal::new(Reason::TooMuch, words).with_hint("wait for one of them, or give it up");
                    let ruling = self.gate.resume(*hold, HoldOutcome::Refused(refusal));
                    self.answer(id, ruling)?;
                    answered = true;
                }
            }
        }
    }

    /// Ends the holds that whoever asked has given up.
    fn withdraw(&mut self) {
        for id in std::mem::take(&mut self.out.withdrawn) {
            let Some(at) = self.holds.iter().position(|(held, _)| *held == id) else {
                continue;
            };
            let (_, hold) = self.holds.remove(at);
            let withdrawn = HoldOutcome::Refused(Refusal::new(Reason::Withdrawn, "whoever asked gave it up"));
            self.gate.record().note_review(hold.seq(), &withdrawn);
            self.note_holds();
        }
    }

    /// Tells the conversation what the gate said. A refusal that ends the session is its last word: nothing that the
    /// client sent behind it is looked at.
    fn answer(&mut self, id: AskId, ruling: Ruling) -> Result<(), Ending> {
        match ruling {
            Ruling::Refused { seq, refusal } if refusal.ends => {
                let start = self.out.client().len();
                let ending = self.end_for(refusal);
                if let Some(bytes) = self.out.client().get(start..) {
                    self.gate.record().note(Event::Response { seq, bytes });
                }
                Err(ending)
            }
            Ruling::Permitted { .. } | Ruling::Refused { .. } => {
                self.conversation.answer(id, ruling, &mut self.out);
                Ok(())
            }
        }
    }

    fn note_holds(&mut self) {
        if self.holds.is_empty() {
            self.signals.interrupt.end();
        }
    }
}

/// Who is waited for, in words.
fn waited_for(info: &HoldInfo) -> Vec<String> {
    let watchers = info.watch.iter().map(|group| format!("{group} to watch"));
    info.groups.iter().cloned().chain(watchers).collect()
}
