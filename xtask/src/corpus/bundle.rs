//! The policy that a masking corpus runs under: one target for each case, with exactly the detectors and the
//! rules on columns that the case asks for.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// One target.
pub(crate) struct Profile {
    pub(crate) target: String,
    pub(crate) address: SocketAddr,
    pub(crate) user: String,
    pub(crate) database: String,
    /// The detectors that look at its results.
    pub(crate) detectors: BTreeSet<String>,
    /// Columns and how they are masked.
    pub(crate) columns: Vec<(String, String)>,
}

const PERMITS: &str = r#"
@id("connect") permit (principal, action == Action::"connect", resource);
@id("statements") permit (principal, action in Sql::Action::"any", resource);
@id("results") permit (principal, action == Action::"reveal", resource);

@id("found") @mask("partial")
forbid (principal, action == Action::"reveal", resource in Classification::"found");
"#;

/// Writes the bundle into a directory of its own.
pub(crate) fn write(profiles: &[Profile]) -> Result<TempDir> {
    let dir = tempfile::Builder::new().prefix("sallyport-policy-").tempdir()?;
    let rules = dir.path().join("rules");
    std::fs::create_dir(&rules)?;
    put(&rules.join("masks.cedar"), &masks(profiles))?;
    put(&dir.path().join("classify.toml"), &classify(profiles))?;
    Ok(dir)
}

/// `targets.toml`: servers on loopback that ask for no password. What clients set at connect as well as later, and what
/// is followed all the same, may be set at connect: a case that is stopped there shows nothing.
pub(crate) fn targets(profiles: &[Profile]) -> String {
    let mut text = String::new();
    for profile in profiles {
        text.push_str(&format!(
            "[[target]]\nname = {:?}\nprotocol = \"postgres\"\naddress = \"{}\"\nuser = {:?}\ndatabase = {:?}\n\
             tls = \"disable\"\nauth = [\"trust\"]\nstartup_settings = [\"search_path\", \"geqo\", \"jit\", \"work_mem\"]\n\n",
            profile.target, profile.address, profile.user, profile.database
        ));
    }
    text
}

fn masks(profiles: &[Profile]) -> String {
    let mut text = PERMITS.to_owned();
    let strategies: BTreeSet<&String> = profiles
        .iter()
        .flat_map(|profile| &profile.columns)
        .map(|(_, how)| how)
        .collect();
    for strategy in strategies {
        text.push_str(&format!(
            "\n@id({class:?}) @mask({strategy:?})\n\
             forbid (principal, action == Action::\"reveal\", resource in Classification::{class:?});\n",
            class = class(strategy)
        ));
    }
    text
}

fn classify(profiles: &[Profile]) -> String {
    let mut text = String::new();
    for profile in profiles {
        for kind in &profile.detectors {
            text.push_str(&format!(
                "[[detectors]]\ntarget = {:?}\nkind = {kind:?}\nclass = \"found\"\n\n",
                profile.target
            ));
        }
        for (column, strategy) in &profile.columns {
            text.push_str(&format!(
                "[[columns]]\ntarget = {:?}\ncolumn = {column:?}\nclass = {:?}\n\n",
                profile.target,
                class(strategy)
            ));
        }
    }
    // The class that the rule speaks of exists also when no case looks for anything.
    if !text.contains("class = \"found\"") {
        text.push_str("[[classes]]\nname = \"found\"\n");
    }
    text
}

fn class(strategy: &str) -> String {
    format!("masked-{}", strategy.replace(|c: char| !c.is_ascii_alphanumeric(), "-"))
}

fn put(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("`{}` could not be written", path.display()))
}
