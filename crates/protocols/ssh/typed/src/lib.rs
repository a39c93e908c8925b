//! What was typed at a shell that somebody else runs: keys and what the terminal shows → lines.
//!
//! Two readers look at the same line. The one of the **keys** is exact as long as all that was pressed are characters,
//! moves and the keys that remove something. The one of the **screen** sees what a line editor made of anything else:
//! completion, history, searches. Where they agree, the line is known as well as it can be from outside; where they do
//! not, [`Line`] has both.
//!
//! It proves nothing. Who may write to the terminal, bind keys or change its settings can show one line and run another.
//!
//! The crate is pure: no sockets, no clock, no policy. Output is drawn only when somebody asks what it shows, and of a
//! flood only its end is.

mod flood;
mod keys;
mod model;
mod prompts;
mod screen;
mod typed;

pub use typed::{Line, Patience, Step, Typed, Verdict};

/// Characters of a line; of a longer one nothing is known.
pub const MAX_LINE: usize = 16 * 1024;

/// Lines of one command that goes on over several.
pub const MAX_ROWS: usize = 1024;

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// In characters; 0 if it is not known.
    pub columns: u32,
    /// In characters; 0 if it is not known.
    pub rows: u32,
}

/// Whether a command goes on in another line.
pub type Incomplete = fn(&str) -> bool;
