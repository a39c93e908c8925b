//! The targets behind the gateway.

use super::agents::Pending;

/// The targets behind the gateway.
pub trait Targets: Send + Sync {
    /// The names at a target, as cases of a policy need them. `by` is who asks.
    ///
    /// # Errors
    /// When there are none to be had.
    fn names<'a>(&'a self, target: &'a str, by: &'a str) -> Pending<'a, Result<String, NamesError>>;
}

/// Why names of a target are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    /// There is no such target.
    #[error("there is no target `{0}`")]
    Unknown(String),
    /// Its protocol has no names: nothing is needed to understand commands there.
    #[error("`{0}` has no names: its commands are understood without")]
    None(String),
    /// It could not be asked.
    #[error("{0}")]
    Failed(String),
}
