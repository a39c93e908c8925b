//! What a server was asked to run.
//!
//! sshd hands every command, every shell and every subsystem that is a program to the account's login shell. So the login
//! shell is where they are seen: a script that writes down what it was given and then becomes bash, with the
//! same arguments, environment and depth. (`ForceCommand` would see as much, but it replaces what runs and adds a variable
//! to its environment; a library loaded before programs would change them and miss static ones.)

use std::path::{Path, PathBuf};

use super::account::put;
use crate::TestbedError;

/// The login shell. `-p` keeps the environment's `BASH_ENV` and functions for the shell that it becomes.
///
/// `exec` gives back the level in `SHLVL` that this script took. One file for each start, since two may be at once.
const SHELL: &str = r#"#!/bin/bash -p
# What is asked for is written before it runs.
if [ "$1" = -c ]; then what=exec; else what=shell; fi
printf '%s\0%s\0%s' "$what" "$USER" "$2" > "{dir}/audit/$PPID.$$"
export SHELL=/bin/bash
if [ $what = shell ]; then exec -a -bash /bin/bash; fi
exec -a bash /bin/bash "$@"
"#;

/// The SFTP subsystem, whose own words about each operation go into a file instead of to the client.
const SFTP: &str = "#!/bin/sh\nexec /usr/lib/openssh/sftp-server -e -l VERBOSE \"$@\" 2>>\"{dir}/sftp.log\"\n";

/// Something that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The account.
    pub user: String,
    /// What was asked for.
    pub what: What,
}

/// What a client can ask a server to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A command line, given to the account's shell.
    Exec(String),
    /// A login shell.
    Shell,
    /// The SFTP subsystem.
    Sftp,
}

/// The record of one server, in a directory of the machine.
#[derive(Debug, Clone)]
pub struct Audit {
    dir: PathBuf,
    seen: PathBuf,
}

impl Audit {
    /// Lays the scripts `shell` (a login shell) and `sftp` (the subsystem's program) into `dir`, which the server's
    /// accounts see as `seen`, and makes the places where they write.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn lay(dir: &Path, seen: &Path) -> Result<Audit, TestbedError> {
        lay(dir, seen)?;
        Ok(Audit::at(dir, seen))
    }

    /// The record that is written below `dir`, which the server's accounts see as `seen`.
    pub fn at(dir: &Path, seen: &Path) -> Audit {
        Audit {
            dir: dir.to_owned(),
            seen: seen.to_owned(),
        }
    }

    /// Every command, shell and subsystem that was started, in order of time. Each is written before it starts.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn ran(&self) -> Result<Vec<Ran>, TestbedError> {
        read(&self.dir.join("audit"), &self.seen.join("sftp"))
    }

    /// What the SFTP subsystem did: a line for each operation, as sftp-server words it.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn sftp(&self) -> Result<Vec<String>, TestbedError> {
        let path = self.dir.join("sftp.log");
        let bytes = std::fs::read(&path).map_err(TestbedError::file(path))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(text.lines().map(|line| line.trim_end().to_owned()).collect())
    }
}

fn lay(dir: &Path, seen: &Path) -> Result<(), TestbedError> {
    let text = |script: &str| script.replace("{dir}", &seen.display().to_string());
    put(&dir.join("shell"), &text(SHELL), 0o755)?;
    put(&dir.join("sftp"), &text(SFTP), 0o755)?;
    put(&dir.join("sftp.log"), "", 0o666)?;
    let audit = dir.join("audit");
    std::fs::create_dir(&audit).map_err(TestbedError::file(&audit))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&audit, mode).map_err(TestbedError::file(&audit))
}

fn read(audit: &Path, sftp: &Path) -> Result<Vec<Ran>, TestbedError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(audit).map_err(TestbedError::file(audit))? {
        let path = entry.map_err(TestbedError::file(audit))?.path();
        let time = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
        let bytes = std::fs::read(&path).map_err(TestbedError::file(&path))?;
        found.push((time.map_err(TestbedError::file(&path))?, bytes));
    }
    found.sort();
    let sftp = sftp.display().to_string();
    Ok(found.iter().filter_map(|(_, bytes)| parse(bytes, &sftp)).collect())
}

/// A file that was opened and not written yet has nothing to say.
fn parse(bytes: &[u8], sftp: &str) -> Option<Ran> {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(3, '\0');
    let (what, user, line) = (parts.next()?, parts.next()?, parts.next()?);
    let what = match what {
        "shell" => What::Shell,
        _ if line == sftp => What::Sftp,
        _ => What::Exec(line.to_owned()),
    };
    let user = user.to_owned();
    Some(Ran { user, what })
}
