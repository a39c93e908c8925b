//! What a target that speaks SSH has.

use std::sync::Arc;

use sallyport_credential::{CredentialError, Credentials, Need, SecretKind, Source};
use sallyport_ssh_transport::keys::{KeyError, PrivateKey, PublicKey};
use secrecy::{ExposeSecret, SecretString};
use smol_str::SmolStr;

use crate::{Address, LeaseError, MaskAt, Patience, SshLease, Way};

/// An SSH host, and what people may do there that is no matter of rules.
#[derive(Clone, Debug)]
pub struct Ssh {
    /// The account to log in to, when a client names none.
    pub user: String,
    /// Further accounts that a client may name.
    pub logins: Vec<String>,
    /// Which environment variables of the client are passed on.
    pub accept_env: AcceptEnv,
    /// What an interactive shell is.
    pub shell: ShellMode,
    /// What is recorded of a file's content.
    pub files: FileRecording,
    /// Which shell runs the lines of a guarded shell.
    pub login_shell: LoginShell,
    /// Where output is masked.
    pub mask_at: MaskAt,
    /// Who logs in.
    pub login: Way<SshLogin>,
}

/// How an SSH host is logged in to.
#[derive(Clone, Debug)]
pub struct SshLogin {
    /// Where it listens.
    pub address: Address,
    /// What to log in with.
    pub credential: SshCredential,
    /// What the host must show, or it is not spoken to.
    pub trust: HostTrust,
    /// How long to wait.
    pub patience: Patience,
}

impl Ssh {
    /// Whether a person may ask for this account.
    pub fn has_login(&self, login: &str) -> bool {
        self.user == login || self.logins.iter().any(|other| other == login)
    }
}

/// Where that is with which an SSH host is logged in to.
#[derive(Clone, Debug)]
pub enum SshCredential {
    /// A password.
    Password(Source),
    /// A private key.
    PrivateKey {
        /// Where it is.
        key: Source,
        /// Where its passphrase is, if it has one.
        passphrase: Option<Source>,
    },
    /// A certificate that the gateway's own authority makes for the one session.
    Certificate,
    /// A certificate that somebody else makes for the one session.
    Signed(Source),
}

impl SshLogin {
    pub(crate) async fn lease(
        &self,
        target: &SmolStr,
        account: &str,
        credentials: &Arc<Credentials>,
    ) -> Result<SshLease, LeaseError> {
        let fetch = Fetch {
            target,
            account,
            credentials,
            address: &self.address,
        };
        let secret = match &self.credential {
            SshCredential::Password(source) => SshSecret::Password(fetch.secret(source, SecretKind::Password).await?),
            SshCredential::PrivateKey { key, passphrase } => {
                let passphrase = match passphrase {
                    Some(source) => Some(fetch.secret(source, SecretKind::Passphrase).await?),
                    None => None,
                };
                SshSecret::PrivateKey(FoundKey {
                    place: place(key),
                    text: fetch.secret(key, SecretKind::PrivateKey).await?,
                    passphrase,
                })
            }
            SshCredential::Certificate => SshSecret::Certificate,
            SshCredential::Signed(source) => SshSecret::Signed(Signer {
                credentials: Arc::clone(credentials),
                source: source.clone(),
            }),
        };
        Ok(SshLease {
            target: target.clone(),
            address: self.address.clone(),
            user: account.to_owned(),
            secret,
            trust: self.trust.clone(),
            patience: self.patience,
        })
    }
}

struct Fetch<'a> {
    target: &'a SmolStr,
    account: &'a str,
    credentials: &'a Credentials,
    address: &'a Address,
}

impl Fetch<'_> {
    /// A secret of the account that policy has let somebody into, and of no other.
    async fn secret(&self, source: &Source, kind: SecretKind) -> Result<SecretString, LeaseError> {
        let need = Need::of(kind)
            .as_user(self.account)
            .at(self.address.host.as_str(), self.address.port);
        let (user, secret, _hold) = self.credentials.lease(source, &need).await?.into_parts();
        if user.is_some_and(|user| user != self.account) {
            return Err(LeaseError::OtherAccount {
                target: self.target.clone(),
                login: self.account.to_owned(),
            });
        }
        Ok(secret)
    }
}

fn place(source: &Source) -> String {
    if let Source::File(file) = source {
        format!("file `{}`", file.path.display())
    } else {
        "that `private_key` gives".to_owned()
    }
}

/// With what an SSH host is logged in to. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub enum SshSecret {
    /// A password.
    Password(SecretString),
    /// A private key.
    PrivateKey(FoundKey),
    /// A certificate that the gateway's own authority is to make for this session.
    Certificate,
    /// A certificate that somebody else is to make for this session.
    Signed(Signer),
}

/// Has a key of one session signed.
#[derive(Clone, Debug)]
pub struct Signer {
    credentials: Arc<Credentials>,
    source: Source,
}

impl Signer {
    /// A certificate for `public_key`, with which to log in as `account`; both in OpenSSH's form.
    ///
    /// # Errors
    /// When whoever signs does not.
    pub async fn certificate(&self, public_key: &str, account: &str) -> Result<SecretString, CredentialError> {
        let need = Need::certificate(public_key).as_user(account);
        let (_, certificate, _hold) = self.credentials.lease(&self.source, &need).await?.into_parts();
        Ok(certificate)
    }
}

/// A private key as it was found. `Debug` shows nothing of it.
#[derive(Clone, Debug)]
pub struct FoundKey {
    place: String,
    text: SecretString,
    passphrase: Option<SecretString>,
}

/// A private key cannot be used, or its passphrase is wrong.
#[derive(Debug, thiserror::Error)]
#[error("the private key {place} cannot be used: {source}")]
pub struct UnusableKey {
    place: String,
    source: KeyError,
}

impl FoundKey {
    /// Decrypts the key. A passphrase makes this take long, by design: not on a thread that others wait for.
    ///
    /// # Errors
    /// When it is not a private key, or the passphrase not the right one.
    pub fn open(&self) -> Result<PrivateKey, UnusableKey> {
        let passphrase = self.passphrase.as_ref().map(|secret| secret.expose_secret().as_bytes());
        PrivateKey::from_pem(self.text.expose_secret(), passphrase).map_err(|source| UnusableKey {
            place: self.place.clone(),
            source,
        })
    }
}

/// What an SSH host must show before anything is said to it. At least one of the lists is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTrust {
    /// Keys of the host itself.
    pub keys: Vec<PublicKey>,
    /// Authorities that sign for hosts.
    pub authorities: Vec<PublicKey>,
    /// The name for which an authority must have signed.
    pub name: SmolStr,
}

/// What an interactive shell is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ShellMode {
    /// The host's shell, of which everything is recorded.
    Recorded,
    /// The host's shell, where each line waits for a decision on what can be seen of it.
    Gated,
    /// A shell of the gateway's own: what is not permitted cannot run.
    #[default]
    Guarded,
}

impl ShellMode {
    /// Its name in `targets.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Gated => "gated",
            Self::Guarded => "guarded",
        }
    }
}

/// What is recorded of a file's content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FileRecording {
    /// Its digest and its size.
    #[default]
    Digest,
    /// All of it.
    Content,
}

impl FileRecording {
    /// Its name in `targets.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Content => "content",
        }
    }
}

/// Which shell runs the lines of a guarded shell at the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LoginShell {
    /// `bash`
    #[default]
    Bash,
    /// `sh`
    Sh,
}

impl LoginShell {
    /// Its name in `targets.toml`, which is the program's.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Sh => "sh",
        }
    }
}

/// Names of environment variables that a client may set, with `*` and `?` as sshd's `AcceptEnv` has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptEnv(Vec<SmolStr>);

impl Default for AcceptEnv {
    fn default() -> Self {
        Self(vec!["LANG".into(), "LC_*".into()])
    }
}

impl AcceptEnv {
    pub(crate) fn new(patterns: Vec<SmolStr>) -> Self {
        Self(patterns)
    }

    /// Whether a variable of this name is passed on. One that makes shells, loaders or interpreters run other code
    /// than the command says never is, whatever the patterns: policy judges the command, and could be deceived.
    pub fn accepts(&self, name: &str) -> bool {
        is_variable(name) && !changes_code(name) && self.0.iter().any(|pattern| matches(pattern, name))
    }

    /// Whether a variable of this name decides which code runs.
    pub fn changes_code(name: &str) -> bool {
        changes_code(name)
    }

    /// The patterns.
    pub fn patterns(&self) -> &[SmolStr] {
        &self.0
    }
}

/// The longest name of a variable, in bytes.
const MAX_VARIABLE: usize = 128;

/// Whether a text is a variable's name as shells have them.
pub(crate) fn is_variable(name: &str) -> bool {
    name.len() <= MAX_VARIABLE
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Variables that decide which code runs.
const EXACT: &[&str] = &[
    "BASHOPTS",
    "BASH_ENV",
    "BASH_XTRACEFD",
    "BROWSER",
    "CDPATH",
    "CLASSPATH",
    "EDITOR",
    "ENV",
    "FCEDIT",
    "FPATH",
    "GCONV_PATH",
    "GLOBIGNORE",
    "HOME",
    "HOSTALIASES",
    "IFS",
    "INPUTRC",
    "JDK_JAVA_OPTIONS",
    "JAVA_TOOL_OPTIONS",
    "LESSCLOSE",
    "LESSKEY",
    "LESSOPEN",
    "LOCPATH",
    "LOGNAME",
    "MAILCAPS",
    "MANPAGER",
    "NLSPATH",
    "NODE_OPTIONS",
    "NODE_PATH",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "PAGER",
    "PATH",
    "PROMPT_COMMAND",
    "PS0",
    "PS1",
    "PS2",
    "PS4",
    "R_HOME",
    "SHELL",
    "SHELLOPTS",
    "SSH_ASKPASS",
    "SSH_ASKPASS_REQUIRE",
    "SUDO_ASKPASS",
    "SUDO_EDITOR",
    "SYSTEMD_PAGER",
    "SYSTEMD_EDITOR",
    "TERMCAP",
    "TERMINFO",
    "TERMINFO_DIRS",
    "TERMPATH",
    "TMPDIR",
    "USER",
    "VISUAL",
    "XDG_CONFIG_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_DATA_DIRS",
    "XDG_DATA_HOME",
    "ZDOTDIR",
    "_JAVA_OPTIONS",
];
/// How the names of such begin.
const BEGINNINGS: &[&str] = &[
    "BASH_FUNC_",
    "DYLD_",
    "GIT_",
    "LD_",
    "LUA_",
    "MAKE",
    "MALLOC_",
    "PERL",
    "PIP_",
    "PYTHON",
    "RUBY",
    "GEM_",
    "NPM_",
    "GLIBC_",
    "GTK_",
    "QT_",
    "VIM",
    "EMACS",
    "RSYNC_",
    "SALLYPORT_",
];

/// Whether a variable decides which code runs: what shells read at start, where programs and libraries are looked
/// for, what loaders and interpreters load, which programs others start.
pub(crate) fn changes_code(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    EXACT.contains(&upper.as_str()) || BEGINNINGS.iter().any(|start| upper.starts_with(start))
}

/// Whether `name` is as `pattern` says: `*` is any text, `?` any character. Both are ASCII.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0_usize, 0_usize);
    // Where to go on when what follows the last star does not fit: one character later.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(n) {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p.saturating_add(1), n));
                p = p.saturating_add(1);
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                (p, n) = (p.saturating_add(1), n.saturating_add(1));
            }
            _ => match retry {
                Some((after, at)) => {
                    (p, n) = (after, at.saturating_add(1));
                    retry = Some((after, n));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::AcceptEnv;

    fn accepts(patterns: &[&str], name: &str) -> bool {
        AcceptEnv::new(patterns.iter().copied().map(Into::into).collect()).accepts(name)
    }

    #[test]
    fn patterns_are_those_of_sshd() {
        for (pattern, name, good) in [
            ("LANG", "LANG", true),
            ("LANG", "LANGUAGE", false),
            ("LC_*", "LC_ALL", true),
            ("LC_*", "LC_", true),
            ("LC_*", "XLC_ALL", false),
            ("?Z", "TZ", true),
            ("?Z", "Z", false),
            ("A*B*C", "AxBxBxC", true),
            ("A*B*C", "AxBxBx", false),
            ("*", "COLORTERM", true),
        ] {
            assert_eq!(accepts(&[pattern], name), good, "{pattern} {name}");
        }
        assert!(!accepts(&[], "LANG"));
    }

    #[test]
    fn what_would_run_other_code_is_never_passed_on() {
        for name in [
            "LD_PRELOAD",
            "ld_preload",
            "BASH_ENV",
            "ENV",
            "PATH",
            "IFS",
            "PS4",
            "PROMPT_COMMAND",
            "PYTHONSTARTUP",
            "PERL5OPT",
            "GIT_SSH_COMMAND",
            "LESSOPEN",
            "NODE_OPTIONS",
            "EDITOR",
            "BASH_FUNC_ls%%",
            "A=B",
            "",
            "1A",
            "A B",
            "A\0",
            "Ä",
        ] {
            assert!(!accepts(&["*", name], name), "{name:?}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "*A".repeat(60);
        assert!(!accepts(&[&pattern], &"A".repeat(59)));
        assert!(!accepts(&[&pattern], &format!("{}B", "A".repeat(120))));
    }
}
