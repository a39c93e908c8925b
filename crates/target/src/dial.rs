//! Reaching a target over TCP.

use std::{io, net::SocketAddr, time::Duration};

use sallyport_listen::Wire;
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};

use crate::Address;

/// A target could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Its name has no address.
    #[error("the host of `{address}` has no address: {source}")]
    Resolve {
        /// What was looked for.
        address: Address,
        /// What the resolver says.
        source: io::Error,
    },
    /// None of its addresses answers.
    #[error("`{address}` cannot be reached: {source}")]
    Unreachable {
        /// What was dialled.
        address: Address,
        /// What the last address said.
        source: io::Error,
    },
    /// It took too long.
    #[error("`{address}` did not answer within {seconds} s")]
    Timeout {
        /// What was dialled.
        address: Address,
        /// How long was waited, in seconds.
        seconds: u64,
    },
}

/// More addresses of one host than this are not tried.
const MAX_ADDRESSES: usize = 16;

/// Reaches `address` within `patience`: all addresses of its host are tried in order, each with its share of the time
/// that is left.
///
/// # Errors
/// A [`ConnectError`], with what the last address said.
pub async fn dial_tcp(address: &Address, patience: Duration) -> Result<Wire, ConnectError> {
    let deadline = Instant::now() + patience;
    let late = || ConnectError::Timeout {
        address: address.clone(),
        seconds: patience.as_secs(),
    };
    let resolve = |source| ConnectError::Resolve {
        address: address.clone(),
        source,
    };
    let found = timeout_at(deadline, lookup_host((address.host.as_str(), address.port)))
        .await
        .map_err(|_elapsed| late())?
        .map_err(resolve)?;
    let addresses: Vec<SocketAddr> = found.take(MAX_ADDRESSES).collect();
    let mut last = None;
    for (index, socket) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let others = u32::try_from(addresses.len().saturating_sub(index)).unwrap_or(1).max(1);
        let share = Instant::now() + left / others;
        match timeout_at(share, TcpStream::connect(socket)).await {
            Ok(Ok(stream)) => match Wire::new(stream) {
                Ok(wire) => return Ok(wire),
                Err(error) => last = Some(error),
            },
            Ok(Err(error)) => last = Some(error),
            Err(_elapsed) => {}
        }
    }
    match last {
        Some(source) => Err(ConnectError::Unreachable {
            address: address.clone(),
            source,
        }),
        None if addresses.is_empty() => Err(resolve(io::Error::new(io::ErrorKind::NotFound, "no addresses found"))),
        None => Err(late()),
    }
}

#[cfg(test)]
mod tests;
