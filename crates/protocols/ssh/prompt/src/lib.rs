//! The line editor of the guarded shell: what was typed → lines, and what the terminal shows meanwhile.
//!
//! [`Editor`] behaves as bash's readline with its Emacs keys, for a terminal; [`LineReader`] takes lines from a
//! program. Both ask their owner whether a line is incomplete, and then go on with the next.
//!
//! **What is submitted is exactly what is shown.** No character gets into a line without a place on the screen: control
//! characters only by Ctrl-V, and then as `^X` in reverse; what is invisible or looks like a blank is written out.
//! Sequences that are not known are swallowed whole.
//!
//! The crate is pure: no sockets, no clock, no policy.

mod buffer;
mod editor;
mod history;
mod ink;
mod keys;
mod kills;
mod layout;
mod reader;
mod screen;
mod words;

pub use editor::{Candidate, Completions, Editor, Event, Incomplete};
pub use reader::{LineReader, ReadError};
pub use screen::Size;

/// Bytes of a line, all its rows together.
pub const MAX_LINE: usize = 64 * 1024;

/// Lines of one command that goes on over several.
pub const MAX_ROWS: usize = 1024;
