//! `sallyport sessions watch`: a session as it goes on.

use std::io::{IsTerminal, Write, stdin, stdout};
use std::pin::pin;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::future::{Either, select};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use sallyport_api::ports::{Line, What};
use sallyport_identity::client::GatewayClient;

use super::replay::Transcript;
use super::sessions::words;
use super::terminal::{checked_id, query, safe};
use crate::screen::{Canvas, Screen};

/// A terminal is drawn at most so often while it changes.
const FRAME: Duration = Duration::from_millis(30);

/// Which session is watched, and how.
#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// The session, as `sallyport sessions --live` and `sallyport requests` show it.
    id: String,
    /// Also the rows of results, masked as the client sees them.
    #[arg(long)]
    rows: bool,
    /// Print a line of JSON for each thing that happens.
    #[arg(long)]
    json: bool,
    /// Print what happens in lines, also where there is a terminal to draw it on.
    #[arg(long, conflicts_with = "json")]
    lines: bool,
    /// Only the terminal of this command.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["json", "lines"])]
    command: Option<u64>,
    /// Begin with what happens from now on, not with the beginning of the session.
    #[arg(long)]
    from_now: bool,
}

impl WatchArgs {
    /// Shows what happens until the session ends or nobody wants to see it any more.
    ///
    /// # Errors
    /// When the gateway says no, or the transcript is cut off.
    pub(super) async fn run(self, gateway: &GatewayClient) -> anyhow::Result<()> {
        let parameters = query(&[
            ("rows", self.rows.then(|| "true".to_owned())),
            ("from", self.from_now.then(|| "now".to_owned())),
        ]);
        let path = format!("v1/sessions/{}/watch{parameters}", checked_id(&self.id)?);
        let drawn = stdout().is_terminal() && !self.json && !self.lines;
        let screen = if drawn { Some(Screen::new(self.command)?) } else { None };
        let quiet = screen.is_some().then(Quiet::begin);
        let mut view = View::new(self.json, screen);
        let following = gateway.follow_lines(&path, |bytes| view.take(bytes));
        let left = match select(pin!(following), pin!(tokio::signal::ctrl_c())).await {
            Either::Left((followed, _)) => followed.map(|()| false),
            Either::Right(_) => Ok(true),
        };
        view.end()?;
        drop(quiet);
        if left? {
            return Ok(());
        }
        view.transcript.finish()
    }
}

/// What was shown so far, and how.
struct View {
    json: bool,
    /// Where the session's terminal is emulated, if it is to be drawn.
    screen: Option<Screen>,
    canvas: Canvas,
    drawn: Option<Instant>,
    /// Whose session it is, for the line below the terminal.
    title: String,
    transcript: Transcript,
}

impl View {
    fn new(json: bool, screen: Option<Screen>) -> Self {
        Self {
            json,
            screen,
            canvas: Canvas::default(),
            drawn: None,
            title: String::new(),
            transcript: Transcript::default(),
        }
    }

    /// Takes a line of the stream; an empty one says that no more is there for now.
    fn take(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if bytes.is_empty() {
            return self.pause();
        }
        let line: Line = serde_json::from_slice(bytes)?;
        if let Some(screen) = &mut self.screen {
            screen.take(&line);
        }
        if let What::Opened { session } = &line.what {
            self.title = format!("{} on {}", session.principal, session.target);
        }
        if self.is_drawn() {
            if self.drawn.is_none_or(|at| at.elapsed() >= FRAME) {
                self.draw()?;
            }
        } else {
            self.print(&line, bytes)?;
        }
        self.transcript.note(&line);
        Ok(())
    }

    /// From the first terminal on, the session is drawn.
    fn is_drawn(&self) -> bool {
        self.screen.as_ref().is_some_and(Screen::has_begun)
    }

    fn print(&self, line: &Line, bytes: &[u8]) -> std::io::Result<()> {
        let mut out = stdout().lock();
        if self.json {
            out.write_all(bytes)?;
            return out.write_all(b"\n");
        }
        if let What::Opened { session } = &line.what {
            write!(out, "{}", words(session))?;
        }
        write!(out, "{}", self.transcript.words(line))
    }

    fn pause(&mut self) -> anyhow::Result<()> {
        if self.is_drawn() {
            self.draw()?;
        }
        Ok(stdout().lock().flush()?)
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        let Some(screen) = &self.screen else {
            return Ok(());
        };
        let size = window();
        let status = format!("watching {}; Ctrl-C leaves", self.title);
        let drawn = self.canvas.draw(screen, &status, size);
        self.drawn = Some(Instant::now());
        let mut out = stdout().lock();
        out.write_all(drawn.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Gives the terminal back, and leaves what was on it last.
    fn end(&mut self) -> anyhow::Result<()> {
        let drawn = self.is_drawn();
        let mut out = stdout().lock();
        out.write_all(self.canvas.end().as_bytes())?;
        if let Some(screen) = self.screen.as_ref().filter(|_| drawn) {
            write!(out, "{}", safe(&screen.text()))?;
        }
        Ok(out.flush()?)
    }
}

/// While something is drawn, keys do not show on it. Ctrl-C is still one.
pub(super) struct Quiet(Option<Termios>);

impl Quiet {
    pub(super) fn begin() -> Self {
        let before = tcgetattr(stdin()).ok();
        if let Some(mut modes) = before.clone() {
            modes.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
            // Where this does not work there are no keys either.
            let _ = tcsetattr(stdin(), OptionalActions::Now, &modes);
        }
        Self(before)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(stdin(), OptionalActions::Flush, before);
        }
    }
}

/// Columns and rows of the terminal that is drawn on.
pub(super) fn window() -> (usize, usize) {
    match tcgetwinsize(stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (usize::from(size.ws_col), usize::from(size.ws_row)),
        Ok(_) | Err(_) => (80, 24),
    }
}
