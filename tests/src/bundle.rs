//! Policies that a test writes for itself.

use anyhow::Result;
use tempfile::TempDir;

use crate::Plan;

/// Ordinary work is permitted, what is not understood is not.
const PERMITS: &str = r#"
@id("connect")
permit (principal, action == Action::"connect", resource);
@id("statements")
permit (principal, action in Sql::Action::"any", resource);
@id("reveal")
permit (principal, action == Action::"reveal", resource);
"#;

/// A policy under which ordinary work is permitted, with further rules.
///
/// # Errors
/// When it cannot be written.
pub fn bundle(classify: &str, rules: &str) -> Result<TempDir> {
    let dir = tempfile::tempdir()?;
    std::fs::create_dir(dir.path().join("rules"))?;
    std::fs::write(dir.path().join("classify.toml"), classify)?;
    std::fs::write(dir.path().join("rules/permits.cedar"), PERMITS)?;
    std::fs::write(dir.path().join("rules/more.cedar"), rules)?;
    Ok(dir)
}

/// A rule that masks a class for everybody.
pub fn mask(class: &str, strategy: &str) -> String {
    format!(
        "@id(\"{class}\")\n@mask(\"{strategy}\")\nforbid (principal, action == Action::\"reveal\", \
         resource in Classification::\"{class}\");\n"
    )
}

impl Plan {
    /// The policy in a directory that a test wrote.
    pub fn with_bundle(bundle: &TempDir) -> Plan {
        Plan {
            policy: bundle.path().to_owned(),
            ..Plan::with_policy("policy")
        }
    }
}
