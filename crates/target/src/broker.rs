//! Who fetches the credentials of a process's targets.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sallyport_credential::{Background, Credentials, Environment, Options, Stores};

use crate::own::Own;

/// Fetches the credentials of targets, for as long as the process lives: what it makes and must end outlives the file
/// that it was asked for in. Clones are the same.
#[derive(Clone)]
pub struct Broker {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    /// What no target may name.
    own: Own,
    /// Logins at stores are kept while the file says the same of them.
    known: Mutex<Option<(Stores, Arc<Credentials>)>>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").finish_non_exhaustive()
    }
}

/// One that runs no commands.
impl Default for Broker {
    fn default() -> Self {
        Self::with(Options::default())
    }
}

impl Broker {
    /// One that runs the commands that a file of targets names, if `commands` is true: then whoever writes the file
    /// decides what this process runs.
    #[must_use]
    pub fn new(commands: bool) -> Self {
        Self::keeping(commands, [])
    }

    /// The same for a file that others write: what is `own` to the process, folders with all that is in them and files,
    /// can be no target's credential, nor can what the kernel shows of the process.
    #[must_use]
    pub fn keeping(commands: bool, own: impl IntoIterator<Item = PathBuf>) -> Self {
        let options = Options {
            commands,
            ..Options::default()
        };
        Self::of(options, Own::of(own))
    }

    /// For a file that is only looked at: what its stores would learn from the environment is taken for granted.
    #[must_use]
    pub fn elsewhere() -> Self {
        let granted = [
            ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
            ("KUBERNETES_SERVICE_PORT", "443"),
            ("AWS_REGION", "elsewhere"),
            ("AWS_ROLE_ARN", "elsewhere"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/elsewhere"),
            ("AZURE_TENANT_ID", "elsewhere"),
            ("AZURE_CLIENT_ID", "elsewhere"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/elsewhere"),
        ];
        Self::with(Options {
            environment: Environment::given(granted),
            ..Options::default()
        })
    }

    fn with(options: Options) -> Self {
        Self::of(options, Own::default())
    }

    fn of(options: Options, own: Own) -> Self {
        let inner = Inner {
            options,
            own,
            known: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What keeps and ends credentials that were made for one session.
    pub fn background(&self) -> &Background {
        &self.inner.options.background
    }

    /// Waits until all that was made for sessions is ended, for some time at most.
    pub async fn drained(&self, within: Duration) {
        let left = self.background().drained(within).await;
        if left > 0 {
            tracing::warn!(
                left,
                "credentials that were made for sessions could not be ended; they end when their time is over"
            );
        }
    }

    /// What fetches from these stores.
    pub(crate) fn credentials(&self, stores: Stores) -> Result<Arc<Credentials>, String> {
        let mut known = self.inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((same, credentials)) = &*known
            && *same == stores
        {
            return Ok(Arc::clone(credentials));
        }
        let credentials = Arc::new(Credentials::new(&stores, self.inner.options.clone())?);
        *known = Some((stores, Arc::clone(&credentials)));
        Ok(credentials)
    }

    /// What no target may name.
    pub(crate) fn own(&self) -> &Own {
        &self.inner.own
    }

    /// Whether stores can be used at all.
    pub(crate) fn check(&self, stores: &Stores) -> Result<(), String> {
        stores.files().iter().try_for_each(|file| self.own().check_file(file))?;
        Credentials::new(stores, self.inner.options.clone()).map(drop)
    }
}
