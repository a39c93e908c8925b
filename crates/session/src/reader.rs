//! Understanding commands outside of any session: for the cases of a policy, for explanations, and for history that is
//! judged again.

use std::sync::Arc;

use sallyport_policy::{Act, Classification};
use sallyport_target::Target;
use smol_str::SmolStr;

use crate::command::Shape;

/// Where a command would run.
#[derive(Debug, Clone)]
pub struct Ground<'a> {
    /// The target.
    pub target: &'a Target,
    /// What `sallyport policy names` wrote of the target, if anything.
    pub names: Option<&'a str>,
    /// What is classified there.
    pub classification: Arc<Classification>,
}

/// A command as people write it down.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// Its text.
    pub text: &'a str,
    /// How it would be sent, in the protocol's words; in the usual way when absent.
    pub form: Option<&'a str>,
}

/// What is known of recorded acts under another classification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reclassified {
    /// The acts.
    pub acts: Vec<Act>,
    /// The classes of what the result may show.
    pub shows: Vec<SmolStr>,
    /// The classes of what it may carry where none can be masked.
    pub carries: Vec<SmolStr>,
}

/// Understands commands of one target.
pub trait Reader {
    /// What policy judges of a command, were it the first of a session.
    ///
    /// # Errors
    /// When it cannot be said, with what is missing. A command that the parser does not understand is no error: that is
    /// what policy is asked about then.
    fn read(&self, raw: &Raw<'_>) -> Result<Arc<Shape>, String>;

    /// Whether a recorded command is understood today as it was then. `acts` are what was recorded, under this reader's
    /// classification. Nothing when that cannot be said: its text is not all there is to it, or names are not known.
    fn reads_as(&self, text: &str, acts: &[Act]) -> Option<bool>;

    /// The facts of acts that were recorded, as far as they depend on what is classified, under this reader's classification.
    fn reclassify(&self, recorded: Reclassified) -> Reclassified;

    /// The same under another classification.
    fn under(&self, classification: Arc<Classification>) -> Box<dyn Reader>;
}
