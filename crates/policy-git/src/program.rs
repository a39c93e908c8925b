//! Running the git program: nothing of the machine's configuration, no questions, no hooks, one protocol, bounds on everything.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::address::Transport;
use crate::settings::{Access, Settings, Signers};

/// Where git and what it runs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Variables of the gateway's that say how the network is reached.
const PASSED: &[&str] = &[
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];
/// How much of what git complains about is kept.
const MAX_COMPLAINT_BYTES: usize = 16 * 1024;
/// How much of it is said.
const MAX_SAID: usize = 600;
const MAX_TOKEN_BYTES: u64 = 64 * 1024;
/// Sizes that `ulimit -f` counts in.
const BLOCK_BYTES: u64 = 512;
/// The most memory that git, and each program that it starts, may have: a pack can be made that unfolds to any size.
const MAX_MEMORY_KIB: u64 = 2 << 20;
/// Keeps git's memory, and the files that it writes, within bounds: the first argument in KiB, and the second in blocks.
const BOUNDED: &str = "ulimit -v \"$1\" && ulimit -f \"$2\" && shift 2 && exec git \"$@\"";
/// What a shell ends with that finds no such program.
const NOT_FOUND: i32 = 127;

/// Why git did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// It cannot be started.
    #[error("git cannot be run: {0}")]
    Start(io::Error),
    /// Its output or its input broke.
    #[error("git broke off: {0}")]
    Broken(io::Error),
    /// It took too long.
    #[error("git took more than {} seconds and was ended", .0.as_secs())]
    Slow(Duration),
    /// It said too much.
    #[error("git's answer has more than {0} bytes")]
    Long(u64),
    /// A credential cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Credential {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What git said.
#[derive(Debug)]
pub(crate) struct Said {
    status: ExitStatus,
    /// Its output.
    pub(crate) output: Vec<u8>,
    complaint: Vec<u8>,
}

impl Said {
    /// Whether it went well.
    pub(crate) fn is_good(&self) -> bool {
        self.status.success()
    }

    /// What it complained about, in one line that is fit to be shown.
    pub(crate) fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.complaint);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = lines.collect::<Vec<_>>().join("; ");
        let said: String = line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(MAX_SAID)
            .collect();
        if said.is_empty() { self.status.to_string() } else { said }
    }
}

/// The git program for one repository, with a folder of its own for what it writes.
#[derive(Debug)]
pub(crate) struct Program {
    home: PathBuf,
    transport: Transport,
    access: Access,
    settings: Vec<(&'static str, OsString)>,
    max_file_blocks: u64,
}

impl Program {
    /// Lays out `home`, which nobody else writes to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn new(home: &Path, settings: &Settings) -> io::Result<Self> {
        for folder in ["tmp", "gnupg"] {
            fs::DirBuilder::new().mode(0o700).create(home.join(folder))?;
        }
        // What serves a local repository is not given settings by the environment, but reads this file.
        let folder = settings.repository.folder();
        // With as many threads as processors it could need more memory than it may have.
        let serving = folder.map(|folder| {
            let folder = quoted(&folder);
            format!("[safe]\n\tdirectory = {folder}\n[pack]\n\tthreads = 1\n")
        });
        write_new(&home.join("gitconfig"), &serving.unwrap_or_default())?;
        write_new(&home.join("gnupg/gpg.conf"), "no-autostart\nno-auto-key-retrieve\n")?;
        Ok(Self {
            home: home.to_owned(),
            transport: settings.repository.transport(),
            access: settings.access.clone(),
            settings: all_settings(settings),
            max_file_blocks: settings.max_fetch_bytes / BLOCK_BYTES,
        })
    }

    /// Runs git on what is here already.
    ///
    /// # Cancel safety
    /// If this is dropped, git and what it started are killed.
    pub(crate) async fn run<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        input: Vec<u8>,
        max_output: u64,
        within: Duration,
    ) -> Result<Said, ProgramError> {
        let command = self.git(arguments);
        found(Box::pin(exchange(command, input, max_output, within)).await?)
    }

    /// Runs git, which speaks to the host.
    ///
    /// # Cancel safety
    /// If this is dropped, git and what it started are killed.
    pub(crate) async fn run_remote<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        max_output: u64,
        within: Duration,
    ) -> Result<Said, ProgramError> {
        let mut command = self.git(arguments);
        command.env("GIT_ALLOW_PROTOCOL", self.transport.protocol());
        let mut settings = self.settings.clone();
        if let Some(header) = self.authorization()? {
            settings.push(("http.extraHeader", header.expose_secret().into()));
        }
        give(&mut command, &settings);
        found(Box::pin(exchange(command, Vec::new(), max_output, within)).await?)
    }

    /// Imports OpenPGP keys.
    pub(crate) async fn import(&self, keyring: &Path, within: Duration) -> Result<Said, ProgramError> {
        let arguments = ["--batch", "--quiet", "--no-tty", "--import", "--"].map(OsStr::new);
        let arguments: Vec<&OsStr> = arguments.into_iter().chain([keyring.as_os_str()]).collect();
        Box::pin(exchange(self.command("gpg", &arguments), Vec::new(), 64 * 1024, within)).await
    }

    /// Git within its bounds.
    fn git<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let (memory, blocks) = (MAX_MEMORY_KIB.to_string(), self.max_file_blocks.to_string());
        let bounded = ["-c", BOUNDED, "sh", &memory, &blocks].map(OsStr::new);
        let arguments: Vec<&OsStr> = bounded.into_iter().chain(arguments.iter().map(AsRef::as_ref)).collect();
        self.command("sh", &arguments)
    }

    fn command<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.home).env_clear();
        for name in PASSED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        for (name, value) in [
            ("PATH", PATH),
            ("LC_ALL", "C"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", "/bin/false"),
            ("SSH_ASKPASS", "/bin/false"),
            ("SSH_ASKPASS_REQUIRE", "never"),
            ("GIT_ALLOW_PROTOCOL", "none"),
            ("GIT_PROTOCOL_FROM_USER", "0"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_SSH_VARIANT", "ssh"),
            ("GIT_SSH_COMMAND", &ssh_command(&self.access)),
        ] {
            command.env(name, value);
        }
        command
            .env("HOME", &self.home)
            .env("XDG_CONFIG_HOME", &self.home)
            .env("TMPDIR", self.home.join("tmp"))
            .env("GNUPGHOME", self.home.join("gnupg"))
            .env("GIT_CONFIG_GLOBAL", self.home.join("gitconfig"))
            .env("GIT_CEILING_DIRECTORIES", &self.home);
        give(&mut command, &self.settings);
        command
    }

    /// What shows the host who asks. In the environment and not among the arguments, which everybody on the machine sees.
    fn authorization(&self) -> Result<Option<SecretString>, ProgramError> {
        let Some(path) = &self.access.token_file else {
            return Ok(None);
        };
        let fault = |source| ProgramError::Credential {
            path: path.clone(),
            source,
        };
        let mut token = String::new();
        let file = fs::File::open(path).map_err(fault)?;
        io::Read::read_to_string(&mut io::Read::take(file, MAX_TOKEN_BYTES), &mut token).map_err(fault)?;
        // Hosts that take tokens take them with any user.
        let user = self.access.username.as_deref().unwrap_or("git");
        let token = SecretString::from(token);
        let both = SecretString::from(format!("{user}:{}", token.expose_secret().trim()));
        let header = format!("Authorization: Basic {}", STANDARD.encode(both.expose_secret()));
        Ok(Some(header.into()))
    }
}

/// What git said, if there is a git.
fn found(said: Said) -> Result<Said, ProgramError> {
    if said.status.code() == Some(NOT_FOUND) {
        let missing = io::Error::new(io::ErrorKind::NotFound, said.complaint());
        return Err(ProgramError::Start(missing));
    }
    Ok(said)
}

/// What git is told, whatever the machine's own configuration says.
fn all_settings(settings: &Settings) -> Vec<(&'static str, OsString)> {
    let mut all: Vec<(&'static str, OsString)> = [
        ("core.hooksPath", "/dev/null"),
        ("core.fsmonitor", "false"),
        ("core.symlinks", "false"),
        ("core.attributesFile", "/dev/null"),
        ("core.excludesFile", "/dev/null"),
        ("core.bigFileThreshold", "4m"),
        ("core.packedGitWindowSize", "32m"),
        ("core.packedGitLimit", "512m"),
        ("credential.helper", ""),
        ("fetch.fsckObjects", "true"),
        ("fetch.recurseSubmodules", "false"),
        // What is fetched stays one file, which is bounded, however many objects it has.
        ("fetch.unpackLimit", "1"),
        ("transfer.unpackLimit", "1"),
        ("submodule.recurse", "false"),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
        ("pack.threads", "1"),
        ("init.defaultBranch", "main"),
        ("http.followRedirects", "false"),
        ("http.lowSpeedLimit", "1000"),
        ("http.lowSpeedTime", "20"),
        ("gpg.x509.program", "/bin/false"),
    ]
    .map(|(name, value)| (name, OsString::from(value)))
    .into();
    if let Some(file) = &settings.access.ca_file {
        all.push(("http.sslCAInfo", file.into()));
    }
    match &settings.signers {
        Some(Signers::Ssh(file)) => {
            all.push(("gpg.ssh.allowedSignersFile", file.into()));
            // A signature that only fits some key, and none of the file, is worth nothing.
            all.push(("gpg.minTrustLevel", "fully".into()));
            all.push(("gpg.program", "/bin/false".into()));
        }
        Some(Signers::OpenPgp(_)) => {
            all.push(("gpg.ssh.allowedSignersFile", "/dev/null".into()));
            all.push(("gpg.ssh.program", "/bin/false".into()));
        }
        None => {}
    }
    all
}

fn give(command: &mut Command, settings: &[(&'static str, OsString)]) {
    command.env("GIT_CONFIG_COUNT", settings.len().to_string());
    for (at, (name, value)) in settings.iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{at}"), name);
        command.env(format!("GIT_CONFIG_VALUE_{at}"), value);
    }
}

/// What a shell runs for SSH: nobody's configuration, no questions, only hosts that are known.
fn ssh_command(access: &Access) -> String {
    let mut command = "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes -o UpdateHostKeys=no \
                       -o IdentitiesOnly=yes -o IdentityAgent=none -o ConnectTimeout=10 -o ServerAliveInterval=10 \
                       -o ClearAllForwardings=yes -o ForwardAgent=no -o PermitLocalCommand=no -o ProxyCommand=none \
                       -o ControlMaster=no -o ControlPath=none"
        .to_owned();
    match &access.known_hosts_file {
        Some(file) => {
            // ssh splits the value of an option at blanks, after the shell has read it.
            let value = format!("UserKnownHostsFile=\"{}\"", file.display());
            command.push_str(&format!(" -o GlobalKnownHostsFile=/dev/null -o {}", for_shell(&value)));
        }
        None => command.push_str(" -o UserKnownHostsFile=/dev/null"),
    }
    if let Some(file) = &access.identity_file {
        command.push_str(&format!(" -i {}", for_shell(&file.display().to_string())));
    }
    command
}

fn for_shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A value of a git configuration file.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new();
    let mut file = file.write(true).create_new(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
}

/// A program and what it started. They are killed if this is dropped before the program has ended.
struct Group {
    child: Child,
    /// Gone once the program has been waited for: its number may be another's then.
    id: Option<Pid>,
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // It may have ended by itself.
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
}

async fn exchange(
    mut command: Command,
    input: Vec<u8>,
    max_output: u64,
    within: Duration,
) -> Result<Said, ProgramError> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let child = command.spawn().map_err(ProgramError::Start)?;
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let mut group = Group { child, id };
    let stdin = group.child.stdin.take();
    let (stdout, stderr) = (group.child.stdout.take(), group.child.stderr.take());
    let speaking = async {
        let told = async {
            // Who ends without reading says so by its status.
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(&input).await;
            }
        };
        let ((), output, complaint) = tokio::join!(told, output(stdout, max_output), complaint(stderr));
        let output = output?;
        let status = group.child.wait().await.map_err(ProgramError::Broken)?;
        Ok(Said {
            status,
            output,
            complaint,
        })
    };
    let said = timeout(within, speaking)
        .await
        .map_err(|_| ProgramError::Slow(within))??;
    group.id = None;
    Ok(said)
}

/// The output, unless it is longer than it may be; then the program may break off.
async fn output(stream: Option<impl AsyncRead + Unpin>, max: u64) -> Result<Vec<u8>, ProgramError> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let mut bounded = stream.take(max.saturating_add(1));
        bounded.read_to_end(&mut bytes).await.map_err(ProgramError::Broken)?;
    }
    if bytes.len() as u64 > max {
        return Err(ProgramError::Long(max));
    }
    Ok(bytes)
}

/// The beginning of what a program complains about; the rest is read and forgotten.
async fn complaint(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return kept };
    let mut buffer = vec![0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let room = MAX_COMPLAINT_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(buffer.get(..read.min(room)).unwrap_or_default());
    }
    kept
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn program(folder: &Path, settings: &Settings) -> Program {
        Program::new(folder, settings).unwrap()
    }

    fn settings() -> Settings {
        Settings::parse("git+file:///nowhere#main", Path::new("/")).unwrap()
    }

    #[tokio::test]
    async fn too_much_and_too_long_are_ended() {
        let folder = tempfile::tempdir().unwrap();
        let git = program(folder.path(), &settings());
        let within = Duration::from_secs(20);
        let long = git.run(&["help", "-a"], Vec::new(), 10, within).await;
        assert!(matches!(long, Err(ProgramError::Long(10))), "{long:?}");
        // It waits for its input, which a pipe that nobody closes would give; the shell below never ends by itself.
        let mut endless = Command::new("sh");
        endless.args(["-c", "sleep 1000 & echo $!; wait"]);
        let slow = exchange(endless, Vec::new(), 100, Duration::from_millis(200)).await;
        assert!(matches!(slow, Err(ProgramError::Slow(_))), "{slow:?}");
    }

    #[tokio::test]
    async fn nothing_of_the_machine_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let git = program(folder.path(), &settings());
        let arguments = ["config", "--list", "--show-scope"];
        let said = git
            .run(&arguments, Vec::new(), 65_536, Duration::from_secs(20))
            .await
            .unwrap();
        let listed = String::from_utf8(said.output).unwrap();
        assert!(listed.contains("command\tcore.hookspath=/dev/null"), "{listed}");
        assert!(listed.contains("global\tsafe.directory=/nowhere"), "{listed}");
        let ours = ["command\t", "global\tsafe.directory=", "global\tpack.threads=1"];
        let foreign = |line: &&str| !ours.iter().any(|our| line.starts_with(our));
        assert_eq!(listed.lines().find(foreign), None);
    }

    #[tokio::test]
    async fn memory_and_files_are_bounded_here_and_at_the_host() {
        let folder = tempfile::tempdir().unwrap();
        let git = program(folder.path(), &settings());
        let arguments = ["-c", "alias.bounds=!ulimit -v; ulimit -f; :", "bounds"];
        let within = Duration::from_secs(20);
        let bounds = format!("{MAX_MEMORY_KIB}\n{}\n", git.max_file_blocks);
        let here = git.run(&arguments, Vec::new(), 1024, within).await.unwrap();
        assert_eq!(String::from_utf8(here.output).unwrap(), bounds);
        let there = git.run_remote(&arguments, 1024, within).await.unwrap();
        assert_eq!(String::from_utf8(there.output).unwrap(), bounds);
    }

    #[test]
    fn paths_cannot_become_words_of_a_shell() {
        let access = Access {
            identity_file: Some("/a b/it's; touch x".into()),
            ..Access::default()
        };
        assert!(ssh_command(&access).ends_with(r" -i '/a b/it'\''s; touch x'"));
    }
}
