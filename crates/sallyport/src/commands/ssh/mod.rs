//! `sallyport ssh-certificate` and `sallyport ssh-config`: what `ssh` needs to go through the gateway.

mod block;
mod identity;

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use sallyport_identity::credentials::write_private;
use sallyport_identity::messages::SshInfo;
use serde::Serialize;
use time::OffsetDateTime;

use super::caller::Caller;
use super::terminal::{print_json, safe, span};
use crate::output;
use block::Block;
pub(crate) use identity::SshIdentity;

/// Get an SSH certificate for the gateway, unless there is one that is still good.
#[derive(Debug, Args)]
pub(crate) struct CertificateArgs {
    #[command(flatten)]
    caller: Caller,
    /// Get a new one in any case.
    #[arg(long)]
    renew: bool,
    /// Say nothing when all is well.
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `ssh-certificate` prints.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    identity: &'a Path,
    certificate: &'a Path,
    #[serde(with = "time::serde::rfc3339")]
    expires: OffsetDateTime,
}

impl CertificateArgs {
    /// Makes sure that there is a certificate.
    ///
    /// # Errors
    /// When nobody is logged in, or the gateway has no SSH.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let identity = SshIdentity::at(&self.caller.address()?)?;
        let current = if self.renew { None } else { identity.current() };
        let expires = match current {
            Some(expires) => expires,
            None => match identity.renew(&self.caller.logged_in()?).await? {
                Some(expires) => expires,
                None => bail!("the gateway has no SSH"),
            },
        };
        if self.json {
            return print_json(&Shown {
                identity: identity.key_file(),
                certificate: identity.certificate_file(),
                expires,
            });
        }
        if !self.quiet {
            let left = span(expires - OffsetDateTime::now_utc());
            output::line(&format!("{}\t{left}", identity.certificate_file().display()))?;
        }
        Ok(())
    }
}

/// Show what `ssh` needs to know to go through the gateway: a part of its configuration.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    caller: Caller,
    /// Put it where `ssh` finds it: into a file of its own that `~/.ssh/config` includes.
    #[arg(long)]
    write: bool,
    /// What the names of hosts end with: `ssh web-1.sallyport`.
    #[arg(long, value_name = "NAME", default_value = "sallyport")]
    suffix: String,
    /// The name or address of the gateway's SSH, if it is not that of its API.
    #[arg(long, value_name = "NAME")]
    gateway_host: Option<String>,
    /// Print the authority that hosts must trust (`TrustedUserCAKeys`) for targets with `certificate = true`.
    #[arg(long, conflicts_with_all = ["write", "json"])]
    host_authority: bool,
    /// Print what the gateway says, as JSON.
    #[arg(long, conflicts_with = "write")]
    json: bool,
}

impl ConfigArgs {
    /// Prints or writes the configuration.
    ///
    /// # Errors
    /// When nobody is logged in, the gateway has no SSH, or what it says cannot be believed.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let api = self.caller.address()?;
        let gateway = self.caller.logged_in()?;
        let info = gateway.ssh().await?.context("the gateway has no SSH")?;
        if self.host_authority {
            return Ok(output::line(&safe(&info.authority))?);
        }
        if self.json {
            return print_json(&info);
        }
        let identity = SshIdentity::at(&api)?;
        if identity.current().is_none() {
            identity.renew(&gateway).await?;
        }
        let block = self.block(&api, &info, &identity)?;
        identity.write_known_hosts(&block.known_hosts())?;
        if self.write {
            return write(&identity, &block);
        }
        Ok(output::line(block.config()?.trim_end())?)
    }

    fn block(&self, api: &str, info: &SshInfo, identity: &SshIdentity) -> anyhow::Result<Block> {
        let url = url::Url::parse(api).with_context(|| format!("`{}` is no address", safe(api)))?;
        let host = match &self.gateway_host {
            Some(host) => host.clone(),
            None => url.host_str().context("the API's address has no host")?.to_owned(),
        };
        let program = std::env::current_exe().context("the path of this program is not known")?;
        Block::new(
            &url,
            host.trim_matches(['[', ']']),
            &self.suffix,
            info,
            identity,
            &program,
        )
    }
}

/// Writes the configuration, and has `~/.ssh/config` include it.
fn write(identity: &SshIdentity, block: &Block) -> anyhow::Result<()> {
    let path = identity.config_file();
    write_private(path, block.config()?.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))?;
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let folder = PathBuf::from(home.context("HOME is not set")?).join(".ssh");
    let included = include(&folder, &identity.all_config_files()?)?;
    let mut err = stderr().lock();
    writeln!(err, "Written: {}", path.display())?;
    if included {
        writeln!(err, "`{}` includes it now.", folder.join("config").display())?;
    }
    for name in block.names() {
        output::line(name)?;
    }
    Ok(())
}

/// Whether a line had to be added. It must be the first: after a `Host` it would belong to that.
fn include(folder: &Path, pattern: &str) -> anyhow::Result<bool> {
    use std::os::unix::fs::DirBuilderExt;
    let path = folder.join("config");
    let line = format!("Include {pattern}");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    };
    if text.lines().any(|other| other.trim() == line) {
        return Ok(false);
    }
    let mut private = std::fs::DirBuilder::new();
    private.recursive(true).mode(0o700).create(folder)?;
    let text = format!("{line}\n\n{text}");
    write_private(&path, text.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_in_the_configuration_already_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(".ssh");
        assert!(include(&folder, "\"/x/*/config\"").unwrap());
        assert!(!include(&folder, "\"/x/*/config\"").unwrap());
        let path = folder.join("config");
        std::fs::write(&path, "Host old\n    User me\n").unwrap();
        assert!(include(&folder, "\"/x/*/config\"").unwrap());
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, "Include \"/x/*/config\"\n\nHost old\n    User me\n");
    }
}
