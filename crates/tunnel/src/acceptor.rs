//! The agent's side of a connection: it takes the flows that the gateway opens.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{self, SendResponse};
use http::{Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::driver::{self, KeepAlive, Line};
use crate::flow::Flow;
use crate::{CONNECTION_WINDOW, CONTROL, FLOW, FLOW_WINDOW, MAX_FLOWS, MAX_FRAME, MAX_HEADERS, SEND_BUFFER};

/// Flows that were opened and not taken yet. Beyond it the gateway waits.
const MAX_WAITING: usize = 64;

/// What the gateway opens.
#[derive(Debug)]
pub enum Incoming {
    /// A flow.
    Flow(Flow),
    /// The flow over which both sides talk about themselves.
    Control(Flow),
}

/// Takes what the gateway opens.
#[derive(Debug)]
pub struct Acceptor {
    incoming: mpsc::Receiver<Incoming>,
    line: Arc<Line>,
}

impl Acceptor {
    /// Begins over `stream`, which goes to a gateway. The future runs the connection until it is over and says why;
    /// it must be polled for anything to happen. Once `drain` resolves, no more flows are taken, and it is over when
    /// the last one is.
    ///
    /// # Errors
    /// When the other side does not speak HTTP/2.
    pub async fn begin<S>(
        stream: S,
        keep_alive: KeepAlive,
        drain: impl Future<Output = ()> + Send,
    ) -> Result<(Self, impl Future<Output = String> + Send), h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut connection = server::Builder::new()
            .initial_window_size(FLOW_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(MAX_FRAME)
            .max_header_list_size(MAX_HEADERS)
            .max_send_buffer_size(SEND_BUFFER)
            // One more for what both sides say of themselves.
            .max_concurrent_streams(MAX_FLOWS + 1)
            .handshake::<S, Bytes>(stream)
            .await?;
        let line = Arc::new(Line::to("the gateway".to_owned()));
        let (taken, incoming) = mpsc::channel(MAX_WAITING);
        let pings = connection.ping_pong();
        let driven = Arc::clone(&line);
        let run = async move {
            let accept = driver::accept(connection, taken, &driven, drain);
            driven.run(accept, pings, keep_alive).await
        };
        Ok((Self { incoming, line }, run))
    }

    /// What the gateway opened next; `None` once the connection is over.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn accept(&mut self) -> Option<Incoming> {
        self.incoming.recv().await
    }

    /// Resolves once no flow is open.
    pub fn rests(&self) -> impl Future<Output = ()> + Send + use<> {
        let line = Arc::clone(&self.line);
        async move { line.rests().await }
    }

    /// Ends it with all its flows.
    pub fn end(&self, why: &str) {
        self.line.lose(why);
    }
}

pub(crate) fn take(
    request: Request<RecvStream>,
    respond: &mut SendResponse<Bytes>,
    line: &Arc<Line>,
) -> Option<Incoming> {
    let mut response = Response::new(());
    let path = request.uri().path();
    let kind = match path {
        FLOW => Incoming::Flow,
        CONTROL => Incoming::Control,
        _ => {
            *response.status_mut() = StatusCode::NOT_FOUND;
            let _ = respond.send_response(response, true);
            return None;
        }
    };
    let send = respond.send_response(response, false).ok()?;
    Some(kind(Flow::new(send, request.into_body(), Arc::clone(line))))
}
