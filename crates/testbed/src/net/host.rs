//! One host: a network namespace with an address.

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::name;
use crate::TestbedError;
use crate::cache::run;

/// What every host has: packets that come in over a cut wire vanish before anything looks at them.
const RULES: &str = "table inet testbed {
    set cut { type ifname; }
    chain arriving { type filter hook prerouting priority -300; iifname @cut drop; }
}";

/// Only answers come in, and what the host says to itself.
const REFUSE_INBOUND: &str = "table inet testbed {
    chain inbound {
        type filter hook input priority 0; policy drop;
        iifname lo accept
        ct state established,related accept
    }
}";

/// A host of a [`Network`](super::Network). Its clones are the same host.
#[derive(Debug, Clone)]
pub struct Host {
    named: Arc<Named>,
    address: Ipv4Addr,
}

#[derive(Debug)]
struct Named {
    name: String,
    namespace: String,
}

impl Host {
    pub(super) fn new(stem: &str, name: &str, address: Ipv4Addr) -> Host {
        let named = Arc::new(Named {
            name: name.to_owned(),
            namespace: name::of_host(stem, name),
        });
        Host { named, address }
    }

    pub(super) fn make(&self) -> Result<(), TestbedError> {
        let namespace = self.namespace();
        run(Command::new("ip").args(["netns", "add", namespace]))?;
        let address = format!("{}/32", self.address);
        run(Command::new("ip").args(["-n", namespace, "address", "add", &address, "dev", "lo"]))?;
        run(Command::new("ip").args(["-n", namespace, "link", "set", "lo", "up"]))?;
        let forward = "/proc/sys/net/ipv4/ip_forward";
        self.enter(|| std::fs::write(forward, "0"))?
            .map_err(TestbedError::file(forward))?;
        self.nft(RULES)
    }

    /// The name that it was given.
    pub fn name(&self) -> &str {
        &self.named.name
    }

    /// Its address, to which its servers are bound and from which it dials.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The name of its namespace, as `ip netns` knows it.
    pub fn namespace(&self) -> &str {
        &self.named.namespace
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(name::FOLDER).join(self.namespace())
    }

    /// A program that is to run in this host.
    pub fn command(&self, program: &str) -> Command {
        self.wrap(&Command::new(program))
    }

    /// The same command, to run in this host: its program, arguments, directory, and what it sets in the environment. Its
    /// standard streams, and whether its environment was cleared before, are not known here: set them on what is returned.
    /// `tokio::process::Command::from` takes that, too.
    ///
    /// The process keeps its id: what enters the namespace becomes the program.
    pub fn wrap(&self, command: &Command) -> Command {
        // Not by `ip netns exec`, which mounts another /sys and another /etc/resolv.conf.
        let mut wrapped = Command::new("nsenter");
        wrapped.arg(format!("--net={}", self.path().display())).arg("--");
        wrapped.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            wrapped.current_dir(dir);
        }
        wrapped
    }

    /// Does something in a thread of this process that is in this host. What is opened there stays there: sockets, and
    /// threads that are started, such as those of a runtime that is built there.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn enter<T: Send>(&self, task: impl FnOnce() -> T + Send) -> Result<T, TestbedError> {
        let path = self.path();
        let namespace = std::fs::File::open(&path).map_err(TestbedError::file(&path))?;
        let inside = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(task())
        };
        match std::thread::scope(|scope| scope.spawn(inside).join()) {
            Ok(done) => done.map_err(|error: std::io::Error| TestbedError::File { path, source: error }),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Refuses all connections from elsewhere, silently: whoever dials waits in vain. Those that this host has opened
    /// itself work.
    ///
    /// # Errors
    /// When nftables refuses the rules.
    pub fn refuse_inbound(&self) -> Result<(), TestbedError> {
        self.nft(REFUSE_INBOUND)
    }

    /// A TCP port on which nobody listens at this host's address.
    pub(crate) fn free_port(&self) -> Result<u16, TestbedError> {
        let bind = || TcpListener::bind((self.address, 0)).and_then(|listener| listener.local_addr());
        let bound = self.enter(bind)?;
        Ok(bound.map_err(TestbedError::file(self.name()))?.port())
    }

    pub(super) fn nft(&self, commands: &str) -> Result<(), TestbedError> {
        run(self.command("nft").arg(commands)).map(drop)
    }
}
