//! What each crate's manifest says.

use super::Finding;

/// A crate takes the workspace's lints; the workspace itself has them.
pub(super) fn check(path: &str, text: &str) -> Option<Finding> {
    let fuzz = path.starts_with("fuzz/");
    let takes = text.contains("[lints]\nworkspace = true") || text.contains("[workspace.lints");
    (!takes && !fuzz).then(|| Finding {
        path: path.to_owned(),
        line: 1,
        what: "the crate does not take the workspace's lints (`[lints] workspace = true`)".to_owned(),
    })
}
