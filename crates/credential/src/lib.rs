//! Where a target's secrets are fetched from, and for how long they may be used.
//!
//! A [`Source`] says where a credential is; [`Credentials`] fetches it, at the moment when a session needs it, and gives
//! a [`Leased`]. Rotation therefore takes effect with the next session. Only logins at stores are kept, in memory, until shortly before they
//! end; a store that is away is an error, never an older secret.
//!
//! Secrets are in `secrecy` types; nothing that implements `Debug` shows one, and no error says what a store answered.
//! What HTTP, TLS and JSON copy on the way is theirs and is not wiped.
//!
//! A user that a Vault makes for a session is renewed while its [`Leased`] or [`Hold`] lives and ended when it is dropped: in the
//! background, with several tries, for half a minute. If the process is killed, or the Vault stays away for longer, the Vault ends
//! the user when the lease's time to live is over.

mod aws;
mod azure;
mod background;
mod bearer;
mod broker;
mod command;
mod environment;
mod error;
mod file;
mod google;
mod http;
mod kubernetes;
mod leased;
mod login;
mod names;
mod need;
mod pick;
mod place;
mod source;
mod text;
mod vault;

pub use aws::{AwsLogin, AwsSecretSource, AwsStore, RdsSource};
pub use azure::{AzureLogin, AzureSecretSource, AzureStore};
pub use background::Background;
pub use broker::{Credentials, Options, Stores};
pub use command::CommandSource;
pub use environment::Environment;
pub use error::{CommandFault, CredentialError, ServiceFault};
pub use google::{GoogleLogin, GoogleSecretSource, GoogleStore};
pub use kubernetes::{KubernetesSecretSource, KubernetesStore};
pub use leased::{Hold, Leased};
pub use need::{Need, SecretKind};
pub use source::{FileSource, Gives, Source, VariableSource};
pub use vault::{DatabaseSource, KvSource, KvVersion, SshSource, VaultLogin, VaultStore};
