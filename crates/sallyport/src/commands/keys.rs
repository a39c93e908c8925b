//! `sallyport keys`: the SSH keys that open the gateway without a certificate.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use sallyport_identity::client::GatewayClient;
use sallyport_identity::messages::{SshKeyInfo, SshKeyRequest};
use sallyport_ssh_transport::keys::PublicKey;

use super::caller::Caller;
use super::terminal::{clock, print_json, print_rows, safe};
use crate::output;

/// The longest file of a public key, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// Register SSH keys, for clients that cannot use certificates. They are good for some time after each login.
#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    caller: Caller,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Register a public key.
    Add {
        /// Its file, such as `~/.ssh/id_ed25519.pub`; `-` for standard input.
        file: PathBuf,
        /// What to call it; what the file says after the key when left out.
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List one's keys.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove keys: sessions opened with them end at once.
    Remove {
        /// Their names, or their fingerprints as `keys list` shows them.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
}

impl KeysArgs {
    /// Registers, lists or removes keys.
    ///
    /// # Errors
    /// When nobody is logged in, a key cannot be used, or the gateway says no.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let gateway = self.caller.logged_in()?;
        match self.action {
            Action::Add { file, name, json } => add(&gateway, &file, name, json).await,
            Action::List { json } => list(&gateway.ssh_keys().await?, json),
            Action::Remove { keys } => {
                let known = gateway.ssh_keys().await?;
                for wanted in keys {
                    let key = find(&known, &wanted)?;
                    gateway.remove_ssh_key(key).await?;
                    output::line(&format!("{} is removed", safe(&key.fingerprint)))?;
                }
                Ok(())
            }
        }
    }
}

async fn add(gateway: &GatewayClient, file: &Path, name: Option<String>, json: bool) -> anyhow::Result<()> {
    let (key, comment) = public_key(&read(file)?).with_context(|| format!("`{}`", file.display()))?;
    let name = match name.or(comment) {
        Some(name) => name,
        None => bail!(
            "`{}` does not say what the key is called: give it a --name",
            file.display()
        ),
    };
    let request = SshKeyRequest {
        // Written anew: nothing else of the file leaves this machine.
        public_key: key.to_string(),
        name,
    };
    let key = gateway.add_ssh_key(&request).await?;
    if json {
        return print_json(&key);
    }
    Ok(output::line(&safe(&key.fingerprint))?)
}

fn read(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(MAX_FILE).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
    };
    read.with_context(|| format!("cannot read `{}`", file.display()))?;
    Ok(text)
}

/// A public key and what is said after it.
fn public_key(text: &str) -> anyhow::Result<(PublicKey, Option<String>)> {
    if text.contains("PRIVATE KEY") {
        bail!("this is the private key, which stays where it is: give its `.pub` file");
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (Some(line), None) = (lines.next(), lines.next()) else {
        bail!("there must be one key in it");
    };
    let comment = line
        .splitn(3, ' ')
        .nth(2)
        .map(str::trim)
        .filter(|comment| !comment.is_empty());
    Ok((line.parse()?, comment.map(ToOwned::to_owned)))
}

fn find<'a>(known: &'a [SshKeyInfo], wanted: &str) -> anyhow::Result<&'a SshKeyInfo> {
    let named =
        |key: &&SshKeyInfo| key.fingerprint == wanted || key.id == wanted || key.name.as_deref() == Some(wanted);
    let mut found = known.iter().filter(named);
    match (found.next(), found.next()) {
        (Some(key), None) if key.added.is_some() => Ok(key),
        (Some(_), None) => bail!(
            "`{}` is in the people file, which whoever operates the gateway keeps",
            safe(wanted)
        ),
        (Some(_), Some(_)) => bail!("several keys are called `{}`: give the fingerprint", safe(wanted)),
        (None, _) => bail!("there is no key `{}`", safe(wanted)),
    }
}

fn list(keys: &[SshKeyInfo], json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(keys);
    }
    let rows = keys.iter().map(|key| {
        let added = key.added.map_or_else(|| "(people file)".to_owned(), clock);
        let name = key.name.clone().unwrap_or_default();
        [key.fingerprint.clone(), key.key_type.clone(), name, added]
    });
    Ok(print_rows(["FINGERPRINT", "TYPE", "NAME", "ADDED"], rows.collect())?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use sallyport_ssh_transport::keys::PrivateKey;

    use super::*;

    #[test]
    fn a_private_key_never_leaves() {
        let key = PrivateKey::generate_ed25519().unwrap();
        let error = public_key(&key.to_openssh_pem("laptop").unwrap()).unwrap_err();
        assert!(error.to_string().contains("stays where it is"));
        let line = key.public_key().to_string();
        let (read, comment) = public_key(&format!("{line} alice's laptop\n")).unwrap();
        assert_eq!(
            (read.to_string(), comment.as_deref()),
            (line.clone(), Some("alice's laptop"))
        );
        assert_eq!(public_key(&line).unwrap().1, None);
        for text in ["", "nonsense", &format!("{line}\n{line}\n")] {
            assert!(public_key(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_that_could_be_another_is_not_removed() {
        let key = |id: &str, name: &str, added| SshKeyInfo {
            id: id.to_owned(),
            fingerprint: format!("SHA256:{id}"),
            key_type: "ssh-ed25519".to_owned(),
            name: Some(name.to_owned()),
            added,
        };
        let now = Some(time::OffsetDateTime::UNIX_EPOCH);
        let known = [
            key("a", "laptop", now),
            key("b", "laptop", now),
            key("c", "desk", now),
            key("d", "old", None),
        ];
        assert_eq!(find(&known, "desk").unwrap().id, "c");
        assert_eq!(find(&known, "SHA256:a").unwrap().id, "a");
        for (wanted, why) in [("laptop", "several"), ("old", "people file"), ("none", "no key")] {
            assert!(find(&known, wanted).unwrap_err().to_string().contains(why), "{wanted}");
        }
    }
}
