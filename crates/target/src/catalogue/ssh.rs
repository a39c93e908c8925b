//! Targets that speak SSH.

use sallyport_credential::{Gives, Source};
use sallyport_ssh_transport::keys::PublicKey;
use smol_str::SmolStr;
use toml::Spanned;

use super::{CatalogueError, Reader};
use crate::{
    AcceptEnv, Address, FileRecording, HostTrust, LoginShell, MaskAt, ShellMode, Ssh, SshCredential, SshLogin,
    file::Entry,
    ssh::{changes_code, is_variable},
};

/// The most entries of one list.
const MAX_LIST: usize = 64;
/// The longest name of an account or a host, in bytes.
const MAX_ACCOUNT: usize = 128;

const SHELLS: [(&str, ShellMode); 3] = [
    (ShellMode::Guarded.as_str(), ShellMode::Guarded),
    (ShellMode::Gated.as_str(), ShellMode::Gated),
    (ShellMode::Recorded.as_str(), ShellMode::Recorded),
];
const FILES: [(&str, FileRecording); 2] = [
    (FileRecording::Digest.as_str(), FileRecording::Digest),
    (FileRecording::Content.as_str(), FileRecording::Content),
];
const LOGIN_SHELLS: [(&str, LoginShell); 2] = [
    (LoginShell::Bash.as_str(), LoginShell::Bash),
    (LoginShell::Sh.as_str(), LoginShell::Sh),
];

impl Reader<'_> {
    pub(super) fn ssh(&self, spanned: &Spanned<Entry>) -> Result<Ssh, CatalogueError> {
        let entry = spanned.get_ref();

        let shell = entry
            .shell
            .as_ref()
            .map(|word| self.word(word, "mode of a shell", &SHELLS));
        let files = entry
            .files
            .as_ref()
            .map(|word| self.word(word, "way to record files", &FILES));
        let login_shell = entry.login_shell.as_ref();
        let login_shell = login_shell.map(|word| self.word(word, "shell for a guarded shell", &LOGIN_SHELLS));
        let shell = shell.transpose()?.unwrap_or_default();
        let mask_at = self.mask_at(entry)?;
        if let Some(word) = &entry.mask_at
            && mask_at == MaskAt::Agent
            && shell != ShellMode::Recorded
        {
            return self.at(
                word,
                "`mask_at = \"agent\"` needs `shell = \"recorded\"`: the gateway reads what other shells say",
            );
        }
        Ok(Ssh {
            user: self.account(self.some_user(spanned)?)?,
            logins: self.logins(entry)?,
            accept_env: self.accept_env(entry)?,
            shell,
            mask_at,
            files: files.transpose()?.unwrap_or_default(),
            login_shell: login_shell.transpose()?.unwrap_or_default(),
            login: self.way(entry, || self.ssh_login(spanned))?,
        })
    }

    fn ssh_login(&self, spanned: &Spanned<Entry>) -> Result<SshLogin, CatalogueError> {
        let address = self.address(spanned)?;
        Ok(SshLogin {
            credential: self.ssh_credential(spanned)?,
            trust: self.trust(spanned, &address)?,
            patience: self.patience(spanned.get_ref())?,
            address,
        })
    }

    /// An account's name. One with the letters by which clients write accounts, targets and gateways together, or
    /// with blanks and control characters, could be read in two ways.
    fn account(&self, name: &Spanned<String>) -> Result<String, CatalogueError> {
        let text = name.get_ref();
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | ':' | '+' | '%' | '/');
        if text.is_empty() || text.len() > MAX_ACCOUNT || text.starts_with('-') || text.contains(odd) {
            return self.at(name, format!("`{}` is no account's name", text.escape_debug()));
        }
        Ok(text.clone())
    }

    fn logins(&self, entry: &Entry) -> Result<Vec<String>, CatalogueError> {
        let Some(list) = &entry.logins else {
            return Ok(Vec::new());
        };
        self.bounded("logins", list)?;
        list.get_ref().iter().map(|name| self.account(name)).collect()
    }

    fn bounded<T>(&self, option: &str, list: &Spanned<Vec<T>>) -> Result<(), CatalogueError> {
        match list.get_ref().len() {
            0 => self.at(list, format!("`{option}` is empty: leave it out")),
            1..=MAX_LIST => Ok(()),
            many => self.at(list, format!("`{option}` has {many} entries; there can be {MAX_LIST}")),
        }
    }

    /// Exactly one way to log in, so that nobody has to guess which one is used.
    fn ssh_credential(&self, spanned: &Spanned<Entry>) -> Result<SshCredential, CatalogueError> {
        let entry = spanned.get_ref();
        let name = entry.name.get_ref();
        let credential = match (self.credential(spanned)?, &entry.credential) {
            (Some(source), Some(place)) => match source.gives() {
                Gives::Secret => Some(SshCredential::Password(source)),
                Gives::Certificate => Some(SshCredential::Signed(source)),
                Gives::DatabaseLogin => return self.at(place, "this source gives logins at databases, not at hosts"),
            },
            (source, _) => source.map(SshCredential::Password),
        };
        let key = self.private_key(spanned)?;
        let certificate = match &entry.certificate {
            Some(yes) if !yes.get_ref() => return self.at(yes, "`certificate` is false: leave it out"),
            Some(_) => Some(SshCredential::Certificate),
            None => None,
        };
        let known = "`password_file`, `password_env`, `private_key_file`, `credential`, `private_key` and \
                     `certificate = true`";
        let mut ways = [credential, key, certificate].into_iter().flatten();
        match (ways.next(), ways.next()) {
            (Some(way), None) => Ok(way),
            (None, _) => self.at(spanned, format!("`{name}` needs a way to log in: one of {known}")),
            (Some(_), Some(_)) => self.at(
                spanned,
                format!("`{name}` has two ways to log in; choose one of {known}"),
            ),
        }
    }

    fn private_key(&self, spanned: &Spanned<Entry>) -> Result<Option<SshCredential>, CatalogueError> {
        let entry = spanned.get_ref();
        let passphrase = self.passphrase(spanned)?;
        let key = match (&entry.private_key_file, &entry.private_key) {
            (Some(file), None) => Source::file(self.path(file.get_ref())),
            (None, Some(source)) if source.get_ref().gives() == Gives::Secret => self.anchored(source),
            (None, Some(source)) => return self.at(source, "this source gives no private keys"),
            (Some(_), Some(source)) => return self.at(source, "there is `private_key_file` already"),
            (None, None) if passphrase.is_some() => {
                let name = entry.name.get_ref();
                return self.at(spanned, format!("`{name}` has a passphrase, but no `private_key_file`"));
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(SshCredential::PrivateKey { key, passphrase }))
    }

    fn passphrase(&self, spanned: &Spanned<Entry>) -> Result<Option<Source>, CatalogueError> {
        let entry = spanned.get_ref();
        match (&entry.private_key_passphrase_file, &entry.private_key_passphrase_env) {
            (None, None) => Ok(None),
            (Some(path), None) => Ok(Some(Source::file(self.path(path.get_ref())))),
            (None, Some(variable)) => Ok(Some(Source::environment(variable.get_ref()))),
            (Some(_), Some(other)) => self.at(other, "there is `private_key_passphrase_file` already"),
        }
    }

    /// Without a key or an authority whoever answers would be believed, and be given the password.
    fn trust(&self, spanned: &Spanned<Entry>, address: &Address) -> Result<HostTrust, CatalogueError> {
        let entry = spanned.get_ref();
        let keys = self.public_keys("host_keys", entry.host_keys.as_ref())?;
        let authorities = self.public_keys("host_ca", entry.host_ca.as_ref())?;
        if keys.is_empty() && authorities.is_empty() {
            let message = format!(
                "`{}` needs `host_keys` or `host_ca`, or anybody could pretend to be the host: \
                 `ssh-keyscan` prints its keys, to be compared with those in its `/etc/ssh`",
                entry.name.get_ref()
            );
            return self.at(spanned, message);
        }
        let name = match &entry.host_name {
            None => address.host.clone(),
            Some(name) if authorities.is_empty() => {
                return self.at(
                    name,
                    "`host_name` is for certificates of hosts, and there is no `host_ca`",
                );
            }
            Some(name) if name.get_ref().is_empty() || name.get_ref().contains(char::is_whitespace) => {
                return self.at(name, format!("`{}` is no host's name", name.get_ref()));
            }
            Some(name) => name.get_ref().into(),
        };
        Ok(HostTrust {
            keys,
            authorities,
            name,
        })
    }

    fn public_keys(
        &self,
        option: &str,
        list: Option<&Spanned<Vec<Spanned<String>>>>,
    ) -> Result<Vec<PublicKey>, CatalogueError> {
        let Some(list) = list else { return Ok(Vec::new()) };
        self.bounded(option, list)?;
        let mut keys = Vec::with_capacity(list.get_ref().len());
        for line in list.get_ref() {
            match line.get_ref().parse() {
                Ok(key) => keys.push(key),
                Err(error) => return self.at(line, format!("`{option}`: {error}")),
            }
        }
        Ok(keys)
    }

    fn accept_env(&self, entry: &Entry) -> Result<AcceptEnv, CatalogueError> {
        let Some(list) = &entry.accept_env else {
            return Ok(AcceptEnv::default());
        };
        let mut patterns = Vec::new();
        if list.get_ref().len() > MAX_LIST {
            self.bounded("accept_env", list)?;
        }
        for pattern in list.get_ref() {
            let text = pattern.get_ref();
            // What a star stands for may be a letter.
            if !is_variable(&text.replace(['*', '?'], "_")) {
                return self.at(pattern, format!("`{}` is no variable's name", text.escape_debug()));
            }
            if changes_code(text) {
                return self.at(pattern, format!("`{text}` would change which code commands run"));
            }
            patterns.push(SmolStr::from(text));
        }
        Ok(AcceptEnv::new(patterns))
    }
}
