use std::path::PathBuf;

/// Why a throw-away server could not be had.
#[derive(Debug, thiserror::Error)]
pub enum TestbedError {
    /// No PostgreSQL server programs were found.
    #[error("no PostgreSQL server programs found under /usr/lib/postgresql: install Debian's `postgresql`")]
    NoPostgres,
    /// No OpenSSH server was found.
    #[error("no `/usr/sbin/sshd`: install Debian's `openssh-server`")]
    NoSshd,
    /// What was asked for needs namespaces, which only root can make here.
    #[error("a throw-away SSH server with accounts of its own needs root")]
    NotRoot,
    /// No tinyproxy was found.
    #[error("no `/usr/bin/tinyproxy`: install Debian's `tinyproxy`")]
    NoProxy,
    /// This process may not make network namespaces.
    #[error("network namespaces cannot be made here: {reason}")]
    NoNamespaces {
        /// What the operating system said.
        reason: String,
    },
    /// A program could not be started.
    #[error("`{program}` could not be started")]
    Spawn {
        /// What was to be started.
        program: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A program ended with an error.
    #[error("`{program}` failed: {output}")]
    Failed {
        /// What was run.
        program: String,
        /// Its standard error, or the tail of its log.
        output: String,
    },
    /// The server did not answer in time.
    #[error("the server did not answer within {seconds} s: {log}")]
    NotReady {
        /// How long was waited, in seconds.
        seconds: u64,
        /// The tail of its log.
        log: String,
    },
    /// A file or directory could not be used.
    #[error("`{path}` could not be used")]
    File {
        /// The path in question.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A certificate could not be made.
    #[error("a test certificate could not be made")]
    Certificate(#[from] rcgen::Error),
}

impl TestbedError {
    /// Maps an I/O error to the path that it concerns.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> TestbedError {
        let path = path.into();
        move |source| TestbedError::File { path, source }
    }
}
