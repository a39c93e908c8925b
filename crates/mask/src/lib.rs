//! What replaces a value that policy says to mask.
//!
//! - [`Scanner`] finds values by their content (card numbers, e-mail addresses, keys …) in text, in one
//!   pass: 64 bytes at a time become bit sets of byte classes, bit arithmetic on them names the places where a
//!   value could be, and only those are verified by hand.
//! - [`apply`] masks a whole value, for columns that are classified whatever they hold.
//! - [`json`] masks inside JSON documents.
//! - [`TextStream`] masks text that arrives in pieces.
//!
//! The crate is pure: no sockets, no clock, no policy.

mod detector;
mod fpe;
pub mod json;
mod key;
mod scanner;
mod strategy;
mod stream;
mod words;

pub use detector::{Detector, UnknownDetector};
pub use key::MaskKey;
pub use scanner::{Hit, Rule, RuleError, Scanner, Scratch};
pub use strategy::{Strategy, UnknownStrategy, apply};
pub use stream::{Medium, TextStream};
