//! What an agent's TLS goes over.

use tokio::net::TcpStream;
use tokio_util::either::Either;

use crate::Wide;
use crate::websocket::{ByteStream, Carrier};

/// A way to the gateway: a connection to it, or a WebSocket.
pub type Road = Either<Wide<TcpStream>, Box<ByteStream<Carrier>>>;
