//! What a server was asked to run.
//!
//! sshd hands every command, every shell and every subsystem that is a program to the account's login shell. So the login
//! shell is where they are seen: a script that writes down what it was given and then becomes bash, with the
//! same arguments, environment and depth. (`ForceCommand` would see as much, but it replaces what runs and adds a variable
//! to its environment; a library loaded before programs would change them and miss static ones.)

use std::path::Path;

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

/// Lays the scripts that write the record.
pub(super) fn lay(dir: &Path) -> Result<(), TestbedError> {
    let text = |script: &str| script.replace("{dir}", &dir.display().to_string());
    put(&dir.join("shell"), &text(SHELL), 0o755)?;
    put(&dir.join("sftp"), &text(SFTP), 0o755)?;
    put(&dir.join("sftp.log"), "", 0o666)?;
    let audit = dir.join("audit");
    std::fs::create_dir(&audit).map_err(TestbedError::file(&audit))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&audit, mode).map_err(TestbedError::file(&audit))
}

/// Reads the record back.
pub(super) fn read(dir: &Path) -> Result<Vec<Ran>, TestbedError> {
    let (audit, sftp) = (dir.join("audit"), dir.join("sftp"));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&audit).map_err(TestbedError::file(&audit))? {
        let path = entry.map_err(TestbedError::file(&audit))?.path();
        let time = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
        let bytes = std::fs::read(&path).map_err(TestbedError::file(&path))?;
        found.push((time.map_err(TestbedError::file(&path))?, bytes));
    }
    found.sort();
    let sftp = sftp.display().to_string();
    Ok(found.iter().filter_map(|(_, bytes)| parse(bytes, &sftp)).collect())
}

/// What sftp-server said, without its process's and its sessions' frames.
pub(super) fn sftp(dir: &Path) -> Result<Vec<String>, TestbedError> {
    let path = dir.join("sftp.log");
    let bytes = std::fs::read(&path).map_err(TestbedError::file(path))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(text.lines().map(|line| line.trim_end().to_owned()).collect())
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
