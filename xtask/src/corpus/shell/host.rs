//! The host of one case.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use sallyport_testbed::{Audit, Ran};
use tempfile::TempDir;

use super::root::{self, Keys};
use crate::process;

/// Where the host's sshd listens, in the network of the worker.
pub(super) const PORT: u16 = 2222;

/// The name of the host's processes.
const HOST: &str = "host";

const READY: Duration = Duration::from_secs(10);
/// How long what a command left behind may go on before the case is judged.
const REST: Duration = Duration::from_secs(3);

/// `$1` the root of the files, `$2` a file for the process's id outside, then what runs in there.
///
/// Nothing in there can make devices, load modules, change clocks or networks or end the machine.
const ENTER: &str = r#"
set -e
root=$1 pidfile=$2; shift 2
read -r pid rest </proc/self/stat
echo "$pid" >"$pidfile"
mount -t proc -o ro,nosuid,nodev,noexec proc "$root/proc"
mount -t devpts -o newinstance,ptmxmode=0666,gid=5,mode=620 devpts "$root/dev/pts"
hostname web-1
[ ! -e "$CLIENT" ] || { mount --bind "$CLIENT" "$root/opt/client"; for pair in $BINDS; do
    mount --bind "$CLIENT/${pair%%:*}" "$root${pair#*:}"; done; }
unset CLIENT BINDS
exec setpriv --bounding-set=-mknod,-sys_module,-sys_rawio,-sys_boot,-sys_time,-syslog,-net_admin,-bpf,-perfmon \
    chroot "$root" "$@"
"#;

/// The files of which each case gets a copy.
pub(crate) struct Host {
    dir: TempDir,
    base: PathBuf,
    pub(super) keys: Keys,
}

impl Host {
    /// Lays the files.
    pub(super) fn new() -> Result<Host> {
        let memory = Path::new("/dev/shm");
        let dir = tempfile::Builder::new().prefix("sallyport-shell-").tempdir_in(memory)?;
        let base = root::base()?;
        let keys = root::dress(&dir.path().join("dress"), dir.path(), &base)?;
        Ok(Host { dir, base, keys })
    }

    /// Files of the worker, which the host does not see.
    pub(super) fn aside(&self) -> &Path {
        self.dir.path()
    }

    /// Starts a host with fresh files. With `harmless` it runs nothing that it is asked to.
    pub(super) fn start(&self, harmless: bool) -> Result<Running<'_>> {
        let place = self.dir.path();
        for part in ["upper", "work", "root"] {
            std::fs::create_dir(place.join(part))
                .with_context(|| format!("`{part}` of the last case is still there"))?;
        }
        let at = |part: &str| place.join(part).display().to_string();
        let options = format!(
            "redirect_dir=on,lowerdir={}:{},upperdir={},workdir={}",
            at("dress"),
            self.base.display(),
            at("upper"),
            at("work")
        );
        let mut mount = Command::new("mount");
        process::capture(
            mount
                .args(["-t", "overlay", "overlay", "-o", &options])
                .arg(place.join("root")),
        )?;
        let mut running = Running { host: self, sshd: None };
        let mut words = vec!["/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/sshd_config"];
        if harmless {
            words.extend(["-o", "ForceCommand=/usr/local/lib/reached"]);
        }
        let log = std::fs::File::create(place.join("log"))?;
        let mut command = self.enter(HOST, &words, "", "");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        running.sshd = Some(command.spawn().context("`unshare` could not be started")?);
        running.wait_until_ready()?;
        Ok(running)
    }

    /// A command that runs in the files of the running host, with processes of its own. `client` is a directory that is
    /// seen there as `/opt/client`, and `binds` which of its files take the place of others (`name:/path …`).
    pub(super) fn enter(&self, name: &str, words: &[&str], client: &str, binds: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
            "--ipc",
            "--uts",
        ]);
        command.args(["--", "/bin/sh", "-c", ENTER, "enter"]);
        command
            .arg(self.dir.path().join("root"))
            .arg(self.pid_file(name))
            .args(words);
        command.env_clear().env("CLIENT", client).env("BINDS", binds);
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        for (name, value) in [
            ("HOME", "/root"),
            ("USER", "root"),
            ("SHELL", "/bin/bash"),
            ("TERM", "xterm"),
        ] {
            command.env(name, value);
        }
        command.env("LC_ALL", "C.UTF-8").current_dir("/");
        command
    }

    fn pid_file(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.pid"))
    }

    /// The process outside that is the first of a namespace inside.
    fn first(&self, name: &str) -> Option<Pid> {
        let text = std::fs::read_to_string(self.pid_file(name)).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    /// Ends everything that runs under this name.
    pub(super) fn end(&self, name: &str) {
        if let Some(pid) = self.first(name) {
            // It is gone already when it ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// What ran under this name has ended, and another may.
    pub(super) fn forget(&self, name: &str) {
        // One that never came so far left no file.
        let _ = std::fs::remove_file(self.pid_file(name));
    }
}

/// A host that runs. Dropping it ends it and takes its files away.
pub(super) struct Running<'a> {
    host: &'a Host,
    sshd: Option<Child>,
}

impl Running<'_> {
    /// Where it listens.
    pub(super) fn address() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))
    }

    /// A file of the host, as the host sees it; `~` is the account's home directory.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        match path.strip_prefix("~/") {
            Some(below) => self.root().join("root").join(below),
            None => self.root().join(path.trim_start_matches('/')),
        }
    }

    /// What was changed.
    pub(super) fn changes(&self) -> PathBuf {
        self.host.dir.path().join("upper")
    }

    /// What the host was asked to run.
    pub(super) fn ran(&self) -> Result<Vec<Ran>> {
        let dir = self.path(root::AUDIT);
        // The case may have removed it.
        if !dir.join("audit").is_dir() {
            return Ok(Vec::new());
        }
        Ok(Audit::at(&dir, Path::new(root::AUDIT)).ran()?)
    }

    /// Waits until nothing runs any more but sshd itself: sessions, and what they left behind, which are all its children.
    pub(super) fn rest(&self) {
        let Some(first) = self.host.first(HOST) else { return };
        let children = format!("/proc/{0}/task/{0}/children", first.as_raw_nonzero());
        let end = Instant::now() + REST;
        while Instant::now() < end {
            if std::fs::read_to_string(&children).is_ok_and(|list| list.trim().is_empty()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn root(&self) -> PathBuf {
        self.host.dir.path().join("root")
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < READY {
            if greets().unwrap_or(false) {
                return Ok(());
            }
            let ended = self.sshd.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let log = std::fs::read_to_string(self.host.dir.path().join("log")).unwrap_or_default();
        bail!("the host's sshd does not answer: {}", log.trim())
    }

    fn end(&mut self) -> Result<()> {
        if let Some(mut child) = self.sshd.take() {
            self.host.end(HOST);
            child.wait()?;
            self.host.forget(HOST);
        }
        process::capture(Command::new("umount").arg(self.root()))?;
        for part in ["upper", "work", "root"] {
            std::fs::remove_dir_all(self.host.dir.path().join(part))?;
        }
        Ok(())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("corpus: a host could not be taken away: {error:#}");
        }
    }
}

/// Whether sshd says the first words of the protocol.
fn greets() -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(Running::address())?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut words = [0_u8; 8];
    stream.read_exact(&mut words)?;
    Ok(&words == b"SSH-2.0-")
}
