//! The form of `targets.toml`. Every option is declared here, once, and so is whose it is.

use std::{ops::Range, path::PathBuf};

use sallyport_credential::{AwsStore, AzureStore, GoogleStore, KubernetesStore, Source, VaultStore};
use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) target: Vec<Spanned<Entry>>,
    /// Vaults that credentials are in.
    #[serde(default)]
    pub(crate) vault: Vec<Spanned<VaultStore>>,
    /// Accounts of AWS.
    #[serde(default)]
    pub(crate) aws: Vec<Spanned<AwsStore>>,
    /// Key vaults of Azure.
    #[serde(default)]
    pub(crate) azure: Vec<Spanned<AzureStore>>,
    /// Identities at Google.
    #[serde(default)]
    pub(crate) google: Vec<Spanned<GoogleStore>>,
    /// Clusters of Kubernetes.
    #[serde(default)]
    pub(crate) kubernetes: Vec<Spanned<KubernetesStore>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// The name that clients connect to.
    pub(crate) name: Spanned<String>,
    /// The protocol it speaks, `postgres` or `ssh`.
    pub(crate) protocol: Spanned<String>,
    /// `host:port`.
    pub(crate) address: Option<Spanned<String>>,
    /// The agents that log in to it, by the name that they joined under; the gateway itself when absent.
    pub(crate) agent: Option<Spanned<String>>,
    /// The environment that rules speak of, like `production`.
    pub(crate) environment: Option<Spanned<String>>,
    /// Tags that rules speak of.
    pub(crate) tags: Option<Spanned<Vec<String>>>,
    /// Whether policy's rules are in force there, or only observe; they are when absent. Policy itself reads it.
    pub(crate) enforce: Option<Spanned<bool>>,

    /// Whom to log in as.
    pub(crate) user: Option<Spanned<String>>,
    /// A file whose first line is the password.
    pub(crate) password_file: Option<Spanned<PathBuf>>,
    /// An environment variable that holds the password.
    pub(crate) password_env: Option<Spanned<String>>,
    /// Where the password is, or what makes a login for each session, if it is neither a file nor a variable.
    pub(crate) credential: Option<Spanned<Source>>,
    /// How long reaching the target may take, in seconds; 10 when absent.
    pub(crate) connect_timeout_s: Option<Spanned<u64>>,
    /// How long TLS, or the first key exchange, and login may take after that, in seconds; 30 when absent.
    pub(crate) login_timeout_s: Option<Spanned<u64>>,

    /// PostgreSQL: the database at the target; the target's own name when absent.
    pub(crate) database: Option<Spanned<String>>,
    /// PostgreSQL: `disable`, `require`, `verify-ca` or `verify-full` (the default).
    pub(crate) tls: Option<Spanned<String>>,
    /// PostgreSQL: authorities to trust, PEM; the operating system's when absent.
    pub(crate) ca_file: Option<Spanned<PathBuf>>,
    /// PostgreSQL: the name that the certificate must be for; the address's host when absent.
    pub(crate) server_name: Option<Spanned<String>>,
    /// PostgreSQL: a certificate (PEM) to show to the target, with `client_key`.
    pub(crate) client_certificate: Option<Spanned<PathBuf>>,
    /// PostgreSQL: its key (PEM).
    pub(crate) client_key: Option<Spanned<PathBuf>>,
    /// PostgreSQL: ways to log in that are good enough: `scram-sha-256` (the default), `md5`, `password`, `trust`.
    pub(crate) auth: Option<Spanned<Vec<Spanned<String>>>>,
    /// PostgreSQL: `prefer` (the default), `require` or `disable`.
    pub(crate) channel_binding: Option<Spanned<String>>,
    /// PostgreSQL: settings that clients may give at connect besides those that are always allowed.
    pub(crate) startup_settings: Option<Spanned<Vec<Spanned<String>>>>,

    /// Where values are masked, in the `gateway` (the default) or in the `agent`.
    pub(crate) mask_at: Option<Spanned<String>>,
    /// PostgreSQL: a role of its own for each session, which `user` makes.
    pub(crate) ephemeral: Option<Spanned<EphemeralEntry>>,

    /// SSH: accounts besides `user` that a person may ask for.
    pub(crate) logins: Option<Spanned<Vec<Spanned<String>>>>,
    /// SSH: a private key (PEM) to log in with.
    pub(crate) private_key_file: Option<Spanned<PathBuf>>,
    /// SSH: where a private key (PEM) to log in with is, if it is not a file.
    pub(crate) private_key: Option<Spanned<Source>>,
    /// SSH: a file whose first line is the passphrase of the private key.
    pub(crate) private_key_passphrase_file: Option<Spanned<PathBuf>>,
    /// SSH: an environment variable that holds the passphrase of the private key.
    pub(crate) private_key_passphrase_env: Option<Spanned<String>>,
    /// SSH: log in with a certificate that the gateway's authority makes for the session.
    pub(crate) certificate: Option<Spanned<bool>>,
    /// SSH: the host's keys, as in `known_hosts` without the name.
    pub(crate) host_keys: Option<Spanned<Vec<Spanned<String>>>>,
    /// SSH: authorities whose host certificates are good.
    pub(crate) host_ca: Option<Spanned<Vec<Spanned<String>>>>,
    /// SSH: the name that a host certificate must be for; the address's host when absent.
    pub(crate) host_name: Option<Spanned<String>>,
    /// SSH: environment variables that clients may set, with `*` and `?`; `LANG` and `LC_*` when absent.
    pub(crate) accept_env: Option<Spanned<Vec<Spanned<String>>>>,
    /// SSH: what an interactive shell is: `guarded` (the default) or `recorded`.
    pub(crate) shell: Option<Spanned<String>>,
    /// SSH: what is recorded of a file's content: its `digest` (the default) or its `content`.
    pub(crate) files: Option<Spanned<String>>,
    /// SSH: which shell runs the lines of a guarded shell: `bash` (the default) or `sh`.
    pub(crate) login_shell: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EphemeralEntry {
    /// The roles that sessions can be granted.
    pub(crate) grantable: Spanned<Vec<Spanned<String>>>,
    /// The role that gets what sessions made, when they end; it is dropped when absent.
    pub(crate) owner: Option<Spanned<String>>,
    /// What the roles' names begin with; `sp` when absent.
    pub(crate) prefix: Option<Spanned<String>>,
}

/// An option and where it is, if it is there.
pub(crate) type Place = (&'static str, Option<Range<usize>>);

impl Entry {
    /// The options that targets of PostgreSQL alone have.
    pub(crate) fn of_postgres(&self) -> [Place; 10] {
        [
            ("database", span(&self.database)),
            ("tls", span(&self.tls)),
            ("ca_file", span(&self.ca_file)),
            ("server_name", span(&self.server_name)),
            ("client_certificate", span(&self.client_certificate)),
            ("client_key", span(&self.client_key)),
            ("auth", span(&self.auth)),
            ("channel_binding", span(&self.channel_binding)),
            ("startup_settings", span(&self.startup_settings)),
            ("ephemeral", span(&self.ephemeral)),
        ]
    }

    /// The options that targets of SSH alone have.
    pub(crate) fn of_ssh(&self) -> [Place; 13] {
        [
            ("logins", span(&self.logins)),
            ("private_key_file", span(&self.private_key_file)),
            ("private_key", span(&self.private_key)),
            ("private_key_passphrase_file", span(&self.private_key_passphrase_file)),
            ("private_key_passphrase_env", span(&self.private_key_passphrase_env)),
            ("certificate", span(&self.certificate)),
            ("host_keys", span(&self.host_keys)),
            ("host_ca", span(&self.host_ca)),
            ("host_name", span(&self.host_name)),
            ("accept_env", span(&self.accept_env)),
            ("shell", span(&self.shell)),
            ("files", span(&self.files)),
            ("login_shell", span(&self.login_shell)),
        ]
    }

    /// The options that only whoever logs in needs, whatever the protocol; `user` among them for PostgreSQL, where
    /// nobody chooses an account.
    pub(crate) fn of_login(&self) -> Vec<Place> {
        let mut places = vec![
            ("address", span(&self.address)),
            ("password_file", span(&self.password_file)),
            ("password_env", span(&self.password_env)),
            ("credential", span(&self.credential)),
            ("connect_timeout_s", span(&self.connect_timeout_s)),
            ("login_timeout_s", span(&self.login_timeout_s)),
        ];
        if self.protocol.get_ref() == "postgres" {
            places.push(("user", span(&self.user)));
        }
        let of_protocols = self.of_postgres().into_iter().chain(self.of_ssh());
        places.extend(of_protocols.filter(|(option, _)| !JUDGED.contains(option) && *option != "logins"));
        places
    }

    /// The options that only whoever judges needs.
    pub(crate) fn of_judging(&self) -> Vec<Place> {
        let mut places = vec![
            ("agent", span(&self.agent)),
            ("environment", span(&self.environment)),
            ("tags", span(&self.tags)),
            ("enforce", span(&self.enforce)),
        ];
        let of_protocols = self.of_postgres().into_iter().chain(self.of_ssh());
        places.extend(of_protocols.filter(|(option, _)| JUDGED.contains(option)));
        places
    }
}

/// The options of protocols that say what may be done, not how to log in.
const JUDGED: [&str; 7] = [
    "database",
    "mask_at",
    "startup_settings",
    "accept_env",
    "shell",
    "files",
    "login_shell",
];

fn span<T>(value: &Option<Spanned<T>>) -> Option<Range<usize>> {
    value.as_ref().map(Spanned::span)
}
