//! The files of the host on which cases about shells run: Debian's packages, unpacked and not installed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{apt, stamp};
use crate::process;

/// Debian's base, servers and clients of SSH, and programs that read, copy, run or hide things: the more there are, the more
/// an attack that a policy misses can really do. What talks to the world (curl, wget, kubectl, systemctl) is not among
/// them: the corpus brings its own, which only write down what they were asked for.
const PACKAGES: &[&str] = &[
    "acl",
    "base-files",
    "base-passwd",
    "bash",
    "bc",
    "bsdextrautils",
    "bsdutils",
    "busybox",
    "coreutils",
    "cpio",
    "dash",
    "dc",
    "debianutils",
    "diffutils",
    "ed",
    "expect",
    "file",
    "findutils",
    "gawk",
    "git",
    "grep",
    "gzip",
    "hostname",
    "iproute2",
    "jq",
    "less",
    "libc-bin",
    "login",
    "lua5.4",
    "m4",
    "mawk",
    "mount",
    "nano",
    "ncurses-base",
    "ncurses-bin",
    "netcat-openbsd",
    "openssh-client",
    "openssh-server",
    "openssl",
    "passwd",
    "perl-base",
    "procps",
    "psmisc",
    "python3",
    "rsync",
    "screen",
    "sed",
    "socat",
    "sqlite3",
    "strace",
    "tar",
    "tcsh",
    "tmux",
    "unzip",
    "util-linux",
    "vim-tiny",
    "xxd",
    "xz-utils",
    "zip",
    "zsh",
];

/// What maintainers' scripts would have done: alternatives, accounts, the linker's cache.
const FINISH: &str = r#"
set -e
cd root
# Debian's packages still name these directories, which are links today.
for name in bin sbin lib lib64; do
    [ -L $name ] || { mkdir -p usr/$name; [ ! -d $name ] || cp -a $name/. usr/$name/; rm -rf $name; ln -s usr/$name $name; }
done
for pair in awk:mawk vim:vim.tiny vi:vim.tiny ex:vim.tiny view:vim.tiny nc:nc.openbsd pager:less editor:vim.tiny \
    lua:lua5.4 which:which.debianutils csh:tcsh; do
    ln -sfn "${pair#*:}" "usr/bin/${pair%%:*}"
done
cp usr/share/base-passwd/passwd.master etc/passwd
cp usr/share/base-passwd/group.master etc/group
echo 'sshd:x:101:65534::/run/sshd:/usr/sbin/nologin' >>etc/passwd
sed -i 's,^root:[^:]*:0:0:root:.*,root:x:0:0:root:/root:/bin/bash,' etc/passwd
mkdir -p dev proc sys tmp run root srv mnt etc/ssh
chmod 1777 tmp
chroot . /sbin/ldconfig
rm -rf usr/share/doc usr/share/man usr/share/locale usr/share/info
"#;

/// The directory with the host's files, made when missing.
pub(crate) fn shell_root() -> Result<PathBuf> {
    let mut finish = DefaultHasher::new();
    FINISH.hash(&mut finish);
    let recipe = format!("unpack {} ({:016x})", PACKAGES.join(" "), finish.finish());
    let dir = stamp::ensure("shell-root", &recipe, make)?;
    Ok(dir.join("root"))
}

fn make(dir: &Path) -> Result<()> {
    let apt = apt::private(dir)?;
    let run = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        process::run(command.arg("-qq").args(arguments).env("APT_CONFIG", &apt))
    };
    run(&["update"])?;
    let flags = ["install", "-y", "--download-only"];
    run(&[&flags, PACKAGES].concat())?;
    let script = format!(
        "set -e
         mkdir -p root
         for package in apt/cache/archives/*.deb; do dpkg-deb -x $package root; done
         rm -rf apt apt.conf
         ({FINISH})"
    );
    process::run(Command::new("sh").args(["-c", &script]).current_dir(dir))
}
