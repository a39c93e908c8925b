//! Servers are started on the machine itself, or in a host.

use std::net::Ipv4Addr;
use std::process::Command;

use super::Host;
use crate::TestbedError;
use crate::postgres::free_port;

/// Where a server listens that may be in a host: an address, and a port that is free there unless it is given.
pub(crate) fn place(host: Option<&Host>, port: Option<u16>) -> Result<(Ipv4Addr, u16), TestbedError> {
    let address = host.map_or(Ipv4Addr::LOCALHOST, Host::address);
    let port = match (port, host) {
        (Some(port), _) => port,
        (None, Some(host)) => host.free_port()?,
        (None, None) => free_port()?,
    };
    Ok((address, port))
}

/// A command that may have to run in a host.
pub(crate) fn within(host: Option<&Host>, command: Command) -> Command {
    match host {
        Some(host) => host.wrap(&command),
        None => command,
    }
}
