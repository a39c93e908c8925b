//! Targets: what can be reached, with which credential, and how.
//!
//! `targets.toml` becomes a [`Catalogue`]; a [`Target`] gives a [`Lease`] for one session; [`dial_tcp`]
//! reaches what the lease names. Secrets are in `secrecy` types and never in `Debug`, errors or logs.
//!
//! ```toml
//! [[target]]
//! name = "orders"                       # what clients connect to
//! protocol = "postgres"
//! address = "db1.internal:5432"
//! environment = "production"            # what rules speak of
//! tags = ["pci"]
//! database = "orders"                   # at the target; the target's name when absent
//! tls = "verify-full"                   # the default; or verify-ca, require, disable
//! ca_file = "ca.crt"                    # the operating system's authorities when absent
//! user = "gateway"
//! password_file = "/run/secrets/orders" # or password_env = "ORDERS_PASSWORD", or credential = { source = … }
//! auth = ["scram-sha-256"]              # the default; md5, password and trust only if listed
//! channel_binding = "prefer"            # the default; or require, disable
//! startup_settings = ["search_path"]    # what clients may set at connect besides the harmless
//! ```
//!
//! A certificate must carry the name that is dialled as a subject alternative name; the common name alone
//! does not count. A server's own self-signed certificate as `ca_file` pins it.
//!
//! ```toml
//! [[target]]
//! name = "web-1"
//! protocol = "ssh"
//! address = "web1.internal:22"
//! user = "deploy"                       # whom to log in as
//! logins = ["root"]                     # further accounts that a person may ask for
//! certificate = true                    # or password_file, password_env, private_key_file, credential, private_key
//! host_keys = ["ssh-ed25519 AAAA…"]     # or host_ca, with host_name; one of them there must be
//! accept_env = ["LANG", "LC_*"]         # the default
//! shell = "guarded"                     # the default; or gated, or recorded
//! files = "digest"                      # the default; or content
//! login_shell = "bash"                  # the default; or sh
//! ```
//!
//! A target that agents log in to has `agent = "eu-west"` and none of the options that say how: these are in the
//! agents' own file, which [`Catalogue::parse_for_agent`] reads and which has only them.

mod address;
mod broker;
mod catalogue;
mod dial;
mod file;
mod lease;
mod own;
mod postgres;
mod ssh;

pub use address::{Address, AddressError};
pub use broker::Broker;
pub use catalogue::{Access, Catalogue, CatalogueError, Patience, Target, Way};
pub use dial::{ConnectError, dial_tcp};
pub use lease::{Lease, LeaseError, OtherProtocol, PostgresLease, SshLease};
pub use postgres::{Administrator, AuthMethod, ChannelBinding, Ephemeral, MaskAt, Postgres, PostgresLogin, Tls};
pub use ssh::{
    AcceptEnv, FileRecording, FoundKey, HostTrust, LoginShell, ShellMode, Signer, Ssh, SshCredential, SshLogin,
    SshSecret, UnusableKey,
};
