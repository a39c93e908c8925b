//! Recorded terminals, played at their own times.

use std::io::{IsTerminal, Write, stdout};
use std::pin::pin;
use std::time::Duration;

use anyhow::ensure;
use futures_util::future::{Either, select};
use sallyport_api::ports::{Line, Session};

use super::terminal::safe;
use super::watch::{Quiet, window};
use crate::screen::{Canvas, Screen, shown};

/// How a recording is played.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tempo {
    /// How many times as fast as it was.
    pub(super) speed: f64,
    /// The longest pause.
    pub(super) idle_limit: Option<Duration>,
}

impl Tempo {
    /// The pause before what came so long after what was before it.
    fn pause(self, micros: u64) -> Duration {
        let passed = Duration::from_micros(micros);
        let passed = self.idle_limit.map_or(passed, |limit| passed.min(limit));
        Duration::try_from_secs_f64(passed.as_secs_f64() / self.speed).unwrap_or(Duration::MAX)
    }
}

/// What the terminals of a recording showed, in order.
#[derive(Debug)]
pub(super) struct Playback {
    title: String,
    command: Option<u64>,
    tempo: Tempo,
    lines: Vec<Line>,
}

impl Playback {
    /// Of the whole session, or of one of its commands.
    ///
    /// # Errors
    /// When there is no terminal to play it on.
    pub(super) fn new(session: &Session, command: Option<u64>, tempo: Tempo) -> anyhow::Result<Self> {
        ensure!(
            stdout().is_terminal(),
            "a recording is played on a terminal; `--cast` gives a file for players, `--screen` the last screen as text"
        );
        Ok(Self {
            title: format!("{} on {}", session.principal, session.target),
            command,
            tempo,
            lines: Vec::new(),
        })
    }

    /// Keeps what a line says to a terminal: nothing is played before all of it has come, for the gateway does not wait
    /// for a player.
    pub(super) fn take(&mut self, line: &Line) {
        if shown(line, self.command, |_| ()).is_some() {
            self.lines.push(line.clone());
        }
    }

    /// Plays it, until its end or Ctrl-C.
    ///
    /// # Errors
    /// When nobody sees it.
    pub(super) async fn play(self) -> anyhow::Result<()> {
        ensure!(!self.lines.is_empty(), "the session has no terminal to play");
        let mut screen = Screen::new(self.command)?;
        let mut canvas = Canvas::default();
        let quiet = Quiet::begin();
        let result = match select(pin!(self.run(&mut screen, &mut canvas)), pin!(tokio::signal::ctrl_c())).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Ok(()),
        };
        let mut out = stdout().lock();
        out.write_all(canvas.end().as_bytes())?;
        write!(out, "{}", safe(&screen.text()))?;
        out.flush()?;
        drop(quiet);
        result
    }

    async fn run(&self, screen: &mut Screen, canvas: &mut Canvas) -> anyhow::Result<()> {
        let mut last = self.lines.first().map_or(0, |line| line.at_micros);
        for line in &self.lines {
            let pause = self.tempo.pause(line.at_micros.saturating_sub(last));
            if !pause.is_zero() {
                self.draw(screen, canvas, last)?;
                tokio::time::sleep(pause).await;
            }
            last = last.max(line.at_micros);
            screen.take(line);
        }
        self.draw(screen, canvas, last)
    }

    fn draw(&self, screen: &Screen, canvas: &mut Canvas, at_micros: u64) -> anyhow::Result<()> {
        let status = format!("{}, {} s; Ctrl-C ends", self.title, at_micros / 1_000_000);
        let drawn = canvas.draw(screen, &status, window());
        let mut out = stdout().lock();
        out.write_all(drawn.as_bytes())?;
        Ok(out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_as_they_were_but_for_speed_and_the_longest() {
        let plain = Tempo {
            speed: 1.0,
            idle_limit: None,
        };
        assert_eq!(plain.pause(1_500_000), Duration::from_millis(1500));
        let fast = Tempo {
            speed: 4.0,
            idle_limit: Some(Duration::from_secs(2)),
        };
        assert_eq!(fast.pause(1_000_000), Duration::from_millis(250));
        assert_eq!(fast.pause(u64::MAX), Duration::from_millis(500));
        let slow = Tempo {
            speed: f64::MIN_POSITIVE,
            idle_limit: None,
        };
        assert_eq!(slow.pause(u64::MAX), Duration::MAX);
    }
}
