//! Several hosts on one machine: network namespaces, and wires between them.
//!
//! A host has one address, whatever number of wires it has, and routes to its neighbours only: nothing is forwarded, so
//! that two hosts without a wire between them cannot reach each other. The addresses are the same in every network, since
//! no two networks and neither of them and the machine meet.

mod host;
mod link;
mod name;
mod place;
mod wire;

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::Command;

use crate::TestbedError;
use crate::cache::run;
use crate::supervisor::Supervised;

pub use host::Host;
pub use link::{Link, LinkQuality};
pub(crate) use place::{place, within};

/// Hosts are numbered from 1 in this range, which is private.
const RANGE: [u8; 3] = [10, 77, 0];
/// The range as PostgreSQL and proxies write it.
pub(crate) const RANGE_CIDR: &str = "10.77.0.0/24";

/// The environment variable with the file to which tests add a line when they are skipped.
pub const SKIPPED: &str = "SALLYPORT_SKIPPED";

/// Hosts and the wires between them. Dropping it ends every process in the hosts and removes them; what a killed run left
/// behind is removed by the next one that makes a network.
#[derive(Debug)]
pub struct Network {
    stem: String,
    hosts: Vec<Host>,
    links: usize,
    wires: Vec<Supervised>,
}

impl Network {
    /// A network without hosts.
    ///
    /// # Errors
    /// [`TestbedError::NoNamespaces`] when this process may not make network namespaces; another error when a program
    /// that is needed is missing.
    pub fn new() -> Result<Network, TestbedError> {
        possible()?;
        name::remove_leftovers();
        Ok(Network {
            stem: name::stem()?,
            hosts: Vec::new(),
            links: 0,
            wires: Vec::new(),
        })
    }

    /// The same, for a test that is skipped where no namespace can be made: a line with the test's name says so, on
    /// standard error and in the file [`SKIPPED`], and there is no network.
    ///
    /// # Errors
    /// When something is amiss other than that.
    pub fn or_skip(test: &str) -> Result<Option<Network>, TestbedError> {
        match Network::new() {
            Ok(network) => Ok(Some(network)),
            Err(TestbedError::NoNamespaces { reason }) => {
                skipped(&format!("skipped: {test}: no network namespaces here: {reason}\n"))?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Adds a host. The name is of letters, digits and `-`, and new in this network.
    ///
    /// # Errors
    /// When the name is none, there are 254 hosts already, or the namespace cannot be made.
    pub fn host(&mut self, name: &str) -> Result<Host, TestbedError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.is_empty() || !name.chars().all(fits) || self.hosts.iter().any(|host| host.name() == name) {
            return Err(refusal(format!("`{name}` is no name for another host")));
        }
        let [a, b, c] = RANGE;
        let number = u8::try_from(self.hosts.len() + 1)
            .ok()
            .filter(|&number| number < u8::MAX);
        let number = number.ok_or_else(|| refusal("a network has no more than 254 hosts".to_owned()))?;
        let host = Host::new(&self.stem, name, Ipv4Addr::new(a, b, c, number));
        // Removed with the others, even if it comes to be in part only.
        self.hosts.push(host.clone());
        host.make()?;
        Ok(host)
    }

    /// A perfect wire between two hosts that have none yet.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn link(&mut self, a: &Host, b: &Host) -> Result<Link, TestbedError> {
        let link = self.next_link(a, b);
        run(Command::new("ip")
            .args(["-n", a.namespace(), "link", "add", link.device(), "type", "veth"])
            .args(["peer", "name", link.device(), "netns", b.namespace()]))?;
        link.plug()?;
        Ok(link)
    }

    /// A wire with delay, loss and the like between two hosts that have none yet.
    ///
    /// It is a process of its own, which moves packets between two TUN devices, since not every kernel has `netem`. Without
    /// any impairment it carries some 150 MB/s.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn lag_link(&mut self, a: &Host, b: &Host, quality: LinkQuality) -> Result<Link, TestbedError> {
        let link = self.next_link(a, b);
        self.wires.push(wire::start(&link, quality)?);
        link.plug()?;
        Ok(link)
    }

    fn next_link(&mut self, a: &Host, b: &Host) -> Link {
        self.links += 1;
        Link::between(a, b, format!("wire{}", self.links))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.wires.clear();
        for host in &self.hosts {
            name::remove(host.namespace());
        }
    }
}

/// Whoever runs the tests learns of what was skipped, although runners show nothing of a test that did not fail. A line
/// with its end: `skipped: TEST: WHY`.
///
/// # Errors
/// When the file [`SKIPPED`] cannot be written.
pub fn skipped(line: &str) -> Result<(), TestbedError> {
    #[expect(clippy::print_stderr, reason = "for those who look")]
    {
        eprint!("{line}");
    }
    let Some(path) = std::env::var_os(SKIPPED) else {
        return Ok(());
    };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(&path);
    // One write, so that the lines of several tests do not mix.
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .map_err(TestbedError::file(path))
}

fn refusal(output: String) -> TestbedError {
    TestbedError::Failed {
        program: "the network".to_owned(),
        output,
    }
}

/// Whether namespaces can be made, by making one that has no name and ends at once.
fn possible() -> Result<(), TestbedError> {
    let reason = |output: String| TestbedError::NoNamespaces { reason: output };
    match run(Command::new("unshare").args(["--net", "--mount", "true"])) {
        Ok(_) => {}
        Err(TestbedError::Failed { output, .. }) => return Err(reason(output)),
        Err(error) => return Err(error),
    }
    for (program, argument) in [("ip", "-V"), ("nft", "--version"), ("nsenter", "--version")] {
        run(Command::new(program).arg(argument))?;
    }
    Ok(())
}
