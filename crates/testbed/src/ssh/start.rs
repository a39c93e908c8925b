//! Starting a server.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::key::{KeyKind, SshKey, keygen};
use super::{Account, Audit, Sshd, SshdOptions, account, config};
use crate::TestbedError;
use crate::net::{Host, place, within};
use crate::supervisor::Supervised;

const SSHD: &str = "/usr/sbin/sshd";

/// The file with the process id of the server, which is the first process of its namespace.
pub(super) const PID: &str = "sshd.pid";

/// `$1` the directory. Ends the first process of the namespace, and with it all others, before it ends itself: a file that
/// a session still writes would be in the way of removing the directory. (The supervisor's children ignore `TERM`.)
const OUTER: &str = r#"
dir=$1
trap 'kill -KILL "$(cat "$dir/sshd.pid")"; wait; exit 0' USR1
unshare --mount --propagation private --pid --fork --kill-child -- /bin/sh -c "$2" inner "$dir" &
wait $!
"#;

/// The machine's `/proc` still shows the ids of the machine's namespace, which are of use outside.
const INNER: &str = r#"
set -e
dir=$1
read -r pid rest </proc/self/stat
echo "$pid" >"$dir/sshd.pid"
mount -t proc proc /proc
mkdir -p /run/sshd
for file in passwd shadow group; do mount --bind "$dir/$file" "/etc/$file"; done
[ ! -e /etc/pam.d/sshd ] || mount --bind "$dir/pam" /etc/pam.d/sshd
cd /
exec /usr/sbin/sshd -D -e -f "$dir/sshd_config"
"#;

pub(super) fn start(options: &SshdOptions) -> Result<Sshd, TestbedError> {
    if !Path::new(SSHD).exists() {
        return Err(TestbedError::NoSshd);
    }
    if !std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0) {
        return Err(TestbedError::NotRoot);
    }
    let dir = tempfile::Builder::new()
        .prefix("sallyport-ssh-")
        .tempdir()
        .map_err(TestbedError::file(std::env::temp_dir()))?
        .keep();
    let started = start_in(&dir, options);
    if started.is_err() {
        let _ = std::fs::remove_dir_all(&dir);
    }
    started
}

fn start_in(dir: &Path, options: &SshdOptions) -> Result<Sshd, TestbedError> {
    // Accounts pass through on their way home.
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o711)).map_err(TestbedError::file(dir))?;
    let address = SocketAddr::from(place(options.host.as_ref(), options.port)?);
    let host_keys = host_keys(dir, address, options)?;
    let nobody = [Account::new("deploy")];
    let accounts = if options.accounts.is_empty() {
        nobody.as_slice()
    } else {
        &options.accounts
    };
    account::write(dir, accounts)?;
    Audit::lay(dir, dir)?;
    config::write(dir, address, options)?;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", OUTER, "outer"]).arg(dir).arg(INNER);
    command.env("LC_ALL", "C.UTF-8");
    let process = Supervised::start(&within(options.host.as_ref(), command), "USR1", dir)?;
    let sshd = Sshd {
        process,
        address,
        host_keys,
    };
    wait_until_ready(&sshd, options.host.as_ref())?;
    Ok(sshd)
}

/// Makes all at once: the large one takes a while.
fn host_keys(dir: &Path, address: SocketAddr, options: &SshdOptions) -> Result<Vec<String>, TestbedError> {
    let spawn = |source| TestbedError::Spawn {
        program: "ssh-keygen".to_owned(),
        source,
    };
    let file = |kind: KeyKind| dir.join(format!("host_{}", kind.name()));
    let mut making = Vec::new();
    for kind in KeyKind::ALL {
        making.push(keygen(&file(kind), kind).spawn().map_err(spawn)?);
    }
    for mut child in making {
        child.wait().map_err(spawn)?;
    }
    let mut keys = Vec::new();
    let ip = address.ip().to_string();
    for kind in KeyKind::ALL {
        keys.push(SshKey::read(&file(kind))?.public().to_owned());
        if let Some(authority) = &options.host_authority {
            authority.certify_host(&file(kind), &[&ip, "localhost"])?;
        }
    }
    Ok(keys)
}

fn wait_until_ready(sshd: &Sshd, host: Option<&Host>) -> Result<(), TestbedError> {
    sshd.process.wait_until("sshd", || {
        let greeted = match host {
            Some(host) => host.enter(|| greets(sshd.address()))?,
            None => greets(sshd.address()),
        };
        Ok(greeted.unwrap_or(false))
    })
}

/// Whether somebody there says the first words of the protocol (RFC 4253, section 4.2).
fn greets(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut words = [0_u8; 8];
    stream.read_exact(&mut words)?;
    Ok(&words == b"SSH-2.0-")
}
