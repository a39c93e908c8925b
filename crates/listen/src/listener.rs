//! A listening socket.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, time::sleep};

use crate::{Accepted, Limits, admission::Gatekeeper};

/// How long accepting pauses when the process has no file descriptors or memory left. Nothing tells
/// when there are some again.
const PAUSE: Duration = Duration::from_millis(20);

/// A listening socket with limits.
pub struct Listener {
    socket: TcpListener,
    keeper: Arc<Gatekeeper>,
    address: SocketAddr,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Listener {
    /// Listens at `address` (port 0 for any free one). At most `backlog` connections wait in the
    /// operating system. To be called on the runtime that will accept.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(address: SocketAddr, backlog: u32, limits: Limits) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        let socket = TcpListener::from_std(socket.into())?;
        let address = socket.local_addr()?;
        let keeper = Gatekeeper::new(limits);
        Ok(Self {
            socket,
            keeper,
            address,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// How many sessions and how many handshakes there are now.
    pub fn counts(&self) -> (usize, usize) {
        self.keeper.counts()
    }

    /// The next connection that is let in. Connections over the limit of their address are closed.
    ///
    /// # Errors
    /// When the socket itself fails; errors of single connections are not reported.
    ///
    /// # Cancel safety
    /// No connection is lost.
    pub async fn accept(&self) -> io::Result<Accepted> {
        loop {
            let (stream, peer) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.recover(error).await?;
                    continue;
                }
            };
            let Some(handshake) = self.keeper.admit(peer) else {
                tracing::debug!(%peer, "too many connections from this address");
                continue;
            };
            match stream.into_std() {
                Ok(stream) => {
                    return Ok(Accepted {
                        stream,
                        peer,
                        handshake,
                    });
                }
                Err(error) => tracing::debug!(%peer, %error, "connection lost"),
            }
        }
    }

    /// Decides what an error of accept(2) means: the one connection, a shortage, or the end.
    async fn recover(&self, error: io::Error) -> io::Result<()> {
        match error.raw_os_error() {
            Some(EBADF | EINVAL | ENOTSOCK | EOPNOTSUPP | EFAULT) => Err(error),
            Some(EMFILE | ENFILE | ENOBUFS | ENOMEM) => {
                tracing::warn!(%error, "cannot accept connections for the moment");
                self.keeper.make_room();
                sleep(PAUSE).await;
                Ok(())
            }
            // What accept(2) says of the connection that was to be accepted: it is gone.
            _ => Ok(()),
        }
    }
}

// Linux' numbers; the standard library has no names for them all.
const EBADF: i32 = 9;
const ENOMEM: i32 = 12;
const EFAULT: i32 = 14;
const EINVAL: i32 = 22;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOTSOCK: i32 = 88;
const EOPNOTSUPP: i32 = 95;
const ENOBUFS: i32 = 105;
