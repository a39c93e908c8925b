//! tinyproxy, an HTTP proxy that others wrote.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::TestbedError;
use crate::net::{Host, place, within};
use crate::supervisor::Supervised;

const TINYPROXY: &str = "/usr/bin/tinyproxy";

/// What the proxy should be like. The default serves everybody who reaches it, and tunnels to every port.
#[derive(Debug, Clone, Default)]
pub struct ProxyOptions {
    /// The host in which it runs, bound to that host's address; 127.0.0.1 of this machine when absent.
    pub host: Option<Host>,
    /// The TCP port; a free one when absent.
    pub port: Option<u16>,
    /// A name and a password, of letters and digits, that it asks for.
    pub login: Option<(String, String)>,
    /// The only ports to which it tunnels (`CONNECT`); all when empty.
    pub connect_ports: Vec<u16>,
}

/// A running proxy. Dropping it ends it and removes its directory.
#[derive(Debug)]
pub struct Proxy {
    process: Supervised,
    address: SocketAddr,
}

impl Proxy {
    /// Starts a proxy and waits until it takes connections.
    ///
    /// # Errors
    /// When tinyproxy is not installed, or does not start; the error has the end of its log.
    pub fn start(options: &ProxyOptions) -> Result<Proxy, TestbedError> {
        if !Path::new(TINYPROXY).exists() {
            return Err(TestbedError::NoProxy);
        }
        let dir = tempfile::Builder::new()
            .prefix("sallyport-proxy-")
            .tempdir()
            .map_err(TestbedError::file(std::env::temp_dir()))?
            .keep();
        let started = Proxy::start_in(&dir, options);
        if started.is_err() {
            let _ = std::fs::remove_dir_all(&dir);
        }
        started
    }

    fn start_in(dir: &Path, options: &ProxyOptions) -> Result<Proxy, TestbedError> {
        let host = options.host.as_ref();
        let address = SocketAddr::from(place(host, options.port)?);
        let config = dir.join("tinyproxy.conf");
        std::fs::write(&config, settings(address, options)).map_err(TestbedError::file(&config))?;
        let mut command = Command::new(TINYPROXY);
        command.arg("-d").arg("-c").arg(&config);
        let process = Supervised::start(&within(host, command), "KILL", dir)?;
        let proxy = Proxy { process, address };
        proxy.wait_until_ready(host)?;
        Ok(proxy)
    }

    fn wait_until_ready(&self, host: Option<&Host>) -> Result<(), TestbedError> {
        let connect = || TcpStream::connect(self.address).is_ok();
        self.process.wait_until("tinyproxy", || match host {
            Some(host) => host.enter(connect),
            None => Ok(connect()),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a login.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it says it was asked for, in order: the first lines of requests, such as `CONNECT 10.77.0.1:443 HTTP/1.1`.
    pub fn requests(&self) -> Vec<String> {
        let log = self.log();
        let asked = log
            .lines()
            .filter_map(|line| line.split_once("Request (file descriptor "));
        // What follows is the descriptor, `): `, and the line.
        let lines = asked.filter_map(|(_, rest)| rest.split_once("): "));
        lines.map(|(_, line)| line.trim().to_owned()).collect()
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Kills it (SIGKILL), and with it every tunnel; its directory stays until the drop.
    ///
    /// # Errors
    /// When `kill` cannot be run.
    pub fn kill(&self) -> Result<(), TestbedError> {
        self.process.kill()
    }

    fn log(&self) -> String {
        // Without a file of its own it logs to standard output.
        let bytes = std::fs::read(self.process.dir().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn settings(address: SocketAddr, options: &ProxyOptions) -> String {
    let mut text = format!(
        "Listen {}\nPort {}\nLogLevel Connect\nMaxClients 200\nTimeout 600\n",
        address.ip(),
        address.port()
    );
    if let Some((name, password)) = &options.login {
        text.push_str(&format!("BasicAuth {name} {password}\n"));
    }
    for port in &options.connect_ports {
        text.push_str(&format!("ConnectPort {port}\n"));
    }
    text
}
