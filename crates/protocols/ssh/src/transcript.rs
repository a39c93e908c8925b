//! A recording's bytes for people: what a command said on which stream.

use crate::conversation::STDERR;

/// What a piece of a response was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// On the standard output, or a terminal.
    Output(Vec<u8>),
    /// On the standard error.
    Error(Vec<u8>),
}

/// Reads responses of one recording.
#[derive(Debug, Default)]
pub struct Transcript;

impl Transcript {
    /// Takes the bytes of one response as they were recorded: a byte that names the stream, then what was said on it.
    pub fn response(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Told)) {
        match bytes.split_first() {
            Some((&STDERR, said)) => tell(Told::Error(said.to_vec())),
            Some((_, said)) => tell(Told::Output(said.to_vec())),
            None => {}
        }
    }
}
